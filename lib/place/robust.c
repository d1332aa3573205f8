/* place: the similarity between two paths, robust to positions that are wrong. Refuses paths in one place. */
#include "e3/mem.h"
#include "e3/place.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 500, TRIAL_PAIRS = 1500, ROUNDS = 30 };

/* Of squared residuals with three coordinates: the median, and 99.7 %, in variances of a coordinate. */
static const double chi2_median = 2.366, chi2_most = 14.2;
/* Residuals below this part of the path's extent make no outlier: what is left of them is not noise but the shape. */
static const double small = 1e-3;

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static double squared(const e3_similarity *sim, const e3_place_pair *p)
{
	double x[3], sum = 0;
	e3_similarity_apply(sim, p->from, x);
	for (int k = 0; k < 3; k++)
		sum += (x[k] - p->to[k]) * (x[k] - p->to[k]);
	return sum;
}

/* --- least squares over some of the pairs --- */

typedef struct chosen {
	const e3_place_pair *pair;
	const size_t *index; /* NULL: all that are no outliers */
	size_t n;
} chosen;

static const e3_place_pair *at(const chosen *c, size_t k)
{
	const e3_place_pair *p = &c->pair[c->index ? c->index[k] : k];
	return c->index || !p->outlier ? p : NULL;
}

typedef struct spread {
	e3_moments m;
	double from[9], to[9]; /* covariances */
	size_t n;
} spread;

static void measure(const chosen *c, spread *s)
{
	*s = (spread){.n = 0};
	const e3_place_pair *p;
	for (size_t k = 0; k < c->n; k++)
		if ((p = at(c, k))) {
			s->n++;
			for (int i = 0; i < 3; i++)
				s->m.from[i] += p->from[i], s->m.to[i] += p->to[i];
		}
	double part = s->n ? 1 / (double)s->n : 0;
	for (int i = 0; i < 3; i++)
		s->m.from[i] *= part, s->m.to[i] *= part;
	for (size_t k = 0; k < c->n; k++)
		if ((p = at(c, k)))
			for (int i = 0; i < 3; i++)
				for (int j = 0; j < 3; j++) {
					double a = p->from[i] - s->m.from[i], b = p->from[j] - s->m.from[j];
					double d = p->to[i] - s->m.to[i], e = p->to[j] - s->m.to[j];
					s->from[3 * i + j] += part * a * b, s->to[3 * i + j] += part * d * e;
					s->m.cov[3 * i + j] += part * d * b;
				}
	s->m.var = s->from[0] + s->from[4] + s->from[8];
}

static void shift_to(const spread *s, e3_similarity *sim)
{
	double x[3];
	memset(sim->t, 0, sizeof sim->t);
	e3_similarity_apply(sim, s->m.from, x);
	for (int k = 0; k < 3; k++)
		sim->t[k] = s->m.to[k] - x[k];
}

/* The least rotation that takes unit vector a to b. */
static void between(const double a[3], const double b[3], double r[9])
{
	double q[4] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0], 1 + dot(a, b)};
	if (q[3] < 1e-9) { /* opposite: half a turn about anything across */
		int least = fabs(a[0]) < fabs(a[1]) ? 0 : 1;
		least = fabs(a[2]) < fabs(a[least]) ? 2 : least;
		double e[3] = {0};
		e[least] = 1;
		q[0] = a[1] * e[2] - a[2] * e[1], q[1] = a[2] * e[0] - a[0] * e[2], q[2] = a[0] * e[1] - a[1] * e[0], q[3] = 0;
	}
	e3_quat_to_mat(q, r);
}

/* Of pairs on a line: what the one direction says. axis: along the line, of `from` and of `to`. */
static void solve_line(const spread *s, const double u[9], const double d[3], const double v[9], double axis[2][3],
	e3_similarity *sim)
{
	for (int k = 0; k < 3; k++)
		axis[0][k] = v[3 * k], axis[1][k] = u[3 * k];
	between(axis[0], axis[1], sim->r);
	double along = 0;
	for (int k = 0; k < 3; k++)
		along += axis[0][k] * dot(s->from + 3 * k, axis[0]);
	sim->s = d[0] / along;
	shift_to(s, sim);
}

/* -1: all in one place. */
static int solve(const chosen *c, e3_similarity *sim, e3_err *err)
{
	spread s;
	double u[9], d[3], v[9], axis[2][3];
	measure(c, &s);
	e3_svd3(s.m.cov, u, d, v);
	if (!(d[0] > 0) || !(s.m.var > 0) || !isfinite(d[0]))
		return e3_fail(err, "they are all in one place");
	if (d[1] <= 1e-10 * d[0]) {
		solve_line(&s, u, d, v, axis, sim);
		return 0;
	}
	double unit = 1 / d[0]; /* e3_similarity_solve compares with 1 */
	for (int k = 0; k < 9; k++)
		s.m.cov[k] *= unit;
	s.m.var *= unit;
	return e3_similarity_solve(&s.m, true, sim, err);
}

/* --- trials --- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median of the squared residuals of every step-th pair. */
static double median(const e3_place_pair *pair, size_t n, size_t step, const e3_similarity *sim, double *room)
{
	size_t m = 0;
	for (size_t k = 0; k < n; k += step)
		room[m++] = squared(sim, &pair[k]);
	qsort(room, m, sizeof *room, ascending);
	return room[m / 2];
}

/* The similarity of the triple of pairs that suits half of all best. */
static int best_triple(const e3_place_pair *pair, size_t n, e3_similarity *best, double *room, e3_err *err)
{
	size_t step = (n + TRIAL_PAIRS - 1) / TRIAL_PAIRS;
	double least = INFINITY;
	for (uint64_t trial = 0; trial < TRIALS; trial++) {
		size_t index[3];
		for (uint64_t k = 0; k < 3; k++)
			index[k] = (size_t)(mix(3 * trial + k + 1) % n);
		if (index[0] == index[1] || index[0] == index[2] || index[1] == index[2])
			continue;
		e3_similarity sim;
		if (solve(&(chosen){pair, index, 3}, &sim, NULL))
			continue;
		double m = median(pair, n, step, &sim, room);
		if (m < least)
			least = m, *best = sim;
	}
	return isfinite(least) ? 0 : e3_fail(err, "they are all in one place");
}

/* --- the fit --- */

static double length_of(const double cov[9], double share[3])
{
	double u[9], v[9];
	e3_svd3(cov, u, share, v);
	for (int k = 0; k < 3; k++)
		share[k] = sqrt(share[k]);
	return share[0];
}

static void describe(const e3_place_pair *pair, size_t n, e3_place_fitted *f)
{
	spread s;
	double u[9], d[3], v[9], share[3], known[3], sum = 0;
	size_t inliers = 0;
	e3_similarity line;
	measure(&(chosen){pair, NULL, n}, &s);
	f->along = f->sim.s * length_of(s.from, share);
	f->across = f->sim.s * share[1];
	length_of(s.to, known);
	for (size_t k = 0; k < n; k++)
		inliers += !pair[k].outlier;
	/* both paths are on a line, or what is across one of them is noise */
	double across = fmin(f->across, known[1]);
	f->line = inliers < 3 || across <= 3 * f->sigma || across <= 1e-4 * f->along;
	e3_svd3(s.m.cov, u, d, v);
	solve_line(&s, u, d, v, f->axis, &line);
	if (f->line)
		f->sim = line;
	f->rms = f->worst = 0, f->outliers = 0;
	for (size_t k = 0; k < n; k++) {
		double e = squared(&f->sim, &pair[k]);
		if (pair[k].outlier) {
			f->outliers++;
			continue;
		}
		sum += e;
		f->worst = fmax(f->worst, sqrt(e));
	}
	f->rms = inliers ? sqrt(sum / (double)inliers) : 0;
}

int e3_place_fit(e3_place_pair *pair, size_t n, e3_place_fitted *f, e3_err *err)
{
	*f = (e3_place_fitted){.outliers = 0};
	for (size_t k = 0; k < n; k++)
		pair[k].outlier = false;
	if (n < 2)
		return e3_fail(err, "%zu positions: at least 2 are needed", n);
	double *room = e3_alloc(n, sizeof *room, "residuals", err);
	if (!room)
		return -1;
	int rc = n < 4 ? solve(&(chosen){pair, NULL, n}, &f->sim, err) : best_triple(pair, n, &f->sim, room, err);
	for (int round = 0; !rc && round < ROUNDS; round++) {
		spread s;
		double share[3], middle = median(pair, n, 1, &f->sim, room);
		bool changed = false;
		measure(&(chosen){pair, NULL, n}, &s);
		double least = small * f->sim.s * length_of(s.from, share), most = chi2_most / chi2_median * middle;
		f->sigma = sqrt(middle / chi2_median);
		for (size_t k = 0; k < n && n >= 4; k++) {
			bool outlier = squared(&f->sim, &pair[k]) > fmax(most, least * least);
			changed = changed || outlier != pair[k].outlier;
			pair[k].outlier = outlier;
		}
		if (round && !changed)
			break;
		rc = solve(&(chosen){pair, NULL, n}, &f->sim, err);
	}
	if (!rc)
		describe(pair, n, f);
	free(room);
	return rc;
}

void e3_place_turned(const e3_place_pair *pair, size_t n, const e3_place_fitted *f, double angle, e3_similarity *out)
{
	const double *a = f->axis[1], half = angle / 2;
	double q[4] = {a[0] * sin(half), a[1] * sin(half), a[2] * sin(half), cos(half)};
	e3_similarity turn = {.s = 1};
	spread s;
	e3_quat_to_mat(q, turn.r);
	e3_similarity_mul(&turn, &f->sim, out);
	measure(&(chosen){pair, NULL, n}, &s);
	shift_to(&s, out);
}
