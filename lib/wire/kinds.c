/* wire: the kinds of messages. Owns their names, limits and places in a stream, and the check of an envelope. */
#include "kinds.h"
#include "e3/num.h"
#include "e3/value.h"
#include <inttypes.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static const e3_kind_rule rules[E3_KINDS] = {
	[E3_HEAD] = {.name = "head", .limit = 64 * KIB, .place = E3_PLACE_FIRST},
	[E3_FRAME] = {.name = "frame", .limit = 256 * MIB, .place = E3_PLACE_BETWEEN, .once = true, .per_frame = true},
	[E3_PRED] = {.name = "pred", .limit = 512 * MIB, .place = E3_PLACE_BETWEEN, .once = true, .per_frame = true},
	[E3_EVICT] = {.name = "evict", .limit = 64 * MIB, .place = E3_PLACE_BETWEEN, .per_frame = true},
	[E3_ATTN] = {.name = "attn", .limit = 64 * MIB, .place = E3_PLACE_BETWEEN},
	[E3_END] = {.name = "end", .limit = 64 * MIB, .place = E3_PLACE_LAST},
	[E3_ABORT] = {.name = "abort", .limit = 64 * MIB, .place = E3_PLACE_LAST, .without_head = true},
	[E3_TRUTH] = {.name = "truth", .limit = 64 * MIB, .place = E3_PLACE_BETWEEN},
	[E3_MASK] = {.name = "mask", .limit = 128 * MIB, .place = E3_PLACE_BETWEEN},
	[E3_CORRECT] = {.name = "correct", .limit = 64 * KIB, .place = E3_PLACE_BETWEEN, .kept = true},
	[E3_EDGE] = {.name = "edge", .limit = 64 * KIB, .place = E3_PLACE_BETWEEN, .kept = true},
};
#define KNOWN "1 to 11" /* the rows above, for messages */

const e3_kind_rule *e3_kind_rule_of(int kind)
{
	return kind > 0 && kind < E3_KINDS && rules[kind].name ? &rules[kind] : NULL;
}

const char *e3_kind_name(int kind) { return kind > 0 && kind < E3_KINDS ? rules[kind].name : NULL; }

size_t e3_kind_limit_max(void)
{
	size_t most = 0;
	for (int k = 1; k < E3_KINDS; k++)
		most = rules[k].limit > most ? rules[k].limit : most;
	return most;
}

int e3_envelope_check(const uint8_t *envelope, size_t *body, e3_err *err)
{
	if (envelope[0] != E3_MARK) /* looked at first: a stream that ends here may have no more bytes */
		return e3_fail(err, "byte 0x%02x where a message should begin with 0x%02x", envelope[0], E3_MARK);
	uint32_t n = e3_be32(envelope + 1);
	int kind = envelope[5];
	const e3_kind_rule *rule = e3_kind_rule_of(kind);
	if (!rule)
		return e3_fail(err, "unknown kind %d; this version knows " KNOWN, kind);
	if (n > rule->limit)
		return e3_fail(err, "%s of %" PRIu32 " bytes; at most %zu are allowed", rule->name, n, rule->limit);
	*body = n;
	return 0;
}

int64_t e3_msg_int(const e3_msg *msg, const char *key)
{
	e3_value v;
	if (msg->len < E3_ENVELOPE || !e3_body_find(msg->bytes + E3_ENVELOPE, msg->len - E3_ENVELOPE, key, &v, NULL) ||
		v.type != E3_V_INT || v.i < 0)
		return -1;
	return v.i;
}

int64_t e3_msg_index(const e3_msg *msg)
{
	const e3_kind_rule *rule = e3_kind_rule_of(msg->kind);
	return rule && rule->place == E3_PLACE_BETWEEN ? e3_msg_int(msg, "i") : -1;
}
