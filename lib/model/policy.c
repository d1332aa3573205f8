/* model: shares, budgets, order: the arithmetic of eviction and nothing else. */
#include "policy.h"
#include "e3/num.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

const char *const e3_policy_names[] = {"evict3r", "window", "random", "spread", "none"};

static const e3_scoring scorings[] = {
	[E3_POLICY_EVICT3R] = {.measure = E3_MEASURE_SHARE},
	[E3_POLICY_WINDOW] = {.measure = E3_MEASURE_FRAME},
	[E3_POLICY_RANDOM] = {.measure = E3_MEASURE_NOTHING, .dither = E3_DITHER_RANDOM},
	[E3_POLICY_E3] = {.measure = E3_MEASURE_SHARE, .root = true, .dither = E3_DITHER_EVEN},
	[E3_POLICY_NONE] = {.measure = E3_MEASURE_SHARE},
};

e3_scoring e3_policy_score(e3_policy p) { return scorings[p]; }

void e3_policy_shares(const double *variance, int layers, double temperature, double *alpha)
{
	double least = INFINITY, sum = 0;
	for (int l = 0; l < layers; l++)
		least = fmin(least, variance[l]);
	for (int l = 0; l < layers; l++)
		sum += alpha[l] = exp(-(variance[l] - least) / temperature);
	for (int l = 0; l < layers; l++)
		alpha[l] /= sum;
}

/* sum over layers of level × alpha, held inside the bounds; budget receives the terms. */
static double fill(const double *alpha, int layers, double level, const double *floors, const double *ceilings,
	double *budget)
{
	double sum = 0;
	for (int l = 0; l < layers; l++)
		sum += budget[l] = fmin(fmax(level * alpha[l], floors[l]), ceilings[l]);
	return sum;
}

void e3_policy_budgets(const double *alpha, int layers, double total, const double *floors, const double *ceilings,
	double *budget)
{
	bool bounded = false;
	fill(alpha, layers, total, floors, ceilings, budget);
	for (int l = 0; l < layers; l++)
		bounded |= budget[l] != total * alpha[l];
	if (!bounded)
		return;
	/* The sum grows with the level: halve an interval until doubles are exhausted. */
	double low = 0, high = total;
	for (int k = 0; k < 1000 && fill(alpha, layers, high, floors, ceilings, budget) < total; k++)
		high *= 2;
	for (int k = 0; k < 200; k++) {
		double middle = low + (high - low) / 2;
		if (fill(alpha, layers, middle, floors, ceilings, budget) > total)
			high = middle;
		else
			low = middle;
	}
	fill(alpha, layers, low, floors, ceilings, budget);
}
