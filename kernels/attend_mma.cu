/* kernels: attention and mass for f16 on every GPU since compute capability 8.0, by warp-wide matrix products
 * (mma.sync); head_dim a multiple of 16 up to 128 (of packed keys
 * 32, 64 or 128). Simple rather than as fast as possible: one block for 128
 * queries (attention) or for 64 keys (mass) of a head, keys (or queries) double-buffered in shared memory.
 */
#include "attend_mma.cuh"

enum { THREADS = 256, ROWS = 128, KEYS = 64 };

/* Row of a tile in shared memory: head_dim and 16 bytes more, so that the 8 rows of a fragment lie in different banks.
 */
template <int D> constexpr int stride_of = D * 2 + 16;

typedef struct plan {
	const __half *q;
	__half *out;
	float *lse, *partial;
	e3_attend_kv kv;
	int rows, step; /* step: rows from one head of q to the next */
	float scale;
} plan;

/* `rows` rows from `from`, of which the first `valid` exist; the others become zeros. */
template <int D> static __device__ __forceinline__ void load_rows(uint32_t to, const __half *from, int rows, int valid)
{
	for (int i = threadIdx.x; i < rows * (D / 8); i += THREADS) {
		int row = i / (D / 8), chunk = i % (D / 8);
		e3_cp16(to + row * stride_of<D> + chunk * 16, from + (row < valid ? row * D + chunk * 8 : 0), row < valid);
	}
}

/* 64 keys from `first` (a multiple of 64) of K or V. */
template <int D>
static __device__ __forceinline__ void load_keys(const plan &p, int half, int head, int first, uint32_t to)
{
	int page = first / p.kv.page_keys;
	const __half *from = (const __half *)p.kv.page[page] + e3_row_at(p.kv, half, head, first - page * p.kv.page_keys);
	load_rows<D>(to, from, KEYS, p.kv.n_keys - first);
}

/* A packed tile on its way into shared memory: a thread's parts of 64 keys, 16 channels each. */
template <int D> struct packed_tile {
	e3_sixteen part[(KEYS * (D / 16) + THREADS - 1) / THREADS];
};

template <int D>
static __device__ __forceinline__ void fetch_packed(const plan &p, int half, int head, int first, packed_tile<D> &t)
{
	int page = first / p.kv.page_keys;
	size_t slot = (size_t)head * p.kv.page_keys + (first - page * p.kv.page_keys);
#pragma unroll
	for (int k = 0; k < sizeof t / sizeof *t.part; k++) {
		int i = k * THREADS + threadIdx.x, row = i / (D / 16);
		if (row < KEYS)
			t.part[k] = e3_fetch_16(p.kv, p.kv.page[page], half, slot + row, i % (D / 16), row < p.kv.n_keys - first);
	}
}

template <int D>
static __device__ __forceinline__ void store_packed(const plan &p, int half, const packed_tile<D> &t, uint32_t to)
{
#pragma unroll
	for (int k = 0; k < sizeof t / sizeof *t.part; k++) {
		int i = k * THREADS + threadIdx.x, row = i / (D / 16);
		uint4 a, b;
		if (row >= KEYS)
			continue;
		e3_unpack(p.kv, half, t.part[k], a, b);
		uint32_t at = to + row * stride_of<D> + i % (D / 16) * 32;
		e3_put_16(at, a), e3_put_16(at + 16, b);
	}
}

/* 64 keys, and their values if there are two halves: at once where they are f16, else between begin and end. */
template <int D, bool PACKED> struct key_tiles {
	packed_tile<D> half[PACKED ? 2 : 1];
	__device__ __forceinline__ void begin(const plan &p, int halves, int head, int first, uint32_t to)
	{
		for (int h = 0; h < halves; h++)
			if constexpr (PACKED)
				fetch_packed<D>(p, h, head, first, half[h]);
			else
				load_keys<D>(p, h, head, first, to + h * KEYS * stride_of<D>);
	}
	__device__ __forceinline__ void end(const plan &p, int halves, uint32_t to)
	{
		for (int h = 0; PACKED && h < halves; h++)
			store_packed<D>(p, h, half[PACKED ? h : 0], to + h * KEYS * stride_of<D>);
	}
};

/* The warp's 16 rows of a tile as operands, 4 registers for 16 channels. */
template <int D> static __device__ __forceinline__ void fragments(uint32_t (&a)[D / 16][4], uint32_t tile)
{
	int lane = threadIdx.x & 31;
	uint32_t at = tile + (threadIdx.x / 32 * 16 + lane % 16) * stride_of<D> + lane / 16 * 16;
#pragma unroll
	for (int k = 0; k < D / 16; k++)
		ldmatrix(a[k], at + k * 32);
}

/* s[4 j + ...] = scores of the warp's 16 rows against keys 8 j + ... of the tile */
template <int D>
static __device__ __forceinline__ void scores(float (&s)[32], const uint32_t (&a)[D / 16][4], uint32_t keys)
{
	int lane = threadIdx.x & 31;
	uint32_t at = keys + (lane % 8 + lane / 16 * 8) * stride_of<D> + (lane / 8 & 1) * 16;
#pragma unroll
	for (int i = 0; i < 32; i++)
		s[i] = 0;
#pragma unroll
	for (int k = 0; k < D / 16; k++)
#pragma unroll
		for (int j = 0; j < 4; j++) {
			uint32_t b[4];
			ldmatrix(b, at + j * 16 * stride_of<D> + k * 32);
			mma(s + 8 * j, a[k], b[0], b[1]);
			mma(s + 8 * j + 4, a[k], b[2], b[3]);
		}
}

/* o += P V for the probabilities in s */
template <int D> static __device__ __forceinline__ void weigh(float (&o)[D / 2], const float (&s)[32], uint32_t values)
{
	int lane = threadIdx.x & 31;
	uint32_t at = values + lane % 16 * stride_of<D> + lane / 16 * 16;
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t a[4];
#pragma unroll
		for (int i = 0; i < 4; i++)
			a[i] = e3_f16x2(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
#pragma unroll
		for (int j = 0; j < D / 16; j++) {
			uint32_t b[4];
			ldmatrix_turned(b, at + k * 16 * stride_of<D> + j * 32);
			mma(o + 8 * j, a, b[0], b[1]);
			mma(o + 8 * j + 4, a, b[2], b[3]);
		}
	}
}

/* Online softmax of 16 rows: scores to exp2(c (s - m)), sums; the output is scaled when the maximum grows. */
template <int D>
static __device__ __forceinline__ void softmax(float (&s)[32], float (&o)[D / 2], float (&m)[2], float (&l)[2], float c)
{
#pragma unroll
	for (int r = 0; r < 2; r++) {
		float top = m[r], sum = 0;
#pragma unroll
		for (int i = 0; i < 8; i++)
			top = fmaxf(top, fmaxf(s[4 * i + 2 * r], s[4 * i + 2 * r + 1]));
		top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
		top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
		float shrink = e3_exp2((m[r] - top) * c), base = top * c;
		m[r] = top;
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float &x = s[i / 2 * 4 + 2 * r + (i & 1)];
			x = e3_exp2(fmaf(x, c, -base));
			sum += x;
		}
		l[r] = l[r] * shrink + sum;
#pragma unroll
		for (int i = 0; i < D / 8; i++) {
			o[4 * i + 2 * r] *= shrink;
			o[4 * i + 2 * r + 1] *= shrink;
		}
	}
}

template <int D>
static __device__ void finish(const plan &p, int head, const float (&o)[D / 2], const float (&m)[2], float (&l)[2])
{
	int lane = threadIdx.x & 31;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int row = blockIdx.x * ROWS + threadIdx.x / 32 * 16 + lane / 4 + 8 * r;
		l[r] += __shfl_xor_sync(~0u, l[r], 1);
		l[r] += __shfl_xor_sync(~0u, l[r], 2);
		if (row >= p.rows)
			continue;
		uint32_t *to = (uint32_t *)(p.out + ((size_t)row * p.kv.heads + head) * D) + lane % 4;
		float by = 1.0f / l[r];
#pragma unroll
		for (int i = 0; i < D / 8; i++)
			to[i * 4] = e3_f16x2(o[4 * i + 2 * r] * by, o[4 * i + 2 * r + 1] * by);
		if (p.lse && lane % 4 == 0)
			p.lse[(size_t)head * p.rows + row] = m[r] * p.scale + logf(l[r]);
	}
}

/* Grid: query tiles, heads. Shared: the queries' tile is the second buffer's before the keys come. */
template <int D, bool PACKED>
static __global__ void __launch_bounds__(THREADS) attend_kernel(const __grid_constant__ plan p)
{
	extern __shared__ char shared[];
	constexpr int tile = KEYS * stride_of<D>;
	uint32_t smem = e3_smem(shared), a[D / 16][4];
	int head = blockIdx.y, first = blockIdx.x * ROWS, steps = (p.kv.n_keys + KEYS - 1) / KEYS;
	key_tiles<D, PACKED> tiles;
	tiles.begin(p, 2, head, 0, smem);
	tiles.end(p, 2, smem);
	load_rows<D>(smem + 2 * tile, p.q + ((size_t)head * p.step + first) * D, ROWS, p.rows - first);
	e3_cp_commit();
	e3_cp_wait<0>();
	__syncthreads();
	fragments<D>(a, smem + 2 * tile);
	__syncthreads();
	float o[D / 2], m[2] = {-INFINITY, -INFINITY}, l[2] = {0, 0}, s[32];
#pragma unroll
	for (int i = 0; i < D / 2; i++)
		o[i] = 0;
	for (int step = 0; step < steps; step++) {
		uint32_t now = smem + (step & 1) * 2 * tile, next = smem + (~step & 1) * 2 * tile;
		if (step + 1 < steps)
			tiles.begin(p, 2, head, (step + 1) * KEYS, next);
		e3_cp_commit();
		scores<D>(s, a, now);
		int valid = p.kv.n_keys - step * KEYS;
		if (valid < KEYS)
#pragma unroll
			for (int i = 0; i < 32; i++)
				if (i / 4 * 8 + threadIdx.x % 4 * 2 + (i & 1) >= valid)
					s[i] = -INFINITY;
		softmax<D>(s, o, m, l, p.scale * E3_LOG2E);
		weigh<D>(o, s, now + tile);
		if (step + 1 < steps)
			tiles.end(p, 2, next);
		e3_cp_wait<0>();
		__syncthreads();
	}
	finish<D>(p, head, o, m, l);
}

/* Grid: tiles of 64 keys, heads. The block's part of the mass is that of one head; a second kernel adds the heads. */
template <int D, bool PACKED>
static __global__ void __launch_bounds__(THREADS) mass_kernel(const __grid_constant__ plan p)
{
	extern __shared__ char shared[];
	__shared__ float room[THREADS / 32][KEYS];
	constexpr int tile = ROWS * stride_of<D>;
	uint32_t keys = e3_smem(shared), queries = keys + KEYS * stride_of<D>;
	int head = blockIdx.y, first = blockIdx.x * KEYS, steps = (p.rows + ROWS - 1) / ROWS, lane = threadIdx.x & 31;
	const __half *q = p.q + (size_t)head * p.step * D;
	const float c = p.scale * E3_LOG2E;
	key_tiles<D, PACKED> tiles;
	tiles.begin(p, 1, head, first, keys);
	tiles.end(p, 1, keys);
	load_rows<D>(queries, q, ROWS, p.rows);
	e3_cp_commit();
	float sum[16] = {};
	for (int step = 0; step < steps; step++) {
		e3_cp_wait<0>();
		__syncthreads();
		if (step + 1 < steps)
			load_rows<D>(queries + (~step & 1) * tile, q + (size_t)(step + 1) * ROWS * D, ROWS,
				p.rows - (step + 1) * ROWS);
		e3_cp_commit();
		uint32_t a[D / 16][4];
		float s[32], lse[2];
		for (int r = 0; r < 2; r++) {
			int row = step * ROWS + threadIdx.x / 32 * 16 + lane / 4 + 8 * r;
			lse[r] = row < p.rows ? p.lse[(size_t)head * p.rows + row] * E3_LOG2E : INFINITY;
		}
		fragments<D>(a, queries + (step & 1) * tile);
		scores<D>(s, a, keys);
#pragma unroll
		for (int i = 0; i < 32; i++)
			sum[i / 4 * 2 + (i & 1)] += e3_exp2(fmaf(s[i], c, -lse[i >> 1 & 1]));
	}
#pragma unroll
	for (int i = 0; i < 16; i++) {
		for (int by = 4; by < 32; by *= 2)
			sum[i] += __shfl_xor_sync(~0u, sum[i], by);
		if (lane < 4)
			room[threadIdx.x / 32][i / 2 * 8 + lane * 2 + (i & 1)] = sum[i];
	}
	__syncthreads();
	int key = first + threadIdx.x;
	if (threadIdx.x < KEYS && key < p.kv.n_keys) {
		float all = 0;
		for (int w = 0; w < THREADS / 32; w++)
			all += room[w][threadIdx.x];
		p.partial[(size_t)head * p.kv.n_keys + key] = all;
	}
}

/* ---- host ---- */

typedef void kernel(plan);
typedef struct entry {
	kernel *attend, *mass;
	int attend_bytes, mass_bytes;
} entry;

template <int D, bool PACKED> constexpr entry entry_of()
{
	return {attend_kernel<D, PACKED>, mass_kernel<D, PACKED>, 4 * KEYS * stride_of<D>,
		(KEYS + 2 * ROWS) * stride_of<D>};
}

static const entry by_dim[] = {entry_of<16, false>(), entry_of<32, false>(), entry_of<48, false>(),
	entry_of<64, false>(), entry_of<80, false>(), entry_of<96, false>(), entry_of<112, false>(),
	entry_of<128, false>()};
static const entry packed[] = {entry_of<32, true>(), entry_of<64, true>(), entry_of<128, true>()};

static const entry *entry_for(const e3_attend_kv *kv)
{
	int d = kv->head_dim;
	return kv->pack ? &packed[d / 64] : &by_dim[d / 16 - 1];
}

bool e3_mma_fits(const e3_attend_dev *dev, const e3_attend_job *job)
{
	const e3_attend_kv *kv = &job->kv;
	bool made = !kv->pack || (kv->pack != E3_PACK_BF16 && !(kv->head_dim & (kv->head_dim - 1)) && kv->head_dim >= 32);
	return made && dev->capability >= 80 && kv->head_dim % 16 == 0 && kv->head_dim >= 16 && kv->head_dim <= 128 &&
		(kv->page_keys % KEYS == 0 || kv->n_keys <= kv->page_keys);
}

cudaError_t e3_mma_open(void)
{
	const int dims = sizeof by_dim / sizeof *by_dim, all = dims + sizeof packed / sizeof *packed;
	for (int k = 0; k < all; k++) {
		const entry &e = k < dims ? by_dim[k] : packed[k - dims];
		cudaError_t err = cudaFuncSetAttribute(e.attend, cudaFuncAttributeMaxDynamicSharedMemorySize, e.attend_bytes);
		if (!err)
			err = cudaFuncSetAttribute(e.mass, cudaFuncAttributeMaxDynamicSharedMemorySize, e.mass_bytes);
		if (err)
			return err;
	}
	return cudaSuccess;
}

static plan make_plan(const e3_attend_job *job)
{
	plan p = {};
	p.q = (const __half *)job->q;
	p.lse = job->lse;
	p.kv = job->kv;
	p.rows = job->rows;
	p.step = e3_job_step(job);
	p.scale = 1.0f / sqrtf((float)job->kv.head_dim);
	return p;
}

cudaError_t e3_mma_attend(const e3_attend_job *job, void *out, cudaStream_t stream)
{
	plan p = make_plan(job);
	const entry *e = entry_for(&job->kv);
	p.out = (__half *)out;
	e->attend<<<dim3((job->rows + ROWS - 1) / ROWS, job->kv.heads), THREADS, e->attend_bytes, stream>>>(p);
	return cudaGetLastError();
}

cudaError_t e3_mma_mass(const e3_attend_job *job, float *partial, cudaStream_t stream)
{
	plan p = make_plan(job);
	const entry *e = entry_for(&job->kv);
	p.partial = partial;
	e->mass<<<dim3((job->kv.n_keys + KEYS - 1) / KEYS, job->kv.heads), THREADS, e->mass_bytes, stream>>>(p);
	return cudaGetLastError();
}
