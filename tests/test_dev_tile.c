/* The inner loops of the CPU backend: every path that this processor runs, against double precision; the same bits
 * whatever the width of the vectors and however a product is cut. */
#include "dev/tile.h"
#include "check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 133, N = 75, K = 531 };

static float *values(size_t n, unsigned seed)
{
	float *v = malloc(n * sizeof *v);
	assert_non_null(v);
	for (size_t k = 0; k < n; k++) {
		seed = seed * 1664525u + 1013904223u;
		v[k] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
	}
	return v;
}

typedef struct product {
	float *a, *b, *bias, *c;
} product;

/* Rows [m0, m1) of the product by one path, into c; both layouts of a. */
static void by(const e3_tiles *t, const product *p, int m0, int m1, bool along, bool add)
{
	static float room[E3_TILE_ROOM];
	float *panels = malloc(e3_panels(t, N) * (size_t)t->lanes * K * sizeof *panels);
	float *turned = malloc((size_t)M * K * sizeof *turned);
	e3_tiles_pack(t, p->b, K, N, K, panels);
	for (int r = 0; r < M; r++)
		for (int k = 0; k < K; k++)
			turned[k * M + r] = p->a[r * K + k];
	e3_panel one = {.m = m1 - m0,
		.n = N,
		.k = K,
		.a = along ? p->a + (size_t)m0 * K : turned + m0,
		.a_row = along ? K : 1,
		.a_k = along ? 1 : M,
		.b = panels,
		.c = p->c + (size_t)m0 * N,
		.ldc = N,
		.bias = p->bias,
		.add = add};
	e3_tiles_product(t, &one, (size_t)K * (size_t)t->lanes, room);
	free(panels), free(turned);
}

static void products_are_right_and_cut_anyhow(void **state)
{
	product p = {values(M * K, 1), values(N * K, 2), values(N, 3), NULL};
	float *before = values(M * N, 4), *first = malloc(M * N * sizeof *first);
	p.c = malloc(M * N * sizeof *p.c);
	for (int which = 0; e3_tiles_usable(which); which++) {
		const e3_tiles *t = e3_tiles_usable(which);
		double num = 0, den = 0;
		memcpy(p.c, before, M * N * sizeof *p.c);
		by(t, &p, 0, M, true, true);
		for (int r = 0; r < M; r++)
			for (int c = 0; c < N; c++) {
				double want = (double)before[r * N + c] + p.bias[c];
				for (int k = 0; k < K; k++)
					want += (double)p.a[r * K + k] * p.b[c * K + k];
				num += (p.c[r * N + c] - want) * (p.c[r * N + c] - want), den += want * want;
			}
		printf("# %s: relative L2 %.1e\n", t->name, sqrt(num / den));
		assert_true(sqrt(num / den) < 5e-7);
		/* without fused multiply-add the sums are others */
		if (which == 0)
			memcpy(first, p.c, M * N * sizeof *first);
		else if (t != &e3_tiles_plain)
			assert_memory_equal(first, p.c, M * N * sizeof *first);
		float *whole = malloc(M * N * sizeof *whole);
		memcpy(whole, p.c, M * N * sizeof *whole);
		memcpy(p.c, before, M * N * sizeof *p.c);
		by(t, &p, 0, 50, true, true), by(t, &p, 50, M, false, true);
		assert_memory_equal(whole, p.c, M * N * sizeof *whole);
		free(whole);
	}
	free(p.a), free(p.b), free(p.bias), free(p.c), free(before), free(first);
}

/* Two blocks of scores, of which the second has the larger ones; and a score that is not a number shows. */
static void a_softmax_goes_on_from_block_to_block(void **state)
{
	enum { KEYS = 40, DEPTH = 3 };
	for (int which = 0; e3_tiles_usable(which); which++) {
		const e3_tiles *t = e3_tiles_usable(which);
		int lanes = t->lanes;
		float s[KEYS * E3_TILE_LANES], o[DEPTH * E3_TILE_LANES], max[E3_TILE_LANES], sum[E3_TILE_LANES];
		float *given = values((size_t)(2 * KEYS * lanes), 7);
		double worst = 0;
		for (int k = 0; k < 2 * KEYS * lanes; k++)
			given[k] *= k < KEYS * lanes ? 20.0f : 60.0f;
		for (int l = 0; l < lanes; l++)
			max[l] = -INFINITY, sum[l] = 0, o[l] = o[lanes + l] = o[2 * lanes + l] = 0;
		given[(KEYS + 3) * lanes + 1] = NAN;
		for (int block = 0; block < 2; block++) {
			memcpy(s, given + block * KEYS * lanes, (size_t)(KEYS * lanes) * sizeof *s);
			t->softmax(&(e3_scores){s, KEYS, max, sum, o, DEPTH});
			for (int k = 0; k < KEYS; k++)
				for (int l = 0; l < lanes; l++)
					o[l] += s[k * lanes + l] * (float)(block * KEYS + k);
		}
		for (int l = 0; l < lanes; l++) {
			double top = -INFINITY, want = 0, all = 0;
			for (int k = 0; k < 2 * KEYS; k++)
				top = fmax(top, given[k * lanes + l]);
			for (int k = 0; k < 2 * KEYS; k++)
				all += exp2(given[k * lanes + l] - top), want += k * exp2(given[k * lanes + l] - top);
			if (l == 1)
				assert_true(isnan(sum[l]));
			else
				worst = fmax(worst, fmax(fabs(sum[l] / all - 1), fabs(o[l] / want - 1)));
		}
		printf("# %s: worst relative error %.1e\n", t->name, worst);
		assert_true(worst < 1e-6);
		free(given);
	}
}

static void masses_are_sums_of_probabilities(void **state)
{
	enum { KEYS = 20 };
	for (int which = 0; e3_tiles_usable(which); which++) {
		const e3_tiles *t = e3_tiles_usable(which);
		int lanes = t->lanes;
		float *s = values((size_t)(KEYS * lanes), 9), *given = values((size_t)(KEYS * lanes), 9);
		float lse[E3_TILE_LANES], acc[KEYS * E3_MASS_LANES] = {0};
		for (int l = 0; l < lanes; l++)
			lse[l] = l == lanes - 1 ? INFINITY : (float)l * 0.1f;
		t->mass(s, KEYS, lse, acc);
		for (int k = 0; k < KEYS; k++) {
			double want = 0, got = 0;
			for (int l = 0; l < lanes; l++) {
				double p = exp2((double)given[k * lanes + l] - lse[l]);
				want += p;
				assert_true(fabs(s[k * lanes + l] - p) <= 3e-7 * p);
			}
			for (int l = 0; l < E3_MASS_LANES; l++)
				got += acc[k * E3_MASS_LANES + l];
			assert_true(fabs(got / want - 1) < 1e-6);
		}
		free(s), free(given);
	}
}

static float as_f32(uint16_t half)
{
	union {
		uint32_t bits;
		float v;
	} u = {(uint32_t)half << 16};
	return u.v;
}

/* The product of what the inputs are rounded to, with rows and columns that fill no block. */
static void products_of_bf16_are_those_of_the_rounded_values(void **state)
{
	enum { DEPTH = 96, STEP = DEPTH + 32, ROWS = (M + 31) / 32 * 32, COLUMNS = (N + 31) / 32 * 32 };
	const e3_bf16 *h = e3_bf16_usable();
	if (!h) {
		printf("# skipped: this processor has no products of bf16\n");
		return; /* what cmocka prints for skip() is a failure to prove */
	}
	float *a = values(M * DEPTH, 1), *b = values(N * DEPTH, 2), *bias = values(N, 3), *before = values(M * N, 4);
	uint16_t *rows = calloc(ROWS * STEP, sizeof *rows), *panels = calloc(COLUMNS * DEPTH, sizeof *panels), row[DEPTH];
	float *c = malloc(M * N * sizeof *c);
	double num = 0, den = 0;
	for (int r = 0; r < M; r++)
		h->round(a + r * DEPTH, DEPTH, rows + r * STEP);
	e3_bf16_pack(h, b, N, DEPTH, row, panels);
	memcpy(c, before, M * N * sizeof *c);
	h->product(&(e3_bf16_panel){M, N, DEPTH, rows, STEP, panels, DEPTH * E3_TILE_LANES, c, N, bias, true});
	for (int r = 0; r < M; r++)
		for (int k = 0; k < N; k++) {
			double want = (double)before[r * N + k] + bias[k];
			h->round(b + k * DEPTH, DEPTH, row);
			for (int i = 0; i < DEPTH; i++)
				want += (double)as_f32(rows[r * STEP + i]) * as_f32(row[i]);
			num += (c[r * N + k] - want) * (c[r * N + k] - want), den += want * want;
		}
	printf("# %s: relative L2 %.1e\n", h->name, sqrt(num / den));
	assert_true(sqrt(num / den) < 1e-6);
	assert_true(fabs(as_f32(rows[0]) - a[0]) <= fabs(a[0]) / 256);
	free(a), free(b), free(bias), free(before), free(rows), free(panels), free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_are_right_and_cut_anyhow),
		cmocka_unit_test(a_softmax_goes_on_from_block_to_block),
		cmocka_unit_test(masses_are_sums_of_probabilities),
		cmocka_unit_test(products_of_bf16_are_those_of_the_rounded_values),
	};
	return cmocka_run_group_tests_name("dev: inner loops of the CPU", tests, NULL, NULL);
}
