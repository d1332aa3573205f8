/* eval: normals of a cloud of points as Open3D's estimate_normals computes them (doc/evaluation.md 4.6): the direction
 * of least variance among the nearest neighbours, of either sign. Points that follow each other in the tree are close
 * together, so a group of them shares one search for all points within a radius of their box. If the k-th nearest of
 * these is within the radius of a point, all its neighbours were found, since every other point is farther. The few
 * points that fail this test search by themselves. */
#include "e3/eval.h"
#include "eval/select.h"
#include <math.h>
#include <string.h>

enum { GROUP = 8, ROOM = 512 };

typedef struct job {
	const e3_kdtree *t;
	size_t k;
	double (*normal)[3];
} job;

/* The points around a group, one array for each coordinate. */
typedef struct around {
	uint32_t row[ROOM];
	double x[3][ROOM], d2[ROOM], rank[ROOM + 1];
	size_t n;
	double radius;
} around;

static void normal_of(const e3_kdtree *t, const uint32_t *row, size_t n, double normal[3])
{
	static const double up[3] = {0, 0, 1};
	double mean[3] = {0}, c[9] = {0}, u[9], d[3], v[9];
	const double *origin = t->x[row[0]]; /* so that coinciding points are at exactly 0 */
	memcpy(normal, up, sizeof up);
	if (n < 3)
		return;
	for (size_t k = 0; k < n; k++)
		for (int a = 0; a < 3; a++)
			mean[a] += t->x[row[k]][a] - origin[a];
	for (int a = 0; a < 3; a++)
		mean[a] /= (double)n;
	for (size_t k = 0; k < n; k++) {
		const double *x = t->x[row[k]];
		const double e[3] = {x[0] - origin[0] - mean[0], x[1] - origin[1] - mean[1], x[2] - origin[2] - mean[2]};
		for (int a = 0; a < 3; a++)
			for (int b = a; b < 3; b++)
				c[3 * a + b] += e[a] * e[b];
	}
	for (int a = 0; a < 9; a++)
		c[a] /= (double)n;
	c[3] = c[1], c[6] = c[2], c[7] = c[5];
	e3_svd3(c, u, d, v);
	if (d[0] > d[2]) /* otherwise the least direction is not determined */
		for (int a = 0; a < 3; a++)
			normal[a] = v[3 * a + 2];
}

/* A search for one point; also when there are fewer than k points. Returns the distance of the farthest neighbour. */
static double alone(const job *j, size_t i)
{
	size_t row[E3_NORMAL_MOST];
	uint32_t short_row[E3_NORMAL_MOST];
	double d2[E3_NORMAL_MOST];
	size_t n = e3_kdtree_near(j->t, j->t->x[i], j->k, INFINITY, row, d2);
	for (size_t k = 0; k < n; k++)
		short_row[k] = (uint32_t)row[k];
	normal_of(j->t, short_row, n, j->normal[i]);
	return sqrt(d2[n - 1]);
}

static void gather(const job *j, size_t from, size_t to, around *near)
{
	double low[3], high[3];
	memcpy(low, j->t->x[from], sizeof low), memcpy(high, low, sizeof high);
	for (size_t i = from + 1; i < to; i++)
		for (int a = 0; a < 3; a++) {
			low[a] = fmin(low[a], j->t->x[i][a]);
			high[a] = fmax(high[a], j->t->x[i][a]);
		}
	near->n = e3_kdtree_around(j->t, low, high, near->radius, near->row, ROOM);
	if (near->n > ROOM)
		near->n = 0; /* too many to be worth sharing */
	for (size_t k = 0; k < near->n; k++)
		for (int a = 0; a < 3; a++)
			near->x[a][k] = j->t->x[near->row[k]][a];
}

/* The k-th smallest of d2. `about` is a guess: when at least k values are below it, only those are ranked. */
static double kth(around *near, size_t k, double about)
{
	size_t n = 0;
	for (size_t m = 0; m < near->n; m++) {
		near->rank[n] = near->d2[m];
		n += near->d2[m] < about;
	}
	if (n < k)
		memcpy(near->rank, near->d2, (n = near->n) * sizeof *near->rank);
	return e3_select(near->rank, n, k - 1);
}

/* The neighbours of a point among those around the group, into `row`. Returns their number, or 0 when the group's
 * points may not contain all of them. *farthest, squared: in, of a point nearby; out, of this point. */
static size_t choose(const double q[3], size_t k, around *near, uint32_t row[ROOM], double *farthest)
{
	size_t n = 0;
	if (near->n < k)
		return 0;
	for (size_t m = 0; m < near->n; m++) {
		const double d[3] = {near->x[0][m] - q[0], near->x[1][m] - q[1], near->x[2][m] - q[2]};
		near->d2[m] = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
	}
	double last = kth(near, k, 1.3 * *farthest);
	if (!(last < near->radius * near->radius))
		return 0;
	*farthest = last;
	for (size_t m = 0; m < near->n; m++) {
		row[n] = near->row[m];
		n += near->d2[m] < last;
	}
	for (size_t m = 0; n < k; m++) /* among points as far as the last one, the first in the order of the tree */
		if (near->d2[m] == last)
			row[n++] = near->row[m];
	return n;
}

static void some(void *ctx, size_t from, size_t to)
{
	const job *j = ctx;
	around near = {.radius = 0};
	for (size_t at = from; at < to; at += GROUP) {
		size_t end = to - at < GROUP ? to : at + GROUP;
		double most = 0, d2 = near.radius * near.radius;
		if (near.radius > 0)
			gather(j, at, end, &near);
		for (size_t i = at; i < end; i++) {
			uint32_t row[ROOM];
			size_t n = choose(j->t->x[i], j->k, &near, row, &d2);
			if (n)
				normal_of(j->t, row, n, j->normal[i]);
			double far = n ? sqrt(d2) : alone(j, i);
			most = far > most ? far : most;
		}
		near.radius = 1.1 * most; /* a radius for the next group */
	}
}

int e3_normals_make(const e3_kdtree *t, int k, const e3_work *work, double (*normal)[3], e3_err *err)
{
	job j = {t, k < 1 ? 1 : k > E3_NORMAL_MOST ? E3_NORMAL_MOST : (size_t)k, normal};
	return e3_work_blocks(work, "normals", t->n, some, &j, err);
}
