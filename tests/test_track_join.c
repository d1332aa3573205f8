/* Joining two sights of the same frames: exact ones give the similarity back, wrong pixels and a wrong frame do not
 * matter, and what is not known is said. */
#include "check.h"
#include "e3/track.h"

enum { FRAMES = 8, W = 28, H = 20 };

static const double between[8] = {0.8, 0.1, -0.3, 0.05, 0.94, 0.4, -1.5, 2.5};

static double noise(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (double)(*seed >> 8) / (1 << 24) - 0.5;
}

/* A camera that turns and moves, and depths that look like nothing else. */
static void sight(e3_view v[FRAMES], uint32_t seed)
{
	for (int k = 0; k < FRAMES; k++) {
		float pose[9] = {0.05f * (float)k, 0.02f * (float)(k * k), -0.1f * (float)k, 0.03f * (float)k, 0.1f, 0.02f, 1,
			0.9f, 1.1f};
		float depth[W * H], conf[W * H];
		e3_result r = {.w = W, .h = H, .has_pose = true, .depth = depth, .depth_conf = conf};
		memcpy(r.pose, pose, sizeof pose);
		for (int p = 0; p < W * H; p++)
			depth[p] = (float)(2 + noise(&seed)), conf[p] = (float)(2 + noise(&seed));
		assert_int_equal(e3_view_take(&v[k], &r, NULL), 0);
	}
}

/* What another segment sees, whose coordinates `sim` turns into those of v: the inverse moves the cameras. */
static void other_sight(const e3_view v[FRAMES], const e3_similarity *sim, e3_view to[FRAMES])
{
	e3_similarity back;
	e3_similarity_invert(sim, &back);
	for (int k = 0; k < FRAMES; k++) {
		assert_int_equal(e3_view_copy(&to[k], &v[k], NULL), 0);
		float pose[9] = {0};
		for (int j = 0; j < 3; j++)
			pose[j] = (float)v[k].pose.t[j];
		for (int j = 0; j < 4; j++)
			pose[3 + j] = (float)v[k].pose.q[j];
		assert_int_equal(e3_similarity_pose(&back, pose, NULL), 0);
		assert_int_equal(e3_pose_decode(pose, &to[k].pose, NULL), 0);
		for (int p = 0; p < W * H; p++)
			to[k].depth[p] = (float)(back.s * (double)v[k].depth[p]);
	}
}

static double error_of(const e3_similarity *got, const e3_similarity *want)
{
	double worst = fabs(got->s - want->s);
	for (int k = 0; k < 9; k++)
		worst = fmax(worst, fabs(got->r[k] - want->r[k]));
	for (int k = 0; k < 3; k++)
		worst = fmax(worst, fabs(got->t[k] - want->t[k]));
	return worst;
}

typedef struct pair {
	e3_view a[FRAMES], b[FRAMES];
	e3_similarity truth;
	e3_joint joint;
} pair;

static void open_pair(pair *p)
{
	*p = (pair){0};
	assert_int_equal(e3_similarity_unpack(between, &p->truth, NULL), 0);
	sight(p->a, 1);
	other_sight(p->a, &p->truth, p->b);
}

static void close_pair(pair *p)
{
	for (int k = 0; k < FRAMES; k++)
		e3_view_release(&p->a[k]), e3_view_release(&p->b[k]);
}

static void exact_sights_give_the_similarity(void **state)
{
	for (int n = 1; n <= FRAMES; n++) {
		pair p;
		open_pair(&p);
		assert_int_equal(e3_join(p.a, p.b, n, &p.joint, NULL), 0);
		double error = error_of(&p.joint.sim, &p.truth);
		printf("# %d frames: %.3g\n", n, error);
		assert_true(error < 1e-5);
		assert_true(p.joint.scale < 1e-5);
		close_pair(&p);
	}
}

static void wrong_pixels_and_one_wrong_frame_hardly_matter(void **state)
{
	pair p;
	uint32_t seed = 7;
	open_pair(&p);
	for (int k = 0; k < FRAMES; k++)
		for (int i = 0; i < W * H; i += 3)
			p.b[k].depth[i] *= (float)(3 + noise(&seed));
	for (int i = 0; i < W * H; i++)
		p.b[5].depth[i] *= 1.4f;
	p.b[5].pose.t[0] += 0.5;
	assert_int_equal(e3_join(p.a, p.b, FRAMES, &p.joint, NULL), 0);
	double error = error_of(&p.joint.sim, &p.truth);
	printf("# %.3g\n", error);
	assert_true(error < 0.02);
	assert_true(p.joint.scale > 0.1); /* and the frame shows */
	close_pair(&p);
}

static void unsure_pixels_do_not_count(void **state)
{
	pair p;
	open_pair(&p);
	for (int k = 0; k < FRAMES; k++)
		for (int i = 0; i < W * H; i++)
			if (i % 8)
				p.b[k].depth[i] *= 2, p.b[k].conf[i] = 1;
	assert_int_equal(e3_join(p.a, p.b, FRAMES, &p.joint, NULL), 0);
	assert_true(error_of(&p.joint.sim, &p.truth) < 1e-5);
	close_pair(&p);
}

static void without_depth_the_scale_is_unknown(void **state)
{
	pair p;
	open_pair(&p);
	for (int k = 0; k < FRAMES; k++)
		for (int i = 0; i < W * H; i++)
			p.b[k].depth[i] = i % 2 ? 0 : NAN;
	assert_int_equal(e3_join(p.a, p.b, FRAMES, &p.joint, NULL), 0);
	assert_true(p.joint.sim.s == 1 && p.joint.scale == 1);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_sights_give_the_similarity),
		cmocka_unit_test(wrong_pixels_and_one_wrong_frame_hardly_matter),
		cmocka_unit_test(unsure_pixels_do_not_count),
		cmocka_unit_test(without_depth_the_scale_is_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
