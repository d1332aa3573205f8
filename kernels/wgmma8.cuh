/* kernels: Hopper's warpgroup product of 8-bit values: d [64][N] (+)= A B^T, 32 channels. T is int8_t (sums in s32,
 * exact) or __nv_fp8_e4m3 (sums in f32, of limited precision: doc/network.md 15.2). A and B lie in shared memory as for
 * wgmma.cuh: rows of 128 bytes, here 128 channels; a step of 32 channels is 32 bytes. */
#ifndef E3_KERNELS_WGMMA8_CUH
#define E3_KERNELS_WGMMA8_CUH

#include "wgmma.cuh"
#include <cuda_fp8.h>

#ifdef E3_WGMMA
/* The last ten, without a comma behind them. */
#define E3_NAMES_10_LAST(t) E3_NAMES_8(t) ", %" #t "8, %" #t "9"
#define E3_INTS_8(i) \
	"+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), "+r"(d[i + 4]), "+r"(d[i + 5]), "+r"(d[i + 6]), \
		"+r"(d[i + 7])
#define E3_INTS_32(i) E3_INTS_8(i), E3_INTS_8(i + 8), E3_INTS_8(i + 16), E3_INTS_8(i + 24)

#define E3_WGMMA8_TYPE(N, R, T, SUM, TYPES, ENDS, NAMES, SUMS, n0, n1, n2) \
	template <> struct wgmma<N, T> { \
		static __device__ __forceinline__ void ss(SUM (&d)[R], uint64_t a, uint64_t b, bool keep) \
		{ \
			asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #n2 ", 0;\n" \
						 "wgmma.mma_async.sync.aligned.m64n" #N "k32." TYPES " {" NAMES "}, %" #n0 ", %" #n1 \
						 ", p" ENDS ";\n}\n" \
						 : E3_OPEN SUMS \
						 : "l"(a), "l"(b), "r"((int)keep)); \
		} \
	};
#define E3_WGMMA8_WIDTH(N, R, NAMES, FLOATS, INTS, ...) \
	E3_WGMMA8_TYPE(N, R, __nv_fp8_e4m3, float, "f32.e4m3.e4m3", ", 1, 1", NAMES, FLOATS, __VA_ARGS__) \
	E3_WGMMA8_TYPE(N, R, int8_t, int, "s32.s8.s8", "", NAMES, INTS, __VA_ARGS__)

E3_WGMMA8_WIDTH(80, 40, E3_NAMES_30 E3_NAMES_10_LAST(3), (E3_SUMS_32(0), E3_SUMS_8(32)), (E3_INTS_32(0), E3_INTS_8(32)),
	40, 41, 42)
E3_WGMMA8_WIDTH(96, 48, E3_NAMES_30 E3_NAMES_10(3) E3_NAMES_8(4), (E3_SUMS_32(0), E3_SUMS_8(32), E3_SUMS_8(40)),
	(E3_INTS_32(0), E3_INTS_8(32), E3_INTS_8(40)), 48, 49, 50)
E3_WGMMA8_WIDTH(128, 64, E3_NAMES_60 E3_NAMES_4(6), (E3_SUMS_32(0), E3_SUMS_32(32)), (E3_INTS_32(0), E3_INTS_32(32)),
	64, 65, 66)
E3_WGMMA8_WIDTH(192, 96, E3_NAMES_90 E3_NAMES_6(9), (E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_32(64)),
	(E3_INTS_32(0), E3_INTS_32(32), E3_INTS_32(64)), 96, 97, 98)
E3_WGMMA8_WIDTH(256, 128, E3_NAMES_90 E3_NAMES_10(9) E3_NAMES_10(10) E3_NAMES_10(11) E3_NAMES_8(12),
	(E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_32(64), E3_SUMS_32(96)),
	(E3_INTS_32(0), E3_INTS_32(32), E3_INTS_32(64), E3_INTS_32(96)), 128, 129, 130)

/* As for f32 (attend_wgmma.cuh). */
template <int N> static __device__ __forceinline__ void e3_hold(int (&d)[N])
{
#pragma unroll
	for (int i = 0; i < N; i++)
		asm volatile("" : "+r"(d[i])::"memory");
}
#endif

#endif
