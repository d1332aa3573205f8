/* kernels: values in 8 bits, int8_t or e4m3: how a row is rounded to them (doc/network.md 15). */
#ifndef E3_KERNELS_PACKED_CUH
#define E3_KERNELS_PACKED_CUH

#include "cuda.h"
#include <cuda_fp8.h>

typedef __nv_fp8_e4m3 e4m3;

template <typename T> constexpr float top8 = 127;
template <> constexpr float top8<e4m3> = 448;

/* The larger of two; not a number if one is not. */
static __device__ __forceinline__ float most_of(float a, float b)
{
	float r;
	asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
	return r;
}

/* What a row is multiplied with before it is rounded; 0 where its scale says that it is worthless. */
template <typename T> static __device__ __forceinline__ float to_top(float most)
{
	return most > 0 && most < INFINITY ? top8<T> / most : 0;
}

/* A value that is not finite becomes 0: the scale of its row is not finite either. */
template <typename T> static __device__ __forceinline__ T round_one(float v, float up);
template <> __device__ __forceinline__ int8_t round_one<int8_t>(float v, float up)
{
	return up > 0 ? (int8_t)__float2int_rn(v * up) : 0;
}
template <> __device__ __forceinline__ e4m3 round_one<e4m3>(float v, float up)
{
	e4m3 r;
	r.__x = up > 0 ? __nv_cvt_float_to_fp8(v * up, __NV_SATFINITE, __NV_E4M3) : 0;
	return r;
}

template <typename T> static __device__ __forceinline__ uint32_t round_four(const float *v, float up);
template <> __device__ __forceinline__ uint32_t round_four<int8_t>(const float *v, float up)
{
	uint32_t r = 0;
#pragma unroll
	for (int k = 0; k < 4; k++)
		r |= (uint32_t)(uint8_t)round_one<int8_t>(v[k], up) << (8 * k);
	return r;
}
template <> __device__ __forceinline__ uint32_t round_four<e4m3>(const float *v, float up)
{
	if (!(up > 0))
		return 0;
	uint32_t lo = __nv_cvt_float2_to_fp8x2(make_float2(v[0] * up, v[1] * up), __NV_SATFINITE, __NV_E4M3);
	uint32_t hi = __nv_cvt_float2_to_fp8x2(make_float2(v[2] * up, v[3] * up), __NV_SATFINITE, __NV_E4M3);
	return lo | hi << 16;
}

template <typename T> static __device__ __forceinline__ float value_of8(uint8_t code);
template <> __device__ __forceinline__ float value_of8<int8_t>(uint8_t code) { return (float)(int8_t)code; }
template <> __device__ __forceinline__ float value_of8<e4m3>(uint8_t code)
{
	e4m3 v;
	v.__x = code;
	return (float)v;
}

/* The four values of a word. int8: a byte behind the leading bits of 2^23 is a number from 2^23 on; to convert integers
 * takes longer. */
template <typename T> static __device__ __forceinline__ void values_of_four(uint32_t four, float *to);
template <> __device__ __forceinline__ void values_of_four<int8_t>(uint32_t four, float *to)
{
	four ^= 0x80808080u;
#pragma unroll
	for (uint32_t k = 0; k < 4; k++)
		to[k] = __uint_as_float(__byte_perm(four, 0x4b000000u, 0x7650u + k)) - (8388608.0f + 128.0f);
}
template <> __device__ __forceinline__ void values_of_four<e4m3>(uint32_t four, float *to)
{
#pragma unroll
	for (int k = 0; k < 2; k++) {
		__half2 pair = __nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)(four >> (16 * k)), __NV_E4M3);
		float2 v = __half22float2(pair);
		to[2 * k] = v.x, to[2 * k + 1] = v.y;
	}
}

#endif
