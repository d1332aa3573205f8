/* dev: the inner loops of tile.h for vectors of LANES floats and tiles of ROWS rows; included by one file for each kind
 * of processor, which is compiled for it. */
#include "tile.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#define WIDE (2 * LANES)
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(float))));
typedef float loose __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

INLINE vec load(const float *p) { return *(const loose *)p; }
INLINE void store(float *p, vec v) { *(loose *)p = v; }
INLINE vec all(float v) { return v - (vec){0}; }
INLINE vec larger(vec a, vec b)
{
	ints first = a > b;
	return (vec)(((ints)a & first) | ((ints)b & ~first));
}

/* Sums of a tile to a panel of fewer columns. */
static __attribute__((noinline)) void store_some(const e3_panel *p, const float *sum, int rows, float *c)
{
	for (int r = 0; r < rows; r++, sum += WIDE, c += p->ldc)
		for (int k = 0; k < p->n; k++) {
			float v = p->bias ? sum[k] + p->bias[k] : sum[k];
			c[k] = p->add ? v + c[k] : v;
		}
}

/* Rows [0, rows) of a tile: `rows` is a constant where this is inlined. */
INLINE void tile(const e3_panel *p, const float *a, float *c, const int rows, const bool along)
{
	vec sum[ROWS][2];
	const float *row[ROWS], *b = p->b;
	UNROLL
	for (int r = 0; r < rows; r++)
		sum[r][0] = sum[r][1] = all(0), row[r] = along ? a + (size_t)r * p->a_row : a + r;
	size_t step = along ? 1 : p->a_k;
	for (size_t k = 0, at = 0; k < (size_t)p->k; k++, at += step, b += WIDE) {
		vec b0 = load(b), b1 = load(b + LANES);
		UNROLL
		for (int r = 0; r < rows; r++) {
			vec x = all(along ? row[r][k] : a[at + (size_t)r]);
			sum[r][0] += x * b0;
			sum[r][1] += x * b1;
		}
	}
	if (p->n < WIDE) {
		float part[ROWS * WIDE];
		UNROLL
		for (int r = 0; r < rows; r++)
			store(part + r * WIDE, sum[r][0]), store(part + r * WIDE + LANES, sum[r][1]);
		store_some(p, part, rows, c);
		return;
	}
	vec b0 = p->bias ? load(p->bias) : all(0), b1 = p->bias ? load(p->bias + LANES) : all(0);
	UNROLL
	for (int r = 0; r < rows; r++, c += p->ldc) {
		vec s0 = sum[r][0] + b0, s1 = sum[r][1] + b1;
		if (p->add)
			s0 += load(c), s1 += load(c + LANES);
		store(c, s0), store(c + LANES, s1);
	}
}

INLINE void rows_of(const e3_panel *p, const bool along)
{
	const float *a = p->a;
	float *c = p->c;
	size_t next = along ? p->a_row : 1;
	int m = p->m;
	for (; m >= ROWS; m -= ROWS, a += ROWS * next, c += ROWS * p->ldc)
		tile(p, a, c, ROWS, along);
	switch (m) {
#define REST(n) \
	case n: \
		tile(p, a, c, n, along); \
		break;
		REST(1)
		REST(2)
		REST(3)
		REST(4)
		REST(5)
#if ROWS > 6
		REST(6)
		REST(7)
#endif
	default:
		break;
	}
}

static void panel(const e3_panel *p)
{
	if (p->a_k == 1)
		rows_of(p, true);
	else
		rows_of(p, false);
}

/* 2^x, relative error below 2e-7; 0 below -126; x is at most 0 and a little. */
INLINE vec power(vec x)
{
	const vec round = all(12582912.0f); /* 1.5 × 2^23: adding it rounds to an integer, in the lowest bits */
	ints none = x < -126.0f;
	x = larger(all(-126.0f), x); /* what is not a number stays so */
	vec t = x + round, f = x - (t - round);
	vec p = all(1.54035304e-4f);
	p = p * f + 1.33335581e-3f;
	p = p * f + 9.61812911e-3f;
	p = p * f + 5.55041087e-2f;
	p = p * f + 0.240226507f;
	p = p * f + 0.693147181f;
	p = p * f + 1.0f;
	return (vec)(((ints)p + ((ints)t << 23)) & ~none);
}

INLINE vec softmax_half(const e3_scores *p, int h)
{
	float *s = p->s + h;
	vec max = load(p->max + h), most = max, sum = all(0);
	for (int k = 0; k < p->n; k++)
		most = larger(load(s + (size_t)k * WIDE), most);
	for (int k = 0; k < p->n; k++) {
		vec e = power(load(s + (size_t)k * WIDE) - most);
		store(s + (size_t)k * WIDE, e);
		sum += e;
	}
	vec shrink = power(max - most);
	store(p->max + h, most);
	store(p->sum + h, load(p->sum + h) * shrink + sum);
	return shrink;
}

static void softmax(const e3_scores *p)
{
	vec a = softmax_half(p, 0), b = softmax_half(p, LANES);
	for (int k = 0; k < p->depth; k++) {
		float *o = p->o + (size_t)k * WIDE;
		store(o, load(o) * a), store(o + LANES, load(o + LANES) * b);
	}
}

static void mass(float *s, int n, const float *lse, float *acc)
{
	const int second = LANES % E3_MASS_LANES; /* the order of a sum does not depend on the width */
	vec a = load(lse), b = load(lse + LANES);
	for (int k = 0; k < n; k++, s += WIDE, acc += E3_MASS_LANES) {
		vec x = power(load(s) - a), y = power(load(s + LANES) - b);
		store(s, x), store(s + LANES, y);
		store(acc, load(acc) + x);
		store(acc + second, load(acc + second) + y);
	}
}
