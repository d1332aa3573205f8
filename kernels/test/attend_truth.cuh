/* kernels: what attend_test compares with: attention and mass in double precision, by the most plain kernels, and on
 * the host. */
#ifndef E3_KERNELS_TEST_ATTEND_TRUTH_CUH
#define E3_KERNELS_TEST_ATTEND_TRUTH_CUH

#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call) \
	do { \
		cudaError_t e_ = (call); \
		if (e_) { \
			fprintf(stderr, "attend_test: %s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(e_)); \
			exit(1); \
		} \
	} while (0)

typedef struct setup {
	const char *what;
	int heads, dim, rows, keys, page_keys;
	bool f32, portable, map;
	float peak;  /* every 7th query is this many times as large */
	float spike; /* and every 97th key of the later ones, if not 0 */
} setup;

static void *dev_alloc(size_t bytes, int fill)
{
	void *p;
	CHECK(cudaMalloc(&p, bytes));
	CHECK(cudaMemset(p, fill, bytes));
	return p;
}

/* ---- the truth, in double ---- */

typedef struct truth {
	double *logit, *lse, *out, *mass; /* [heads][rows][keys], [heads][rows], [rows][heads * dim], [keys] */
} truth;

static __global__ void true_logits(const float *q, const float *k, setup s, double *logit)
{
	size_t n = (size_t)s.heads * s.rows * s.keys;
	for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
		size_t key = i % s.keys, row = i / s.keys, head = row / s.rows;
		const float *a = q + row * s.dim, *b = k + (head * s.keys + key) * s.dim;
		double sum = 0;
		for (int d = 0; d < s.dim; d++)
			sum += (double)a[d] * b[d];
		logit[i] = sum / sqrt((double)s.dim);
	}
}

/* A block for a row of a head; threads add in a tree. */
static __global__ void true_rows(const float *v, setup s, const double *logit, double *lse, double *out)
{
	__shared__ double room[256];
	size_t row = blockIdx.x, head = row / s.rows;
	const double *x = logit + row * s.keys;
	double top = -INFINITY, sum = 0;
	for (int k = 0; k < s.keys; k++)
		top = fmax(top, x[k]);
	for (int k = threadIdx.x; k < s.keys; k += 256)
		sum += exp(x[k] - top);
	room[threadIdx.x] = sum;
	__syncthreads();
	for (int by = 128; by; by /= 2) {
		if (threadIdx.x < by)
			room[threadIdx.x] += room[threadIdx.x + by];
		__syncthreads();
	}
	double z = top + log(room[0]);
	if (threadIdx.x == 0)
		lse[row] = z;
	for (int d = threadIdx.x; d < s.dim; d += 256) {
		double o = 0;
		for (int k = 0; k < s.keys; k++)
			o += exp(x[k] - z) * v[(head * s.keys + k) * s.dim + d];
		out[((row % s.rows) * s.heads + head) * s.dim + d] = o;
	}
}

static __global__ void true_mass(setup s, const double *logit, const double *lse, double *mass)
{
	__shared__ double room[32][8];
	int key = blockIdx.x * 32 + threadIdx.x % 32, n = s.heads * s.rows;
	double sum = 0;
	for (int r = threadIdx.x / 32; key < s.keys && r < n; r += 8)
		sum += exp(logit[(size_t)r * s.keys + key] - lse[r]);
	room[threadIdx.x % 32][threadIdx.x / 32] = sum;
	__syncthreads();
	if (threadIdx.x >= 32 || key >= s.keys)
		return;
	for (int i = 1; i < 8; i++)
		sum += room[threadIdx.x][i];
	mass[key] = sum / s.heads;
}

static void *to_host(const void *d, size_t bytes)
{
	void *h = malloc(bytes);
	CHECK(cudaMemcpy(h, d, bytes, cudaMemcpyDeviceToHost));
	return h;
}

/* q [heads][rows][dim], k and v [heads][keys][dim] in device memory */
static truth find_truth(const setup *s, const float *q, const float *k, const float *v)
{
	size_t rows = (size_t)s->heads * s->rows;
	double *logit = (double *)dev_alloc(rows * s->keys * 8, 0), *lse = (double *)dev_alloc(rows * 8, 0);
	double *out = (double *)dev_alloc(rows * s->dim * 8, 0), *m = (double *)dev_alloc((size_t)s->keys * 8, 0);
	true_logits<<<2048, 256>>>(q, k, *s, logit);
	true_rows<<<(unsigned)rows, 256>>>(v, *s, logit, lse, out);
	true_mass<<<(s->keys + 31) / 32, 256>>>(*s, logit, lse, m);
	CHECK(cudaDeviceSynchronize());
	truth t = {NULL, (double *)to_host(lse, rows * 8), (double *)to_host(out, rows * s->dim * 8),
		(double *)to_host(m, (size_t)s->keys * 8)};
	if (s->map)
		t.logit = (double *)to_host(logit, rows * s->keys * 8);
	void *all[] = {logit, lse, out, m};
	for (void *one : all)
		CHECK(cudaFree(one));
	return t;
}

/* The same on the host, to check the checker on a small case. */
static double check_truth(const setup *s, const float *const qkv[3], const truth *t)
{
	float *q = (float *)to_host(qkv[0], (size_t)s->heads * s->rows * s->dim * 4),
		  *k = (float *)to_host(qkv[1], (size_t)s->heads * s->keys * s->dim * 4);
	float *v = (float *)to_host(qkv[2], (size_t)s->heads * s->keys * s->dim * 4);
	double *x = (double *)malloc(s->keys * 8), *m = (double *)calloc(s->keys, 8), worst = 0;
	for (int h = 0; h < s->heads; h++)
		for (int r = 0; r < s->rows; r++) {
			double sum = 0;
			for (int j = 0; j < s->keys; j++) {
				x[j] = 0;
				for (int d = 0; d < s->dim; d++)
					x[j] +=
						(double)q[((size_t)h * s->rows + r) * s->dim + d] * k[((size_t)h * s->keys + j) * s->dim + d];
				x[j] /= sqrt((double)s->dim);
				sum += exp(x[j]);
			}
			worst = fmax(worst, fabs(log(sum) - t->lse[h * s->rows + r]));
			for (int d = 0; d < s->dim; d++) {
				double o = 0;
				for (int j = 0; j < s->keys; j++)
					o += exp(x[j]) / sum * v[((size_t)h * s->keys + j) * s->dim + d];
				worst = fmax(worst, fabs(o - t->out[((size_t)r * s->heads + h) * s->dim + d]));
			}
			for (int j = 0; j < s->keys; j++)
				m[j] += exp(x[j]) / sum / s->heads;
		}
	for (int j = 0; j < s->keys; j++)
		worst = fmax(worst, fabs(m[j] - t->mass[j]));
	free(q), free(k), free(v), free(x), free(m);
	return worst;
}

#endif
