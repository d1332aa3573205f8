/* bench: the sgemm rate of this machine, the yardstick of every share that `make bench` and `make parity` print.
 *
 * usage: sgemm [SECONDS]   prints GFLOP/s: the median of runs of a square product, on all threads OpenBLAS takes
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SIDE = 1536, MAX_RUNS = 1000 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 2, rate[MAX_RUNS];
	size_t n = (size_t)SIDE * SIDE;
	float *a = malloc(3 * n * sizeof *a);
	if (!a)
		return 1;
	for (size_t k = 0; k < 3 * n; k++)
		a[k] = (float)(k % 97) / 97 - 0.5f;
	int runs = 0;
	for (double start = now(); runs < 3 || (now() - start < seconds && runs < MAX_RUNS); runs++) {
		double t = now();
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIDE, SIDE, SIDE, 1, a, SIDE, a + n, SIDE, 0, a + 2 * n,
			SIDE);
		rate[runs] = 2.0 * SIDE * SIDE * SIDE / (now() - t) * 1e-9;
	}
	qsort(rate, (size_t)runs, sizeof *rate, by_size);
	printf("%.1f\n", rate[runs / 2]);
	free(a);
	return 0;
}
