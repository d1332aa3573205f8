/* dev: the CPU's attention: projection into the cache, attention over pages, the mass of each key.
 *
 * The passes are those of a GPU kernel: blocks of queries against blocks of keys with a running maximum and sum, no
 * score matrix; then, only when asked, a second pass that recomputes the scores and turns them into probabilities with
 * the log-sum-exp. In the second pass a task owns a block of keys, so sums are made in one fixed order whatever the
 * number of threads. Scores lie [key][query]: what is done to one query is done to a vector of them, and the scores are
 * a panel of the product with the values as they are.
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
	int step;                         /* groups of a task: of whole panels */
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
	int g0 = cp * j->step, g1 = e3_min(g0 + j->step, j->groups);
	int n = (g1 - g0) * d, rows = r1 - r0;
	if (n <= 0 || rows <= 0)
		return;
	float *y = j->cpu->scratch[thread].p, *room = y + e3_area(rows, n);
	const float *x = j->normed + e3_area(r0, m->in), *bias = m->b ? m->b + g0 * d : NULL;
	e3_panel product =
		{.m = rows, .n = n, .a = x, .a_row = (size_t)m->in, .a_k = 1, .c = y, .ldc = (size_t)n, .bias = bias};
	if (j->scale)
		e3_cpu_product8(&(e3_product8){m, x, m->in, rows, j->scale + r0, g0 * d, n, y, n, room});
	else
		e3_cpu_times(j->cpu, m, g0 * d, &product, room);
	for (int r = 0; r < rows; r++)
		for (int g = g0; g < g1; g++) {
			float *u = y + e3_area(r, n) + (size_t)(g - g0) * (size_t)d;
			for (int k = 0; j->scale && bias && k < d; k++)
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
	e3_cpu_cut(cpu, op->mat, op->rows, &job.row_parts, &job.col_parts);
	bool whole = op->kv->head_dim % e3_cpu_lanes(cpu, op->mat) == 0;
	job.step = whole ? e3_ceil_div(job.groups, e3_min(job.groups, job.col_parts)) : job.groups;
	job.col_parts = e3_ceil_div(job.groups, job.step);
	int rows = e3_ceil_div(op->rows, job.row_parts), cols = job.step * op->kv->head_dim;
	size_t room = packed ? e3_cpu_room8(rows, dim) : e3_cpu_times_room(cpu, op->mat, rows, cols);
	if (e3_cpu_scratch_all(cpu, e3_area(rows, cols) + room, "qkv", err))
		return -1;
	e3_parallel_for(cpu->pool, job.row_parts * job.col_parts, qkv_task, &job);
	return 0;
}

/* ---- attention ---- */

/* Queries of a task, keys that are taken together. Scores are kept as powers of 2. */
enum { QUERIES = 64, KEYS = 64 };
#define LOG2_E 1.44269504f
#define LN_2 0.693147181f

/* Rows [r0, r0 + rows) of q [.][d] as panels [d][lanes], times what makes scores of them; zeros behind the last. */
static void pack_queries(const e3_tiles *t, const float *q, int rows, int d, float *panels)
{
	float scale = LOG2_E / sqrtf((float)d);
	size_t lanes = (size_t)t->lanes, n = e3_panels(t, rows) * lanes;
	for (size_t r = 0; r < n; r++) {
		float *to = panels + r / lanes * (size_t)d * lanes + r % lanes;
		for (int c = 0; c < d; c++)
			to[(size_t)c * lanes] = r < (size_t)rows ? q[r * (size_t)d + (size_t)c] * scale : 0;
	}
}

/* Keys of a head times a panel of queries: s [n][lanes]. */
static void scores_of(const e3_tiles *t, const float *keys, int n, int d, const float *queries, float *s)
{
	size_t lanes = (size_t)t->lanes;
	t->panel(&(e3_panel){.m = n,
		.n = t->lanes,
		.k = d,
		.a = keys,
		.a_row = (size_t)d,
		.a_k = 1,
		.b = queries,
		.c = s,
		.ldc = lanes});
}

typedef struct attend_job {
	e3_cpu *cpu;
	const e3_attend *op;
	int tiles; /* blocks of queries in each head */
} attend_job;

/* What a task works in: of each panel the queries, the output, the largest score and the sum of the exponentials. */
typedef struct attend_room {
	float *q, *o, *max, *sum, *s;
	float *rows; /* keys and values where they lie packed in the cache */
} attend_room;

static size_t attend_floats(const e3_tiles *t, int d)
{
	return e3_panels(t, QUERIES) * (size_t)t->lanes * (size_t)(2 * d + 2) + e3_area(KEYS, t->lanes + 2 * d);
}

static attend_room attend_room_at(const e3_tiles *t, int d, float *p)
{
	size_t all = e3_panels(t, QUERIES) * (size_t)t->lanes, wide = all * (size_t)d;
	float *max = p + 2 * wide, *s = max + 2 * all;
	return (attend_room){p, p + wide, max, max + all, s, s + e3_area(KEYS, t->lanes)};
}

/* n keys of a head from a slot on, all in one page, against all queries of the task. */
static void attend_keys(const e3_tiles *t, const e3_kv *kv, const attend_room *w, int panels, int head, int slot, int n)
{
	int d = kv->head_dim;
	size_t lanes = (size_t)t->lanes, wide = lanes * (size_t)d;
	const float *k = e3_cpu_rows(kv, 0, head, slot, n, w->rows),
				*v = e3_cpu_rows(kv, 1, head, slot, n, w->rows + e3_area(KEYS, d));
	for (size_t p = 0; p < (size_t)panels; p++) {
		float *o = w->o + p * wide;
		scores_of(t, k, n, d, w->q + p * wide, w->s);
		t->softmax(&(e3_scores){w->s, n, w->max + p * lanes, w->sum + p * lanes, o, d});
		t->panel(&(e3_panel){.m = d,
			.n = t->lanes,
			.k = n,
			.a = v,
			.a_row = 1,
			.a_k = (size_t)d,
			.b = w->s,
			.c = o,
			.ldc = lanes,
			.add = true});
	}
}

static void attend_task(void *ctx, int task, int thread)
{
	attend_job *j = ctx;
	const e3_attend *op = j->op;
	const e3_kv *kv = op->kv;
	const e3_tiles *t = j->cpu->tiles;
	int head = task / j->tiles, r0 = task % j->tiles * QUERIES, rows = e3_min(QUERIES, op->rows - r0);
	int d = kv->head_dim, panels = (int)e3_panels(t, rows);
	size_t lanes = (size_t)t->lanes, all = (size_t)panels * lanes;
	attend_room w = attend_room_at(t, d, j->cpu->scratch[thread].p);
	pack_queries(t, e3_tensor_floats(op->q) + (e3_area(head, e3_q_step(op->q_step, op->rows)) + (size_t)r0) * (size_t)d,
		rows, d, w.q);
	memset(w.o, 0, all * (size_t)d * sizeof *w.o);
	for (size_t k = 0; k < all; k++)
		w.max[k] = -INFINITY, w.sum[k] = 0;
	for (int page = 0; page * kv->page_keys < kv->n_keys; page++) {
		int n = e3_min(kv->page_keys, kv->n_keys - page * kv->page_keys);
		for (int k = 0; k < n; k += KEYS)
			attend_keys(t, kv, &w, panels, head, page * kv->page_keys + k, e3_min(KEYS, n - k));
	}
	int width = kv->heads * d;
	for (size_t r = 0; r < (size_t)rows; r++) {
		float *to = e3_tensor_floats(op->out) + e3_area(r0 + (int)r, width) + e3_area(head, d), inv = 1.0f / w.sum[r];
		const float *from = w.o + r / lanes * (size_t)d * lanes + r % lanes;
		for (int c = 0; c < d; c++)
			to[c] = from[(size_t)c * lanes] * inv;
		if (op->lse)
			op->lse[e3_area(head, op->rows) + (size_t)r0 + r] = (w.max[r] + log2f(w.sum[r])) * LN_2;
	}
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
	attend_job job = {cpu, op, e3_ceil_div(op->rows, QUERIES)};
	if (e3_check_attend(dev, op, err) ||
		e3_cpu_scratch_all(cpu, attend_floats(cpu->tiles, kv->head_dim), "attend", err))
		return -1;
	e3_parallel_for(cpu->pool, kv->heads * job.tiles, attend_task, &job);
	return 0;
}

/* ---- mass ---- */

typedef struct mass_job {
	e3_cpu *cpu;
	const e3_mass *op;
	int panels, blocks; /* panels of queries in a head, blocks of keys in a page */
	float *q, *lse;     /* [heads][panels][d][lanes], [heads][panels][lanes] */
} mass_job;

/* The queries of a head, for all tasks. */
static void queries_task(void *ctx, int head, int thread)
{
	mass_job *j = ctx;
	const e3_mass *op = j->op;
	int d = op->kv->head_dim, lanes = j->cpu->tiles->lanes, all = j->panels * lanes;
	pack_queries(j->cpu->tiles, e3_tensor_floats(op->q) + e3_area(head, e3_q_step(op->q_step, op->rows)) * (size_t)d,
		op->rows, d, j->q + e3_area(head, all) * (size_t)d);
	for (int r = 0; r < all; r++)
		j->lse[e3_area(head, all) + (size_t)r] =
			r < op->rows ? op->lse[e3_area(head, op->rows) + (size_t)r] * LOG2_E : INFINITY;
}

/* The probabilities of n keys for the queries of a panel, s [n][lanes], into the map. */
static void map_scores(const e3_mass *op, const float *s, int lanes, int first_key, int n, int first_row, bool begin)
{
	float inv = 1.0f / (float)op->kv->heads;
	for (int r = 0; r < lanes && first_row + r < op->rows; r++) {
		float *row = op->attn_map + e3_area(first_row + r, op->kv->n_keys) + first_key;
		for (int k = 0; k < n; k++)
			row[k] = (begin ? 0 : row[k]) + s[e3_area(k, lanes) + (size_t)r] * inv;
	}
}

static void mass_task(void *ctx, int task, int thread)
{
	mass_job *j = ctx;
	const e3_mass *op = j->op;
	const e3_kv *kv = op->kv;
	const e3_tiles *t = j->cpu->tiles;
	int page = task / j->blocks, in = task % j->blocks * KEYS, first = page * kv->page_keys + in, d = kv->head_dim;
	int n = e3_min(KEYS, e3_min(kv->page_keys - in, kv->n_keys - first));
	if (n <= 0)
		return;
	float *s = j->cpu->scratch[thread].p, *acc = s + e3_area(KEYS, t->lanes), inv = 1.0f / (float)kv->heads;
	float *mass = op->mass + first;
	memset(mass, 0, (size_t)n * sizeof *mass);
	for (int head = 0; head < kv->heads; head++) {
		const float *keys = e3_cpu_rows(kv, 0, head, first, n, acc + KEYS * E3_MASS_LANES);
		memset(acc, 0, e3_area(n, E3_MASS_LANES) * sizeof *acc);
		for (int p = 0; p < j->panels; p++) {
			size_t at = e3_area(head * j->panels + p, t->lanes);
			scores_of(t, keys, n, d, j->q + at * (size_t)d, s);
			t->mass(s, n, j->lse + at, acc);
			if (op->attn_map)
				map_scores(op, s, t->lanes, first, n, p * t->lanes, head == 0);
		}
		for (int k = 0; k < n; k++) {
			float sum = 0;
			for (int l = 0; l < E3_MASS_LANES; l++)
				sum += acc[k * E3_MASS_LANES + l];
			mass[k] += sum * inv;
		}
	}
}

int e3_cpu_mass(e3_dev *dev, const e3_mass *op, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	const e3_kv *kv = op->kv;
	mass_job job = {.cpu = cpu,
		.op = op,
		.panels = (int)e3_panels(cpu->tiles, op->rows),
		.blocks = e3_ceil_div(kv->page_keys, KEYS)};
	size_t all = e3_area(kv->heads * job.panels, cpu->tiles->lanes);
	if (e3_check_mass(dev, op, err) ||
		e3_cpu_scratch_all(cpu, e3_area(KEYS, cpu->tiles->lanes + E3_MASS_LANES + kv->head_dim), "mass", err))
		return -1;
	if (e3_cpu_scratch(cpu, e3_pool_threads(cpu->pool), all * (size_t)(kv->head_dim + 1), &job.q, err))
		return e3_fail_in(err, "mass");
	job.lse = job.q + all * (size_t)kv->head_dim;
	e3_parallel_for(cpu->pool, kv->heads, queries_task, &job);
	e3_parallel_for(cpu->pool, e3_ceil_div(kv->n_keys, kv->page_keys) * job.blocks, mass_task, &job);
	return 0;
}
