/* base: half precision, strict parsing of numbers and sizes, hashes, the clock. */
#include "e3/num.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

uint16_t e3_f32_to_f16(float v)
{
	uint32_t u;
	memcpy(&u, &v, 4);
	uint16_t sign = (uint16_t)((u >> 16) & 0x8000u);
	u &= 0x7fffffffu;
	if (u > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00u | ((u >> 13) & 0x1ffu));
	if (u >= 0x477ff000u) /* 65520 and above round to infinity */
		return (uint16_t)(sign | 0x7c00u);
	if (u < 0x38800000u) { /* below 2^-14: subnormal; adding 0.5 does the rounding in the f32 unit */
		float f;
		memcpy(&f, &u, 4);
		f += 0.5f;
		memcpy(&u, &f, 4);
		return (uint16_t)(sign | (uint16_t)(u - 0x3f000000u));
	}
	u += 0xc8000fffu + ((u >> 13) & 1u); /* rebias the exponent by -112, round to even */
	return (uint16_t)(sign | (uint16_t)(u >> 13));
}

float e3_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu, u;
	float f;
	if (rest >= 0x7c00u)
		u = sign | 0x7f800000u | (rest & 0x3ffu) << 13;
	else if (rest >= 0x400u)
		u = sign | ((rest << 13) + 0x38000000u);
	else { /* subnormal: rest × 2^-24, exact */
		f = (float)rest * 0x1p-24f;
		memcpy(&u, &f, 4);
		u |= sign;
	}
	memcpy(&f, &u, 4);
	return f;
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static size_t from_half(const uint16_t *from, float *to, size_t n)
{
	size_t k = 0;
	for (; k + 8 <= n; k += 8)
		_mm256_storeu_ps(to + k, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + k))));
	return k;
}

__attribute__((target("avx,f16c"))) static size_t to_half(const float *from, uint16_t *to, size_t n)
{
	size_t k = 0;
	for (; k + 8 <= n; k += 8)
		_mm_storeu_si128((__m128i *)(void *)(to + k),
			_mm256_cvtps_ph(_mm256_loadu_ps(from + k), _MM_FROUND_TO_NEAREST_INT));
	return k;
}

static int has_f16c(void)
{
	/* __builtin_cpu_supports of clang 14 does not know "f16c". CPUID is slow in a virtual machine, so it is asked once.
	 * "avx" also says that the system saves the registers. */
	static _Atomic int known; /* 0 not asked, 1 no, 2 yes */
	unsigned a, b, c, d;
	if (!known)
		known = __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C ? 2 : 1;
	return known == 2;
}
#else
static size_t from_half(const uint16_t *from, float *to, size_t n) { return (void)from, (void)to, (void)n, (size_t)0; }
static size_t to_half(const float *from, uint16_t *to, size_t n) { return (void)from, (void)to, (void)n, (size_t)0; }
static int has_f16c(void) { return 0; }
#endif

void e3_f16_to_f32_n(const uint16_t *from, float *to, size_t n)
{
	size_t k = has_f16c() ? from_half(from, to, n) : 0;
	for (; k < n; k++)
		to[k] = e3_f16_to_f32(from[k]);
}

void e3_f32_to_f16_n(const float *from, uint16_t *to, size_t n)
{
	size_t k = has_f16c() ? to_half(from, to, n) : 0;
	for (; k < n; k++)
		to[k] = e3_f32_to_f16(from[k]);
}

int e3_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out, e3_err *err)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (end == text || *end || errno || v < min || v > max || text[0] == ' ')
		return e3_fail(err, "expected a whole number from %lld to %lld, got '%s'", (long long)min, (long long)max,
			text);
	*out = v;
	return 0;
}

int e3_parse_f64(const char *text, double min, double max, double *out, e3_err *err)
{
	char *end;
	errno = 0;
	double v = strtod(text, &end);
	if (end == text || *end || !isfinite(v) || v < min || v > max || text[0] == ' ')
		return e3_fail(err, "expected a number from %g to %g, got '%s'", min, max, text);
	*out = v;
	return 0;
}

int e3_parse_bytes(const char *text, int64_t *out, e3_err *err)
{
	static const char units[] = "kMGT";
	char number[32];
	int64_t v;
	size_t n = strlen(text);
	const char *unit = n ? strchr(units, text[n - 1]) : NULL;
	if (n == 0 || n >= sizeof number)
		return e3_fail(err, "expected a size such as 512M or 4G, got '%.40s'", text);
	memcpy(number, text, n + 1);
	number[n - (unit != NULL)] = 0;
	if (!unit)
		return e3_parse_i64(text, 1, (int64_t)1 << 50, out, err);
	if (e3_parse_i64(number, 1, 1 << 20, &v, err))
		return -1;
	*out = v << 10 * (unit - units + 1);
	return 0;
}

/* The text before `mark` to `first`; returns the text after it, NULL when there is no mark or nothing before it. */
static const char *split(const char *text, char mark, char *first, size_t room)
{
	const char *at = strchr(text, mark);
	size_t n = at ? (size_t)(at - text) : 0;
	if (n == 0 || n >= room)
		return NULL;
	memcpy(first, text, n);
	first[n] = 0;
	return at + 1;
}

int e3_parse_size(const char *text, int max, int size[2], e3_err *err)
{
	char width[32];
	int64_t w, h;
	const char *height = split(text, 'x', width, sizeof width);
	if (!height)
		return e3_fail(err, "expected WIDTHxHEIGHT such as 640x480, got '%.60s'", text);
	if (e3_parse_i64(width, 1, max, &w, err) || e3_parse_i64(height, 1, max, &h, err))
		return -1;
	size[0] = (int)w, size[1] = (int)h;
	return 0;
}

int e3_parse_range(const char *text, double min, double max, double range[2], e3_err *err)
{
	char low[64];
	double lo, hi;
	const char *high = split(text, ':', low, sizeof low);
	if (!high)
		return e3_fail(err, "expected LO:HI such as 0.5:20, got '%.60s'", text);
	if (e3_parse_f64(low, min, max, &lo, err) || e3_parse_f64(high, min, max, &hi, err))
		return -1;
	if (lo >= hi)
		return e3_fail(err, "expected LO:HI with LO below HI, got '%.60s'", text);
	range[0] = lo, range[1] = hi;
	return 0;
}

int e3_parse_ints(const char *text, int64_t min, int64_t max, int *out, int max_n, e3_err *err)
{
	int n = 0;
	for (const char *p = text;; p++) {
		char item[32];
		size_t len = strcspn(p, ",");
		if (len >= sizeof item)
			return e3_fail(err, "expected numbers separated by commas, got '%s'", text);
		memcpy(item, p, len);
		item[len] = 0;
		int64_t v;
		if (e3_parse_i64(item, min, max, &v, err))
			return -1;
		if (n == max_n)
			return e3_fail(err, "expected at most %d numbers, got '%s'", max_n, text);
		out[n++] = (int)v;
		p += len;
		if (!*p)
			return n;
	}
}

static int refuse_word(const char *text, const e3_word *words, e3_err *err)
{
	char all[512] = "";
	for (const e3_word *w = words; w->name; w++) {
		size_t used = strlen(all);
		snprintf(all + used, sizeof all - used, "%s%s", w == words ? "" : "|", w->name);
	}
	return e3_fail(err, "expected one of %s, or several with commas, got '%s'", all, text);
}

int e3_parse_words(const char *text, const e3_word *words, int *out, e3_err *err)
{
	int bits = 0;
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ",");
		const e3_word *w = words;
		while (w->name && (strlen(w->name) != n || strncmp(w->name, p, n) != 0))
			w++;
		if (!w->name)
			return refuse_word(text, words, err);
		bits |= w->bits;
		p += n;
		if (!*p)
			break;
	}
	*out = bits;
	return 0;
}

uint64_t e3_fnv1a64(const void *bytes, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t k = 0; k < n; k++)
		h = (h ^ ((const uint8_t *)bytes)[k]) * 0x100000001b3u;
	return h;
}

uint32_t e3_fmix32(uint32_t h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	return h ^ h >> 16;
}

double e3_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double e3_now_utc(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
