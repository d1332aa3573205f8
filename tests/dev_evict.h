/* The table's cases of eviction: enter, score, choose, and moves of scored pages, under every rule. Sums, order and
 * choices must be exact; the variance is compared in single precision. Part of dev_cases.h. */
#ifndef DEV_EVICT_H
#define DEV_EVICT_H

#include "dev_table.h"

enum { EV_KEYS = 64, EV_TOKENS = 10, EV_FRAMES = 15, EV_SLOTS = EV_TOKENS * EV_FRAMES, EV_PAGES = 3, EV_LAYERS = 2 };

/* What a layer's slots should hold. */
typedef struct ev_layer {
	double sum[EV_SLOTS];
	uint32_t id[EV_SLOTS], seen[EV_SLOTS];
	float mass[EV_SLOTS];
	float *page[EV_PAGES]; /* on the device */
	uint8_t *list[EV_PAGES];
	float *dev_mass;
	e3_kv kv;
	size_t page_floats;
} ev_layer;

static inline void ev_open(table *t, ev_layer *l)
{
	*l = (ev_layer){
		.kv = {.dtype = t->dev->attn_dtype, .page_keys = EV_KEYS, .heads = 3, .head_dim = 4, .scored = true}};
	l->page_floats = e3_page_bytes(&l->kv) / sizeof(float);
	float *zero = calloc(l->page_floats, sizeof *zero);
	for (int p = EV_PAGES - 1; p >= 0; p--) {
		l->page[p] = on_device(t, zero, l->page_floats);
		l->list[p] = (uint8_t *)l->page[p];
	}
	free(zero);
	l->kv.page = l->list;
	l->dev_mass = on_device(t, NULL, EV_SLOTS);
}

/* The device's idea of a layer against ours. */
static inline void ev_compare(table *t, const ev_layer *l)
{
	e3_err err = {""};
	float *got = malloc(l->page_floats * sizeof *got);
	t->cases[T_EVICT]++;
	for (int p = 0; p * EV_KEYS < l->kv.n_keys; p++) {
		must(t, t->dev->ops->finish(t->dev, &err), &err);
		must(t, t->dev->ops->download(t->dev, got, e3_tensor_f32(l->page[p]), l->page_floats, &err), &err);
		const float *cells = got + l->page_floats - 4 * EV_KEYS;
		for (int k = 0; k < EV_KEYS && p * EV_KEYS + k < l->kv.n_keys; k++) {
			int s = p * EV_KEYS + k;
			double sum;
			uint32_t id, seen;
			memcpy(&sum, cells + 2 * k, 8);
			memcpy(&id, cells + 2 * EV_KEYS + k, 4);
			memcpy(&seen, cells + 3 * EV_KEYS + k, 4);
			if (sum != l->sum[s] || id != l->id[s] || seen != l->seen[s])
				fail_msg("evict, case %d, slot %d: token %u, seen %u, sum %.17g; expected %u, %u, %.17g",
					t->cases[T_EVICT], s, id, seen, sum, l->id[s], l->seen[s], l->sum[s]);
		}
	}
	free(got);
}

static inline bool ev_protected(const e3_rule *r, uint32_t id)
{
	int64_t frame = id / r->tokens;
	return (frame == 0 && !r->free_first) || (frame == r->t && r->newest_whole) ||
		(id % r->tokens < r->special && r->t - frame < r->protected_frames);
}

/* In (0, 1), to 24 bits: half a turn less the constants of the R2 sequence and of the golden ratio, in 2^-32 turns. */
static inline float ev_dither(const e3_rule *r, uint32_t id)
{
	int64_t index = id % r->tokens, patch = index - r->special;
	int64_t column = patch < 0 ? index : patch % r->columns, row = patch < 0 ? -1 : patch / r->columns;
	int64_t at = (1ll << 31) - column * 3242174889 - row * 2447445414 - id / r->tokens * 2654435769ll;
	return (float)(ldexp((double)(at & 0xffffffff) - (double)(at & 511), -32) + ldexp(1, -24));
}

static inline float ev_score(const e3_rule *r, const ev_layer *l, int s)
{
	uint32_t hash =
		e3_fmix32(r->seed ? (l->id[s] * 2654435761u + 1u) ^ e3_fmix32(r->seed) : l->id[s] * 2654435761u + 1u);
	float sum = (float)l->sum[s];
	float measured[] = {1, (float)(l->id[s] / r->tokens), sum, sum, sum / ((float)l->seen[s] + 1e-6f)};
	float dither[] = {1, (float)ldexp((double)(hash - hash % 512), -32) + 0x1p-24f, ev_dither(r, l->id[s])};
	if (r->scoring.measure == E3_MEASURE_NOTHING)
		return r->scoring.dither == E3_DITHER_EVEN ? dither[E3_DITHER_EVEN] : (float)hash;
	float v = measured[r->scoring.measure];
	return (r->scoring.root ? sqrtf(v) : v) / dither[r->scoring.dither];
}

static inline void ev_add(const e3_rule *r, ev_layer *l, int s)
{
	bool fresh = l->id[s] / r->tokens == (uint64_t)r->t;
	float n = (float)l->kv.n_keys;
	l->seen[s] = fresh ? 1 : l->seen[s] + 1;
	if (r->scoring.sums == E3_SUMS_F64) {
		l->sum[s] = (fresh ? 0 : l->sum[s]) + (double)l->mass[s] * l->kv.n_keys;
		return;
	}
	float share = e3_f16_to_f32(e3_f32_to_f16(l->mass[s] * n));
	l->sum[s] = fresh ? share : e3_f16_to_f32(e3_f32_to_f16(share + (float)l->sum[s]));
	if (fresh && l->id[s] % r->tokens < r->special)
		l->sum[s] = INFINITY;
}

static inline void ev_check_stat(table *t, const e3_rule *r, const ev_layer *l, const e3_layer_stat *stat)
{
	double mean = 0, var = 0;
	uint32_t prot = 0, saturated = 0;
	for (int s = 0; s < l->kv.n_keys; s++) {
		bool p = ev_protected(r, l->id[s]);
		prot += p, saturated += !p && isinf(ev_score(r, l, s));
		mean += l->mass[s] / (double)l->kv.n_keys;
	}
	for (int s = 0; s < l->kv.n_keys; s++)
		var += (l->mass[s] - mean) * (l->mass[s] - mean) / l->kv.n_keys;
	if (!e3_scoring_needs_mass(&r->scoring))
		var = 0;
	if (stat->prot != prot || stat->saturated != saturated || !(fabs(stat->variance - var) <= 1e-6 * var))
		fail_msg("score, case %d: protected %u, saturated %u, variance %g; expected %u, %u, %g", t->cases[T_EVICT],
			stat->prot, stat->saturated, stat->variance, prot, saturated, var);
}

static inline void ev_check_choice(table *t, const e3_rule *r, const ev_layer *l, const e3_chosen *c)
{
	static const double at[9] = {0, .01, .05, .25, .5, .75, .95, .99, 1};
	int order[EV_SLOTS], n = 0, finite = 0;
	float score[EV_SLOTS];
	for (int s = 0; s < l->kv.n_keys; s++) {
		bool p = ev_protected(r, l->id[s]);
		score[s] = p ? INFINITY : ev_score(r, l, s);
		if (p && !r->protected_last)
			continue;
		int k = n++; /* insertion: by score, then by id */
		for (; k > 0 &&
			 (score[order[k - 1]] > score[s] || (score[order[k - 1]] == score[s] && l->id[order[k - 1]] > l->id[s]));
			 k--)
			order[k] = order[k - 1];
		order[k] = s;
		finite += isfinite(score[s]);
	}
	uint32_t out = (uint32_t)(c->remove < n ? c->remove : n);
	if (c->choice->removed != out)
		fail_msg("choose, case %d: %u of %d, expected %u", t->cases[T_EVICT], c->choice->removed, c->remove, out);
	for (uint32_t k = 0; k < out; k++) {
		if (c->slot[k] != (uint32_t)order[k] || c->id[k] != l->id[order[k]])
			fail_msg("choose, case %d, place %u: slot %u, token %u; expected %d, %u", t->cases[T_EVICT], k, c->slot[k],
				c->id[k], order[k], l->id[order[k]]);
		t->hash = (t->hash ^ c->id[k]) * 0x100000001b3u;
	}
	for (int k = 0; k < 9; k++) {
		double h = at[k] * (finite - 1);
		int i = (int)h, j = i + 1 < finite ? i + 1 : i;
		double want = finite ? score[order[i]] + (h - i) * ((double)score[order[j]] - score[order[i]]) : NAN;
		if (finite ? !(fabs(c->choice->score_q[k] - want) <= 1e-6 * fabs(want)) : !isnan(c->choice->score_q[k]))
			fail_msg("choose, case %d, quantile %d: %g, expected %g", t->cases[T_EVICT], k, c->choice->score_q[k],
				want);
	}
	float last = out && finite ? score[order[(int)out < finite ? (int)out - 1 : finite - 1]] : NAN;
	float next = (int)out < finite ? score[order[out]] : NAN;
	assert_true(isnan(last) ? isnan(c->choice->max_evicted) : c->choice->max_evicted == last);
	assert_true(isnan(next) ? isnan(c->choice->min_kept) : c->choice->min_kept == next);
}

/* As `match` leaves them: other sums in every frame, also negative ones, with ties. */
static inline void ev_match(table *t, ev_layer *layer)
{
	e3_err err = {""};
	for (int l = 0; l < EV_LAYERS; l++) {
		ev_layer *x = &layer[l];
		for (int p = 0; p * EV_KEYS < x->kv.n_keys; p++) {
			double sums[EV_KEYS] = {0};
			for (int k = 0; k < EV_KEYS && p * EV_KEYS + k < x->kv.n_keys; k++)
				sums[k] = x->sum[p * EV_KEYS + k] = floor(8 * any(t)) / 8;
			e3_tensor at = {(uint8_t *)x->page[p] + e3_kv_bytes(&x->kv), E3_F64};
			must(t, t->dev->ops->upload(t->dev, at, sums, EV_KEYS, &err), &err);
		}
	}
}

/* Fifteen frames under one rule: each enters in scattered slots, is scored, and choices of several sizes are made
 * (nothing leaves). */
static inline void ev_run(table *t, e3_rule r)
{
	e3_err err = {""};
	const e3_dev_ops *ops = t->dev->ops;
	ev_layer layer[EV_LAYERS];
	void *stats, *choices, *room;
	must(t, ops->alloc_host(t->dev, EV_LAYERS * sizeof(e3_layer_stat), &stats, &err), &err);
	must(t, ops->alloc_host(t->dev, EV_LAYERS * sizeof(e3_evict_choice), &choices, &err), &err);
	must(t, ops->alloc_host(t->dev, (size_t)(2 * EV_LAYERS * EV_SLOTS) * sizeof(uint32_t), &room, &err), &err);
	for (int l = 0; l < EV_LAYERS; l++)
		ev_open(t, &layer[l]);
	for (r.t = 0; r.t < EV_FRAMES; r.t++) {
		e3_scored scored[EV_LAYERS];
		e3_chosen chosen[EV_LAYERS];
		for (int l = 0; l < EV_LAYERS; l++) {
			ev_layer *x = &layer[l];
			uint32_t slot[EV_TOKENS], first = (uint32_t)r.t * EV_TOKENS;
			x->kv.n_keys += EV_TOKENS;
			for (uint32_t k = 0; k < EV_TOKENS; k++) { /* the new slots, in another order */
				slot[k] = first + (k * 3 + 1) % EV_TOKENS;
				x->id[slot[k]] = first + k, x->sum[slot[k]] = first || r.free_first ? 0 : INFINITY,
				x->seen[slot[k]] = first || r.free_first ? 0 : 1;
			}
			must(t, ops->enter(t->dev, &(e3_entered){&x->kv, slot, EV_TOKENS, first, r.free_first}, 1, &err), &err);
			/* Eighths, so that there are ties; now and then much. */
			for (int s = 0; s < x->kv.n_keys; s++)
				x->mass[s] = floorf(4 + 4 * any(t)) / 8 + (s % 31 == 7 ? 40.0f : 0);
			must(t, ops->upload(t->dev, e3_tensor_f32(x->dev_mass), x->mass, (size_t)x->kv.n_keys, &err), &err);
			scored[l] =
				(e3_scored){&x->kv, e3_scoring_needs_mass(&r.scoring) ? x->dev_mass : NULL, (e3_layer_stat *)stats + l};
			uint32_t *at = (uint32_t *)room + 2 * l * EV_SLOTS;
			chosen[l] =
				(e3_chosen){&x->kv, (int)(r.t * (l ? 11 : 4)), at, at + EV_SLOTS, (e3_evict_choice *)choices + l};
		}
		if (r.t == 0)
			continue; /* frame 0 is not scored */
		if (e3_scoring_is_given(&r.scoring))
			ev_match(t, layer);
		must(t, ops->score(t->dev, &r, scored, EV_LAYERS, &err) || ops->finish(t->dev, &err), &err);
		for (int l = 0; l < EV_LAYERS; l++) {
			for (int s = 0; e3_scoring_needs_mass(&r.scoring) && s < layer[l].kv.n_keys; s++)
				ev_add(&r, &layer[l], s);
			ev_compare(t, &layer[l]);
			ev_check_stat(t, &r, &layer[l], (e3_layer_stat *)stats + l);
		}
		must(t, ops->choose(t->dev, &r, chosen, EV_LAYERS, &err) || ops->finish(t->dev, &err), &err);
		for (int l = 0; l < EV_LAYERS; l++)
			ev_check_choice(t, &r, &layer[l], &chosen[l]);
	}
	/* Scores move with their key. */
	static const uint32_t from[] = {149, 10, 64, 100}, to[] = {3, 130, 63, 65};
	must(t, ops->move(t->dev, &layer[0].kv, from, to, 4, &err), &err);
	for (int k = 0; k < 4; k++) {
		layer[0].sum[to[k]] = layer[0].sum[from[k]], layer[0].id[to[k]] = layer[0].id[from[k]];
		layer[0].seen[to[k]] = layer[0].seen[from[k]];
	}
	ev_compare(t, &layer[0]);
	ops->free_host(t->dev, stats), ops->free_host(t->dev, choices), ops->free_host(t->dev, room);
	end_case(t);
}

static inline void case_evict(table *t)
{
	static const int64_t newest[] = {1, 4, 100};
	/* The scorings of the policies, then others: what a new policy may combine. */
	static const e3_scoring scorings[] = {
		{.measure = E3_MEASURE_SHARE},
		{.measure = E3_MEASURE_FRAME},
		{.measure = E3_MEASURE_NOTHING, .dither = E3_DITHER_RANDOM},
		{.measure = E3_MEASURE_SHARE, .root = true, .dither = E3_DITHER_EVEN},
		{.measure = E3_MEASURE_SHARE, .dither = E3_DITHER_RANDOM},
		{.measure = E3_MEASURE_FRAME, .root = true, .dither = E3_DITHER_RANDOM},
		{.measure = E3_MEASURE_NOTHING, .dither = E3_DITHER_EVEN},
		{.measure = E3_MEASURE_MATCH},
		{.measure = E3_MEASURE_NOVELTY},
	};
	for (int s = 0; s < (int)(sizeof scorings / sizeof *scorings); s++)
		for (int how = 0; how < (e3_scoring_needs_mass(&scorings[s]) ? 4 : 1); how++)
			for (int k = 0; k < 3; k++) {
				e3_rule rule = {.scoring = scorings[s],
					.protected_last = how & 2,
					.tokens = EV_TOKENS,
					.special = 3,
					.columns = how & 1 ? 3 : 7,
					.protected_frames = how & 2 ? E3_ALL_FRAMES : newest[k]};
				rule.scoring.sums = how & 1 ? E3_SUMS_F16 : E3_SUMS_F64;
				ev_run(t, rule);
				rule.free_first = true, rule.newest_whole = k == 2, rule.seed = k == 1 ? 7 : 4000000000u;
				if (how < 2 && k)
					ev_run(t, rule);
			}
}

#endif
