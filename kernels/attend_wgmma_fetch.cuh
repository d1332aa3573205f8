/* kernels: Hopper attention, the work of a launch and the warpgroup that fetches (see attend_wgmma.cu). */
#ifndef E3_KERNELS_ATTEND_WGMMA_FETCH_CUH
#define E3_KERNELS_ATTEND_WGMMA_FETCH_CUH

#include "attend_wgmma.cuh"

enum { D = 64, GROUPS = 3, ROWS = 64 * GROUPS, KEYS = 128, STAGES = 4, THREADS = 128 * (GROUPS + 1), LAG = 2 };
enum {
	TILE = KEYS * D * 2,
	MAX_BLOCKS = 255,
	PARTIAL = (32 + 4) * 128
}; /* bytes of a tile of K or V; floats of a warpgroup's partial result */
enum {
	Q_AT = 0,
	K_AT = Q_AT + ROWS * D * 2,
	V_AT = (int)K_AT + (int)STAGES * (int)TILE,
	ONES = 16 * 128, /* sixteen rows of ones, 64 columns of which 8 are used */
	ONES_AT = (int)V_AT + (int)STAGES * (int)TILE,
	BAR_AT = (int)ONES_AT + (int)ONES,
	SHARED = BAR_AT + 32 * STAGES + 16 + 1024
};
enum { BAR_GROUP = 1 }; /* named barriers: one for each warpgroup from here */

typedef struct plan {
	const __half *q;
	__half *out;
	float *lse, *partial;
	int *count;
	e3_attend_kv kv;
	int rows, q_step, tiles, steps; /* rows from one head of q to the next; query tiles of a head, key tiles */
	int tile_rows;                  /* of a query tile: 64 for each warpgroup that takes part */
	int page_shift;                 /* of a key's index; more than enough when there is one page */
	float scale;
	int begin[MAX_BLOCKS +
		1]; /* where each block begins on the line of steps: query tile (of all heads) * steps + key tile */
} plan;

#ifdef E3_WGMMA

/* The key tiles of a query tile that are a block's. */
static __device__ __forceinline__ int2 part_of(const plan &p, int tile, int block)
{
	int a = p.begin[block] - tile * p.steps, b = p.begin[block + 1] - tile * p.steps;
	return make_int2(max(a, 0), min(b, p.steps));
}

/* The order of a part: its last tile, which may not be full, then the others from the first on. */
static __device__ __forceinline__ int after(int2 part, int step) { return step == part.y - 1 ? part.x : step + 1; }

/* ---- fetching ---- */

typedef struct ring {
	uint32_t full, empty; /* barriers: full[half][stage], empty[half][stage] */
} ring;

static __device__ __forceinline__ uint32_t bar_of(uint32_t base, int half, int stage)
{
	return base + 8 * (half * STAGES + stage);
}

/* Where this thread's part of 64 keys from `key` lies: row thread / 8 of a head, 16 bytes. */
static __device__ __forceinline__ const char *source(const plan &p, int key, size_t at)
{
	key = min(key, p.kv.n_keys - 1);
	int page = key >> p.page_shift;
	return (const char *)p.kv.page[page] + at + (size_t)(key - (page << p.page_shift)) * (D * 2);
}

/* 128 keys into a tile, two times 64 that follow one another in memory; rows past the last key become zeros. */
static __device__ __forceinline__ void fetch(const plan &p, const char *const from[2], int valid, uint32_t to)
{
#pragma unroll
	for (int g = 0; g < 2; g++) {
		const char *at = from[g];
		asm volatile("" : "+l"(at)); /* one address, then constant offsets */
		if (valid >= KEYS) {
#pragma unroll
			for (int i = 0; i < 4; i++)
				e3_cp16_all(to + g * 8192 + i * 2048, at + i * 2048);
		} else {
#pragma unroll
			for (int i = 0; i < 4; i++) {
				bool take = g * 64 + i * 16 + ((int)threadIdx.x >> 3 & 15) < valid;
				e3_cp16(to + g * 8192 + i * 2048, take ? at + i * 2048 : (const char *)p.q, take);
			}
		}
	}
}

/* Tells the computing warpgroups that this warp's parts of half-tile n have arrived. */
static __device__ __forceinline__ void announce(uint32_t full, int n)
{
	e3_fence_async();
	__syncwarp();
	if ((threadIdx.x & 31) == 0)
		e3_mbar_arrive(bar_of(full, n & 1, (n >> 1) % STAGES));
}

static __device__ __forceinline__ void produce(const plan &p, ring bars, uint32_t smem)
{
	const size_t half_bytes = (size_t)p.kv.heads * p.kv.page_keys * (D * 2);
	const int row = threadIdx.x >> 3 & 15, chunk = threadIdx.x & 7;
	uint32_t to = smem + e3_swizzle(row, chunk);
	int n = 0; /* half-tiles: K of a step, V of it, K of the next */
	for (int tile = p.begin[blockIdx.x] / p.steps; tile * p.steps < p.begin[blockIdx.x + 1]; tile++) {
		int2 part = part_of(p, tile, blockIdx.x);
		size_t at = ((size_t)(tile / p.tiles) * p.kv.page_keys + row) * (D * 2) + chunk * 16;
		int step = part.y - 1;
		const char *next[2] = {source(p, step * KEYS, at), source(p, step * KEYS + 64, at)};
		for (int left = part.y - part.x; left; left--) {
			const char *from[2] = {next[0], next[1]};
			int valid = p.kv.n_keys - step * KEYS;
			step = after(part, step);
			next[0] = source(p, step * KEYS, at);
			next[1] = source(p, step * KEYS + 64, at);
#pragma unroll
			for (int half = 0; half < 2; half++, n++) {
				/* 1. Wait until every computing warp has returned this half of the stage.
				 * 2. Start the copies of it, as one group.
				 * 3. Announce the half-tile of LAG groups ago, whose copies have arrived by now. */
				int stage = (n >> 1) % STAGES;
				e3_mbar_wait(bar_of(bars.empty, half, stage), ((n >> 1) / STAGES & 1) ^ 1);
				fetch(p, from, valid, to + (half ? V_AT : K_AT) + stage * TILE);
				e3_cp_commit();
				from[0] += half_bytes;
				from[1] += half_bytes;
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
#endif

#endif
