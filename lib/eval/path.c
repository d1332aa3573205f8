/* eval: camera paths: ATE and RPE after a similarity, with evo's conventions (doc/evaluation.md 5), drift over parts of
 * the path, and rotations without alignment. */
#include "e3/eval.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEGREES (180 / 3.14159265358979323846)

void e3_camera_pose_of(const e3_pose *p, e3_camera_pose *to)
{
	e3_pose_center(p, to->x);
	e3_pose_quat_to_world(p, to->q);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void e3_stats_make(double *v, size_t n, e3_stats *to)
{
	*to = (e3_stats){0};
	if (n == 0)
		return;
	double sum = 0, square = 0;
	for (size_t k = 0; k < n; k++)
		sum += v[k], to->sse += v[k] * v[k];
	to->mean = sum / (double)n, to->rmse = sqrt(to->sse / (double)n);
	for (size_t k = 0; k < n; k++)
		square += (v[k] - to->mean) * (v[k] - to->mean);
	to->std = sqrt(square / (double)n);
	qsort(v, n, sizeof *v, by_value);
	to->min = v[0], to->max = v[n - 1];
	to->median = (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* conj(a) × b: the rotation from a to b, seen from a. */
static void between(const double a[4], const double b[4], double out[4])
{
	double back[4] = {-a[0], -a[1], -a[2], a[3]};
	e3_quat_mul(back, b, out);
}

/* The motion from pose a to pose b in the axes of a: rotation and translation. */
static void step(const e3_camera_pose *a, const e3_camera_pose *b, double q[4], double t[3])
{
	double r[9], d[3] = {b->x[0] - a->x[0], b->x[1] - a->x[1], b->x[2] - a->x[2]};
	between(a->q, b->q, q);
	if (e3_quat_to_mat(a->q, r))
		memset(r, 0, sizeof r); /* cannot fail: q has unit length */
	for (int k = 0; k < 3; k++)
		t[k] = r[k] * d[0] + r[3 + k] * d[1] + r[6 + k] * d[2];
}

/* The error of the motion from pose 0 to pose `to`. Its length does not depend on the axes, so only the scale of the
 * similarity matters. */
static void step_error(const e3_camera_pose *ref, const e3_camera_pose *est, size_t to, double scale, double *length,
	double *angle)
{
	double qr[4], tr[3], qe[4], te[3], q[4], sum = 0;
	step(ref, ref + to, qr, tr), step(est, est + to, qe, te);
	for (int k = 0; k < 3; k++)
		sum += (scale * te[k] - tr[k]) * (scale * te[k] - tr[k]);
	between(qr, qe, q);
	*length = sqrt(sum), *angle = DEGREES * e3_quat_angle(q);
}

/* Parts of PARTS lengths, tenths of the path, from every pose on that has one so long after it. along: [n] room. */
static void measure_drift(const e3_camera_pose *ref, const e3_camera_pose *est, size_t n, double *along,
	e3_path_score *score)
{
	enum { PARTS = 8 };
	double sum_t = 0, sum_r = 0;
	size_t count = 0;
	along[0] = 0;
	for (size_t i = 1; i < n; i++) {
		double square = 0;
		for (int k = 0; k < 3; k++)
			square += (ref[i].x[k] - ref[i - 1].x[k]) * (ref[i].x[k] - ref[i - 1].x[k]);
		along[i] = along[i - 1] + sqrt(square);
	}
	score->length = along[n - 1];
	for (int part = 1; part <= PARTS; part++) {
		double want = score->length * part / 10, length, angle;
		for (size_t i = 0, to = 0; want > 0; i++) {
			while (to < n && !(along[to] > along[i] + want))
				to++;
			if (to == n)
				break;
			step_error(ref + i, est + i, to - i, score->sim.s, &length, &angle);
			sum_t += length / want, sum_r += angle / want, count++;
		}
	}
	score->drift_t = count ? sum_t / (double)count : NAN;
	score->drift_r = count ? sum_r / (double)count : NAN;
}

static int align(const e3_camera_pose *ref, const e3_camera_pose *est, size_t n, e3_similarity *sim, e3_err *err)
{
	double(*x)[3] = e3_alloc(2 * n, sizeof *x, "positions", err);
	if (!x)
		return -1;
	for (size_t i = 0; i < n; i++) {
		memcpy(x[i], est[i].x, sizeof *x);
		memcpy(x[n + i], ref[i].x, sizeof *x);
	}
	int rc = e3_similarity_fit((const double(*)[3])x, (const double(*)[3])(x + n), n, true, sim, err);
	free(x);
	return rc;
}

int e3_path_evaluate(const e3_camera_pose *ref, const e3_camera_pose *est, size_t n, e3_path_score *score, double *ate,
	e3_err *err)
{
	*score = (e3_path_score){0};
	if (align(ref, est, n, &score->sim, err))
		return -1;
	double *v = e3_alloc(n, 4 * sizeof *v, "errors of a path", err), *turn = v + n, *length = v + 2 * n,
		   *angle = v + 3 * n;
	if (!v)
		return -1;
	for (size_t i = 0; i < n; i++) {
		double x[3], q[4], sum = 0;
		e3_similarity_apply(&score->sim, est[i].x, x);
		for (int k = 0; k < 3; k++)
			sum += (x[k] - ref[i].x[k]) * (x[k] - ref[i].x[k]);
		v[i] = sqrt(sum);
		between(ref[i].q, est[i].q, q);
		turn[i] = DEGREES * e3_quat_angle(q);
		if (i + 1 < n)
			step_error(ref + i, est + i, 1, score->sim.s, &length[i], &angle[i]);
	}
	if (ate)
		memcpy(ate, v, n * sizeof *v);
	e3_stats_make(v, n, &score->ate), e3_stats_make(turn, n, &score->turn);
	e3_stats_make(length, n - 1, &score->rpe_t), e3_stats_make(angle, n - 1, &score->rpe_r);
	measure_drift(ref, est, n, v, score);
	free(v);
	return 0;
}
