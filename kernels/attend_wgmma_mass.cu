/* kernels: the mass of each key on Hopper, bf16, head_dim 64.
 *
 * A block keeps the queries of one head in shared memory (a chunk of at most 1152 rows), and its four warpgroups walk on their own
 * along the line of (tile of 128 keys, tile of 64 queries) steps, cut into equal parts. The columns of the scores, made
 * probabilities by the log-sum-exp, are summed in registers while the keys stay the same; then the sum goes to the
 * workspace, and the last to arrive for a tile of keys adds up what all heads left, in order.
 *
 * There are twice as many exponentials to a product as in attention, so ON_FMA of 16 go to the FMA units.
 */
#include "attend_wgmma.cuh"

enum { D = 64, GROUPS = 4, THREADS = 128 * GROUPS, KEYS = 128, ROWS = 64, MAX_TILES = 18, UNROLL = 4, ON_FMA = 3 };
enum { Q_TILE = ROWS * D * 2, K_TILE = KEYS * D * 2 };

/* How the steps of a chunk are dealt out to its workers. */
typedef struct share {
	int tiles, each, more; /* query tiles; steps of every worker; workers that have one more */
} share;

typedef struct plan {
	const __nv_bfloat16 *q;
	const float *lse;
	float *partial, *mass;
	int *count;
	e3_attend_kv kv;
	int rows, chunks, tiles, key_tiles; /* query tiles of a chunk, the last of which may have fewer */
	int workers;                        /* warpgroups for a head and chunk, no more than there are steps */
	share most, last; /* of the chunks, of the last one */
	int page_shift;
	float scale;
} plan;

static size_t shared_bytes(int tiles) { return (size_t)tiles * (Q_TILE + ROWS * 4) + GROUPS * (K_TILE + KEYS * 16) + 1024; }

#ifdef E3_WGMMA

/* First step of worker g: the first ones have one step more than the others. */
static __device__ __forceinline__ int begin_of(share s, int g) { return g * s.each + min(g, s.more); }

/* Query tiles of this chunk, zeros past the last row, and their log-sum-exp in powers of 2 (infinite past the last row: no
 * probability). */
static __device__ void load_queries(const plan &p, int head, int first, int tiles, uint32_t q, float *lse)
{
	for (int i = threadIdx.x; i < tiles * ROWS * 8; i += THREADS) {
		int row = i >> 3, chunk = i & 7;
		bool take = first + row < p.rows;
		e3_cp16(q + e3_swizzle(row, chunk), p.q + ((size_t)head * p.rows + (take ? first + row : 0)) * D + chunk * 8, take);
	}
	e3_cp_commit();
	for (int row = threadIdx.x; row < tiles * ROWS; row += THREADS)
		lse[row] = first + row < p.rows ? p.lse[(size_t)head * p.rows + first + row] * E3_LOG2E : INFINITY;
	e3_cp_wait<0>();
	e3_fence_async();
	__syncthreads();
}

/* Sets out 128 keys of a head for the warpgroup's tile. The products with the last ones must be done. */
static __device__ __forceinline__ void ask_keys(const plan &p, int head, int first, uint32_t tile)
{
	int t = threadIdx.x & 127, chunk = t & 7;
#pragma unroll
	for (int g = 0; g < 2; g++) {
		int key = min(first + g * 64, p.kv.n_keys - 1), page = key >> p.page_shift;
		const __nv_bfloat16 *from = (const __nv_bfloat16 *)p.kv.page[page] + e3_row_at(p.kv, 0, head, key - (page << p.page_shift));
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int row = i * 16 + (t >> 3);
			bool take = first + g * 64 + row < p.kv.n_keys;
			e3_cp16(tile + e3_swizzle(g * 64 + row, chunk), from + (take ? row * D + chunk * 8 : 0), take);
		}
	}
	e3_cp_commit();
}

static __device__ __forceinline__ void await_keys(int group)
{
	e3_cp_wait<0>();
	e3_fence_async();
	e3_bar(1 + group, 128);
}

/* Half a tile of scores: 64 queries, 64 keys. */
static __device__ __forceinline__ void scores(float (&s)[32], uint64_t q, uint64_t k)
{
	e3_hold(s);
	e3_wgmma_fence();
#pragma unroll
	for (int i = 0; i < 4; i++)
		e3_wgmma_n64_ss(s, q + i * 2, k + i * 2, i != 0);
	e3_wgmma_commit();
}

/* sum[2 j + e] += probabilities of columns 8 j + 2 (lane % 4) + e in the thread's two rows. */
static __device__ __forceinline__ void add_up(const float (&s)[32], float *sum, float lse0, float lse1, float c)
{
#pragma unroll
	for (int i = 0; i < 32; i++) {
		float x = fmaf(s[i], c, -(i & 2 ? lse1 : lse0));
		bool fma = (i % 16) * ON_FMA / 16 != (i % 16 + 1) * ON_FMA / 16;
		sum[i / 4 * 2 + (i & 1)] += fma ? e3_exp2_fma(x) : e3_exp2(x);
	}
}

/* Query tiles part.x to part.y - 1 against the keys in place. While the scores of half a tile are exponentiated, the next half's
 * product runs; the assembler only follows this within one round of the loop, so a round is UNROLL tiles. */
static __device__ __forceinline__ void sum_tiles(float (&sum)[32], uint64_t q, uint64_t k, const float *lse, int2 part, float c)
{
	float a[32], b[32];
	lse += (threadIdx.x >> 5 & 3) * 16 + (threadIdx.x & 31) / 4;
	int tile = part.x;
	for (; tile + UNROLL <= part.y; tile += UNROLL) {
		scores(a, q + tile * (Q_TILE >> 4), k);
		scores(b, q + tile * (Q_TILE >> 4), k + (K_TILE >> 5));
#pragma unroll
		for (int i = 0; i < UNROLL; i++) {
			float lse0 = lse[(tile + i) * ROWS], lse1 = lse[(tile + i) * ROWS + 8];
			uint64_t next = q + (tile + i + 1) * (Q_TILE >> 4);
			e3_wgmma_wait<1>();
			e3_hold(a);
			add_up(a, sum, lse0, lse1, c);
			if (i + 1 < UNROLL) {
				scores(a, next, k);
				e3_wgmma_wait<1>();
			} else {
				e3_wgmma_wait<0>();
			}
			e3_hold(b);
			add_up(b, sum + 16, lse0, lse1, c);
			if (i + 1 < UNROLL)
				scores(b, next, k + (K_TILE >> 5));
		}
	}
	for (; tile < part.y; tile++) {
		float lse0 = lse[tile * ROWS], lse1 = lse[tile * ROWS + 8];
		scores(a, q + tile * (Q_TILE >> 4), k);
		scores(b, q + tile * (Q_TILE >> 4), k + (K_TILE >> 5));
		e3_wgmma_wait<1>();
		e3_hold(a);
		add_up(a, sum, lse0, lse1, c);
		e3_wgmma_wait<0>();
		e3_hold(b);
		add_up(b, sum + 16, lse0, lse1, c);
	}
}

/* Sums of the warpgroup's 64 rows: thread t gets key t. */
static __device__ __forceinline__ float gather(float (&sum)[32], float *room, int group)
{
	int t = threadIdx.x & 127, lane = t & 31;
#pragma unroll
	for (int i = 0; i < 32; i++) {
#pragma unroll
		for (int by = 4; by < 32; by *= 2)
			sum[i] += __shfl_xor_sync(~0u, sum[i], by);
	}
#pragma unroll
	for (int i = 0; i < 32; i++)
		if (lane / 4 == i % 8)
			room[(t >> 5) * KEYS + i / 2 * 8 + lane % 4 * 2 + (i & 1)] = sum[i];
	e3_bar(1 + group, 128);
	return (room[t] + room[KEYS + t]) + (room[2 * KEYS + t] + room[3 * KEYS + t]);
}

/* Where the sums of a worker for a tile of keys go: along the line of work, worker + tile grows with every piece. */
static __device__ __forceinline__ float *piece_of(const plan &p, int part, int worker, int tile)
{
	return p.partial + ((size_t)part * (p.workers + p.key_tiles) + worker + tile) * KEYS + (threadIdx.x & 127);
}

/* First worker that has steps of a tile of keys, and the one after the last. */
static __device__ int2 workers_of(share s, int workers, int tile)
{
	int a = tile * s.tiles / (s.each + 1), b;
	while (begin_of(s, a + 1) <= tile * s.tiles)
		a++;
	for (b = a + 1; b < workers && begin_of(s, b) < (tile + 1) * s.tiles; b++)
		;
	return make_int2(a, b);
}

/* Leaves the sums of a worker; the last one for a tile adds up what all left, each warp its 32 keys on its own. */
static __device__ void settle(const plan &p, int tile, float mine, int worker)
{
	enum { AHEAD = 8 }; /* loads under way */
	int parts = p.kv.heads * p.chunks, key = tile * KEYS + (threadIdx.x & 127);
	int2 rest = workers_of(p.last, p.workers, tile), most = p.chunks == 1 ? rest : workers_of(p.most, p.workers, tile);
	int total = p.kv.heads * ((p.chunks - 1) * (most.y - most.x) + rest.y - rest.x);
	*piece_of(p, blockIdx.y, worker, tile) = mine;
	__syncwarp();
	int done = 0;
	if ((threadIdx.x & 31) == 0)
		done = e3_arrive(p.count + tile * 4 + (threadIdx.x >> 5 & 3), total);
	__syncwarp();
	if (!__shfl_sync(~0u, done, 0))
		return;
	float sum = 0;
	for (int k = 0; k < max(most.y - most.x, rest.y - rest.x); k++)
		for (int part = 0; part < parts; part += AHEAD) {
			float x[AHEAD];
#pragma unroll
			for (int i = 0; i < AHEAD; i++) {
				int2 who = (part + i) % p.chunks == p.chunks - 1 ? rest : most;
				x[i] = part + i < parts && who.x + k < who.y ? __ldcg(piece_of(p, part + i, who.x + k, tile)) : 0;
			}
#pragma unroll
			for (int i = 0; i < AHEAD; i++)
				sum += x[i];
		}
	if (key < p.kv.n_keys)
		p.mass[key] = sum / (float)p.kv.heads;
}
#endif

/* Grid: blocks of a head and chunk; chunks of the heads. */
static __global__ void __launch_bounds__(THREADS, 1) mass_kernel(const __grid_constant__ plan p)
{
#ifdef E3_WGMMA
	extern __shared__ char shared[];
	int group = __shfl_sync(~0u, (int)threadIdx.x >> 7, 0), head = blockIdx.y / p.chunks, chunk = blockIdx.y % p.chunks;
	share mine = chunk == p.chunks - 1 ? p.last : p.most;
	int first = chunk * p.tiles * ROWS, tiles = mine.tiles;
	char *base = shared + ((0u - e3_smem(shared)) & 1023);
	uint32_t q = e3_smem(base), k = q + p.tiles * Q_TILE + group * K_TILE;
	float *lse = (float *)(base + p.tiles * Q_TILE + GROUPS * K_TILE), *room = lse + p.tiles * ROWS + group * 4 * KEYS;
	load_queries(p, head, first, tiles, q, lse);
	int worker = blockIdx.x * GROUPS + group;
	if (worker >= p.workers)
		return;
	int at = begin_of(mine, worker), end = begin_of(mine, worker + 1), tile = at / tiles;
	ask_keys(p, head, tile * KEYS, k);
	for (; at < end; tile++) {
		int from = at - tile * tiles, to = min(tiles, end - tile * tiles);
		float sum[32];
#pragma unroll
		for (int i = 0; i < 32; i++)
			sum[i] = 0;
		await_keys(group);
		sum_tiles(sum, e3_desc(q), e3_desc(k), lse, make_int2(from, to), p.scale * E3_LOG2E);
		float total = gather(sum, room, group);
		at = tile * tiles + to;
		if (at < end)
			ask_keys(p, head, (tile + 1) * KEYS, k);
		settle(p, tile, total, worker);
	}
#else
	__trap();
#endif
}

/* ---- host ---- */

static int chunks_of(int rows)
{
	int tiles = (rows + ROWS - 1) / ROWS;
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
	p.count = e3_counters(job) + E3_COUNT_MASS;
	p.kv = job->kv;
	p.rows = job->rows;
	p.chunks = chunks_of(job->rows);
	p.tiles = ((job->rows + ROWS - 1) / ROWS + p.chunks - 1) / p.chunks;
	p.chunks = ((job->rows + ROWS - 1) / ROWS + p.tiles - 1) / p.tiles;
	p.key_tiles = (job->kv.n_keys + KEYS - 1) / KEYS;
	p.page_shift = e3_page_shift(&job->kv);
	p.scale = 1.0f / sqrtf((float)D);
	int parts = job->kv.heads * p.chunks, last = (job->rows + ROWS - 1) / ROWS - (p.chunks - 1) * p.tiles;
	int most = blocks_of(dev, parts) * GROUPS;
	p.workers = last * p.key_tiles < most ? last * p.key_tiles : most;
	p.most = {p.tiles, p.tiles * p.key_tiles / p.workers, p.tiles * p.key_tiles % p.workers};
	p.last = {last, last * p.key_tiles / p.workers, last * p.key_tiles % p.workers};
	dim3 grid((p.workers + GROUPS - 1) / GROUPS, parts);
	mass_kernel<<<grid, THREADS, shared_bytes(p.tiles), stream>>>(p);
	return cudaGetLastError();
}
