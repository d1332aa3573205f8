/* eval: depth: aligning a prediction to the truth, and its errors (doc/evaluation.md 3). Sums are added block by block
 * in double precision, always in the same order. */
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each sum has four lanes, so that the compiler can use vectors. This fixes the order of addition. */
enum {
	BLOCK = 512,
	LANES = 4,
	SCALE_STEPS = 10,
	ADAM_STEPS = 1000,
	ENOUGH = 1 << 17 /* fewer pixels are not worth starting threads */
};

typedef struct block {
	double p[BLOCK], g[BLOCK]; /* prediction, and the value to align to or to compare with; padded with 0 to a whole
								  number of lanes */
	size_t n;
} block;

static bool stopped(const e3_pixels *x) { return x->work && e3_work_stopped(x->work); }

/* The pairs from `at` on; false at the end, or when a stop was asked for. */
static inline bool next(const e3_pixels *x, size_t at, bool inverse, block *b)
{
	b->n = at < x->n ? (x->n - at < BLOCK ? x->n - at : BLOCK) : 0;
	if (at % E3_PARALLEL_BLOCK == 0 && stopped(x))
		b->n = 0;
	e3_pixels_passed(x, at);
	if (x->f)
		for (size_t k = 0; k < b->n; k++)
			b->p[k] = x->f[2 * (at + k)], b->g[k] = x->f[2 * (at + k) + 1];
	else
		for (size_t k = 0; k < b->n; k++)
			b->p[k] = x->d[2 * (at + k)], b->g[k] = x->d[2 * (at + k) + 1];
	for (size_t k = 0; inverse && k < b->n; k++)
		b->g[k] = 1 / (b->g[k] + 1e-8);
	for (size_t k = b->n; k % LANES; k++)
		b->p[k] = b->g[k] = 0;
	return b->n > 0;
}

const char *e3_depth_align_name(e3_depth_align align)
{
	static const char *const names[] = {"median", "scale", "scale&shift", "metric", "lstsq"};
	return names[align];
}

static size_t blocks_of(const e3_pixels *x) { return (x->n + E3_PARALLEL_BLOCK - 1) / E3_PARALLEL_BLOCK; }

static double total(const double lane[LANES]) { return (lane[0] + lane[1]) + (lane[2] + lane[3]); }

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Lower median of one side of pairs of double, of which there are few. */
static int median_wide(const e3_pixels *x, int side, bool inverse, double *to, e3_err *err)
{
	double *v = e3_alloc(x->n, sizeof *v, "values for a median", err);
	if (!v)
		return -1;
	for (size_t k = 0; k < x->n; k++)
		v[k] = inverse ? 1 / (x->d[2 * k + 1] + 1e-8) : x->d[2 * k + (size_t)side];
	qsort(v, x->n, sizeof *v, by_value);
	*to = v[(x->n - 1) / 2];
	free(v);
	return 0;
}

/* The same for pairs of float, in bounded memory. The inverse of the median of an even number of values is not the
 * median of the inverses, so the inverses are ranked. */
static int median_f32(const e3_pixels *x, int side, bool inverse, double *to, e3_err *err)
{
	e3_pct pct;
	int rc = e3_pct_init(&pct, (double[]){50}, 1, err);
	block b;
	for (int pass = 0; !rc && pass < 2; pass++) {
		for (size_t at = 0; next(x, at, false, &b); at += b.n)
			for (size_t k = 0; k < b.n; k++) {
				double v = side ? b.g[k] : b.p[k];
				(pass ? e3_pct_refine : e3_pct_add)(&pct, (float)(inverse ? 1 / (v + 1e-8) : v));
			}
		if (stopped(x))
			rc = e3_work_check(x->work, err);
		else if (!pass)
			rc = e3_pct_second_pass(&pct, err);
	}
	*to = rc ? NAN : e3_pct_lower(&pct, 0);
	e3_pct_release(&pct);
	return rc;
}

/* NaN when one of the values is. */
static int lower_median(const e3_pixels *x, int side, bool inverse, double *to, e3_err *err)
{
	block b;
	for (size_t at = 0; next(x, at, false, &b); at += b.n)
		for (size_t k = 0; k < b.n; k++)
			if (isnan(side ? b.g[k] : b.p[k])) {
				*to = NAN;
				return 0;
			}
	return (x->f ? median_f32 : median_wide)(x, side, inverse && side, to, err);
}

static int fit_median(const e3_pixels *x, bool inverse, e3_depth_fit *fit, e3_err *err)
{
	double p, g;
	if (lower_median(x, 0, inverse, &p, err) || lower_median(x, 1, inverse, &g, err))
		return -1;
	fit->s = g / p;
	return 0;
}

static void means(const e3_pixels *x, bool inverse, double *p, double *g)
{
	block b;
	double sum_p = 0, sum_g = 0;
	for (size_t at = 0; next(x, at, inverse, &b); at += b.n) {
		double sp[LANES] = {0}, sg[LANES] = {0};
		for (size_t k = 0; k < b.n; k += LANES)
			for (size_t l = 0; l < LANES; l++)
				sp[l] += b.p[k + l], sg[l] += b.g[k + l];
		sum_p += total(sp), sum_g += total(sg);
	}
	*p = sum_p / (double)x->n, *g = sum_g / (double)x->n;
}

static void fit_scale(const e3_pixels *x, bool inverse, e3_depth_fit *fit)
{
	double p, g, s;
	block b;
	means(x, inverse, &p, &g);
	s = g / p;
	for (fit->steps = 0; fit->steps < SCALE_STEPS; fit->steps++) {
		double num = 0, den = 0;
		for (size_t at = 0; next(x, at, inverse, &b); at += b.n) {
			double pg[LANES] = {0}, pp[LANES] = {0};
			for (size_t k = 0; k < b.n; k += LANES)
				for (size_t l = 0; l < LANES; l++) {
					double w = b.p[k + l] / (fabs(s * b.p[k + l] - b.g[k + l]) + 1e-8);
					pg[l] += w * b.g[k + l], pp[l] += w * b.p[k + l];
				}
			num += total(pg), den += total(pp);
		}
		s = num / den;
	}
	fit->s = s < 1e-3 ? 1e-3 : s;
}

/* Sum of |r| and of sign(r) (p, 1), r = s p + t - g. */
typedef struct residual {
	double loss, grad[2];
} residual;

typedef struct residuals {
	const e3_pixels *x;
	bool inverse;
	double s, t;
	residual *sum; /* one for each E3_PARALLEL_BLOCK pairs */
} residuals;

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t masks __attribute__((vector_size(LANES * sizeof(int64_t))));

/* This loop runs up to a thousand times over all pixels. It uses vector types of gcc and clang and is compiled twice:
 * with and without AVX2. */
static inline __attribute__((always_inline)) void add_residuals(void *ctx, size_t from, size_t to)
{
	const residuals *j = ctx;
	const double s = j->s, t = j->t;
	const lanes zero = {0};
	residual sum = {.loss = 0};
	block b;
	for (size_t at = from; at < to && next(j->x, at, j->inverse, &b); at += b.n) {
		lanes size = {0}, along = {0}, sign = {0};
		for (size_t k = b.n; k % LANES; k++)
			b.g[k] = t; /* no residual */
		for (size_t k = 0; k < b.n; k += LANES) {
			lanes p, g, one;
			memcpy(&p, b.p + k, sizeof p), memcpy(&g, b.g + k, sizeof g);
			lanes r = s * p + t - g;
			masks above = r > 0, below = r < 0;
			one = (lanes)((masks)(zero + 1) & above) - (lanes)((masks)(zero + 1) & below);
			size += one * r, along += one * p, sign += one;
		}
		sum.loss += total((double *)&size), sum.grad[0] += total((double *)&along),
			sum.grad[1] += total((double *)&sign);
	}
	j->sum[from / E3_PARALLEL_BLOCK] = sum;
}

static void residuals_plain(void *ctx, size_t from, size_t to) { add_residuals(ctx, from, to); }

#ifdef __x86_64__
__attribute__((target("avx2"))) static void residuals_avx2(void *ctx, size_t from, size_t to)
{
	add_residuals(ctx, from, to);
}
#endif

/* The sums do not depend on the number of threads, nor on the processor. */
static residual all_residuals(residuals *j, int threads)
{
	void (*fn)(void *, size_t, size_t) = residuals_plain;
	residual sum = {.loss = 0};
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		fn = residuals_avx2;
#endif
	e3_parallel_blocks(j->x->n < ENOUGH ? 1 : threads, j->x->n, fn, j);
	for (size_t k = 0; k < blocks_of(j->x); k++) {
		sum.loss += j->sum[k].loss;
		for (int a = 0; a < 2; a++)
			sum.grad[a] += j->sum[k].grad[a];
	}
	return sum;
}

static int fit_adam(const e3_pixels *x, const e3_depth_rule *rule, e3_depth_fit *fit, e3_err *err)
{
	const double rate = 1e-4, b1 = 0.9, b2 = 0.999, eps = 1e-8;
	double m[2] = {0}, v[2] = {0}, before = 0, b1k = 1, b2k = 1;
	residuals j = {.x = x, .inverse = rule->disparity};
	if (fit_median(x, rule->disparity, fit, err) ||
		!(j.sum = e3_alloc(blocks_of(x), sizeof *j.sum, "sums of pixels", err)))
		return -1;
	while (fit->steps < ADAM_STEPS && !stopped(x)) {
		double step[2];
		j.s = fit->s, j.t = fit->t;
		residual r = all_residuals(&j, rule->threads);
		b1k *= b1, b2k *= b2;
		for (int k = 0; k < 2; k++) {
			m[k] = b1 * m[k] + (1 - b1) * r.grad[k];
			v[k] = b2 * v[k] + (1 - b2) * r.grad[k] * r.grad[k];
			step[k] = rate / (1 - b1k) * m[k] / (sqrt(v[k]) / sqrt(1 - b2k) + eps);
		}
		fit->s -= step[0], fit->t -= step[1];
		if (++fit->steps > 1 && fabs(before - r.loss) < 1e-6)
			break;
		before = r.loss;
	}
	free(j.sum);
	return 0;
}

static void fit_least_squares(const e3_pixels *x, bool inverse, e3_depth_fit *fit)
{
	double p, g, pg = 0, pp = 0;
	block b;
	means(x, inverse, &p, &g);
	for (size_t at = 0; next(x, at, inverse, &b); at += b.n)
		for (size_t k = 0; k < b.n; k++)
			pg += (b.p[k] - p) * (b.g[k] - g), pp += (b.p[k] - p) * (b.p[k] - p);
	if (pp == 0) { /* all predictions are equal: the least-norm solution */
		fit->s = g * p / (p * p + 1), fit->t = g / (p * p + 1);
		return;
	}
	fit->s = pg / pp, fit->t = g - fit->s * p;
}

int e3_depth_align_fit(const e3_pixels *x, const e3_depth_rule *rule, e3_depth_fit *fit, e3_err *err)
{
	int rc = 0;
	*fit = (e3_depth_fit){.s = 1};
	if (x->n == 0)
		return 0;
	switch (rule->align) {
	case E3_DEPTH_MEDIAN:
		rc = fit_median(x, rule->disparity, fit, err);
		break;
	case E3_DEPTH_SCALE:
		fit_scale(x, rule->disparity, fit);
		break;
	case E3_DEPTH_SCALE_SHIFT:
		rc = fit_adam(x, rule, fit, err);
		break;
	case E3_DEPTH_LSTSQ:
		fit_least_squares(x, rule->disparity, fit);
		break;
	default:
		break;
	}
	return rc || !x->work ? rc : e3_work_check(x->work, err);
}

/* Sums of one block. */
static void add_block(const block *b, const e3_depth_rule *rule, const e3_depth_fit *fit, e3_depth_score *sum)
{
	static const double limit[E3_DELTAS] = {1, 1.25, 1.25 * 1.25, 1.25 * 1.25 * 1.25};
	for (size_t k = 0; k < b->n; k++) {
		double g = b->g[k], q = fit->s * b->p[k] + fit->t;
		if (rule->disparity)
			q = isnan(q) ? q : q > 0 ? 1 / q : 0;
		if (rule->clip > 0 && q > rule->clip)
			q = rule->clip;
		double e = fabs(q - g);
		sum->abs_rel += e / g, sum->sq_rel += e * e / g, sum->rmse += e * e;
		q = q < 1e-5 ? 1e-5 : q;
		double ratio = q > g ? q / g : g / q, l = log(ratio);
		sum->log_rmse += l * l;
		for (int d = 0; d < E3_DELTAS; d++)
			sum->delta[d] += ratio < limit[d];
		sum->close += ratio < 1.03;
	}
}

void e3_depth_evaluate(const e3_pixels *x, const e3_depth_rule *rule, const e3_depth_fit *fit, e3_depth_score *score)
{
	block b;
	*score = (e3_depth_score){.n = (double)x->n};
	if (x->n == 0)
		return;
	for (size_t at = 0; next(x, at, false, &b); at += b.n) {
		e3_depth_score one = {0};
		add_block(&b, rule, fit, &one);
		score->abs_rel += one.abs_rel, score->sq_rel += one.sq_rel, score->rmse += one.rmse,
			score->log_rmse += one.log_rmse;
		for (int d = 0; d < E3_DELTAS; d++)
			score->delta[d] += one.delta[d];
		score->close += one.close;
	}
	score->abs_rel /= score->n, score->sq_rel /= score->n, score->close /= score->n;
	score->rmse = sqrt(score->rmse / score->n), score->log_rmse = sqrt(score->log_rmse / score->n);
	for (int d = 0; d < E3_DELTAS; d++)
		score->delta[d] /= score->n;
}

static void add_weighted(e3_depth_score *sum, const e3_depth_score *one, double w)
{
	sum->abs_rel += w * one->abs_rel, sum->sq_rel += w * one->sq_rel, sum->rmse += w * one->rmse,
		sum->log_rmse += w * one->log_rmse;
	for (int d = 0; d < E3_DELTAS; d++)
		sum->delta[d] += w * one->delta[d];
	sum->close += w * one->close;
}

void e3_depth_average_add(e3_depth_score *sum, const e3_depth_score *one)
{
	if (one->n > 0)
		add_weighted(sum, one, one->n);
	sum->n += one->n;
}

void e3_depth_average_finish(e3_depth_score *sum)
{
	e3_depth_score all = *sum;
	*sum = (e3_depth_score){.n = all.n};
	if (all.n > 0)
		add_weighted(sum, &all, 1 / all.n);
}
