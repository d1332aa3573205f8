/* kernels: attend.h, which family of kernels does a job, and how much workspace all of them want. */
#include "attend_impl.cuh"

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

cudaError_t e3_attend_open(e3_attend_dev *dev)
{
	int id, major = 0, minor = 0;
	cudaError_t e = cudaGetDevice(&id);
	if (!e)
		e = cudaDeviceGetAttribute(&dev->sms, cudaDevAttrMultiProcessorCount, id);
	if (!e)
		e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, id);
	if (!e)
		e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, id);
	dev->capability = 10 * major + minor;
	if (!e)
		e = e3_wgmma_open(dev);
	if (!e)
		e = e3_mma64_open(dev);
	if (!e)
		e = e3_mma_open();
	return e ? e : e3_plain_open();
}

size_t e3_attend_workspace(const e3_attend_dev *dev, int rows, int mass_keys, int heads, int head_dim)
{
	size_t bytes = most((size_t)heads * mass_keys * sizeof(float), e3_plain_bytes(rows, heads));
	if (dev->wgmma && head_dim == 64)
		bytes = most(bytes, most(e3_wgmma_attend_bytes(dev), e3_wgmma_mass_bytes(dev, rows, mass_keys, heads)));
	if (head_dim == 64)
		bytes = most(bytes, e3_mma64_bytes(dev));
	return e3_counter_bytes + bytes;
}

/* What every function refuses. */
static bool sound(const e3_attend_dev *dev, const e3_attend_job *job, int mass_keys)
{
	const e3_attend_kv *kv = &job->kv;
	return job->rows > 0 && e3_job_step(job) >= job->rows && kv->heads > 0 && kv->head_dim > 0 && kv->head_dim <= 128 &&
		kv->n_keys > 0 && kv->page_keys > 0 && job->q && kv->page && job->work &&
		job->size >= e3_attend_workspace(dev, job->rows, mass_keys, kv->heads, kv->head_dim);
}

cudaError_t e3_attend_f16(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream)
{
	if (!sound(dev, job, 0))
		return cudaErrorInvalidValue;
	if (e3_wgmma_fits(dev, job))
		return e3_wgmma_attend(dev, job, out, stream);
	if (e3_mma64_fits(dev, job))
		return e3_mma64_attend(dev, job, out, stream);
	if (e3_mma_fits(dev, job))
		return e3_mma_attend(job, out, stream);
	return e3_plain_attend(dev, job, false, out, stream);
}

cudaError_t e3_attend_f32(const e3_attend_dev *dev, const e3_attend_job *job, void *out, cudaStream_t stream)
{
	return sound(dev, job, 0) ? e3_plain_attend(dev, job, true, out, stream) : cudaErrorInvalidValue;
}

static cudaError_t mass_of(const e3_attend_dev *dev, const e3_attend_job *job, bool f32, float *mass,
	cudaStream_t stream)
{
	if (!f32 && e3_wgmma_fits(dev, job))
		return e3_wgmma_mass(dev, job, mass, stream);
	float *partial = e3_partials(job);
	cudaError_t e = !f32 && e3_mma64_fits(dev, job) ? e3_mma64_mass(job, partial, stream)
		: !f32 && e3_mma_fits(dev, job)             ? e3_mma_mass(job, partial, stream)
													: e3_plain_mass(job, f32, partial, stream);
	return e ? e : e3_plain_reduce(partial, job->kv.heads, job->kv.n_keys, mass, stream);
}

static cudaError_t mass_and_map(const e3_attend_dev *dev, const e3_attend_job *job, bool f32, float *const result[2],
	cudaStream_t stream)
{
	if (!sound(dev, job, job->kv.n_keys) || !job->lse)
		return cudaErrorInvalidValue;
	cudaError_t e = mass_of(dev, job, f32, result[0], stream);
	return e || !result[1] ? e : e3_plain_map(job, f32, result[1], stream);
}

cudaError_t e3_mass_f16(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, float *map,
	cudaStream_t stream)
{
	float *const result[2] = {mass, map};
	return mass_and_map(dev, job, false, result, stream);
}

cudaError_t e3_mass_f32(const e3_attend_dev *dev, const e3_attend_job *job, float *mass, float *map,
	cudaStream_t stream)
{
	float *const result[2] = {mass, map};
	return mass_and_map(dev, job, true, result, stream);
}
