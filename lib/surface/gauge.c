/* surface: how fine views are and how well they agree, from counts on a logarithmic scale: one pass, constant memory,
 * and two views. A view is compared with one that is some frames older: what moved little would agree by itself. */
#include "surface/field.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A median within 1 %: 64 bins an octave, from 2^-32 to 2^32. */
enum { OCTAVE = 64, BINS = 64 * OCTAVE, EVERY = 8 /* views between two that are kept */, THIN = 4 /* pixels */ };

typedef struct counts {
	uint64_t bin[BINS], n;
} counts;

struct e3_gauge {
	counts depth, pixel, noise, conf;
	uint64_t views;
	/* the view that others are compared with */
	float *old;
	size_t cap;
	e3_pose pose;
	e3_intrinsics k;
};

static void count(counts *c, double v)
{
	double at = (log2(v) + 32) * OCTAVE;
	c->bin[at < 0 ? 0 : at > BINS - 1 ? BINS - 1 : (int)at]++;
	c->n++;
}

static double median(const counts *c)
{
	uint64_t left = c->n / 2;
	int k = 0;
	if (!c->n)
		return 0;
	while (left >= c->bin[k])
		left -= c->bin[k++];
	return exp2((k + 0.5) / OCTAVE - 32);
}

e3_gauge *e3_gauge_open(e3_err *err) { return e3_alloc(1, sizeof(e3_gauge), "the gauge of a surface", err); }

/* How the point of a pixel at depth z differs from what the old view has there. */
static void compare(e3_gauge *g, const e3_depth_view *v, int u, int row, double z)
{
	double x[3] = {(u + 0.5 - v->k.cx) / v->k.fx * z - v->pose.t[0], (row + 0.5 - v->k.cy) / v->k.fy * z - v->pose.t[1],
		z - v->pose.t[2]};
	double at[3], c[3];
	for (int k = 0; k < 3; k++)
		at[k] = v->pose.r[k] * x[0] + v->pose.r[3 + k] * x[1] + v->pose.r[6 + k] * x[2];
	for (int k = 0; k < 3; k++)
		c[k] = g->pose.r[3 * k] * at[0] + g->pose.r[3 * k + 1] * at[1] + g->pose.r[3 * k + 2] * at[2] + g->pose.t[k];
	if (!(c[2] > 0))
		return;
	double px = floor(g->k.fx * c[0] / c[2] + g->k.cx), py = floor(g->k.fy * c[1] / c[2] + g->k.cy);
	if (!(px >= 0 && px < g->k.w && py >= 0 && py < g->k.h))
		return;
	float d = g->old[(size_t)py * (size_t)g->k.w + (size_t)px];
	if (e3_depth_known(d))
		count(&g->noise, fmax(fabs(d - c[2]) / c[2], 1e-9));
}

static int keep(e3_gauge *g, const e3_depth_view *v, e3_err *err)
{
	size_t n = (size_t)v->k.w * (size_t)v->k.h;
	if (n > g->cap) {
		if (e3_grow((void **)&g->old, n, sizeof *g->old, "the gauge of a surface", err))
			return -1;
		g->cap = n;
	}
	for (size_t k = 0; k < n; k++)
		g->old[k] = !v->keep || v->keep[k] ? v->depth[k] : 0;
	g->pose = v->pose, g->k = v->k;
	return 0;
}

int e3_gauge_add(e3_gauge *g, const e3_depth_view *v, e3_err *err)
{
	double f = sqrt(v->k.fx * v->k.fy);
	for (int row = 0; row < v->k.h; row += THIN)
		for (int u = 0; u < v->k.w; u += THIN) {
			size_t k = (size_t)row * (size_t)v->k.w + (size_t)u;
			float d = v->depth[k];
			if (!e3_depth_known(d) || (v->keep && !v->keep[k]) || (v->conf && !(v->conf[k] > 0)))
				continue;
			count(&g->depth, d);
			count(&g->pixel, d / f);
			if (v->conf)
				count(&g->conf, v->conf[k]);
			if (g->views)
				compare(g, v, u, row, d);
		}
	if (g->views++ % EVERY == 0)
		return keep(g, v, err);
	return 0;
}

e3_gauge_size e3_gauge_result(const e3_gauge *g)
{
	return (e3_gauge_size){
		.depth = median(&g->depth),
		.conf = median(&g->conf),
		.pixel = median(&g->pixel),
		.noise = 1.48 * median(&g->noise),
	};
}

void e3_gauge_close(e3_gauge *g)
{
	if (g)
		free(g->old);
	free(g);
}
