/* export: COLMAP: which frames become images, and the cameras they were taken with. */
#include "export/colmap.h"
#include <math.h>
#include <stdlib.h>

static const double turned = 15 * 3.14159265358979323846 / 180; /* a view that is another one, without moving */

static float luma(const uint8_t *p) { return (float)(299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000; }

float colmap_sharpness(const e3_pred *p)
{
	size_t w = (size_t)p->w, h = (size_t)p->h;
	double sum = 0, square = 0;
	for (size_t y = 1; p->rgb && y + 1 < h; y++)
		for (size_t x = 1; x + 1 < w; x++) {
			const uint8_t *at = p->rgb + 3 * (y * w + x);
			double v = luma(at - 3) + luma(at + 3) + luma(at - 3 * w) + luma(at + 3 * w) - 4 * luma(at);
			sum += v;
			square += v * v;
		}
	double n = w > 2 && h > 2 ? (double)((w - 2) * (h - 2)) : 1;
	return (float)(square / n - sum / n * (sum / n));
}

static double distance(const colmap_image *a, const colmap_image *b)
{
	double p[3], q[3], sum = 0;
	e3_pose_center(&a->pose, p);
	e3_pose_center(&b->pose, q);
	for (int k = 0; k < 3; k++)
		sum += (p[k] - q[k]) * (p[k] - q[k]);
	return sqrt(sum);
}

/* The angle between the directions in which two cameras look. */
static double angle(const colmap_image *a, const colmap_image *b)
{
	const double *p = a->pose.r + 6, *q = b->pose.r + 6;
	double c = p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
	return acos(c > 1 ? 1 : c < -1 ? -1 : c);
}

size_t colmap_keyframes(colmap_image *frame, size_t n, const e3_colmap_options *opt)
{
	double step = opt->every, gone = 0;
	size_t first = 0, best = 0, taken = 0;
	if (opt->unit == E3_EVERY_ALL)
		return n;
	if (opt->unit == E3_EVERY_SHARE) {
		for (size_t k = 1; k < n; k++)
			gone += distance(&frame[k - 1], &frame[k]);
		step = gone > 0 ? step * gone : INFINITY; /* a camera that stands still */
		gone = 0;
	}
	for (size_t k = 1; k <= n; k++) {
		gone += k < n ? distance(&frame[k - 1], &frame[k]) : 0;
		bool ends = k == n ||
			(opt->unit == E3_EVERY_FRAMES ? (double)(k - first) >= step
										  : gone >= step || angle(&frame[first], &frame[k]) > turned);
		if (!ends) {
			best = frame[k].sharp > frame[best].sharp ? k : best;
			continue;
		}
		/* what is displaced lies in a window that is over */
		colmap_image chosen = frame[best];
		frame[best] = frame[taken];
		frame[taken++] = chosen;
		first = best = k;
		gone = 0;
	}
	return taken;
}

e3_fit colmap_fit(const colmap_model *m, const colmap_image *im)
{
	return m->network ? (e3_fit){1, 1, 0, 0} : im->s.fit;
}

/* The image's own camera, in pixels of the written picture; its focal lengths are 0 when it has no usable one. */
static int own_camera(const colmap_model *m, const colmap_image *im, e3_intrinsics *out, e3_err *err)
{
	const float enc[9] = {[7] = im->enc[0], [8] = im->enc[1]};
	e3_intrinsics k = e3_intrinsics_decode(enc, im->w, im->h);
	if (!e3_intrinsics_usable(enc))
		k.fx = k.fy = 0;
	*out = k;
	return m->network ? 0 : e3_intrinsics_to_source(&k, &im->s, out, err);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The share q of n > 0 sorted values lies below it. */
static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t k = (size_t)at;
	return v[k] + (at - (double)k) * (v[k + 1 < n ? k + 1 : k] - v[k]);
}

/* The median over the images of camera c, or of all, of one focal length as a share of the picture's width or height.
 */
static double median(const colmap_model *m, const e3_intrinsics *own, long c, bool y, double *room)
{
	size_t n = 0;
	for (size_t k = 0; k < m->n_images; k++)
		if ((c < 0 || m->image[k].camera == c) && own[k].fx > 0)
			room[n++] = y ? own[k].fy / own[k].h : own[k].fx / own[k].w;
	if (!n)
		return 0;
	qsort(room, n, sizeof *room, ascending);
	return quantile(room, n, 0.5);
}

static size_t camera_of(colmap_model *m, const e3_intrinsics *own, bool per_image)
{
	for (size_t c = 0; c < m->n_cameras && !per_image; c++) {
		const e3_intrinsics *k = &m->camera[c];
		if (k->w == own->w && k->h == own->h && fabs(k->cx - own->cx) < 0.01 && fabs(k->cy - own->cy) < 0.01)
			return c;
	}
	m->camera[m->n_cameras] = *own;
	return m->n_cameras++;
}

static void tell_spread(const colmap_model *m, const e3_intrinsics *own, double *room)
{
	size_t n = 0;
	for (size_t k = 0; k < m->n_images; k++)
		if (own[k].fx > 0)
			room[n++] = 100 * (own[k].fx / m->camera[m->image[k].camera].fx - 1);
	if (n < 2)
		return;
	qsort(room, n, sizeof *room, ascending);
	double low = quantile(room, n, 0.05), high = quantile(room, n, 0.95);
	char cameras[64];
	snprintf(cameras, sizeof cameras, "%zu camera%s", m->n_cameras, m->n_cameras == 1 ? "" : "s, one for each size,");
	e3_tell(high - low > 5 ? E3_TELL_WARN : E3_TELL_NOTE,
		"%s for %zu pictures: focal length %.2f pixels; the predictions lie between %+.2f %% and %+.2f %% of it%s",
		cameras, m->n_images, m->camera[0].fx, low, high,
		high - low > 5 ? ": a zoom, or poor ones; a camera for each picture may fit better" : "");
}

static int fill(colmap_model *m, e3_intrinsics *own, double *room, bool per_image, e3_err *err)
{
	for (size_t k = 0; k < m->n_images; k++) {
		if (own_camera(m, &m->image[k], &own[k], err))
			return -1;
		m->image[k].camera = (int)camera_of(m, &own[k], per_image);
	}
	double all[2] = {median(m, own, -1, false, room), median(m, own, -1, true, room)};
	if (!(all[0] > 0 && all[1] > 0))
		return e3_fail(err, "choosing cameras: no frame has a field of view between 0 and 180 degrees");
	for (size_t c = 0; c < m->n_cameras; c++) {
		e3_intrinsics *k = &m->camera[c];
		if (!per_image)
			k->fx = k->w * median(m, own, (long)c, false, room), k->fy = k->h * median(m, own, (long)c, true, room);
		if (!(k->fx > 0 && k->fy > 0))
			k->fx = k->w * all[0], k->fy = k->h * all[1];
	}
	if (!per_image)
		tell_spread(m, own, room);
	return 0;
}

int colmap_cameras(colmap_model *m, bool per_image, e3_err *err)
{
	e3_intrinsics *own = e3_alloc(m->n_images, sizeof *own, "cameras", err);
	double *room = e3_alloc(m->n_images, sizeof *room, "cameras", err);
	m->camera = e3_alloc(m->n_images, sizeof *m->camera, "cameras", err);
	int rc = own && room && m->camera ? fill(m, own, room, per_image, err) : -1;
	free(own);
	free(room);
	return rc;
}

e3_intrinsics colmap_network_camera(const colmap_model *m, const colmap_image *im)
{
	const e3_intrinsics *k = &m->camera[im->camera];
	e3_fit f = colmap_fit(m, im);
	return (e3_intrinsics){f.sx * k->fx, f.sy * k->fy, f.sx * k->cx + f.tx, f.sy * k->cy + f.ty, im->w, im->h};
}
