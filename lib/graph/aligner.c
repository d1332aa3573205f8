/* graph: the aligner: predictions come, and go in the newest world. Refuses segments that go back. */
#include "aligner.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTHS = 255 };

e3_aligner *e3_aligner_open(const e3_aligner_options *options, e3_err *err)
{
	e3_aligner *a = e3_alloc(1, sizeof *a, "an aligner", err);
	if (!a)
		return NULL;
	a->options = *options, a->frame = -1;
	a->graph = e3_graph_open(&options->graph, err);
	a->ends = e3_alloc((size_t)options->n_distances, sizeof *a->ends, "known distances", err);
	if (a->graph && a->ends)
		return a;
	e3_aligner_close(a);
	return NULL;
}

void e3_aligner_close(e3_aligner *a)
{
	if (!a)
		return;
	for (int k = 0; k < a->segments; k++)
		free(a->segment[k].part), free(a->segment[k].center), free(a->segment[k].known);
	e3_graph_close(a->graph);
	free(a->segment), free(a->edge), free(a->ends);
	free(a);
}

int aligner_grow(void **p, int n, int *room, size_t size, e3_err *err)
{
	if (n < *room)
		return 0;
	int more = *room ? 2 * *room : 1;
	if (more > 1 << 24)
		return e3_fail(err, "aligning: more than %d segments or edges", 1 << 24);
	if (e3_grow(p, (size_t)more, size, "the segments of a stream", err))
		return -1;
	*room = more;
	return 0;
}

segment *aligner_segment(e3_aligner *a, int64_t number)
{
	int from = 0, to = a->segments;
	while (from < to) {
		int middle = (from + to) / 2;
		if (a->segment[middle].number < number)
			from = middle + 1;
		else
			to = middle;
	}
	return from < a->segments && a->segment[from].number == number ? &a->segment[from] : NULL;
}

bool aligner_sample(sampler *s, bool *halve)
{
	if (s->stride == 0)
		s->stride = 1;
	*halve = false;
	if (s->seen++ % s->stride)
		return false;
	if (s->n == SAMPLES_MOST) {
		*halve = true, s->stride *= 2, s->n /= 2;
		if ((s->seen - 1) % s->stride)
			return false;
	}
	s->n++;
	return true;
}

bool aligner_center(const segment *s, int64_t frame, double out[3])
{
	const center *best = NULL;
	for (int k = 0; k < s->centers.n; k++)
		if (!best || llabs(s->center[k].frame - frame) < llabs(best->frame - frame))
			best = &s->center[k];
	for (int k = 0; best && k < 3; k++)
		out[k] = (double)best->at[k];
	return best;
}

/* --- a new segment --- */

/* It begins where its predictions say, as far as the segment before has been moved since. */
static int start(e3_aligner *a, const segment *before, const e3_similarity *in, e3_err *err)
{
	e3_similarity moved;
	if (!before)
		return e3_graph_add_node(a->graph, in, err);
	const e3_similarity *now = e3_graph_at(a->graph, before->node);
	if (memcmp(now, &before->in, sizeof *now) == 0)
		return e3_graph_add_node(a->graph, in, err);
	e3_similarity_invert(&before->in, &moved);
	e3_similarity_mul(&moved, in, &moved);
	e3_similarity_mul(now, &moved, &moved);
	return e3_graph_add_node(a->graph, &moved, err);
}

static segment *begin(e3_aligner *a, int64_t number, const e3_similarity *in, e3_err *err)
{
	segment *before = a->segments ? &a->segment[a->segments - 1] : NULL;
	if (before && number < before->number) {
		e3_fail(err, "aligning: segment %" PRId64 " after segment %" PRId64 ": segments do not go back", number,
			before->number);
		return NULL;
	}
	if (aligner_grow((void **)&a->segment, a->segments, &a->segment_room, sizeof *a->segment, err))
		return NULL;
	before = a->segments ? &a->segment[a->segments - 1] : NULL;
	int node = start(a, before, in, err);
	if (node < 0)
		return NULL;
	segment *s = &a->segment[a->segments++];
	*s = (segment){.number = number, .node = node, .assumed = -1, .in = *in};
	a->facts.segments++;
	return aligner_connect(a, before, s, err) ? NULL : s;
}

/* --- a prediction --- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* The median depth of some pixels; 0: none is known. */
static double depth_of(const e3_pred *pred)
{
	float v[DEPTHS];
	size_t n = (size_t)pred->w * (size_t)pred->h, found = 0;
	for (size_t k = 0; pred->depth && k < DEPTHS && k < n; k++) {
		float d = pred->depth[n > DEPTHS ? k * (n / DEPTHS) : k];
		if (e3_depth_known(d))
			v[found++] = d;
	}
	qsort(v, found, sizeof *v, ascending);
	return found ? (double)v[found / 2] : 0;
}

static int keep_center(segment *s, int64_t frame, const double own[12], e3_err *err)
{
	bool halve, kept = aligner_sample(&s->centers, &halve);
	for (int k = 0; halve && k < SAMPLES_MOST / 2; k++)
		s->center[k] = s->center[2 * k];
	for (int k = 0; k < 3; k++)
		s->last[k] = own[4 * k + 3];
	if (!kept)
		return 0;
	if (aligner_grow((void **)&s->center, s->centers.n - 1, &s->center_room, sizeof *s->center, err))
		return -1;
	s->center[s->centers.n - 1] = (center){frame, {(float)s->last[0], (float)s->last[1], (float)s->last[2]}};
	return 0;
}

/* The camera in the segment's own coordinates: node from camera. */
static int own_pose(const segment *s, const e3_pred *pred, double own[12], e3_err *err)
{
	e3_similarity back;
	e3_pose p;
	double world[12], c[3], at[3];
	if (e3_pose_decode(pred->pose, &p, err))
		return -1;
	e3_similarity_invert(&s->in, &back);
	e3_pose_to_world(&p, world);
	for (int k = 0; k < 3; k++)
		c[k] = world[4 * k + 3];
	e3_similarity_apply(&back, c, at);
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++)
			own[4 * row + col] = back.r[3 * row] * world[col] + back.r[3 * row + 1] * world[4 + col] +
				back.r[3 * row + 2] * world[8 + col];
		own[4 * row + 3] = at[row];
	}
	return 0;
}

static int look(e3_aligner *a, segment *s, const e3_pred *pred, e3_err *err)
{
	double own[12];
	if (s->depth <= 0)
		s->depth = depth_of(pred) / s->in.s;
	if (!pred->has_pose)
		return 0;
	return own_pose(s, pred, own, err) || keep_center(s, pred->s.i, own, err) || aligner_add_known(a, s, pred, own, err)
		? -1
		: 0;
}

static int move(const segment *s, const e3_similarity *sent, e3_pred *pred, e3_err *err)
{
	e3_similarity by;
	if (!pred->has_segment) {
		pred->has_segment = true, pred->segment = 0;
		e3_similarity_pack(&e3_similarity_identity, pred->world);
	}
	e3_similarity_invert(&s->in, &by);
	e3_similarity_mul(sent, &by, &by);
	return e3_similarity_pred(&by, pred, err);
}

static int take(e3_aligner *a, e3_pred *pred, bool *moved, e3_err *err)
{
	e3_similarity in = e3_similarity_identity, sent;
	int64_t number = pred->has_segment ? pred->segment : 0;
	if (pred->has_segment && e3_similarity_unpack(pred->world, &in, err))
		return -1;
	segment *s = aligner_segment(a, number);
	if (s && s != &a->segment[a->segments - 1])
		s = NULL; /* it has passed: begin() refuses it */
	if (!s && !(s = begin(a, number, &in, err)))
		return -1;
	bool same = memcmp(&s->in, &in, sizeof in) == 0;
	s->in = in;
	if (look(a, s, pred, err) || aligner_update(a, err) || aligner_place(a, s, pred->s.i, same, &sent, err))
		return -1;
	a->frame = pred->s.i, a->facts.frames++;
	*moved = memcmp(&sent, &in, sizeof in) != 0;
	return *moved ? move(s, &sent, pred, err) : 0;
}

int e3_aligner_pred(e3_aligner *a, e3_pred *pred, bool *moved, e3_err *err)
{
	return take(a, pred, moved, err) ? e3_fail_in(err, "pred %" PRId64, pred->s.i) : 0;
}

int e3_aligner_finish(e3_aligner *a, e3_err *err)
{
	a->facts.unused += a->n_pending, a->n_pending = 0;
	if (!a->changes)
		return 0;
	e3_graph_renew(a->graph);
	return aligner_solve(a, 1e-7, err) || aligner_judge(a, err) ? -1 : 0;
}

bool e3_aligner_world(const e3_aligner *a) { return e3_graph_world(a->graph); }

const e3_aligner_facts *e3_aligner_facts_of(e3_aligner *a)
{
	e3_aligner_facts *f = &a->facts;
	f->loops = f->refused = 0;
	for (int k = 0; k < a->edges; k++) {
		e3_aligner_edge *e = &a->edge[k];
		if (e->term < 0)
			continue;
		e->now = e3_graph_residual(a->graph, e->term);
		e->refused =
			e->edge.type == E3_EDGE_LOOP && a->options.graph.loss != E3_LOSS_SQUARE && e->now > a->options.graph.width;
		f->loops += e->edge.type == E3_EDGE_LOOP && !e->refused, f->refused += e->refused;
		for (int side = 0; side < 2; side++) {
			const segment *s = aligner_segment(a, side ? e->edge.b : e->edge.a);
			double own[3] = {0};
			aligner_center(s, e->edge.frame[side], own);
			e3_similarity_apply(e3_graph_at(a->graph, s->node), own, e->center[side]);
		}
	}
	f->edges = (size_t)a->edges, f->edge = a->edge;
	f->world = e3_graph_world(a->graph);
	f->missed = aligner_missed(a);
	return f;
}
