/* Which way is up, found from cameras, against rooms whose vertical is known and against made-up ways of holding a
 * camera. */
#include "check.h"
#include "e3/geom.h"
#include "e3/scene.h"

static const double degree = 3.14159265358979323846 / 180;

static double between(const double a[3], const double b[3])
{
	double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
	return atan2(sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]), a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / degree;
}

/* The largest error in degrees over some rooms, and of the first camera's top, which was used before. */
static double rooms(const char *label, e3_scene_path path, double length, double *first)
{
	double worst = 0, sum = 0;
	*first = 0;
	for (uint64_t seed = 0; seed < 10; seed++) {
		e3_scene_options o = E3_SCENE_DEFAULTS;
		o.seed = seed, o.path = path, o.length = length, o.w = 8, o.h = 6;
		e3_scene *s = e3_scene_open(&o, NULL);
		assert_non_null(s);
		e3_up_sums sums = {.n = 0};
		double up[3];
		for (int64_t i = 0; i < o.frames; i++) {
			float enc[9];
			e3_pose p;
			e3_scene_render(s, i, NULL, NULL, enc);
			assert_int_equal(e3_pose_decode(enc, &p, NULL), 0);
			e3_up_add(&sums, &p);
		}
		e3_up_find(&sums, up);
		double error = between(up, e3_scene_describe(s)->up);
		worst = fmax(worst, error), sum += error;
		*first = fmax(*first, between((double[3]){0, -1, 0}, e3_scene_describe(s)->up));
		e3_scene_close(s);
	}
	printf("# %-28s mean %.2f  worst %.2f degrees (first camera: worst %.2f)\n", label, sum / 10, worst, *first);
	return worst;
}

static void the_vertical_of_rooms(void **state)
{
	double first;
	/* once round: the cameras point in all directions */
	assert_true(rooms("walks", E3_SCENE_WALK, 20, &first) < 3);
	assert_true(first > 15);
	rooms("clips", E3_SCENE_CLIP, 1, &first);
}

/* A way of holding a camera: degrees. */
typedef struct holding {
	double yaw, pitch, roll;        /* yaw: from -yaw to yaw; pitch downwards */
	double pitch_swing, roll_swing; /* slow waves */
} holding;

/* The camera turned by so much; the vertical is -y. */
static void hold(const holding *h, int k, int n, e3_pose *p)
{
	double part = n > 1 ? 2.0 * k / (n - 1) - 1 : 0;
	double yaw = h->yaw * part * degree, pitch = (h->pitch + h->pitch_swing * sin(11 * part + 1)) * degree,
		   roll = (h->roll + h->roll_swing * sin(7 * part + 2)) * degree;
	double a[4] = {0, -sin(yaw / 2), 0, cos(yaw / 2)}, b[4] = {sin(pitch / 2), 0, 0, cos(pitch / 2)},
		   c[4] = {0, 0, -sin(roll / 2), cos(roll / 2)}, q[4];
	e3_quat_mul(b, a, q);
	e3_quat_mul(c, q, q);
	*p = (e3_pose){.t = {0}};
	e3_quat_to_mat(q, p->r);
}

static double held(const char *label, holding h, int n, e3_up_from expected)
{
	e3_up_sums sums = {.n = 0};
	double up[3];
	for (int k = 0; k < n; k++) {
		e3_pose p;
		hold(&h, k, n, &p);
		e3_up_add(&sums, &p);
	}
	e3_up_from from = e3_up_find(&sums, up);
	double error = between(up, (const double[3]){0, -1, 0});
	printf("# %-28s %.2f degrees, from %d\n", label, error, (int)from);
	assert_int_equal(from, expected);
	return error;
}

static void ways_of_holding_a_camera(void **state)
{
	/* level in truth, whatever the pitch */
	assert_true(held("all round", (holding){180, 20, 0, 10, 3}, 100, E3_UP_FROM_LEVEL) < 1);
	assert_true(held("a quarter", (holding){45, 20, 0, 5, 3}, 100, E3_UP_FROM_LEVEL) < 3);
	assert_true(held("20 degrees", (holding){10, 20, 0, 3, 1}, 100, E3_UP_FROM_LEVEL) < 8);
	/* the pictures' top, which is as far off as they look down */
	assert_true(held("straight on", (holding){0, 20, 0, 3, 3}, 100, E3_UP_FROM_MEAN) < 22);
	assert_true(held("straight on, swaying", (holding){3, 20, 0, 3, 6}, 100, E3_UP_FROM_MEAN) < 22);
	assert_true(held("still", (holding){0, 0, 0, 0, 0}, 100, E3_UP_FROM_MEAN) < 0.01);
	assert_true(held("one camera", (holding){0, 10, 0, 0, 0}, 1, E3_UP_FROM_FIRST) < 11);
	/* pure rotations */
	assert_true(held("a turn without pitch", (holding){180, 0, 0, 0, 0}, 100, E3_UP_FROM_LEVEL) < 0.01);
	assert_true(held("up and down", (holding){0, 0, 0, 60, 0}, 100, E3_UP_FROM_MEAN) < 15);
	/* turned to its side, with the sensor's left up: seen when it looks round */
	assert_true(held("on its side, all round", (holding){180, 10, 90, 5, 3}, 100, E3_UP_FROM_SIDES) < 2);
	assert_true(held("on its side, half round", (holding){90, 10, 90, 5, 3}, 100, E3_UP_FROM_SIDES) < 6);
	/* straight down, turning: no picture has a top */
	assert_true(held("straight down", (holding){180, 90, 0, 0, 2}, 100, E3_UP_FROM_LEVEL) < 2);
	e3_up_sums none = {.n = 0};
	double up[3];
	assert_int_equal(e3_up_find(&none, up), E3_UP_FROM_FIRST);
	assert_true(between(up, (const double[3]){0, -1, 0}) < 1e-9);
}

static void apply(const double r[9], const double v[3], double to[3])
{
	for (int k = 0; k < 3; k++)
		to[k] = r[3 * k] * v[0] + r[3 * k + 1] * v[1] + r[3 * k + 2] * v[2];
}

static void near(const double got[3], double x, double y, double z)
{
	printf("# %.6f %.6f %.6f, expected %g %g %g\n", got[0], got[1], got[2], x, y, z);
	assert_true(fabs(got[0] - x) < 1e-9 && fabs(got[1] - y) < 1e-9 && fabs(got[2] - z) < 1e-9);
}

static void a_scene_stands_upright_and_keeps_its_heading(void **state)
{
	const double up[3] = {0, -1, 0}, level[3] = {sin(40 * degree), 0, cos(40 * degree)};
	for (int pitch = -90; pitch <= 90; pitch += 30) {
		e3_pose p;
		double r[9], to[3];
		hold(&(holding){.yaw = 40, .pitch = pitch}, 1, 2, &p);
		e3_up_rotation(up, &p, E3_UP_Y, r);
		apply(r, up, to);
		near(to, 0, 1, 0);
		apply(r, level, to);
		near(to, 0, 0, -1);
		e3_up_rotation(up, &p, E3_UP_Z, r);
		apply(r, up, to);
		near(to, 0, 0, 1);
		apply(r, level, to);
		near(to, 0, 1, 0);
	}
	/* without a tilt it is what the GLB had */
	double m[16], r[9];
	e3_align_matrix(E3_ALIGN_GL, NULL, m);
	e3_up_rotation(up, NULL, E3_UP_Y, r);
	for (int k = 0; k < 9; k++)
		assert_true(r[k] == m[4 * (k % 3) + k / 3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vertical_of_rooms),
		cmocka_unit_test(ways_of_holding_a_camera),
		cmocka_unit_test(a_scene_stands_upright_and_keeps_its_heading),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
