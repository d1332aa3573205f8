/* video: frames out of anything FFmpeg reads: files, URLs, and descriptors (a pipe too, seekable or spooled).
 *
 * Owns demuxing, decoding, counting frames without decoding, the choice of frames, rotation and colour
 * (doc/formats.md 5.1 to 5.4). Decoding errors inside a stream are tolerated and counted, as the ffmpeg program does; a
 * source that ends early or cannot be read on is an error after the frames before it. Nothing is printed: FFmpeg's own
 * messages go to e3_video_log's function.
 */
#ifndef E3_VIDEO_H
#define E3_VIDEO_H

#include "e3/err.h"
#include "e3/image.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which YCbCr matrix makes RGB. AUTO: the stream's tag; untagged, BT.709 from 720 rows on, else BT.601. OPENCV: BT.601
 * whatever the tag says, bit-exact to OpenCV's VideoCapture. */
typedef enum e3_matrix { E3_MATRIX_AUTO, E3_MATRIX_OPENCV, E3_MATRIX_601, E3_MATRIX_709, E3_MATRIX_2020 } e3_matrix;

/* Whose frame rate: av_guess_frame_rate (what OpenCV asks), the average, the container's base rate. */
typedef enum e3_fps_source { E3_FPS_GUESS, E3_FPS_AVG, E3_FPS_R } e3_fps_source;

typedef struct e3_video_options {
	const char *input; /* file or URL; with a descriptor, its name for messages */
	const char *url;   /* what FFmpeg opens, when that is not `input` */
	int fd; /* -1, or what to read: a regular file is read from where it stands, a pipe to its end. Borrowed */
	const void *head; /* bytes of a pipe that were read already; borrowed until the video is closed */
	size_t n_head;
	bool spool; /* copy a pipe to a temporary file first, whatever it carries: its frames can be counted then. An mp4
				   with its index at the end is copied in any case */
	uint64_t spool_max; /* bytes such a copy may have */
	const char
		*format; /* FFmpeg's name of the input ("v4l2", "lavfi"), for what does not tell by itself; NULL = it does */
	const char *const *set; /* "key=value" for FFmpeg's demuxer and protocol; one that nobody knows is refused */
	int n_set;
	double timeout; /* seconds without anything from the source after which reading fails; 0 = it may take for ever */
	bool low_delay; /* give up on decoder threads that are frames apart: each adds a frame of delay */
	int stream;     /* index in the file, -1 = the best video stream */
	int threads;    /* of the decoder */
	bool autorotate;
	e3_matrix matrix;
	int (*stop)(void);       /* not 0 ends blocking calls with an error; may be NULL */
	const atomic_bool *quit; /* true does the same; may be NULL. Borrowed */
} e3_video_options;

typedef struct e3_video_info {
	const char *codec, *format; /* names of codec and pixel format; static */
	int w, h;                   /* as stored, before rotation */
	double fps[3];              /* by e3_fps_source; 0 = unknown */
	double seconds;             /* duration as the container states it, not a guess; 0 = unknown */
	bool hdr;                   /* PQ or HLG: shown without tone mapping */
} e3_video_info;

typedef struct e3_video_frame {
	int64_t index; /* in the source, from 0, in order of presentation */
	double pts;    /* seconds after the source's first frame */
	bool key;
} e3_video_frame;

typedef struct e3_video e3_video;

e3_video *e3_video_open(const e3_video_options *options, e3_err *err);
void e3_video_close(e3_video *v);
const e3_video_info *e3_video_describe(const e3_video *v);

/* Counts the frames without decoding: from the container's index, or by reading the packets through, where the source
 * can be read twice. `times`: their times too. 0 also when nothing can be known. Call before the first e3_video_next.
 */
int e3_video_index(e3_video *v, bool times, e3_err *err);
int64_t e3_video_frames(const e3_video *v); /* -1 = unknown */
bool e3_video_times_known(const e3_video *v);
double e3_video_time(const e3_video *v, int64_t index); /* when known: seconds after the first frame */

/* Goes to a place from which the frame at `pts` seconds and all after it come; does nothing when times are not known.
 */
int e3_video_seek(e3_video *v, double pts, e3_err *err);

/* Decodes the next frame: 1; 0 at the end; -1. */
int e3_video_next(e3_video *v, e3_video_frame *out, e3_err *err);
/* The frame last decoded as RGB, turned upright; *out is reused when it has the right size, *rot receives the degrees
 * clockwise it was turned by (0 for a mirroring alone). */
int e3_video_image(e3_video *v, e3_image *out, int *rot, e3_err *err);
/* Damage met so far: packets the decoder refused and frames it had to patch. */
int64_t e3_video_errors(const e3_video *v);

/* Sends FFmpeg's warnings and errors, a line each, to `say` (NULL: nowhere). For the whole process. */
void e3_video_log(void (*say)(const char *line));

/* --- sample.c: which frames are kept (doc/formats.md 5.1) --- */

typedef struct e3_sampling {
	int64_t step; /* > 0: the reference's rule: frames are counted from 1, those whose number it divides are kept */
	double every; /* with step 0: the first frame at or after each multiple of this many seconds */
	bool first;   /* the first frame too */
	double start,
		end; /* seconds; frames before start are not even counted, those from end on end it. Default 0, INFINITY */
	int64_t max_frames; /* 0 = no limit */
} e3_sampling;

typedef struct e3_sampler {
	e3_sampling rule;
	int64_t seen, kept; /* frames since start; frames kept */
	double due;         /* time sampling: when the next is due */
} e3_sampler;

typedef enum e3_sample { E3_SAMPLE_SKIP, E3_SAMPLE_KEEP, E3_SAMPLE_DONE } e3_sample;

void e3_sampler_init(e3_sampler *s, const e3_sampling *rule);
/* For each frame in order of presentation. DONE: neither this one nor any after it. */
e3_sample e3_sampler_feed(e3_sampler *s, double pts);
/* true when no frame after this can be kept: max_frames is reached. */
bool e3_sampler_full(const e3_sampler *s);

#endif
