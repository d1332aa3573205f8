/* kernels: feature maps: pictures to patches, positions, bilinear resizing, transposed convolution, copies
 * (doc/network.md 3.1, 4, 7). */
#include "maps.cuh"
#include "taps.cuh"
#include <string.h>
#include <type_traits>

/* An index of V values at a time: 32 bits, in which divisions are quick, unless that may be too few. */
template <int V> using index_of = std::conditional_t<V == 1, size_t, uint32_t>;

static __global__ void patchify(const uint8_t *rgb, int h, int w, int patch, float *out)
{
	int width = 3 * patch * patch, gw = w / patch;
	size_t n = (size_t)(h / patch) * gw * width;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (size_t)gridDim.x * blockDim.x) {
		int at = (int)(k % width), p = (int)(k / width), c = at / (patch * patch), y = at / patch % patch,
			x = at % patch;
		int row = p / gw * patch + y, col = p % gw * patch + x;
		float mean = c == 0 ? 0.485f : c == 1 ? 0.456f : 0.406f, dev = c == 0 ? 0.229f : c == 1 ? 0.224f : 0.225f;
		out[k] = __fdiv_rn(__fdiv_rn((float)rgb[3 * ((size_t)row * w + col) + c], 255.0f) - mean, dev);
	}
}

static int blocks_for(size_t n)
{
	size_t blocks = (n + 255) / 256;
	return (int)(blocks < 1 ? 1 : blocks < 16384 ? blocks : 16384);
}

int e3_cuda_patchify(e3_dev *dev, const e3_patchify *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	const void *picture;
	size_t bytes = 3 * (size_t)op->h * op->w;
	if (e3_cuda_stage(c, op->rgb, bytes, &picture, err))
		return e3_fail_in(err, "patchify");
	patchify<<<blocks_for(bytes), 256, 0, e3_cuda_stream(c)>>>((const uint8_t *)picture, op->h, op->w, op->patch,
		op->out);
	E3_LAUNCHED("patchify");
	return 0;
}

static __global__ void repeat_row(const float *x, int dim, e3_rows out)
{
	for (int k = blockIdx.x * blockDim.x + threadIdx.x; k < out.n * dim; k += gridDim.x * blockDim.x)
		out.p[(size_t)(k / dim) * out.ld + k % dim] = x[k % dim];
}

int e3_cuda_copy_rows(e3_dev *dev, e3_rows x, int dim, e3_rows out, e3_err *err)
{
	const size_t size = sizeof(float);
	if (e3_check_rows("copy_rows", x, out, err))
		return -1;
	if (x.n > 0 && dim > 0 && !x.ld) {
		repeat_row<<<blocks_for((size_t)x.n * dim), 256, 0, e3_cuda_stream(e3_cuda_of(dev))>>>(x.p, dim, out);
		E3_LAUNCHED("copy_rows");
		return 0;
	}
	if (x.n > 0 && dim > 0)
		E3_TRY(cudaMemcpy2DAsync(out.p, (size_t)out.ld * size, x.p, (size_t)x.ld * size, (size_t)dim * size,
				   (size_t)x.n, cudaMemcpyDeviceToDevice, e3_cuda_stream(e3_cuda_of(dev))),
			"copy_rows");
	return 0;
}

enum { MEAN_COLUMNS = 32, MEAN_PARTS = 32 };

/* A block of MEAN_COLUMNS × MEAN_PARTS threads takes the mean of neighbouring columns; the order of the sums depends on
 * nothing. */
static __global__ void mean_rows(e3_rows x, int dim, float *out)
{
	__shared__ double part[MEAN_PARTS][MEAN_COLUMNS + 1];
	int column = blockIdx.x * MEAN_COLUMNS + threadIdx.x;
	double sum = 0;
	for (int r = threadIdx.y; column < dim && r < x.n; r += MEAN_PARTS)
		sum += x.p[(size_t)r * x.ld + column];
	part[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.y || column >= dim)
		return;
	for (int k = 1; k < MEAN_PARTS; k++)
		sum += part[k][threadIdx.x];
	out[column] = (float)(sum / x.n);
}

int e3_cuda_mean_rows(e3_dev *dev, e3_rows x, int dim, float *out, e3_err *err)
{
	mean_rows<<<e3_ceil_div(dim, MEAN_COLUMNS), dim3(MEAN_COLUMNS, MEAN_PARTS), 0, e3_cuda_stream(e3_cuda_of(dev))>>>(x,
		dim, out);
	E3_LAUNCHED("mean_rows");
	return 0;
}

/* V neighbours lie in one half of the channels. */
template <typename T, int V> static __global__ void add_uv(T *x, int h, int w, int c, e3_uv uv)
{
	typedef index_of<V> index;
	int half = c / 2, per = c / V;
	index n = (index)h * w * per;
	for (index k = (index)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (index)gridDim.x * blockDim.x) {
		int at = (int)(k % per) * V, col = (int)(k / per % w), row = (int)(k / per / w);
		float v[V], u[V];
		load_pack<T, V>(x + (size_t)k * V, v);
		load_pack<float, V>(at < half ? uv.x + col * half + at : uv.y + row * half + at - half, u);
#pragma unroll
		for (int e = 0; e < V; e++)
			v[e] += u[e];
		store_pack<T, V>(x + (size_t)k * V, v);
	}
}

template <typename T> static void launch_uv(e3_features x, e3_uv uv, cudaStream_t stream)
{
	size_t n = (size_t)x.h * x.w * x.c;
	T *p = (T *)x.t.p;
	if (x.c % 8 == 0 && e3_aligned(p, 4 * sizeof(T)) && e3_aligned(uv.x, 16) && e3_aligned(uv.y, 16))
		add_uv<T, 4><<<blocks_for(n / 4), 256, 0, stream>>>(p, x.h, x.w, x.c, uv);
	else
		add_uv<T, 1><<<blocks_for(n), 256, 0, stream>>>(p, x.h, x.w, x.c, uv);
}

int e3_cuda_add_uv(e3_dev *dev, e3_features x, e3_uv uv, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	if (e3_check_add_uv(dev, x, err))
		return -1;
	E3_WITH_TYPE(x.t.dtype, T, launch_uv<T>(x, uv, e3_cuda_stream(c)));
	E3_LAUNCHED("add_uv");
	return 0;
}

/* V channels of one pixel for each thread; UV: with the position added. */
template <typename T, int V> static __global__ void resize(resize_args a, const T *x, T *out)
{
	typedef index_of<V> index;
	int per = a.c / V;
	index n = (index)a.to_h * a.to_w * per;
	for (index k = (index)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (index)gridDim.x * blockDim.x) {
		int at = (int)(k % per) * V, col = (int)(k / per % a.to_w), row = (int)(k / per / a.to_w);
		float v[V];
		resize_pixel<T, V>(a, x, row, col, at, v);
		store_pack<T, V>(out + (size_t)k * V, v);
	}
}

template <typename T>
static cudaError_t launch_resize(const resize_args *a, const void *x, void *out, cudaStream_t stream)
{
	const int wide = 16 / sizeof(T);
	if (a->c % (2 * wide) == 0 && e3_aligned(x, 16) && e3_aligned(out, 16))
		resize<T, wide>
			<<<blocks_for((size_t)a->to_h * a->to_w * (a->c / wide)), 256, 0, stream>>>(*a, (const T *)x, (T *)out);
	else
		resize<T, 1><<<blocks_for((size_t)a->to_h * a->to_w * a->c), 256, 0, stream>>>(*a, (const T *)x, (T *)out);
	return cudaGetLastError();
}

int e3_cuda_resize(e3_cuda *c, const resize_args *a, const void *x, void *out, e3_err *err)
{
	E3_WITH_TYPE(c->dev.feature_dtype, T, E3_TRY(launch_resize<T>(a, x, out, e3_cuda_stream(c)), "upsample"));
	return 0;
}

int e3_cuda_upsample(e3_dev *dev, e3_features x, e3_features out, e3_err *err)
{
	resize_args a = resize_of(x, out.h, out.w);
	return e3_check_upsample(dev, x, out, err) ? -1 : e3_cuda_resize(e3_cuda_of(dev), &a, x.t.p, out.t.p, err);
}

typedef struct spread_args {
	int h, w, k, c;
	const float *bias;
} spread_args;

/* Which cells add to pixel `at` of the output along one axis: `n` of them from `first` on, the first through tap `tap`,
 * the next through k taps less. */
typedef struct spread_from {
	int first, n, tap;
} spread_from;

static __device__ __forceinline__ spread_from cells_of(int at, int k, int cells)
{
	int cell = at / k, tap = at - cell * k + 1;
	bool before = tap == 1 && cell > 0, after = tap == k && cell < cells - 1;
	return {cell - before, 1 + before + after, tap + (before ? k : 0)};
}

static __device__ __forceinline__ int neighbours(int at, int n) { return (at > 0 ? 1 : 0) | (at < n - 1 ? 2 : 0); }

/* y [h * w][(k + 2) * (k + 2) * c] -> out [h * k][w * k][c], bias added; V channels at a time. */
template <typename T, int V> static __global__ void spread(spread_args a, const T *y, T *out)
{
	typedef index_of<V> index;
	int h = a.h, w = a.w, k = a.k, c = a.c / V;
	index n = (index)h * w * k * k * c;
	for (index at = (index)blockIdx.x * blockDim.x + threadIdx.x; at < n; at += (index)gridDim.x * blockDim.x) {
		int ch = (int)(at % c) * V, col = (int)(at / c % (w * k)), row = (int)(at / c / (w * k));
		const spread_from rows = cells_of(row, k, h), cols = cells_of(col, k, w);
		float v[V], u[V];
		load_pack<float, V>(a.bias + (4 * neighbours(row, h * k) + neighbours(col, w * k)) * a.c + ch, v);
		for (int i = 0; i < rows.n; i++)
			for (int j = 0; j < cols.n; j++) {
				size_t from = (size_t)(rows.first + i) * w + cols.first + j;
				int tap = (rows.tap - i * k) * (k + 2) + cols.tap - j * k;
				load_pack<T, V>(y + (from * (k + 2) * (k + 2) + tap) * a.c + ch, u);
#pragma unroll
				for (int e = 0; e < V; e++)
					v[e] += u[e];
			}
		store_pack<T, V>(out + (size_t)at * V, v);
	}
}

template <typename T> static void launch_spread(const spread_args *a, const void *y, void *out, cudaStream_t stream)
{
	const int wide = 16 / sizeof(T);
	size_t n = (size_t)a->h * a->w * a->k * a->k * a->c;
	if (a->c % wide == 0 && e3_aligned(y, 16) && e3_aligned(out, 16) && e3_aligned(a->bias, sizeof(float) * wide))
		spread<T, wide><<<blocks_for(n / wide), 256, 0, stream>>>(*a, (const T *)y, (T *)out);
	else
		spread<T, 1><<<blocks_for(n), 256, 0, stream>>>(*a, (const T *)y, (T *)out);
}

/* The product first, then every pixel gathers what belongs to it. */
int e3_cuda_deconv(e3_dev *dev, e3_features x, const e3_mat *m, e3_features out, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	int rows = x.h * x.w;
	e3_dtype type = x.t.dtype;
	e3_mat taps = *m;
	void *y;
	taps.b = NULL;
	if (e3_check_deconv(dev, x, m, out, err))
		return -1;
	if (m->w.dtype != type)
		return e3_fail(err, "deconv: the matrix is %s, expected %s", e3_dtype_name(m->w.dtype), e3_dtype_name(type));
	if (e3_cuda_scratch_get(c, SCRATCH_FEATURES, (size_t)rows * m->out * e3_dtype_size(type), &y, err))
		return e3_fail_in(err, "deconv");
	e3_linear product =
		{.x = x.t, .rows = rows, .ldx = m->in, .mat = &taps, .out = {(uint8_t *)y, type}, .ldo = m->out};
	if (e3_cuda_taps_many_can(c, x, m) ? e3_cuda_taps_many(c, x, m, (f16 *)y, err) : e3_cuda_linear(dev, &product, err))
		return e3_fail_in(err, "deconv");
	spread_args a = {x.h, x.w, out.h / x.h, out.c, m->b};
	E3_WITH_TYPE(type, T, launch_spread<T>(&a, y, out.t.p, e3_cuda_stream(c)));
	E3_LAUNCHED("deconv");
	return 0;
}
