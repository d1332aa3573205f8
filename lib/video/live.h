/* video: private to the live sources: source.c (what an input is), capture.c (the thread), live.c (the reader). */
#ifndef E3_VIDEO_LIVE_H
#define E3_VIDEO_LIVE_H

#include "e3/live.h"
#include "e3/thread.h"
#include "video/clock.h"
#include "video/internal.h"

enum { LIVE_MAX_SETTINGS = 64 };

/* Settings for FFmpeg: ours first, then the user's, whose texts are borrowed. */
typedef struct live_settings {
	char text[4][256];
	const char *list[LIVE_MAX_SETTINGS];
	int n;
} live_settings;

int live_settings_make(live_settings *s, const e3_live_options *o, e3_err *err);
/* The input without the prefix that states its kind; points into it. */
const char *live_input_path(const char *input);

typedef enum live_state { LIVE_CONNECTS, LIVE_RUNS, LIVE_ENDED, LIVE_LOST } live_state;

/* A decoded frame. */
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

	/* used by the thread only */
	e3_video *v;
	AVFrame *own;        /* on its way from the decoder to the reader */
	int64_t lost_frames; /* because memory ran out */
	video_clock clock;
	e3_sampler sampler;
	double first_stamp, first_at; /* pacing: time stamp of the first frame, and when it came */
	double last_stamp, last_at;   /* the same of the previous frame of this connection; NaN: there is none */
	bool catching_up;             /* frames from before the connection are still being decoded */
	bool fresh;                   /* a frame has come since then */
	double lost_at, wait;         /* when the source was lost, 0: it is not; seconds before the next attempt */

	/* used by the reader only */
	live_shot taken;
	video_colour colour;
	double asked; /* when it began to wait */

	/* used by both, under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	live_shot waiting;
	bool full, away;
	live_state state;
	e3_err err;
	e3_live_counts counts;
	double last_came;
	char news[512]; /* for the reader to pass to say(); empty: nothing */
};

/* capture.c */
/* With the lock held: waits until something changes, for a tenth of a second at most, so that signals are noticed. */
void live_wait(e3_live *l, double seconds);
/* The thread: connects and decodes until the source ends, is lost, or `quit` is set. */
void *live_capture(void *live);

#endif
