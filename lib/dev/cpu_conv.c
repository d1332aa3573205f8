/* dev: the CPU's feature maps: patches, convolutions, resizing, the end of the dense heads (doc/network.md 3.1, 4, 7).
 *
 * Feature maps are [row][column][channel], so a 1×1 convolution is a linear layer and a 3×3 one is a product with rows
 * of nine gathered pixels. They are gathered a few output rows at a time, in cache, never for the whole feature map.
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

/* ---- convolution ---- */

typedef struct conv_job {
	e3_cpu *cpu;
	const e3_conv *op;
	int out_h, out_w, strip; /* output rows per task */
} conv_job;

E3_CLONES static void copy_relu(float *to, const float *from, size_t n)
{
#pragma omp simd
	for (size_t k = 0; k < n; k++)
		to[k] = from[k] > 0 ? from[k] : 0;
}

/* A feature map on the CPU. */
typedef struct plane {
	const float *p;
	int h, w, c;
} plane;

static plane plane_of(e3_features f) { return (plane){e3_tensor_floats(f.t), f.h, f.w, f.c}; }

/* The nine pixels around (y, x) as one row; outside is zero. The three of one line are neighbours in memory. */
static void gather(const plane *in, int y, int x, bool relu, float *to)
{
	int h = in->h, w = in->w, c = in->c;
	for (int dy = -1; dy <= 1; dy++, to += 3 * c) {
		int x0 = e3_max(x - 1, 0), x1 = e3_min(x + 1, w - 1);
		size_t left = (size_t)(x0 - (x - 1)) * (size_t)c, n = (size_t)(x1 - x0 + 1) * (size_t)c;
		if (y + dy < 0 || y + dy >= h) {
			memset(to, 0, 3 * (size_t)c * sizeof *to);
			continue;
		}
		const float *from = in->p + (e3_area(y + dy, w) + (size_t)x0) * (size_t)c;
		if (n < 3 * (size_t)c)
			memset(to, 0, 3 * (size_t)c * sizeof *to);
		if (relu)
			copy_relu(to + left, from, n);
		else
			memcpy(to + left, from, n * sizeof *to);
	}
}

E3_CLONES static void conv_finish(float *y, const e3_conv *op, size_t at, int n)
{
	const float *b = op->mat->b, *r = op->resid.p ? e3_tensor_floats(op->resid) + at : NULL,
				*p = op->plus.p ? e3_tensor_floats(op->plus) + at : NULL;
	if (b)
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] += b[k];
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
	int cin = op->mat->in / 9, cout = op->mat->out, y0 = task * j->strip, y1 = e3_min(y0 + j->strip, j->out_h);
	float *a = j->cpu->scratch[thread].p, *row = a, *out = e3_tensor_floats(op->out.t);
	plane x_in = plane_of(op->x);
	for (int y = y0; y < y1; y++)
		for (int x = 0; x < j->out_w; x++, row += 9 * cin)
			gather(&x_in, y * op->stride, x * op->stride, op->relu_in, row);
	size_t first = e3_area(y0, j->out_w), pixels = e3_area(y1 - y0, j->out_w);
	e3_gemm_nt(&(e3_product){.m = (int)pixels,
		.n = cout,
		.k = 9 * cin,
		.a = {a, 9 * cin},
		.b = {e3_tensor_floats(op->mat->w), 9 * cin},
		.c = out + first * (size_t)cout,
		.ldc = cout,
		.alpha = 1});
	for (size_t k = first; k < first + pixels; k++)
		conv_finish(out + k * (size_t)cout, op, k * (size_t)cout, cout);
}

/* Output rows per task: gathered rows of about 1 MiB, and at least four tasks. By the shape alone, as e3_cpu_cut. */
static int strip_rows(int out_h, int out_w, int gathered)
{
	int by_cache = e3_max(1, (int)((1 << 18) / (e3_area(out_w, gathered) + 1)));
	return e3_max(1, e3_min(by_cache, e3_ceil_div(out_h, 4)));
}

int e3_cpu_conv(e3_dev *dev, const e3_conv *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	conv_job job = {.cpu = cpu, .op = op, .out_h = op->out.h, .out_w = op->out.w};
	if (e3_check_conv(dev, op, err))
		return -1;
	job.strip = strip_rows(job.out_h, job.out_w, op->mat->in);
	if (e3_cpu_scratch_all(cpu, e3_area(job.strip, job.out_w) * (size_t)op->mat->in, "conv", err))
		return -1;
	e3_parallel_for(cpu->pool, e3_ceil_div(job.out_h, job.strip), conv_task, &job);
	return 0;
}

typedef struct deconv_job {
	e3_cpu *cpu;
	plane x;
	const e3_mat *mat;
	int k;
	float *out;
} deconv_job;

/* One input row: kernel = stride, so every input pixel makes its own k × k block. */
static void deconv_task(void *ctx, int y, int thread)
{
	deconv_job *j = ctx;
	int k = j->k, w = j->x.w, cout = j->mat->out / (k * k), run = k * cout;
	float *block = j->cpu->scratch[thread].p;
	e3_gemm_nt(&(e3_product){.m = w,
		.n = j->mat->out,
		.k = j->mat->in,
		.a = {j->x.p + e3_area(y, w) * (size_t)j->mat->in, j->mat->in},
		.b = {e3_tensor_floats(j->mat->w), j->mat->in},
		.c = block,
		.ldc = j->mat->out,
		.alpha = 1});
	for (int x = 0; x < w; x++)
		for (int i = 0; i < k; i++) {
			const float *from = block + e3_area(x, j->mat->out) + (size_t)i * (size_t)run;
			float *to = j->out + (e3_area(y * k + i, w * k) + (size_t)(x * k)) * (size_t)cout;
			for (int t = 0; t < k; t++)
				for (int c = 0; c < cout; c++)
					to[t * cout + c] = from[t * cout + c] + j->mat->b[c];
		}
}

int e3_cpu_deconv(e3_dev *dev, e3_features x, const e3_mat *mat, e3_features out, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	if (e3_check_deconv(dev, x, mat, out, err) || e3_cpu_scratch_all(cpu, e3_area(x.w, mat->out), "deconv", err))
		return -1;
	deconv_job job = {cpu, plane_of(x), mat, out.h / x.h, e3_tensor_floats(out.t)};
	e3_parallel_for(cpu->pool, x.h, deconv_task, &job);
	return 0;
}

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

static void add_uv_row(float *row, int w, int c, const float *uv_x, const float *uv_y)
{
	int half = c / 2;
	for (int x = 0; x < w; x++, row += c)
		for (int k = 0; k < half; k++) {
			row[k] += uv_x[e3_area(x, half) + (size_t)k];
			row[half + k] += uv_y[k];
		}
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
	int strip;
} dense_job;

static void finish_pixel(const e3_dense *op, const float *hidden, size_t at)
{
	const e3_mat *m = op->out;
	int n = m->out - 1;
	for (int o = 0; o <= n; o++) {
		float v = m->b[o];
		const float *w = e3_tensor_floats(m->w) + e3_area(o, m->in);
		for (int k = 0; k < m->in; k++)
			v += hidden[k] * w[k];
		if (o == n)
			op->conf[at] = 1.0f + expf(v);
		else
			op->value[at * (size_t)n + (size_t)o] = n == 1 ? expf(v) : copysignf(expm1f(fabsf(v)), v);
	}
}

/* A few output rows: the resized feature map with one row more on each side, gathered, multiplied, finished. Nothing of
 * full size is kept. */
static void dense_task(void *ctx, int task, int thread)
{
	dense_job *j = ctx;
	const e3_dense *op = j->op;
	int c = op->z.c, hid = op->conv->out, to[2] = {op->H, op->W};
	plane z = plane_of(op->z);
	int y0 = task * j->strip, y1 = e3_min(y0 + j->strip, op->H), top = e3_max(y0 - 1, 0), low = e3_min(y1 + 1, op->H);
	float *wide = j->cpu->scratch[thread].p, *a = wide + e3_area(j->strip + 2, op->W) * (size_t)c;
	float *hidden = a + e3_area(op->W, 9 * c);
	for (int y = top; y < low; y++) {
		float *row = wide + e3_area(y - top, op->W) * (size_t)c;
		upsample_row(&z, to, y, row);
		add_uv_row(row, op->W, c, op->uv.x, op->uv.y + e3_area(y, c / 2));
	}
	plane resized = {wide, low - top, op->W, c};
	for (int y = y0; y < y1; y++) {
		for (int x = 0; x < op->W; x++)
			gather(&resized, y - top, x, false, a + e3_area(x, 9 * c));
		e3_gemm_nt(&(e3_product){.m = op->W,
			.n = hid,
			.k = 9 * c,
			.a = {a, 9 * c},
			.b = {e3_tensor_floats(op->conv->w), 9 * c},
			.c = hidden,
			.ldc = hid,
			.alpha = 1});
		for (int x = 0; x < op->W; x++) {
			float *px = hidden + e3_area(x, hid);
			for (int k = 0; k < hid; k++)
				px[k] += op->conv->b[k];
			e3_cpu_act(px, hid, E3_ACT_RELU);
			finish_pixel(op, px, e3_area(y, op->W) + (size_t)x);
		}
	}
}

int e3_cpu_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	dense_job job = {cpu, op, e3_max(1, e3_min(8, e3_ceil_div(op->H, 8)))};
	int c = op->z.c;
	size_t need = e3_area(op->W, c) * (size_t)(job.strip + 2) + e3_area(op->W, 9 * c + op->conv->out);
	if (e3_check_dense(dev, op, err) || e3_cpu_scratch_all(cpu, need, "dense", err))
		return -1;
	e3_parallel_for(cpu->pool, e3_ceil_div(op->H, job.strip), dense_task, &job);
	return 0;
}
