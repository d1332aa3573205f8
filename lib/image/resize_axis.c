/* image: the weights of Pillow's bicubic and Lanczos filters in fixed point (doc/network.md 3.2), for one axis. */
#include "resize.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>

static double cubic(double t)
{
	const double a = -0.5;
	t = fabs(t);
	if (t < 1)
		return ((a + 2) * t - (a + 3)) * t * t + 1;
	if (t < 2)
		return (((t - 5) * t + 8) * t - 4) * a;
	return 0;
}

static double sinc(double t)
{
	double x = t * M_PI;
	return t == 0 ? 1 : sin(x) / x;
}

static double lanczos(double t) { return t >= -3 && t < 3 ? sinc(t) * sinc(t / 3) : 0; }

typedef struct filter {
	double support;
	double (*at)(double t);
} filter;

static const filter filters[] = {[RESIZE_BICUBIC] = {2, cubic}, [RESIZE_LANCZOS] = {3, lanczos}};

void resize_axis_release(resize_axis *a)
{
	free(a->lo), free(a->n), free(a->q);
	free(a->first), free(a->count), free(a->parts);
	*a = (resize_axis){0};
}

/* Weights of output o into row (doubles, scratch) and a->q. */
static void axis_weights(resize_axis *a, const filter *f, int o, double *row)
{
	double scale = (double)a->in / a->out, fs = scale < 1 ? 1 : scale, support = f->support * fs, inverse = 1 / fs;
	double centre = (o + 0.5) * scale, sum = 0;
	int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
	lo = lo < 0 ? 0 : lo, hi = hi > a->in ? a->in : hi;
	for (int j = 0; j < hi - lo; j++)
		sum += row[j] = f->at((j + lo - centre + 0.5) * inverse);
	a->lo[o] = lo, a->n[o] = hi - lo;
	int32_t *q = a->q + (size_t)o * (size_t)a->taps;
	for (int j = 0; j < hi - lo; j++) {
		double w = (sum != 0 ? row[j] / sum : row[j]) * (1 << RESIZE_BITS);
		q[j] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
	}
}

/* Pillow leaves out the pass of an axis whose size stays: each output is its input. */
static void axis_copy(resize_axis *a, int o)
{
	a->lo[o] = o, a->n[o] = 1;
	a->q[(size_t)o * (size_t)a->taps] = 1 << RESIZE_BITS;
}

int resize_axis_init(resize_axis *a, resize_filter kind, int first, int n, e3_err *err)
{
	int out = a->out;
	double scale = (double)a->in / out;
	*a = (resize_axis){.in = a->in,
		.out = out,
		.taps = a->in == out ? 1 : (int)ceil(filters[kind].support * (scale < 1 ? 1 : scale)) * 2 + 1};
	double *row = e3_alloc((size_t)a->taps, sizeof *row, "resize weights", err);
	a->lo = e3_alloc((size_t)out, sizeof *a->lo, "resize weights", err);
	a->n = e3_alloc((size_t)out, sizeof *a->n, "resize weights", err);
	a->q = e3_alloc((size_t)out, (size_t)a->taps * sizeof *a->q, "resize weights", err);
	bool ok = row && a->lo && a->n && a->q;
	for (int o = first; ok && o < first + n; o++)
		if (a->in == out)
			axis_copy(a, o);
		else
			axis_weights(a, &filters[kind], o, row);
	free(row);
	if (!ok)
		resize_axis_release(a);
	return ok ? 0 : -1;
}

/* Groups of output o, and their weights in parts. */
static void group_output(resize_axis *a, int o, int origin, resize_split_fn *split)
{
	const int32_t *q = a->q + (size_t)o * (size_t)a->taps;
	int at = a->lo[o] - origin, first = at / RESIZE_GROUP, count = (at + a->n[o] - 1) / RESIZE_GROUP - first + 1;
	a->first[o] = first, a->count[o] = count;
	for (int g = 0; g < count; g++) {
		int32_t four[RESIZE_GROUP];
		for (int k = 0; k < RESIZE_GROUP; k++) {
			int j = (first + g) * RESIZE_GROUP + k - at;
			four[k] = j >= 0 && j < a->n[o] ? q[j] : 0;
		}
		split(four, a->parts + ((size_t)o * (size_t)a->groups + (size_t)g) * RESIZE_DIGITS);
	}
}

int resize_axis_group(resize_axis *a, int origin, resize_split_fn *split, e3_err *err)
{
	a->groups = (a->taps + 2 * RESIZE_GROUP - 2) / RESIZE_GROUP;
	a->first = e3_alloc((size_t)a->out, sizeof *a->first, "resize weights", err);
	a->count = e3_alloc((size_t)a->out, sizeof *a->count, "resize weights", err);
	a->parts = e3_alloc((size_t)a->out, (size_t)a->groups * RESIZE_DIGITS * sizeof *a->parts, "resize weights", err);
	if (!a->first || !a->count || !a->parts)
		return -1;
	for (int o = 0; o < a->out; o++)
		if (a->n[o] > 0)
			group_output(a, o, origin, split);
	return 0;
}

bool resize_axis_fits(const resize_axis *a)
{
	enum { LARGEST = 127 << 16 };
	for (int o = 0; o < a->out; o++) {
		const int32_t *q = a->q + (size_t)o * (size_t)a->taps;
		for (int j = 0; j < a->n[o]; j++)
			if (abs(q[j]) + (j + 1 < a->n[o] ? abs(q[j + 1]) : 0) > LARGEST)
				return false;
	}
	return true;
}
