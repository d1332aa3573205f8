/* place: one similarity for a whole run: scale and place in the world, from a factor, from known distances, or from a
 * known path of the camera (doc/formats.md 4.20).
 *
 *     e3_place *p = e3_place_open(&options, &err);
 *     if (e3_place_waits(p)) {                     a factor alone is known at once
 *         for every prediction:  e3_place_see
 *         at the end:            e3_place_solve
 *     }
 *     for every prediction:      e3_similarity_pred(&e3_place_facts_of(p)->sim, ...)
 *
 * Memory: about 90 bytes a frame. The same input gives the same bits.
 */
#ifndef E3_PLACE_H
#define E3_PLACE_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/known.h"

/* An end of a known distance: the camera of a frame, or the surface at a pixel of its source picture, upright, where
 * the centre of the first pixel is at 0.5, 0.5. */
typedef struct e3_place_end {
	int64_t frame;
	bool surface;
	double pixel[2];
} e3_place_end;

typedef struct e3_place_distance {
	e3_place_end end[2];
	double length;
} e3_place_distance;

enum { E3_PLACE_DISTANCES_MOST = 256 };

/* One of the three; all pointers are borrowed until close. */
typedef struct e3_place_options {
	double factor;                     /* all lengths times this; 0: not this */
	const e3_place_distance *distance; /* [n_distances] */
	int n_distances;
	const e3_known *path; /* the camera's; NULL: not this */
	double gap;           /* seconds between a frame and what is known (e3_known_between) */
	bool from_start;      /* the file's first time is that of the first frame */
	const double *up;     /* direction up of the path's world, unit length; NULL: unknown */
} e3_place_options;

typedef enum e3_place_how { E3_PLACE_FACTOR, E3_PLACE_DISTANCES, E3_PLACE_PATH } e3_place_how;

/* What says how the run is turned about a path that lies on a line. */
typedef enum e3_place_turn { E3_PLACE_BY_POSITIONS, E3_PLACE_BY_ORIENTATIONS, E3_PLACE_BY_UP } e3_place_turn;

typedef struct e3_place_facts {
	e3_place_how how;
	e3_similarity sim; /* from the run's coordinates */
	int64_t frames;    /* seen */
	/* Of distances or positions: how many were used, and how many of them do not fit and do not count. Residuals of
	 * those that count: root mean square and the largest, in the units that the similarity leads to; of distances
	 * relative. */
	int64_t matched, outliers;
	double rms, worst;
	double found[E3_PLACE_DISTANCES_MOST]; /* each known distance, in the run's own units */
	bool outlier[E3_PLACE_DISTANCES_MOST];
	double along, across; /* standard deviations of the camera's path along its longest axis and the second one */
	e3_place_turn turn;
	double off; /* median angle between known orientations and the cameras', radians; -1: none are known */
} e3_place_facts;

typedef struct e3_place e3_place;

e3_place *e3_place_open(const e3_place_options *o, e3_err *err);
/* Must the run be seen whole before the similarity is known? */
bool e3_place_waits(const e3_place *p);
/* A prediction as it came in the stream. -1: it has not what a distance needs. */
int e3_place_see(e3_place *p, const e3_pred *pred, e3_err *err);
/* The correction of frame i: 1, 0 when it has none, -1. */
typedef int e3_place_correction(void *of, int64_t i, e3_similarity *out, e3_err *err);
/* Once every prediction was seen. correct: NULL, or what came since for frames that had been seen. -1: too little is
 * known, or it does not fit; the text has the numbers. */
int e3_place_solve(e3_place *p, e3_place_correction *correct, void *of, e3_err *err);
const e3_place_facts *e3_place_facts_of(const e3_place *p);
void e3_place_close(e3_place *p);

/* --- robust.c: the similarity between two paths, of which some positions are wrong --- */

typedef struct e3_place_pair {
	double from[3], to[3];
	bool outlier; /* set by e3_place_fit */
} e3_place_pair;

typedef struct e3_place_fitted {
	e3_similarity sim;
	int64_t outliers;
	double rms, worst;    /* of the pairs that are none */
	double sigma;         /* standard deviation of a coordinate, from the median of all residuals */
	double along, across; /* as in e3_place_facts */
	double axis[2][3];    /* unit vectors along the path: of `from`, and of `to` */
	bool line;            /* across is not above three sigma: the turn about axis[1] is arbitrary */
} e3_place_fitted;

/* Least median of squares over triples, then least squares over the pairs that fit: up to nearly half of them may be
 * wrong. -1: fewer than two pairs, or all in one place. */
int e3_place_fit(e3_place_pair *pair, size_t n, e3_place_fitted *out, e3_err *err);
/* With the rotation turned by `angle` about axis[1] through the middle of the pairs that are no outliers. */
void e3_place_turned(const e3_place_pair *pair, size_t n, const e3_place_fitted *f, double angle, e3_similarity *out);

#endif
