/* Shapes, colours and limits of the GLB writer against the figures of doc/formats.md 1.5, 3.1, 3.3. */
#include "check.h"
#include "export/glb.h"

/* Scene scale 1, camera at the origin; "(-.035355 -.035355 .1)" and so on. */
static const double published[E3_CONE_VERTICES][3] = {
	{.035355, -.035355, .1},
	{0, 0, 0},
	{-.035355, -.035355, .1},
	{-.035355, .035355, .1},
	{.035355, .035355, .1},
	{.033588, -.033588, .1},
	{0, 0, .005},
	{-.033588, -.033588, .1},
	{-.033588, .033588, .1},
	{.033588, .033588, .1},
	{.034100, -.036568, .1},
	{-.036568, -.034100, .1},
	{-.034100, .036568, .1},
	{.036568, .034100, .1},
};

static void cone_vertices_are_the_published_ones(void **state)
{
	double v[E3_CONE_VERTICES][3];
	e3_cone_vertices(v);
	for (int k = 0; k < E3_CONE_VERTICES; k++)
		for (int j = 0; j < 3; j++)
			if (!(fabs(v[k][j] - published[k][j]) <= 5.1e-7))
				fail_msg("vertex %d: %g %g %g", k, v[k][0], v[k][1], v[k][2]);
}

static void cone_triangles_come_twice_and_eight_are_degenerate(void **state)
{
	uint16_t tri[E3_CONE_TRIANGLES][3], fewer[E3_CONE_TRIANGLES][3];
	int degenerate = 0;
	assert_int_equal(e3_cone_triangles(tri, true), 48);
	for (int k = 0; k < 48; k++)
		degenerate += tri[k][0] == tri[k][1] || tri[k][1] == tri[k][2] || tri[k][0] == tri[k][2];
	assert_int_equal(degenerate, 8);
	for (int k = 0; k < 24; k++)
		for (int j = 0; j < 3; j++)
			assert_int_equal(tri[24 + k][j], tri[k][2 - j]);
	static const uint16_t first[6][3] = {{0, 2, 7}, {0, 5, 1}, {6, 2, 1}, {0, 2, 11}, {0, 10, 1}, {1, 2, 1}};
	assert_memory_equal(tri, first, sizeof first);
	assert_int_equal(e3_cone_triangles(fewer, false), 40);
	for (int k = 0; k < 40; k++)
		assert_true(fewer[k][0] != fewer[k][1] && fewer[k][1] != fewer[k][2] && fewer[k][0] != fewer[k][2]);
}

static void cameras_have_the_colours_of_gist_rainbow(void **state)
{
	static const struct {
		int k;
		uint8_t rgb[3];
	} table[] = {{0, {255, 0, 40}}, {4, {255, 0, 19}}, {8, {255, 1, 0}}, {16, {255, 45, 0}}, {32, {255, 131, 0}},
		{64, {205, 255, 0}}, {96, {32, 255, 0}}, {128, {0, 255, 139}}, {160, {0, 197, 255}}, {192, {0, 23, 255}},
		{224, {150, 0, 255}}, {240, {237, 0, 255}}, {255, {255, 0, 191}}};
	uint8_t rgb[3];
	for (size_t n = 0; n < sizeof table / sizeof *table; n++) {
		assert_int_equal(e3_camera_colour(table[n].k, 256, rgb), table[n].k);
		assert_memory_equal(rgb, table[n].rgb, 3);
	}
	e3_camera_colour(1, 2, rgb);
	assert_memory_equal(rgb, ((uint8_t[]){0, 255, 139}), 3);
}

static void lines_reach_the_corners_of_the_picture(void **state)
{
	float v[E3_LINES_VERTICES][3];
	e3_lines_vertices(0.8f, 1.1f, 2, v);
	for (int k = 1; k <= 4; k++) {
		assert_true(fabs(fabs(v[k][0]) - 2 * tan(0.55)) < 1e-6);
		assert_true(fabs(fabs(v[k][1]) - 2 * tan(0.40)) < 1e-6);
		assert_true(v[k][2] == -2);
	}
	assert_true(fabs(v[5][1] - 1.4 * 2 * tan(0.4)) < 1e-6 && v[5][0] == 0);
	/* every edge of the picture joins neighbours, the tick sits on the upper edge */
	for (int k = 8; k < 16; k += 2) {
		const float *a = v[e3_lines_indices[k]], *b = v[e3_lines_indices[k + 1]];
		assert_true((a[0] == b[0]) != (a[1] == b[1]));
	}
	assert_true(v[e3_lines_indices[16]][1] > 0 && v[e3_lines_indices[19]][1] > 0);
}

static void srgb_becomes_linear(void **state)
{
	assert_int_equal(e3_linear16(0), 0);
	assert_int_equal(e3_linear16(1), 20);
	assert_int_equal(e3_linear16(10), 199);
	assert_int_equal(e3_linear16(11), 219);
	assert_int_equal(e3_linear16(128), 14146);
	assert_int_equal(e3_linear16(188), 32957);
	assert_int_equal(e3_linear16(255), 65535);
	for (int k = 1; k < 256; k++)
		assert_true(e3_linear16((uint8_t)k) > e3_linear16((uint8_t)(k - 1)));
}

static void four_gigabytes_are_the_limit(void **state)
{
	uint32_t total;
	e3_err err;
	uint64_t json = 4096, most = UINT32_MAX - 12 - 8 - json - 8;
	assert_int_equal(e3_glb_size("x.glb", 1, json, most, &total, &err), 0);
	assert_int_equal(total, UINT32_MAX);
	assert_int_equal(e3_glb_size("x.glb", 300000000, json, most + 1, &total, &err), -1);
	assert_non_null(strstr(err.text, "x.glb: 300000000 points"));
	assert_non_null(strstr(err.text, "write fewer points, larger voxels, or a PLY"));
	assert_int_equal(e3_glb_size("x.glb", 0, json, 0, &total, &err), 0);
	assert_int_equal(total, 20 + json); /* no empty chunk */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cone_vertices_are_the_published_ones),
		cmocka_unit_test(cone_triangles_come_twice_and_eight_are_degenerate),
		cmocka_unit_test(cameras_have_the_colours_of_gist_rainbow),
		cmocka_unit_test(lines_reach_the_corners_of_the_picture),
		cmocka_unit_test(srgb_becomes_linear),
		cmocka_unit_test(four_gigabytes_are_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
