/* image: the two passes of resize.c for processors with AVX2; the same bits. Compiled without a flag for the whole
 * file, called only where the processor has it. */
#include "resize.h"
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

/* Sums to bytes: in each half, byte k is integer k of that half, clipped. */
AVX2 static inline __m256i clip(__m256i sum)
{
	__m256i v = _mm256_srai_epi32(sum, RESIZE_BITS);
	v = _mm256_packs_epi32(v, v);
	return _mm256_packus_epi16(v, v);
}

/* Two rows of pixels side by side, each spread over four integers, so that all channels go in one multiplication. Lanes
 * beyond the channels hold whatever follows; they are not used. */
AVX2 static inline void widen(const resize_pair *rows, int w, int c, __m256i *wide)
{
	const uint8_t *a = rows->in[0], *b = rows->in[1];
	int whole = w * c < 4 ? 0 : (w * c - 4) / c + 1; /* pixels from which four bytes can be read */
	for (int x = 0; x < w; x++, a += c, b += c) {
		int32_t first = 0, second = 0;
		memcpy(&first, a, x < whole ? 4 : (size_t)c);
		memcpy(&second, b, x < whole ? 4 : (size_t)c);
		wide[x] = _mm256_cvtepu8_epi32(_mm_unpacklo_epi32(_mm_cvtsi32_si128(first), _mm_cvtsi32_si128(second)));
	}
}

AVX2 static inline __attribute__((always_inline)) void across(const resize_axis *a, const resize_pair *rows, int in_w,
	int c, __m256i *wide)
{
	uint8_t *first = rows->out[0], *second = rows->out[1];
	widen(rows, in_w, c, wide);
	for (int o = 0; o < a->out; o++, first += c, second += c) {
		const int32_t *q = a->q + (size_t)o * (size_t)a->taps;
		const __m256i *p = wide + a->lo[o];
		__m256i sum = _mm256_set1_epi32(RESIZE_HALF);
		for (int j = 0; j < a->n[o]; j++)
			sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(p[j], _mm256_set1_epi32(q[j])));
		sum = clip(sum);
		int32_t pixel = _mm_cvtsi128_si32(_mm256_castsi256_si128(sum));
		memcpy(first, &pixel, (size_t)c);
		pixel = _mm_cvtsi128_si32(_mm256_extracti128_si256(sum, 1));
		memcpy(second, &pixel, (size_t)c);
	}
}

AVX2 void resize_across_avx2(const resize_axis *a, const resize_pair *rows, int in_w, int c, void *scratch)
{
	if (c == 3)
		across(a, rows, in_w, 3, scratch);
	else
		across(a, rows, in_w, c, scratch);
}

AVX2 void resize_down_avx2(const int32_t *q, int n, const uint8_t *in, size_t stride, size_t from, uint8_t *out)
{
	size_t x = from;
	for (; x + 16 <= stride; x += 16) {
		__m256i low = _mm256_set1_epi32(RESIZE_HALF), high = low;
		for (int j = 0; j < n; j++) {
			__m128i p = _mm_loadu_si128((const __m128i *)(const void *)(in + (size_t)j * stride + x));
			__m256i w = _mm256_set1_epi32(q[j]);
			low = _mm256_add_epi32(low, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(p), w));
			high = _mm256_add_epi32(high, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(p, 8)), w));
		}
		low = clip(low), high = clip(high);
		__m128i l = _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
		__m128i h = _mm_unpacklo_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
		_mm_storeu_si128((__m128i *)(void *)(out + x), _mm_unpacklo_epi64(l, h));
	}
	resize_down_plain(q, n, in, stride, x, out);
}
#endif
