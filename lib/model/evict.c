/* model: the budget of each layer, and freeing the slots that the device chose. Owns when a frame evicts; the device
 * owns the scores. */
#include "evict.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool e3_evictor_decides(const e3_evictor *e, int64_t t) { return e->policy && t > 0 && t != e->frames - 1; }

static bool scores(const e3_evictor *e, int64_t t) { return e3_evictor_decides(e, t) && !e->policy->slides; }

bool e3_evictor_needs_mass(const e3_evictor *e, int64_t t)
{
	return scores(e, t) && !e->whole && e3_scoring_needs_mass(&e->policy->scoring);
}

bool e3_evictor_needs_match(const e3_evictor *e, int64_t t)
{
	return scores(e, t) && e->policy->scoring.measure == E3_MEASURE_MATCH;
}

bool e3_evictor_needs_shift(const e3_evictor *e, int64_t t)
{
	return scores(e, t) && e->policy->scoring.measure == E3_MEASURE_NOVELTY;
}

void e3_evictor_release(e3_evictor *e)
{
	if (e->dev) {
		e->dev->ops->free_host(e->dev, e->room);
		e->dev->ops->free_host(e->dev, e->stat);
		e->dev->ops->free_host(e->dev, e->choice);
		e->dev->ops->free_host(e->dev, e->novel);
	}
	free(e->view), free(e->chosen);
	e3_whole_release(e);
	e3_slide_release(e);
	*e = (e3_evictor){.policy = e->policy};
}

static int open_layers(e3_evictor *e, const e3_cache *cache, e3_err *err)
{
	size_t n = (size_t)cache->layers;
	e->dev = cache->dev, e->layers = cache->layers;
	e->view = e3_alloc(n, sizeof *e->view, "eviction", err);
	e->chosen = e3_alloc(n, sizeof *e->chosen, "eviction", err);
	if (!e->view || !e->chosen)
		return -1;
	return e->dev->ops->alloc_host(e->dev, n * sizeof *e->stat, (void **)&e->stat, err) ||
			e->dev->ops->alloc_host(e->dev, n * sizeof *e->choice, (void **)&e->choice, err) ||
			e->dev->ops->alloc_host(e->dev, n * sizeof *e->novel, (void **)&e->novel, err)
		? -1
		: 0;
}

int e3_evictor_open(e3_evictor *e, const e3_cache *cache, e3_err *err)
{
	size_t keys = (size_t)cache->pool->n_pages * (size_t)cache->page_keys;
	if (!e->layers && open_layers(e, cache, err))
		return -1;
	if (keys <= e->room_keys)
		return 0;
	e->dev->ops->free_host(e->dev, e->room);
	e->room = NULL, e->room_keys = 0;
	if (e->dev->ops->alloc_host(e->dev, 2 * keys * sizeof *e->room, (void **)&e->room, err) ||
		e->dev->ops->reserve(e->dev, keys, err))
		return -1;
	e->room_keys = keys;
	return 0;
}

static e3_rule rule_of(const e3_evictor *e, const e3_plan *plan, int64_t t)
{
	bool starve = e->compat & E3_COMPAT_STARVE;
	e3_scoring scoring = e->policy->scoring;
	scoring.sums = e->compat & E3_COMPAT_F16_SUMS ? E3_SUMS_F16 : E3_SUMS_F64;
	return (e3_rule){.scoring = scoring,
		.protected_last = starve,
		.tokens = (uint32_t)plan->tokens_per_frame,
		.special = (uint32_t)plan->special,
		.columns = (uint32_t)plan->patch_grid[1],
		.t = t,
		.protected_frames = starve ? E3_ALL_FRAMES : plan->protected_frames,
		.newest_whole = e->policy->newest_whole,
		.free_first = e->free_first,
		.seed = e->seed};
}

/* As released, a layer takes what the layer before it found important. */
static int take_novelty(e3_evictor *e, const e3_rule *rule, e3_err *err)
{
	e3_novelty layer[E3_MAX_LAYERS];
	bool before = e->compat & E3_COMPAT_OVGGT;
	for (int l = 0; l < e->layers; l++) {
		layer[l] = (e3_novelty){.kv = &e->view[l], .mean = &e->novel[l]};
		if (l || !before)
			layer[l].importance = e->shift + (size_t)(before ? l - 1 : l) * rule->tokens;
	}
	return e->dev->ops->novelty(e->dev, rule, layer, e->layers, err);
}

int e3_evictor_begin(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, float *const *mass,
	e3_err *err)
{
	if (e->whole)
		return e->policy && e->whole->by_layer ? e3_whole_begin(e, plan, cache, err) : 0;
	if (!scores(e, t))
		return 0;
	if (e3_evictor_open(e, cache, err))
		return -1;
	e3_rule rule = rule_of(e, plan, t);
	e3_scored scored[E3_MAX_LAYERS];
	bool by_mass = e3_scoring_needs_mass(&rule.scoring);
	for (int l = 0; l < e->layers; l++) {
		e->view[l] = e3_cache_view(cache, l);
		scored[l] = (e3_scored){&e->view[l], by_mass ? mass[l] : NULL, &e->stat[l]};
	}
	if (e3_evictor_needs_shift(e, t) && take_novelty(e, &rule, err))
		return -1;
	return e->dev->ops->score(e->dev, &rule, scored, e->layers, err);
}

/* How many tokens a layer holds over its budget. The released code counts from the whole stream in f32 (9.2 step 3). */
static int64_t surplus(const e3_evictor *e, const e3_plan *plan, int64_t t, double budget, uint32_t held)
{
	if (!(e->compat & E3_COMPAT_STARVE))
		return (int64_t)held - (int64_t)ceil(budget - 1e-6); /* the shares are rounded: a millionth of a token */
	float stream = (float)plan->tokens_per_frame * (float)(t + 1);
	return (int64_t)truncf(stream - (float)budget) - ((int64_t)stream - (int64_t)held);
}

/* Writes the shares and budgets of all layers into the record. */
static void share_out(const e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_evict *record)
{
	double variance[E3_MAX_LAYERS], alpha[E3_MAX_LAYERS], budget[E3_MAX_LAYERS], floors[E3_MAX_LAYERS],
		ceilings[E3_MAX_LAYERS];
	for (int l = 0; l < e->layers; l++) {
		/* OVGGT's shares are those of novelty: softmax((1 - s) / temperature). */
		variance[l] = e->policy->scoring.measure == E3_MEASURE_NOVELTY ? e->novel[l] : e->stat[l].variance;
		floors[l] = e->compat & E3_COMPAT_STARVE ? 0 : e->stat[l].prot;
		ceilings[l] = e->fill ? cache->layer[l].n : INFINITY;
	}
	e3_policy_shares(variance, e->layers, e->temperature, alpha);
	e3_policy_budgets(alpha, e->layers, plan->budget, floors, ceilings, budget);
	for (int l = 0; l < e->layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		r->variance = variance[l], r->alpha = alpha[l], r->budget = budget[l];
		/* In the record the special tokens of protected frames count. */
		uint32_t others = e->policy->newest_whole ? (uint32_t)(plan->tokens_per_frame - plan->special) : 0;
		r->prot = e->stat[l].prot - others, r->saturated = e->stat[l].saturated;
	}
}

int e3_evictor_record(e3_evict *record, const e3_cache *cache, int64_t t, e3_err *err)
{
	e3_evict_release(record);
	record->layer = e3_alloc((size_t)cache->layers, sizeof *record->layer, "evict record", err);
	if (!record->layer)
		return -1;
	record->i = t, record->n_layers = cache->layers;
	for (int l = 0; l < cache->layers; l++) {
		uint32_t n = e3_cache_count(cache, l);
		e3_evict_layer *r = &record->layer[l];
		*r =
			(e3_evict_layer){.layer = l, .k_before = n, .k_after = n, .budget = n, .max_evicted = NAN, .min_kept = NAN};
		for (int k = 0; k < 9; k++)
			r->score_q[k] = NAN;
	}
	return 0;
}

int e3_evictor_decide(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, e3_evict *record,
	e3_err *err)
{
	if (e3_evictor_record(record, cache, t, err))
		return -1;
	if (e->policy && e->whole) {
		e3_whole_decide(e, plan, t, record);
		return 0;
	}
	if (e->policy && e->policy->slides) {
		e3_slide_keep(e, t);
		return 0;
	}
	if (!e3_evictor_decides(e, t)) {
		for (int l = 0; t == 0 && e->policy && l < cache->layers; l++)
			record->layer[l].prot = e->free_first ? (uint32_t)plan->special : cache->layer[l].n;
		return 0;
	}
	e3_rule rule = rule_of(e, plan, t);
	uint32_t *room = e->room;
	share_out(e, plan, cache, record);
	for (int l = 0; l < e->layers; l++) {
		uint32_t held = cache->layer[l].n;
		int64_t over = surplus(e, plan, t, record->layer[l].budget, held);
		uint32_t remove = over <= 0 ? 0 : over < held ? (uint32_t)over : held;
		e->chosen[l] = (e3_chosen){&e->view[l], (int)remove, room, room + e->room_keys, &e->choice[l]};
		room += remove;
	}
	return e->dev->ops->choose(e->dev, &rule, e->chosen, e->layers, err);
}

int e3_evictor_see(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err)
{
	return e->policy && e->whole && e->whole->by_layer ? e3_whole_begin(e, plan, cache, err) : 0;
}

int e3_evictor_seen(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, e3_evict *record, e3_err *err)
{
	uint32_t n = (uint32_t)((t + 1) * plan->tokens_per_frame);
	if (e3_evictor_record(record, cache, t, err))
		return -1;
	for (int l = 0; l < cache->layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		r->k_before = r->k_after = n, r->budget = n;
		if (t == 0 && e->policy)
			r->prot = (uint32_t)(e->free_first ? plan->special : plan->tokens_per_frame);
	}
	if (e->policy && e->whole)
		e3_whole_decide(e, plan, t, record);
	if (e->policy && e->policy->slides)
		e3_slide_record(e, plan, record);
	return 0;
}

/* Ascending, as in the record. A radix sort, since every layer evicts about a frame's worth of tokens. */
static void sort_ids(uint32_t *id, uint32_t *work, size_t n)
{
	for (int shift = 0; shift < 32; shift += 8) {
		size_t at[257] = {0};
		for (size_t k = 0; k < n; k++)
			at[(id[k] >> shift & 255) + 1]++;
		for (int b = 0; b < 256; b++)
			at[b + 1] += at[b];
		for (size_t k = 0; k < n; k++)
			work[at[id[k] >> shift & 255]++] = id[k];
		memcpy(id, work, n * sizeof *id);
	}
}

static int tell_layer(const e3_chosen *c, e3_evict_layer *r, e3_err *err)
{
	size_t n = c->choice->removed;
	memcpy(r->score_q, c->choice->score_q, sizeof r->score_q);
	r->max_evicted = c->choice->max_evicted, r->min_kept = c->choice->min_kept;
	r->n_removed = n;
	r->k_after = r->k_before - (uint32_t)n;
	if (!n)
		return 0;
	r->removed = e3_alloc(2 * n, sizeof *r->removed, "evict record", err);
	if (!r->removed)
		return -1;
	memcpy(r->removed, c->id, n * sizeof *r->removed);
	sort_ids(r->removed, r->removed + n, n);
	return 0;
}

int e3_evictor_tell(const e3_evictor *e, int64_t t, e3_evict *record, e3_err *err)
{
	if (!e3_evictor_decides(e, t) || e->whole || e->policy->slides)
		return 0;
	for (int l = 0; l < e->layers; l++)
		if (tell_layer(&e->chosen[l], &record->layer[l], err))
			return e3_fail_in(err, "evicting: frame %lld, layer %d", (long long)t, l);
	return 0;
}

static int apply_layer(const e3_chosen *c, const e3_plan *plan, e3_cache *cache, int l, e3_err *err)
{
	int n = (int)c->choice->removed;
	return n ? e3_cache_remove(cache, l, c->slot, n, plan->tokens_per_frame, err) : 0;
}

int e3_evictor_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err)
{
	if (e->policy && e->whole)
		return e3_whole_apply(e, plan, cache, t, record, err);
	if (e->policy && e->policy->slides)
		return e3_slide_apply(e, plan, cache, record, err) ? e3_fail_in(err, "evicting: frame %lld", (long long)t) : 0;
	for (int l = 0; e3_evictor_decides(e, t) && l < e->layers; l++)
		if (apply_layer(&e->chosen[l], plan, cache, l, err))
			return e3_fail_in(err, "evicting: frame %lld, layer %d", (long long)t, l);
	return 0;
}

int e3_evictor_removed(e3_evict_layer *r, size_t n, e3_err *err)
{
	if (e3_grow((void **)&r->removed, r->n_removed + n, sizeof *r->removed, "evict record", err))
		return -1;
	r->n_removed += n;
	return 0;
}

int e3_evictor_pass(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err)
{
	uint32_t n = (uint32_t)plan->tokens_per_frame, first = (uint32_t)t * n;
	if (e3_evictor_record(record, cache, t, err))
		return -1;
	record->passing = true;
	for (int l = 0; l < cache->layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		e3_cache_forget(cache, l, first);
		if (e3_evictor_removed(r, n, err))
			return -1;
		for (uint32_t k = 0; k < n; k++)
			r->removed[k] = first + k;
		r->k_after -= n;
		r->alpha = 1.0 / cache->layers, r->budget = r->k_after;
	}
	return e->policy && e->policy->slides ? e3_slide_apply(e, plan, cache, record, err) : 0;
}
