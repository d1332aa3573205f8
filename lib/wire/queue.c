/* wire: messages that wait for a slow reader. Owns their copies, their thread, and what is dropped. */
#include "queue.h"
#include "e3/num.h"
#include "e3/thread.h"
#include "fd.h"
#include "kinds.h"
#include "rewrite.h"
#include "settings.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct item {
	struct item *next;
	int kind;
	int64_t i;
	size_t len;
	uint8_t bytes[];
} item;

struct e3_queue {
	e3_writer *writer;
	e3_drop drop;
	e3_queue_limit limit;
	e3_thread thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	item *first, **last;
	int64_t messages;
	size_t bytes;
	int64_t frames, preds; /* sent or waiting */
	int64_t sending;       /* index of the frame of which a part was sent; -1 */
	int64_t last_dropped;  /* index; -1 */
	int64_t dropped;
	double last_sent; /* e3_now() */
	bool busy, quit, failed;
	atomic_bool give_up;
	e3_err err;
};

/* Of the frames that may be dropped. */
static bool droppable(int kind)
{
	const e3_kind_rule *rule = e3_kind_rule_of(kind);
	return rule->place == E3_PLACE_BETWEEN && !rule->kept;
}

static item *pop(e3_queue *q)
{
	item *x = q->first;
	q->first = x->next;
	if (!q->first)
		q->last = &q->first;
	q->messages--, q->bytes -= x->len;
	if (droppable(x->kind))
		q->sending = x->i;
	return x;
}

static void clear(e3_queue *q)
{
	while (q->first)
		free(pop(q));
}

/* With the lock held, where frames are dropped: waits until the pipe is empty. What waits here can still be replaced by
 * newer frames, what is in the pipe cannot. */
static void await_reader(e3_queue *q)
{
	enum { MS = 2 };
	while (q->drop && !q->quit && q->first && droppable(q->first->kind) && e3_writer_unread(q->writer)) {
		pthread_mutex_unlock(&q->lock);
		(void)poll(NULL, 0, MS);
		pthread_mutex_lock(&q->lock);
	}
}

static void *run(void *arg)
{
	e3_queue *q = arg;
	pthread_mutex_lock(&q->lock);
	for (;;) {
		while (!q->first && !q->quit)
			pthread_cond_wait(&q->changed, &q->lock);
		await_reader(q);
		if (!q->first)
			break;
		item *x = pop(q);
		q->busy = true;
		pthread_cond_broadcast(&q->changed);
		pthread_mutex_unlock(&q->lock);
		e3_err err = {""};
		int rc = e3_writer_send(q->writer, &(struct iovec){x->bytes, x->len}, 1, &err);
		free(x);
		pthread_mutex_lock(&q->lock);
		q->busy = false;
		q->last_sent = e3_now();
		if (rc) {
			q->failed = true, q->err = err;
			clear(q);
		}
		pthread_cond_broadcast(&q->changed);
		if (rc)
			break;
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

e3_queue *e3_queue_open(e3_writer *writer, e3_err *err)
{
	e3_queue *q = calloc(1, sizeof *q);
	if (!q) {
		e3_fail(err, "opening: %s: out of memory", writer->name);
		return NULL;
	}
	*q = (e3_queue){.writer = writer,
		.drop = (e3_drop)writer->o.drop,
		.limit = e3_queue_of(&writer->o, true),
		.last = &q->first,
		.sending = -1,
		.last_dropped = -1,
		.last_sent = e3_now()};
	pthread_condattr_t clock;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, &clock);
	pthread_condattr_destroy(&clock);
	e3_writer_give_up_on(writer, &q->give_up);
	if (e3_thread_start(&q->thread, run, q, err) == 0)
		return q;
	free(q);
	e3_fail_in(err, "opening: %s", writer->name);
	return NULL;
}

/* Removes all waiting messages of frame i from the queue. */
static void remove_frame(e3_queue *q, int64_t i)
{
	q->last = &q->first;
	while (*q->last) {
		item *x = *q->last;
		if (!droppable(x->kind) || x->i != i) {
			q->last = &x->next;
			continue;
		}
		*q->last = x->next;
		q->messages--, q->bytes -= x->len;
		q->frames -= x->kind == E3_FRAME, q->preds -= x->kind == E3_PRED;
		free(x);
	}
}

/* Later messages of a dropped frame are not sent either. */
static void drop_frame(e3_queue *q, int64_t i)
{
	remove_frame(q, i);
	if (q->dropped++ == 0)
		e3_tell(E3_TELL_NOTE, "writing: %s: the reader is slower than the stream: dropping the %s frames",
			q->writer->name, q->drop == E3_DROP_OLDEST ? "oldest" : "newest");
	q->last_dropped = i;
}

/* The oldest frame of which nothing was sent yet; -1: none waits. */
static int64_t oldest(const e3_queue *q)
{
	for (const item *x = q->first; x; x = x->next)
		if (droppable(x->kind) && x->i != q->sending)
			return x->i;
	return -1;
}

static bool has_room(const e3_queue *q, size_t len)
{
	return q->messages == 0 || (q->messages < q->limit.messages && q->bytes + len <= (size_t)q->limit.bytes);
}

/* Makes room for a message: 1 it may go in, 0 it is dropped itself, -1 the writer has failed. With dropping nothing
 * ever waits: the rest of a frame that is on its way or, the oldest being dropped, of the newest, and head and end, go
 * in beyond the limit. */
static int make_room(e3_queue *q, const e3_msg *msg, int64_t i)
{
	bool own = droppable(msg->kind);
	while (!q->failed && !has_room(q, msg->len)) {
		if (q->drop == E3_DROP_NONE) {
			pthread_cond_wait(&q->changed, &q->lock);
			continue;
		}
		if (!own)
			return 1; /* an end must not replace the last frame */
		if (i == q->last_dropped)
			return 0;
		int64_t victim = q->drop == E3_DROP_OLDEST ? oldest(q) : i != q->sending ? i : -1;
		if (victim < 0 || (victim == i && q->drop == E3_DROP_OLDEST))
			return 1; /* nothing older waits: the newest frame stays complete */
		drop_frame(q, victim);
	}
	return q->failed ? -1 : !(own && i == q->last_dropped);
}

/* Head and end with the counts of this reader: *out is msg, or a new message that the caller frees. */
static int adapt(const e3_queue *q, const e3_msg *msg, e3_msg *out, e3_err *err)
{
	*out = *msg;
	if (q->drop == E3_DROP_NONE || (msg->kind != E3_HEAD && msg->kind != E3_END))
		return 0;
	int64_t frames = msg->kind == E3_HEAD ? -1 : q->frames > q->preds ? q->frames : q->preds;
	return e3_msg_with_frames(msg, frames, out, err);
}

static int append(e3_queue *q, const e3_msg *msg, int64_t i, e3_err *err)
{
	e3_msg m;
	if (adapt(q, msg, &m, err))
		return -1;
	item *x = malloc(sizeof *x + m.len);
	if (x) {
		*x = (item){.kind = m.kind, .i = i, .len = m.len};
		memcpy(x->bytes, m.bytes, m.len);
		*q->last = x, q->last = &x->next;
		q->messages++, q->bytes += m.len;
		q->frames += m.kind == E3_FRAME, q->preds += m.kind == E3_PRED;
		pthread_cond_broadcast(&q->changed);
	}
	if (m.bytes != msg->bytes)
		free(m.bytes);
	return x ? 0 : e3_fail(err, "out of memory");
}

int e3_queue_put(e3_queue *q, const e3_msg *msg, e3_err *err)
{
	int64_t i = droppable(msg->kind) ? e3_msg_index(msg) : -1;
	pthread_mutex_lock(&q->lock);
	int rc = make_room(q, msg, i);
	if (rc > 0)
		rc = append(q, msg, i, err) ? e3_fail_in(err, "writing: %s", q->writer->name) : 0;
	else if (rc < 0 && err)
		*err = q->err;
	pthread_mutex_unlock(&q->lock);
	return rc;
}

int64_t e3_queue_dropped(e3_queue *q)
{
	pthread_mutex_lock(&q->lock);
	int64_t n = q->dropped;
	pthread_mutex_unlock(&q->lock);
	return n;
}

/* Waits until the thread has sent everything, or its reader has accepted nothing for too long. */
static void drain(e3_queue *q)
{
	double timeout = e3_peer_timeout(&q->writer->o);
	q->last_sent = e3_now();
	while ((q->first || q->busy) && !q->failed) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += E3_WAIT_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L, until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&q->changed, &q->lock, &until);
		if (timeout > 0 && e3_now() - q->last_sent > timeout)
			atomic_store(&q->give_up, true);
	}
}

int e3_queue_finish(e3_queue *q, bool hurry, e3_err *err)
{
	pthread_mutex_lock(&q->lock);
	for (int64_t i; hurry && (i = oldest(q)) >= 0;)
		remove_frame(q, i);
	drain(q);
	q->quit = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	e3_thread_join(&q->thread);
	int rc = q->failed ? -1 : 0;
	if (rc && err)
		*err = q->err;
	clear(q);
	e3_writer_give_up_on(q->writer, NULL);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
	return rc;
}
