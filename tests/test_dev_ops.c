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
	[T_MEAN] = 1e-7,
	[T_QKV] = 1e-6,
	[T_ATTEND] = 1e-6,
	[T_LSE] = 1e-6,
	[T_MASS] = 2e-6,
	[T_MAP] = 2e-6,
	[T_SHARP] = 2e-4,
	[T_MATCH] = 1e-6,
	[T_SHIFT] = 1e-7,
	[T_NOVELTY] = 1e-6,
	[T_MOVE] = 0,
	[T_MODULATE] = 1e-6,
	[T_CONV] = 2e-6,
	[T_RESIZED] = 3e-6,
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
	e3_mat m = {.out = 1, .in = 1, .w = e3_tensor_f32(&one)};
	for (int k = 0; k < N; k++)
		x[k] = (float)(k - 1000) * 0.01f;
	for (int act = 0; act < 4; act++) {
		e3_linear op = {.x = e3_tensor_f32(x),
			.rows = N,
			.ldx = 1,
			.mat = &m,
			.act = (e3_act)act,
			.out = e3_tensor_f32(y),
			.ldo = 1};
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
		float *a = NULL, *b = NULL, *host = malloc((n + 1) * sizeof *host), *back;
		void *room;
		assert_int_equal(e3_dev_floats(dev, n, &a, &err) || e3_dev_floats(dev, n, &b, &err), 0);
		assert_int_equal(ops->alloc_host(dev, n * sizeof(float), &room, &err), 0);
		assert_true((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
		back = room;
		for (size_t j = 0; j < n; j++) {
			assert_true(a[j] == 0 && back[j] == 0);
			host[j] = (float)j + 0.5f;
		}
		assert_int_equal(ops->upload(dev, e3_tensor_f32(a), host, n, &err) ||
				ops->copy(dev, e3_tensor_f32(b), e3_tensor_f32(a), n, &err) ||
				ops->fetch(dev, back, e3_tensor_f32(b), n, &err),
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
	assert_int_equal(e3_dev_floats(dev, SIZE_MAX / 2, &p, &err), -1);
	assert_string_not_equal(err.text, "");
	assert_non_null(strstr(ops->name(dev), "cpu"));
	e3_dev_close(dev);
	e3_dev_close(NULL);
}

static void refused(int rc, e3_err *err, const char *text)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err->text, text);
	err->text[0] = 0;
}

/* A device whose types are three different ones, so that each operand is seen to want its own. Nothing is computed. */
static void operands_of_the_wrong_type_or_shape_are_refused(void **state)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(1, &err);
	const e3_dev_ops *ops = dev->ops;
	float w[81] = {0}, x[64] = {0}, y[64] = {0};
	e3_mat one = {.out = 1, .in = 1, .w = e3_tensor_f32(w)}, taps = {.out = 1, .in = 9, .w = e3_tensor_f32(w)};
	dev->attn_dtype = E3_BF16, dev->feature_dtype = E3_F16;
	e3_tensor f32 = e3_tensor_f32(x), attn = {(uint8_t *)x, E3_BF16}, feature = {(uint8_t *)x, E3_F16};
	e3_linear linear =
		{.x = {(uint8_t *)x, E3_I32}, .rows = 1, .ldx = 1, .mat = &one, .out = e3_tensor_f32(y), .ldo = 1};
	refused(ops->linear(dev, &linear, &err), &err, "linear: x is I32, expected BF16");
	linear.x = f32, linear.out = feature, linear.add = true;
	refused(ops->linear(dev, &linear, &err), &err, "linear: out is F16, expected F32");

	uint8_t *page[] = {(uint8_t *)w};
	uint32_t slot = 0;
	e3_kv kv = {.page = page, .dtype = E3_BF16, .page_keys = 1, .n_keys = 1, .heads = 1, .head_dim = 1};
	e3_qkv qkv = {.x = x, .rows = 1, .mat = &one, .q = f32, .kv = &kv, .slot = &slot};
	refused(ops->qkv(dev, &qkv, &err), &err, "qkv: q is F32, expected BF16");
	e3_attend attend = {.q = attn, .rows = 1, .kv = &kv, .out = f32};
	refused(ops->attend(dev, &attend, &err), &err, "attend: out is F32, expected BF16");
	kv.dtype = E3_F16;
	e3_mass mass = {.q = feature, .rows = 1, .kv = &kv, .lse = x, .mass = y};
	refused(ops->mass(dev, &mass, &err), &err, "mass: kv is F16, expected BF16");

	e3_conv conv = {.x = {feature, 2, 2, 1}, .mat = &taps, .stride = 1, .out = {attn, 2, 2, 1}};
	refused(ops->conv(dev, &conv, &err), &err, "conv: out is BF16, expected F16");
	conv.out = (e3_features){feature, 2, 1, 1};
	refused(ops->conv(dev, &conv, &err), &err, "conv: a feature map of 2 x 1, 1 channels, expected 2 x 2, 1 channels");
	conv.out = conv.x, conv.resid = f32;
	refused(ops->conv(dev, &conv, &err), &err, "conv: resid is F32, expected F16");
	refused(ops->add_uv(dev, (e3_features){f32, 1, 1, 2}, (e3_uv){x, x}, &err), &err, "add_uv: x is F32, expected F16");
	refused(ops->upsample(dev, (e3_features){feature, 1, 1, 2}, (e3_features){feature, 2, 2, 3}, &err), &err,
		"upsample: a feature map of 2 x 2, 3 channels, expected 2 x 2, 2 channels");
	refused(ops->deconv(dev, (e3_features){feature, 1, 1, 1}, &one, (e3_features){f32, 1, 1, 1}, &err), &err,
		"deconv: out is F32, expected F16");
	e3_dense dense = {.z = {attn, 1, 1, 1}, .conv = &taps, .out = &one, .H = 1, .W = 1};
	refused(ops->dense(dev, &dense, &err), &err, "dense: z is BF16, expected F16");
	refused(ops->copy(dev, f32, attn, 1, &err), &err, "copy: BF16 into F32");
	refused(ops->copy_rows(dev, (e3_rows){x, 2, 1}, 1, (e3_rows){y, 3, 1}, &err), &err, "copy_rows: 2 rows into 3");
	e3_dev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_with_any_number_of_threads),
		cmocka_unit_test(activations_are_right_value_by_value),
		cmocka_unit_test(memory_is_zeroed_aligned_and_moved_whole),
		cmocka_unit_test(operands_of_the_wrong_type_or_shape_are_refused),
	};
	return cmocka_run_group_tests_name("dev: operations of the CPU", tests, NULL, NULL);
}
