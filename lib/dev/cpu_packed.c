/* dev: matrices in 8 bits on the CPU, as doc/network.md 15 defines them: one byte of memory a value, and the reference
 * for every other device.
 *
 * Products are made by the f32 product of the values, a piece of the matrix at a time. Of int8 that is exact: products
 * of two values are at most 127², and sums of PIECE of them below 2^24, whatever their order; the sums of the pieces
 * are added as integers. Of e4m3 every product is exact and sums are f32's.
 */
#include "cpu.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1024, COLUMNS = 64, LINE = 64 };

/* ---- rounding ---- */

static float top_of(e3_dtype type) { return type == E3_I8 ? 127.0f : 448.0f; }

/* To the nearest value of e4m3, ties to even; v is at most 448 and a little. */
static inline float to_e4m3(float v)
{
	const float small = 12582912.0f * 0x1p-9f; /* adding it rounds to multiples of 2^-9 */
	union {
		float f;
		uint32_t u;
	} x = {v};
	x.u = (x.u + 0x7ffffu + (x.u >> 20 & 1)) & ~0xfffffu;
	float near = fabsf(v) < 0x1p-6f ? (v + small) - small : x.f;
	return near > 448.0f ? 448.0f : near < -448.0f ? -448.0f : near;
}

/* x becomes the values that it is rounded to; returns their scale. A value that is not a number, or infinite, makes the
 * scale one too, and so all that is computed with the row. */
E3_CLONES static float round_row(e3_dtype type, float *x, int n)
{
	const float near = 12582912.0f;
	float most = 0, poison = 0, top = top_of(type);
#pragma omp simd reduction(max : most) reduction(+ : poison)
	for (int k = 0; k < n; k++) {
		float a = fabsf(x[k]);
		most = a > most ? a : most;
		poison += x[k] * 0.0f;
	}
	float inv = most > 0 ? top / most : 0;
	if (poison != 0) {
		memset(x, 0, (size_t)n * sizeof *x);
	} else if (type == E3_I8) {
#pragma omp simd
		for (int k = 0; k < n; k++)
			x[k] = (x[k] * inv + near) - near;
	} else {
#pragma omp simd
		for (int k = 0; k < n; k++)
			x[k] = to_e4m3(x[k] * inv);
	}
	return most / top + poison;
}

static uint8_t code_of(e3_dtype type, float v)
{
	if (type == E3_I8)
		return (uint8_t)(int8_t)v;
	int e;
	float a = fabsf(v), f = frexpf(a, &e); /* f in [0.5, 1) */
	uint8_t sign = signbit(v) ? 0x80 : 0;
	if (a < 0x1p-6f)
		return sign | (uint8_t)(a * 0x1p9f);
	return sign | (uint8_t)((e + 6) << 3) | (uint8_t)(f * 16.0f - 8.0f);
}

static float value_of(uint8_t code)
{
	int e = code >> 3 & 15, m = code & 7;
	float a = e ? ldexpf((float)(8 + m), e - 10) : (float)m * 0x1p-9f;
	return code & 0x80 ? -a : a;
}

/* ---- weights ---- */

int e3_cpu_weight8(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	size_t n = e3_area(mat->out, mat->in), bytes = (n + LINE - 1) / LINE * LINE;
	mat->w =
		(e3_tensor){e3_alloc(bytes + (size_t)mat->out * sizeof(float), 1, "memory of the network", err), mat->packed};
	float *row = mat->w.p ? e3_alloc((size_t)mat->in, sizeof *row, "a row", err) : NULL;
	if (!row) {
		free(mat->w.p);
		mat->w.p = NULL;
		return -1;
	}
	mat->scale = (float *)(void *)(mat->w.p + bytes);
	for (int o = 0; o < mat->out; o++) {
		uint8_t *to = mat->w.p + e3_area(o, mat->in);
		memcpy(row, from + e3_area(o, mat->in), (size_t)mat->in * sizeof *row);
		mat->scale[o] = round_row(mat->packed, row, mat->in);
		for (int k = 0; k < mat->in; k++)
			to[k] = code_of(mat->packed, row[k]);
	}
	free(row);
	return 0;
}

/* n values of a row as f32. */
E3_CLONES static void expand(e3_dtype type, const uint8_t *from, int n, const float *table, float *to)
{
	if (type == E3_I8) {
		const int8_t *v = (const int8_t *)from;
#pragma omp simd
		for (int k = 0; k < n; k++)
			to[k] = (float)v[k];
	} else {
		for (int k = 0; k < n; k++)
			to[k] = table[from[k]];
	}
}

/* ---- products ---- */

/* Both sides are integers. */
static bool has_ints(const e3_mat *m) { return m->w.dtype == E3_I8 && !e3_is_row8(m); }

E3_CLONES static void add_ints(int32_t *sum, const float *v, int n)
{
#pragma omp simd
	for (int k = 0; k < n; k++)
		sum[k] += (int32_t)v[k];
}

E3_CLONES static void scale_row(const e3_product8 *p, int row, int c0, int n, const void *sum, float *y)
{
	const float *scale = p->mat->scale + c0, x = p->x_scale[row];
	const int32_t *ints = sum;
	const float *floats = sum;
	if (has_ints(p->mat)) {
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] = (float)ints[k] * (x * scale[k]);
	} else {
#pragma omp simd
		for (int k = 0; k < n; k++)
			y[k] = floats[k] * (x * scale[k]);
	}
}

size_t e3_cpu_room8(int rows, int in) { return e3_area(COLUMNS, e3_min(in, PIECE)) + 2 * e3_area(rows, COLUMNS) + 256; }

void e3_cpu_product8(const e3_product8 *p)
{
	const e3_mat *m = p->mat;
	bool ints = has_ints(m);
	float *tile = p->room, *part = tile + e3_area(COLUMNS, e3_min(m->in, PIECE)),
		  *sum = part + e3_area(p->rows, COLUMNS), *table = sum + e3_area(p->rows, COLUMNS);
	for (int k = 0; k < 256 && m->w.dtype == E3_F8; k++)
		table[k] = value_of((uint8_t)k);
	for (int c = 0; c < p->cols; c += COLUMNS) {
		int n = e3_min(COLUMNS, p->cols - c);
		memset(sum, 0, e3_area(p->rows, n) * sizeof *sum); /* f32 or int32 */
		for (int k = 0; k < m->in; k += PIECE) {
			int depth = e3_min(PIECE, m->in - k);
			for (int o = 0; o < n; o++)
				expand(m->w.dtype, m->w.p + e3_area(p->first + c + o, m->in) + k, depth, table,
					tile + e3_area(o, depth));
			e3_gemm_nt(&(e3_product){.m = p->rows,
				.n = n,
				.k = depth,
				.a = {p->x + k, p->ldx},
				.b = {tile, depth},
				.c = ints ? part : sum,
				.ldc = n,
				.alpha = 1,
				.beta = ints ? 0 : 1});
			if (ints)
				add_ints((int32_t *)(void *)sum, part, p->rows * n);
		}
		for (int r = 0; r < p->rows; r++)
			scale_row(p, r, p->first + c, n, sum + e3_area(r, n), p->y + e3_area(r, p->ldy) + c);
	}
}

/* ---- inputs ---- */

typedef struct round_job {
	e3_dtype type; /* E3_F32: not at all */
	e3_rows x;
	const e3_norm *norm;
	int dim, parts;
	float *out, *scale;
} round_job;

static void round_task(void *ctx, int task, int thread)
{
	round_job *j = ctx;
	int r0 = (int)((int64_t)j->x.n * task / j->parts), r1 = (int)((int64_t)j->x.n * (task + 1) / j->parts);
	for (int r = r0; r < r1; r++) {
		const float *x = j->x.p + e3_area(r, j->x.ld);
		float *to = j->out + e3_area(r, j->dim);
		if (j->norm)
			e3_cpu_norm_row(x, j->norm, to);
		else
			memcpy(to, x, (size_t)j->dim * sizeof *to);
		j->scale[r] = j->type == E3_F32 ? 1 : round_row(j->type, to, j->dim);
	}
}

int e3_cpu_round(e3_cpu *cpu, e3_rows x, const e3_norm *norm, const e3_mat *mat, float **out, float **scale,
	e3_err *err)
{
	int threads = e3_pool_threads(cpu->pool), parts = x.n >= 32 ? 2 * threads : 1; /* a row is the same on any thread */
	if (e3_cpu_scratch(cpu, threads, e3_area(x.n, mat->in + 1), out, err))
		return -1;
	*scale = *out + e3_area(x.n, mat->in);
	e3_dtype type = e3_is_row8(mat) ? E3_F32 : mat->w.dtype;
	e3_parallel_for(cpu->pool, parts, round_task, &(round_job){type, x, norm, mat->in, parts, *out, *scale});
	return 0;
}

/* ---- linear ---- */

typedef struct linear8_job {
	e3_cpu *cpu;
	const e3_linear *op;
	const float *x, *scale;
	int row_parts, col_parts;
} linear8_job;

static void linear8_task(void *ctx, int task, int thread)
{
	linear8_job *j = ctx;
	const e3_linear *op = j->op;
	const e3_mat *m = op->mat;
	int rp = task / j->col_parts, cp = task % j->col_parts;
	int r0 = (int)((int64_t)op->rows * rp / j->row_parts), r1 = (int)((int64_t)op->rows * (rp + 1) / j->row_parts);
	int c0 = (int)((int64_t)m->out * cp / j->col_parts), c1 = (int)((int64_t)m->out * (cp + 1) / j->col_parts);
	int n = c1 - c0, rows = r1 - r0;
	if (n <= 0 || rows <= 0)
		return;
	float *y = j->cpu->scratch[thread].p;
	e3_cpu_product8(
		&(e3_product8){m, j->x + e3_area(r0, m->in), m->in, rows, j->scale + r0, c0, n, y, n, y + e3_area(rows, n)});
	for (int r = 0; r < rows; r++) {
		float *row = y + e3_area(r, n), *out = e3_tensor_floats(op->out) + e3_area(r0 + r, op->ldo) + c0;
		for (int k = 0; m->b && k < n; k++)
			row[k] += m->b[c0 + k];
		e3_cpu_act(row, n, op->act);
		for (int k = 0; k < n; k++)
			out[k] = op->add ? out[k] + row[k] : row[k];
	}
}

int e3_cpu_linear8(e3_cpu *cpu, const e3_linear *op, e3_err *err)
{
	const e3_mat *m = op->mat;
	linear8_job job = {.cpu = cpu, .op = op};
	float *x, *scale;
	if (e3_cpu_round(cpu, (e3_rows){e3_tensor_floats(op->x), op->rows, op->ldx}, op->norm, m, &x, &scale, err))
		return e3_fail_in(err, "linear");
	job.x = x, job.scale = scale;
	e3_cpu_cut(cpu, m, op->rows, &job.row_parts, &job.col_parts);
	int rows = e3_ceil_div(op->rows, job.row_parts), cols = e3_ceil_div(m->out, job.col_parts);
	if (e3_cpu_scratch_all(cpu, e3_area(rows, cols) + e3_cpu_room8(rows, m->in), "linear", err))
		return -1;
	e3_parallel_for(cpu->pool, job.row_parts * job.col_parts, linear8_task, &job);
	return 0;
}
