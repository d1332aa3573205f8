/* dev: the CPU backend's table and memory. OpenBLAS does the products, one call per task of our own pool:
 * small products would lose more in OpenBLAS's own threads than they gain, and the steps around a product run on the
 * same thread, in cache. */
#include "cpu.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *cpu_name(e3_dev *dev) { return e3_cpu_of(dev)->label; }

static void cpu_close(e3_dev *dev)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	int n = cpu->pool ? e3_pool_threads(cpu->pool) + 1 : 0;
	for (int t = 0; cpu->scratch && t < n; t++)
		free(cpu->scratch[t].p);
	free(cpu->scratch);
	e3_pool_close(cpu->pool);
	free(cpu);
}

static e3_memory cpu_memory(e3_dev *dev)
{
	return (e3_memory){e3_rss_now(), (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE)};
}

static int cpu_alloc(e3_dev *dev, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	*out = (e3_tensor){e3_alloc(n, e3_dtype_size(dtype), "memory of the network", err), dtype};
	return out->p ? 0 : -1;
}

static void cpu_free(e3_dev *dev, void *p) { free(p); }

static bool halted(void *ctx)
{
	const e3_halt *h = ctx;
	return h->armed && h->stop && h->stop();
}

/* Everything is done when an operation returns, unless it was given up. */
static int cpu_wait(e3_dev *dev, e3_err *err)
{
	return e3_pool_stopped(e3_cpu_of(dev)->pool) ? e3_fail(err, "interrupted") : 0;
}

static int cpu_upload(e3_dev *dev, e3_tensor to, const void *from, size_t n, e3_err *err)
{
	memcpy(to.p, from, n * e3_dtype_size(to.dtype));
	return 0;
}

/* download and fetch */
static int cpu_download(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err)
{
	memcpy(to, from.p, n * e3_dtype_size(from.dtype));
	return 0;
}

static int cpu_copy(e3_dev *dev, e3_tensor to, e3_tensor from, size_t n, e3_err *err)
{
	return e3_check_copy(to, from, err) ? -1 : cpu_upload(dev, to, from.p, n, err);
}

static int cpu_weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	const e3_tiles *t = e3_cpu_of(dev)->tiles;
	mat->scale = NULL;
	if (e3_dtype_is_8(mat->packed))
		return e3_cpu_weight8(dev, from, mat, err);
	const e3_bf16 *h = e3_cpu_of(dev)->bf16;
	bool half = h && e3_cpu_in_bf16(mat);
	size_t n = e3_cpu_weight_values(t, h, mat);
	uint16_t *row = half ? e3_alloc((size_t)mat->in, sizeof *row, "a row", err) : NULL;
	if ((half && !row) || cpu_alloc(dev, half ? E3_BF16 : E3_F32, n, &mat->w, err)) {
		free(row);
		return -1;
	}
	if (half)
		e3_bf16_pack(h, from, mat->out, mat->in, row, (uint16_t *)(void *)mat->w.p);
	else if (e3_cpu_in_panels(mat))
		e3_tiles_pack(t, from, (size_t)mat->in, mat->out, mat->in, e3_tensor_floats(mat->w));
	else
		memcpy(mat->w.p, from, n * sizeof *from);
	free(row);
	return 0;
}

static int cpu_alloc_host(e3_dev *dev, size_t bytes, void **out, e3_err *err)
{
	*out = e3_alloc(bytes, 1, "results", err);
	return *out ? 0 : -1;
}

static void cpu_free_host(e3_dev *dev, void *p) { free(p); }

/* Everything is done when an operation returns: there is nothing to mark. */
static int cpu_nothing(e3_dev *dev, e3_err *err) { return 0; }

static int cpu_note(e3_dev *dev, const e3_activation *note, e3_err *err) { return 0; }

static int cpu_no_choice(e3_dev *dev, int which, e3_err *err) { return 0; }

static const e3_dev_ops cpu_ops = {
	.name = cpu_name,
	.close = cpu_close,
	.memory = cpu_memory,
	.alloc = cpu_alloc,
	.free = cpu_free,
	.upload = cpu_upload,
	.weight = cpu_weight,
	.download = cpu_download,
	.alloc_host = cpu_alloc_host,
	.free_host = cpu_free_host,
	.fetch = cpu_download,
	.mark = cpu_nothing,
	.wait = cpu_wait,
	.branch = cpu_no_choice,
	.finish = cpu_wait,
	.gather = cpu_no_choice,
	.launch = cpu_nothing,
	.note = cpu_note,
	.copy = cpu_copy,
	.patchify = e3_cpu_patchify,
	.linear = e3_cpu_linear,
	.norm = e3_cpu_norm,
	.copy_rows = e3_cpu_copy_rows,
	.mean_rows = e3_cpu_mean_rows,
	.qkv = e3_cpu_qkv,
	.attend = e3_cpu_attend,
	.mass = e3_cpu_mass,
	.match = e3_cpu_match,
	.mean_keys = e3_cpu_mean_keys,
	.shift = e3_cpu_shift,
	.novelty = e3_cpu_novelty,
	.move = e3_cpu_move,
	.modulate = e3_cpu_modulate,
	.conv = e3_cpu_conv,
	.deconv = e3_cpu_deconv,
	.upsample = e3_cpu_upsample,
	.add_uv = e3_cpu_add_uv,
	.dense = e3_cpu_dense,
	.enter = e3_cpu_enter,
	.reserve = e3_cpu_reserve,
	.score = e3_cpu_score,
	.choose = e3_cpu_choose,
};

/* OpenBLAS takes a buffer for each thread that calls it and keeps it; it tries for ever when it gets none. So they are
 * asked for here, where a failure has a message. Its functions for that are in no header. */
static int reserve_buffers(int threads, e3_err *err)
{
	enum { BUFFER = 132 << 20, MOST = 128 };
	extern void *blas_memory_alloc(int) __attribute__((weak));
	extern void blas_memory_free(void *) __attribute__((weak));
	void *at[MOST];
	int n = 0, want = e3_min(threads, MOST);
	while (n < want &&
		(at[n] = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
		n++;
	for (int k = 0; k < n; k++)
		munmap(at[k], BUFFER);
	if (n < want)
		return e3_fail(err, "opening the CPU: OpenBLAS needs %d MiB for each of %d threads: out of memory",
			BUFFER >> 20, threads);
	for (int k = 0; blas_memory_alloc && blas_memory_free && k < n; k++)
		at[k] = blas_memory_alloc(0);
	for (int k = 0; blas_memory_alloc && blas_memory_free && k < n; k++)
		blas_memory_free(at[k]);
	return 0;
}

e3_dev *e3_dev_cpu(int threads, e3_err *err)
{
	e3_cpu *cpu = e3_alloc(1, sizeof *cpu, "CPU backend", err);
	if (!cpu)
		return NULL;
	cpu->dev.ops = &cpu_ops;
	cpu->dev.apart = true;
	cpu->dev.halt = &cpu->halt;
	cpu->pool = e3_pool_open(threads > 0 ? threads : e3_processors(INT_MAX), E3_POOL_SPIN, err);
	if (cpu->pool)
		e3_pool_stop_by(cpu->pool, halted, &cpu->halt);
	if (cpu->pool)
		cpu->scratch = e3_alloc((size_t)e3_pool_threads(cpu->pool) + 1, sizeof *cpu->scratch, "CPU backend", err);
	cpu->tiles = e3_tiles_usable(0);
	openblas_set_num_threads(1);
	if (!cpu->pool || !cpu->scratch || reserve_buffers(e3_pool_threads(cpu->pool), err)) {
		cpu_close(&cpu->dev);
		return NULL;
	}
	snprintf(cpu->label, sizeof cpu->label, "cpu");
	return &cpu->dev;
}

int e3_dev_cpu_bf16(e3_dev *dev, e3_err *err)
{
	e3_cpu *cpu = e3_cpu_of(dev);
	cpu->bf16 = e3_bf16_usable();
	if (!cpu->bf16)
		return e3_fail(err, "opening the CPU: bf16: this processor has no products of it (AMX)");
	snprintf(cpu->label, sizeof cpu->label, "cpu, bf16 by %s", cpu->bf16->name);
	return 0;
}

void e3_dev_close(e3_dev *dev)
{
	if (dev)
		dev->ops->close(dev);
}
