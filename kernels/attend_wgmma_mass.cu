/* kernels: the mass of each key on Hopper, bf16, head_dim 64.
 *
 * Scores are computed transposed: rows are keys, columns are queries, so that a thread adds up the probabilities of its
 * two keys in registers. A block keeps the queries of one head in shared memory (a chunk of at most MAX_TILES tiles),
 * and its four warpgroups walk on their own along the line of (tile of 64 keys, tile of 176 queries) steps, cut into
 * equal parts: a product, then its exponentials, while the other three do theirs. Sums go to the workspace, one piece
 * for each worker and tile of keys, and a second kernel adds the pieces up in order.
 *
 * There are twice as many exponentials to a product as in attention: of BLOCKS columns of eight, ON_FMA go to the FMA
 * units, which balances these with the special-function units.
 */
#include "attend_wgmma.cuh"

enum {
	D = 64,
	GROUPS = 4,
	THREADS = 128 * GROUPS,
	KEYS = 64,
	QUERIES = 176,
	BLOCKS = QUERIES / 8,
	MAX_TILES = 8,
	ON_FMA = 4,
	ADDERS = 16
};
enum { BAR_GROUP = 1, BAR_TURN = BAR_GROUP + GROUPS }; /* named barriers, one for each warpgroup from here */
enum { Q_TILE = QUERIES * D * 2, K_TILE = KEYS * D * 2, BARRIERS = 8 * MAX_TILES };
#define LEAST 126.0f /* exponentials on the FMA units are of -LEAST at least */

/* How the steps of a chunk are dealt out to its workers. */
typedef struct share {
	int tiles, each, more; /* query tiles; steps of every worker; workers that have one more */
} share;

typedef struct plan {
	const __nv_bfloat16 *q;
	const float *lse;
	float *partial, *mass;
	e3_attend_kv kv;
	int rows, q_step;             /* of q: rows from one head to the next */
	int chunks, tiles, key_tiles; /* query tiles of a chunk, the last of which may have fewer */
	int workers;                  /* warpgroups for a head and chunk, no more than there are steps */
	share most, last;             /* of the chunks, of the last one */
	int page_shift;
	float scale;
} plan;

static size_t shared_bytes(int tiles)
{
	return (size_t)tiles * (Q_TILE + QUERIES * 4) + (int)GROUPS * (int)K_TILE + BARRIERS + 1024;
}

#ifdef E3_WGMMA

/* First step of worker g: the first ones have one step more than the others. */
static __device__ __forceinline__ int begin_of(share s, int g) { return g * s.each + min(g, s.more); }

/* Where the sums of a worker for a tile of keys are: along the line of work, worker + tile grows with every piece. */
static __device__ __forceinline__ float *piece_of(const plan &p, int part, int worker, int tile)
{
	return p.partial + ((size_t)part * (p.workers + p.key_tiles) + worker + tile) * KEYS;
}

static __device__ __forceinline__ constexpr bool on_fma(int block)
{
	return block * ON_FMA / BLOCKS != (block + 1) * ON_FMA / BLOCKS;
}

/* What a block has in shared memory. */
typedef struct room {
	uint32_t q, k, bars; /* query tiles; this warpgroup's tile of keys; a barrier for each query tile */
	float *lse;          /* what is added to the scores, see load_lse */
} room;

/* Asks for the query tiles of this chunk, rows past the last one as zeros; each has a barrier that it has arrived. */
static __device__ __forceinline__ void ask_queries(const plan &p, int head, int first, int tiles, const room &r)
{
	for (int tile = 0; tile < tiles; tile++) {
#pragma unroll
		for (int i = 0; i < (QUERIES * 8 + THREADS - 1) / THREADS; i++) {
			int at = i * THREADS + threadIdx.x, row = at >> 3, chunk = at & 7, from = first + tile * QUERIES + row;
			if (row < QUERIES)
				e3_cp16(r.q + tile * Q_TILE + e3_swizzle(row, chunk),
					p.q + ((size_t)head * p.q_step + min(from, p.rows - 1)) * D + chunk * 8, from < p.rows);
		}
		asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(r.bars + 8 * tile) : "memory");
	}
}

/* Minus the log-sum-exp of each query in powers of 2 (infinite past the last one: no probability), as by_unit and
 * by_fma want it, in the order in which a thread takes columns 16 j + {0, 1, 8, 9} + 2 (lane % 4) at once. */
static __device__ __forceinline__ void load_lse(const plan &p, int head, int first, int tiles, float *lse)
{
	for (int k = threadIdx.x; k < tiles * QUERIES; k += THREADS) {
		float v = first + k < p.rows ? p.lse[(size_t)head * p.rows + first + k] * E3_LOG2E : INFINITY;
		int in = k % QUERIES, at = (in & 6) * 2 + (in >> 3 & 1) * 2 + (in & 1);
		lse[k - (in & 15) + at] = on_fma(in / 8) ? 1.0f - v * (1 / LEAST) : -v;
	}
}

/* Asks for 64 keys of a head; past the last one there is the last one again. */
static __device__ __forceinline__ void ask_keys(const plan &p, int head, int first, uint32_t tile)
{
	int t = threadIdx.x & 127, chunk = t & 7, page = first >> p.page_shift;
	const __nv_bfloat16 *from =
		(const __nv_bfloat16 *)p.kv.page[page] + e3_row_at(p.kv, 0, head, first - (page << p.page_shift)) + chunk * 8;
#pragma unroll
	for (int i = 0; i < KEYS / 16; i++) {
		int row = i * 16 + (t >> 3);
		e3_cp16_all(tile + e3_swizzle(row, chunk), from + min(row, p.kv.n_keys - 1 - first) * D);
	}
	e3_cp_commit();
}

static __device__ __forceinline__ void scores(float (&s)[QUERIES / 2], uint64_t k, uint64_t q)
{
	e3_hold(s);
	e3_wgmma_fence();
#pragma unroll
	for (int i = 0; i < 4; i++)
		wgmma<QUERIES, __nv_bfloat16>::ss(s, k + i * 2, q + i * 2, i != 0);
	e3_wgmma_commit();
}

static __device__ __forceinline__ float by_unit(float s, float c, float lse) { return e3_exp2(fmaf(s, c, lse)); }

/* The same from c / LEAST and 1 + lse / LEAST: saturation keeps the exponent in [-LEAST, 0]. Relative error below 6e-6.
 */
static __device__ __forceinline__ float by_fma(float s, float c, float lse)
{
	const float low = 12582912.0f - LEAST; /* 1.5 * 2^23: an integer lands in the low bits */
	float y;
	asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(y) : "f"(s), "f"(c), "f"(lse));
	float t = fmaf(y, LEAST, low), f = fmaf(y, LEAST, low - t);
	float p = fmaf(f, 0.00958285324f, 0.0559064259f);
	p = fmaf(f, p, 0.240240986f);
	p = fmaf(f, p, 0.693124193f);
	p = fmaf(f, p, 1.0f);
	return __int_as_float(__float_as_int(p) + (__float_as_int(t) << 23));
}

/* sum[2 h + e] += the probabilities of columns 8 j + 2 (lane % 4) + e in row lane / 4 + 8 h. */
static __device__ __forceinline__ void add_up(const float (&s)[QUERIES / 2], float (&sum)[4], const float *lse, float c)
{
#pragma unroll
	for (int j = 0; j < QUERIES / 16; j++) {
		float4 l4 = *(const float4 *)(lse + 16 * j);
		float l[4] = {l4.x, l4.y, l4.z, l4.w};
#pragma unroll
		for (int i = 0; i < 8; i++) {
			float at = s[8 * j + i], of = l[i / 4 * 2 + (i & 1)];
			sum[i & 3] += on_fma(2 * j + i / 4) ? by_fma(at, c * (1 / LEAST), of) : by_unit(at, c, of);
		}
	}
}

/* Sums of the warp's 16 keys into its piece. */
static __device__ __forceinline__ void put_piece(const float (&sum)[4], float *piece)
{
	int lane = threadIdx.x & 31, row = (threadIdx.x >> 5 & 3) * 16 + lane / 4;
#pragma unroll
	for (int h = 0; h < 2; h++) {
		float v = sum[2 * h] + sum[2 * h + 1];
		v += __shfl_xor_sync(~0u, v, 1);
		v += __shfl_xor_sync(~0u, v, 2);
		if (lane % 4 == 0)
			piece[row + 8 * h] = v;
	}
}

/* The warpgroups take turns with the tensor cores, one product each, in every round of a block: without turns
 * they would all wait for a product at the same time, and all exponentiate at the same time. */
static __device__ __forceinline__ void await_turn(int group, bool first)
{
	if (!first || group > 0)
		e3_bar(BAR_TURN + group, 256);
}
static __device__ __forceinline__ void pass_turn(int group, bool last)
{
	if (!last || group < GROUPS - 1)
		e3_bar_arrive(BAR_TURN + (group + 1) % GROUPS, 256);
}

/* The steps of one worker: (tile of keys, tile of queries), queries fastest. A worker that has fewer steps than the
 * others, or none, still takes part in the turns. */
static __device__ __forceinline__ void work(const plan &p, const room &r, int head, int worker, share mine)
{
	int at = begin_of(mine, worker), steps = worker < p.workers ? begin_of(mine, worker + 1) - at : 0,
		rounds = mine.each + (mine.more > 0);
	int tile = at / mine.tiles, query = at % mine.tiles, group = threadIdx.x >> 7;
	const float c = p.scale * E3_LOG2E, *lse = r.lse + (threadIdx.x & 3) * 4;
	uint64_t q = e3_desc(r.q), k = e3_desc(r.k);
	float s[QUERIES / 2], sum[4] = {0, 0, 0, 0};
	bool fresh = true; /* these keys were asked for and not waited for */
#pragma unroll 1
	for (int round = 0; round < rounds; round++) {
		bool last = query + 1 == mine.tiles; /* of the queries: new keys after it */
		if (round >= steps) {
			await_turn(group, round == 0);
			pass_turn(group, round + 1 == rounds);
			continue;
		}
		/* 1. New keys: wait until this thread's copies have arrived, make them visible to the products, and wait for
		 * the other threads of the warpgroup. */
		if (fresh) {
			e3_cp_wait<0>();
			e3_fence_async();
			e3_bar(BAR_GROUP + group, 128);
		}
		/* 2. In the first pass over the queries: wait until this tile of them has arrived. */
		if (round < mine.tiles) {
			e3_mbar_wait(r.bars + 8 * query, 0);
			e3_fence_async();
		}
		/* 3. The product, when it is this warpgroup's turn; the turn is passed on when the product is complete. */
		await_turn(group, round == 0);
		scores(s, k, q + query * (Q_TILE >> 4));
		e3_wgmma_wait<0>();
		pass_turn(group, round + 1 == rounds);
		e3_hold(s);
		/* 4. After the last queries, ask for the next keys; they arrive while this step exponentiates. */
		fresh = last;
		if (last && round + 1 < steps) {
			e3_bar(BAR_GROUP + group, 128); /* no product of the warpgroup needs these keys any more */
			ask_keys(p, head, (tile + 1) * KEYS, r.k);
		}
		/* 5. Probabilities from scores and log-sum-exp, added to the sums of the two keys of this thread. */
		add_up(s, sum, lse + query * QUERIES, c);
		query++;
		/* 6. The keys are finished, or the worker is: the sums go to the workspace. */
		if (last || round + 1 == steps) {
			put_piece(sum, piece_of(p, blockIdx.y, worker, tile));
			sum[0] = sum[1] = sum[2] = sum[3] = 0;
			tile++, query = 0;
		}
	}
}
#endif

/* Grid: blocks of a head and chunk; chunks of the heads. */
static __global__ void __launch_bounds__(THREADS, 1) mass_kernel(const __grid_constant__ plan p)
{
#ifdef E3_WGMMA
	extern __shared__ char shared[];
	int group = __shfl_sync(~0u, (int)threadIdx.x >> 7, 0), head = blockIdx.y / p.chunks, chunk = blockIdx.y % p.chunks;
	share mine = chunk == p.chunks - 1 ? p.last : p.most;
	int first = chunk * p.tiles * QUERIES, worker = blockIdx.x * GROUPS + group;
	char *base = shared + ((0u - e3_smem(shared)) & 1023);
	uint32_t at = e3_smem(base);
	room r = {at, at + p.tiles * Q_TILE + group * K_TILE, 0,
		(float *)(base + p.tiles * Q_TILE + (int)GROUPS * (int)K_TILE)};
	r.bars = at + p.tiles * (Q_TILE + QUERIES * 4) + (int)GROUPS * (int)K_TILE;
	e3_early_start();
	if (threadIdx.x < mine.tiles)
		e3_mbar_init(r.bars + 8 * threadIdx.x, THREADS);
	if (worker < p.workers)
		ask_keys(p, head, begin_of(mine, worker) / mine.tiles * KEYS, r.k);
	__syncthreads();
	ask_queries(p, head, first, mine.tiles, r);
	e3_early_wait(); /* for the log-sum-exp, and until the workspace is free */
	load_lse(p, head, first, mine.tiles, r.lse);
	__syncthreads();
	work(p, r, head, min(worker, p.workers), mine);
#else
	__trap();
#endif
}

/* Adds up the pieces of 32 keys in order: each warp those of some heads and chunks, then the first warp what all have.
 */
static __global__ void __launch_bounds__(32 * ADDERS) add_pieces(const __grid_constant__ plan p)
{
#ifdef E3_WGMMA
	__shared__ float sums[ADDERS][32];
	int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, key = blockIdx.x * 32 + lane, tile = key / KEYS,
		parts = p.kv.heads * p.chunks;
	float sum = 0;
	e3_early_wait();
	for (int part = warp; part < parts; part += ADDERS) {
		share s = part % p.chunks == p.chunks - 1 ? p.last : p.most;
		int worker = tile * s.tiles / (s.each + 1);
		while (begin_of(s, worker + 1) <= tile * s.tiles)
			worker++;
		for (; worker < p.workers && begin_of(s, worker) < (tile + 1) * s.tiles; worker++)
			sum += piece_of(p, part, worker, tile)[key % KEYS];
	}
	sums[warp][lane] = sum;
	__syncthreads();
	if (warp > 0 || key >= p.kv.n_keys)
		return;
	for (int k = 1; k < ADDERS; k++)
		sum += sums[k][lane];
	p.mass[key] = sum / (float)p.kv.heads;
#else
	__trap();
#endif
}

/* ---- host ---- */

static int chunks_of(int rows)
{
	int tiles = (rows + QUERIES - 1) / QUERIES;
	return (tiles + MAX_TILES - 1) / MAX_TILES;
}

/* Blocks for each head and chunk: all multiprocessors get the same share. */
static int blocks_of(const e3_attend_dev *dev, int parts) { return dev->sms / parts > 1 ? dev->sms / parts : 1; }

size_t e3_wgmma_mass_bytes(const e3_attend_dev *dev, int rows, int keys, int heads)
{
	size_t parts = (size_t)heads * chunks_of(rows);
	return parts * (blocks_of(dev, (int)parts) * GROUPS + (keys + KEYS - 1) / KEYS) * KEYS * sizeof(float);
}

cudaError_t e3_wgmma_mass_open(void)
{
	return cudaFuncSetAttribute(mass_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes(MAX_TILES));
}

cudaError_t e3_wgmma_mass(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, cudaStream_t stream)
{
	plan p = {};
	p.q = (const __nv_bfloat16 *)job->q;
	p.lse = job->lse;
	p.partial = e3_partials(job);
	p.mass = mass;
	p.kv = job->kv;
	p.rows = job->rows;
	p.q_step = e3_job_step(job);
	p.chunks = chunks_of(job->rows);
	p.tiles = ((job->rows + QUERIES - 1) / QUERIES + p.chunks - 1) / p.chunks;
	p.chunks = ((job->rows + QUERIES - 1) / QUERIES + p.tiles - 1) / p.tiles;
	p.key_tiles = (job->kv.n_keys + KEYS - 1) / KEYS;
	p.page_shift = e3_page_shift(&job->kv);
	p.scale = 1.0f / sqrtf((float)D);
	int parts = job->kv.heads * p.chunks, last = (job->rows + QUERIES - 1) / QUERIES - (p.chunks - 1) * p.tiles;
	int most = blocks_of(dev, parts) * GROUPS;
	p.workers = last * p.key_tiles < most ? last * p.key_tiles : most;
	p.most = {p.tiles, p.tiles * p.key_tiles / p.workers, p.tiles * p.key_tiles % p.workers};
	p.last = {last, last * p.key_tiles / p.workers, last * p.key_tiles % p.workers};
	const int size[2] = {THREADS, (int)shared_bytes(p.tiles)}, small[2] = {32 * ADDERS, 0};
	cudaError_t e = e3_launch_early(mass_kernel, p, dim3((p.workers + GROUPS - 1) / GROUPS, parts), size, stream);
	return e ? e : e3_launch_early(add_pieces, p, dim3((job->kv.n_keys + 31) / 32), small, stream);
}
