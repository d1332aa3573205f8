/* trace: the latency of every frame of a live source. Keeps all of them, because the quantiles are exact. */
#include "e3/trace.h"
#include "e3/mem.h"
#include <stdlib.h>

int e3_trace_latency_add(e3_trace_latency *l, double seconds, e3_err *err)
{
	if (l->n == l->room) {
		size_t more = l->room ? 2 * l->room : 1024;
		if (e3_grow((void **)&l->seconds, more, sizeof *l->seconds, "latencies", err))
			return -1;
		l->room = more;
	}
	l->seconds[l->n++] = seconds;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Interpolates between the two neighbours, as numpy.percentile does by default. */
static double quantile(const e3_trace_latency *l, double q)
{
	double at = q * (double)(l->n - 1);
	size_t below = (size_t)at, above = below + 1 < l->n ? below + 1 : below;
	return l->seconds[below] + (at - (double)below) * (l->seconds[above] - l->seconds[below]);
}

void e3_trace_latency_finish(e3_trace_latency *l)
{
	if (l->n == 0)
		return;
	qsort(l->seconds, l->n, sizeof *l->seconds, by_value);
	for (size_t k = 0; k < l->n; k++)
		l->mean += l->seconds[k] / (double)l->n;
	l->p50 = quantile(l, 0.5), l->p99 = quantile(l, 0.99), l->max = l->seconds[l->n - 1];
}

void e3_trace_latency_release(e3_trace_latency *l)
{
	free(l->seconds);
	*l = (e3_trace_latency){0};
}
