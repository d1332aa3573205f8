/* geom: similarities as messages carry them, their group, and what they do to poses and predictions. */
#include "e3/geom.h"
#include <math.h>
#include <string.h>

const e3_similarity e3_similarity_identity = {1, {1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 0}};

void e3_similarity_pack(const e3_similarity *a, double to[8])
{
	to[0] = a->s;
	e3_mat_to_quat(a->r, to + 1);
	memcpy(to + 5, a->t, sizeof a->t);
}

int e3_similarity_unpack(const double from[8], e3_similarity *out, e3_err *err)
{
	for (int k = 0; k < 8; k++)
		if (!isfinite(from[k]))
			return e3_fail(err, "similarity: not finite");
	if (!(from[0] > 0))
		return e3_fail(err, "similarity: scale %g: expected more than 0", from[0]);
	out->s = from[0];
	if (e3_quat_to_mat(from + 1, out->r))
		return e3_fail(err, "similarity: the quaternion is zero");
	memcpy(out->t, from + 5, sizeof out->t);
	return 0;
}

static void mat_mul(const double a[9], const double b[9], double out[9])
{
	double p[9];
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			p[3 * row + col] = a[3 * row] * b[col] + a[3 * row + 1] * b[3 + col] + a[3 * row + 2] * b[6 + col];
	memcpy(out, p, sizeof p);
}

void e3_similarity_mul(const e3_similarity *a, const e3_similarity *b, e3_similarity *out)
{
	e3_similarity p = {.s = a->s * b->s};
	e3_similarity_apply(a, b->t, p.t);
	mat_mul(a->r, b->r, p.r);
	*out = p;
}

void e3_similarity_invert(const e3_similarity *a, e3_similarity *out)
{
	e3_similarity p = {.s = 1 / a->s};
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			p.r[3 * row + col] = a->r[3 * col + row];
	for (int row = 0; row < 3; row++)
		p.t[row] = -p.s * (p.r[3 * row] * a->t[0] + p.r[3 * row + 1] * a->t[1] + p.r[3 * row + 2] * a->t[2]);
	*out = p;
}

/* With y = s R x + t, a camera x_cam = Rc x + tc becomes Rc Rᵀ, s tc - Rc Rᵀ t. */
int e3_similarity_pose(const e3_similarity *a, float pose[9], e3_err *err)
{
	e3_pose p;
	double back[9], r[9], q[4];
	if (e3_pose_decode(pose, &p, err))
		return -1;
	for (int k = 0; k < 9; k++)
		back[k] = a->r[k % 3 * 3 + k / 3];
	mat_mul(p.r, back, r);
	if (e3_mat_to_quat(r, q))
		return e3_fail(err, "similarity: not a rotation");
	for (int k = 0; k < 3; k++)
		pose[k] = (float)(a->s * p.t[k] - (r[3 * k] * a->t[0] + r[3 * k + 1] * a->t[1] + r[3 * k + 2] * a->t[2]));
	for (int k = 0; k < 4; k++)
		pose[3 + k] = (float)q[k];
	return 0;
}

/* -1 when nothing that was known stays so: a scale that is far too small or too large. */
static int scale_depth(double s, float *depth, size_t n, e3_err *err)
{
	size_t before = 0, after = 0;
	float one = 0;
	for (size_t k = 0; k < n; k++) {
		one = e3_depth_known(depth[k]) ? depth[k] : one;
		before += e3_depth_known(depth[k]);
		depth[k] = (float)(s * depth[k]);
		after += e3_depth_known(depth[k]);
	}
	if (!before || after)
		return 0;
	return e3_fail(err, "depth %.3g times %.3g is %.3g, which counts as unknown: expected more than %g, and finite",
		(double)one, s, s * (double)one, (double)E3_DEPTH_MIN);
}

int e3_similarity_pred(const e3_similarity *a, e3_pred *pred, e3_err *err)
{
	size_t n = (size_t)pred->w * (size_t)pred->h;
	if (pred->has_pose && e3_similarity_pose(a, pred->pose, err))
		return -1;
	if (pred->depth && scale_depth(a->s, pred->depth, n, err))
		return -1;
	for (size_t k = 0; pred->points && k < n; k++) {
		double x[3] = {pred->points[3 * k], pred->points[3 * k + 1], pred->points[3 * k + 2]}, y[3];
		e3_similarity_apply(a, x, y);
		for (int axis = 0; axis < 3; axis++)
			pred->points[3 * k + (size_t)axis] = (float)y[axis];
	}
	e3_similarity world;
	if (!pred->has_segment)
		return 0;
	if (e3_similarity_unpack(pred->world, &world, err))
		return -1;
	e3_similarity_mul(a, &world, &world);
	e3_similarity_pack(&world, pred->world);
	return 0;
}
