/* The derivatives of every kind of term against differences of its residual. */
#include "../lib/graph/graph.h"
#include "graph_walk.h"

static void compare(const e3_graph *g, const char *what)
{
	const term *t = &g->term[g->terms - 1];
	linear at;
	double worst = 0, most = 0;
	graph_linearise(g, t, true, &at);
	assert_true(at.rows > 0);
	for (int side = 0; side < 2 && t->node[side] >= 0; side++)
		for (int col = 0; col < DOF; col++) {
			const double h = 1e-6;
			linear two[2];
			for (int k = 0; k < 2; k++) {
				e3_similarity keep = g->node[t->node[side]];
				double x[DOF] = {0};
				x[col] = k ? h : -h;
				graph_move(&g->node[t->node[side]], x);
				graph_linearise(g, t, false, &two[k]);
				g->node[t->node[side]] = keep;
			}
			for (int row = 0; row < at.rows; row++) {
				double numeric = (two[1].r[row] - two[0].r[row]) / (2 * h);
				worst = fmax(worst, fabs(numeric - at.j[side][row][col]));
				most = fmax(most, fabs(numeric));
			}
		}
	printf("# %-12s worst difference %.1e of derivatives up to %.1e\n", what, worst, most);
	assert_true(most > 0.1);
	assert_true(worst < 1e-7 * (1 + most));
}

static void derivatives_are_those_of_the_residual(void **state)
{
	walk w = walk_make(12, 1, 7);
	const double none[3] = {0}, noise[3] = {0.5, 0.4, 0.3};
	e3_graph *g = walk_graph(&w, NULL, none, 1);
	for (int turn = 0; turn < 8; turn++) {
		/* far from the solution, either node first */
		e3_graph_edge e = {.type = E3_EDGE_LOOP,
			.a = turn % 2 ? 3 : 9,
			.b = turn % 2 ? 9 : 3,
			.sim = walk_measure(&w, turn % 2 ? 3 : 9, turn % 2 ? 9 : 3, noise),
			.sigma = {0.5, 0.7, 1.1},
			.pivot = {0.4, -1.2, walk_random(&w)}};
		assert_true(e3_graph_add_edge(g, &e, NULL) >= 0);
		compare(g, "edge");
		double c[2][3], p[12] = {0}, q[12] = {0}, r[9];
		for (int k = 0; k < 6; k++)
			c[k / 3][k % 3] = walk_random(&w);
		assert_true(e3_graph_add_position(g, 5, c[0], c[1], 0.3, NULL) >= 0);
		compare(g, "position");
		for (int k = 0; k < 12; k++)
			p[k] = walk_random(&w), q[k] = walk_random(&w);
		walk_turn(c[0], walk_random(&w), r);
		for (int k = 0; k < 9; k++)
			p[k / 3 * 4 + k % 3] = r[k];
		walk_turn(c[1], walk_random(&w), r);
		for (int k = 0; k < 9; k++)
			q[k / 3 * 4 + k % 3] = r[k];
		assert_true(e3_graph_add_pose(g, 5, p, q, (const double[2]){0.2, 0.4}, NULL) >= 0);
		compare(g, "pose");
		e3_graph_point ends[2] = {{2, {c[0][0], c[0][1], c[0][2]}}, {7, {c[1][0], c[1][1], c[1][2]}}};
		assert_true(e3_graph_add_distance(g, ends, 2.5, 0.5, NULL) >= 0);
		compare(g, "distance");
		ends[0].node = ends[1].node = 4;
		assert_true(e3_graph_add_distance(g, ends, 2.5, 0.5, NULL) >= 0);
		compare(g, "own distance");
	}
	e3_graph_close(g);
	walk_free(&w);
}

static void logarithms_undo_turns(void **state)
{
	static const double angle[] = {0, 1e-9, 1e-4, 0.5, 3, 3.1415};
	for (size_t k = 0; k < sizeof angle / sizeof *angle; k++) {
		double w[3] = {angle[k] * 0.6, 0, -angle[k] * 0.8}, r[9], back[3];
		graph_so3_exp(w, r);
		graph_so3_log(r, back);
		for (int axis = 0; axis < 3; axis++)
			assert_true(fabs(back[axis] - w[axis]) < 1e-12);
	}
}

/* What is not finite, or not of the graph, is refused, and leaves the graph as it was. */
static void bad_terms_are_refused(void **state)
{
	e3_err err;
	walk w = walk_make(3, 1, 7);
	e3_graph *g = walk_graph(&w, NULL, (const double[3]){0}, 1);
	e3_graph_edge e = {.type = E3_EDGE_LOOP, .a = 0, .b = 2, .sim = e3_similarity_identity, .sigma = {1, 1, 1}}, bad;
	const double zero[3] = {0};
	bad = e, bad.sigma[1] = 0;
	assert_int_equal(e3_graph_add_edge(g, &bad, &err), -1);
	assert_string_equal(err.text, "graph: a measurement is not finite, or its standard deviation is not positive");
	bad = e, bad.sigma[1] = -1;
	assert_int_equal(e3_graph_add_edge(g, &bad, &err), -1);
	bad = e, bad.sim.s = NAN;
	assert_int_equal(e3_graph_add_edge(g, &bad, &err), -1);
	assert_string_equal(err.text, "graph: an edge is not finite, or leads from a segment to itself");
	bad = e, bad.b = 0;
	assert_int_equal(e3_graph_add_edge(g, &bad, &err), -1);
	bad = e, bad.b = 3;
	assert_int_equal(e3_graph_add_edge(g, &bad, &err), -1);
	assert_string_equal(err.text, "graph: there is no segment 3");
	assert_int_equal(e3_graph_add_position(g, -1, zero, zero, 1, &err), -1);
	assert_string_equal(err.text, "graph: there is no segment -1");
	assert_int_equal(e3_graph_add_position(g, 0, zero, (const double[3]){0, INFINITY, 0}, 1, &err), -1);
	assert_int_equal(e3_graph_add_distance(g, (const e3_graph_point[2]){{0, {0}}, {1, {0}}}, 0, 1, &err), -1);
	assert_string_equal(err.text, "graph: a distance of 0: expected more than 0");
	assert_null(e3_graph_open(&(e3_graph_options){.loss = E3_LOSS_HUBER}, &err));
	assert_int_equal(e3_graph_nodes(g), 3);
	assert_int_equal(g->terms, 2);
	e3_graph_close(g);
	walk_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivatives_are_those_of_the_residual),
		cmocka_unit_test(logarithms_undo_turns),
		cmocka_unit_test(bad_terms_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
