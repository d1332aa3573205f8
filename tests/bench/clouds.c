/* Two clouds of N points each, as e3-eval recon compares them: seconds, and memory at its highest. The clouds are a room's walls and a
 * wavy floor; the prediction is noisy, of another scale, shifted and a little turned. Also the tree alone, on a million points.
 *
 *   make build/bin/e3-eval && cc -std=c11 -D_GNU_SOURCE -O2 -Ilib tests/bench/clouds.c build/lib{eval,geom,data,base}.a -lm -pthread -o clouds
 *   ./clouds [N [THREADS]]
 */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint32_t seed = 1;

static double uniform(void)
{
	seed = e3_fmix32(seed + 0x9e3779b9u);
	return seed / 4294967296.0;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void surface(size_t k, size_t n, double x[3])
{
	double side = ceil(sqrt((double)n / 3)), u = fmod((double)(k / 3), side) / side, v = floor((double)(k / 3) / side) / side;
	double a = 5 * u + 0.001 * uniform(), b = 5 * v + 0.001 * uniform(), c = 0.1 * sin(4 * a) * cos(3 * b);
	const double at[3][3] = {{a, c, b + 2}, {c, a, b + 2}, {a, b, c + 2}};
	for (int j = 0; j < 3; j++)
		x[j] = at[k % 3][j];
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 8000000, million = 1000000, found = 0;
	int threads = argc > 2 ? atoi(argv[2]) : 2;
	double (*x)[3] = e3_alloc(million, sizeof *x, "points", NULL), began, d2;
	e3_kdtree t;
	for (size_t k = 0; k < million; k++)
		for (int a = 0; a < 3; a++)
			x[k][a] = uniform();
	began = now();
	if (e3_kdtree_init(&t, x, million, 1, NULL))
		return 1;
	printf("a tree of 1000000 random points, one thread: %.2f s\n", now() - began);
	began = now();
	for (size_t k = 0, row; k < 100000; k++)
		found += e3_kdtree_near(&t, (double[]){uniform(), uniform(), uniform()}, 1, INFINITY, &row, &d2);
	printf("%zu nearest points, one thread: %.2f s\n", found, now() - began);
	e3_kdtree_release(&t), free(x);

	e3_recon r = {.views = 0};
	e3_recon_score s;
	e3_err err;
	for (size_t k = 0; k < n; k++) {
		double g[3], p[3], turn = 0.01;
		surface(k, n, g);
		for (int a = 0; a < 3; a++)
			p[a] = g[a] + 0.02 * (uniform() - 0.5);
		const double pred[3] = {1.7 * (p[0] * cos(turn) - p[1] * sin(turn)), 1.7 * (p[0] * sin(turn) + p[1] * cos(turn)), 1.7 * p[2] - 0.4};
		if (e3_recon_push(&r, pred, g, true, &err))
			return fprintf(stderr, "%s\n", err.text), 1;
	}
	began = now();
	if (e3_recon_evaluate(&r, &(e3_recon_rule){.radius = 0.1, .threads = threads}, &s, &err))
		return fprintf(stderr, "%s\n", err.text), 1;
	printf("2 x %zu points, %d threads: %.1f s, peak %.0f MiB; ICP %d steps, acc %.6f comp %.6f nc %.6f\n", n, threads, now() - began,
		(double)e3_rss_peak() / 1048576, s.icp.steps, s.acc, s.comp, s.nc);
	e3_recon_release(&r);
	return 0;
}
