/* kernels: keys and values in fewer bits, as they lie in pages (e3/kv.h, doc/network.md 5.5; lib/dev/cpu_kv.c is the
 * reference): one value at a time for kernels of any shape, sixteen at a time as bf16 for those with tensor cores.
 */
#ifndef E3_KERNELS_PACK_CUH
#define E3_KERNELS_PACK_CUH

extern "C" {
#include "e3/kv.h"
}
#include "attend_impl.cuh"
#include <cuda_fp16.h>
#include <type_traits>

/* Stands for the type of packed rows in the kernels that are made for several types. */
struct e3_packed {
};

/* A packed row from one channel on; may be used as a pointer to floats. */
struct e3_packed_row {
	const uint8_t *code, *scale;
	int kind; /* what codes are: E3_PACK_BF16, _FP8, _I8; E3_PACK_K8V4: 4 bits */
	int channel;
	__device__ __forceinline__ e3_packed_row operator+(int c) const { return {code, scale, kind, channel + c}; }
	__device__ __forceinline__ float operator[](int c) const;
};

static __device__ __forceinline__ float e3_bf16_at(const uint8_t *p)
{
	return __uint_as_float((uint32_t) * (const uint16_t *)p << 16);
}

__device__ __forceinline__ float e3_packed_row::operator[](int c) const
{
	c += channel;
	if (kind == E3_PACK_BF16)
		return e3_bf16_at(code + 2 * c);
	if (kind == E3_PACK_I8)
		return (float)(int8_t)code[c] * e3_bf16_at(scale);
	if (kind == E3_PACK_FP8) /* the bits at the place of those of f32 are the value times 2^-120 */
		return __uint_as_float((code[c] & 0x7fu) << 20 | (code[c] & 0x80u) << 24) * 0x1p120f * e3_bf16_at(scale);
	const uint8_t *group = scale + c / E3_V4_GROUP * 4;
	uint32_t word = *(const uint32_t *)(code + c / 8 * 4);
	return e3_bf16_at(group + 2) + (float)(word >> (c % 8 / 2 * 4 + c % 2 * 16) & 15) * e3_bf16_at(group);
}

/* Row `row` of K (half 0) or V of a head in a page, by the type of the pages. */
template <typename R> struct e3_rows_of {
	static __device__ __forceinline__ const R *at(const e3_attend_kv &kv, const void *page, int half, int head, int row)
	{
		return (const R *)page + e3_row_at(kv, half, head, row);
	}
};
template <> struct e3_rows_of<e3_packed> {
	static __device__ __forceinline__ e3_packed_row at(const e3_attend_kv &kv, const void *page, int half, int head,
		int row)
	{
		const uint8_t *from = (const uint8_t *)page;
		size_t slot = (size_t)head * kv.page_keys + row;
		int kind = kv.pack == E3_PACK_K8V4 && !half ? E3_PACK_I8 : kv.pack;
		return {from + kv.at[half] + slot * kv.row[half], from + kv.at[2 + half] + slot * kv.row[2 + half], kind, 0};
	}
};

/* ---- as bf16, for tensor cores ---- */

static __device__ __forceinline__ uint32_t e3_fma2(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t d;
	asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

enum : uint32_t {
	E3_TWO_ONES = 0x3f803f80u,
	E3_TWO_128 = 0x43004300u,
	E3_TWO_2_120 = 0x7b807b80u,
	E3_MINUS_0 = 0x80008000u
};

/* The same bf16 twice. */
static __device__ __forceinline__ uint32_t e3_twice(uint32_t half) { return __byte_perm(half, 0, 0x1010); }

/* Four codes of a word, times the scale (twice): a pair of bf16, then another. KIND: E3_PACK_I8 or E3_PACK_FP8. */
template <int KIND>
static __device__ __forceinline__ void e3_unpack_4(uint32_t word, uint32_t scale, uint32_t &first, uint32_t &second)
{
#pragma unroll
	for (int k = 0; k < 2; k++) {
		uint32_t &to = k ? second : first;
		if (KIND == E3_PACK_I8) {
			/* With 0x43 above it a code is 128 + its low bits, and its sign bit alone is 128 or 256, which is to be
			 * taken away: both exact in bf16. */
			uint32_t x = __byte_perm(word, 0x43u, k ? 0x4342 : 0x4140);
			uint32_t low = x & 0xff7fff7fu, sign = x & 0xff80ff80u;
			to = e3_fma2(low, scale, e3_fma2(sign, scale ^ E3_MINUS_0, E3_MINUS_0));
		} else {
			/* The bits at the place of those of bf16 are the value times 2^-120. */
			uint32_t x = __byte_perm(word, 0, k ? 0x3424 : 0x1404);
			uint32_t at = (x & E3_MINUS_0) | (x & 0x7f007f00u) >> 4;
			to = e3_fma2(e3_fma2(at, E3_TWO_2_120, E3_MINUS_0), scale, E3_MINUS_0);
		}
	}
}

/* Eight codes of 4 bits, of a group with this step and lowest value (twice each). */
static __device__ __forceinline__ void e3_unpack_v4(uint32_t word, uint32_t step, uint32_t low, uint32_t (&to)[4])
{
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t code = e3_fma2((word >> 4 * k & 0x000f000fu) | E3_TWO_128, E3_TWO_ONES, E3_TWO_128 ^ E3_MINUS_0);
		to[k] = e3_fma2(code, step, low);
	}
}

/* Sixteen neighbours as bf16: what a thread reads of a row, and what it makes of it. V4: their codes are 8 bytes. */
struct e3_sixteen {
	uint4 code;     /* V4: only x and y */
	uint32_t scale; /* or step and lowest value */
};

template <int KIND>
static __device__ __forceinline__ void e3_unpack_16(const e3_sixteen &from, uint4 &first, uint4 &second)
{
	if (KIND == E3_PACK_K8V4) {
		uint32_t a[4], b[4], step = e3_twice(from.scale), low = __byte_perm(from.scale, 0, 0x3232);
		e3_unpack_v4(from.code.x, step, low, a);
		e3_unpack_v4(from.code.y, step, low, b);
		first = make_uint4(a[0], a[1], a[2], a[3]), second = make_uint4(b[0], b[1], b[2], b[3]);
	} else {
		uint32_t s = e3_twice(from.scale);
		e3_unpack_4<KIND>(from.code.x, s, first.x, first.y);
		e3_unpack_4<KIND>(from.code.y, s, first.z, first.w);
		e3_unpack_4<KIND>(from.code.z, s, second.x, second.y);
		e3_unpack_4<KIND>(from.code.w, s, second.z, second.w);
	}
}

/* The sixteen of a row of K (half 0) or V that begin at channel 16 c; zeros if not `take`. slot: head * page_keys +
 * row.
 */
static __device__ __forceinline__ e3_sixteen e3_fetch_16(const e3_attend_kv &kv, const void *page, int half,
	size_t slot, int c, bool take)
{
	e3_sixteen s = {make_uint4(0, 0, 0, 0), 0};
	const uint8_t *code = (const uint8_t *)page + kv.at[half] + slot * kv.row[half],
				  *scale = (const uint8_t *)page + kv.at[2 + half] + slot * kv.row[2 + half];
	if (!take)
		return s;
	if (half && kv.pack == E3_PACK_K8V4) {
		uint2 two = *(const uint2 *)(code + 8 * c);
		s.code.x = two.x, s.code.y = two.y;
		s.scale = *(const uint32_t *)(scale + c / (E3_V4_GROUP / 16) * 4);
	} else {
		s.code = *(const uint4 *)(code + 16 * c);
		s.scale = *(const uint16_t *)scale;
	}
	return s;
}

/* What was fetched, as bf16. */
static __device__ __forceinline__ void e3_unpack(const e3_attend_kv &kv, int half, const e3_sixteen &from, uint4 &first,
	uint4 &second)
{
	if (kv.pack == E3_PACK_FP8)
		e3_unpack_16<E3_PACK_FP8>(from, first, second);
	else if (kv.pack == E3_PACK_I8 || !half)
		e3_unpack_16<E3_PACK_I8>(from, first, second);
	else
		e3_unpack_16<E3_PACK_K8V4>(from, first, second);
}

static __device__ __forceinline__ void e3_put_16(uint32_t smem, const uint4 &x)
{
	asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(smem), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
				 : "memory");
}

/* Four bytes of scales; zeros if not `take`. */
static __device__ __forceinline__ void e3_ask_scale(uint32_t to, const void *from, bool take)
{
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(take ? 4 : 0) : "memory");
}

static __device__ __forceinline__ uint4 e3_get_16(uint32_t smem)
{
	uint4 x;
	asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "r"(smem));
	return x;
}

/* ---- as f16, for Hopper: fewer instructions; codes are exact, and more of the scale is left than in bf16 ---- */

static __device__ __forceinline__ uint32_t e3_fma2_half(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t d;
	asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

/* Two numbers as T in a register, and back. */
template <typename T> static __device__ __forceinline__ uint32_t e3_two(float lo, float hi)
{
	uint32_t r;
	if constexpr (sizeof(T) == 2 && std::is_same<T, __half>::value)
		asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
	else
		r = e3_bf16x2(lo, hi);
	return r;
}
template <typename T> static __device__ __forceinline__ float2 e3_apart(uint32_t x)
{
	if constexpr (std::is_same<T, __half>::value)
		return __half22float2(*(const __half2 *)&x);
	return make_float2(__uint_as_float(x << 16), __uint_as_float(x & 0xffff0000u));
}

/* Two bf16 as f16. */
static __device__ __forceinline__ uint32_t e3_half_of(uint32_t x)
{
	float2 v = e3_apart<__nv_bfloat16>(x);
	return e3_two<__half>(v.x, v.y);
}

/* A scale as f16 twice; at most 65504. */
static __device__ __forceinline__ uint32_t e3_half_scale(float s)
{
	s = fminf(s, 65504.0f);
	return e3_two<__half>(s, s);
}

/* Four codes of a word, as e3_unpack_4. */
template <int KIND>
static __device__ __forceinline__ void e3_unpack_4_half(uint32_t word, uint32_t scale, uint32_t &first,
	uint32_t &second)
{
	if (KIND == E3_PACK_I8) {
		/* With 0x64 above it an unsigned byte is 1024 more; the sign's bit turned, that is 1152 more than the code. */
		const uint32_t less = 0xe480e480u; /* -1152 twice */
		word ^= 0x80808080u;
		uint32_t a = __byte_perm(word, 0x64u, 0x4140), b = __byte_perm(word, 0x64u, 0x4342), one = 0x3c003c00u;
		first = e3_fma2_half(e3_fma2_half(a, one, less), scale, E3_MINUS_0);
		second = e3_fma2_half(e3_fma2_half(b, one, less), scale, E3_MINUS_0);
	} else {
		uint32_t a, b;
		asm("{\n.reg .b16 lo, hi;\nmov.b32 {lo, hi}, %2;\ncvt.rn.f16x2.e4m3x2 %0, lo;\ncvt.rn.f16x2.e4m3x2 %1, hi;\n}"
			: "=r"(a), "=r"(b)
			: "r"(word));
		first = e3_fma2_half(a, scale, E3_MINUS_0);
		second = e3_fma2_half(b, scale, E3_MINUS_0);
	}
}

/* Eight codes of 4 bits. A code at bit 6 of a half, with 0x4c00 above it, is 16 more; `low`: 16 steps below the lowest
 * value. */
static __device__ __forceinline__ void e3_unpack_v4_half(uint32_t word, uint32_t step, uint32_t low, uint32_t (&to)[4])
{
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t at = k < 2 ? word << (6 - 4 * k) : word >> (4 * k - 6);
		to[k] = e3_fma2_half((at & 0x03c003c0u) | 0x4c004c00u, step, low);
	}
}

#endif
