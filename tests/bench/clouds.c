/* Two clouds of N points each, compared as e3-eval recon does it, stage by stage: seconds, processor seconds of all
 * threads, and memory at its highest. The clouds are a room's walls and a wavy floor; the prediction is noisy, of
 * another scale, shifted and turned so far that ICP takes all its steps.
 *
 *   make bench CLOUD_POINTS=8000000, or build/bench/clouds [N [THREADS]]
 */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint32_t seed = 1;

static double uniform(void)
{
	seed = e3_fmix32(seed + 0x9e3779b9u);
	return seed / 4294967296.0;
}

typedef struct moment {
	double wall, cpu;
} moment;

static moment now(void)
{
	struct timespec t;
	struct rusage u;
	clock_gettime(CLOCK_MONOTONIC, &t);
	getrusage(RUSAGE_SELF, &u);
	return (moment){(double)t.tv_sec + 1e-9 * (double)t.tv_nsec,
		(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec)};
}

static void tell(const char *what, moment *since)
{
	moment t = now();
	printf("  %-12s %8.1f s %8.1f s of processors\n", what, t.wall - since->wall, t.cpu - since->cpu);
	*since = t;
}

/* Three walls, one after the other, row by row, as pixels come. */
static void surface(size_t k, size_t n, double x[3])
{
	size_t wall = 3 * k / n, at = k - (n * wall + 2) / 3;
	double side = ceil(sqrt((double)n / 3)), u = fmod((double)at, side) / side, v = floor((double)at / side) / side;
	double a = 5 * u + 0.001 * uniform(), b = 5 * v + 0.001 * uniform(), c = 0.1 * sin(4 * a) * cos(3 * b);
	const double on[3][3] = {{a, c, b + 2}, {c, a, b + 2}, {a, b, c + 2}};
	memcpy(x, on[wall], sizeof on[0]);
}

static int fill(e3_recon *r, size_t n, e3_err *err)
{
	const double turn = 0.04;
	for (size_t k = 0; k < n; k++) {
		double g[3], p[3];
		surface(k, n, g);
		for (int a = 0; a < 3; a++)
			p[a] = g[a] + 0.02 * (uniform() - 0.5);
		const double pred[3] = {1.7 * (p[0] * cos(turn) - p[1] * sin(turn)),
			1.7 * (p[0] * sin(turn) + p[1] * cos(turn)), 1.7 * p[2] - 0.4};
		if (e3_recon_push(r, pred, g, true, err))
			return -1;
	}
	return 0;
}

static int normals_of(e3_point_set *c, const e3_work *work, e3_err *err)
{
	if (!(c->normal = e3_alloc(c->tree.n, sizeof *c->normal, "normals", err)))
		return -1;
	return e3_normals_make(&c->tree, E3_NORMAL_NEIGHBOURS, work, c->normal, err);
}

/* The stages of e3_recon_evaluate. */
static int stages(e3_recon *r, const e3_work *work, e3_recon_score *s, e3_err *err)
{
	e3_matched *m = &r->inside;
	e3_point_set pred = {.normal = NULL}, truth = {.normal = NULL};
	moment t = now();
	if (e3_recon_normalise(r, &s->fit, err))
		return -1;
	tell("shift, scale", &t);
	if (e3_kdtree_init(&truth.tree, m->truth, m->n, work, err))
		return -1;
	tell("a tree", &t);
	if (e3_icp_run(m->pred, m->n, &truth.tree, &(e3_icp_rule){0.1, work}, &s->icp, err))
		return -1;
	tell("ICP", &t);
	if (e3_kdtree_init(&pred.tree, m->pred, m->n, work, err))
		return -1;
	tell("a tree", &t);
	if (normals_of(&pred, work, err) || normals_of(&truth, work, err))
		return -1;
	tell("normals", &t);
	if (e3_point_sets_compare(&pred, &truth, work, s, err))
		return -1;
	tell("neighbours", &t);
	free(pred.normal), free(truth.normal);
	e3_kdtree_release(&pred.tree), e3_kdtree_release(&truth.tree);
	return 0;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 8000000;
	int threads = argc > 2 ? atoi(argv[2]) : 2;
	e3_recon r = {.views = 0};
	e3_recon_score s = {.points = n};
	e3_err err;
	moment began;
	if (fill(&r, n, &err))
		return fprintf(stderr, "%s\n", err.text), 1;
	began = now();
	if (stages(&r, &(e3_work){.threads = threads}, &s, &err))
		return fprintf(stderr, "%s\n", err.text), 1;
	printf(
		"2 x %zu points, %d threads, %d steps of ICP: %.1f s, %.1f s of processors, peak %.0f MiB; acc %.12g comp %.12g nc %.12g rmse "
		"%.12g fitness %.12g\n",
		n, threads, s.icp.steps, now().wall - began.wall, now().cpu - began.cpu, (double)e3_rss_peak() / 1048576, s.acc,
		s.comp, s.nc, s.icp.rmse, s.icp.fitness);
	e3_recon_release(&r);
	return 0;
}
