/* The cost of an update of the graph of segments: graph N...: N segments on a path that is walked again and again, a
 * loop to the round before for every fifth segment; then ten more loops and ten more known positions, an update for
 * each. */
#include "../graph_walk.h"
#include "e3/mem.h"

static const double noise[3] = {0.005, 0.01, 0.01};
enum { ROUND = 50, MORE = 10 };

static void show(const char *what, const e3_graph_report *r, double milliseconds)
{
	printf("%-22s %8.1f ms, %d steps, %d loops, %d refused%s\n", what, milliseconds, r->steps, r->loops, r->refused,
		r->analysed ? ", ordered anew" : "");
}

static void measure(int n)
{
	walk w = walk_make(n, n / (double)ROUND, 5);
	uint64_t before = e3_rss_now();
	e3_graph *g = walk_graph(&w, NULL, noise, 1);
	e3_graph_report r;
	for (int k = ROUND; k < n; k += 5)
		walk_loop(&w, g, k - ROUND, k, noise);
	assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
	printf("%d segments, %.1f kB each\n", n, (double)(e3_rss_now() - before) / n / 1e3);
	show("all at once", &r, 1000 * r.seconds);
	double sum = 0;
	for (int k = 0; k < MORE; k++) {
		walk_loop(&w, g, n - ROUND - 3 - k, n - 3 - k, noise);
		assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
		sum += 1000 * r.seconds;
	}
	show("a loop more", &r, sum / MORE);
	for (int k = 0; k < 3; k++)
		assert_true(
			e3_graph_add_position(g, k * ROUND / 3, (const double[3]){0}, w.truth[k * ROUND / 3].t, 0.1, NULL) >= 0);
	assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
	for (int k = sum = 0; k < MORE; k++) {
		int node = n - 1 - k * n / MORE;
		assert_true(e3_graph_add_position(g, node, (const double[3]){0}, w.truth[node].t, 0.1, NULL) >= 0);
		assert_int_equal(e3_graph_solve(g, &r, NULL), 0);
		sum += 1000 * r.seconds;
	}
	show("a known position more", &r, sum / MORE);
	e3_graph_close(g), walk_free(&w);
}

int main(int argc, char **argv)
{
	for (int k = 1; k < argc; k++)
		measure(atoi(argv[k]));
	return 0;
}
