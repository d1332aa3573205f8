/* export: where the points of a frame are: its point map, or its depth unprojected; and their normals, from the
 * neighbours in the picture. */
#include "export/points.h"
#include <stdlib.h>

int e3_locator_choose(e3_locator *l, const e3_cloud_options *opt, const e3_pred *p, e3_err *err)
{
	bool depth = p->depth && p->has_pose;
	l->upstream = opt->upstream;
	if (l->source == E3_POINTS_AUTO) {
		bool map = p->points && (opt->upstream || !depth);
		l->source = opt->source != E3_POINTS_AUTO ? opt->source : map ? E3_POINTS_POINT_MAP : E3_POINTS_DEPTH;
		if (opt->upstream && !p->points)
			l->source = E3_POINTS_DEPTH;
	}
	l->copies = l->copies || (l->source == E3_POINTS_DEPTH && opt->upstream && p->points);
	l->borrows = l->borrows ||
		(l->source == E3_POINTS_DEPTH && opt->source == E3_POINTS_AUTO && !opt->upstream && p->points &&
			!e3_intrinsics_usable(p->pose));
	if (l->source == E3_POINTS_POINT_MAP && !p->points)
		return e3_fail(err, "frame %lld: points: the stream has no point map; points from depth and pose need none",
			(long long)p->s.i);
	if (l->source == E3_POINTS_DEPTH && !depth && !l->copies)
		return e3_fail(err, "frame %lld: points: the stream has no %s; points need a point map, or depth and pose",
			(long long)p->s.i, p->depth ? "pose" : "depth");
	return 0;
}

bool e3_locator_borrows(const e3_locator *l, const e3_pred *p)
{
	return l->borrows && (p->points || p->points_conf) && !e3_intrinsics_usable(p->pose);
}

unsigned e3_locator_parts(const e3_locator *l, const e3_pred *p)
{
	const unsigned map = E3_PART_POINTS | E3_PART_POINTS_CONF;
	if (l->source == E3_POINTS_POINT_MAP)
		return map;
	bool borrows = p ? e3_locator_borrows(l, p) : l->borrows;
	return E3_PART_DEPTH | E3_PART_DEPTH_CONF | (l->copies ? E3_PART_POINTS : 0) | (borrows ? map : 0);
}

int e3_locate(e3_locator *l, const e3_pred *p, e3_located *at, e3_err *err)
{
	bool from_depth = l->source == E3_POINTS_DEPTH;
	*at = (e3_located){.xyz = p->points, .conf = from_depth ? p->depth_conf : p->points_conf};
	if (e3_export_frame_init(&at->frame, p, err))
		return -1;
	if (!from_depth || (l->copies && p->points))
		return 0;
	if (e3_locator_borrows(l, p)) {
		at->conf = p->points_conf;
		return 0;
	}
	at->xyz = NULL;
	if (!at->frame.usable_k || !p->depth)
		return 0;
	size_t n = (size_t)p->w * (size_t)p->h * 3;
	if (n > l->cap) {
		if (e3_grow((void **)&l->world, n, sizeof *l->world, "points", err))
			return -1;
		l->cap = n;
	}
	e3_intrinsics k = l->upstream ? e3_intrinsics_upstream(&at->frame.k) : at->frame.k;
	e3_unproject(&at->frame.pose, &k, p->depth, l->world);
	at->xyz = l->world;
	at->depth = p->depth;
	return 0;
}

void e3_locator_release(e3_locator *l) { free(l->world); }

/* From a to b of two neighbours on either side of `here`; the nearer one alone when the other lies beyond a step. */
static bool along(const float *before, const float *here, const float *after, double d[3])
{
	double a[3], b[3], na = 0, nb = 0;
	for (int k = 0; k < 3; k++) {
		a[k] = before ? (double)here[k] - before[k] : NAN;
		b[k] = after ? (double)after[k] - here[k] : NAN;
		na += a[k] * a[k];
		nb += b[k] * b[k];
	}
	bool use_a = isfinite(na) && !(na > 9 * nb), use_b = isfinite(nb) && !(nb > 9 * na);
	for (int k = 0; k < 3; k++)
		d[k] = (use_a ? a[k] : 0) + (use_b ? b[k] : 0);
	return use_a || use_b;
}

void e3_located_normal(const e3_located *at, int u, int v, int8_t normal[3])
{
	const e3_pred *p = at->frame.pred;
	size_t w = (size_t)p->w;
	const float *here = at->xyz + 3 * ((size_t)v * w + (size_t)u);
	double x[3], y[3], n[3], eye[3] = {0}, length = 0, towards = 0;
	for (int k = 0; k < 3; k++)
		normal[k] = 0;
	if (!along(u ? here - 3 : NULL, here, u + 1 < p->w ? here + 3 : NULL, x) ||
		!along(v ? here - 3 * w : NULL, here, v + 1 < p->h ? here + 3 * w : NULL, y))
		return;
	if (p->has_pose)
		e3_pose_center(&at->frame.pose, eye);
	for (int k = 0; k < 3; k++) {
		int i = (k + 1) % 3, j = (k + 2) % 3;
		n[k] = x[i] * y[j] - x[j] * y[i];
		length += n[k] * n[k];
		towards += n[k] * (eye[k] - here[k]);
	}
	double scale = 127 / sqrt(length) * (towards < 0 ? -1 : 1);
	for (int k = 0; k < 3 && length > 0 && isfinite(scale); k++)
		normal[k] = (int8_t)lrint(n[k] * scale);
}
