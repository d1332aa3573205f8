/* kernels: how unlike other keys each key is, and how much a block's second half moved each token (doc/network.md 9.10;
 * lib/dev/cpu_evict.c is the reference). Sums have a fixed order. */
#include "pack.cuh"
#include "values.cuh"
#include <math_constants.h>

enum { THREADS = 256, WARPS = THREADS / 32, CHUNKS = 16, JUDGES = 1024, MOST_HEAD = 128 };

/* ---- how far a row moved ---- */

static __global__ void __launch_bounds__(THREADS) shift(e3_rows a, e3_rows b, int dim, float *out)
{
	__shared__ float room[32];
	float sum = 0;
	for (int k = threadIdx.x; k < dim; k += THREADS) {
		float d = b.p[(size_t)blockIdx.x * b.ld + k] - a.p[(size_t)blockIdx.x * a.ld + k];
		sum += d * d;
	}
	sum = block_sum(sum, room);
	if (threadIdx.x == 0)
		out[blockIdx.x] = sqrtf(sum);
}

int e3_cuda_shift(e3_dev *dev, e3_rows before, e3_rows after, int dim, float *out, e3_err *err)
{
	if (e3_check_rows("shift", before, after, err))
		return -1;
	if (after.n > 0)
		shift<<<after.n, THREADS, 0, e3_cuda_stream(e3_cuda_of(dev))>>>(before, after, dim, out);
	E3_LAUNCHED("shift");
	return 0;
}

/* ---- novelty ---- */

typedef struct novelty_args {
	e3_attend_kv kv;
	size_t scores; /* bytes from the start of a page to its scores */
	const float *importance;
	double *mean; /* host memory */
	float *part;  /* [heads][CHUNKS][head_dim] */
	int *may;     /* [CHUNKS] */
} novelty_args;

static __device__ double *sum_of(const novelty_args &a, int k, uint32_t *id)
{
	int keys = a.kv.page_keys;
	double *sum = (double *)((char *)a.kv.page[k / keys] + a.scores);
	*id = ((const uint32_t *)(sum + keys))[k % keys];
	return sum + k % keys;
}

static __device__ bool is_protected(const e3_rule &r, uint32_t id)
{
	int64_t frame = id / r.tokens;
	return (frame == 0 && !r.free_first) || (r.newest_whole && frame == r.t) ||
		(id % r.tokens < r.special && r.t - frame < r.protected_frames);
}

/* A lane's values of a key, and 1 / its length. */
template <typename R> static __device__ float load_key(const novelty_args &a, int k, int head, float v[MOST_HEAD / 32])
{
	int keys = a.kv.page_keys, d = a.kv.head_dim;
	auto key = e3_rows_of<R>::at(a.kv, a.kv.page[k / keys], 0, head, k % keys);
	float square = 0;
#pragma unroll
	for (int j = 0; j < MOST_HEAD / 32; j++) {
		int c = j * 32 + threadIdx.x % 32;
		v[j] = c < d ? as_f32(key[c]) : 0;
		square += v[j] * v[j];
	}
	return 1.0f / fmaxf(sqrtf(warp_sum(square)), 1e-12f);
}

/* Sums of the directions of the keys that may go. Grid: chunks of keys, heads, layers. */
template <typename T>
static __global__ void __launch_bounds__(THREADS) directions(const novelty_args *layers, e3_rule r)
{
	__shared__ float part[WARPS][MOST_HEAD];
	__shared__ int many[WARPS];
	novelty_args a = layers[blockIdx.z];
	int warp = threadIdx.x / 32, lane = threadIdx.x % 32, d = a.kv.head_dim, may = 0;
	float sum[MOST_HEAD / 32] = {0}, v[MOST_HEAD / 32];
	for (int k = blockIdx.x * WARPS + warp; k < a.kv.n_keys; k += CHUNKS * WARPS) {
		uint32_t id;
		sum_of(a, k, &id);
		if (is_protected(r, id))
			continue;
		float inv = load_key<T>(a, k, (int)blockIdx.y, v);
#pragma unroll
		for (int j = 0; j < MOST_HEAD / 32; j++)
			sum[j] += v[j] * inv;
		may++;
	}
#pragma unroll
	for (int j = 0; j < MOST_HEAD / 32; j++)
		part[warp][j * 32 + lane] = sum[j];
	if (lane == 0)
		many[warp] = may;
	__syncthreads();
	for (int c = threadIdx.x; c < d; c += THREADS) {
		float all = 0;
		for (int w = 0; w < WARPS; w++)
			all += part[w][c];
		a.part[((size_t)blockIdx.y * CHUNKS + blockIdx.x) * d + c] = all;
	}
	if (threadIdx.x == 0 && blockIdx.y == 0) {
		may = 0;
		for (int w = 0; w < WARPS; w++)
			may += many[w];
		a.may[blockIdx.x] = may;
	}
}

/* 1 minus the mean over heads of the likeness to that mean. Grid: stretches of keys, layers. */
template <typename T> static __global__ void __launch_bounds__(THREADS) unlikeness(const novelty_args *layers)
{
	extern __shared__ float mean[]; /* [heads][head_dim] */
	novelty_args a = layers[blockIdx.y];
	int d = a.kv.head_dim, may = 0;
	for (int k = 0; k < CHUNKS; k++)
		may += a.may[k];
	for (int c = threadIdx.x; c < a.kv.heads * d; c += THREADS) {
		float sum = 0;
		for (int k = 0; k < CHUNKS; k++)
			sum += a.part[((size_t)(c / d) * CHUNKS + k) * d + c % d];
		mean[c] = may ? sum / may : 0;
	}
	__syncthreads();
	for (int k = blockIdx.x * WARPS + threadIdx.x / 32; k < a.kv.n_keys; k += gridDim.x * WARPS) {
		float v[MOST_HEAD / 32], like = 0;
		for (int h = 0; h < a.kv.heads; h++) {
			float inv = load_key<T>(a, k, h, v), dot = 0;
#pragma unroll
			for (int j = 0; j < MOST_HEAD / 32; j++) {
				int c = j * 32 + threadIdx.x % 32;
				dot += c < d ? v[j] * mean[h * d + c] : 0;
			}
			like += warp_sum(dot) * inv;
		}
		uint32_t id;
		double *sum = sum_of(a, k, &id);
		if (threadIdx.x % 32 == 0)
			*sum = 1 - (double)like / a.kv.heads;
	}
}

static __device__ double smoothed(const e3_rule &r, const float *importance, uint32_t index)
{
	if (index < r.special)
		return importance[index];
	int columns = (int)r.columns, rows = (int)((r.tokens - r.special) / r.columns), at = (int)(index - r.special);
	double sum = 0;
	for (int y = at / columns - 1; y <= at / columns + 1; y++)
		for (int x = at % columns - 1; x <= at % columns + 1; x++)
			if (y >= 0 && y < rows && x >= 0 && x < columns)
				sum += (y == at / columns ? 2 : 1) * (x == at % columns ? 2 : 1) / 16.0 *
					importance[(int)r.special + y * columns + x];
	return 0.5 * importance[index] + 0.5 * sum;
}

/* Over the block: f(x, y) of all, the same for each thread. */
template <typename F> static __device__ double over_block(double v, double *shared, F f)
{
	shared[threadIdx.x] = v;
	__syncthreads();
	for (int half = JUDGES / 2; half; half /= 2) {
		if (threadIdx.x < half)
			shared[threadIdx.x] = f(shared[threadIdx.x], shared[threadIdx.x + half]);
		__syncthreads();
	}
	double all = shared[0];
	__syncthreads();
	return all;
}

/* A block for a layer: scales old and new tokens, and takes the mean. */
static __global__ void __launch_bounds__(JUDGES) judge(const novelty_args *layers, e3_rule r)
{
	__shared__ double shared[JUDGES];
	novelty_args a = layers[blockIdx.x];
	double old_low = CUDART_INF, old_high = -CUDART_INF, new_low = CUDART_INF, new_high = -CUDART_INF, total = 0,
		   may = 0;
	auto least = [](double x, double y) { return fmin(x, y); };
	auto most = [](double x, double y) { return fmax(x, y); };
	auto add = [](double x, double y) { return x + y; };
	for (int k = threadIdx.x; k < a.kv.n_keys; k += JUDGES) {
		uint32_t id;
		double v = *sum_of(a, k, &id);
		int fresh = id / r.tokens == r.t;
		if (is_protected(r, id))
			continue;
		v = fresh && a.importance ? smoothed(r, a.importance, id % r.tokens) : v;
		if (fresh)
			new_low = fmin(new_low, v), new_high = fmax(new_high, v);
		else
			old_low = fmin(old_low, v), old_high = fmax(old_high, v);
		may++;
	}
	old_low = over_block(old_low, shared, least), old_high = over_block(old_high, shared, most);
	new_low = over_block(new_low, shared, least), new_high = over_block(new_high, shared, most);
	may = over_block(may, shared, add);
	bool scale = a.importance && old_low <= old_high;
	for (int k = threadIdx.x; k < a.kv.n_keys; k += JUDGES) {
		uint32_t id;
		double *sum = sum_of(a, k, &id), v = *sum;
		int fresh = id / r.tokens == r.t;
		if (is_protected(r, id))
			continue;
		v = fresh && a.importance ? smoothed(r, a.importance, id % r.tokens) : v;
		if (scale)
			total += *sum =
				0.5 * (v - (fresh ? new_low : old_low)) / ((fresh ? new_high - new_low : old_high - old_low) + 1e-8);
		else
			total += 1 - *sum;
	}
	total = over_block(total, shared, add);
	if (threadIdx.x == 0)
		*a.mean = may > 0 ? total / may : 0;
}

template <typename T>
static void launch_novelty(const novelty_args *staged, const e3_rule *r, const e3_kv *kv, int layers,
	cudaStream_t stream)
{
	directions<T><<<dim3(CHUNKS, (unsigned)kv->heads, (unsigned)layers), THREADS, 0, stream>>>(staged, *r);
	unlikeness<T>
		<<<dim3(64, (unsigned)layers), THREADS, (size_t)kv->heads * kv->head_dim * sizeof(float), stream>>>(staged);
	judge<<<layers, JUDGES, 0, stream>>>(staged, *r);
}

int e3_cuda_novelty(e3_dev *dev, const e3_rule *rule, const e3_novelty *layer, int layers, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	novelty_args args[E3_LAYERS_MOST];
	const void *staged;
	void *work;
	if (layers <= 0)
		return 0;
	const e3_kv *kv = layer[0].kv;
	size_t part = (size_t)kv->heads * CHUNKS * kv->head_dim;
	if (kv->head_dim > MOST_HEAD)
		return e3_fail(err, "novelty: heads of %d values, at most %d are possible", kv->head_dim, MOST_HEAD);
	if (e3_cuda_scratch_get(c, SCRATCH_MATCH, (size_t)layers * (part * sizeof(float) + CHUNKS * sizeof(int)), &work,
			err))
		return e3_fail_in(err, "novelty");
	for (int l = 0; l < layers; l++) {
		if (e3_cuda_put_kv(c, layer[l].kv, &args[l].kv, err))
			return e3_fail_in(err, "novelty");
		args[l].scores = e3_kv_bytes(layer[l].kv), args[l].importance = layer[l].importance;
		args[l].mean = layer[l].mean, args[l].part = (float *)work + (size_t)l * part;
		args[l].may = (int *)((float *)work + (size_t)layers * part) + l * CHUNKS;
	}
	if (e3_cuda_stage(c, args, (size_t)layers * sizeof *args, &staged, err))
		return e3_fail_in(err, "novelty");
	if (kv->pack)
		launch_novelty<e3_packed>((const novelty_args *)staged, rule, kv, layers, e3_cuda_stream(c));
	else if (kv->dtype == E3_F32)
		launch_novelty<float>((const novelty_args *)staged, rule, kv, layers, e3_cuda_stream(c));
	else
		launch_novelty<f16>((const novelty_args *)staged, rule, kv, layers, e3_cuda_stream(c));
	E3_LAUNCHED("novelty");
	return 0;
}

cudaError_t e3_cuda_novelty_open(void)
{
	cudaFuncAttributes got;
	cudaError_t code = cudaFuncGetAttributes(&got, shift);
	code = code ? code : cudaFuncGetAttributes(&got, directions<float>);
	code = code ? code : cudaFuncGetAttributes(&got, directions<f16>);
	code = code ? code : cudaFuncGetAttributes(&got, directions<e3_packed>);
	code = code ? code : cudaFuncGetAttributes(&got, unlikeness<e3_packed>);
	code = code ? code : cudaFuncGetAttributes(&got, unlikeness<float>);
	code = code ? code : cudaFuncGetAttributes(&got, unlikeness<f16>);
	return code ? code : cudaFuncGetAttributes(&got, judge);
}
