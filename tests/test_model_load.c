/* A network is the same whatever number of threads reads it: tensors of several pieces, reordered, with LayerScale. */
#include "check.h"
#include "e3/checkpoint.h"
#include "e3/infer.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

/* Every value that a network gave to the device, in order, as one hash: `weight` and `upload` are listened to. */
typedef struct listener {
	e3_dev dev;
	e3_dev *cpu;
	e3_dev_ops ops;
	uint64_t hash;
	size_t matrices, values;
} listener;

static void hear(listener *l, const void *from, size_t bytes)
{
	l->hash = e3_fnv1a64((uint64_t[]){l->hash, e3_fnv1a64(from, bytes)}, 2 * sizeof l->hash);
	l->values += bytes / sizeof(float);
}

static int alloc(e3_dev *d, e3_dtype type, size_t n, e3_tensor *out, e3_err *err)
{
	e3_dev *cpu = ((listener *)d)->cpu;
	return cpu->ops->alloc(cpu, type, n, out, err);
}

static void release(e3_dev *d, void *p) { ((listener *)d)->cpu->ops->free(((listener *)d)->cpu, p); }

static int alloc_host(e3_dev *d, size_t bytes, void **out, e3_err *err)
{
	e3_dev *cpu = ((listener *)d)->cpu;
	return cpu->ops->alloc_host(cpu, bytes, out, err);
}

static void free_host(e3_dev *d, void *p) { ((listener *)d)->cpu->ops->free_host(((listener *)d)->cpu, p); }

static int upload(e3_dev *d, e3_tensor to, const void *from, size_t n, e3_err *err)
{
	e3_dev *cpu = ((listener *)d)->cpu;
	hear((listener *)d, from, n * e3_dtype_size(to.dtype));
	return cpu->ops->upload(cpu, to, from, n, err);
}

static int download(e3_dev *d, void *to, e3_tensor from, size_t n, e3_err *err)
{
	e3_dev *cpu = ((listener *)d)->cpu;
	return cpu->ops->download(cpu, to, from, n, err);
}

static int linear(e3_dev *d, const e3_linear *op, e3_err *err)
{
	e3_dev *cpu = ((listener *)d)->cpu;
	return cpu->ops->linear(cpu, op, err);
}

static int weight(e3_dev *d, const float *from, e3_mat *m, e3_err *err)
{
	listener *l = (listener *)d;
	hear(l, from, (size_t)m->out * (size_t)m->in * sizeof *from);
	l->matrices++;
	return l->cpu->ops->weight(l->cpu, from, m, err);
}

static listener load(const char *name, int threads)
{
	e3_err err = {""};
	listener l = {.cpu = e3_dev_cpu(1, &err)};
	l.ops = (e3_dev_ops){.alloc = alloc,
		.free = release,
		.alloc_host = alloc_host,
		.free_host = free_host,
		.upload = upload,
		.download = download,
		.linear = linear,
		.weight = weight};
	l.dev = (e3_dev){.ops = &l.ops, .attn_dtype = E3_F32, .feature_dtype = E3_F32};
	e3_ckpt *ckpt = e3_ckpt_open(name, &err);
	assert_non_null(ckpt);
	e3_ckpt_read_with(ckpt, threads);
	assert_int_equal(e3_ckpt_threads(ckpt), threads);
	e3_net *net = e3_net_open(ckpt, &l.dev, &err);
	if (!net)
		fail_msg("%s: %s", name, err.text);
	e3_net_close(net);
	e3_ckpt_close(ckpt);
	e3_dev_close(l.cpu);
	return l;
}

static void same_for_any_number_of_threads(void **state)
{
	static const char *const names[] = {"seed:tiny:7", "seed:lingbot-tiny:7"};
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		listener one = load(names[k], 1);
		assert_true(one.matrices > 50 && one.values > 1000000);
		for (int threads = 0; threads <= MOST; threads += threads < 3 ? 1 : 5) {
			listener other = load(names[k], threads);
			assert_true(other.hash == one.hash && other.values == one.values);
		}
		print_message("# %s: %zu matrices, %zu values\n", names[k], one.matrices, one.values);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same_for_any_number_of_threads)};
	return cmocka_run_group_tests_name("model_load", tests, NULL, NULL);
}
