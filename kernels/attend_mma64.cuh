/* kernels: what attention and mass by mma.sync for heads of 64 share (attend_mma64.cu, attend_mma64_mass.cu): a
 * launch's plan, tiles in shared memory, operands, products. */
#ifndef E3_KERNELS_ATTEND_MMA64_CUH
#define E3_KERNELS_ATTEND_MMA64_CUH

#include "attend_mma.cuh"

enum { D = 64, THREADS = 128, ROWS = 128, KEYS = 64, STAGES = 3, TILE = KEYS * D * 2, SHARED = STAGES * 2 * TILE };
enum { MASS_ROWS_MOST = 8192 };

typedef struct plan {
	const __half *q;
	__half *out;
	float *lse, *partial;
	int *count;
	e3_attend_kv kv;
	int rows, q_step, tiles, steps, blocks; /* query tiles of a head, key tiles, blocks that share the line */
	float scale;
} plan;

/* 64 rows of 128 bytes, of which the first `valid` exist, the others become zeros: 16 bytes of row r lie at chunk ^ r %
 * 8, so that neither these writes nor ldmatrix meet in a bank. */
static __device__ __forceinline__ void load_tile(uint32_t to, const __half *from, int valid)
{
	int chunk = threadIdx.x & 7, row = threadIdx.x >> 3;
	to += row * 128 + ((chunk ^ (row & 7)) << 4);
	from += row * D + chunk * 8;
#pragma unroll
	for (int i = 0; i < 4; i++)
		e3_cp16(to + i * 2048, row + i * 16 < valid ? from + i * 16 * D : from, row + i * 16 < valid);
}

/* What a thread has of 64 packed keys, and their values, on their way into shared memory as f16. */
template <int HALVES> struct packed_tile {
	e3_sixteen part[HALVES][2];
	/* Keys from row `at` of a page on, of which the first `valid` exist. */
	__device__ __forceinline__ void fetch(const e3_attend_kv &kv, int head, const void *page, int at, int valid)
	{
#pragma unroll
		for (int half = 0; half < HALVES; half++)
#pragma unroll
			for (int k = 0; k < 2; k++) {
				int row = k * 32 + threadIdx.x / 4;
				part[half][k] =
					e3_fetch_16(kv, page, half, (size_t)head * kv.page_keys + at + row, threadIdx.x % 4, row < valid);
			}
	}
	__device__ __forceinline__ void store(const e3_attend_kv &kv, uint32_t to) const
	{
#pragma unroll
		for (int half = 0; half < HALVES; half++)
#pragma unroll
			for (int k = 0; k < 2; k++) {
				uint4 a, b;
				int row = k * 32 + threadIdx.x / 4, chunk = threadIdx.x % 4 * 2;
				uint32_t at = to + half * TILE + row * 128;
				e3_unpack(kv, half, part[half][k], a, b);
				e3_put_16(at + ((chunk ^ (row & 7)) << 4), a), e3_put_16(at + ((chunk + 1 ^ (row & 7)) << 4), b);
			}
	}
};

/* Rows 0..31 from `first` on as operands: 16 rows and all channels twice, from global memory. at(row) is where a row
 * begins, or NULL. */
template <typename F> static __device__ __forceinline__ void fragments(uint32_t (&a)[2][4][4], F at)
{
	int lane = threadIdx.x & 31;
#pragma unroll
	for (int t = 0; t < 4; t++) {
		const uint32_t *row = (const uint32_t *)at(t * 8 + lane / 4);
#pragma unroll
		for (int k = 0; k < 4; k++)
#pragma unroll
			for (int half = 0; half < 2; half++)
				a[t / 2][k][t % 2 + 2 * half] = row ? __ldg(row + k * 8 + half * 4 + lane % 4) : 0;
	}
}

/* The warp's 32 rows of two tiles in shared memory. */
static __device__ __forceinline__ void fragments_of(uint32_t (&a)[2][4][4], uint32_t tiles)
{
	int lane = threadIdx.x & 31;
	uint32_t at = tiles + (threadIdx.x / 32 * 32 + lane % 16) * 128 + ((lane / 16 ^ (lane & 7)) << 4);
#pragma unroll
	for (int t = 0; t < 2; t++)
#pragma unroll
		for (int k = 0; k < 4; k++)
			ldmatrix(a[t][k], (at ^ k << 5) + t * 2048);
}

/* s[.][4 j + ...] = products of the 32 rows with rows 8 j + ... of the tile, N pairs of them from `pair` on */
template <int N>
static __device__ __forceinline__ void scores(float (&s)[2][8 * N], const uint32_t (&a)[2][4][4], uint32_t tile,
	int pair)
{
	int lane = threadIdx.x & 31;
	uint32_t at = tile + (lane % 8 + lane / 16 * 8) * 128 + (((lane >> 3 & 1) ^ (lane & 7)) << 4) + pair * 2048;
#pragma unroll
	for (int i = 0; i < 8 * N; i++)
		s[0][i] = s[1][i] = 0;
#pragma unroll
	for (int k = 0; k < 4; k++)
#pragma unroll
		for (int j = 0; j < N; j++) {
			uint32_t b[4];
			ldmatrix(b, (at ^ k << 5) + j * 2048);
#pragma unroll
			for (int t = 0; t < 2; t++) {
				mma(s[t] + 8 * j, a[t][k], b[0], b[1]);
				mma(s[t] + 8 * j + 4, a[t][k], b[2], b[3]);
			}
		}
}

/* ---- host ---- */

static plan make_plan(const e3_attend_job *job)
{
	const e3_attend_kv *kv = &job->kv;
	plan p = {};
	p.q = (const __half *)job->q;
	p.lse = job->lse;
	p.count = e3_counters(job);
	p.partial = e3_partials(job);
	p.kv = *kv;
	p.rows = job->rows;
	p.q_step = e3_job_step(job);
	p.tiles = (job->rows + ROWS - 1) / ROWS;
	p.steps = (kv->n_keys + KEYS - 1) / KEYS;
	p.scale = 1.0f / sqrtf((float)D);
	return p;
}

#endif
