/* kernels: the end of a dense head: resize with positions, 3×3 convolution, 1×1, exponentials (doc/network.md 7,
 * "Tail"). */
#include "dense.cuh"
#include "maps.cuh"

template <typename T> static __global__ void __launch_bounds__(256) finish_pixels(pixel_args a, const T *hidden)
{
	for (size_t p = (size_t)blockIdx.x * blockDim.x + threadIdx.x; p < a.pixels; p += (size_t)gridDim.x * blockDim.x) {
		float v[MOST];
#pragma unroll
		for (int o = 0; o < MOST; o++)
			v[o] = o <= a.n ? a.b[o] : 0;
		for (int k = 0; k < a.hid; k++) {
			float u = as_f32(hidden[p * a.hid + k]);
#pragma unroll
			for (int o = 0; o < MOST; o++)
				v[o] += o <= a.n ? u * a.w[o * a.hid + k] : 0;
		}
#pragma unroll
		for (int o = 0; o < MOST; o++)
			if (o <= a.n)
				put_value(a, p, o, v[o]);
	}
}

/* Step by step, through maps of full size. */
static int by_steps(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err)
{
	int from[2] = {op->h, op->w}, to[2] = {op->H, op->W};
	size_t map = (px->pixels * op->c * e3_dtype_size(c->dev.feature_dtype) + 255) & ~(size_t)255;
	resize_args a = resize_of(from, to, op->c);
	a.uv_x = op->uv_x, a.uv_y = op->uv_y;
	void *wide, *hidden;
	if (e3_cuda_scratch_get(c, SCRATCH_MAP, map + px->pixels * px->hid * e3_dtype_size(c->dev.feature_dtype), &wide,
			err) ||
		e3_cuda_resize(c, &a, op->z, wide, err))
		return -1;
	hidden = (char *)wide + map;
	e3_conv conv = {.x = (const float *)wide,
		.h = op->H,
		.w = op->W,
		.mat = op->conv,
		.stride = 1,
		.act = E3_ACT_RELU,
		.out = (float *)hidden};
	if (e3_cuda_conv(&c->dev, &conv, err))
		return -1;
	int blocks = (int)((px->pixels + 255) / 256);
	E3_WITH_TYPE(c->dev.feature_dtype, T,
		(finish_pixels<T><<<blocks, 256, 0, e3_cuda_stream(c)>>>(*px, (const T *)hidden)));
	E3_LAUNCHED("dense");
	return 0;
}

int e3_cuda_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	cudaStream_t stream = e3_cuda_stream(c);
	size_t pixels = (size_t)op->H * op->W;
	int n = op->out->out - 1;
	void *result;
	if (n < 1 || n >= MOST)
		return e3_fail(err, "dense: %d values for each pixel: expected 2 to %d", n + 1, (int)MOST);
	if (e3_cuda_scratch_get(c, SCRATCH_RESULT, pixels * MOST * sizeof(float), &result, err))
		return e3_fail_in(err, "dense");
	float *value = (float *)result, *conf = value + pixels * (size_t)n;
	pixel_args px = {op->out->w, op->out->b, op->conv->out, n, pixels, value, conf};
	if (e3_cuda_tail_can(c, op) ? e3_cuda_tail(c, op, &px, err) : by_steps(c, op, &px, err))
		return e3_fail_in(err, "dense");
	E3_TRY(cudaMemcpyAsync(op->value, value, pixels * n * sizeof *value, cudaMemcpyDeviceToHost, stream), "dense");
	E3_TRY(cudaMemcpyAsync(op->conf, conf, pixels * sizeof *conf, cudaMemcpyDeviceToHost, stream), "dense");
	return 0;
}
