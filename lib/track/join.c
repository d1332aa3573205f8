/* track: the similarity between two sights of the same frames. */
#include "e3/mem.h"
#include "e3/track.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 10 };             /* of reweighting */
static const double TINY = 1e-12; /* residuals are not divided by less */

/* A depth ratio, as a logarithm, and what it counts. */
typedef struct ratio {
	double log, weight;
} ratio;

static int by_log(const void *a, const void *b)
{
	double x = ((const ratio *)a)->log, y = ((const ratio *)b)->log;
	return (x > y) - (x < y);
}

/* The weighted median; sorts. */
static double median(ratio *r, size_t n)
{
	double all = 0, sum = 0;
	qsort(r, n, sizeof *r, by_log);
	for (size_t k = 0; k < n; k++)
		all += r[k].weight;
	for (size_t k = 0; k < n; k++)
		if ((sum += r[k].weight) >= all / 2)
			return r[k].log;
	return n ? r[n - 1].log : 0;
}

/* Confidences are above 1; what is not sure at all counts nothing. */
static double trust(float a, float b)
{
	double least = (double)(a < b ? a : b) - 1;
	return least > 0 ? least : 0;
}

static size_t ratios_of(const e3_view *a, const e3_view *b, ratio *to)
{
	size_t n = 0;
	for (int k = 0; k < a->k.w * a->k.h; k++) {
		double weight = trust(a->conf[k], b->conf[k]);
		if (e3_depth_known(a->depth[k]) && e3_depth_known(b->depth[k]) && isfinite(weight) && weight > 0)
			to[n++] = (ratio){log((double)a->depth[k] / (double)b->depth[k]), weight};
	}
	return n;
}

static int scale_of(const e3_view *a, const e3_view *b, int frames, e3_joint *out, e3_err *err)
{
	size_t room = 0, n = 0;
	double squares = 0;
	for (int k = 0; k < frames; k++) {
		if (a[k].k.w != b[k].k.w || a[k].k.h != b[k].k.h)
			return e3_fail(err, "joining segments: pictures of different sizes");
		room += (size_t)a[k].k.w * (size_t)a[k].k.h;
	}
	ratio *r = e3_alloc(2 * room + 1, sizeof *r, "depth ratios", err);
	if (!r)
		return -1;
	double *each = e3_alloc((size_t)frames, sizeof *each, "depth ratios", err);
	for (int k = 0; each && k < frames; k++) {
		size_t more = ratios_of(&a[k], &b[k], r + n);
		memcpy(r + room, r + n, more * sizeof *r);
		each[k] = median(r + room, more);
		n += more;
	}
	double middle = median(r, n);
	out->sim.s = exp(middle);
	for (int k = 0; each && k < frames; k++)
		squares += (each[k] - middle) * (each[k] - middle);
	out->scale = sqrt(squares / frames);
	for (size_t k = 0; k < n; k++)
		r[k].log = fabs(r[k].log - middle);
	out->depth = 1.4826 * median(r, n);
	free(each), free(r);
	if (!n) /* nothing is known of the scale */
		out->sim.s = out->scale = out->depth = 1;
	return each ? 0 : -1;
}

/* World of a from world of b by one frame's poses: Raᵀ Rb. */
static void rotation_of(const e3_view *a, const e3_view *b, double r[9])
{
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++) {
			r[3 * row + col] = 0;
			for (int k = 0; k < 3; k++)
				r[3 * row + col] += a->pose.r[3 * k + row] * b->pose.r[3 * k + col];
		}
}

static double angle_between(const double a[9], const double b[9])
{
	double chord = 0;
	for (int k = 0; k < 9; k++)
		chord += (a[k] - b[k]) * (a[k] - b[k]);
	return 2 * asin(fmin(1, sqrt(chord / 8)));
}

/* The rotation with the least sum of angles to those of the frames: reweighted chordal means. */
static int mean_rotation(const e3_view *a, const e3_view *b, int n, e3_joint *out, e3_err *err)
{
	memset(out->sim.r, 0, sizeof out->sim.r);
	for (int round = 0; round < ROUNDS; round++) {
		e3_moments m = {.var = 1};
		e3_similarity mean;
		for (int k = 0; k < n; k++) {
			double r[9];
			rotation_of(&a[k], &b[k], r);
			double weight = round ? 1 / fmax(angle_between(r, out->sim.r), 1e-6) : 1;
			for (int j = 0; j < 9; j++)
				m.cov[j] += weight * r[j];
		}
		if (e3_similarity_solve(&m, false, &mean, err))
			return e3_fail_in(err, "joining segments");
		memcpy(out->sim.r, mean.r, sizeof mean.r);
	}
	return 0;
}

/* Where frame k puts the translation: the centre in a less the turned and scaled centre in b. */
static void offset_of(const e3_view *a, const e3_view *b, const e3_similarity *sim, double t[3])
{
	double from[3], to[3];
	e3_similarity turn = *sim;
	memset(turn.t, 0, sizeof turn.t);
	e3_pose_center(&a->pose, to), e3_pose_center(&b->pose, from);
	e3_similarity_apply(&turn, from, from);
	for (int k = 0; k < 3; k++)
		t[k] = to[k] - from[k];
}

static double distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
	return sqrt(x * x + y * y + z * z);
}

/* The geometric median of the frames' translations. */
static void mean_translation(const e3_view *a, const e3_view *b, int n, e3_joint *out)
{
	for (int round = 0; round < ROUNDS; round++) {
		double sum[3] = {0}, all = 0;
		for (int k = 0; k < n; k++) {
			double t[3];
			offset_of(&a[k], &b[k], &out->sim, t);
			double weight = round ? 1 / fmax(distance(t, out->sim.t), TINY) : 1;
			for (int j = 0; j < 3; j++)
				sum[j] += weight * t[j];
			all += weight;
		}
		for (int j = 0; j < 3; j++)
			out->sim.t[j] = sum[j] / all;
	}
}

static double mean_depth(const e3_view *v, int n)
{
	double sum = 0;
	size_t count = 0;
	for (int k = 0; k < n; k++)
		for (int p = 0; p < v[k].k.w * v[k].k.h; p++)
			if (e3_depth_known(v[k].depth[p]))
				sum += (double)v[k].depth[p], count++;
	return count ? sum / (double)count : 1;
}

/* What the frames say of rotation and centre, less what was made of it. */
static void residuals(const e3_view *a, const e3_view *b, int n, e3_joint *out)
{
	double turns = 0, ways = 0;
	for (int k = 0; k < n; k++) {
		double r[9], t[3];
		rotation_of(&a[k], &b[k], r), offset_of(&a[k], &b[k], &out->sim, t);
		double angle = angle_between(r, out->sim.r), far = distance(t, out->sim.t);
		turns += angle * angle, ways += far * far;
	}
	out->rotation = sqrt(turns / n);
	out->centre = sqrt(ways / n) / fmax(mean_depth(a, n), DBL_MIN);
}

int e3_join(const e3_view *a, const e3_view *b, int n, e3_join_by by, e3_joint *out, e3_err *err)
{
	int used = by == E3_JOIN_FIRST ? 1 : n;
	*out = (e3_joint){.sim = e3_similarity_identity};
	if (scale_of(a, b, n, out, err) || mean_rotation(a, b, used, out, err))
		return -1;
	mean_translation(a, b, used, out);
	residuals(a, b, n, out);
	return 0;
}
