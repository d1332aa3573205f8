/* dev: products of bf16 with sums in f32, on processors with AMX. Compiled for it, see the Makefile; whether it is
 * there is asked at run time. (AVX-512's products of pairs were tried: on a processor that has both they are half as
 * fast as f32.) */
#include "tile.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIDE = 16, BLOCK = 32 }; /* of a tile register; rows and columns that are computed at once */

/* A block's sums into c, with what is added. */
static void put_block(const e3_bf16_panel *p, int row, int rows, int column, int columns, const float *sum)
{
	const float *bias = p->bias ? p->bias + column : NULL;
	for (int r = 0; r < rows; r++, sum += BLOCK) {
		float *c = p->c + (size_t)(row + r) * p->ldc + column;
		for (int at = 0; at < columns; at += SIDE) {
			__mmask16 some = columns - at < SIDE ? (__mmask16)((1u << (columns - at)) - 1) : (__mmask16)0xffff;
			__m512 v = _mm512_loadu_ps(sum + at);
			if (bias)
				v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(some, bias + at));
			if (p->add)
				v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(some, c + at));
			_mm512_mask_storeu_ps(c + at, some, v);
		}
	}
}

/* What the instruction that configures tile registers reads: all of 16 rows of 64 bytes. */
typedef struct tile_config {
	uint8_t palette, start, reserved[14];
	uint16_t bytes[16];
	uint8_t rows[16];
} tile_config;

static void by_amx(const e3_bf16_panel *p)
{
	tile_config config = {.palette = 1};
	float sum[BLOCK * BLOCK] __attribute__((aligned(64)));
	size_t stride = p->a_row * sizeof *p->a;
	for (int t = 0; t < 8; t++)
		config.bytes[t] = 64, config.rows[t] = SIDE;
	_tile_loadconfig(&config);
	for (int column = 0; column < p->n; column += BLOCK) {
		const uint16_t *panel = p->b + (size_t)(column / BLOCK) * p->b_step;
		for (int row = 0; row < p->m; row += BLOCK) {
			const uint16_t *a = p->a + (size_t)row * p->a_row, *b = panel;
			_tile_zero(0);
			_tile_zero(1);
			_tile_zero(2);
			_tile_zero(3);
			for (int k = 0; k < p->k; k += BLOCK, a += BLOCK, b += BLOCK * BLOCK) {
				_tile_loadd(4, a, stride);
				_tile_loadd(6, b, 4 * BLOCK);
				_tile_loadd(7, b + BLOCK, 4 * BLOCK);
				_tile_loadd(5, a + SIDE * p->a_row, stride);
				_tile_dpbf16ps(0, 4, 6);
				_tile_dpbf16ps(1, 4, 7);
				_tile_dpbf16ps(2, 5, 6);
				_tile_dpbf16ps(3, 5, 7);
			}
			_tile_stored(0, sum, 4 * BLOCK);
			_tile_stored(1, sum + SIDE, 4 * BLOCK);
			_tile_stored(2, sum + SIDE * BLOCK, 4 * BLOCK);
			_tile_stored(3, sum + SIDE * BLOCK + SIDE, 4 * BLOCK);
			int rows = p->m - row < BLOCK ? p->m - row : BLOCK, columns = p->n - column < BLOCK ? p->n - column : BLOCK;
			put_block(p, row, rows, column, columns, sum);
		}
	}
	_tile_release();
}

static void round_values(const float *from, size_t n, uint16_t *to)
{
	for (size_t k = 0; k < n; k += SIDE) {
		__mmask16 some = n - k < SIDE ? (__mmask16)((1u << (n - k)) - 1) : (__mmask16)0xffff;
		_mm256_mask_storeu_epi16(to + k, some, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, from + k)));
	}
}

static const e3_bf16 amx = {"AMX", by_amx, round_values};

/* Linux gives the tile registers to those who ask. */
static bool may_use_tiles(void)
{
	enum { ASK = 0x1023, TILE_DATA = 18 };
	return syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}

const e3_bf16 *e3_bf16_usable(void)
{
	unsigned a = 0, b = 0, c = 0, tiles = 0, pairs = 0, d = 0;
	if (e3_tiles_usable(0) != &e3_tiles_v4 || !__get_cpuid_count(7, 0, &a, &b, &c, &tiles) || a < 1 ||
		!__get_cpuid_count(7, 1, &pairs, &b, &c, &d))
		return NULL;
	bool all = (tiles >> 22 & 1) && (tiles >> 24 & 1) && (pairs >> 5 & 1); /* AMX-BF16, AMX-TILE, AVX-512 BF16 */
	return all && may_use_tiles() ? &amx : NULL;
}
#else
const e3_bf16 *e3_bf16_usable(void) { return NULL; }
#endif
