/* export: COLMAP: the points of the images. A point is on the ray of its pixel through the camera that the model gives
 * the image, at the depth that the prediction has there: so it is seen exactly there, whichever focal length was
 * chosen. Of those that share a cell in space the most confident one stays. */
#include "e3/num.h"
#include "export/colmap.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels that are looked at, and cells, for each point that is wanted: enough for even points, and for a time that does
 * not grow with the number of frames. */
enum { PIXELS = 24, CELLS = 4 };

/* Depth from the point map, which need not lie on the rays of the pixels. */
static int depth_of_map(colmap_view *v, const e3_pose *pose, e3_err *err)
{
	const e3_pred *p = v->pred;
	size_t n = (size_t)p->w * (size_t)p->h;
	if (e3_grow((void **)&v->from_map, v->cap, sizeof *v->from_map, "a frame", err))
		return -1;
	for (size_t k = 0; k < n; k++) {
		const float *x = p->points + 3 * k;
		v->from_map[k] = (float)(pose->r[6] * x[0] + pose->r[7] * x[1] + pose->r[8] * x[2] + pose->t[2]);
	}
	v->z = v->from_map;
	return 0;
}

int colmap_view_load(colmap_view *v, e3_export_run *run, const colmap_image *im, e3_err *err)
{
	const e3_locator *where = e3_clean_where(run->clean);
	unsigned parts = E3_PART_RGB | e3_locator_parts(where, NULL);
	if (e3_frame_spool_seek(run->frames, im->ordinal, err))
		return -1;
	int rc = e3_frame_spool_next(run->frames, parts, &v->pred, err);
	if (rc != 1)
		return rc ? -1 : e3_fail(err, "reading a temporary file: it ended");
	size_t n = (size_t)im->w * (size_t)im->h;
	if (n > v->cap) {
		if (e3_grow((void **)&v->keep, n, 1, "a frame", err))
			return -1;
		v->cap = n;
	}
	v->z = v->pred->depth;
	if ((where->source == E3_POINTS_POINT_MAP || !v->z) && (!v->pred->points || depth_of_map(v, &im->pose, err)))
		return v->pred->points ? -1 : e3_fail(err, "frame %lld: no depth", (long long)im->s.i);
	return e3_clean_keep(run->clean, im->ordinal, v->keep, err);
}

void colmap_view_release(colmap_view *v)
{
	free(v->keep);
	free(v->from_map);
	*v = (colmap_view){0};
}

typedef struct pass {
	colmap_model *m;
	e3_export_run *run;
	colmap_view view;
	size_t most;
	uint32_t share; /* pixels whose hash is at most this are looked at */
	uint64_t index; /* of the pixel among those, over all images */
	e3_voxels *grid;
	uint64_t left; /* cells that were not reached yet */
	e3_located at; /* of the image, for normals */
	float *xyz;
	size_t cap;
} pass;

/* The point of pixel (u, v): in the world; false when it has none, or is not of the source picture. */
static bool locate(const pass *s, const colmap_image *im, const e3_intrinsics *k, size_t pixel, double xyz[3])
{
	size_t w = (size_t)im->w;
	double z = s->view.z[pixel], x = (double)(pixel % w) + 0.5, y = (double)(pixel / w) + 0.5;
	if (!s->view.keep[pixel] || !e3_depth_known((float)z))
		return false;
	const e3_source *of = &im->s;
	double sx = (x - of->fit.tx) / of->fit.sx, sy = (y - of->fit.ty) / of->fit.sy;
	if (!(sx >= 0 && sy >= 0 && sx <= of->src_w && sy <= of->src_h)) /* white that was added around the picture */
		return false;
	const double *r = im->pose.r, *t = im->pose.t;
	double a = (x - k->cx) * z / k->fx - t[0], b = (y - k->cy) * z / k->fy - t[1], d = z - t[2];
	for (int row = 0; row < 3; row++)
		xyz[row] = r[row] * a + r[3 + row] * b + r[6 + row] * d;
	/* so far from the origin that its distance from the camera is lost */
	return fabs(r[6] * xyz[0] + r[7] * xyz[1] + r[8] * xyz[2] + t[2] - z) <= 1e-3 * z;
}

static bool looked_at(const pass *s, size_t image, size_t pixel)
{
	return e3_fmix32(((uint32_t)image * 0x9E3779B9u) ^ ((uint32_t)pixel * 2654435761u)) <= s->share;
}

/* One pixel of the picture at the distance at which the first image has its middle: finer cells would hold nothing. */
static double first_cell(const pass *s, const e3_intrinsics *k)
{
	size_t n = (size_t)k->w * (size_t)k->h, seen = 0;
	double sum = 0;
	for (size_t p = 0; p < n; p++)
		if (s->view.keep[p] && e3_depth_known(s->view.z[p]))
			sum += log(s->view.z[p]), seen++;
	return seen ? exp(sum / (double)seen) / k->fx : 0;
}

typedef int pixel_fn(pass *s, size_t image, size_t pixel, const double xyz[3], e3_err *err);

static int each_pixel(pass *s, pixel_fn *fn, int (*begin)(pass *s, size_t image, e3_err *err), e3_err *err)
{
	s->index = 0;
	for (size_t i = 0; i < s->m->n_images; i++) {
		const colmap_image *im = &s->m->image[i];
		const e3_intrinsics k = colmap_network_camera(s->m, im);
		size_t n = (size_t)im->w * (size_t)im->h, stride = (size_t)s->run->opt->cloud.stride;
		double xyz[3];
		if (colmap_view_load(&s->view, s->run, im, err) || begin(s, i, err))
			return -1;
		for (size_t p = 0; p < n; p++) {
			if (stride > 1 && ((p % (size_t)im->w) % stride || (p / (size_t)im->w) % stride))
				continue;
			if (looked_at(s, i, p) && locate(s, im, &k, p, xyz) && fn(s, i, p, xyz, err))
				return -1;
		}
	}
	return 0;
}

static int begin_cells(pass *s, size_t image, e3_err *err)
{
	e3_intrinsics k = colmap_network_camera(s->m, &s->m->image[image]);
	double size = s->grid ? 0 : first_cell(s, &k);
	if (!s->grid && size > 0 && !(s->grid = e3_voxels_open(size, (uint64_t)(CELLS * s->most), err)))
		return -1;
	return 0;
}

static int add_cell(pass *s, size_t image, size_t pixel, const double xyz[3], e3_err *err)
{
	const float at[3] = {(float)xyz[0], (float)xyz[1], (float)xyz[2]};
	const e3_pred *p = s->view.pred;
	const float *conf = e3_clean_where(s->run->clean)->source == E3_POINTS_DEPTH ? p->depth_conf : p->points_conf;
	return e3_voxels_add(s->grid, at, conf ? conf[pixel] : 1, s->index++, err);
}

/* The frame's points by the model's camera, for normals. */
static int begin_points(pass *s, size_t image, e3_err *err)
{
	const colmap_image *im = &s->m->image[image];
	const e3_intrinsics k = colmap_network_camera(s->m, im);
	size_t n = (size_t)im->w * (size_t)im->h * 3;
	if (n > s->cap) {
		if (e3_grow((void **)&s->xyz, n, sizeof *s->xyz, "points", err))
			return -1;
		s->cap = n;
	}
	e3_unproject(&im->pose, &k, s->view.z, s->xyz);
	s->at = (e3_located){.frame = {.pred = s->view.pred, .pose = im->pose}, .xyz = s->xyz};
	return 0;
}

/* Of the cells, `most` are taken, each as likely as any other. */
static int add_point(pass *s, size_t image, size_t pixel, const double xyz[3], e3_err *err)
{
	const float at[3] = {(float)xyz[0], (float)xyz[1], (float)xyz[2]};
	colmap_model *m = s->m;
	const colmap_image *im = &m->image[image];
	uint64_t index = s->index++, want = s->most - m->n_points;
	if (!e3_voxels_kept(s->grid, at, index))
		return 0;
	uint64_t left = s->left--;
	if ((double)e3_fmix32((uint32_t)index) / 4294967296.0 * (double)left >= (double)want)
		return 0;
	e3_fit f = colmap_fit(m, im);
	int u = (int)(pixel % (size_t)im->w), v = (int)(pixel / (size_t)im->w);
	colmap_point *p = &m->point[m->n_points];
	*p = (colmap_point){.xyz = {xyz[0], xyz[1], xyz[2]}, .rgb = {255, 255, 255}, .stride = 1, .n = 1};
	if (s->view.pred->rgb)
		memcpy(p->rgb, s->view.pred->rgb + 3 * pixel, 3);
	e3_located_normal(&s->at, u, v, p->normal);
	m->obs[m->n_points++ * COLMAP_TRACK] = (colmap_obs){.image = (uint32_t)image,
		.x = (float)((u + 0.5 - f.tx) / f.sx),
		.y = (float)((v + 0.5 - f.ty) / f.sy)};
	return 0;
}

static int make_points(pass *s, e3_err *err)
{
	colmap_model *m = s->m;
	uint64_t pixels = 0;
	for (size_t k = 0; k < m->n_images; k++)
		pixels += (uint64_t)m->image[k].w * (uint64_t)m->image[k].h;
	double share = (double)PIXELS * (double)s->most / (double)pixels;
	s->share = share < 1 ? (uint32_t)(share * UINT32_MAX) : UINT32_MAX;
	if (each_pixel(s, add_cell, begin_cells, err))
		return -1;
	s->left = s->grid ? e3_voxels_count(s->grid) : 0;
	if (!s->left)
		return s->run->opt->cloud.allow_empty ? 0 : e3_fail(err, "selecting points: none is left");
	s->most = s->left < s->most ? (size_t)s->left : s->most;
	m->point = e3_alloc(s->most, sizeof *m->point, "points", err);
	m->obs = e3_alloc(s->most * COLMAP_TRACK, sizeof *m->obs, "observations", err);
	return m->point && m->obs ? each_pixel(s, add_point, begin_points, err) : -1;
}

int colmap_points(colmap_model *m, e3_export_run *run, size_t most, e3_err *err)
{
	pass s = {.m = m, .run = run, .most = most};
	int rc = make_points(&s, err);
	colmap_view_release(&s.view);
	e3_voxels_close(s.grid);
	free(s.xyz);
	return rc;
}
