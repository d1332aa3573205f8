/* track: what is kept of a frame for joining. Owns the grid of depths. */
#include "e3/mem.h"
#include "e3/track.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 3000 }; /* pixels of a grid, about */

static int resize(e3_view *v, int w, int h, e3_err *err)
{
	size_t n = (size_t)w * (size_t)h;
	if (n > (size_t)v->k.w * (size_t)v->k.h &&
		(e3_grow((void **)&v->depth, n, sizeof *v->depth, "a view", err) ||
			e3_grow((void **)&v->conf, n, sizeof *v->conf, "a view", err)))
		return -1;
	v->k.w = w, v->k.h = h;
	return 0;
}

int e3_view_take(e3_view *v, const e3_result *r, e3_err *err)
{
	int step = (int)floor(sqrt((double)r->w * r->h / SAMPLES));
	step = step < 1 ? 1 : step;
	int from = step / 2, w = (r->w - from + step - 1) / step, h = (r->h - from + step - 1) / step;
	if (e3_pose_decode(r->pose, &v->pose, err) || resize(v, w, h, err))
		return -1;
	e3_intrinsics k = {0};
	if (e3_intrinsics_usable(r->pose))
		k = e3_intrinsics_decode(r->pose, r->w, r->h);
	v->from = from, v->step = step;
	double cx = (k.cx - 0.5 - from) / step, cy = (k.cy - 0.5 - from) / step;
	v->k = (e3_intrinsics){k.fx / step, k.fy / step, cx, cy, w, h};
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			size_t at = (size_t)(from + y * step) * (size_t)r->w + (size_t)(from + x * step), to = (size_t)(y * w + x);
			v->depth[to] = r->depth[at], v->conf[to] = r->depth_conf[at];
		}
	return 0;
}

int e3_view_copy(e3_view *to, const e3_view *from, e3_err *err)
{
	size_t n = (size_t)from->k.w * (size_t)from->k.h;
	if (resize(to, from->k.w, from->k.h, err))
		return -1;
	to->pose = from->pose, to->k = from->k, to->from = from->from, to->step = from->step;
	memcpy(to->depth, from->depth, n * sizeof *to->depth);
	memcpy(to->conf, from->conf, n * sizeof *to->conf);
	return 0;
}

void e3_view_release(e3_view *v)
{
	free(v->depth), free(v->conf);
	*v = (e3_view){0};
}
