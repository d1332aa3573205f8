/* kernels: attention and mass for f16 and heads of 64, also with packed keys, on GPUs without warpgroup products
 * (compute capability 8.0 and later): mma.sync, with the same sums as on Hopper. attend_mma.cu has other head sizes.
 *
 * A warp has 32 queries (attention) or 32 keys (mass): two fragments of 16 rows for each fragment that it reads from
 * shared memory, or that memory would be what limits it. Attention takes its steps, query tile by query tile, from one
 * line that is cut into as many equal parts as blocks fit on the GPU; the last block to finish a cut tile adds its
 * parts up. There is no maximum of each tile: exponents refer to the first tile's maximum of the row until a sum grows
 * too large (attend_wgmma.cu). In the mass keys are the rows, so that the sum over queries stays in a thread.
 *
 * On an H200, 1041 queries and 11 frames of keys: attention 288 TFLOP/s, mass 258; within one frame 134. Warp-wide
 * products end near 60 % of what warpgroups reach there. What is left is latency: 232 registers leave eight warps on a
 * multiprocessor, of which each waits 2.4 of 5.3 cycles for a result (ncu), and a frame's own 144 tiles fill it once.
 */
#include "attend_mma64.cuh"

enum { PARTIAL = (64 + 8) * THREADS, WORK_MOST = 16 << 20 };
#define HIGH 0x1p15f /* so that probabilities fit f16 */

/* What a warp has of its 32 rows: outputs, the reference of the exponents and the sums, for rows 0, 8, 16, 24 of it. */
typedef struct state {
	float o[2][32], m[4], l[4];
} state;

/* o += P V for the probabilities in s */
static __device__ __forceinline__ void weigh(float (&o)[2][32], const float (&s)[2][32], uint32_t tile)
{
	int lane = threadIdx.x & 31;
	uint32_t at = tile + lane % 16 * 128 + ((lane / 16 ^ (lane & 7)) << 4);
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t a[2][4];
#pragma unroll
		for (int i = 0; i < 8; i++)
			a[i / 4][i % 4] = e3_f16x2(s[i / 4][8 * k + 2 * (i % 4)], s[i / 4][8 * k + 2 * (i % 4) + 1]);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			uint32_t b[4];
			ldmatrix_turned(b, (at ^ j << 5) + k * 2048);
#pragma unroll
			for (int t = 0; t < 2; t++) {
				mma(o[t] + 8 * j, a[t], b[0], b[1]);
				mma(o[t] + 8 * j + 4, a[t], b[2], b[3]);
			}
		}
	}
}

static __device__ __forceinline__ void mask(float (&s)[2][32], int valid)
{
#pragma unroll
	for (int i = 0; i < 64; i++)
		if (i / 4 % 8 * 8 + threadIdx.x % 4 * 2 + (i & 1) >= valid)
			s[i / 32][i % 32] = -INFINITY;
}

/* The maximum of each row, in all of its four threads. */
static __device__ __forceinline__ void row_max(const float (&s)[2][32], float (&top)[4])
{
#pragma unroll
	for (int r = 0; r < 4; r++) {
		top[r] = -INFINITY;
#pragma unroll
		for (int i = 0; i < 16; i++)
			top[r] = fmaxf(top[r], s[r / 2][i / 2 * 4 + (r & 1) * 2 + (i & 1)]);
		top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 1));
		top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 2));
	}
}

/* s = exp2(c (s - m)) and this thread's sums of it */
static __device__ __forceinline__ void exponentiate(float (&s)[2][32], const float (&m)[4], float (&sum)[4], float c)
{
#pragma unroll
	for (int r = 0; r < 4; r++) {
		float base = m[r] * c, part[2] = {0, 0};
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float &x = s[r / 2][i / 2 * 4 + (r & 1) * 2 + (i & 1)];
			x = e3_exp2(fmaf(x, c, -base));
			part[i & 1] += x;
		}
		sum[r] = part[0] + part[1];
	}
}

/* Key tiles [from, end) of a query tile. Packed keys of the next step wait in registers while those of this one are
 * used; others are two steps ahead in shared memory. */
template <bool PACKED>
static __device__ void attend_part(const plan &p, int head, int row, int from, int end, uint32_t smem, state &st)
{
	const float c = p.scale * E3_LOG2E;
	uint32_t a[2][4][4];
	int page_keys = p.kv.page_keys, page = from * KEYS / page_keys, at = from * KEYS - page * page_keys;
	size_t v_from_k = (size_t)p.kv.heads * page_keys * D, head_at = (size_t)head * page_keys * D;
	packed_tile<PACKED ? 2 : 1> next;
	auto fetch = [&](int step, int stage) {
		if (step < end) {
			int valid = p.kv.n_keys - step * KEYS;
			if constexpr (PACKED) {
				next.fetch(p.kv, head, p.kv.page[page], at, valid);
			} else {
				const __half *k = (const __half *)p.kv.page[page] + head_at + (size_t)at * D;
				load_tile(smem + stage * 2 * TILE, k, valid);
				load_tile(smem + stage * 2 * TILE + TILE, k + v_from_k, valid);
			}
			at += KEYS;
			if (at >= page_keys)
				at = 0, page++;
		}
		e3_cp_commit();
	};
	__syncthreads(); /* the stages are free */
	fetch(from, 0);
	if constexpr (PACKED)
		next.store(p.kv, smem);
	else
#pragma unroll
		for (int k = 1; k < STAGES - 1; k++)
			fetch(from + k, k);
	const __half *q = p.q + (size_t)head * p.q_step * D;
	int first = row + threadIdx.x / 32 * 32;
	fragments(a, [&](int r) { return first + r < p.rows ? q + (size_t)(first + r) * D : NULL; });
#pragma unroll
	for (int i = 0; i < 64; i++)
		st.o[i / 32][i % 32] = 0;
	for (int step = from, stage = 0; step < end; step++, stage = stage + 1 == STAGES ? 0 : stage + 1) {
		float s[2][32], sum[4];
		int valid = p.kv.n_keys - step * KEYS;
		e3_cp_wait<STAGES - 2>();
		__syncthreads();
		if (PACKED)
			fetch(step + 1, 0);
		else
			fetch(step + STAGES - 1, stage ? stage - 1 : STAGES - 1);
		uint32_t keys = smem + stage * 2 * TILE;
		scores<4>(s, a, keys, 0);
		if (valid < KEYS)
			mask(s, valid);
		if (step == from) {
			row_max(s, st.m);
			st.l[0] = st.l[1] = st.l[2] = st.l[3] = 0;
		}
		exponentiate(s, st.m, sum, c);
		if (__any_sync(~0u, !(fmaxf(fmaxf(sum[0], sum[1]), fmaxf(sum[2], sum[3])) < HIGH))) { /* rarely */
			float top[4];
			scores<4>(s, a, keys, 0);
			if (valid < KEYS)
				mask(s, valid);
			row_max(s, top);
#pragma unroll
			for (int r = 0; r < 4; r++) {
				float next = fmaxf(st.m[r], top[r]), shrink = e3_exp2((st.m[r] - next) * c);
				st.m[r] = next;
				st.l[r] *= shrink;
#pragma unroll
				for (int i = 0; i < 16; i++)
					st.o[r / 2][i / 2 * 4 + (r & 1) * 2 + (i & 1)] *= shrink;
			}
			exponentiate(s, st.m, sum, c);
		}
#pragma unroll
		for (int r = 0; r < 4; r++)
			st.l[r] += sum[r];
		weigh(st.o, s, keys + TILE);
		if (PACKED && step + 1 < end)
			next.store(p.kv, smem + (stage + 1 == STAGES ? 0 : stage + 1) * 2 * TILE);
	}
	e3_cp_wait<0>();
#pragma unroll
	for (int r = 0; r < 4; r++) {
		st.l[r] += __shfl_xor_sync(~0u, st.l[r], 1);
		st.l[r] += __shfl_xor_sync(~0u, st.l[r], 2);
	}
}

/* ---- cut tiles ---- */

/* Where the part of a block begins in the line of steps, and which block has a step. No part is empty. */
static __device__ __forceinline__ int begin_of(const plan &p, int block)
{
	return (int)((int64_t)p.tiles * p.kv.heads * p.steps * block / p.blocks);
}
static __device__ __forceinline__ int block_of(const plan &p, int step)
{
	return (int)((((int64_t)step + 1) * p.blocks - 1) / ((int64_t)p.tiles * p.kv.heads * p.steps));
}

/* A block has at most two cut tiles: its first and its last. */
static __device__ float *partial_of(const plan &p, int block, int tile)
{
	int second = begin_of(p, block) < tile * p.steps;
	return p.partial + (size_t)(block * 2 + second) * PARTIAL + threadIdx.x * 4;
}

static __device__ void put_partial(float *to, const state &st)
{
#pragma unroll
	for (int i = 0; i < 16; i++) {
		const float *o = &st.o[i / 8][i % 8 * 4];
		*(float4 *)(to + i * 4 * THREADS) = make_float4(o[0], o[1], o[2], o[3]);
	}
	*(float4 *)(to + 16 * 4 * THREADS) = make_float4(st.m[0], st.m[1], st.m[2], st.m[3]);
	*(float4 *)(to + 17 * 4 * THREADS) = make_float4(st.l[0], st.l[1], st.l[2], st.l[3]);
}

/* Adds up the parts of a query tile, in order. */
static __device__ void merge(const plan &p, int tile, int first, int last, state &st)
{
	const float c = p.scale * E3_LOG2E;
#pragma unroll
	for (int r = 0; r < 4; r++)
		st.m[r] = -INFINITY, st.l[r] = 0;
#pragma unroll
	for (int i = 0; i < 64; i++)
		st.o[i / 32][i % 32] = 0;
	for (int b = first; b <= last; b++) {
		const float *from = partial_of(p, b, tile);
		float4 m4 = __ldcg((const float4 *)(from + 16 * 4 * THREADS)),
			   l4 = __ldcg((const float4 *)(from + 17 * 4 * THREADS));
		const float m[4] = {m4.x, m4.y, m4.z, m4.w}, l[4] = {l4.x, l4.y, l4.z, l4.w};
		float old[4], add[4];
#pragma unroll
		for (int r = 0; r < 4; r++) {
			float top = fmaxf(st.m[r], m[r]);
			old[r] = e3_exp2((st.m[r] - top) * c), add[r] = e3_exp2((m[r] - top) * c);
			st.m[r] = top;
			st.l[r] = st.l[r] * old[r] + l[r] * add[r];
		}
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float4 x = __ldcg((const float4 *)(from + i * 4 * THREADS));
			float *o = &st.o[i / 8][i % 8 * 4];
			int r = i / 8 * 2;
			o[0] = o[0] * old[r] + x.x * add[r], o[1] = o[1] * old[r] + x.y * add[r];
			o[2] = o[2] * old[r + 1] + x.z * add[r + 1], o[3] = o[3] * old[r + 1] + x.w * add[r + 1];
		}
	}
}

/* Leaves this block's part of a cut query tile; true for the last block to do so, which then has the whole in st. */
static __device__ bool settle(const plan &p, int tile, state &st, int *flag)
{
	int first = block_of(p, tile * p.steps), last = block_of(p, (tile + 1) * p.steps - 1);
	put_partial(partial_of(p, blockIdx.x, tile), st);
	__syncthreads();
	if (threadIdx.x == 0)
		*flag = e3_arrive(p.count + tile, last - first + 1);
	__syncthreads();
	if (!*(volatile int *)flag)
		return false;
	merge(p, tile, first, last, st);
	return true;
}

static __device__ void finish(const plan &p, int head, int first, const state &st)
{
	int lane = threadIdx.x & 31;
#pragma unroll
	for (int r = 0; r < 4; r++) {
		int row = first + threadIdx.x / 32 * 32 + r * 8 + lane / 4;
		if (row >= p.rows)
			continue;
		float by = 1.0f / st.l[r];
		uint32_t *to = (uint32_t *)(p.out + ((size_t)row * p.kv.heads + head) * D) + lane % 4;
#pragma unroll
		for (int i = 0; i < 8; i++)
			to[i * 4] = e3_f16x2(st.o[r / 2][4 * i + 2 * (r & 1)] * by, st.o[r / 2][4 * i + 2 * (r & 1) + 1] * by);
		if (p.lse && lane % 4 == 0)
			p.lse[(size_t)head * p.rows + row] = st.m[r] * p.scale + logf(st.l[r]);
	}
}

template <bool PACKED>
static __global__ void __launch_bounds__(THREADS, 2) attend_kernel(const __grid_constant__ plan p)
{
	extern __shared__ __align__(128) char shared[];
	__shared__ int flag;
	int end = begin_of(p, blockIdx.x + 1);
	for (int at = begin_of(p, blockIdx.x); at < end;) {
		int tile = at / p.steps, from = at - tile * p.steps,
			to = end - tile * p.steps < p.steps ? end - tile * p.steps : p.steps;
		int head = tile / p.tiles, row = tile % p.tiles * ROWS;
		state st;
		attend_part<PACKED>(p, head, row, from, to, e3_smem(shared), st);
		if (to - from == p.steps || settle(p, tile, st, &flag))
			finish(p, head, row, st);
		at = tile * p.steps + to;
	}
}

/* ---- host ---- */

bool e3_mma64_fits(const e3_attend_dev *dev, const e3_attend_job *job)
{
	const e3_attend_kv *kv = &job->kv;
	int64_t tiles = (int64_t)((job->rows + ROWS - 1) / ROWS) * kv->heads;
	return dev->capability >= 80 && dev->mma64_blocks > 0 && kv->head_dim == D && kv->pack != E3_PACK_BF16 &&
		job->rows <= MASS_ROWS_MOST && (kv->page_keys % KEYS == 0 || kv->n_keys <= kv->page_keys) &&
		tiles <= E3_COUNTERS && tiles * (kv->n_keys / KEYS + 1) < 1 << 30;
}

/* On Hopper, where other kernels do most of it, no more workspace than those take. */
static int blocks_of(const e3_attend_dev *dev)
{
	int room = (int)((WORK_MOST - e3_counter_bytes) / (2 * PARTIAL * sizeof(float)));
	return dev->wgmma && room < dev->mma64_blocks ? room : dev->mma64_blocks;
}

size_t e3_mma64_bytes(const e3_attend_dev *dev) { return (size_t)blocks_of(dev) * 2 * PARTIAL * sizeof(float); }

cudaError_t e3_mma64_open(e3_attend_dev *dev)
{
	int fit = 0, packed = 0;
	const cudaFuncAttribute size = cudaFuncAttributeMaxDynamicSharedMemorySize;
	cudaError_t e = cudaFuncSetAttribute(attend_kernel<false>, size, SHARED);
	if (!e)
		e = cudaFuncSetAttribute(attend_kernel<true>, size, SHARED);
	if (!e)
		e = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, attend_kernel<false>, THREADS, SHARED);
	if (!e)
		e = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&packed, attend_kernel<true>, THREADS, SHARED);
	dev->mma64_blocks = e ? 0 : (fit < packed ? fit : packed) * dev->sms;
	return e ? e : e3_mma64_mass_open();
}

cudaError_t e3_mma64_attend(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream)
{
	plan p = make_plan(job);
	const int all = p.tiles * p.kv.heads, merge = 10; /* what adding up parts costs, in steps */
	int blocks = blocks_of(dev);
	int64_t steps = (int64_t)all * p.steps;
	p.out = (__half *)out;
	if (all <= blocks && p.steps <= steps / blocks + merge) /* short rows: better left whole */
		blocks = all;
	p.blocks = steps < blocks ? (int)steps : blocks;
	if (p.kv.pack)
		attend_kernel<true><<<p.blocks, THREADS, SHARED, stream>>>(p);
	else
		attend_kernel<false><<<p.blocks, THREADS, SHARED, stream>>>(p);
	return cudaGetLastError();
}
