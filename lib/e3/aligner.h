/* graph: the segments of a stream, aligned while it passes: what e3-align does with each message.
 *
 *     e3_aligner *a = e3_aligner_open(&options, &err);
 *     for every pred:  e3_aligner_pred       moves it to the newest solution
 *     for every edge:  e3_aligner_edge
 *     at the end:      e3_aligner_finish
 *
 * Without loops and known positions, poses or distances nothing is changed and nothing told. Otherwise each solution is
 * told, through options.tell, as corrections for what was handed back so far, in its own coordinates. A correction is
 * told when it differs from the last one for these frames by more than E3_ALIGNER_STEP (at the end: at all).
 *
 * Memory: about 8 kB a segment. A segment keeps at most 64 known positions, evenly spread, and 64 camera centres.
 */
#ifndef E3_ALIGNER_H
#define E3_ALIGNER_H

#include "e3/data.h"
#include "e3/graph.h"
#include "e3/known.h"

/* Differences that are told: radians of rotation; of the scene's depth in the segment; of the scale. */
#define E3_ALIGNER_STEP 1e-3

/* The camera centres of two frames are `length` apart. */
typedef struct e3_aligner_distance {
	int64_t frame[2];
	double length;
} e3_aligner_distance;

typedef struct e3_aligner_options {
	e3_graph_options graph;
	bool no_loops;         /* loop edges are not used */
	bool keep;             /* predictions are handed back as they came; corrections say the rest */
	const e3_known *known; /* [n_known], borrowed */
	int n_known;
	double gap;                          /* seconds between a frame and what is known (e3_known_at) */
	double turn_sigma;                   /* of known poses' orientations, radians */
	const e3_aligner_distance *distance; /* [n_distances], borrowed */
	int n_distances;
	int (*tell)(void *to, const e3_correct *x, e3_err *err);
	void *to;
} e3_aligner_options;

typedef struct e3_aligner_edge {
	e3_edge edge;
	int term;         /* in the graph; -1: not used */
	bool refused;     /* by the robust loss */
	double came, now; /* length of its residual when it came, and in the newest solution; standard deviations */
	double center[2]
				 [3]; /* the cameras of its frames in the world, as far as they are known; else the segments' origins */
} e3_aligner_edge;

typedef struct e3_aligner_facts {
	int64_t segments, frames, joins, assumed; /* joins: measured; assumed: from `world` of the predictions alone */
	int64_t loops, refused, unused; /* loops: used and not refused; unused: not wanted, or of unknown segments */
	int64_t known;                  /* frames with a known position or pose */
	int64_t distances;              /* of them used */
	double missed;                  /* the largest part by which one of these is missed, as a logarithm */
	int64_t solutions, corrections; /* corrections: told */
	bool world;                     /* known positions or poses define it */
	/* Root mean square residual in standard deviations: where the stream itself puts the segments, as a whole where
	 * what is known puts them; and in the last solution. */
	double before, after;
	double seconds; /* in solving */
	size_t edges;
	const e3_aligner_edge *edge; /* [edges] valid until the next call */
} e3_aligner_facts;

typedef struct e3_aligner e3_aligner;

e3_aligner *e3_aligner_open(const e3_aligner_options *options, e3_err *err);
void e3_aligner_close(e3_aligner *a);
/* Takes the prediction into account, and moves it to where the newest solution puts it; *moved: it is no longer as it
 * came. Refuses segments that go back. */
int e3_aligner_pred(e3_aligner *a, e3_pred *pred, bool *moved, e3_err *err);
int e3_aligner_edge_add(e3_aligner *a, const e3_edge *edge, e3_err *err);
/* The last solution, with all loops considered again, and all that is left to tell. */
int e3_aligner_finish(e3_aligner *a, e3_err *err);
/* Do known positions or poses define the world? */
bool e3_aligner_world(const e3_aligner *a);
const e3_aligner_facts *e3_aligner_facts_of(e3_aligner *a);

#endif
