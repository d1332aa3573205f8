/* surface: the field as a whole: opened, made room in where a view sees a surface, made coarser. */
#include "surface/field.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void set_trunc(e3_surface *s) { s->trunc = fmax(s->o.trunc, E3_SURFACE_BAND * s->o.voxel); }

static double linear(double c) { return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4); }

e3_surface *e3_surface_open(const e3_surface_options *o, e3_err *err)
{
	e3_surface *s = e3_alloc(1, sizeof *s, "the surface", err);
	if (!s)
		return NULL;
	s->o = *o;
	if (s->o.max_bytes < SF_FEWEST * sizeof(sf_voxels))
		s->o.max_bytes = SF_FEWEST * sizeof(sf_voxels);
	set_trunc(s);
	for (int k = 0; k < 256; k++)
		s->linear[k] = (float)(65535 * linear(k / 255.0));
	s->pool = e3_pool_open(o->threads, E3_POOL_SLEEP, err);
	if (!s->pool) {
		free(s);
		return NULL;
	}
	return s;
}

/* The blocks that are within 2 voxels of a point; at: in voxels. */
static int mark_point(e3_surface *s, const double at[3], e3_err *err)
{
	int32_t low[3], high[3], b[3];
	for (int k = 0; k < 3; k++) {
		double from = floor((at[k] - 2) / SF_SIDE), to = floor((at[k] + 2) / SF_SIDE);
		if (!(from >= -SF_REACH && to <= SF_REACH))
			return 0;
		low[k] = (int32_t)from, high[k] = (int32_t)to;
	}
	for (b[2] = low[2]; b[2] <= high[2]; b[2]++)
		for (b[1] = low[1]; b[1] <= high[1]; b[1]++)
			for (b[0] = low[0]; b[0] <= high[0]; b[0]++)
				if (sf_add(&s->field, b, err) == SF_NONE)
					return -1;
	return 0;
}

/* The ray of a pixel, a line in voxels: from + z * along, where z is depth. */
typedef struct ray {
	double from[3], along[3];
} ray;

static ray ray_of(const e3_surface *s, const e3_depth_view *v, int u, int row)
{
	double x = (u + 0.5 - v->k.cx) / v->k.fx, y = (row + 0.5 - v->k.cy) / v->k.fy;
	ray r;
	e3_pose_center(&v->pose, r.from);
	for (int k = 0; k < 3; k++) {
		r.from[k] /= s->o.voxel;
		r.along[k] = (v->pose.r[k] * x + v->pose.r[3 + k] * y + v->pose.r[6 + k]) / s->o.voxel;
	}
	return r;
}

static bool full(const e3_surface *s, double blocks)
{
	return !(blocks <= (double)(s->o.max_bytes / sizeof(sf_voxels)));
}

/* Marks the ray where it is within the truncation of the surface, in steps of at most 4 voxels; 1 when there is no room
 * for it. */
static int mark_ray(e3_surface *s, const ray *r, const sf_pixel *p, e3_err *err)
{
	const double *a = r->along;
	double z = 1.0 / (double)p->inverse, half = s->trunc / (double)p->slant;
	double first = fmax(z - half, 0);
	double length = (z + half - first) * sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
	if (full(s, length / (2 * SF_SIDE))) /* it goes through more blocks than that: known before they are made */
		return 1;
	int steps = (int)ceil(length / 4);
	for (int k = 0; k <= steps; k++) {
		double t = first + (z + half - first) * k / steps;
		double at[3] = {r->from[0] + t * a[0], r->from[1] + t * a[1], r->from[2] + t * a[2]};
		if (mark_point(s, at, err))
			return -1;
	}
	return 0;
}

int e3_surface_mark(e3_surface *s, const e3_depth_view *v, e3_err *err)
{
	if (sf_view_fill(&s->view, v, &s->o, err))
		return -1;
	double f = fmax(v->k.fx, v->k.fy);
	for (int row = 0; row < v->k.h; row++) {
		for (int u = 0; u < v->k.w; u++) {
			const sf_pixel *p = s->view.p + (size_t)row * (size_t)v->k.w + (size_t)u;
			/* rays that are at most 4 voxels from the next are enough */
			int every = 1;
			while (every < 64 && 2 * every < 4 * s->o.voxel * f * (double)p->inverse)
				every *= 2;
			if (!(p->weight > 0) || ((u | row) & (every - 1)))
				continue;
			ray r = ray_of(s, v, u, row);
			int rc = mark_ray(s, &r, p, err);
			if (rc)
				return rc;
			if (full(s, s->field.n))
				return 1;
		}
	}
	return 0;
}

void e3_surface_coarsen(e3_surface *s)
{
	sf_clear(&s->field);
	s->o.voxel *= sqrt(2);
	set_trunc(s);
}

double e3_surface_voxel(const e3_surface *s) { return s->o.voxel; }

double e3_surface_trunc(const e3_surface *s) { return s->trunc; }

uint64_t e3_surface_bytes(const e3_surface *s) { return s->field.n * (uint64_t)sizeof(sf_voxels); }

void e3_surface_close(e3_surface *s)
{
	if (!s)
		return;
	sf_clear(&s->field);
	sf_view_release(&s->view);
	e3_pool_close(s->pool);
	free(s->seen);
	free(s);
}
