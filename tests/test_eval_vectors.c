/* eval: the vectors of tests/data/eval/vectors.json about depth, resizing, paths and pairs. eval-vectors.bats checks
 * that every vector of the file is compared by some test. */
#include "e3/eval.h"
#include "vectors.h"

/* --- depth --- */

enum { MAX_PAIRS = 64 };

/* The shared input of the depth cases, twice over where `sequence`; pairs inside the cap, `mask` restricts them. */
static size_t depth_pairs(bool sequence, double cap, bool mask, double (*to)[2])
{
	json_t *data = json_object_get(vector("depth/_data"), "expected");
	double p[24], g[24];
	size_t n = 0;
	assert_int_equal(flatten(json_object_get(data, "pred"), p), 24);
	assert_int_equal(flatten(json_object_get(data, "gt"), g), 24);
	for (int frame = 0; frame < (sequence ? 2 : 1); frame++)
		for (int k = 0; k < 24; k++) {
			int from = frame ? 6 * (3 - k / 6) + k % 6 : k; /* rows in reverse order */
			double a = (frame ? 1.1 : 1) * p[from], b = (frame ? 0.9 : 1) * g[from];
			if (!(b > 0) || (cap > 0 && !(b < cap)) || (mask && k % 3 == 0))
				continue;
			to[n][0] = a, to[n][1] = b;
			n++;
		}
	return n;
}

static e3_depth_rule rule_of(json_t *inputs)
{
	const char *mode = json_string_value(json_object_get(inputs, "mode"));
	static const struct {
		const char *mode;
		e3_depth_align align;
	} modes[] = {{"median", E3_DEPTH_MEDIAN}, {"scale", E3_DEPTH_SCALE}, {"lad2", E3_DEPTH_SCALE_SHIFT},
		{"metric", E3_DEPTH_METRIC}, {"lstsq", E3_DEPTH_LSTSQ}};
	e3_depth_rule rule = {.disparity = json_is_true(json_object_get(inputs, "disp")),
		.clip = json_number_value(json_object_get(inputs, "clip_max"))};
	for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
		if (!strcmp(modes[k].mode, mode)) {
			rule.align = modes[k].align;
			return rule;
		}
	fail_msg("unknown mode %s", mode);
	return rule;
}

static void depth_case(const char *name)
{
	json_t *v = vector(name), *inputs = json_object_get(v, "inputs"), *expected = json_object_get(v, "expected");
	json_t *metrics = json_object_get(expected, "metrics"), *fitted = json_object_get(expected, "fit");
	double cap = json_number_value(json_object_get(inputs, "max_depth")), pair[MAX_PAIRS][2];
	bool sequence = strstr(name, "sequence") != NULL;
	e3_depth_rule rule = rule_of(inputs);
	e3_depth_fit fit;
	e3_depth_score s;
	e3_pixels all = {.d = pair[0], .n = depth_pairs(sequence, cap, false, pair)};
	assert_int_equal(e3_depth_align_fit(&all, &rule, &fit, NULL), 0);
	all.n = depth_pairs(sequence, cap, json_object_get(inputs, "mask") != NULL, pair);
	e3_depth_evaluate(&all, &rule, &fit, &s);
	if (json_object_get(fitted, "s"))
		near(name, fit.s, number(fitted, "s"), 1e-12);
	if (json_object_get(fitted, "t"))
		near(name, fit.t, number(fitted, "t"), 1e-12);
	if (json_object_get(fitted, "steps"))
		assert_int_equal(fit.steps, (int)number(fitted, "steps"));
	const char *const key[] = {"abs_rel", "sq_rel", "rmse", "log_rmse", "d0", "d1", "d2", "d3", "valid"};
	const double got[] = {s.abs_rel, s.sq_rel, s.rmse, s.log_rmse, s.delta[0], s.delta[1], s.delta[2], s.delta[3], s.n};
	for (int k = 0; k < 9; k++)
		near(key[k], got[k], number(metrics, key[k]), 1e-10);
}

static void depth_scores_equal_the_vectors(void **state)
{
	static const char *const names[] = {"depth/median_nocap", "depth/median_cap70_clip70", "depth/scale_cap70_clip70",
		"depth/scale_cap70", "depth/scale_nocap", "depth/metric_cap70_clip70", "depth/scaleshift_lad2_cap70_clip70",
		"depth/scaleshift_lad2_nocap", "depth/lstsq_cap70", "depth/scale_disparity_cap70", "depth/sequence_of_2_scale",
		"depth/sequence_of_2_lad2", "depth/custom_mask"};
	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		depth_case(names[k]);
}

static void no_pixels_give_zeros(void **state)
{
	json_t *expected = json_object_get(vector("depth/no_valid_pixel"), "expected");
	e3_pixels none = {0};
	for (int align = E3_DEPTH_MEDIAN; align <= E3_DEPTH_LSTSQ; align++) {
		e3_depth_rule rule = {.align = (e3_depth_align)align};
		e3_depth_fit fit;
		e3_depth_score s;
		assert_int_equal(e3_depth_align_fit(&none, &rule, &fit, NULL), 0);
		e3_depth_evaluate(&none, &rule, &fit, &s);
		const double got[] = {s.abs_rel, s.sq_rel, s.rmse, s.log_rmse, s.delta[0], s.delta[1], s.delta[2], s.delta[3],
			s.n};
		const char *const key[] = {"Abs Rel", "Sq Rel", "RMSE", "Log RMSE", "δ < 1.", "δ < 1.25", "δ < 1.25^2",
			"δ < 1.25^3", "valid_pixels"};
		for (int k = 0; k < 9; k++)
			near(key[k], got[k], number(expected, key[k]), 0);
	}
}

static void averages_are_weighted_by_pixels(void **state)
{
	json_t *v = vector("depth/average"), *inputs = json_object_get(v, "inputs");
	e3_depth_score sum = {0};
	for (size_t k = 0; k < json_array_size(inputs); k++) {
		json_t *one = json_array_get(inputs, k);
		e3_depth_score s = {.abs_rel = number(one, "abs_rel"), .n = number(one, "valid")};
		e3_depth_average_add(&sum, &s);
	}
	e3_depth_average_finish(&sum);
	near("average", sum.abs_rel, number(json_object_get(v, "expected"), "abs_rel"), 1e-15);
}

static void the_lower_median_is_used(void **state)
{
	json_t *v = vector("depth/lower_median"), *inputs = json_object_get(v, "inputs"),
		   *expected = json_object_get(v, "expected");
	for (int odd = 0; odd < 2; odd++) {
		double value[8], wide[8][2];
		float narrow[8][2];
		size_t n = flatten(json_object_get(inputs, odd ? "odd" : "even"), value);
		for (size_t k = 0; k < n; k++) {
			wide[k][0] = narrow[k][0] = 1; /* the median of the prediction: s is that of the truth */
			wide[k][1] = value[k], narrow[k][1] = (float)value[k];
		}
		const e3_pixels x[2] = {{.d = wide[0], .n = n}, {.f = narrow[0], .n = n}};
		for (int k = 0; k < 2; k++) {
			e3_depth_rule rule = {.align = E3_DEPTH_MEDIAN};
			e3_depth_fit fit;
			assert_int_equal(e3_depth_align_fit(&x[k], &rule, &fit, NULL), 0);
			near("lower median", fit.s, number(expected, odd ? "odd" : "even"), 0);
		}
	}
}

/* --- resize --- */

static void cubic_case(const char *name)
{
	json_t *v = vector(name), *inputs = json_object_get(v, "inputs"), *img = json_object_get(inputs, "img");
	double values[64], want[64];
	float from[64], to[64];
	int w = (int)number(inputs, "out_w"), h = (int)number(inputs, "out_h");
	int from_h = (int)json_array_size(img), from_w = (int)json_array_size(json_array_get(img, 0));
	size_t n = flatten(img, values);
	for (size_t k = 0; k < n; k++)
		from[k] = (float)values[k];
	assert_int_equal(flatten(json_object_get(v, "expected"), want), w * h);
	assert_int_equal(e3_resize_cubic(from, (int[]){from_w, from_h}, to, (int[]){w, h}, NULL), 0);
	double worst = 0;
	for (int k = 0; k < w * h; k++)
		worst = fmax(worst, fabs(to[k] - want[k]));
	printf("# %s: largest difference %.1e\n", name, worst);
	assert_true(worst <= 2e-6);
}

static void cubic_resize_equals_the_vectors(void **state)
{
	cubic_case("resize/cubic_5x3_to_8x7");
	cubic_case("resize/cubic_5x3_to_3x2");
}

/* --- alignment, paths --- */

static void fit_case(const char *name, e3_similarity *sim, double (*src)[3], double (*dst)[3], size_t *n)
{
	json_t *v = vector(name), *inputs = json_object_get(v, "inputs"), *expected = json_object_get(v, "expected");
	double r[9], t[3];
	*n = flatten(json_object_get(inputs, "src"), src[0]) / 3;
	assert_int_equal(flatten(json_object_get(inputs, "dst"), dst[0]), 3 * *n);
	assert_int_equal(e3_similarity_fit((const double(*)[3])src, (const double(*)[3])dst, *n, true, sim, NULL), 0);
	near("scale", sim->s, number(expected, "scale"), 1e-12);
	flatten(json_object_get(expected, "R"), r), flatten(json_object_get(expected, "t"), t);
	for (int k = 0; k < 9; k++)
		near("R", sim->r[k], r[k], 1e-12);
	for (int k = 0; k < 3; k++)
		near("t", sim->t[k], t[k], 1e-12);
}

static void similarities_equal_the_vectors(void **state)
{
	e3_similarity sim;
	double src[16][3], dst[16][3], sum = 0;
	size_t n;
	fit_case("mv/umeyama_sim3", &sim, src, dst, &n);
	for (size_t i = 0; i < n; i++) {
		double y[3];
		e3_similarity_apply(&sim, src[i], y);
		for (int k = 0; k < 3; k++)
			sum += (y[k] - dst[i][k]) * (y[k] - dst[i][k]);
	}
	near("rmse", sqrt(sum / (double)n), number(json_object_get(vector("mv/umeyama_sim3"), "expected"), "rmse"), 1e-9);
	fit_case("mv/umeyama_mirror", &sim, src, dst, &n);
	const double *r = sim.r;
	near("det",
		r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) + r[2] * (r[3] * r[7] - r[4] * r[6]),
		number(json_object_get(vector("mv/umeyama_mirror"), "expected"), "det"), 1e-12);
}

static void places(json_t *rows, e3_camera_pose *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double v[7], len;
		assert_int_equal(flatten(json_array_get(rows, i), v), 7);
		len = sqrt(v[3] * v[3] + v[4] * v[4] + v[5] * v[5] + v[6] * v[6]);
		to[i] = (e3_camera_pose){{v[0], v[1], v[2]}, {v[4] / len, v[5] / len, v[6] / len, v[3] / len}};
	}
}

static void path_errors_equal_the_vectors(void **state)
{
	json_t *v = vector("pose/sim3_ate_rpe"), *inputs = json_object_get(v, "inputs"),
		   *expected = json_object_get(v, "expected");
	json_t *rows = json_object_get(inputs, "ref_xyz_qwxyz");
	size_t n = json_array_size(rows);
	e3_camera_pose ref[16], est[16];
	e3_path_score s;
	double ate[16], want[16];
	places(rows, ref, n), places(json_object_get(inputs, "est_xyz_qwxyz"), est, n);
	assert_int_equal(e3_path_evaluate(ref, est, n, &s, ate, NULL), 0);
	near("scale", s.sim.s, number(expected, "scale"), 1e-12);
	near("ate", s.ate.rmse, number(expected, "ate"), 1e-12);
	near("rpe_t", s.rpe_t.rmse, number(expected, "rpe_t"), 1e-12);
	near("rpe_r", s.rpe_r.rmse, number(expected, "rpe_r"), 1e-9);
	assert_int_equal(flatten(json_object_get(expected, "ape_errors"), want), n);
	for (size_t i = 0; i < n; i++)
		near("ape", ate[i], want[i], 1e-12);
	flatten(json_object_get(expected, "R"), want);
	for (int k = 0; k < 9; k++)
		near("R", s.sim.r[k], want[k], 1e-12);
	flatten(json_object_get(expected, "t"), want);
	for (int k = 0; k < 3; k++)
		near("t", s.sim.t[k], want[k], 1e-12);
	size_t steps = flatten(json_object_get(expected, "rpe_r_errors"), want);
	double lo = want[0], hi = want[0], sum = 0;
	for (size_t i = 0; i < steps; i++)
		lo = fmin(lo, want[i]), hi = fmax(hi, want[i]), sum += want[i];
	near("rpe_r min", s.rpe_r.min, lo, 1e-9), near("rpe_r max", s.rpe_r.max, hi, 1e-9);
	near("rpe_r mean", s.rpe_r.mean, sum / (double)steps, 1e-9);
}

/* --- camera encoding, pairs --- */

static void camera_encodings_equal_the_vectors(void **state)
{
	json_t *v = vector("pose/pose_encoding"), *inputs = json_object_get(v, "inputs"),
		   *expected = json_object_get(v, "expected");
	json_t *rows = json_object_get(inputs, "pose_enc_tx_ty_tz_qx_qy_qz_qw_fovh_fovw");
	int w = (int)number(inputs, "width"), h = (int)number(inputs, "height");
	for (size_t i = 0; i < json_array_size(rows); i++) {
		double enc[9], w2c[12], c2w[16], k[9], m[12];
		float f[9];
		e3_pose pose;
		assert_int_equal(flatten(json_array_get(rows, i), enc), 9);
		for (int j = 0; j < 9; j++)
			f[j] = (float)enc[j];
		assert_int_equal(e3_pose_decode(f, &pose, NULL), 0);
		flatten(json_array_get(json_object_get(expected, "w2c"), i), w2c);
		flatten(json_array_get(json_object_get(expected, "c2w"), i), c2w);
		flatten(json_array_get(json_object_get(expected, "K"), i), k);
		e3_pose_to_world(&pose, m);
		for (int row = 0; row < 3; row++)
			for (int col = 0; col < 4; col++) {
				near("w2c", col < 3 ? pose.r[3 * row + col] : pose.t[row], w2c[4 * row + col], 2e-7);
				near("c2w", m[4 * row + col], c2w[4 * row + col], 2e-7);
			}
		e3_intrinsics in = e3_intrinsics_decode(f, w, h);
		near("fx", in.fx, k[0], 2e-7), near("fy", in.fy, k[4], 2e-7), near("cx", in.cx, k[2], 0),
			near("cy", in.cy, k[5], 0);
	}
}

static void pose_of(json_t *matrix, e3_pose *to)
{
	double m[16];
	assert_int_equal(flatten(matrix, m), 16);
	for (int row = 0; row < 3; row++) {
		memcpy(to->r + 3 * row, m + 4 * row, 3 * sizeof *m);
		to->t[row] = m[4 * row + 3];
	}
	assert_int_equal(e3_mat_to_quat(to->r, to->q), 0);
}

static void check_auc(const e3_pair_counts *c, json_t *expected)
{
	static const char *const key[] = {"auc_30", "auc_15", "auc_5", "auc_3"};
	for (int k = 0; k < E3_AUCS; k++)
		near(key[k], e3_pair_auc(c, k), number(expected, key[k]), 1e-14);
}

static void pair_errors_equal_the_vectors(void **state)
{
	json_t *v = vector("co3d/relative_pose_errors"), *inputs = json_object_get(v, "inputs"),
		   *expected = json_object_get(v, "expected");
	json_t *gt = json_object_get(inputs, "gt_w2c"), *pred = json_object_get(inputs, "pred_w2c");
	double r[16], t[16];
	size_t n = json_array_size(gt), at = 0;
	e3_pair_counts c = {0};
	flatten(json_object_get(expected, "r_err_deg"), r), flatten(json_object_get(expected, "t_err_deg"), t);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++, at++) {
			e3_pose a[2], b[2];
			double rotation, translation;
			pose_of(json_array_get(gt, i), &a[0]), pose_of(json_array_get(gt, j), &a[1]);
			pose_of(json_array_get(pred, i), &b[0]), pose_of(json_array_get(pred, j), &b[1]);
			e3_pair_errors(a, b, &rotation, &translation);
			/* the matrices are given to 8 digits, so that no quaternion is exactly theirs */
			near("rotation", rotation, r[at], 2e-6), near("translation", translation, t[at], 2e-6);
			e3_pair_counts_add(&c, rotation, translation);
		}
	assert_int_equal(c.n, 10);
	check_auc(&c, expected);
	near("r_acc_5", e3_pair_rra(&c, 2), number(expected, "r_acc_5"), 0),
		near("t_acc_5", e3_pair_rta(&c, 2), number(expected, "t_acc_5"), 0);
}

static void areas_under_the_curve_equal_the_vectors(void **state)
{
	json_t *v = vector("co3d/auc_boundaries"), *inputs = json_object_get(v, "inputs");
	double r[16], t[16];
	size_t n = flatten(json_object_get(inputs, "r_err"), r);
	e3_pair_counts c = {0}, halves[2] = {{0}};
	assert_int_equal(flatten(json_object_get(inputs, "t_err"), t), n);
	for (size_t k = 0; k < n; k++) {
		e3_pair_counts_add(&c, r[k], t[k]);
		e3_pair_counts_add(&halves[k & 1], r[k], t[k]);
	}
	check_auc(&c, json_object_get(v, "expected"));
	e3_pair_counts_merge(&halves[0], &halves[1]);
	check_auc(&halves[0], json_object_get(v, "expected"));
}

static void identical_cameras_have_no_error(void **state)
{
	json_t *expected = json_object_get(vector("co3d/degenerate_identity"), "expected");
	const e3_pose same[2] = {{{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0}, {0, 0, 0, 1}},
		{{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0}, {0, 0, 0, 1}}};
	double rotation, translation, want[2];
	e3_pair_errors(same, same, &rotation, &translation);
	flatten(json_object_get(expected, "r_err_deg"), &want[0]),
		flatten(json_object_get(expected, "t_err_deg"), &want[1]);
	near("rotation", rotation, want[0], 1e-14), near("translation", translation, want[1], 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_scores_equal_the_vectors),
		cmocka_unit_test(no_pixels_give_zeros),
		cmocka_unit_test(averages_are_weighted_by_pixels),
		cmocka_unit_test(the_lower_median_is_used),
		cmocka_unit_test(cubic_resize_equals_the_vectors),
		cmocka_unit_test(similarities_equal_the_vectors),
		cmocka_unit_test(path_errors_equal_the_vectors),
		cmocka_unit_test(camera_encodings_equal_the_vectors),
		cmocka_unit_test(pair_errors_equal_the_vectors),
		cmocka_unit_test(areas_under_the_curve_equal_the_vectors),
		cmocka_unit_test(identical_cameras_have_no_error),
	};
	return cmocka_run_group_tests(tests, vectors_load, vectors_unload);
}
