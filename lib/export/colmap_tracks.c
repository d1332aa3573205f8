/* export: COLMAP: which other images see a point, and where. A point is projected into an image; it is seen there when
 * that image has its own depth within 3 % at that pixel, and a surface as near to the point as those of this run are to
 * each other. The observation is not the projection, which would say that the
 * predictions agree: it is where the image's own depth map comes nearest to the point, between pixels. What the two are
 * apart is what a bundle adjustment has to work with. */
#include "export/colmap.h"
#include <math.h>
#include <string.h>

static const double agrees = 0.03,    /* of the depth */
	one_surface = 0.1;                /* what neighbours of one surface differ by, at most */
static const double most_blur = 0.05; /* of a pixel of the written picture */
enum { MOST_PIXELS = 2 }; /* of the written picture, between observation and projection; or 1 of the network's */

typedef struct sight {
	const colmap_view *view;
	const colmap_image *im;
	e3_intrinsics k; /* network pixels */
	e3_fit fit;
	double near; /* distance of the surface from the point, as a share of the depth, at most */
} sight;

/* A place in a picture, and 1/depth there with its slopes: on a plane 1/depth is linear. */
typedef struct sample {
	double inverse, slope[2];
} sample;

static bool sample_at(const sight *s, double x, double y, sample *out)
{
	int w = s->k.w, h = s->k.h;
	if (w < 2 || h < 2)
		return false;
	double fx = floor(x - 0.5), fy = floor(y - 0.5);
	int u = (int)(fx < 0 ? 0 : fx > w - 2 ? w - 2 : fx), v = (int)(fy < 0 ? 0 : fy > h - 2 ? h - 2 : fy);
	double a = x - 0.5 - u, b = y - 0.5 - v, q[4], low = INFINITY, high = 0;
	for (int k = 0; k < 4; k++) {
		float z = s->view->z[(size_t)(v + k / 2) * (size_t)w + (size_t)(u + k % 2)];
		if (!e3_depth_known(z))
			return false;
		q[k] = 1 / (double)z;
		low = q[k] < low ? q[k] : low;
		high = q[k] > high ? q[k] : high;
	}
	if (high > low * (1 + one_surface))
		return false;
	*out = (sample){.inverse = (1 - b) * ((1 - a) * q[0] + a * q[1]) + b * ((1 - a) * q[2] + a * q[3]),
		.slope = {(1 - b) * (q[1] - q[0]) + b * (q[3] - q[2]), (1 - a) * (q[2] - q[0]) + a * (q[3] - q[1])}};
	return out->inverse > 0;
}

static double inverse_at(const sight *s, int u, int v)
{
	float z = s->view->z[(size_t)v * (size_t)s->k.w + (size_t)u];
	return e3_depth_known(z) ? 1 / (double)z : NAN;
}

/* How far a place may be off, in pixels, since 1/depth bends between pixels: at an edge, or on a round thing. An error
 * in depth moves the nearest point of a surface as its slant says. */
static double blur(const sight *s, double x, double y)
{
	sample d;
	double bend = 0;
	int u = (int)floor(x - 0.5), v = (int)floor(y - 0.5);
	if (u < 1 || v < 1 || u + 2 >= s->k.w || v + 2 >= s->k.h || !sample_at(s, x, y, &d))
		return INFINITY;
	for (int a = 0; a < 2; a++)
		for (int b = 0; b < 2; b++) {
			double here = 2 * inverse_at(s, u + a, v + b);
			double across = fabs(inverse_at(s, u + a - 1, v + b) - here + inverse_at(s, u + a + 1, v + b));
			double down = fabs(inverse_at(s, u + a, v + b - 1) - here + inverse_at(s, u + a, v + b + 1));
			if (!isfinite(across + down))
				return INFINITY;
			bend = fmax(bend, fmax(across, down));
		}
	double slant = s->k.fx * hypot(d.slope[0], d.slope[1]) / d.inverse;
	return bend / d.inverse / 4 * s->k.fx * slant / (1 + slant * slant);
}

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* One step of Gauss and Newton towards the place whose point is nearest to `to`, both in the frame of the camera. *gap:
 * how far it was before the step. */
static bool step(const sight *s, const double to[3], double at[2], double *gap)
{
	sample d;
	const e3_intrinsics *k = &s->k;
	if (!sample_at(s, at[0], at[1], &d))
		return false;
	double z = 1 / d.inverse, ray[3] = {(at[0] - k->cx) / k->fx, (at[1] - k->cy) / k->fy, 1};
	double e[3], du[3], dv[3];
	for (int i = 0; i < 3; i++) {
		e[i] = to[i] - z * ray[i];
		du[i] = -z * z * d.slope[0] * ray[i] + (i == 0 ? z / k->fx : 0);
		dv[i] = -z * z * d.slope[1] * ray[i] + (i == 1 ? z / k->fy : 0);
	}
	double uu = dot(du, du), uv = dot(du, dv), vv = dot(dv, dv), ue = dot(du, e), ve = dot(dv, e);
	double det = uu * vv - uv * uv;
	if (!(det > 1e-12 * uu * vv) || !(fabs(e[2]) <= agrees * to[2]))
		return false;
	*gap = sqrt(dot(e, e));
	at[0] += (ue * vv - ve * uv) / det;
	at[1] += (ve * uu - ue * uv) / det;
	return isfinite(at[0] + at[1]);
}

/* In pixels of the network's picture: the projection. false: not in the picture, or something is in front of it. */
static bool project(const sight *s, const double xyz[3], double cam[3], double at[2])
{
	const double *r = s->im->pose.r, *t = s->im->pose.t;
	const e3_intrinsics *k = &s->k;
	cam[2] = dot(r + 6, xyz) + t[2];
	if (!(cam[2] > 0))
		return false;
	cam[0] = dot(r, xyz) + t[0];
	cam[1] = dot(r + 3, xyz) + t[1];
	at[0] = k->fx * cam[0] / cam[2] + k->cx;
	at[1] = k->fy * cam[1] / cam[2] + k->cy;
	if (!(at[0] >= 0 && at[1] >= 0 && at[0] < k->w && at[1] < k->h))
		return false;
	size_t pixel = (size_t)at[1] * (size_t)k->w + (size_t)at[0];
	float z = s->view->z[pixel];
	return s->view->keep[pixel] && e3_depth_known(z) && fabs(z - cam[2]) <= agrees * cam[2];
}

/* Where the point is seen, in pixels of the written picture. *gap: how far the surface there is from it, as a share of
 * the depth. */
static bool observe(const sight *s, const double cam[3], const double projected[2], colmap_obs *out, double *gap)
{
	double at[2] = {projected[0], projected[1]};
	for (int k = 0; k < 4; k++) {
		double x = at[0], y = at[1];
		if (!step(s, cam, at, gap))
			return false;
		if (fabs(at[0] - x) + fabs(at[1] - y) < 1e-4)
			break;
	}
	*gap /= cam[2];
	double dx = (at[0] - projected[0]) / s->fit.sx, dy = (at[1] - projected[1]) / s->fit.sy;
	double most = fmax(MOST_PIXELS, fmax(1 / s->fit.sx, 1 / s->fit.sy));
	out->x = (float)((at[0] - s->fit.tx) / s->fit.sx);
	out->y = (float)((at[1] - s->fit.ty) / s->fit.sy);
	return *gap <= s->near && hypot(dx, dy) <= most && blur(s, at[0], at[1]) <= most_blur * s->fit.sx;
}

/* The track holds every `stride`-th of the images that see the point: when it is full, every other one goes. */
static void add(colmap_point *p, colmap_obs *track, const colmap_obs *o)
{
	if (p->n == COLMAP_TRACK) {
		uint8_t n = 1;
		for (int k = 1; k < COLMAP_TRACK; k += 2)
			track[n++] = track[k];
		p->n = n;
		p->stride *= 2;
		if ((p->seen - 1) % p->stride)
			return;
	}
	track[p->n++] = *o;
}

static void see(const sight *s, uint32_t image, colmap_point *p, colmap_obs *track)
{
	double cam[3], at[2], gap;
	colmap_obs o = {.image = image};
	if (track->image == image || !project(s, p->xyz, cam, at))
		return;
	if (p->seen % p->stride) {
		p->seen++;
	} else if (observe(s, cam, at, &o, &gap)) {
		p->seen++;
		add(p, track, &o);
	}
}

/* The distance of every observation that stayed from the projection. */
static void measure(colmap_model *m)
{
	for (size_t i = 0; i < m->n_points; i++) {
		colmap_point *p = &m->point[i];
		p->error = 0;
		for (int k = 0; k < p->n; k++) {
			const colmap_obs *o = &m->obs[i * COLMAP_TRACK + (size_t)k];
			const colmap_image *im = &m->image[o->image];
			const e3_intrinsics *c = &m->camera[im->camera];
			const double *r = im->pose.r, *t = im->pose.t;
			double z = dot(r + 6, p->xyz) + t[2];
			p->error += (float)hypot(c->fx * (dot(r, p->xyz) + t[0]) / z + c->cx - o->x,
				c->fy * (dot(r + 3, p->xyz) + t[1]) / z + c->cy - o->y);
		}
	}
}

/* A histogram of gaps: logarithms, a tenth apart. */
enum { BINS = 256 };
static int bin_of(double gap) { return gap > 1e-11 ? (int)fmin(BINS - 1, 10 * log(gap / 1e-11)) : 0; }
static double value_of(int bin) { return 1e-11 * exp((bin + 1) / 10.0); }

static void sample_gap(const sight *s, uint32_t image, const colmap_point *p, const colmap_obs *first, uint64_t *count)
{
	double cam[3], at[2], gap;
	colmap_obs o;
	if (first->image != image && project(s, p->xyz, cam, at) && observe(s, cam, at, &o, &gap))
		count[bin_of(gap)]++;
}

/* How near surfaces that are the same lie in this run: a few times the median. */
static double nearness(const uint64_t *count)
{
	uint64_t n = 0, below = 0;
	int bin = 0;
	for (int k = 0; k < BINS; k++)
		n += count[k];
	while (bin < BINS - 1 && (below += count[bin]) * 2 < n)
		bin++;
	return fmin(agrees, fmax(1e-3, 5 * value_of(bin)));
}

int colmap_tracks(colmap_model *m, e3_export_run *run, e3_err *err)
{
	colmap_view view = {0};
	uint64_t count[BINS] = {0};
	double near = agrees;
	int rc = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < m->n_images && !rc; i++) {
			const colmap_image *im = &m->image[i];
			sight s = {&view, im, colmap_network_camera(m, im), colmap_fit(m, im), near};
			rc = colmap_view_load(&view, run, im, err);
			for (size_t k = 0; k < m->n_points && !rc; k += pass ? 1 : 16)
				if (pass)
					see(&s, (uint32_t)i, &m->point[k], &m->obs[k * COLMAP_TRACK]);
				else
					sample_gap(&s, (uint32_t)i, &m->point[k], &m->obs[k * COLMAP_TRACK], count);
		}
		near = nearness(count);
	}
	e3_tell(E3_TELL_DETAIL, "surfaces seen from several places are the same within %.2g %% of their depth", 100 * near);
	colmap_view_release(&view);
	if (!rc)
		measure(m);
	return rc;
}
