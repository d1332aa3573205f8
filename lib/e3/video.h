/* video: frames from anything FFmpeg reads: files, URLs, and descriptors (pipes too).
 *
 * Owns demuxing, decoding, counting frames without decoding, the choice of frames, rotation and colour
 * (doc/formats.md 5.1 to 5.8). Decoding errors inside a stream are tolerated and counted, as the ffmpeg program does. A
 * source that ends early gives the frames that it has, and a note. A read error is an error, reported after the frames
 * before it. FFmpeg's own messages go to the function set by e3_video_log.
 */
#ifndef E3_VIDEO_H
#define E3_VIDEO_H

#include "e3/err.h"
#include "e3/image.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which YCbCr matrix is used. AUTO: by the stream's tag; without one BT.709 from 720 rows on, else BT.601. OPENCV:
 * BT.601 whatever the tag, bit-exact to OpenCV's VideoCapture. */
typedef enum e3_matrix { E3_MATRIX_AUTO, E3_MATRIX_OPENCV, E3_MATRIX_601, E3_MATRIX_709, E3_MATRIX_2020 } e3_matrix;

/* Which frame rate: av_guess_frame_rate (which OpenCV uses), the average, the container's base rate. */
typedef enum e3_fps_source { E3_FPS_GUESS, E3_FPS_AVG, E3_FPS_R } e3_fps_source;

typedef struct e3_video_options {
	const char *input; /* file or URL; with a descriptor, its name for messages */
	const char *url;   /* what FFmpeg opens, when that is not `input` */
	int fd;            /* to read, or -1: a regular file from its current position on, a pipe to its end. Borrowed */
	const void *head;  /* bytes of a pipe that were read already; borrowed until the video is closed */
	size_t n_head;
	bool spool; /* copy a pipe to a temporary file first, whatever it carries: its frames can be counted then. An mp4
				   with its index at the end is copied in any case */
	uint64_t spool_max;     /* bytes such a copy may have */
	const char *format;     /* FFmpeg's name of the input format ("v4l2", "lavfi"); NULL: FFmpeg finds out */
	const char *const *set; /* "key=value" for FFmpeg's demuxer and protocol; an unknown key is refused */
	int n_set;
	double timeout; /* seconds without data after which reading fails; 0: no limit */
	bool low_delay; /* no decoder threads that work on different frames: each adds a frame of delay */
	int stream;     /* index in the file, -1 = the best video stream */
	int threads;    /* of the decoder */
	bool autorotate;
	bool tonemap; /* HDR and wide gamuts become SDR of BT.709; not with E3_MATRIX_OPENCV */
	bool square;  /* pixels that are not square become so, in width; not with E3_MATRIX_OPENCV */
	bool strict;  /* a source that ends early is an error, also when it has frames */
	e3_matrix matrix;
	int (*stop)(void);       /* not 0: blocking calls end with an error; may be NULL */
	const atomic_bool *quit; /* true: the same; may be NULL. Borrowed */
} e3_video_options;

typedef struct e3_video_info {
	const char *codec, *format; /* names of codec and pixel format; static */
	int w, h;                   /* as stored, before rotation */
	int square_w;               /* the width at which its pixels are square */
	double fps[3];              /* by e3_fps_source; 0 = unknown */
	double seconds;             /* duration as the container states it, not a guess; 0 = unknown */
	bool picture;               /* the format is one of pictures or of animations, not of videos */
	bool stills;                /* of pictures without times, for which FFmpeg makes up a rate */
	bool hdr;                   /* PQ or HLG */
	bool wide;                  /* a gamut wider than BT.709's */
	bool another;               /* an mp4 with a second one behind it, which is not read */
	int streams, stream;        /* how many video streams there are, the number of this one among all streams */
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

/* Counts the frames without decoding: from the container's index, or by reading all packets of a source that can be
 * read twice. `times`: finds their times too. 0 also when both stay unknown. Call before the first e3_video_next. */
int e3_video_index(e3_video *v, bool times, e3_err *err);
int64_t e3_video_frames(const e3_video *v); /* -1 = unknown */
bool e3_video_times_known(const e3_video *v);
double e3_video_time(const e3_video *v, int64_t index); /* when known: seconds after the first frame */

/* Skips frames, but none at or after `pts` seconds, where it is certain that the same frames come as without it;
 * *sought: some were skipped. */
int e3_video_seek(e3_video *v, double pts, bool *sought, e3_err *err);

/* Decodes the next frame: 1; 0 at the end; -1. */
int e3_video_next(e3_video *v, e3_video_frame *out, e3_err *err);
/* The frame last decoded as RGB, turned upright; *out is reused when it has the right size, *rot receives the degrees
 * clockwise it was turned by (0 for a mirroring alone). */
int e3_video_image(e3_video *v, e3_image *out, int *rot, e3_err *err);
/* How sharp the frame last decoded is, to be compared with others of the video; cheap. */
double e3_video_sharpness(const e3_video *v);
double e3_picture_sharpness(const e3_image *im); /* RGB: the same measure */
/* Keeps the frame last decoded, in place of one that was kept before, and converts it later. */
int e3_video_keep(e3_video *v, e3_err *err);
int e3_video_kept_image(e3_video *v, e3_image *out, int *rot, e3_err *err);
/* Damage so far: packets that the decoder refused and frames that it had to conceal. */
int64_t e3_video_errors(const e3_video *v);

/* What was unusual so far. */
typedef struct e3_video_notes {
	const char *cut;    /* the source ends early: a message; NULL: it does not. May be known before the first frame */
	int64_t damaged;    /* as e3_video_errors */
	int64_t before_key; /* pictures before the first key frame: left out */
	int64_t restarts;   /* how often its clock started again; time went on */
	double ends;        /* seconds: the time of the last frame and its duration */
	bool listed;        /* the container has a list of all frames: one that is missing makes it `cut` */
	bool by_decoding;   /* the frames were counted by decoding them */
} e3_video_notes;
e3_video_notes e3_video_noted(const e3_video *v);

/* Sends FFmpeg's warnings and errors, one line per call, to `say` (NULL: discards them). For the whole process. */
void e3_video_log(void (*say)(const char *line));

/* --- sample.c: which frames are kept (doc/formats.md 5.1) --- */

typedef struct e3_sampling {
	int64_t step; /* > 0: the reference's rule: frames are counted from 1, and every step-th one is kept */
	double every; /* with step 0: the first frame at or after each multiple of this many seconds */
	bool first;   /* the first frame too */
	double start,
		end; /* seconds; frames before start are not counted, a frame at or after end is the end. Default 0, INFINITY */
	int64_t max_frames; /* 0 = no limit */
} e3_sampling;

typedef struct e3_sampler {
	e3_sampling rule;
	int64_t seen, kept; /* frames since start; frames kept */
	double due;         /* time sampling: when the next one is due */
} e3_sampler;

typedef enum e3_sample { E3_SAMPLE_SKIP, E3_SAMPLE_KEEP, E3_SAMPLE_DONE } e3_sample;

void e3_sampler_init(e3_sampler *s, const e3_sampling *rule);
/* Call for each frame in order of presentation. DONE: neither this one nor any after it is kept. */
e3_sample e3_sampler_feed(e3_sampler *s, double pts);
/* Whether this frame is beyond the end: of the rule, or of the interval of the last frame of max_frames (time
 * sampling). */
bool e3_sampler_past(const e3_sampler *s, double pts);
/* Whether max_frames is reached: no further frame is kept. */
bool e3_sampler_full(const e3_sampler *s);

#endif
