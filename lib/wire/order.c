/* wire: the grammar of a stream. Owns what is a valid sequence of messages. */
#include "order.h"
#include "e3/value.h"
#include <inttypes.h>

int64_t e3_order_frames(const e3_order *o) { return o->frames > o->preds ? o->frames : o->preds; }

static int step_index(e3_order *o, int kind, int64_t i, e3_err *err)
{
	const char *name = e3_kind_name(kind);
	bool once = e3_kind_rule_of(kind)->once;
	if (i < 0 || i >= (int64_t)1 << 53)
		return e3_fail(err, "%s: i: missing, or not a whole number from 0 to 2^53 - 1", name);
	if (i < o->next[kind])
		return e3_fail(err, "%s %" PRId64 " after %s %" PRId64 ": indices must %s", name, i, name,
			o->next[kind] - (once ? 1 : 0), once ? "increase" : "not decrease");
	o->next[kind] = once ? i + 1 : i;
	o->frames += kind == E3_FRAME;
	o->preds += kind == E3_PRED;
	return 0;
}

/* `end` counts what was sent, so that lost messages are noticed, and a stream split between several readers. */
static int step_end(const e3_order *o, int64_t frames, e3_err *err)
{
	int64_t seen = e3_order_frames(o);
	if (frames < 0)
		return e3_fail(err, "end: frames: missing, or not a whole number from 0");
	if (frames != seen)
		return e3_fail(err, "end counts %" PRId64 " frames, the stream had %" PRId64, frames, seen);
	return 0;
}

int e3_order_step(e3_order *o, int kind, int64_t value, e3_err *err)
{
	const e3_kind_rule *rule = e3_kind_rule_of(kind);
	int rc = 0;
	if (o->closed)
		return e3_fail(err, "%s after the end of the stream", rule->name);
	if (rule->place == E3_PLACE_FIRST && o->headed)
		return e3_fail(err, "a second %s", rule->name);
	if (rule->place != E3_PLACE_FIRST && !rule->without_head && !o->headed)
		return e3_fail(err, "%s before the head", rule->name);
	if (kind == E3_CORRECT && !o->corrects)
		return e3_fail(err, "a correct, but the head does not announce corrections (corrects)");
	if (rule->place == E3_PLACE_BETWEEN)
		rc = step_index(o, kind, value, err);
	else if (kind == E3_END)
		rc = step_end(o, value, err);
	if (rc)
		return -1;
	o->messages++;
	if (rule->place == E3_PLACE_FIRST)
		o->headed = true, o->corrects = value > 0;
	o->closed = rule->place == E3_PLACE_LAST;
	return 0;
}

int e3_order_check(e3_order *o, const e3_msg *msg, e3_err *err)
{
	if (e3_body_check(msg->bytes + E3_ENVELOPE, msg->len - E3_ENVELOPE, err))
		return e3_fail_in(err, "%s", e3_kind_name(msg->kind));
	int64_t v = msg->kind == E3_HEAD ? e3_msg_int(msg, "v") : 0;
	if (v < 0)
		return e3_fail(err, "head: v: missing or not a whole number");
	if (msg->kind == E3_HEAD && v != E3_STREAM_VERSION)
		return e3_fail(err, "head: stream version %" PRId64 "; this program reads version %d", v, E3_STREAM_VERSION);
	const char *value = msg->kind == E3_HEAD ? "corrects" : msg->kind == E3_END ? "frames" : "i";
	return e3_order_step(o, msg->kind, e3_msg_int(msg, value), err);
}
