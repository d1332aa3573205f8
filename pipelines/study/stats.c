/* study: the bootstrap. */
#include "stats.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { RESAMPLES = 10000 };

double study_number(json_t *j, const char *key)
{
	json_t *x = json_object_get(j, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static uint64_t draw(uint64_t *state) /* splitmix64 (Steele, Lea, Flood 2014) */
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double resampled[RESAMPLES];

static void set_range(interval *r)
{
	qsort(resampled, RESAMPLES, sizeof *resampled, by_value);
	r->lo = resampled[RESAMPLES / 40], r->hi = resampled[RESAMPLES - 1 - RESAMPLES / 40];
}

interval study_mean(const double *v, const int *kind, size_t n)
{
	interval r = {.mean = n ? 0 : NAN, .lo = NAN, .hi = NAN, .n = n};
	uint64_t state = 1;
	for (size_t k = 0; k < n; k++)
		r.mean += v[k] / (double)n;
	if (n < 2)
		return r;
	for (int b = 0; b < RESAMPLES; b++) {
		double sum = 0;
		for (size_t first = 0, end; first < n; first = end) {
			for (end = first; end < n && (!kind || kind[end] == kind[first]); end++)
				;
			for (size_t k = first; k < end; k++)
				sum += v[first + draw(&state) % (end - first)];
		}
		resampled[b] = sum / (double)n;
	}
	set_range(&r);
	return r;
}

interval study_ratio(const double *v, const double *by, size_t n)
{
	double sum = 0, base = 0;
	uint64_t state = 1;
	for (size_t k = 0; k < n; k++)
		sum += v[k], base += by[k];
	interval r = {.mean = n ? sum / base : NAN, .lo = NAN, .hi = NAN, .n = n};
	if (n < 2)
		return r;
	for (int b = 0; b < RESAMPLES; b++) {
		sum = base = 0;
		for (size_t k = 0; k < n; k++) {
			size_t at = draw(&state) % n;
			sum += v[at], base += by[at];
		}
		resampled[b] = sum / base;
	}
	set_range(&r);
	return r;
}
