/* eval: resizing predicted maps to the size of the truth: OpenCV's cubic resize of f32, and which part of the truth the
 * network saw. */
#include "e3/eval.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAPS = 4 };

/* Keys' kernel with a = -0.75 at the distances 1 + x, x, 1 - x, 2 - x. In single precision, the last one as the
 * difference to 1, as in OpenCV. */
static void cubic(float x, float w[TAPS])
{
	const float a = -0.75f;
	w[0] = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
	w[1] = ((a + 2) * x - (a + 3)) * x * x + 1;
	w[2] = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
	w[3] = 1.0f - w[0] - w[1] - w[2];
}

static int axis_weights(e3_resampler *o, int axis, int n, e3_err *err)
{
	o->weight[axis] = e3_alloc((size_t)n * TAPS, sizeof **o->weight, "resize weights", err);
	o->first[axis] = e3_alloc((size_t)n, sizeof **o->first, "resize weights", err);
	if (!o->weight[axis] || !o->first[axis])
		return -1;
	for (int k = 0; k < n; k++) {
		float at = (float)((k + 0.5) * o->scale[axis] + o->move[axis] - 0.5);
		int whole = (int)floorf(at);
		cubic(at - (float)whole, o->weight[axis] + TAPS * k);
		o->first[axis][k] = whole - 1;
	}
	return 0;
}

/* Along one axis: the range of pixels of the truth whose centre lies in the part of the network picture that shows the
 * source. */
static void axis_seen(e3_resampler *o, int axis)
{
	int n = axis ? o->h : o->w, lo = n, hi = 0;
	for (int k = 0; k < n; k++) {
		double at = (k + 0.5) * o->scale[axis] + o->move[axis];
		if (at >= o->part[axis] - 1e-6 && at <= o->part[2 + axis] + 1e-6)
			lo = k < lo ? k : lo, hi = k + 1;
	}
	o->seen[axis] = lo, o->seen[2 + axis] = hi;
}

/* The network picture shows `source` pixels, placed by `fit`; the truth has `n` pixels for them. */
static void axis_init(e3_resampler *o, int axis, double fit_scale, double fit_move, int source)
{
	int from = axis ? o->from_h : o->from_w, n = axis ? o->h : o->w;
	double end = fit_scale * source + fit_move;
	if (fabs(fit_move) < 0.5 &&
		fabs(end - from) < 0.5) { /* the picture shows exactly the source: the scale that the reference uses */
		o->scale[axis] = (double)from / n, o->move[axis] = 0;
		o->part[axis] = 0, o->part[2 + axis] = from;
		o->seen[axis] = 0, o->seen[2 + axis] = n;
		return;
	}
	o->scale[axis] = fit_scale * source / n, o->move[axis] = fit_move;
	o->part[axis] = (int)lrint(fmin(fmax(fit_move, 0), from)), o->part[2 + axis] = (int)lrint(fmin(fmax(end, 0), from));
	axis_seen(o, axis);
}

int e3_resampler_init(e3_resampler *o, const e3_source *s, const int from[2], const int to[2], e3_err *err)
{
	const int from_w = from[0], from_h = from[1], w = to[0], h = to[1];
	*o = (e3_resampler){.from_w = from_w,
		.from_h = from_h,
		.w = w,
		.h = h,
		.part = {0, 0, from_w, from_h},
		.seen = {0, 0, w, h}};
	o->same = from_w == w && from_h == h;
	if (o->same)
		return 0;
	double shape = (double)w / h / ((double)s->src_w / s->src_h);
	if (!(shape > 1 / 1.02 && shape < 1.02))
		return e3_fail(err,
			"frame %lld: truth of %d × %d pixels: it has neither the size of the network's picture (%d × %d) nor the shape "
			"of the source (%d × %d)",
			(long long)s->i, w, h, from_w, from_h, s->src_w, s->src_h);
	axis_init(o, 0, s->fit.sx, s->fit.tx, s->src_w);
	axis_init(o, 1, s->fit.sy, s->fit.ty, s->src_h);
	if (o->seen[2] <= o->seen[0] || o->seen[3] <= o->seen[1] || o->part[2] <= o->part[0] || o->part[3] <= o->part[1])
		return e3_fail(err,
			"frame %lld: the network saw nothing of the truth: its fit is %g %g %g %g for a picture of %d × %d",
			(long long)s->i, s->fit.sx, s->fit.sy, s->fit.tx, s->fit.ty, s->src_w, s->src_h);
	o->row = e3_alloc((size_t)w * TAPS, sizeof *o->row, "resize rows", err);
	o->row_at = e3_alloc(TAPS, sizeof *o->row_at, "resize rows", err);
	if (!o->row || !o->row_at || axis_weights(o, 0, w, err) || axis_weights(o, 1, h, err)) {
		e3_resampler_release(o);
		return -1;
	}
	return 0;
}

static int clamp(int v, int lo, int hi) { return v < lo ? lo : v >= hi ? hi - 1 : v; }

/* One row of the network picture, resized along x. */
static void across(const e3_resampler *o, const float *from, float *to)
{
	int lo = o->part[0], hi = o->part[2];
	for (int x = o->seen[0]; x < o->seen[2]; x++) {
		const float *w = o->weight[0] + TAPS * x;
		int at = o->first[0][x];
		if (at >= lo && at + TAPS <= hi)
			to[x] = from[at] * w[0] + from[at + 1] * w[1] + from[at + 2] * w[2] + from[at + 3] * w[3];
		else {
			float sum = from[clamp(at, lo, hi)] * w[0];
			for (int k = 1; k < TAPS; k++)
				sum += from[clamp(at + k, lo, hi)] * w[k];
			to[x] = sum;
		}
	}
}

/* The row y of the network picture, resized along x. Four rows are kept, row y in slot y modulo 4. */
static const float *row_of(e3_resampler *o, const float *from, int y)
{
	int slot = y & (TAPS - 1);
	float *row = o->row + (size_t)slot * (size_t)o->w;
	if (o->row_at[slot] != y) {
		across(o, from + (size_t)y * (size_t)o->from_w, row);
		o->row_at[slot] = y;
	}
	return row;
}

void e3_resampler_apply(e3_resampler *o, const float *from, float *to)
{
	if (o->same) {
		memcpy(to, from, (size_t)o->w * (size_t)o->h * sizeof *to);
		return;
	}
	for (int k = 0; k < TAPS; k++)
		o->row_at[k] = -1;
	for (int y = o->seen[1]; y < o->seen[3]; y++) {
		const float *w = o->weight[1] + TAPS * y, *row[TAPS];
		float *line = to + (size_t)y * (size_t)o->w;
		for (int k = 0; k < TAPS; k++)
			row[k] = row_of(o, from, clamp(o->first[1][y] + k, o->part[1], o->part[3]));
		for (int x = o->seen[0]; x < o->seen[2]; x++)
			line[x] = row[0][x] * w[0] + row[1][x] * w[1] + row[2][x] * w[2] + row[3][x] * w[3];
	}
}

void e3_resampler_release(e3_resampler *o)
{
	for (int k = 0; k < 2; k++)
		free(o->weight[k]), free(o->first[k]);
	free(o->row), free(o->row_at);
	*o = (e3_resampler){0};
}

int e3_resize_cubic(const float *from, const int from_size[2], float *to, const int size[2], e3_err *err)
{
	const int w = size[0], h = size[1];
	e3_resampler o;
	/* as if the source had the proportions of the result */
	e3_source s = {.src_w = w, .src_h = h, .fit = {(double)from_size[0] / w, (double)from_size[1] / h, 0, 0}};
	if (e3_resampler_init(&o, &s, from_size, size, err))
		return -1;
	e3_resampler_apply(&o, from, to);
	e3_resampler_release(&o);
	return 0;
}
