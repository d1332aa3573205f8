/* kernels: Hopper attention in pairs of f16: exponentials, by the special-function unit or by polynomials on
 * the FMA units. To a scheduler a pair is 16 clocks of the one or 10 of the other, where half2 instructions go every
 * second clock: a mixture of both takes the least. */
#ifndef E3_KERNELS_ATTEND_WGMMA_HALF_CUH
#define E3_KERNELS_ATTEND_WGMMA_HALF_CUH

#include "attend_wgmma.cuh"

#ifdef E3_WGMMA
static __device__ __forceinline__ __half2 e3_as_half2(uint32_t x) { return *(__half2 *)&x; }
static __device__ __forceinline__ uint32_t e3_as_bits(__half2 x) { return *(uint32_t *)&x; }

/* From products to log2, rounded as half2 instructions have it. */
static __device__ __forceinline__ float e3_half_scale_of(float scale)
{
	return __half2float(__float2half_rn(scale * E3_LOG2E));
}

/* 2^(s c + l) */
static __device__ __forceinline__ __half2 e3_exp2_unit(__half2 s, __half2 c, __half2 l)
{
	uint32_t y;
	asm("ex2.approx.f16x2 %0, %1;" : "=r"(y) : "r"(e3_as_bits(__hfma2(s, c, l))));
	return e3_as_half2(y);
}

/* 2^(x - 13), where x / 512 = s c + l; saturation keeps x from 0 on. A product that is subnormal is rounded to
 * multiples of 2^-24: t has the integer part of x in its low bits, and f the rest, divided by 512. The polynomial has a
 * relative error below 2e-3. */
static __device__ __forceinline__ __half2 e3_exp2_fma(__half2 s, __half2 c, __half2 l)
{
	__half2 x = __hfma2_sat(s, c, l), t = __hmul2(x, __float2half2_rn(0x1p-15f)),
			f = __hfma2(t, __float2half2_rn(-0x1p15f), x);
	const float one = 0x1p-13f, unit = 512;
	__half2 p =
		__hfma2(f, __float2half2_rn(0.238430919f * one * unit * unit), __float2half2_rn(0.703452015f * one * unit));
	p = __hfma2(f, p, __float2half2_rn(1.0004433f * one));
	return e3_as_half2(e3_as_bits(p) + (e3_as_bits(t) << 10));
}

/* ---- a tile of attention: of 64 rows and 128 columns a thread has s[2 j + h] in row lane / 4 + 8 h, columns 8 j + 2
 * (lane % 4) + {0, 1} ---- */

/* Keeps the columns below `valid`; the others become `other`, which is twice a half. */
static __device__ __forceinline__ void e3_mask_pairs(uint32_t (&s)[32], int valid, uint32_t other)
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int i = 0; i < 32; i++) {
		int at = i / 2 * 8 + col;
		s[i] = at + 1 < valid ? s[i] : at < valid ? (s[i] & 0xffffu) | (other & 0xffff0000u) : other;
	}
}

/* The largest scores of the thread's columns in each row. */
static __device__ __forceinline__ void e3_tops(const uint32_t (&s)[32], __half2 (&top)[2])
{
#pragma unroll
	for (int h = 0; h < 2; h++) {
		__half2 a = e3_as_half2(s[h]), b = e3_as_half2(s[2 + h]);
#pragma unroll
		for (int j = 2; j < 16; j += 2)
			a = __hmax2(a, e3_as_half2(s[2 * j + h])), b = __hmax2(b, e3_as_half2(s[2 * j + 2 + h]));
		top[h] = __hmax2(a, b);
	}
}

/* The largest score of a row, for all four threads that share it, as m counts. */
static __device__ __forceinline__ float e3_row_top(__half2 top, float c)
{
	float a = fmaxf(__low2float(top), __high2float(top));
	a = fmaxf(a, __shfl_xor_sync(~0u, a, 1));
	return ceilf(fmaxf(a, __shfl_xor_sync(~0u, a, 2)) * c);
}
#endif

#endif
