/* graph: Levenberg's method, with robust losses that are narrowed step by step. */
#include "e3/mem.h"
#include "e3/num.h"
#include "graph.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 60, TRIES_MAX = 12 };

static const double damping_least = 1e-9, damping_most = 1e8;
static const double enough = 1e-10;      /* the solution is reached when no step is longer, */
static const double enough_cost = 1e-11; /* or when the cost falls by less than this part */
static const double narrowing = 2;       /* of the width of a loss, from step to step */
static const double widest = 1e4;

typedef struct search {
	e3_graph *g;
	e3_similarity *before; /* the nodes before a step that may be taken back */
	double lambda, cost;
	int steps;
} search;

static double squared(const linear *l)
{
	double sum = 0;
	for (int k = 0; k < l->rows; k++)
		sum += l->r[k] * l->r[k];
	return sum;
}

static double cost_of(const e3_graph *g)
{
	double sum = 0;
	for (int k = 0; k < g->terms; k++)
		if (!graph_waits(g, &g->term[k])) {
			linear l;
			graph_linearise(g, &g->term[k], false, &l);
			sum += graph_cost(g, &g->term[k], squared(&l));
		}
	return sum;
}

static void sum_up(e3_graph *g)
{
	graph_normal_clear(g->normal);
	for (int k = 0; k < g->terms; k++)
		if (!graph_waits(g, &g->term[k])) {
			linear l;
			graph_linearise(g, &g->term[k], true, &l);
			graph_normal_add(g, &g->term[k], &l, graph_weight(g, &g->term[k], squared(&l)));
		}
	graph_normal_ready(g);
}

static bool stopped(const e3_graph *g) { return g->options.stop && g->options.stop(); }

/* One step downhill; *longest: its longest component, 0 when none leads down. */
static int step(search *s, double *longest, e3_err *err)
{
	e3_graph *g = s->g;
	*longest = 0;
	sum_up(g);
	memcpy(s->before, g->node, (size_t)g->nodes * sizeof *g->node);
	for (int k = 0; k < TRIES_MAX && s->lambda <= damping_most; k++) {
		const double *x;
		double length = 0;
		if (graph_normal_solve(g, s->lambda, &x, err))
			return -1;
		for (int n = 0; x && n < g->nodes * DOF; n++)
			length = fmax(length, fabs(x[n])); /* NaN: no step */
		for (int n = 0; x && n < g->nodes; n++)
			graph_move(&g->node[n], x + (ptrdiff_t)DOF * n);
		double cost = x ? cost_of(g) : INFINITY;
		if (cost <= s->cost) {
			s->cost = cost, *longest = length;
			s->lambda = fmax(s->lambda / 10, damping_least);
			return 0;
		}
		memcpy(g->node, s->before, (size_t)g->nodes * sizeof *g->node);
		s->lambda *= 10;
	}
	return 0;
}

/* Until nothing moves any more, with the widths as they are. */
static int descend(search *s, e3_err *err)
{
	s->lambda = damping_least * 100;
	s->cost = cost_of(s->g);
	for (int k = 0; k < STEPS_MAX && !stopped(s->g); k++, s->steps++) {
		double longest, cost = s->cost;
		if (step(s, &longest, err))
			return -1;
		if (longest <= enough || cost - s->cost <= enough_cost * cost)
			return 0;
	}
	return 0;
}

/* --- loops --- */

static bool is_robust(const e3_graph *g)
{
	return g->options.loss == E3_LOSS_CAUCHY || g->options.loss == E3_LOSS_GEMAN;
}

/* How many widths long the longest residual of a loop is; without `all`, of those that were not refused before. */
static double worst_loop(const e3_graph *g, bool all)
{
	double worst = 0;
	for (int k = 0; k < g->terms; k++)
		if (g->term[k].kind == TERM_LOOP && (all || !g->term[k].refused))
			worst = fmax(worst, e3_graph_residual(g, k) / g->options.width);
	return worst;
}

static void widen(e3_graph *g, double wide, bool all)
{
	for (int k = 0; k < g->terms; k++)
		g->term[k].wide = all || !g->term[k].refused ? wide : 1;
}

/* Graduated non-convexity (Yang et al. 2020): the loss begins so wide that every loop counts, and is narrowed, a step
 * each, to its width: what the majority agrees on pulls the rest away before it is given up. */
static int narrow(search *s, bool all, e3_err *err)
{
	e3_graph *g = s->g;
	double wide = fmin(worst_loop(g, all), widest), longest;
	int rc = 0;
	s->lambda = damping_least * 100;
	for (; !rc && wide > 1 && !stopped(g); wide /= narrowing, s->steps++) {
		widen(g, wide, all);
		s->cost = cost_of(g);
		rc = step(s, &longest, err);
	}
	widen(g, 1, true);
	return rc;
}

/* Marks the loops that are longer than their width; returns whether one that came since the last solution is. */
static bool judge(e3_graph *g)
{
	bool fresh = false;
	for (int k = 0; k < g->terms; k++) {
		term *t = &g->term[k];
		if (t->kind != TERM_LOOP)
			continue;
		t->refused = g->options.loss != E3_LOSS_SQUARE && e3_graph_residual(g, k) > g->options.width;
		fresh |= t->fresh && t->refused;
	}
	return fresh;
}

/* Loops that were refused before are considered again only when a new one is refused: then the loops contradict each
 * other. */
static int search_all(search *s, e3_err *err)
{
	e3_graph *g = s->g;
	for (int all = 0; all < 2; all++) {
		if ((is_robust(g) && narrow(s, all, err)) || descend(s, err))
			return -1;
		if (!judge(g) || !is_robust(g))
			break;
	}
	for (int k = 0; k < g->terms; k++)
		g->term[k].fresh = false;
	return 0;
}

double graph_rms(const e3_graph *g)
{
	double sum = 0, rows = 0;
	for (int k = 0; k < g->terms; k++) {
		linear l;
		if (graph_waits(g, &g->term[k]) || g->term[k].refused)
			continue;
		graph_linearise(g, &g->term[k], false, &l);
		sum += squared(&l), rows += l.rows;
	}
	return rows > 0 ? sqrt(sum / rows) : 0;
}

static void count_loops(const e3_graph *g, e3_graph_report *r)
{
	for (int k = 0; k < g->terms; k++)
		r->loops += g->term[k].kind == TERM_LOOP, r->refused += g->term[k].refused;
}

int e3_graph_solve(e3_graph *g, e3_graph_report *report, e3_err *err)
{
	e3_graph_report r = {.steps = 0};
	double started = e3_now();
	if (g->nodes == 0) {
		if (report)
			*report = r;
		return 0;
	}
	search s = {.g = g, .before = e3_alloc((size_t)g->nodes, sizeof *g->node, "a graph of segments", err)};
	int rc = s.before && !graph_place(g, err) && !graph_normal_prepare(g, &r.analysed, err) ? 0 : -1;
	if (!rc) {
		r.before = graph_rms(g);
		rc = search_all(&s, err);
	}
	free(s.before);
	count_loops(g, &r);
	r.after = graph_rms(g);
	r.steps = s.steps, r.world = g->world, r.seconds = e3_now() - started;
	if (report)
		*report = r;
	return rc;
}
