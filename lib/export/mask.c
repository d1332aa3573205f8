/* export: masks, one picture per frame, where not black = keep (doc/formats.md 1.4). A mask is a picture of the source
 * and goes through the scaling and cropping of its frame, so that it covers the right rows when a portrait video is
 * cropped. */
#include "e3/mask.h"
#include "export/writer.h"
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
	if (e3_mask_folder_load(m->folder, p->s.i, ordinal, &im, err))
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
