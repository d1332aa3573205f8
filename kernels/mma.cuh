/* kernels: tensor-core building blocks of compute capability 8.0: asynchronous copies, ldmatrix, mma of f16 with f32
 * sums. */
#ifndef E3_KERNELS_MMA_CUH
#define E3_KERNELS_MMA_CUH

#include "values.cuh"

/* 16 bytes from global to shared memory; zeros if !valid. */
static __device__ __forceinline__ void copy_16(uint32_t to, const void *from, bool valid)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(valid ? 16 : 0));
}
static __device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;\n"); }
template <int N> static __device__ __forceinline__ void copies_wait()
{
	asm volatile("cp.async.wait_group %0;\n" ::"n"(N));
}

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
	return (uint32_t)__cvta_generic_to_shared(p);
}

/* Four 8×8 matrices; the address of row (lane % 8) of matrix (lane / 8). */
static __device__ __forceinline__ void load_matrix_4(uint32_t *r, uint32_t address)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
				 : "r"(address));
}

/* d [16][8] += a [16][16] b [16][8]. */
static __device__ __forceinline__ void mma_f16(float *d, const uint32_t *a, uint32_t b0, uint32_t b1)
{
	asm volatile(
		"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
		: "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ uint32_t relu_pair(uint32_t v)
{
	__half2 h = __hmax2_nan(*(__half2 *)&v, __float2half2_rn(0.0f));
	return *(uint32_t *)&h;
}

#endif
