/* picture: WebP through libwebp, lossy and lossless. Refuses animations. */
#include "readers.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <string.h>
#include <webp/decode.h>

/* EXIF lies in a chunk of its own behind the picture. */
static int orientation_of(const uint8_t *p, size_t n)
{
	for (size_t k = 12; n - k >= 8 && k < n;) {
		size_t len = e3_le32(p + k + 4);
		if (len > n - k - 8)
			break;
		if (memcmp(p + k, "EXIF", 4) == 0)
			return e3_exif_orientation(p + k + 8, len);
		k += 8 + len + (len & 1);
	}
	return 1;
}

static int features(const e3_picture *from, WebPBitstreamFeatures *f, e3_err *err)
{
	if (WebPGetFeatures(from->bytes, from->n, f) != VP8_STATUS_OK)
		return e3_fail(err, "damaged: the WebP header is not complete or impossible");
	if (f->has_animation)
		return e3_fail(err, "an animated WebP: not read");
	if ((uint64_t)e3_le32(from->bytes + 4) + 8 > from->n)
		return e3_fail(err, "truncated: the WebP states %llu bytes, %zu are there",
			(unsigned long long)e3_le32(from->bytes + 4) + 8, from->n);
	return 0;
}

int webp_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	WebPBitstreamFeatures f;
	if (features(from, &f, err))
		return -1;
	out->w = f.width, out->h = f.height;
	out->orientation = orientation_of(from->bytes, from->n);
	return 0;
}

int webp_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	WebPBitstreamFeatures f;
	if (features(from, &f, err) || e3_image_init(out, f.width, f.height, 3, err))
		return -1;
	size_t w = (size_t)f.width, h = (size_t)f.height;
	*orientation = orientation_of(from->bytes, from->n);
	if (!f.has_alpha)
		return WebPDecodeRGBInto(from->bytes, from->n, out->px, 3 * w * h, (int)(3 * w))
			? 0
			: e3_fail(err, "damaged WebP data");
	e3_image four;
	if (e3_image_init(&four, f.width, f.height, 4, err))
		return -1;
	int rc = WebPDecodeRGBAInto(from->bytes, from->n, four.px, 4 * w * h, (int)(4 * w))
		? 0
		: e3_fail(err, "damaged WebP data");
	if (!rc)
		rgba_over_white(four.px, out->px, w * h);
	e3_image_release(&four);
	return rc;
}
