/* Cells of a grid: each has the mean of its points; the edge doubles when there are too many. */
#include "check.h"
#include "e3/geom.h"

enum { POINTS = 5000 };

/* A made-up series: places 8 units wide, confidences with ties. */
static void make_points(float (*xyz)[3], float *conf)
{
	uint32_t s = 7;
	for (int k = 0; k < POINTS; k++) {
		for (int j = 0; j < 3; j++)
			xyz[k][j] = (float)((s = s * 1664525u + 1013904223u) >> 8) / (1 << 21) - 4;
		conf[k] = (float)((s = s * 1664525u + 1013904223u) >> 28);
	}
}

static bool same_cell(const float a[3], const float b[3], double size)
{
	bool same = true;
	for (int k = 0; k < 3; k++)
		same = same && floor(a[k] / size) == floor(b[k] / size);
	return same;
}

/* By comparing every pair: the cells in the order of their first points, each with the mean of all of its points. */
static void check_grid(double size, uint64_t max, double expected)
{
	static float xyz[POINTS][3], conf[POINTS];
	uint64_t n = 0;
	make_points(xyz, conf);
	e3_cells *v = e3_cells_open(size, max, NULL);
	assert_non_null(v);
	for (int k = 0; k < POINTS; k++) {
		e3_cell p = {.weight = 1 + fabsf(conf[k]), .conf = conf[k], .group = (uint32_t)k};
		for (int j = 0; j < 3; j++)
			p.xyz[j] = xyz[k][j], p.rgb[j] = (float)((k + j) % 7), p.normal[j] = (float)((k + j) % 3 - 1);
		assert_int_equal(e3_cells_add(v, &p, NULL), 0);
	}
	assert_true(e3_cells_size(v) == expected);
	for (int k = 0; k < POINTS; k++) {
		double sum = 0, mean[10] = {0};
		bool first = true;
		for (int i = 0; i < POINTS; i++) {
			if (!same_cell(xyz[i], xyz[k], expected))
				continue;
			first = first && i >= k;
			double w = 1 + fabsf(conf[i]);
			sum += w, mean[9] += w * conf[i];
			for (int j = 0; j < 3; j++)
				mean[j] += w * xyz[i][j], mean[3 + j] += w * ((i + j) % 7), mean[6 + j] += w * ((i + j) % 3 - 1);
		}
		if (!first)
			continue;
		assert_true(n < e3_cells_count(v));
		const e3_cell *got = e3_cells_get(v, n++);
		assert_int_equal(got->group, k);
		assert_true(fabs(got->weight - sum) < 1e-5 * sum && fabs(got->conf - mean[9] / sum) < 1e-4);
		for (int j = 0; j < 3; j++)
			if (fabs(got->xyz[j] - mean[j] / sum) > 1e-4 || fabs(got->rgb[j] - mean[3 + j] / sum) > 1e-4 ||
				fabs(got->normal[j] - mean[6 + j] / sum) > 1e-4)
				fail_msg("the cell of point %d of the grid %g", k, expected);
	}
	assert_int_equal(n, e3_cells_count(v));
	assert_true(!max || n <= max);
	e3_cells_close(v);
}

static void a_cell_has_the_mean_of_its_points(void **state)
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
	e3_cells *v = e3_cells_open(1, 1, NULL);
	for (int k = 0; k < 8; k++) {
		e3_cell p = {.xyz = {k & 1 ? 1 : -1, k & 2 ? 1 : -1, k & 4 ? 1 : -1}, .weight = 1};
		assert_int_equal(e3_cells_add(v, &p, NULL), 0);
	}
	assert_int_equal(e3_cells_count(v), 8);
	e3_cells_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cell_has_the_mean_of_its_points),
		cmocka_unit_test(doubling_equals_starting_with_the_larger_cell),
		cmocka_unit_test(cells_around_the_origin_do_not_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
