/* video: live sources: a thread decodes frames as they come; the reader gets the newest one.
 *
 * Owns the connection (made again with back-off when it is lost), the choice between the newest frame and every frame,
 * and the time at which each frame was taken. The source is decoded also while the reader takes nothing, in constant
 * memory, so that the next frame it takes is fresh.
 */
#ifndef E3_LIVE_H
#define E3_LIVE_H

#include "e3/video.h"

/* What an input is, by its name and by what is on disk under it. */
typedef enum e3_input_kind {
	E3_INPUT_FILE,    /* a file, or a name that does not exist */
	E3_INPUT_PIPE,    /* "-", a FIFO */
	E3_INPUT_URL,     /* http and the like: a file elsewhere, or live: unknown */
	E3_INPUT_NETWORK, /* rtsp, rtmp, rtp, udp, srt, rist, tcp and the like: live */
	E3_INPUT_CAMERA,  /* a V4L2 device, or v4l2:PATH */
	E3_INPUT_DRAWN    /* lavfi:GRAPH: pictures that FFmpeg draws at the rate of a camera */
} e3_input_kind;

e3_input_kind e3_input_kind_of(const char *input);

typedef struct e3_live_options {
	e3_video_options
		video; /* format, url, low_delay and quit are set by e3_live_open; `set` holds the user's settings. A FIFO or
				  standard input comes as a descriptor. timeout: also how long a device may give no frame */
	e3_input_kind kind;
	int w, h;             /* of a camera, 0 = its own choice */
	double rate;          /* frames per second, of a camera, 0 = its own choice */
	const char *pixfmt;   /* of a camera, as FFmpeg calls it ("mjpeg", "yuyv422"); NULL = its own choice */
	bool every;           /* hand out every frame: the source waits; false: only the newest one waits to be taken */
	e3_sampling sampling; /* which frames are considered: by time, or every Nth; max_frames must be 0 */
	double reconnect;     /* seconds from the loss of the source until it is given up; 0: at once. 0 for files */
	bool retry;           /* the first connection may take that long too */
	void (*say)(
		const char *line); /* told what happens to the connection, by e3_live_open and e3_live_next; may be NULL */
} e3_live_options;

typedef struct e3_live e3_live;

typedef struct e3_live_frame {
	int64_t index;    /* how many frames the source gave before this one */
	double pts;       /* seconds from the first frame's capture to this one's; strictly ascending */
	double t_capture; /* seconds since 1970 UTC */
	int rot;          /* degrees clockwise it was turned */
	bool key;
} e3_live_frame;

typedef struct e3_live_counts {
	int64_t seen;    /* frames the source gave */
	int64_t skipped; /* frames chosen by the sampling that a newer one replaced before they were taken */
	int64_t losses;  /* times the connection was lost */
	int64_t errors;  /* as e3_video_errors */
} e3_live_counts;

/* Connects and starts to decode. The texts in the options are borrowed until the source is closed. */
e3_live *e3_live_open(const e3_live_options *options, e3_err *err);
/* The source as it was at the first connection. */
const e3_video_info *e3_live_describe(const e3_live *l);
/* Waits for a frame newer than the last one handed out: 1; 0 at the end of the source, or when stop() says so; -1 when
 * the source is lost for good. `out` is reused as by e3_video_image. */
int e3_live_next(e3_live *l, e3_image *out, e3_live_frame *frame, e3_err *err);
e3_live_counts e3_live_counted(e3_live *l);
/* Stops the thread. When it hangs in a device driver, it and its memory are left alone: the process is about to end. */
void e3_live_close(e3_live *l);

#endif
