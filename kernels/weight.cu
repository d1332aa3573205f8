/* kernels: weights, brought to the type of their use on the way to the device: f32 in, a staging buffer at a time, so
 * that a network takes no more device memory than what is kept of it. */
#include "values.cuh"
#include <stdlib.h>
#include <string.h>

enum { STAGE_FLOATS = 1 << 20 };

template <typename T> static __global__ void convert(const float *from, int rows, int in, int ld, T *to)
{
	size_t n = (size_t)rows * ld, step = (size_t)gridDim.x * blockDim.x;
	for (size_t k = (size_t)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += step) {
		size_t row = k / ld, col = k % ld;
		to[k] = as<T>(col < in ? from[row * in + col] : 0.0f);
	}
}

/* Memory of alloc_host: the device reads it by itself. */
static bool is_pinned(const void *p)
{
	cudaPointerAttributes at;
	if (cudaPointerGetAttributes(&at, p) == cudaSuccess)
		return at.type == cudaMemoryTypeHost;
	cudaGetLastError();
	return false;
}

/* The two halves of c->upload: of the device's, and of pinned memory where the values are not in such memory. */
static int open_upload(e3_cuda_upload *u, bool pinned, e3_err *err)
{
	for (int k = 0; k < 2; k++) {
		if (!u->device[k]) {
			E3_TRY(cudaMalloc((void **)&u->device[k], STAGE_FLOATS * sizeof(float)), "weight");
			E3_TRY(cudaEventCreateWithFlags(&u->done[k], cudaEventDisableTiming), "weight");
		}
		if (!pinned && !u->host[k])
			E3_TRY(cudaMallocHost((void **)&u->host[k], STAGE_FLOATS * sizeof(float)), "weight");
	}
	return 0;
}

/* f32 from the host through the halves of c->upload. Each half is used again when the device is done with it. Pinned
 * memory is free again when it has been read, which is waited for; other memory is copied first. */
static int send(e3_cuda *c, const float *from, const e3_mat *m, e3_err *err)
{
	e3_dtype type = m->w.dtype;
	int ld = e3_cuda_weight_ld(m);
	cudaStream_t stream = e3_cuda_stream(c);
	e3_cuda_upload *u = &c->upload;
	int at_once = STAGE_FLOATS / m->in;
	if (at_once == 0)
		return e3_fail(err, "weight: rows of %d values are too long", m->in);
	bool pinned = is_pinned(from);
	if (open_upload(u, pinned, err))
		return -1;
	for (int r = 0; r < m->out; r += at_once, u->next ^= 1) {
		int rows = m->out - r < at_once ? m->out - r : at_once, k = u->next;
		size_t bytes = (size_t)rows * m->in * sizeof(float);
		const float *source = from + (size_t)r * m->in;
		if (!pinned) {
			E3_TRY(cudaEventSynchronize(u->done[k]), "weight");
			memcpy(u->host[k], source, bytes);
			source = u->host[k];
		}
		void *to = type == E3_F32 ? (void *)((float *)m->w.p + (size_t)r * m->in) : u->device[k];
		E3_TRY(cudaMemcpyAsync(to, source, bytes, cudaMemcpyHostToDevice, stream), "weight");
		if (e3_dtype_is_8(type)) {
			e3_convert rows8 = {u->device[k], E3_F32, m->in, rows, m->in, NULL, m->w.p + (size_t)r * ld, type, ld, ld};
			if (e3_cuda_round(c, &rows8, m->scale + r, err))
				return -1;
		} else if (type == E3_F16)
			convert<f16><<<1024, 256, 0, stream>>>(u->device[k], rows, m->in, ld, (f16 *)m->w.p + (size_t)r * ld);
		E3_LAUNCHED("weight");
		E3_TRY(cudaEventRecord(u->done[k], stream), "weight");
	}
	if (pinned)
		E3_TRY(cudaStreamSynchronize(stream), "weight");
	return 0;
}

void e3_cuda_upload_close(e3_cuda *c)
{
	for (int k = 0; k < 2; k++) {
		if (c->upload.done[k])
			cudaEventSynchronize(c->upload.done[k]);
		cudaFreeHost(c->upload.host[k]);
		cudaFree(c->upload.device[k]);
		if (c->upload.done[k])
			cudaEventDestroy(c->upload.done[k]);
	}
	c->upload = (e3_cuda_upload){};
}

enum { SCALES = 1 << 20 };

/* Scales of a matrix: from pieces of 1 MiB that live as long as the device. (With its values they would take up to 2
 * MiB, since the driver gives memory in such pieces.) */
static int take_scales(e3_cuda *c, int n, float **out, e3_err *err)
{
	size_t bytes = ((size_t)n * sizeof(float) + 255) & ~(size_t)255;
	e3_cuda_scales *s = &c->scales;
	if (bytes > SCALES)
		return e3_fail(err, "weight: %d rows are too many", n);
	if (!s->n || s->used + bytes > SCALES) {
		if (s->n == (int)(sizeof s->p / sizeof *s->p))
			return e3_fail(err, "weight: too many matrices in 8 bits");
		E3_TRY(cudaMalloc((void **)&s->p[s->n], SCALES), "weight");
		s->n++, s->used = 0;
	}
	*out = (float *)(s->p[s->n - 1] + s->used);
	s->used += bytes;
	return 0;
}

void e3_cuda_scales_close(e3_cuda *c)
{
	while (c->scales.n)
		cudaFree(c->scales.p[--c->scales.n]);
}

/* ---- matrices that share memory ---- */

enum { CHUNK = 8 << 20, GRAIN = 2 << 20, APART = 256 };

static int open_chunk(e3_cuda_shared *s, e3_err *err)
{
	if (s->n == s->cap) {
		int cap = s->cap ? 2 * s->cap : 32;
		void *more = realloc(s->chunk, (size_t)cap * sizeof *s->chunk);
		if (!more)
			return e3_fail(err, "weight: out of memory");
		s->chunk = (decltype(s->chunk))more, s->cap = cap;
	}
	s->chunk[s->n] = {};
	E3_TRY(cudaMalloc((void **)&s->chunk[s->n].p, CHUNK), "weight");
	s->n++;
	return 0;
}

/* Where a matrix would not fill what the driver gives, it goes behind others. */
static int take_room(e3_cuda *c, e3_dtype type, size_t n, e3_tensor *out, e3_err *err)
{
	e3_cuda_shared *s = &c->shared;
	size_t bytes = (n * e3_dtype_size(type) + APART - 1) / APART * APART;
	if (bytes % GRAIN == 0 || bytes > CHUNK)
		return c->dev.ops->alloc(&c->dev, type, n, out, err);
	int k = 0;
	while (k < s->n && s->chunk[k].used + bytes > CHUNK)
		k++;
	if (k == s->n && open_chunk(s, err))
		return -1;
	*out = {(uint8_t *)s->chunk[k].p + s->chunk[k].used, type};
	s->chunk[k].used += bytes, s->chunk[k].live++;
	return 0;
}

bool e3_cuda_shared_free(e3_cuda *c, const void *p)
{
	e3_cuda_shared *s = &c->shared;
	for (int k = 0; k < s->n; k++) {
		const char *from = s->chunk[k].p;
		if ((const char *)p < from || (const char *)p >= from + CHUNK)
			continue;
		if (--s->chunk[k].live == 0) {
			cudaFree(s->chunk[k].p);
			s->chunk[k] = s->chunk[--s->n];
		}
		return true;
	}
	return false;
}

void e3_cuda_shared_close(e3_cuda *c)
{
	for (int k = 0; k < c->shared.n; k++)
		cudaFree(c->shared.chunk[k].p);
	free(c->shared.chunk);
	c->shared = {};
}

int e3_cuda_weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	e3_cuda *c = e3_cuda_of(dev);
	e3_dtype type = e3_cuda_weight_type(c, mat);
	mat->scale = NULL;
	if ((e3_dtype_is_8(type) && take_scales(c, mat->out, &mat->scale, err)) ||
		take_room(c, type, (size_t)mat->out * e3_cuda_ld_of(type, mat->in), &mat->w, err))
		return -1;
	if (send(c, from, mat, err) == 0)
		return 0;
	dev->ops->free(dev, mat->w.p);
	mat->w.p = NULL, mat->scale = NULL;
	return -1;
}
