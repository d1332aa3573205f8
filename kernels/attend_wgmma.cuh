/* kernels: Hopper's warpgroup matrix product, its descriptors, and the barriers around it. Tiles in shared memory are rows of 64
 * bf16 (128 bytes), the eight 16-byte chunks of row r in the order chunk ^ (r & 7), first row aligned to 1024 bytes: the layout
 * that the hardware calls 128-byte swizzle. */
#ifndef E3_KERNELS_ATTEND_WGMMA_CUH
#define E3_KERNELS_ATTEND_WGMMA_CUH

#include "attend_impl.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define E3_WGMMA 1
#endif

/* Descriptor of a swizzled tile: groups of 8 rows are 1024 bytes apart. The product steps 16 channels by adding 32 bytes, 16 rows
 * by adding 2048 bytes. */
static __device__ __forceinline__ uint64_t e3_desc(uint32_t smem)
{
	return (uint64_t)((smem & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* Byte of 16-byte chunk c of row r in a tile. */
static __device__ __forceinline__ uint32_t e3_swizzle(int r, int c) { return (uint32_t)(r * 128 + ((c ^ (r & 7)) << 4)); }

#ifdef E3_WGMMA
static __device__ __forceinline__ void e3_wgmma_fence(void) { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
static __device__ __forceinline__ void e3_wgmma_commit(void) { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> static __device__ __forceinline__ void e3_wgmma_wait(void)
{
	asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
/* Keeps the compiler from moving accumulators across the asynchronous product. */
template <int N> static __device__ __forceinline__ void e3_hold(float (&d)[N])
{
#pragma unroll
	for (int i = 0; i < N; i++)
		asm volatile("" : "+f"(d[i])::"memory");
}
/* Ordinary writes to shared memory before this are seen by products after it. */
static __device__ __forceinline__ void e3_fence_async(void) { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

static __device__ __forceinline__ void e3_mbar_init(uint32_t bar, int count)
{
	asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count) : "memory");
}
static __device__ __forceinline__ void e3_mbar_arrive(uint32_t bar)
{
	asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}
static __device__ __forceinline__ void e3_mbar_wait(uint32_t bar, uint32_t parity)
{
	uint32_t done;
	do
		asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.b32 %0, 1, 0, p;\n}"
		             : "=r"(done)
		             : "r"(bar), "r"(parity)
		             : "memory");
	while (!done);
}
template <int N> static __device__ __forceinline__ void e3_regs_more(void) { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> static __device__ __forceinline__ void e3_regs_less(void) { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }

/* d (+)= A B^T, 64 rows by n; _ss: A and B tiles of channels; _rs: A in registers, B keys by channels, taken as it stands. */
static __device__ __forceinline__ void e3_wgmma_n64_ss(float (&d)[32], uint64_t a, uint64_t b, bool add)
{
	asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
	             "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
	             "}, %32, %33, p, 1, 1, 0, 0;\n}\n"
	             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
	               "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
	               "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
	               "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
	             : "l"(a), "l"(b), "r"((int)add));
}

static __device__ __forceinline__ void e3_wgmma_n128_ss(float (&d)[64], uint64_t a, uint64_t b, bool add)
{
	asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
	             "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
	             "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
	             "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
	             "}, %64, %65, p, 1, 1, 0, 0;\n}\n"
	             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
	               "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
	               "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
	               "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
	               "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
	               "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
	               "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
	               "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
	             : "l"(a), "l"(b), "r"((int)add));
}

static __device__ __forceinline__ void e3_wgmma_n64_rs(float (&d)[32], const uint32_t *a, uint64_t b, bool add)
{
	asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
	             "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
	             "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
	             "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
	             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
	               "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
	               "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
	               "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
	             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}

#endif

/* Shift that makes a key's index that of its page: for pages of a power of two; 30 for a single page of any size; 0: neither. */
static inline int e3_page_shift(const e3_attend_kv *kv)
{
	if (kv->n_keys <= kv->page_keys)
		return 30;
	for (int shift = 6; shift < 30; shift++)
		if (kv->page_keys == 1 << shift)
			return shift;
	return 0;
}

/* exp2 on the FMA units, to spare the special-function unit: relative error below 3.1e-06; x below -126 counts as -126. */
static __device__ __forceinline__ float e3_exp2_fma(float x)
{
	x = fmaxf(x, -126.0f);
	float t = x + 12582912.0f, f = x - (t - 12582912.0f); /* 1.5 * 2^23: the integer lands in the low bits */
	float p = fmaf(f, 0.00958285324f, 0.0559064259f);
	p = fmaf(f, p, 0.240240986f);
	p = fmaf(f, p, 0.693124193f);
	p = fmaf(f, p, 1.0f);
	return __int_as_float(__float_as_int(p) + (__float_as_int(t) << 23));
}

#endif
