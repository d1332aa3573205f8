/* graph: similarities from segments to one world, from measured edges, loops, known positions, poses and distances:
 * nonlinear least squares with sparse normal equations.
 *
 * A node is the similarity that takes a segment's own coordinates to the world. What is measured are terms. A new node
 * begins where its join edge puts it, so nothing moves until a loop or something known arrives; e3_graph_solve then
 * goes on from the state that is there.
 *
 * The world: without known positions and poses, the first node stays where it began (with known distances only its
 * scale is free). Known positions and poses define the world as soon as they determine a similarity: three positions
 * that are not on a line (or are, when it is known where up is), or two poses. Until then they wait (e3_graph_world).
 *
 * Each term has a residual in units of its standard deviations. A loop's squared length passes through a robust loss of
 * a given width: a loop whose residual is longer than the width is refused, which means that it has (almost) no weight;
 * it may be accepted again later. Positions always pass through Huber's loss, at 3 standard deviations.
 *
 * A graph takes about 6 kB a node. One thread at a time.
 */
#ifndef E3_GRAPH_H
#define E3_GRAPH_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct e3_graph e3_graph;

/* How the squared length x of a loop's residual counts, in squares of the width: x; 2 sqrt(x) - 1 beyond 1; log(1 + x);
 * x / (1 + x). The last two are narrowed from wide to their width while solving, so that the start matters less.
 * (tests/test_graph_solve.c compares them: with 16 false loops beside 15 true ones geman-mcclure at 10 refuses every
 * false one and no true one, and the walk is as good as without them; cauchy leaves a fifth more error, huber and
 * square let themselves be pulled away.) */
typedef enum e3_graph_loss { E3_LOSS_SQUARE, E3_LOSS_HUBER, E3_LOSS_CAUCHY, E3_LOSS_GEMAN } e3_graph_loss;
/* "square", "huber", "cauchy", "geman-mcclure"; NULL past the last. */
const char *e3_graph_loss_name(int loss);

typedef struct e3_graph_options {
	int loss;          /* e3_graph_loss, of loops */
	double width;      /* in standard deviations */
	int (*stop)(void); /* asked between steps; not 0: the solution so far is taken. NULL: never */
} e3_graph_options;

#define E3_GRAPH_DEFAULTS \
	{ \
		.loss = E3_LOSS_GEMAN, .width = 10 \
	}

/* NULL: E3_GRAPH_DEFAULTS. */
e3_graph *e3_graph_open(const e3_graph_options *options, e3_err *err);
void e3_graph_close(e3_graph *g);

/* A node's number, from 0, or -1. */
int e3_graph_add_node(e3_graph *g, const e3_similarity *start, e3_err *err);
int e3_graph_nodes(const e3_graph *g);
/* Valid until a node is added. */
const e3_similarity *e3_graph_at(const e3_graph *g, int node);

/* A measured similarity from the coordinates of node b to those of node a. sigma: rotation in radians, translation in
 * units of a, logarithm of the scale; what the translation's is of is where `pivot`, a point in b's coordinates,
 * arrives. The term's number, or -1. */
typedef struct e3_graph_edge {
	e3_edge_type type;
	int a, b;
	e3_similarity sim;
	double sigma[3], pivot[3];
} e3_graph_edge;
int e3_graph_add_edge(e3_graph *g, const e3_graph_edge *edge, e3_err *err);

/* The camera at `center` in the node's coordinates is at `position` in the world, to `sigma`. */
int e3_graph_add_position(e3_graph *g, int node, const double center[3], const double position[3], double sigma,
	e3_err *err);
/* The same with orientations: `own` and `known` are from the camera's coordinates to the node's and to the world's
 * (row-major 3×4). sigma: rotation in radians, position. */
int e3_graph_add_pose(e3_graph *g, int node, const double own[12], const double known[12], const double sigma[2],
	e3_err *err);
/* A point in a node's coordinates. */
typedef struct e3_graph_point {
	int node;
	double at[3];
} e3_graph_point;
/* Both are `length` apart in the world, to `sigma`. */
int e3_graph_add_distance(e3_graph *g, const e3_graph_point ends[2], double length, double sigma, e3_err *err);
/* Where the camera's up points in the node's coordinates; the world's third axis is up. Positions that lie on a line
 * define the world then: the mean over all cameras is taken as upright. */
void e3_graph_add_up(e3_graph *g, int node, const double up[3]);
/* Takes a term away; its number is not used again. */
void e3_graph_remove(e3_graph *g, int term);

typedef struct e3_graph_report {
	int steps;            /* Gauss-Newton steps */
	int loops, refused;   /* loops in the graph; of them, longer than the width */
	double before, after; /* root mean square of the residuals, without refused loops, in standard deviations */
	bool world;           /* known positions or poses define the world */
	double seconds;
	bool analysed; /* the pattern changed, and was ordered anew */
} e3_graph_report;

/* The least squares solution, from the present state. `report` may be NULL. */
int e3_graph_solve(e3_graph *g, e3_graph_report *report, e3_err *err);
/* Forgets which loops were refused: the next solution depends less on the order in which they came. */
void e3_graph_renew(e3_graph *g);
/* The length of a term's residual in standard deviations; of a loop, more than the width means refused. */
double e3_graph_residual(const e3_graph *g, int term);
/* Do known positions or poses define the world? */
bool e3_graph_world(const e3_graph *g);

#endif
