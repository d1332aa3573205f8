/* wire: evict and attn into structs: what the cache and the attention did. Refuses unsorted ids and lists that
 * disagree. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "order.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const char *name, const e3_array *ids, e3_err *err)
{
	for (size_t k = 1; k < ids->count; k++) {
		uint32_t before = e3_le32(ids->data + 4 * (k - 1)), now = e3_le32(ids->data + 4 * k);
		if (now <= before)
			return e3_fail(err, "%s: [%zu] is %" PRIu32 " after %" PRIu32 ", ids must ascend", name, k, now, before);
	}
	return 0;
}

static int layer_fill(e3_cursor *c, e3_evict_layer *x, e3_err *err)
{
	e3_array q, removed;
	e3_field table[] = {
		E3_NEED(INT, "layer", &x->layer),
		E3_NEED(U32, "k_before", &x->k_before),
		E3_NEED(U32, "k_after", &x->k_after),
		E3_NEED(REAL, "budget", &x->budget),
		E3_NEED(REAL, "alpha", &x->alpha),
		E3_NEED(REAL, "variance", &x->variance),
		E3_NEED(U32, "saturated", &x->saturated),
		E3_NEED(U32, "protected", &x->prot),
		E3_NEED(ARRAY, "score_q", &q),
		E3_NEED(SINGLE, "max_evicted", &x->max_evicted),
		E3_NEED(SINGLE, "min_kept", &x->min_kept),
		E3_NEED(ARRAY, "removed", &removed),
		{.type = E3_F_END},
	};
	if (e3_fields_read(c, table, err) || e3_decode_want(&q, "score_q", E3_ARRAY_F32, 1, (size_t[]){9}, err) ||
		e3_decode_want(&removed, "removed", E3_ARRAY_U32, 0, NULL, err) || ascending("removed", &removed, err))
		return -1;
	if (x->k_after > x->k_before || x->k_before - x->k_after != removed.count)
		return e3_fail(err, "%" PRIu32 " tokens before, %" PRIu32 " after, but %zu removed", x->k_before, x->k_after,
			removed.count);
	memcpy(x->score_q, q.data, sizeof x->score_q);
	if (e3_decode_take(&x->removed, x->removed ? x->n_removed : 0, &removed, "removed ids", err))
		return -1;
	x->n_removed = removed.count;
	return 0;
}

/* One struct serves a stream: the layers are kept when their number is the same. */
static int layers_room(e3_evict *x, size_t n, e3_err *err)
{
	if (x->layer && (size_t)x->n_layers == n)
		return 0;
	e3_evict_release(x);
	x->layer = e3_alloc(n, sizeof *x->layer, "eviction layers", err);
	if (!x->layer)
		return -1;
	x->n_layers = (int)n;
	return 0;
}

static int evict_fill(const e3_msg *msg, e3_evict *x, e3_err *err)
{
	e3_list layers;
	int64_t i;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_NEED(LIST, "layers", &layers),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_EVICT, table, err))
		return -1;
	if (layers.n > E3_MAX_EVICT_LAYERS)
		return e3_fail(err, "layers: %zu, at most %d are allowed", layers.n, E3_MAX_EVICT_LAYERS);
	if (layers_room(x, layers.n, err))
		return -1;
	for (size_t k = 0; k < layers.n; k++)
		if (layer_fill(&layers.at, &x->layer[k], err))
			return e3_fail_in(err, "layers[%zu]", k);
	x->i = i;
	return 0;
}

int e3_evict_decode(const e3_msg *msg, e3_evict *x, e3_err *err)
{
	if (evict_fill(msg, x, err) == 0)
		return 0;
	e3_evict_release(x);
	return e3_decode_failed(msg, err);
}

static int attn_fill(const e3_msg *msg, e3_attn *x, e3_err *err)
{
	e3_array key, mass, frame_mass, map;
	int64_t i;
	int layer;
	bool has_map;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_NEED(INT, "layer", &layer),
		E3_NEED(ARRAY, "key", &key),
		E3_NEED(ARRAY, "mass", &mass),
		E3_NEED(ARRAY, "frame_mass", &frame_mass),
		E3_MAY(ARRAY, "map", &map, &has_map),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_ATTN, table, err))
		return -1;
	if (e3_decode_want(&key, "key", E3_ARRAY_U32, 0, NULL, err) || ascending("key", &key, err) ||
		e3_decode_want(&mass, "mass", E3_ARRAY_F32, 1, &key.count, err) ||
		e3_decode_want(&frame_mass, "frame_mass", E3_ARRAY_F32, 0, NULL, err))
		return -1;
	if (has_map && e3_decode_want(&map, "map", E3_ARRAY_F32, 2, (size_t[]){map.shape[0], key.count}, err))
		return -1;
	size_t held = (size_t)x->map_rows * x->map_cols;
	if (!has_map) {
		free(x->map);
		x->map = NULL;
		x->map_rows = x->map_cols = 0;
	} else {
		if (e3_decode_take(&x->map, held, &map, "attention map", err))
			return -1;
		x->map_rows = map.shape[0], x->map_cols = map.shape[1];
	}
	if (e3_decode_take(&x->key, x->n_keys, &key, "key ids", err) ||
		e3_decode_take(&x->mass, x->n_keys, &mass, "mass", err) ||
		e3_decode_take(&x->frame_mass, x->n_frames, &frame_mass, "frame mass", err))
		return -1;
	x->n_keys = (uint32_t)key.count, x->n_frames = (uint32_t)frame_mass.count;
	x->i = i, x->layer = layer;
	return 0;
}

int e3_attn_decode(const e3_msg *msg, e3_attn *x, e3_err *err)
{
	if (attn_fill(msg, x, err) == 0)
		return 0;
	e3_attn_release(x);
	return e3_decode_failed(msg, err);
}
