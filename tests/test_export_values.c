/* What the outputs hold: which points, which depths, which signs. */
#include "export/points.h"
#include "export_fixture.h"

static void threshold_and_stride_select_points_and_an_empty_cloud_must_be_allowed(void **state)
{
	e3_export_options o = options();
	e3_err err;
	add_output(&o, "ply", in_folder("x.ply"));
	o.cloud.stride = 2;
	o.cloud.conf_min = 10;
	e3_export *x = begin(&o, 1); /* pixels 0 2 4 12 14 16: confidences 2 4 6 14 16 18 */
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	assert_int_equal(e3_export_facts_of(x)->points, 6);
	assert_int_equal(written(x, "ply"), 3);
	e3_export_close(x);
	o.cloud.conf_min = 1000;
	x = begin(&o, 1);
	assert_int_equal(e3_export_finish(x, NULL, &err), -1);
	assert_non_null(strstr(err.text, "none of 6 is left"));
	e3_export_close(x);
	o.cloud.allow_empty = true;
	x = begin(&o, 1);
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	assert_int_equal(written(x, "ply"), 0);
	e3_export_close(x);
}

/* How many of a frame's points are kept when all are of one colour. */
static int64_t kept_of(int red, int green, int blue, bool black, bool white)
{
	e3_export_options o = options();
	uint8_t rgb[3 * N];
	add_output(&o, "ply", in_folder("x.ply"));
	o.cloud.allow_empty = true, o.cloud.mask_black = black, o.cloud.mask_white = white;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	for (int k = 0; k < N; k++)
		rgb[3 * k] = (uint8_t)red, rgb[3 * k + 1] = (uint8_t)green, rgb[3 * k + 2] = (uint8_t)blue;
	p.rgb = rgb;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	int64_t kept = (int64_t)e3_export_facts_of(x)->kept;
	e3_export_close(x);
	return kept;
}

static void the_limits_of_black_and_white_are_those_of_the_manual(void **state)
{
	assert_int_equal(kept_of(5, 5, 5, true, false), 0);
	assert_int_equal(kept_of(15, 0, 0, true, false), 0);
	assert_int_equal(kept_of(5, 5, 6, true, false), N);
	assert_int_equal(kept_of(0, 16, 0, true, true), N);
	assert_int_equal(kept_of(241, 241, 241, false, true), 0);
	assert_int_equal(kept_of(240, 255, 255, false, true), N);
	assert_int_equal(kept_of(255, 240, 255, false, true), N);
	assert_int_equal(kept_of(255, 255, 240, true, true), N);
	assert_int_equal(kept_of(5, 5, 5, false, true) + kept_of(255, 255, 255, true, false), 2 * N);
}

static void unknown_depth_gives_no_point(void **state)
{
	static const float unknown[] = {0, 1e-9f, -1, NAN, INFINITY};
	e3_export_options o = options();
	float depth[N];
	add_output(&o, "ply", in_folder("x.ply"));
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	memcpy(depth, p.depth, sizeof depth);
	memcpy(depth + 3, unknown, sizeof unknown);
	p.points = NULL, p.points_conf = NULL, p.depth = depth;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	const e3_export_facts *f = e3_export_facts_of(x);
	assert_true(f->from_depth);
	assert_int_equal(f->points, N - 5);
	assert_int_equal(f->non_finite, 2); /* the other three say that they are unknown */
	assert_int_equal(written(x, "ply"), N - 5);
	assert_true(f->voxel == 0);
	e3_export_close(x);
}

/* A wall that turns away from the camera to the right: z = 2 + x / 2 of its own point map. */
static void normals_are_of_the_surface_and_look_at_the_camera(void **state)
{
	float points[3 * N];
	e3_pred p = frame(0);
	for (int k = 0; k < N; k++)
		points[3 * k] = (float)(k % W), points[3 * k + 1] = (float)(k / W),
				   points[3 * k + 2] = 2 + 0.5f * (float)(k % W);
	points[3 * 3 + 2] = 50; /* one pixel flies: its neighbours use their other side */
	p.points = points;
	for (int turned = 0; turned < 2; turned++) {
		p.pose[2] = turned ? -100 : 0; /* the camera is behind the wall then */
		e3_located at = {.xyz = points};
		int8_t n[3];
		assert_int_equal(e3_export_frame_init(&at.frame, &p, NULL), 0);
		for (int k = 0; k < N; k++) {
			e3_located_normal(&at, k % W, k / W, n);
			int sign = turned ? -1 : 1;
			if (k != 3)
				assert_true(n[0] == sign * 57 && n[1] == 0 && n[2] == sign * -114); /* 127 (1 -2) / sqrt 5 */
		}
	}
}

static void quaternions_of_a_trajectory_do_not_change_sign(void **state)
{
	/* camera from world; the third is the second again; the last is more than half a turn, and goes on from there */
	static const float q[4][4] = {{0, 0, 0, -1}, {0.6f, 0, 0, 0.8f}, {-0.6f, 0, 0, -0.8f}, {0.8f, 0, 0, -0.6f}};
	static const double want[4][4] = {{0, 0, 0, 1}, {-0.6, 0, 0, 0.8}, {-0.6, 0, 0, 0.8}, {-0.8, 0, 0, -0.6}};
	e3_export_options o = options();
	char line[256];
	add_output(&o, "tum", in_folder("x.tum"));
	e3_export *x = begin(&o, 0);
	for (int i = 0; i < 4; i++) {
		e3_pred p = frame(i);
		memcpy(p.pose + 3, q[i], sizeof q[i]);
		assert_int_equal(e3_export_add(x, &p, NULL), 0);
	}
	assert_int_equal(e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	FILE *f = fopen(in_folder("x.tum"), "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof line, f)); /* the header */
	for (int i = 0; i < 4; i++) {
		double v[8];
		assert_non_null(fgets(line, sizeof line, f));
		assert_int_equal(sscanf(line, "%lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
							 v + 7),
			8);
		for (int k = 0; k < 4; k++)
			assert_true(fabs(v[4 + k] - want[i][k]) < 1e-7);
	}
	fclose(f);
}

/* The factor that is chosen for depth that reaches as far as this. */
static double factor_for(float farthest, double given, uint64_t *clipped)
{
	e3_export_options o = options();
	float depth[N];
	add_output(&o, "depth", in_folder("d"));
	o.depth_scale = given;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(0);
	for (int k = 0; k < N; k++)
		depth[k] = k ? farthest / 2 : farthest;
	p.depth = depth;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	double factor = e3_export_facts_of(x)->depth_scale;
	*clipped = e3_export_facts_of(x)->depth_clipped;
	e3_export_close(x);
	return factor;
}

static void depth_takes_the_finest_usual_factor_that_fits(void **state)
{
	static const struct {
		float farthest;
		double given, want;
		uint64_t clipped;
	} table[] = {{13.1069f, 0, 5000, 0}, {13.108f, 0, 1000, 0}, {65.5f, 0, 1000, 0}, {65.6f, 0, 256, 0},
		{255.99f, 0, 256, 0}, {256.5f, 0, 255, 0}, {1e6f, 0, 65535 / 1e6, 0}, {10, 6553.5, 6553.5, 0},
		{10, 6554, 6554, 1}, {10, 20000, 20000, N}};
	for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
		uint64_t clipped;
		assert_true(factor_for(table[k].farthest, table[k].given, &clipped) == table[k].want);
		assert_int_equal(clipped, table[k].clipped);
	}
}

static void a_large_frame_goes_through_the_writers_buffer_whole(void **state)
{
	enum { SIDE = 100, POINTS = SIDE * SIDE, RECORD = 23 };
	e3_export_options o = options();
	add_output(&o, "ply", in_folder("x.ply"));
	o.ply_frame = true;
	e3_export *x = begin(&o, 0);
	e3_pred p = frame(5);
	float *points = calloc(4 * POINTS, sizeof *points);
	assert_non_null(points);
	for (int k = 0; k < POINTS; k++)
		points[3 * k] = (float)k, points[3 * POINTS + k] = 2;
	p.w = p.h = SIDE, p.points = points, p.points_conf = points + 3 * POINTS, p.rgb = NULL,
	p.depth = p.depth_conf = NULL;
	assert_int_equal(e3_export_add(x, &p, NULL) | e3_export_finish(x, NULL, NULL), 0);
	e3_export_close(x);
	free(points);
	FILE *f = fopen(in_folder("x.ply"), "r");
	char line[256] = "";
	assert_non_null(f);
	while (strcmp(line, "end_header\n"))
		assert_non_null(fgets(line, sizeof line, f));
	for (int k = 0; k < POINTS; k++) {
		uint8_t r[RECORD];
		float v;
		assert_int_equal(fread(r, 1, sizeof r, f), sizeof r);
		memcpy(&v, r, 4);
		assert_true(v == (float)k && r[12] == 255 && r[19] == 5);
	}
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(threshold_and_stride_select_points_and_an_empty_cloud_must_be_allowed),
		IN_FOLDER(the_limits_of_black_and_white_are_those_of_the_manual),
		IN_FOLDER(unknown_depth_gives_no_point),
		cmocka_unit_test(normals_are_of_the_surface_and_look_at_the_camera),
		IN_FOLDER(quaternions_of_a_trajectory_do_not_change_sign),
		IN_FOLDER(depth_takes_the_finest_usual_factor_that_fits),
		IN_FOLDER(a_large_frame_goes_through_the_writers_buffer_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
