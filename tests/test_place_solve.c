/* The similarity of a run from a known path and from known distances: exact data with positions that are wrong, noise,
 * lines, and what cannot be solved. */
#include "check.h"
#include "e3/place.h"

static const double degree = 3.14159265358979323846 / 180;

/* Numbers between -1 and 1, the same in every run. */
static double draw(uint32_t *s)
{
	*s = *s * 1664525u + 1013904223u;
	return (*s >> 8) * 0x1p-23 - 1;
}

static e3_similarity truth(void)
{
	e3_similarity sim = {.s = 2.75, .t = {40, -12, 3}};
	e3_quat_to_mat((const double[4]){0.3, -0.5, 0.2, 0.7}, sim.r);
	return sim;
}

static double angle_between(const double a[9], const double b[9])
{
	double r[9], q[4];
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			r[3 * i + j] = a[i] * b[j] + a[3 + i] * b[3 + j] + a[6 + i] * b[6 + j];
	assert_int_equal(e3_mat_to_quat(r, q), 0);
	return e3_quat_angle(q);
}

/* A walk: round a block, up and down a little. */
static void walk(int k, int n, double c[3])
{
	double a = 2 * 3.14159265358979323846 * k / n;
	c[0] = 10 * sin(a) + sin(5 * a), c[1] = 0.3 * sin(3 * a), c[2] = 7 * cos(a);
}

static size_t pairs(e3_place_pair *pair, int n, double wrong, double noise)
{
	e3_similarity sim = truth();
	uint32_t s = 5;
	for (int k = 0; k < n; k++) {
		walk(k, n, pair[k].from);
		e3_similarity_apply(&sim, pair[k].from, pair[k].to);
		bool bad = (draw(&s) + 1) / 2 < wrong;
		for (int axis = 0; axis < 3; axis++) /* of three the sum is nearly normal, with a deviation of 1 */
			pair[k].to[axis] += bad ? 30 * draw(&s) : noise * (draw(&s) + draw(&s) + draw(&s));
	}
	return (size_t)n;
}

static void a_third_of_the_positions_may_be_wrong(void **state)
{
	static const struct {
		int n;
		double wrong, noise, scale, angle, shift;
	} table[] = {
		{400, 0.3, 0, 1e-6, 1e-6, 1e-5},
		{4000, 0.3, 0, 1e-6, 1e-6, 1e-5},
		{12, 0.3, 0, 1e-6, 1e-6, 1e-5},
		{400, 0.45, 0, 1e-6, 1e-6, 1e-5},
		{400, 0, 0, 1e-6, 1e-6, 1e-5},
		{3, 0, 0, 1e-6, 1e-6, 1e-5},
		{400, 0.3, 0.5, 0.005, 0.01, 0.2},
	};
	for (size_t t = 0; t < sizeof table / sizeof *table; t++) {
		e3_place_pair *pair = calloc((size_t)table[t].n, sizeof *pair);
		e3_place_fitted f;
		e3_similarity want = truth();
		e3_err err = {""};
		size_t n = pairs(pair, table[t].n, table[t].wrong, table[t].noise);
		assert_int_equal(e3_place_fit(pair, n, &f, &err), 0);
		double scale = fabs(f.sim.s / want.s - 1), angle = angle_between(f.sim.r, want.r), shift = 0;
		for (int k = 0; k < 3; k++)
			shift = fmax(shift, fabs(f.sim.t[k] - want.t[k]));
		printf("# %zu pairs, %.0f %% wrong, noise %g: scale %.1e, angle %.1e, shift %.1e; %lld outliers, rms %.2g\n", n,
			100 * table[t].wrong, table[t].noise, scale, angle, shift, (long long)f.outliers, f.rms);
		assert_true(scale <= table[t].scale && angle <= table[t].angle && shift <= table[t].shift);
		assert_true(fabs((double)f.outliers / (double)n - table[t].wrong) < (table[t].n < 100 ? 0.3 : 0.08));
		assert_false(f.line);
		free(pair);
	}
}

/* --- runs --- */

typedef struct run {
	int n;
	bool line;
	double sway;
	double pitch; /* the cameras look down by so much, degrees */
} run;

static void camera(const run *r, int k, float enc[9])
{
	double c[3], a = 0.05 * sin(k), b = r->pitch * degree, q[4], p[4] = {sin(b / 2), 0, 0, cos(b / 2)};
	if (r->line)
		c[0] = r->sway * sin(k), c[1] = 0, c[2] = 0.1 * k;
	else
		walk(k, r->n, c);
	e3_quat_mul(p, (const double[4]){0, sin(a), 0, cos(a)}, q);
	e3_pose pose = {.t = {0}};
	e3_quat_to_mat(q, pose.r);
	for (int row = 0; row < 3; row++)
		enc[row] = -(float)(pose.r[3 * row] * c[0] + pose.r[3 * row + 1] * c[1] + pose.r[3 * row + 2] * c[2]);
	for (int j = 0; j < 4; j++)
		enc[3 + j] = (float)q[j];
	enc[7] = 0.8f, enc[8] = 1;
}

static e3_place *seen(const e3_place_options *o, const run *r)
{
	e3_err err = {""};
	e3_place *p = e3_place_open(o, &err);
	assert_non_null(p);
	float depth[12];
	for (int k = 0; k < 12; k++)
		depth[k] = 4;
	depth[5] = 100; /* one wrong pixel */
	for (int k = 0; k < r->n; k++) {
		e3_pred pred = {.s = {.i = k, .pts = 0.1 * k, .src_w = 40, .src_h = 30, .fit = {0.1, 0.1, 0, 0}},
			.w = 4,
			.h = 3,
			.has_pose = true,
			.depth = depth};
		camera(r, k, pred.pose);
		if (e3_place_see(p, &pred, &err))
			fail_msg("%s", err.text);
	}
	return p;
}

/* The file of the run's path in the world of `truth`. */
static e3_known known(const run *r, e3_known_format format, int step, double noise)
{
	e3_similarity sim = truth();
	e3_known k = {.format = format};
	uint32_t s = 9;
	k.row = calloc((size_t)r->n, sizeof *k.row);
	for (int i = 0; i < r->n; i += step) {
		float enc[9];
		e3_pose pose;
		camera(r, i, enc);
		assert_int_equal(e3_similarity_pose(&sim, enc, NULL), 0);
		assert_int_equal(e3_pose_decode(enc, &pose, NULL), 0);
		e3_known_row *row = &k.row[k.n++];
		*row = (e3_known_row){.time = 0.1 * i, .sigma = 1};
		e3_pose_to_world(&pose, row->pose);
		for (int axis = 3; axis < 12; axis += 4)
			row->pose[axis] += noise * draw(&s);
	}
	return k;
}

static void compare(const e3_similarity *got, double angle_most)
{
	e3_similarity want = truth();
	double scale = fabs(got->s / want.s - 1), angle = angle_between(got->r, want.r);
	printf("# scale off by %.1e, angle %.1e\n", scale, angle);
	assert_true(scale < 1e-5 && angle < angle_most);
}

static void a_path_and_what_is_not_one(void **state)
{
	run block = {.n = 100}, line = {.n = 100, .line = true, .pitch = 10};
	e3_err err = {""};
	e3_known k = known(&block, E3_KNOWN_POSES, 2, 0);
	e3_place *p = seen(&(e3_place_options){.path = &k, .gap = 0.02}, &block);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), 0); /* it is a little off between poses */
	const e3_place_facts *f = e3_place_facts_of(p);
	printf("# every second pose: %lld matched, rms %g, scale off by %g\n", (long long)f->matched, f->rms,
		f->sim.s / 2.75 - 1);
	assert_true(f->matched == 99 && fabs(f->sim.s / 2.75 - 1) < 0.005 && f->off < 0.05);
	e3_place_close(p);
	e3_known_release(&k);

	k = known(&line, E3_KNOWN_POSES, 1, 0); /* the orientations say the turn */
	p = seen(&(e3_place_options){.path = &k, .gap = 0.02}, &line);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), 0);
	assert_int_equal(e3_place_facts_of(p)->turn, E3_PLACE_BY_ORIENTATIONS);
	compare(&e3_place_facts_of(p)->sim, 1e-4);
	e3_place_close(p);

	for (size_t i = 0; i < k.n; i++) /* of something else, that turns */
		for (int j = 0; j < 12; j++)
			if (j % 4 < 3)
				k.row[i].pose[j] = j % 5 ? 0 : i % 2 || j == 10 ? 1 : -1;
	p = seen(&(e3_place_options){.path = &k, .gap = 0.02}, &line);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), -1);
	assert_non_null(strstr(err.text, "the path is a line (7.94 long"));
	assert_non_null(strstr(err.text, "the known orientations differ from the cameras' by"));
	e3_place_close(p);
	e3_known_release(&k);

	/* positions alone: up says the turn, where it is known; the cameras look down by 10 degrees, and go straight on */
	const double *r = truth().r, up[3] = {-r[1], -r[4], -r[7]};
	k = known(&line, E3_KNOWN_POSITIONS, 1, 0.05);
	p = seen(&(e3_place_options){.path = &k, .gap = 0.02, .up = up}, &line);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), 0);
	assert_int_equal(e3_place_facts_of(p)->turn, E3_PLACE_BY_UP);
	printf("# by up: scale off by %g, angle %g\n", e3_place_facts_of(p)->sim.s / 2.75 - 1,
		angle_between(e3_place_facts_of(p)->sim.r, truth().r));
	assert_true(angle_between(e3_place_facts_of(p)->sim.r, truth().r) < 0.02);
	e3_place_close(p);
	p = seen(&(e3_place_options){.path = &k, .gap = 0.02}, &line);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), -1);
	assert_non_null(strstr(err.text,
		"so the turn about it is open: orientations, or latitudes and longitudes, or the direction up"));
	e3_place_close(p);
	e3_known_release(&k);
}

static void fails_with(const e3_place_options *o, const run *r, const char *text)
{
	e3_err err = {""};
	e3_place *p = seen(o, r);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), -1);
	printf("# %s\n", err.text);
	if (!strstr(err.text, text))
		fail_msg("%s; expected %s", err.text, text);
	e3_place_close(p);
}

static void what_does_not_fit_is_refused_with_numbers(void **state)
{
	run block = {.n = 100}, other = {.n = 100, .line = true, .sway = 3};
	e3_known k = known(&block, E3_KNOWN_POSITIONS, 1, 0);
	for (size_t i = 0; i < k.n; i++)
		k.row[i].time += 1000;
	fails_with(&(e3_place_options){.path = &k, .gap = 0.02}, &block,
		"0 of 100 frames have a known position, at least 3 are needed: the frames are from 0 to 9.9 s, the 100 lines of "
		"the file from 1000 to 1009.9 s, and what is known may be 0.02 s away");
	e3_err err = {""};
	e3_place *p = seen(&(e3_place_options){.path = &k, .gap = 0.02, .from_start = true}, &block);
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), 0);
	compare(&e3_place_facts_of(p)->sim, 1e-5);
	e3_place_close(p);
	fails_with(&(e3_place_options){.path = &k, .gap = 0.02, .from_start = true}, &other,
		"the path does not fit: residuals");
	for (size_t i = 0; i < k.n; i++)
		for (int axis = 3; axis < 12; axis += 4)
			k.row[i].pose[axis] = 5;
	fails_with(&(e3_place_options){.path = &k, .gap = 0.02, .from_start = true}, &block, "they are all in one place");
	e3_known_release(&k);
}

static void distances(void **state)
{
	run line = {.n = 50, .line = true};
	e3_err err = {""};
	/* cameras are 0.1 a frame apart: in metres 0.25. The wall is 4 away, 0.5 · 4 / (4 / 2 / tan(0.5)) a source pixel
	 * wide */
	double pixel = 4 * tan(0.5) / 20;
	e3_place_distance d[] = {
		{{{.frame = 0}, {.frame = 20}}, 5},
		{{{.frame = 3}, {.frame = 43}}, 10},
		{{{.frame = 10}, {.frame = 20}}, 7}, /* mistaken */
		{{{.frame = 7, .surface = true, .pixel = {5, 15}}, {.frame = 7, .surface = true, .pixel = {35, 15}}},
			2.5 * 30 * pixel},
	};
	e3_place_options o = {.distance = d, .n_distances = 4};
	e3_place *p = seen(&o, &line);
	assert_true(e3_place_waits(p));
	assert_int_equal(e3_place_solve(p, NULL, NULL, &err), 0);
	const e3_place_facts *f = e3_place_facts_of(p);
	printf("# scale %.9g, %lld outliers, rms %g\n", f->sim.s, (long long)f->outliers, f->rms);
	assert_true(fabs(f->sim.s - 2.5) < 1e-5 && f->outliers == 1 && f->outlier[2] && fabs(f->found[0] - 2) < 1e-6);
	e3_place_close(p);
	o.n_distances = 1;
	d[0].end[1].frame = 90;
	fails_with(&o, &line, "known distance 1: frame 90 did not come: the stream has 50 frames, 0 to 49");
	d[0] = (e3_place_distance){{{.frame = 1}, {.frame = 2, .surface = true, .pixel = {41, 3}}}, 1};
	p = e3_place_open(&o, &err);
	float depth[12] = {0};
	e3_pred pred = {.s = {.i = 2, .src_w = 40, .src_h = 30, .fit = {0.1, 0.1, 0, 0}},
		.w = 4,
		.h = 3,
		.has_pose = true,
		.depth = depth};
	camera(&line, 2, pred.pose);
	assert_int_equal(e3_place_see(p, &pred, &err), -1);
	assert_string_equal(err.text, "known distance 1: frame 2: pixel 41,3 is outside of the picture, which is 40 × 30");
	d[0].end[1].pixel[0] = 4;
	assert_int_equal(e3_place_see(p, &pred, &err), -1);
	assert_string_equal(err.text, "known distance 1: frame 2: pixel 4,3 has no depth");
	e3_place_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_third_of_the_positions_may_be_wrong),
		cmocka_unit_test(a_path_and_what_is_not_one),
		cmocka_unit_test(what_does_not_fit_is_refused_with_numbers),
		cmocka_unit_test(distances),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
