/* kernels: the mass of each key on Hopper, bf16, head_dim 64.
 *
 * Scores are computed transposed: rows are keys, columns are queries, so that a thread adds up the probabilities of its
 * two keys in registers. A block keeps the queries of one head in shared memory (a chunk of at most MAX_TILES tiles),
 * and its four warpgroups walk on their own along the line of (tile of 64 keys, tile of 176 queries) steps, cut into
 * equal parts. Half a tile is exponentiated while the product of the next half is under way. Sums go to the workspace,
 * one piece for each worker and tile of keys, and a second kernel adds the pieces up in order.
 *
 * Queries and keys become f16 on the way (exact between 2^-14 and 65504); scores and exponentials are pairs of f16. A
 * probability then has a random relative error of up to 1 % (more where scores are beyond 100); little of it is left in
 * the mass of a key, which is a sum of rows * heads of them. A pair takes 5 to 7 instructions instead of 6 to 22, and
 * products whose sums are f16 leave more of the register file's bandwidth to other warps.
 *
 * There are twice as many exponentials to a product as in attention: of BLOCKS columns of eight, ON_UNIT go to the
 * special-function units, the others to the FMA units. To a scheduler a pair is 8 clocks of the product; 16 of the
 * special-function unit, or 10 of the FMA unit (half2 instructions go there every second clock).
 */
#include "attend_wgmma_keys.cuh"

enum {
	D = 64,
	GROUPS = 4,
	THREADS = 128 * GROUPS,
	KEYS = 64,
	HALF = 88,
	QUERIES = 2 * HALF,
	BLOCKS = HALF / 8,
	ON_UNIT = 4,
	MAX_TILES = 7,
	ADDERS = 16
};
enum { BAR_GROUP = 1 }; /* named barriers, one for each warpgroup from here */
enum { PITCH = 12 };    /* pairs of log-sum-exps of a thread and half, and one that is not used */
enum { Q_TILE = QUERIES * D * 2, K_TILE = KEYS * D * 2, LSE_HALF = 4 * PITCH * 4, LSE_TILE = 2 * LSE_HALF };
#define TOP 12.0f /* probabilities are computed 2^TOP times as large: BLOCKS of them can still be added in f16 */

/* How the steps of a chunk are dealt out to its workers. */
typedef struct share {
	int tiles, each, more; /* query tiles; steps of every worker; workers that have one more */
} share;

typedef struct plan {
	const __nv_bfloat16 *q;
	const float *lse;
	float *partial, *mass;
	e3_attend_kv kv;
	int rows, q_step, chunks, tiles, key_tiles; /* query tiles of a chunk, the last of which may have fewer */
	int workers;                                /* warpgroups for a head and chunk, no more than there are steps */
	share most, last;                           /* of the chunks, of the last one */
	int page_shift;
	float scale;
} plan;

static size_t shared_bytes(int tiles)
{
	return (size_t)tiles * (Q_TILE + LSE_TILE) + 2 * (int)GROUPS * (int)K_TILE + 1024;
}

#ifdef E3_WGMMA

/* First step of worker g: the first ones have one step more than the others. */
static __device__ __forceinline__ int begin_of(share s, int g) { return g * s.each + min(g, s.more); }

/* Where the sums of a worker for a tile of keys are: along the line of work, worker + tile grows with every piece. */
static __device__ __forceinline__ float *piece_of(const plan &p, int part, int worker, int tile)
{
	return p.partial + ((size_t)part * (p.workers + p.key_tiles) + worker + tile) * KEYS;
}

static __device__ __forceinline__ constexpr bool on_unit(int block)
{
	return block * ON_UNIT / BLOCKS != (block + 1) * ON_UNIT / BLOCKS;
}

/* What a block has in shared memory. */
typedef struct room {
	uint32_t q, k;       /* query tiles; this warpgroup's two tiles of keys */
	const uint32_t *lse; /* what is added to the scores of this thread's columns, see load_lse */
} room;

/* ---- loading ---- */

/* 16 bytes that this thread has copied to shared memory, from bf16 to f16. */
static __device__ __forceinline__ void to_half(uint32_t at)
{
	uint32_t x[4];
	asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(at));
#pragma unroll
	for (int i = 0; i < 4; i++)
		asm("cvt.rn.f16x2.f32 %0, %1, %2;"
			: "=r"(x[i])
			: "f"(__uint_as_float(x[i] & 0xffff0000u)), "f"(__uint_as_float(x[i] << 16)));
	asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
				 : "memory");
}

/* Asks for the query tiles of this chunk, rows past the last one as zeros. */
static __device__ __forceinline__ void ask_queries(const plan &p, int head, int first, int tiles, const room &r)
{
	for (int at = threadIdx.x; at < tiles * QUERIES * 8; at += THREADS) {
		int row = at >> 3, chunk = at & 7, from = first + row;
		e3_cp16(r.q + e3_swizzle(row, chunk), p.q + ((size_t)head * p.q_step + min(from, p.rows - 1)) * D + chunk * 8,
			from < p.rows);
	}
	e3_cp_commit();
}

static __device__ __forceinline__ void take_queries(int tiles, const room &r)
{
	for (int at = threadIdx.x; at < tiles * QUERIES * 8; at += THREADS)
		to_half(r.q + e3_swizzle(at >> 3, at & 7));
}

/* What is added to the scaled scores, as by_unit and by_fma want it (infinite past the last query); the pairs of
 * columns of a thread in each half of a tile lie together. */
static __device__ __forceinline__ void load_lse(const plan &p, int head, int first, int tiles, __half *lse)
{
	for (int k = threadIdx.x; k < tiles * QUERIES; k += THREADS) {
		float v = first + k < p.rows ? p.lse[(size_t)head * p.rows + first + k] * E3_LOG2E : INFINITY;
		int in = k % (int)HALF, block = in / 8, at = (k / (int)HALF * 4 + (in & 7) / 2) * PITCH + block;
		lse[2 * at + (in & 1)] = __float2half_rn(on_unit(block) ? TOP - v : (TOP + 13 - v) * (1 / 512.0f));
	}
}

/* Asks for 64 keys of a head; past the last one there is the last one again. */
template <int KIND> static __device__ __forceinline__ void ask_keys(const plan &p, int head, int first, uint32_t tile)
{
	int t = threadIdx.x & 127, chunk = t & 7, page = first >> p.page_shift;
	if constexpr (KIND != E3_PACK_NONE) {
		e3_ask_packed_keys(p.kv, p.kv.page[page], head, first - (page << p.page_shift), p.kv.n_keys - first, tile);
		return;
	}
	const __nv_bfloat16 *from =
		(const __nv_bfloat16 *)p.kv.page[page] + e3_row_at(p.kv, 0, head, first - (page << p.page_shift)) + chunk * 8;
#pragma unroll
	for (int i = 0; i < KEYS / 16; i++) {
		int row = i * 16 + (t >> 3);
		e3_cp16_all(tile + e3_swizzle(row, chunk), from + min(row, p.kv.n_keys - 1 - first) * D);
	}
	e3_cp_commit();
}

/* Waits for them; they are ready for the products of the warpgroup. */
template <int KIND> static __device__ __forceinline__ void take_keys(const plan &p, int first, uint32_t tile, int group)
{
	if constexpr (KIND != E3_PACK_NONE) {
		e3_take_packed_keys<KIND>(p.kv.n_keys - first, tile, BAR_GROUP + group);
		e3_fence_async();
		e3_bar(BAR_GROUP + group, 128);
		return;
	}
	e3_cp_wait<0>();
#pragma unroll
	for (int i = 0; i < KEYS / 16; i++)
		to_half(tile + e3_swizzle(i * 16 + ((threadIdx.x & 127) >> 3), threadIdx.x & 7));
	e3_fence_async();
	e3_bar(BAR_GROUP + group, 128);
}

/* ---- computing ---- */

static __device__ __forceinline__ void scores(uint32_t (&s)[HALF / 4], uint64_t k, uint64_t q)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		e3_wgmma_half_88(s, k + i * 2, q + i * 2, i != 0);
	e3_wgmma_commit();
}

static __device__ __forceinline__ __half2 as_half2(uint32_t x) { return *(__half2 *)&x; }
static __device__ __forceinline__ uint32_t as_bits(__half2 x) { return *(uint32_t *)&x; }

/* 2^(s c + l) */
static __device__ __forceinline__ __half2 by_unit(__half2 s, __half2 c, __half2 l)
{
	uint32_t y;
	asm("ex2.approx.f16x2 %0, %1;" : "=r"(y) : "r"(as_bits(__hfma2(s, c, l))));
	return as_half2(y);
}

/* 2^(x - 13), where x / 512 = s c + l; saturation keeps x from 0 on. A product that is subnormal is rounded to
 * multiples of 2^-24: t has the integer part of x in its low bits, and f the rest, divided by 512. The polynomial has a
 * relative error below 2e-3. */
static __device__ __forceinline__ __half2 by_fma(__half2 s, __half2 c, __half2 l)
{
	__half2 x = __hfma2_sat(s, c, l), t = __hmul2(x, __float2half2_rn(0x1p-15f)),
			f = __hfma2(t, __float2half2_rn(-0x1p15f), x);
	const float one = 0x1p-13f, unit = 512;
	__half2 p =
		__hfma2(f, __float2half2_rn(0.238430919f * one * unit * unit), __float2half2_rn(0.703452015f * one * unit));
	p = __hfma2(f, p, __float2half2_rn(1.0004433f * one));
	return as_half2(as_bits(p) + (as_bits(t) << 10));
}

/* sum[2 h + e] += the probabilities of columns 8 j + 2 (lane % 4) + e in row lane / 4 + 8 h. */
static __device__ __forceinline__ void add_up(const uint32_t (&s)[HALF / 4], float (&sum)[4], const uint32_t *lse,
	float c)
{
	const __half2 cu = __float2half2_rn(c), cf = __float2half2_rn(c * (1 / 512.0f));
	__half2 part[2] = {__float2half2_rn(0), __float2half2_rn(0)};
#pragma unroll
	for (int j4 = 0; j4 < BLOCKS; j4 += 4) {
		uint4 l4 = *(const uint4 *)(lse + j4);
		const uint32_t l[4] = {l4.x, l4.y, l4.z, l4.w};
#pragma unroll
		for (int j = j4; j < j4 + 4 && j < BLOCKS; j++)
#pragma unroll
			for (int h = 0; h < 2; h++) {
				__half2 at = as_half2(s[2 * j + h]), of = as_half2(l[j - j4]);
				part[h] = __hadd2(part[h], on_unit(j) ? by_unit(at, cu, of) : by_fma(at, cf, of));
			}
	}
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
	int tile = at / mine.tiles, query = at % mine.tiles, group = threadIdx.x >> 7, buffer = 0;
	const float c = p.scale * E3_LOG2E;
	uint64_t q = e3_desc(r.q), k = e3_desc(r.k);
	uint32_t a[HALF / 4], b[HALF / 4];
	float sum[4] = {0, 0, 0, 0};
	take_keys<KIND>(p, tile * KEYS, r.k, group);
	if (query + steps > mine.tiles)
		ask_keys<KIND>(p, head, (tile + 1) * KEYS, r.k + K_TILE);
#pragma unroll 1
	for (int step = 0; step < steps; step++) {
		/* 1. Start both products; add up the first half while the second is under way. */
		const bool last = query + 1 == mine.tiles, more = step + 1 < steps;
		const uint32_t *lse = r.lse + query * (LSE_TILE / 4);
		uint64_t k_at = k + buffer * (K_TILE >> 4), q_at = q + query * (Q_TILE >> 4);
		e3_hold(a);
		e3_hold(b);
		e3_wgmma_fence();
		scores(a, k_at, q_at);
		scores(b, k_at, q_at + (HALF * D * 2 >> 4));
		e3_wgmma_wait<1>();
		e3_hold(a);
		add_up(a, sum, lse, c);
		e3_wgmma_wait<0>();
		e3_hold(b);
		/* 2. After the last queries take the next keys, and ask for those after them, in the place of those that no
		 *    product of the warpgroup needs any more. */
		if (last && more) {
			take_keys<KIND>(p, (tile + 1) * KEYS, r.k + (buffer ^ 1) * K_TILE, group);
			if (step + 1 + mine.tiles < steps)
				ask_keys<KIND>(p, head, (tile + 2) * KEYS, r.k + buffer * K_TILE);
		}
		/* 3. Add up the second half. When the keys are finished, or the worker is, the sums go to the workspace. */
		add_up(b, sum, lse + LSE_HALF / 4, c);
		query++;
		if (last || !more) {
			put_piece(sum, piece_of(p, blockIdx.y, worker, tile));
			sum[0] = sum[1] = sum[2] = sum[3] = 0;
			tile++, query = 0;
			buffer ^= 1;
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
	uint32_t at = e3_smem(base), *lse = (uint32_t *)(base + p.tiles * Q_TILE + 2 * (int)GROUPS * (int)K_TILE);
	room r = {at, at + p.tiles * Q_TILE + group * 2 * K_TILE, lse + (threadIdx.x & 3) * PITCH};
	e3_early_start();
	ask_queries(p, head, first, mine.tiles, r);
	if (worker < p.workers)
		ask_keys<KIND>(p, head, begin_of(mine, worker) / mine.tiles * KEYS, r.k);
	else
		e3_cp_commit();
	e3_cp_wait<1>();
	take_queries(mine.tiles, r);
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
	cudaError_t e =
		e3_launch_early<plan>(kernel_of(job->kv.pack), p, dim3((p.workers + GROUPS - 1) / GROUPS, parts), size, stream);
	return e ? e : e3_launch_early(add_pieces, p, dim3((job->kv.n_keys + 31) / 32), small, stream);
}
