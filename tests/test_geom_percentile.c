/* Percentiles against numpy 1.24's linear interpolation on float32, to the last bit, and cells of a voxel grid. */
#include "check.h"
#include "e3/geom.h"

enum { CONFIDENCES, SIGNED, TIES };

/* The k-th value of a made-up series; the table below was computed by numpy from the same series. */
static float value(int law, uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	double u = (*s >> 8) * 0x1p-24;
	return (float)(law == CONFIDENCES ? 1 + u * u * 50 : law == SIGNED ? (u - 0.5) * 8 : floor(u * 5) / 4);
}

static void feed(e3_pct *p, int law, int n, void (*to)(e3_pct *, float))
{
	uint32_t s = 7;
	for (int k = 0; k < n; k++)
		to(p, value(law, &s));
}

static double percentile(int law, int n, double q)
{
	e3_pct p;
	assert_int_equal(e3_pct_init(&p, &q, 1, NULL), 0);
	feed(&p, law, n, e3_pct_add);
	assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
	feed(&p, law, n, e3_pct_refine);
	double v = e3_pct_value(&p, 0);
	e3_pct_release(&p);
	return v;
}

static const struct {
	int law, n;
	double q, want;
} table[] = {
	{CONFIDENCES, 1, 50, 0x1.ece774p+1},
	{CONFIDENCES, 2, 0, 0x1.ece774p+1},
	{CONFIDENCES, 2, 33.3, 0x1.0cba04d916872p+4},
	{CONFIDENCES, 2, 50, 0x1.74982ep+4},
	{CONFIDENCES, 2, 95, 0x1.463d261999999p+5},
	{CONFIDENCES, 2, 100, 0x1.55c9b6p+5},
	{CONFIDENCES, 10, 0, 0x1.1f2988p+0},
	{CONFIDENCES, 10, 33.3, 0x1.ebe6763439580p+1},
	{CONFIDENCES, 10, 50, 0x1.b45d70p+3},
	{CONFIDENCES, 10, 95, 0x1.77a97c4ccccccp+5},
	{CONFIDENCES, 10, 100, 0x1.8b40b6p+5},
	{CONFIDENCES, 1000, 0, 0x1.000064p+0},
	{CONFIDENCES, 1000, 3, 0x1.091d35a8f5c29p+0},
	{CONFIDENCES, 1000, 20, 0x1.5e3565999999ap+1},
	{CONFIDENCES, 1000, 33.3, 0x1.7a9e760f5c28fp+2},
	{CONFIDENCES, 1000, 50, 0x1.933252p+3},
	{CONFIDENCES, 1000, 95, 0x1.72b1bf1999999p+5},
	{CONFIDENCES, 1000, 99.9, 0x1.972e0cce56042p+5},
	{CONFIDENCES, 1000, 100, 0x1.97506ap+5},
	{CONFIDENCES, 4097, 0, 0x1.000064p+0},
	{CONFIDENCES, 4097, 3, 0x1.0b59447ae147bp+0},
	{CONFIDENCES, 4097, 20, 0x1.85be4c6666667p+1},
	{CONFIDENCES, 4097, 33.3, 0x1.9ae39ccccccccp+2},
	{CONFIDENCES, 4097, 50, 0x1.aa49fep+3},
	{CONFIDENCES, 4097, 95, 0x1.6f91633333332p+5},
	{CONFIDENCES, 4097, 99.9, 0x1.978908f1a9fbfp+5},
	{CONFIDENCES, 4097, 100, 0x1.97e8d6p+5},
	{SIGNED, 2, 0, -0x1.0b7d0cp+1},
	{SIGNED, 2, 33.3, -0x1.2b55ddd2f1aa4p-2},
	{SIGNED, 2, 50, 0x1.37db70p-1},
	{SIGNED, 2, 95, 0x1.84df2ccccccccp+1},
	{SIGNED, 2, 100, 0x1.a76ac4p+1},
	{SIGNED, 10, 0, -0x1.cd7984p+1},
	{SIGNED, 10, 33.3, -0x1.0c02bce041894p+1},
	{SIGNED, 10, 50, -0x1.b28ec0p-4},
	{SIGNED, 10, 95, 0x1.d54e6cfffffffp+1},
	{SIGNED, 10, 100, 0x1.ef8d2cp+1},
	{SIGNED, 4097, 0, -0x1.ffa554p+1},
	{SIGNED, 4097, 3, -0x1.e182733333333p+1},
	{SIGNED, 4097, 20, -0x1.30ea599999999p+1},
	{SIGNED, 4097, 33.3, -0x1.5db4573b645a2p+0},
	{SIGNED, 4097, 50, -0x1.d58600p-6},
	{SIGNED, 4097, 95, 0x1.cade57fffffffp+1},
	{SIGNED, 4097, 99.9, 0x1.ff67ad47ae149p+1},
	{SIGNED, 4097, 100, 0x1.ffe258p+1},
	{TIES, 10, 0, 0x0.0p+0},
	{TIES, 10, 33.3, 0x1.fe76c8b439580p-3},
	{TIES, 10, 50, 0x1.000000p-1},
	{TIES, 10, 95, 0x1.000000p+0},
	{TIES, 10, 100, 0x1.000000p+0},
	{TIES, 4097, 0, 0x0.0p+0},
	{TIES, 4097, 3, 0x0.0p+0},
	{TIES, 4097, 20, 0x1.000000p-2},
	{TIES, 4097, 33.3, 0x1.000000p-2},
	{TIES, 4097, 50, 0x1.000000p-1},
	{TIES, 4097, 95, 0x1.000000p+0},
	{TIES, 4097, 99.9, 0x1.000000p+0},
	{TIES, 4097, 100, 0x1.000000p+0},
};

static void zeros_are_one_value_whatever_their_sign(void **state)
{
	static const float zeros[] = {-0.0f, 0.0f, -0.0f};
	e3_pct p;
	double half = 50;
	assert_int_equal(e3_pct_init(&p, &half, 1, NULL), 0);
	for (int k = 0; k < 3; k++)
		e3_pct_add(&p, zeros[k]);
	assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
	for (int k = 0; k < 3; k++)
		e3_pct_refine(&p, zeros[k]);
	assert_int_equal(p.n_bins, 1);
	assert_true(e3_pct_value(&p, 0) == 0 && !signbit(e3_pct_value(&p, 0)) && !signbit(e3_pct_lower(&p, 0)));
	e3_pct_release(&p);
}

static void equals_numpy_to_the_last_bit(void **state)
{
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		double got = percentile(table[k].law, table[k].n, table[k].q);
		if (got != table[k].want)
			fail_msg("law %d, %d values, %g %%: %a, expected %a", table[k].law, table[k].n, table[k].q, got,
				table[k].want);
	}
}

static double of_four(double q)
{
	static const float v[4] = {3, 1, 4, 2};
	e3_pct p;
	assert_int_equal(e3_pct_init(&p, &q, 1, NULL), 0);
	for (int k = 0; k < 4; k++)
		e3_pct_add(&p, v[k]);
	assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
	for (int k = 0; k < 4; k++)
		e3_pct_refine(&p, v[k]);
	double got = e3_pct_value(&p, 0);
	e3_pct_release(&p);
	return got;
}

static void examples_of_the_specification(void **state)
{
	assert_true(of_four(50) == 2.5);
	assert_true(fabs(of_four(33.3) - 1.999) < 1e-12);
	assert_true(of_four(0) == 1);
	assert_true(of_four(100) == 4);
}

static void two_percentiles_of_one_stream_and_none_of_an_empty_one(void **state)
{
	e3_pct p;
	assert_int_equal(e3_pct_init(&p, (double[]){5, 95}, 2, NULL), 0);
	assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
	assert_true(e3_pct_value(&p, 0) == 0 && e3_pct_value(&p, 1) == 0);
	e3_pct_release(&p);
	assert_int_equal(e3_pct_init(&p, (double[]){20, 95}, 2, NULL), 0);
	feed(&p, SIGNED, 4097, e3_pct_add);
	assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
	feed(&p, SIGNED, 4097, e3_pct_refine);
	assert_true(e3_pct_value(&p, 0) == percentile(SIGNED, 4097, 20));
	assert_true(e3_pct_value(&p, 1) == percentile(SIGNED, 4097, 95));
	e3_pct_release(&p);
}

/* --- voxels --- */

enum { POINTS = 5000 };

static void make_points(float (*xyz)[3], float *conf)
{
	uint32_t s = 7;
	for (int k = 0; k < POINTS; k++) {
		for (int j = 0; j < 3; j++)
			xyz[k][j] = value(SIGNED, &s);
		conf[k] = value(TIES, &s);
	}
}

/* By comparing every pair: is k the most confident of its cell, the lowest index among equals? */
static bool wins(float (*xyz)[3], const float *conf, int k, double size)
{
	for (int j = 0; j < POINTS; j++) {
		bool same = true;
		for (int c = 0; c < 3; c++)
			same = same && floor(xyz[j][c] / size) == floor(xyz[k][c] / size);
		if (same && (conf[j] > conf[k] || (conf[j] == conf[k] && j < k)))
			return false;
	}
	return true;
}

static void check_grid(double size, uint64_t max, double expected)
{
	static float xyz[POINTS][3], conf[POINTS];
	uint64_t kept = 0;
	make_points(xyz, conf);
	e3_voxels *v = e3_voxels_open(size, max, NULL);
	assert_non_null(v);
	for (int k = 0; k < POINTS; k++)
		assert_int_equal(e3_voxels_add(v, xyz[k], conf[k], (uint64_t)k, NULL), 0);
	assert_true(e3_voxels_size(v) == expected);
	for (int k = 0; k < POINTS; k++) {
		bool is = e3_voxels_kept(v, xyz[k], (uint64_t)k);
		if (is != wins(xyz, conf, k, expected))
			fail_msg("point %d of the grid %g", k, expected);
		kept += is;
	}
	assert_int_equal(kept, e3_voxels_count(v));
	assert_true(!max || kept <= max);
	e3_voxels_close(v);
}

static void a_cell_keeps_its_most_confident_point(void **state)
{
	check_grid(0.5, 0, 0.5);
	check_grid(0.1, 0, 0.1);
}

/* 8 units wide: cells of 0.5 are 4096 at most and fewer than 3000 are hit; the search must end where a fresh one would.
 */
static void doubling_equals_starting_with_the_larger_cell(void **state)
{
	check_grid(0.25 / 16, 3000, 0.5);
	check_grid(0.25 / 16, 600, 1);
	check_grid(0.25 / 16, 8, 4);
}

static void cells_around_the_origin_do_not_loop(void **state)
{
	e3_voxels *v = e3_voxels_open(1, 1, NULL);
	for (int k = 0; k < 8; k++)
		assert_int_equal(e3_voxels_add(v, (float[3]){k & 1 ? 1 : -1, k & 2 ? 1 : -1, k & 4 ? 1 : -1}, 1, (uint64_t)k,
							 NULL),
			0);
	assert_int_equal(e3_voxels_count(v), 8);
	e3_voxels_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_numpy_to_the_last_bit),
		cmocka_unit_test(zeros_are_one_value_whatever_their_sign),
		cmocka_unit_test(examples_of_the_specification),
		cmocka_unit_test(two_percentiles_of_one_stream_and_none_of_an_empty_one),
		cmocka_unit_test(a_cell_keeps_its_most_confident_point),
		cmocka_unit_test(doubling_equals_starting_with_the_larger_cell),
		cmocka_unit_test(cells_around_the_origin_do_not_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
