/* geom: the nodes of a tree of points: boxes of any orientation, four side by side, and lower bounds of distances to
 * them. */
#ifndef E3_GEOM_KDTREE_H
#define E3_GEOM_KDTREE_H

#include "e3/kdtree.h"
#include <math.h>

enum { E3_KD_PARTS = 4 };

typedef float e3_kdlanes __attribute__((vector_size(E3_KD_PARTS * sizeof(float))));
typedef int32_t e3_kdmasks __attribute__((vector_size(E3_KD_PARTS * sizeof(float))));

/* The boxes of a node's four parts: low <= axis (x - origin) <= high. one: all points of the part are at one place. */
struct e3_kdnode {
	e3_kdlanes axis[3][3], low[3], high[3];
	uint8_t one[E3_KD_PARTS];
};

/* A point, or the middle of a box along the coordinates and half of its sides, relative to the origin of the tree.
 * err: by how much its position on an axis may be off. It depends on the query alone: a few points far away must not
 * blur the boxes of all others. exact: the point in double precision; not of a box. */
typedef struct e3_kdquery {
	float at[3], half[3], err;
	double exact[3];
} e3_kdquery;

/* In single precision the position of a point q on an axis errs by less than 5e-7 |q|. Sums of squares, and axes that
 * are rounded, err by a part of themselves. */
#define E3_KD_ERR 5e-7
#define E3_KD_SAFE (1 - 4e-6f)
#define E3_KD_EQUAL \
	1e-13                /* squared distances that differ by less than this part of what they are made of are equal \
						  */
#define E3_KD_MOST 1e37f /* a bound beyond this may have overflowed */

static inline e3_kdquery e3_kdquery_of(const e3_kdtree *t, const double q[3])
{
	const double d[3] = {q[0] - t->origin[0], q[1] - t->origin[1], q[2] - t->origin[2]};
	return (e3_kdquery){
		.at = {(float)d[0], (float)d[1], (float)d[2]},
		.err = (float)(E3_KD_ERR * 1.001 * sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])),
		.exact = {d[0], d[1], d[2]},
	};
}

static inline e3_kdlanes e3_kd_choose(e3_kdmasks mask, e3_kdlanes a) { return (e3_kdlanes)(mask & (e3_kdmasks)a); }

static inline e3_kdlanes e3_kd_size(e3_kdlanes a) { return (e3_kdlanes)((e3_kdmasks)a & 0x7fffffff); }

/* The square of what lies between `at` +- half and the box along one axis. */
static inline e3_kdlanes e3_kd_beyond(const struct e3_kdnode *b, int a, e3_kdlanes at, e3_kdlanes half)
{
	e3_kdlanes below = b->low[a] - at - half, above = at - half - b->high[a];
	e3_kdlanes d = e3_kd_choose(below > 0, below) + e3_kd_choose(above > 0, above);
	return d * d;
}

/* Lower bounds of the squared distances from a point to the points of the four parts; 0 where it could not be computed.
 */
static inline e3_kdlanes e3_kd_bounds(const struct e3_kdnode *b, const e3_kdquery *q)
{
	e3_kdlanes sum = {0}, err = (e3_kdlanes){0} + q->err;
	for (int a = 0; a < 3; a++) {
		e3_kdlanes at = b->axis[a][0] * q->at[0] + b->axis[a][1] * q->at[1] + b->axis[a][2] * q->at[2];
		sum += e3_kd_beyond(b, a, at, err);
	}
	return e3_kd_choose(sum < E3_KD_MOST, sum) * E3_KD_SAFE;
}

/* The same of one part in double precision, for boxes that are small beside their distance: there the bounds above
 * differ by less than they err. With c the middle of the box, e = q - c and any x in it, |q - x|^2 >= |e|^2 - 2 e (x -
 * c); the product is taken along the axes of the box, so what they err by counts for the size of the box, not for the
 * distance. */
static inline double e3_kd_bound_afar(const struct e3_kdnode *b, int part, const double q[3])
{
	double c[3] = {0}, e[3], product = 0, r2 = 0, c2 = 0, d2 = 0, q2 = 0;
	for (int a = 0; a < 3; a++)
		for (int i = 0; i < 3; i++)
			c[i] += b->axis[a][i][part] * ((double)b->low[a][part] + b->high[a][part]) / 2;
	for (int i = 0; i < 3; i++) {
		e[i] = q[i] - c[i];
		c2 += c[i] * c[i], d2 += e[i] * e[i], q2 += q[i] * q[i];
	}
	for (int a = 0; a < 3; a++) {
		double at = 0, p = 0;
		for (int i = 0; i < 3; i++)
			at += b->axis[a][i][part] * c[i], p += b->axis[a][i][part] * e[i];
		double low = b->low[a][part] - at, high = b->high[a][part] - at;
		product += fmax(p * low, p * high), r2 += fmax(low * low, high * high);
	}
	double bound = d2 - 2 * (product + E3_KD_ERR * sqrt(d2 * r2)) + E3_KD_EQUAL * (q2 + c2);
	return bound > 0 ? bound : 0; /* 0 too where it overflowed */
}

/* The same from a box. */
static inline e3_kdlanes e3_kd_bounds_of_box(const struct e3_kdnode *b, const e3_kdquery *q)
{
	e3_kdlanes sum = {0};
	for (int a = 0; a < 3; a++) {
		const e3_kdlanes *x = b->axis[a];
		e3_kdlanes at = x[0] * q->at[0] + x[1] * q->at[1] + x[2] * q->at[2];
		e3_kdlanes half = e3_kd_size(x[0]) * q->half[0] + e3_kd_size(x[1]) * q->half[1] + e3_kd_size(x[2]) * q->half[2];
		sum += e3_kd_beyond(b, a, at, half + q->err);
	}
	return e3_kd_choose(sum < E3_KD_MOST, sum) * E3_KD_SAFE;
}

/* The rows lo .. hi - 1 of a node, cut into its four parts: part k covers cut[k] .. cut[k + 1] - 1. */
static inline void e3_kd_cut(size_t lo, size_t hi, size_t cut[E3_KD_PARTS + 1])
{
	cut[0] = lo, cut[2] = lo + (hi - lo) / 2, cut[4] = hi;
	cut[1] = lo + (cut[2] - lo) / 2, cut[3] = cut[2] + (hi - cut[2]) / 2;
}

#endif
