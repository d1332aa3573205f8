/* kernels: what is measured of keys without attention: how well they fit the frame's queries, and their means
 * (doc/network.md 9.8, 9.9; lib/dev/cpu_match.c is the reference). */
#include "pack.cuh"
#include "values.cuh"

enum { THREADS = 256, COLUMNS = 32, PARTS = 8 };

typedef struct match_args {
	const void *q;
	int rows, step, special, pool; /* step: rows from one head of q to the next */
	e3_attend_kv kv;
	size_t scores; /* bytes from the start of a page to its scores */
	float *part;   /* [heads][head_dim] */
} match_args;

/* A block of COLUMNS × PARTS threads: one head, neighbouring columns. */
template <typename T> static __global__ void mean_query(match_args a)
{
	__shared__ float part[PARTS][COLUMNS + 1];
	int d = a.kv.head_dim, column = blockIdx.x * COLUMNS + threadIdx.x, patches = a.rows - a.special;
	const T *q = (const T *)a.q + (size_t)blockIdx.y * a.step * d;
	float groups = (float)(a.special + (patches + a.pool - 1) / a.pool), sum = 0;
	for (int r = threadIdx.y; column < d && r < a.rows; r += PARTS) {
		int first = a.special + (r - a.special) / a.pool * a.pool;
		float size = r < a.special ? 1.0f : (float)min(a.pool, a.rows - first);
		sum += as_f32(q[(size_t)r * d + column]) / (groups * size);
	}
	part[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.y || column >= d)
		return;
	for (int k = 1; k < PARTS; k++)
		sum += part[k][threadIdx.x];
	a.part[blockIdx.y * d + column] = sum / a.kv.heads;
}

/* A warp for a key at a time. */
template <typename R> static __global__ void __launch_bounds__(THREADS) fit(match_args a)
{
	extern __shared__ float query[]; /* [head_dim] */
	int d = a.kv.head_dim, lane = threadIdx.x % 32, warps = gridDim.x * THREADS / 32;
	for (int c = threadIdx.x; c < d; c += THREADS) {
		float sum = 0;
		for (int h = 0; h < a.kv.heads; h++)
			sum += a.part[h * d + c];
		query[c] = sum;
	}
	__syncthreads();
	for (int k = (blockIdx.x * THREADS + threadIdx.x) / 32; k < a.kv.n_keys; k += warps) {
		char *page = (char *)a.kv.page[k / a.kv.page_keys];
		int row = k % a.kv.page_keys;
		float sum = 0;
		for (int h = 0; h < a.kv.heads; h++) {
			auto key = e3_rows_of<R>::at(a.kv, page, 0, h, row);
			for (int c = lane; c < d; c += 32)
				sum += query[c] * as_f32(key[c]);
		}
		sum = warp_sum(sum);
		if (lane == 0)
			((double *)(page + a.scores))[row] = sum / a.kv.heads;
	}
}

template <typename T, typename R> static void launch_match(const match_args *a, cudaStream_t stream)
{
	int d = a->kv.head_dim, blocks = e3_ceil_div(a->kv.n_keys, THREADS / 32);
	mean_query<T>
		<<<dim3((unsigned)e3_ceil_div(d, COLUMNS), (unsigned)a->kv.heads), dim3(COLUMNS, PARTS), 0, stream>>>(*a);
	blocks = blocks < 1024 ? blocks : 1024;
	fit<R><<<blocks, THREADS, (size_t)d * sizeof(float), stream>>>(*a);
}

int e3_cuda_match(e3_dev *dev, const e3_match *m, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	match_args a = {m->q.p, m->rows, e3_q_step(m->q_step, m->rows), m->special, m->pool, {}, e3_kv_bytes(m->kv), NULL};
	void *part;
	if (e3_check_match(dev, m, err) || e3_cuda_stage_kv(c, m->kv, &a.kv, err) ||
		e3_cuda_scratch_get(c, SCRATCH_MATCH, (size_t)m->kv->heads * m->kv->head_dim * sizeof(float), &part, err))
		return e3_fail_in(err, "match");
	a.part = (float *)part;
	bool f32 = m->kv->dtype == E3_F32;
	(m->kv->pack  ? f32 ? launch_match<float, e3_packed> : launch_match<f16, e3_packed>
			 : f32 ? launch_match<float, float>
				  : launch_match<f16, f16>)(&a, e3_cuda_stream(c));
	E3_LAUNCHED("match");
	return 0;
}

typedef struct mean_args {
	e3_attend_kv kv;
	const uint32_t *slot;
	int n;
	float *out;
} mean_args;

/* Grid: stretches of columns, heads, layers. */
template <typename R> static __global__ void mean_keys(const mean_args *layers)
{
	__shared__ double part[PARTS][COLUMNS + 1];
	mean_args a = layers[blockIdx.z];
	int d = a.kv.head_dim, column = blockIdx.x * COLUMNS + threadIdx.x;
	double sum = 0;
	for (int k = threadIdx.y; column < d && k < a.n; k += PARTS) {
		uint32_t slot = a.slot[k], keys = (uint32_t)a.kv.page_keys;
		auto key = e3_rows_of<R>::at(a.kv, a.kv.page[slot / keys], 0, (int)blockIdx.y, (int)(slot % keys));
		sum += as_f32(key[column]);
	}
	part[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.y || column >= d)
		return;
	for (int k = 1; k < PARTS; k++)
		sum += part[k][threadIdx.x];
	a.out[blockIdx.y * d + column] = (float)(sum / a.n);
}

int e3_cuda_mean_keys(e3_dev *dev, const e3_mean_keys *layer, int layers, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	mean_args args[E3_LAYERS_MOST];
	const void *staged, *slot;
	if (layers <= 0)
		return 0;
	for (int l = 0; l < layers; l++) {
		if (e3_cuda_put_kv(c, layer[l].kv, &args[l].kv, err) ||
			e3_cuda_put(c, layer[l].slot, (size_t)layer[l].n * sizeof *layer[l].slot, &slot, err))
			return e3_fail_in(err, "mean_keys");
		args[l].slot = (const uint32_t *)slot, args[l].n = layer[l].n, args[l].out = layer[l].out;
	}
	if (e3_cuda_stage(c, args, (size_t)layers * sizeof *args, &staged, err))
		return e3_fail_in(err, "mean_keys");
	const e3_kv *kv = layer[0].kv;
	dim3 grid((unsigned)e3_ceil_div(kv->head_dim, COLUMNS), (unsigned)kv->heads, (unsigned)layers),
		block(COLUMNS, PARTS);
	if (kv->pack)
		mean_keys<e3_packed><<<grid, block, 0, e3_cuda_stream(c)>>>((const mean_args *)staged);
	else if (kv->dtype == E3_F32)
		mean_keys<float><<<grid, block, 0, e3_cuda_stream(c)>>>((const mean_args *)staged);
	else
		mean_keys<f16><<<grid, block, 0, e3_cuda_stream(c)>>>((const mean_args *)staged);
	E3_LAUNCHED("mean_keys");
	return 0;
}

cudaError_t e3_cuda_match_open(void)
{
	cudaFuncAttributes got;
	cudaError_t code = cudaFuncGetAttributes(&got, mean_query<float>);
	code = code ? code : cudaFuncGetAttributes(&got, mean_query<f16>);
	code = code ? code : cudaFuncGetAttributes(&got, fit<float>);
	code = code ? code : cudaFuncGetAttributes(&got, fit<f16>);
	code = code ? code : cudaFuncGetAttributes(&got, fit<e3_packed>);
	code = code ? code : cudaFuncGetAttributes(&got, mean_keys<e3_packed>);
	code = code ? code : cudaFuncGetAttributes(&got, mean_keys<float>);
	return code ? code : cudaFuncGetAttributes(&got, mean_keys<f16>);
}
