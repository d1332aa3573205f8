/* eval: clouds of points: the tree against brute force, normals, ICP, shift and scale, the whole comparison; the
 * vectors mv/. */
#include "e3/eval.h"
#include "e3/num.h"
#include "vectors.h"

enum { MANY = 20000 };

static const e3_work one = {.threads = 1}, two = {.threads = 2}, five = {.threads = 5};

static uint32_t state32 = 1;

static double uniform(void)
{
	state32 = e3_fmix32(state32 + 0x9e3779b9u);
	return state32 / 4294967296.0;
}

/* 0: in a cube; 1: on a grid, so with ties and duplicates; 2: on a line; 3: all in one place */
static void fill(int kind, double (*x)[3], size_t n)
{
	for (size_t k = 0; k < n; k++)
		for (int a = 0; a < 3; a++)
			x[k][a] = kind == 0 ? uniform()
				: kind == 1     ? floor(6 * uniform())
				: kind == 2     ? (double)(k % 97) * (a + 1)
								: 7;
}

static double apart(const double a[3], const double b[3])
{
	double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
	return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void against_brute_force(int kind, size_t n)
{
	static double x[1000][3], was[1000][3], all[1000], d2[40];
	size_t row[40];
	e3_kdtree t;
	fill(kind, x, n);
	memcpy(was, x, sizeof x);
	assert_int_equal(e3_kdtree_init(&t, x, n, &two, NULL), 0);
	char seen[1000] = {0};
	for (size_t k = 0; k < n; k++) {
		assert_false(seen[t.was[k]]++);
		assert_memory_equal(x[k], was[t.was[k]], sizeof *x);
	}
	for (int j = 0; j < 60; j++) {
		double q[3] = {uniform() * 8 - 1, uniform() * 8 - 1, uniform() * 8 - 1},
			   limit = j % 3 ? INFINITY : 2 * uniform();
		if (j % 4 == 0)
			memcpy(q, x[(size_t)j % n], sizeof q);
		size_t below = 0, k = 1 + (size_t)j % 40;
		for (size_t i = 0; i < n; i++) {
			all[i] = apart(x[i], q);
			below += all[i] < limit;
		}
		qsort(all, n, sizeof *all, by_value);
		assert_int_equal(e3_kdtree_near(&t, q, k, limit, row, d2), below < k ? below : k);
		for (size_t i = 0; i < (below < k ? below : k); i++) {
			assert_true(d2[i] == all[i]);
			assert_true(apart(x[row[i]], q) == d2[i]);
			for (size_t other = 0; other < i; other++)
				assert_true(row[other] != row[i]);
		}
	}
	e3_kdtree_release(&t);
}

static void the_tree_equals_brute_force(void **state)
{
	static const size_t sizes[] = {1, 2, 7, 8, 9, 16, 17, 64, 100, 513, 1000};
	for (int kind = 0; kind < 4; kind++)
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
			against_brute_force(kind, sizes[k]);
}

static void a_tree_refuses_bad_points(void **state)
{
	double x[2][3] = {{0, 0, 0}, {0, NAN, 0}};
	e3_kdtree t;
	e3_err err;
	assert_int_equal(e3_kdtree_init(&t, x, 2, &one, &err), -1);
	assert_string_equal(err.text, "a tree of points: point 1 is not finite");
	assert_int_equal(e3_kdtree_init(&t, x, 0, &one, &err), -1);
}

static void normals_of_known_surfaces(void **state)
{
	/* a plane with the normal (1, 2, 2) / 3 */
	static double x[400][3], normal[400][3];
	e3_kdtree t;
	for (int k = 0; k < 400; k++) {
		double a = uniform(), b = uniform();
		x[k][0] = 2 * a, x[k][1] = -a + b, x[k][2] = -b;
	}
	assert_int_equal(e3_kdtree_init(&t, x, 400, &one, NULL), 0);
	assert_int_equal(e3_normals_make(&t, E3_NORMAL_NEIGHBOURS, &two, normal, NULL), 0);
	for (int k = 0; k < 400; k++)
		near("normal", fabs(normal[k][0] + 2 * normal[k][1] + 2 * normal[k][2]) / 3, 1, 1e-12);
	e3_kdtree_release(&t);
	fill(3, x, 400); /* none where all points coincide, or where there are two */
	for (size_t n = 2; n <= 400; n += 398) {
		assert_int_equal(e3_kdtree_init(&t, x, n, &one, NULL), 0);
		assert_int_equal(e3_normals_make(&t, E3_NORMAL_NEIGHBOURS, &one, normal, NULL), 0);
		for (size_t k = 0; k < n; k++)
			assert_true(normal[k][0] == 0 && normal[k][1] == 0 && normal[k][2] == 1);
		e3_kdtree_release(&t);
	}
}

/* A wavy sheet, as pairs of points: predictions are k × truth with z + shift. */
static void scene(e3_recon *r, size_t n, double k, double shift, double turn)
{
	state32 = 5;
	for (size_t i = 0; i < n; i++) {
		double u = 4 * uniform() - 2, v = 3 * uniform() - 1.5, z = 3 + 0.4 * sin(3 * u) * cos(2 * v);
		double truth[3] = {u, v, z},
			   pred[3] = {k * (u * cos(turn) - v * sin(turn)), k * (u * sin(turn) + v * cos(turn)), k * z + shift};
		assert_int_equal(e3_recon_push(r, pred, truth, i % 4 != 0, NULL), 0);
	}
}

static const e3_recon_rule usual = {.radius = 0.1, .work = &two};

static void a_perfect_reconstruction_has_no_error(void **state)
{
	e3_recon r = {.views = 0};
	e3_recon_score s;
	scene(&r, 4000, 1, 0, 0);
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0);
	assert_int_equal(s.points, 3000);
	near("acc", s.acc, 0, 1e-15), near("comp", s.comp, 0, 1e-15);
	near("nc", s.nc, 1, 1e-12), near("nc_med", s.nc_med, 1, 1e-12);
	near("fitness", s.icp.fitness, 1, 0);
	e3_recon_release(&r);
}

/* Any scale and shift along z is removed. */
static void scale_and_shift_are_removed(void **state)
{
	e3_recon r = {.views = 0};
	e3_recon_score s;
	scene(&r, 4000, 2.5, -0.7, 0);
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0);
	near("scale", s.fit.size[0] / s.fit.size[1], 0.4, 1e-12);
	near("shift", s.fit.shift[1], 2.5 * s.fit.shift[0] - 0.7, 1e-12);
	near("acc", s.acc, 0, 1e-12), near("comp_med", s.comp_med, 0, 1e-12), near("nc", s.nc, 1, 1e-9);
	e3_recon_release(&r);
	scene(&r, 4000, 1, 0, 2); /* too far for ICP: the similarity of cameras does it */
	assert_int_equal(e3_recon_evaluate(&r, &(e3_recon_rule){.radius = 0.1, .work = &one, .similarity = true}, &s, NULL),
		0);
	near("acc after the similarity", s.acc, 0, 1e-9);
	e3_recon_release(&r);
}

static void icp_undoes_a_known_motion(void **state)
{
	e3_recon r = {.views = 0};
	e3_kdtree t;
	e3_icp icp;
	scene(&r, 4000, 1, 0, 0.02);
	assert_int_equal(e3_kdtree_init(&t, r.inside.truth, 3000, &one, NULL), 0);
	assert_int_equal(e3_icp_run(r.inside.pred, 3000, &t, &(e3_icp_rule){0.1, &two}, &icp, NULL), 0);
	near("turned back", icp.m[1], sin(0.02), 1e-12), near("rmse", icp.rmse, 0, 1e-12),
		near("fitness", icp.fitness, 1, 0);
	assert_true(icp.steps > 1 && icp.steps < 30);
	double far[1][3] = {{9, 9, 9}}; /* nothing within the radius: no motion */
	assert_int_equal(e3_icp_run(far, 1, &t, &(e3_icp_rule){0.1, &one}, &icp, NULL), 0);
	assert_true(icp.fitness == 0 && icp.rmse == 0 && icp.steps == 1 && far[0][0] == 9);
	e3_kdtree_release(&t), e3_recon_release(&r);
}

static void points_that_are_not_finite_are_left_out(void **state)
{
	e3_recon r = {.views = 0};
	e3_recon_score s;
	const double bad[3] = {1, NAN, 1}, worse[3] = {1, 1, INFINITY}, truth[3] = {9, 9, 9};
	scene(&r, 400, 1, 0, 0);
	assert_int_equal(e3_recon_push(&r, bad, truth, true, NULL), 0);
	assert_int_equal(e3_recon_push(&r, worse, truth, true, NULL), 0);
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0);
	assert_int_equal(s.not_finite, 2);
	assert_int_equal(s.points, 300);
	assert_true(isfinite(s.acc) && s.comp < 0.5);
	e3_recon_release(&r);
	assert_int_equal(e3_recon_push(&r, bad, truth, true, NULL), 0);
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0);
	assert_int_equal(s.points, 0);
	e3_recon_release(&r);
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0); /* nothing at all */
	assert_int_equal(s.points, 0);
	assert_int_equal(e3_recon_push(&r, truth, truth, true, NULL), 0); /* one point */
	assert_int_equal(e3_recon_evaluate(&r, &usual, &s, NULL), 0);
	assert_int_equal(s.points, 1);
	near("a point has no size to scale by", s.acc, sqrt(162), 1e-12);
	near("nc", s.nc, 1, 0);
	e3_recon_release(&r);
}

static void figures_do_not_depend_on_threads(void **state)
{
	e3_recon_score s[2];
	memset(s, 0, sizeof s);
	for (int k = 0; k < 2; k++) {
		e3_recon r = {.views = 0};
		scene(&r, MANY, 1.3, 0.2, 0.03);
		for (size_t i = 0; i < r.inside.n; i++)
			r.inside.pred[i][i % 3] += 0.01 * uniform();
		assert_int_equal(e3_recon_evaluate(&r, &(e3_recon_rule){.radius = 0.1, .work = k ? &five : &one}, &s[k], NULL),
			0);
		e3_recon_release(&r);
	}
	assert_true(s[0].acc > 1e-4);
	assert_memory_equal(&s[0], &s[1], sizeof *s);
}

typedef struct patience {
	_Atomic int left; /* how often it may be asked */
	int told;
} patience;

static bool impatient(void *ctx) { return ((patience *)ctx)->left-- <= 0; }

static void hear(void *ctx, const char *what, int done, int of)
{
	assert_true(what[0] && done >= 0 && done < of);
	((patience *)ctx)->told++;
}

/* Wherever a stop meets it. */
static void a_stop_ends_the_comparison(void **state)
{
	int rc = -1, stopped = 0, threads = 1;
	for (int k = 0; rc; k += 1 + k / 8) {
		patience p = {.left = k};
		e3_work work = {threads, impatient, hear, &p};
		e3_recon r = {.views = 0};
		e3_recon_score s;
		e3_err err;
		scene(&r, MANY, 1.3, 0.2, 0.03);
		rc = e3_recon_evaluate(&r, &(e3_recon_rule){.radius = 0.1, .work = &work}, &s, &err);
		assert_true(rc == 0 || (rc == -1 && !strcmp(err.text, "interrupted")));
		assert_true(rc || p.told > 10);
		stopped += rc != 0, threads = 3 - threads;
		e3_recon_release(&r);
	}
	assert_true(stopped > 10);
}

/* A view by its pixels: true points by hand; the truth twice as large as the picture, nearest pixel; the crop. */
static void a_view_matches_the_nearest_true_pixels(void **state)
{
	enum { W = 4, H = 2 };
	float points[H * W * 3], depth[2 * H][2 * W];
	e3_resampler o;
	e3_source src = {.src_w = 2 * W, .src_h = 2 * H, .fit = {0.5, 0.5, 0, 0}};
	const e3_pose pose = {.r = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .t = {0, 0, 5}, .q = {0, 0, 0, 1}};
	const e3_intrinsics k = {2, 4, 4, 2, 2 * W, 2 * H};
	for (int i = 0; i < W * H * 3; i++)
		points[i] = (float)i;
	for (int i = 0; i < 4 * W * H; i++)
		depth[i / (2 * W)][i % (2 * W)] = (float)(i + 1);
	depth[1][1] = 0; /* beside the first pixel */
	assert_int_equal(e3_resampler_init(&o, &src, (int[]){W, H}, (int[]){2 * W, 2 * H}, NULL), 0);
	e3_recon r = {.views = 0};
	assert_int_equal(e3_recon_add(&r, &(e3_recon_view){&o, points, NULL, depth[0], &pose, &k}, 2, NULL), 0);
	assert_int_equal(r.inside.n, 4);
	assert_int_equal(r.outside.n, 3);
	const double want[3] = {(3 - 4) * 12 / 2.0, (1 - 2) * 12 / 4.0,
		12}; /* pixel (1, 0): the true one at (3, 1), in its own camera */
	for (int a = 0; a < 3; a++) {
		assert_true(r.inside.pred[0][a] == 3 + a);
		near("true point", r.inside.truth[0][a], want[a], 1e-12);
	}
	e3_recon_release(&r), e3_resampler_release(&o);
}

/* --- vectors --- */

static json_t *inputs(const char *name) { return json_object_get(vector(name), "inputs"); }
static json_t *expected(const char *name) { return json_object_get(vector(name), "expected"); }

static size_t read_points(json_t *from, const char *key, double (*to)[3])
{
	return flatten(json_object_get(from, key), to[0]) / 3;
}

static void scores_are(const e3_recon_score *s, json_t *want, double tolerance)
{
	const char *const key[] = {"acc", "acc_med", "comp", "comp_med", "nc1", "nc1_med", "nc2", "nc2_med", "nc",
		"nc_med"};
	const double got[] = {s->acc, s->acc_med, s->comp, s->comp_med, s->nc1, s->nc1_med, s->nc2, s->nc2_med, s->nc,
		s->nc_med};
	for (int k = 0; k < 10; k++)
		near(key[k], got[k], number(want, key[k]), tolerance);
}

static void world_from_camera(const double m[16], e3_pose *to)
{
	*to = (e3_pose){.q = {0, 0, 0, 1}};
	double inverse[12];
	e3_rigid_invert(m, inverse);
	for (int row = 0; row < 3; row++) {
		memcpy(to->r + 3 * row, inverse + 4 * row, 3 * sizeof *inverse);
		to->t[row] = inverse[4 * row + 3];
	}
}

static void unprojection_equals_the_vectors(void **state)
{
	json_t *in = inputs("mv/unproject");
	double depth[6], k[9], m[16], want[6][3], x[3];
	e3_pose pose;
	flatten(json_object_get(in, "depth"), depth), flatten(json_object_get(in, "K"), k),
		flatten(json_object_get(in, "pose_c2w"), m);
	assert_int_equal(read_points(expected("mv/unproject"), "points", want), 6);
	world_from_camera(m, &pose);
	for (int i = 0; i < 6; i++) {
		e3_point_of_depth(&pose, &(e3_intrinsics){k[0], k[4], k[2], k[5], 3, 2}, (int[]){i % 3, i / 3}, depth[i], x);
		for (int a = 0; a < 3; a++)
			near("unproject", x[a], want[i][a], 1e-12);
	}
}

static void shift_and_scale_equal_the_vectors(void **state)
{
	json_t *in = inputs("mv/regr3d_scale_shift"), *out = expected("mv/regr3d_scale_shift"),
		   *mask = json_object_get(in, "mask");
	double m[16], gt[24][3], pred[24][3], want[2][24][3], centre[2][3];
	e3_pose first;
	e3_recon r = {.views = 0};
	e3_recon_fit fit;
	flatten(json_object_get(in, "pose0_c2w"), m);
	assert_int_equal(read_points(in, "gt_world", gt), 24);
	assert_int_equal(read_points(in, "pred", pred), 24);
	read_points(out, "gt_out", want[0]), read_points(out, "pred_out", want[1]);
	world_from_camera(m, &first);
	int row[24], n = 0;
	for (int i = 0; i < 24; i++) {
		double x[3];
		for (int a = 0; a < 3; a++)
			x[a] =
				first.r[3 * a] * gt[i][0] + first.r[3 * a + 1] * gt[i][1] + first.r[3 * a + 2] * gt[i][2] + first.t[a];
		if (!json_is_true(
				json_array_get(json_array_get(json_array_get(mask, (size_t)i / 12), (size_t)i / 4 % 3), (size_t)i % 4)))
			continue;
		assert_int_equal(e3_recon_push(&r, pred[i], x, true, NULL), 0);
		row[n++] = i;
	}
	assert_int_equal(n, 21);
	assert_int_equal(e3_recon_normalise(&r, &fit, NULL), 0);
	near("shift of truth", fit.shift[0], number(out, "gt_shift_z"), 1e-9);
	near("shift of prediction", fit.shift[1], number(out, "pred_shift_z"), 1e-9);
	near("size of truth", fit.size[0], number(out, "gt_scale"), 1e-9);
	near("size of prediction", fit.size[1], number(out, "pred_scale"), 1e-9);
	flatten(json_object_get(out, "gt_center"), centre[0]), flatten(json_object_get(out, "pred_center"), centre[1]);
	for (int a = 0; a < 3; a++)
		near("centre", fit.centre[0][a], centre[0][a], 1e-9), near("centre", fit.centre[1][a], centre[1][a], 1e-9);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < 3; a++) {
			near("truth", r.inside.truth[i][a], want[0][row[i]][a], 1e-9);
			near("prediction", r.inside.pred[i][a], want[1][row[i]][a], 1e-9);
		}
	e3_recon_release(&r);
}

static void comparison_equals_the_vectors(void **state)
{
	json_t *in = inputs("mv/accuracy_completion");
	double x[2][9][3], given[2][9][3], normal[2][9][3];
	e3_point_set c[2];
	e3_recon_score s;
	size_t n[2] = {read_points(in, "rec", x[0]), read_points(in, "gt", x[1])};
	read_points(in, "rec_normals", given[0]), read_points(in, "gt_normals", given[1]);
	for (int k = 0; k < 2; k++) {
		c[k].normal = normal[k];
		assert_int_equal(e3_kdtree_init(&c[k].tree, x[k], n[k], &one, NULL), 0);
		for (size_t i = 0; i < n[k]; i++)
			memcpy(normal[k][i], given[k][c[k].tree.was[i]], sizeof normal[k][i]);
	}
	assert_int_equal(e3_point_sets_compare(&c[0], &c[1], &one, &s, NULL), 0);
	scores_are(&s, expected("mv/accuracy_completion"), 1e-9);
	e3_kdtree_release(&c[0].tree), e3_kdtree_release(&c[1].tree);
}

static void the_whole_chain_equals_the_vectors(void **state)
{
	json_t *in = inputs("mv/icp_normals_full_chain"), *out = expected("mv/icp_normals_full_chain");
	static double pred[100][3], gt[120][3], normal[2][120][3], m[16], want[2][5][3];
	assert_int_equal(read_points(in, "pred", pred), 100);
	assert_int_equal(read_points(in, "gt", gt), 120);
	e3_point_set p = {.normal = normal[0]}, t = {.normal = normal[1]};
	e3_icp icp;
	e3_recon_score s;
	assert_int_equal(e3_kdtree_init(&t.tree, gt, 120, &one, NULL), 0);
	assert_int_equal(e3_icp_run(pred, 100, &t.tree, &(e3_icp_rule){number(in, "threshold"), &one}, &icp, NULL), 0);
	assert_int_equal(icp.steps, (int)number(out, "iterations"));
	near("fitness", icp.fitness, number(out, "fitness"), 1e-12);
	near("rmse", icp.rmse, number(out, "inlier_rmse"), 1e-12);
	flatten(json_object_get(out, "transformation"), m);
	for (int k = 0; k < 12; k++)
		near("transformation", icp.m[k], m[k], 1e-9);
	assert_int_equal(e3_kdtree_init(&p.tree, pred, 100, &one, NULL), 0);
	assert_int_equal(e3_normals_make(&p.tree, (int)number(in, "knn"), &one, p.normal, NULL), 0);
	assert_int_equal(e3_normals_make(&t.tree, (int)number(in, "knn"), &one, t.normal, NULL), 0);
	read_points(out, "first_pred_normals_z_positive", want[0]),
		read_points(out, "first_gt_normals_z_positive", want[1]);
	int compared = 0;
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < (k ? t.tree.n : p.tree.n); i++) {
			uint32_t was = (k ? &t : &p)->tree.was[i];
			if (was >= 5)
				continue;
			for (int a = 0; a < 3; a++)
				near("normal", copysign(1, normal[k][i][2]) * normal[k][i][a], want[k][was][a], 1e-9);
			compared++;
		}
	assert_int_equal(compared, 10);
	assert_int_equal(e3_point_sets_compare(&p, &t, &one, &s, NULL), 0);
	scores_are(&s, json_object_get(out, "metrics"), 1e-9);
	e3_kdtree_release(&p.tree), e3_kdtree_release(&t.tree);
}

/* --use-proj: points of predicted depth and camera as the reference makes them, of integer pixel indices. */
static void points_of_depth_and_camera_equal_the_vectors(void **state)
{
	double enc[2][9], depth[2][24], want[2][24][3];
	flatten(json_object_get(inputs("pose/pose_encoding"), "pose_enc_tx_ty_tz_qx_qy_qz_qw_fovh_fovw"), enc[0]);
	assert_int_equal(flatten(json_object_get(inputs("mv/use_proj_unprojection"), "depth"), depth[0]), 48);
	assert_int_equal(flatten(expected("mv/use_proj_unprojection"), want[0][0]), 144);
	for (int k = 0; k < 2; k++) {
		float e[9], d[24], x[24 * 3];
		e3_pose pose;
		for (int i = 0; i < 9; i++)
			e[i] = (float)enc[k][i];
		for (int i = 0; i < 24; i++)
			d[i] = (float)depth[k][i];
		assert_int_equal(e3_pose_decode(e, &pose, NULL), 0);
		e3_intrinsics lens = e3_intrinsics_decode(e, 6, 4);
		lens = e3_intrinsics_upstream(&lens);
		e3_unproject(&pose, &lens, d, x);
		for (int i = 0; i < 72; i++)
			near("point", x[i], want[k][i / 3][i % 3], 1e-6);
	}
}

static void the_crop_equals_the_vectors(void **state)
{
	json_t *out = expected("mv/centre_crop");
	int box[4];
	e3_recon_crop(518, 392, 224, box);
	const int want[4] = {(int)number(out, "left"), (int)number(out, "top"), (int)number(out, "right"),
		(int)number(out, "bottom")};
	assert_memory_equal(box, want, sizeof box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_equals_brute_force),
		cmocka_unit_test(a_tree_refuses_bad_points),
		cmocka_unit_test(normals_of_known_surfaces),
		cmocka_unit_test(a_perfect_reconstruction_has_no_error),
		cmocka_unit_test(scale_and_shift_are_removed),
		cmocka_unit_test(icp_undoes_a_known_motion),
		cmocka_unit_test(points_that_are_not_finite_are_left_out),
		cmocka_unit_test(figures_do_not_depend_on_threads),
		cmocka_unit_test(a_stop_ends_the_comparison),
		cmocka_unit_test(a_view_matches_the_nearest_true_pixels),
		cmocka_unit_test(unprojection_equals_the_vectors),
		cmocka_unit_test(shift_and_scale_equal_the_vectors),
		cmocka_unit_test(comparison_equals_the_vectors),
		cmocka_unit_test(the_whole_chain_equals_the_vectors),
		cmocka_unit_test(points_of_depth_and_camera_equal_the_vectors),
		cmocka_unit_test(the_crop_equals_the_vectors),
	};
	return cmocka_run_group_tests_name("eval: recon", tests, vectors_load, vectors_unload);
}
