/* wire: messages whose frame has gone. Owns which of them are left out, and copies of those whose frame may still come:
 * ground truth may precede its frame. Hands them out before that frame, so that the order of the stream stays. */
#include "early.h"
#include <stdlib.h>
#include <string.h>

void e3_early_init(e3_early *e, bool sub) { *e = (e3_early){.sub = sub, .first = -1, .newest = -1}; }

void e3_early_release(e3_early *e)
{
	for (int k = 0; k < e->n; k++)
		free(e->held[k].bytes);
	free(e->out.bytes);
	*e = (e3_early){0};
}

/* Has it no meaning without its frame? */
static bool belongs(int kind)
{
	const e3_kind_rule *rule = e3_kind_rule_of(kind);
	return rule->place == E3_PLACE_BETWEEN && !rule->kept && kind != E3_FRAME && kind != E3_PRED;
}

static bool came(const e3_early *e, int64_t i)
{
	size_t n = e->frames < E3_EARLY_FRAMES ? e->frames : E3_EARLY_FRAMES;
	for (size_t k = 0; k < n; k++)
		if (e->frame[k] == i)
			return true;
	return false;
}

/* Is frame i older than those that are remembered? */
static bool forgotten(const e3_early *e, int64_t i)
{
	return e->frames > E3_EARLY_FRAMES && i < e->frame[e->frames % E3_EARLY_FRAMES];
}

static int hold(e3_early *e, const e3_msg *msg, e3_err *err)
{
	uint8_t *copy = malloc(msg->len);
	if (!copy)
		return e3_fail(err, "%s: out of memory", e3_kind_name(msg->kind));
	memcpy(copy, msg->bytes, msg->len);
	e->held[e->n++] = (e3_msg){msg->kind, copy, msg->len};
	return 0;
}

static e3_msg take_out(e3_early *e, int k)
{
	e3_msg msg = e->held[k];
	memmove(e->held + k, e->held + k + 1, (size_t)(--e->n - k) * sizeof *e->held);
	return msg;
}

static void hand_out(e3_early *e, int k, e3_msg *msg)
{
	free(e->out.bytes);
	*msg = e->out = take_out(e, k);
}

/* Without its frame by now. */
static void drop_before(e3_early *e, int64_t i)
{
	for (int k = 0; k < e->n;)
		if (e3_msg_index(&e->held[k]) < i)
			free(take_out(e, k).bytes);
		else
			k++;
}

static int take_record(e3_early *e, e3_msg *msg, int64_t i, e3_err *err)
{
	bool expected = e->first < 0 || (e->sub && i > e->newest);
	if (i < 0 || (!expected && (came(e, i) || forgotten(e, i) || (!e->sub && i >= e->first))))
		return 1; /* without an index it is refused elsewhere */
	if (!expected)
		return 0;
	e3_msg copy = *msg;
	if (e->n < E3_EARLY_HELD)
		return hold(e, &copy, err);
	hand_out(e, 0, msg); /* so many come without their frames: it is passed on as it is */
	return hold(e, &copy, err) ? -1 : 1;
}

int e3_early_take(e3_early *e, e3_msg *msg, e3_err *err)
{
	int64_t i = e3_msg_index(msg);
	if (belongs(msg->kind))
		return take_record(e, msg, i, err);
	if (msg->kind == E3_FRAME || msg->kind == E3_PRED) {
		drop_before(e, i);
		e->first = e->first < 0 ? i : e->first;
		if (i > e->newest)
			e->frame[e->frames++ % E3_EARLY_FRAMES] = e->newest = i;
	} else if (msg->kind != E3_END || e->first >= 0) {
		return 1; /* a stream without a frame hands out what it has, before its end */
	}
	e->waiting = *msg;
	return e3_early_next(e, msg) ? 1 : 0;
}

bool e3_early_next(e3_early *e, e3_msg *msg)
{
	if (!e->waiting.kind)
		return false;
	bool end = e->waiting.kind == E3_END;
	for (int k = 0; k < e->n; k++)
		if (end || e3_msg_index(&e->held[k]) <= e->newest) {
			hand_out(e, k, msg);
			return true;
		}
	*msg = e->waiting;
	e->waiting = (e3_msg){0};
	return true;
}
