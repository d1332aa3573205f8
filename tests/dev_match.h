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
	e3_match op = {e3_tensor_f32(on_device(t, q, nq)), rows, special, POOL, &x.dev};
	must(t, t->dev->ops->match(t->dev, &op, &err), &err);
	dm_compare(t, &x, want);
	end_case(t);
	dm_close(&x);
	free(q), free(query), free(want);
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

#endif
