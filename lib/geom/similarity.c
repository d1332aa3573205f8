/* geom: the singular values of a 3×3 matrix, and the similarity that takes one set of points closest to another.
 * Refuses sets that do not determine a rotation. */
#include "e3/geom.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { SWEEPS = 40 };

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static void cross(const double a[3], const double b[3], double to[3])
{
	double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
	memcpy(to, c, sizeof c);
}

/* Rotates rows p and q of g, and with them those of v, so that the rows of g are orthogonal: 0 when they already were.
 */
static int turn(double g[3][3], double v[3][3], int p, int q)
{
	double a = dot(g[p], g[p]), b = dot(g[q], g[q]), c = dot(g[p], g[q]);
	if (fabs(c) <= DBL_EPSILON * sqrt(a) * sqrt(b) || c == 0)
		return 0;
	double zeta = (b - a) / (2 * c), t = copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta)), cosine = 1 / hypot(1, t),
		   sine = cosine * t;
	for (int k = 0; k < 3; k++) {
		double x = g[p][k], y = v[p][k];
		g[p][k] = cosine * x - sine * g[q][k], g[q][k] = sine * x + cosine * g[q][k];
		v[p][k] = cosine * y - sine * v[q][k], v[q][k] = sine * y + cosine * v[q][k];
	}
	return 1;
}

/* A unit vector orthogonal to a. */
static void any_normal(const double a[3], double to[3])
{
	int least = fabs(a[0]) < fabs(a[1]) ? 0 : 1;
	least = fabs(a[2]) < fabs(a[least]) ? 2 : least;
	double e[3] = {0};
	e[least] = 1;
	cross(a, e, to);
	double length = sqrt(dot(to, to));
	for (int k = 0; k < 3; k++)
		to[k] /= length;
}

/* Jacobi's method on one side: the columns of `a`, here as rows, are turned until they are orthogonal. */
void e3_svd3(const double a[9], double u[9], double d[3], double v[9])
{
	double g[3][3], w[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, left[3][3];
	int order[3] = {0, 1, 2}, power = 0;
	double most = 0;
	for (int k = 0; k < 9; k++)
		most = fmax(most, fabs(a[k]));
	frexp(most, &power); /* squares neither vanish nor overflow */
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			g[col][row] = ldexp(a[3 * row + col], -power);
	for (int sweep = 0, more = 1; more && sweep < SWEEPS; sweep++)
		more = turn(g, w, 0, 1) | turn(g, w, 0, 2) | turn(g, w, 1, 2);
	double length[3];
	for (int k = 0; k < 3; k++)
		length[k] = sqrt(dot(g[k], g[k]));
	for (int k = 0; k < 2; k++)
		for (int j = 0; j < 2 - k; j++)
			if (length[order[j]] < length[order[j + 1]]) {
				int swap = order[j];
				order[j] = order[j + 1], order[j + 1] = swap;
			}
	for (int k = 0; k < 3; k++) {
		d[k] = length[order[k]];
		if (d[k] > d[0] * DBL_MIN && d[k] > 0) {
			for (int j = 0; j < 3; j++)
				left[k][j] = g[order[k]][j] / d[k];
		} else if (k == 0) {
			left[0][0] = 1, left[0][1] = left[0][2] = 0;
		} else if (k == 1) {
			any_normal(left[0], left[1]);
		} else {
			cross(left[0], left[1], left[2]);
		}
	}
	for (int k = 0; k < 3; k++) {
		d[k] = ldexp(d[k], power);
		for (int row = 0; row < 3; row++)
			u[3 * row + k] = left[k][row], v[3 * row + k] = w[order[k]][row];
	}
}

static double det3(const double m[9])
{
	return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

static void mean_of(const double (*x)[3], size_t n, double mean[3])
{
	mean[0] = mean[1] = mean[2] = 0;
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < 3; k++)
			mean[k] += x[i][k];
	for (int k = 0; k < 3; k++)
		mean[k] /= (double)n;
}

int e3_similarity_solve(const e3_moments *m, bool scale, e3_similarity *out, e3_err *err)
{
	double u[9], d[3], v[9];
	for (int k = 0; k < 9; k++)
		if (!isfinite(m->cov[k]))
			return e3_fail(err, "aligning points: some are not finite");
	e3_svd3(m->cov, u, d, v);
	if (!(d[1] > DBL_EPSILON))
		return e3_fail(err, "aligning points: degenerate: %s",
			d[0] > DBL_EPSILON ? "they lie on a line, and the rotation about it is undetermined"
							   : "they are all in one place");
	double sign = det3(u) * det3(v) < 0 ? -1 : 1;
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			out->r[3 * row + col] =
				u[3 * row] * v[3 * col] + u[3 * row + 1] * v[3 * col + 1] + sign * u[3 * row + 2] * v[3 * col + 2];
	out->s = scale ? (d[0] + d[1] + sign * d[2]) / m->var : 1;
	for (int k = 0; k < 3; k++)
		out->t[k] = m->to[k] - out->s * dot(out->r + 3 * k, m->from);
	return 0;
}

int e3_similarity_fit(const double (*from)[3], const double (*to)[3], size_t n, bool scale, e3_similarity *out,
	e3_err *err)
{
	e3_moments m = {.var = 0};
	if (n == 0)
		return e3_fail(err, "aligning points: no points");
	mean_of(from, n, m.from), mean_of(to, n, m.to);
	for (size_t i = 0; i < n; i++) {
		double x[3] = {from[i][0] - m.from[0], from[i][1] - m.from[1], from[i][2] - m.from[2]};
		m.var += dot(x, x);
		for (int row = 0; row < 3; row++)
			for (int col = 0; col < 3; col++)
				m.cov[3 * row + col] += (to[i][row] - m.to[row]) * x[col];
	}
	m.var /= (double)n;
	for (int k = 0; k < 9; k++)
		m.cov[k] /= (double)n;
	return e3_similarity_solve(&m, scale, out, err);
}

void e3_similarity_apply(const e3_similarity *a, const double x[3], double out[3])
{
	double p[3] = {x[0], x[1], x[2]};
	for (int k = 0; k < 3; k++)
		out[k] = a->s * dot(a->r + 3 * k, p) + a->t[k];
}
