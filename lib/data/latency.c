/* data: how far a stage is behind a live source. */
#include "e3/data.h"
#include <stdio.h>

void e3_latency_add(e3_latency *l, double t_capture, double now)
{
	if (t_capture == 0)
		return;
	l->last = now - t_capture;
	l->sum += l->last;
	l->max = l->n == 0 || l->last > l->max ? l->last : l->max;
	l->n++;
}

double e3_latency_mean(const e3_latency *l) { return l->n ? l->sum / (double)l->n : 0; }

void e3_latency_print(const e3_latency *l, char *to, size_t n)
{
	to[0] = 0;
	if (l->n)
		snprintf(to, n, ", %.2f s behind (mean %.2f)", l->last, e3_latency_mean(l));
}
