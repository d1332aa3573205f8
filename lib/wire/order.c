/* wire: kinds, limits, grammar, and the checks of values both directions share. Owns what is a valid sequence of
 * messages. */
#include "order.h"
#include "e3/num.h"
#include "e3/value.h"
#include <inttypes.h>
#include <math.h>

static const struct {
	const char *name;
	size_t limit;
} kinds[E3_KINDS] = {
	[E3_HEAD] = {"head", (size_t)64 << 10},
	[E3_FRAME] = {"frame", (size_t)256 << 20},
	[E3_PRED] = {"pred", (size_t)512 << 20},
	[E3_EVICT] = {"evict", (size_t)64 << 20},
	[E3_ATTN] = {"attn", (size_t)64 << 20},
	[E3_END] = {"end", (size_t)64 << 20},
	[E3_ABORT] = {"abort", (size_t)64 << 20},
	[E3_TRUTH] = {"truth", (size_t)64 << 20},
};

const char *e3_kind_name(int kind) { return kind > 0 && kind < E3_KINDS ? kinds[kind].name : NULL; }

size_t e3_kind_limit(int kind) { return kind > 0 && kind < E3_KINDS ? kinds[kind].limit : 0; }

int e3_envelope_check(const uint8_t *envelope, size_t *body, e3_err *err)
{
	if (envelope[0] != E3_MARK) /* looked at first: a stream that ends here may have no more bytes */
		return e3_fail(err, "byte 0x%02x where a message should begin with 0x%02x", envelope[0], E3_MARK);
	uint32_t n = e3_be32(envelope + 1);
	int kind = envelope[5];
	if (!e3_kind_name(kind))
		return e3_fail(err, "unknown kind %d; this version knows 1 to %d", kind, E3_KINDS - 1);
	if (n > e3_kind_limit(kind))
		return e3_fail(err, "%s of %" PRIu32 " bytes; at most %zu are allowed", e3_kind_name(kind), n,
			e3_kind_limit(kind));
	*body = n;
	return 0;
}

static int step_index(e3_order *o, int kind, int64_t i, e3_err *err)
{
	const char *name = e3_kind_name(kind);
	bool strict = kind == E3_FRAME || kind == E3_PRED;
	if (i < 0 || i >= (int64_t)1 << 53)
		return e3_fail(err, "%s: i: missing, or not a whole number from 0 to 2^53 - 1", name);
	if (i < o->next[kind])
		return e3_fail(err, "%s %" PRId64 " after %s %" PRId64 ": indices must %s", name, i, name,
			o->next[kind] - (strict ? 1 : 0), strict ? "increase" : "not decrease");
	o->next[kind] = strict ? i + 1 : i;
	o->frames += kind == E3_FRAME;
	o->preds += kind == E3_PRED;
	return 0;
}

/* `end` counts what was sent: a stream shared out among several readers, or losing messages on its way, is noticed. */
static int step_end(const e3_order *o, int64_t frames, e3_err *err)
{
	int64_t seen = o->frames > o->preds ? o->frames : o->preds;
	if (frames < 0)
		return e3_fail(err, "end: frames: missing, or not a whole number from 0");
	if (frames != seen)
		return e3_fail(err, "end counts %" PRId64 " frames, the stream had %" PRId64, frames, seen);
	return 0;
}

int e3_order_step(e3_order *o, int kind, int64_t value, e3_err *err)
{
	const char *name = e3_kind_name(kind);
	if (o->closed)
		return e3_fail(err, "%s after the end of the stream", name);
	if (kind == E3_HEAD && o->headed)
		return e3_fail(err, "a second head");
	if (kind != E3_HEAD && kind != E3_ABORT && !o->headed)
		return e3_fail(err, "%s before the head", name);
	if (kind == E3_END                            ? step_end(o, value, err)
			: kind != E3_HEAD && kind != E3_ABORT ? step_index(o, kind, value, err)
												  : 0)
		return -1;
	o->messages++;
	o->headed |= kind == E3_HEAD;
	o->closed = kind == E3_END || kind == E3_ABORT;
	return 0;
}

/* A whole number at the top of the body; -1 when it is not there. */
static int64_t top_int(const e3_msg *msg, const char *key)
{
	e3_value v;
	if (msg->len < E3_ENVELOPE || !e3_body_find(msg->bytes + E3_ENVELOPE, msg->len - E3_ENVELOPE, key, &v, NULL) ||
		v.type != E3_V_INT || v.i < 0)
		return -1;
	return v.i;
}

int64_t e3_msg_index(const e3_msg *msg)
{
	return msg->kind == E3_HEAD || msg->kind == E3_END || msg->kind == E3_ABORT ? -1 : top_int(msg, "i");
}

int e3_order_check(e3_order *o, const e3_msg *msg, e3_err *err)
{
	if (e3_body_check(msg->bytes + E3_ENVELOPE, msg->len - E3_ENVELOPE, err))
		return e3_fail_in(err, "%s", e3_kind_name(msg->kind));
	int64_t v = msg->kind == E3_HEAD ? top_int(msg, "v") : 0;
	if (v < 0)
		return e3_fail(err, "head: v: missing or not a whole number");
	if (msg->kind == E3_HEAD && v != E3_STREAM_VERSION)
		return e3_fail(err, "head: stream version %" PRId64 "; this program reads version %d", v, E3_STREAM_VERSION);
	return e3_order_step(o, msg->kind, msg->kind == E3_END ? top_int(msg, "frames") : e3_msg_index(msg), err);
}

int e3_reals_check(const char *name, const double *v, int n, e3_err *err)
{
	for (int k = 0; k < n; k++)
		if (!isfinite(v[k]))
			return e3_fail(err, "%s: is %s, expected a finite number", name, isnan(v[k]) ? "not a number" : "infinite");
	return 0;
}

int e3_pose_check(const float pose[9], e3_err *err)
{
	for (int k = 0; k < 9; k++)
		if (!isfinite(pose[k]))
			return e3_fail(err, "pose[%d]: is %s, expected a finite number", k,
				isnan(pose[k]) ? "not a number" : "infinite");
	return 0;
}

int e3_size_check(int w, int h, e3_err *err)
{
	if (w < 1 || h < 1 || w > E3_MAX_SIDE || h > E3_MAX_SIDE)
		return e3_fail(err, "size %d × %d; each side must be 1 to %d", w, h, E3_MAX_SIDE);
	return 0;
}

int e3_source_check(const e3_source *s, e3_err *err)
{
	const double fit[4] = {s->fit.sx, s->fit.sy, s->fit.tx, s->fit.ty};
	if (s->i < 0 || s->i >= (int64_t)1 << 53)
		return e3_fail(err, "i: is %" PRId64 ", expected 0 to 2^53 - 1", s->i);
	if (e3_reals_check("pts", &s->pts, 1, err) || e3_reals_check("t_capture", &s->t_capture, 1, err) ||
		e3_reals_check("fit", fit, 4, err))
		return -1;
	if (!(fit[0] > 0 && fit[1] > 0))
		return e3_fail(err, "fit: scale %g, %g; both must be above 0", fit[0], fit[1]);
	if (s->rot != 0 && s->rot != 90 && s->rot != 180 && s->rot != 270)
		return e3_fail(err, "rot: is %d, expected 0, 90, 180 or 270", s->rot);
	if (s->src_i < 0)
		return e3_fail(err, "src_i: is %" PRId64 ", expected 0 or more", s->src_i);
	if (e3_size_check(s->src_w, s->src_h, err))
		return e3_fail_in(err, "src_w, src_h");
	return 0;
}
