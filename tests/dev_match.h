/* The table's cases of what is measured of keys without attention: `match` and `mean_keys`, against double precision.
 * Part of dev_cases.h. */
#ifndef DEV_MATCH_H
#define DEV_MATCH_H

#include "dev_table.h"

enum { DM_PAGES = 4 };

/* Scored pages with random keys, on the device and as they are. */
typedef struct dm_keys {
	e3_kv host, dev;
	float *host_page[DM_PAGES], *dev_page[DM_PAGES];
	uint8_t *host_list[DM_PAGES], *dev_list[DM_PAGES];
	size_t floats;
} dm_keys;

static inline void dm_open(table *t, dm_keys *x, const int *heads, int page_keys, int n_keys)
{
	*x = (dm_keys){.host = {.dtype = E3_F32,
					   .page_keys = page_keys,
					   .n_keys = n_keys,
					   .heads = heads[0],
					   .head_dim = heads[1],
					   .scored = true}};
	x->floats = e3_page_bytes(&x->host) / sizeof(float);
	assert_true(n_keys <= DM_PAGES * page_keys);
	for (int p = 0; p < DM_PAGES; p++) {
		x->host_page[p] = values(t, x->floats, 1);
		x->dev_page[p] = on_device(t, x->host_page[p], x->floats);
		x->host_list[p] = (uint8_t *)x->host_page[p], x->dev_list[p] = (uint8_t *)x->dev_page[p];
	}
	x->dev = x->host;
	x->host.page = x->host_list, x->dev.page = x->dev_list;
}

static inline void dm_close(dm_keys *x)
{
	for (int p = 0; p < DM_PAGES; p++)
		free(x->host_page[p]);
}

static inline double dm_key(const dm_keys *x, int slot, int head, int c)
{
	int keys = x->host.page_keys;
	return x->host_page[slot / keys][(head * keys + slot % keys) * x->host.head_dim + c];
}

/* Sums of the pages, which the match writes; everything else stays. */
static inline void dm_compare(table *t, const dm_keys *x, const double *want)
{
	e3_err err = {""};
	float *got = malloc(x->floats * sizeof *got);
	double num = 0, den = 0;
	int keys = x->host.page_keys;
	for (int p = 0; p * keys < x->host.n_keys; p++) {
		must(t, t->dev->ops->finish(t->dev, &err), &err);
		must(t, t->dev->ops->download(t->dev, got, e3_tensor_f32(x->dev_page[p]), x->floats, &err), &err);
		size_t first = e3_kv_bytes(&x->host) / sizeof(float);
		int n = x->host.n_keys - p * keys < keys ? x->host.n_keys - p * keys : keys;
		assert_memory_equal(got, x->host_page[p], first * sizeof(float));
		assert_memory_equal(got + first + 2 * n, x->host_page[p] + first + 2 * n,
			(x->floats - first - 2 * (size_t)n) * sizeof(float));
		for (int k = 0; k < n; k++) {
			double sum;
			memcpy(&sum, got + first + 2 * k, sizeof sum);
			num += (sum - want[p * keys + k]) * (sum - want[p * keys + k]),
				den += want[p * keys + k] * want[p * keys + k];
			uint64_t bits;
			memcpy(&bits, &sum, sizeof bits);
			t->hash = (t->hash ^ bits) * 0x100000001b3u;
		}
	}
	double l2 = sqrt(num / den);
	t->cases[T_MATCH]++;
	t->worst[T_MATCH] = fmax(t->worst[T_MATCH], l2);
	if (!(l2 <= t->bound[T_MATCH]))
		fail_msg("match, case %d: relative L2 %.1e", t->cases[T_MATCH], l2);
	free(got);
}

static inline void one_match(table *t, const int *heads, int rows, int special, const int keys[2])
{
	enum { POOL = 16 };
	e3_err err = {""};
	int d = heads[1], n = keys[1];
	size_t nq = (size_t)(rows * heads[0] * d);
	dm_keys x;
	dm_open(t, &x, heads, keys[0], n);
	float *q = values(t, nq, 1);
	for (size_t k = 0; k < nq; k++)
		q[k] += 0.5f; /* so that the mean is not nothing */
	double *query = calloc((size_t)d, sizeof *query), *want = calloc((size_t)n, sizeof *want);
	int groups = 0;
	for (int r = 0, size; r < rows; r += size, groups++) {
		size = r < special ? 1 : rows - r < POOL ? rows - r : POOL;
		for (int k = 0; k < size; k++)
			for (int h = 0; h < heads[0]; h++)
				for (int c = 0; c < d; c++)
					query[c] += (double)q[(h * rows + r + k) * d + c] / size / heads[0];
	}
	for (int k = 0; k < n; k++)
		for (int h = 0; h < heads[0]; h++)
			for (int c = 0; c < d; c++)
				want[k] += query[c] / groups * dm_key(&x, k, h, c) / heads[0];
	/* A slice of the queries of more rows: two before it in every head, one after it. */
	enum { BEFORE = 2, AFTER = 1 };
	int step = BEFORE + rows + AFTER;
	float *wide = calloc((size_t)(heads[0] * step * d), sizeof *wide);
	for (int k = 0; k < heads[0] * step * d; k++)
		wide[k] = NAN;
	for (int h = 0; h < heads[0]; h++)
		memcpy(wide + (h * step + BEFORE) * d, q + h * rows * d, (size_t)(rows * d) * sizeof *wide);
	float *of_all = on_device(t, wide, (size_t)(heads[0] * step * d));
	e3_match op = {e3_tensor_f32(of_all + BEFORE * d), rows, special, POOL, &x.dev, step};
	must(t, t->dev->ops->match(t->dev, &op, &err), &err);
	dm_compare(t, &x, want);
	end_case(t);
	dm_close(&x);
	free(q), free(wide), free(query), free(want);
}

static inline void case_match(table *t)
{
	static const int heads[][2] = {{3, 12}, {1, 32}, {2, 64}, {4, 4}}, keys[][2] = {{64, 64}, {64, 200}, {256, 7}};
	static const int rows[][2] = {{1, 1}, {25, 5}, {197, 5}, {37, 5}, {33, 0}}; /* rows, special */
	for (int h = 0; h < COUNT(heads); h++)
		for (int k = 0; k < COUNT(keys); k++)
			for (int r = 0; r < COUNT(rows); r++)
				one_match(t, heads[h], rows[r][0], rows[r][1], keys[k]);
}

static inline void case_mean_keys(table *t)
{
	static const int heads[][2] = {{3, 12}, {1, 32}, {2, 64}, {4, 4}};
	e3_err err = {""};
	for (int h = 0; h < COUNT(heads); h++) {
		enum { N = 37, LAYERS = 3 };
		int dim = heads[h][0] * heads[h][1];
		dm_keys x[LAYERS];
		e3_mean_keys op[LAYERS];
		uint32_t slot[LAYERS][N];
		for (int l = 0; l < LAYERS; l++) {
			dm_open(t, &x[l], heads[h], 64, 150);
			for (int k = 0; k < N; k++)
				slot[l][k] = (uint32_t)((k * 7 + l) % 150);
			op[l] = (e3_mean_keys){&x[l].dev, slot[l], N, on_device(t, NULL, (size_t)dim)};
		}
		must(t, t->dev->ops->mean_keys(t->dev, op, LAYERS, &err), &err);
		for (int l = 0; l < LAYERS; l++) {
			double *want = expected(NULL, (size_t)dim);
			for (int c = 0; c < dim; c++) {
				want[c] = 0;
				for (int k = 0; k < N; k++)
					want[c] += dm_key(&x[l], (int)slot[l][k], c / heads[h][1], c % heads[h][1]) / N;
			}
			result(t, T_MEAN, op[l].out, want, (size_t)dim);
		}
		end_case(t);
		for (int l = 0; l < LAYERS; l++)
			dm_close(&x[l]);
	}
}

static inline void case_shift(table *t)
{
	static const int shape[][2] = {{1, 1}, {3, 12}, {25, 37}, {197, 100}, {33, 1024}}; /* rows, columns */
	e3_err err = {""};
	for (int k = 0; k < 2 * COUNT(shape); k++) {
		int rows = shape[k / 2][0], dim = shape[k / 2][1], ld = dim + k % 2 * 5;
		float *a = values(t, (size_t)(rows * ld), 1), *b = values(t, (size_t)(rows * ld), 1);
		double *want = expected(NULL, (size_t)rows);
		for (int r = 0; r < rows; r++) {
			want[r] = 0;
			for (int c = 0; c < dim; c++)
				want[r] += pow((double)a[r * ld + c] - b[r * ld + c], 2);
			want[r] = sqrt(want[r]);
		}
		e3_rows x = {on_device(t, a, (size_t)(rows * ld)), rows, ld},
				y = {on_device(t, b, (size_t)(rows * ld)), rows, ld};
		float *out = on_device(t, NULL, (size_t)rows);
		must(t, t->dev->ops->shift(t->dev, x, y, dim, out, &err), &err);
		result(t, T_SHIFT, out, want, (size_t)rows);
		end_case(t);
		free(a), free(b);
	}
}

/* ---- novelty ---- */

enum { DM_TOKENS = 22, DM_SPECIAL = 2, DM_COLUMNS = 5 }; /* patches: 4 rows of 5 */

/* Importance of a patch: half its own, half the mean of the nine around it, weighted 4 2 1; nothing lies outside. */
static inline double dm_smoothed(const float *g, int index)
{
	if (index < DM_SPECIAL)
		return g[index];
	double sum = 0;
	int row = (index - DM_SPECIAL) / DM_COLUMNS, column = (index - DM_SPECIAL) % DM_COLUMNS;
	for (int p = DM_SPECIAL; p < DM_TOKENS; p++) {
		int dy = abs((p - DM_SPECIAL) / DM_COLUMNS - row), dx = abs((p - DM_SPECIAL) % DM_COLUMNS - column);
		sum += dy > 1 || dx > 1 ? 0 : (double)g[p] / (1 << (dx + dy + 2));
	}
	return (g[index] + sum) / 2;
}

/* want[slot], NAN where nothing is promised; returns the mean. */
static inline double dm_novelty(const dm_keys *x, const uint32_t *id, const float *g, const e3_rule *r, double *want)
{
	int n = x->host.n_keys, d = x->host.head_dim, heads = x->host.heads, may = 0, old = 0;
	double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9}, mean[4][128] = {{0}}, total = 0;
	for (int k = 0; k < n; k++) {
		int frame = (int)id[k] / DM_TOKENS;
		want[k] = frame == 0 && !r->free_first ? NAN : 0;
		may += !isnan(want[k]), old += !isnan(want[k]) && frame != r->t;
	}
	for (int pass = 0; pass < 2; pass++)
		for (int k = 0; k < n; k++)
			for (int h = 0; h < heads && !isnan(want[k]); h++) {
				double length = 0;
				for (int c = 0; c < d; c++)
					length += pow(dm_key(x, k, h, c), 2);
				for (int c = 0; c < d; c++)
					if (pass == 0)
						mean[h][c] += dm_key(x, k, h, c) / sqrt(length) / may;
					else
						want[k] += mean[h][c] * dm_key(x, k, h, c) / sqrt(length) / heads;
			}
	for (int k = 0; k < n; k++) {
		bool fresh = (int)id[k] / DM_TOKENS == r->t;
		if (isnan(want[k]))
			continue;
		total += want[k] / may;
		want[k] = fresh && g && old ? dm_smoothed(g, (int)id[k] % DM_TOKENS) : 1 - want[k];
		low[fresh] = fmin(low[fresh], want[k]), high[fresh] = fmax(high[fresh], want[k]);
	}
	if (!g || !old)
		return total;
	total = 0;
	for (int k = 0; k < n; k++) {
		bool fresh = (int)id[k] / DM_TOKENS == r->t;
		if (!isnan(want[k]))
			total += want[k] = 0.5 * (want[k] - low[fresh]) / (high[fresh] - low[fresh]);
	}
	return total / may;
}

/* Two layers: one with importances, one without. */
static inline void one_novelty(table *t, const int *heads, int frames, bool free_first)
{
	e3_err err = {""};
	dm_keys x[2];
	e3_novelty op[2];
	uint32_t id[2][DM_PAGES * 64];
	void *mean;
	int n = frames * DM_TOKENS;
	e3_rule rule = {.scoring = {.measure = E3_MEASURE_NOVELTY},
		.tokens = DM_TOKENS,
		.special = DM_SPECIAL,
		.columns = DM_COLUMNS,
		.t = frames - 1,
		.free_first = free_first};
	float *g = values(t, DM_TOKENS, 1);
	for (int k = 0; k < DM_TOKENS; k++)
		g[k] = fabsf(g[k]);
	must(t, t->dev->ops->alloc_host(t->dev, 2 * sizeof(double), &mean, &err), &err);
	for (int l = 0; l < 2; l++) {
		dm_open(t, &x[l], heads, 64, n);
		for (int k = 0; k < n; k++)
			id[l][k] = (uint32_t)((k * 7 + l) % n); /* n is no multiple of 7 */
		for (int p = 0; p * 64 < n; p++) {
			e3_tensor at = {(uint8_t *)x[l].dev_page[p] + e3_kv_bytes(&x[l].host) + 64 * sizeof(double), E3_I32};
			must(t, t->dev->ops->upload(t->dev, at, id[l] + 64 * p, 64, &err), &err);
		}
		op[l] = (e3_novelty){&x[l].dev, l ? NULL : on_device(t, g, DM_TOKENS), (double *)mean + l};
	}
	must(t, t->dev->ops->novelty(t->dev, &rule, op, 2, &err) || t->dev->ops->finish(t->dev, &err), &err);
	for (int l = 0; l < 2; l++) {
		double want[DM_PAGES * 64], worst = 0, total = dm_novelty(&x[l], id[l], l ? NULL : g, &rule, want), got[64];
		for (int k = 0; k < n; k++) {
			e3_tensor at = {(uint8_t *)x[l].dev_page[k / 64] + e3_kv_bytes(&x[l].host), E3_F64};
			if (k % 64 == 0)
				must(t, t->dev->ops->download(t->dev, got, at, 64, &err), &err);
			uint64_t bits;
			memcpy(&bits, &got[k % 64], sizeof bits);
			if (!isnan(want[k]))
				worst = fmax(worst, fabs(got[k % 64] - want[k])), t->hash = (t->hash ^ bits) * 0x100000001b3u;
		}
		worst = fmax(worst, fabs(((double *)mean)[l] - total));
		t->cases[T_NOVELTY]++;
		t->worst[T_NOVELTY] = fmax(t->worst[T_NOVELTY], worst);
		if (!(worst <= t->bound[T_NOVELTY]))
			fail_msg("novelty, case %d: off by %.1e; mean %.9g, expected %.9g", t->cases[T_NOVELTY], worst,
				((double *)mean)[l], total);
	}
	end_case(t);
	dm_close(&x[0]), dm_close(&x[1]);
	t->dev->ops->free_host(t->dev, mean);
	free(g);
}

static inline void case_novelty(table *t)
{
	static const int heads[][2] = {{3, 12}, {1, 32}, {2, 64}, {4, 4}, {1, 128}};
	for (int h = 0; h < COUNT(heads); h++)
		for (int frames = 2; frames < 12; frames += 3)
			one_novelty(t, heads[h], frames, h % 2);
}

#endif
