/* What the graph does with measurements whose truth is known. */
#include "graph_walk.h"

static const double exact[3] = {0, 0, 0}, small[3] = {0.005, 0.01, 0.01};

static e3_graph_report solve(e3_graph *g, const char *what)
{
	e3_graph_report r;
	e3_err err = {""};
	if (e3_graph_solve(g, &r, &err))
		fail_msg("%s", err.text);
	printf("# %-44s %d steps, %d loops, %d refused, residual %.2e to %.2e, %.1f ms\n", what, r.steps, r.loops,
		r.refused, r.before, r.after, 1000 * r.seconds);
	return r;
}

static void joins_alone_move_nothing(void **state)
{
	walk w = walk_make(30, 1, 1);
	e3_graph *g = walk_graph(&w, NULL, small, 1.03);
	solve(g, "joins");
	for (int k = 0; k < w.n; k++)
		assert_true(fabs(e3_graph_at(g, k)->t[0] - w.drifted[k].t[0]) < 1e-9);
	e3_graph_close(g), walk_free(&w);
}

static void exact_edges_return_the_truth(void **state)
{
	walk w = walk_make(40, 2, 2);
	e3_graph *g = walk_graph(&w, NULL, exact, 1);
	for (int k = 0; k < 20; k += 3)
		walk_loop(&w, g, k, k + 20, exact);
	solve(g, "exact");
	walk_error e = walk_show("exact joins and loops", &w, g, NULL);
	assert_true(e.rms < 1e-9 && e.scale < 1e-9 && e.angle < 1e-9);
	e3_graph_close(g), walk_free(&w);
}

static int patience;

static int stop(void) { return patience-- <= 0; }

/* Solving ends between two steps; what is found until then is no worse than what was there, and can be gone on from. */
static void a_solution_can_be_cut_short(void **state)
{
	e3_graph_options o = {.loss = E3_LOSS_SQUARE, .width = 10, .stop = stop};
	e3_graph_report r, whole;
	walk w = walk_make(40, 2, 3);
	e3_graph *g = walk_graph(&w, &o, small, 1.03);
	for (int k = 0; k < 20; k += 3)
		walk_loop(&w, g, k, k + 20, exact);
	for (int steps = 0; steps < 2; steps++) {
		patience = steps;
		assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
		assert_int_equal(r.steps, steps);
		assert_true(steps ? r.after < r.before : r.after == r.before);
	}
	patience = 1000;
	assert_int_equal(e3_graph_solve(g, &whole, NULL), 0);
	assert_true(whole.steps > 1 && whole.after < r.after);
	e3_graph_close(g), walk_free(&w);
}

/* The joins put the walk elsewhere; exact loops from every segment to the first, of far smaller deviation, put it
 * back. */
static void loops_outweigh_wrong_joins(void **state)
{
	walk w = walk_make(40, 2, 3);
	e3_graph *g = walk_graph(&w, NULL, small, 1.03);
	for (int k = 1; k < w.n; k++) {
		e3_graph_edge e = {.type = E3_EDGE_LOOP, .a = 0, .b = k, .sim = walk_measure(&w, 0, k, exact)};
		memcpy(e.sigma, (const double[3]){1e-6, 1e-6, 1e-6}, sizeof e.sigma);
		assert_true(e3_graph_add_edge(g, &e, NULL) >= 0);
	}
	e3_graph_report r = solve(g, "wrong joins");
	assert_int_equal(r.refused, 0);
	walk_error e = walk_show("wrong joins, exact loops", &w, g, NULL);
	assert_true(e.rms < 1e-5 && e.scale < 1e-5 && e.angle < 1e-5);
	e3_graph_close(g), walk_free(&w);
}

/* Every join makes the next segment 3 % larger: the last of 40 is 3.2 times too large. A loop, ten times as sure as a
 * join, returns all of it but what the joins' and the loop's deviations leave. */
static void one_loop_removes_a_drift_of_scale(void **state)
{
	walk w = walk_make(40, 1, 4);
	e3_graph *g = walk_graph(&w, NULL, exact, 1.03);
	walk_error before = walk_show("scale drifts by 3 % a segment", &w, g, NULL);
	e3_graph_edge e = {.type = E3_EDGE_LOOP, .a = 0, .b = w.n - 1, .sim = walk_measure(&w, 0, w.n - 1, exact)};
	memcpy(e.sigma, (const double[3]){1e-3, 2e-3, 2e-3}, sizeof e.sigma);
	assert_true(e3_graph_add_edge(g, &e, NULL) >= 0);
	e3_graph_report r = solve(g, "one loop");
	walk_error after = walk_show("and one loop", &w, g, NULL);
	assert_int_equal(r.refused, 0);
	assert_true(before.scale > 2);
	assert_true(after.scale < 1e-3 && after.rms < 0.01 * before.rms);
	e3_graph_close(g), walk_free(&w);
}

/* A loop between two places that only look alike, a half to three quarters of a round apart: it says that they are
 * one. */
static int false_loop(walk *w, e3_graph *g)
{
	e3_graph_edge e = {.type = E3_EDGE_LOOP, .a = (int)(20 + 19 * walk_random(w)), .sim = e3_similarity_identity};
	e.b = e.a + 10 + (int)(3 + 2.9 * walk_random(w));
	for (int k = 0; k < 3; k++)
		e.sim.t[k] = 0.3 * walk_normal(w);
	memcpy(e.sigma, (const double[3]){0.02, 0.05, 0.05}, sizeof e.sigma);
	return e3_graph_add_edge(g, &e, NULL);
}

typedef struct verdict {
	double worst; /* root mean square error of the worst walk */
	int true_refused, false_kept;
} verdict;

/* 15 true loops and `wrong` false ones in each of ten walks; one by one, the false ones among the others. */
static verdict judge(int loss, int wrong, bool one_by_one)
{
	verdict v = {0};
	for (uint64_t seed = 10; seed < 20; seed++) {
		walk w = walk_make(60, 3, seed);
		e3_graph_options o = E3_GRAPH_DEFAULTS;
		o.loss = loss;
		e3_graph *g = walk_graph(&w, &o, small, 1.03);
		int number[64], n = 0;
		bool is_false[64];
		for (int k = 0, left = wrong; k < 15 || left > 0; k++) {
			for (int more = k < 15 ? (wrong + 14 - k) / 15 : left; more > 0 && left > 0; more--, left--)
				is_false[n] = true, number[n++] = false_loop(&w, g);
			if (k < 15)
				is_false[n] = false, number[n++] = walk_loop(&w, g, 2 * k, 2 * k + 20, small);
			assert_true(!one_by_one || e3_graph_solve(g, NULL, NULL) == 0);
		}
		e3_graph_renew(g);
		assert_int_equal(e3_graph_solve(g, NULL, NULL), 0);
		v.worst = fmax(v.worst, walk_compare(&w, g, NULL).rms);
		for (int k = 0; k < n; k++) {
			bool refused = e3_graph_residual(g, number[k]) > o.width;
			v.true_refused += refused && !is_false[k], v.false_kept += !refused && is_false[k];
		}
		e3_graph_close(g), walk_free(&w);
	}
	return v;
}

/* The loss that is the default; of the others one figure each, for comparison. */
static void false_loops_are_refused(void **state)
{
	static const int wrong[] = {0, 1, 6, 16};
	double without = judge(E3_LOSS_GEMAN, 0, false).worst;
	for (int loss = 0; e3_graph_loss_name(loss); loss++)
		for (int k = loss == E3_LOSS_GEMAN ? 0 : 6; k < (loss == E3_LOSS_GEMAN ? 8 : 7); k++) {
			verdict v = judge(loss, wrong[k / 2], k % 2);
			printf("# %-14s %2d false loops beside 15 true ones, %-10s worst rms of 10 walks %.2f; of 150 true refused "
				   "%d, of %d false kept %d\n",
				e3_graph_loss_name(loss), wrong[k / 2], k % 2 ? "one by one" : "at once", v.worst, v.true_refused,
				10 * wrong[k / 2], v.false_kept);
			if (loss != E3_LOSS_GEMAN)
				continue;
			assert_true(v.worst < 1.05 * without);
			assert_true(v.true_refused == 0 && v.false_kept == 0);
		}
}

static const e3_similarity elsewhere = {7.5, {0, -1, 0, 1, 0, 0, 0, 0, 1}, {500000, 4.2e6, 120}};

static void known_positions_define_the_world(void **state)
{
	walk w = walk_make(40, 1, 6);
	e3_graph *g = walk_graph(&w, NULL, small, 1.03);
	for (int k = 0; k < w.n; k++) {
		double center[3] = {0.1 * walk_random(&w), 0.1 * walk_random(&w), 0.3}, at[3];
		e3_similarity_apply(&w.truth[k], center, at);
		e3_similarity_apply(&elsewhere, at, at);
		assert_true(e3_graph_add_position(g, k, center, at, 1e-3, NULL) >= 0);
		e3_graph_report r = {0};
		if (k < 4) {
			assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
			assert_int_equal(r.world, k >= 2);
			assert_int_equal(e3_graph_world(g), k >= 2);
		}
	}
	e3_graph_report r = solve(g, "known positions");
	assert_true(r.world);
	walk_error e = walk_show("known positions", &w, g, &elsewhere);
	assert_true(e.rms < 0.5 && e.scale < 0.1);
	e3_graph_close(g), walk_free(&w);
}

static void known_poses_return_the_truth(void **state)
{
	walk w = walk_make(40, 1, 6);
	e3_graph *g = walk_graph(&w, NULL, small, 1.03);
	for (int k = 0; k < w.n; k++)
		for (int twice = 0; twice < 2; twice++) {
			double center[3] = {0.5 * twice, 0.1 * walk_random(&w), 0.3}, at[3], own[12] = {0}, known[12] = {0};
			e3_similarity x;
			e3_similarity_apply(&w.truth[k], center, at);
			e3_similarity_apply(&elsewhere, at, at);
			e3_similarity_mul(&elsewhere, &w.truth[k], &x);
			for (int i = 0; i < 9; i++)
				own[i / 3 * 4 + i % 3] = i % 4 == 0, known[i / 3 * 4 + i % 3] = x.r[i];
			for (int i = 0; i < 3; i++)
				own[4 * i + 3] = center[i], known[4 * i + 3] = at[i];
			assert_true(e3_graph_add_pose(g, k, own, known, (const double[2]){1e-6, 1e-6}, NULL) >= 0);
		}
	solve(g, "known poses");
	walk_error e = walk_show("known poses", &w, g, &elsewhere);
	assert_true(e.rms < 1e-4 && e.scale < 1e-5 && e.angle < 1e-5);
	e3_graph_close(g), walk_free(&w);
}

/* Positions on a line do not say how the world is turned about it. */
static void positions_on_a_line_wait(void **state)
{
	walk w = walk_make(10, 1, 6);
	e3_graph *g = walk_graph(&w, NULL, exact, 1);
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < 4; i++) {
			double center[3] = {i, 0, 0}, at[3];
			e3_similarity_apply(&w.truth[0], center, at);
			assert_true(e3_graph_add_position(g, 0, center, at, 0.1, NULL) >= 0);
		}
	e3_graph_report r = solve(g, "a line");
	assert_false(r.world);
	walk_error e = walk_show("positions on a line", &w, g, NULL);
	assert_true(e.rms < 1e-9);
	e3_graph_close(g), walk_free(&w);
}

/* On a line, and up is known, to 5 degrees for each camera: the world is found, turned about the line by their mean. */
static void up_completes_positions_on_a_line(void **state)
{
	walk w = walk_make(10, 1, 6);
	e3_graph *g = walk_graph(&w, NULL, exact, 1);
	for (int i = 0; i < 20; i++) {
		double center[3] = {0.5 * i, 0.2, 0}, at[3], up[3], off[9];
		e3_similarity x;
		e3_similarity_mul(&elsewhere, &w.truth[4], &x);
		e3_similarity_apply(&x, center, at);
		assert_true(e3_graph_add_position(g, 4, center, at, 0.01, NULL) >= 0);
		walk_turn((const double[3]){1, 0, 0}, (i % 2 ? 1 : -1) * 0.087, off);
		for (int k = 0; k < 3; k++)
			up[k] = off[6] * x.r[k] + off[7] * x.r[3 + k] + off[8] * x.r[6 + k];
		e3_graph_add_up(g, 4, up);
	}
	e3_graph_report r = solve(g, "a line and up");
	assert_true(r.world);
	walk_error e = walk_show("positions on a line and up", &w, g, &elsewhere);
	assert_true(e.scale < 1e-6 && e.angle < 1e-3);
	e3_graph_close(g), walk_free(&w);
}

static void a_known_distance_gives_the_scale(void **state)
{
	walk w = walk_make(20, 1, 6);
	e3_graph *g = walk_graph(&w, NULL, exact, 1);
	double length = 0;
	for (int i = 0; i < 3; i++)
		length += pow(w.truth[2].t[i] - w.truth[11].t[i], 2);
	length = 250 * sqrt(length);
	assert_true(e3_graph_add_distance(g, (const e3_graph_point[2]){{2, {0}}, {11, {0}}}, length, 0.01, NULL) >= 0);
	solve(g, "a distance");
	e3_similarity larger = e3_similarity_identity;
	larger.s = 250;
	for (int i = 0; i < 3; i++)
		larger.t[i] = (1 - 250) * w.truth[0].t[i];
	walk_error e = walk_show("a known distance", &w, g, &larger);
	assert_true(e.rms < 1e-5 && e.scale < 1e-6);
	e3_graph_close(g), walk_free(&w);
}

/* A loop at a time; the solution is that of all at once. */
static void updates_reach_the_same_solution(void **state)
{
	walk w = walk_make(60, 3, 9), same = walk_make(60, 3, 9);
	e3_graph *g = walk_graph(&w, NULL, small, 1.02), *once = walk_graph(&same, NULL, small, 1.02);
	bool analysed = true;
	for (int k = 0; k < 15; k++) {
		e3_graph_report r;
		walk_loop(&w, g, 2 * k, 2 * k + 20, small), walk_loop(&same, once, 2 * k, 2 * k + 20, small);
		assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
		assert_true(r.analysed);
		assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
		analysed &= r.analysed;
	}
	assert_false(analysed);
	solve(once, "all at once");
	for (int k = 0; k < w.n; k++)
		for (int i = 0; i < 3; i++)
			assert_true(fabs(e3_graph_at(g, k)->t[i] - e3_graph_at(once, k)->t[i]) < 1e-6);
	e3_graph_close(g), e3_graph_close(once), walk_free(&w), walk_free(&same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_alone_move_nothing),
		cmocka_unit_test(exact_edges_return_the_truth),
		cmocka_unit_test(a_solution_can_be_cut_short),
		cmocka_unit_test(loops_outweigh_wrong_joins),
		cmocka_unit_test(one_loop_removes_a_drift_of_scale),
		cmocka_unit_test(false_loops_are_refused),
		cmocka_unit_test(known_positions_define_the_world),
		cmocka_unit_test(known_poses_return_the_truth),
		cmocka_unit_test(positions_on_a_line_wait),
		cmocka_unit_test(up_completes_positions_on_a_line),
		cmocka_unit_test(a_known_distance_gives_the_scale),
		cmocka_unit_test(updates_reach_the_same_solution),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
