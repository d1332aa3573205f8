/* graph: where the world is: known positions and poses as one similarity, known distances as one scale. */
#include "e3/mem.h"
#include "graph.h"
#include <math.h>
#include <string.h>

/* Positions determine the rotation about their longest extent when they are spread across it by this many standard
 * deviations. */
static const double spread_least = 3;
/* Of positions on a line, along it, when up says the rest. */
static const double spread_far = 10;
/* The cameras' mean is upright to a standard deviation of 0.2 radians, however many they are. */
static const double upright_weight = 25;

typedef struct sums {
	double weight, own[3], known[3]; /* means */
	double cov[9], var, known_cov[9];
	double turn[9]; /* the sum of known rotations against the present ones */
	double up[3];   /* the mean direction of the cameras, of length 1; 0: not known */
	double sigma2;  /* the mean square standard deviation of a position */
	int points, poses;
} sums;

static void add_moments(sums *s, const double x[3], const double y[3], double weight)
{
	double dx[3], dy[3], part;
	s->weight += weight, part = weight / s->weight;
	for (int k = 0; k < 3; k++) {
		dx[k] = x[k] - s->own[k], dy[k] = y[k] - s->known[k];
		s->own[k] += part * dx[k], s->known[k] += part * dy[k];
	}
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++) {
			s->cov[3 * row + col] += weight * (1 - part) * dy[row] * dx[col];
			s->known_cov[3 * row + col] += weight * (1 - part) * dy[row] * dy[col];
		}
		s->var += weight * (1 - part) * dx[row] * dx[row];
	}
}

static void add_turn(sums *s, const e3_similarity *x, const term *t)
{
	double camera[9];
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++) {
			camera[3 * row + col] = 0;
			for (int k = 0; k < 3; k++)
				camera[3 * row + col] += x->r[3 * row + k] * t->rotation[3 * k + col];
		}
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			for (int k = 0; k < 3; k++)
				s->turn[3 * row + col] += t->turn[3 * row + k] * camera[3 * col + k];
}

static void add_up(const e3_graph *g, sums *s)
{
	double length = 0;
	for (int k = 0; k < g->nodes; k++)
		for (int row = 0; row < 3; row++)
			for (int col = 0; col < 3; col++)
				s->up[row] += g->node[k].r[3 * row + col] * g->up[k][col];
	for (int k = 0; k < 3; k++)
		length = hypot(length, s->up[k]);
	for (int k = 0; k < 3 && length > 0; k++)
		s->up[k] /= length;
}

static void collect(const e3_graph *g, sums *s)
{
	memset(s, 0, sizeof *s);
	for (int k = 0; k < g->terms; k++) {
		const term *t = &g->term[k];
		double x[3];
		if (t->kind != TERM_POSITION && t->kind != TERM_POSE)
			continue;
		e3_similarity_apply(&g->node[t->node[0]], t->point[0], x);
		add_moments(s, x, t->position, t->weight[1] * t->weight[1]);
		s->points++;
		if (t->kind == TERM_POSE)
			s->poses++, add_turn(s, &g->node[t->node[0]], t);
	}
	if (s->points == 0)
		return;
	add_up(g, s);
	s->sigma2 = s->points / s->weight;
	s->var /= s->weight;
	for (int k = 0; k < 9; k++)
		s->cov[k] /= s->weight, s->known_cov[k] /= s->weight;
}

/* The spread of the known positions along their longest and second longest extent, in standard deviations. */
static void spread(const sums *s, double out[2])
{
	double u[9], d[3], v[9];
	e3_svd3(s->known_cov, u, d, v);
	for (int k = 0; k < 2; k++)
		out[k] = sqrt(d[k] / s->sigma2);
}

/* The rotation nearest to a matrix; the positions give the scale. */
static int from_turn(const sums *s, const double turn[9], e3_similarity *out)
{
	e3_moments m = {.var = 1};
	memcpy(m.cov, turn, sizeof m.cov);
	if (e3_similarity_solve(&m, false, out, NULL))
		return -1;
	double along = 0;
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			along += out->r[3 * row + col] * s->cov[3 * row + col];
	out->s = along / s->var;
	if (!(out->s > 0) || !isfinite(out->s))
		return -1;
	e3_similarity_apply(out, s->own, out->t);
	for (int k = 0; k < 3; k++)
		out->t[k] = s->known[k] - out->t[k];
	return 0;
}

/* Positions on a line, and up (Wahba's problem: each direction with the inverse of its variance). */
static int from_line(const sums *s, e3_similarity *out)
{
	/* along / var is the scale, so that what is turned is in the world's units. */
	double turn[9], u[9], d[3], v[9], along = 0;
	for (int k = 0; k < 9; k++)
		along = hypot(along, s->cov[k]);
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			turn[3 * row + col] = s->points * s->cov[3 * row + col] * along / (s->var * s->sigma2) +
				(row == 2 ? upright_weight * s->up[col] : 0);
	e3_svd3(turn, u, d, v);
	return d[1] > upright_weight / 10 ? from_turn(s, turn, out) : -1;
}

/* e3_similarity_apply adds out->t, so it must be 0 before. */
static int similarity(const sums *s, e3_similarity *out)
{
	double wide[2];
	memset(out, 0, sizeof *out);
	if (s->points < 2 || !(s->var > 0))
		return -1;
	spread(s, wide);
	if (s->poses > 0)
		return wide[0] > spread_least ? from_turn(s, s->turn, out) : -1;
	if (s->points < 3)
		return -1;
	if (!(wide[1] > spread_least))
		return wide[0] > spread_far ? from_line(s, out) : -1;
	e3_moments m = {.var = s->var};
	memcpy(m.from, s->own, sizeof m.from), memcpy(m.to, s->known, sizeof m.to), memcpy(m.cov, s->cov, sizeof m.cov);
	return e3_similarity_solve(&m, true, out, NULL);
}

static void move_all(e3_graph *g, const e3_similarity *by)
{
	for (int k = 0; k < g->nodes; k++)
		e3_similarity_mul(by, &g->node[k], &g->node[k]);
}

/* The scale that known distances give, as the weighted mean of its logarithm, about the first node. */
static void scale(e3_graph *g)
{
	double sum = 0, weight = 0;
	for (int k = 0; k < g->terms; k++)
		if (g->term[k].kind == TERM_DISTANCE) {
			linear l;
			double w = g->term[k].weight[1];
			graph_linearise(g, &g->term[k], false, &l);
			sum -= w * l.r[0], weight += w * w;
		}
	e3_similarity by = e3_similarity_identity;
	if (!(weight > 0))
		return;
	by.s = exp(sum / weight);
	for (int k = 0; k < 3; k++)
		by.t[k] = g->node[0].t[k] * (1 - by.s);
	move_all(g, &by);
}

int graph_place(e3_graph *g, e3_err *err)
{
	sums s;
	e3_similarity by;
	collect(g, &s);
	if (g->world)
		return 0;
	if (similarity(&s, &by) == 0) {
		move_all(g, &by);
		g->world = true;
	} else if (g->distances) {
		scale(g);
	}
	return 0;
}
