/* image: Pillow's bicubic and Lanczos resampling of 8-bit pictures, bit for bit (doc/network.md 3.2,
 * doc/evaluation.md 1.4), and nearest neighbour.
 *
 * Two passes over 8-bit data, horizontal first, weights in fixed point with 22 bits. The sums are integers, so the
 * order of addition does not matter: resize_avx2.c gives the same bits.
 */
#include "resize.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535 };

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

static void axis_release(resize_axis *a)
{
	free(a->lo), free(a->n), free(a->q);
	*a = (resize_axis){0};
}

/* Weights of output o into row (doubles, scratch) and a->q. */
static void axis_weights(resize_axis *a, const filter *f, int in, int o, double *row)
{
	double scale = (double)in / a->out, fs = scale < 1 ? 1 : scale, support = f->support * fs, inverse = 1 / fs;
	double centre = (o + 0.5) * scale, sum = 0;
	int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
	lo = lo < 0 ? 0 : lo, hi = hi > in ? in : hi;
	for (int j = 0; j < hi - lo; j++)
		sum += row[j] = f->at((j + lo - centre + 0.5) * inverse);
	a->lo[o] = lo, a->n[o] = hi - lo;
	int32_t *q = a->q + (size_t)o * (size_t)a->taps;
	for (int j = 0; j < hi - lo; j++) {
		double w = (sum != 0 ? row[j] / sum : row[j]) * (1 << RESIZE_BITS);
		q[j] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
	}
}

/* Weights for outputs [first, first + n) of an axis of `in` samples scaled to a->out; the others stay empty. */
static int axis_init(resize_axis *a, const filter *f, int in, int first, int n, e3_err *err)
{
	int out = a->out;
	double scale = (double)in / out;
	*a = (resize_axis){.out = out,
		.portable = a->portable,
		.taps = (int)ceil(f->support * (scale < 1 ? 1 : scale)) * 2 + 1};
	double *row = e3_alloc((size_t)a->taps, sizeof *row, "resize weights", err);
	a->lo = e3_alloc((size_t)out, sizeof *a->lo, "resize weights", err);
	a->n = e3_alloc((size_t)out, sizeof *a->n, "resize weights", err);
	a->q = e3_alloc((size_t)out, (size_t)a->taps * sizeof *a->q, "resize weights", err);
	bool ok = row && a->lo && a->n && a->q;
	for (int o = first; ok && o < first + n; o++)
		axis_weights(a, f, in, o, row);
	free(row);
	if (!ok)
		axis_release(a);
	return ok ? 0 : -1;
}

/* The passes for this processor. */
static void pick(const resize_axis *a, resize_across_fn **across, resize_down_fn **down)
{
	*across = resize_across_plain, *down = resize_down_plain;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2") && !a->portable)
		*across = resize_across_avx2, *down = resize_down_avx2;
#endif
}

/* Rows [row, row + rows) of `in`, scaled to the width of the axis. */
static int pass_across(const e3_image *in, const resize_axis *a, int row, int rows, e3_image *out, e3_err *err)
{
	resize_across_fn *across;
	resize_down_fn *down;
	pick(a, &across, &down);
	void *scratch = e3_alloc((size_t)in->w, RESIZE_SCRATCH, "a row", err);
	int rc = scratch ? e3_image_init(out, a->out, rows, in->channels, err) : -1;
	size_t from = (size_t)in->w * (size_t)in->channels, to = (size_t)a->out * (size_t)in->channels;
	for (int y = 0; !rc && y < rows; y += 2) {
		size_t second = y + 1 < rows ? 1 : 0;
		const uint8_t *src = in->px + (size_t)(row + y) * from;
		uint8_t *dst = out->px + (size_t)y * to;
		across(a, &(resize_pair){{src, src + second * from}, {dst, dst + second * to}}, in->w, in->channels, scratch);
	}
	free(scratch);
	return rc;
}

/* The window's rows of the result, from rows that begin at source row `top`. */
static int pass_down(const e3_image *in, const resize_axis *a, const resize_window *window, int top, e3_image *out,
	e3_err *err)
{
	int first = window->row, n = window->rows;
	resize_across_fn *across;
	resize_down_fn *down;
	pick(a, &across, &down);
	if (e3_image_init(out, in->w, n, in->channels, err))
		return -1;
	size_t stride = (size_t)in->w * (size_t)in->channels;
	for (int o = first; o < first + n; o++)
		down(a->q + (size_t)o * (size_t)a->taps, a->n[o], in->px + (size_t)(a->lo[o] - top) * stride, stride, 0,
			out->px + (size_t)(o - first) * stride);
	return 0;
}

/* Rows [row, row + rows), unchanged. */
static int copy_rows(const e3_image *in, int row, int rows, e3_image *out, e3_err *err)
{
	if (e3_image_init(out, in->w, rows, in->channels, err))
		return -1;
	size_t stride = (size_t)in->w * (size_t)in->channels;
	memcpy(out->px, in->px + (size_t)row * stride, stride * (size_t)rows);
	return 0;
}

int resize_rows(const e3_image *in, const resize_window *window, e3_image *out, e3_err *err)
{
	*out = (e3_image){0};
	resize_axis horizontal = {.out = window->w, .portable = window->portable};
	resize_axis vertical = {.out = window->h, .portable = window->portable};
	const filter *f = &filters[window->filter];
	e3_image between = {0};
	int row = window->row, rows = window->rows, top = row, high = rows, rc = 0;
	bool scale_w = window->w != in->w, scale_h = window->h != in->h;
	if (scale_h) {
		rc = axis_init(&vertical, f, in->h, row, rows, err);
		if (!rc) {
			int last = row + rows - 1;
			top = vertical.lo[row], high = vertical.lo[last] + vertical.n[last] - top;
		}
	}
	if (!rc && scale_w) {
		rc = axis_init(&horizontal, f, in->w, 0, window->w, err);
		if (!rc)
			rc = pass_across(in, &horizontal, top, high, scale_h ? &between : out, err);
	}
	if (!rc && scale_h)
		rc = pass_down(scale_w ? &between : in, &vertical, window, scale_w ? top : 0, out, err);
	if (!rc && !scale_w && !scale_h)
		rc = copy_rows(in, row, rows, out, err);
	e3_image_release(&between);
	axis_release(&horizontal);
	axis_release(&vertical);
	if (rc)
		e3_image_release(out);
	return rc;
}

static int resize_whole(const e3_image *in, const resize_window *whole, e3_image *out, e3_err *err)
{
	*out = (e3_image){0};
	if (whole->w < 1 || whole->h < 1 || whole->w > MAX_SIDE || whole->h > MAX_SIDE)
		return e3_fail(err, "resizing a picture: %d × %d: sizes go from 1 to %d", whole->w, whole->h, MAX_SIDE);
	return resize_rows(in, whole, out, err);
}

int e3_resize_bicubic(const e3_image *in, int w, int h, e3_image *out, e3_err *err)
{
	return resize_whole(in, &(resize_window){.w = w, .h = h, .rows = h, .filter = RESIZE_BICUBIC}, out, err);
}

int e3_resize_lanczos(const e3_image *in, int w, int h, e3_image *out, e3_err *err)
{
	return resize_whole(in, &(resize_window){.w = w, .h = h, .rows = h, .filter = RESIZE_LANCZOS}, out, err);
}

int e3_resize_nearest(const e3_image *in, int w, int h, e3_image *out, e3_err *err)
{
	if (e3_image_init(out, w, h, in->channels, err))
		return -1;
	size_t c = (size_t)in->channels;
	uint8_t *to = out->px;
	for (int y = 0; y < h; y++) {
		const uint8_t *row = in->px + (size_t)((int64_t)y * in->h / h) * (size_t)in->w * c;
		for (int x = 0; x < w; x++, to += c)
			memcpy(to, row + (size_t)((int64_t)x * in->w / w) * c, c);
	}
	return 0;
}
