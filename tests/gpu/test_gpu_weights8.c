/* Matrices in 8 bits on CUDA: linear against the text (dev_weights8.h), with every kind of input and output; qkv
 * against the CPU; once with the kernels of this GPU, once with those of others. */
#include "../dev_weights8.h"

static e3_dev *open_or_skip(bool strict)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cuda(strict, &err);
	if (!dev) {
		printf("# %s\n", err.text);
		skip();
	}
	return dev;
}

/* Sums of e4m3 products lose digits in the tensor cores: 1e-3 of sums of 4096. */
static const double int8_bounds[] = {5e-7, 5e-4, 5e-4}, fp8_bounds[] = {1.5e-3, 1.5e-3, 5e-4};

static void linear(bool strict)
{
	e3_dev *dev = open_or_skip(strict);
	check_packed(dev, E3_I8, int8_bounds);
	check_packed(dev, E3_F8, fp8_bounds);
	e3_dev_close(dev);
}

static void linear_with_the_kernels_of_this_gpu(void **state) { linear(false); }
static void linear_between_f32(void **state) { linear(true); }
static void linear_with_the_kernels_of_any_gpu(void **state)
{
	setenv("E3_CUDA_PORTABLE", "1", 1);
	linear(false);
	unsetenv("E3_CUDA_PORTABLE");
}

/* ---- qkv ---- */

enum { HEADS = 3, D = 64, DIM = HEADS * D, ROWS = 193, KEYS = 128, PAGES = 2, KV = 2 * HEADS * KEYS * D };

typedef struct qkv_input {
	float *x, *w, *b, *norms, *rope;
	uint32_t slot[ROWS];
	bool normed;
} qkv_input;

/* Queries, then the pages, as f32. */
static float *qkv_result(e3_dev *dev, e3_dtype packed, const qkv_input *in)
{
	e3_err err = {""};
	const size_t n = (size_t)ROWS * DIM, all = n + (size_t)PAGES * KV;
	float *out = malloc(all * sizeof *out);
	uint16_t *half = malloc(all * sizeof *half);
	assert_true(out && half);
	e3_mat m = {.out = 3 * DIM, .in = DIM, .role = E3_ROLE_FEATURES, .packed = packed};
	assert_int_equal(dev->ops->weight(dev, in->w, &m, &err), 0);
	e3_tensor x = packed_upload(dev, in->x, n), b = packed_upload(dev, in->b, 3 * DIM),
			  norms = packed_upload(dev, in->norms, 2 * DIM + 4 * D),
			  rope = packed_upload(dev, in->rope, (size_t)ROWS * D), q, page[PAGES];
	uint8_t *pages[PAGES];
	assert_int_equal(dev->ops->alloc(dev, dev->attn_dtype, n, &q, &err), 0);
	for (int k = 0; k < PAGES; k++) {
		assert_int_equal(dev->ops->alloc(dev, dev->attn_dtype, KV, &page[k], &err), 0);
		pages[k] = page[k].p;
	}
	m.b = e3_tensor_floats(b);
	float *f = e3_tensor_floats(norms);
	e3_norm norm = {DIM, 1e-5f, f, f + DIM}, qn = {D, 1e-5f, f + 2 * DIM, f + 2 * DIM + D},
			kn = {D, 1e-5f, f + 2 * DIM + 2 * D, f + 2 * DIM + 3 * D};
	e3_kv kv =
		{.page = pages, .dtype = dev->attn_dtype, .page_keys = KEYS, .n_keys = ROWS, .heads = HEADS, .head_dim = D};
	e3_qkv op = {.x = e3_tensor_floats(x),
		.rows = ROWS,
		.norm = &norm,
		.mat = &m,
		.q_norm = in->normed ? &qn : NULL,
		.k_norm = in->normed ? &kn : NULL,
		.rope = in->normed ? e3_tensor_floats(rope) : NULL,
		.q = q,
		.kv = &kv,
		.slot = in->slot};
	bool wide = dev->attn_dtype == E3_F32;
	void *to = wide ? (void *)out : half;
	size_t size = e3_dtype_size(dev->attn_dtype);
	if (dev->ops->qkv(dev, &op, &err) || dev->ops->finish(dev, &err) || dev->ops->download(dev, to, q, n, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; k < PAGES; k++)
		assert_int_equal(dev->ops->download(dev, (char *)to + (n + k * KV) * size, page[k], KV, &err), 0);
	for (size_t k = 0; !wide && k < all; k++)
		out[k] = e3_f16_to_f32(half[k]);
	void *mine[] = {m.w.p, x.p, b.p, norms.p, rope.p, q.p, page[0].p, page[1].p};
	for (int k = 0; k < 8; k++)
		dev->ops->free(dev, mine[k]);
	free(half);
	return out;
}

static void qkv(void)
{
	e3_err err = {""};
	e3_dev *dev = open_or_skip(false), *cpu = e3_dev_cpu(1, &err);
	assert_non_null(cpu);
	qkv_input in = {0};
	packed_seed = 99;
	in.x = packed_floats((size_t)ROWS * DIM), in.w = packed_floats(3 * (size_t)DIM * DIM),
	in.b = packed_floats(3 * DIM), in.norms = packed_floats(2 * DIM + 4 * D), in.rope = packed_floats((size_t)ROWS * D);
	for (uint32_t k = 0; k < ROWS; k++)
		in.slot[k] = (k * 7 + 3) % ROWS;
	for (int type = 0; type < 2; type++)
		for (int normed = 0; normed < 2; normed++) {
			e3_dtype packed = type ? E3_F8 : E3_I8;
			in.normed = normed;
			float *want = qkv_result(cpu, packed, &in), *got = qkv_result(dev, packed, &in);
			double num = 0, den = 0;
			for (size_t k = 0; k < (size_t)ROWS * DIM + (size_t)PAGES * KV; k++)
				num += (got[k] - want[k]) * (double)(got[k] - want[k]), den += want[k] * (double)want[k];
			double e = sqrt(num / den);
			printf("# qkv, %s%s: %.1e\n", e3_dtype_name(packed), normed ? ", norm and rotation of heads" : "", e);
			assert_true(e < 5e-4); /* f16 */
			free(want), free(got);
		}
	free(in.x), free(in.w), free(in.b), free(in.norms), free(in.rope);
	e3_dev_close(dev);
	e3_dev_close(cpu);
}

static void qkv_with_the_kernels_of_this_gpu(void **state) { qkv(); }
static void qkv_with_the_kernels_of_any_gpu(void **state)
{
	setenv("E3_CUDA_PORTABLE", "1", 1);
	qkv();
	unsetenv("E3_CUDA_PORTABLE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear_with_the_kernels_of_this_gpu),
		cmocka_unit_test(linear_with_the_kernels_of_any_gpu),
		cmocka_unit_test(linear_between_f32),
		cmocka_unit_test(qkv_with_the_kernels_of_this_gpu),
		cmocka_unit_test(qkv_with_the_kernels_of_any_gpu),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
