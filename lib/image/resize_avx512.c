/* image: the two passes of resize.c for processors with AVX-512 and its VNNI; the same bits. Compiled without a flag
 * for the whole file, called only where the processor has it.
 *
 * A weight is hi × 65536 + mid × 256 + lo, each with 8 bits and a sign: the instruction multiplies four bytes by four
 * of these and adds the products up in 32 bits. Between the passes, the four rows of a group lie side by side:
 * [group][x][channel][row].
 */
#include "resize.h"
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE AVX512 static inline __attribute__((always_inline))

enum { ROWS = 16, VECTOR = 64, SLACK = 320 };

static void split(const int32_t q[RESIZE_GROUP], uint32_t parts[RESIZE_DIGITS])
{
	memset(parts, 0, RESIZE_DIGITS * sizeof *parts);
	for (int k = 0; k < RESIZE_GROUP; k++) {
		int32_t lo = (int8_t)q[k], mid = (int8_t)((q[k] - lo) >> 8), hi = (q[k] - lo - mid * 256) >> 16;
		parts[0] |= (uint32_t)(uint8_t)hi << 8 * k;
		parts[1] |= (uint32_t)(uint8_t)mid << 8 * k;
		parts[2] |= (uint32_t)(uint8_t)lo << 8 * k;
	}
}

typedef struct weights {
	__m512i hi, mid, lo;
} weights;

typedef struct sums {
	__m512i hi, mid, lo;
} sums;

INLINE weights weights_of(const uint32_t *parts)
{
	return (
		weights){_mm512_set1_epi32((int)parts[0]), _mm512_set1_epi32((int)parts[1]), _mm512_set1_epi32((int)parts[2])};
}

INLINE sums no_sums(void)
{
	return (sums){_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_set1_epi32(RESIZE_HALF)};
}

/* Adds four inputs of sixteen sums. */
INLINE void add(sums *s, const uint8_t *from, weights w)
{
	__m512i v = _mm512_loadu_si512(from);
	s->hi = _mm512_dpbusd_epi32(s->hi, v, w.hi);
	s->mid = _mm512_dpbusd_epi32(s->mid, v, w.mid);
	s->lo = _mm512_dpbusd_epi32(s->lo, v, w.lo);
}

/* The integers that the sums stand for, not yet clipped. */
INLINE __m512i total(sums s)
{
	__m512i hi = _mm512_add_epi32(_mm512_slli_epi32(s.hi, 8), s.mid);
	return _mm512_srai_epi32(_mm512_add_epi32(_mm512_slli_epi32(hi, 8), s.lo), RESIZE_BITS);
}

INLINE __m128i load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

INLINE __m512i three_channels(const uint8_t *const row[ROWS], size_t at, int y)
{
	const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
	__m512i v = _mm512_castsi128_si512(load(row[y] + at));
	v = _mm512_inserti32x4(v, load(row[y + 4] + at), 1);
	v = _mm512_inserti32x4(v, load(row[y + 8] + at), 2);
	return _mm512_shuffle_epi8(_mm512_inserti32x4(v, load(row[y + 12] + at), 3), order);
}

AVX512 static void spread(const resize_strip *strip, __m512i *to)
{
	int group = 0;
	if (strip->channels == 3)
		for (int whole = strip->w * 3 < 16 ? 0 : (strip->w * 3 - 16) / 12 + 1; group < whole; group++, to += 3) {
			size_t at = (size_t)group * 12;
			__m512i a = three_channels(strip->row, at, 0), b = three_channels(strip->row, at, 1);
			__m512i c = three_channels(strip->row, at, 2), d = three_channels(strip->row, at, 3);
			__m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
			to[0] = _mm512_unpacklo_epi64(ab, cd);
			to[1] = _mm512_unpackhi_epi64(ab, cd);
			to[2] = _mm512_unpacklo_epi64(_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
		}
	resize_spread(strip, ROWS, group, strip->scratch);
}

INLINE void across_channels(const resize_axis *a, const uint8_t *scratch, int c, size_t stride, uint8_t *to)
{
	for (int o = 0; o < a->out; o++, to += c * RESIZE_GROUP) {
		const uint32_t *parts = a->parts + (size_t)o * (size_t)a->groups * RESIZE_DIGITS;
		const uint8_t *from = scratch + (size_t)a->first[o] * (size_t)(c * VECTOR);
		sums s[4];
#pragma GCC unroll 4
		for (int k = 0; k < c; k++)
			s[k] = no_sums();
		for (int g = 0; g < a->count[o]; g++, parts += RESIZE_DIGITS)
#pragma GCC unroll 4
			for (int k = 0; k < c; k++, from += VECTOR)
				add(&s[k], from, weights_of(parts));
		__m512i first = _mm512_packs_epi32(total(s[0]), total(s[c > 1]));
		__m512i last = c > 2 ? _mm512_packs_epi32(total(s[2]), total(s[c - 1])) : first;
		__m512i bytes = _mm512_packus_epi16(first, last);
		/* 16 bytes are written, of which c × 4 count: the next output lies over the others */
		_mm_storeu_si128((__m128i *)(void *)to, _mm512_castsi512_si128(bytes));
		_mm_storeu_si128((__m128i *)(void *)(to + stride), _mm512_extracti32x4_epi32(bytes, 1));
		_mm_storeu_si128((__m128i *)(void *)(to + 2 * stride), _mm512_extracti32x4_epi32(bytes, 2));
		_mm_storeu_si128((__m128i *)(void *)(to + 3 * stride), _mm512_extracti32x4_epi32(bytes, 3));
	}
}

AVX512 static void across(const resize_axis *a, const resize_strip *strip, size_t stride, uint8_t *to)
{
	spread(strip, strip->scratch);
	if (strip->channels == 3)
		across_channels(a, strip->scratch, 3, stride, to);
	else if (strip->channels == 1)
		across_channels(a, strip->scratch, 1, stride, to);
	else
		across_channels(a, strip->scratch, 4, stride, to);
}

/* Sixteen results to bytes [x, x + 16) of n. */
INLINE void store(uint8_t *to, size_t x, size_t n, __m512i v)
{
	__mmask16 mask = x >= n ? 0 : n - x >= 16 ? 0xffff : (__mmask16)((1u << (n - x)) - 1);
	_mm512_mask_cvtusepi32_storeu_epi8(to + x, mask, _mm512_max_epi32(v, _mm512_setzero_si512()));
}

AVX512 static void down(const resize_axis *a, int o, const uint8_t *between, size_t stride, size_t n, uint8_t *to)
{
	enum { STEP = 16, VECTORS = 4 };
	for (size_t x = 0; x < n; x += (size_t)STEP * VECTORS) {
		const uint32_t *parts = a->parts + (size_t)o * (size_t)a->groups * RESIZE_DIGITS;
		const uint8_t *from = between + (size_t)a->first[o] * stride + x * RESIZE_GROUP;
		sums s[VECTORS] = {no_sums(), no_sums(), no_sums(), no_sums()};
		for (int g = 0; g < a->count[o]; g++, parts += RESIZE_DIGITS, from += stride)
#pragma GCC unroll 4
			for (int k = 0; k < VECTORS; k++)
				add(&s[k], from + k * VECTOR, weights_of(parts));
#pragma GCC unroll 4
		for (int k = 0; k < VECTORS; k++)
			store(to, x + (size_t)(k * STEP), n, total(s[k]));
	}
}

static size_t scratch_size(int w, int channels)
{
	return ((size_t)w + RESIZE_GROUP - 1) / RESIZE_GROUP * (size_t)channels * VECTOR;
}

/* As many bytes as are read past the last column. */
static size_t stride(int out_w, int channels)
{
	return ((size_t)RESIZE_GROUP * (size_t)out_w * (size_t)channels + SLACK) / 64 * 64;
}

const resize_path resize_path_avx512 = {.name = "AVX-512",
	.rows = ROWS,
	.scratch = scratch_size,
	.stride = stride,
	.split = split,
	.across = across,
	.down = down};
#endif
