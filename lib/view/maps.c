/* view: JPEG of pictures, and PNG of depth and confidence in 8 bits. */
#include "view/maps.h"
#include "e3/geom.h"
#include "e3/image.h"
#include "e3/num.h"
#include "view/sample.h"
#include <stdlib.h>

static void small_size(int w, int h, int size[2])
{
	int longest = w > h ? w : h;
	double s = longest > VIEW_SIDE ? (double)VIEW_SIDE / longest : 1;
	size[0] = (int)lrint(w * s), size[1] = (int)lrint(h * s);
	for (int k = 0; k < 2; k++)
		size[k] = size[k] < 1 ? 1 : size[k];
}

int view_picture(const uint8_t *rgb, int w, int h, e3_buf *out, e3_err *err)
{
	e3_image all = {.w = w, .h = h, .channels = 3, .px = (uint8_t *)(uintptr_t)rgb}, fit = {0};
	int size[2];
	small_size(w, h, size);
	int rc = e3_resize_bicubic(&all, size[0], size[1], &fit, err) || e3_jpeg_encode(&fit, VIEW_JPEG_QUALITY, out, err);
	e3_image_release(&fit);
	return rc ? -1 : 0;
}

static int add_png(const e3_image *im, e3_buf *out, e3_err *err)
{
	char *bytes = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&bytes, &n);
	if (!to)
		return e3_fail_sys(err, "encoding a PNG");
	int rc = e3_png_write(to, "a map", im, err);
	if (fclose(to) && !rc)
		rc = e3_fail_sys(err, "encoding a PNG");
	rc = rc ? rc : e3_buf_add(out, bytes, n, err);
	free(bytes);
	return rc;
}

/* A map of size[0] × size[1], its range before it. */
static int add_map(const e3_image *map, const double range[2], e3_buf *out, e3_err *err)
{
	uint8_t head[12];
	e3_put_le16(head, (uint16_t)map->w), e3_put_le16(head + 2, (uint16_t)map->h);
	e3_put_lef32(head + 4, (float)range[0]), e3_put_lef32(head + 8, (float)range[1]);
	return e3_buf_add(out, head, sizeof head, err) || add_png(map, out, err) ? -1 : 0;
}

/* The pixel of a w × h map that is at the centre of pixel k of a small one. */
static size_t pixel_at(int k, const int small[2], int w, int h)
{
	int u = (int)((2 * (k % small[0]) + 1) * (int64_t)w / (2 * small[0]));
	int v = (int)((2 * (k / small[0]) + 1) * (int64_t)h / (2 * small[1]));
	return (size_t)v * (size_t)w + (size_t)u;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Nearly all inverse depths of the pixels: few outliers would take all of the 8 bits. false: there are none. */
static bool depth_range(const float *depth, size_t n, double range[2])
{
	enum { SOME = 4096, OUT = 500 /* one of so many at either end */ };
	double v[SOME];
	size_t m = 0, step = n / SOME + 1;
	for (size_t k = 0; k < n; k += step)
		if (e3_depth_known(depth[k]))
			v[m++] = 1.0 / depth[k];
	for (size_t k = 0; !m && k < n; k++)
		if (e3_depth_known(depth[k]))
			v[m++] = 1.0 / depth[k];
	if (!m)
		return false;
	qsort(v, m, sizeof *v, by_size);
	range[0] = (float)v[m / OUT], range[1] = (float)v[m - 1 - m / OUT];
	return true;
}

int view_depth_map(const float *depth, int w, int h, e3_buf *out, e3_err *err)
{
	int size[2];
	double range[2];
	e3_image map = {0};
	if (!depth_range(depth, (size_t)w * (size_t)h, range))
		return 0;
	small_size(w, h, size);
	if (e3_image_init(&map, size[0], size[1], 1, err))
		return -1;
	double scale = range[1] > range[0] ? 254 / (range[1] - range[0]) : 0;
	for (int k = 0; k < size[0] * size[1]; k++) {
		float d = depth[pixel_at(k, size, w, h)];
		double v = e3_depth_known(d) ? 1 + fmin(fmax((1.0 / d - range[0]) * scale, 0), 254) : 0;
		map.px[k] = (uint8_t)lrint(v);
	}
	int rc = add_map(&map, range, out, err);
	e3_image_release(&map);
	return rc ? -1 : 1;
}

int view_confidence_map(const float *conf, int w, int h, const double range[2], e3_buf *out, e3_err *err)
{
	int size[2];
	e3_image map = {0};
	small_size(w, h, size);
	if (e3_image_init(&map, size[0], size[1], 1, err))
		return -1;
	for (int k = 0; k < size[0] * size[1]; k++) {
		double v = view_certainty(conf, pixel_at(k, size, w, h), range);
		map.px[k] = (uint8_t)lrint(255 * (v - range[0]) / (range[1] - range[0]));
	}
	int rc = add_map(&map, range, out, err);
	e3_image_release(&map);
	return rc;
}
