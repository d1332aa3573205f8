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
	FILE *spool;    /* owner of fd when the pipe was copied */
	bool seekable;
	int64_t base;   /* where the data begin in a seekable descriptor */
	int64_t size;   /* of a seekable one, from base; -1 otherwise */
	const uint8_t *head; /* bytes of a pipe that were read before */
	size_t n_head;
	int (*stop)(void);
	int error;      /* errno of a failed read, 0 = none */
} video_input;

/* One reader over a video_input; the counting pass has its own. */
typedef struct video_reader {
	video_input *input;
	int64_t at;
} video_reader;

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
	struct SwsContext *sws;
	int sws_w, sws_h, sws_format, sws_space, sws_range; /* what sws was made for */
	uint8_t *scratch;
	size_t n_scratch;
	int orientation;  /* 1 to 8; 0 until the first frame settled it */
	/* counting */
	int64_t frames;   /* -1 = unknown */
	int64_t *ticks;   /* [frames] ascending, in the stream's time base; or NULL */
	/* decoding */
	int64_t packets, next_index, errors;
	int64_t origin;   /* ticks of the first frame; AV_NOPTS_VALUE until known */
	double last_pts;
	e3_video_frame current;
	bool held;        /* current was decoded by a seek and not yet handed out */
	bool seeked, draining;
	char *failure;    /* why reading stopped, told when the frames before it are out */
};

/* input.c */
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
bool video_is_mov(const AVFormatContext *format);
/* "reading: NAME: reason" with FFmpeg's text for a code, or what the input remembers of a failed read. */
int video_fail(e3_video *v, int code, e3_err *err);

/* index.c */
int video_truncation_check(e3_video *v, e3_err *err);
int64_t video_lookup(const e3_video *v, int64_t tick);

/* colour.c, orientation */
int video_orientation(const int32_t *matrix);

#endif
