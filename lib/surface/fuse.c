/* surface: a view joins the field: every voxel of the blocks that it sees takes the distance to the surface along its
 * ray, times the slant, as a weighted mean. What is clearly before the surface is empty space, and votes against what
 * other views have there. What is behind it is hidden, and says nothing. */
#include "surface/field.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The weight of empty space against that of a surface: it is cut at the truncation, so it says less of where that is.
 */
#define EMPTY_WEIGHT 0.25f

/* What is the same for all voxels of a view. */
typedef struct lens {
	float step[3][3]; /* camera coordinates of a voxel's edge along each axis of the world */
	float fx, fy, cx, cy, trunc;
} lens;

typedef struct job {
	e3_surface *s;
	lens l;
} job;

static lens lens_of(const e3_surface *s, const e3_depth_view *v)
{
	lens l = {.fx = (float)v->k.fx,
		.fy = (float)v->k.fy,
		.cx = (float)v->k.cx,
		.cy = (float)v->k.cy,
		.trunc = (float)s->trunc};
	for (int axis = 0; axis < 3; axis++)
		for (int k = 0; k < 3; k++)
			l.step[axis][k] = (float)(v->pose.r[3 * k + axis] * s->o.voxel);
	return l;
}

/* The first voxel of a block in the camera's coordinates. */
static void origin_of(const e3_surface *s, const sf_block *b, float at[3])
{
	const e3_pose *p = &s->view.v->pose;
	for (int k = 0; k < 3; k++) {
		double sum = p->t[k];
		for (int axis = 0; axis < 3; axis++)
			sum += p->r[3 * k + axis] * b->at[axis] * SF_SIDE * s->o.voxel;
		at[k] = (float)sum;
	}
}

/* Is a block, as a sphere, in the picture? */
static bool in_view(const e3_surface *s, const sf_block *b)
{
	const e3_intrinsics *k = &s->view.v->k;
	float at[3];
	origin_of(s, b, at);
	double half = SF_SIDE / 2.0 * s->o.voxel, radius = half * 1.7320508;
	const double *r = s->view.v->pose.r;
	double c[3];
	for (int j = 0; j < 3; j++)
		c[j] = at[j] + half * (r[3 * j] + r[3 * j + 1] + r[3 * j + 2]);
	if (c[2] + radius <= 0)
		return false;
	/* the four sides of the pyramid, each by its normal */
	double left = -k->cx / k->fx, right = (k->w - k->cx) / k->fx, top = -k->cy / k->fy, bottom = (k->h - k->cy) / k->fy;
	return c[0] - left * c[2] >= -radius * sqrt(1 + left * left) &&
		right * c[2] - c[0] >= -radius * sqrt(1 + right * right) &&
		c[1] - top * c[2] >= -radius * sqrt(1 + top * top) &&
		bottom * c[2] - c[1] >= -radius * sqrt(1 + bottom * bottom);
}

static void add_colour(const e3_surface *s, sf_voxels *to, int k, const uint8_t *rgb, float weight)
{
	float before = to->rgb_w[k], more = fminf(fmaxf(weight * 64, 1), 1024);
	float share = more / (before + more);
	for (int c = 0; c < 3; c++) {
		float old = to->rgb[c][k], new = rgb ? s->linear[rgb[c]] : 65535;
		to->rgb[c][k] = (uint16_t)(old + (new - old) * share + 0.5f);
	}
	to->rgb_w[k] = (uint16_t)fminf(before + more, 65535);
}

/* One voxel: x, y in pixels, z its depth. */
static void add_voxel(const e3_surface *s, sf_voxels *to, int k, const float at[3], float trunc)
{
	const sf_view *view = &s->view;
	int w = view->v->k.w, h = view->v->k.h;
	if (!(at[2] > 0) || !(at[0] >= 0 && at[0] < (float)w && at[1] >= 0 && at[1] < (float)h))
		return;
	int u = (int)at[0], v = (int)at[1];
	size_t n = (size_t)v * (size_t)w + (size_t)u;
	const sf_pixel *p = view->p + n;
	float z = at[2], d, weight;
	if (!(p->sure > 0))
		return;
	d = p->inverse + p->slope[0] * (at[0] - ((float)u + 0.5f)) + p->slope[1] * (at[1] - ((float)v + 0.5f));
	d = (1 / d - z) * p->slant;
	if (d < -trunc)
		return;
	weight = d < 0 ? p->weight * (1 + d / trunc) : p->weight;
	if (d > trunc) {
		if (!(p->clear - z > trunc))
			return;
		d = trunc, weight = EMPTY_WEIGHT * p->sure;
	} else if (fabsf(d) < 0.7f * trunc)
		add_colour(s, to, k, view->v->rgb ? view->v->rgb + 3 * n : NULL, weight);
	float sum = to->w[k] + weight;
	if (sum > 0) {
		to->d[k] += (d - to->d[k]) * (weight / sum);
		to->w[k] = sum;
	}
}

static void fuse_block(void *ctx, int task, int thread)
{
	const job *j = ctx;
	const e3_surface *s = j->s;
	const lens *l = &j->l;
	sf_block *b = &s->field.block[s->seen[task]];
	float at[3], x[SF_SIDE], y[SF_SIDE], z[SF_SIDE];
	origin_of(s, b, at);
	for (int row = 0; row < SF_SIDE * SF_SIDE; row++) {
		float j1 = (float)(row % SF_SIDE), j2 = (float)(row / SF_SIDE);
		for (int i = 0; i < SF_SIDE; i++) {
			float f = (float)i;
			z[i] = at[2] + f * l->step[0][2] + j1 * l->step[1][2] + j2 * l->step[2][2];
			float to = 1 / z[i];
			x[i] = l->fx * to * (at[0] + f * l->step[0][0] + j1 * l->step[1][0] + j2 * l->step[2][0]) + l->cx;
			y[i] = l->fy * to * (at[1] + f * l->step[0][1] + j1 * l->step[1][1] + j2 * l->step[2][1]) + l->cy;
		}
		for (int i = 0; i < SF_SIDE; i++)
			add_voxel(s, b->v, row * SF_SIDE + i, (float[]){x[i], y[i], z[i]}, l->trunc);
	}
}

int e3_surface_fuse(e3_surface *s, const e3_depth_view *v, e3_err *err)
{
	uint32_t n = 0;
	if (sf_view_fill(&s->view, v, &s->o, err))
		return -1;
	if (s->field.n > s->seen_cap) {
		if (e3_grow((void **)&s->seen, s->field.n, sizeof *s->seen, "the blocks of the surface", err))
			return -1;
		s->seen_cap = s->field.n;
	}
	for (uint32_t k = 0; k < s->field.n; k++) {
		sf_block *b = &s->field.block[k];
		if (!in_view(s, b))
			continue;
		if (!b->v && !(b->v = e3_alloc(1, sizeof *b->v, "the blocks of the surface", err)))
			return -1;
		s->seen[n++] = k;
	}
	job j = {s, lens_of(s, v)};
	e3_parallel_for(s->pool, (int)n, fuse_block, &j);
	return 0;
}
