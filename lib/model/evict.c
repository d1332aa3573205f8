/* model: scores kept per slot, budgets per layer, and who goes. The arithmetic is policy.c's, the memory cache.c's. */
#include "evict.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>

bool e3_evictor_decides(const e3_evictor *e, int64_t t)
{
	return e->policy != E3_POLICY_NONE && t > 0 && t != e->frames - 1;
}

bool e3_evictor_needs_mass(const e3_evictor *e, int64_t t)
{
	return e->policy == E3_POLICY_EVICT3R && e3_evictor_decides(e, t);
}

void e3_evictor_release(e3_evictor *e)
{
	free(e->candidate), free(e->slot);
	e->candidate = NULL, e->slot = NULL, e->cap = 0;
}

typedef struct step {
	e3_evictor *e;
	const e3_plan *plan;
	int64_t t;
} step;

static bool is_special(const step *s, uint32_t id)
{
	return id % (uint32_t)s->plan->tokens_per_frame < (uint32_t)s->plan->special;
}

static int64_t frame_of(const step *s, uint32_t id)
{
	return id / (uint32_t)s->plan->tokens_per_frame;
}

/* Protected by rule: frame 0, and the special tokens of the newest frames, as many as the budget has room for. */
static bool is_protected(const step *s, uint32_t id)
{
	int64_t frame = frame_of(s, id);
	if (frame == 0)
		return true;
	return is_special(s, id) && (s->e->compat & E3_COMPAT_STARVE || frame + s->plan->protected_frames > s->t);
}

static double half(double v)
{
	return e3_f16_to_f32(e3_f32_to_f16((float)v));
}

/* 9.2 step 2: adds this frame's relative share to every token's sum. */
static void add_scores(const step *s, e3_layer_cache *l, const float *mass)
{
	bool f16 = s->e->compat & E3_COMPAT_F16_SUMS;
	for (uint32_t k = 0; k < l->n; k++) {
		bool fresh = frame_of(s, l->id[k]) == s->t;
		l->seen[k] = fresh ? 1 : l->seen[k] + 1;
		double share = mass ? (double)mass[k] * l->n : 0;
		if (f16) {
			share = half((float)mass[k] * (float)l->n);
			l->sum[k] = fresh ? share : half((float)share + (float)l->sum[k]);
			if (fresh && is_special(s, l->id[k]))
				l->sum[k] = INFINITY;
		} else {
			l->sum[k] = fresh ? share : l->sum[k] + share;
		}
	}
}

static float score_of(const step *s, const e3_layer_cache *l, uint32_t k)
{
	switch (s->e->policy) {
	case E3_POLICY_WINDOW:
		return e3_policy_window_score((uint32_t)frame_of(s, l->id[k]));
	case E3_POLICY_RANDOM:
		return e3_policy_random_score(l->id[k]);
	default:
		return (float)l->sum[k] / ((float)l->seen[k] + 1e-6f);
	}
}

/* Fills e->candidate with the tokens that may leave; the count. In the released code protected tokens may too, last. */
static size_t gather_candidates(const step *s, const e3_layer_cache *l, e3_evict_layer *r)
{
	size_t n = 0;
	bool starve = s->e->compat & E3_COMPAT_STARVE;
	for (uint32_t k = 0; k < l->n; k++) {
		bool prot = is_protected(s, l->id[k]);
		float score = score_of(s, l, k);
		r->prot += prot;
		r->saturated += !prot && isinf(score);
		if (!prot || starve)
			s->e->candidate[n++] = (e3_candidate){prot ? INFINITY : score, l->id[k], k};
	}
	return n;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* How many of a layer's K tokens must go. The released form counts from the whole stream in f32 (9.2 step 3). */
static int64_t surplus(const step *s, double budget, uint32_t held)
{
	if (!(s->e->compat & E3_COMPAT_STARVE))
		return (int64_t)held - (int64_t)ceil(budget - 1e-6); /* a millionth of a token is what the sharing out was rounded by */
	float stream = (float)s->plan->tokens_per_frame * (float)(s->t + 1);
	return (int64_t)truncf(stream - (float)budget) - ((int64_t)stream - (int64_t)held);
}

static int evict_layer(const step *s, e3_cache *cache, int layer, e3_evict_layer *r, e3_err *err)
{
	e3_layer_cache *l = &cache->layer[layer];
	e3_evictor *e = s->e;
	if (e->cap < l->n) {
		size_t cap = l->n + l->n / 4;
		if (e3_grow((void **)&e->candidate, cap, sizeof *e->candidate, "eviction", err) ||
		    e3_grow((void **)&e->slot, cap, sizeof *e->slot, "eviction", err))
			return -1;
		e->cap = cap;
	}
	size_t n = gather_candidates(s, l, r), finite = 0;
	e3_policy_sort(e->candidate, n);
	while (finite < n && isfinite(e->candidate[finite].score))
		finite++;
	e3_policy_quantiles(e->candidate, finite, r->score_q);
	int64_t over = surplus(s, r->budget, l->n);
	size_t out = over > 0 ? (size_t)over < n ? (size_t)over : n : 0;
	if (out && finite)
		r->max_evicted = e->candidate[out < finite ? out - 1 : finite - 1].score;
	if (out < finite)
		r->min_kept = e->candidate[out].score;
	if (out) {
		r->removed = e3_alloc(out, sizeof *r->removed, "evict record", err);
		if (!r->removed)
			return -1;
	}
	for (size_t k = 0; k < out; k++)
		r->removed[k] = e->candidate[k].id, e->slot[k] = e->candidate[k].slot;
	if (out)
		qsort(r->removed, out, sizeof *r->removed, by_id);
	r->n_removed = out;
	r->k_after = r->k_before - (uint32_t)out;
	return out ? e3_cache_remove(cache, layer, e->slot, (int)out, s->plan->tokens_per_frame, err) : 0;
}

/* Shares and budgets of all layers into the record. */
static void share_out(const step *s, e3_cache *cache, float *const *mass, e3_evict *record)
{
	int layers = cache->layers;
	double variance[E3_MAX_LAYERS] = {0}, alpha[E3_MAX_LAYERS], budget[E3_MAX_LAYERS], floors[E3_MAX_LAYERS], ceilings[E3_MAX_LAYERS];
	bool starve = s->e->compat & E3_COMPAT_STARVE;
	for (int l = 0; l < layers; l++) {
		e3_layer_cache *c = &cache->layer[l];
		if (s->e->policy == E3_POLICY_EVICT3R)
			variance[l] = e3_mass_variance(mass[l], c->n);
		floors[l] = 0;
		for (uint32_t k = 0; !starve && k < c->n; k++)
			floors[l] += is_protected(s, c->id[k]);
		ceilings[l] = s->e->fill ? c->n : INFINITY;
	}
	e3_policy_shares(variance, layers, s->e->temperature, alpha);
	e3_policy_budgets(alpha, layers, s->plan->budget, floors, ceilings, budget);
	for (int l = 0; l < layers; l++) {
		record->layer[l].variance = variance[l];
		record->layer[l].alpha = alpha[l];
		record->layer[l].budget = budget[l];
	}
}

static int start_record(e3_evict *record, const e3_cache *cache, int64_t t, e3_err *err)
{
	e3_evict_release(record);
	record->layer = e3_alloc((size_t)cache->layers, sizeof *record->layer, "evict record", err);
	if (!record->layer)
		return -1;
	record->i = t, record->n_layers = cache->layers;
	for (int l = 0; l < cache->layers; l++) {
		uint32_t n = e3_cache_count(cache, l);
		e3_evict_layer *r = &record->layer[l];
		*r = (e3_evict_layer){.layer = l, .k_before = n, .k_after = n, .budget = n, .max_evicted = NAN, .min_kept = NAN};
		for (int k = 0; k < 9; k++)
			r->score_q[k] = NAN;
	}
	return 0;
}

int e3_evictor_step(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, float *const *mass, e3_evict *record, e3_err *err)
{
	step s = {e, plan, t};
	if (start_record(record, cache, t, err))
		return -1;
	if (e->policy == E3_POLICY_NONE)
		return 0;
	if (t == 0) { /* frame 0 is protected; in the released code by its score */
		for (int l = 0; l < cache->layers; l++)
			for (uint32_t k = 0; k < cache->layer[l].n; k++)
				cache->layer[l].sum[k] = INFINITY, cache->layer[l].seen[k] = 1;
		for (int l = 0; l < cache->layers; l++)
			record->layer[l].prot = cache->layer[l].n;
		return 0;
	}
	if (!e3_evictor_decides(e, t))
		return 0;
	for (int l = 0; l < cache->layers; l++)
		if (e->policy == E3_POLICY_EVICT3R)
			add_scores(&s, &cache->layer[l], mass[l]);
	share_out(&s, cache, mass, record);
	for (int l = 0; l < cache->layers; l++)
		if (evict_layer(&s, cache, l, &record->layer[l], err))
			return e3_fail_in(err, "evicting: frame %lld, layer %d", (long long)t, l);
	return 0;
}
