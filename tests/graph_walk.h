/* A walk of segments whose truth is known: similarities, and measurements made from them. */
#ifndef GRAPH_WALK_H
#define GRAPH_WALK_H

#include "check.h"
#include "e3/graph.h"

typedef struct walk {
	int n;
	e3_similarity *truth;   /* of each segment, to the world */
	e3_similarity *drifted; /* what the joins alone give */
	uint64_t seed;
} walk;

/* Uniform in [-1, 1]. */
static inline double walk_random(walk *w)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(w->seed >> 11) * 0x1p-52 - 1;
}

/* About normal, of standard deviation 1: the sum of 12 uniform numbers of variance 1/3, halved. */
static inline double walk_normal(walk *w)
{
	double sum = 0;
	for (int k = 0; k < 12; k++)
		sum += walk_random(w);
	return sum / 2;
}

static inline void walk_turn(const double axis[3], double angle, double r[9])
{
	double length = sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]), k = sin(angle / 2) / length;
	const double q[4] = {k * axis[0], k * axis[1], k * axis[2], cos(angle / 2)};
	assert_int_equal(e3_quat_to_mat(q, r), 0);
}

/* Segments along a circle that is walked `rounds` times, looking forward, a little up and down; each in its own
 * scale. */
static inline walk walk_make(int n, double rounds, uint64_t seed)
{
	walk w = {.n = n,
		.seed = seed,
		.truth = calloc((size_t)n, sizeof *w.truth),
		.drifted = calloc((size_t)n, sizeof *w.drifted)};
	double radius = n / rounds / 6.283185307179586; /* a unit from segment to segment */
	for (int k = 0; k < n; k++) {
		double angle = 6.283185307179586 * rounds * k / n;
		walk_turn((const double[3]){0.1, 1, 0.05}, angle, w.truth[k].r);
		w.truth[k].s = k ? exp(0.3 * walk_random(&w)) : 1;
		w.truth[k].t[0] = radius * sin(angle), w.truth[k].t[1] = 0.3 * sin(3 * angle),
		w.truth[k].t[2] = radius * cos(angle);
	}
	return w;
}

static inline void walk_free(walk *w) { free(w->truth), free(w->drifted); }

/* From segment b to segment a: the truth, then turned, moved and scaled by noise of these standard deviations. */
static inline e3_similarity walk_measure(walk *w, int a, int b, const double sigma[3])
{
	e3_similarity inverse, sim, off = e3_similarity_identity;
	double axis[3];
	e3_similarity_invert(&w->truth[a], &inverse);
	e3_similarity_mul(&inverse, &w->truth[b], &sim);
	for (int k = 0; k < 3; k++)
		axis[k] = walk_normal(w);
	double turn = sigma[0] * sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
	walk_turn(axis, turn, off.r);
	e3_similarity turned = sim;
	memset(turned.t, 0, sizeof turned.t);
	e3_similarity_mul(&off, &turned, &turned);
	for (int k = 0; k < 3; k++)
		turned.t[k] = sim.t[k] + sigma[1] * walk_normal(w);
	turned.s *= exp(sigma[2] * walk_normal(w));
	return turned;
}

/* A graph of the walk's joins, each node where they put it; scale: a factor that every join has too much. */
static inline e3_graph *walk_graph(walk *w, const e3_graph_options *o, const double sigma[3], double scale)
{
	const double stated[3] = {0.01, 0.02, 0.02};
	e3_graph *g = e3_graph_open(o, NULL);
	assert_non_null(g);
	for (int k = 0; k < w->n; k++) {
		e3_graph_edge e = {.type = E3_EDGE_JOIN, .a = k - 1, .b = k};
		w->drifted[k] = w->truth[k];
		if (k) {
			e.sim = walk_measure(w, k - 1, k, sigma);
			e.sim.s *= scale;
			e3_similarity_mul(&w->drifted[k - 1], &e.sim, &w->drifted[k]);
		}
		assert_int_equal(e3_graph_add_node(g, &w->drifted[k], NULL), k);
		memcpy(e.sigma, stated, sizeof stated);
		assert_true(k == 0 || e3_graph_add_edge(g, &e, NULL) >= 0);
	}
	return g;
}

static inline int walk_loop(walk *w, e3_graph *g, int a, int b, const double sigma[3])
{
	e3_graph_edge e = {.type = E3_EDGE_LOOP, .a = a, .b = b, .sim = walk_measure(w, a, b, sigma)};
	memcpy(e.sigma, (const double[3]){0.02, 0.05, 0.05}, sizeof e.sigma);
	int number = e3_graph_add_edge(g, &e, NULL);
	assert_true(number >= 0);
	return number;
}

/* How far the segments' origins are from the truth: root mean square; the largest error of a scale, and of a rotation
 * in radians. */
typedef struct walk_error {
	double rms, scale, angle;
} walk_error;

static inline walk_error walk_compare(const walk *w, const e3_graph *g, const e3_similarity *world)
{
	walk_error e = {0};
	for (int k = 0; k < w->n; k++) {
		e3_similarity truth = w->truth[k], off;
		double q[4];
		if (world)
			e3_similarity_mul(world, &truth, &truth);
		const e3_similarity *x = e3_graph_at(g, k);
		for (int i = 0; i < 3; i++)
			e.rms += (x->t[i] - truth.t[i]) * (x->t[i] - truth.t[i]) / w->n;
		e.scale = fmax(e.scale, fabs(x->s / truth.s - 1));
		e3_similarity_invert(x, &off);
		e3_similarity_mul(&off, &truth, &off);
		assert_int_equal(e3_mat_to_quat(off.r, q), 0);
		e.angle = fmax(e.angle, e3_quat_angle(q));
	}
	e.rms = sqrt(e.rms);
	return e;
}

static inline walk_error walk_show(const char *what, const walk *w, const e3_graph *g, const e3_similarity *world)
{
	walk_error e = walk_compare(w, g, world);
	printf("# %-44s rms %.2e  scale %.2e  angle %.2e\n", what, e.rms, e.scale, e.angle);
	return e;
}

#endif
