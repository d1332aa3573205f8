/* model: frame and global blocks in turn over the tokens of one frame; global blocks see the cache (doc/network.md 5).
 * Owns the order: append to the cache, attend, take the mass when it is wanted, keep the outputs the heads need. */
#include "e3/mem.h"
#include "session.h"
#include <stdlib.h>

/* Releases *device and *host and allocates n floats for them; `host` NULL: only on the device. */
static int replace(e3_session *s, float **device, float **host, size_t n, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	ops->free(s->dev, *device);
	*device = NULL;
	if (host)
		ops->free_host(s->dev, *host), *host = NULL;
	return e3_dev_floats(s->dev, n, device, err) ||
			(host && ops->alloc_host(s->dev, n * sizeof **host, (void **)host, err))
		? -1
		: 0;
}

/* Room for the masses of a frame that sees n keys over all layers. */
static int room_for_masses(e3_session *s, size_t n, e3_err *err)
{
	e3_masses *m = &s->mass;
	m->used = 0;
	if (n <= m->cap)
		return 0;
	m->cap = 0;
	if (replace(s, &m->device, s->o.attn ? &m->host : NULL, n, err))
		return -1;
	m->cap = n;
	return 0;
}

/* With a budget the room is what the budget allows, allocated once. */
static int open_masses(e3_session *s, e3_err *err)
{
	size_t layers = (size_t)s->net->c.layers;
	e3_masses *m = &s->mass;
	m->layer = e3_alloc(layers, sizeof *m->layer, "masses", err);
	m->host_layer = e3_alloc(layers, sizeof *m->host_layer, "masses", err);
	m->attn_map = e3_alloc(layers, sizeof *m->attn_map, "masses", err);
	if (!m->layer || !m->host_layer || !m->attn_map)
		return -1;
	return s->plan.pages ? room_for_masses(s, (size_t)s->plan.pages * (size_t)s->plan.page_keys, err) : 0;
}

/* Without one it grows with the cache, by half each time, and only if reports are wanted. */
static int prepare_masses(e3_session *s, e3_err *err)
{
	size_t n = 0;
	if (!s->plan.pages && !s->o.attn)
		return 0;
	for (int l = 0; l < s->past->cache.layers; l++)
		n += e3_cache_count(&s->past->cache, l) + (size_t)s->plan.tokens_per_frame;
	return room_for_masses(s, n <= s->mass.cap ? n : n + n / 2, err);
}

int e3_aggregate_open(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	size_t n = (size_t)s->plan.tokens_per_frame, most = n > (size_t)s->vit_tokens ? n : (size_t)s->vit_tokens,
		   dim = (size_t)c->embed;
	size_t patches = n - (size_t)s->plan.special;
	int shape[4] = {c->layers, c->heads, c->head_dim, s->plan.page_keys};
	size_t hidden = (size_t)(c->hidden > c->vit_hidden ? c->hidden : c->vit_hidden);
	e3_arena *a = &s->arena;
	e3_dtype attn = s->dev->attn_dtype, feature = s->dev->feature_dtype;
	if (e3_arena_floats(a, n * dim, &s->x, err) || e3_arena_alloc(a, attn, most * dim, &s->q, err) ||
		e3_arena_alloc(a, attn, most * dim, &s->attended, err) ||
		e3_arena_alloc(a, feature, most * hidden, &s->hidden, err) ||
		e3_arena_floats(a, n * (size_t)c->heads, &s->lse, err) || e3_arena_floats(a, 2 * dim, &s->last, err) ||
		e3_rope_open(s, err) || e3_self_open(a, &s->self, (const int[]){(int)n, c->heads, c->head_dim}, err) ||
		e3_cache_open(&s->pasts[0].cache, s->dev, shape, s->plan.pages, err) ||
		(s->o.side && e3_cache_share(&s->pasts[1].cache, &s->pasts[0].cache, err)))
		return -1;
	if (s->o.policy->scoring.measure == E3_MEASURE_NOVELTY &&
		(e3_arena_floats(a, n * dim, &s->before, err) || e3_arena_floats(a, n * (size_t)c->layers, &s->shift, err)))
		return -1;
	if (s->o.outputs & (E3_OUT_DEPTH | E3_OUT_POINTS))
		for (int k = 0; k < E3_DPT_LEVELS; k++)
			if (e3_arena_floats(a, patches * 2 * dim, &s->cat[k], err))
				return -1;
	s->slot = e3_alloc(n * (size_t)c->layers, sizeof *s->slot, "slots", err);
	return s->slot ? open_masses(s, err) : -1;
}

void e3_aggregate_close(e3_session *s)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_masses *m = &s->mass;
	for (int l = 0; m->attn_map && l < s->net->c.layers; l++)
		ops->free(s->dev, m->attn_map[l].device), ops->free_host(s->dev, m->attn_map[l].host);
	ops->free(s->dev, m->device), ops->free_host(s->dev, m->host);
	free(m->layer), free(m->host_layer), free(m->attn_map);
}

/* Copies the tokens as they are now into one half of what the heads will read. */
static int keep(e3_session *s, int layer, int half, e3_err *err)
{
	const e3_config *c = &s->net->c;
	int dim = c->embed, special = s->plan.special, patches = s->plan.tokens_per_frame - special;
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		if (c->dpt_layers[k] == layer && s->cat[k] &&
			s->dev->ops->copy_rows(s->dev, (e3_rows){s->x + (size_t)special * (size_t)dim, patches, dim}, dim,
				(e3_rows){s->cat[k] + (size_t)half * (size_t)dim, patches, 2 * dim}, err))
			return -1;
	if (layer == c->layers - 1)
		return s->dev->ops->copy(s->dev, e3_tensor_f32(s->last + (size_t)half * (size_t)dim), e3_tensor_f32(s->x),
			(size_t)dim, err);
	return 0;
}

/* Asks for the mass of every key of this layer; for a report also on the host, and its attention map. */
static int take_mass(e3_session *s, int layer, const e3_kv *kv, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_masses *m = &s->mass;
	struct e3_attn_map *map = &m->attn_map[layer];
	bool report = e3_session_reports(s, layer), with_map = report && s->o.attn_map;
	size_t n = (size_t)kv->n_keys, rows = (size_t)s->plan.tokens_per_frame;
	m->layer[layer] = m->device + m->used;
	if (report)
		m->host_layer[layer] = m->host + m->used;
	m->used += n;
	if (with_map && map->cap < rows * n) {
		map->cap = 0;
		if (replace(s, &map->device, &map->host, rows * n, err))
			return -1;
		map->cap = rows * n;
	}
	e3_mass mass = {s->q, (int)rows, kv, s->lse, m->layer[layer], with_map ? map->device : NULL};
	e3_tensor here = e3_tensor_f32(m->layer[layer]);
	return ops->mass(s->dev, &mass, err) || (report && ops->fetch(s->dev, m->host_layer[layer], here, n, err)) ||
			(with_map && ops->fetch(s->dev, map->host, e3_tensor_f32(map->device), rows * n, err))
		? -1
		: 0;
}

/* Slots for the frame's tokens in all layers, before the first layer runs: the device is told once, for all of them. */
static int enter(e3_session *s, e3_err *err)
{
	int n = s->plan.tokens_per_frame;
	e3_entered entered[E3_MAX_LAYERS];
	e3_kv view[E3_MAX_LAYERS];
	for (int l = 0; l < s->past->cache.layers; l++) {
		uint32_t first = (uint32_t)(s->past->t * n), *slot = s->slot + (size_t)l * (size_t)n;
		if (e3_cache_append(&s->past->cache, l, first, n, slot, err))
			return e3_fail_in(err, "layer %d", l);
		view[l] = e3_cache_view(&s->past->cache, l);
		entered[l] = (e3_entered){&view[l], slot, n, first, s->o.free_first};
	}
	return s->dev->ops->enter(s->dev, entered, s->past->cache.layers, err);
}

static int global_step(e3_session *s, int layer, e3_err *err)
{
	uint32_t n = (uint32_t)s->plan.tokens_per_frame;
	e3_kv kv = e3_cache_view(&s->past->cache, layer);
	bool wanted = e3_evictor_needs_mass(&s->past->evictor, s->past->t) || e3_session_reports(s, layer);
	e3_block_run run = {.block = &s->net->global[layer],
		.x = s->x,
		.rows = (int)n,
		.rope = s->rope.global,
		.kv = &kv,
		.slot = s->slot + (size_t)layer * n,
		.q = s->q,
		.attended = s->attended,
		.hidden = s->hidden,
		.lse = wanted ? s->lse : NULL,
		.before = s->before,
		.shift = e3_evictor_needs_shift(&s->past->evictor, s->past->t) ? s->shift + (size_t)layer * n : NULL};
	e3_match match = {s->q, (int)n, s->plan.special, E3_MATCH_POOL, &kv};
	return e3_block_step(s->dev, &run, err) || (wanted && take_mass(s, layer, &kv, err)) ||
			(e3_evictor_needs_match(&s->past->evictor, s->past->t) && s->dev->ops->match(s->dev, &match, err))
		? -1
		: 0;
}

/* One of the three sets of special tokens (net.h). */
static int put_special(e3_session *s, size_t which, e3_err *err)
{
	size_t n = (size_t)s->plan.special * (size_t)s->net->c.embed;
	return s->dev->ops->copy(s->dev, e3_tensor_f32(s->x), e3_tensor_f32(s->net->special + which * n), n, err);
}

int e3_aggregate_step(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	if (prepare_masses(s, err) || enter(s, err) || put_special(s, s->past->t ? 2 : 0, err) ||
		e3_rope_at(s, s->past->keys, err))
		return -1;
	for (int layer = 0; layer < c->layers; layer++) {
		e3_block_run run = {.block = &s->net->frame[layer],
			.x = s->x,
			.rows = s->plan.tokens_per_frame,
			.rope = s->rope.grid,
			.kv = &s->self.kv,
			.slot = s->self.slot,
			.q = s->q,
			.attended = s->attended,
			.hidden = s->hidden};
		e3_activation frame = {"agg", layer, "frame", e3_tensor_f32(s->x), {s->plan.tokens_per_frame, c->embed}},
					  global = frame;
		global.part = "global";
		if (e3_block_step(s->dev, &run, err) || s->dev->ops->note(s->dev, &frame, err) || keep(s, layer, 0, err) ||
			global_step(s, layer, err) || s->dev->ops->note(s->dev, &global, err) || keep(s, layer, 1, err))
			return e3_fail_in(err, "layer %d", layer);
	}
	return 0;
}
