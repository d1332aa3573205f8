/* graph: nodes and terms. Refuses what is not finite, and standard deviations that are not positive. */
#include "graph.h"
#include "e3/mem.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 1 << 24 };

e3_graph *e3_graph_open(const e3_graph_options *options, e3_err *err)
{
	static const e3_graph_options defaults = E3_GRAPH_DEFAULTS;
	e3_graph *g = e3_alloc(1, sizeof *g, "a graph", err);
	if (!g)
		return NULL;
	g->options = options ? *options : defaults;
	if (!(g->options.width > 0) || !e3_graph_loss_name(g->options.loss)) {
		e3_fail(err, "graph: a robust loss needs a width of more than 0");
		e3_graph_close(g);
		return NULL;
	}
	if (!(g->normal = graph_normal_open(err))) {
		e3_graph_close(g);
		return NULL;
	}
	return g;
}

void e3_graph_close(e3_graph *g)
{
	if (!g)
		return;
	graph_normal_close(g->normal);
	free(g->node), free(g->up), free(g->term);
	free(g);
}

/* Room for one more, doubled when it is used up. */
static int grow(void **p, int n, int *room, size_t size, e3_err *err)
{
	if (n < *room)
		return 0;
	int more = *room ? 2 * *room : 64;
	if (more > NODES_MAX)
		return e3_fail(err, "graph: more than %d segments or measurements", NODES_MAX);
	if (e3_grow(p, (size_t)more, size, "a graph of segments", err))
		return -1;
	*room = more;
	return 0;
}

static bool all_finite(const double *v, int n)
{
	for (int k = 0; k < n; k++)
		if (!isfinite(v[k]))
			return false;
	return true;
}

static bool sound(const e3_similarity *x)
{
	return x->s > 0 && all_finite(&x->s, 1) && all_finite(x->r, 9) && all_finite(x->t, 3);
}

int e3_graph_add_node(e3_graph *g, const e3_similarity *start, e3_err *err)
{
	if (!sound(start))
		return e3_fail(err, "graph: a segment's similarity is not finite");
	if (grow((void **)&g->node, g->nodes, &g->node_room, sizeof *g->node, err) ||
		grow((void **)&g->up, g->nodes, &g->up_room, sizeof *g->up, err))
		return -1;
	g->node[g->nodes] = *start;
	memset(g->up[g->nodes], 0, sizeof *g->up);
	graph_normal_changed(g->normal);
	return g->nodes++;
}

int e3_graph_nodes(const e3_graph *g) { return g->nodes; }
const e3_similarity *e3_graph_at(const e3_graph *g, int node) { return &g->node[node]; }
bool e3_graph_world(const e3_graph *g) { return g->world; }

static int add_term(e3_graph *g, const term *t, e3_err *err)
{
	bool numbers = all_finite(t->point[0], 6) && all_finite(t->rotation, 9) && all_finite(t->position, 3) &&
		all_finite(t->turn, 9) && isfinite(t->log_scale) && all_finite(t->weight, 3);
	for (int k = 0; k < 3; k++)
		numbers &= t->weight[k] >= 0;
	if (!numbers)
		return e3_fail(err, "graph: a measurement is not finite, or its standard deviation is not positive");
	for (int k = 0; k < 2; k++)
		if (t->node[k] >= g->nodes || (k == 0 && t->node[k] < 0))
			return e3_fail(err, "graph: there is no segment %d", t->node[k]);
	if (grow((void **)&g->term, g->terms, &g->term_room, sizeof *g->term, err))
		return -1;
	g->term[g->terms] = *t;
	if (t->node[1] >= 0)
		graph_normal_changed(g->normal);
	return g->terms++;
}

int e3_graph_add_edge(e3_graph *g, const e3_graph_edge *edge, e3_err *err)
{
	if (!sound(&edge->sim) || edge->a == edge->b)
		return e3_fail(err, "graph: an edge is not finite, or leads from a segment to itself");
	term t = {.kind = edge->type == E3_EDGE_LOOP ? TERM_LOOP : TERM_JOIN,
		.node = {edge->a, edge->b},
		.log_scale = log(edge->sim.s),
		.wide = 1,
		.fresh = true};
	memcpy(t.rotation, edge->sim.r, sizeof t.rotation);
	memcpy(t.point[1], edge->pivot, sizeof edge->pivot);
	e3_similarity_apply(&edge->sim, edge->pivot, t.position);
	for (int k = 0; k < 3; k++)
		t.weight[k] = 1 / edge->sigma[k];
	return edge->b < 0 ? e3_fail(err, "graph: there is no segment %d", edge->b) : add_term(g, &t, err);
}

int e3_graph_add_position(e3_graph *g, int node, const double center[3], const double position[3], double sigma,
	e3_err *err)
{
	term t = {.kind = TERM_POSITION, .node = {node, -1}, .weight = {0, 1 / sigma, 0}};
	memcpy(t.point[0], center, sizeof t.point[0]);
	memcpy(t.position, position, sizeof t.position);
	return add_term(g, &t, err);
}

int e3_graph_add_pose(e3_graph *g, int node, const double own[12], const double known[12], const double sigma[2],
	e3_err *err)
{
	term t = {.kind = TERM_POSE, .node = {node, -1}, .weight = {1 / sigma[0], 1 / sigma[1], 0}};
	for (int row = 0; row < 3; row++) {
		memcpy(t.rotation + 3 * row, own + 4 * row, 3 * sizeof *own);
		memcpy(t.turn + 3 * row, known + 4 * row, 3 * sizeof *known);
		t.point[0][row] = own[4 * row + 3], t.position[row] = known[4 * row + 3];
	}
	return add_term(g, &t, err);
}

int e3_graph_add_distance(e3_graph *g, const e3_graph_point ends[2], double length, double sigma, e3_err *err)
{
	int second = ends[1].node;
	if (!(length > 0))
		return e3_fail(err, "graph: a distance of %g: expected more than 0", length);
	term t = {.kind = TERM_DISTANCE,
		.node = {ends[0].node, second == ends[0].node ? -1 : second},
		.log_scale = log(length),
		.weight = {0, length / sigma, 0}};
	for (int k = 0; k < 2; k++)
		memcpy(t.point[k], ends[k].at, sizeof t.point[k]);
	if (second < 0 || add_term(g, &t, err) < 0)
		return second < 0 ? e3_fail(err, "graph: there is no segment %d", second) : -1;
	g->distances = true;
	return g->terms - 1;
}

void e3_graph_add_up(e3_graph *g, int node, const double up[3])
{
	for (int k = 0; k < 3; k++)
		g->up[node][k] += up[k];
}

void e3_graph_remove(e3_graph *g, int number)
{
	g->term[number].kind = TERM_REMOVED;
	if (g->term[number].node[1] >= 0)
		graph_normal_changed(g->normal);
}

void e3_graph_renew(e3_graph *g)
{
	for (int k = 0; k < g->terms; k++)
		g->term[k].fresh = g->term[k].kind == TERM_LOOP, g->term[k].refused = false;
}

double e3_graph_residual(const e3_graph *g, int number)
{
	linear l;
	double sum = 0;
	graph_linearise(g, &g->term[number], false, &l);
	for (int k = 0; k < l.rows; k++)
		sum += l.r[k] * l.r[k];
	return sqrt(sum);
}
