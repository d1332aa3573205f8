/* The budget that an amount of device memory leaves (e3_session_fit), on a device that hands out whole blocks of 2 MiB,
 * as GPUs do. */
#include "check.h"
#include "e3/infer.h"
#include "e3/mem.h"

enum { ROWS = 56, COLUMNS = 70, POINTERS = 8192 };
#define BLOCK ((uint64_t)2 << 20)

static e3_dev *dev;
static e3_net *net;
static const e3_dev_ops *plain;
static e3_dev_ops counted;
static struct {
	const void *p;
	uint64_t bytes;
} list[POINTERS];
static int n_list;
static uint64_t used, most, loaded_most; /* most: of all that was in use at a time; and while the network was loaded */

static int count_alloc(e3_dev *d, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	if (plain->alloc(d, dtype, n, out, err))
		return -1;
	assert_in_range(n_list, 0, POINTERS - 1);
	list[n_list].p = out->p;
	list[n_list].bytes = (n * e3_dtype_size(dtype) + BLOCK - 1) / BLOCK * BLOCK;
	used += list[n_list++].bytes;
	most = used > most ? used : most;
	return 0;
}

static void count_free(e3_dev *d, void *p)
{
	for (int k = 0; k < n_list; k++)
		if (list[k].p == p) {
			used -= list[k].bytes;
			list[k] = list[--n_list];
			break;
		}
	plain->free(d, p);
}

static e3_memory count_memory(e3_dev *d) { return (e3_memory){used, UINT64_MAX}; }

static int set_up(void **state)
{
	e3_err err = {""};
	dev = e3_dev_cpu(2, &err);
	if (!dev)
		return -1;
	plain = dev->ops, counted = *plain;
	counted.alloc = count_alloc, counted.free = count_free, counted.memory = count_memory;
	dev->ops = &counted;
	e3_ckpt *c = e3_ckpt_open("seed:tiny:3", &err);
	net = c ? e3_net_open(c, dev, &err) : NULL;
	e3_ckpt_close(c);
	loaded_most = most;
	if (!net)
		print_error("%s\n", err.text);
	return net ? 0 : -1;
}

static int tear_down(void **state)
{
	e3_net_close(net);
	dev->ops = plain;
	e3_dev_close(dev);
	return 0;
}

/* All that is asked of the device while it is loaded is of the network. */
static void test_loading(void **state)
{
	assert_true(loaded_most > 0);
	assert_int_equal(loaded_most, used);
}

static void test_never_over(void **state)
{
	const int size[2] = {ROWS, COLUMNS};
	e3_err err = {""};
	e3_session_memory m;
	e3_infer_options o = e3_infer_defaults();
	o.frames = -1, o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2;
	assert_int_equal(e3_session_measure(net, dev, &o, size, &m, &err), 0);
	const uint64_t least = m.in_use;
	for (uint64_t more = 0; more < 10 * BLOCK; more += BLOCK - 123456) {
		e3_infer_options got = o;
		double total = (double)(least + more);
		assert_int_equal(e3_session_fit(net, dev, &got, size, total, &err), 0);
		assert_int_equal(got.budget_kind, E3_BUDGET_BYTES);
		assert_int_equal(e3_session_measure(net, dev, &got, size, &m, &err), 0);
		printf("# %.2f MiB more than the least: %.2f used\n", (double)more / 1048576,
			(double)(m.in_use - least) / 1048576);
		assert_true((double)m.in_use <= total);
		assert_true(m.in_use + 5 * BLOCK >= least + more);
	}
}

/* Attention maps are in it: frames until the cache is full stay below. */
static void test_maps(void **state)
{
	static const bool all[E3_MAX_LAYERS] = {true, true, true, true};
	static uint8_t rgb[ROWS * COLUMNS * 3];
	const int size[2] = {ROWS, COLUMNS};
	e3_err err = {""};
	e3_result result;
	e3_evict evict = {0};
	e3_infer_options o = e3_infer_defaults();
	o.frames = -1, o.attn = all, o.attn_map = true;
	double total = (double)used + 60 * (double)BLOCK;
	assert_int_equal(e3_session_fit(net, dev, &o, size, total, &err), 0);
	e3_session *s = e3_session_open(net, dev, &o, size, &err);
	assert_non_null(s);
	most = used;
	size_t removed = 0;
	for (int k = 0; k < 200 && !removed; k++) {
		for (size_t i = 0; i < sizeof rgb; i++)
			rgb[i] = (uint8_t)(i * (size_t)(k + 3) >> 3);
		assert_int_equal(e3_session_step(s, rgb, &result, &evict, &err), 0);
		removed += evict.layer[0].n_removed;
	}
	assert_true(removed > 0);
	printf("# %.1f of %.1f MiB\n", (double)most / 1048576, total / 1048576);
	assert_true((double)most <= total);
	e3_evict_release(&evict);
	e3_session_close(s);
}

/* What the message says works is what works. */
static void test_smallest(void **state)
{
	const int size[2] = {ROWS, COLUMNS};
	e3_err err = {""};
	e3_infer_options o = e3_infer_defaults();
	o.frames = -1;
	assert_int_equal(e3_session_fit(net, dev, &o, size, 1048576, &err), -1);
	const char *at = strstr(err.text, "the smallest that works is ");
	assert_non_null(at);
	double smallest = strtod(at + strlen("the smallest that works is "), NULL) * 1048576;
	assert_int_equal(e3_session_fit(net, dev, &o, size, smallest - 1048576, &err), -1);
	assert_int_equal(e3_session_fit(net, dev, &o, size, smallest, &err), 0);
	e3_session_memory m;
	assert_int_equal(e3_session_measure(net, dev, &o, size, &m, &err), 0);
	assert_true((double)m.in_use <= smallest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_loading), cmocka_unit_test(test_never_over),
		cmocka_unit_test(test_maps), cmocka_unit_test(test_smallest)};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
