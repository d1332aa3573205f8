/* kernels: flash attention on Hopper, bf16, head_dim 64.
 *
 * A block has three warpgroups that compute, 64 queries each, and one that fetches: keys and values come through their pages in
 * tiles of 128 into rings in shared memory. A computing warpgroup has the scores of the next tile and the product of the last one
 * with V under way while it exponentiates; the three also cover each other, since at head_dim 64 the special-function unit is as
 * busy as the tensor cores.
 *
 * Work is the line of all (head, query tile, key tile) steps, cut into equal parts, one for each multiprocessor, whatever the
 * number of queries. A query tile cut between blocks leaves partial results in the workspace, and the last of its blocks to arrive
 * adds them up, always in the order of the keys: same input, same bits. Nobody waits for another block.
 */
#include "attend_wgmma.cuh"

enum { D = 64, GROUPS = 3, ROWS = 64 * GROUPS, KEYS = 128, STAGES = 4, THREADS = 128 * (GROUPS + 1), LAG = 2 };
enum { TILE = KEYS * D * 2, PARTIAL = (32 + 4) * 128 }; /* bytes of a tile of K or V; floats of a warpgroup's partial result */
enum { Q_AT = 0, K_AT = Q_AT + ROWS * D * 2, V_AT = K_AT + STAGES * TILE, BAR_AT = V_AT + STAGES * TILE,
       SHARED = BAR_AT + 32 * STAGES + 16 + 1024 };
enum { BAR_GROUP = 1, BAR_TURN = 4 }; /* named barriers: one for each warpgroup, then whose turn it is */

typedef struct plan {
	const __nv_bfloat16 *q;
	__nv_bfloat16 *out;
	float *lse, *partial;
	int *count;
	e3_attend_kv kv;
	int rows, tiles, steps;   /* query tiles of a head, key tiles */
	int cost, cost_last;      /* of a step of a query tile, of the last one of a head */
	int64_t cost_head, total; /* of all steps of a head, of everything */
	float scale;
} plan;

/* A point on the line of work: query tile (of all heads, one after the other) and key tile. */
typedef struct place {
	int tile, step;
} place;

#ifdef E3_WGMMA

static __device__ place begin_of(const plan &p, int block)
{
	int64_t at = p.total * block / gridDim.x, head = at / p.cost_head, rest = at - head * p.cost_head, full = (int64_t)p.cost * p.steps;
	int tile = min((int)(rest / full), p.tiles - 1);
	int step = (int)(rest - tile * full) / (tile == p.tiles - 1 ? p.cost_last : p.cost);
	return {(int)head * p.tiles + tile, step};
}

/* The part of a query tile that lies between two places. */
static __device__ int2 part_of(const plan &p, int tile, place from, place to)
{
	int a = tile == from.tile ? from.step : 0, b = tile == to.tile ? to.step : p.steps;
	return make_int2(a, tile < from.tile || tile > to.tile ? a : b);
}

/* ---- fetching ---- */

typedef struct ring {
	uint32_t full, empty; /* barriers: full[half][stage], empty[half][stage] */
} ring;

static __device__ __forceinline__ uint32_t bar_of(uint32_t base, int half, int stage) { return base + 8 * (half * STAGES + stage); }

/* 128 keys (K: half 0, V: half 1) of a head into a tile; rows past the last key become zeros. */
static __device__ __forceinline__ void fetch(const plan &p, int half, int head, int first, const char *const base[2], uint32_t tile)
{
	int row = threadIdx.x >> 3 & 15, chunk = threadIdx.x & 7;
	uint32_t to = tile + e3_swizzle(row, chunk);
	size_t at = ((size_t)(half * p.kv.heads + head) * p.kv.page_keys + row) * (D * 2) + chunk * 16;
	if (first + KEYS <= p.kv.n_keys) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			e3_cp16_all(to + i * 2048, base[i >> 2] + at + (i & 3) * 2048);
	} else {
#pragma unroll
		for (int i = 0; i < 8; i++) {
			bool take = first + i * 16 + row < p.kv.n_keys;
			e3_cp16(to + i * 2048, take ? base[i >> 2] + at + (i & 3) * 2048 : (const char *)p.q, take);
		}
	}
}

/* Tells the consumers that half-tile n has arrived: all its parts by every fetching thread. */
static __device__ __forceinline__ void announce(uint32_t full, int n)
{
	e3_fence_async();
	__syncwarp();
	if ((threadIdx.x & 31) == 0)
		e3_mbar_arrive(bar_of(full, n & 1, (n >> 1) % STAGES));
}

static __device__ __forceinline__ void produce(const plan &p, ring bars, uint32_t smem)
{
	place from = begin_of(p, blockIdx.x), to = begin_of(p, blockIdx.x + 1);
	int n = 0; /* half-tiles: K of a step, V of it, K of the next */
	for (int tile = from.tile; tile <= to.tile; tile++) {
		int2 part = part_of(p, tile, from, to);
		int head = tile / p.tiles;
		for (int step = part.x; step < part.y; step++) {
			const char *base[2];
#pragma unroll
			for (int g = 0; g < 2; g++) {
				int key = min(step * KEYS + g * 64, p.kv.n_keys - 1), page = key / p.kv.page_keys;
				base[g] = (const char *)p.kv.page[page] + (size_t)(key - page * p.kv.page_keys) * (D * 2);
			}
#pragma unroll
			for (int half = 0; half < 2; half++, n++) {
				int stage = (n >> 1) % STAGES;
				e3_mbar_wait(bar_of(bars.empty, half, stage), ((n >> 1) / STAGES & 1) ^ 1);
				fetch(p, half, head, step * KEYS, base, smem + (half ? V_AT : K_AT) + stage * TILE);
				e3_cp_commit();
				if (n >= LAG) {
					e3_cp_wait<LAG>();
					announce(bars.full, n - LAG);
				}
			}
		}
	}
	e3_cp_wait<0>();
	for (int k = max(0, n - LAG); k < n; k++)
		announce(bars.full, k);
}

/* ---- computing ---- */

/* The running state of a thread: rows lane / 4 and 8 further on of its warp's 16, of which it has columns 2 (lane % 4) + {0, 1}
 * of every 8; the four threads of a row agree on m and each has its share of l. */
typedef struct state {
	float o[32];      /* output */
	float m[2], l[2]; /* reference for the exponentials (raw scores), sum */
} state;

template <int POLY> static __device__ __forceinline__ bool on_fma(int i) { return (i % 16) * POLY / 16 != (i % 16 + 1) * POLY / 16; }

static __device__ __forceinline__ void mask(float (&s)[64], int valid)
{
	int col = 2 * (threadIdx.x & 3);
#pragma unroll
	for (int i = 0; i < 64; i++)
		if (i / 4 * 8 + col + (i & 1) >= valid)
			s[i] = -INFINITY;
}

/* Scores to exp2(c (s - m)); sums. The reference m only follows the maximum when that grows by more than 2^8: a sum in f32 has
 * room for it, and what it saves is scaling the output. Returns whether it moved, for any row of the warp; then `shrink`
 * is what the output so far has to be multiplied by. */
template <int POLY>
static __device__ __forceinline__ bool softmax(float (&s)[64], float (&m)[2], float (&l)[2], float (&shrink)[2], float c)
{
	float top[2] = {fmaxf(s[0], s[1]), fmaxf(s[2], s[3])};
#pragma unroll
	for (int i = 4; i < 64; i += 4) {
		top[0] = fmaxf(top[0], fmaxf(s[i], s[i + 1]));
		top[1] = fmaxf(top[1], fmaxf(s[i + 2], s[i + 3]));
	}
	bool moved = false;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 1));
		top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 2));
		moved |= (top[r] - m[r]) * c > 8.0f;
	}
	moved = __any_sync(~0u, moved);
	if (moved)
#pragma unroll
		for (int r = 0; r < 2; r++) {
			float next = fmaxf(m[r], top[r]);
			shrink[r] = e3_exp2((m[r] - next) * c);
			m[r] = next;
			l[r] *= shrink[r];
		}
	float mc[2] = {m[0] * c, m[1] * c}, sum[4] = {0, 0, 0, 0};
#pragma unroll
	for (int i = 0; i < 64; i++) {
		float x = fmaf(s[i], c, -mc[i >> 1 & 1]);
		s[i] = on_fma<POLY>(i) ? e3_exp2_fma(x) : e3_exp2(x);
		sum[i & 3] += s[i];
	}
	l[0] += sum[0] + sum[1];
	l[1] += sum[2] + sum[3];
	return moved;
}

static __device__ __forceinline__ void pack(const float (&s)[64], uint32_t (&pr)[32])
{
#pragma unroll
	for (int i = 0; i < 32; i++)
		pr[i] = e3_pack(s[2 * i], s[2 * i + 1]);
}

static __device__ __forceinline__ void scores(float (&s)[64], uint64_t q, uint64_t k)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		e3_wgmma_n128_ss(s, q + i * 2, k + i * 2, i != 0);
}

static __device__ __forceinline__ void weigh(float (&o)[32], const uint32_t (&pr)[32], uint64_t v)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		e3_wgmma_n64_rs(o, pr + 4 * i, v + i * (2048 >> 4), true);
}

static __device__ __forceinline__ void release(uint32_t empty, int half, int stage)
{
	if ((threadIdx.x & 31) == 0)
		e3_mbar_arrive(bar_of(empty, half, stage));
}

/* 64 rows of Q into the warpgroup's tile. */
static __device__ __forceinline__ void load_q(const plan &p, int head, int first, uint32_t tile, int group)
{
	int t = threadIdx.x & 127, chunk = t & 7;
	e3_bar(BAR_GROUP + group, 128); /* the products of the last part are done with the tile */
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int row = i * 16 + (t >> 3);
		uint4 x = make_uint4(0, 0, 0, 0);
		if (first + row < p.rows)
			x = *(const uint4 *)(p.q + ((size_t)head * p.rows + first + row) * D + chunk * 8);
		asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(tile + e3_swizzle(row, chunk)), "r"(x.x), "r"(x.y), "r"(x.z),
		             "r"(x.w)
		             : "memory");
	}
	e3_fence_async();
	e3_bar(BAR_GROUP + group, 128);
}

typedef struct cursor { /* one of the ring's readers */
	int n;          /* tiles read so far */
	uint32_t smem, q;
	ring bars;
	int group;
} cursor;

template <bool TURNS> static __device__ __forceinline__ void turn_wait(int group)
{
	if (TURNS)
		e3_bar(BAR_TURN + group, 256);
}

template <bool TURNS> static __device__ __forceinline__ void turn_pass(int group)
{
	if (TURNS)
		asm volatile("bar.arrive %0, 256;" ::"r"(BAR_TURN + (group + 1) % GROUPS) : "memory");
}

/* The steps of one part, for the 64 rows of one warpgroup. */
template <int POLY, bool TURNS> static __device__ __forceinline__ void attend_part(const plan &p, cursor &at, int2 part, state &st)
{
	const float c = p.scale * E3_LOG2E;
	float s[64], shrink[2];
	uint32_t pr[32];
	uint64_t q = e3_desc(at.q), k0 = e3_desc(at.smem + K_AT), v0 = e3_desc(at.smem + V_AT);
#pragma unroll
	for (int i = 0; i < 32; i++)
		st.o[i] = 0;
	st.m[0] = st.m[1] = -INFINITY;
	st.l[0] = st.l[1] = 0;

	int stage = at.n % STAGES;
	e3_mbar_wait(bar_of(at.bars.full, 0, stage), at.n / STAGES & 1);
	turn_wait<TURNS>(at.group);
	e3_wgmma_fence();
	scores(s, q, k0 + stage * (TILE >> 4));
	e3_wgmma_commit();
	turn_pass<TURNS>(at.group);
	e3_wgmma_wait<0>();
	e3_hold(s);
	release(at.bars.empty, 0, stage);
	if ((part.x + 1) * KEYS > p.kv.n_keys)
		mask(s, p.kv.n_keys - part.x * KEYS);
	softmax<POLY>(s, st.m, st.l, shrink, c);
	pack(s, pr);
	for (int step = part.x + 1; step < part.y; step++) {
		int last = stage;
		uint32_t phase = at.n / STAGES & 1;
		at.n++;
		stage = at.n % STAGES;
		e3_mbar_wait(bar_of(at.bars.full, 0, stage), at.n / STAGES & 1);
		e3_mbar_wait(bar_of(at.bars.full, 1, last), phase);
		turn_wait<TURNS>(at.group);
		e3_hold(st.o);
		e3_wgmma_fence();
		scores(s, q, k0 + stage * (TILE >> 4));
		e3_wgmma_commit();
		weigh(st.o, pr, v0 + last * (TILE >> 4));
		e3_wgmma_commit();
		turn_pass<TURNS>(at.group);
		e3_wgmma_wait<1>();
		e3_hold(s);
		release(at.bars.empty, 0, stage);
		if ((step + 1) * KEYS > p.kv.n_keys)
			mask(s, p.kv.n_keys - step * KEYS);
		bool moved = softmax<POLY>(s, st.m, st.l, shrink, c);
		e3_wgmma_wait<0>();
		e3_hold(st.o);
		release(at.bars.empty, 1, last);
		if (moved)
#pragma unroll
			for (int i = 0; i < 32; i++)
				st.o[i] *= shrink[i >> 1 & 1];
		pack(s, pr);
	}
	e3_mbar_wait(bar_of(at.bars.full, 1, stage), at.n / STAGES & 1);
	e3_hold(st.o);
	e3_wgmma_fence();
	weigh(st.o, pr, v0 + stage * (TILE >> 4));
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

/* A warpgroup without rows keeps pace with the others. */
template <bool TURNS> static __device__ void skip_part(cursor &at, int2 part)
{
	for (int step = part.x; step < part.y; step++, at.n++) {
		int stage = at.n % STAGES;
		turn_wait<TURNS>(at.group);
		turn_pass<TURNS>(at.group);
		for (int half = 0; half < 2; half++) {
			e3_mbar_wait(bar_of(at.bars.full, half, stage), at.n / STAGES & 1);
			release(at.bars.empty, half, stage);
		}
	}
}

/* ---- results ---- */

static __device__ float *partial_of(const plan &p, int block, int tile, int group)
{
	int second = begin_of(p, block).tile != tile;
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
	st.m[0] = st.m[1] = -INFINITY;
	for (int pass = 0; pass < 2; pass++) {
		for (int b = first; b < end; b++) {
			int2 part = part_of(p, tile, begin_of(p, b), begin_of(p, b + 1));
			if (part.x >= part.y)
				continue;
			const float *from = partial_of(p, b, tile, group);
			float4 ml = __ldcg((const float4 *)(from + 8 * 512));
			if (!pass) {
				st.m[0] = fmaxf(st.m[0], ml.x);
				st.m[1] = fmaxf(st.m[1], ml.y);
				continue;
			}
			const float c = p.scale * E3_LOG2E;
			float w[2] = {e3_exp2((ml.x - st.m[0]) * c), e3_exp2((ml.y - st.m[1]) * c)};
			st.l[0] += w[0] * ml.z;
			st.l[1] += w[1] * ml.w;
#pragma unroll
			for (int i = 0; i < 8; i++) {
				float4 x = __ldcg((const float4 *)(from + i * 512));
				st.o[4 * i] += w[0] * x.x;
				st.o[4 * i + 1] += w[0] * x.y;
				st.o[4 * i + 2] += w[1] * x.z;
				st.o[4 * i + 3] += w[1] * x.w;
			}
		}
		if (!pass) {
			st.l[0] = st.l[1] = 0;
#pragma unroll
			for (int i = 0; i < 32; i++)
				st.o[i] = 0;
		}
	}
}

/* Leaves this block's part of a cut query tile; true for the last block to do so, which then has the whole in st. */
static __device__ bool settle(const plan &p, int tile, int group, state &st, int *flag)
{
	int64_t start = tile / p.tiles * p.cost_head + (int64_t)(tile % p.tiles) * p.cost * p.steps;
	int first = max(0, (int)(start * gridDim.x / p.total) - 1), end, parts = 0;
	for (end = first; end < gridDim.x && begin_of(p, end).tile <= tile; end++) {
		int2 part = part_of(p, tile, begin_of(p, end), begin_of(p, end + 1));
		parts += part.x < part.y;
	}
	put_partial(partial_of(p, blockIdx.x, tile, group), st);
	__threadfence();
	e3_bar(BAR_GROUP + group, 128);
	if ((threadIdx.x & 127) == 0) {
		int *count = p.count + tile * GROUPS + group;
		*flag = atomicAdd(count, 1) == parts - 1;
		if (*flag)
			*count = 0;
	}
	e3_bar(BAR_GROUP + group, 128);
	if (!*(volatile int *)flag)
		return false;
	__threadfence();
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
			to[i * 4] = e3_pack(st.o[4 * i + 2 * r] * by, st.o[4 * i + 2 * r + 1] * by);
		if (p.lse && lane % 4 == 0)
			p.lse[(size_t)head * p.rows + row] = st.m[r] * p.scale + logf(st.l[r]);
	}
}

template <int POLY, bool TURNS> static __device__ __forceinline__ void consume(const plan &p, cursor at, int *flag)
{
	place from = begin_of(p, blockIdx.x), to = begin_of(p, blockIdx.x + 1);
	if (at.group == GROUPS - 1)
		turn_pass<TURNS>(at.group);
	state st;
	for (int tile = from.tile; tile <= to.tile; tile++) {
		int2 part = part_of(p, tile, from, to);
		int head = tile / p.tiles, row = tile % p.tiles * ROWS + at.group * 64;
		if (part.x >= part.y)
			continue;
		if (row >= p.rows) {
			skip_part<TURNS>(at, part);
			continue;
		}
		load_q(p, head, row, at.q, at.group);
		attend_part<POLY, TURNS>(p, at, part, st);
		if (part.y - part.x == p.steps || settle(p, tile, at.group, st, flag + at.group))
			finish(p, head, row, st);
	}
}
#endif

template <int POLY, bool TURNS> static __global__ void __launch_bounds__(THREADS, 1) attend_kernel(const __grid_constant__ plan p)
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
	if (group == GROUPS) {
		e3_regs_less<24>();
		produce(p, bars, smem);
	} else {
		e3_regs_more<160>();
		consume<POLY, TURNS>(p, {0, smem, smem + Q_AT + group * 64 * D * 2, bars, group}, flag);
	}
#else
	__trap();
#endif
}

/* ---- host ---- */

#ifndef E3_ATTEND_POLY
#define E3_ATTEND_POLY 0 /* of 16 exponentials, how many the FMA units do */
#define E3_ATTEND_TURNS false
#endif
#define E3_ATTEND_VARIANT attend_kernel<E3_ATTEND_POLY, E3_ATTEND_TURNS>

static plan make_plan(const e3_attend_job *job, void *out)
{
	const e3_attend_kv *kv = &job->kv;
	plan p = {};
	p.q = (const __nv_bfloat16 *)job->q;
	p.out = (__nv_bfloat16 *)out;
	p.lse = job->lse;
	p.partial = e3_partials(job);
	p.count = e3_counters(job) + E3_COUNT_ATTEND;
	p.kv = *kv;
	p.rows = job->rows;
	p.tiles = (job->rows + ROWS - 1) / ROWS;
	p.steps = (kv->n_keys + KEYS - 1) / KEYS;
	static const int cost[GROUPS + 1] = {0, 5, 8, 11}; /* by the number of warpgroups that have rows */
	p.cost = cost[GROUPS];
	p.cost_last = cost[(job->rows - (p.tiles - 1) * ROWS + 63) / 64];
	p.cost_head = (int64_t)p.steps * (p.cost * (p.tiles - 1) + p.cost_last);
	p.total = p.cost_head * kv->heads;
	p.scale = 1.0f / sqrtf((float)D);
	return p;
}

bool e3_wgmma_fits(const e3_attend_dev *dev, const e3_attend_job *job)
{
	const e3_attend_kv *kv = &job->kv;
	int tiles = (job->rows + ROWS - 1) / ROWS;
	return dev->wgmma && kv->head_dim == D && (kv->page_keys % 64 == 0 || kv->n_keys <= kv->page_keys) &&
	       (int64_t)tiles * kv->heads * GROUPS <= E3_COUNT_MASS - E3_COUNT_ATTEND &&
	       kv->n_keys / KEYS < E3_COUNTERS - E3_COUNT_MASS;
}

size_t e3_wgmma_attend_bytes(const e3_attend_dev *dev) { return (size_t)dev->sms * 2 * GROUPS * PARTIAL * sizeof(float); }

cudaError_t e3_wgmma_open(e3_attend_dev *dev)
{
	cudaFuncAttributes got;
	cudaError_t e = cudaFuncGetAttributes(&got, E3_ATTEND_VARIANT);
	dev->wgmma = e == cudaSuccess && dev->capability == 90 && got.binaryVersion == 90;
	if (e || !dev->wgmma)
		return e;
	e = cudaFuncSetAttribute(E3_ATTEND_VARIANT, cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED);
	return e ? e : e3_wgmma_mass_open();
}

cudaError_t e3_wgmma_attend(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream)
{
	plan p = make_plan(job, out);
	int64_t steps = (int64_t)p.steps * p.tiles * job->kv.heads;
	int blocks = steps < dev->sms ? (int)steps : dev->sms;
	E3_ATTEND_VARIANT<<<blocks, THREADS, SHARED, stream>>>(p);
	return cudaGetLastError();
}
