/* kernels: attention, mass and attention map by f32 multiply-adds, for f32 (exact mode, the camera head) and for f16
 * of shapes that the tensor-core kernels refuse. Any head_dim up to 128, any page size. Few queries take a kernel of
 * their own, which reads the keys once at the speed of memory.
 */
#include "pack.cuh"

enum { THREADS = 256, TILE = 64, FEW = 8, MAX_SPLITS = 32 };

typedef struct plan {
	const void *q;
	void *out;
	float *lse, *partial, *result;
	int *count;
	e3_attend_kv kv;
	int rows, step, split; /* step: rows from one head of q to the next; split: keys of a block, for few queries */
	float scale;
} plan;

static __device__ __forceinline__ float load(const float *p) { return *p; }
static __device__ __forceinline__ float load(const __half *p) { return __half2float(*p); }
static __device__ __forceinline__ float load(const e3_packed_row &p) { return p[0]; }
static __device__ __forceinline__ void store(float *p, float x) { *p = x; }
static __device__ __forceinline__ void store(__half *p, float x)
{
	*p = __float2half_rn(fminf(fmaxf(x, -65504.0f), 65504.0f));
}

/* R: the type of the pages, T (of queries and results) or e3_packed. */
template <typename R> static __device__ __forceinline__ auto row_of(const plan &p, int half, int head, int key)
{
	int page = key / p.kv.page_keys;
	return e3_rows_of<R>::at(p.kv, p.kv.page[page], half, head, key - page * p.kv.page_keys);
}

/* ---- tiles: 64 queries by 64 keys, a thread has 4 by 4 of them: rows 4 y + i, columns x + 16 j;
 * of the output columns 4 x + 64 j + {0..3} ---- */

template <int D> constexpr int stride_of = D + 4; /* floats; rows of a float4 read lie in different banks */

/* Four channels of a row from d; channels past head_dim are zeros. */
static __device__ __forceinline__ float4 load4(const float *row, int d, int head_dim)
{
	if (d + 4 <= head_dim && head_dim % 4 == 0)
		return *(const float4 *)(row + d);
	return make_float4(d < head_dim ? row[d] : 0, d + 1 < head_dim ? row[d + 1] : 0, d + 2 < head_dim ? row[d + 2] : 0,
		d + 3 < head_dim ? row[d + 3] : 0);
}

template <typename P> static __device__ __forceinline__ float4 load4(P row, int d, int head_dim)
{
	return make_float4(d < head_dim ? load(row + d) : 0, d + 1 < head_dim ? load(row + d + 1) : 0,
		d + 2 < head_dim ? load(row + d + 2) : 0, d + 3 < head_dim ? load(row + d + 3) : 0);
}

/* 64 rows of queries, zeros past the last. */
template <typename T, int D> static __device__ void load_queries(const plan &p, int head, int first, float *to)
{
#pragma unroll 4
	for (int i = threadIdx.x; i < TILE * D / 4; i += THREADS) {
		int row = i / (D / 4), d = i % (D / 4) * 4;
		float4 x = make_float4(0, 0, 0, 0);
		if (first + row < p.rows)
			x = load4((const T *)p.q + ((size_t)head * p.step + first + row) * p.kv.head_dim, d, p.kv.head_dim);
		*(float4 *)(to + row * stride_of<D> + d) = x;
	}
}

template <typename R, int D> static __device__ void load_keys(const plan &p, int half, int head, int first, float *to)
{
#pragma unroll 4
	for (int i = threadIdx.x; i < TILE * D / 4; i += THREADS) {
		int row = i / (D / 4), d = i % (D / 4) * 4;
		float4 x = make_float4(0, 0, 0, 0);
		if (first + row < p.kv.n_keys)
			x = load4(row_of<R>(p, half, head, first + row), d, p.kv.head_dim);
		*(float4 *)(to + row * stride_of<D> + d) = x;
	}
}

template <int D> static __device__ __forceinline__ void scores(float (&s)[4][4], const float *q, const float *k)
{
	int x = threadIdx.x % 16, y = threadIdx.x / 16;
#pragma unroll
	for (int i = 0; i < 16; i++)
		s[i / 4][i % 4] = 0;
#pragma unroll 4
	for (int d = 0; d < D; d += 4) {
		float4 a[4], b[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			a[i] = *(const float4 *)(q + (4 * y + i) * stride_of<D> + d);
			b[i] = *(const float4 *)(k + (x + 16 * i) * stride_of<D> + d);
		}
#pragma unroll
		for (int i = 0; i < 16; i++) {
			float4 u = a[i / 4], v = b[i % 4];
			s[i / 4][i % 4] = fmaf(u.w, v.w, fmaf(u.z, v.z, fmaf(u.y, v.y, fmaf(u.x, v.x, s[i / 4][i % 4]))));
		}
	}
}

/* Over the 16 threads of a row. */
static __device__ __forceinline__ float row_max(float x)
{
	for (int by = 1; by < 16; by *= 2)
		x = fmaxf(x, __shfl_xor_sync(~0u, x, by));
	return x;
}

static __device__ __forceinline__ float row_sum(float x)
{
	for (int by = 1; by < 16; by *= 2)
		x += __shfl_xor_sync(~0u, x, by);
	return x;
}

/* Grid: query tiles, heads. */
template <typename T, typename R, int D>
static __global__ void __launch_bounds__(THREADS) attend_kernel(const __grid_constant__ plan p)
{
	extern __shared__ float shared[];
	float *q = shared, *kv = q + TILE * stride_of<D>, *prob = kv + TILE * stride_of<D>;
	int x = threadIdx.x % 16, y = threadIdx.x / 16, head = blockIdx.y, first = blockIdx.x * TILE;
	float o[4][D / 16], m[4], l[4], s[4][4];
#pragma unroll
	for (int i = 0; i < 4; i++) {
		m[i] = -INFINITY, l[i] = 0;
#pragma unroll
		for (int j = 0; j < D / 16; j++)
			o[i][j] = 0;
	}
	load_queries<T, D>(p, head, first, q);
	for (int key = 0; key < p.kv.n_keys; key += TILE) {
		__syncthreads();
		load_keys<R, D>(p, 0, head, key, kv);
		__syncthreads();
		scores<D>(s, q, kv);
		__syncthreads();
		load_keys<R, D>(p, 1, head, key, kv);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			float top = m[i], sum = 0;
#pragma unroll
			for (int j = 0; j < 4; j++) {
				s[i][j] = key + x + 16 * j < p.kv.n_keys ? s[i][j] * p.scale : -INFINITY;
				top = fmaxf(top, s[i][j]);
			}
			top = row_max(top);
			float shrink = expf(m[i] - top);
			m[i] = top;
#pragma unroll
			for (int j = 0; j < 4; j++) {
				s[i][j] = expf(s[i][j] - top);
				sum += s[i][j];
				prob[(4 * y + i) * stride_of<TILE> + x + 16 * j] = s[i][j];
			}
			l[i] = l[i] * shrink + row_sum(sum);
#pragma unroll
			for (int j = 0; j < D / 16; j++)
				o[i][j] *= shrink;
		}
		__syncthreads();
#pragma unroll 2
		for (int k = 0; k < TILE; k += 4) {
			float4 a[4];
#pragma unroll
			for (int i = 0; i < 4; i++)
				a[i] = *(const float4 *)(prob + (4 * y + i) * stride_of<TILE> + k);
#pragma unroll
			for (int e = 0; e < 4; e++)
#pragma unroll
				for (int j = 0; j < D / 64; j++) {
					float4 v = *(const float4 *)(kv + (k + e) * stride_of<D> + 64 * j + 4 * x);
#pragma unroll
					for (int i = 0; i < 4; i++) {
						float w = e == 0 ? a[i].x : e == 1 ? a[i].y : e == 2 ? a[i].z : a[i].w;
						o[i][4 * j] = fmaf(w, v.x, o[i][4 * j]);
						o[i][4 * j + 1] = fmaf(w, v.y, o[i][4 * j + 1]);
						o[i][4 * j + 2] = fmaf(w, v.z, o[i][4 * j + 2]);
						o[i][4 * j + 3] = fmaf(w, v.w, o[i][4 * j + 3]);
					}
				}
		}
	}
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int row = first + 4 * y + i;
		if (row >= p.rows)
			continue;
		T *to = (T *)p.out + ((size_t)row * p.kv.heads + head) * p.kv.head_dim;
#pragma unroll
		for (int j = 0; j < D / 16; j++)
			if (j / 4 * 64 + 4 * x + j % 4 < p.kv.head_dim)
				store(to + j / 4 * 64 + 4 * x + j % 4, o[i][j] / l[i]);
		if (p.lse && x == 0)
			p.lse[(size_t)head * p.rows + row] = m[i] + logf(l[i]);
	}
}

/* Probabilities of a tile, zero where there is no row. */
static __device__ __forceinline__ void probabilities(const plan &p, float (&s)[4][4], int head, int first)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int row = first + threadIdx.x / 16 * 4 + i;
		float lse = row < p.rows ? p.lse[(size_t)head * p.rows + row] : INFINITY;
#pragma unroll
		for (int j = 0; j < 4; j++)
			s[i][j] = expf(s[i][j] * p.scale - lse);
	}
}

/* Grid: key tiles, heads. partial [heads][n_keys]: sums over rows. */
template <typename T, typename R, int D>
static __global__ void __launch_bounds__(THREADS) mass_kernel(const __grid_constant__ plan p)
{
	extern __shared__ float shared[];
	float *q = shared, *k = q + TILE * stride_of<D>, *room = k + TILE * stride_of<D>;
	int x = threadIdx.x % 16, y = threadIdx.x / 16, head = blockIdx.y, first = blockIdx.x * TILE;
	float s[4][4], sum[4] = {};
	load_keys<R, D>(p, 0, head, first, k);
	for (int row = 0; row < p.rows; row += TILE) {
		__syncthreads();
		load_queries<T, D>(p, head, row, q);
		__syncthreads();
		scores<D>(s, q, k);
		probabilities(p, s, head, row);
#pragma unroll
		for (int j = 0; j < 4; j++)
			sum[j] += (s[0][j] + s[1][j]) + (s[2][j] + s[3][j]);
	}
#pragma unroll
	for (int j = 0; j < 4; j++)
		room[y * TILE + x + 16 * j] = sum[j];
	__syncthreads();
	int key = first + threadIdx.x;
	if (threadIdx.x < TILE && key < p.kv.n_keys) {
		float all = 0;
		for (int i = 0; i < 16; i++)
			all += room[i * TILE + threadIdx.x];
		p.partial[(size_t)head * p.kv.n_keys + key] = all;
	}
}

/* Grid: key tiles, query tiles. map [rows][n_keys]. */
template <typename T, typename R, int D>
static __global__ void __launch_bounds__(THREADS) map_kernel(const __grid_constant__ plan p)
{
	extern __shared__ float shared[];
	float *q = shared, *k = q + TILE * stride_of<D>, s[4][4], sum[4][4] = {};
	int x = threadIdx.x % 16, y = threadIdx.x / 16, first = blockIdx.y * TILE, key = blockIdx.x * TILE;
	for (int head = 0; head < p.kv.heads; head++) {
		__syncthreads();
		load_queries<T, D>(p, head, first, q);
		load_keys<R, D>(p, 0, head, key, k);
		__syncthreads();
		scores<D>(s, q, k);
		probabilities(p, s, head, first);
#pragma unroll
		for (int i = 0; i < 16; i++)
			sum[i / 4][i % 4] += s[i / 4][i % 4];
	}
#pragma unroll
	for (int i = 0; i < 16; i++) {
		int row = first + 4 * y + i / 4, col = key + x + 16 * (i % 4);
		if (row < p.rows && col < p.kv.n_keys)
			p.result[(size_t)row * p.kv.n_keys + col] = sum[i / 4][i % 4] / (float)p.kv.heads;
	}
}

static __global__ void reduce_kernel(const float *partial, int heads, int keys, float *mass)
{
	int key = blockIdx.x * blockDim.x + threadIdx.x;
	if (key >= keys)
		return;
	float sum = 0;
	for (int head = 0; head < heads; head++)
		sum += partial[(size_t)head * keys + key];
	mass[key] = sum / (float)heads;
}

/* ---- few queries: a block for a stretch of keys of one head and query ---- */

/* Merges the result of later keys: both sides are (maximum, sum, output relative to the maximum). */
static __device__ __forceinline__ void join(float &m, float &l, float (&o)[4], float m2, float l2, const float (&o2)[4])
{
	float top = fmaxf(m, m2), a = l > 0 ? expf(m - top) : 0.0f, b = l2 > 0 ? expf(m2 - top) : 0.0f;
	m = top;
	l = l * a + l2 * b;
#pragma unroll
	for (int i = 0; i < 4; i++)
		o[i] = o[i] * a + o2[i] * b;
}

/* The running result of one query: weighted values, reference and sum of the exponentials. */
typedef struct few {
	float o[4], m, l;
} few;

/* The keys of a stretch (x to y): each warp takes every eighth group of 4 keys; lane t has channels t + 32 i. */
template <typename R>
static __device__ void few_keys(const plan &p, int head, const float (&q)[4], int2 stretch, few &r)
{
	int lane = threadIdx.x & 31, to = stretch.y;
	for (int key = stretch.x + threadIdx.x / 32 * 4; key < to; key += THREADS / 32 * 4) {
		float s[4] = {}, v[4][4];
#pragma unroll
		for (int j = 0; j < 4; j++) {
			int at = min(key + j, to - 1);
			auto k = row_of<R>(p, 0, head, at), w = row_of<R>(p, 1, head, at);
#pragma unroll
			for (int i = 0; i < 4; i++)
				if (lane + 32 * i < p.kv.head_dim) {
					s[j] = fmaf(q[i], load(k + lane + 32 * i), s[j]);
					v[j][i] = load(w + lane + 32 * i);
				} else {
					v[j][i] = 0;
				}
		}
#pragma unroll
		for (int j = 0; j < 4; j++) {
			for (int by = 1; by < 32; by *= 2)
				s[j] += __shfl_xor_sync(~0u, s[j], by);
			if (key + j < to)
				join(r.m, r.l, r.o, s[j] * p.scale, 1.0f, v[j]);
		}
	}
}

/* Grid: stretches, heads, queries. */
template <typename T, typename R>
static __global__ void __launch_bounds__(THREADS) few_kernel(const __grid_constant__ plan p)
{
	__shared__ float room[THREADS / 32][130];
	__shared__ bool last;
	int lane = threadIdx.x & 31, warp = threadIdx.x / 32, head = blockIdx.y, row = blockIdx.z, d = p.kv.head_dim;
	int from = blockIdx.x * p.split, to = min(from + p.split, p.kv.n_keys), query = head * p.rows + row;
	few r = {{}, -INFINITY, 0};
	float q[4], o2[4], (&o)[4] = r.o, &m = r.m, &l = r.l;
#pragma unroll
	for (int i = 0; i < 4; i++)
		q[i] = lane + 32 * i < d ? load((const T *)p.q + ((size_t)head * p.step + row) * d + lane + 32 * i) : 0.0f;
	few_keys<R>(p, head, q, make_int2(from, to), r);
#pragma unroll
	for (int i = 0; i < 4; i++)
		room[warp][lane + 32 * i] = o[i];
	room[warp][128] = m;
	room[warp][129] = l;
	__syncthreads();
	if (warp)
		return;
	for (int w = 1; w < THREADS / 32; w++) {
		for (int i = 0; i < 4; i++)
			o2[i] = room[w][lane + 32 * i];
		join(m, l, o, room[w][128], room[w][129], o2);
	}
	if (gridDim.x > 1) {
		float *all = p.partial + (size_t)query * MAX_SPLITS * 130, *mine = all + blockIdx.x * 130;
		for (int i = 0; i < 4; i++)
			mine[lane + 32 * i] = o[i];
		mine[128] = m;
		mine[129] = l;
		__syncwarp();
		if (lane == 0)
			last = e3_arrive(p.count + query, gridDim.x);
		__syncwarp();
		if (!last)
			return;
		m = -INFINITY, l = 0;
		for (int i = 0; i < 4; i++)
			o[i] = 0;
		for (int b = 0; b < gridDim.x; b++) {
			for (int i = 0; i < 4; i++)
				o2[i] = __ldcg(all + b * 130 + lane + 32 * i);
			join(m, l, o, __ldcg(all + b * 130 + 128), __ldcg(all + b * 130 + 129), o2);
		}
	}
	for (int i = 0; i < 4; i++)
		if (lane + 32 * i < d)
			store((T *)p.out + ((size_t)row * p.kv.heads + head) * d + lane + 32 * i, o[i] / l);
	if (p.lse && lane == 0)
		p.lse[query] = m + logf(l);
}

/* ---- host ---- */

typedef void kernel(plan);
typedef struct entry {
	kernel *attend, *mass, *map, *few;
	int bytes;
} entry;

template <typename T, typename R, int D> constexpr entry entry_of()
{
	return {attend_kernel<T, R, D>, mass_kernel<T, R, D>, map_kernel<T, R, D>, few_kernel<T, R>,
		(2 * TILE * (D + 4) + TILE * (TILE + 4)) * (int)sizeof(float)};
}

template <typename T, typename R> constexpr entry entries_of[2] = {entry_of<T, R, 64>(), entry_of<T, R, 128>()};
static const entry *const entries[4] = {entries_of<__half, __half>, entries_of<__half, e3_packed>,
	entries_of<float, float>, entries_of<float, e3_packed>};

static const entry *entry_for(const e3_attend_job *job, bool f32)
{
	return &entries[2 * f32 + (job->kv.pack != E3_PACK_NONE)][job->kv.head_dim > 64];
}

cudaError_t e3_plain_open(void)
{
	for (int k = 0; k < 8; k++) {
		const entry *e = &entries[k / 2][k % 2];
		kernel *all[] = {e->attend, e->mass, e->map};
		for (kernel *one : all) {
			cudaError_t err = cudaFuncSetAttribute(one, cudaFuncAttributeMaxDynamicSharedMemorySize, e->bytes);
			if (err)
				return err;
		}
	}
	return cudaSuccess;
}

size_t e3_plain_bytes(int rows, int heads)
{
	return (size_t)(rows < FEW ? rows : FEW) * heads * MAX_SPLITS * 130 * sizeof(float);
}

static plan make_plan(const e3_attend_job *job)
{
	plan p = {};
	p.q = job->q;
	p.lse = job->lse;
	p.kv = job->kv;
	p.rows = job->rows;
	p.step = e3_job_step(job);
	p.scale = 1.0f / sqrtf((float)job->kv.head_dim);
	return p;
}

static unsigned tiles_of(int n) { return (unsigned)(n + TILE - 1) / TILE; }

/* Stretches of keys: enough blocks for the device, none under 64 keys. */
static int split_of(const e3_attend_dev *dev, const e3_attend_job *job)
{
	int want = 2 * dev->sms / (job->kv.heads * job->rows), most = (job->kv.n_keys + 63) / 64;
	int n = want < 1 ? 1 : want < most ? want : most;
	n = n < MAX_SPLITS ? n : MAX_SPLITS;
	return (job->kv.n_keys + n - 1) / n;
}

cudaError_t e3_plain_attend(const e3_attend_dev *dev, const e3_attend_job *job, bool f32, void *out,
	cudaStream_t stream)
{
	plan p = make_plan(job);
	const entry *e = entry_for(job, f32);
	p.out = out;
	if (job->rows <= FEW && job->rows * job->kv.heads <= E3_COUNTERS) {
		p.split = split_of(dev, job);
		p.partial = e3_partials(job);
		p.count = e3_counters(job);
		e->few<<<dim3((job->kv.n_keys + p.split - 1) / p.split, job->kv.heads, job->rows), THREADS, 0, stream>>>(p);
	} else {
		e->attend<<<dim3(tiles_of(job->rows), job->kv.heads), THREADS, e->bytes, stream>>>(p);
	}
	return cudaGetLastError();
}

cudaError_t e3_plain_mass(const e3_attend_job *job, bool f32, float *partial, cudaStream_t stream)
{
	plan p = make_plan(job);
	const entry *e = entry_for(job, f32);
	p.partial = partial;
	e->mass<<<dim3(tiles_of(job->kv.n_keys), job->kv.heads), THREADS, e->bytes, stream>>>(p);
	return cudaGetLastError();
}

cudaError_t e3_plain_map(const e3_attend_job *job, bool f32, float *map, cudaStream_t stream)
{
	plan p = make_plan(job);
	const entry *e = entry_for(job, f32);
	p.result = map;
	e->map<<<dim3(tiles_of(job->kv.n_keys), tiles_of(job->rows)), THREADS, e->bytes, stream>>>(p);
	return cudaGetLastError();
}

cudaError_t e3_plain_reduce(const float *partial, int heads, int keys, float *mass, cudaStream_t stream)
{
	reduce_kernel<<<(keys + 255) / 256, 256, 0, stream>>>(partial, heads, keys, mass);
	return cudaGetLastError();
}
