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
	int row_parts, col_parts, cols; /* the product is cut into row_parts × col_parts tasks, these of `cols` columns */
	size_t room;
} linear_job;

/* Rows of x in bf16: a little longer, so that they do not meet in the same lines of the cache. */
enum { BF16_MORE = 32 };

static void times_bf16(const e3_cpu *cpu, const e3_mat *m, int c0, const e3_panel *p, uint16_t *room)
{
	size_t k = (size_t)m->in, row = k + BF16_MORE;
	for (size_t r = 0; r < (size_t)p->m; r++)
		cpu->bf16->round(p->a + r * p->a_row, k, room + r * row);
	cpu->bf16->product(&(e3_bf16_panel){.m = p->m,
		.n = p->n,
		.k = m->in,
		.a = room,
		.a_row = row,
		.b = (const uint16_t *)(const void *)m->w.p + (size_t)c0 * k,
		.b_step = E3_TILE_LANES * k,
		.c = p->c,
		.ldc = p->ldc,
		.bias = p->bias,
		.add = p->add});
}

void e3_cpu_times(const e3_cpu *cpu, const e3_mat *m, int c0, e3_panel *p, float *room)
{
	const e3_tiles *t = cpu->tiles;
	size_t k = (size_t)m->in;
	if (m->w.dtype == E3_BF16) {
		times_bf16(cpu, m, c0, p, (uint16_t *)(void *)room);
		return;
	}
	const float *w = e3_tensor_floats(m->w) + (size_t)c0 * k;
	if (!e3_cpu_in_panels(m)) {
		e3_tiles_pack(t, w, k, p->n, m->in, room + E3_TILE_ROOM);
		w = room + E3_TILE_ROOM;
	}
	p->b = w, p->k = m->in;
	e3_tiles_product(t, p, k * (size_t)t->lanes, room);
}

size_t e3_cpu_times_room(const e3_cpu *cpu, const e3_mat *m, int rows, int cols)
{
	size_t panels = e3_panels(cpu->tiles, cols) * (size_t)cpu->tiles->lanes * (size_t)m->in;
	if (m->w.dtype == E3_BF16)
		return e3_area(e3_ceil_div(rows, 32) * 16, m->in + BF16_MORE);
	return E3_TILE_ROOM + (e3_cpu_in_panels(m) ? 0 : panels);
}

/* Columns of rows [r0, r1): product, bias, activation, residual. */
static void linear_task(void *ctx, int task, int thread)
{
	linear_job *j = ctx;
	const e3_linear *op = j->op;
	const e3_mat *m = op->mat;
	int rp = task / j->col_parts, cp = task % j->col_parts, c0 = cp * j->cols, n = e3_min(j->cols, m->out - c0);
	int r0 = (int)((int64_t)op->rows * rp / j->row_parts), r1 = (int)((int64_t)op->rows * (rp + 1) / j->row_parts);
	int rows = r1 - r0;
	if (n <= 0 || rows <= 0)
		return;
	const float *x = j->x + (size_t)r0 * (size_t)j->ldx;
	float *out = e3_tensor_floats(op->out) + (size_t)r0 * (size_t)op->ldo + c0;
	float *room = j->cpu->scratch[thread].p, *y = room + j->room;
	bool adds = op->add && op->act == E3_ACT_NONE; /* the product itself can add */
	bool apart = op->add && !adds;
	size_t ldy = (size_t)(apart ? n : op->ldo);
	e3_panel product = {.m = rows,
		.n = n,
		.a = x,
		.a_row = (size_t)j->ldx,
		.a_k = 1,
		.c = apart ? y : out,
		.ldc = ldy,
		.bias = m->b ? m->b + c0 : NULL,
		.add = adds};
	e3_cpu_times(j->cpu, m, c0, &product, room);
	for (int r = 0; op->act && r < rows; r++) {
		float *row = product.c + (size_t)r * ldy;
		e3_cpu_act(row, n, op->act);
		if (apart)
			add_row(out + (size_t)r * (size_t)op->ldo, row, n);
	}
}

/* The same of one row with weights as they were given, each read once. */
static void row_task(void *ctx, int task, int thread)
{
	linear_job *j = ctx;
	const e3_linear *op = j->op;
	const e3_mat *m = op->mat;
	int c0 = task * j->cols, n = e3_min(j->cols, m->out - c0);
	const float *w = e3_tensor_floats(m->w) + e3_area(c0, m->in);
	float *out = e3_tensor_floats(op->out) + c0, *y = op->add ? j->cpu->scratch[thread].p : out;
	for (int c = 0; c < n; c++)
		y[c] = dot(j->x, w + e3_area(c, m->in), m->in);
	if (m->b)
		add_row(y, m->b + c0, n);
	e3_cpu_act(y, n, op->act);
	if (op->add)
		add_row(out, y, n);
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

/* How a product is cut into tasks: rows that stay in the second-level cache, and some tasks for each thread. No value
 * depends on it. In bf16 a task rounds its rows, so it takes many columns. */
void e3_cpu_cut(const e3_cpu *cpu, const e3_mat *m, int rows, int *row_parts, int *col_parts)
{
	int threads = e3_pool_threads(cpu->pool), tasks = threads > 1 ? 4 * threads : 1, most = e3_max(1, m->out / 64);
	*row_parts = rows < 96 ? 1 : e3_max(2, e3_ceil_div(rows, E3_TILE_ROWS));
	*col_parts = e3_max(e3_ceil_div(m->out, 1024), e3_ceil_div(tasks, *row_parts));
	if (m->w.dtype == E3_BF16) {
		tasks = threads > 1 ? 2 * threads : 1;
		*row_parts = e3_max(e3_ceil_div(rows, 512), e3_min(tasks, e3_max(1, rows / 96)));
		*col_parts = e3_ceil_div(tasks, *row_parts);
	}
	*col_parts = e3_min(*col_parts, most);
}

int e3_cpu_linear(e3_dev *dev, const e3_linear *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	const e3_mat *m = op->mat;
	int threads = e3_pool_threads(cpu->pool), lanes = e3_cpu_lanes(cpu, m);
	linear_job job = {.cpu = cpu, .op = op, .x = e3_tensor_floats(op->x), .ldx = op->ldx};
	if (e3_check_linear(dev, op, err))
		return -1;
	if (e3_dtype_is_8(m->w.dtype))
		return e3_cpu_linear8(cpu, op, err);
	if (op->norm) {
		float *normed;
		if (e3_cpu_scratch(cpu, threads, e3_area(op->rows, m->in), &normed, err))
			return e3_fail_in(err, "linear");
		e3_cpu_norm_rows(cpu, (e3_rows){e3_tensor_floats(op->x), op->rows, op->ldx}, op->norm,
			(e3_rows){normed, op->rows, m->in});
		job.x = normed, job.ldx = m->in;
	}
	if (op->rows == 1 && !e3_cpu_in_panels(m)) {
		job.cols = 64;
		if (op->add && e3_cpu_scratch_all(cpu, 64, "linear", err))
			return -1;
		e3_parallel_for(cpu->pool, e3_ceil_div(m->out, 64), row_task, &job);
		return 0;
	}
	e3_cpu_cut(cpu, m, op->rows, &job.row_parts, &job.col_parts);
	job.cols = e3_ceil_div(e3_ceil_div(m->out, job.col_parts), lanes) * lanes;
	int rows = e3_ceil_div(op->rows, job.row_parts);
	job.room = e3_cpu_times_room(cpu, m, rows, job.cols);
	size_t y = op->add && op->act ? e3_area(rows, job.cols) : 0;
	if (e3_cpu_scratch_all(cpu, job.room + y, "linear", err))
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
