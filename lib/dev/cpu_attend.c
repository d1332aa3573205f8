/* dev: the CPU's attention: projection into the cache, attention over pages, the mass of each key.
 *
 * The passes are those of a GPU kernel: blocks of queries against pages of keys with a running maximum and sum, no
 * score matrix; then, only when asked, a second pass that recomputes the scores and turns them into probabilities with
 * the log-sum-exp. In the second pass a task owns a page of keys, so sums are made in one fixed order whatever the
 * number of threads.
 */
#include "cpu.h"
#include <math.h>
#include <string.h>

/* ---- projection ---- */

typedef struct qkv_job {
	e3_cpu *cpu;
	const e3_qkv *op;
	const float *normed, *scale;      /* scale: of rounded rows, where the matrix is in 8 bits */
	int row_parts, groups, col_parts; /* groups: heads of q, then of k, then of v */
} qkv_job;

/* out[k] and out[k+quarter] of each half turned by the angles of this row (5.3). */
static void rotate(float *u, const float *rope, int head_dim)
{
	int quarter = head_dim / 4, half = head_dim / 2;
	for (int part = 0; part < 2; part++) {
		float *a = u + part * half, *b = a + quarter;
		const float *cosine = rope + part * quarter, *sine = cosine + half;
		for (int k = 0; k < quarter; k++) {
			float x = a[k], y = b[k];
			a[k] = x * cosine[k] - y * sine[k];
			b[k] = y * cosine[k] + x * sine[k];
		}
	}
}

/* One head of one row after projection and bias: norm, rotation, and the way to its place. */
static void place(const e3_qkv *op, int group, int row, float *u)
{
	int heads = op->kv->heads, d = op->kv->head_dim, kind = group / heads, head = group % heads;
	const e3_norm *norm = kind == 0 ? op->q_norm : kind == 1 ? op->k_norm : NULL;
	if (norm)
		e3_cpu_norm_row(u, norm, u);
	if (kind < 2 && op->rope)
		rotate(u, op->rope + e3_area(row, d), d);
	if (kind > 0)
		e3_cpu_put_row(op->kv, kind - 1, head, (int)op->slot[row], u);
	else
		memcpy(e3_tensor_floats(op->q) + (e3_area(head, op->rows) + (size_t)row) * (size_t)d, u, (size_t)d * sizeof *u);
}

static void qkv_task(void *ctx, int task, int thread)
{
	qkv_job *j = ctx;
	const e3_qkv *op = j->op;
	const e3_mat *m = op->mat;
	int d = op->kv->head_dim, rp = task / j->col_parts, cp = task % j->col_parts;
	int r0 = (int)((int64_t)op->rows * rp / j->row_parts), r1 = (int)((int64_t)op->rows * (rp + 1) / j->row_parts);
	int g0 = j->groups * cp / j->col_parts, g1 = j->groups * (cp + 1) / j->col_parts;
	int n = (g1 - g0) * d, rows = r1 - r0;
	if (n <= 0 || rows <= 0)
		return;
	float *y = j->cpu->scratch[thread].p;
	const float *x = j->normed + e3_area(r0, m->in);
	if (j->scale)
		e3_cpu_product8(&(e3_product8){m, x, m->in, rows, j->scale + r0, g0 * d, n, y, n, y + e3_area(rows, n)});
	else
		e3_gemm_nt(&(e3_product){.m = rows,
			.n = n,
			.k = m->in,
			.a = {x, m->in},
			.b = {e3_tensor_floats(m->w) + e3_area(g0 * d, m->in), m->in},
			.c = y,
			.ldc = n,
			.alpha = 1});
	for (int r = 0; r < rows; r++)
		for (int g = g0; g < g1; g++) {
			float *u = y + e3_area(r, n) + (size_t)(g - g0) * (size_t)d;
			for (int k = 0; m->b && k < d; k++)
				u[k] += m->b[g * d + k];
			place(op, g, r0 + r, u);
		}
}

int e3_cpu_qkv(e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	int threads = e3_pool_threads(cpu->pool), dim = op->mat->in;
	qkv_job job = {.cpu = cpu, .op = op, .groups = 3 * op->kv->heads};
	e3_rows x = {(float *)(uintptr_t)op->x, op->rows, dim};
	bool packed = e3_dtype_is_8(op->mat->w.dtype);
	float *normed, *scale = NULL;
	if (e3_check_qkv(dev, op, err))
		return -1;
	if (packed ? e3_cpu_round(cpu, x, op->norm, op->mat, &normed, &scale, err)
			   : e3_cpu_scratch(cpu, threads, e3_area(op->rows, dim), &normed, err))
		return e3_fail_in(err, "qkv");
	if (!packed)
		e3_cpu_norm_rows(cpu, x, op->norm, (e3_rows){normed, op->rows, dim});
	job.normed = normed, job.scale = scale;
	e3_cpu_cut(op->rows, op->mat->out, &job.row_parts, &job.col_parts);
	job.col_parts = e3_min(job.groups, job.col_parts);
	size_t rows = (size_t)e3_ceil_div(op->rows, job.row_parts), groups = (size_t)e3_ceil_div(job.groups, job.col_parts);
	size_t most = rows * groups * (size_t)op->kv->head_dim, room = packed ? e3_cpu_room8((int)rows, dim) : 0;
	if (e3_cpu_scratch_all(cpu, most + room, "qkv", err))
		return -1;
	e3_parallel_for(cpu->pool, job.row_parts * job.col_parts, qkv_task, &job);
	return 0;
}

/* ---- attention ---- */

typedef struct attend_job {
	e3_cpu *cpu;
	const e3_attend *op;
	int tiles, tile; /* query blocks per head, rows in each */
	float scale;
} attend_job;

/* One row of scores against the keys of a page: updates the running maximum and sum, leaves exp(score - maximum) in s.
 * Returns what the output so far must be multiplied by. */
E3_CLONES static float softmax_row(float *s, int n, float *max, float *sum)
{
	float m = *max, add = 0;
#pragma omp simd reduction(max : m)
	for (int k = 0; k < n; k++)
		m = s[k] > m ? s[k] : m;
#pragma omp simd reduction(+ : add)
	for (int k = 0; k < n; k++) {
		s[k] = e3_expf(s[k] - m);
		add += s[k];
	}
	float shrink = *max == -INFINITY ? 0 : e3_expf(*max - m);
	*sum = *sum * shrink + add;
	*max = m;
	return shrink;
}

E3_CLONES static void scale_row(float *x, int n, float by)
{
#pragma omp simd
	for (int k = 0; k < n; k++)
		x[k] *= by;
}

static void attend_task(void *ctx, int task, int thread)
{
	attend_job *j = ctx;
	const e3_attend *op = j->op;
	const e3_kv *kv = op->kv;
	int head = task / j->tiles, r0 = task % j->tiles * j->tile, rows = e3_min(j->tile, op->rows - r0), d = kv->head_dim;
	if (rows <= 0)
		return;
	float *s = j->cpu->scratch[thread].p, *o = s + e3_area(j->tile, kv->page_keys), *max = o + e3_area(j->tile, d),
		  *sum = max + j->tile, *room = sum + j->tile;
	const float *q =
		e3_tensor_floats(op->q) + (e3_area(head, e3_q_step(op->q_step, op->rows)) + (size_t)r0) * (size_t)d;
	for (int r = 0; r < rows; r++)
		max[r] = -INFINITY, sum[r] = 0;
	for (int page = 0; page * kv->page_keys < kv->n_keys; page++) {
		int n = e3_min(kv->page_keys, kv->n_keys - page * kv->page_keys);
		e3_gemm_nt(&(e3_product){.m = rows,
			.n = n,
			.k = d,
			.a = {q, d},
			.b = {e3_cpu_rows(kv, 0, head, page * kv->page_keys, n, room), d},
			.c = s,
			.ldc = kv->page_keys,
			.alpha = j->scale});
		for (int r = 0; r < rows; r++) {
			float shrink = softmax_row(s + e3_area(r, kv->page_keys), n, &max[r], &sum[r]);
			if (page && shrink != 1.0f)
				scale_row(o + e3_area(r, d), d, shrink);
		}
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, n, 1, s, kv->page_keys,
			e3_cpu_rows(kv, 1, head, page * kv->page_keys, n, room), d, page ? 1.0f : 0.0f, o, d);
	}
	int width = kv->heads * d;
	for (int r = 0; r < rows; r++) {
		float *to = e3_tensor_floats(op->out) + e3_area(r0 + r, width) + (size_t)head * (size_t)d;
		memcpy(to, o + e3_area(r, d), (size_t)d * sizeof *to);
		scale_row(to, d, 1.0f / sum[r]);
		if (op->lse)
			op->lse[e3_area(head, op->rows) + (size_t)(r0 + r)] = max[r] + logf(sum[r]);
	}
}

/* Rows per query block: at most 256, and at least some eight blocks in all. By the shape alone, as e3_cpu_cut. */
static int tile_rows(int rows, int heads)
{
	int tiles = e3_max(e3_ceil_div(rows, 256), e3_min(e3_ceil_div(8, heads), e3_ceil_div(rows, 48)));
	return e3_ceil_div(rows, tiles);
}

/* One set of rows after the other. */
static int attend_groups(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	for (int g = 0; g < op->groups; g++) {
		e3_kv kv = *op->kv;
		e3_attend one = *op;
		size_t first = (size_t)g * (size_t)op->rows;
		kv.page += g;
		one.kv = &kv, one.groups = 0, one.q_step = e3_q_step(op->q_step, op->groups * op->rows);
		one.q = e3_tensor_at(op->q, first * (size_t)kv.head_dim);
		one.out = e3_tensor_at(op->out, first * (size_t)(kv.heads * kv.head_dim));
		if (e3_cpu_attend(dev, &one, err))
			return -1;
	}
	return 0;
}

int e3_cpu_attend(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	if (op->groups > 1)
		return e3_check_attend(dev, op, err) || attend_groups(dev, op, err) ? -1 : 0;
	e3_cpu *cpu = e3_cpu_of(dev);
	const e3_kv *kv = op->kv;
	attend_job job = {.cpu = cpu, .op = op, .scale = 1.0f / sqrtf((float)kv->head_dim)};
	job.tile = tile_rows(op->rows, kv->heads);
	job.tiles = e3_ceil_div(op->rows, job.tile);
	size_t need = e3_area(job.tile, kv->page_keys + kv->head_dim + 2) + e3_cpu_room(kv);
	if (e3_check_attend(dev, op, err) || e3_cpu_scratch_all(cpu, need, "attend", err))
		return -1;
	e3_parallel_for(cpu->pool, kv->heads * job.tiles, attend_task, &job);
	return 0;
}

/* ---- mass ---- */

typedef struct mass_job {
	e3_cpu *cpu;
	const e3_mass *op;
	int tile;
	float scale;
} mass_job;

/* acc[k] += exp(s[k] - lse); and s becomes that probability. */
E3_CLONES static void mass_row(float *s, int n, float lse, float *acc)
{
#pragma omp simd
	for (int k = 0; k < n; k++) {
		s[k] = e3_expf(s[k] - lse);
		acc[k] += s[k];
	}
}

static void mass_task(void *ctx, int page, int thread)
{
	mass_job *j = ctx;
	const e3_mass *op = j->op;
	const e3_kv *kv = op->kv;
	int first = page * kv->page_keys, n = e3_min(kv->page_keys, kv->n_keys - first), d = kv->head_dim;
	float *s = j->cpu->scratch[thread].p, *acc = s + e3_area(j->tile, kv->page_keys), inv = 1.0f / (float)kv->heads;
	float *mass = op->mass + first;
	memset(mass, 0, (size_t)n * sizeof *mass);
	for (int head = 0; head < kv->heads; head++) {
		const float *keys = e3_cpu_rows(kv, 0, head, first, n, acc + kv->page_keys);
		for (int r0 = 0; r0 < op->rows; r0 += j->tile) {
			int rows = e3_min(j->tile, op->rows - r0);
			size_t at = e3_area(head, op->rows) + (size_t)r0,
				   of_q = e3_area(head, e3_q_step(op->q_step, op->rows)) + (size_t)r0;
			e3_gemm_nt(&(e3_product){.m = rows,
				.n = n,
				.k = d,
				.a = {e3_tensor_floats(op->q) + of_q * (size_t)d, d},
				.b = {keys, d},
				.c = s,
				.ldc = kv->page_keys,
				.alpha = j->scale});
			memset(acc, 0, (size_t)n * sizeof *acc);
			for (int r = 0; r < rows; r++)
				mass_row(s + e3_area(r, kv->page_keys), n, op->lse[at + (size_t)r], acc);
			for (int k = 0; k < n; k++)
				mass[k] += acc[k] * inv;
			for (int r = 0; op->attn_map && r < rows; r++) {
				float *row = op->attn_map + e3_area(r0 + r, kv->n_keys) + first;
				for (int k = 0; k < n; k++)
					row[k] = (head ? row[k] : 0) + s[e3_area(r, kv->page_keys) + (size_t)k] * inv;
			}
		}
	}
}

int e3_cpu_mass(e3_dev *dev, const e3_mass *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	mass_job job = {.cpu = cpu,
		.op = op,
		.tile = e3_min(op->rows, 256),
		.scale = 1.0f / sqrtf((float)op->kv->head_dim)};
	size_t need = e3_area(job.tile + 1, op->kv->page_keys) + e3_cpu_room(op->kv);
	if (e3_check_mass(dev, op, err) || e3_cpu_scratch_all(cpu, need, "mass", err))
		return -1;
	e3_parallel_for(cpu->pool, e3_ceil_div(op->kv->n_keys, op->kv->page_keys), mass_task, &job);
	return 0;
}
