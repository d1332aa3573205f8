/* surface: connected pieces of a mesh: small ones float where views disagree, and go; so do vertices that no triangle
 * has.
 */
#include "surface/field.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the largest piece. */
#define LEAST_SHARE 1e-3

static uint32_t root_of(uint32_t *up, uint32_t k)
{
	while (up[k] != k)
		k = up[k] = up[up[k]];
	return k;
}

static void join(uint32_t *up, const uint32_t t[3])
{
	for (int c = 1; c < 3; c++) {
		uint32_t a = root_of(up, t[0]), b = root_of(up, t[c]);
		if (a < b)
			up[b] = a;
		else
			up[a] = b;
	}
}

static double area_of(const e3_mesh *m, const uint32_t t[3])
{
	double a[3], b[3];
	for (int k = 0; k < 3; k++) {
		a[k] = (double)m->xyz[t[1]][k] - (double)m->xyz[t[0]][k];
		b[k] = (double)m->xyz[t[2]][k] - (double)m->xyz[t[0]][k];
	}
	double x = a[1] * b[2] - a[2] * b[1], y = a[2] * b[0] - a[0] * b[2], z = a[0] * b[1] - a[1] * b[0];
	return sqrt(x * x + y * y + z * z) / 2;
}

/* Keeps the triangles whose piece is large enough, and the vertices that they have. to: room for a number a vertex. */
static void squeeze(e3_mesh *m, uint32_t *up, const double *area, double least, uint32_t *to)
{
	uint32_t n = 0, left = 0;
	memset(to, 0, m->n * sizeof *to);
	for (uint32_t k = 0; k < m->n_triangles; k++) {
		if (!(area[root_of(up, m->triangle[k][0])] >= least))
			continue;
		memmove(m->triangle[left], m->triangle[k], sizeof *m->triangle);
		for (int c = 0; c < 3; c++)
			to[m->triangle[left][c]] = 1;
		left++;
	}
	for (uint32_t k = 0; k < m->n; k++) {
		if (!to[k])
			continue;
		memmove(m->xyz[n], m->xyz[k], sizeof *m->xyz);
		memmove(m->normal[n], m->normal[k], sizeof *m->normal);
		memmove(m->rgb[n], m->rgb[k], sizeof *m->rgb);
		to[k] = n++;
	}
	for (uint32_t k = 0; k < left; k++)
		for (int c = 0; c < 3; c++)
			m->triangle[k][c] = to[m->triangle[k][c]];
	m->n = n, m->n_triangles = left;
}

int sf_pieces(e3_mesh *m, double least, e3_err *err)
{
	uint32_t *up = e3_alloc(m->n, 2 * sizeof *up, "the pieces of the mesh", err);
	double *area = up ? e3_alloc(m->n, sizeof *area, "the pieces of the mesh", err) : NULL;
	double largest = 0;
	if (!area) {
		free(up);
		return -1;
	}
	for (uint32_t k = 0; k < m->n; k++)
		up[k] = k;
	for (uint32_t k = 0; k < m->n_triangles; k++)
		join(up, m->triangle[k]);
	for (uint32_t k = 0; k < m->n_triangles; k++)
		area[root_of(up, m->triangle[k][0])] += area_of(m, m->triangle[k]);
	for (uint32_t k = 0; k < m->n; k++)
		largest = fmax(largest, area[k]);
	least = fmax(least, LEAST_SHARE * largest);
	for (uint32_t k = 0; k < m->n; k++) {
		m->pieces += area[k] > 0 && area[k] >= least;
		m->dropped += area[k] > 0 && !(area[k] >= least);
	}
	squeeze(m, up, area, least, up + m->n);
	free(up), free(area);
	return 0;
}
