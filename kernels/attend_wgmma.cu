/* kernels: flash attention on Hopper, f16 or packed keys and values, head_dim 64.
 *
 * A block has three warpgroups that compute, 64 queries each, and one that fetches: keys and values come through their
 * pages in tiles of 128 into rings in shared memory. A computing warpgroup has the scores of the next tile and the
 * product of the last one with V under way while it exponentiates; the three also cover each other.
 *
 * Scores, exponentials and probabilities are pairs of f16 (attend_wgmma_half.cuh): products whose sums are f16 take
 * half of the traffic with the register file, which other instructions then have, and probabilities are the operand of
 * the next product as they are. Sums over keys are f32, those of the probabilities too: V has a column of ones. Tensor
 * cores are busy 72 % of the time with 11 frames of 1041 keys (ncu, H200); f32 scores and bf16 left them 56 %. One
 * launch after the other, the GPU's power limits what is left: its clock falls. Warpgroups in turn were no faster. Nor
 * was any of these (104 to 113 us for 1041 queries and 11451 keys, where this takes 102 to 113, three rounds in turn;
 * the same frames/s): no maximum at all, which would need a bound of the scores; queries in registers; sums of the
 * probabilities by half2 additions in place of the column of ones; 13 of 32 pairs on the special-function unit; the
 * loop twice in a row; the exponent's addition outside the FMA units.
 *
 * Work is the line of all (head, query tile, key tile) steps, cut into equal parts, one for each multiprocessor,
 * whatever the number of queries (or at the query tiles, where the keys are few). A query tile cut between blocks
 * leaves partial results in the workspace, and the last of its blocks to arrive adds them up, always in the order of
 * the keys: same input, same bits. No block waits for another.
 */
#include "attend_wgmma_packed.cuh"
#include "attend_wgmma_half.cuh"

#ifdef E3_WGMMA

/* ---- computing ---- */

/* The running state of a thread. Flash attention usually moves the reference m of the exponentials to the maximum of
 * every tile. Here it moves only when a score is more than ROOM above it: a probability is 2^TOP times as large as
 * relative to m, so f16 has that much room above, and 25 binades below.
 *
 * A thread has rows lane / 4 and 8 further on of its warp's 16, of these columns 2 (lane % 4) + {0, 1} of every 8; the
 * four threads of a row agree on m. */
typedef struct state {
	float o[36]; /* output; then the sum of the probabilities of each row, twice */
	float m[2];  /* reference for the exponentials: a whole number, of log2 */
} state;

#define TOP 12.0f
#define ROOM 3.0f

/* What follows from m for both rows: what is added to scaled scores, and the score that moves it. */
typedef struct shift {
	__half2 unit[2], fma[2], limit[2];
} shift;

static __device__ __forceinline__ shift shift_of(const float (&m)[2], float c)
{
	shift by;
#pragma unroll
	for (int h = 0; h < 2; h++) {
		by.unit[h] = __float2half2_rn(TOP - m[h]);
		by.fma[h] = __float2half2_rn((TOP + 13 - m[h]) * (1 / 512.0f));
		by.limit[h] = __half2half2(__float2half_rd(__fdividef(m[h] + ROOM, c)));
	}
	return by;
}

/* Of 32 pairs of a thread, ON_UNIT go to the special-function unit. */
static __device__ __forceinline__ constexpr bool on_unit(int i)
{
	const int ON_UNIT = 10;
	return i * ON_UNIT / 32 != (i + 1) * ON_UNIT / 32;
}

static __device__ __forceinline__ void exponentiate(uint32_t (&s)[32], const shift &by, float c)
{
	const __half2 cu = __float2half2_rn(c), cf = __float2half2_rn(c * (1 / 512.0f));
#pragma unroll
	for (int i = 0; i < 32; i++) {
		__half2 x = e3_as_half2(s[i]);
		s[i] = e3_as_bits(on_unit(i) ? e3_exp2_unit(x, cu, by.unit[i & 1]) : e3_exp2_fma(x, cf, by.fma[i & 1]));
	}
}

static __device__ __forceinline__ void scores(uint32_t (&s)[32], uint64_t q, uint64_t k)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		e3_wgmma_half_128(s, q + i * 2, k + i * 2, i != 0);
	e3_wgmma_commit();
}

/* v: of V, with the distance to the column of ones, which every sixteen rows share. */
static __device__ __forceinline__ void weigh(float (&o)[36], const uint32_t (&pr)[32], uint64_t v)
{
	const uint64_t rows = 2048 >> 4;
#pragma unroll
	for (int i = 0; i < 8; i++)
		wgmma<72, __half>::rs_turned(o, pr + 4 * i, v + i * (rows - (rows << 16)), true);
	e3_wgmma_commit();
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
			x = *(const uint4 *)(p.q + ((size_t)head * p.q_step + first + row) * D + chunk * 8);
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

/* A copy that the compiler can neither move nor merge: else it would write probabilities to registers that a product
 * still reads, and then let no two products overlap. */
static __device__ __forceinline__ void copy(uint32_t (&to)[32], const uint32_t (&from)[32])
{
#pragma unroll
	for (int i = 0; i < 32; i++)
		asm volatile("mov.b32 %0, %1;" : "=r"(to[i]) : "r"(from[i]));
}

static __device__ __forceinline__ void wait_for(const cursor &at, int half, int n)
{
	e3_mbar_wait(bar_of(at.bars.full, half, n % STAGES), n / STAGES & 1);
}

/* The first tile of a part, which is its last one: scores, mask, the reference m, exponentials; waits for its V. */
static __device__ __forceinline__ shift first_tile(const plan &p, const cursor &at, int valid, uint64_t q, uint64_t k,
	state &st, uint32_t (&pr)[32])
{
	const float c = e3_half_scale_of(p.scale);
	uint32_t s[32];
	__half2 top[2];
	wait_for(at, 0, at.n);
	e3_wgmma_fence();
	scores(s, q, k);
	e3_wgmma_wait<0>();
	e3_hold(s);
	release(at.bars.empty, 0, at.n % STAGES);
	if (valid < KEYS)
		e3_mask_pairs(s, valid, 0xfc00fc00u);
	e3_tops(s, top);
	st.m[0] = e3_row_top(top[0], c), st.m[1] = e3_row_top(top[1], c);
	shift by = shift_of(st.m, c);
	exponentiate(s, by, c);
	if (valid < KEYS)
		e3_mask_pairs(s, valid, 0);
	copy(pr, s);
	wait_for(at, 1, at.n);
	return by;
}

/* The steps of one part, for the 64 rows of one warpgroup. */
static __device__ __forceinline__ void attend_part(const plan &p, cursor &at, int2 part, state &st)
{
	const float c = e3_half_scale_of(p.scale);
	const uint64_t stage_v = (TILE >> 4) - ((uint64_t)(TILE >> 4) << 16), q = e3_desc(at.q),
				   k0 = e3_desc(at.smem + K_AT), v0 = e3_desc_ones(at.smem + V_AT, ONES_AT - V_AT);
	uint32_t s[32], pr[32]; /* pr: the probabilities of the tile before, whose product with V is still to be made */
	__half2 top[2];
	float shrink[2];
#pragma unroll
	for (int i = 0; i < 36; i++)
		st.o[i] = 0;
	shift by = first_tile(p, at, p.kv.n_keys - (part.y - 1) * KEYS, q, k0 + at.n % STAGES * (TILE >> 4), st, pr);
#pragma unroll 1
	for (int left = part.y - part.x - 1; left > 0; left--) {
		/* 1. Wait for K of this step. Start both products: the scores of this step, then the probabilities of the step
		 *    before times its V. */
		int last = at.n % STAGES, stage = ++at.n % STAGES;
		wait_for(at, 0, at.n);
		e3_hold(st.o);
		e3_hold(pr);
		e3_wgmma_fence();
		scores(s, q, k0 + stage * (TILE >> 4));
		weigh(st.o, pr, v0 + last * stage_v);
		/* 2. Wait for the first only. Rarely a score is too large: the warp moves m of its rows to the maximum. */
		e3_wgmma_wait<1>();
		e3_hold(s);
		release(at.bars.empty, 0, stage);
		e3_tops(s, top);
		bool moved = __any_sync(~0u, !(__hble2(top[0], by.limit[0]) && __hble2(top[1], by.limit[1])));
		if (moved) {
#pragma unroll
			for (int h = 0; h < 2; h++) {
				float next = fmaxf(st.m[h], e3_row_top(top[h], c));
				shrink[h] = e3_exp2(st.m[h] - next);
				st.m[h] = next;
			}
			by = shift_of(st.m, c);
		}
		/* 3. Exponentiate while the tensor cores work on the second product. Waiting for V of this step comes before
		 *    waiting for that: the compiler leaves what is before a loop before it. */
		exponentiate(s, by, c);
		e3_hold(s);
		wait_for(at, 1, at.n);
		/* 4. Wait for the second product and return V of the step before. */
		e3_wgmma_wait<0>();
		e3_hold(st.o);
		e3_hold(pr);
		release(at.bars.empty, 1, last);
		if (moved)
#pragma unroll
			for (int i = 0; i < 36; i++)
				st.o[i] *= shrink[i >> 1 & 1];
		copy(pr, s);
	}
	/* After the loop: the last tile times its V. */
	int last = at.n++ % STAGES;
	e3_hold(st.o);
	e3_hold(pr);
	e3_wgmma_fence();
	weigh(st.o, pr, v0 + last * stage_v);
	e3_wgmma_wait<0>();
	e3_hold(st.o);
	release(at.bars.empty, 1, last);
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
	*(float4 *)(to + 8 * 512) = make_float4(st.m[0], st.m[1], st.o[32], st.o[34]);
}

/* Adds up the parts of a query tile, in order. */
static __device__ void merge(const plan &p, int tile, int group, int first, int end, state &st)
{
	st.m[0] = st.m[1] = -INFINITY;
#pragma unroll
	for (int i = 0; i < 36; i++)
		st.o[i] = 0;
	for (int b = first; b < end; b++) {
		const float *from = partial_of(p, b, tile, group);
		float4 x[9], ml = __ldcg((const float4 *)(from + 8 * 512));
#pragma unroll
		for (int i = 0; i < 8; i++)
			x[i] = __ldcg((const float4 *)(from + i * 512));
		x[8] = make_float4(ml.z, ml.z, ml.w, ml.w);
		float top[2] = {fmaxf(st.m[0], ml.x), fmaxf(st.m[1], ml.y)};
		float old[2] = {e3_exp2(st.m[0] - top[0]), e3_exp2(st.m[1] - top[1])};
		float add[2] = {e3_exp2(ml.x - top[0]), e3_exp2(ml.y - top[1])};
#pragma unroll
		for (int i = 0; i < 9; i++) {
			st.o[4 * i] = st.o[4 * i] * old[0] + add[0] * x[i].x;
			st.o[4 * i + 1] = st.o[4 * i + 1] * old[0] + add[0] * x[i].y;
			st.o[4 * i + 2] = st.o[4 * i + 2] * old[1] + add[1] * x[i].z;
			st.o[4 * i + 3] = st.o[4 * i + 3] * old[1] + add[1] * x[i].w;
		}
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
		float sum = st.o[32 + 2 * r], by = 1.0f / sum;
		uint32_t *to = (uint32_t *)(p.out + ((size_t)row * p.kv.heads + head) * D) + lane % 4;
#pragma unroll
		for (int i = 0; i < 8; i++)
			to[i * 4] = e3_f16x2(st.o[4 * i + 2 * r] * by, st.o[4 * i + 2 * r + 1] * by);
		if (p.lse && lane % 4 == 0)
			p.lse[(size_t)head * p.rows + row] = (st.m[r] - TOP) * E3_LN2 + logf(sum);
	}
}

static __device__ __forceinline__ void consume(const plan &p, cursor at, int *flag)
{
	state st;
	for (int tile = p.begin[blockIdx.x] / p.steps; tile * p.steps < p.begin[blockIdx.x + 1]; tile++) {
		int2 part = part_of(p, tile, blockIdx.x);
		int head = tile / p.tiles, row = tile % p.tiles * p.tile_rows + at.group * 64;
		if (at.group * 64 >= p.tile_rows || row >= p.rows) {
			skip_part(at, part);
			continue;
		}
		load_q(p, head, row, at.q, at.group);
		attend_part(p, at, part, st);
		if (part.y - part.x == p.steps || settle(p, tile, at.group, st, flag + at.group))
			finish(p, head, row, st);
	}
}
#endif

/* Packed keys and values take a warpgroup each that fetches them. */
static __host__ __device__ constexpr int threads_of(int pack) { return pack ? THREADS + 128 : THREADS; }

/* PACK: e3_kv_pack. */
template <int PACK>
static __global__ void __launch_bounds__(threads_of(PACK), 1) attend_kernel(const __grid_constant__ plan p)
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
	for (int k = threadIdx.x; k < ONES / 16; k += threads_of(PACK))
		e3_put_16(smem + ONES_AT + 16 * k, make_uint4(0x3c003c00u, 0x3c003c00u, 0x3c003c00u, 0x3c003c00u));
	e3_fence_async();
	__syncthreads();
	e3_early_wait();
	e3_early_start(); /* not earlier: the mass reads queries and keys before it waits for this kernel */
	if (group >= GROUPS) {
		e3_regs_less<32>();
		if constexpr (PACK == E3_PACK_NONE)
			produce(p, bars, smem);
		else if (group == GROUPS)
			produce_half<kind_of_keys<PACK>, 0>(p, bars, smem);
		else
			produce_half<PACK, 1>(p, bars, smem);
	} else {
		e3_regs_more<(PACK ? 136 : 160)>();
		consume(p, {0, smem, smem + Q_AT + group * 64 * D * 2, bars, group}, flag);
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
	p.q = (const __half *)job->q;
	p.out = (__half *)out;
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
	const int size[2] = {threads_of(job->kv.pack), shared_of(job->kv.pack)};
	return e3_launch_early(kernels[job->kv.pack], p, dim3(blocks), size, stream);
}
