/* eval: normals of a cloud of points as Open3D's estimate_normals makes them (spec/eval.md 4.6): the direction of least variance among
 * the nearest neighbours, of either sign. */
#include "e3/eval.h"
#include "eval/each.h"
#include <math.h>
#include <string.h>

typedef struct job {
	const e3_kdtree *t;
	int k;
	double (*normal)[3];
} job;

static void normal_of(const e3_kdtree *t, const size_t *row, size_t n, double normal[3])
{
	static const double up[3] = {0, 0, 1};
	double mean[3] = {0}, c[9] = {0}, u[9], d[3], v[9];
	const double *origin = t->x[row[0]]; /* so that what is in one place is at 0 exactly */
	memcpy(normal, up, sizeof up);
	if (n < 3)
		return;
	for (size_t k = 0; k < n; k++)
		for (int a = 0; a < 3; a++)
			mean[a] += (t->x[row[k]][a] - origin[a]) / (double)n;
	for (size_t k = 0; k < n; k++) {
		const double *x = t->x[row[k]];
		const double e[3] = {x[0] - origin[0] - mean[0], x[1] - origin[1] - mean[1], x[2] - origin[2] - mean[2]};
		for (int a = 0; a < 3; a++)
			for (int b = a; b < 3; b++)
				c[3 * a + b] += e[a] * e[b] / (double)n;
	}
	c[3] = c[1], c[6] = c[2], c[7] = c[5];
	e3_svd3(c, u, d, v);
	if (d[0] > d[2]) /* otherwise no direction stands out */
		for (int a = 0; a < 3; a++)
			normal[a] = v[3 * a + 2];
}

static void some(void *ctx, size_t from, size_t to)
{
	const job *j = ctx;
	size_t row[E3_NORMAL_MOST];
	double d2[E3_NORMAL_MOST];
	for (size_t i = from; i < to; i++) {
		size_t n = e3_kdtree_near(j->t, j->t->x[i], (size_t)j->k, INFINITY, row, d2);
		normal_of(j->t, row, n, j->normal[i]);
	}
}

void e3_normals_make(const e3_kdtree *t, int k, int threads, double (*normal)[3])
{
	job j = {t, k < 1 ? 1 : k > E3_NORMAL_MOST ? E3_NORMAL_MOST : k, normal};
	e3_each(threads, t->n, some, &j);
}
