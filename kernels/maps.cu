/* kernels: maps: pictures to patches, positions, bilinear resizing, transposed convolution, copies (doc/network.md 3.1,
 * 4, 7). */
#include "maps.cuh"
#include <string.h>

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

int e3_cuda_patchify(e3_dev *dev, const uint8_t *rgb, int h, int w, int patch, float *out, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	const void *picture;
	if (e3_cuda_stage(c, rgb, 3 * (size_t)h * w, &picture, err))
		return e3_fail_in(err, "patchify");
	patchify<<<blocks_for(3 * (size_t)h * w), 256, 0, e3_cuda_stream(c)>>>((const uint8_t *)picture, h, w, patch, out);
	E3_LAUNCHED("patchify");
	return 0;
}

int e3_cuda_copy_rows(e3_dev *dev, const float *x, int ldx, int rows, int dim, float *out, int ldo, e3_err *err)
{
	if (rows > 0 && dim > 0)
		E3_TRY(cudaMemcpy2DAsync(out, (size_t)ldo * sizeof *out, x, (size_t)ldx * sizeof *x, (size_t)dim * sizeof *x,
				   (size_t)rows, cudaMemcpyDeviceToDevice, e3_cuda_stream(e3_cuda_of(dev))),
			"copy_rows");
	return 0;
}

template <typename T> static __global__ void add_uv(T *x, int h, int w, int c, const float *uv_x, const float *uv_y)
{
	int half = c / 2;
	size_t n = (size_t)h * w * c;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (size_t)gridDim.x * blockDim.x) {
		int at = (int)(k % c), col = (int)(k / c % w), row = (int)(k / c / w);
		x[k] = as<T>(as_f32(x[k]) + (at < half ? uv_x[col * half + at] : uv_y[row * half + at - half]));
	}
}

int e3_cuda_add_uv(e3_dev *dev, float *x, int h, int w, int c, const float *uv_x, const float *uv_y, e3_err *err)
{
	e3_cuda *cu = e3_cuda_of(dev);
	int blocks = blocks_for((size_t)h * w * c);
	E3_WITH_TYPE(dev->feature_dtype, T,
		(add_uv<T><<<blocks, 256, 0, e3_cuda_stream(cu)>>>((T *)(void *)x, h, w, c, uv_x, uv_y)));
	E3_LAUNCHED("add_uv");
	return 0;
}

/* V channels of one pixel for each thread; UV: with the position added. */
template <typename T, int V> static __global__ void resize(resize_args a, const T *x, T *out)
{
	int per = a.c / V;
	size_t n = (size_t)a.to_h * a.to_w * per;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += (size_t)gridDim.x * blockDim.x) {
		int at = (int)(k % per) * V, col = (int)(k / per % a.to_w), row = (int)(k / per / a.to_w);
		float v[V];
		resize_pixel<T, V>(a, x, row, col, at, v);
		store_pack<T, V>(out + k * V, v);
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

int e3_cuda_upsample(e3_dev *dev, const float *x, const int from[2], int c, float *out, const int to[2], e3_err *err)
{
	resize_args a = resize_of(from, to, c);
	return e3_cuda_resize(e3_cuda_of(dev), &a, x, out, err);
}

/* y [h * w][k * k * c] -> out [h * k][w * k][c], bias added. */
template <typename T> static __global__ void spread(const T *y, const float *bias, int h, int w, int k, int c, T *out)
{
	size_t n = (size_t)h * w * k * k * c;
	for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; at < n; at += (size_t)gridDim.x * blockDim.x) {
		int ch = (int)(at % c), col = (int)(at / c % (w * k)), row = (int)(at / c / (w * k));
		size_t from = (((size_t)(row / k) * w + col / k) * k * k + (row % k) * k + col % k) * c + ch;
		out[at] = as<T>(as_f32(y[from]) + bias[ch]);
	}
}

int e3_cuda_deconv(e3_dev *dev, const float *x, int h, int w, const e3_mat *m, int k, float *out, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	e3_rows from = {x, dev->feature_dtype, m->in, h * w, m->in};
	e3_gemm g = {NULL, m->w, e3_cuda_weight_type(c, m), h * w, m->in, m->out, 0, e3_cuda_weight_ld(c, m), NULL, false,
		NULL, dev->feature_dtype, m->out};
	if (e3_cuda_weight_type(c, m) != dev->feature_dtype)
		return e3_fail(err, "deconv: the matrix was not meant for maps");
	if (e3_cuda_product_input(c, &from, m, &g.x, &g.ldx, err) ||
		e3_cuda_scratch_get(c, SCRATCH_PRODUCT, (size_t)h * w * m->out * e3_dtype_size(dev->feature_dtype), &g.d,
			err) ||
		e3_cuda_gemm(c, &g, err))
		return e3_fail_in(err, "deconv");
	int blocks = blocks_for((size_t)h * w * m->out);
	E3_WITH_TYPE(dev->feature_dtype, T,
		(spread<T><<<blocks, 256, 0, e3_cuda_stream(c)>>>((const T *)g.d, m->b, h, w, k, m->out / (k * k),
			(T *)(void *)out)));
	E3_LAUNCHED("deconv");
	return 0;
}
