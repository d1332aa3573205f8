/* kernels: keys and values in fewer bits, as they lie in pages (e3/kv.h, doc/network.md 5.5; lib/dev/cpu_kv.c is the
 * reference): one value at a time for kernels of any shape, sixteen at a time as f16 for those with tensor cores.
 */
#ifndef E3_KERNELS_PACK_CUH
#define E3_KERNELS_PACK_CUH

extern "C" {
#include "e3/kv.h"
}
#include "attend_impl.cuh"
#include <cuda_fp16.h>

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

/* ---- as f16, for tensor cores: codes are exact ---- */

enum : uint32_t { E3_MINUS_0 = 0x80008000u };

static __device__ __forceinline__ uint32_t e3_fma2(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t d;
	asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
	return d;
}

/* A scale, bf16 in the low bits, as f16 twice; at most 65504. */
static __device__ __forceinline__ uint32_t e3_half_scale(uint32_t bits)
{
	float s = __uint_as_float(bits << 16);
	return e3_f16x2(s, s);
}

/* Four codes of a word, times the scale (twice): a pair, then another. KIND: E3_PACK_I8 or E3_PACK_FP8. */
template <int KIND>
static __device__ __forceinline__ void e3_unpack_4(uint32_t word, uint32_t scale, uint32_t &first, uint32_t &second)
{
	if (KIND == E3_PACK_I8) {
		/* With 0x64 above it an unsigned byte is 1024 more; the sign's bit turned, that is 1152 more than the code. */
		const uint32_t less = 0xe480e480u; /* -1152 twice */
		word ^= 0x80808080u;
		uint32_t a = __byte_perm(word, 0x64u, 0x4140), b = __byte_perm(word, 0x64u, 0x4342), one = 0x3c003c00u;
		first = e3_fma2(e3_fma2(a, one, less), scale, E3_MINUS_0);
		second = e3_fma2(e3_fma2(b, one, less), scale, E3_MINUS_0);
	} else {
		uint32_t a, b;
#if __CUDA_ARCH__ >= 890
		asm("{\n.reg .b16 lo, hi;\nmov.b32 {lo, hi}, %2;\ncvt.rn.f16x2.e4m3x2 %0, lo;\ncvt.rn.f16x2.e4m3x2 %1, hi;\n}"
			: "=r"(a), "=r"(b)
			: "r"(word));
#else
		/* The bits at the place of those of f16 are the value times 2^-8. */
		const uint32_t two_8 = 0x5c005c00u;
		uint32_t x = __byte_perm(word, 0, 0x1404), y = __byte_perm(word, 0, 0x3424);
		a = e3_fma2((x & E3_MINUS_0) | (x & 0x7f007f00u) >> 1, two_8, E3_MINUS_0);
		b = e3_fma2((y & E3_MINUS_0) | (y & 0x7f007f00u) >> 1, two_8, E3_MINUS_0);
#endif
		first = e3_fma2(a, scale, E3_MINUS_0);
		second = e3_fma2(b, scale, E3_MINUS_0);
	}
}

/* What eight codes of 4 bits are multiplied with, and what is added then: from step and lowest value, as bf16. */
static __device__ __forceinline__ void e3_half_steps(uint32_t bits, uint32_t &step, uint32_t &low)
{
	float s = __uint_as_float(bits << 16), least = fmaf(s, -16.0f, __uint_as_float(bits & 0xffff0000u));
	step = e3_f16x2(s, s), low = e3_f16x2(least, least);
}

/* Eight codes of 4 bits. A code at bit 6 of a half, with 0x4c00 above it, is 16 more; `low`: 16 steps below the lowest
 * value. */
static __device__ __forceinline__ void e3_unpack_v4(uint32_t word, uint32_t step, uint32_t low, uint32_t (&to)[4])
{
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t at = k < 2 ? word << (6 - 4 * k) : word >> (4 * k - 6);
		to[k] = e3_fma2((at & 0x03c003c0u) | 0x4c004c00u, step, low);
	}
}

/* Sixteen neighbours as f16: what a thread reads of a row, and what it makes of it. V4: their codes are 8 bytes. */
struct e3_sixteen {
	uint4 code;     /* V4: only x and y */
	uint32_t scale; /* or step and lowest value */
};

template <int KIND>
static __device__ __forceinline__ void e3_unpack_16(const e3_sixteen &from, uint4 &first, uint4 &second)
{
	if (KIND == E3_PACK_K8V4) {
		uint32_t a[4], b[4], step, low;
		e3_half_steps(from.scale, step, low);
		e3_unpack_v4(from.code.x, step, low, a);
		e3_unpack_v4(from.code.y, step, low, b);
		first = make_uint4(a[0], a[1], a[2], a[3]), second = make_uint4(b[0], b[1], b[2], b[3]);
	} else {
		uint32_t s = e3_half_scale(from.scale);
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

/* What was fetched, as f16. */
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

#endif
