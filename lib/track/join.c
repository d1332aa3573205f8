/* track: the similarity between two sights of the same frames. */
#include "e3/mem.h"
#include "e3/track.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* The scale is the median over all frames; each frame's own tells how well they agree. */
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
	double *each = r ? e3_alloc((size_t)frames, sizeof *each, "depth ratios", err) : NULL;
	for (int k = 0; each && k < frames; k++) {
		size_t more = ratios_of(&a[k], &b[k], r + n);
		memcpy(r + room, r + n, more * sizeof *r);
		each[k] = median(r + room, more);
		n += more;
	}
	double middle = r ? median(r, n) : 0;
	for (int k = 0; each && k < frames; k++)
		squares += (each[k] - middle) * (each[k] - middle);
	out->sim.s = exp(middle), out->scale = sqrt(squares / frames);
	if (!n) /* nothing is known of the scale */
		out->sim.s = out->scale = 1;
	int rc = each ? 0 : -1;
	free(each), free(r);
	return rc;
}

int e3_join(const e3_view *a, const e3_view *b, int n, e3_joint *out, e3_err *err)
{
	double from[3], to[3], *r = out->sim.r;
	*out = (e3_joint){.sim = e3_similarity_identity};
	if (scale_of(a, b, n, out, err))
		return -1;
	for (int row = 0; row < 3; row++) /* world of a from world of b: Raᵀ Rb */
		for (int col = 0; col < 3; col++) {
			r[3 * row + col] = 0;
			for (int k = 0; k < 3; k++)
				r[3 * row + col] += a->pose.r[3 * k + row] * b->pose.r[3 * k + col];
		}
	e3_pose_center(&a->pose, to), e3_pose_center(&b->pose, from);
	e3_similarity_apply(&out->sim, from, from);
	for (int k = 0; k < 3; k++)
		out->sim.t[k] = to[k] - from[k];
	return 0;
}
