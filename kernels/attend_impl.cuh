/* kernels: what the attention kernels share among themselves: the families behind attend.h, workspace layout, PTX. */
#ifndef E3_KERNELS_ATTEND_IMPL_CUH
#define E3_KERNELS_ATTEND_IMPL_CUH

#include "attend.h"
#include <cuda_fp16.h>
#include <stdint.h>

/* The workspace begins with counters that are zero between launches (the last to arrive sets them back); partial
 * results follow. wgmma attention: query tile, warpgroup; the few-rows kernel: row, head. */
enum { E3_COUNTERS = 16384 };
static const size_t e3_counter_bytes = E3_COUNTERS * sizeof(int);

/* One family of kernels: whether it can do a job, how many bytes of partial results it wants, the two launches. */
bool e3_wgmma_fits(const e3_attend_dev *dev, const e3_attend_job *job);
size_t e3_wgmma_attend_bytes(const e3_attend_dev *dev);
size_t e3_wgmma_mass_bytes(const e3_attend_dev *dev, int rows, int keys, int heads);
cudaError_t e3_wgmma_open(e3_attend_dev *dev);
cudaError_t e3_wgmma_attend(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream);
cudaError_t e3_wgmma_mass_open(void);
cudaError_t e3_wgmma_mass(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, cudaStream_t stream);

bool e3_mma_fits(const e3_attend_dev *dev, const e3_attend_job *job);
cudaError_t e3_mma_open(void);
cudaError_t e3_mma_attend(const e3_attend_job *job, void *out, cudaStream_t stream);
cudaError_t e3_mma_mass(const e3_attend_job *job, float *partial, cudaStream_t stream);

bool e3_mma64_fits(const e3_attend_dev *dev, const e3_attend_job *job);
size_t e3_mma64_bytes(const e3_attend_dev *dev);
cudaError_t e3_mma64_open(e3_attend_dev *dev);
cudaError_t e3_mma64_mass_open(void);
cudaError_t e3_mma64_attend(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream);
cudaError_t e3_mma64_mass(const e3_attend_job *job, float *partial, cudaStream_t stream);

cudaError_t e3_plain_open(void);
size_t e3_plain_bytes(int rows, int heads);
cudaError_t e3_plain_attend(const e3_attend_dev *dev, const e3_attend_job *job, bool f32, void *out,
	cudaStream_t stream);
cudaError_t e3_plain_mass(const e3_attend_job *job, bool f32, float *partial, cudaStream_t stream);
cudaError_t e3_plain_map(const e3_attend_job *job, bool f32, float *map, cudaStream_t stream);
/* mass[k] = sum over heads of partial[head][k] / heads */
cudaError_t e3_plain_reduce(const float *partial, int heads, int keys, float *mass, cudaStream_t stream);

static inline int e3_job_step(const e3_attend_job *job) { return job->q_step ? job->q_step : job->rows; }
static inline int *e3_counters(const e3_attend_job *job) { return (int *)job->work; }
static inline float *e3_partials(const e3_attend_job *job) { return (float *)((char *)job->work + e3_counter_bytes); }

/* ---- device ---- */

#define E3_LOG2E 1.4426950408889634f
#define E3_LN2 0.6931471805599453f

static __device__ __forceinline__ float e3_exp2(float x)
{
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

/* Two values in one word; beyond the range of f16 its end. */
static __device__ __forceinline__ uint32_t e3_f16x2(float lo, float hi)
{
	uint32_t r;
	asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
	return r;
}

static __device__ __forceinline__ uint32_t e3_smem(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

/* 16 bytes from global to shared memory; zeros if not `take` (then `from` is not read). */
static __device__ __forceinline__ void e3_cp16(uint32_t to, const void *from, bool take)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(take ? 16 : 0) : "memory");
}

static __device__ __forceinline__ void e3_cp16_all(uint32_t to, const void *from)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

static __device__ __forceinline__ void e3_cp_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int N> static __device__ __forceinline__ void e3_cp_wait(void)
{
	asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

static __device__ __forceinline__ void e3_bar(int id, int threads)
{
	asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

static __device__ __forceinline__ void e3_bar_arrive(int id, int threads)
{
	asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* One thread, after a barrier that follows the writes of all threads: true for the last of `total` to arrive, which may
 * then read what all wrote (past the first-level cache) once the others have passed another barrier; the counter is
 * back at zero.
 */
static __device__ __forceinline__ bool e3_arrive(int *count, int total)
{
	int before;
	asm volatile("atom.add.release.gpu.global.s32 %0, [%1], 1;" : "=r"(before) : "l"(count) : "memory");
	if (before != total - 1)
		return false;
	__threadfence();
	*count = 0;
	return true;
}

/* Row `key` of K (half 0) or V (half 1) of a head. */
static __device__ __forceinline__ size_t e3_row_at(const e3_attend_kv &kv, int half, int head, int row)
{
	return ((size_t)(half * kv.heads + head) * kv.page_keys + row) * kv.head_dim;
}

#endif
