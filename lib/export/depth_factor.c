/* export: the factor from depth to 16-bit values, for a whole run (doc/formats.md 4.9). Owns the histogram of depths.
 */
#include "export/depth_factor.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bins are the upper halves of the numbers: less than a 128th wide. */
enum { BINS = 32768, LARGEST = 65535, LEAST = 50 /* a value that is rounded by 1 % at most */ };
static const double usual[] = {5000, 1000, 256}; /* TUM, millimetres, KITTI */
static const double NEARLY = 0.99;               /* of the depths that the best factor has within 1 % */

int e3_depth_hist_open(e3_depth_hist *h, e3_err *err)
{
	*h = (e3_depth_hist){.n = e3_alloc(BINS + 1, sizeof *h->n, "a histogram", err)};
	return h->n ? 0 : -1;
}

void e3_depth_hist_release(e3_depth_hist *h)
{
	free(h->n);
	*h = (e3_depth_hist){0};
}

static uint32_t bin_of(float depth)
{
	uint32_t bits;
	memcpy(&bits, &depth, sizeof bits);
	return bits >> 16;
}

static float edge_of(uint32_t bin)
{
	uint32_t bits = bin << 16;
	float depth;
	memcpy(&depth, &bits, sizeof depth);
	return depth;
}

void e3_depth_hist_add(e3_depth_hist *h, float depth)
{
	h->n[bin_of(depth)]++;
	if (depth > h->farthest)
		h->farthest = depth;
}

/* How many of the depths in the bins below `to` have values within 1 %. sum[b]: how many are in the bins below b. */
static uint64_t held_below(const uint64_t *sum, uint32_t to, double factor)
{
	uint32_t from = bin_of((float)fmin(LEAST / factor, (double)FLT_MAX));
	return to > from ? sum[to] - sum[from] : 0;
}

static uint64_t held(const e3_depth_hist *h, const uint64_t *sum, double factor)
{
	double far = LARGEST / factor;
	return held_below(sum, (double)h->farthest <= far ? BINS : bin_of((float)far), factor);
}

/* The largest factor that holds as many as any, and how many that are. */
static double best_factor(const e3_depth_hist *h, const uint64_t *sum, uint64_t *most)
{
	double best = LARGEST / (double)h->farthest;
	*most = held(h, sum, best);
	for (uint32_t b = BINS - 1; b-- > 1;) {
		double factor = LARGEST / (double)edge_of(b + 1);
		if (!h->n[b] || !(factor > 0))
			continue;
		uint64_t here = held_below(sum, b + 1, factor);
		if (here >= *most)
			*most = here, best = factor;
	}
	return best;
}

/* A whole number where that does not matter. */
static double rounded(double factor) { return factor >= 1 ? floor(factor) : factor; }

double e3_depth_factor(const e3_depth_hist *h)
{
	const double all = LARGEST / (double)h->farthest;
	if (!(h->farthest > 0))
		return usual[0];
	uint64_t *sum = e3_alloc(BINS + 1, sizeof *sum, "a histogram", NULL);
	if (!sum)
		return rounded(all);
	for (uint32_t b = 0; b < BINS; b++)
		sum[b + 1] = sum[b] + h->n[b];
	uint64_t most;
	double best = best_factor(h, sum, &most), factor = 0;
	const double enough = NEARLY * (double)most;
	for (int k = 0; k < 3 && !(factor > 0); k++)
		if (usual[k] <= all && (double)held(h, sum, usual[k]) >= enough)
			factor = usual[k];
	if (!(factor > 0) && (double)held(h, sum, all) >= enough)
		factor = rounded(all);
	for (int k = 0; k < 3 && !(factor > 0); k++)
		if (held(h, sum, usual[k]) >= most)
			factor = usual[k];
	free(sum);
	return factor > 0 ? factor : rounded(best);
}
