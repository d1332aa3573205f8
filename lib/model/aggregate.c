/* model: frame and global blocks in turn over the tokens of one frame; global blocks see the cache (doc/network.md 5).
 * Owns the order: append to the cache, attend, take the mass when it is wanted, keep the outputs the heads need. */
#include "e3/mem.h"
#include "together.h"
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
	size_t n = (size_t)s->net->c.layers * (size_t)s->together;
	e3_masses *m = &s->mass;
	m->layer = e3_alloc(n, sizeof *m->layer, "masses", err);
	m->host_layer = e3_alloc(n, sizeof *m->host_layer, "masses", err);
	m->attn_map = e3_alloc(n, sizeof *m->attn_map, "masses", err);
	if (!m->layer || !m->host_layer || !m->attn_map)
		return -1;
	return s->plan.pages ? room_for_masses(s, (size_t)s->plan.pages * (size_t)s->plan.page_keys, err) : 0;
}

/* Room for the attention maps of n frames that begin together. A map grows with the cache, by half each time, up to
 * what the budget allows. */
static int room_for_maps(e3_session *s, int n, e3_err *err)
{
	size_t rows = (size_t)s->plan.tokens_per_frame, most = rows * (size_t)s->plan.pages * (size_t)s->plan.page_keys;
	for (int at = 0; s->o.attn_map && at < n * s->past->cache.layers; at++) {
		int layer = at % s->past->cache.layers;
		struct e3_attn_map *map = &s->mass.attn_map[at];
		size_t need = rows * (e3_cache_count(&s->past->cache, layer) + (size_t)n * rows), room = need + need / 2;
		if (!e3_session_reports(s, layer) || need <= map->cap)
			continue;
		room = most && room > most ? (need > most ? need : most) : room;
		map->cap = 0;
		if (replace(s, &map->device, &map->host, room, err))
			return -1;
		map->cap = room;
	}
	return 0;
}

/* Without one it grows with the cache, by half each time, and only if reports are wanted; so it does for n frames
 * together, each of which sees all of them. */
static int prepare_masses(e3_session *s, int n, e3_err *err)
{
	size_t all = 0;
	if (room_for_maps(s, n, err))
		return -1;
	if ((!s->plan.pages || n > 1) && !s->o.attn)
		return 0;
	for (int l = 0; l < s->past->cache.layers; l++)
		all += e3_cache_count(&s->past->cache, l) + (size_t)n * (size_t)s->plan.tokens_per_frame;
	all *= (size_t)n;
	return room_for_masses(s, all <= s->mass.cap ? all : all + all / 2, err);
}

/* What the heads read of frame k of a start, or of a lane. */
int e3_aggregate_open_kept(e3_session *s, e3_arena *a, float **cat, float **last, e3_err *err)
{
	size_t dim = (size_t)s->net->c.embed, patches = (size_t)(s->plan.tokens_per_frame - s->plan.special);
	if (e3_arena_floats(a, 2 * dim, last, err))
		return -1;
	for (int k = 0; s->o.outputs & (E3_OUT_DEPTH | E3_OUT_POINTS) && k < E3_DPT_LEVELS; k++)
		if (e3_arena_floats(a, patches * 2 * dim, &cat[k], err))
			return -1;
	return 0;
}

/* What frame k of a start has of its own; frame 0 has the session's lane. */
static int open_tokens(e3_session *s, int k, e3_err *err)
{
	size_t n = (size_t)s->plan.tokens_per_frame, dim = (size_t)s->net->c.embed;
	e3_tokens *f = &s->frame[k];
	if (k &&
		(e3_arena_floats(&s->start, n * dim, &f->x, err) ||
			e3_arena_alloc(&s->start, s->dev->attn_dtype, n * dim, &f->q, err) ||
			e3_aggregate_open_kept(s, &s->start, f->cat, &f->last, err)))
		return -1;
	f->slot = e3_alloc(n * (size_t)s->net->c.layers, sizeof *f->slot, "slots", err);
	return f->slot ? 0 : -1;
}

static int open_frames(e3_session *s, e3_err *err)
{
	s->start.dev = s->dev;
	s->frame = e3_alloc((size_t)s->together, sizeof *s->frame, "session", err);
	for (int k = 0; s->frame && k < s->together; k++)
		if (open_tokens(s, k, err))
			return -1;
	return s->frame ? 0 : -1;
}

static int open_work(e3_session *s, e3_work *w, e3_err *err)
{
	const e3_config *c = &s->net->c;
	size_t n = (size_t)s->plan.tokens_per_frame, lanes = (size_t)w->lanes, dim = (size_t)c->embed,
		   most = n > (size_t)w->vit_tokens ? n : (size_t)w->vit_tokens,
		   hidden = (size_t)(c->hidden > c->vit_hidden ? c->hidden : c->vit_hidden);
	e3_arena *a = &w->arena;
	e3_dtype attn = s->dev->attn_dtype, feature = s->dev->feature_dtype;
	for (int k = 0; k < w->lanes; k++)
		if (e3_aggregate_open_kept(s, a, w->cat + k * E3_DPT_LEVELS, &w->last[k], err))
			return -1;
	if (e3_arena_floats(a, lanes * n * dim, &w->x, err) || e3_arena_alloc(a, attn, lanes * most * dim, &w->q, err) ||
		e3_arena_alloc(a, attn, lanes * most * dim, &w->attended, err) ||
		e3_arena_alloc(a, feature, lanes * most * hidden, &w->hidden, err) ||
		e3_arena_floats(a, lanes * n * (size_t)c->heads, &w->lse, err) || e3_rope_open(s, err) ||
		e3_self_open(a, &w->self, (const int[]){(int)n, c->heads, c->head_dim, w->lanes}, err))
		return -1;
	return s->o.policy->scoring.measure == E3_MEASURE_NOVELTY ? e3_arena_floats(a, lanes * n * dim, &w->before, err)
															  : 0;
}

int e3_aggregate_open(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	size_t n = (size_t)s->plan.tokens_per_frame;
	int shape[5] = {c->layers, c->heads, c->head_dim, s->plan.page_keys, (int)s->o.pack};
	if ((e3_work_is_new(s) && open_work(s, s->work, err)) || open_frames(s, err) ||
		e3_cache_open(&s->pasts[0].cache, s->dev, shape, s->plan.pages, err) ||
		(s->o.side && e3_cache_share(&s->pasts[1].cache, &s->pasts[0].cache, err)))
		return -1;
	e3_work_lane(s, 0);
	if (s->work->before && e3_arena_floats(&s->arena, n * (size_t)c->layers, &s->shift, err))
		return -1;
	return open_masses(s, err);
}

void e3_aggregate_close(e3_session *s)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_masses *m = &s->mass;
	for (int l = 0; m->attn_map && l < s->net->c.layers * s->together; l++)
		ops->free(s->dev, m->attn_map[l].device), ops->free_host(s->dev, m->attn_map[l].host);
	ops->free(s->dev, m->device), ops->free_host(s->dev, m->host);
	free(m->layer), free(m->host_layer), free(m->attn_map);
	for (int k = 0; s->frame && k < s->together; k++)
		free(s->frame[k].slot);
	free(s->frame);
}

/* Copies the tokens as they are now into one half of what the heads will read. */
static int keep(e3_session *s, int layer, int half, e3_err *err)
{
	const e3_config *c = &s->net->c;
	int dim = c->embed, special = s->plan.special, patches = s->plan.tokens_per_frame - special;
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		if (c->dpt_layers[k] == layer && s->now.cat[k] &&
			s->dev->ops->copy_rows(s->dev, (e3_rows){s->now.x + (size_t)special * (size_t)dim, patches, dim}, dim,
				(e3_rows){s->now.cat[k] + (size_t)half * (size_t)dim, patches, 2 * dim}, err))
			return -1;
	if (layer == c->layers - 1)
		return s->dev->ops->copy(s->dev, e3_tensor_f32(s->now.last + (size_t)half * (size_t)dim),
			e3_tensor_f32(s->now.x), (size_t)dim, err);
	return 0;
}

/* Asks for the mass of every key of this layer; for a report also on the host, and its attention map. */
static int take_mass(e3_session *s, int layer, const e3_kv *kv, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_masses *m = &s->mass;
	size_t at = (size_t)s->at * (size_t)s->net->c.layers + (size_t)layer;
	struct e3_attn_map *map = &m->attn_map[at];
	bool report = e3_session_reports(s, layer), with_map = report && s->o.attn_map;
	size_t n = (size_t)kv->n_keys, rows = (size_t)s->plan.tokens_per_frame;
	m->layer[at] = m->device + m->used;
	if (report)
		m->host_layer[at] = m->host + m->used;
	m->used += n;
	e3_mass mass = {s->now.q, (int)rows, kv, s->lse, m->layer[at], with_map ? map->device : NULL, s->q_step};
	e3_tensor here = e3_tensor_f32(m->layer[at]);
	return ops->mass(s->dev, &mass, err) || (report && ops->fetch(s->dev, m->host_layer[at], here, n, err)) ||
			(with_map && ops->fetch(s->dev, map->host, e3_tensor_f32(map->device), rows * n, err))
		? -1
		: 0;
}

/* Slots for the frame's tokens in all layers. */
static int take_slots(e3_session *s, e3_err *err)
{
	int n = s->plan.tokens_per_frame;
	uint32_t first = (uint32_t)((s->past->t + s->at) * n);
	for (int l = 0; l < s->past->cache.layers; l++)
		if (e3_cache_append(&s->past->cache, l, first, n, s->now.slot + (size_t)l * (size_t)n, err))
			return e3_fail_in(err, "layer %d", l);
	return 0;
}

/* Before the first layer runs: the device is told of the new tokens once, for all layers. */
static int enter(e3_session *s, e3_err *err)
{
	int n = s->plan.tokens_per_frame;
	uint32_t first = (uint32_t)((s->past->t + s->at) * n);
	e3_entered entered[E3_MAX_LAYERS];
	e3_kv view[E3_MAX_LAYERS];
	for (int l = 0; l < s->past->cache.layers; l++) {
		view[l] = e3_cache_view(&s->past->cache, l);
		entered[l] = (e3_entered){&view[l], s->now.slot + (size_t)l * (size_t)n, n, first, s->o.free_first};
	}
	return s->dev->ops->enter(s->dev, entered, s->past->cache.layers, err);
}

/* One of the three sets of special tokens (net.h). */
static int put_special(e3_session *s, e3_err *err)
{
	size_t n = (size_t)s->plan.special * (size_t)s->net->c.embed, set = s->at ? 1 : s->past->t ? 2 : 0;
	return s->dev->ops->copy(s->dev, e3_tensor_f32(s->now.x), e3_tensor_f32(s->net->special + set * n), n, err);
}

static e3_block_run frame_run(const e3_session *s, int layer, const e3_kv *seen)
{
	return (e3_block_run){.block = &s->net->frame[layer],
		.x = s->now.x,
		.rows = s->plan.tokens_per_frame,
		.rope = s->work->rope.grid,
		.kv = seen,
		.slot = s->work->self.slot,
		.q = s->now.q,
		.attended = s->attended,
		.hidden = s->hidden};
}

/* Is the mass of this layer's keys wanted? Frames that start together evict nothing. */
static bool wants_mass(const e3_session *s, int layer, int together)
{
	return (together == 1 && e3_evictor_needs_mass(&s->past->evictor, s->past->t)) || e3_session_reports(s, layer);
}

static e3_block_run global_run(const e3_session *s, int layer, int together, const e3_kv *kv)
{
	size_t n = (size_t)s->plan.tokens_per_frame;
	bool shift = together == 1 && e3_evictor_needs_shift(&s->past->evictor, s->past->t);
	return (e3_block_run){.block = &s->net->global[layer],
		.x = s->now.x,
		.rows = (int)n,
		.rope = s->work->rope.global + (size_t)s->lane * n * (size_t)s->net->c.head_dim,
		.kv = kv,
		.slot = s->now.slot + (size_t)layer * n,
		.q = s->now.q,
		.attended = s->attended,
		.hidden = s->hidden,
		.lse = wants_mass(s, layer, together) ? s->lse : NULL,
		.before = s->work->before ? s->work->before + (size_t)s->lane * n * (size_t)s->net->c.embed : NULL,
		.shift = shift ? s->shift + (size_t)layer * n : NULL};
}

/* What comes after the keys of all frames are there. */
static int global_rest(e3_session *s, int layer, int together, e3_err *err)
{
	e3_kv kv = e3_cache_view(&s->past->cache, layer);
	e3_block_run run = global_run(s, layer, together, &kv);
	e3_match match = {s->now.q, run.rows, s->plan.special, E3_MATCH_POOL, &kv, s->q_step};
	bool matched = together == 1 && e3_evictor_needs_match(&s->past->evictor, s->past->t);
	return e3_block_rest(s->dev, &run, err) || (run.lse && take_mass(s, layer, &kv, err)) ||
			(matched && s->dev->ops->match(s->dev, &match, err))
		? -1
		: 0;
}

/* The table of rotation is brought up to date for the frame whose keys come next; alone, it need not be again. */
static int global_keys(e3_session *s, int layer, int together, e3_err *err)
{
	e3_kv kv = e3_cache_view(&s->past->cache, layer);
	e3_block_run run = global_run(s, layer, together, &kv);
	bool turn = together > 1 || !layer;
	return (turn && e3_rope_at(s, s->past->keys + s->at, err)) || e3_block_keys(s->dev, &run, err) ? -1 : 0;
}

static int layer_step(e3_session *s, int layer, int n, e3_err *err)
{
	e3_activation part = {.stage = "agg", .index = layer, .shape = {s->plan.tokens_per_frame, s->net->c.embed}};
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		e3_kv seen = s->work->self.kv;
		seen.page += s->lane;
		e3_block_run run = frame_run(s, layer, &seen);
		part.part = "frame", part.t = e3_tensor_f32(s->now.x);
		if (e3_block_step(s->dev, &run, err) || e3_session_note(s, &part, err) || keep(s, layer, 0, err))
			return -1;
	}
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		if (global_keys(s, layer, n, err))
			return -1;
	}
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		part.part = "global", part.t = e3_tensor_f32(s->now.x);
		if (global_rest(s, layer, n, err) || e3_session_note(s, &part, err) || keep(s, layer, 1, err))
			return -1;
	}
	return 0;
}

int e3_aggregate_room(e3_session *s, e3_err *err) { return prepare_masses(s, 1, err); }

int e3_aggregate_step(e3_session *s, int n, e3_err *err)
{
	if (prepare_masses(s, n, err))
		return -1;
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		if (take_slots(s, err))
			return -1;
	}
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		if (enter(s, err) || put_special(s, err))
			return -1;
	}
	for (int layer = 0; layer < s->net->c.layers; layer++)
		if (layer_step(s, layer, n, err))
			return e3_fail_in(err, "layer %d", layer);
	e3_session_turn_to(s, 0);
	return 0;
}

/* ---- frames of several sessions, as rows of one matrix ---- */

int e3_aggregate_prepare(e3_session *s, e3_err *err)
{
	return prepare_masses(s, 1, err) || take_slots(s, err) ? -1 : 0;
}

/* The keys of one layer of all sessions: a list of all their pages, and where each token goes. */
typedef struct keys {
	e3_kv kv[E3_LANES], all;
	uint8_t **page;
	uint32_t *slot;
} keys;

static int join_keys(keys *k, e3_session *const *s, int n, int layer, e3_err *err)
{
	int rows = s[0]->plan.tokens_per_frame, pages = 0, at = 0;
	for (int l = 0; l < n; l++) {
		k->kv[l] = e3_cache_view(&s[l]->past->cache, layer);
		pages += (k->kv[l].n_keys + k->kv[l].page_keys - 1) / k->kv[l].page_keys;
	}
	if (e3_grow((void **)&k->page, (size_t)pages, sizeof *k->page, "pages of all streams", err))
		return -1;
	k->all = k->kv[0], k->all.page = k->page;
	for (int l = 0; l < n; l++) {
		const e3_kv *kv = &k->kv[l];
		const uint32_t *slot = s[l]->now.slot + (size_t)layer * (size_t)rows;
		for (int r = 0; r < rows; r++)
			k->slot[l * rows + r] = slot[r] + (uint32_t)(at * kv->page_keys);
		k->all.n_keys = at * kv->page_keys + kv->n_keys;
		for (int p = 0; p * kv->page_keys < kv->n_keys; p++)
			k->page[at++] = kv->page[p];
	}
	return 0;
}

/* What both kinds of blocks are run with. */
static e3_block_run lanes_run(const e3_session *s, int n)
{
	const e3_work *w = s->work;
	return (e3_block_run){.x = w->x,
		.rows = n * s->plan.tokens_per_frame,
		.q = w->q,
		.attended = w->attended,
		.hidden = w->hidden,
		.before = w->before,
		.lanes = n};
}

static int frame_lanes(e3_session *const *s, int n, int layer, e3_err *err)
{
	const e3_work *w = s[0]->work;
	e3_kv all = w->self.kv;
	e3_block_run run = lanes_run(s[0], n);
	all.n_keys = run.rows;
	run.block = &s[0]->net->frame[layer], run.rope = w->rope.grid, run.kv = &all, run.slot = w->self.slot;
	run.lanes = 0, run.groups = n;
	return e3_block_step(s[0]->dev, &run, err);
}

static int global_lanes(e3_session *const *s, int n, int layer, keys *k, e3_err *err)
{
	const e3_dev_ops *ops = s[0]->dev->ops;
	e3_block_lane lane[E3_LANES];
	e3_block_run run = lanes_run(s[0], n);
	if (join_keys(k, s, n, layer, err))
		return -1;
	for (int l = 0; l < n; l++) {
		e3_block_run own = global_run(s[l], layer, 1, &k->kv[l]);
		lane[l] = (e3_block_lane){k->kv[l], own.lse, own.shift};
		if (!layer && e3_rope_at(s[l], s[l]->past->keys, err))
			return -1;
	}
	run.block = &s[0]->net->global[layer], run.rope = s[0]->work->rope.global, run.kv = &k->all, run.slot = k->slot,
	run.lane = lane;
	if (e3_block_step(s[0]->dev, &run, err))
		return -1;
	for (int l = 0; l < n; l++) {
		e3_match match = {s[l]->now.q, run.rows / n, s[l]->plan.special, E3_MATCH_POOL, &k->kv[l], run.rows};
		bool matched = e3_evictor_needs_match(&s[l]->past->evictor, s[l]->past->t);
		if ((lane[l].lse && take_mass(s[l], layer, &k->kv[l], err)) || (matched && ops->match(s[l]->dev, &match, err)))
			return -1;
	}
	return 0;
}

static int keep_lanes(e3_session *const *s, int n, int layer, int half, e3_err *err)
{
	for (int l = 0; l < n; l++)
		if (keep(s[l], layer, half, err))
			return -1;
	return 0;
}

int e3_aggregate_lanes(e3_session *const *s, int n, e3_err *err)
{
	int rows = s[0]->plan.tokens_per_frame, head_dim = s[0]->net->c.head_dim, rc = 0;
	keys k = {.slot = e3_alloc((size_t)(n * rows), sizeof *k.slot, "slots of all streams", err)};
	for (int l = 0; k.slot && l < n; l++) {
		s[l]->q_step = n * rows;
		s[l]->now.q = e3_tensor_at(s[0]->work->q, (size_t)l * (size_t)rows * (size_t)head_dim);
		rc = rc || enter(s[l], err) || put_special(s[l], err);
	}
	for (int layer = 0; k.slot && !rc && layer < s[0]->net->c.layers; layer++)
		if (frame_lanes(s, n, layer, err) || keep_lanes(s, n, layer, 0, err) || global_lanes(s, n, layer, &k, err) ||
			keep_lanes(s, n, layer, 1, err))
			rc = e3_fail_in(err, "layer %d", layer);
	for (int l = 0; l < n; l++)
		s[l]->q_step = 0, s[l]->now.q = s[l]->frame[0].q;
	rc = rc || !k.slot ? -1 : 0;
	free(k.page), free(k.slot);
	return rc;
}
