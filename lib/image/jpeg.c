/* image: JPEG through TurboJPEG with its default settings, which is what Pillow decodes to, bit for bit. A file that
 * ends early is refused; other damage is decoded as far as possible, as Pillow does. CMYK is read as Adobe stores it,
 * inverted. */
#include "read.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1 };

size_t jpeg_marker(const uint8_t *bytes, size_t n, size_t at)
{
	while (at + 1 < n) {
		const uint8_t *ff = memchr(bytes + at, 0xff, n - 1 - at);
		if (!ff)
			return n;
		at = (size_t)(ff - bytes);
		uint8_t m = bytes[at + 1];
		if (m != 0 && m != 0xff && m != 0x01 && !(m >= 0xd0 && m <= 0xd7))
			return at;
		at += m == 0xff ? 1 : 2;
	}
	return n;
}

/* Walks the segments: finds the orientation, if any, and whether the end-of-image marker is there. */
static bool survey(const uint8_t *bytes, size_t n, int *orientation)
{
	bool found = false;
	*orientation = 1;
	for (size_t at = jpeg_marker(bytes, n, 0); at < n; at = jpeg_marker(bytes, n, at)) {
		uint8_t m = bytes[at + 1];
		if (m == EOI)
			return true;
		at += 2;
		if (m == SOI)
			continue;
		size_t len = n - at < 2 ? 0 : (size_t)bytes[at] << 8 | bytes[at + 1];
		if (len < 2 || len > n - at)
			return false;
		if (m == APP1 && !found && len > 8 && memcmp(bytes + at + 2, "Exif\0\0", 6) == 0) {
			*orientation = exif_orientation(bytes + at + 8, len - 8);
			found = true;
		}
		at += len;
	}
	return false;
}

static uint8_t multiply(int a, int b)
{
	int t = a * b + 128;
	return (uint8_t)((t + (t >> 8)) >> 8);
}

/* Pillow's CMYK to RGB, after undoing Adobe's inversion. */
static void from_cmyk(const uint8_t *from, uint8_t *to, size_t pixels)
{
	for (size_t k = 0; k < pixels; k++, from += 4, to += 3)
		for (int c = 0; c < 3; c++) {
			int v = from[3] - multiply(255 - from[c], from[3]);
			to[c] = (uint8_t)(v < 0 ? 0 : v);
		}
}

static int decompress(tjhandle tj, const uint8_t *bytes, size_t n, int format, e3_image *to, e3_err *err)
{
	/* A warning is not a failure: survey() has found what is missing. */
	if (tjDecompress2(tj, bytes, (unsigned long)n, to->px, to->w, 0, to->h, format, TJFLAG_LIMITSCANS) &&
		tjGetErrorCode(tj) != TJERR_WARNING)
		return e3_fail(err, "%s", tjGetErrorStr2(tj));
	return 0;
}

static int decode(tjhandle tj, const uint8_t *bytes, size_t n, e3_image *out, e3_err *err)
{
	int w = 0, h = 0, subsampling = -1, space = -1;
	/* With unusual sampling factors this fails, but only after it has set all that is needed here. */
	if (tjDecompressHeader3(tj, bytes, (unsigned long)n, &w, &h, &subsampling, &space) && (w < 1 || h < 1 || space < 0))
		return e3_fail(err, "%s", tjGetErrorStr2(tj));
	/* A block of 64 pixels takes about a bit at least; 4096 pixels a byte leaves room for arithmetic coding. This comes
	 * before memory is allocated for what the header claims. */
	if ((uint64_t)n < (uint64_t)w * (uint64_t)h / 4096)
		return e3_fail(err, "truncated: %zu bytes for %d × %d pixels", n, w, h);
	if (e3_image_init(out, w, h, 3, err))
		return -1;
	if (space != TJCS_CMYK && space != TJCS_YCCK)
		return decompress(tj, bytes, n, TJPF_RGB, out, err);
	e3_image four;
	int rc = e3_image_init(&four, w, h, 4, err);
	if (!rc)
		rc = decompress(tj, bytes, n, TJPF_CMYK, &four, err);
	if (!rc)
		from_cmyk(four.px, out->px, (size_t)w * (size_t)h);
	e3_image_release(&four);
	return rc;
}

int jpeg_decode(const uint8_t *bytes, size_t n, e3_image *out, int *orientation, e3_err *err)
{
	bool whole = survey(bytes, n, orientation);
	tjhandle tj = tjInitDecompress();
	if (!tj)
		return e3_fail(err, "%s", tjGetErrorStr2(NULL));
	int rc = decode(tj, bytes, n, out, err);
	if (!rc && !whole)
		rc = e3_fail(err, "truncated: the JPEG data end before its end marker");
	if (rc)
		e3_image_release(out);
	tjDestroy(tj);
	return rc;
}
