/* graph: the aligner's solutions: in which world a frame is handed back, and what is told about those that were. */
#include "aligner.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include "graph.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Do two worlds differ by more than `step` for what the segment sees? */
static bool differ(const segment *s, const e3_similarity *x, const e3_similarity *y, double step)
{
	e3_similarity off;
	double q[4] = {0, 0, 0, 1}, p[2][3], away = 0, depth = s->depth > 0 ? s->depth : 1;
	e3_similarity_invert(y, &off);
	e3_similarity_mul(x, &off, &off);
	e3_similarity_apply(x, s->last, p[0]), e3_similarity_apply(y, s->last, p[1]);
	for (int k = 0; k < 3; k++)
		away = hypot(away, p[0][k] - p[1][k]);
	return fabs(log(off.s)) > step || away > step * depth * y->s || e3_mat_to_quat(off.r, q) || e3_quat_angle(q) > step;
}

static int tell(e3_aligner *a, part *p, const e3_similarity *by, e3_err *err)
{
	e3_correct x = {.i = a->frame, .from = p->from, .to = p->to};
	e3_similarity_pack(by, x.sim);
	p->told = *by, p->covered = p->to;
	a->facts.corrections++;
	return a->options.tell ? a->options.tell(a->options.to, &x, err) : 0;
}

static int tell_segment(e3_aligner *a, segment *s, double step, e3_err *err)
{
	const e3_similarity *now = e3_graph_at(a->graph, s->node);
	for (int k = 0; k < s->parts; k++) {
		part *p = &s->part[k];
		e3_similarity by, told;
		e3_similarity_mul(&p->told, &p->sent, &told);
		if (!differ(s, now, &told, step) && (p->covered == p->to || !differ(s, now, &p->sent, step)))
			continue;
		e3_similarity_invert(&p->sent, &by);
		e3_similarity_mul(now, &by, &by);
		if (tell(a, p, &by, err))
			return -1;
	}
	return 0;
}

int aligner_solve(e3_aligner *a, double step, e3_err *err)
{
	e3_graph_report r;
	if (e3_graph_solve(a->graph, &r, err))
		return -1;
	a->due = false, a->known_since = 0;
	a->facts.solutions++;
	a->facts.after = r.after, a->facts.seconds += r.seconds;
	for (int k = 0; k < a->segments; k++)
		if (tell_segment(a, &a->segment[k], step, err))
			return -1;
	return 0;
}

/* Who keeps predictions as they came needs only the last solution. */
int aligner_update(e3_aligner *a, e3_err *err)
{
	return a->due && !a->options.keep ? aligner_solve(a, E3_ALIGNER_STEP, err) : 0;
}

int aligner_judge(e3_aligner *a, e3_err *err)
{
	e3_graph *g = a->graph;
	e3_similarity *now = e3_alloc((size_t)g->nodes, sizeof *now, "the segments of a stream", err);
	bool world = g->world;
	if (!now)
		return -1;
	memcpy(now, g->node, (size_t)g->nodes * sizeof *now);
	for (int k = 0; k < a->segments; k++)
		g->node[a->segment[k].node] = a->segment[k].in;
	g->world = false;
	int rc = graph_place(g, err);
	a->facts.before = graph_rms(g);
	memcpy(g->node, now, (size_t)g->nodes * sizeof *now);
	g->world = world;
	free(now);
	return rc;
}

int aligner_place(e3_aligner *a, segment *s, int64_t frame, bool as_before, e3_similarity *sent, e3_err *err)
{
	const e3_similarity *now = e3_graph_at(a->graph, s->node);
	part *p = s->parts ? &s->part[s->parts - 1] : NULL;
	if (p && as_before && (a->options.keep || s->parts == PARTS_MOST || !differ(s, now, &p->sent, E3_ALIGNER_STEP))) {
		p->to = frame;
		*sent = p->sent;
		return 0;
	}
	if (s->parts == PARTS_MOST)
		return e3_fail(err, "aligning: the world of segment %" PRId64 " changed more than %d times", s->number,
			PARTS_MOST);
	if (aligner_grow((void **)&s->part, s->parts, &s->part_room, sizeof *s->part, err))
		return -1;
	*sent = a->options.keep || !differ(s, now, &s->in, 1e-9) ? s->in : *now;
	s->part[s->parts++] =
		(part){.from = frame, .to = frame, .covered = frame, .sent = *sent, .told = e3_similarity_identity};
	return 0;
}
