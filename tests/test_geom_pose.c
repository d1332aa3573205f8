/* Poses and cameras against the worked example of doc/network.md 6 and against each other. */
#include "check.h"
#include "e3/geom.h"

static const float example[9] = {0.5f, -1, 2, 0.1f, -0.2f, 0.3f, 0.9f, 0.9f, 1.1f};

static void near(double got, double want, double within)
{
	if (!(fabs(got - want) <= within))
		fail_msg("%.12g, expected %.12g", got, want);
}

static void the_example_of_the_specification(void **state)
{
	e3_pose p;
	assert_int_equal(e3_pose_decode(example, &p, NULL), 0);
	near(p.r[0], 0.7263158, 1e-7);
	near(p.r[1], -0.6105263, 1e-7);
	near(p.r[2], -0.3157895, 1e-7);
	e3_intrinsics k = e3_intrinsics_decode(example, 518, 392);
	near(k.fy, 405.75084, 1e-4); /* fov_h is the vertical one */
	near(k.fx, 422.43973, 1e-4);
	near(k.cx, 259, 0);
	near(k.cy, 196, 0);
}

static void a_rotation_is_orthonormal_whatever_the_length_of_its_quaternion(void **state)
{
	double q[4] = {0.3, -0.1, 0.7, 0.2}, longer[4], r[9], again[9];
	for (int k = 0; k < 4; k++)
		longer[k] = -17 * q[k];
	assert_int_equal(e3_quat_to_mat(q, r), 0);
	assert_int_equal(e3_quat_to_mat(longer, again), 0);
	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++) {
			double dot = 0;
			for (int k = 0; k < 3; k++)
				dot += r[3 * a + k] * r[3 * b + k];
			near(dot, a == b, 1e-15);
			near(again[3 * a + b], r[3 * a + b], 1e-15);
		}
	near(r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) + r[2] * (r[3] * r[7] - r[4] * r[6]),
		1, 1e-15);
}

static void products_of_quaternions_are_products_of_matrices(void **state)
{
	double a[4] = {0.1, 0.2, -0.3, 0.9}, b[4] = {-0.5, 0.4, 0.2, 0.7}, ab[4], ra[9], rb[9], rab[9];
	e3_quat_mul(a, b, ab);
	e3_quat_to_mat(a, ra);
	e3_quat_to_mat(b, rb);
	e3_quat_to_mat(ab, rab);
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			near(rab[3 * row + col],
				ra[3 * row] * rb[col] + ra[3 * row + 1] * rb[3 + col] + ra[3 * row + 2] * rb[6 + col], 1e-15);
}

/* There and back, also where w is small and another component must be divided by. */
static void matrices_give_their_quaternions(void **state)
{
	static const double some[][4] = {{0.1, 0.2, -0.3, 0.9}, {1, 0, 0, 0.01}, {0.02, -1, 0.3, 0.001},
		{0.1, 0.2, 0.97, 0.05}, {0, 0, 0, 1}, {-0.5, 0.5, 0.5, 0.5}, {0.6, -0.64, 0.48, 0}};
	for (size_t k = 0; k < sizeof some / sizeof *some; k++) {
		double r[9], q[4], again[9], len = 0;
		assert_int_equal(e3_quat_to_mat(some[k], r), 0);
		assert_int_equal(e3_mat_to_quat(r, q), 0);
		assert_int_equal(e3_quat_to_mat(q, again), 0);
		for (int j = 0; j < 4; j++)
			len += q[j] * q[j];
		near(len, 1, 1e-15);
		assert_true(q[3] >= 0);
		for (int j = 0; j < 9; j++)
			near(again[j], r[j], 1e-14);
	}
}

static void a_motion_and_its_inverse_cancel(void **state)
{
	e3_pose p;
	double m[12], back[12], one[12];
	assert_int_equal(e3_pose_decode(example, &p, NULL), 0);
	e3_pose_to_world(&p, m);
	e3_rigid_invert(m, back);
	e3_rigid_mul(m, back, one);
	for (int k = 0; k < 12; k++) {
		near(back[k], k % 4 == 3 ? p.t[k / 4] : p.r[k / 4 * 3 + k % 4], 1e-15);
		near(one[k], k % 5 == 0, 1e-15);
	}
}

static void the_centre_is_where_the_camera_sees_itself(void **state)
{
	e3_pose p;
	double c[3], m[12], q[4], r[9];
	e3_pose_decode(example, &p, NULL);
	e3_pose_center(&p, c);
	for (int row = 0; row < 3; row++)
		near(p.r[3 * row] * c[0] + p.r[3 * row + 1] * c[1] + p.r[3 * row + 2] * c[2] + p.t[row], 0, 1e-15);
	e3_pose_to_world(&p, m);
	e3_pose_quat_to_world(&p, q);
	e3_quat_to_mat(q, r);
	for (int row = 0; row < 3; row++) {
		near(m[4 * row + 3], c[row], 0);
		for (int col = 0; col < 3; col++)
			near(r[3 * row + col], m[4 * row + col], 1e-15);
	}
}

static void unprojected_points_project_back(void **state)
{
	enum { W = 7, H = 5 };
	float depth[W * H], points[W * H * 3];
	e3_pose p;
	e3_pose_decode(example, &p, NULL);
	e3_intrinsics k = e3_intrinsics_decode(example, W, H);
	for (int i = 0; i < W * H; i++)
		depth[i] = 1 + 0.25f * (float)(i % 6);
	e3_unproject(&p, &k, depth, points);
	for (int i = 0; i < W * H; i++) {
		double cam[3];
		for (int row = 0; row < 3; row++)
			cam[row] = p.r[3 * row] * points[3 * i] + p.r[3 * row + 1] * points[3 * i + 1] +
				p.r[3 * row + 2] * points[3 * i + 2] + p.t[row];
		near(cam[2], depth[i], 1e-6);
		near(cam[0] / cam[2] * k.fx + k.cx, i % W + 0.5, 1e-5); /* the pixel's centre */
		near(cam[1] / cam[2] * k.fy + k.cy, i / W + 0.5, 1e-5);
	}
}

/* 1080 × 1920 resized to 518 × 924 and cropped to the middle 518 rows: doc/formats.md 4.1. */
static void intrinsics_of_the_source_undo_resize_and_crop(void **state)
{
	e3_source s = {.src_w = 1080, .src_h = 1920, .fit = {518 / 1080.0, 924 / 1920.0, 0, -203}};
	e3_intrinsics k = e3_intrinsics_decode(example, 518, 518), out;
	assert_int_equal(e3_intrinsics_to_source(&k, &s, &out, NULL), 0);
	near(out.fx, k.fx * 1080 / 518, 1e-9);
	near(out.fy, k.fy * 1920 / 924, 1e-9);
	near(out.cx, 540, 1e-9);
	near(out.cy, (259 + 203) * 1920 / 924.0, 1e-9); /* = 960: the crop is centred */
	assert_int_equal(out.w, 1080);
	assert_int_equal(out.h, 1920);
	e3_err err;
	s.fit.sx = 0;
	assert_int_equal(e3_intrinsics_to_source(&k, &s, &out, &err), -1);
	assert_non_null(strstr(err.text, "intrinsics of the source"));
}

static void numbers_that_are_not_a_pose_are_refused(void **state)
{
	e3_pose p;
	e3_err err;
	float none[9] = {1, 2, 3, 0, 0, 0, 0, 1, 1}, nan[9] = {1, NAN, 3, 0, 0, 0, 1, 1, 1};
	assert_int_equal(e3_pose_decode(none, &p, &err), -1);
	assert_non_null(strstr(err.text, "the quaternion is zero"));
	assert_int_equal(e3_pose_decode(nan, &p, &err), -1);
	assert_non_null(strstr(err.text, "not finite"));
	assert_true(e3_intrinsics_usable(example));
	assert_false(e3_intrinsics_usable((float[9]){0, 0, 0, 0, 0, 0, 1, 0, 1}));
	assert_false(e3_intrinsics_usable((float[9]){0, 0, 0, 0, 0, 0, 1, 1, 3.2f}));
	assert_false(e3_intrinsics_usable((float[9]){0, 0, 0, 0, 0, 0, 1, 3.2f, 1}));
	assert_false(e3_intrinsics_usable((float[9]){0, 0, 0, 0, 0, 0, 1, NAN, 1}));
}

static void apply(const double m[16], const double p[3], double to[3])
{
	for (int row = 0; row < 3; row++)
		to[row] = m[row] * p[0] + m[4 + row] * p[1] + m[8 + row] * p[2] + m[12 + row];
}

static void alignment_puts_the_first_camera_where_it_should_be(void **state)
{
	e3_pose p, still;
	double m[16], c[3], at[3], front[3], world[12];
	e3_pose_decode(example, &p, NULL);
	e3_pose_decode((float[9]){0, 0, 0, 0, 0, 0, 1, 1, 1}, &still, NULL);
	e3_pose_center(&p, c);
	e3_pose_to_world(&p, world);
	e3_align_matrix(E3_ALIGN_GL, &p, m);
	apply(m, c, at);
	double ahead[3] = {c[0] + world[2], c[1] + world[6], c[2] + world[10]}; /* one unit along the camera's z */
	apply(m, ahead, front);
	for (int k = 0; k < 3; k++) {
		near(at[k], 0, 1e-15);
		near(front[k], k == 2 ? -1 : 0, 1e-15);
	}
	static const double upstream[16] = {-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
	e3_align_matrix(E3_ALIGN_UPSTREAM, &still, m);
	for (int k = 0; k < 16; k++)
		near(m[k], upstream[k], 0);
	e3_align_matrix(E3_ALIGN_NONE, &p, m);
	for (int k = 0; k < 16; k++)
		near(m[k], k % 5 == 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_specification),
		cmocka_unit_test(a_rotation_is_orthonormal_whatever_the_length_of_its_quaternion),
		cmocka_unit_test(products_of_quaternions_are_products_of_matrices),
		cmocka_unit_test(matrices_give_their_quaternions),
		cmocka_unit_test(a_motion_and_its_inverse_cancel),
		cmocka_unit_test(the_centre_is_where_the_camera_sees_itself),
		cmocka_unit_test(unprojected_points_project_back),
		cmocka_unit_test(intrinsics_of_the_source_undo_resize_and_crop),
		cmocka_unit_test(numbers_that_are_not_a_pose_are_refused),
		cmocka_unit_test(alignment_puts_the_first_camera_where_it_should_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
