/* kernels: the end of a dense head: resize with positions, 3×3 convolution, 1×1, exponentials (doc/network.md 7,
 * "Tail"). */
#include "dense.cuh"
#include "maps.cuh"
#include "taps.cuh"

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

/* Step by step, through feature maps of full size. */
static int by_steps(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err)
{
	e3_dtype type = c->dev.feature_dtype;
	size_t first = (px->pixels * op->z.c * e3_dtype_size(type) + 255) & ~(size_t)255;
	resize_args a = resize_of(op->z, op->H, op->W);
	a.uv = op->uv;
	void *wide;
	if (e3_cuda_scratch_get(c, SCRATCH_FEATURES, first + px->pixels * px->hid * e3_dtype_size(type), &wide, err) ||
		e3_cuda_resize(c, &a, op->z.t.p, wide, err))
		return -1;
	uint8_t *hidden = (uint8_t *)wide + first;
	e3_conv conv = {.x = {{(uint8_t *)wide, type}, op->H, op->W, op->z.c},
		.mat = op->conv,
		.stride = 1,
		.act = E3_ACT_RELU,
		.out = {{hidden, type}, op->H, op->W, op->conv->out}};
	if (e3_cuda_conv(&c->dev, &conv, err))
		return -1;
	int blocks = (int)((px->pixels + 255) / 256);
	E3_WITH_TYPE(type, T, (finish_pixels<T><<<blocks, 256, 0, e3_cuda_stream(c)>>>(*px, (const T *)hidden)));
	E3_LAUNCHED("dense");
	return 0;
}

/* At the size of z. */
static int by_taps(e3_cuda *c, const e3_dense *op, const pixel_args *px, e3_err *err)
{
	size_t tables = (e3_cuda_taps_tables(op) * sizeof(float) + 255) & ~(size_t)255;
	taps_maps maps;
	void *room;
	if (e3_cuda_scratch_get(c, SCRATCH_FEATURES, tables + e3_cuda_taps_size(op->z, op->conv) * sizeof(f16), &room, err))
		return -1;
	f16 *at = (f16 *)((uint8_t *)room + tables);
	return e3_cuda_taps_positions(c, op, (float *)room, err) || e3_cuda_taps(c, op->z, op->conv, at, &maps, err) ||
			e3_cuda_taps_pixels(c, &maps, op, (const float *)room, px, err)
		? -1
		: 0;
}

int e3_cuda_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	cudaStream_t stream = e3_cuda_stream(c);
	size_t pixels = (size_t)op->H * op->W;
	int n = op->out->out - 1;
	void *result;
	if (e3_check_dense(dev, op, err))
		return -1;
	if (n < 1 || n >= MOST)
		return e3_fail(err, "dense: %d values for each pixel: expected 2 to %d", n + 1, (int)MOST);
	if (e3_cuda_scratch_get(c, SCRATCH_RESULT, pixels * MOST * sizeof(float), &result, err))
		return e3_fail_in(err, "dense");
	float *value = (float *)result, *conf = value + pixels * (size_t)n;
	pixel_args px = {e3_tensor_floats(op->out->w), op->out->b, op->conv->out, n, pixels, value, conf};
	const int to[2] = {op->H, op->W};
	bool taps = op->conv->out <= TAPS_NARROW && e3_cuda_taps_can(c, op->z, op->conv, to);
	if (taps                          ? by_taps(c, op, &px, err)
			: e3_cuda_tail_can(c, op) ? e3_cuda_tail(c, op, &px, err)
									  : by_steps(c, op, &px, err))
		return e3_fail_in(err, "dense");
	E3_TRY(cudaMemcpyAsync(op->value, value, pixels * n * sizeof *value, cudaMemcpyDeviceToHost, stream), "dense");
	E3_TRY(cudaMemcpyAsync(op->conf, conf, pixels * sizeof *conf, cudaMemcpyDeviceToHost, stream), "dense");
	return 0;
}
