/* video: live sources: the thread that captures, the frame that waits, and what happens when the source goes away.
 *
 * The thread owns the connection (v) and the clock; the reader owns the frame it took and its conversion to RGB; between them lies
 * one frame under a lock. Nothing grows while nobody reads.
 */
#include "e3/live.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "video/clock.h"
#include "video/internal.h"
#include "video/live.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	pthread_t thread;
	bool started;

	/* the thread's */
	e3_video *v;
	AVFrame *own; /* a frame between the decoder and the reader */
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

static bool stopped(const e3_live *l)
{
	return video_stopped(&l->o.video);
}

static bool is_paced(const e3_live *l)
{
	return l->o.kind == E3_INPUT_FILE || l->o.kind == E3_INPUT_DRAWN;
}

/* With the lock held: until something changed, a tenth of a second at most, so that a signal is seen. */
static void wait_a_little(e3_live *l, double seconds)
{
	struct timespec t;
	double most = seconds < 0.1 ? seconds : 0.1;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(1e9 * fmax(most, 0));
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&l->changed, &l->lock, &t);
}

static void tell(e3_live *l, const char *fmt, ...) E3_PRINTF(2, 3);
static void tell(e3_live *l, const char *fmt, ...)
{
	va_list args;
	pthread_mutex_lock(&l->lock);
	va_start(args, fmt);
	vsnprintf(l->news, sizeof l->news, fmt, args);
	va_end(args);
	e3_text_clean(l->news);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/* --- the thread --- */

/* Seconds by the source's own clock, on no known origin; NaN when the frame has no time. */
static double stamp_of(const e3_video *v)
{
	int64_t tick = v->frame->pts != AV_NOPTS_VALUE ? v->frame->pts : v->frame->best_effort_timestamp;
	return tick != AV_NOPTS_VALUE ? (double)tick * av_q2d(v->stream->time_base) : NAN;
}

/* Formats that are pictures one after another: FFmpeg counts 25 a second, whatever happens. */
static bool times_are_counted(const e3_video *v)
{
	const AVInputFormat *f = v->format->iformat;
	return (f->flags & (AVFMT_NOTIMESTAMPS | AVFMT_GENERIC_INDEX)) || strcmp(f->name, "image2pipe") == 0 ||
	       strcmp(f->name, "yuv4mpegpipe") == 0;
}

/* A file, or what FFmpeg draws, is there at once: its frames are held until a camera would have sent them. */
static void pace(e3_live *l, double stamp)
{
	if (!is_paced(l) || !isfinite(stamp))
		return;
	if (l->counts.seen == 0)
		l->first_stamp = stamp, l->first_at = e3_now();
	pthread_mutex_lock(&l->lock);
	for (double left; !stopped(l) && (left = l->first_at + stamp - l->first_stamp - e3_now()) > 0;)
		wait_a_little(l, left);
	pthread_mutex_unlock(&l->lock);
}

/* Connecting takes FFmpeg some time, and servers begin with the pictures since the last key frame: those come at once, are no longer
 * fresh, and would pass for taken on arrival. They are over when the stamps no longer run ahead of the clock. */
static void see_whether_caught_up(e3_live *l, double stamp, double now)
{
	bool timed = isfinite(stamp) && (l->o.kind == E3_INPUT_NETWORK || l->o.kind == E3_INPUT_URL || l->o.kind == E3_INPUT_PIPE);
	if (!timed || (isfinite(l->last_stamp) && now - l->last_at > 0.5 * (stamp - l->last_stamp)))
		l->catching_up = false;
	l->last_stamp = stamp, l->last_at = now;
}

/* A device's raw pictures lie in its driver's buffers, which are few and end with it: they are copied out. */
static int take_out(e3_live *l)
{
	AVFrame *f = l->v->frame, *own = l->own;
	if (l->o.kind != E3_INPUT_CAMERA) {
		av_frame_move_ref(own, f);
		return 0;
	}
	own->format = f->format, own->width = f->width, own->height = f->height;
	if (av_frame_get_buffer(own, 0) < 0 || av_frame_copy(own, f) < 0 || av_frame_copy_props(own, f) < 0) {
		av_frame_unref(own);
		return -1;
	}
	av_frame_unref(f);
	return 0;
}

/* Puts the frame where the reader finds it. */
static void publish(e3_live *l, const e3_live_frame *at)
{
	int orientation = video_settle_orientation(l->v);
	if (take_out(l)) {
		l->lost_frames++;
		return;
	}
	pthread_mutex_lock(&l->lock);
	while (l->o.every && l->full && !stopped(l))
		wait_a_little(l, 0.1);
	l->counts.skipped += l->full;
	av_frame_unref(l->waiting.frame);
	av_frame_move_ref(l->waiting.frame, l->own);
	l->waiting.at = *at, l->waiting.orientation = orientation;
	l->full = !l->catching_up;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/* One frame more has come: counted, dated, and shown if it is among those wanted. DONE: no other will be. */
static e3_sample take_in(e3_live *l, bool key)
{
	double stamp = stamp_of(l->v);
	pace(l, stamp);
	double now = e3_now();
	if (times_are_counted(l->v))
		stamp = NAN;
	if (l->catching_up)
		see_whether_caught_up(l, stamp, now);
	double taken = video_clock_taken(&l->clock, stamp, now, l->o.kind == E3_INPUT_CAMERA);
	if (!l->fresh)
		l->clock.origin = taken; /* time begins with the first frame that is fresh */
	l->fresh = l->fresh || !l->catching_up;
	e3_live_frame at = {.index = l->counts.seen, .pts = taken - l->clock.origin, .t_capture = taken + (e3_now_utc() - e3_now()), .key = key};
	e3_sample what = l->catching_up ? E3_SAMPLE_SKIP : e3_sampler_feed(&l->sampler, at.pts);
	pthread_mutex_lock(&l->lock);
	l->counts.seen++;
	l->last_came = now;
	l->away = false;
	pthread_mutex_unlock(&l->lock);
	if (l->lost_at > 0)
		tell(l, "%s: back after %.1f s", l->o.video.input, now - l->lost_at);
	l->lost_at = 0;
	if (what == E3_SAMPLE_KEEP || l->catching_up)
		publish(l, &at);
	return what;
}

/* Until the connection ends (0) or fails (-1); 1: nothing more is wanted. */
static int capture(e3_live *l, e3_err *err)
{
	e3_video_frame f;
	int64_t before = l->counts.errors - l->lost_frames;
	l->catching_up = true, l->last_stamp = NAN;
	while (!stopped(l)) {
		int got = e3_video_next(l->v, &f, err);
		pthread_mutex_lock(&l->lock);
		l->counts.errors = before + l->lost_frames + e3_video_errors(l->v);
		pthread_mutex_unlock(&l->lock);
		if (got <= 0)
			return stopped(l) ? 1 : got;
		if (take_in(l, f.key) == E3_SAMPLE_DONE)
			return 1;
	}
	return 1;
}

/* Before the next attempt to connect: 1, 2, 4 ... 30 s, but not beyond `until`. */
static void back_off(e3_live *l, double until)
{
	const double longest = 30;
	l->wait = l->wait > 0 ? fmin(2 * l->wait, longest) : 1;
	double next = fmin(e3_now() + l->wait, until);
	pthread_mutex_lock(&l->lock);
	while (!stopped(l) && e3_now() < next)
		wait_a_little(l, next - e3_now());
	pthread_mutex_unlock(&l->lock);
}

/* A connection made; NULL when `until` has come without one: then *err says what the last attempt met. */
static e3_video *connect_until(e3_live *l, double until, e3_err *err)
{
	for (;;) {
		e3_video_options o = l->o.video;
		double left = until - e3_now();
		if (left > 0 && o.timeout > left)
			o.timeout = left;
		pthread_mutex_lock(&l->lock);
		l->last_came = e3_now();
		l->away = false;
		pthread_mutex_unlock(&l->lock);
		e3_video *v = e3_video_open(&o, err);
		if (v)
			v->options.timeout = l->o.video.timeout;
		if (v || stopped(l) || e3_now() >= until)
			return v;
		pthread_mutex_lock(&l->lock);
		l->away = true;
		pthread_mutex_unlock(&l->lock);
		back_off(l, until);
	}
}

/* After the connection ended (rc 0) or failed: another one, or -1 with the reason. The time it may take counts from the last frame,
 * so that a source that answers and gives nothing is given up as well. */
static int come_back(e3_live *l, int rc, e3_err *err)
{
	e3_err why = *err;
	if (rc == 0)
		e3_fail(&why, "reading: %s: it ended", l->o.video.input);
	if (l->lost_at == 0) {
		l->lost_at = e3_now(), l->wait = 0;
		pthread_mutex_lock(&l->lock);
		l->away = true;
		l->counts.losses++;
		pthread_mutex_unlock(&l->lock);
		tell(l, "%s: connecting again, for %g s at most", why.text, l->o.reconnect);
	}
	e3_video_close(l->v);
	l->v = NULL;
	double until = l->lost_at + l->o.reconnect;
	back_off(l, until);
	if (!stopped(l) && e3_now() < until) {
		l->v = connect_until(l, until, &why);
		video_clock_renew(&l->clock);
	}
	if (l->v || stopped(l))
		return 0;
	return e3_fail(err, "%s: not back within %g s", why.text, l->o.reconnect);
}

/* The first connection; whoever opened the source waits for it. */
static int connect_first(e3_live *l, e3_err *err)
{
	l->v = connect_until(l, l->o.retry ? e3_now() + l->o.reconnect : 0, err);
	pthread_mutex_lock(&l->lock);
	if (l->v) {
		l->info = *e3_video_describe(l->v);
		l->state = LIVE_RUNS;
	}
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return l->v ? 0 : -1;
}

static void *run(void *arg)
{
	e3_live *l = arg;
	e3_err err = {""};
	int rc = connect_first(l, &err);
	while (!rc) {
		err = (e3_err){""};
		rc = capture(l, &err);
		if (rc > 0 || l->o.reconnect <= 0)
			break;
		if ((rc = come_back(l, rc, &err)) < 0 || stopped(l))
			break;
	}
	pthread_mutex_lock(&l->lock);
	if (l->catching_up && l->waiting.frame->width > 0)
		l->full = true; /* so short that it was over first */
	l->state = rc < 0 ? LIVE_LOST : LIVE_ENDED;
	l->err = err;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* --- the reader --- */

static int start(e3_live *l, e3_err *err)
{
	sigset_t all, before; /* signals are for the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	l->started = pthread_create(&l->thread, NULL, run, l) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return l->started ? 0 : e3_fail(err, "reading: %s: no thread to be had", l->o.video.input);
}

static int prepare(e3_live *l, e3_err *err)
{
	e3_video_options *v = &l->o.video;
	if (live_settings_make(&l->settings, &l->o, err))
		return e3_fail_in(err, "opening: %s", v->input);
	v->set = l->settings.list, v->n_set = l->settings.n;
	v->url = live_input_path(v->input);
	v->format = l->o.kind == E3_INPUT_CAMERA ? "v4l2" : l->o.kind == E3_INPUT_DRAWN ? "lavfi" : NULL;
	v->low_delay = true;
	v->quit = &l->quit;
	l->colour = (video_colour){.input = v->input, .matrix = v->matrix};
	l->waiting.frame = av_frame_alloc();
	l->taken.frame = av_frame_alloc();
	l->own = av_frame_alloc();
	if (!l->waiting.frame || !l->taken.frame || !l->own)
		return e3_fail(err, "opening: %s: out of memory", v->input);
	e3_sampler_init(&l->sampler, &l->o.sampling);
	return 0;
}

/* With the lock held. */
static void say_news(e3_live *l)
{
	char line[sizeof l->news];
	if (!l->news[0])
		return;
	memcpy(line, l->news, sizeof line);
	l->news[0] = 0;
	pthread_mutex_unlock(&l->lock);
	if (l->o.say)
		l->o.say(line);
	pthread_mutex_lock(&l->lock);
}

/* The driver of a device may keep the thread waiting for ever; then only the reader can tell. */
static bool device_hangs(const e3_live *l)
{
	double most = l->o.video.timeout;
	return l->o.kind == E3_INPUT_CAMERA && most > 0 && !l->away && e3_now() - fmax(l->last_came, l->asked) > most;
}

static int hangs(const e3_live *l, e3_err *err)
{
	return e3_fail(err, "reading: %s: nothing came for %.3g s", l->o.video.input, l->o.video.timeout);
}

static int await_connection(e3_live *l, e3_err *err)
{
	int rc = 0;
	pthread_mutex_lock(&l->lock);
	l->last_came = l->asked = e3_now();
	while (!rc && l->state == LIVE_CONNECTS) {
		wait_a_little(l, 0.1);
		say_news(l);
		if (l->o.video.stop && l->o.video.stop())
			rc = e3_fail(err, "reading: %s: interrupted", l->o.video.input);
		else if (device_hangs(l))
			rc = hangs(l, err);
	}
	if (!rc && l->state == LIVE_LOST) {
		*err = l->err;
		rc = -1;
	}
	pthread_mutex_unlock(&l->lock);
	return rc;
}

e3_live *e3_live_open(const e3_live_options *options, e3_err *err)
{
	pthread_condattr_t attr;
	e3_live *l = e3_alloc(1, sizeof *l, "a live source", err);
	if (!l)
		return NULL;
	l->o = *options;
	atomic_init(&l->quit, false);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	int rc = prepare(l, err);
	if (!rc)
		rc = start(l, err);
	if (!rc)
		rc = await_connection(l, err);
	if (rc) {
		e3_live_close(l);
		return NULL;
	}
	return l;
}

const e3_video_info *e3_live_describe(const e3_live *l)
{
	return &l->info;
}

/* With the lock held: 1 when a frame waits, 0 at the end, -1. */
static int await(e3_live *l, e3_err *err)
{
	l->asked = e3_now();
	for (;;) {
		say_news(l);
		if (l->o.video.stop && l->o.video.stop())
			return 0;
		if (l->full)
			return 1;
		if (l->state == LIVE_LOST)
			*err = l->err;
		if (l->state != LIVE_RUNS)
			return l->state == LIVE_LOST ? -1 : 0;
		if (device_hangs(l))
			return hangs(l, err);
		wait_a_little(l, 0.1);
	}
}

int e3_live_next(e3_live *l, e3_image *out, e3_live_frame *frame, e3_err *err)
{
	pthread_mutex_lock(&l->lock);
	int rc = await(l, err);
	if (rc > 0) {
		av_frame_unref(l->taken.frame);
		av_frame_move_ref(l->taken.frame, l->waiting.frame);
		l->taken.at = l->waiting.at, l->taken.orientation = l->waiting.orientation;
		l->full = false;
		pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->lock);
	if (rc <= 0)
		return rc;
	*frame = l->taken.at;
	return video_colour_image(&l->colour, l->taken.frame, l->taken.orientation, out, &frame->rot, err) ? -1 : 1;
}

e3_live_counts e3_live_counted(e3_live *l)
{
	pthread_mutex_lock(&l->lock);
	e3_live_counts counts = l->counts;
	pthread_mutex_unlock(&l->lock);
	return counts;
}

void e3_live_close(e3_live *l)
{
	enum { PATIENCE = 2 }; /* s: FFmpeg asks ten times a second whether to give up */
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->quit, true);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	if (l->started && pthread_timedjoin_np(l->thread, NULL, &until))
		return;
	e3_video_close(l->v);
	av_frame_free(&l->waiting.frame);
	av_frame_free(&l->taken.frame);
	av_frame_free(&l->own);
	video_colour_release(&l->colour);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
