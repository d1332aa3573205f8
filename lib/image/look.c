/* image: what the header of a PNG, JPEG or PNM picture says: a few bytes of it are read, none are decoded. */
#include "read.h"
#include "e3/num.h"
#include <string.h>

/* The chunks of a PNG up to its end. Without an end only decoding shows whether data lack. */
static int png_chunks(const uint8_t *p, size_t n, e3_image_facts *out, e3_err *err)
{
	bool data = false;
	for (size_t k = 8; n - k >= 12;) {
		size_t len = e3_be32(p + k);
		const uint8_t *type = p + k + 4;
		if (memcmp(type, "IEND", 4) == 0)
			return data ? 0 : e3_fail(err, "damaged: a PNG without picture data");
		data = data || memcmp(type, "IDAT", 4) == 0;
		if (len > n - k - 12)
			break;
		out->animated = out->animated || (memcmp(type, "acTL", 4) == 0 && len >= 8 && e3_be32(p + k + 8) > 1);
		out->plain = out->plain && memcmp(type, "tRNS", 4) && memcmp(type, "acTL", 4);
		k += 12 + len;
	}
	return data ? 0 : e3_fail(err, "truncated: the PNG data end before its picture");
}

static int png_look(const uint8_t *p, size_t n, e3_image_facts *out, e3_err *err)
{
	if (n < 33)
		return e3_fail(err, "truncated: the PNG header is not complete");
	if (e3_be32(p + 8) != 13 || memcmp(p + 12, "IHDR", 4))
		return e3_fail(err, "damaged: a PNG without its header");
	uint32_t w = e3_be32(p + 16), h = e3_be32(p + 20);
	int depth = p[24], type = p[25];
	if (w < 1 || h < 1 || w > INT32_MAX || h > INT32_MAX || depth > 16 || type > 6)
		return e3_fail(err, "damaged: the PNG header is impossible");
	out->w = (int)w, out->h = (int)h;
	out->plain = depth <= 8 && type != 4 && type != 6;
	out->orientation = png_orientation(p, n);
	return png_chunks(p, n, out, err);
}

static int pnm_look(const uint8_t *p, size_t n, e3_image_facts *out, e3_err *err)
{
	pnm_header h;
	int rc = pnm_header_read(p, n, &h, err);
	if (rc <= 0)
		return rc ? -1 : e3_fail(err, "truncated: the PNM header is not complete");
	if (h.kind > 3 && (n - h.data) / h.row < (size_t)h.h)
		return e3_fail(err, "truncated: the samples end in row %zu of %d", (n - h.data) / h.row, h.h);
	out->w = h.w, out->h = h.h;
	return 0;
}

int e3_image_look(const uint8_t *bytes, size_t n, const char *name, e3_image_facts *out, e3_err *err)
{
	int rc;
	*out = (e3_image_facts){.kind = e3_image_sniff(bytes, n), .orientation = 1};
	switch (out->kind) {
	case E3_IMAGE_PNG:
		rc = png_look(bytes, n, out, err);
		break;
	case E3_IMAGE_JPEG:
		rc = jpeg_look(bytes, n, out, err);
		break;
	case E3_IMAGE_PNM:
		rc = pnm_look(bytes, n, out, err);
		break;
	default:
		rc = e3_fail(err, n ? "not a PNG, JPEG or PNM picture" : "empty");
	}
	return rc ? e3_fail_in(err, "reading: %s", name) : 0;
}
