/* dev: the order of eviction as pure functions of numbers: no cache, no device. */
#include "dev/rank.h"
#include "e3/num.h"
#include <math.h>
#include <stdlib.h>

double e3_rank_variance(const float *mass, size_t n)
{
	double sum = 0, var = 0;
	for (size_t k = 0; k < n; k++)
		sum += mass[k];
	double mean = n ? sum / (double)n : 0;
	for (size_t k = 0; k < n; k++)
		var += (mass[k] - mean) * (mass[k] - mean);
	return n ? var / (double)n : 0;
}

static int by_score(const void *a, const void *b)
{
	const e3_candidate *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void e3_rank_sort(e3_candidate *c, size_t n) { qsort(c, n, sizeof *c, by_score); }

void e3_rank_quantiles(const e3_candidate *sorted, size_t n, float q[9])
{
	static const double at[9] = {0, .01, .05, .25, .5, .75, .95, .99, 1};
	for (int k = 0; k < 9; k++) {
		if (!n) {
			q[k] = NAN;
			continue;
		}
		double h = at[k] * (double)(n - 1);
		size_t i = (size_t)h, j = i + 1 < n ? i + 1 : i;
		q[k] = (float)(sorted[i].score + (h - (double)i) * ((double)sorted[j].score - sorted[i].score));
	}
}

/* Seed 0 changes nothing: the mixer keeps 0. */
static uint32_t hash(uint32_t id, uint32_t seed) { return e3_fmix32((id * 2654435761u + 1u) ^ e3_fmix32(seed)); }

/* The upper 23 bits as a number in (0, 1). */
static float fraction(uint32_t bits) { return (float)(2 * (bits >> 9) + 1) * 0x1p-24f; }

float e3_rank_random(uint32_t id, uint32_t seed) { return (float)hash(id, seed); }

float e3_rank_dither(const e3_rule *rule, uint32_t id)
{
	uint32_t frame = id / rule->tokens, index = id % rule->tokens, patch = index - rule->special;
	bool special = index < rule->special;
	uint32_t column = special ? index : patch % rule->columns, row = special ? 0 : patch / rule->columns + 1;
	/* 2^32 / p and 2^32 / p^2, where p^3 = p + 1, and 2^32 / golden ratio: fractions, since products are modulo 2^32.
	 */
	return fraction(0x80000000u - (column * 3242174889u + (row - 1) * 2447445414u + frame * 2654435769u));
}

float e3_rank_score(const e3_rule *rule, uint32_t id, float share)
{
	const e3_scoring *s = &rule->scoring;
	if (s->measure == E3_MEASURE_NOTHING)
		return s->dither == E3_DITHER_EVEN ? e3_rank_dither(rule, id) : e3_rank_random(id, rule->seed);
	float score = s->measure == E3_MEASURE_FRAME ? (float)(id / rule->tokens) : share;
	score = s->root ? sqrtf(score) : score;
	if (s->dither == E3_DITHER_NONE)
		return score;
	return score / (s->dither == E3_DITHER_EVEN ? e3_rank_dither(rule, id) : fraction(hash(id, rule->seed)));
}
