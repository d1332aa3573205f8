/* graph: the aligner's edges: joins, loops, and joins that no edge said. */
#include "aligner.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include <math.h>
#include <string.h>

/* Of a join that is known only from `world` of the predictions: rotation, translation, log scale. */
static const double assumed_sigma[3] = {0.02, 0.05, 0.05};
/* What a measurement is worth at best: a segment's poses are f32. */
static const double least_sigma = 1e-6;

/* What the translation's deviation is of: where the camera of the edge's frame is in b's coordinates. */
static void find_pivot(const e3_edge *e, const e3_similarity *sim, const segment *a, const segment *b, double pivot[3])
{
	e3_similarity back;
	if (e->type == E3_EDGE_LOOP && aligner_center(b, e->frame[1], pivot))
		return;
	if (e->type == E3_EDGE_JOIN && aligner_center(a, e->frame[0], pivot)) {
		e3_similarity_invert(sim, &back);
		e3_similarity_apply(&back, pivot, pivot);
		return;
	}
	memset(pivot, 0, 3 * sizeof *pivot);
}

/* Edges that this run has no use for are remembered for the report only. */
static int remember(e3_aligner *a, const e3_edge *e, int term, e3_err *err)
{
	if (aligner_grow((void **)&a->edge, a->edges, &a->edge_room, sizeof *a->edge, err))
		return -1;
	a->edge[a->edges++] = (e3_aligner_edge){.edge = *e, .term = term, .came = e3_graph_residual(a->graph, term)};
	return 0;
}

static int connect(e3_aligner *a, const e3_edge *e, segment *sa, segment *sb, e3_err *err)
{
	e3_graph_edge g = {.type = e->type, .a = sa->node, .b = sb->node};
	if (e3_similarity_unpack(e->sim, &g.sim, err))
		return -1;
	for (int k = 0; k < 3; k++)
		g.sigma[k] = fmax(e->sigma[k], least_sigma);
	find_pivot(e, &g.sim, sa, sb, g.pivot);
	int term = e3_graph_add_edge(a->graph, &g, err);
	if (term < 0 || remember(a, e, term, err))
		return -1;
	if (e->type == E3_EDGE_LOOP) {
		a->due = a->changes = true;
		return 0;
	}
	a->facts.joins++;
	segment *later = sa->number < sb->number ? sb : sa;
	if (later->assumed >= 0) {
		e3_graph_remove(a->graph, later->assumed);
		later->assumed = -1, a->facts.assumed--;
		a->due = a->changes;
	}
	return 0;
}

int e3_aligner_edge_add(e3_aligner *a, const e3_edge *e, e3_err *err)
{
	if (a->options.no_loops && e->type == E3_EDGE_LOOP) {
		a->facts.unused++;
		return 0;
	}
	segment *sa = aligner_segment(a, e->a), *sb = aligner_segment(a, e->b);
	int64_t newest = a->segments ? a->segment[a->segments - 1].number : -1;
	if (sa && sb && sa != sb) {
		if (connect(a, e, sa, sb, err))
			return e3_fail_in(err, "edge");
		return e->type == E3_EDGE_LOOP ? aligner_update(a, err) : 0;
	}
	bool may_come = (sa || e->a > newest) && (sb || e->b > newest) && e->a != e->b;
	if (may_come && a->n_pending < PENDING_MOST)
		a->pending[a->n_pending++] = *e;
	else
		a->facts.unused++;
	return 0;
}

/* The join that the predictions' own worlds say. */
static int assume(e3_aligner *a, const segment *before, segment *s, e3_err *err)
{
	e3_graph_edge g = {.type = E3_EDGE_JOIN, .a = before->node, .b = s->node};
	memcpy(g.sigma, assumed_sigma, sizeof g.sigma);
	e3_similarity_invert(&before->in, &g.sim);
	e3_similarity_mul(&g.sim, &s->in, &g.sim);
	s->assumed = e3_graph_add_edge(a->graph, &g, err);
	a->facts.assumed += s->assumed >= 0;
	return s->assumed < 0 ? -1 : 0;
}

int aligner_connect(e3_aligner *a, segment *before, segment *s, e3_err *err)
{
	bool joined = !before;
	int left = 0;
	for (int k = 0; k < a->n_pending; k++) {
		const e3_edge *e = &a->pending[k];
		segment *sa = aligner_segment(a, e->a), *sb = aligner_segment(a, e->b);
		if (!sa || !sb) {
			a->pending[left++] = *e;
			continue;
		}
		joined |= e->type == E3_EDGE_JOIN;
		if (connect(a, e, sa, sb, err))
			return e3_fail_in(err, "edge");
	}
	a->n_pending = left;
	return joined ? 0 : assume(a, before, s, err);
}
