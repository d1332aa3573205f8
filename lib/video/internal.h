/* video: private to this folder. */
#ifndef E3_VIDEO_INTERNAL_H
#define E3_VIDEO_INTERNAL_H

#include "e3/video.h"
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

/* Bytes for FFmpeg from a descriptor. */
typedef struct video_input {
	int fd;
	FILE *spool; /* owner of fd when the pipe was copied */
	bool seekable;
	int64_t base;        /* where the data begin in a seekable descriptor */
	int64_t size;        /* of a seekable one, from base; -1 otherwise */
	const uint8_t *head; /* bytes of a pipe that were read before */
	size_t n_head;
	const e3_video_options *o; /* for stop, quit and timeout */
	int error;                 /* errno of a failed read, 0 = none */
} video_input;

/* One reader over a video_input; the counting pass has its own. */
typedef struct video_reader {
	video_input *input;
	int64_t at;
} video_reader;

/* Turns decoded frames into upright RGB. A live source has one on the side that takes frames, a video its own. */
typedef struct video_colour {
	const char *input; /* its name, for messages */
	e3_matrix matrix;
	struct SwsContext *sws;
	int w, h, format, space, range; /* what sws was made for */
	uint8_t *scratch;
	size_t n_scratch;
} video_colour;

struct e3_video {
	e3_video_options options;
	char *url;
	video_input input; /* fd < 0: FFmpeg opens the url itself */
	video_reader reader;
	e3_video_info info;
	AVFormatContext *format;
	AVStream *stream;
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *frame;
	video_colour colour;
	int orientation; /* 1 to 8; 0 until the first frame settled it */
	/* counting */
	int64_t frames; /* -1 = unknown */
	int64_t *ticks; /* [frames] ascending, in the stream's time base; or NULL */
	/* decoding */
	int64_t packets, next_index, errors;
	int64_t origin; /* ticks of the first frame; AV_NOPTS_VALUE until known */
	double last_pts;
	e3_video_frame current;
	bool held; /* current was decoded by a seek and not yet handed out */
	bool seeked, draining;
	char *failure;   /* why reading stopped, told when the frames before it are out */
	double deadline; /* on e3_now's clock: when waiting for the source has lasted too long; 0: never */
	bool stalled;    /* it has: this connection is over */
};

/* input.c */
bool video_stopped(const e3_video_options *o);
/* The options are borrowed until it is closed. */
int video_input_open(video_input *in, const e3_video_options *o, e3_err *err);
void video_input_close(video_input *in);
/* An AVIOContext reading it; NULL on failure. The input must outlive it. */
AVIOContext *video_reader_open(video_reader *r, video_input *in, e3_err *err);
void video_reader_close(AVIOContext **io);

/* open.c */
int video_format_open(e3_video *v, video_reader *reader, AVFormatContext **out, e3_err *err);
void video_format_close(AVFormatContext **format);
/* Back to the first packet of a source that can be read twice, with a new decoder. */
int video_restart(e3_video *v, e3_err *err);
/* What is waited for from now on must come within options.timeout. */
void video_expect(e3_video *v);
bool video_is_mov(const AVFormatContext *format);
/* "reading: NAME: reason" with FFmpeg's text for a code, or what the input remembers of a failed read. */
int video_fail(e3_video *v, int code, e3_err *err);

/* index.c */
int video_truncation_check(e3_video *v, e3_err *err);
int64_t video_lookup(const e3_video *v, int64_t tick);

/* colour.c, orientation */
int video_orientation(const int32_t *matrix);
/* 1 to 8 of the frame just decoded; settled by the first. */
int video_settle_orientation(e3_video *v);
int video_colour_image(video_colour *c, const AVFrame *f, int orientation, e3_image *out, int *rot, e3_err *err);
void video_colour_release(video_colour *c);

#endif
