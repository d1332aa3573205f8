/* dev: which inner loops this processor runs, panels of a right-hand side, products over all of them. */
#include "tile.h"
#include <string.h>

const e3_tiles *e3_tiles_usable(int k)
{
#ifdef __x86_64__
	bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
	bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
	if (v4 && k-- == 0)
		return &e3_tiles_v4;
	if (v3 && k-- == 0)
		return &e3_tiles_v3;
#endif
	return k == 0 ? &e3_tiles_plain : NULL;
}

void e3_tiles_pack(const e3_tiles *t, const float *b, size_t ldb, int n, int k, float *panels)
{
	size_t lanes = (size_t)t->lanes, count = e3_panels(t, n);
	for (size_t p = 0; p < count; p++, panels += lanes * (size_t)k)
		for (size_t c = 0; c < lanes; c++) {
			size_t column = p * lanes + c;
			const float *from = b + column * ldb;
			for (size_t i = 0; i < (size_t)k; i++)
				panels[i * lanes + c] = column < (size_t)n ? from[i] : 0;
		}
}

void e3_bf16_pack(const e3_bf16 *h, const float *w, int n, int k, uint16_t *row, uint16_t *panels)
{
	for (size_t c = 0; c < (size_t)n; c++) {
		uint16_t *to = panels + c / E3_TILE_LANES * E3_TILE_LANES * (size_t)k + 2 * (c % E3_TILE_LANES);
		h->round(w + c * (size_t)k, (size_t)k, row);
		for (size_t i = 0; i < (size_t)k; i++)
			to[i / 2 * 2 * E3_TILE_LANES + i % 2] = row[i];
	}
}

/* Rows as far apart as a power of two would meet in the same lines of the cache. */
static void gather(e3_panel *p, float *room)
{
	if (p->a_k != 1 || p->a_row % 256 || p->a_row <= (size_t)p->k || p->m < 2)
		return;
	for (int r = 0; r < p->m; r++)
		memcpy(room + (size_t)r * (size_t)p->k, p->a + (size_t)r * p->a_row, (size_t)p->k * sizeof *room);
	p->a = room, p->a_row = (size_t)p->k;
}

void e3_tiles_product(const e3_tiles *t, const e3_panel *p, size_t step, float *room)
{
	size_t lanes = (size_t)t->lanes;
	for (int k = 0; k < p->k; k += E3_TILE_DEPTH)
		for (int r = 0; r < p->m; r += E3_TILE_ROWS) {
			e3_panel one = *p;
			one.k = p->k - k < E3_TILE_DEPTH ? p->k - k : E3_TILE_DEPTH;
			one.m = p->m - r < E3_TILE_ROWS ? p->m - r : E3_TILE_ROWS;
			one.a = p->a + (size_t)r * p->a_row + (size_t)k * p->a_k;
			one.add = p->add || k;
			gather(&one, room);
			for (size_t c = 0; c < (size_t)p->n; c += lanes) {
				one.n = (size_t)p->n - c < lanes ? p->n - (int)c : t->lanes;
				one.b = p->b + c / lanes * step + (size_t)k * lanes;
				one.c = p->c + (size_t)r * p->ldc + c;
				one.bias = p->bias && k == 0 ? p->bias + c : NULL;
				t->panel(&one);
			}
		}
}
