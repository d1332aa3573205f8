/* model: the header of a saved session: one JSON object. Owns its keys and the range of each value; refuses values that
 * contradict each other. */
#include "saved.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What keys and values may be kept as; the first three in the order of e3_dtype, the rest in that of e3_kv_pack. */
static const char *const types[] = {"f32", "bf16", "f16", "fp8", "int8", "k8v4"};
enum { TYPES = sizeof types / sizeof *types, PACKED = 3 };
static const char *const kinds[] = {"fraction", "frames", "tokens", "bytes"};

/* One key: an integer in [min, max], one of several words (as its index), a number, a text, a list of integers (one
 * for each layer), a policy by its name. An integer or a list may be optional: older files do not have it, and it is
 * written only when it is not what its absence means; of a list that is zeros. */
typedef struct field {
	enum { WHOLE, WORD, REAL, TEXT, LIST, POLICY } type;
	const char *key;
	void *at;        /* int64_t, int64_t, double, char[n], uint32_t[], const e3_policy * */
	double min, max; /* WORD: max is the highest index */
	const char *const *words;
	size_t n;
	uint32_t since; /* 0: every file has it; else it is optional, and files that have it are of this version at least */
	int64_t absent; /* what the absence of an optional integer means */
} field;

/* The numbers of a header, all of one type; the rest is read straight into e3_saved. */
typedef struct flat {
	int64_t width, height, layers, heads, head_dim, tokens, t, peak, kind, type, compat, frames, camera_frames;
	int64_t caches, cam_heads, cam_head_dim, cam_keys, cam_frames, first_i, last_i, shift_i, first_crc, last_crc,
		truths, fit, poses, segment, overlap, side, side_t, earlier, extra, places, protect_first, seed, banks,
		bank_numbers, window, keyframe, keys, start, side_keys, side_start, packed;
	char fingerprint[17];
} flat;

enum { FIELDS = 59 };

#define WHOLE_OF(key, at, min, max) \
	{ \
		WHOLE, key, at, min, max, NULL, 0, 0, 0 \
	}
/* For keys that version 1 does not have: a file with one of them is of version 2 at least. */
#define SINCE(version, key, at, min, max, absent) \
	{ \
		WHOLE, key, at, min, max, NULL, 0, version, absent \
	}
#define LATER_OF(key, at, min, max, absent) SINCE(2, key, at, min, max, absent)
#define LATER_LIST_OF(key, at, max) \
	{ \
		LIST, key, at, 0, max, NULL, 0, 2, 0 \
	}
#define TEXT_OF(key, at) \
	{ \
		TEXT, key, at, 0, 0, NULL, sizeof(at), 0, 0 \
	}

static void table_of(flat *f, e3_saved *x, field out[FIELDS])
{
	const double index = 0x1p53, slot = E3_HOLE - 1.0;
	const field table[FIELDS] = {
		TEXT_OF("model", x->model),
		TEXT_OF("fingerprint", f->fingerprint),
		TEXT_OF("device", x->device),
		{WORD, "type", &f->type, 0, TYPES - 1, types, 0, 0, 0},
		WHOLE_OF("width", &f->width, 1, 65535),
		WHOLE_OF("height", &f->height, 1, 65535),
		WHOLE_OF("layers", &f->layers, 1, E3_MAX_LAYERS),
		WHOLE_OF("heads", &f->heads, 1, 4096),
		WHOLE_OF("head_dim", &f->head_dim, 1, 4096),
		WHOLE_OF("tokens_per_frame", &f->tokens, 1, 1 << 20),
		WHOLE_OF("t", &f->t, 1, E3_HOLE),
		WHOLE_OF("peak_tokens", &f->peak, 0, index),
		{LIST, "slots", x->past[0].slots, 0, slot, NULL, 0, 0, 0},
		{LIST, "holes", x->past[0].holes, 0, slot, NULL, 0, 0, 0},
		{POLICY, "policy", &x->o.policy, 0, 0, NULL, 0, 0, 0},
		{WORD, "budget_kind", &f->kind, 0, E3_BUDGET_BYTES, kinds, 0, 0, 0},
		{REAL, "budget", &x->o.budget, 0, 1e300, NULL, 0, 0, 0},
		{REAL, "temperature", &x->o.temperature, 1e-6, 1e6, NULL, 0, 0, 0},
		WHOLE_OF("compat", &f->compat, 0, E3_COMPAT_MOST),
		WHOLE_OF("frames", &f->frames, -1, index),
		WHOLE_OF("camera_frames", &f->camera_frames, 2, 1 << 20),
		WHOLE_OF("poses", &f->poses, 0, 1),
		WHOLE_OF("camera_caches", &f->caches, 0, 1 << 16),
		WHOLE_OF("camera_heads", &f->cam_heads, 0, 4096),
		WHOLE_OF("camera_head_dim", &f->cam_head_dim, 0, 1 << 16),
		WHOLE_OF("camera_keys", &f->cam_keys, 0, 1 << 22),
		WHOLE_OF("camera_room", &f->cam_frames, 0, 1 << 20),
		WHOLE_OF("first_i", &f->first_i, 0, index),
		WHOLE_OF("last_i", &f->last_i, 0, index),
		WHOLE_OF("first_crc", &f->first_crc, 0, UINT32_MAX),
		WHOLE_OF("last_crc", &f->last_crc, 0, UINT32_MAX),
		{REAL, "last_pts", &x->position.last_pts, -1e300, 1e300, NULL, 0, 0, 0},
		WHOLE_OF("shift_i", &f->shift_i, -index, index),
		{REAL, "shift_pts", &x->position.shift_pts, -1e300, 1e300, NULL, 0, 0, 0},
		WHOLE_OF("truths", &f->truths, 0, index),
		WHOLE_OF("fit", &f->fit, 0, 255),
		TEXT_OF("source", x->position.source),
		LATER_OF("segment", &f->segment, 0, 1e6, 0),
		LATER_OF("overlap", &f->overlap, 0, 1e6, 0),
		LATER_OF("loop_places", &f->places, 0, 1e5, 0),
		LATER_OF("earlier", &f->earlier, 0, index, 0),
		LATER_OF("side", &f->side, 0, 1 << 20, 0),
		LATER_OF("side_t", &f->side_t, 0, E3_HOLE, 0),
		LATER_LIST_OF("side_slots", x->past[1].slots, slot),
		LATER_LIST_OF("side_holes", x->past[1].holes, slot),
		LATER_OF("protect_first", &f->protect_first, 0, 1, 1),
		LATER_OF("seed", &f->seed, 0, UINT32_MAX, 0),
		LATER_OF("banks", &f->banks, 0, E3_MAX_LAYERS, 0),
		LATER_OF("bank_numbers", &f->bank_numbers, 0, 1 << 16, 0),
		SINCE(3, "window", &f->window, 0, 1 << 20, 0),
		SINCE(3, "keyframe", &f->keyframe, 0, 1e6, 1),
		SINCE(3, "keys", &f->keys, 1, E3_HOLE, -1),
		SINCE(3, "start", &f->start, 1, 1 << 16, 1),
		SINCE(3, "side_keys", &f->side_keys, 0, E3_HOLE, -1),
		SINCE(3, "side_start", &f->side_start, 1, 1 << 16, 1),
		SINCE(4, "packed", &f->packed, 0, 2, 0),
		{LIST, "wide", x->wide, 0, UINT32_MAX, NULL, 0, 4, 0},
		LATER_OF("extra", &f->extra, 0, (double)E3_SAVED_EXTRA_MOST, 0),
	};
	memcpy(out, table, sizeof table);
}

static json_t *value_of(const field *f, int64_t layers)
{
	json_t *list;
	switch (f->type) {
	case WHOLE:
		return json_integer(*(const int64_t *)f->at);
	case WORD:
		return json_string(f->words[*(const int64_t *)f->at]);
	case POLICY:
		return json_string((*(const e3_policy *const *)f->at)->name);
	case REAL:
		return json_real(*(const double *)f->at);
	case TEXT:
		list = json_string(f->at);
		return list ? list : json_string("?"); /* not UTF-8: it is only shown in messages */
	default:
		list = json_array();
		for (int64_t k = 0; list && k < layers; k++)
			json_array_append_new(list, json_integer(((const uint32_t *)f->at)[k]));
		return list;
	}
}

static bool left_out(const field *f, int64_t layers)
{
	if (f->since && f->type == LIST)
		for (int64_t k = 0; k < layers; k++)
			if (((const uint32_t *)f->at)[k])
				return false;
	return f->since && (f->type == LIST || *(const int64_t *)f->at == f->absent);
}

static int64_t type_of(const e3_infer_options *o)
{
	return o->pack == E3_PACK_NONE ? (int64_t)o->cached
		: o->pack == E3_PACK_BF16  ? (int64_t)E3_BF16
								   : PACKED + (int64_t)(o->pack - E3_PACK_FP8);
}

int e3_saved_head_write(const e3_saved *x, e3_buf *json, uint32_t *version, e3_err *err)
{
	const e3_infer_options *o = &x->o;
	const e3_stream_position *p = &x->position;
	e3_saved copy = *x;
	flat f = {.width = x->size[1],
		.height = x->size[0],
		.layers = x->layers,
		.heads = x->heads,
		.head_dim = x->head_dim,
		.tokens = x->tokens_per_frame,
		.t = x->past[0].t,
		.peak = (int64_t)x->peak_tokens,
		.kind = o->budget_kind,
		.type = type_of(o),
		.compat = o->compat,
		.frames = o->frames,
		.camera_frames = o->camera_frames,
		.caches = x->camera_caches,
		.cam_heads = x->camera_heads,
		.cam_head_dim = x->camera_head_dim,
		.cam_keys = x->past[0].camera_keys,
		.cam_frames = x->camera_frames,
		.first_i = p->first_i,
		.last_i = p->last_i,
		.shift_i = p->shift_i,
		.first_crc = p->first_crc,
		.last_crc = p->last_crc,
		.truths = p->truths,
		.fit = p->fit,
		.poses = !!(o->outputs & E3_OUT_POSE),
		.segment = o->segment,
		.overlap = p->overlap,
		.places = p->places,
		.earlier = p->earlier,
		.side = o->side,
		.side_t = x->past[1].t,
		.protect_first = !o->free_first,
		.seed = o->seed,
		.banks = x->banks,
		.bank_numbers = x->bank_numbers,
		.window = o->policy->slides ? o->window : 0,
		.keyframe = o->keyframe,
		.keys = x->past[0].keys == x->past[0].t ? -1 : x->past[0].keys,
		.start = x->past[0].start,
		.side_keys = x->past[1].keys == x->past[1].t ? -1 : x->past[1].keys,
		.side_start = x->past[1].t ? x->past[1].start : 1,
		.packed = x->packed == E3_I8 ? 1
			: x->packed == E3_F8     ? 2
									 : 0,
		.extra = (int64_t)x->extra};
	snprintf(f.fingerprint, sizeof f.fingerprint, "%016" PRIx64, x->fingerprint);
	field table[FIELDS];
	table_of(&f, &copy, table);
	json_t *object = json_object();
	int rc = object ? 0 : -1;
	*version = f.type >= PACKED ? 4 : 1;
	for (int k = 0; !rc && table[k].key; k++) {
		if (left_out(&table[k], f.layers))
			continue;
		*version = table[k].since > *version ? table[k].since : *version;
		rc = json_object_set_new(object, table[k].key, value_of(&table[k], f.layers));
	}
	char *text = rc ? NULL : json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
	json_decref(object);
	if (!text)
		return e3_fail(err, "header: out of memory");
	rc = e3_buf_printf(json, err, "%s\n", text);
	free(text);
	return rc;
}

static int read_list(const field *f, const json_t *v, int64_t layers, e3_err *err)
{
	if (!json_is_array(v) || (int64_t)json_array_size(v) != layers)
		return e3_fail(err, "header: %s: expected a list of %" PRId64 " numbers", f->key, layers);
	for (int64_t k = 0; k < layers; k++) {
		const json_t *item = json_array_get(v, (size_t)k);
		if (!json_is_integer(item) || json_integer_value(item) < 0 || (double)json_integer_value(item) > f->max)
			return e3_fail(err, "header: %s: layer %" PRId64 ": expected a whole number from 0 to %.0f", f->key, k,
				f->max);
		((uint32_t *)f->at)[k] = (uint32_t)json_integer_value(item);
	}
	return 0;
}

static int read_text(const field *f, const json_t *v, e3_err *err)
{
	const char *text = json_string_value(v);
	if (!text || strlen(text) >= f->n)
		return e3_fail(err, "header: %s: expected a text of at most %zu bytes", f->key, f->n - 1);
	memcpy(f->at, text, strlen(text) + 1);
	return 0;
}

static int read_word(const field *f, const json_t *v, e3_err *err)
{
	const char *text = json_string_value(v);
	for (int64_t k = 0; text && k <= (int64_t)f->max; k++)
		if (strcmp(text, f->words[k]) == 0) {
			*(int64_t *)f->at = k;
			return 0;
		}
	return e3_fail(err, "header: %s: '%.40s' is not known to this program", f->key, text ? text : "(no text)");
}

static int read_policy(const field *f, const json_t *v, e3_err *err)
{
	const char *text = json_string_value(v);
	const e3_policy *policy = text ? e3_policy_find(text) : NULL;
	if (!policy)
		return e3_fail(err, "header: %s: '%.40s' is not known to this program", f->key, text ? text : "(no text)");
	*(const e3_policy **)f->at = policy;
	return 0;
}

static int read_field(const field *f, const json_t *v, int64_t layers, e3_err *err)
{
	if (f->since && !v) {
		if (f->type == WHOLE)
			*(int64_t *)f->at = f->absent;
		return 0;
	}
	switch (f->type) {
	case LIST:
		return read_list(f, v, layers, err);
	case TEXT:
		return read_text(f, v, err);
	case WORD:
		return read_word(f, v, err);
	case POLICY:
		return read_policy(f, v, err);
	case WHOLE:
		if (!json_is_integer(v) || (double)json_integer_value(v) < f->min || (double)json_integer_value(v) > f->max)
			return e3_fail(err, "header: %s: expected a whole number from %.0f to %.0f", f->key, f->min, f->max);
		*(int64_t *)f->at = json_integer_value(v);
		return 0;
	default:
		if (!json_is_number(v) || !(json_number_value(v) >= f->min && json_number_value(v) <= f->max))
			return e3_fail(err, "header: %s: expected a number from %g to %g", f->key, f->min, f->max);
		*(double *)f->at = json_number_value(v);
		return 0;
	}
}

static void unflatten(const flat *f, e3_saved *x)
{
	x->size[0] = (int)f->height, x->size[1] = (int)f->width;
	x->layers = (int)f->layers, x->heads = (int)f->heads, x->head_dim = (int)f->head_dim,
	x->tokens_per_frame = (int)f->tokens;
	x->past[0].t = f->t, x->past[1].t = f->side_t, x->peak_tokens = (uint64_t)f->peak;
	x->o.budget_kind = (e3_budget_kind)f->kind, x->o.cached = f->type < PACKED ? (e3_dtype)f->type : E3_F32;
	x->o.pack = f->type >= PACKED ? (e3_kv_pack)(E3_PACK_FP8 + f->type - PACKED)
		: f->type == E3_BF16      ? E3_PACK_BF16
								  : E3_PACK_NONE;
	x->o.compat = (int)f->compat, x->o.frames = f->frames, x->o.camera_frames = (int)f->camera_frames;
	x->o.segment = f->segment, x->o.side = f->side, x->extra = (uint64_t)f->extra;
	x->position.overlap = f->overlap, x->position.places = f->places, x->position.earlier = f->earlier;
	x->o.free_first = !f->protect_first, x->o.seed = (uint32_t)f->seed;
	x->banks = (int)f->banks, x->bank_numbers = (int)f->bank_numbers;
	x->o.outputs = f->poses ? E3_OUT_POSE : 0;
	x->camera_caches = (int)f->caches, x->camera_heads = (int)f->cam_heads, x->camera_head_dim = (int)f->cam_head_dim;
	x->past[0].camera_keys = (int)f->cam_keys, x->camera_frames = (int)f->cam_frames;
	x->o.window = f->window ? (int)f->window : x->o.window, x->o.keyframe = (int)f->keyframe;
	x->past[0].keys = f->keys < 0 ? f->t : f->keys, x->o.start = x->past[0].start = (int)f->start;
	x->past[1].keys = f->side_keys < 0 ? f->side_t : f->side_keys, x->past[1].start = (int)f->side_start;
	x->past[1].camera_keys = e3_saved_camera_keys(x, x->past[1].keys);
	x->position.first_i = f->first_i, x->position.last_i = f->last_i, x->position.shift_i = f->shift_i,
	x->position.truths = f->truths, x->position.fit = (int)f->fit;
	x->position.first_crc = (uint32_t)f->first_crc, x->position.last_crc = (uint32_t)f->last_crc;
	x->packed = f->packed == 1 ? E3_I8 : f->packed == 2 ? E3_F8 : 0;
	x->fingerprint = strtoull(f->fingerprint, NULL, 16);
}

int e3_saved_camera_keys(const e3_saved *x, int64_t frames)
{
	int64_t held = frames < x->camera_frames ? frames : x->camera_frames;
	return x->camera_caches ? (int)held * (x->o.compat & E3_COMPAT_CAMERA ? 4 : 1) : 0;
}

uint64_t e3_saved_frames(const e3_saved *x, const e3_saved_past *p, int layer)
{
	return (p->slots[layer] - p->holes[layer]) / (uint32_t)x->tokens_per_frame;
}

static int past_agrees(const e3_saved *x, const e3_saved_past *p, e3_err *err)
{
	for (int l = 0; l < x->layers; l++) {
		if (p->holes[l] > p->slots[l] || p->holes[l] > (uint32_t)x->tokens_per_frame)
			return e3_fail(err, "header: layer %d: %u holes in %u slots, with %d tokens a frame", l, p->holes[l],
				p->slots[l], x->tokens_per_frame);
		if (!p->t && p->slots[l])
			return e3_fail(err, "header: layer %d: %u slots after no frame", l, p->slots[l]);
	}
	if (p->keys > p->t || (p->t && (p->keys < 1 || p->start > p->keys)))
		return e3_fail(err, "header: %" PRId64 " key frames of %" PRId64 ", %d at the start", p->keys, p->t, p->start);
	if ((uint64_t)p->t * (uint64_t)x->tokens_per_frame >= E3_HOLE)
		return e3_fail(err, "header: %" PRId64 " frames of %d tokens: token ids would pass 32 bits", p->t,
			x->tokens_per_frame);
	return 0;
}

static int agree(const e3_saved *x, e3_err *err)
{
	const e3_infer_options *o = &x->o;
	const e3_saved_past *main = &x->past[0], *side = &x->past[1];
	int64_t seen = e3_saved_seen(x);
	if (past_agrees(x, main, err) || past_agrees(x, side, err))
		return -1;
	if (side->t && !o->side)
		return e3_fail(err, "header: %" PRId64 " frames beside the stream, of a session that has no side", side->t);
	if (x->position.last_i < x->position.first_i || x->position.last_i < seen - 1)
		return e3_fail(err, "header: frame %" PRId64 " is the last of %" PRId64 ", and %" PRId64 " the first",
			x->position.last_i, seen, x->position.first_i);
	if (!o->policy->keeps_all && o->budget_kind == E3_BUDGET_FRACTION && (e3_plan_frames(o) < 1 || o->budget > 1))
		return e3_fail(err, "header: a budget of %g of %" PRId64 " frames", o->budget, e3_plan_frames(o));
	bool whole = o->policy->whole.rule;
	if (x->banks != (!whole ? 0 : o->policy->whole.by_layer ? x->layers : 1) || whole != (x->bank_numbers > 0))
		return e3_fail(err, "header: %d sets of frames, with policy %s", x->banks, o->policy->name);
	if (!x->camera_caches != !(o->outputs & E3_OUT_POSE) ||
		(x->camera_caches && (!x->camera_heads || !x->camera_head_dim)) ||
		main->camera_keys != e3_saved_camera_keys(x, main->keys))
		return e3_fail(err, "header: camera memory: %d caches of %d keys after %" PRId64 " frames", x->camera_caches,
			main->camera_keys, main->t);
	return 0;
}

int e3_saved_head_read(const char *json, size_t n, e3_saved *x, e3_err *err)
{
	json_error_t why;
	flat f = {0};
	field table[FIELDS];
	*x = (e3_saved){.o = e3_infer_defaults()};
	json_t *object = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(object)) {
		json_decref(object);
		return e3_fail(err, "header: not a JSON object: %s", object ? "something else" : why.text);
	}
	table_of(&f, x, table);
	int rc = 0;
	for (int k = 0; !rc && table[k].key; k++)
		rc = read_field(&table[k], json_object_get(object, table[k].key), f.layers, err);
	json_decref(object);
	if (rc)
		return -1;
	unflatten(&f, x);
	return agree(x, err);
}

uint64_t e3_saved_slot(const e3_saved *x)
{
	const e3_kv kv = {.dtype = x->o.cached, .heads = x->heads, .head_dim = x->head_dim, .pack = x->o.pack};
	return e3_kv_token(&kv) + 16;
}

uint64_t e3_saved_body(const e3_saved *x)
{
	uint64_t row = e3_saved_slot(x), n = 0;
	bool sane = true; /* the ranges of the header keep every product below 2^64; this check, the sums */
	for (int k = 0; k < 2; k++) {
		const e3_saved_past *p = &x->past[k];
		uint64_t camera = 8 * (uint64_t)x->camera_heads * (uint64_t)x->camera_head_dim * (uint64_t)p->camera_keys + 4;
		sane = sane && camera < 1ull << 46;
		for (int l = 0; p->t && l < x->layers; l++) {
			sane = sane && row * p->slots[l] < 1ull << 50;
			n += row * p->slots[l] + 4;
		}
		n += p->t ? camera * (uint64_t)x->camera_caches : 0;
		for (int l = 0; p->t && l < x->banks; l++)
			n += 4 * e3_saved_frames(x, p, l) * (uint64_t)x->bank_numbers + 4;
	}
	n += x->extra ? x->extra + 4 : 0;
	return sane ? n : 0;
}
