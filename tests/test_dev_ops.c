/* The CPU backend: every operation against double precision, the same bits with any number of threads, memory as
 * promised. */
#include "dev_cases.h"

/* What f32 leaves after sums of up to a few hundred terms. Norms are of values 50 ± 3 in part, sharp attention has
 * scores of several hundred; both lose digits to that. */
static const double bounds[T_KINDS] = {
	[T_PATCHIFY] = 2e-7,
	[T_LINEAR] = 6e-6,
	[T_NORM] = 3e-5,
	[T_COPY] = 0,
	[T_QKV] = 1e-6,
	[T_ATTEND] = 1e-6,
	[T_LSE] = 1e-6,
	[T_MASS] = 2e-6,
	[T_MAP] = 2e-6,
	[T_SHARP] = 2e-4,
	[T_MOVE] = 0,
	[T_MODULATE] = 1e-6,
	[T_CONV] = 2e-6,
	[T_DECONV] = 1e-6,
	[T_UPSAMPLE] = 2e-6,
	[T_UV] = 2e-7,
	[T_DENSE] = 3e-6,
	[T_BLOCK] = 1e-6,
};

static uint64_t with_threads(int threads)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(threads, &err);
	assert_non_null(dev);
	uint64_t hash = check_device(dev, bounds);
	e3_dev_close(dev);
	return hash;
}

static void every_operation_with_any_number_of_threads(void **state)
{
	uint64_t one = with_threads(1), two = with_threads(2), three = with_threads(3);
	assert_true(one == two);
	assert_true(one == three);
}

/* Value by value, also where GELU and SiLU are tiny and a wrong approximation would be lost in a norm. */
static void activations_are_right_value_by_value(void **state)
{
	enum { N = 2001 };
	static float x[N], y[N];
	float one = 1;
	double worst[4] = {0};
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(1, &err);
	e3_mat m = {.out = 1, .in = 1, .w = &one};
	for (int k = 0; k < N; k++)
		x[k] = (float)(k - 1000) * 0.01f;
	for (int act = 0; act < 4; act++) {
		e3_linear op = {.x = x, .rows = N, .ldx = 1, .mat = &m, .act = (e3_act)act, .out = y, .ldo = 1};
		assert_int_equal(dev->ops->linear(dev, &op, &err), 0);
		for (int k = 0; k < N; k++) {
			double want = ref_act(x[k], (e3_act)act);
			/* erfc's argument is squared in an exponent: at -10 the nearest f32 already moves the result by 6e-6. */
			double bound = act == E3_ACT_GELU && x[k] < -3 ? 2e-5 : act >= E3_ACT_GELU ? 1e-6 : 0;
			double d = want == 0 ? fabs((double)y[k]) : fabs(y[k] / want - 1);
			worst[act] = fmax(worst[act], d);
			if (!(d <= bound))
				fail_msg("activation %d of %g: %g, expected %g", act, x[k], y[k], want);
		}
	}
	printf("# worst relative error from -10 to 10: GELU %.1e, SiLU %.1e\n", worst[E3_ACT_GELU], worst[E3_ACT_SILU]);
	e3_dev_close(dev);
}

static void memory_is_zeroed_aligned_and_moved_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 1000, 100003};
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(2, &err);
	const e3_dev_ops *ops = dev->ops;
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		size_t n = sizes[k];
		float *a, *b, *host = malloc((n + 1) * sizeof *host), *back;
		void *room;
		assert_int_equal(ops->alloc(dev, n, &a, &err) || ops->alloc(dev, n, &b, &err), 0);
		assert_int_equal(ops->alloc_host(dev, n * sizeof(float), &room, &err), 0);
		assert_true((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
		back = room;
		for (size_t j = 0; j < n; j++) {
			assert_true(a[j] == 0 && back[j] == 0);
			host[j] = (float)j + 0.5f;
		}
		assert_int_equal(ops->upload(dev, a, host, n, &err) || ops->copy(dev, b, a, n, &err) ||
				ops->fetch(dev, back, b, n, &err),
			0);
		assert_int_equal(ops->mark(dev, &err) || ops->branch(dev, 1, &err) || ops->branch(dev, 0, &err), 0);
		assert_int_equal(ops->gather(dev, 0, &err) || ops->launch(dev, &err) || ops->reserve(dev, 1000, &err), 0);
		assert_int_equal(ops->wait(dev, &err) || ops->finish(dev, &err), 0);
		assert_memory_equal(back, host, n * sizeof *host);
		ops->free(dev, a), ops->free(dev, b), ops->free_host(dev, room);
		free(host);
	}
	ops->free(dev, NULL), ops->free_host(dev, NULL);
	float *p;
	assert_int_equal(ops->alloc(dev, SIZE_MAX / 2, &p, &err), -1);
	assert_string_not_equal(err.text, "");
	assert_non_null(strstr(ops->name(dev), "cpu"));
	e3_dev_close(dev);
	e3_dev_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_with_any_number_of_threads),
		cmocka_unit_test(activations_are_right_value_by_value),
		cmocka_unit_test(memory_is_zeroed_aligned_and_moved_whole),
	};
	return cmocka_run_group_tests_name("dev: operations of the CPU", tests, NULL, NULL);
}
