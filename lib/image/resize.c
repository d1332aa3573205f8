/* image: Pillow's bicubic and Lanczos resampling of 8-bit pictures, bit for bit (doc/network.md 3.2,
 * doc/evaluation.md 1.4), and nearest neighbour.
 *
 * Two passes over 8-bit data, horizontal first, weights in fixed point with 22 bits. The sums are integers, so the
 * order of addition does not matter: every path of the table gives the same bits, with any number of threads.
 */
#include "resize.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535, ROWS_A_TASK = 16 };

const resize_path *resize_path_usable(int k)
{
#ifdef __x86_64__
	bool avx2 = __builtin_cpu_supports("avx2");
	bool avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vnni");
	if (avx512 && k-- == 0)
		return &resize_path_avx512;
	if (avx2 && k-- == 0)
		return &resize_path_avx2;
#endif
	return k == 0 ? &resize_path_plain : NULL;
}

void resizer_release(resizer *r)
{
	resize_axis_release(&r->across);
	resize_axis_release(&r->down);
	free(r->between), free(r->scratch);
	*r = (resizer){0};
}

static bool same(const resize_window *a, const resize_window *b)
{
	return a->w == b->w && a->h == b->h && a->row == b->row && a->rows == b->rows && a->filter == b->filter &&
		a->path == b->path;
}

static int init_axes(resizer *r, const resize_window *w, e3_err *err)
{
	r->across = (resize_axis){.in = r->w, .out = w->w};
	r->down = (resize_axis){.in = r->h, .out = w->h};
	if (resize_axis_init(&r->across, w->filter, 0, w->w, err) ||
		resize_axis_init(&r->down, w->filter, w->row, w->rows, err))
		return -1;
	int last = w->row + w->rows - 1;
	r->top = r->down.lo[w->row] / 2 * 2; /* as e3_strips promises */
	r->high = r->down.lo[last] + r->down.n[last] - r->top;
	r->path = w->path ? w->path : resize_path_usable(0);
	if (!resize_axis_fits(&r->across) || !resize_axis_fits(&r->down))
		r->path = &resize_path_plain;
	if (r->path->split &&
		(resize_axis_group(&r->across, 0, r->path->split, err) ||
			resize_axis_group(&r->down, r->top, r->path->split, err)))
		return -1;
	for (int o = w->row; o <= last; o++)
		r->down.lo[o] -= r->top;
	return 0;
}

static int set_up(resizer *r, const e3_strips *in, const resize_window *window, int threads, e3_err *err)
{
	if (r->w == in->w && r->h == in->h && r->channels == in->channels && r->threads == threads &&
		same(&r->window, window))
		return 0;
	resizer_release(r);
	r->w = in->w, r->h = in->h, r->channels = in->channels, r->window = *window, r->threads = threads;
	if (init_axes(r, window, err)) {
		resizer_release(r);
		return -1;
	}
	size_t strips = (size_t)(r->high + r->path->rows - 1) / (size_t)r->path->rows;
	r->stride = r->path->stride(window->w, in->channels);
	r->n_scratch = r->path->scratch ? (r->path->scratch(in->w, in->channels) + 63) / 64 * 64 : 0;
	r->between = e3_alloc(strips * (size_t)r->path->rows / RESIZE_GROUP, r->stride, "a picture", err);
	r->scratch = e3_alloc((size_t)threads, r->n_scratch, "rows of a picture", err);
	if (r->between && r->scratch)
		return 0;
	resizer_release(r);
	return -1;
}

typedef struct passes {
	const resizer *r;
	const e3_strips *in;
	e3_image *out;
} passes;

static void across(void *ctx, int task, int thread)
{
	const passes *p = ctx;
	const resizer *r = p->r;
	int rows = r->path->rows, first = task * rows, n = r->high - first < rows ? r->high - first : rows;
	resize_strip strip = {.w = r->w, .channels = r->channels, .scratch = r->scratch + (size_t)thread * r->n_scratch};
	size_t stride;
	const uint8_t *from = p->in->get(p->in->ctx, r->top + first, n, thread, &stride);
	for (int y = 0; y < rows; y++)
		strip.row[y] = from + (size_t)(y < n ? y : n - 1) * stride;
	r->path->across(&r->across, &strip, r->stride, r->between + (size_t)(first / RESIZE_GROUP) * r->stride);
}

static void down(void *ctx, int task, int thread)
{
	const passes *p = ctx;
	const resizer *r = p->r;
	int first = task * ROWS_A_TASK, end = first + ROWS_A_TASK;
	end = end > r->window.rows ? r->window.rows : end;
	size_t n = (size_t)p->out->w * (size_t)p->out->channels;
	for (int y = first; y < end; y++)
		r->path->down(&r->down, r->window.row + y, r->between, r->stride, n, p->out->px + (size_t)y * n);
}

static void run(e3_pool *pool, int tasks, void (*fn)(void *ctx, int task, int thread), void *ctx)
{
	if (pool)
		e3_parallel_for(pool, tasks, fn, ctx);
	for (int t = 0; !pool && t < tasks; t++)
		fn(ctx, t, 0);
}

int resizer_apply(resizer *r, const e3_strips *in, const resize_window *window, e3_pool *pool, e3_image *out,
	e3_err *err)
{
	if (out->w != window->w || out->h != window->rows || out->channels != in->channels) {
		e3_image_release(out);
		if (e3_image_init(out, window->w, window->rows, in->channels, err))
			return -1;
	}
	if (set_up(r, in, window, pool ? e3_pool_threads(pool) : 1, err))
		return -1;
	passes p = {r, in, out};
	run(pool, (r->high + r->path->rows - 1) / r->path->rows, across, &p);
	run(pool, (window->rows + ROWS_A_TASK - 1) / ROWS_A_TASK, down, &p);
	return 0;
}

static const uint8_t *rows_of(void *ctx, int first, int n, int thread, size_t *stride)
{
	const e3_image *im = ctx;
	*stride = (size_t)im->w * (size_t)im->channels;
	return im->px + (size_t)first * *stride;
}

e3_strips e3_image_strips(const e3_image *im) { return (e3_strips){im->w, im->h, im->channels, rows_of, (void *)im}; }

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
	if (window->w == in->w && window->h == in->h)
		return copy_rows(in, window->row, window->rows, out, err);
	resizer r = {0};
	e3_strips rows = e3_image_strips(in);
	int rc = resizer_apply(&r, &rows, window, NULL, out, err);
	resizer_release(&r);
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
