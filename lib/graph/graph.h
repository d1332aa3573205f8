/* graph: what its files share: nodes, terms and the normal equations. */
#ifndef GRAPH_H
#define GRAPH_H

#include "e3/graph.h"
#include <stddef.h>

enum { DOF = 7, ROWS_MAX = 7 }; /* of a node: rotation, translation, log scale; of a term's residual */

typedef enum term_kind { TERM_REMOVED, TERM_JOIN, TERM_LOOP, TERM_POSITION, TERM_POSE, TERM_DISTANCE } term_kind;

typedef struct term {
	term_kind kind;
	int node[2];         /* node[1] -1: one node only */
	int block;           /* place of the pair's block among the others; -1: none */
	double point[2][3];  /* in the coordinates of the nodes */
	double rotation[9];  /* edges: measured; poses: the camera's, node from camera */
	double position[3];  /* where the point is: edges: in a's coordinates; else in the world */
	double turn[9];      /* poses: world from camera */
	double log_scale;    /* edges; distances: logarithm of the length */
	double weight[3];    /* 1 / sigma of rotation, translation, scale */
	double wide;         /* loops: the width in use, as a multiple of the options' */
	bool fresh, refused; /* loops: not solved with yet; what the last solution made of it */
} term;

/* The residual of a term, and its derivatives with respect to a small change of each node (x = rotation, translation,
 * log scale; graph_move). */
typedef struct linear {
	int rows;
	double r[ROWS_MAX], j[2][ROWS_MAX][DOF];
} linear;

typedef struct normal normal; /* normal.c */

struct e3_graph {
	e3_graph_options options;
	e3_similarity *node;
	double (*up)[3]; /* sums over the node's cameras */
	int nodes, node_room, up_room;
	term *term;
	int terms, term_room;
	bool world, distances; /* known positions or poses define the world; distances its scale */
	normal *normal;
};

/* --- term.c --- */

/* Only the residual when `out->rows` is all that is wanted of the derivatives: `slopes` false. */
void graph_linearise(const e3_graph *g, const term *t, bool slopes, linear *out);
/* x changes a node: R exp(rotation), t + s R translation, s exp(scale). */
void graph_move(e3_similarity *node, const double x[DOF]);
void graph_so3_exp(const double w[3], double r[9]);
void graph_so3_log(const double r[9], double w[3]);

/* --- loss.c --- */

/* Of the squared length of a term's residual: what it adds to the cost, and the weight of its equations. */
double graph_cost(const e3_graph *g, const term *t, double squared);
double graph_weight(const e3_graph *g, const term *t, double squared);
/* Is the term left out until the world is defined? */
bool graph_waits(const e3_graph *g, const term *t);

/* --- normal.c --- */

normal *graph_normal_open(e3_err *err);
void graph_normal_close(normal *n);
/* Terms or nodes were added or removed. */
void graph_normal_changed(normal *n);
/* Lays out the matrix; *analysed: the pattern was new. */
int graph_normal_prepare(e3_graph *g, bool *analysed, e3_err *err);
void graph_normal_clear(normal *n);
/* Adds a term's equations with this weight. */
void graph_normal_add(e3_graph *g, const term *t, const linear *l, double weight);
/* All terms were added. */
void graph_normal_ready(e3_graph *g);
/* *x [nodes][DOF]: the step with damping `lambda`, owned by `n` until the next call; NULL: the matrix is not positive
 * definite, more damping is needed. */
int graph_normal_solve(e3_graph *g, double lambda, const double **x, e3_err *err);

/* The root mean square of the residuals, without refused loops and terms that wait. */
double graph_rms(const e3_graph *g);

/* --- world.c --- */

/* Puts the whole graph where known positions, poses and distances say, when they say enough. */
int graph_place(e3_graph *g, e3_err *err);

#endif
