/* wire: whether a message is what e3-stream(5) says of its kind. Owns the table of checks; allocates nothing that grows
 * with a message but the names of a map's keys. */
#include "sound.h"
#include "e3/mem.h"
#include "e3/value.h"
#include "unpack.h"
#include <stdlib.h>
#include <string.h>

enum { FEW = 24 }; /* keys that are compared in pairs, without a list of their own */

/* --- what the decoders refuse --- */

static int head_check(const e3_msg *msg, e3_err *err)
{
	e3_head x = {.frames = 0};
	int rc = e3_head_decode(msg, &x, err);
	e3_head_release(&x);
	return rc;
}

static int end_check(const e3_msg *msg, e3_err *err) { return e3_end_decode(msg, &(e3_end){.frames = 0}, err); }

static int abort_check(const e3_msg *msg, e3_err *err)
{
	e3_abort x = {.code = 0};
	int rc = e3_abort_decode(msg, &x, err);
	e3_abort_release(&x);
	return rc;
}

static int correct_check(const e3_msg *msg, e3_err *err) { return e3_correct_decode(msg, &(e3_correct){.i = 0}, err); }

static int edge_check(const e3_msg *msg, e3_err *err) { return e3_edge_decode(msg, &(e3_edge){.i = 0}, err); }

static int (*const checks[E3_KINDS])(const e3_msg *msg, e3_err *err) = {
	[E3_HEAD] = head_check,
	[E3_FRAME] = e3_frame_check,
	[E3_PRED] = e3_pred_check,
	[E3_EVICT] = e3_evict_check,
	[E3_ATTN] = e3_attn_check,
	[E3_END] = end_check,
	[E3_ABORT] = abort_check,
	[E3_TRUTH] = e3_truth_check,
	[E3_MASK] = e3_mask_check,
	[E3_CORRECT] = correct_check,
	[E3_EDGE] = edge_check,
};

/* --- what holds in every map --- */

typedef struct name {
	const uint8_t *bytes;
	size_t n;
} name;

static int by_content(const void *a, const void *b)
{
	const name *x = a, *y = b;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->n ? memcmp(x->bytes, y->bytes, x->n) : 0;
}

static int twice(const name *x, e3_err *err)
{
	return e3_fail(err, "%.*s: given twice", (int)(x->n < 64 ? x->n : 64), (const char *)x->bytes);
}

static int names_check(name *of, size_t n, e3_err *err)
{
	if (n > FEW)
		qsort(of, n, sizeof *of, by_content);
	for (size_t k = 1; k < n; k++)
		for (size_t j = n > FEW ? k - 1 : 0; j < k; j++)
			if (by_content(&of[j], &of[k]) == 0)
				return twice(&of[k], err);
	return 0;
}

static int value_check(e3_cursor *c, e3_err *err);

static int map_check(e3_cursor *c, size_t n, e3_err *err)
{
	name few[FEW], *all = few;
	int rc = 0;
	if (n > E3_MAP_MOST)
		return e3_fail(err, "a map of %zu keys, at most %d are read", n, E3_MAP_MOST);
	if (n > FEW && !(all = e3_alloc(n, sizeof *all, "names of keys", err)))
		return -1;
	for (size_t k = 0; k < n && !rc; k++) {
		e3_value key;
		e3_value_next(c, &key);
		if (key.type != E3_V_TEXT)
			rc = e3_fail(err, "a key is %s, expected text", e3_vtype_name(key.type));
		else if (e3_text_check(&key, err))
			rc = e3_fail_in(err, "a key");
		else if (value_check(c, err))
			rc = e3_fail_in(err, "%.*s", (int)(key.n < 64 ? key.n : 64), (const char *)key.bytes);
		all[k] = (name){key.bytes, key.n};
	}
	if (!rc)
		rc = names_check(all, n, err);
	if (all != few)
		free(all);
	return rc;
}

/* Nesting is at most E3_VALUE_DEPTH. */
static int value_check(e3_cursor *c, e3_err *err)
{
	e3_value v;
	e3_value_next(c, &v);
	if (v.type == E3_V_TEXT)
		return e3_text_check(&v, err);
	if (v.type == E3_V_MAP)
		return map_check(c, v.n, err);
	for (size_t k = 0; v.type == E3_V_LIST && k < v.n; k++)
		if (value_check(c, err))
			return e3_fail_in(err, "[%zu]", k);
	return 0;
}

int e3_sound_check(const e3_msg *msg, e3_err *err)
{
	e3_cursor body = {msg->bytes + E3_ENVELOPE, msg->bytes + msg->len};
	if (checks[msg->kind](msg, err))
		return -1;
	return value_check(&body, err) ? e3_decode_failed(msg, err) : 0;
}
