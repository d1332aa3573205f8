/* geom: intrinsics, unprojection, the alignment of a scene. */
#include "e3/geom.h"
#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

e3_intrinsics e3_intrinsics_decode(const float enc[9], int w, int h)
{
	return (e3_intrinsics){
		.fx = w / 2.0 / tan(enc[8] / 2.0),
		.fy = h / 2.0 / tan(enc[7] / 2.0),
		.cx = w / 2.0,
		.cy = h / 2.0,
		.w = w,
		.h = h,
	};
}

bool e3_intrinsics_usable(const float enc[9]) { return enc[7] > 0 && enc[7] < PI && enc[8] > 0 && enc[8] < PI; }

int e3_intrinsics_to_source(const e3_intrinsics *k, const e3_source *s, e3_intrinsics *out, e3_err *err)
{
	const e3_fit *f = &s->fit;
	if (!(f->sx > 0) || !(f->sy > 0) || s->src_w < 1 || s->src_h < 1)
		return e3_fail(err,
			"frame %lld: intrinsics of the source picture: the stream gives it %d × %d pixels and a scale of %g × %g",
			(long long)s->i, s->src_w, s->src_h, f->sx, f->sy);
	*out = (e3_intrinsics){
		.fx = k->fx / f->sx,
		.fy = k->fy / f->sy,
		.cx = (k->cx - f->tx) / f->sx,
		.cy = (k->cy - f->ty) / f->sy,
		.w = s->src_w,
		.h = s->src_h,
	};
	return 0;
}

e3_intrinsics e3_intrinsics_upstream(const e3_intrinsics *k)
{
	e3_intrinsics shifted = *k;
	shifted.cx += 0.5, shifted.cy += 0.5;
	return shifted;
}

void e3_unproject(const e3_pose *p, const e3_intrinsics *k, const float *depth, float *points)
{
	const double *r = p->r, dx = 1 / k->fx, dy = 1 / k->fy; /* divisions would take most of the time */
	for (int v = 0; v < k->h; v++)
		for (int u = 0; u < k->w; u++, depth++, points += 3) {
			double d = *depth;
			double x = (u + 0.5 - k->cx) * dx * d - p->t[0];
			double y = (v + 0.5 - k->cy) * dy * d - p->t[1];
			double z = d - p->t[2];
			for (int row = 0; row < 3; row++)
				points[row] = (float)(r[row] * x + r[3 + row] * y + r[6 + row] * z);
		}
}

void e3_align_matrix(e3_align mode, const e3_pose *first, double m[16])
{
	static const double identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
	static const double gl[12] = {1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0};
	/* diag(1,-1,-1) times half a turn about y */
	static const double turned[12] = {-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0};
	double a[12];
	memcpy(a, identity, sizeof a);
	if (mode == E3_ALIGN_GL) {
		if (first)
			for (int row = 0; row < 3; row++) {
				memcpy(a + 4 * row, first->r + 3 * row, 3 * sizeof *a);
				a[4 * row + 3] = first->t[row];
			}
		e3_rigid_mul(gl, a, a);
	} else if (mode == E3_ALIGN_UPSTREAM) {
		if (first)
			e3_pose_to_world(first, a);
		e3_rigid_mul(a, turned, a);
	}
	for (int col = 0; col < 4; col++) {
		for (int row = 0; row < 3; row++)
			m[4 * col + row] = a[4 * row + col];
		m[4 * col + 3] = col == 3;
	}
}
