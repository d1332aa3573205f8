/* study: means over scenes with intervals. The interval holds 95 % of the means of a bootstrap over scenes: percentiles
 * of 10,000 resamples, the same numbers on every machine. Differences and ratios are paired: the same scenes in both.
 */
#ifndef STUDY_STATS_H
#define STUDY_STATS_H

#include <jansson.h>
#include <stddef.h>

typedef struct interval {
	double mean, lo, hi; /* NaN: unknown; a single scene has no interval */
	size_t n;
} interval;

/* Of v [n]. The stretches of equal numbers in `kind` are resampled separately; NULL: all together. */
interval study_mean(const double *v, const int *kind, size_t n);
/* The sum of v over the sum of `by`. */
interval study_ratio(const double *v, const double *by, size_t n);

/* A member of an object; NaN when it is not there or not a number. */
double study_number(json_t *j, const char *key);

#endif
