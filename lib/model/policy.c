/* model: shares, budgets, order: the arithmetic of eviction and nothing else. */
#include "policy.h"
#include "e3/num.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

const char *const e3_policy_names[] = {"evict3r", "window", "random", "none"};

double e3_mass_variance(const float *mass, size_t n)
{
	double sum = 0, var = 0;
	for (size_t k = 0; k < n; k++)
		sum += mass[k];
	double mean = n ? sum / (double)n : 0;
	for (size_t k = 0; k < n; k++)
		var += (mass[k] - mean) * (mass[k] - mean);
	return n ? var / (double)n : 0;
}

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
static double fill(const double *alpha, int layers, double level, const double *floors, const double *ceilings, double *budget)
{
	double sum = 0;
	for (int l = 0; l < layers; l++)
		sum += budget[l] = fmin(fmax(level * alpha[l], floors[l]), ceilings[l]);
	return sum;
}

void e3_policy_budgets(const double *alpha, int layers, double total, const double *floors, const double *ceilings, double *budget)
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

static int by_score(const void *a, const void *b)
{
	const e3_candidate *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

void e3_policy_sort(e3_candidate *c, size_t n)
{
	qsort(c, n, sizeof *c, by_score);
}

void e3_policy_quantiles(const e3_candidate *sorted, size_t n, float q[9])
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

float e3_policy_window_score(uint32_t frame)
{
	return (float)frame;
}

float e3_policy_random_score(uint32_t id)
{
	return (float)e3_fmix32(id * 2654435761u + 1u);
}
