/* graph: the aligner's known positions, poses and distances. */
#include "aligner.h"
#include "e3/mem.h"
#include <math.h>

/* At first after every few, later after more: a solution costs time, and few positions settle the rest. */
enum { KNOWN_PER_SOLUTION = 16 };

static int add_term(e3_aligner *a, segment *s, const double own[12], const e3_known_row *row, e3_known_format format,
	e3_err *err)
{
	bool turns = format == E3_KNOWN_POSES, geodetic = format == E3_KNOWN_GEODETIC;
	const double at[3] = {own[3], own[7], own[11]}, known[3] = {row->pose[3], row->pose[7], row->pose[11]};
	const double sigma[2] = {a->options.turn_sigma, row->sigma};
	bool halve, kept = aligner_sample(&s->knowns, &halve);
	for (int k = 0; halve && k < SAMPLES_MOST; k++)
		if (k % 2)
			e3_graph_remove(a->graph, s->known[k]);
		else
			s->known[k / 2] = s->known[k];
	if (!kept)
		return 0;
	int term = turns ? e3_graph_add_pose(a->graph, s->node, own, row->pose, sigma, err)
					 : e3_graph_add_position(a->graph, s->node, at, known, row->sigma, err);
	if (term < 0 || aligner_grow((void **)&s->known, s->knowns.n - 1, &s->known_room, sizeof *s->known, err))
		return -1;
	s->known[s->knowns.n - 1] = term;
	if (geodetic)
		e3_graph_add_up(a->graph, s->node, (const double[3]){-own[1], -own[5], -own[9]});
	a->facts.known++, a->known_since++;
	int64_t wait = a->facts.known / 4 < KNOWN_PER_SOLUTION ? a->facts.known / 4 : KNOWN_PER_SOLUTION;
	a->due |= a->facts.known > 1 && a->known_since > wait;
	a->changes = true;
	return 0;
}

/* A distance is known to the part of it that 1e-3 is. */
static const double distance_part = 1e-3;

static int add_distances(e3_aligner *a, const segment *s, int64_t frame, const double own[12], e3_err *err)
{
	for (int k = 0; k < a->options.n_distances; k++) {
		const e3_aligner_distance *d = &a->options.distance[k];
		distance_end *ends = a->ends[k];
		bool mine = false;
		for (int side = 0; side < 2; side++)
			if (d->frame[side] == frame) {
				ends[side] = (distance_end){.found = true, .at = {s->node, {own[3], own[7], own[11]}}};
				mine = true;
			}
		if (!mine || !ends[0].found || !ends[1].found)
			continue;
		const e3_graph_point at[2] = {ends[0].at, ends[1].at};
		int term = e3_graph_add_distance(a->graph, at, d->length, distance_part * d->length, err);
		if (term < 0)
			return -1;
		ends[0].term = ends[1].term = term;
		a->due = a->changes = true, a->facts.distances++;
	}
	return 0;
}

double aligner_missed(const e3_aligner *a)
{
	double most = 0;
	for (int k = 0; k < a->options.n_distances; k++)
		if (a->ends[k][0].found && a->ends[k][1].found)
			most = fmax(most, distance_part * e3_graph_residual(a->graph, a->ends[k][0].term));
	return most;
}

int aligner_add_known(e3_aligner *a, segment *s, const e3_pred *pred, const double own[12], e3_err *err)
{
	for (int k = 0; k < a->options.n_known; k++) {
		const e3_known *known = &a->options.known[k];
		e3_known_row row;
		if (e3_known_at(known, pred->s.pts, a->options.gap, &row) && add_term(a, s, own, &row, known->format, err))
			return -1;
	}
	return add_distances(a, s, pred->s.i, own, err);
}
