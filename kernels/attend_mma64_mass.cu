/* kernels: the mass of each key by mma.sync for heads of 64 (attend_mma64.cu): keys are the rows of the products, so
 * that the sum over queries stays in a thread. */
#include "attend_mma64.cuh"

enum { MASS_STAGES = 3 };

/* Grid: tiles of 128 keys, heads. The block's part of the mass is that of one head; a second kernel adds the heads.
 * Shared: stages of 64 queries, then the log-sum-exp of all rows. */
template <bool PACKED>
static __global__ void __launch_bounds__(THREADS, PACKED ? 3 : 4) mass_kernel(const __grid_constant__ plan p)
{
	extern __shared__ __align__(128) char shared[];
	float *lse = (float *)(shared + MASS_STAGES * TILE);
	uint32_t smem = e3_smem(shared), a[2][4][4];
	int head = blockIdx.y, lane = threadIdx.x & 31, steps = (p.rows + KEYS - 1) / KEYS;
	int first = blockIdx.x * ROWS + threadIdx.x / 32 * 32, page_keys = p.kv.page_keys;
	const __half *q = p.q + (size_t)head * p.q_step * D;
	const float c = p.scale * E3_LOG2E;
	auto fetch = [&](int step, int stage) {
		if (step < steps)
			load_tile(smem + stage * TILE, q + (size_t)step * KEYS * D, p.rows - step * KEYS);
		e3_cp_commit();
	};
	if constexpr (PACKED) {
#pragma unroll
		for (int k = 0; k < 2; k++) {
			int key = blockIdx.x * ROWS + k * KEYS, page = key / page_keys;
			packed_tile<1> tile;
			if (key < p.kv.n_keys)
				tile.fetch(p.kv, head, p.kv.page[page], key - page * page_keys, p.kv.n_keys - key),
					tile.store(p.kv, smem + k * TILE);
		}
		__syncthreads();
		fragments_of(a, smem);
		__syncthreads();
	}
#pragma unroll
	for (int k = 0; k < MASS_STAGES - 1; k++)
		fetch(k, k);
	for (int r = threadIdx.x; r < steps * KEYS; r += THREADS)
		lse[r] = r < p.rows ? p.lse[(size_t)head * p.rows + r] * E3_LOG2E : INFINITY;
	if constexpr (!PACKED)
		fragments(a, [&](int r) {
			int key = first + r, page = key / page_keys;
			return key < p.kv.n_keys
				? (const __half *)p.kv.page[page] + ((size_t)head * page_keys + key - page * page_keys) * D
				: NULL;
		});
	float sum[4][2] = {};
	for (int step = 0, stage = 0; step < steps; step++, stage = stage + 1 == MASS_STAGES ? 0 : stage + 1) {
		e3_cp_wait<MASS_STAGES - 2>();
		__syncthreads();
		fetch(step + MASS_STAGES - 1, stage ? stage - 1 : MASS_STAGES - 1);
		const float2 *less = (const float2 *)(lse + step * KEYS) + lane % 4;
#pragma unroll
		for (int half = 0; half < 2; half++) {
			float s[2][16];
			scores<2>(s, a, smem + stage * TILE, half * 2);
#pragma unroll
			for (int j = 0; j < 4; j++) {
				float2 l = less[(half * 4 + j) * 4];
#pragma unroll
				for (int r = 0; r < 4; r++) {
					const float *x = &s[r / 2][4 * j + 2 * (r & 1)];
					sum[r][0] += e3_exp2(fmaf(x[0], c, -l.x));
					sum[r][1] += e3_exp2(fmaf(x[1], c, -l.y));
				}
			}
		}
	}
#pragma unroll
	for (int r = 0; r < 4; r++) {
		float all = sum[r][0] + sum[r][1];
		all += __shfl_xor_sync(~0u, all, 1);
		all += __shfl_xor_sync(~0u, all, 2);
		int key = first + r * 8 + lane / 4;
		if (lane % 4 == 0 && key < p.kv.n_keys)
			p.partial[(size_t)head * p.kv.n_keys + key] = all;
	}
}

static int mass_bytes(int rows)
{
	return (int)MASS_STAGES * (int)TILE + (rows + KEYS - 1) / KEYS * KEYS * (int)sizeof(float);
}

cudaError_t e3_mma64_mass_open(void)
{
	int most = mass_bytes(MASS_ROWS_MOST);
	cudaError_t e = cudaFuncSetAttribute(mass_kernel<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
	return e ? e : cudaFuncSetAttribute(mass_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
}

cudaError_t e3_mma64_mass(const e3_attend_job *job, float *partial, cudaStream_t stream)
{
	plan p = make_plan(job);
	p.partial = partial;
	dim3 grid((p.kv.n_keys + ROWS - 1) / ROWS, p.kv.heads);
	if (p.kv.pack)
		mass_kernel<true><<<grid, THREADS, mass_bytes(p.rows), stream>>>(p);
	else
		mass_kernel<false><<<grid, THREADS, mass_bytes(p.rows), stream>>>(p);
	return cudaGetLastError();
}
