/* kernels: the mass of each key on Hopper, f16, head_dim 64.
 *
 * Scores are computed transposed: rows are keys, columns are queries, so that a thread adds up the probabilities of its
 * two keys in registers. A block keeps the queries of one head in shared memory (a chunk of at most MAX_TILES tiles),
 * and its five warpgroups walk on their own along the line of (tile of 64 keys, tile of 88 queries) steps, cut into
 * equal parts, with their keys in registers. Sums go to the workspace, one piece for each worker and tile of keys, and
 * a second kernel adds the pieces up in order.
 *
 * Scores and exponentials are pairs of f16. Queries are scaled, and products begin with what would have to be taken
 * away from them, so that they come out as exponents of 2. A probability then has a random relative error of up to 1 %
 * (more where scores are beyond 100); little of it is left in the mass of a key, which is a sum of rows * heads of
 * them.
 *
 * Of BLOCKS columns of eight, ON_UNIT go to the special-function units, the others to the FMA units: 4 or 6
 * instructions for a pair. To a scheduler a pair is 8 clocks of the product; 16 of the special-function unit, or 10 of
 * the FMA unit (half2 instructions go there every second clock). Measured for 1041 queries and 11451 keys: the tensor
 * cores, the FMA units, the special-function units, shared memory and the issue slots are each busy for 54 to 63 % of
 * the time. What lost against this: keys in shared memory (4 %), what products begin with once for both keys of a
 * thread and copied (5 %), six or seven warpgroups (3 %), the next product under way during every exponential (4 %),
 * sums by the tensor cores (27 %). Polynomials that are piecewise linear would gain 5 %, with errors of 3 %.
 * Keys and queries as e4m3, half the time of the tensor cores, would gain 2 %, depth being off 1.7 times as much.
 */
#include "attend_wgmma_keys.cuh"

enum {
	D = 64,
	GROUPS = 5,
	THREADS = 128 * GROUPS,
	KEYS = 64,
	QUERIES = 88,
	BLOCKS = QUERIES / 8,
	PAIRS = QUERIES / 4, /* of scores that a thread has */
	ON_UNIT = 5,
	MAX_TILES = 16,
	AHEAD = 7, /* pieces of queries that a thread has on the way */
	ADDERS = 16
};
enum { BAR_GROUP = 1 }; /* named barriers, one for each warpgroup from here */
enum { PITCH = 24 };    /* words of a thread in LSE_TILE, of which the last two are not used */
enum { Q_TILE = QUERIES * D * 2, K_TILE = KEYS * D * 2, LSE_TILE = 4 * PITCH * 4 };
#define TOP 12.0f    /* probabilities are computed 2^TOP times as large: BLOCKS of them can still be added in f16 */
#define BOTTOM 13.0f /* those on the FMA units are no less than 2^-BOTTOM then */
#define UNIT 512.0f  /* what their scores are divided by */

/* How the steps of a chunk are dealt out to its workers. */
typedef struct share {
	int tiles, each, more; /* query tiles; steps of every worker; workers that have one more */
} share;

typedef struct plan {
	const __half *q;
	const float *lse;
	float *partial, *mass;
	e3_attend_kv kv;
	int rows, q_step, chunks, tiles, key_tiles; /* query tiles of a chunk, the last of which may have fewer */
	int workers;                                /* warpgroups for a head and chunk, no more than there are steps */
	share most, last;                           /* of the chunks, of the last one */
	int page_shift;
	float scale;
} plan;

static size_t shared_bytes(int tiles) { return (size_t)tiles * (Q_TILE + LSE_TILE) + (int)GROUPS * (int)K_TILE + 1024; }

#ifdef E3_WGMMA

/* First step of worker g: the first ones have one step more than the others. */
static __device__ __forceinline__ int begin_of(share s, int g) { return g * s.each + min(g, s.more); }

/* Where the sums of a worker for a tile of keys are: along the line of work, worker + tile grows with every piece. */
static __device__ __forceinline__ float *piece_of(const plan &p, int part, int worker, int tile)
{
	return p.partial + ((size_t)part * (p.workers + p.key_tiles) + worker + tile) * KEYS;
}

/* Whether a block of eight columns goes to the special-function units; a bit for each that does. */
static __host__ __device__ constexpr bool on_unit(int block)
{
	return block * ON_UNIT / BLOCKS != (block + 1) * ON_UNIT / BLOCKS;
}
static __host__ __device__ constexpr uint32_t units(int block = 0)
{
	return block == BLOCKS ? 0 : (uint32_t)on_unit(block) << block | units(block + 1);
}

/* What a block has in shared memory. */
typedef struct room {
	uint32_t q, k;       /* query tiles; this warpgroup's tile of keys */
	const uint32_t *lse; /* where the scores of this thread's columns begin, see load_lse */
} room;

/* ---- loading ---- */

/* A pair times `scale`, rounded once. */
static __device__ __forceinline__ uint32_t times(uint32_t x, float scale)
{
	float2 v = __half22float2(*(const __half2 *)&x);
	return e3_f16x2(v.x * scale, v.y * scale);
}

/* The query tiles of this chunk, rows past the last one as zeros, scaled so that products are exponents of 2 for
 * the special-function units, and 1 / UNIT of them for the FMA units. */
static __device__ __forceinline__ void load_queries(const plan &p, int head, int first, int tiles, const room &r)
{
	const uint4 *from = (const uint4 *)(p.q + ((size_t)head * p.q_step + first) * D);
	const float scale = p.scale * E3_LOG2E;
	int n = tiles * QUERIES * 8, valid = (p.rows - first) * 8;
#pragma unroll 1
	for (int begin = threadIdx.x; begin < n; begin += AHEAD * THREADS) {
		uint4 x[AHEAD];
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			int at = begin + i * THREADS;
			x[i] = at < valid ? __ldg(from + at) : make_uint4(0, 0, 0, 0);
		}
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			int at = begin + i * THREADS;
			if (at >= n)
				break;
			float c = units() >> (at >> 6) % (int)BLOCKS & 1 ? scale : scale * (1 / UNIT);
			e3_put_16(r.q + e3_swizzle(at >> 3, at & 7),
				make_uint4(times(x[i].x, c), times(x[i].y, c), times(x[i].z, c), times(x[i].w, c)));
		}
	}
}

/* What scores begin with, in the units of their block; so small past the last query that nothing is left. What a thread
 * needs for a tile lies together, a pair of columns twice: once for each of its two keys. */
static __device__ __forceinline__ void load_lse(const plan &p, int head, int first, int tiles, __half *lse)
{
#pragma unroll 2
	for (int k = threadIdx.x; k < tiles * QUERIES; k += THREADS) {
		float v = first + k < p.rows ? p.lse[(size_t)head * p.rows + first + k] * E3_LOG2E : 20000.0f;
		int in = k % (int)QUERIES, block = in / 8, at = (k / (int)QUERIES * 4 + (in & 7) / 2) * PITCH + 2 * block;
		__half x = __float2half_rn(on_unit(block) ? TOP - v : (TOP + BOTTOM - v) * (1 / UNIT));
		lse[2 * at + (in & 1)] = x;
		lse[2 * at + (in & 1) + 2] = x;
	}
}

/* Asks for 64 keys of a head, each warp for the 16 that it takes; past the last key there is the last one again. */
template <int KIND> static __device__ __forceinline__ void ask_keys(const plan &p, int head, int first, uint32_t tile)
{
	int lane = threadIdx.x & 31, chunk = lane & 7, row = (threadIdx.x >> 5 & 3) * 16 + (lane >> 3),
		page = first >> p.page_shift;
	if constexpr (KIND != E3_PACK_NONE) {
		e3_ask_packed_keys(p.kv, p.kv.page[page], head, first - (page << p.page_shift), p.kv.n_keys - first, tile);
		return;
	}
	const __half *from =
		(const __half *)p.kv.page[page] + e3_row_at(p.kv, 0, head, first - (page << p.page_shift)) + chunk * 8;
#pragma unroll
	for (int i = 0; i < 4; i++, row += 4)
		e3_cp16_all(tile + e3_swizzle(row, chunk), from + min(row, p.kv.n_keys - 1 - first) * D);
	e3_cp_commit();
}

/* Waits for them and takes them, the first operand of products; their tile is free then. */
template <int KIND>
static __device__ __forceinline__ void take_keys(const plan &p, int first, uint32_t tile, int group,
	uint32_t (&k)[D / 4])
{
	int lane = threadIdx.x & 31, row = (threadIdx.x >> 5 & 3) * 16 + (lane & 15);
	if constexpr (KIND != E3_PACK_NONE) {
		e3_take_packed_keys<KIND>(p.kv.n_keys - first, tile, BAR_GROUP + group);
		e3_bar(BAR_GROUP + group, 128);
	} else {
		e3_cp_wait<0>();
		__syncwarp();
	}
#pragma unroll
	for (int i = 0; i < D / 4; i += 4)
		asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
					 : "=r"(k[i]), "=r"(k[i + 1]), "=r"(k[i + 2]), "=r"(k[i + 3])
					 : "r"(tile + e3_swizzle(row, i / 2 + (lane >> 4)))
					 : "memory");
	if constexpr (KIND != E3_PACK_NONE) {
		e3_bar(BAR_GROUP + group, 128);
	} else {
		__syncwarp();
	}
}

/* ---- computing ---- */

/* What scores begin with, so that it need not be added to each. */
static __device__ __forceinline__ void begin(uint32_t (&s)[PAIRS], const uint32_t *lse)
{
#pragma unroll
	for (int j = 0; j + 4 <= PAIRS; j += 4) {
		uint4 v = *(const uint4 *)(lse + j);
		s[j] = v.x, s[j + 1] = v.y, s[j + 2] = v.z, s[j + 3] = v.w;
	}
	static_assert(PAIRS % 4 == 2, "the rest is a pair");
	uint2 v = *(const uint2 *)(lse + PAIRS - 2);
	s[PAIRS - 2] = v.x, s[PAIRS - 1] = v.y;
}

static __device__ __forceinline__ void scores(uint32_t (&s)[PAIRS], const uint32_t (&k)[D / 4], uint64_t q)
{
#pragma unroll
	for (int i = 0; i < D / 16; i++)
		e3_wgmma_half_88(s, k + i * 4, q + i * 2);
	e3_wgmma_commit();
}

static __device__ __forceinline__ __half2 as_half2(uint32_t x) { return *(__half2 *)&x; }
static __device__ __forceinline__ uint32_t as_bits(__half2 x) { return *(uint32_t *)&x; }

/* 2^x */
static __device__ __forceinline__ __half2 by_unit(__half2 x)
{
	uint32_t y;
	asm("ex2.approx.f16x2 %0, %1;" : "=r"(y) : "r"(as_bits(x)));
	return as_half2(y);
}

/* 2^(x - BOTTOM), where s = x / UNIT. A product that is subnormal is rounded to multiples of 2^-24: t has the integer
 * part of x in its low bits, and f the rest, divided by UNIT. 2^f is made as u^2 + 0.48, with a relative error below
 * 2e-3. Saturation keeps t and u from 0 on, whatever x is. The integer part goes to the exponent by a rotation and an
 * addition, which are one instruction outside the FMA units; a shift and an addition would be one inside them. */
static __device__ __forceinline__ __half2 by_fma(__half2 s)
{
	const float root = 0.0110485435f; /* of 2^-BOTTOM */
	__half2 t = __hmul2_sat(s, __float2half2_rn(0x1p-15f)), f = __hfma2(t, __float2half2_rn(-0x1p15f), s);
	__half2 u = __hfma2_sat(f, __float2half2_rn(0.48829f * UNIT * root), __float2half2_rn(0.72031f * root));
	__half2 p = __hfma2(u, u, __float2half2_rn(0.48156f * root * root));
	uint32_t n;
	asm("shf.l.wrap.b32 %0, %1, %1, 10;" : "=r"(n) : "r"(as_bits(t)));
	return as_half2(as_bits(p) + n);
}

/* sum[2 h + e] += the probabilities of columns 8 j + 2 (lane % 4) + e in row lane / 4 + 8 h. */
static __device__ __forceinline__ void add_up(const uint32_t (&s)[PAIRS], float (&sum)[4])
{
	__half2 part[2] = {__float2half2_rn(0), __float2half2_rn(0)};
#pragma unroll
	for (int i = 0; i < PAIRS; i++)
		part[i & 1] = __hadd2(part[i & 1], on_unit(i / 2) ? by_unit(as_half2(s[i])) : by_fma(as_half2(s[i])));
#pragma unroll
	for (int h = 0; h < 2; h++) {
		sum[2 * h] += __low2float(part[h]);
		sum[2 * h + 1] += __high2float(part[h]);
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

/* The steps of one worker: (tile of keys, tile of queries), queries fastest. Its first keys have been asked for. */
template <int KIND>
static __device__ __forceinline__ void work(const plan &p, const room &r, int head, int worker, share mine)
{
	int at = begin_of(mine, worker), steps = begin_of(mine, worker + 1) - at;
	int tile = at / mine.tiles, query = at % mine.tiles, group = threadIdx.x >> 7;
	uint64_t q = e3_desc(r.q);
	uint32_t x[PAIRS], k[D / 4];
	float sum[4] = {0, 0, 0, 0};
	take_keys<KIND>(p, tile * KEYS, r.k, group, k);
	if (query + steps > mine.tiles)
		ask_keys<KIND>(p, head, (tile + 1) * KEYS, r.k);
#pragma unroll 1
	for (int step = 0; step < steps; step++) {
		const bool last = query + 1 == mine.tiles, more = step + 1 < steps;
		begin(x, r.lse + query * (LSE_TILE / 4));
		e3_hold(x);
		e3_hold(k);
		e3_wgmma_fence();
		scores(x, k, q + query * (Q_TILE >> 4));
		e3_wgmma_wait<0>();
		e3_hold(x);
		/* After the last queries take the next keys, and ask for those after them. */
		if (last && more) {
			take_keys<KIND>(p, (tile + 1) * KEYS, r.k, group, k);
			if (step + 1 + mine.tiles < steps)
				ask_keys<KIND>(p, head, (tile + 2) * KEYS, r.k);
		}
		add_up(x, sum);
		query++;
		/* When the keys are finished, or the worker is, the sums go to the workspace. */
		if (last || !more) {
			put_piece(sum, piece_of(p, blockIdx.y, worker, tile));
			sum[0] = sum[1] = sum[2] = sum[3] = 0;
			tile++, query = 0;
		}
	}
}
#endif

/* Grid: blocks of a head and chunk; chunks of the heads. */
/* KIND: what the keys are, E3_PACK_NONE, E3_PACK_FP8 or E3_PACK_I8. */
template <int KIND> static __global__ void __launch_bounds__(THREADS, 1) mass_kernel(const __grid_constant__ plan p)
{
#ifdef E3_WGMMA
	extern __shared__ char shared[];
	int group = __shfl_sync(~0u, (int)threadIdx.x >> 7, 0), head = blockIdx.y / p.chunks, chunk = blockIdx.y % p.chunks;
	share mine = chunk == p.chunks - 1 ? p.last : p.most;
	int first = chunk * p.tiles * QUERIES, worker = blockIdx.x * GROUPS + group;
	char *base = shared + ((0u - e3_smem(shared)) & 1023);
	uint32_t at = e3_smem(base), *lse = (uint32_t *)(base + p.tiles * Q_TILE + (int)GROUPS * (int)K_TILE);
	room r = {at, at + p.tiles * Q_TILE + group * K_TILE, lse + (threadIdx.x & 3) * PITCH};
	e3_early_start();
	if (worker < p.workers)
		ask_keys<KIND>(p, head, begin_of(mine, worker) / mine.tiles * KEYS, r.k);
	load_queries(p, head, first, mine.tiles, r);
	e3_early_wait(); /* for the log-sum-exp, and until the workspace is free */
	load_lse(p, head, first, mine.tiles, (__half *)lse);
	e3_fence_async();
	__syncthreads();
	if (worker < p.workers)
		work<KIND>(p, r, head, worker, mine);
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
	e3_early_start(); /* not earlier: all that came before this kernel is finished for those that start now */
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
	p.mass[key] = sum / (4096.0f * (float)p.kv.heads);
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

typedef void kernel(plan);
static kernel *kernel_of(int pack)
{
	return pack == E3_PACK_NONE ? mass_kernel<E3_PACK_NONE>
		: pack == E3_PACK_FP8   ? mass_kernel<E3_PACK_FP8>
								: mass_kernel<E3_PACK_I8>;
}

cudaError_t e3_wgmma_mass_open(void)
{
	static const int packs[] = {E3_PACK_NONE, E3_PACK_FP8, E3_PACK_I8};
	cudaError_t e = cudaSuccess;
	for (int pack : packs)
		e = e ? e
			  : cudaFuncSetAttribute(kernel_of(pack), cudaFuncAttributeMaxDynamicSharedMemorySize,
					(int)shared_bytes(MAX_TILES));
	return e;
}

cudaError_t e3_wgmma_mass(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, cudaStream_t stream)
{
	plan p = {};
	p.q = (const __half *)job->q;
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
	cudaError_t e =
		e3_launch_early<plan>(kernel_of(job->kv.pack), p, dim3((p.workers + GROUPS - 1) / GROUPS, parts), size, stream);
	return e ? e : e3_launch_early(add_pieces, p, dim3((job->kv.n_keys + 31) / 32), small, stream);
}
