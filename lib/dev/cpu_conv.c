/* dev: the CPU's feature maps: patches, convolutions, resizing, the end of the dense heads (doc/network.md 3.1, 4, 7).
 *
 * Feature maps are [row][column][channel], so a 1×1 convolution is a linear layer and a 3×3 one is three products, one
 * for each line of taps, whose rows begin one pixel after the other in a line that has a pixel of zeros at either end.
 * Such lines are made a few at a time, in cache, never for the whole feature map.
 */
#include "cpu.h"
#include <math.h>
#include <string.h>

int e3_cpu_patchify(e3_dev *dev, const e3_patchify *op, e3_err *err)
{
	static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
	float table[3][256];
	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++)
			table[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
	int patch = op->patch, gh = op->h / patch, gw = op->w / patch;
	float *out = op->out;
	for (int gy = 0; gy < gh; gy++)
		for (int gx = 0; gx < gw; gx++, out += 3 * patch * patch)
			for (int y = 0; y < patch; y++) {
				const uint8_t *px = op->rgb + 3 * (e3_area(gy * patch + y, op->w) + (size_t)(gx * patch));
				for (int x = 0; x < patch; x++)
					for (int c = 0; c < 3; c++)
						out[(c * patch + y) * patch + x] = table[c][px[3 * x + c]];
			}
	return 0;
}

/* A feature map on the CPU. */
typedef struct plane {
	const float *p;
	int h, w, c;
} plane;

static plane plane_of(e3_features f) { return (plane){e3_tensor_floats(f.t), f.h, f.w, f.c}; }

/* ---- resizing ---- */

typedef struct axis {
	int i0, i1;
	float w1;
} axis;

/* Source position o * (nin - 1) / (nout - 1), the form and rounding of the reference (f32). */
static axis axis_at(int o, int nin, int nout)
{
	float scale = nout > 1 ? (float)(nin - 1) / (float)(nout - 1) : 0;
	float at = scale * (float)o;
	int i0 = e3_min((int)at, nin - 1);
	return (axis){i0, e3_min(i0 + 1, nin - 1), at - (float)i0};
}

E3_CLONES static void mix(float *to, const float *const from[4], const float weight[4], int c)
{
	const float *a = from[0], *b = from[1], *d = from[2], *e = from[3];
	float wa = weight[0], wb = weight[1], wd = weight[2], we = weight[3];
#pragma omp simd
	for (int k = 0; k < c; k++)
		to[k] = wa * a[k] + wb * b[k] + (wd * d[k] + we * e[k]);
}

/* Row `y` of the resized feature map; to: its height and width. */
static void upsample_row(const plane *x, const int to[2], int y, float *out)
{
	int c = x->c;
	axis v = axis_at(y, x->h, to[0]);
	const float *top = x->p + e3_area(v.i0, x->w) * (size_t)c, *low = x->p + e3_area(v.i1, x->w) * (size_t)c;
	for (int o = 0; o < to[1]; o++, out += c) {
		axis u = axis_at(o, x->w, to[1]);
		const float *px[4] = {top + e3_area(u.i0, c), top + e3_area(u.i1, c), low + e3_area(u.i0, c),
			low + e3_area(u.i1, c)};
		float weight[4] = {(1 - v.w1) * (1 - u.w1), (1 - v.w1) * u.w1, v.w1 * (1 - u.w1), v.w1 * u.w1};
		mix(out, px, weight, c);
	}
}

static void add_uv_row(float *row, int w, int c, const float *uv_x, const float *uv_y)
{
	int half = c / 2;
	for (int x = 0; x < w; x++, row += c)
		for (int k = 0; k < half; k++) {
			row[k] += uv_x[e3_area(x, half) + (size_t)k];
			row[half + k] += uv_y[k];
		}
}

/* Lines [y0, y1) of a feature map resized to size[0] × size[1], perhaps with position features, padded as pad_lines
 * does. */
static void wide_lines(const plane *x, const int size[2], const e3_uv *uv, int y0, int y1, float *to)
{
	size_t c = (size_t)x->c, n = (size_t)size[1] * c;
	for (int y = y0; y < y1; y++, to += n + 2 * c) {
		if (y < 0 || y >= size[0]) {
			memset(to, 0, (n + 2 * c) * sizeof *to);
			continue;
		}
		memset(to, 0, c * sizeof *to);
		upsample_row(x, size, y, to + c);
		if (uv)
			add_uv_row(to + c, size[1], x->c, uv->x, uv->y + e3_area(y, x->c / 2));
		memset(to + c + n, 0, c * sizeof *to);
	}
}

/* ---- convolution ---- */

typedef struct conv_job {
	e3_cpu *cpu;
	const e3_conv *op;
	const void *panels;
	int size[2];             /* of what is convolved */
	int out_h, out_w, strip; /* output rows per task */
} conv_job;

E3_CLONES static void copy_relu(float *to, const float *from, size_t n)
{
#pragma omp simd
	for (size_t k = 0; k < n; k++)
		to[k] = from[k] > 0 ? from[k] : 0;
}

/* Lines [y0, y1) of a feature map with a pixel of zeros at either end; outside of it all is zero. */
static void pad_lines(const plane *in, int y0, int y1, bool relu, float *to)
{
	size_t c = (size_t)in->c, n = (size_t)in->w * c;
	for (int y = y0; y < y1; y++, to += n + 2 * c) {
		if (y < 0 || y >= in->h) {
			memset(to, 0, (n + 2 * c) * sizeof *to);
			continue;
		}
		const float *from = in->p + (size_t)y * n;
		memset(to, 0, c * sizeof *to);
		if (relu)
			copy_relu(to + c, from, n);
		else
			memcpy(to + c, from, n * sizeof *to);
		memset(to + c + n, 0, c * sizeof *to);
	}
}

/* A line of output: three padded lines of input, w pixels of c channels, times the taps; of bf16 if the taps are. */
typedef struct line_job {
	const void *lines;
	int w, c, stride;
	const e3_mat *mat;
	const void *panels;
	float *out;
	int out_w;
} line_job;

/* The taps as panels: as they are, or made of what was given, in the operation's scratch memory. */
static int panels_of(e3_cpu *cpu, const e3_mat *m, const void **out, e3_err *err)
{
	size_t columns = e3_panels(cpu->tiles, m->out) * (size_t)cpu->tiles->lanes;
	float *made;
	*out = m->w.p;
	if (e3_cpu_in_panels(m))
		return 0;
	if (e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), columns * (size_t)m->in, &made, err))
		return e3_fail_in(err, "conv");
	e3_tiles_pack(cpu->tiles, e3_tensor_floats(m->w), (size_t)m->in, m->out, m->in, made);
	*out = made;
	return 0;
}

static void conv_line(const e3_cpu *cpu, const line_job *j, float *room)
{
	const e3_tiles *t = cpu->tiles;
	size_t c = (size_t)j->c, line = (size_t)(j->w + 2) * c, cout = (size_t)j->mat->out;
	for (size_t dy = 0; dy < 3; dy++) {
		const float *bias = dy ? NULL : j->mat->b;
		e3_panel p =
			{.m = j->out_w, .n = j->mat->out, .k = 3 * j->c, .c = j->out, .ldc = cout, .bias = bias, .add = dy};
		p.a = (const float *)j->lines + dy * line, p.a_row = (size_t)j->stride * c, p.a_k = 1;
		p.b = (const float *)j->panels + dy * 3 * c * (size_t)t->lanes;
		if (j->mat->w.dtype != E3_BF16) {
			e3_tiles_product(t, &p, 9 * c * (size_t)t->lanes, room);
			continue;
		}
		cpu->bf16->product(&(e3_bf16_panel){.m = p.m,
			.n = p.n,
			.k = p.k,
			.a = (const uint16_t *)j->lines + dy * line,
			.a_row = p.a_row,
			.b = (const uint16_t *)j->panels + dy * 3 * c * E3_TILE_LANES,
			.b_step = 9 * c * E3_TILE_LANES,
			.c = p.c,
			.ldc = p.ldc,
			.bias = p.bias,
			.add = p.add});
	}
}

/* Floats that lines in bf16 take, with what a product may read behind the last pixel; 0 if the taps are f32. And the
 * lines themselves, made of those in f32. */
static size_t bf16_room(const e3_mat *m, size_t lines, int step)
{
	return m->w.dtype == E3_BF16 ? (lines + 64 * (size_t)step) / 2 + 1 : 0;
}

static const void *lines_for(const e3_cpu *cpu, const e3_mat *m, const float *lines, size_t n, float *room)
{
	if (m->w.dtype != E3_BF16)
		return lines;
	cpu->bf16->round(lines, n, (uint16_t *)(void *)room);
	return room;
}

/* Line k of them. */
static const void *line_at(const e3_mat *m, const void *lines, size_t values)
{
	return (const uint8_t *)lines + values * (m->w.dtype == E3_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* Activation and what is added, of n values from `at` on. */
E3_CLONES static void conv_finish(float *y, const e3_conv *op, size_t at, int n)
{
	const float *r = op->resid.p ? e3_tensor_floats(op->resid) + at : NULL,
				*p = op->plus.p ? e3_tensor_floats(op->plus) + at : NULL;
	e3_cpu_act(y, n, op->act);
	if (r && op->relu_resid)
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] += r[k] > 0 ? r[k] : 0;
	else if (r)
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] += r[k];
	if (p)
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] += p[k];
}

static void conv_task(void *ctx, int task, int thread)
{
	conv_job *j = ctx;
	const e3_conv *op = j->op;
	plane in = plane_of(op->x);
	int y0 = task * j->strip, y1 = e3_min(y0 + j->strip, j->out_h), top = y0 * op->stride - 1;
	size_t line = e3_area(j->size[1] + 2, in.c), row = e3_area(j->out_w, op->mat->out);
	size_t n = (size_t)((y1 - y0 - 1) * op->stride + 3) * line;
	float *room = j->cpu->scratch[thread].p, *lines = room + E3_TILE_ROOM, *out = e3_tensor_floats(op->out.t);
	if (op->resize[0]) {
		wide_lines(&in, j->size, NULL, top, top + (int)(n / line), lines);
		if (op->relu_in)
			e3_cpu_act(lines, (int)n, E3_ACT_RELU);
	} else {
		pad_lines(&in, top, (y1 - 1) * op->stride + 2, op->relu_in, lines);
	}
	const void *from = lines_for(j->cpu, op->mat, lines, n, lines + n);
	for (int y = y0; y < y1; y++) {
		size_t at = (size_t)y * row;
		line_job one = {line_at(op->mat, from, (size_t)((y - y0) * op->stride) * line), j->size[1], in.c, op->stride,
			op->mat, j->panels, out + at, j->out_w};
		conv_line(j->cpu, &one, room);
		conv_finish(out + at, op, at, (int)row);
	}
}

/* Output rows per task: their lines of input in some 192 KiB, and some tasks for each thread. */
static int strip_rows(const e3_cpu *cpu, int out_h, size_t line)
{
	int by_cache = (int)((48 << 10) / line) - 2, by_tasks = e3_ceil_div(out_h, 4 * e3_pool_threads(cpu->pool));
	return e3_max(1, e3_min(by_cache, by_tasks));
}

int e3_cpu_conv(e3_dev *dev, const e3_conv *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	conv_job job = {.cpu = cpu, .op = op, .size = {op->x.h, op->x.w}, .out_h = op->out.h, .out_w = op->out.w};
	if (op->resize[0])
		memcpy(job.size, op->resize, sizeof job.size);
	if (e3_check_conv(dev, op, err))
		return -1;
	size_t line = e3_area(job.size[1] + 2, op->x.c) * (size_t)op->stride;
	job.strip = strip_rows(cpu, job.out_h, line);
	size_t lines = (size_t)(job.strip + 2) * line, more = bf16_room(op->mat, lines, op->x.c * op->stride);
	if (e3_cpu_scratch_all(cpu, E3_TILE_ROOM + lines + more, "conv", err) || panels_of(cpu, op->mat, &job.panels, err))
		return -1;
	e3_parallel_for(cpu->pool, e3_ceil_div(job.out_h, job.strip), conv_task, &job);
	return 0;
}

typedef struct deconv_job {
	e3_cpu *cpu;
	plane x;
	const e3_mat *mat;
	int k, cout;
	float *out;
} deconv_job;

/* Bit 1: there is one before it; 2: after it. */
static int neighbours(int at, int n) { return (at > 0 ? 1 : 0) | (at < n - 1 ? 2 : 0); }

/* Rows of taps [a0, a1) of row y of x, added where they lie: row a is row k y + a - 1 of the output. */
static void deconv_rows(const deconv_job *j, int y, int a0, int a1, float *room, float *block)
{
	int k = j->k, w = j->x.w, cout = j->cout, line = (k + 2) * cout, lanes = e3_cpu_lanes(j->cpu, j->mat);
	int first = a0 * line, n = (a1 - a0) * line;
	if (first % lanes)
		n += first, first = 0;
	e3_panel product = {.m = w,
		.n = n,
		.a = j->x.p + e3_area(y, w) * (size_t)j->mat->in,
		.a_row = (size_t)j->mat->in,
		.a_k = 1,
		.c = block,
		.ldc = (size_t)n};
	e3_cpu_times(j->cpu, j->mat, first, &product, room);
	for (int a = a0; a < a1; a++)
		for (int x = 0; x < w; x++) {
			int b0 = x == 0, b1 = x == w - 1 ? k + 1 : k + 2;
			const float *from = block + e3_area(x, n) + (size_t)(a * line - first + b0 * cout);
			float *to = j->out + (e3_area(k * y + a - 1, k * w) + (size_t)(k * x + b0 - 1)) * (size_t)cout;
			for (int c = 0; c < (b1 - b0) * cout; c++)
				to[c] += from[c];
		}
}

/* The k rows of the output that lie in row y of x: what the rows around it add to them, too. */
static void deconv_task(void *ctx, int y, int thread)
{
	deconv_job *j = ctx;
	int k = j->k, h = j->x.h, w = j->x.w, cout = j->cout;
	float *room = j->cpu->scratch[thread].p, *block = room + e3_cpu_times_room(j->cpu, j->mat, w, j->mat->out);
	for (int r = k * y; r < k * y + k; r++)
		for (int x = 0; x < k * w; x++)
			memcpy(j->out + (e3_area(r, k * w) + (size_t)x) * (size_t)cout,
				j->mat->b + (size_t)(4 * neighbours(r, k * h) + neighbours(x, k * w)) * (size_t)cout,
				(size_t)cout * sizeof(float));
	if (y > 0)
		deconv_rows(j, y - 1, k + 1, k + 2, room, block);
	deconv_rows(j, y, 1, k + 1, room, block);
	if (y < h - 1)
		deconv_rows(j, y + 1, 0, 1, room, block);
}

int e3_cpu_deconv(e3_dev *dev, e3_features x, const e3_mat *mat, e3_features out, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	size_t room = e3_cpu_times_room(cpu, mat, x.w, mat->out);
	if (e3_check_deconv(dev, x, mat, out, err) || e3_cpu_scratch_all(cpu, room + e3_area(x.w, mat->out), "deconv", err))
		return -1;
	deconv_job job = {cpu, plane_of(x), mat, x.h > 0 ? out.h / x.h : 0, out.c, e3_tensor_floats(out.t)};
	e3_parallel_for(cpu->pool, x.h, deconv_task, &job);
	return 0;
}

typedef struct upsample_job {
	plane x;
	int to[2];
	float *out;
} upsample_job;

static void upsample_task(void *ctx, int y, int thread)
{
	upsample_job *j = ctx;
	upsample_row(&j->x, j->to, y, j->out + e3_area(y, j->to[1]) * (size_t)j->x.c);
}

int e3_cpu_upsample(e3_dev *dev, e3_features x, e3_features out, e3_err *err)
{
	if (e3_check_upsample(dev, x, out, err))
		return -1;
	upsample_job job = {plane_of(x), {out.h, out.w}, e3_tensor_floats(out.t)};
	e3_parallel_for(e3_cpu_of(dev)->pool, out.h, upsample_task, &job);
	return 0;
}

int e3_cpu_add_uv(e3_dev *dev, e3_features x, e3_uv uv, e3_err *err)
{
	if (e3_check_add_uv(dev, x, err))
		return -1;
	float *p = e3_tensor_floats(x.t);
	for (int y = 0; y < x.h; y++)
		add_uv_row(p + e3_area(y, x.w) * (size_t)x.c, x.w, x.c, uv.x, uv.y + e3_area(y, x.c / 2));
	return 0;
}

/* ---- the end of a dense head ---- */

typedef struct dense_job {
	e3_cpu *cpu;
	const e3_dense *op;
	const void *panels;
	int strip;
} dense_job;

static void finish_pixel(const e3_dense *op, const float *v, size_t at)
{
	int n = op->out->out - 1;
	op->conf[at] = 1.0f + expf(v[n]);
	for (int o = 0; o < n; o++)
		op->value[at * (size_t)n + (size_t)o] = n == 1 ? expf(v[o]) : copysignf(expm1f(fabsf(v[o])), v[o]);
}

/* A few output rows: the resized feature map with one row more on each side, multiplied, finished. Nothing of full size
 * is kept. */
static void dense_task(void *ctx, int task, int thread)
{
	dense_job *j = ctx;
	const e3_dense *op = j->op;
	int c = op->z.c, hid = op->conv->out, values = op->out->out;
	int y0 = task * j->strip, y1 = e3_min(y0 + j->strip, op->H);
	float *room = j->cpu->scratch[thread].p, *lines = room + e3_cpu_times_room(j->cpu, op->out, op->W, values);
	float *hidden = lines + e3_area(j->strip + 2, (op->W + 2) * c), *value = hidden + e3_area(op->W, hid);
	size_t line = e3_area(op->W + 2, c), n = (size_t)(y1 - y0 + 2) * line;
	plane z = plane_of(op->z);
	wide_lines(&z, (const int[]){op->H, op->W}, &op->uv, y0 - 1, y1 + 1, lines);
	const void *from = lines_for(j->cpu, op->conv, lines, n, value + e3_area(op->W, values));
	for (int y = y0; y < y1; y++) {
		line_job one = {line_at(op->conv, from, (size_t)(y - y0) * line), op->W, c, 1, op->conv, j->panels, hidden,
			op->W};
		conv_line(j->cpu, &one, room);
		e3_cpu_act(hidden, op->W * hid, E3_ACT_RELU);
		e3_panel last = {.m = op->W,
			.n = values,
			.a = hidden,
			.a_row = (size_t)hid,
			.a_k = 1,
			.c = value,
			.ldc = (size_t)values,
			.bias = op->out->b};
		e3_cpu_times(j->cpu, op->out, 0, &last, room);
		for (int x = 0; x < op->W; x++)
			finish_pixel(op, value + e3_area(x, values), e3_area(y, op->W) + (size_t)x);
	}
}

int e3_cpu_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	dense_job job = {cpu, op, NULL, e3_max(1, e3_min(8, e3_ceil_div(op->H, 2 * e3_pool_threads(cpu->pool))))};
	size_t lines = e3_area(job.strip + 2, (op->W + 2) * op->z.c), row = e3_area(op->W, op->conv->out + op->out->out);
	if (e3_check_dense(dev, op, err) ||
		e3_cpu_scratch_all(cpu,
			e3_cpu_times_room(cpu, op->out, op->W, op->out->out) + lines + row + bf16_room(op->conv, lines, op->z.c),
			"dense", err) ||
		panels_of(cpu, op->conv, &job.panels, err))
		return -1;
	e3_parallel_for(cpu->pool, e3_ceil_div(op->H, job.strip), dense_task, &job);
	return 0;
}
