/* geom: singular values against their definition, similarities that are known, the lower median. */
#include "check.h"
#include "e3/geom.h"

static uint32_t seed = 12345;

static double uniform(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (double)(seed >> 8) / (1 << 24) * 2 - 1;
}

static void multiply(const double a[9], const double b[9], bool transposed, double to[9])
{
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++) {
			to[3 * row + col] = 0;
			for (int k = 0; k < 3; k++)
				to[3 * row + col] += a[3 * row + k] * (transposed ? b[3 * col + k] : b[3 * k + col]);
		}
}

/* u, v orthogonal, d descending, u diag(d) vᵀ = a. */
static void check_svd(const double a[9])
{
	double u[9], d[3], v[9], ud[9], back[9], size = 0;
	e3_svd3(a, u, d, v);
	assert_true(d[0] >= d[1] && d[1] >= d[2] && d[2] >= 0);
	for (int k = 0; k < 9; k++)
		ud[k] = u[k] * d[k % 3], size = fmax(size, fabs(a[k]));
	multiply(ud, v, true, back);
	for (int k = 0; k < 9; k++)
		assert_true(fabs(back[k] - a[k]) <= 4e-15 * size);
	const double *m[2] = {u, v};
	for (int j = 0; j < 2; j++) {
		multiply(m[j], m[j], true, back);
		for (int k = 0; k < 9; k++)
			assert_true(fabs(back[k] - (k % 4 == 0)) <= 4e-15);
	}
}

static void singular_values_rebuild_the_matrix(void **state)
{
	double a[9];
	for (int n = 0; n < 2000; n++) {
		for (int k = 0; k < 9; k++)
			a[k] = uniform() * pow(10, n % 7 - 3);
		if (n % 5 == 0) /* rank 2 */
			for (int k = 0; k < 3; k++)
				a[6 + k] = a[k] - 2 * a[3 + k];
		if (n % 5 == 1) /* rank 1 */
			for (int k = 0; k < 3; k++)
				a[3 + k] = 3 * a[k], a[6 + k] = -a[k];
		check_svd(a);
	}
	check_svd((double[9]){0});
	check_svd((double[9]){1, 0, 0, 0, 1, 0, 0, 0, 1});
	check_svd((double[9]){0, 0, 0, 0, 0, 0, 0, 0, 7});
	check_svd((double[9]){1e-200, 0, 0, 0, 2e-200, 1e-200, 0, 0, 0});
}

/* Points in a plane, in space; with and without scale: the one they were made with comes back. */
static void known_similarities_are_found(void **state)
{
	for (int n = 0; n < 200; n++) {
		double q[4] = {uniform(), uniform(), uniform(), uniform()}, r[9], t[3] = {uniform(), uniform(), uniform()},
			   s = n & 1 ? 1 : 2.5;
		double from[8][3], to[8][3];
		e3_similarity a;
		assert_int_equal(e3_quat_to_mat(q, r), 0);
		for (int i = 0; i < 8; i++) {
			for (int k = 0; k < 3; k++)
				from[i][k] = n % 3 == 0 && k == 2 ? 0.5 : uniform();
			for (int k = 0; k < 3; k++)
				to[i][k] = s * (r[3 * k] * from[i][0] + r[3 * k + 1] * from[i][1] + r[3 * k + 2] * from[i][2]) + t[k];
		}
		assert_int_equal(e3_similarity_fit((const double(*)[3])from, (const double(*)[3])to, 8, !(n & 1), &a, NULL), 0);
		assert_true(fabs(a.s - s) < 1e-12);
		for (int k = 0; k < 9; k++)
			assert_true(fabs(a.r[k] - r[k]) < 1e-10);
		double y[3] = {from[3][0], from[3][1], from[3][2]};
		e3_similarity_apply(&a, y, y);
		for (int k = 0; k < 3; k++)
			assert_true(fabs(a.t[k] - t[k]) < 1e-10 && fabs(y[k] - to[3][k]) < 1e-10);
	}
	e3_similarity a;
	e3_err err;
	assert_int_equal(e3_similarity_fit(NULL, NULL, 0, true, &a, &err), -1);
	assert_string_equal(err.text, "aligning points: no points");
}

static void the_lower_median_is_a_value_of_the_data(void **state)
{
	for (int n = 1; n <= 9; n++) {
		e3_pct p;
		assert_int_equal(e3_pct_init(&p, (double[]){50}, 1, NULL), 0);
		for (int pass = 0; pass < 2; pass++) {
			for (int k = 0; k < n; k++)
				(pass ? e3_pct_refine : e3_pct_add)(&p,
					(float)((k * 5 % n) - 3) * 0.25f); /* 0 .. n-1 in some order when 5 does not divide n */
			if (!pass)
				assert_int_equal(e3_pct_second_pass(&p, NULL), 0);
		}
		if (n % 5)
			assert_true(e3_pct_lower(&p, 0) == ((n - 1) / 2 - 3) * 0.25);
		e3_pct_release(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(singular_values_rebuild_the_matrix),
		cmocka_unit_test(known_similarities_are_found),
		cmocka_unit_test(the_lower_median_is_a_value_of_the_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
