/* A plug-in in place of libe3-cuda.so: the CPU as a GPU, which begins with the next frame before this one is done, and
 * computes frames of several streams as rows of one matrix. So what e3-infer does with a GPU is tested without one. Its
 * memory is what was allocated for devices, by the block. FAKE_CUDA_OPENS=N: it has room for N devices only.
 * FAKE_CUDA_KIB=N: so much memory; FAKE_CUDA_ROWS=N: every seventh time none for keys and values of more rows
 * than that.
 * FAKE_CUDA_TELLS=FILE: how many pictures and aggregators were begun ahead, and the KiB that were in use at most. */
#include "e3/dev.h"
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 64 << 10 };

static e3_dev_ops ops;
static const e3_dev_ops *cpu;
static atomic_ullong used;
static uint64_t peak; /* of used */

static uint64_t blocks(void *p) { return p ? (malloc_usable_size(p) + BLOCK - 1) / BLOCK * BLOCK : 0; }

static uint64_t most(const char *name)
{
	const char *said = getenv(name);
	return said ? strtoull(said, NULL, 10) : UINT64_MAX >> 10;
}

static void count(void *p)
{
	used += blocks(p);
	peak = used > peak ? used : peak;
}

static int take(e3_dev *dev, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	if (used + n * e3_dtype_size(dtype) > most("FAKE_CUDA_KIB") << 10)
		return e3_fail(err, "cuda: out of device memory: 3 of 80 MiB are left");
	int rc = cpu->alloc(dev, dtype, n, out, err);
	count(out->p);
	return rc;
}

static int weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	int rc = cpu->weight(dev, from, mat, err);
	count(mat->w.p);
	return rc;
}

static void give(e3_dev *dev, void *p)
{
	used -= blocks(p);
	cpu->free(dev, p);
}

static int project(e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	static atomic_int many;
	enum { EVERY = 7 };
	if ((uint64_t)op->rows > most("FAKE_CUDA_ROWS") && ++many % EVERY == 0)
		return e3_fail(err, "scratch memory: out of device memory: 3 of 80 MiB are left");
	return cpu->qkv(dev, op, err);
}

static e3_memory memory(e3_dev *dev) { return (e3_memory){used, UINT64_MAX}; }

static atomic_int begun[2];

static int ahead(e3_dev *dev, int which, e3_err *err)
{
	begun[which == E3_BRANCH_MAIN]++;
	return 0;
}

static void shut(e3_dev *dev)
{
	const char *path = getenv("FAKE_CUDA_TELLS");
	FILE *f = path ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%d %d %llu\n", begun[0], begun[1], (unsigned long long)peak >> 10);
		fclose(f);
	}
	cpu->close(dev);
}

static e3_dev *open_fake(bool strict, e3_err *err)
{
	static int opened;
	const char *most = getenv("FAKE_CUDA_OPENS");
	if (most && opened == atoi(most)) {
		e3_fail(err, "opening the device: cuda: out of device memory: 3 of 80 MiB are left");
		return NULL;
	}
	e3_dev *dev = e3_dev_cpu(1, err);
	if (!dev)
		return NULL;
	if (!opened++) {
		cpu = dev->ops, ops = *cpu;
		ops.alloc = take, ops.weight = weight, ops.free = give, ops.memory = memory, ops.ahead = ahead;
		ops.close = shut, ops.qkv = project;
	}
	dev->ops = &ops, dev->halt = NULL, dev->apart = false;
	return dev;
}

extern const e3_dev_plugin e3_dev_plugin_cuda;
const e3_dev_plugin e3_dev_plugin_cuda = {E3_DEV_ABI, open_fake};
