/* video: the capturing thread of a live source: it connects, decodes, dates the frames, and hands over the newest.
 *
 * Memory does not grow while the reader takes nothing. A lost connection is made again for as long as the options say.
 */
#include "video/live.h"
#include "e3/num.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void live_wait(e3_live *l, double seconds)
{
	struct timespec t;
	double most = seconds < 0.1 ? seconds : 0.1;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(1e9 * fmax(most, 0));
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&l->changed, &l->lock, &t);
}

static bool stopped(const e3_live *l) { return video_stopped(&l->o.video); }

/* Whether it is a file on a server, which ends; a camera that ends is lost. */
static bool has_length(const e3_live *l)
{
	AVIOContext *io = l->v->format->pb;
	return l->o.kind == E3_INPUT_URL && io && avio_size(io) > 0;
}

static bool is_paced(const e3_live *l)
{
	return l->o.kind == E3_INPUT_FILE || l->o.kind == E3_INPUT_DRAWN || has_length(l);
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

/* Seconds by the source's own clock, from an unknown origin; NaN when the frame has no time stamp. */
static double stamp_of(const e3_video *v)
{
	int64_t tick = v->frame->pts != AV_NOPTS_VALUE ? v->frame->pts : v->frame->best_effort_timestamp;
	return tick != AV_NOPTS_VALUE ? (double)tick * av_q2d(v->stream->time_base) : NAN;
}

/* In formats that are pictures one after another FFmpeg counts 25 frames a second, which says nothing about time. */
static bool times_are_counted(const e3_video *v)
{
	const AVInputFormat *f = v->format->iformat;
	return (f->flags & (AVFMT_NOTIMESTAMPS | AVFMT_GENERIC_INDEX)) || strcmp(f->name, "image2pipe") == 0 ||
		strcmp(f->name, "yuv4mpegpipe") == 0;
}

/* Frames of a file, or that FFmpeg draws, are available at once: each is held until a camera would have sent it. */
static void pace(e3_live *l, double stamp)
{
	if (!is_paced(l) || !isfinite(stamp))
		return;
	if (l->counts.seen == 0)
		l->first_stamp = stamp, l->first_at = e3_now();
	pthread_mutex_lock(&l->lock);
	for (double left; !stopped(l) && (left = l->first_at + stamp - l->first_stamp - e3_now()) > 0;)
		live_wait(l, left);
	pthread_mutex_unlock(&l->lock);
}

/* Connecting takes FFmpeg some time, and servers begin with the frames since the last key frame. These old frames come
 * all at once and would be dated as taken on arrival. They are over when the time stamps no longer advance faster than
 * the clock. */
static void check_caught_up(e3_live *l, double stamp, double now)
{
	bool timed =
		isfinite(stamp) && (l->o.kind == E3_INPUT_NETWORK || l->o.kind == E3_INPUT_URL || l->o.kind == E3_INPUT_PIPE);
	if (!timed || is_paced(l) || (isfinite(l->last_stamp) && now - l->last_at > 0.5 * (stamp - l->last_stamp)))
		l->catching_up = false;
	l->last_stamp = stamp, l->last_at = now;
}

/* A camera's raw pictures lie in the few buffers of its driver: they are copied, so that the buffers become free. */
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

/* Hands the frame over to the reader, in place of one that it has not taken. */
static void publish(e3_live *l, const e3_live_frame *at)
{
	int orientation = video_settle_orientation(l->v);
	if (take_out(l)) {
		l->lost_frames++;
		return;
	}
	pthread_mutex_lock(&l->lock);
	while (l->o.every && l->full && !stopped(l))
		live_wait(l, 0.1);
	l->counts.skipped += l->full;
	av_frame_unref(l->waiting.frame);
	av_frame_move_ref(l->waiting.frame, l->own);
	l->waiting.at = *at, l->waiting.orientation = orientation;
	l->full = !l->catching_up;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/* Counts and dates the frame that was decoded, and publishes it if the sampling keeps it. DONE: it keeps no other. */
static e3_sample take_in(e3_live *l, bool key)
{
	double stamp = stamp_of(l->v);
	pace(l, stamp);
	double now = e3_now();
	if (times_are_counted(l->v))
		stamp = NAN;
	if (l->catching_up)
		check_caught_up(l, stamp, now);
	double taken = video_clock_taken(&l->clock, stamp, now, l->o.kind == E3_INPUT_CAMERA);
	if (!l->fresh)
		l->clock.origin = taken; /* time begins with the first fresh frame */
	l->fresh = l->fresh || !l->catching_up;
	e3_live_frame at = {.index = l->counts.seen,
		.pts = taken - l->clock.origin,
		.t_capture = taken + (e3_now_utc() - e3_now()),
		.key = key};
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

/* Captures until the connection ends (0), it fails (-1), or no more frames are wanted (1). */
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

/* Waits before the next attempt to connect: 1, 2, 4 ... 30 s, but not beyond `until`. */
static void back_off(e3_live *l, double until)
{
	const double longest = 30;
	l->wait = l->wait > 0 ? fmin(2 * l->wait, longest) : 1;
	double next = fmin(e3_now() + l->wait, until);
	pthread_mutex_lock(&l->lock);
	while (!stopped(l) && e3_now() < next)
		live_wait(l, next - e3_now());
	pthread_mutex_unlock(&l->lock);
}

/* Connects; NULL when `until` passes without success: then *err says why the last attempt failed. */
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

/* Connects again after the connection ended (rc 0) or failed; -1 when that takes too long. The time counts from the
 * last frame, so that a source which answers but sends nothing is given up as well. */
static int reconnect(e3_live *l, int rc, e3_err *err)
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

/* The first connection, for which e3_live_open waits. */
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

void *live_capture(void *arg)
{
	e3_live *l = arg;
	e3_err err = {""};
	int rc = connect_first(l, &err);
	while (!rc) {
		err = (e3_err){""};
		rc = capture(l, &err);
		if (rc > 0 || l->o.reconnect <= 0 || (rc == 0 && has_length(l)))
			break;
		if ((rc = reconnect(l, rc, &err)) < 0 || stopped(l))
			break;
	}
	pthread_mutex_lock(&l->lock);
	if (l->catching_up && l->waiting.frame->width > 0)
		l->full = true; /* the source ended before it was known to be fresh */
	l->state = rc < 0 ? LIVE_LOST : LIVE_ENDED;
	l->err = err;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}
