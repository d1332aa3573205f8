/* video: live sources: a thread decodes what comes, as it comes; whoever reads gets the newest frame.
 *
 * Owns the connection (made again with back-off when it is lost), the choice between the newest frame and every frame,
 * and when each frame was taken. A source that nobody reads from is decoded all the same, on constant memory: what is
 * read next is fresh.
 */
#ifndef E3_LIVE_H
#define E3_LIVE_H

#include "e3/video.h"

/* What an input is, told by its name and by what is on disk under it. */
typedef enum e3_input_kind {
	E3_INPUT_FILE,    /* a file, or nothing at all */
	E3_INPUT_PIPE,    /* "-", a FIFO */
	E3_INPUT_URL,     /* http and its like: a file somewhere else, or live: who knows */
	E3_INPUT_NETWORK, /* rtsp, rtmp, rtp, udp, srt, rist, tcp and their like: live */
	E3_INPUT_CAMERA,  /* a V4L2 device, or v4l2:PATH */
	E3_INPUT_DRAWN    /* lavfi:GRAPH: pictures that FFmpeg draws, as fast as a camera would send them */
} e3_input_kind;

e3_input_kind e3_input_kind_of(const char *input);

typedef struct e3_live_options {
	e3_video_options
		video; /* format, url, set, low_delay and quit are filled here; user's settings go to `set`. A FIFO or standard
				  input comes with a descriptor. timeout: also how long a device may give no frame */
	e3_input_kind kind;
	int w, h;             /* of a camera, 0 = its own choice */
	double rate;          /* frames per second, of a camera, 0 = its own choice */
	const char *pixfmt;   /* of a camera, as FFmpeg calls it ("mjpeg", "yuyv422"); NULL = its own choice */
	bool every;           /* hand out every frame, the source waits; false: only the newest waits to be taken */
	e3_sampling sampling; /* which frames count at all: by time, or every Nth; max_frames must be 0 */
	double reconnect;     /* seconds from the loss of the source to when it is given up; 0 = at once. Never for files */
	bool retry;           /* the first connection too may take that long */
	void (*say)(
		const char *line); /* what happens to the connection, a line each, from e3_live_open and _next; may be NULL */
} e3_live_options;

typedef struct e3_live e3_live;

typedef struct e3_live_frame {
	int64_t index;    /* frames the source had given before this one, since the beginning */
	double pts;       /* seconds from the first frame's capture to this one's; ascending strictly */
	double t_capture; /* seconds since 1970 UTC */
	int rot;          /* degrees clockwise it was turned */
	bool key;
} e3_live_frame;

typedef struct e3_live_counts {
	int64_t seen;    /* frames the source gave */
	int64_t skipped; /* of those chosen by the sampling, how many a newer one replaced before they were taken */
	int64_t losses;  /* times the connection was lost */
	int64_t errors;  /* as e3_video_errors */
} e3_live_counts;

/* Connects, and starts to decode. The texts in the options are borrowed until it is closed. */
e3_live *e3_live_open(const e3_live_options *options, e3_err *err);
/* What the source was when it was first connected. */
const e3_video_info *e3_live_describe(const e3_live *l);
/* Waits for a frame newer than the last one handed out: 1; 0 at the end of the source, or when stop() says so; -1 when
 * it is lost for good: everything handed out before stays good. `out` is reused as by e3_video_image. */
int e3_live_next(e3_live *l, e3_image *out, e3_live_frame *frame, e3_err *err);
e3_live_counts e3_live_counted(e3_live *l);
/* Stops the thread. One that hangs in a device driver is left alone, with its memory: the process is expected to end.
 */
void e3_live_close(e3_live *l);

#endif
