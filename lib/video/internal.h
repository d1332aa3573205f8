/* video: what the files of this folder share: an open video, its bytes, its colours. */
#ifndef E3_VIDEO_INTERNAL_H
#define E3_VIDEO_INTERNAL_H

#include "e3/tone.h"
#include "e3/video.h"
#include "times.h"
#include "unit.h"
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

/* Bytes for FFmpeg, read from a descriptor. */
typedef struct video_bytes {
	int fd;
	FILE *spool; /* the copy of a pipe; owns fd then */
	bool seekable;
	int64_t base;        /* where the data begin in a seekable descriptor */
	int64_t size;        /* of a seekable one, from base; -1 otherwise */
	const uint8_t *head; /* bytes of a pipe that were read already */
	size_t n_head;
	const e3_video_options *o; /* for stop, quit and timeout */
	int error;                 /* errno of a failed read, 0 = none */
} video_bytes;

/* One reader over a video_bytes; the counting pass has its own. */
typedef struct video_reader {
	video_bytes *bytes;
	int64_t at;
} video_reader;

/* Converts decoded frames to upright RGB. The reader of a live source has one of its own. */
typedef struct video_colour {
	const char *input; /* its name, for messages */
	e3_matrix matrix;
	struct SwsContext *sws;
	int w, h, format, space, range; /* what sws was made for */
	uint8_t *scratch;
	size_t n_scratch;
	bool tonemap, square;
	e3_image stored; /* before its pixels are made square */
	e3_fitter *squarer;
	e3_image flat; /* before it is turned */
	int threads;
	e3_tone *tone; /* for these tags: transfer, primaries, matrix */
	int tags[3];
	double peak; /* cd/m², of the first frame that has one; 0: none had */
} video_colour;

struct e3_video {
	e3_video_options options;
	char *url;
	video_bytes bytes; /* fd < 0: FFmpeg opens the url itself */
	video_reader reader;
	e3_video_info info;
	AVFormatContext *format;
	AVStream *stream;
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *frame, *kept; /* kept: by e3_video_keep; NULL until then */
	video_colour colour;
	int orientation; /* 1 to 8; 0: unknown until the first frame */
	/* counting */
	int64_t frames;            /* -1 = unknown */
	int64_t *ticks;            /* [frames] ascending, in the stream's time base; or NULL */
	struct video_tally *tally; /* what reading all packets told; NULL: they were not read */
	/* decoding */
	int64_t packets, next_index, errors;
	int64_t origin; /* ticks of the first frame; AV_NOPTS_VALUE until known */
	int64_t raw;    /* time stamp of the frame last decoded */
	video_times times;
	video_units *units;        /* until decoding begins */
	int64_t before;            /* pictures before the first key frame, left out */
	bool began;                /* the first key frame has come */
	bool anywhere;             /* there is none: begin with any picture */
	bool counted;              /* the frames were counted by decoding them */
	bool waits;                /* `packet` was found by a seek and not yet decoded */
	double last_pts, last_end; /* of the frame last decoded; last_end: when the next one is due */
	e3_video_frame current;
	bool held; /* `current` was decoded by a seek and not yet handed out */
	bool draining;
	char *failure;   /* why reading stopped; reported after the frames before it */
	char *cut;       /* the source ends early: how */
	double deadline; /* on e3_now's clock: until when data must come; 0: no limit */
	bool stalled;    /* it did not come: this connection is over */
};

/* bytes.c */
bool video_stopped(const e3_video_options *o);
/* The options are borrowed until it is closed. */
int video_bytes_open(video_bytes *in, const e3_video_options *o, e3_err *err);
void video_bytes_close(video_bytes *in);
/* An AVIOContext reading it; NULL on failure. The input must outlive it. */
AVIOContext *video_reader_open(video_reader *r, video_bytes *in, e3_err *err);
void video_reader_close(AVIOContext **io);

/* format.c */
/* probe: with FFmpeg's analysis of the first packets. */
int video_format_open(e3_video *v, video_reader *reader, bool probe, AVFormatContext **out, e3_err *err);
void video_format_close(AVFormatContext **format);
/* Data must come within options.timeout from now. */
void video_expect(e3_video *v);
bool video_is_picture(const AVFormatContext *format);
bool video_is_stills(const AVFormatContext *format);
bool video_is_mov(const AVFormatContext *format);
/* "reading: NAME: reason": the error of a failed read, else FFmpeg's text for the code. */
int video_fail(e3_video *v, int code, e3_err *err);

/* open.c */
/* Starts again at the first packet of a source that can be read twice, with a new decoder. */
int video_restart(e3_video *v, e3_err *err);

/* decode.c */
/* The next frame into v->frame and v->current: 1; 0 at the end; -1. */
int video_decode(e3_video *v, e3_err *err);
/* The frame last decoded is known to be this one. */
void video_dated_as(e3_video *v, int64_t index, int64_t tick);

/* index.c */
/* Whether a second reader finds the same bytes: in our own seekable descriptor, or in a plain file. */
bool video_readable_twice(const e3_video *v);

/* cut.c: sources that end early */
/* Notes in v->cut when an mp4 ends before the last byte that its index refers to; an error if that is not allowed. */
int video_cut_check(e3_video *v, e3_err *err);
/* Pictures that the index of an mp4 lists and the file has; *missing: that it does not have. */
int64_t video_index_pictures(const e3_video *v, int64_t *missing);
/* Whether an mp4 has a second one behind it, which no program reads: such files cannot be joined so. */
bool video_index_twice(const e3_video *v);
/* Says why an mp4 cannot be opened when its index is missing. */
bool video_index_missing(const e3_video *v, e3_err *err);

/* colour.c */
video_colour video_colour_of(const e3_video_options *o);
/* Refuses streams whose colours nobody but their maker can show. */
int video_check_colours(const e3_video *v, e3_err *err);
/* The width of pixels that are `aspect` times as wide as high, made square; `w` where that is unknown or cannot be. */
int video_square_width(int w, AVRational aspect);
/* sharp.c: how much of the contrast lies in fine detail; comparable between frames of one video. */
double video_sharpness(const AVFrame *f);
/* Adds to the frame just decoded what only the container says of its colours and the shape of its pixels. */
void video_add_tags(e3_video *v);
int video_orientation(const int32_t *matrix);
/* EXIF orientation of the frame just decoded, 1 to 8; determined by the first frame. */
int video_settle_orientation(e3_video *v);
int video_colour_image(video_colour *c, const AVFrame *f, int orientation, e3_image *out, int *rot, e3_err *err);
void video_colour_release(video_colour *c);

#endif
