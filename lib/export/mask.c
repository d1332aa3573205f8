/* export: masks, as one picture per frame, where not black = keep, or in the stream, where a class is left out
 * (doc/formats.md 1.4). A mask is a picture of the source and goes through the scaling and cropping of its frame, so
 * that it covers the right rows when a portrait video is cropped. */
#include "e3/mask.h"
#include "export/writer.h"
#include <math.h>
#include <stdlib.h>

struct e3_masks {
	e3_mask_folder *folder;
};

e3_masks *e3_masks_open(const char *dir, e3_err *err)
{
	e3_masks *m = e3_alloc(1, sizeof *m, "masks", err);
	if (m && (m->folder = e3_mask_folder_open(dir, err)))
		return m;
	free(m);
	return NULL;
}

/* For each pixel of the network image along one axis: the pixel of the mask that covers its centre, or -1 outside the
 * source picture. The resize keeps the edges of the pictures together, so centres are at k + 0.5. */
static void sample_axis(int n, double s, double t, int src, int mask, int *to)
{
	for (int k = 0; k < n; k++) {
		double at = (k + 0.5 - t) / s / src;
		to[k] = at >= 0 && at < 1 ? (int)(at * mask) : -1;
	}
}

int e3_masks_get(e3_masks *m, const e3_pred *p, int64_t ordinal, uint8_t *keep, e3_err *err)
{
	const e3_fit *f = &p->s.fit;
	e3_image im = {0};
	if (e3_mask_folder_load(m->folder, &p->s, ordinal, p->name, &im, err))
		return -1;
	bool direct = (im.w == p->w && im.h == p->h) || !(f->sx > 0) || !(f->sy > 0) || p->s.src_w < 1 || p->s.src_h < 1;
	int *x = e3_alloc((size_t)p->w + (size_t)p->h, sizeof *x, "a mask", err);
	if (!x) {
		e3_image_release(&im);
		return -1;
	}
	int *y = x + p->w;
	sample_axis(p->w, direct ? 1 : f->sx, direct ? 0 : f->tx, direct ? p->w : p->s.src_w, im.w, x);
	sample_axis(p->h, direct ? 1 : f->sy, direct ? 0 : f->ty, direct ? p->h : p->s.src_h, im.h, y);
	for (int v = 0; v < p->h; v++)
		for (int u = 0; u < p->w; u++) {
			bool inside = x[u] >= 0 && y[v] >= 0;
			const uint8_t *px = im.px + (inside ? (size_t)y[v] * (size_t)im.w + (size_t)x[u] : 0) * 3;
			*keep++ = inside && (px[0] | px[1] | px[2]);
		}
	free(x);
	e3_image_release(&im);
	return 0;
}

void e3_masks_close(e3_masks *m)
{
	if (!m)
		return;
	e3_mask_folder_close(m->folder);
	free(m);
}

/* For each pixel of the network image along one axis: the pixel of a mask of the stream that covers its centre, or -1.
 */
static void mask_axis(int n, double s, double t, const double fit[2], int mask, int *to)
{
	for (int k = 0; k < n; k++) {
		double at = fit ? (k + 0.5 - t) / s * fit[0] + fit[1] : (k + 0.5) * mask / n;
		to[k] = at >= 0 && at < mask ? (int)at : -1;
	}
}

static void mark(const e3_mask *m, const e3_pred *p, const int *x, const int *y, uint8_t *out)
{
	for (int v = 0; v < p->h; v++)
		for (int u = 0; u < p->w; u++, out++)
			if (x[u] >= 0 && y[v] >= 0 && m->px[(size_t)y[v] * (size_t)m->w + (size_t)x[u]] >= 128)
				*out = 1;
}

/* OpenCV's bilinear resize of bytes: the two pixels, and the weight of the second, of 2048. */
static void taps(int n, int to, int *first, int *weight)
{
	for (int k = 0; k < to; k++) {
		double at = (k + 0.5) * ((double)n / to) - 0.5;
		int a = (int)floor(at);
		double part = a < 0 || a >= n - 1 ? 0 : at - a;
		first[k] = a < 0 ? 0 : a > n - 1 ? n - 1 : a;
		weight[k] = (int)lrint(part * 2048);
	}
}

/* What is kept is 255, resized; above 0 it is kept. room: of both axes, twice. */
static void mark_upstream(const e3_mask *m, const e3_pred *p, int *room, uint8_t *out)
{
	int *x = room, *wx = x + p->w, *y = wx + p->w, *wy = y + p->h;
	taps(m->w, p->w, x, wx);
	taps(m->h, p->h, y, wy);
	for (int v = 0; v < p->h; v++) {
		const uint8_t *row[2] = {m->px + (size_t)y[v] * (size_t)m->w, NULL};
		row[1] = y[v] + 1 < m->h ? row[0] + m->w : row[0];
		for (int u = 0; u < p->w; u++, out++) {
			int a = x[u], b = a + 1 < m->w ? a + 1 : a, sum[2];
			for (int r = 0; r < 2; r++)
				sum[r] = (row[r][a] >= 128 ? 0 : 255) * (2048 - wx[u]) + (row[r][b] >= 128 ? 0 : 255) * wx[u];
			if (((((2048 - wy[v]) * (sum[0] >> 4)) >> 16) + ((wy[v] * (sum[1] >> 4)) >> 16) + 2) >> 2 == 0)
				*out = 1;
		}
	}
}

int e3_mask_mark(const e3_mask *m, const e3_pred *p, bool upstream, uint8_t *out, e3_err *err)
{
	const e3_fit *f = &p->s.fit;
	const double fx[2] = {m->fit.sx, m->fit.tx}, fy[2] = {m->fit.sy, m->fit.ty};
	int *x = e3_alloc(2 * ((size_t)p->w + (size_t)p->h), sizeof *x, "a mask", err);
	if (!x)
		return -1;
	int *y = x + p->w;
	if (upstream) {
		mark_upstream(m, p, x, out);
	} else {
		mask_axis(p->w, f->sx, f->tx, m->has_fit ? fx : NULL, m->w, x);
		mask_axis(p->h, f->sy, f->ty, m->has_fit ? fy : NULL, m->h, y);
		mark(m, p, x, y, out);
	}
	free(x);
	return 0;
}
