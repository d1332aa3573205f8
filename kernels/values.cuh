/* kernels: values of the three types as f32, one or several at a time; activations; sums over a warp and a block. */
#ifndef E3_KERNELS_VALUES_CUH
#define E3_KERNELS_VALUES_CUH

#include "cuda.h"

static __device__ __forceinline__ float as_f32(float v) { return v; }
static __device__ __forceinline__ float as_f32(bf16 v) { return __bfloat162float(v); }
static __device__ __forceinline__ float as_f32(f16 v) { return __half2float(v); }

template <typename T> static __device__ __forceinline__ T as(float v);
template <> __device__ __forceinline__ float as<float>(float v) { return v; }
template <> __device__ __forceinline__ bf16 as<bf16>(float v) { return __float2bfloat16_rn(v); }
/* Half precision ends at 65504: values beyond stay there instead of becoming infinite. NaN stays NaN. */
template <> __device__ __forceinline__ f16 as<f16>(float v)
{
	v = v > 65504.0f ? 65504.0f : v < -65504.0f ? -65504.0f : v;
	return __float2half_rn(v);
}

/* V neighbours at once; addresses aligned to V values. */
template <typename T, int V> struct alignas(sizeof(T) * V) pack {
	T v[V];
};
template <typename T, int V> static __device__ __forceinline__ void load_pack(const T *p, float *to)
{
	pack<T, V> a = *(const pack<T, V> *)p;
#pragma unroll
	for (int k = 0; k < V; k++)
		to[k] = as_f32(a.v[k]);
}
template <typename T, int V> static __device__ __forceinline__ void store_pack(T *p, const float *from)
{
	pack<T, V> a;
#pragma unroll
	for (int k = 0; k < V; k++)
		a.v[k] = as<T>(from[k]);
	*(pack<T, V> *)p = a;
}

static __device__ __forceinline__ float activate(float v, e3_act act)
{
	switch (act) {
	case E3_ACT_GELU:
		return 0.5f * v * (v < -1.0f ? erfcf(-v * 0.707106781f) : 1.0f + erff(v * 0.707106781f));
	case E3_ACT_RELU:
		return v > 0 ? v : 0;
	case E3_ACT_SILU:
		return v / (1.0f + expf(-v));
	default:
		return v;
	}
}

static __device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
	for (int k = 16; k; k >>= 1)
		v += __shfl_xor_sync(~0u, v, k);
	return v;
}

/* Over all threads of a block of at most 1024, the same for each. `room`: 32 floats of shared memory, free again on
 * return. */
static __device__ __forceinline__ float block_sum(float v, float *room)
{
	int warp = threadIdx.x / 32, warps = blockDim.x / 32;
	v = warp_sum(v);
	if (threadIdx.x % 32 == 0)
		room[warp] = v;
	__syncthreads();
	v = 0;
	for (int k = 0; k < warps; k++)
		v += room[k];
	__syncthreads();
	return v;
}

/* The statements for the type, f32 or f16: E3_WITH_TYPE(type, T, { ... T ... }). */
#define E3_WITH_TYPE(real, T, ...) \
	if ((real) == E3_F32) { \
		typedef float T; \
		__VA_ARGS__; \
	} else { \
		typedef f16 T; \
		__VA_ARGS__; \
	}

#endif
