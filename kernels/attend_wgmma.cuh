/* kernels: Hopper's warpgroup matrix product, its descriptors, and the barriers around it. Tiles in shared memory are
 * rows of 64 f16 (128 bytes), the eight 16-byte chunks of row r in the order chunk ^ (r & 7), first row aligned to
 * 1024 bytes: the layout that the hardware calls 128-byte swizzle. */
#ifndef E3_KERNELS_ATTEND_WGMMA_CUH
#define E3_KERNELS_ATTEND_WGMMA_CUH

#include "attend_impl.cuh"
#include "wgmma.cuh"
#include <type_traits>

/* Descriptor of a swizzled tile: groups of 8 rows are 1024 bytes apart. The product steps 16 channels by adding 32
 * bytes, 16 rows by adding 2048 bytes. */
static __device__ __forceinline__ uint64_t e3_desc(uint32_t smem)
{
	return (uint64_t)((smem & 0x3ffff) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* The same of 64 columns that eight more follow, `apart` bytes further on. */
static __device__ __forceinline__ uint64_t e3_desc_ones(uint32_t smem, uint32_t apart)
{
	return e3_desc(smem) + ((uint64_t)(apart >> 4) << 16) - ((uint64_t)1 << 16);
}

/* Byte of 16-byte chunk c of row r in a tile. */
static __device__ __forceinline__ uint32_t e3_swizzle(int r, int c)
{
	return (uint32_t)(r * 128 + ((c ^ (r & 7)) << 4));
}

#ifdef E3_WGMMA
static __device__ __forceinline__ void e3_wgmma_fence(void) { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
static __device__ __forceinline__ void e3_wgmma_commit(void)
{
	asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
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
template <int N> static __device__ __forceinline__ void e3_hold(uint32_t (&d)[N])
{
#pragma unroll
	for (int i = 0; i < N; i++)
		asm volatile("" : "+r"(d[i])::"memory");
}
/* Ordinary writes to shared memory before this are seen by products after it. */
static __device__ __forceinline__ void e3_fence_async(void)
{
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

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
/* Programmatic launches: the kernel after this one may be set up from now on; what the kernel before this one wrote is
 * there. */
static __device__ __forceinline__ void e3_early_start(void) { asm volatile("griddepcontrol.launch_dependents;"); }
static __device__ __forceinline__ void e3_early_wait(void) { asm volatile("griddepcontrol.wait;" ::: "memory"); }
template <int N> static __device__ __forceinline__ void e3_regs_more(void)
{
	asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N> static __device__ __forceinline__ void e3_regs_less(void)
{
	asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

#endif

/* Shift that makes a key's index that of its page: for pages of a power of two; 30 for a single page of any size; 0:
 * neither. */
static inline int e3_page_shift(const e3_attend_kv *kv)
{
	if (kv->n_keys <= kv->page_keys)
		return 30;
	for (int shift = 6; shift < 30; shift++)
		if (kv->page_keys == 1 << shift)
			return shift;
	return 0;
}

/* Launches a kernel that may be set up while the one before it on the stream still runs; it must call e3_early_wait. */
template <typename Plan>
static inline cudaError_t e3_launch_early(void (*kernel)(Plan), const std::remove_const_t<Plan> &plan, dim3 grid,
	const int size[2], cudaStream_t stream)
{
	cudaLaunchAttribute early = {};
	early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {};
	how.gridDim = grid, how.blockDim = dim3(size[0]), how.dynamicSmemBytes = size[1], how.stream = stream,
	how.attrs = &early, how.numAttrs = 1;
	return cudaLaunchKernelEx(&how, kernel, plan);
}

#endif
