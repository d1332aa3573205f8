/* dev: the CPU's normalisations and linear layers (doc/network.md 4, 5.2, 6). */
#include "cpu.h"
#include <math.h>
#include <string.h>

E3_CLONES void e3_cpu_norm_row(const float *x, const e3_norm *n, float *out)
{
	int dim = n->dim;
	float sum = 0, var = 0;
#pragma omp simd reduction(+ : sum)
	for (int c = 0; c < dim; c++)
		sum += x[c];
	float mean = sum / (float)dim;
#pragma omp simd reduction(+ : var)
	for (int c = 0; c < dim; c++)
		var += (x[c] - mean) * (x[c] - mean);
	float inv = 1.0f / sqrtf(var / (float)dim + n->eps);
	const float *w = n->w, *b = n->b;
	if (w) {
#pragma omp simd
		for (int c = 0; c < dim; c++)
			out[c] = (x[c] - mean) * inv * w[c] + b[c];
	} else {
#pragma omp simd
		for (int c = 0; c < dim; c++)
			out[c] = (x[c] - mean) * inv;
	}
}

/* x Phi(x) through the complementary error function, so that small negative results keep their relative accuracy:
 * erfc(z) = exp(-z²) t Q(t), t = 1/(1 + 0.4 z); Q fitted to 6e-8. */
static inline float gelu(float x)
{
	float z = fabsf(x) * 0.707106781f;
	float t = 1.0f / (1.0f + 0.4f * z);
	float q = 0.0398256816f;
	q = q * t - 0.133290797f;
	q = q * t + 0.0692614838f;
	q = q * t + 0.105068102f;
	q = q * t + 0.0677428842f;
	q = q * t + 0.198604718f;
	q = q * t + 0.200527579f;
	q = q * t + 0.22663787f;
	q = q * t + 0.225622535f;
	float half_tail = 0.5f * q * t * e3_expf(-z * z);
	return x * (x >= 0 ? 1.0f - half_tail : half_tail);
}

E3_CLONES void e3_cpu_act(float *x, int n, e3_act act)
{
	if (act == E3_ACT_GELU) {
#pragma omp simd
		for (int k = 0; k < n; k++)
			x[k] = gelu(x[k]);
	} else if (act == E3_ACT_RELU) {
#pragma omp simd
		for (int k = 0; k < n; k++)
			x[k] = x[k] > 0 ? x[k] : 0;
	} else if (act == E3_ACT_SILU) {
#pragma omp simd
		for (int k = 0; k < n; k++)
			x[k] = x[k] / (1.0f + e3_expf(-x[k]));
	}
}

E3_CLONES static void add_row(float *y, const float *b, int n)
{
#pragma omp simd
	for (int k = 0; k < n; k++)
		y[k] += b[k];
}

E3_CLONES static float dot(const float *a, const float *b, int n)
{
	float s = 0;
#pragma omp simd reduction(+ : s)
	for (int k = 0; k < n; k++)
		s += a[k] * b[k];
	return s;
}

typedef struct linear_job {
	e3_cpu *cpu;
	const e3_linear *op;
	const float *x; /* after the norm */
	int ldx;
	int row_parts, col_parts; /* the product is cut into row_parts × col_parts tasks */
} linear_job;

/* Columns [from, to) of rows [r0, r1): product, bias, activation, residual. */
static void linear_task(void *ctx, int task, int thread)
{
	linear_job *j = ctx;
	const e3_linear *op = j->op;
	const e3_mat *m = op->mat;
	int rp = task / j->col_parts, cp = task % j->col_parts;
	int r0 = (int)((int64_t)op->rows * rp / j->row_parts), r1 = (int)((int64_t)op->rows * (rp + 1) / j->row_parts);
	int c0 = (int)((int64_t)m->out * cp / j->col_parts), c1 = (int)((int64_t)m->out * (cp + 1) / j->col_parts);
	int n = c1 - c0, rows = r1 - r0;
	if (n <= 0 || rows <= 0)
		return;
	const float *x = j->x + (size_t)r0 * (size_t)j->ldx, *w = e3_tensor_floats(m->w) + (size_t)c0 * (size_t)m->in;
	float *out = e3_tensor_floats(op->out) + (size_t)r0 * (size_t)op->ldo + c0;
	e3_product product =
		{.m = rows, .n = n, .k = m->in, .a = {x, j->ldx}, .b = {w, m->in}, .c = out, .ldc = op->ldo, .alpha = 1};
	if (op->add && op->act == E3_ACT_NONE && op->rows > 1) { /* the product itself can add */
		product.beta = 1;
		e3_gemm_nt(&product);
		for (int r = 0; m->b && r < rows; r++)
			add_row(out + (size_t)r * (size_t)op->ldo, m->b + c0, n);
		return;
	}
	float *y = op->add ? j->cpu->scratch[thread].p : out;
	int ldy = op->add ? n : op->ldo;
	if (op->rows == 1) {
		for (int c = 0; c < n; c++)
			y[c] = dot(x, w + (size_t)c * (size_t)m->in, m->in);
	} else {
		product.c = y, product.ldc = ldy;
		e3_gemm_nt(&product);
	}
	for (int r = 0; r < rows; r++) {
		float *row = y + (size_t)r * (size_t)ldy;
		if (m->b)
			add_row(row, m->b + c0, n);
		e3_cpu_act(row, n, op->act);
		if (op->add)
			add_row(out + (size_t)r * (size_t)op->ldo, row, n);
	}
}

typedef struct norm_job {
	e3_rows x;
	const e3_norm *norm;
	e3_rows out;
	int parts;
} norm_job;

static void norm_task(void *ctx, int task, int thread)
{
	norm_job *j = ctx;
	int r0 = (int)((int64_t)j->x.n * task / j->parts), r1 = (int)((int64_t)j->x.n * (task + 1) / j->parts);
	for (int r = r0; r < r1; r++)
		e3_cpu_norm_row(j->x.p + (size_t)r * (size_t)j->x.ld, j->norm, j->out.p + (size_t)r * (size_t)j->out.ld);
}

void e3_cpu_norm_rows(e3_cpu *cpu, e3_rows x, const e3_norm *norm, e3_rows out)
{
	int parts = x.n >= 32 ? 2 * e3_pool_threads(cpu->pool) : 1; /* a row is the same on any thread */
	e3_parallel_for(cpu->pool, parts, norm_task, &(norm_job){x, norm, out, parts});
}

int e3_cpu_norm(e3_dev *dev, e3_rows x, const e3_norm *norm, e3_rows out, e3_err *err)
{
	if (e3_check_rows("norm", x, out, err))
		return -1;
	e3_cpu_norm_rows(e3_cpu_of(dev), x, norm, out);
	return 0;
}

/* How a product is cut into tasks. It depends on the shape alone, never on the number of threads: OpenBLAS rounds a row
 * differently in another block, and the same stream must come out whatever the machine. Row parts share nothing but
 * repeat the packing of the weights, so there are few; columns are cut into blocks whose result stays in the
 * second-level cache. */
void e3_cpu_cut(int rows, int cols, int *row_parts, int *col_parts)
{
	*row_parts = rows < 96 ? 1 : e3_max(2, e3_ceil_div(rows, 700));
	*col_parts = e3_max(1, rows == 1 ? cols / 64 : rows >= 512 ? cols / 512 : cols / 192);
}

int e3_cpu_linear(e3_dev *dev, const e3_linear *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	int threads = e3_pool_threads(cpu->pool);
	linear_job job = {.cpu = cpu, .op = op, .x = e3_tensor_floats(op->x), .ldx = op->ldx};
	if (e3_check_linear(dev, op, err))
		return -1;
	if (e3_dtype_is_8(op->mat->w.dtype))
		return e3_cpu_linear8(cpu, op, err);
	if (op->norm) {
		float *normed;
		if (e3_cpu_scratch(cpu, threads, e3_area(op->rows, op->mat->in), &normed, err))
			return e3_fail_in(err, "linear");
		e3_cpu_norm_rows(cpu, (e3_rows){e3_tensor_floats(op->x), op->rows, op->ldx}, op->norm,
			(e3_rows){normed, op->rows, op->mat->in});
		job.x = normed, job.ldx = op->mat->in;
	}
	e3_cpu_cut(op->rows, op->mat->out, &job.row_parts, &job.col_parts);
	size_t rows = (size_t)e3_ceil_div(op->rows, job.row_parts), cols = (size_t)e3_ceil_div(op->mat->out, job.col_parts);
	if (op->add && e3_cpu_scratch_all(cpu, rows * cols, "linear", err))
		return -1;
	e3_parallel_for(cpu->pool, job.row_parts * job.col_parts, linear_task, &job);
	return 0;
}

int e3_cpu_copy_rows(e3_dev *dev, e3_rows x, int dim, e3_rows out, e3_err *err)
{
	if (e3_check_rows("copy_rows", x, out, err))
		return -1;
	for (int r = 0; r < x.n; r++)
		memcpy(out.p + (size_t)r * (size_t)out.ld, x.p + (size_t)r * (size_t)x.ld, (size_t)dim * sizeof *out.p);
	return 0;
}

/* Sums in double, rows in order: a few thousand rows of a few thousand values. */
int e3_cpu_mean_rows(e3_dev *dev, e3_rows x, int dim, float *out, e3_err *err)
{
	enum { AT_ONCE = 64 };
	for (int first = 0; first < dim; first += AT_ONCE) {
		double sum[AT_ONCE] = {0};
		int n = dim - first < AT_ONCE ? dim - first : AT_ONCE;
		for (int r = 0; r < x.n; r++)
			for (int k = 0; k < n; k++)
				sum[k] += x.p[(size_t)r * (size_t)x.ld + (size_t)(first + k)];
		for (int k = 0; k < n; k++)
			out[first + k] = (float)(sum[k] / x.n);
	}
	return 0;
}

int e3_cpu_shift(e3_dev *dev, e3_rows before, e3_rows after, int dim, float *out, e3_err *err)
{
	if (e3_check_rows("shift", before, after, err))
		return -1;
	for (int r = 0; r < after.n; r++) {
		const float *a = before.p + (size_t)r * (size_t)before.ld, *b = after.p + (size_t)r * (size_t)after.ld;
		double sum = 0;
		for (int k = 0; k < dim; k++)
			sum += ((double)b[k] - a[k]) * ((double)b[k] - a[k]);
		out[r] = (float)sqrt(sum);
	}
	return 0;
}

int e3_cpu_modulate(e3_dev *dev, const float *p, const float *mod, int dim, float *out, e3_err *err)
{
	e3_cpu_norm_row(p, &(e3_norm){.dim = dim, .eps = 1e-6f}, out);
	const float *a = mod, *b = mod + dim, *g = mod + 2 * dim;
	for (int k = 0; k < dim; k++)
		out[k] = p[k] + g[k] * (out[k] * (1.0f + b[k]) + a[k]);
	return 0;
}
