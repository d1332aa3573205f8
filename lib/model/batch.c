/* model: several streams on one device (e3/infer.h). Owns whose turn it is: the frames that are there are one batch,
 * which the thread of one of them computes; nobody waits for a stream that has none. */
#include "e3/mem.h"
#include "together.h"
#include <pthread.h>
#include <stdlib.h>

struct e3_batch {
	int streams;
	bool force;             /* as rows of one matrix, also where that changes their bits */
	pthread_mutex_t device; /* held while the device is used */
	pthread_mutex_t lock;   /* guards what follows */
	pthread_cond_t changed;
	e3_turn *first, **last; /* the queue */
	int waiting, busy;      /* turns in it; streams that are about to come with one */
	bool leading;           /* a batch is being computed */
	e3_work **work;
	int works;
	int64_t batches, turns;
};

e3_batch *e3_batch_open(int streams, e3_err *err)
{
	e3_batch *b = e3_alloc(1, sizeof *b, "batch", err);
	if (!b)
		return NULL;
	b->streams = streams;
	b->last = &b->first;
	pthread_mutexattr_t again; /* what holds the device may call what asks for it */
	pthread_mutexattr_init(&again);
	pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&b->device, &again);
	pthread_mutexattr_destroy(&again);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	return b;
}

void e3_batch_close(e3_batch *b)
{
	if (!b)
		return;
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->device);
	free(b->work), free(b);
}

int e3_batch_streams(const e3_batch *b) { return b->streams; }
int e3_batch_lanes(const e3_batch *b) { return b->streams < E3_LANES ? b->streams : E3_LANES; }
void e3_batch_force(e3_batch *b) { b->force = true; }
double e3_batch_mean(const e3_batch *b) { return b->batches ? (double)b->turns / (double)b->batches : 0; }

void e3_batch_lock(e3_batch *b)
{
	if (b)
		pthread_mutex_lock(&b->device);
}

void e3_batch_unlock(e3_batch *b)
{
	if (b)
		pthread_mutex_unlock(&b->device);
}

void e3_batch_wake(e3_batch *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->busy++;
	pthread_mutex_unlock(&b->lock);
}

void e3_batch_rest(e3_batch *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->busy--;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

/* ---- shared memory, while the device is held ---- */

e3_work *e3_batch_work(const e3_batch *b, const e3_session *s)
{
	for (int k = 0; k < b->works; k++)
		if (b->work[k]->h == s->h && b->work[k]->w == s->w)
			return b->work[k];
	return NULL;
}

int e3_batch_add_work(e3_batch *b, e3_work *w, e3_err *err)
{
	if (e3_grow((void **)&b->work, (size_t)b->works + 1, sizeof *b->work, "batch", err))
		return -1;
	b->work[b->works++] = w;
	return 0;
}

void e3_batch_drop_work(e3_batch *b, const e3_work *w)
{
	for (int k = 0; k < b->works; k++)
		if (b->work[k] == w)
			b->work[k] = b->work[--b->works];
}

/* ---- turns ---- */

/* How many go together: of the same picture size as the first in the queue, as many as there are lanes. */
static int take(e3_batch *b, e3_turn **to)
{
	const e3_session *s = b->first->s;
	int n = 0, most = s->dev->apart && !b->force ? 1 : s->work->lanes;
	for (e3_turn **at = &b->first; *at && n < most;)
		if ((*at)->s->work == s->work) {
			to[n++] = *at;
			*at = (*at)->next;
		} else {
			at = &(*at)->next;
		}
	for (b->last = &b->first; *b->last; b->last = &(*b->last)->next)
		;
	b->waiting -= n;
	return n;
}

/* Everybody who has a frame is there; or as many as go together. */
static bool complete(const e3_batch *b)
{
	const e3_session *s = b->first ? b->first->s : NULL;
	int n = 0;
	if (!s)
		return false;
	for (const e3_turn *t = b->first; t; t = t->next)
		n += t->s->work == s->work;
	return !b->busy || n >= (s->dev->apart && !b->force ? 1 : s->work->lanes);
}

/* With the lock, which is given back meanwhile. */
static void lead(e3_batch *b)
{
	e3_turn *turn[E3_LANES];
	int n = take(b, turn);
	b->leading = true;
	pthread_mutex_unlock(&b->lock);
	pthread_mutex_lock(&b->device);
	e3_turns_take(turn, n);
	pthread_mutex_unlock(&b->device);
	pthread_mutex_lock(&b->lock);
	for (int k = 0; k < n; k++)
		turn[k]->done = true;
	b->leading = false;
	b->batches++, b->turns += n;
	b->busy += n; /* they have a frame to deliver, and perhaps the next one at once */
	pthread_cond_broadcast(&b->changed);
}

int e3_batch_step(e3_batch *b, e3_turn *mine)
{
	pthread_mutex_lock(&b->lock);
	*b->last = mine, b->last = &mine->next;
	b->waiting++, b->busy--;
	pthread_cond_broadcast(&b->changed);
	while (!mine->done)
		if (!b->leading && complete(b))
			lead(b);
		else
			pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
	return mine->rc;
}
