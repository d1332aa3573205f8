/* wire: reading a stream. Owns the buffer of the current message, and the end of a file that was cut short; refuses
 * over-long, damaged, misplaced and missing messages. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/value.h"
#include "e3/what.h"
#include "early.h"
#include "endpoint.h"
#include "fd.h"
#include "gaps.h"
#include "order.h"
#include "out.h"
#include "settings.h"
#include "sound.h"
#include "unpack.h"
#include "zmq.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct e3_in {
	char *name; /* for messages */
	e3_stream_options o;
	int fd; /* -1: memory or ZeroMQ */
	bool regular;
	bool partial, cut; /* a file that may lack its end; it does */
	const uint8_t *memory;
	size_t memory_left;
	e3_zmq *zmq;
	bool sub;        /* from a publisher: messages may be lost, and the head is repeated for new subscribers */
	bool head_again; /* the publisher sent the head again */
	e3_gaps gaps;
	uint8_t *buf; /* the current message */
	size_t cap;
	e3_order order;
	e3_early early;
	e3_pack end; /* where the stream has none */
	e3_abort abort;
	bool aborted, finished, failed;
};

static const e3_stream_options defaults = E3_STREAM_DEFAULTS;

static e3_in *in_new(const char *name, const e3_stream_options *o, e3_err *err)
{
	e3_in *in = calloc(1, sizeof *in);
	if (in)
		in->name = strdup(name), in->o = *o;
	if (!in || !in->name) {
		e3_fail(err, "opening: %s: out of memory", name);
		free(in);
		return NULL;
	}
	in->fd = -1;
	e3_early_init(&in->early, false);
	return in;
}

/* The name of a file that was cut short. */
static bool is_partial(const char *path)
{
	static const char mark[] = ".partial";
	size_t n = strlen(path);
	return n > strlen(mark) && strcmp(path + n - strlen(mark), mark) == 0;
}

static int open_source(e3_in *in, const e3_endpoint *ep, e3_err *err)
{
	struct stat st;
	if (ep->type == E3_EP_ZMQ) {
		in->zmq = e3_zmq_open(ep, &in->o, true, err);
		in->sub = in->early.sub = ep->kind == E3_ZMQ_SUB;
		return in->zmq ? 0 : e3_fail_in(err, "opening: %s", in->name);
	}
	in->fd = ep->type == E3_EP_STD ? STDIN_FILENO : e3_open_input(ep->text);
	if (in->fd < 0)
		return e3_fail_sys(err, "opening: %s", in->name);
	if (isatty(in->fd))
		return e3_fail(err, "reading: %s: is a terminal; give a file or a pipe", in->name);
	if (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))
		in->regular = true, in->partial = ep->type == E3_EP_PATH && is_partial(ep->text);
	e3_fd_enlarge(in->fd);
	return 0;
}

e3_in *e3_in_open(const char *endpoint, const e3_stream_options *options, e3_err *err)
{
	e3_endpoint ep;
	const e3_stream_options *o = options ? options : &defaults;
	if (e3_endpoint_parse(endpoint, true, o, &ep, err))
		return NULL;
	e3_in *in = in_new(ep.type == E3_EP_STD ? "standard input" : endpoint, o, err);
	if (in && open_source(in, &ep, err)) {
		e3_in_close(in);
		return NULL;
	}
	return in;
}

e3_in *e3_in_memory(const void *bytes, size_t len, e3_err *err)
{
	e3_in *in = in_new("memory", &defaults, err);
	if (in)
		in->memory = bytes ? bytes : (const uint8_t *)"", in->memory_left = len;
	return in;
}

void e3_in_close(e3_in *in)
{
	if (!in)
		return;
	if (in->fd > STDIN_FILENO)
		close(in->fd);
	e3_zmq_close(in->zmq);
	e3_gaps_release(&in->gaps);
	e3_early_release(&in->early);
	e3_pack_release(&in->end);
	e3_abort_release(&in->abort);
	free(in->buf);
	free(in->name);
	free(in);
}

const e3_abort *e3_in_abort(const e3_in *in) { return in->aborted ? &in->abort : NULL; }

/* Reads on until the message has n bytes, `have` of which are there; memory follows the bytes that arrive, not the
 * length that is claimed. Returns how many there are: fewer than n at end of file; -1 on failure. */
static ssize_t fill(e3_in *in, size_t have, size_t n, e3_err *err)
{
	enum { STEP = 1 << 20 };
	while (have < n) {
		if (have == in->cap) {
			size_t room = have < STEP ? STEP : 2 * have;
			if (room > n && n > STEP)
				room = n;
			if (e3_grow((void **)&in->buf, room, 1, "a message", err))
				return -1;
			in->cap = room;
		}
		size_t part = (n < in->cap ? n : in->cap) - have;
		ssize_t r = e3_fd_read(&(e3_fd){.fd = in->fd, .o = &in->o, .regular = in->regular}, in->buf + have, part);
		if (r < 0 && errno == EINTR)
			return e3_fail(err, "interrupted");
		if (r < 0 && errno == ETIMEDOUT)
			return e3_fail(err, "no data arrived for %g s ('timeout')", e3_message_timeout(&in->o));
		if (r < 0 && errno == EPIPE)
			return e3_output_lost(&in->o, err);
		if (r < 0)
			return e3_fail_sys(err, "failed");
		have += (size_t)r;
		if ((size_t)r < part)
			break;
	}
	return (ssize_t)have;
}

/* The bytes of the next message up to n, at *at. */
static ssize_t get(e3_in *in, size_t have, size_t n, const uint8_t **at, e3_err *err)
{
	if (in->memory) {
		*at = in->memory;
		return (ssize_t)(n < in->memory_left ? n : in->memory_left);
	}
	ssize_t got = fill(in, have, n, err);
	*at = in->buf;
	return got;
}

static int end_of_file(e3_in *in, e3_err *err)
{
	in->cut = in->order.messages > 0;
	if (in->order.messages == 0)
		return e3_fail(err, "truncated: empty, expected a head (did the stage before fail?)");
	return e3_fail(err, "truncated: the stream stops after message %" PRId64 ", before its end", in->order.messages);
}

/* No stream: what it is instead, by the bytes that are there. */
static int refuse(e3_in *in, const uint8_t *at, size_t got, e3_err *err)
{
	uint8_t bytes[E3_WHAT_BYTES];
	size_t n = in->memory ? in->memory_left : got;
	memcpy(bytes, at, n = n < sizeof bytes ? n : sizeof bytes);
	for (ssize_t r = 1; !in->memory && n < sizeof bytes && r > 0 && e3_fd_ready(in->fd); n += r > 0 ? (size_t)r : 0)
		r = read(in->fd, bytes + n, sizeof bytes - n);
	e3_what what = e3_what_bytes(bytes, n);
	if (what.name)
		return e3_fail(err, "not an e3 stream: this is %s", what.name);
	return e3_fail(err, "not an e3 stream: byte 0x%02x where a message should begin with 0x%02x", *at, E3_MARK);
}

/* The bytes of the next message of a file, a pipe or memory, its envelope checked. */
static int next_bytes(e3_in *in, const uint8_t **at, size_t *len, e3_err *err)
{
	size_t body;
	int64_t number = in->order.messages + 1;
	ssize_t got = get(in, 0, E3_ENVELOPE, at, err);
	if (got < 0)
		return -1;
	if (got == 0)
		return end_of_file(in, err);
	if (**at != E3_MARK && number == 1)
		return refuse(in, *at, (size_t)got, err);
	in->cut = got < E3_ENVELOPE && number > 1;
	if (got < E3_ENVELOPE && **at == E3_MARK)
		return e3_fail(err, "truncated: message %" PRId64 ": expected %d bytes of envelope, got %zd", number,
			E3_ENVELOPE, got);
	if (e3_envelope_check(*at, &body, err))
		return e3_fail_in(err, "message %" PRId64, number);
	int kind = (*at)[5];
	*len = E3_ENVELOPE + body;
	got = get(in, E3_ENVELOPE, *len, at, err);
	if (got < 0)
		return -1;
	in->cut = (size_t)got < *len;
	if (in->cut)
		return e3_fail(err, "truncated: message %" PRId64 " (%s): expected %zu bytes, got %zd", number,
			e3_kind_name(kind), *len, got);
	if (in->memory)
		in->memory += *len, in->memory_left -= *len;
	return 0;
}

static int next_zmq(e3_in *in, const uint8_t **at, size_t *len, e3_err *err)
{
	size_t body;
	if (e3_zmq_recv(in->zmq, at, len, err))
		return -1;
	if (*len < E3_ENVELOPE)
		return e3_fail(err, "message %" PRId64 ": %zu bytes, less than an envelope", in->order.messages + 1, *len);
	if (e3_envelope_check(*at, &body, err))
		return e3_fail_in(err, "message %" PRId64, in->order.messages + 1);
	if (*len != E3_ENVELOPE + body)
		return e3_fail(err, "message %" PRId64 ": %zu bytes, its envelope says %zu", in->order.messages + 1, *len,
			E3_ENVELOPE + body);
	return 0;
}

/* A subscriber may join mid-stream: skip messages before the first head (except an abort), and repeated heads. */
static bool is_for_others(e3_in *in, const e3_msg *msg)
{
	if (in->order.headed && msg->kind == E3_HEAD)
		return in->head_again = true;
	return !in->order.headed && msg->kind != E3_HEAD && msg->kind != E3_ABORT;
}

/* The end that a file lacks whose writer was ended at once. */
static int make_end(e3_in *in, const uint8_t **at, size_t *len, e3_err *err)
{
	e3_end end = {.frames = e3_order_frames(&in->order)};
	e3_end_cut(&end, "its writer was ended before it could say why");
	if (!in->partial || !in->cut || e3_end_encode(&in->end, &end, err))
		return -1;
	*at = in->end.part[0].iov_base, *len = in->end.len;
	return 0;
}

static int next_message(e3_in *in, e3_msg *msg, e3_err *err)
{
	const uint8_t *at;
	size_t len;
	do {
		if ((in->zmq ? next_zmq(in, &at, &len, err) : next_bytes(in, &at, &len, err)) && make_end(in, &at, &len, err))
			return -1;
		*msg = (e3_msg){.kind = at[5], .bytes = (uint8_t *)(uintptr_t)at, .len = len};
	} while (in->sub && is_for_others(in, msg));
	if (in->sub && msg->kind == E3_END &&
		(e3_body_check(at + E3_ENVELOPE, len - E3_ENVELOPE, err) ||
			e3_gaps_step(&in->gaps, in->name, &in->order, msg, err)))
		return -1;
	int64_t number = in->order.messages + 1;
	if (e3_order_check(&in->order, msg, err) || e3_sound_check(msg, err))
		return e3_fail_in(err, "message %" PRId64 "%s", number,
			in->head_again ? " (the publisher may have restarted)" : "");
	if (in->sub && msg->kind != E3_END && e3_gaps_step(&in->gaps, in->name, &in->order, msg, err))
		return -1;
	if (in->zmq && in->order.closed)
		e3_zmq_done(in->zmq);
	return 0;
}

/* Nothing may follow the last message of a file or a pipe. */
static int expect_nothing(e3_in *in, e3_err *err)
{
	const uint8_t *at;
	ssize_t got = in->zmq ? 0 : get(in, 0, 1, &at, err);
	if (got > 0)
		return e3_fail(err, "more bytes after the end of the stream (message %" PRId64 ")", in->order.messages);
	return got < 0 ? -1 : 0;
}

static int upstream_failed(e3_in *in, const e3_msg *msg, e3_err *err)
{
	if (e3_abort_decode(msg, &in->abort, err))
		return -1;
	in->aborted = true;
	return e3_abort_fail(&in->abort, err);
}

/* Of messages that belong to a frame, those whose frame comes. */
static int next_of_frames(e3_in *in, e3_msg *msg, e3_err *err)
{
	int rc = e3_early_next(&in->early, msg);
	while (rc == 0) {
		if (next_message(in, msg, err))
			return -1;
		rc = in->o.all ? 1 : e3_early_take(&in->early, msg, err);
	}
	return rc;
}

static int tell_cut(const e3_in *in, const e3_msg *msg, e3_err *err)
{
	e3_end end;
	if (e3_end_decode(msg, &end, err))
		return -1;
	if (end.cut[0])
		e3_tell(E3_TELL_WARN, "reading: %s: the stream was cut short after %" PRId64 " frame%s: %s", in->name,
			end.frames, end.frames == 1 ? "" : "s", end.cut);
	return 0;
}

/* A signal to a whole pipeline ends the stage before this one too, and that may be seen before the signal is. */
static void await_stop(const e3_in *in)
{
	enum { STEPS = 10, STEP_MS = 10 };
	for (int k = 0; k < STEPS && in->o.stop && !in->memory && !in->regular && !e3_stop_asked(&in->o); k++)
		(void)poll(NULL, 0, STEP_MS);
}

int e3_in_next(e3_in *in, e3_msg *msg, e3_err *err)
{
	*msg = (e3_msg){0};
	if (in->failed)
		return e3_fail(err, "reading: %s: failed earlier", in->name);
	int rc;
	if (e3_stop_asked(&in->o))
		return in->finished ? 0 : e3_fail(err, "reading: %s: interrupted", in->name);
	if (in->finished)
		rc = expect_nothing(in, err);
	else
		rc = next_of_frames(in, msg, err);
	if (rc < 0 && in->finished && e3_stop_asked(&in->o))
		return 0; /* it is whole; what may follow is not waited for */
	if (rc > 0 && msg->kind == E3_END && tell_cut(in, msg, err))
		rc = -1;
	if (rc < 0) {
		e3_err lost;
		in->failed = true;
		await_stop(in);
		if (e3_output_lost(&in->o, &lost)) { /* the cause is reported, not its effect */
			if (err)
				*err = lost;
			return -1;
		}
		return e3_fail_in(err, "reading: %s", in->name);
	}
	if (rc == 1 && msg->kind == E3_ABORT) {
		in->failed = true;
		await_stop(in);
		return upstream_failed(in, msg, err);
	}
	in->finished = rc == 0 || msg->kind == E3_END;
	return rc;
}
