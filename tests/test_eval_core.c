/* eval: small cases with their figures in the source, edge cases, and maps of different sizes. */
#include "check.h"
#include "e3/eval.h"

static void near(double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance))
		fail_msg("%.17g, expected %.17g", got, want);
}

/* doc/evaluation.md 8: depth/_data with the truth from 0 to 70. */
static const double data[20][2] = {
	{3.2736, 9.799},
	{2.4728, 6.384},
	{3.8262, 9.235},
	{40.0, 69.5},
	{2.7994, 7.385},
	{2.4215, 7.011},
	{1.0711, 2.721},
	{2.6645, 6.999},
	{3.2073, 8.792},
	{4.2679, 10.037},
	{2.439, 5.809},
	{-0.02, 2.659},
	{1.9335, 4.881},
	{3.9056, 11.096},
	{1.5811, 4.134},
	{4.5393, 11.312},
	{0.8589, 2.249},
	{3.0213, 8.005},
	{1.6215, 4.303},
	{3.2619, 7.485},
};

static e3_depth_score score_of(e3_depth_rule rule, e3_depth_fit *fit)
{
	const e3_pixels x = {.d = data[0], .n = 20};
	e3_depth_score s;
	assert_int_equal(e3_depth_align_fit(&x, &rule, fit, NULL), 0);
	e3_depth_evaluate(&x, &rule, fit, &s);
	return s;
}

static void each_alignment_finds_its_optimum(void **state)
{
	e3_depth_fit fit;
	e3_depth_score s = score_of((e3_depth_rule){.align = E3_DEPTH_MEDIAN, .clip = 70}, &fit);
	near(fit.s, 2.631263, 5e-7), near(s.abs_rel, 0.099883, 5e-7), near(s.rmse, 0.847859, 5e-7),
		near(s.delta[1], 0.95, 1e-15);
	s = score_of((e3_depth_rule){.align = E3_DEPTH_SCALE, .clip = 70}, &fit);
	near(fit.s, 2.320806, 5e-7), near(s.abs_rel, 0.146099, 5e-7), near(s.sq_rel, 0.238531, 5e-7),
		near(s.rmse, 1.111625, 5e-7);
	near(s.log_rmse, 2.795841, 5e-7), near(s.delta[1], 0.9, 1e-15), near(s.delta[0], 0, 0), near(s.n, 20, 0);
	s = score_of((e3_depth_rule){.align = E3_DEPTH_SCALE_SHIFT, .clip = 70}, &fit);
	near(fit.s, 2.536648, 5e-7), near(fit.t, 0.076156, 5e-7), near(s.abs_rel, 0.098156, 5e-7),
		near(s.rmse, 0.826251, 5e-7);
	assert_int_equal(fit.steps, 1000);
	s = score_of((e3_depth_rule){.align = E3_DEPTH_LSTSQ}, &fit);
	near(fit.s, 1.6855482, 5e-8), near(fit.t, 2.4767722, 5e-8), near(s.abs_rel, 0.1535267, 5e-8);
	s = score_of((e3_depth_rule){.align = E3_DEPTH_METRIC, .clip = 70}, &fit);
	near(s.abs_rel, 0.6241885845, 1e-9), near(s.rmse, 7.9641732386, 1e-9), near(s.delta[3], 0.05, 1e-15);
	s = score_of((e3_depth_rule){.align = E3_DEPTH_SCALE, .disparity = true}, &fit);
	near(fit.s, 0.0230278503, 1e-9), near(s.abs_rel, 3.1252160082, 1e-8), near(s.delta[3], 0.4, 1e-15);
}

/* Single and double pairs differ by rounding alone, also over many blocks. */
static void single_and_double_pairs_agree(void **state)
{
	enum { N = 5000 };
	static float f[N][2];
	static double d[N][2];
	for (int k = 0; k < N; k++)
		for (int j = 0; j < 2; j++)
			d[k][j] = f[k][j] = (float)(1 + (k * (7919 + 104729 * j) % 1000) / 250.0);
	for (int align = E3_DEPTH_MEDIAN; align <= E3_DEPTH_LSTSQ; align++)
		for (int disparity = 0; disparity < 2; disparity++) {
			const e3_pixels x[2] = {{.f = f[0], .n = N}, {.d = d[0], .n = N}};
			e3_depth_rule rule = {.align = (e3_depth_align)align, .disparity = disparity};
			e3_depth_fit fit[2];
			e3_depth_score s[2];
			for (int k = 0; k < 2; k++) {
				assert_int_equal(e3_depth_align_fit(&x[k], &rule, &fit[k], NULL), 0);
				e3_depth_evaluate(&x[k], &rule, &fit[k], &s[k]);
			}
			near(fit[0].s, fit[1].s, 1e-6), near(fit[0].t, fit[1].t, 1e-6), near(s[0].abs_rel, s[1].abs_rel, 1e-6);
		}
}

static void a_prediction_that_is_not_finite_shows_in_the_figures(void **state)
{
	static const float pairs[3][2] = {{NAN, 2}, {1, 2}, {3, 4}};
	const e3_pixels x = {.f = pairs[0], .n = 3};
	for (int align = E3_DEPTH_MEDIAN; align <= E3_DEPTH_LSTSQ; align++) {
		e3_depth_rule rule = {.align = (e3_depth_align)align};
		e3_depth_fit fit;
		e3_depth_score s;
		assert_int_equal(e3_depth_align_fit(&x, &rule, &fit, NULL), 0);
		e3_depth_evaluate(&x, &rule, &fit, &s);
		assert_true(isnan(s.abs_rel) && isnan(s.rmse));
		assert_true(s.delta[1] <= 2 / 3.0); /* no value counts as close */
	}
	static const float one[2][2] = {{2, 3}, {2, 5}};
	const e3_pixels flat = {.f = one[0], .n = 2};
	e3_depth_rule rule = {.align = E3_DEPTH_LSTSQ};
	e3_depth_fit fit;
	assert_int_equal(e3_depth_align_fit(&flat, &rule, &fit, NULL), 0);
	near(fit.s, 1.6, 1e-15), near(fit.t, 0.8, 1e-15); /* numpy.linalg.lstsq([[2, 1], [2, 1]], [3, 5]) */
}

/* --- resize and overlap --- */

typedef struct sample {
	int x, y;
	float v;
} sample;

static void resized(int w, int h, double want_sum, const sample *want)
{
	static float from[37 * 23], to[64 * 64];
	double sum = 0;
	for (int k = 0; k < 37 * 23; k++)
		from[k] = (float)((k * 7919 % 1000) / 100.0);
	assert_int_equal(e3_resize_cubic(from, (int[]){37, 23}, to, (int[]){w, h}, NULL), 0);
	for (int k = 0; k < w * h; k++)
		sum += to[k];
	near(sum, want_sum, 1e-6 * want_sum);
	for (int k = 0; k < 5; k++)
		near(to[want[k].y * w + want[k].x], want[k].v, 4e-6);
}

/* cv2.resize(..., INTER_CUBIC) of OpenCV 4.6. */
static void cubic_resize_equals_opencv(void **state)
{
	resized(64, 48, 15330.8727,
		(sample[]){{0, 0, -0.908422291f}, {63, 1, 0.765215158f}, {21, 24, 0.242521241f}, {63, 47, 1.42341959f},
			{5, 46, 8.51613998f}});
	resized(20, 11, 1098.13333,
		(sample[]){{0, 0, 3.89811707f}, {19, 1, 1.19187582f}, {6, 5, 0.0178872943f}, {19, 10, 1.76024163f},
			{5, 9, 2.77620196f}});
	resized(37, 50, 9224.43937,
		(sample[]){{0, 0, -0.003237369f}, {36, 1, 0.844326377f}, {12, 25, 0.618334532f}, {36, 49, 1.50323725f},
			{5, 48, 6.60567379f}});
}

/* A ramp along one axis goes through cropping and scaling as a ramp, but for what OpenCV's kernel makes of it (0.05
 * pixels at most): what was seen is where the fit says. */
static void ramp(e3_source s, int from_w, int from_h, int w, int h, const int seen[4])
{
	for (int axis = 0; axis < 2; axis++) {
		e3_resampler o;
		e3_err err;
		float *from = calloc((size_t)from_w * (size_t)from_h, sizeof *from),
			  *to = calloc((size_t)w * (size_t)h, sizeof *to);
		size_t inside = 0;
		for (int y = 0; y < from_h; y++)
			for (int x = 0; x < from_w; x++)
				from[y * from_w + x] = (float)(axis ? y : x) + 0.5f;
		if (e3_resampler_init(&o, &s, (int[]){from_w, from_h}, (int[]){w, h}, &err))
			fail_msg("%s", err.text);
		assert_memory_equal(o.seen, seen, sizeof o.seen);
		e3_resampler_apply(&o, from, to);
		for (int y = o.seen[1]; y < o.seen[3]; y++)
			for (int x = o.seen[0]; x < o.seen[2]; x++) {
				double at = axis ? (y + 0.5) * s.src_h / h * s.fit.sy + s.fit.ty
								 : (x + 0.5) * s.src_w / w * s.fit.sx + s.fit.tx;
				/* where all four taps are: next to an edge the edge is repeated */
				if (at > o.part[axis] + 2 && at < o.part[2 + axis] - 2) {
					near(to[y * w + x], at, 0.05);
					inside++;
				}
			}
		assert_true(inside > (size_t)((seen[2] - seen[0]) * (seen[3] - seen[1])) / 2);
		e3_resampler_release(&o);
		free(from), free(to);
	}
}

static void a_ramp_stays_a_ramp_through_fit_and_resize(void **state)
{
	ramp((e3_source){.src_w = 80, .src_h = 60, .fit = {0.5, 0.5, 0, 0}}, 40, 30, 80, 60, (int[]){0, 0, 80, 60});
	ramp((e3_source){.src_w = 80, .src_h = 60, .fit = {0.5, 0.5, 0, 0}}, 40, 30, 160, 120, (int[]){0, 0, 160, 120});
	/* scaled: 1024 × 436 to 518 × 210 */
	ramp((e3_source){.src_w = 1024, .src_h = 436, .fit = {518 / 1024.0, 210 / 436.0, 0, 0}}, 518, 210, 1024, 436,
		(int[]){0, 0, 1024, 436});
	/* five rows cropped at the top and at the bottom of the network's picture: ten of the source */
	ramp((e3_source){.src_w = 80, .src_h = 80, .fit = {0.5, 0.5, 0, -5}}, 40, 30, 80, 80, (int[]){0, 10, 80, 70});
	/* white borders of 8 columns on either side */
	ramp((e3_source){.src_w = 48, .src_h = 60, .fit = {0.5, 0.5, 8, 0}}, 40, 30, 48, 60, (int[]){0, 0, 48, 60});
}

static void truth_of_other_proportions_is_refused(void **state)
{
	e3_resampler o;
	e3_err err;
	e3_source s = {.i = 7, .src_w = 80, .src_h = 60, .fit = {0.5, 0.5, 0, 0}};
	assert_int_equal(e3_resampler_init(&o, &s, (int[]){40, 30}, (int[]){50, 50}, &err), -1);
	assert_non_null(strstr(err.text, "frame 7: truth of 50 × 50 pixels"));
	s.fit.tx = 1e6;
	assert_int_equal(e3_resampler_init(&o, &s, (int[]){40, 30}, (int[]){80, 60}, &err), -1);
	assert_non_null(strstr(err.text, "saw nothing of the truth"));
}

static void pixels_to_score_are_collected_and_counted(void **state)
{
	const float pred[6] = {1, NAN, 3, INFINITY, 5, 6}, truth[6] = {1, 2, 0, 4, 70, NAN};
	e3_resampler o = {.w = 3, .h = 2, .seen = {0, 0, 3, 2}};
	e3_pixel_count c = {0};
	float to[12];
	assert_int_equal(e3_pixels_collect(&o, pred, truth, &(e3_pixel_rule){0}, to, &c), 4);
	assert_int_equal(c.used, 4), assert_int_equal(c.not_finite, 2), assert_int_equal(c.unseen, 0);
	assert_int_equal(e3_pixels_collect(&o, pred, truth, &(e3_pixel_rule){.cap = 70, .finite = true}, to, &c), 1);
	assert_true(to[0] == 1 && to[1] == 1);
	o.seen[0] = 1; /* the first column was cropped: pixels 0 and 3 */
	c = (e3_pixel_count){0};
	assert_int_equal(e3_pixels_collect(&o, pred, truth, &(e3_pixel_rule){0}, to, &c), 2);
	assert_int_equal(c.unseen, 2), assert_int_equal(c.not_positive, 0);
	const float low[6] = {9, 0, -1, 9, -INFINITY, 1e-9F}, all[6] = {9, 9, 9, 9, 9, 9};
	assert_int_equal(e3_pixels_collect(&o, low, all, &(e3_pixel_rule){0}, to, &c), 4);
	assert_int_equal(c.not_positive, 2), assert_int_equal(c.not_finite, 2);
}

static void stored_pixels_come_back(void **state)
{
	enum { N = 100000 };
	static float pairs[N][2];
	e3_pixel_store s = {0};
	e3_pixels x;
	assert_int_equal(e3_pixel_store_read(&s, &x, NULL), 0);
	assert_int_equal(x.n, 0);
	for (int k = 0; k < N; k++)
		pairs[k][0] = (float)k, pairs[k][1] = (float)-k;
	assert_int_equal(e3_pixel_store_add(&s, pairs[0], 3, NULL), 0);
	assert_int_equal(e3_pixel_store_add(&s, pairs[3], N - 3, NULL), 0);
	assert_int_equal(e3_pixel_store_read(&s, &x, NULL), 0);
	assert_int_equal(x.n, N);
	assert_memory_equal(x.f, pairs, sizeof pairs);
	e3_pixel_store_release(&s);
}

/* --- paths, pairs --- */

static void a_known_path_has_its_known_errors(void **state)
{
	/* the reference on a helix; the estimate scaled by 1/2, rotated and moved, which must not matter */
	enum { N = 20 };
	static e3_camera_pose ref[N], est[N];
	const double half[4] = {0, 0.6, 0, 0.8};
	double r[9], ate[N];
	e3_path_score s;
	assert_int_equal(e3_quat_to_mat(half, r), 0);
	for (int i = 0; i < N; i++) {
		ref[i] = (e3_camera_pose){{cos(i), sin(i), 0.1 * i}, {0, 0, sin(0.1 * i), cos(0.1 * i)}};
		for (int k = 0; k < 3; k++)
			est[i].x[k] = 0.5 * (r[3 * k] * ref[i].x[0] + r[3 * k + 1] * ref[i].x[1] + r[3 * k + 2] * ref[i].x[2]) + k;
		e3_quat_mul(half, ref[i].q, est[i].q);
	}
	assert_int_equal(e3_path_evaluate(ref, est, N, &s, ate, NULL), 0);
	near(s.sim.s, 2, 1e-12), near(s.ate.max, 0, 1e-12), near(s.rpe_t.max, 0, 1e-12), near(s.rpe_r.max, 0, 1e-6);
	near(s.drift_t, 0, 1e-12), near(s.drift_r, 0, 1e-6);
	near(s.turn.mean, 2 * atan2(0.6, 0.8) * 180 / acos(-1), 1e-9), near(s.turn.std, 0, 1e-6);
	/* a step of the rotation alone, by 3 degrees: two steps see it, the path does not */
	double a = 1.5 * acos(-1) / 180;
	e3_quat_mul(est[5].q, (const double[4]){sin(a), 0, 0, cos(a)}, est[5].q);
	assert_int_equal(e3_path_evaluate(ref, est, N, &s, ate, NULL), 0);
	near(s.rpe_r.max, 3, 1e-9), near(s.rpe_r.sse, 18, 1e-8), near(s.ate.max, 0, 1e-12);
}

/* On the same helix cameras that turn by a degree too much for each unit of the way: a part of m steps is off by that
 * much for each unit of its length. Steps have one length, so a part of p tenths has the smallest m above 1.9 p. */
static void drift_is_by_unit_of_the_way(void **state)
{
	enum { N = 20 };
	static e3_camera_pose ref[N], est[N];
	const double step = hypot(2 * sin(0.5), 0.1), degree = acos(-1) / 180;
	double sum = 0, count = 0;
	e3_path_score s;
	for (int i = 0; i < N; i++) {
		double too_much = i * step * degree / 2;
		ref[i] = (e3_camera_pose){{cos(i), sin(i), 0.1 * i}, {0, 0, sin(0.1 * i), cos(0.1 * i)}};
		est[i] = ref[i];
		e3_quat_mul(ref[i].q, (const double[4]){0, 0, sin(too_much), cos(too_much)}, est[i].q);
	}
	for (int p = 1; p <= 8; p++) {
		int m = (int)floor(1.9 * p) + 1;
		sum += (N - m) * m / (1.9 * p), count += N - m;
	}
	assert_int_equal(e3_path_evaluate(ref, est, N, &s, NULL, NULL), 0);
	near(s.length, 19 * step, 1e-12), near(s.drift_r, sum / count, 1e-9);
	assert_true(s.drift_t > 0.01 && s.drift_t < 0.5);
	/* positions alone: the estimate is right but twice as large from the middle on, which one scale cannot mend */
	for (int i = 0; i < N; i++)
		est[i] = ref[i];
	assert_int_equal(e3_path_evaluate(ref, est, N, &s, NULL, NULL), 0);
	near(s.drift_t, 0, 1e-12), near(s.drift_r, 0, 1e-9);
	for (int i = N / 2; i < N; i++)
		for (int k = 0; k < 3; k++)
			est[i].x[k] = 2 * ref[i].x[k] - ref[N / 2].x[k];
	assert_int_equal(e3_path_evaluate(ref, est, N, &s, NULL, NULL), 0);
	assert_true(s.drift_t > 0.1);
	near(s.drift_r, 0, 1e-9);
}

static void a_path_without_a_rotation_is_refused(void **state)
{
	e3_camera_pose ref[3] = {{{0}, {0, 0, 0, 1}}, {{1, 0, 0}, {0, 0, 0, 1}}, {{2, 0.5, 0}, {0, 0, 0, 1}}},
				   est[3] = {ref[0], ref[0], ref[0]};
	e3_path_score s;
	e3_err err;
	assert_int_equal(e3_path_evaluate(ref, est, 3, &s, NULL, &err), -1);
	assert_non_null(strstr(err.text, "all in one place"));
	est[1].x[0] = 1, est[2].x[0] = 2;
	assert_int_equal(e3_path_evaluate(ref, est, 3, &s, NULL, &err), -1);
	assert_non_null(strstr(err.text, "on a line"));
	est[2].x[1] = 0.5;
	assert_int_equal(e3_path_evaluate(ref, est, 3, &s, NULL, &err), 0);
	est[2].x[1] = NAN;
	assert_int_equal(e3_path_evaluate(ref, est, 3, &s, NULL, &err), -1);
	assert_non_null(strstr(err.text, "not finite"));
}

static void statistics_of_few_values(void **state)
{
	double v[4] = {4, 1, 3, 2};
	e3_stats s;
	e3_stats_make(v, 4, &s);
	near(s.min, 1, 0), near(s.max, 4, 0), near(s.mean, 2.5, 0), near(s.median, 2.5, 0), near(s.sse, 30, 0),
		near(s.rmse, sqrt(7.5), 1e-15);
	near(s.std, sqrt(1.25), 1e-15);
	e3_stats_make(v, 0, &s);
	near(s.rmse + s.max + s.std, 0, 0);
}

static void pairs_have_their_known_errors(void **state)
{
	/* cameras that look along z from the origin and from (1, 0, 0); the estimate turned by 10 degrees about y, moved at
	 * 20 degrees */
	double a = acos(-1) / 36, rotation, translation;
	e3_pose ref[2] = {{{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0}, {0, 0, 0, 1}},
		{{1, 0, 0, 0, 1, 0, 0, 0, 1}, {-1, 0, 0}, {0, 0, 0, 1}}};
	e3_pose est[2] = {ref[0], ref[1]};
	double q[4] = {0, sin(a), 0, cos(a)};
	memcpy(est[1].q, q, sizeof q);
	assert_int_equal(e3_quat_to_mat(q, est[1].r), 0);
	const double c[3] = {3 * cos(4 * a), 0, 3 * sin(4 * a)}; /* its centre is 20 degrees off */
	for (int k = 0; k < 3; k++)
		est[1].t[k] = -(est[1].r[3 * k] * c[0] + est[1].r[3 * k + 1] * c[1] + est[1].r[3 * k + 2] * c[2]);
	e3_pair_errors(ref, est, &rotation, &translation);
	near(rotation, 10, 1e-6), near(translation, 20, 1e-6);
	for (int k = 0; k < 3; k++) /* the opposite direction: directions have no sign */
		est[1].t[k] = -est[1].t[k];
	e3_pair_errors(ref, est, &rotation, &translation);
	near(translation, 20, 1e-6);
	est[1].t[0] = NAN;
	e3_pair_errors(ref, est, &rotation, &translation);
	assert_true(translation > 1e6);
	e3_pair_counts n = {0};
	near(e3_pair_auc(&n, 0) + e3_pair_rra(&n, 0) + e3_pair_rta(&n, 0), 0, 0);
	e3_pair_counts_add(&n, rotation, translation);
	near(e3_pair_auc(&n, 0), 0, 0), near(e3_pair_rra(&n, 1), 1, 0), near(e3_pair_rta(&n, 0), 0, 0);
	/* {0.2, 0.5, 1, 2.999, 3, 4.9, 5, 14.9, 15, 29.99, 30, 30.001, 90}: doc/evaluation.md 8 */
	static const double most[13] = {0.2, 0.5, 1, 2.999, 3, 4.9, 5, 14.9, 15, 29.99, 30, 30.001, 90};
	n = (e3_pair_counts){0};
	for (int k = 0; k < 13; k++)
		e3_pair_counts_add(&n, k & 1 ? most[k] : 0, k & 1 ? 0 : most[k]);
	near(e3_pair_auc(&n, 0), 0.584615, 5e-7), near(e3_pair_auc(&n, 1), 0.471795, 5e-7),
		near(e3_pair_auc(&n, 2), 0.323077, 5e-7);
	near(e3_pair_auc(&n, 3), 0.256410, 5e-7);
}

/* Large enough to be shared by threads: the same figures, equal to those of the plain formulas. */
static void adam_does_not_depend_on_threads(void **state)
{
	enum { N = 300001 };
	float *pair = calloc(N, 2 * sizeof *pair);
	e3_depth_fit fit[2];
	assert_non_null(pair);
	for (uint32_t k = 0; k < N; k++) {
		double g = 1 + (k * 2654435761u >> 8) / 16777216.0, noise = ((k * 40503u + 7) % 1000) / 1000.0 - 0.5;
		pair[2 * k + 1] = (float)g, pair[2 * k] = (float)(0.7 * g * (1 + 0.2 * noise) + 0.02);
	}
	e3_pixels x = {.f = pair, .n = N};
	for (int k = 0; k < 2; k++) {
		e3_depth_rule rule = {.align = E3_DEPTH_SCALE_SHIFT, .threads = 1 + 2 * k};
		assert_int_equal(e3_depth_align_fit(&x, &rule, &fit[k], NULL), 0);
	}
	assert_memory_equal(&fit[0], &fit[1], sizeof fit[0]);
	/* as doc/evaluation.md 3.3 has it */
	e3_depth_fit plain;
	e3_depth_rule median = {.align = E3_DEPTH_MEDIAN};
	assert_int_equal(e3_depth_align_fit(&x, &median, &plain, NULL), 0);
	double m[2] = {0}, v[2] = {0}, before = 0, loss = 0;
	int step = 0;
	while (step < 1000 && (step < 2 || fabs(before - loss) >= 1e-6)) {
		double grad[2] = {0};
		before = loss, loss = 0, step++;
		for (size_t k = 0; k < N; k++) {
			double r = plain.s * pair[2 * k] + plain.t - pair[2 * k + 1], sign = r > 0 ? 1 : r < 0 ? -1 : 0;
			loss += fabs(r), grad[0] += sign * pair[2 * k], grad[1] += sign;
		}
		for (int k = 0; k < 2; k++) {
			m[k] = 0.9 * m[k] + 0.1 * grad[k], v[k] = 0.999 * v[k] + 0.001 * grad[k] * grad[k];
			*(k ? &plain.t : &plain.s) -=
				1e-4 / (1 - pow(0.9, step)) * m[k] / (sqrt(v[k]) / sqrt(1 - pow(0.999, step)) + 1e-8);
		}
	}
	assert_int_equal(fit[0].steps, step);
	assert_true(fabs(fit[0].s - plain.s) < 1e-9 && fabs(fit[0].t - plain.t) < 1e-9);
	assert_true(fabs(plain.t) > 1e-3);
	free(pair);
}

static bool impatient(void *ctx) { return (*(_Atomic int *)ctx)-- <= 0; }

/* Wherever a stop meets it. */
static void a_stop_ends_an_alignment(void **state)
{
	enum { N = 20000 };
	static float pair[2 * N];
	for (int k = 0; k < N; k++)
		pair[2 * k] = 1 + (float)(k % 97) / 50, pair[2 * k + 1] = 1 + (float)(k % 89) / 60;
	for (int align = E3_DEPTH_MEDIAN; align <= E3_DEPTH_LSTSQ; align++) {
		int rc = -1, stopped = 0;
		for (int k = 0; rc; k += 1 + k / 8) {
			_Atomic int left = k;
			e3_work work = {1, impatient, NULL, &left};
			e3_pixels x = {.f = pair, .n = N, .work = &work};
			e3_depth_rule rule = {.align = (e3_depth_align)align, .threads = 2};
			e3_depth_fit fit;
			e3_err err;
			rc = e3_depth_align_fit(&x, &rule, &fit, &err);
			assert_true(rc == 0 || !strcmp(err.text, "interrupted"));
			stopped += rc != 0;
		}
		assert_true(align == E3_DEPTH_METRIC ? stopped == 1 : stopped > 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_alignment_finds_its_optimum),
		cmocka_unit_test(single_and_double_pairs_agree),
		cmocka_unit_test(a_prediction_that_is_not_finite_shows_in_the_figures),
		cmocka_unit_test(cubic_resize_equals_opencv),
		cmocka_unit_test(a_ramp_stays_a_ramp_through_fit_and_resize),
		cmocka_unit_test(truth_of_other_proportions_is_refused),
		cmocka_unit_test(pixels_to_score_are_collected_and_counted),
		cmocka_unit_test(stored_pixels_come_back),
		cmocka_unit_test(a_known_path_has_its_known_errors),
		cmocka_unit_test(drift_is_by_unit_of_the_way),
		cmocka_unit_test(a_path_without_a_rotation_is_refused),
		cmocka_unit_test(statistics_of_few_values),
		cmocka_unit_test(pairs_have_their_known_errors),
		cmocka_unit_test(adam_does_not_depend_on_threads),
		cmocka_unit_test(a_stop_ends_an_alignment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
