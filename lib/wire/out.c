/* wire: writing a stream. Owns the packing buffers, the order, and the list of open outputs; refuses messages out of
 * order. */
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/stream.h"
#include "encode.h"
#include "endpoint.h"
#include "order.h"
#include "queue.h"
#include "rewrite.h"
#include "settings.h"
#include "sink.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct e3_out {
	e3_sink sink;
	e3_queue *queue; /* between this and the sink; or NULL */
	bool copy;
	int64_t dropped; /* by a queue that is gone */
	e3_buf whole;    /* a message in one piece, for the queue */
	e3_pack pack;
	e3_halves halves;
	e3_order order;
	e3_out *next; /* in the list of outputs whose reader is watched */
};

static e3_out *watched;
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;

static void watch(e3_out *out)
{
	pthread_mutex_lock(&watch_lock);
	out->next = watched, watched = out;
	pthread_mutex_unlock(&watch_lock);
}

static void unwatch(e3_out *out)
{
	pthread_mutex_lock(&watch_lock);
	for (e3_out **at = &watched; *at; at = &(*at)->next)
		if (*at == out) {
			*at = out->next;
			break;
		}
	pthread_mutex_unlock(&watch_lock);
}

/* As a write would: quietly, unless the process wants to know. */
static void end_by_pipe(const e3_out *out)
{
	struct sigaction now;
	if (out->sink.reader_gone && !out->copy && !sigaction(SIGPIPE, NULL, &now) && now.sa_handler != SIG_IGN)
		kill(getpid(), SIGPIPE);
}

int e3_out_lost(e3_err *err)
{
	int rc = 0;
	pthread_mutex_lock(&watch_lock);
	for (e3_out *out = watched; out && !rc; out = out->next) {
		rc = e3_sink_lost(&out->sink, err);
		if (rc)
			end_by_pipe(out);
	}
	pthread_mutex_unlock(&watch_lock);
	return rc;
}

static void out_free(e3_out *out)
{
	unwatch(out);
	e3_sink_release(&out->sink);
	e3_pack_release(&out->pack);
	e3_buf_release(&out->whole);
	free(out->halves.data);
	free(out);
}

static e3_out *open_out(const char *endpoint, bool copy, e3_drop drop, e3_err *err)
{
	e3_endpoint ep;
	if (e3_endpoint_parse(endpoint, false, &ep, err))
		return NULL;
	e3_out *out = calloc(1, sizeof *out);
	if (!out) {
		e3_fail(err, "opening: %s: out of memory", endpoint);
		return NULL;
	}
	out->copy = copy;
	/* Files take what comes, and a publisher drops by itself; a queue is for those who may be slow. */
	int rc = e3_sink_open(&out->sink, &ep, copy, err);
	bool queue =
		!rc && !out->sink.file.temp && ep.kind != E3_ZMQ_PUB && (drop != E3_DROP_NONE || (copy && out->sink.fifo));
	if (queue && !(out->queue = e3_queue_open(&out->sink, drop, e3_queue_of(true), err)))
		rc = -1;
	if (rc) {
		out_free(out);
		return NULL;
	}
	if (!copy)
		watch(out);
	return out;
}

e3_out *e3_out_open(const char *endpoint, e3_err *err)
{
	return open_out(endpoint, false, (e3_drop)e3_stream_set.drop, err);
}

e3_out *e3_out_open_copy(const char *endpoint, e3_drop drop, e3_err *err)
{
	return open_out(endpoint, true, drop, err);
}

int64_t e3_out_dropped(e3_out *out) { return out->queue ? e3_queue_dropped(out->queue) : out->dropped; }

bool e3_out_unread(const e3_out *out) { return !out->queue && e3_sink_unread(&out->sink); }

static int send_queue(e3_out *out, const e3_msg *msg, e3_err *err)
{
	if (e3_queue_put(out->queue, msg, err) == 0)
		return 0;
	end_by_pipe(out);
	return -1;
}

static int send_parts(e3_out *out, e3_err *err)
{
	e3_pack *p = &out->pack;
	if (!out->queue)
		return e3_sink_send(&out->sink, p->part, p->n_parts, err);
	out->whole.len = 0;
	for (int k = 0; k < p->n_parts; k++)
		if (p->part[k].iov_len && e3_buf_add(&out->whole, p->part[k].iov_base, p->part[k].iov_len, err))
			return -1;
	return send_queue(out, &(e3_msg){p->kind, (uint8_t *)out->whole.data, out->whole.len}, err);
}

static int failed_before(const e3_out *out, e3_err *err)
{
	return !out->queue && out->sink.broken ? e3_fail(err, "writing: %s: failed before", out->sink.name) : 0;
}

/* Sends what was packed, after the encoder's verdict `rc`; `value` as in e3_order_step. */
static int put(e3_out *out, int rc, int64_t value, e3_err *err)
{
	if (failed_before(out, err))
		return -1;
	if (rc || e3_order_step(&out->order, out->pack.kind, value, err))
		return e3_fail_in(err, "writing: %s", out->sink.name);
	return send_parts(out, err);
}

int e3_out_head(e3_out *out, const e3_head *x, e3_err *err)
{
	return put(out, e3_head_encode(&out->pack, x, err), 0, err);
}

int e3_out_frame(e3_out *out, const e3_frame *x, e3_err *err)
{
	return put(out, e3_frame_encode(&out->pack, x, err), x->s.i, err);
}

int e3_out_pred(e3_out *out, const e3_pred *x, e3_err *err)
{
	return put(out, e3_pred_encode(&out->pack, x, &out->halves, err), x->s.i, err);
}

int e3_out_evict(e3_out *out, const e3_evict *x, e3_err *err)
{
	return put(out, e3_evict_encode(&out->pack, x, err), x->i, err);
}

int e3_out_attn(e3_out *out, const e3_attn *x, e3_err *err)
{
	return put(out, e3_attn_encode(&out->pack, x, err), x->i, err);
}

int e3_out_truth(e3_out *out, const e3_truth *x, e3_err *err)
{
	return put(out, e3_truth_encode(&out->pack, x, err), x->i, err);
}

int e3_out_end(e3_out *out, const e3_end *x, e3_err *err)
{
	return put(out, e3_end_encode(&out->pack, x, err), x->frames, err);
}

int e3_out_msg(e3_out *out, const e3_msg *msg, e3_err *err)
{
	if (failed_before(out, err))
		return -1;
	e3_order before = out->order;
	if (e3_order_check(&out->order, msg, err)) {
		out->order = before;
		return e3_fail_in(err, "writing: %s", out->sink.name);
	}
	return out->queue ? send_queue(out, msg, err)
					  : e3_sink_send(&out->sink, &(struct iovec){msg->bytes, msg->len}, 1, err);
}

int e3_out_msg_frames(e3_out *out, const e3_msg *msg, int64_t frames, e3_err *err)
{
	e3_msg changed;
	if (e3_msg_with_frames(msg, frames, &changed, err))
		return e3_fail_in(err, "writing: %s", out->sink.name);
	int rc = e3_out_msg(out, &changed, err);
	free(changed.bytes);
	return rc;
}

bool e3_out_reader_gone(const e3_out *out) { return out->sink.reader_gone; }

static int finish_queue(e3_out *out, bool hurry, e3_err *err)
{
	if (!out->queue)
		return 0;
	out->dropped = e3_queue_dropped(out->queue);
	int rc = e3_queue_finish(out->queue, hurry, err);
	out->queue = NULL;
	if (out->dropped)
		e3_tell(E3_TELL_NOTE,
			"writing: %s: %" PRId64 " of %" PRId64 " frames were dropped: its reader was slower than the stream",
			out->sink.name, out->dropped, out->order.frames > out->order.preds ? out->order.frames : out->order.preds);
	return rc;
}

int e3_out_close(e3_out *out, e3_err *err)
{
	unwatch(out); /* a reader that has the end may go */
	int rc = finish_queue(out, false, err);
	if (!rc && failed_before(out, err))
		rc = -1;
	else if (!rc && !out->order.closed)
		rc = e3_fail(err, "closing: %s: the stream has no end yet", out->sink.name);
	else if (!rc)
		rc = e3_sink_finish(&out->sink, err);
	out_free(out);
	return rc;
}

/* An abort made of the text of another abort says the same as that one: the first failure is what is reported. The
 * pieces are cut out of `copy`. */
static e3_abort first_failure(const char *tool, int code, char *copy)
{
	e3_abort a = {.tool = (char *)(uintptr_t)tool, .code = code, .text = copy};
	char name[64];
	int status, used = 0;
	if (sscanf(copy, "%63[a-z0-9-] failed (exit %d): %n", name, &status, &used) == 2 && used > 0 && status >= 0 &&
		status <= 255) {
		copy[strlen(name)] = 0;
		a = (e3_abort){.tool = copy, .code = status, .text = copy + used};
	}
	return a;
}

void e3_out_abort(e3_out *out, const char *tool, int code, const char *text)
{
	if (!out)
		return;
	unwatch(out);
	finish_queue(out, true, NULL);
	char *copy = strdup(text ? text : "");
	if (copy && !out->order.closed) {
		e3_abort a = first_failure(tool, code, copy);
		if (e3_abort_encode(&out->pack, &a, NULL) == 0 && e3_order_step(&out->order, E3_ABORT, 0, NULL) == 0)
			e3_sink_send_quietly(&out->sink, out->pack.part, out->pack.n_parts);
	}
	free(copy);
	out_free(out);
}
