/* kernels: the warpgroup matrix product of Hopper, written once for every width and type used here.
 *
 * d [64][N] (+)= A B^T, 16 channels, sums in f32; T is f16.
 *
 *   ss         A [64] and B [N] rows in shared memory, laid out as attend_wgmma.cuh says.
 *   rs         A in registers, the fragment of mma.m16n8k16 (16 rows to a warp); B as for ss.
 *   rs_turned  A as for rs; B transposed in shared memory, [16][N].
 *   keep       0: d is overwritten; 1: the product is added to d.
 *
 * Of row lane / 4 + 8 h of its warp's 16 a thread has d[4 j + 2 h + e] at column 8 j + 2 (lane % 4) + e.
 */
#ifndef E3_KERNELS_WGMMA_CUH
#define E3_KERNELS_WGMMA_CUH

#include <cuda_fp16.h>
#include <stdint.h>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define E3_WGMMA 1
#endif

#ifdef E3_WGMMA
template <int N, typename T> struct wgmma;

/* Operands %t0, %t1, ... whose numbers begin with the digits t: the first few, or all ten. */
#define E3_NAMES_2(t) "%" #t "0, %" #t "1"
#define E3_NAMES_4(t) E3_NAMES_2(t) ", %" #t "2, %" #t "3"
#define E3_NAMES_6(t) E3_NAMES_4(t) ", %" #t "4, %" #t "5"
#define E3_NAMES_8(t) E3_NAMES_6(t) ", %" #t "6, %" #t "7"
#define E3_NAMES_10(t) E3_NAMES_8(t) ", %" #t "8, %" #t "9, "
#define E3_NAMES_30 E3_NAMES_10() E3_NAMES_10(1) E3_NAMES_10(2)
#define E3_NAMES_60 E3_NAMES_30 E3_NAMES_10(3) E3_NAMES_10(4) E3_NAMES_10(5)
#define E3_NAMES_90 E3_NAMES_60 E3_NAMES_10(6) E3_NAMES_10(7) E3_NAMES_10(8)
/* The sums that they name; E3_OPEN removes the parentheses around a list. */
#define E3_SUMS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define E3_SUMS_8(i) \
	"+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
		"+f"(d[i + 7])
#define E3_SUMS_32(i) E3_SUMS_8(i), E3_SUMS_8(i + 8), E3_SUMS_8(i + 16), E3_SUMS_8(i + 24)
#define E3_OPEN(...) __VA_ARGS__

/* The instruction: names of A, operand numbers of B and of `keep`, which of A and B are transposed; the operands. */
#define E3_WGMMA_ASM(N, TYPE, NAMES, A, B, KEEP, TURNED, SUMS, ...) \
	asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #KEEP ", 0;\n" \
				 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" NAMES "}, " A ", %" #B \
				 ", p, 1, 1, " TURNED ";\n}\n" \
				 : E3_OPEN SUMS \
				 : __VA_ARGS__, "l"(b), "r"((int)keep))

/* R sums; n0 to n5 are the numbers that follow R - 1. */
#define E3_WGMMA_TYPE(N, R, T, TYPE, NAMES, SUMS, n0, n1, n2, n3, n4, n5) \
	template <> struct wgmma<N, T> { \
		static __device__ __forceinline__ void ss(float (&d)[R], uint64_t a, uint64_t b, bool keep) \
		{ \
			E3_WGMMA_ASM(N, TYPE, NAMES, "%" #n0, n1, n2, "0, 0", SUMS, "l"(a)); \
		} \
		static __device__ __forceinline__ void rs(float (&d)[R], const uint32_t *a, uint64_t b, bool keep) \
		{ \
			E3_WGMMA_ASM(N, TYPE, NAMES, "{%" #n0 ", %" #n1 ", %" #n2 ", %" #n3 "}", n4, n5, "0", SUMS, "r"(a[0]), \
				"r"(a[1]), "r"(a[2]), "r"(a[3])); \
		} \
		static __device__ __forceinline__ void rs_turned(float (&d)[R], const uint32_t *a, uint64_t b, bool keep) \
		{ \
			E3_WGMMA_ASM(N, TYPE, NAMES, "{%" #n0 ", %" #n1 ", %" #n2 ", %" #n3 "}", n4, n5, "1", SUMS, "r"(a[0]), \
				"r"(a[1]), "r"(a[2]), "r"(a[3])); \
		} \
	};
#define E3_WGMMA_WIDTH(N, R, ...) E3_WGMMA_TYPE(N, R, __half, "f16", __VA_ARGS__)

E3_WGMMA_WIDTH(32, 16, E3_NAMES_10() "%10, %11, %12, %13, %14, %15", (E3_SUMS_8(0), E3_SUMS_8(8)), 16, 17, 18, 19, 20,
	21)
E3_WGMMA_WIDTH(64, 32, E3_NAMES_30 E3_NAMES_2(3), (E3_SUMS_32(0)), 32, 33, 34, 35, 36, 37)
E3_WGMMA_TYPE(72, 36, __half, "f16", E3_NAMES_30 E3_NAMES_6(3), (E3_SUMS_32(0), E3_SUMS_4(32)), 36, 37, 38, 39, 40, 41)
E3_WGMMA_WIDTH(96, 48, E3_NAMES_30 E3_NAMES_10(3) E3_NAMES_8(4), (E3_SUMS_32(0), E3_SUMS_8(32), E3_SUMS_8(40)), 48, 49,
	50, 51, 52, 53)
E3_WGMMA_WIDTH(56, 28, E3_NAMES_10() E3_NAMES_10(1) E3_NAMES_8(2),
	(E3_SUMS_8(0), E3_SUMS_8(8), E3_SUMS_8(16), E3_SUMS_4(24)), 28, 29, 30, 31, 32, 33)
E3_WGMMA_WIDTH(112, 56, E3_NAMES_30 E3_NAMES_10(3) E3_NAMES_10(4) E3_NAMES_6(5),
	(E3_SUMS_32(0), E3_SUMS_8(32), E3_SUMS_8(40), E3_SUMS_8(48)), 56, 57, 58, 59, 60, 61)
E3_WGMMA_WIDTH(136, 68, E3_NAMES_60 E3_NAMES_8(6), (E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_4(64)), 68, 69, 70, 71, 72,
	73)
E3_WGMMA_WIDTH(128, 64, E3_NAMES_60 E3_NAMES_4(6), (E3_SUMS_32(0), E3_SUMS_32(32)), 64, 65, 66, 67, 68, 69)
E3_WGMMA_WIDTH(176, 88, E3_NAMES_60 E3_NAMES_10(6) E3_NAMES_10(7) E3_NAMES_8(8),
	(E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_8(64), E3_SUMS_8(72), E3_SUMS_8(80)), 88, 89, 90, 91, 92, 93)
E3_WGMMA_WIDTH(192, 96, E3_NAMES_90 E3_NAMES_6(9), (E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_32(64)), 96, 97, 98, 99, 100,
	101)
E3_WGMMA_WIDTH(256, 128, E3_NAMES_90 E3_NAMES_10(9) E3_NAMES_10(10) E3_NAMES_10(11) E3_NAMES_8(12),
	(E3_SUMS_32(0), E3_SUMS_32(32), E3_SUMS_32(64), E3_SUMS_32(96)), 128, 129, 130, 131, 132, 133)

/* f16 from f16 with sums in f16, 88 wide, A as for rs: of row lane / 4 + 8 h a thread has d[2 j + h], the columns 8 j +
 * 2 (lane % 4) + {0, 1} as a pair; the product is added to d. Sums in f16 take half the traffic with the register file,
 * which other warps then have for arithmetic. */
static __device__ __forceinline__ void e3_wgmma_half_88(uint32_t (&d)[22], const uint32_t *a, uint64_t b)
{
	asm volatile("{\n.reg .pred p;\nsetp.eq.b32 p, 0, 0;\n"
				 "wgmma.mma_async.sync.aligned.m64n88k16.f16.f16.f16 {" E3_NAMES_10()
					 E3_NAMES_10(1) "%20, %21}, {%22, %23, %24, %25}, %26, p, 1, 1, 0;\n}\n"
				 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3]), "+r"(d[4]), "+r"(d[5]), "+r"(d[6]), "+r"(d[7]),
				 "+r"(d[8]), "+r"(d[9]), "+r"(d[10]), "+r"(d[11]), "+r"(d[12]), "+r"(d[13]), "+r"(d[14]), "+r"(d[15]),
				 "+r"(d[16]), "+r"(d[17]), "+r"(d[18]), "+r"(d[19]), "+r"(d[20]), "+r"(d[21])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
#define E3_PAIRS_8(i) \
	"+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), "+r"(d[i + 4]), "+r"(d[i + 5]), "+r"(d[i + 6]), \
		"+r"(d[i + 7])

/* The same, 128 wide. */
static __device__ __forceinline__ void e3_wgmma_half_128(uint32_t (&d)[32], uint64_t a, uint64_t b, bool keep)
{
	asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
				 "wgmma.mma_async.sync.aligned.m64n128k16.f16.f16.f16 {" E3_NAMES_30 E3_NAMES_2(3) "}, %32, %33, "
																								   "p, 1, 1, 0, 0;\n}\n"
				 : E3_PAIRS_8(0), E3_PAIRS_8(8), E3_PAIRS_8(16), E3_PAIRS_8(24)
				 : "l"(a), "l"(b), "r"((int)keep));
}
#endif

#endif
