/* The factor of 16-bit depth: everything where that is possible, as much as possible where a few depths are far away.
 */
#include "check.h"
#include "e3/geom.h"
#include "export/depth_factor.h"
#include <math.h>

/* n depths evenly from `from` to `to`. */
static void add(e3_depth_hist *h, int n, double from, double to)
{
	for (int k = 0; k < n; k++)
		e3_depth_hist_add(h, (float)(from + (to - from) * k / (n > 1 ? n - 1 : 1)));
}

/* The factor of 10,000 ordinary depths and n others. */
static double factor_of(double from, double to, int n, double others)
{
	e3_depth_hist h;
	assert_int_equal(e3_depth_hist_open(&h, NULL), 0);
	add(&h, 10000, from, to);
	add(&h, n, others, others);
	double factor = e3_depth_factor(&h);
	e3_depth_hist_release(&h);
	return factor;
}

static void a_run_that_fits_is_held_whole(void **state)
{
	assert_true(factor_of(0.5, 12, 0, 0) == 5000);
	assert_true(factor_of(0.5, 13.1, 0, 0) == 5000);
	assert_true(factor_of(0.5, 14, 0, 0) == 1000);
	assert_true(factor_of(2, 200, 0, 0) == 256);
	assert_true(factor_of(2, 300, 0, 0) == 218);
	assert_true(factor_of(200, 70000, 0, 0) == 65535. / 70000);
	assert_true(factor_of(0.5, 12, 3, 60) == 1000); /* far, but nothing is lost by holding them */
}

static void a_few_far_depths_do_not_cost_the_others(void **state)
{
	static const int few[] = {1, 20, 3000};
	static const double far[] = {1e5, 1e6, 3e38};
	for (int n = 0; n < 3; n++)
		for (int k = 0; k < 3; k++) {
			assert_true(factor_of(0.5, 12, few[n], far[k]) == 5000);
			assert_true(factor_of(0.5, 14, few[n], far[k]) == 1000);
			double f = factor_of(2, 300, few[n] / 10, far[k]);
			assert_true(f <= 218 && f >= 216);
		}
}

static void small_depths_get_a_large_factor(void **state)
{
	double f = factor_of(1e-4, 1e-3, 0, 0), g = factor_of(1e-4, 1e-3, 5, 1);
	assert_true(f * 1e-3 <= 65535 && f * 1e-4 >= 50);
	assert_true(g * 1e-3 <= 65535 && g * 1e-4 >= 50);
}

static void no_depth_at_all_has_a_factor_too(void **state)
{
	e3_depth_hist h;
	assert_int_equal(e3_depth_hist_open(&h, NULL), 0);
	assert_true(e3_depth_factor(&h) == 5000);
	e3_depth_hist_add(&h, 1.1e-8f);
	assert_true(isfinite(e3_depth_factor(&h)) && e3_depth_factor(&h) > 0);
	e3_depth_hist_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_that_fits_is_held_whole),
		cmocka_unit_test(a_few_far_depths_do_not_cost_the_others),
		cmocka_unit_test(small_depths_get_a_large_factor),
		cmocka_unit_test(no_depth_at_all_has_a_factor_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
