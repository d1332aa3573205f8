/* eval: a cloud moved onto another, point to point, as Open3D's registration_icp does it (spec/eval.md 4.5). */
#include "e3/eval.h"
#include "e3/mem.h"
#include "eval/each.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 30 };
#define STILL 1e-6 /* change of fitness and rmse that ends it */

#define NOWHERE UINT32_MAX

typedef struct icp {
	double (*x)[3]; /* [n] moved on the way */
	size_t n;
	const e3_kdtree *to;
	double limit;     /* square of the radius */
	uint32_t *match;  /* [n] row of `to`, or NOWHERE */
	double *sum;      /* [blocks] squared distances */
	size_t *matched;  /* [blocks] */
	int threads;
} icp;

/* A point that was matched is likely to be matched alike: the search begins with that distance. */
static void match_some(void *ctx, size_t from, size_t to)
{
	icp *s = ctx;
	double sum = 0;
	size_t matched = 0;
	for (size_t i = from; i < to; i++) {
		double limit = s->limit, d2;
		size_t row;
		if (s->match[i] != NOWHERE) {
			const double *a = s->x[i], *b = s->to->x[s->match[i]], d[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
			d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
			if (d2 < limit)
				limit = d2;
			else
				s->match[i] = NOWHERE;
		}
		if (e3_kdtree_near(s->to, s->x[i], 1, limit, &row, &d2))
			s->match[i] = (uint32_t)row, limit = d2;
		if (s->match[i] != NOWHERE)
			sum += limit, matched++;
	}
	s->sum[from / E3_EACH_BLOCK] = sum, s->matched[from / E3_EACH_BLOCK] = matched;
}

static size_t match(icp *s, e3_icp *out)
{
	double sum = 0;
	size_t matched = 0;
	e3_each(s->threads, s->n, match_some, s);
	for (size_t k = 0; k < (s->n + E3_EACH_BLOCK - 1) / E3_EACH_BLOCK; k++)
		sum += s->sum[k], matched += s->matched[k];
	out->fitness = (double)matched / (double)s->n, out->rmse = matched ? sqrt(sum / (double)matched) : 0;
	return matched;
}

/* The motion that brings matched points onto their partners; none when they do not fix one. */
static int motion(const icp *s, size_t matched, double m[12], e3_err *err)
{
	static const double still[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
	double (*from)[3] = e3_alloc(matched, 2 * sizeof *from, "matched points", err), (*to)[3];
	e3_similarity fit;
	size_t n = 0;
	if (!from)
		return -1;
	to = from + matched;
	for (size_t i = 0; i < s->n; i++)
		if (s->match[i] != NOWHERE) {
			memcpy(from[n], s->x[i], sizeof *from);
			memcpy(to[n++], s->to->x[s->match[i]], sizeof *to);
		}
	memcpy(m, still, sizeof still);
	if (n > 0 && !e3_similarity_fit((const double (*)[3])from, (const double (*)[3])to, n, false, &fit, NULL))
		for (int row = 0; row < 3; row++) {
			memcpy(m + 4 * row, fit.r + 3 * row, 3 * sizeof *m);
			m[4 * row + 3] = fit.t[row];
		}
	free(from);
	return 0;
}

static void move(double (*x)[3], size_t n, const double m[12])
{
	for (size_t i = 0; i < n; i++) {
		const double p[3] = {x[i][0], x[i][1], x[i][2]};
		for (int row = 0; row < 3; row++)
			x[i][row] = m[4 * row] * p[0] + m[4 * row + 1] * p[1] + m[4 * row + 2] * p[2] + m[4 * row + 3];
	}
}

static int iterate(icp *s, e3_icp *out, e3_err *err)
{
	size_t matched = match(s, out);
	for (bool done = false; !done && out->steps < STEPS; out->steps++) {
		double m[12];
		e3_icp before = *out;
		if (motion(s, matched, m, err))
			return -1;
		move(s->x, s->n, m);
		e3_rigid_mul(m, out->m, out->m);
		matched = match(s, out);
		done = fabs(out->fitness - before.fitness) < STILL && fabs(out->rmse - before.rmse) < STILL;
	}
	return 0;
}

int e3_icp_run(double (*x)[3], size_t n, const e3_kdtree *to, double radius, int threads, e3_icp *out, e3_err *err)
{
	size_t blocks = (n + E3_EACH_BLOCK - 1) / E3_EACH_BLOCK;
	icp s = {.x = x, .n = n, .to = to, .limit = radius * radius, .threads = threads};
	*out = (e3_icp){.m = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}};
	if (n == 0)
		return e3_fail(err, "moving a cloud onto another: it has no points");
	s.match = e3_alloc(n, sizeof *s.match, "matches of points", err);
	s.sum = e3_alloc(blocks, sizeof *s.sum, "distances of points", err);
	s.matched = e3_alloc(blocks, sizeof *s.matched, "matches of points", err);
	int rc = s.match && s.sum && s.matched ? 0 : -1;
	if (!rc) {
		memset(s.match, 0xff, n * sizeof *s.match);
		rc = iterate(&s, out, err);
	}
	free(s.match), free(s.sum), free(s.matched);
	return rc;
}
