/* geom: nearest neighbours in a cloud of points: exact, but that of points which are all far away beside their own
 * extent (so that distances agree to 1e-13 of their squares) any may be taken. */
#ifndef E3_KDTREE_H
#define E3_KDTREE_H

#include "e3/work.h"
#include <stddef.h>
#include <stdint.h>

typedef struct e3_kdtree {
	double (*x)[3]; /* [n] the points, in the order of the tree; borrowed */
	uint32_t *was;  /* [n] the row that each point had before */
	size_t n;
	struct e3_kdnode *node; /* [nodes] each has four parts; those of the last level are leaves */
	size_t nodes;
	int levels;       /* of halves; even */
	double origin[3]; /* of the boxes: in the middle of most points */
} e3_kdtree;

/* Over n >= 1 points. It changes their order; after that they must not change. Takes up to 15 more bytes a point. The
 * tree does not depend on the number of threads. -1 also when a coordinate is not finite. */
int e3_kdtree_init(e3_kdtree *t, double (*x)[3], size_t n, const e3_work *work, e3_err *err);
/* The k >= 1 points nearest to q (which counts if it is one of them) whose squared distance is below `limit`: rows of
 * t->x and squared distances, nearest first. Returns how many were found. */
size_t e3_kdtree_near(const e3_kdtree *t, const double q[3], size_t k, double limit, size_t *row, double *d2);

#define E3_NOWHERE UINT32_MAX

typedef struct e3_nearest {
	uint32_t row; /* or E3_NOWHERE */
	double d2;    /* its squared distance; `limit` when there is no such point */
	double rest;  /* lower bound of the squared distances of all other points */
} e3_nearest;

/* The nearest point whose squared distance is below `limit`. guess: a row that is near, or E3_NOWHERE. slack >= 0 makes
 * `rest` larger: (distance + slack)^2, or the squared distance of the second nearest if that is less. */
void e3_kdtree_nearest(const e3_kdtree *t, const double q[3], uint32_t guess, double limit, double slack,
	e3_nearest *to);
/* Rows in ascending order: all that are nearer to the box than `radius`, and possibly others. Returns how many there
 * are, and writes them; where they are more than `room`, it stops there and returns room + 1. */
size_t e3_kdtree_around(const e3_kdtree *t, const double low[3], const double high[3], double radius, uint32_t *row,
	size_t room);
void e3_kdtree_release(e3_kdtree *t);
/* Restores the original order of the points and releases the tree, also after a failed e3_kdtree_init. */
void e3_kdtree_undo(e3_kdtree *t);

#endif
