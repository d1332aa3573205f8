/* image: where a picture ends, found without decoding. The kinds that state no length end where the stream ends. */
#include "read.h"
#include "e3/num.h"
#include <string.h>

#define MAX_PICTURE ((size_t)2 << 30)

/* Each of the following: 1 and *at = the length of the first picture; 0 and *at = how far it got, when bytes are
 * missing. */
static int png_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	size_t k = *at ? *at : 8;
	while (n >= k && n - k >= 12) {
		if (k > 8 && e3_image_sniff(p + k, n - k) != E3_IMAGE_NONE) { /* the next one: this one has no end */
			*at = k;
			return 1;
		}
		size_t next = k + 12 + (size_t)e3_be32(p + k);
		bool end = memcmp(p + k + 4, "IEND", 4) == 0;
		if (end && n >= next) {
			*at = next;
			return 1;
		}
		if (end || next - k > (size_t)1 << 31)
			break;
		k = next;
	}
	if (n > k && n - k >= 12 && e3_be32(p + k) > INT32_MAX)
		return e3_fail(err, "PNG chunk of %u bytes: too large", (unsigned)e3_be32(p + k));
	*at = k;
	return 0;
}

/* The pictures that belong to the first one of a JPEG (MPO: stereo, preview, gain map) are listed in its MPF segment:
 * where the last of them ends; 0 when there are none. `end`: where the first one ends. */
static size_t mpf_extent(const uint8_t *p, size_t end)
{
	enum { ENTRIES = 0xb002, ENTRY = 16, MOST = 1 << 30 };
	size_t at = 2, far = 0;
	while (end - at >= 16 && p[at] == 0xff && p[at + 1] != 0xda) {
		size_t len = (size_t)p[at + 2] << 8 | p[at + 3], base = at + 8, n = len < 6 ? 0 : len - 6, size = 0;
		if (len < 2 || len > end - at - 2)
			return 0;
		if (p[at + 1] == 0xe2 && n > 8 && memcmp(p + at + 4, "MPF\0", 4) == 0) {
			bool big = p[base] == 'M';
			size_t list = exif_find(p + base, n, ENTRIES, &size);
			for (size_t k = 0; list && k + ENTRY <= size && list + k + ENTRY <= n; k += ENTRY) {
				const uint8_t *e = p + base + list + k;
				size_t bytes = big ? e3_be32(e + 4) : e3_le32(e + 4), from = big ? e3_be32(e + 8) : e3_le32(e + 8);
				size_t last = base + from + bytes;
				if (from && base + from >= end && last < MOST && last > far)
					far = last;
			}
			return far;
		}
		at += 2 + len;
	}
	return 0;
}

/* The first picture ends at `end`: with those that belong to it, when they are there. */
static int jpeg_end(const uint8_t *p, size_t n, size_t end, size_t *at)
{
	size_t all = mpf_extent(p, end);
	*at = end - 2;
	if (all > end && n - end < 3)
		return 0;
	if (all > end && p[end] == 0xff && p[end + 1] == 0xd8) {
		if (n < all)
			return 0;
		end = all;
	}
	*at = end;
	return 1;
}

static int jpeg_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	size_t k = *at ? *at : 2;
	for (;;) {
		size_t m = jpeg_marker(p, n, k);
		if (m == n) {
			*at = k >= n ? k : n - (p[n - 1] == 0xff); /* the marker may be cut in two */
			return 0;
		}
		if (p[m + 1] == 0xd9)
			return jpeg_end(p, n, m + 2, at);
		if (p[m + 1] == 0xd8) { /* the next one: this one has no end marker */
			*at = m;
			return 1;
		}
		*at = m;
		if (n - m < 4)
			return 0;
		size_t len = (size_t)p[m + 2] << 8 | p[m + 3];
		if (len < 2)
			return e3_fail(err, "JPEG segment of %zu bytes: too small", len);
		k = m + 2 + len;
		if (k > n)
			return 0;
	}
}

static int pnm_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	pnm_header h;
	int rc = pnm_header_read(p, n, &h, err);
	if (rc <= 0)
		return rc;
	size_t total = h.data + h.row * (size_t)h.h;
	if (h.kind <= 3) {
		*at = n;
		return 0;
	}
	if (total > MAX_PICTURE)
		return e3_fail(err, "%d × %d pixels: too large", h.w, h.h);
	*at = total;
	return n >= total;
}

/* Whether a box of a HEIF picture begins at p, rather than another picture or padding: types are four letters. */
static bool heif_goes_on(const uint8_t *p, size_t n)
{
	bool letters = memcmp(p + 4, "ftyp", 4) != 0;
	for (int k = 4; k < 8; k++)
		letters = letters && p[k] >= 0x20 && p[k] < 0x7f;
	return letters && e3_image_sniff(p, n) == E3_IMAGE_NONE;
}

/* A HEIF picture consists of boxes, and ends where something else begins: another picture, or padding. */
static int heif_extent(const uint8_t *p, size_t n, size_t *at)
{
	size_t k = *at;
	while (n >= k && n - k >= 16) {
		uint64_t size = e3_be32(p + k);
		if (size == 1)
			size = (uint64_t)e3_be32(p + k + 8) << 32 | e3_be32(p + k + 12);
		if (k && !heif_goes_on(p + k, n - k)) {
			*at = k;
			return 1;
		}
		if (size < 8 || size > MAX_PICTURE)
			break; /* to the end */
		k += (size_t)size;
	}
	*at = k;
	return 0;
}

int e3_gif_walk(const uint8_t *p, size_t n, size_t *length, int *images)
{
	size_t k = 13;
	*images = 0, *length = 0;
	if (n < k)
		return 0;
	k += p[10] & 0x80 ? (size_t)3 << ((p[10] & 7) + 1) : 0;
	while (k < n) {
		int block = p[k++];
		if (block == 0x3b) {
			*length = k;
			return 1;
		}
		if (block != 0x21 && block != 0x2c)
			return -1;
		if (block == 0x2c && n - k < 10)
			return 0;
		if (block == 0x2c)
			k += 10 + (p[k + 8] & 0x80 ? (size_t)3 << ((p[k + 8] & 7) + 1) : 0);
		else
			k++;
		while (k < n && p[k])
			k += 1 + (size_t)p[k];
		if (k >= n)
			return 0;
		*images += block == 0x2c;
		k++;
	}
	return 0;
}

/* A length that the header states. */
static int stated(uint64_t length, size_t n, size_t *at, e3_err *err)
{
	if (length > MAX_PICTURE)
		return e3_fail(err, "a picture of %llu bytes: too large", (unsigned long long)length);
	*at = (size_t)length;
	return n >= length;
}

int e3_image_extent(const uint8_t *bytes, size_t n, size_t *at, e3_err *err)
{
	int images;
	switch (e3_image_sniff(bytes, n)) {
	case E3_IMAGE_PNG:
		return png_extent(bytes, n, at, err);
	case E3_IMAGE_JPEG:
		return jpeg_extent(bytes, n, at, err);
	case E3_IMAGE_PNM:
		return pnm_extent(bytes, n, at, err);
	case E3_IMAGE_WEBP:
		return stated(8 + (((uint64_t)e3_le32(bytes + 4) + 1) & ~1ull), n, at, err);
	case E3_IMAGE_BMP:
		return e3_le32(bytes + 2) > E3_IMAGE_HEAD ? stated(e3_le32(bytes + 2), n, at, err) : 0;
	case E3_IMAGE_HEIF:
		return heif_extent(bytes, n, at);
	case E3_IMAGE_GIF:
		return e3_gif_walk(bytes, n, at, &images) > 0;
	case E3_IMAGE_TIFF:
	case E3_IMAGE_JXL:
	case E3_IMAGE_J2K:
	case E3_IMAGE_RAW:
		return 0;
	default:
		return n < E3_IMAGE_HEAD ? 0 : e3_fail(err, "not a picture of a kind that is read");
	}
}

bool e3_image_ends_with_stream(const uint8_t *bytes, size_t n)
{
	e3_image_kind kind = e3_image_sniff(bytes, n);
	return kind == E3_IMAGE_TIFF || kind == E3_IMAGE_HEIF || kind == E3_IMAGE_JXL || kind == E3_IMAGE_J2K ||
		(kind == E3_IMAGE_PNM && bytes[1] <= '3') || (kind == E3_IMAGE_BMP && e3_le32(bytes + 2) <= E3_IMAGE_HEAD);
}
