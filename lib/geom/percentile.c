/* geom: exact percentiles without sorting: floats order like integers once the sign is folded in, so a histogram of the
 * top 16 bits finds the bins that hold the two neighbouring ranks, and a second pass resolves the low 16 bits inside
 * those bins. */
#include "e3/geom.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 65536 };

static uint32_t key_of(float v)
{
	uint32_t u;
	v += 0.0f; /* -0 counts as 0 */
	memcpy(&u, &v, 4);
	return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static float value_of(uint32_t key)
{
	uint32_t u = key & 0x80000000u ? key & 0x7fffffffu : ~key;
	float v;
	memcpy(&v, &u, 4);
	return v;
}

int e3_pct_init(e3_pct *p, const double *q, int n_q, e3_err *err)
{
	*p = (e3_pct){.n_q = n_q};
	memcpy(p->q, q, (size_t)n_q * sizeof *q);
	p->high = e3_alloc(BINS, sizeof *p->high, "a histogram", err);
	return p->high ? 0 : -1;
}

void e3_pct_add(e3_pct *p, float v)
{
	p->high[key_of(v) >> 16]++;
	p->n++;
}

/* Rank below the percentile, and how far it is towards the next. */
static uint64_t rank_of(const e3_pct *p, int k, double *fraction)
{
	double h = (double)(p->n - 1) * (p->q[k] / 100);
	double below = floor(h);
	*fraction = h - below;
	return (uint64_t)below;
}

/* The bin that holds a rank; *before receives the number of values in the bins below it. */
static uint32_t find_bin(const uint64_t *hist, uint64_t rank, uint64_t *before)
{
	uint64_t sum = 0;
	uint32_t bin = 0;
	while (bin < BINS - 1 && sum + hist[bin] <= rank)
		sum += hist[bin++];
	*before = sum;
	return bin;
}

static int slot_of(const e3_pct *p, uint32_t bin)
{
	for (int k = 0; k < p->n_bins; k++)
		if (p->bin[k] == bin)
			return k;
	return -1;
}

int e3_pct_second_pass(e3_pct *p, e3_err *err)
{
	for (int k = 0; p->n && k < 2 * p->n_q; k++) {
		double fraction;
		uint64_t before, rank = rank_of(p, k / 2, &fraction) + (uint64_t)(k & 1);
		uint32_t bin = find_bin(p->high, rank < p->n ? rank : p->n - 1, &before);
		if (slot_of(p, bin) >= 0)
			continue;
		p->low[p->n_bins] = e3_alloc(BINS, sizeof **p->low, "a histogram", err);
		if (!p->low[p->n_bins])
			return -1;
		p->bin[p->n_bins++] = bin;
	}
	return 0;
}

void e3_pct_refine(e3_pct *p, float v)
{
	uint32_t key = key_of(v);
	for (int k = 0; k < p->n_bins; k++)
		if (p->bin[k] == key >> 16)
			p->low[k][key & 0xffff]++;
}

static float value_at(const e3_pct *p, uint64_t rank)
{
	uint64_t before, inside;
	uint32_t bin = find_bin(p->high, rank < p->n ? rank : p->n - 1, &before);
	int slot = slot_of(p, bin);
	return value_of(bin << 16 | find_bin(p->low[slot], (rank < p->n ? rank : p->n - 1) - before, &inside));
}

double e3_pct_value(const e3_pct *p, int k)
{
	if (!p->n)
		return 0;
	double f;
	uint64_t rank = rank_of(p, k, &f);
	float a = value_at(p, rank), b = value_at(p, rank + 1);
	float step = b - a;
	return f < 0.5 ? a + (double)step * f : b - (double)step * (1 - f);
}

double e3_pct_lower(const e3_pct *p, int k)
{
	double fraction;
	return p->n ? value_at(p, rank_of(p, k, &fraction)) : 0;
}

void e3_pct_release(e3_pct *p)
{
	free(p->high);
	for (int k = 0; k < p->n_bins; k++)
		free(p->low[k]);
	*p = (e3_pct){0};
}
