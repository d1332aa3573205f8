/* place: the scale from known distances between cameras, or between points of the surface. Refuses pixels outside of
 * their picture and without a depth, and frames that do not come. */
#include "place.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Distances that disagree by less than this do not make one another wrong: nobody measures a room more exactly from
 * predictions. */
static const double least_outlier = 0.02;

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median of the known depths at the pixel and around it, so that a single wrong one does not count. */
static double depth_at(const e3_pred *pred, int u, int v)
{
	double known[9];
	size_t n = 0;
	for (int y = v - 1; y <= v + 1; y++)
		for (int x = u - 1; x <= u + 1; x++) {
			if (x < 0 || y < 0 || x >= pred->w || y >= pred->h)
				continue;
			float d = pred->depth[(size_t)y * (size_t)pred->w + (size_t)x];
			if (e3_depth_known(d))
				known[n++] = d;
		}
	qsort(known, n, sizeof *known, ascending);
	return n ? (known[(n - 1) / 2] + known[n / 2]) / 2 : 0;
}

static int surface(const e3_pred *pred, const e3_pose *pose, const double pixel[2], double at[3], e3_err *err)
{
	const e3_source *s = &pred->s;
	e3_intrinsics k = e3_intrinsics_decode(pred->pose, pred->w, pred->h);
	double u = s->fit.sx * pixel[0] + s->fit.tx, v = s->fit.sy * pixel[1] + s->fit.ty, x[3];
	if (!pred->depth)
		return e3_fail(err, "the stream has no depth");
	if (!e3_intrinsics_usable(pred->pose))
		return e3_fail(err, "its field of view is not usable");
	if (pixel[0] > s->src_w || pixel[1] > s->src_h)
		return e3_fail(err, "pixel %g,%g is outside of the picture, which is %d × %d", pixel[0], pixel[1], s->src_w,
			s->src_h);
	if (!(u >= 0 && v >= 0 && u < pred->w && v < pred->h))
		return e3_fail(err, "pixel %g,%g is in a part of the picture that the network does not see", pixel[0],
			pixel[1]);
	double d = depth_at(pred, (int)u, (int)v);
	if (!(d > 0))
		return e3_fail(err, "pixel %g,%g has no depth", pixel[0], pixel[1]);
	x[0] = (u - k.cx) * d / k.fx - pose->t[0], x[1] = (v - k.cy) * d / k.fy - pose->t[1], x[2] = d - pose->t[2];
	for (int row = 0; row < 3; row++)
		at[row] = pose->r[row] * x[0] + pose->r[3 + row] * x[1] + pose->r[6 + row] * x[2];
	return 0;
}

int place_see_distances(e3_place *p, const e3_pred *pred, const e3_pose *pose, e3_err *err)
{
	for (int k = 0; k < p->o.n_distances; k++)
		for (int side = 0; side < 2; side++) {
			const e3_place_end *end = &p->o.distance[k].end[side];
			place_found *f = &p->end[side][k];
			if (end->frame != pred->s.i)
				continue;
			int rc = 0;
			if (!pose)
				rc = e3_fail(err, "the stream has no pose for it");
			else if (end->surface)
				rc = surface(pred, pose, end->pixel, f->at, err);
			else
				e3_pose_center(pose, f->at);
			if (rc)
				return e3_fail_in(err, "known distance %d: frame %lld", k + 1, (long long)end->frame);
			f->seen = true;
		}
	return 0;
}

static int correct_end(place_found *f, int64_t frame, e3_place_correction *correct, void *of, e3_err *err)
{
	e3_similarity sim;
	int there = correct ? correct(of, frame, &sim, err) : 0;
	if (there > 0)
		e3_similarity_apply(&sim, f->at, f->at);
	return there < 0 ? -1 : 0;
}

static int found_length(e3_place *p, int k, e3_place_correction *correct, void *of, double *length, e3_err *err)
{
	const e3_place_distance *d = &p->o.distance[k];
	double sum = 0, far = 0;
	for (int side = 0; side < 2; side++) {
		place_found *f = &p->end[side][k];
		if (!f->seen)
			return e3_fail(err, "known distance %d: frame %lld did not come: the stream has %lld frames, %lld to %lld",
				k + 1, (long long)d->end[side].frame, (long long)p->frames, (long long)p->first, (long long)p->last);
		if (correct_end(f, d->end[side].frame, correct, of, err))
			return -1;
	}
	for (int axis = 0; axis < 3; axis++) {
		double a = p->end[0][k].at[axis], b = p->end[1][k].at[axis];
		sum += (a - b) * (a - b);
		far = fmax(far, fmax(fabs(a), fabs(b)));
	}
	*length = sqrt(sum);
	if (!(*length > 1e-6 * far))
		return e3_fail(err, "known distance %d: its ends are in one place: %g units apart", k + 1, *length);
	return 0;
}

/* The mean of the logarithms of those near the median, so that a factor and its inverse count alike. */
int place_solve_distances(e3_place *p, e3_place_correction *correct, void *of, e3_err *err)
{
	double ratio[E3_PLACE_DISTANCES_MOST], sorted[E3_PLACE_DISTANCES_MOST], off[E3_PLACE_DISTANCES_MOST];
	e3_place_facts *f = &p->facts;
	size_t n = (size_t)p->o.n_distances, used = 0;
	for (size_t k = 0; k < n; k++) {
		if (found_length(p, (int)k, correct, of, &f->found[k], err))
			return -1;
		sorted[k] = ratio[k] = log(p->o.distance[k].length / f->found[k]);
	}
	qsort(sorted, n, sizeof *sorted, ascending);
	double middle = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sum = 0;
	for (size_t k = 0; k < n; k++)
		off[k] = fabs(ratio[k] - middle);
	qsort(off, n, sizeof *off, ascending);
	double most = fmax(3 * 1.4826 * (off[(n - 1) / 2] + off[n / 2]) / 2, least_outlier);
	for (size_t k = 0; k < n; k++) {
		f->outlier[k] = n >= 3 && fabs(ratio[k] - middle) > most;
		if (!f->outlier[k])
			sum += ratio[k], used++;
	}
	f->sim.s = exp(sum / (double)used);
	f->matched = (int64_t)n, f->outliers = (int64_t)(n - used);
	sum = f->worst = 0;
	for (size_t k = 0; k < n; k++) {
		double e = fabs(f->sim.s * f->found[k] / p->o.distance[k].length - 1);
		if (!f->outlier[k])
			sum += e * e, f->worst = fmax(f->worst, e);
	}
	f->rms = sqrt(sum / (double)used);
	return 0;
}
