/* kernels: flash attention on Hopper, bf16 or packed keys and values, head_dim 64.
 *
 * A block has three warpgroups that compute, 64 queries each, and one that fetches: keys and values come through their
 * pages in tiles of 128 into rings in shared memory. A computing warpgroup has the scores of the next tile and the
 * product of the last one with V under way while it exponentiates; the three also cover each other, since at head_dim
 * 64 the special-function unit is as busy as the tensor cores.
 *
 * Work is the line of all (head, query tile, key tile) steps, cut into equal parts, one for each multiprocessor,
 * whatever the number of queries (or at the query tiles, where the keys are few). A query tile cut between blocks
 * leaves partial results in the workspace, and the last of its blocks to arrive adds them up, always in the order of
 * the keys: same input, same bits. No block waits for another.
 *
 * With 11 frames of 1041 keys: 450 TFLOP/s on an H200, tensor cores busy half of the time. The three warpgroups
 * exponentiate together, and while products with f32 sums run, other instructions get about half of the issue slots.
 * Warpgroups in turn, and a share of the exponentials as polynomials, were slower.
 */
#include "attend_wgmma_packed.cuh"

/* See state; of T, the type of the products. */
template <typename T> constexpr float high = std::is_same<T, __half>::value ? 0x1p15f : 0x1p40f;

#ifdef E3_WGMMA

/* ---- computing ---- */

/* The running state of a thread. Flash attention usually moves the reference m of the exponentials to the maximum of
 * every tile. Here m is the largest score of the first tile and stays there as long as the sums of a tile are below
 * `high`: f32 and T have range enough above and below it, and no maximum needs to be found. When a sum reaches `high`,
 * exponentials may have overflowed; the scores of that tile are computed again and m moves to their maximum.
 *
 * A thread has rows lane / 4 and 8 further on of its warp's 16, of these columns 2 (lane % 4) + {0, 1} of every 8; the
 * four threads of a row agree on m and each has its share of l. */
typedef struct state {
	float o[32];      /* output */
	float m[2], l[2]; /* reference for the exponentials (raw scores), sum */
} state;

static __device__ __forceinline__ void mask(float (&s)[64], int valid)
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int i = 0; i < 64; i++)
		if (i / 4 * 8 + col + (i & 1) >= valid)
			s[i] = -INFINITY;
}

/* The largest score of each row, for all four threads that share it. */
static __device__ __forceinline__ void row_max(const float (&s)[64], float (&top)[2])
{
#pragma unroll
	for (int r = 0; r < 2; r++) {
		float a = s[2 * r], b = s[2 * r + 1];
#pragma unroll
		for (int i = 4; i < 64; i += 4) {
			a = fmaxf(a, s[i + 2 * r]);
			b = fmaxf(b, s[i + 2 * r + 1]);
		}
		a = fmaxf(a, b);
		a = fmaxf(a, __shfl_xor_sync(~0u, a, 1));
		top[r] = fmaxf(a, __shfl_xor_sync(~0u, a, 2));
	}
}

/* Scores to exp2(c (s - m)); their sums over the thread's columns. */
static __device__ __forceinline__ void exponentiate(float (&s)[64], const float (&m)[2], float (&sum)[2], float c)
{
	float mc[2] = {m[0] * c, m[1] * c}, part[4] = {0, 0, 0, 0};
#pragma unroll
	for (int i = 0; i < 64; i++) {
		float x = fmaf(s[i], c, -mc[i >> 1 & 1]);
		s[i] = e3_exp2(x);
		part[i & 3] += s[i];
	}
	sum[0] = part[0] + part[1];
	sum[1] = part[2] + part[3];
}

template <typename T> static __device__ __forceinline__ void pack(const float (&s)[64], uint32_t (&pr)[32])
{
#pragma unroll
	for (int i = 0; i < 32; i++)
		pr[i] = e3_two<T>(s[2 * i], s[2 * i + 1]);
}

template <typename T> static __device__ __forceinline__ void scores(float (&s)[64], uint64_t q, uint64_t k)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		wgmma<128, T>::ss(s, q + i * 2, k + i * 2, i != 0);
}

template <typename T> static __device__ __forceinline__ void weigh(float (&o)[32], const uint32_t (&pr)[32], uint64_t v)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		wgmma<64, T>::rs_turned(o, pr + 4 * i, v + i * (2048 >> 4), true);
}

/* Recomputes one score, from the tiles in shared memory. */
template <typename T> static __device__ __noinline__ float score_again(uint32_t q, uint32_t k, int row, int key)
{
	float sum = 0;
	for (int i = 0; i < D / 2; i++) {
		uint32_t a, b;
		asm volatile("ld.shared.b32 %0, [%1];" : "=r"(a) : "r"(q + e3_swizzle(row, i / 4) + i % 4 * 4));
		asm volatile("ld.shared.b32 %0, [%1];" : "=r"(b) : "r"(k + e3_swizzle(key, i / 4) + i % 4 * 4));
		float2 u = e3_apart<T>(a), v = e3_apart<T>(b);
		sum = fmaf(u.y, v.y, fmaf(u.x, v.x, sum));
	}
	return sum;
}

static __device__ __forceinline__ void release(uint32_t empty, int half, int stage)
{
	if ((threadIdx.x & 31) == 0)
		e3_mbar_arrive(bar_of(empty, half, stage));
}

/* 64 rows of Q into the warpgroup's tile. */
template <typename T>
static __device__ __forceinline__ void load_q(const plan &p, int head, int first, uint32_t tile, int group)
{
	int t = threadIdx.x & 127, chunk = t & 7;
	e3_bar(BAR_GROUP + group, 128); /* the products of the last part are done with the tile */
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int row = i * 16 + (t >> 3);
		uint4 x = make_uint4(0, 0, 0, 0);
		if (first + row < p.rows)
			x = *(const uint4 *)(p.q + ((size_t)head * p.q_step + first + row) * D + chunk * 8);
		if (std::is_same<T, __half>::value)
			x = make_uint4(e3_half_of(x.x), e3_half_of(x.y), e3_half_of(x.z), e3_half_of(x.w));
		e3_put_16(tile + e3_swizzle(row, chunk), x);
	}
	e3_fence_async();
	e3_bar(BAR_GROUP + group, 128);
}

typedef struct cursor { /* one of the ring's readers */
	int n;              /* tiles read so far */
	uint32_t smem, q;
	ring bars;
	int group;
} cursor;

/* The steps of one part, for the 64 rows of one warpgroup. */
template <typename T>
static __device__ __forceinline__ void attend_part(const plan &p, cursor &at, int2 part, state &st)
{
	const float c = p.scale * E3_LOG2E;
	float s[64], sum[2], shrink[2];
	uint32_t pr[32];
	uint64_t q = e3_desc(at.q), k0 = e3_desc(at.smem + K_AT), v0 = e3_desc(at.smem + V_AT);
#pragma unroll
	for (int i = 0; i < 32; i++)
		st.o[i] = 0;
	st.m[0] = st.m[1] = -INFINITY;
	st.l[0] = st.l[1] = 0;

	/* Before the loop, the first tile of keys: wait for K, scores, mask, the reference m, exponentials. What the loop
	 * finds in `pr` are the probabilities of the tile before, as bf16, whose product with V is still to be made. */
	int stage = at.n % STAGES;
	e3_mbar_wait(bar_of(at.bars.full, 0, stage), at.n / STAGES & 1);
	e3_wgmma_fence();
	scores<T>(s, q, k0 + stage * (TILE >> 4));
	e3_wgmma_commit();
	e3_wgmma_wait<0>();
	e3_hold(s);
	release(at.bars.empty, 0, stage);
	if ((part.x + 1) * KEYS > p.kv.n_keys)
		mask(s, p.kv.n_keys - part.x * KEYS);
	row_max(s, st.m);
	exponentiate(s, st.m, st.l, c);
	pack<T>(s, pr);
	for (int step = part.x + 1; step < part.y; step++) {
		/* 1. Wait for K of this step and for V of the step before. */
		int last = stage;
		uint32_t phase = at.n / STAGES & 1;
		at.n++;
		stage = at.n % STAGES;
		e3_mbar_wait(bar_of(at.bars.full, 0, stage), at.n / STAGES & 1);
		e3_mbar_wait(bar_of(at.bars.full, 1, last), phase);
		/* 2. Start both products: the scores of this step, then the probabilities of the step before times its V. */
		e3_hold(st.o);
		e3_wgmma_fence();
		scores<T>(s, q, k0 + stage * (TILE >> 4));
		e3_wgmma_commit();
		weigh<T>(st.o, pr, v0 + last * (TILE >> 4));
		e3_wgmma_commit();
		/* 3. Wait for the first only, and exponentiate while the tensor cores work on the second. */
		e3_wgmma_wait<1>();
		e3_hold(s);
		int valid = p.kv.n_keys - step * KEYS;
		if (valid < KEYS)
			mask(s, valid);
		exponentiate(s, st.m, sum, c);
		/* 4. Rarely a sum is too large or not a number. The warp then computes the overwritten scores of this tile
		 *    again from shared memory, moves m to their maximum, and scales its sums so far. */
		bool moved = __any_sync(~0u, !(fmaxf(sum[0], sum[1]) < high<T>));
		if (moved) {
			e3_wgmma_wait<0>();
			e3_hold(st.o);
			int row = (threadIdx.x >> 5 & 3) * 16 + (threadIdx.x & 31) / 4;
#pragma unroll
			for (int i = 0; i < 64; i++)
				s[i] = score_again<T>(at.q, at.smem + K_AT + stage * TILE, row + (i & 2) * 4,
					i / 4 * 8 + 2 * (threadIdx.x & 3) + (i & 1));
			mask(s, valid);
			row_max(s, shrink);
#pragma unroll
			for (int r = 0; r < 2; r++) {
				float next = fmaxf(st.m[r], shrink[r]);
				shrink[r] = e3_exp2((st.m[r] - next) * c);
				st.m[r] = next;
				st.l[r] *= shrink[r];
			}
			exponentiate(s, st.m, sum, c);
		}
		/* 5. Return K of this step; add up; wait for the second product and return V of the step before. */
		release(at.bars.empty, 0, stage);
		st.l[0] += sum[0];
		st.l[1] += sum[1];
		e3_wgmma_wait<0>();
		e3_hold(st.o);
		release(at.bars.empty, 1, last);
		if (moved)
#pragma unroll
			for (int i = 0; i < 32; i++)
				st.o[i] *= shrink[i >> 1 & 1];
		/* 6. The probabilities become bf16 operands for the next step. */
		pack<T>(s, pr);
	}
	/* After the loop: the last tile times its V, then the sum over the four threads of a row. */
	e3_mbar_wait(bar_of(at.bars.full, 1, stage), at.n / STAGES & 1);
	e3_hold(st.o);
	e3_wgmma_fence();
	weigh<T>(st.o, pr, v0 + stage * (TILE >> 4));
	e3_wgmma_commit();
	e3_wgmma_wait<0>();
	e3_hold(st.o);
	release(at.bars.empty, 1, stage);
	at.n++;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		st.l[r] += __shfl_xor_sync(~0u, st.l[r], 1);
		st.l[r] += __shfl_xor_sync(~0u, st.l[r], 2);
	}
}

/* A warpgroup without rows returns every stage, so that the fetching warpgroup can go on. */
static __device__ void skip_part(cursor &at, int2 part)
{
	for (int step = part.x; step < part.y; step++, at.n++) {
		int stage = at.n % STAGES;
		for (int half = 0; half < 2; half++) {
			e3_mbar_wait(bar_of(at.bars.full, half, stage), at.n / STAGES & 1);
			release(at.bars.empty, half, stage);
		}
	}
}

/* ---- results ---- */

static __device__ float *partial_of(const plan &p, int block, int tile, int group)
{
	int second = p.begin[block] < tile * p.steps; /* a block has at most two cut tiles: its first and its last */
	return p.partial + (size_t)((block * 2 + second) * GROUPS + group) * PARTIAL + (threadIdx.x & 127) * 4;
}

static __device__ void put_partial(float *to, const state &st)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		*(float4 *)(to + i * 512) = make_float4(st.o[4 * i], st.o[4 * i + 1], st.o[4 * i + 2], st.o[4 * i + 3]);
	*(float4 *)(to + 8 * 512) = make_float4(st.m[0], st.m[1], st.l[0], st.l[1]);
}

/* Adds up the parts of a query tile, in order. */
static __device__ void merge(const plan &p, int tile, int group, int first, int end, state &st)
{
	const float c = p.scale * E3_LOG2E;
	st.m[0] = st.m[1] = -INFINITY;
	st.l[0] = st.l[1] = 0;
	for (int b = first; b < end; b++) {
		const float *from = partial_of(p, b, tile, group);
		float4 x[8], ml = __ldcg((const float4 *)(from + 8 * 512));
#pragma unroll
		for (int i = 0; i < 8; i++)
			x[i] = __ldcg((const float4 *)(from + i * 512));
		float top[2] = {fmaxf(st.m[0], ml.x), fmaxf(st.m[1], ml.y)};
		float old[2] = {e3_exp2((st.m[0] - top[0]) * c), e3_exp2((st.m[1] - top[1]) * c)};
		float add[2] = {e3_exp2((ml.x - top[0]) * c), e3_exp2((ml.y - top[1]) * c)};
		if (b == first)
#pragma unroll
			for (int i = 0; i < 32; i++)
				st.o[i] = 0;
#pragma unroll
		for (int i = 0; i < 8; i++) {
			st.o[4 * i] = st.o[4 * i] * old[0] + add[0] * x[i].x;
			st.o[4 * i + 1] = st.o[4 * i + 1] * old[0] + add[0] * x[i].y;
			st.o[4 * i + 2] = st.o[4 * i + 2] * old[1] + add[1] * x[i].z;
			st.o[4 * i + 3] = st.o[4 * i + 3] * old[1] + add[1] * x[i].w;
		}
		st.l[0] = st.l[0] * old[0] + add[0] * ml.z;
		st.l[1] = st.l[1] * old[1] + add[1] * ml.w;
		st.m[0] = top[0];
		st.m[1] = top[1];
	}
}

/* Leaves this block's part of a cut query tile; true for the last block to do so, which then has the whole in st. */
static __device__ bool settle(const plan &p, int tile, int group, state &st, int *flag)
{
	int first = blockIdx.x, end = blockIdx.x + 1;
	while (p.begin[first] > tile * p.steps)
		first--;
	while (p.begin[end] < (tile + 1) * p.steps)
		end++;
	put_partial(partial_of(p, blockIdx.x, tile, group), st);
	e3_bar(BAR_GROUP + group, 128);
	if ((threadIdx.x & 127) == 0)
		*flag = e3_arrive(p.count + tile * GROUPS + group, end - first);
	e3_bar(BAR_GROUP + group, 128);
	if (!*(volatile int *)flag)
		return false;
	merge(p, tile, group, first, end, st);
	return true;
}

static __device__ void finish(const plan &p, int head, int first, const state &st)
{
	int warp = threadIdx.x >> 5 & 3, lane = threadIdx.x & 31;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int row = first + warp * 16 + r * 8 + lane / 4;
		if (row >= p.rows)
			continue;
		float by = 1.0f / st.l[r];
		uint32_t *to = (uint32_t *)(p.out + ((size_t)row * p.kv.heads + head) * D) + lane % 4;
#pragma unroll
		for (int i = 0; i < 8; i++)
			to[i * 4] = e3_bf16x2(st.o[4 * i + 2 * r] * by, st.o[4 * i + 2 * r + 1] * by);
		if (p.lse && lane % 4 == 0)
			p.lse[(size_t)head * p.rows + row] = st.m[r] * p.scale + logf(st.l[r]);
	}
}

template <typename T> static __device__ __forceinline__ void consume(const plan &p, cursor at, int *flag)
{
	state st;
	for (int tile = p.begin[blockIdx.x] / p.steps; tile * p.steps < p.begin[blockIdx.x + 1]; tile++) {
		int2 part = part_of(p, tile, blockIdx.x);
		int head = tile / p.tiles, row = tile % p.tiles * p.tile_rows + at.group * 64;
		if (at.group * 64 >= p.tile_rows || row >= p.rows) {
			skip_part(at, part);
			continue;
		}
		load_q<T>(p, head, row, at.q, at.group);
		attend_part<T>(p, at, part, st);
		if (part.y - part.x == p.steps || settle(p, tile, at.group, st, flag + at.group))
			finish(p, head, row, st);
	}
}
#endif

/* PACK: e3_kv_pack. */
template <int PACK> static __global__ void __launch_bounds__(THREADS, 1) attend_kernel(const __grid_constant__ plan p)
{
#ifdef E3_WGMMA
	extern __shared__ char shared[];
	__shared__ int flag[GROUPS];
	uint32_t smem = (e3_smem(shared) + 1023) & ~1023u;
	ring bars = {smem + BAR_AT, smem + BAR_AT + 16 * STAGES};
	int group = __shfl_sync(~0u, (int)threadIdx.x >> 7, 0);
	if (threadIdx.x == 0) {
		for (int k = 0; k < 2 * STAGES; k++) {
			e3_mbar_init(bars.full + 8 * k, 4);
			e3_mbar_init(bars.empty + 8 * k, 4 * GROUPS);
		}
		asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	}
	__syncthreads();
	e3_early_wait();
	e3_early_start(); /* not earlier: the mass reads queries and keys before it waits for this kernel */
	if (group == GROUPS) {
		e3_regs_less<32>();
		if constexpr (PACK == E3_PACK_NONE)
			produce(p, bars, smem);
		else
			produce_packed<PACK>(p, bars, smem);
	} else {
		e3_regs_more<160>();
		consume<std::conditional_t<PACK == E3_PACK_NONE, __nv_bfloat16, __half>>(p,
			{0, smem, smem + Q_AT + group * 64 * D * 2, bars, group}, flag);
	}
#else
	__trap();
#endif
}

/* ---- host ---- */

/* What a step costs, by the number of warpgroups that have rows. */
static const int by_groups[GROUPS + 1] = {0, 5, 8, 11};

/* Short rows are better left whole: one query tile to a block, of as few warpgroups as there are multiprocessors for.
 * Returns the number of blocks, or 0. */
static int leave_whole(plan *p, int blocks)
{
	const int units = (p->rows + 63) / 64, merge = 60; /* what adding up parts costs */
	for (int own = 1; own <= GROUPS; own++) {
		int tiles = (units + own - 1) / own, all = tiles * p->kv.heads;
		int64_t cut = (int64_t)units * p->kv.heads * p->steps * by_groups[GROUPS] / GROUPS / blocks + merge;
		if (all > blocks || (int64_t)p->steps * by_groups[own] > cut)
			continue;
		p->tile_rows = 64 * own;
		p->tiles = tiles;
		for (int b = 0; b <= all; b++)
			p->begin[b] = b * p->steps;
		return all;
	}
	return 0;
}

/* Cuts the line of steps into parts of the same cost, none of them empty. */
static int cut(plan *p, int sms)
{
	const int all = p->tiles * p->kv.heads, steps = all * p->steps;
	int blocks = sms < MAX_BLOCKS ? sms : MAX_BLOCKS, whole = leave_whole(p, blocks);
	if (whole)
		return whole;
	blocks = blocks < steps ? blocks : steps;
	int full = by_groups[GROUPS], last = by_groups[(p->rows - (p->tiles - 1) * ROWS + 63) / 64];
	int64_t tile = (int64_t)full * p->steps, head = tile * (p->tiles - 1) + (int64_t)last * p->steps,
			total = head * p->kv.heads;
	for (int b = 0; b <= blocks; b++) {
		int64_t at = total * b / blocks, rest = at % head,
				which = rest / tile < p->tiles - 1 ? rest / tile : p->tiles - 1;
		int begin = (int)((at / head * p->tiles + which) * p->steps +
			(rest - which * tile) / (which == p->tiles - 1 ? last : full));
		p->begin[b] = !b ? 0 : begin > p->begin[b - 1] ? begin : p->begin[b - 1] + 1;
	}
	for (int b = blocks, most = steps; b && p->begin[b] > most; b--, most--)
		p->begin[b] = most;
	p->begin[blocks] = steps;
	return blocks;
}

static plan make_plan(const e3_attend_job *job, void *out)
{
	const e3_attend_kv *kv = &job->kv;
	plan p = {};
	p.q = (const __nv_bfloat16 *)job->q;
	p.out = (__nv_bfloat16 *)out;
	p.lse = job->lse;
	p.partial = e3_partials(job);
	p.count = e3_counters(job);
	p.kv = *kv;
	p.rows = job->rows;
	p.q_step = e3_job_step(job);
	p.tile_rows = ROWS;
	p.tiles = (job->rows + ROWS - 1) / ROWS;
	p.steps = (kv->n_keys + KEYS - 1) / KEYS;
	p.page_shift = e3_page_shift(kv);
	p.scale = 1.0f / sqrtf((float)D);
	return p;
}

typedef void kernel(plan);
static kernel *const kernels[E3_PACKS] = {attend_kernel<E3_PACK_NONE>, NULL, attend_kernel<E3_PACK_FP8>,
	attend_kernel<E3_PACK_I8>, attend_kernel<E3_PACK_K8V4>};
static int shared_of(int pack) { return pack ? (int)SHARED_PACKED : (int)SHARED; }

bool e3_wgmma_fits(const e3_attend_dev *dev, const e3_attend_job *job)
{
	const e3_attend_kv *kv = &job->kv;
	int tiles = (job->rows + ROWS - 1) / ROWS;
	return dev->wgmma && kernels[kv->pack] && (!kv->pack || kv->page_keys % 2 == 0) && kv->head_dim == D &&
		e3_page_shift(kv) && (int64_t)tiles * kv->heads * GROUPS <= E3_COUNTERS &&
		(int64_t)tiles * kv->heads * (kv->n_keys / KEYS + 1) < 1 << 30;
}

size_t e3_wgmma_attend_bytes(const e3_attend_dev *dev)
{
	return (size_t)dev->sms * 2 * GROUPS * PARTIAL * sizeof(float);
}

cudaError_t e3_wgmma_open(e3_attend_dev *dev)
{
	cudaFuncAttributes got;
	cudaError_t e = cudaFuncGetAttributes(&got, attend_kernel<E3_PACK_NONE>);
	dev->wgmma = e == cudaSuccess && dev->capability == 90 && got.binaryVersion == 90;
	if (e || !dev->wgmma)
		return e;
	for (int k = 0; !e && k < E3_PACKS; k++)
		if (kernels[k])
			e = cudaFuncSetAttribute(kernels[k], cudaFuncAttributeMaxDynamicSharedMemorySize, shared_of(k));
	return e ? e : e3_wgmma_mass_open();
}

cudaError_t e3_wgmma_attend(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream)
{
	plan p = make_plan(job, out);
	int blocks = cut(&p, dev->sms);
	const int size[2] = {THREADS, shared_of(job->kv.pack)};
	return e3_launch_early(kernels[job->kv.pack], p, dim3(blocks), size, stream);
}
