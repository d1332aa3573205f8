/* wire: writing a stream. Owns the packing buffers, the order, and what stays of a stream that is not completed;
 * refuses messages out of order. */
#include "e3/mem.h"
#include "e3/num.h"
#include "endpoint.h"
#include "order.h"
#include "out.h"
#include "queue.h"
#include "rewrite.h"
#include "settings.h"
#include "writer.h"
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

struct e3_out {
	e3_writer writer;
	e3_queue *queue; /* between this and the writer; or NULL */
	int64_t dropped; /* by a queue that is gone */
	e3_buf whole;    /* a message in one piece, for the queue */
	e3_pack pack;
	e3_order order;
	e3_order done; /* up to the last message that was written whole */
};

static const e3_stream_options defaults = E3_STREAM_DEFAULTS;

int e3_out_lost(e3_out *out, e3_err *err) { return e3_writer_lost(&out->writer, err); }

static void out_free(e3_out *out)
{
	e3_writer_release(&out->writer);
	e3_pack_release(&out->pack);
	e3_buf_release(&out->whole);
	free(out);
}

static e3_out *open_out(const char *endpoint, const e3_stream_options *options, bool copy, e3_err *err)
{
	e3_endpoint ep;
	const e3_stream_options *o = options ? options : &defaults;
	if (e3_endpoint_parse(endpoint, false, o, &ep, err))
		return NULL;
	e3_out *out = calloc(1, sizeof *out);
	if (!out) {
		e3_fail(err, "opening: %s: out of memory", endpoint);
		return NULL;
	}
	/* Files accept everything and a publisher drops on its own; a queue is for readers that may be slow. */
	int rc = e3_writer_open(&out->writer, &ep, o, copy, err);
	bool queue = !rc && !out->writer.file.temp && ep.kind != E3_ZMQ_PUB &&
		(o->drop != E3_DROP_NONE || (copy && out->writer.fifo));
	if (queue && !(out->queue = e3_queue_open(&out->writer, err)))
		rc = -1;
	if (rc) {
		out_free(out);
		return NULL;
	}
	return out;
}

e3_out *e3_out_open(const char *endpoint, const e3_stream_options *options, e3_err *err)
{
	return open_out(endpoint, options, false, err);
}

e3_out *e3_out_open_copy(const char *endpoint, const e3_stream_options *options, e3_err *err)
{
	return open_out(endpoint, options, true, err);
}

int64_t e3_out_dropped(e3_out *out) { return out->queue ? e3_queue_dropped(out->queue) : out->dropped; }

bool e3_out_unread(const e3_out *out) { return !out->queue && e3_writer_unread(&out->writer); }

static int send_parts(e3_out *out, e3_err *err)
{
	e3_pack *p = &out->pack;
	if (!out->queue)
		return e3_writer_send(&out->writer, p->part, p->n_parts, err);
	out->whole.len = 0;
	for (int k = 0; k < p->n_parts; k++)
		if (p->part[k].iov_len && e3_buf_add(&out->whole, p->part[k].iov_base, p->part[k].iov_len, err))
			return -1;
	return e3_queue_put(out->queue, &(e3_msg){p->kind, (uint8_t *)out->whole.data, out->whole.len}, err);
}

/* A message was written. With the first frame a file becomes worth keeping. */
static int written(e3_out *out)
{
	out->done = out->order;
	if (e3_order_frames(&out->done) > 0)
		e3_file_worth(&out->writer.file);
	return 0;
}

static int failed_before(const e3_out *out, e3_err *err)
{
	return !out->queue && out->writer.broken ? e3_fail(err, "writing: %s: failed earlier", out->writer.name) : 0;
}

e3_pack *e3_out_pack(e3_out *out) { return &out->pack; }

int e3_out_packed(e3_out *out, int rc, e3_err *err)
{
	if (failed_before(out, err))
		return -1;
	if (rc || e3_order_step(&out->order, out->pack.kind, out->pack.value, err))
		return e3_fail_in(err, "writing: %s", out->writer.name);
	return send_parts(out, err) ? -1 : written(out);
}

int e3_out_msg(e3_out *out, const e3_msg *msg, e3_err *err)
{
	if (failed_before(out, err))
		return -1;
	e3_order before = out->order;
	if (e3_order_check(&out->order, msg, err)) {
		out->order = before;
		return e3_fail_in(err, "writing: %s", out->writer.name);
	}
	int rc = out->queue ? e3_queue_put(out->queue, msg, err)
						: e3_writer_send(&out->writer, &(struct iovec){msg->bytes, msg->len}, 1, err);
	return rc ? -1 : written(out);
}

int e3_out_msg_frames(e3_out *out, const e3_msg *msg, int64_t frames, e3_err *err)
{
	e3_msg changed;
	if (e3_msg_with_frames(msg, frames, &changed, err))
		return e3_fail_in(err, "writing: %s", out->writer.name);
	int rc = e3_out_msg(out, &changed, err);
	free(changed.bytes);
	return rc;
}

int64_t e3_out_frames(const e3_out *out) { return out->done.headed ? e3_order_frames(&out->done) : -1; }

bool e3_out_ended(const e3_out *out) { return out->order.closed; }

bool e3_out_reader_gone(const e3_out *out) { return out->writer.reader_gone; }

static int finish_queue(e3_out *out, bool hurry, e3_err *err)
{
	if (!out->queue)
		return 0;
	out->dropped = e3_queue_dropped(out->queue);
	int rc = e3_queue_finish(out->queue, hurry, err);
	out->queue = NULL;
	if (out->dropped)
		e3_tell(E3_TELL_NOTE,
			"writing: %s: %" PRId64 " of %" PRId64 " frames were dropped: the reader was slower than the stream",
			out->writer.name, out->dropped, e3_order_frames(&out->order));
	return rc;
}

/* A stream without a frame takes no other's place, and what a signal ended before the first frame is no file. */
static int finish(e3_out *out, e3_err *err)
{
	e3_writer *w = &out->writer;
	if (!e3_writer_appears(w) || e3_order_frames(&out->done) > 0)
		return e3_writer_finish(w, err);
	bool there = access(w->file.target, F_OK) == 0;
	if (e3_stop_asked(&w->o))
		e3_tell(E3_TELL_NOTE, "writing: %s: no frame came: %s", w->name,
			there ? "the file stays as it was" : "no file");
	else if (there)
		return e3_fail(err, "closing: %s: the stream has no frame: the file stays as it was", w->name);
	else
		return e3_writer_finish(w, err);
	return 0;
}

int e3_out_close(e3_out *out, e3_err *err)
{
	int rc = finish_queue(out, false, err);
	if (!rc && failed_before(out, err))
		rc = -1;
	else if (!rc && !out->order.closed)
		rc = e3_fail(err, "closing: %s: the stream has no end yet", out->writer.name);
	else if (!rc)
		rc = finish(out, err);
	out_free(out);
	return rc;
}

/* The frames so far, and an end that says why there are no more; without it where there is no room for one. */
static void keep(e3_out *out, const char *why)
{
	e3_writer *w = &out->writer;
	int64_t n = e3_order_frames(&out->done);
	e3_end end = {.frames = n};
	e3_err err = {""};
	char *name = NULL;
	e3_end_cut(&end, why);
	out->order = out->done;
	if (!out->done.closed && (e3_writer_back(w) || e3_out_end(out, &end, NULL)))
		(void)e3_writer_back(w);
	if (e3_writer_keep(w, &name, &err))
		e3_tell(E3_TELL_WARN, "%s", err.text);
	else
		e3_tell(E3_TELL_WARN, "writing: %s: cut short: the %" PRId64 " frame%s that came %s kept in %s", w->name, n,
			n == 1 ? "" : "s", n == 1 ? "is" : "are", name);
	free(name);
}

void e3_out_cut_short(e3_out *out, bool packed, const char *why)
{
	e3_pack *p = &out->pack;
	finish_queue(out, true, NULL);
	if (e3_writer_appears(&out->writer)) {
		if (e3_order_frames(&out->done) > 0)
			keep(out, why);
	} else if (packed && !out->order.closed && e3_order_step(&out->order, p->kind, p->value, NULL) == 0) {
		e3_writer_send_quietly(&out->writer, p->part, p->n_parts);
	}
	out_free(out);
}
