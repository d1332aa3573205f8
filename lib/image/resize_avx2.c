/* image: the two passes of resize.c for processors with AVX2; the same bits. Compiled without a flag for the whole
 * file, called only where the processor has it.
 *
 * A weight is hi × 65536 + lo with lo from -32768 to 32767. hi has 8 bits: bytes are multiplied by it as they are, two
 * at a time, and the sums are kept in 16 bits, which is enough: after the shift by 16 what they lack is beyond 32 bits.
 * resize_axis_fits sees to it that two products never exceed 16 bits, where the instruction saturates.
 *
 * Between the passes, the four rows of a group lie side by side: [group][x][channel][row].
 */
#include "resize.h"
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE AVX2 static inline __attribute__((always_inline))

enum { ROWS = 8, VECTOR = 32, SLACK = 128 };

/* The upper parts of four weights; the lower ones of inputs 0 and 2; of 1 and 3. */
static void split(const int32_t q[RESIZE_GROUP], uint32_t parts[RESIZE_DIGITS])
{
	uint32_t lo[RESIZE_GROUP], hi[RESIZE_GROUP];
	for (int k = 0; k < RESIZE_GROUP; k++) {
		int32_t low = (int16_t)q[k];
		lo[k] = (uint16_t)low, hi[k] = (uint8_t)((q[k] - low) >> 16);
	}
	parts[0] = hi[0] | hi[1] << 8 | hi[2] << 16 | hi[3] << 24;
	parts[1] = lo[0] | lo[2] << 16;
	parts[2] = lo[1] | lo[3] << 16;
}

typedef struct weights {
	__m256i hi, even, odd;
} weights;

typedef struct sums {
	__m256i hi, lo;
} sums;

INLINE weights weights_of(const uint32_t *parts)
{
	return (
		weights){_mm256_set1_epi32((int)parts[0]), _mm256_set1_epi32((int)parts[1]), _mm256_set1_epi32((int)parts[2])};
}

/* Adds four inputs of eight sums. */
INLINE void add(sums *s, const uint8_t *from, weights w)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)from);
	__m256i even = _mm256_and_si256(v, _mm256_set1_epi16(255)), odd = _mm256_srli_epi16(v, 8);
	s->hi = _mm256_add_epi16(s->hi, _mm256_maddubs_epi16(v, w.hi));
	s->lo = _mm256_add_epi32(s->lo, _mm256_add_epi32(_mm256_madd_epi16(even, w.even), _mm256_madd_epi16(odd, w.odd)));
}

/* The integers that the sums stand for, not yet clipped. */
INLINE __m256i total(sums s)
{
	__m256i hi = _mm256_add_epi32(_mm256_slli_epi32(s.hi, 16), _mm256_andnot_si256(_mm256_set1_epi32(65535), s.hi));
	return _mm256_srai_epi32(_mm256_add_epi32(hi, s.lo), RESIZE_BITS);
}

INLINE __m256i three_channels(const uint8_t *const row[ROWS], size_t at, int y)
{
	const __m256i order = _mm256_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1, 0, 3, 6, 9, 1, 4, 7,
		10, 2, 5, 8, 11, -1, -1, -1, -1);
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)(row[y] + at));
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(row[y + 4] + at));
	return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1), order);
}

AVX2 static void spread(const resize_strip *strip, __m256i *to)
{
	int group = 0;
	if (strip->channels == 3)
		for (int whole = strip->w * 3 < 16 ? 0 : (strip->w * 3 - 16) / 12 + 1; group < whole; group++, to += 3) {
			size_t at = (size_t)group * 12;
			__m256i a = three_channels(strip->row, at, 0), b = three_channels(strip->row, at, 1);
			__m256i c = three_channels(strip->row, at, 2), d = three_channels(strip->row, at, 3);
			__m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
			to[0] = _mm256_unpacklo_epi64(ab, cd);
			to[1] = _mm256_unpackhi_epi64(ab, cd);
			to[2] = _mm256_unpacklo_epi64(_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
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
			s[k] = (sums){_mm256_setzero_si256(), _mm256_set1_epi32(RESIZE_HALF)};
		for (int g = 0; g < a->count[o]; g++, parts += RESIZE_DIGITS)
#pragma GCC unroll 4
			for (int k = 0; k < c; k++, from += VECTOR)
				add(&s[k], from, weights_of(parts));
		__m256i first = _mm256_packs_epi32(total(s[0]), total(s[c > 1]));
		__m256i last = c > 2 ? _mm256_packs_epi32(total(s[2]), total(s[c - 1])) : first;
		__m256i bytes = _mm256_packus_epi16(first, last);
		/* 16 bytes are written, of which c × 4 count: the next output lies over the others */
		_mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(bytes));
		_mm_storeu_si128((__m128i *)(void *)(to + stride), _mm256_extracti128_si256(bytes, 1));
	}
}

AVX2 static void across(const resize_axis *a, const resize_strip *strip, size_t stride, uint8_t *to)
{
	spread(strip, strip->scratch);
	if (strip->channels == 3)
		across_channels(a, strip->scratch, 3, stride, to);
	else if (strip->channels == 1)
		across_channels(a, strip->scratch, 1, stride, to);
	else
		across_channels(a, strip->scratch, 4, stride, to);
}

AVX2 static void down(const resize_axis *a, int o, const uint8_t *between, size_t stride, size_t n, uint8_t *to)
{
	enum { STEP = 16 };
	for (size_t x = 0; x < n; x += STEP) {
		const uint32_t *parts = a->parts + (size_t)o * (size_t)a->groups * RESIZE_DIGITS;
		const uint8_t *from = between + (size_t)a->first[o] * stride + x * RESIZE_GROUP;
		sums s = {_mm256_setzero_si256(), _mm256_set1_epi32(RESIZE_HALF)}, t = s;
		for (int g = 0; g < a->count[o]; g++, parts += RESIZE_DIGITS, from += stride) {
			weights w = weights_of(parts);
			add(&s, from, w);
			add(&t, from + VECTOR, w);
		}
		__m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(total(s), total(t)), 0xd8);
		__m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
		if (x + STEP <= n)
			_mm_storeu_si128((__m128i *)(void *)(to + x), bytes);
		else
			memcpy(to + x, &bytes, n - x);
	}
}

static size_t scratch_size(int w, int channels)
{
	return ((size_t)w + RESIZE_GROUP - 1) / RESIZE_GROUP * (size_t)channels * VECTOR;
}

static size_t stride(int out_w, int channels)
{
	return ((size_t)RESIZE_GROUP * (size_t)out_w * (size_t)channels + SLACK) / 64 * 64;
}

const resize_path resize_path_avx2 = {.name = "AVX2",
	.rows = ROWS,
	.scratch = scratch_size,
	.stride = stride,
	.split = split,
	.across = across,
	.down = down};
#endif
