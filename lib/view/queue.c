/* view: the queue between the stage that reads a stream and the store. */
#include "e3/view_queue.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <stdlib.h>
#include <string.h>

static const int64_t BYTES = 64 << 20;
enum { HARD = 4 };

typedef struct item {
	struct item *next;
	e3_msg msg; /* bytes: those after the struct */
} item;

struct e3_view_queue {
	e3_view_store *view;
	int run;
	int64_t limit;
	void (*fed)(void *context);
	void *context;
	e3_thread thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	item *first, **end; /* what waits */
	int64_t bytes;      /* of it, and of the one that is being fed */
	bool done, abandoned;
	bool refused; /* the store did, for this reason, which nobody has heard yet */
	e3_err why;
};

/* A page shows nothing of these. */
static bool of_use(int kind)
{
	return kind != E3_FRAME && kind != E3_ATTN && kind != E3_TRUTH && kind != E3_MASK && kind != E3_EDGE;
}

static item *take(e3_view_queue *q)
{
	pthread_mutex_lock(&q->lock);
	while (!q->first && !q->done && !q->abandoned)
		pthread_cond_wait(&q->changed, &q->lock);
	item *x = q->abandoned ? NULL : q->first;
	if (x) {
		q->first = x->next;
		q->end = q->first ? q->end : &q->first;
	}
	pthread_mutex_unlock(&q->lock);
	return x;
}

static void settle(e3_view_queue *q, const item *x, int rc, const e3_err *err)
{
	pthread_mutex_lock(&q->lock);
	q->bytes -= (int64_t)x->msg.len;
	if (rc && !q->refused) {
		q->refused = true;
		q->why = *err;
	}
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void *feed(void *arg)
{
	e3_view_queue *q = arg;
	item *x;
	while ((x = take(q))) {
		e3_err err = {""};
		settle(q, x, e3_view_feed(q->view, q->run, &x->msg, &err), &err);
		free(x);
		q->fed(q->context);
	}
	return NULL;
}

e3_view_queue *e3_view_queue_open(e3_view_store *v, int run, int64_t bytes, void (*fed)(void *context), void *context,
	e3_err *err)
{
	e3_view_queue *q = e3_alloc(1, sizeof *q, "the queue of the page", err);
	if (!q)
		return NULL;
	q->view = v, q->run = run, q->limit = bytes ? bytes : BYTES, q->fed = fed, q->context = context;
	q->end = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	if (e3_thread_start(&q->thread, feed, q, err)) {
		e3_view_queue_close(q);
		return NULL;
	}
	return q;
}

static item *copy_of(const e3_msg *msg, e3_err *err)
{
	item *x = e3_alloc(1, sizeof *x + msg->len, "a message for the page", err);
	if (!x)
		return NULL;
	x->msg = (e3_msg){msg->kind, (uint8_t *)(x + 1), msg->len};
	memcpy(x->msg.bytes, msg->bytes, msg->len);
	return x;
}

static bool is_long(e3_view_queue *q, size_t more)
{
	pthread_mutex_lock(&q->lock);
	bool is = q->bytes > 0 && q->bytes + (int64_t)more > q->limit;
	pthread_mutex_unlock(&q->lock);
	return is;
}

/* The copy that goes into the queue. */
static item *parcel(e3_view_queue *q, const e3_msg *msg, e3_err *err)
{
	e3_buf light = {0};
	if (msg->kind != E3_PRED || !is_long(q, msg->len))
		return copy_of(msg, err);
	int less = e3_view_lighten(msg, &light, err);
	item *x = less < 0 ? NULL
		: less > 0     ? copy_of(&(e3_msg){msg->kind, (uint8_t *)light.data, light.len}, err)
					   : copy_of(msg, err);
	e3_buf_release(&light);
	return x;
}

/* With the lock. */
static int say_refused(e3_view_queue *q, e3_err *err)
{
	if (!q->refused)
		return 0;
	q->refused = false;
	if (err)
		*err = q->why;
	return -1;
}

int e3_view_queue_put(e3_view_queue *q, const e3_msg *msg, e3_err *err)
{
	if (!of_use(msg->kind))
		return 0;
	item *x = parcel(q, msg, err);
	if (!x)
		return -1;
	pthread_mutex_lock(&q->lock);
	while (q->bytes > HARD * q->limit)
		pthread_cond_wait(&q->changed, &q->lock);
	*q->end = x;
	q->end = &x->next;
	q->bytes += (int64_t)x->msg.len;
	pthread_cond_broadcast(&q->changed);
	int rc = say_refused(q, err);
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int e3_view_queue_finish(e3_view_queue *q, const char *failed, e3_err *err)
{
	pthread_mutex_lock(&q->lock);
	q->done = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	e3_thread_join(&q->thread);
	e3_view_ended(q->view, q->run, failed);
	q->fed(q->context);
	return say_refused(q, err);
}

void e3_view_queue_close(e3_view_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->abandoned = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	e3_thread_join(&q->thread);
	while (q->first) {
		item *x = q->first;
		q->first = x->next;
		free(x);
	}
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
}
