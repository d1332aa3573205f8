/* Matrices in 8 bits on the CPU: the values they are rounded to, exact sums, one byte a value, the same bits with any
 * number of threads. */
#include "dev_weights8.h"

static e3_dev *cpu(int threads)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cpu(threads, &err);
	assert_non_null(dev);
	return dev;
}

static void int8_products_are_those_of_the_rounded_values(void **state)
{
	e3_dev *dev = cpu(2);
	check_packed(dev, E3_I8, (const double[]){2e-7, 2e-4, 0});
	e3_dev_close(dev);
}

static void fp8_products_are_those_of_the_rounded_values(void **state)
{
	e3_dev *dev = cpu(2);
	check_packed(dev, E3_F8, (const double[]){1e-6, 1e-3, 0});
	e3_dev_close(dev);
}

/* Sums beyond 2^24, whose last bit f32 does not hold: 127 × 127 × 4096, less a little that differs. */
static void int8_sums_are_exact(void **state)
{
	enum { N = 4096 };
	static float x[N], w[N];
	float y[1];
	e3_err err = {""};
	e3_dev *dev = cpu(1);
	for (int k = 0; k < N; k++)
		x[k] = 127, w[k] = (float)(k % 3 == 0 ? 126 : 127);
	int64_t want = 0;
	for (int k = 0; k < N; k++)
		want += (int64_t)x[k] * (int64_t)w[k];
	e3_mat m = {.out = 1, .in = N, .packed = E3_I8};
	assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
	e3_linear op = {.x = e3_tensor_f32(x), .rows = 1, .ldx = N, .mat = &m, .out = e3_tensor_f32(y), .ldo = 1};
	assert_int_equal(dev->ops->linear(dev, &op, &err), 0);
	assert_true(y[0] == (float)want); /* both scales are 1 */
	dev->ops->free(dev, m.w.p);
	e3_dev_close(dev);
}

/* Every code of e4m3 is kept, so rounding, code and value agree. */
static void every_e4m3_value_is_kept(void **state)
{
	enum { N = 256 };
	static float w[N * 2], x[2], y[N];
	e3_err err = {""};
	e3_dev *dev = cpu(1);
	for (int k = 0; k < N; k++) {
		int e = k >> 3 & 15, m = k & 7;
		float v = (k & 127) == 127 ? 0 : (float)(e ? ldexp(8 + m, e - 10) : ldexp(m, -9));
		w[2 * k] = k & 128 ? -v : v, w[2 * k + 1] = 448; /* so the scale is 1 */
	}
	x[0] = 448, x[1] = 0;
	e3_mat m = {.out = N, .in = 2, .packed = E3_F8};
	assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
	e3_linear op = {.x = e3_tensor_f32(x), .rows = 1, .ldx = 2, .mat = &m, .out = e3_tensor_f32(y), .ldo = N};
	assert_int_equal(dev->ops->linear(dev, &op, &err), 0);
	for (int k = 0; k < N; k++)
		if (y[k] != 448 * w[2 * k])
			fail_msg("code %d: %g, expected %g", k, y[k] / 448, w[2 * k]);
	dev->ops->free(dev, m.w.p);
	e3_dev_close(dev);
}

/* A value that is not a number is not lost; rows beside it are as they were. */
static void what_is_not_a_number_stays_so(void **state)
{
	const e3_dtype types[] = {E3_I8, E3_F8};
	const float bad[] = {NAN, INFINITY, -INFINITY};
	e3_err err = {""};
	e3_dev *dev = cpu(1);
	for (int t = 0; t < 2; t++)
		for (int b = 0; b < 3; b++) {
			float w[8] = {1, 2, 3, 4, -4, 3, 2, 1}, x[12] = {1, 2, 3, 4, 1, bad[b], 1, 1, 0, 0, 0, 0}, y[6];
			e3_mat m = {.out = 2, .in = 4, .packed = types[t]};
			assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
			e3_linear op = {.x = e3_tensor_f32(x), .rows = 3, .ldx = 4, .mat = &m, .out = e3_tensor_f32(y), .ldo = 2};
			assert_int_equal(dev->ops->linear(dev, &op, &err), 0);
			assert_true(fabsf(y[0] - 30) < 1);
			assert_true(!isfinite(y[2]));
			assert_true(!isfinite(y[3]));
			assert_true(y[4] == 0);
			dev->ops->free(dev, m.w.p);
		}
	e3_dev_close(dev);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
	const packed_case *c = &packed_cases[4];
	size_t in = (size_t)c->in, rows = (size_t)c->rows, out = (size_t)c->out;
	packed_seed = 3;
	float *x = packed_floats(rows * in), *w = packed_floats(out * in), *b = packed_floats(out),
		  *old = packed_floats(rows * out), *norm = packed_floats(2 * in);
	for (int type = 0; type < 2; type++) {
		float *y[2];
		for (int t = 0; t < 2; t++) {
			e3_dev *dev = cpu(1 + 2 * t);
			y[t] = packed_result(dev, c, type ? E3_F8 : E3_I8, x, w, b, old, norm);
			e3_dev_close(dev);
		}
		assert_memory_equal(y[0], y[1], rows * out * sizeof **y);
		free(y[0]), free(y[1]);
	}
	free(x), free(w), free(b), free(old), free(norm);
}

/* qkv without norms of heads and rotation is linear, cut into heads. */
static void qkv_is_the_same_product(void **state)
{
	enum { HEADS = 3, D = 64, DIM = HEADS * D, ROWS = 205 };
	e3_err err = {""};
	e3_dev *dev = cpu(2);
	packed_seed = 8;
	float *x = packed_floats(ROWS * DIM), *w = packed_floats(3 * DIM * DIM), *b = packed_floats(3 * DIM),
		  *norm = packed_floats(2 * DIM), *y = packed_floats(ROWS * 3 * DIM), *q = packed_floats(ROWS * DIM),
		  *page = packed_floats(2 * ROWS * DIM);
	uint32_t slot[ROWS];
	uint8_t *pages[] = {(uint8_t *)page};
	for (uint32_t k = 0; k < ROWS; k++)
		slot[k] = ROWS - 1 - k;
	for (int type = 0; type < 2; type++) {
		e3_norm n = {DIM, 1e-5f, norm, norm + DIM};
		e3_kv kv = {.page = pages, .dtype = E3_F32, .page_keys = ROWS, .n_keys = ROWS, .heads = HEADS, .head_dim = D};
		e3_mat m = {.out = 3 * DIM, .in = DIM, .packed = type ? E3_F8 : E3_I8};
		assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
		m.b = b;
		e3_qkv op = {.x = x, .rows = ROWS, .norm = &n, .mat = &m, .q = e3_tensor_f32(q), .kv = &kv, .slot = slot};
		e3_linear same = {.x = e3_tensor_f32(x),
			.rows = ROWS,
			.ldx = DIM,
			.norm = &n,
			.mat = &m,
			.out = e3_tensor_f32(y),
			.ldo = 3 * DIM};
		assert_int_equal(dev->ops->qkv(dev, &op, &err), 0);
		assert_int_equal(dev->ops->linear(dev, &same, &err), 0);
		for (int r = 0; r < ROWS; r++)
			for (int c = 0; c < 3 * DIM; c++) {
				int kind = c / DIM, head = c % DIM / D, e = c % D;
				const float *from = kind == 0 ? q + (head * ROWS + r) * D
											  : page + (((kind - 1) * HEADS + head) * ROWS + (ROWS - 1 - r)) * D;
				assert_true(
					fabsf(from[e] - y[r * 3 * DIM + c]) <= (type ? 1e-5f : 0) * fabsf(from[e]) + (type ? 1e-5f : 0));
			}
		dev->ops->free(dev, m.w.p);
	}
	free(x), free(w), free(b), free(norm), free(y), free(q), free(page);
	e3_dev_close(dev);
}

/* What such a matrix cannot be multiplied with is refused. */
static void a_matrix_for_rows_takes_one(void **state)
{
	float w[8] = {1, 2, 3, 4, -4, 3, 2, 1}, x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[4];
	e3_err err = {""};
	e3_dev *dev = cpu(1);
	e3_mat m = {.out = 2, .in = 4, .role = E3_ROLE_ROW, .packed = E3_I8};
	assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
	e3_linear op = {.x = e3_tensor_f32(x), .rows = 2, .ldx = 4, .mat = &m, .out = e3_tensor_f32(y), .ldo = 2};
	assert_int_equal(dev->ops->linear(dev, &op, &err), -1);
	assert_string_equal(err.text, "linear: a matrix for rows in 8 bits: takes one row of f32");
	op.rows = 1;
	assert_int_equal(dev->ops->linear(dev, &op, &err), 0);
	assert_true(fabsf(y[0] - 30) < 0.2f);
	dev->ops->free(dev, m.w.p);
	e3_dev_close(dev);
}

/* qkv of one row is linear, cut into heads. */
static void qkv_of_a_row_is_the_same_product(void **state)
{
	enum { HEADS = 2, D = 64, DIM = HEADS * D };
	e3_err err = {""};
	e3_dev *dev = cpu(2);
	packed_seed = 9;
	float *x = packed_floats(DIM), *w = packed_floats(3 * DIM * DIM), *b = packed_floats(3 * DIM), y[3 * DIM], q[DIM],
		  page[2 * DIM];
	uint32_t slot = 0;
	uint8_t *pages[] = {(uint8_t *)page};
	e3_norm n = {.dim = DIM, .eps = 1e-5f};
	e3_kv kv = {.page = pages, .dtype = E3_F32, .page_keys = 1, .n_keys = 1, .heads = HEADS, .head_dim = D};
	e3_mat m = {.out = 3 * DIM, .in = DIM, .role = E3_ROLE_ROW, .packed = E3_I8};
	assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
	m.b = b;
	e3_qkv op = {.x = x, .rows = 1, .norm = &n, .mat = &m, .q = e3_tensor_f32(q), .kv = &kv, .slot = &slot};
	e3_linear same =
		{.x = e3_tensor_f32(x), .rows = 1, .ldx = DIM, .norm = &n, .mat = &m, .out = e3_tensor_f32(y), .ldo = 3 * DIM};
	assert_int_equal(dev->ops->qkv(dev, &op, &err), 0);
	assert_int_equal(dev->ops->linear(dev, &same, &err), 0);
	for (int c = 0; c < 3 * DIM; c++) {
		float got = c < DIM ? q[c] : page[c - DIM];
		assert_true(fabsf(got - y[c]) <= 1e-5f * fabsf(y[c]) + 1e-5f);
	}
	op.q_norm = &n;
	assert_int_equal(dev->ops->qkv(dev, &op, &err), -1);
	dev->ops->free(dev, m.w.p);
	free(x), free(w), free(b);
	e3_dev_close(dev);
}

/* A plan counts what the CPU allocates. */
static void a_value_takes_one_byte(void **state)
{
	enum { OUT = 512, IN = 1024 };
	e3_err err = {""};
	e3_dev *dev = e3_dev_hollow(&err);
	assert_non_null(dev);
	uint64_t before = dev->ops->memory(dev).used;
	e3_mat m = {.out = OUT, .in = IN, .packed = E3_I8};
	assert_int_equal(dev->ops->weight(dev, NULL, &m, &err), 0);
	uint64_t took = dev->ops->memory(dev).used - before;
	assert_in_range(took, OUT * IN + 4 * OUT, OUT * IN + 4 * OUT + 65536); /* the process itself may grow a little */
	dev->ops->free(dev, m.w.p);
	e3_dev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(int8_products_are_those_of_the_rounded_values),
		cmocka_unit_test(fp8_products_are_those_of_the_rounded_values),
		cmocka_unit_test(int8_sums_are_exact),
		cmocka_unit_test(every_e4m3_value_is_kept),
		cmocka_unit_test(what_is_not_a_number_stays_so),
		cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
		cmocka_unit_test(qkv_is_the_same_product),
		cmocka_unit_test(a_matrix_for_rows_takes_one),
		cmocka_unit_test(qkv_of_a_row_is_the_same_product),
		cmocka_unit_test(a_value_takes_one_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
