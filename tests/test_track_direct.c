/* Direct alignment: two pictures of a painted wall. From a pose that is wrong by degrees it finds the right one, also
 * when the light changes or something stands in front; pictures of different walls are refused. */
#include "check.h"
#include "track/direct.h"

enum { W = 160, H = 120 };

typedef struct shot {
	e3_view view;
	e3_pyramid picture;
} shot;

/* Brightness of the wall z = 3 + 0.3 x, as a function of where. */
static double paint(double x, double y, double phase)
{
	double sum = 0.5;
	for (int k = 0; k < 12; k++) { /* waves of many lengths, so that no other place looks the same */
		double angle = 2.4 * k + phase, wave = 0.9 * pow(1.32, k);
		sum += 0.11 * pow(1.12, -k) * sin(wave * (x * cos(angle) + y * sin(angle)) + 1.7 * k * (1 + phase));
	}
	return sum;
}

typedef struct lens {
	double phase, gain, offset;
	bool hand; /* something near covers a corner */
} lens;

static void take(shot *s, const float pose[9], const lens *l)
{
	e3_pose p;
	float depth[W * H], conf[W * H];
	uint8_t rgb[3 * W * H];
	e3_result r = {.w = W, .h = H, .has_pose = true, .depth = depth, .depth_conf = conf};
	memcpy(r.pose, pose, sizeof r.pose);
	assert_int_equal(e3_pose_decode(pose, &p, NULL), 0);
	e3_intrinsics k = e3_intrinsics_decode(pose, W, H);
	double c[3];
	e3_pose_center(&p, c);
	for (int v = 0; v < H; v++)
		for (int u = 0; u < W; u++) {
			double ray[3] = {(u + 0.5 - k.cx) / k.fx, (v + 0.5 - k.cy) / k.fy, 1}, d[3];
			for (int j = 0; j < 3; j++)
				d[j] = p.r[j] * ray[0] + p.r[3 + j] * ray[1] + p.r[6 + j] * ray[2];
			double z = (3 + 0.3 * c[0] - c[2]) / (d[2] - 0.3 * d[0]);
			double bright = paint(c[0] + z * d[0], c[1] + z * d[1], l->phase);
			if (l->hand && u < W / 3 && v < H / 3)
				z = 0.5, bright = 0.5 + 0.3 * sin(0.9 * u) * cos(0.7 * v);
			depth[v * W + u] = (float)z, conf[v * W + u] = 2;
			double value = 255 * (l->gain * bright + l->offset);
			for (int j = 0; j < 3; j++)
				rgb[3 * (v * W + u) + j] = (uint8_t)fmin(255, fmax(0, value + 0.5));
		}
	*s = (shot){0};
	assert_int_equal(e3_view_take(&s->view, &r, NULL), 0);
	assert_int_equal(e3_pyramid_make(&s->picture, rgb, W, H, NULL), 0);
}

static void drop(shot *s) { e3_view_release(&s->view), e3_pyramid_release(&s->picture); }

static const float first[9] = {0, 0, 0, 0, 0, 0, 1, 0.9f, 1.1f};
static const float second[9] = {-0.2f, 0.05f, 0.1f, 0.01f, 0.06f, 0.005f, 1, 0.9f, 1.1f};

/* What the network would say: wrong by `turn` radians and `move`. */
static void wrong(e3_view *v, double turn, double move)
{
	e3_similarity s = e3_similarity_identity;
	float pose[9];
	for (int j = 0; j < 3; j++)
		pose[j] = (float)v->pose.t[j] + (float)move * (j == 1 ? -1 : 1);
	double q[4] = {0.5 * turn * 0.6, 0.5 * turn * 0.7, -0.5 * turn * 0.39, 1}, out[4];
	e3_quat_mul(q, v->pose.q, out);
	for (int j = 0; j < 4; j++)
		pose[3 + j] = (float)out[j];
	assert_int_equal(e3_similarity_pose(&s, pose, NULL), 0);
	assert_int_equal(e3_pose_decode(pose, &v->pose, NULL), 0);
}

static double turn_between(const e3_pose *a, const e3_pose *b)
{
	double back[4] = {-b->q[0], -b->q[1], -b->q[2], b->q[3]}, q[4];
	e3_quat_mul(a->q, back, q);
	return e3_quat_angle(q);
}

static void the_pose_is_found(void **state)
{
	static const struct {
		const char *name;
		lens lens;
		double turn, move, bound;
	} cases[] = {
		{"near", {0, 1, 0, false}, 0.01, 0.02, 6e-4},
		{"far", {0, 1, 0, false}, 0.05, 0.06, 6e-4},
		{"other light", {0, 0.8, 0.1, false}, 0.03, 0.03, 8e-4},
		{"something in front", {0, 1, 0, true}, 0.03, 0.03, 2e-3},
	};
	shot a;
	take(&a, first, &(lens){0, 1, 0, false});
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		shot b;
		e3_aligned out = {0};
		take(&b, second, &cases[k].lens);
		e3_pose truth = b.view.pose;
		wrong(&b.view, cases[k].turn, cases[k].move);
		int found = e3_align_direct(&(e3_sight){&a.view, &a.picture}, &(e3_sight){&b.view, &b.picture}, &out);
		double turn = turn_between(&out.pose, &truth), move = 0;
		for (int j = 0; j < 3; j++)
			move = fmax(move, fabs(out.pose.t[j] - truth.t[j]));
		printf("# %s: wrong by %.4f rad, then %.5f; centre by %.3f, then %.5f; apart %.5f %.5f\n", cases[k].name,
			turn_between(&b.view.pose, &truth), turn, cases[k].move, move, out.turn, out.move);
		assert_int_equal(found, 1);
		assert_true(turn < cases[k].bound && move < 4 * cases[k].bound);
		drop(&b);
	}
	drop(&a);
}

static void other_pictures_are_refused(void **state)
{
	shot a, b;
	e3_aligned out;
	take(&a, first, &(lens){0, 1, 0, false});
	for (int k = 1; k < 8; k++) {
		take(&b, second, &(lens){0.77 * k, 1, 0, false}); /* another wall */
		assert_int_equal(e3_align_direct(&(e3_sight){&a.view, &a.picture}, &(e3_sight){&b.view, &b.picture}, &out), 0);
		drop(&b);
	}
	take(&b, second, &(lens){0, 1, 0, false});
	wrong(&b.view, 0.5, 0); /* out of reach */
	assert_int_equal(e3_align_direct(&(e3_sight){&a.view, &a.picture}, &(e3_sight){&b.view, &b.picture}, &out), 0);
	b.view.k.fx = b.view.k.fy = 0;
	assert_int_equal(e3_align_direct(&(e3_sight){&a.view, &a.picture}, &(e3_sight){&b.view, &b.picture}, &out), 0);
	drop(&a), drop(&b);
}

static void a_black_picture_is_refused(void **state)
{
	shot a, b;
	e3_aligned out;
	take(&a, first, &(lens){0, 0, 0, false}), take(&b, second, &(lens){0, 0, 0, false});
	assert_int_equal(e3_align_direct(&(e3_sight){&a.view, &a.picture}, &(e3_sight){&b.view, &b.picture}, &out), 0);
	drop(&a), drop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pose_is_found),
		cmocka_unit_test(other_pictures_are_refused),
		cmocka_unit_test(a_black_picture_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
