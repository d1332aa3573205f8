/* wire: writing a stream. Owns the packing buffers and the output; refuses terminals and messages out of order. */
#include "e3/io.h"
#include "e3/num.h"
#include "e3/stream.h"
#include "encode.h"
#include "endpoint.h"
#include "fd.h"
#include "order.h"
#include "zmq.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct e3_out {
	char *name; /* for messages */
	int fd;
	e3_file file; /* paths; closed for standard output */
	e3_zmq *zmq;  /* or this */
	e3_pack pack;
	e3_halves halves;
	e3_order order;
	bool broken; /* a message was cut short: nothing more can be said on this output */
	bool reader_gone;
};

static int open_sink(e3_out *out, const e3_endpoint *ep, e3_err *err)
{
	if (ep->type == E3_EP_ZMQ) {
		out->zmq = e3_zmq_open(ep, false, err);
		return out->zmq ? 0 : e3_fail_in(err, "opening: %s", out->name);
	}
	out->fd = STDOUT_FILENO;
	if (ep->type == E3_EP_PATH) {
		if (e3_file_open(&out->file, ep->text, err))
			return -1;
		out->fd = out->file.fd;
	}
	if (e3_refuse_terminal(out->fd, err))
		return -1;
	e3_fd_enlarge(out->fd);
	return 0;
}

static void out_free(e3_out *out)
{
	e3_zmq_close(out->zmq);
	e3_file_discard(&out->file);
	e3_pack_release(&out->pack);
	free(out->halves.data);
	free(out->name);
	free(out);
}

e3_out *e3_out_open(const char *endpoint, e3_err *err)
{
	e3_endpoint ep;
	if (e3_endpoint_parse(endpoint, false, &ep, err))
		return NULL;
	e3_out *out = calloc(1, sizeof *out);
	if (out)
		out->name = strdup(ep.type == E3_EP_STD ? "standard output" : endpoint);
	if (!out || !out->name) {
		e3_fail(err, "opening: %s: out of memory", endpoint);
		free(out);
		return NULL;
	}
	if (open_sink(out, &ep, err)) {
		out_free(out);
		return NULL;
	}
	return out;
}

static int send_zmq(e3_out *out, const struct iovec *part, int n, int wait_ms, e3_err *err)
{
	if (e3_zmq_send(out->zmq, part, n, wait_ms, err) == 0)
		return 0;
	out->broken = true;
	return e3_fail_in(err, "writing: %s", out->name);
}

static int send_parts(e3_out *out, struct iovec *part, int n, e3_err *err)
{
	if (out->zmq)
		return send_zmq(out, part, n, -1, err);
	if (e3_fd_write(out->fd, part, n) == 0)
		return 0;
	out->broken = true;
	out->reader_gone = errno == EPIPE;
	if (errno == EINTR)
		return e3_fail(err, "writing: %s: interrupted, and nothing reads it", out->name);
	return e3_fail_sys(err, "writing: %s", out->name);
}

/* Sends what was packed, after the encoder's verdict `rc`; `value` as in e3_order_step. */
static int put(e3_out *out, int rc, int64_t value, e3_err *err)
{
	if (out->broken)
		return e3_fail(err, "writing: %s: failed before", out->name);
	if (rc || e3_order_step(&out->order, out->pack.kind, value, err))
		return e3_fail_in(err, "writing: %s", out->name);
	return send_parts(out, out->pack.part, out->pack.n_parts, err);
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
	if (out->broken)
		return e3_fail(err, "writing: %s: failed before", out->name);
	e3_order before = out->order;
	if (e3_order_check(&out->order, msg, err)) {
		out->order = before;
		return e3_fail_in(err, "writing: %s", out->name);
	}
	return send_parts(out, &(struct iovec){msg->bytes, msg->len}, 1, err);
}

int e3_out_msg_frames(e3_out *out, const e3_msg *msg, int64_t frames, e3_err *err)
{
	const uint8_t *body = msg->bytes + E3_ENVELOPE, *end = msg->bytes + msg->len;
	e3_cursor at;
	e3_value v;
	if (!e3_body_find(body, msg->len - E3_ENVELOPE, "frames", &v, &at))
		return e3_fail(err, "writing: %s: %s: frames: missing", out->name, e3_kind_name(msg->kind));
	e3_cursor after = at;
	e3_msg changed = {.kind = msg->kind};
	if (e3_value_skip(&after) || !(changed.bytes = malloc(msg->len + 9)))
		return e3_fail(err, "writing: %s: out of memory", out->name);
	size_t before = (size_t)(at.at - msg->bytes), rest = (size_t)(end - after.at), n;
	memcpy(changed.bytes, msg->bytes, before);
	n = before + e3_pack_count(changed.bytes + before, frames);
	memcpy(changed.bytes + n, after.at, rest);
	changed.len = n + rest;
	e3_put_be32(changed.bytes + 1, (uint32_t)(changed.len - E3_ENVELOPE));
	int rc = e3_out_msg(out, &changed, err);
	free(changed.bytes);
	return rc;
}

bool e3_out_reader_gone(const e3_out *out)
{
	return out->reader_gone;
}

/* Standard output is not ours to close, but closing a copy of it reports what writing left unsaid. */
static int close_checked(e3_out *out, e3_err *err)
{
	if (out->zmq)
		return e3_zmq_finish(out->zmq, -1, err) ? e3_fail_in(err, "closing: %s", out->name) : 0;
	if (out->file.f)
		return e3_file_commit(&out->file, err);
	int copy = dup(out->fd);
	if (copy < 0 || close(copy))
		return e3_fail_sys(err, "closing: %s", out->name);
	return 0;
}

int e3_out_close(e3_out *out, e3_err *err)
{
	int rc;
	if (out->broken)
		rc = e3_fail(err, "writing: %s: failed before", out->name);
	else if (!out->order.closed)
		rc = e3_fail(err, "closing: %s: the stream has no end yet", out->name);
	else
		rc = close_checked(out, err);
	out_free(out);
	return rc;
}

/* An abort made of the text of another abort says the same as that one: the first failure is what is reported. The pieces are
 * cut out of `copy`. */
static e3_abort first_failure(const char *tool, int code, char *copy)
{
	e3_abort a = {.tool = (char *)(uintptr_t)tool, .code = code, .text = copy};
	char name[64];
	int status, used = 0;
	if (sscanf(copy, "%63[a-z0-9-] failed (exit %d): %n", name, &status, &used) == 2 && used > 0 && status >= 0 && status <= 255) {
		copy[strlen(name)] = 0;
		a = (e3_abort){.tool = copy, .code = status, .text = copy + used};
	}
	return a;
}

/* The caller has an error of its own to tell: a reader that is gone must not end it here, nor hold it up for long. */
static void send_quietly(e3_out *out)
{
	enum { SEND_MS = 1000, TAKE_MS = 5000 };
	sigset_t pipe_set, before;
	if (out->zmq) {
		if (send_zmq(out, out->pack.part, out->pack.n_parts, SEND_MS, NULL) == 0)
			e3_zmq_finish(out->zmq, TAKE_MS, NULL);
		return;
	}
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
	send_parts(out, out->pack.part, out->pack.n_parts, NULL);
	if (out->reader_gone && !sigismember(&before, SIGPIPE))
		(void)sigtimedwait(&pipe_set, NULL, &(struct timespec){0});
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void e3_out_abort(e3_out *out, const char *tool, int code, const char *text)
{
	if (!out)
		return;
	char *copy = strdup(text ? text : "");
	if (copy && !out->file.temp && !out->broken && !out->order.closed) {
		e3_abort a = first_failure(tool, code, copy);
		if (e3_abort_encode(&out->pack, &a, NULL) == 0 && e3_order_step(&out->order, E3_ABORT, 0, NULL) == 0)
			send_quietly(out);
	}
	free(copy);
	out_free(out);
}
