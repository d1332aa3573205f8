/* wire: an eviction record: what the cache did after a frame. Refuses ids that do not ascend and counts that disagree.
 */
#include "checks.h"
#include "e3/mem.h"
#include "out.h"
#include "unpack.h"
#include <inttypes.h>
#include <string.h>

static int pack_layer(e3_pack *p, const e3_evict_layer *x, e3_err *err)
{
	if (e3_reals_check("budget", &x->budget, 1, err) || e3_reals_check("alpha", &x->alpha, 1, err) ||
		e3_reals_check("variance", &x->variance, 1, err))
		return -1;
	if (x->k_after > x->k_before || x->k_before - x->k_after != x->n_removed)
		return e3_fail(err, "%" PRIu32 " tokens before, %" PRIu32 " after, but %zu removed", x->k_before, x->k_after,
			x->n_removed);
	e3_pack_map(p, 12);
	e3_pack_int(p, "layer", x->layer);
	e3_pack_int(p, "k_before", x->k_before);
	e3_pack_int(p, "k_after", x->k_after);
	e3_pack_real(p, "budget", x->budget);
	e3_pack_real(p, "alpha", x->alpha);
	e3_pack_real(p, "variance", x->variance);
	e3_pack_int(p, "saturated", x->saturated);
	e3_pack_int(p, "protected", x->prot);
	e3_pack_array(p, "score_q", E3_ARRAY_F32, x->score_q, 1, (size_t[]){9});
	e3_pack_single(p, "max_evicted", x->max_evicted);
	e3_pack_single(p, "min_kept", x->min_kept);
	e3_pack_array(p, "removed", E3_ARRAY_U32, x->removed, 1, &x->n_removed);
	return 0;
}

static int encode(e3_pack *p, const e3_evict *x, e3_err *err)
{
	e3_pack_begin(p, E3_EVICT, x->i);
	e3_pack_int(p, "i", x->i);
	e3_pack_cache(p, x->segment, x->first);
	if (x->passing)
		e3_pack_int(p, "passing", 1);
	e3_pack_list(p, "layers", (size_t)x->n_layers);
	unsigned fields = p->fields;
	for (int k = 0; k < x->n_layers; k++)
		if (pack_layer(p, &x->layer[k], err))
			return e3_fail_in(err, "evict %" PRId64 ": layers[%d]", x->i, k);
	p->fields = fields;
	return e3_pack_finish(p, err);
}

int e3_out_evict(e3_out *out, const e3_evict *x, e3_err *err)
{
	return e3_out_packed(out, encode(e3_out_pack(out), x, err), err);
}

static int layer_fill(e3_cursor *c, e3_evict_layer *x, bool take, e3_err *err)
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
		e3_decode_want(&removed, "removed", E3_ARRAY_U32, 0, NULL, err) ||
		e3_decode_ascending("removed", &removed, err))
		return -1;
	if (x->k_after > x->k_before || x->k_before - x->k_after != removed.count)
		return e3_fail(err, "%" PRIu32 " tokens before, %" PRIu32 " after, but %zu removed", x->k_before, x->k_after,
			removed.count);
	if (!take)
		return 0;
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

static int evict_fill(const e3_msg *msg, e3_evict *x, bool take, e3_err *err)
{
	e3_list layers;
	e3_evict_layer checked = {.layer = 0};
	int64_t i, segment, first;
	bool has_segment, has_first, said;
	int passing = 0;
	e3_field table[] = {
		E3_NEED(I64, "i", &i),
		E3_MAY(I64, "segment", &segment, &has_segment),
		E3_MAY(I64, "first", &first, &has_first),
		{.type = E3_F_INT, .name = "passing", .to = &passing, .has = &said, .max = 1},
		E3_NEED(LIST, "layers", &layers),
		{.type = E3_F_END},
	};
	if (e3_decode_body(msg, E3_EVICT, table, err) || e3_decode_cache(has_segment, has_first, i, &segment, &first, err))
		return -1;
	if (layers.n > E3_MAX_EVICT_LAYERS)
		return e3_fail(err, "layers: %zu, at most %d are allowed", layers.n, E3_MAX_EVICT_LAYERS);
	if (take && layers_room(x, layers.n, err))
		return -1;
	for (size_t k = 0; k < layers.n; k++)
		if (layer_fill(&layers.at, take ? &x->layer[k] : &checked, take, err))
			return e3_fail_in(err, "layers[%zu]", k);
	x->i = i, x->segment = segment, x->first = first, x->passing = passing;
	return 0;
}

int e3_evict_check(const e3_msg *msg, e3_err *err)
{
	e3_evict x = {.i = 0};
	return evict_fill(msg, &x, false, err) ? e3_decode_failed(msg, err) : 0;
}

int e3_evict_decode(const e3_msg *msg, e3_evict *x, e3_err *err)
{
	if (evict_fill(msg, x, true, err) == 0)
		return 0;
	e3_evict_release(x);
	return e3_decode_failed(msg, err);
}
