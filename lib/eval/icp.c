/* eval: ICP: moves a cloud onto another, point to point, as Open3D's registration_icp does (doc/evaluation.md 4.5). An
 * iteration visits each point once: it moves the point, matches it, and adds it to the sums that determine the next
 * motion. Matches are exact, yet most points need no search: a search also returns a lower bound of the distance to all
 * other points, and the bound shrinks only by the distance that the point has moved since. */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 30, AHEAD = 8 /* a search should remain valid for so many steps of the current length */ };
#define STILL 1e-6      /* iteration stops when fitness and rmse change less than that */
#define SAFE (1 - 1e-6) /* safety factor for bounds in single precision */

/* Sums over the matched points of a block, relative to `origin`. */
typedef struct sums {
	size_t n;
	double d2, from[3], to[3], cov[9];
} sums;

typedef struct icp {
	double (*x)[3]; /* [n] moved in place */
	size_t n;
	const e3_kdtree *to;
	double radius, origin[3];
	const double *m; /* the motion of this step, or NULL */
	uint32_t *match; /* [n] nearest row of `to`, or E3_NOWHERE */
	float *gap;      /* [n] lower bound of the distance to any other row */
	sums *sum;       /* [blocks] */
	const e3_work *work;
} icp;

/* Returns the distance moved. */
static double move(double x[3], const double m[12])
{
	const double p[3] = {x[0], x[1], x[2]};
	for (int row = 0; row < 3; row++)
		x[row] = m[4 * row] * p[0] + m[4 * row + 1] * p[1] + m[4 * row + 2] * p[2] + m[4 * row + 3];
	return sqrt((x[0] - p[0]) * (x[0] - p[0]) + (x[1] - p[1]) * (x[1] - p[1]) + (x[2] - p[2]) * (x[2] - p[2]));
}

static void add(const icp *s, size_t i, double d2, sums *to)
{
	const double *x = s->x[i], *y = s->to->x[s->match[i]];
	double a[3], b[3];
	for (int k = 0; k < 3; k++) {
		a[k] = x[k] - s->origin[k], b[k] = y[k] - s->origin[k];
		to->from[k] += a[k], to->to[k] += b[k];
	}
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			to->cov[3 * row + col] += b[row] * a[col];
	to->n++, to->d2 += d2;
}

/* The squared distance to the matched point; negative when none is within the radius. `moved`: distance moved since the
 * last step. */
static double match(icp *s, size_t i, double moved, uint32_t near)
{
	double limit = s->radius * s->radius, d2 = 0, gap = s->gap[i] - moved;
	s->gap[i] = (float)(gap * SAFE);
	if (s->match[i] != E3_NOWHERE) {
		const double *a = s->x[i], *b = s->to->x[s->match[i]], d[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
		d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
		if (gap > 0 && d2 < gap * gap * SAFE)
			return d2 < limit ? d2 : -1;
		near = s->match[i];
	} else if (gap > s->radius)
		return -1;
	double slack = AHEAD * moved, reach = s->radius + slack;
	e3_nearest found;
	e3_kdtree_nearest(s->to, s->x[i], near, reach * reach, slack, &found);
	s->match[i] = found.row, s->gap[i] = (float)(sqrt(found.rest) * SAFE);
	return found.row != E3_NOWHERE && found.d2 < limit ? found.d2 : -1;
}

static void match_some(void *ctx, size_t from, size_t to)
{
	icp *s = ctx;
	sums sum = {.n = 0};
	for (size_t i = from; i < to; i++) {
		double moved = s->m ? move(s->x[i], s->m) : 0, d2 = match(s, i, moved, i > from ? s->match[i - 1] : E3_NOWHERE);
		if (d2 >= 0)
			add(s, i, d2, &sum);
	}
	s->sum[from / E3_PARALLEL_BLOCK] = sum;
}

static int step(icp *s, const double *m, sums *all, e3_icp *out, e3_err *err)
{
	char what[48];
	*all = (sums){.n = 0};
	s->m = m;
	snprintf(what, sizeof what, "ICP, step %d of at most %d", out->steps, STEPS);
	if (e3_work_blocks(s->work, what, s->n, match_some, s, err))
		return -1;
	for (size_t k = 0; k < (s->n + E3_PARALLEL_BLOCK - 1) / E3_PARALLEL_BLOCK; k++) {
		const sums *b = &s->sum[k];
		all->n += b->n, all->d2 += b->d2;
		for (int a = 0; a < 3; a++)
			all->from[a] += b->from[a], all->to[a] += b->to[a];
		for (int a = 0; a < 9; a++)
			all->cov[a] += b->cov[a];
	}
	out->fitness = (double)all->n / (double)s->n, out->rmse = all->n ? sqrt(all->d2 / (double)all->n) : 0;
	return 0;
}

/* The motion that moves the points onto their matches; the identity when the matches do not determine one. */
static void motion(const icp *s, const sums *all, double m[12])
{
	static const double still[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
	double n = (double)all->n;
	e3_moments of = {.var = 0};
	e3_similarity fit;
	memcpy(m, still, sizeof still);
	if (all->n == 0)
		return;
	for (int row = 0; row < 3; row++) {
		of.from[row] = s->origin[row] + all->from[row] / n, of.to[row] = s->origin[row] + all->to[row] / n;
		for (int col = 0; col < 3; col++)
			of.cov[3 * row + col] = (all->cov[3 * row + col] - all->to[row] * (all->from[col] / n)) / n;
	}
	if (e3_similarity_solve(&of, false, &fit, NULL))
		return;
	for (int row = 0; row < 3; row++) {
		memcpy(m + 4 * row, fit.r + 3 * row, 3 * sizeof *m);
		m[4 * row + 3] = fit.t[row];
	}
}

static int iterate(icp *s, e3_icp *out, e3_err *err)
{
	sums all;
	for (size_t i = 0; i < s->n; i++)
		for (int a = 0; a < 3; a++)
			s->origin[a] += s->x[i][a] / (double)s->n;
	if (step(s, NULL, &all, out, err))
		return -1;
	for (bool done = false; !done && out->steps < STEPS;) {
		double m[12];
		e3_icp before = *out;
		motion(s, &all, m);
		e3_rigid_mul(m, out->m, out->m);
		out->steps++;
		if (step(s, m, &all, out, err))
			return -1;
		done = fabs(out->fitness - before.fitness) < STILL && fabs(out->rmse - before.rmse) < STILL;
	}
	return 0;
}

int e3_icp_run(double (*x)[3], size_t n, const e3_kdtree *to, const e3_icp_rule *rule, e3_icp *out, e3_err *err)
{
	size_t blocks = (n + E3_PARALLEL_BLOCK - 1) / E3_PARALLEL_BLOCK;
	icp s = {.x = x, .n = n, .to = to, .radius = rule->radius, .work = rule->work};
	*out = (e3_icp){.m = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
	if (n == 0)
		return e3_fail(err, "moving a cloud onto another: it has no points");
	s.match = e3_alloc(n, sizeof *s.match, "matches of points", err);
	s.gap = e3_alloc(n, sizeof *s.gap, "distances of points", err);
	s.sum = e3_alloc(blocks, sizeof *s.sum, "sums of points", err);
	int rc = s.match && s.gap && s.sum ? 0 : -1;
	if (!rc) {
		memset(s.match, 0xff, n * sizeof *s.match);
		rc = iterate(&s, out, err);
	}
	free(s.match), free(s.gap), free(s.sum);
	return rc;
}
