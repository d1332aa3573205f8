/* video: live sources: opening, closing, and the reader's side, which takes the waiting frame and converts it to RGB.
 * The thread of capture.c owns the connection (v) and the clock. One frame, under a lock, is handed from it to the
 * reader. */
#include "video/live.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int start(e3_live *l, e3_err *err)
{
	return e3_thread_start(&l->thread, live_capture, l, err) ? e3_fail_in(err, "reading: %s", l->o.video.input) : 0;
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
	l->colour = video_colour_of(v);
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

/* A driver may block the thread for ever; then only the reader can find out. */
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
		live_wait(l, 0.1);
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

const e3_video_info *e3_live_describe(const e3_live *l) { return &l->info; }

/* With the lock held: 1 when a frame waits, 0 at the end, -1 when the source is lost. */
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
		live_wait(l, 0.1);
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
	enum { TIMEOUT = 2 }; /* s: FFmpeg asks ten times a second whether to give up */
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->quit, true);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (!e3_thread_join_within(&l->thread, TIMEOUT))
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
