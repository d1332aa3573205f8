/* surface: a view as the field reads it: of every pixel its inverse depth, how its surface is turned, how far space is
 * empty before it, and its weight. Inverse depth is linear in the pixels of a plane, so its slope gives the normal and
 * its mean between pixels is exact. */
#include "surface/field.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>

/* A surface that is turned further away says nothing: that is how the ramp between a thing and what is behind it looks.
 */
#define LEAST_COSINE 0.12f
/* Errors of depth grow with depth, and shrink with confidence; weights are their inverse squares, up to this each. */
#define MOST 4.0

static double weight_of(double ratio) { return fmin(ratio * ratio, MOST); }

/* Where the slopes on both sides of a pixel differ by more of its inverse depth, it is at the border of a thing. */
#define BENT 0.05f

/* The slope of inverse depth at q between its neighbours; at a border the gentler one, which is the thing's. 0 marks a
 * neighbour that is unknown. */
static float slope(float before, float q, float after)
{
	float a = q - before, b = after - q;
	if (!(before > 0))
		return after > 0 ? b : 0;
	if (!(after > 0))
		return a;
	if (fabsf(a - b) < BENT * q)
		return (a + b) / 2;
	return fabsf(a) < fabsf(b) ? a : b;
}

/* Pixels that say nothing themselves may still show how their neighbours' surface is turned. */
static bool speaks(const e3_depth_view *v, size_t k)
{
	return (!v->keep || v->keep[k]) && (!v->conf || v->conf[k] > 0);
}

static void fill_row(sf_view *to, int row, float narrowest, const e3_surface_options *o)
{
	const e3_depth_view *v = to->v;
	int w = v->k.w, h = v->k.h;
	sf_pixel *p = to->p + (size_t)row * (size_t)w;
	float fx = (float)v->k.fx, fy = (float)v->k.fy, y = (float)((row + 0.5 - v->k.cy) / v->k.fy);
	for (int u = 0; u < w; u++) {
		float q = p[u].inverse, x = (float)((u + 0.5 - v->k.cx) / v->k.fx);
		p[u].slant = p[u].weight = p[u].sure = 0;
		if (!(q > 0) || !speaks(v, (size_t)row * (size_t)w + (size_t)u))
			continue;
		p[u].slope[0] = slope(u ? p[u - 1].inverse : 0, q, u + 1 < w ? p[u + 1].inverse : 0);
		p[u].slope[1] = slope(row ? p[u - w].inverse : 0, q, row + 1 < h ? p[u + w].inverse : 0);
		float a = fx * p[u].slope[0], b = fy * p[u].slope[1];
		float c = q - a * x - b * y;
		float ray = sqrtf(x * x + y * y + 1);
		float across = q / sqrtf(a * a + b * b + c * c); /* distance from the plane for each unit of depth */
		float cosine = across / ray;
		if (!(cosine >= LEAST_COSINE))
			continue;
		double near = o->depth > 0 ? o->depth * q : 1;
		double sure = v->conf && o->conf > 0 ? v->conf[(size_t)row * (size_t)w + (size_t)u] / o->conf : 1;
		p[u].slant = across;
		p[u].sure = (float)weight_of(sure);
		if (q > narrowest)
			p[u].weight = cosine * cosine * (float)(weight_of(near) * weight_of(sure));
	}
}

static void fill_clear(sf_view *to, int row)
{
	int w = to->v->k.w, h = to->v->k.h;
	for (int u = 0; u < w; u++) {
		float most = 0;
		bool all = true;
		for (int y = row ? row - 1 : 0; y <= row + 1 && y < h; y++)
			for (int x = u ? u - 1 : 0; x <= u + 1 && x < w; x++) {
				const sf_pixel *p = to->p + (size_t)y * (size_t)w + (size_t)x;
				most = p->inverse > most ? p->inverse : most;
				all = all && p->inverse > 0;
			}
		to->p[(size_t)row * (size_t)w + (size_t)u].clear = all ? 1 / most : 0;
	}
}

int sf_view_fill(sf_view *to, const e3_depth_view *v, const e3_surface_options *o, e3_err *err)
{
	size_t n = (size_t)v->k.w * (size_t)v->k.h;
	float narrowest = (float)fmax(1 / (SF_WIDEST * o->voxel * fmin(v->k.fx, v->k.fy)), 0);
	if (n > to->cap) {
		if (e3_grow((void **)&to->p, n, sizeof *to->p, "a view of the surface", err))
			return -1;
		to->cap = n;
	}
	to->v = v;
	for (size_t k = 0; k < n; k++)
		to->p[k].inverse = e3_depth_known(v->depth[k]) ? 1 / v->depth[k] : 0;
	for (int row = 0; row < v->k.h; row++)
		fill_row(to, row, narrowest, o);
	for (int row = 0; row < v->k.h; row++)
		fill_clear(to, row);
	return 0;
}

void sf_view_release(sf_view *v)
{
	free(v->p);
	*v = (sf_view){.cap = 0};
}
