/* kernels: the pipeline of a product on Hopper: a tile of x w^T in the registers of one to three warpgroups (64 rows of
 * x each), fed through a ring in shared memory by one thread of a further warpgroup. What is done with the sums is the
 * caller's (gemm_wgmma.cu). A step is 128 bytes of each row of x and w: 64 channels of 16 bits or 128 of 8.
 *
 * Blocks that need the same rows of x or w may lie in a cluster, CM blocks of rows by CN of columns: each fetches its
 * share and writes it into the rings of all that need it. That spares reads from the L2 cache, and costs 1 us a
 * launch; 16 bits do not wait for that cache (gemm_wgmma.cu), so there CM and CN are 1.
 *
 * A stage of the ring has two barriers. `full` completes when the bytes that were announced for it have arrived.
 * `empty` completes when the computing warps of all blocks that this one writes to have finished with the stage. Both
 * flip their phase each time round the ring: stage k % STAGES is in round k / STAGES.
 */
#ifndef E3_KERNELS_TILE_WGMMA_CUH
#define E3_KERNELS_TILE_WGMMA_CUH

#include "attend_wgmma.cuh"
#include "cuda.h"
#include <cuda.h>

enum { STEP_BYTES = 128, BARRIERS = 256, MOST_SHARED = 225 << 10 };

template <int GROUPS_, int BN_, int CM_, int CN_> struct tile_shape {
	static constexpr int GROUPS = GROUPS_, BN = BN_, CM = CM_, CN = CN_, BM = 64 * GROUPS;
	static constexpr int STAGE = (BM + BN) * STEP_BYTES, FIT = (MOST_SHARED - BARRIERS - 1024) / STAGE;
	static constexpr int STAGES = FIT > 8 ? 8 : FIT, SHARED = STAGES * STAGE + BARRIERS + 1024;
	static constexpr int THREADS = 128 * (GROUPS + 1), WRITERS = CM + CN - 1;
	/* Registers go from the threads that fetch to those that compute, where these need more. */
	static constexpr bool MOVES = GROUPS > 1;
	static constexpr int FEW = GROUPS == 3 ? 32 : 40, MANY = GROUPS == 3 ? 160 : 232;
	static_assert(BN % 64 || STAGES >= BN / 64, "results leave through the stages, 64 columns each");
	static_assert(BM / CN % 8 == 0 && BN / CM % 8 == 0, "the hardware swizzles groups of 8 rows");
};

#ifdef E3_WGMMA

template <typename S> struct tile_ring {
	uint32_t smem, bars;
	__device__ __forceinline__ tile_ring(void *raw)
		: smem(((uint32_t)__cvta_generic_to_shared(raw) + 1023) & ~1023u), bars(smem + S::STAGES * S::STAGE)
	{
	}
	__device__ __forceinline__ uint32_t full(int s) const { return bars + 8 * s; }
	__device__ __forceinline__ uint32_t empty(int s) const { return bars + 8 * (S::STAGES + s); }
	__device__ __forceinline__ uint32_t x(int s) const { return smem + s * S::STAGE; }
	__device__ __forceinline__ uint32_t w(int s) const { return smem + s * S::STAGE + S::BM * STEP_BYTES; }
};

static __device__ __forceinline__ uint2 rank_in_cluster(void)
{
	uint2 r;
	asm volatile("mov.u32 %0, %%cluster_ctaid.x;\nmov.u32 %1, %%cluster_ctaid.y;" : "=r"(r.x), "=r"(r.y));
	return r;
}
static __device__ __forceinline__ void cluster_sync(void)
{
	asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;\n" ::: "memory");
}
static __device__ __forceinline__ void arrive_at(uint32_t bar, uint32_t rank)
{
	asm volatile(
		"{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::
			"r"(bar),
		"r"(rank)
		: "memory");
}
static __device__ __forceinline__ void expect(uint32_t bar, uint32_t bytes)
{
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}
/* The box at (channel, row) of a map into `to`; with MANY into the same place of the blocks of `mask`. */
template <bool MANY>
static __device__ __forceinline__ void fetch_box(const CUtensorMap *map, uint32_t to, uint32_t bar, int channel,
	int row, uint32_t mask)
{
	if constexpr (MANY)
		asm volatile(
			"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(row), "h"((uint16_t)mask)
			: "memory");
	else
		asm volatile(
			"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
				"r"(to),
			"l"(map), "r"(bar), "r"(channel), "r"(row)
			: "memory");
}

/* By all threads, before anything else touches the ring. */
template <typename S> static __device__ __forceinline__ void tile_open(const tile_ring<S> &ring)
{
	if (threadIdx.x == 0) {
		for (int s = 0; s < S::STAGES; s++)
			e3_mbar_init(ring.full(s), 1), e3_mbar_init(ring.empty(s), S::WRITERS * S::GROUPS * 4);
		asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	}
}

/* Where the rows and columns of this block begin in x and w, the first step and their number; values of a step. */
typedef struct tile_job {
	int p0, o0, first, steps, per_step;
} tile_job;

/* By one thread. w is there before the kernel begins; what makes x may still be running, so x is waited for. TURNED:
 * the matrix is where x would be, and x where w would be. */
template <typename S, bool TURNED = false>
static __device__ __forceinline__ void tile_fetch(const tile_ring<S> &ring, const CUtensorMap *map_x,
	const CUtensorMap *map_w, const tile_job &job)
{
	constexpr int NX = S::BM / S::CN, NW = S::BN / S::CM; /* this block's share */
	const uint2 at = S::WRITERS > 1 ? rank_in_cluster() : make_uint2(0, 0);
	uint32_t for_w = ((1u << S::CM) - 1) << (at.y * S::CM), for_x = 0;
#pragma unroll
	for (int j = 0; j < S::CN; j++)
		for_x |= 1u << (at.x + S::CM * j);
	auto fetch_w = [&](int k, int s) {
		fetch_box<(S::CM > 1)>(map_w, ring.w(s) + at.x * NW * STEP_BYTES, ring.full(s), (job.first + k) * job.per_step,
			job.o0 + (int)at.x * NW, for_w);
	};
	auto fetch_x = [&](int k, int s) {
		fetch_box<(S::CN > 1)>(map_x, ring.x(s) + at.y * NX * STEP_BYTES, ring.full(s), (job.first + k) * job.per_step,
			job.p0 + (int)at.y * NX, for_x);
	};
	int early = job.steps < S::STAGES ? job.steps : S::STAGES;
	for (int k = 0; k < early; k++) {
		expect(ring.full(k), S::STAGE);
		if constexpr (TURNED)
			fetch_x(k, k);
		else
			fetch_w(k, k);
	}
	asm volatile("prefetch.tensormap [%0];" ::"l"(TURNED ? map_w : map_x) : "memory");
	e3_early_wait();
	for (int k = 0; k < early; k++)
		if constexpr (TURNED)
			fetch_w(k, k);
		else
			fetch_x(k, k);
	for (int k = early; k < job.steps; k++) {
		int s = k % S::STAGES;
		e3_mbar_wait(ring.empty(s), (k / S::STAGES & 1) ^ 1);
		expect(ring.full(s), S::STAGE);
		fetch_w(k, s), fetch_x(k, s);
	}
}

/* By the warps of a computing warpgroup: d is the sum of 64 rows. */
template <typename S, typename T, typename A>
static __device__ __forceinline__ void tile_sum(const tile_ring<S> &ring, A (&d)[S::BN / 2], int group, int steps)
{
	int lane = threadIdx.x % 32;
	const uint2 at = S::WRITERS > 1 ? rank_in_cluster() : make_uint2(0, 0);
	/* Which block this lane tells of free stages: those of the same column, then the others of the same row. */
	uint32_t other = lane - S::CM, to = lane < S::CM ? lane + S::CM * at.y : at.x + S::CM * (other + (other >= at.y));
#pragma unroll
	for (int k = 0; k < S::BN / 2; k++)
		d[k] = 0;
	int again = steps - S::STAGES; /* stages of later steps are not used again */
	for (int k = 0; k < steps; k++) {
		/* 1. Wait for the tiles of this step.
		 * 2. Start the products of its four times 32 bytes; they run on their own.
		 * 3. Wait until at most this step's products are under way, so those of the step before are complete.
		 * 4. Only then return the stage of the step before. */
		int s = k % S::STAGES;
		e3_mbar_wait(ring.full(s), k / S::STAGES & 1);
		uint64_t x = e3_desc(ring.x(s) + group * 64 * STEP_BYTES), w = e3_desc(ring.w(s));
		e3_wgmma_fence();
#pragma unroll
		for (int c = 0; c < STEP_BYTES / 32; c++)
			wgmma<S::BN, T>::ss(d, x + 2 * c, w + 2 * c, true);
		e3_wgmma_commit();
		e3_wgmma_wait<1>();
		if (k > 0 && k - 1 < again && lane < S::WRITERS)
			arrive_at(ring.empty((k - 1) % S::STAGES), to);
	}
	e3_wgmma_wait<0>();
	e3_hold(d);
	asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory"); /* all warps are done with the group's rows of x */
}

/* By the warps of a computing warpgroup that has no rows: returns every stage. */
template <typename S> static __device__ __forceinline__ void tile_skip(const tile_ring<S> &ring, int steps)
{
	static_assert(S::WRITERS == 1, "no other block is told");
	for (int k = 0; k < steps - S::STAGES; k++) {
		e3_mbar_wait(ring.full(k % S::STAGES), k / S::STAGES & 1);
		if (threadIdx.x % 32 == 0)
			e3_mbar_arrive(ring.empty(k % S::STAGES));
	}
}

/* 64 columns of 16 rows of 16 bits from shared memory to (column, row) of a map. */
static __device__ __forceinline__ void store_box(const CUtensorMap *map, uint32_t from, int column, int row)
{
	asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];\n"
				 "cp.async.bulk.commit_group;" ::"l"(map),
				 "r"(from), "r"(column), "r"(row)
				 : "memory");
}
static __device__ __forceinline__ void stores_read(void)
{
	asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}
#endif

typedef CUresult encode_tiled(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
	const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
	CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* ld: values from row to row; rows begin at multiples of 16 bytes. */
typedef struct tile_matrix {
	const void *p;
	int rows, columns, ld;
} tile_matrix;

/* The tensor map of a matrix: boxes of 128 bytes of `box` rows. */
static inline int tile_describe(const e3_cuda *c, CUtensorMap *map, CUtensorMapDataType type, const tile_matrix *m,
	int box, e3_err *err)
{
	int size = type == CU_TENSOR_MAP_DATA_TYPE_UINT8 ? 1 : 2;
	cuuint64_t dims[2] = {(cuuint64_t)m->columns, (cuuint64_t)m->rows}, strides[1] = {(cuuint64_t)m->ld * size};
	cuuint32_t boxes[2] = {(cuuint32_t)(STEP_BYTES / size), (cuuint32_t)box}, steps[2] = {1, 1};
	CUresult rc = ((encode_tiled *)c->encode_tiled)(map, type, 2, const_cast<void *>(m->p), dims, strides, boxes, steps,
		CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
		CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
	return rc == CUDA_SUCCESS
		? 0
		: e3_fail(err, "product: a tensor map of %d x %d was refused (%d)", m->rows, m->columns, (int)rc);
}

/* Tiles of `tile` rows, in whole clusters. */
static inline int tile_count(int n, int tile, int cluster)
{
	return e3_ceil_div(e3_ceil_div(n, tile), cluster) * cluster;
}

/* How a product of so many rows and columns is launched: clusters; set up while the kernel before it still runs. */
template <typename S>
static inline cudaLaunchConfig_t tile_config(const e3_cuda *c, int rows, int out, cudaLaunchAttribute how[2])
{
	how[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
	how[0].val.programmaticStreamSerializationAllowed = 1;
	how[1].id = cudaLaunchAttributeClusterDimension;
	how[1].val.clusterDim.x = S::CM, how[1].val.clusterDim.y = S::CN, how[1].val.clusterDim.z = 1;
	cudaLaunchConfig_t config = {};
	config.gridDim = dim3((unsigned)tile_count(rows, S::BM, S::CM), (unsigned)tile_count(out, S::BN, S::CN));
	config.blockDim = dim3(S::THREADS), config.dynamicSmemBytes = S::SHARED, config.stream = e3_cuda_stream(c);
	config.attrs = how, config.numAttrs = 2;
	return config;
}

#endif
