/* video: private to the live sources: source.c (what an input is), capture.c (the thread), live.c (the reader). */
#ifndef E3_VIDEO_LIVE_H
#define E3_VIDEO_LIVE_H

#include "e3/live.h"
#include "e3/thread.h"
#include "video/clock.h"
#include "video/internal.h"

enum { LIVE_MAX_SETTINGS = 64 };

/* What FFmpeg is told: ours first, then the user's, whose texts are borrowed. */
typedef struct live_settings {
	char text[4][256];
	const char *list[LIVE_MAX_SETTINGS];
	int n;
} live_settings;

int live_settings_make(live_settings *s, const e3_live_options *o, e3_err *err);
/* The input without the prefix that tells its kind; points into it. */
const char *live_input_path(const char *input);

typedef enum live_state { LIVE_CONNECTS, LIVE_RUNS, LIVE_ENDED, LIVE_LOST } live_state;

/* A decoded frame and what is known of it. */
typedef struct live_shot {
	AVFrame *frame;
	e3_live_frame at;
	int orientation;
} live_shot;

struct e3_live {
	e3_live_options o;
	live_settings settings;
	e3_video_info info;
	atomic_bool quit;
	e3_thread thread;

	/* the thread's */
	e3_video *v;
	AVFrame *own;        /* a frame between the decoder and the reader */
	int64_t lost_frames; /* for want of memory */
	video_clock clock;
	e3_sampler sampler;
	double first_stamp, first_at; /* pacing: the first frame's time stamp, and when it came */
	double last_stamp, last_at;   /* of the frame before, on this connection; NaN at its start */
	bool catching_up;             /* what came while FFmpeg connected is still being decoded */
	bool fresh;                   /* a frame has come since */
	double lost_at, wait;         /* when the source went away, 0 while it is there; before the next attempt */

	/* the reader's */
	live_shot taken;
	video_colour colour;
	double asked; /* when it began to wait, or the device last gave something */

	/* both: under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	live_shot waiting;
	bool full, away;
	live_state state;
	e3_err err;
	e3_live_counts counts;
	double last_came;
	char news[512]; /* what the reader is to say */
};

/* live.c */
/* With the lock held: until something changed, a tenth of a second at most, so that a signal is seen. */
void live_wait(e3_live *l, double seconds);
/* capture.c: the thread: connects, decodes until there is no more or quit is set, leaves the state behind. */
void *live_capture(void *live);

#endif
