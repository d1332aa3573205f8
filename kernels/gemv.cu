/* kernels: one row times a matrix: the camera head. Memory is the cost: weights are read once, in 16-byte pieces,
 * several in flight; the row (normalised if asked) lies in shared memory; arithmetic is f32, also where weights have 8
 * bits (doc/network.md 15.4).
 *
 * Blocks are small enough to run beside a block of the dense heads' convolutions on one multiprocessor, and few, so
 * that they do not keep those waiting. On Hopper the first weights are on their way before the row is there. */
#include "packed.cuh"
#include "values.cuh"

enum { THREADS = 128, WARPS = THREADS / 32, ROWS = 2, BLOCKS = 2 }; /* blocks for each multiprocessor */

typedef struct gemv_args {
	const float *x;
	int in, width; /* width: in, rounded up to whole pieces of the weights */
	bool norm;
	float eps;
	const float *norm_w, *norm_b;
	int ldw, out;
	const float *scale; /* of each output, or NULL */
	const float *b;
	e3_act act;
	bool add;
	float *y, *q, *k, *v;
	int dim, head_dim, head_stride;
} gemv_args;

/* Where value c of the row lies. A lane takes V values at a time, in fours: of 16, what the lanes of a warp take at the
 * same time lies side by side, for the banks. */
template <int V> static __device__ __forceinline__ int place_of(int c)
{
	if (V < 16)
		return c;
	int piece = c % (32 * V);
	return c - piece + piece % V / 4 * 128 + piece / V * 4 + c % 4;
}

/* x into shared memory, zeros up to width. */
template <int V> static __device__ void load_row(const gemv_args &a, float *x, float *room)
{
	float sum = 0, var = 0;
	for (int c = threadIdx.x; c < a.width; c += THREADS) {
		float v = c < a.in ? a.x[c] : 0;
		x[place_of<V>(c)] = v;
		sum += v;
	}
	if (a.norm) {
		float mean = block_sum(sum, room) / a.in;
		for (int c = threadIdx.x; c < a.in; c += THREADS) {
			float v = x[place_of<V>(c)] - mean;
			var += v * v;
		}
		float inv = 1.0f / sqrtf(block_sum(var, room) / a.in + a.eps);
		for (int c = threadIdx.x; c < a.in; c += THREADS) {
			float *v = x + place_of<V>(c);
			*v = (*v - mean) * inv * (a.norm_w ? a.norm_w[c] : 1.0f) + (a.norm_w ? a.norm_b[c] : 0.0f);
		}
	}
	__syncthreads();
}

static __device__ void put(const gemv_args &a, int o, float v)
{
	v = activate((a.scale ? v * a.scale[o] : v) + (a.b ? a.b[o] : 0.0f), a.act);
	if (a.q) {
		int kind = o / a.dim, at = o % a.dim;
		size_t place = (size_t)(at / a.head_dim) * a.head_stride + at % a.head_dim;
		if (kind == 0)
			a.q[at] = v;
		else
			(kind == 1 ? a.k : a.v)[place] = v;
		return;
	}
	a.y[o] = a.add ? a.y[o] + v : v;
}

/* The weights of ROWS outputs from `first`, into the second-level cache. */
template <typename T> static __device__ void fetch_early(const T *w, const gemv_args &a, int first)
{
#if __CUDA_ARCH__ >= 900
	const int line = 128 / sizeof(T);
	for (int r = 0; r < ROWS && first + r < a.out; r++)
		for (int c = threadIdx.x % 32 * line; c < a.in; c += 32 * line)
			asm volatile("prefetch.global.L2 [%0];" ::"l"(w + (size_t)(first + r) * a.ldw + c));
	asm volatile("griddepcontrol.wait;" ::: "memory"); /* what makes the row may still be running */
#endif
}

/* 16 weights of 8 bits as f32. */
template <typename T> static __device__ __forceinline__ void load_weights(const T *p, float (&to)[16])
{
	uint4 v = *(const uint4 *)(const void *)p;
	const uint32_t word[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
	for (int k = 0; k < 4; k++)
		values_of_four<T>(word[k], to + 4 * k);
}

/* ROWS outputs from `first` by one warp. */
template <typename T, int V>
static __device__ __forceinline__ void rows_by_warp(const T *w, const gemv_args &a, const float *x, int first)
{
	int lane = threadIdx.x % 32;
	float sum[ROWS] = {0};
	const T *row[ROWS];
	for (int r = 0; r < ROWS; r++)
		row[r] = w + (size_t)min(first + r, a.out - 1) * a.ldw;
#pragma unroll 4
	for (int c = lane * V; c < a.width; c += 32 * V)
		if constexpr (V == 16) {
			float t[ROWS][V];
#pragma unroll
			for (int r = 0; r < ROWS; r++)
				load_weights<T>(row[r] + c, t[r]);
#pragma unroll
			for (int e = 0; e < V; e += 4) {
				float u[4];
				load_pack<float, 4>(x + place_of<V>(c) + 32 * e, u);
#pragma unroll
				for (int r = 0; r < ROWS; r++)
#pragma unroll
					for (int i = 0; i < 4; i++)
						sum[r] += t[r][e + i] * u[i];
			}
		} else
#pragma unroll
			for (int r = 0; r < ROWS; r++) {
				float t[V];
				load_pack<T, V>(row[r] + c, t);
#pragma unroll
				for (int e = 0; e < V; e++)
					sum[r] += t[e] * x[c + e];
			}
	for (int r = 0; r < ROWS; r++) {
		float v = warp_sum(sum[r]);
		if (lane == 0 && first + r < a.out)
			put(a, first + r, v);
	}
}

template <typename T, int V> static __global__ void __launch_bounds__(THREADS, 9) gemv(const T *w, gemv_args a)
{
	extern __shared__ __align__(16) float x[];
	__shared__ float room[32];
	int first = (blockIdx.x * WARPS + threadIdx.x / 32) * ROWS, step = gridDim.x * WARPS * ROWS;
	fetch_early(w, a, first);
	load_row<V>(a, x, room);
	for (; first < a.out; first += step)
		rows_by_warp<T, V>(w, a, x, first);
}

template <typename T, int V> static cudaError_t launch(const e3_cuda *c, const e3_gemv *g, gemv_args *a)
{
	size_t shared = (size_t)e3_ceil_div(a->width, 32 * V) * 32 * V * sizeof(float);
	if (shared > c->shared_most)
		return cudaErrorInvalidValue;
	cudaError_t code = shared > 48 << 10
		? cudaFuncSetAttribute(gemv<T, V>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared)
		: cudaSuccess;
	if (code != cudaSuccess)
		return code;
	int blocks = e3_ceil_div(a->out, WARPS * ROWS), most = BLOCKS * c->attend.sms;
	cudaLaunchAttribute early = {.id = cudaLaunchAttributeProgrammaticStreamSerialization};
	early.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchConfig_t how = {.gridDim = dim3((unsigned)(blocks < most ? blocks : most)),
		.blockDim = dim3(THREADS),
		.dynamicSmemBytes = shared,
		.stream = e3_cuda_stream(c),
		.attrs = &early,
		.numAttrs = c->attend.wgmma ? 1u : 0u};
	return cudaLaunchKernelEx(&how, gemv<T, V>, (const T *)g->mat->w.p, *a);
}

int e3_cuda_gemv(e3_cuda *c, const e3_gemv *g, e3_err *err)
{
	const e3_mat *m = g->mat;
	e3_dtype type = m->w.dtype;
	gemv_args a = {g->x, m->in, e3_cuda_weight_ld(m), g->norm != NULL, g->norm ? g->norm->eps : 0,
		g->norm ? g->norm->w : NULL, g->norm ? g->norm->b : NULL, e3_cuda_weight_ld(m), m->out, m->scale, m->b, g->act,
		g->add, g->out, g->q, g->k, g->v, g->dim, g->head_dim, g->head_stride};
	if ((size_t)a.width * sizeof(float) > c->shared_most)
		return e3_fail(err, "linear: a row of %d values is too long", m->in);
	cudaError_t code = type == E3_I8               ? launch<int8_t, 16>(c, g, &a)
		: type == E3_F8                            ? launch<e4m3, 16>(c, g, &a)
		: type == E3_F16                           ? launch<f16, 8>(c, g, &a)
		: m->in % 4 == 0 && e3_aligned(m->w.p, 16) ? launch<float, 4>(c, g, &a)
												   : launch<float, 1>(c, g, &a);
	E3_TRY(code, "linear");
	return 0;
}
