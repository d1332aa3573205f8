/* model: eviction of whole frames. Nothing is scored and the device chooses nothing: the host knows the slots of every
 * frame, and the next frame takes those of the one that went, so that nothing moves and no page changes hands. */
#include "e3/mem.h"
#include "evict.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int e3_whole_open(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int dim, e3_err *err)
{
	int room = plan->frames + 2; /* the last frame of a known length evicts nothing */
	e->dev = cache->dev, e->layers = cache->layers;
	e->banks = e->whole->by_layer ? cache->layers : 1;
	e->bank = e3_alloc((size_t)e->banks, sizeof *e->bank, "frames of the cache", err);
	e->keep = e3_alloc((size_t)(2 * room * e->banks), sizeof *e->keep, "frames of the cache", err);
	e->whole_slot = e3_alloc((size_t)room * (size_t)plan->tokens_per_frame, sizeof *e->whole_slot, "eviction", err);
	e->gone = e3_alloc((size_t)room, sizeof *e->gone, "frames of the cache", err);
	if (!e->bank || !e->keep || !e->whole_slot || !e->gone)
		return -1;
	size_t means = (size_t)e->banks * (size_t)dim;
	if (e->whole->by_layer) {
		if (e3_dev_floats(e->dev, means, &e->mean, err) ||
			e->dev->ops->alloc_host(e->dev, means * sizeof(float), (void **)&e->mean_host, err))
			return -1;
		e->seen = e->mean_host;
	}
	for (int k = 0; k < e->banks; k++)
		if (e3_bank_open(&e->bank[k], room, dim, err))
			return -1;
	return 0;
}

void e3_whole_release(e3_evictor *e)
{
	for (int k = 0; e->bank && k < e->banks; k++)
		e3_bank_release(&e->bank[k]);
	if (e->dev)
		e->dev->ops->free(e->dev, e->mean), e->dev->ops->free_host(e->dev, e->mean_host);
	free(e->bank), free(e->keep), free(e->whole_slot), free(e->gone);
}

void e3_evictor_reset(e3_evictor *e)
{
	for (int k = 0; k < e->banks; k++)
		e3_bank_clear(&e->bank[k]);
	e->n_window = 0;
}

int e3_whole_begin(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err)
{
	const e3_dev_ops *ops = e->dev->ops;
	e3_mean_keys layer[E3_MAX_LAYERS];
	e3_kv view[E3_MAX_LAYERS];
	size_t n = (size_t)plan->tokens_per_frame, dim = (size_t)e->bank->dim;
	for (int l = 0; l < e->layers; l++) {
		view[l] = e3_cache_view(cache, l);
		layer[l] = (e3_mean_keys){&view[l], e->slot + (size_t)l * n, (int)n, e->mean + (size_t)l * dim};
	}
	size_t all = (size_t)e->layers * dim;
	return ops->mean_keys(e->dev, layer, e->layers, err) ||
			ops->fetch(e->dev, e->mean_host, e3_tensor_f32(e->mean), all, err)
		? -1
		: 0;
}

static bool *keep_of(const e3_evictor *e, int bank) { return e->keep + 2 * (size_t)bank * (size_t)e->bank->room; }

void e3_whole_decide(e3_evictor *e, const e3_plan *plan, int64_t t, e3_evict *record)
{
	bool decides = e3_evictor_decides(e, t);
	e3_bank_rule rule = {e->whole, plan->frames, e->free_first};
	for (int k = 0; k < e->banks; k++) {
		bool *keep = keep_of(e, k);
		e3_bank_add(&e->bank[k], t, e->seen + (size_t)k * (size_t)e->bank[k].dim);
		for (int f = 0; f < e->bank[k].n; f++)
			keep[f] = true;
		if (decides && e->bank[k].n > plan->frames)
			e3_bank_choose(&e->bank[k], &rule, keep);
	}
	/* What the record says of protection: frame 0, and the special tokens of the newest frames, which go last. */
	int64_t newest = t + !!e->free_first < e->whole->newest ? t + !!e->free_first : e->whole->newest;
	for (int l = 0; l < record->n_layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		r->prot = (uint32_t)((e->free_first ? 0 : plan->tokens_per_frame) + newest * plan->special);
		if (decides)
			r->alpha = 1.0 / record->n_layers, r->budget = plan->budget / record->n_layers;
	}
}

/* The frames of a layer that go: their slots are freed, their tokens recorded. */
static int evict_layer(e3_evictor *e, const e3_plan *plan, e3_cache *cache, e3_evict_layer *r, e3_err *err)
{
	const e3_bank *b = &e->bank[e->banks > 1 ? r->layer : 0];
	const bool *keep = keep_of(e, e->banks > 1 ? r->layer : 0);
	const e3_layer_cache *l = &cache->layer[r->layer];
	uint32_t tokens = (uint32_t)plan->tokens_per_frame;
	size_t gone = 0, n = 0;
	for (int f = 0; f < b->n; f++)
		gone += !keep[f];
	if (!gone)
		return 0;
	r->removed = e3_alloc(gone * tokens, sizeof *r->removed, "evict record", err);
	if (!r->removed)
		return -1;
	for (int f = 0; f < b->n; f++) {
		uint32_t first = (uint32_t)b->frame[f] * tokens;
		for (uint32_t k = 0; !keep[f] && k < tokens; k++)
			r->removed[r->n_removed++] = first + k;
		for (uint32_t s = 0; !keep[f] && s < l->n; s++)
			if (l->id[s] - first < tokens)
				e->whole_slot[n++] = s;
	}
	if (n != r->n_removed)
		return e3_fail(err, "%zu tokens in the cache of frames that have %zu", n, r->n_removed);
	r->k_after = r->k_before - (uint32_t)n;
	return e3_cache_remove(cache, r->layer, e->whole_slot, (int)n, (int)tokens, err);
}

int e3_whole_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err)
{
	for (int l = 0; l < cache->layers; l++)
		if (evict_layer(e, plan, cache, &record->layer[l], err))
			return e3_fail_in(err, "evicting: frame %lld, layer %d", (long long)t, l);
	e->n_gone = 0;
	for (int k = 0; k < e->banks; k++)
		for (int f = e->bank[k].n - 1; f >= 0; f--)
			if (!keep_of(e, k)[f]) {
				e3_bank_drop(&e->bank[k], f);
				if (e->banks == 1)
					e->gone[e->n_gone++] = f;
			}
	return 0;
}
