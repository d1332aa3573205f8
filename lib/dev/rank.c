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

float e3_rank_frame_score(uint32_t frame) { return (float)frame; }

float e3_rank_lot_score(uint32_t id) { return (float)e3_fmix32(id * 2654435761u + 1u); }

float e3_rank_even_lot(uint32_t id, uint32_t tokens, uint32_t special, uint32_t columns)
{
	uint32_t frame = id / tokens, index = id % tokens, patch = index - special;
	uint32_t column = index < special ? index : patch % columns, row = index < special ? 0 : patch / columns + 1;
	/* 2^32 over p and p^2, p^3 = p + 1, and over the golden ratio: fractions, since products are modulo 2^32. */
	uint32_t at = 0x80000000u - (column * 3242174889u + (row - 1) * 2447445414u + frame * 2654435769u);
	return (float)(2 * (at >> 9) + 1) * 0x1p-24f;
}

float e3_rank_priority(float mean, float lot) { return sqrtf(mean) / lot; }
