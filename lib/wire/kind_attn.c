/* wire: an attention record: where the queries of a frame looked. Refuses ids that do not ascend and lists that
 * disagree. */
#include "out.h"
#include "unpack.h"
#include <inttypes.h>
#include <stdlib.h>

static int encode(e3_pack *p, const e3_attn *x, e3_err *err)
{
	if (x->map && x->map_cols != x->n_keys)
		return e3_fail(err, "attn %" PRId64 ": map has %" PRIu32 " columns for %" PRIu32 " keys", x->i, x->map_cols,
			x->n_keys);
	e3_pack_begin(p, E3_ATTN, x->i);
	e3_pack_int(p, "i", x->i);
	e3_pack_cache(p, x->segment, x->first);
	e3_pack_int(p, "layer", x->layer);
	e3_pack_array(p, "key", E3_ARRAY_U32, x->key, 1, (size_t[]){x->n_keys});
	e3_pack_array(p, "mass", E3_ARRAY_F32, x->mass, 1, (size_t[]){x->n_keys});
	e3_pack_array(p, "frame_mass", E3_ARRAY_F32, x->frame_mass, 1, (size_t[]){x->n_frames});
	if (x->map)
		e3_pack_array(p, "map", E3_ARRAY_F32, x->map, 2, (size_t[]){x->map_rows, x->map_cols});
	return e3_pack_finish(p, err);
}

int e3_out_attn(e3_out *out, const e3_attn *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int attn_fill(const e3_msg *msg, e3_attn *x, bool take, e3_err *err)
{
	e3_array key, mass, frame_mass, map;
	int64_t i, segment, first;
	int layer;
	bool has_map, has_segment, has_first;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_MAY(I64, "segment", &segment, &has_segment),
		E3_MAY(I64, "first", &first, &has_first),
		E3_NEED(INT, "layer", &layer),
		E3_NEED(ARRAY, "key", &key),
		E3_NEED(ARRAY, "mass", &mass),
		E3_NEED(ARRAY, "frame_mass", &frame_mass),
		E3_MAY(ARRAY, "map", &map, &has_map),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_ATTN, table, err) || e3_decode_cache(has_segment, has_first, i, &segment, &first, err))
		return -1;
	if (e3_decode_want(&key, "key", E3_ARRAY_U32, 0, NULL, err) || e3_decode_ascending("key", &key, err) ||
		e3_decode_want(&mass, "mass", E3_ARRAY_F32, 1, &key.count, err) ||
		e3_decode_want(&frame_mass, "frame_mass", E3_ARRAY_F32, 0, NULL, err))
		return -1;
	if (has_map && e3_decode_want(&map, "map", E3_ARRAY_F32, 2, (size_t[]){map.shape[0], key.count}, err))
		return -1;
	if (!take)
		return 0;
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
	x->i = i, x->layer = layer, x->segment = segment, x->first = first;
	return 0;
}

int e3_attn_check(const e3_msg *msg, e3_err *err)
{
	e3_attn x = {.i = 0};
	return attn_fill(msg, &x, false, err) ? e3_decode_failed(msg, err) : 0;
}

int e3_attn_decode(const e3_msg *msg, e3_attn *x, e3_err *err)
{
	if (attn_fill(msg, x, true, err) == 0)
		return 0;
	e3_attn_release(x);
	return e3_decode_failed(msg, err);
}
