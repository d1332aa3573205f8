/* e3-infer: --streams: memory for one more session. Sessions are opened one after the other, and a stream keeps its
 * turn until its first frame is computed (of frames that begin together: until it is open). So a stream that finds too
 * little memory knows whether other streams hold it. If they do, it waits until one of them has ended. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/tool.h"
#include <time.h>

void infer_slots_init(infer_slots *s)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
}

static void wait_a_little(infer_slots *s)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200000000;
	until.tv_sec += until.tv_nsec / 1000000000, until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

void infer_slot_take(infer *f)
{
	infer_slots *s = f->slots;
	if (!s || f->slot.turn)
		return;
	e3_batch_rest(f->r.o.batch);
	pthread_mutex_lock(&s->lock);
	int64_t ticket = s->tickets++;
	while (s->served != ticket)
		pthread_cond_wait(&s->changed, &s->lock);
	f->slot.turn = true;
	while (f->slot.single && s->open > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	f->slot.alone = s->open == 0, f->slot.ended = s->ended;
	pthread_mutex_unlock(&s->lock);
	e3_batch_wake(f->r.o.batch);
}

void infer_slot_hold(infer *f)
{
	if (!f->slots)
		return;
	pthread_mutex_lock(&f->slots->lock);
	f->slots->open++;
	f->slot.held = true;
	pthread_mutex_unlock(&f->slots->lock);
}

void infer_slot_pass(infer *f)
{
	infer_slots *s = f->slots;
	if (!s || !f->slot.turn || (f->slot.single && f->slot.held))
		return;
	pthread_mutex_lock(&s->lock);
	f->slot.turn = false;
	s->served++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void infer_slot_leave(infer *f)
{
	infer_slots *s = f->slots;
	if (!s || !f->slot.held)
		return;
	pthread_mutex_lock(&s->lock);
	f->slot.held = false;
	s->open--;
	if (!f->slot.turn || f->slot.single) /* else it was never at work */
		s->ended++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (f->slot.single)
		infer_slot_pass(f);
}

/* What a set works in is for the frames of several streams: one for itself takes less. Nobody else opens a session
 * meanwhile, so the device is its own. */
static void leave_set(infer *f, const e3_err *why)
{
	e3_note("%s: this stream is computed for itself, and the others after it", why->text);
	e3_batch_rest(f->r.o.batch);
	f->r.o.batch = NULL;
	f->slot.single = true;
}

int infer_slot_wait(infer *f, e3_err *err)
{
	infer_slots *s = f->slots;
	if (!s || !e3_no_memory(err) || e3_stop_signal())
		return -1;
	if (f->slot.alone && f->r.o.batch) {
		leave_set(f, err);
		return 0;
	}
	if (f->slot.alone) {
		const e3_err why = *err;
		return e3_fail(err, "%s: too little for this stream, also without the others (--plan says what it takes)",
			why.text);
	}
	if (!f->slot.told)
		e3_note("%s: this stream waits until another one has ended", err->text);
	f->slot.told = true;
	infer_slot_pass(f);
	e3_batch_rest(f->r.o.batch);
	pthread_mutex_lock(&s->lock);
	while (s->ended == f->slot.ended && s->open > 0 && !e3_stop_signal())
		wait_a_little(s);
	pthread_mutex_unlock(&s->lock);
	e3_batch_wake(f->r.o.batch);
	if (e3_stop_signal())
		return -1;
	infer_slot_take(f);
	return 0;
}
