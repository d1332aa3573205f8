/* graph: what the files of the aligner share: segments, and what was handed back for their frames. */
#ifndef ALIGNER_H
#define ALIGNER_H

#include "e3/aligner.h"

enum { PARTS_MOST = 16, SAMPLES_MOST = 64, PENDING_MOST = 64 };

/* Consecutive frames of a segment that were handed back in the same world. */
typedef struct part {
	int64_t from, to, covered; /* a correction was told for from..covered */
	e3_similarity sent, told;  /* the world they were handed back in; the correction */
} part;

typedef struct center {
	int64_t frame;
	float at[3]; /* in the segment's own coordinates */
} center;

/* Which of a series are kept: every stride-th; when there is no room, every second leaves. */
typedef struct sampler {
	int n, stride;
	int64_t seen;
} sampler;

typedef struct segment {
	int64_t number;
	int node, assumed; /* assumed: the term of a join that no edge said; -1: none */
	e3_similarity in;  /* `world` as it comes */
	part *part;
	int parts, part_room;
	center *center; /* of some of its frames */
	sampler centers;
	int center_room, *known, known_room; /* known: terms */
	sampler knowns;
	double depth;   /* of the scene, in own coordinates; 0: unknown */
	double last[3]; /* the newest camera centre */
} segment;

typedef struct distance_end {
	bool found;
	e3_graph_point at;
	int term; /* in the graph, once both ends are found */
} distance_end;

struct e3_aligner {
	e3_aligner_options options;
	e3_graph *graph;
	segment *segment; /* by number, ascending */
	int segments, segment_room;
	e3_edge pending[PENDING_MOST]; /* of a segment that has not come */
	int n_pending;
	e3_aligner_edge *edge;
	int edges, edge_room;
	distance_end (*ends)[2]; /* of each distance */
	int64_t frame;           /* the newest; -1: none */
	int64_t known_since;     /* known positions and poses since the last solution */
	bool due;                /* a solution is wanted */
	bool changes;            /* there is something that may change the solution */
	e3_aligner_facts facts;
};

/* --- aligner.c --- */

segment *aligner_segment(e3_aligner *a, int64_t number); /* NULL: unknown */
/* Room for one more in a list that doubles from `first`. */
int aligner_grow(void **p, int n, int *room, size_t size, e3_err *err);
/* The camera centre of the kept frame nearest to `frame`, in the segment's own coordinates; false: none is kept. */
bool aligner_center(const segment *s, int64_t frame, double out[3]);
/* Is the newest of the series kept? Then it goes to place n - 1, after `halve` says whether every second has to leave
 * before. */
bool aligner_sample(sampler *s, bool *halve);

/* --- aligner_edge.c --- */

/* A segment has come: a join to the one before, measured or assumed, and what waited for it. */
int aligner_connect(e3_aligner *a, segment *before, segment *s, e3_err *err);

/* --- aligner_known.c --- */

/* own: node from camera. */
int aligner_add_known(e3_aligner *a, segment *s, const e3_pred *pred, const double own[12], e3_err *err);
/* facts.missed */
double aligner_missed(const e3_aligner *a);

/* --- aligner_tell.c --- */

/* A new solution, and what differs by more than `step` from what was told. */
int aligner_solve(e3_aligner *a, double step, e3_err *err);
/* The same when one is due. */
int aligner_update(e3_aligner *a, e3_err *err);
/* facts.before: the residual where the stream itself puts the segments, as a whole where what is known puts it. */
int aligner_judge(e3_aligner *a, e3_err *err);
/* The world in which the frame is handed back; s->in is its own. */
int aligner_place(e3_aligner *a, segment *s, int64_t frame, bool as_before, e3_similarity *sent, e3_err *err);

#endif
