/* kernels: weights, brought to the type of their use on the way to the device: f32 in, a staging buffer at a time, so that a network
 * takes no more device memory than what is kept of it. */
#include "values.cuh"

enum { STAGE_FLOATS = 8 << 20 };

template <typename T> static __global__ void convert(const float *from, int rows, int in, int ld, T *to)
{
	size_t n = (size_t)rows * ld, step = (size_t)gridDim.x * blockDim.x;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += step) {
		size_t row = k / ld, col = k % ld;
		to[k] = as<T>(col < in ? from[row * in + col] : 0.0f);
	}
}

/* Rows [0, rows) of `from` into `to`, as many at a time as the staging buffer holds. */
static int convert_rows(e3_cuda *c, const float *from, const e3_mat *m, e3_real type, int ld, e3_err *err)
{
	cudaStream_t stream = e3_cuda_stream(c);
	int at_once = STAGE_FLOATS / m->in > 0 ? STAGE_FLOATS / m->in : 1;
	void *stage;
	if (e3_cuda_scratch_get(c, SCRATCH_INPUT, (size_t)(at_once < m->out ? at_once : m->out) * m->in * sizeof(float), &stage, err))
		return -1;
	for (int r = 0; r < m->out; r += at_once) {
		int rows = m->out - r < at_once ? m->out - r : at_once;
		E3_TRY(cudaMemcpyAsync(stage, from + (size_t)r * m->in, (size_t)rows * m->in * sizeof(float), cudaMemcpyHostToDevice, stream), "weight");
		if (type == E3_REAL_BF16)
			convert<bf16><<<1024, 256, 0, stream>>>((const float *)stage, rows, m->in, ld, (bf16 *)m->w + (size_t)r * ld);
		else
			convert<f16><<<1024, 256, 0, stream>>>((const float *)stage, rows, m->in, ld, (f16 *)m->w + (size_t)r * ld);
		E3_LAUNCHED("weight");
	}
	E3_TRY(cudaStreamSynchronize(stream), "weight");
	return 0;
}

int e3_cuda_weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	e3_real type = e3_cuda_weight_type(c, mat);
	int ld = e3_cuda_weight_ld(c, mat);
	if (dev->ops->alloc(dev, e3_real_floats(type, (size_t)mat->out * ld), &mat->w, err))
		return -1;
	int rc = type == E3_REAL_F32 ? dev->ops->upload(dev, mat->w, from, (size_t)mat->out * mat->in, err)
	                             : convert_rows(c, from, mat, type, ld, err);
	if (rc) {
		dev->ops->free(dev, mat->w);
		mat->w = NULL;
	}
	return rc;
}
