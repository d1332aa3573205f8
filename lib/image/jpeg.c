/* image: JPEG through TurboJPEG with its default settings, which is what Pillow decodes to, bit for bit. A file that
 * ends before its picture is complete is refused, one that lacks only the end marker is not; other damage is decoded as
 * far as possible, as Pillow does. CMYK is read as Adobe stores it, inverted. Refuses 12 bits a sample and lossless
 * coding. What follows the first picture is ignored. */
#include "read.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1, JPEG_LS = 0xf7 };

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

/* What a walk over the segments finds. */
typedef struct survey {
	int orientation;
	bool ended;    /* the end marker is there */
	uint8_t frame; /* its marker: which kind of JPEG */
	int w, h, precision;
	int components;
	uint8_t id[4];
	uint64_t done[4]; /* of each component: coefficients that a scan has sent to their last bit */
	size_t end;       /* of the picture, when it has ended */
} survey;

static void see_frame(survey *s, uint8_t marker, const uint8_t *p, size_t len)
{
	if (len < 8 || s->frame)
		return;
	s->frame = marker, s->precision = p[2];
	s->h = p[3] << 8 | p[4], s->w = p[5] << 8 | p[6];
	s->components = p[7] <= 4 ? p[7] : 0;
	for (int c = 0; c < s->components && 8 + 3 * (size_t)c < len; c++)
		s->id[c] = p[8 + 3 * c];
}

static void see_scan(survey *s, const uint8_t *p, size_t len)
{
	size_t n = len > 2 ? p[2] : 0;
	if (n < 1 || len < 6 + 2 * n)
		return;
	unsigned first = p[3 + 2 * n], last = p[4 + 2 * n], low = p[5 + 2 * n] & 15;
	if (first > last || last > 63 || low)
		return;
	uint64_t bits = (last == 63 ? ~0ull : (1ull << (last + 1)) - 1) & ~((1ull << first) - 1);
	for (size_t k = 0; k < n; k++)
		for (int c = 0; c < s->components; c++)
			if (s->id[c] == p[3 + 2 * k])
				s->done[c] |= bits;
}

/* Walks the segments up to the end marker, or to the first scan. */
static survey look_over(const uint8_t *bytes, size_t n, bool to_scan)
{
	survey s = {.orientation = 1};
	bool found = false;
	for (size_t at = jpeg_marker(bytes, n, 0); at < n; at = jpeg_marker(bytes, n, at)) {
		uint8_t m = bytes[at + 1];
		s.ended = m == EOI;
		s.end = at + 2;
		if (s.ended || (to_scan && m == SOS))
			break;
		at += 2;
		if (m == SOI)
			continue;
		size_t len = n - at < 2 ? 0 : (size_t)bytes[at] << 8 | bytes[at + 1];
		if (len < 2 || len > n - at)
			break;
		if (m == APP1 && !found && len > 8 && memcmp(bytes + at + 2, "Exif\0\0", 6) == 0) {
			s.orientation = e3_exif_orientation(bytes + at + 8, len - 8);
			found = true;
		} else if (m == JPEG_LS || (m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc)) {
			see_frame(&s, m, bytes + at, len);
		} else if (m == SOS) {
			see_scan(&s, bytes + at, len);
		}
		at += len;
	}
	return s;
}

static bool all_scans(const survey *s)
{
	for (int c = 0; c < s->components; c++)
		if (~s->done[c])
			return false;
	return s->components > 0;
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

/* What decompress() needs beside the bytes. */
typedef struct job {
	tjhandle tj;
	bool patched; /* the end marker was added: a warning means that data are missing */
	bool *gaps;   /* becomes true when data inside are damaged or missing */
} job;

static int decompress(const job *j, const uint8_t *bytes, size_t n, int format, e3_image *to, e3_err *err)
{
	if (tjDecompress2(j->tj, bytes, (unsigned long)n, to->px, to->w, 0, to->h, format, TJFLAG_LIMITSCANS) == 0)
		return 0;
	if (tjGetErrorCode(j->tj) != TJERR_WARNING)
		return e3_fail(err, "%s", tjGetErrorStr2(j->tj));
	const char *warning = tjGetErrorStr2(j->tj);
	if (strstr(warning, "extraneous bytes")) /* padding */
		return 0;
	*j->gaps = strncmp(warning, "Corrupt JPEG data", strlen("Corrupt JPEG data")) == 0;
	return j->patched ? e3_fail(err, "truncated: the JPEG data end before the picture is complete") : 0;
}

static int decode(const job *j, const uint8_t *bytes, size_t n, e3_image *out, e3_err *err)
{
	int w = 0, h = 0, subsampling = -1, space = -1;
	/* With unusual sampling factors this fails, but only after it has set all that is needed here. */
	if (tjDecompressHeader3(j->tj, bytes, (unsigned long)n, &w, &h, &subsampling, &space) &&
		(w < 1 || h < 1 || space < 0))
		return e3_fail(err, "%s", tjGetErrorStr2(j->tj));
	/* A block of 64 pixels takes about a bit at least; 4096 pixels a byte leaves room for arithmetic coding. This comes
	 * before memory is allocated for what the header claims. */
	if ((uint64_t)n < (uint64_t)w * (uint64_t)h / 4096)
		return e3_fail(err, "truncated: %zu bytes for %d × %d pixels", n, w, h);
	if (e3_image_init(out, w, h, 3, err))
		return -1;
	if (space != TJCS_CMYK && space != TJCS_YCCK)
		return decompress(j, bytes, n, TJPF_RGB, out, err);
	e3_image four;
	int rc = e3_image_init(&four, w, h, 4, err);
	if (!rc)
		rc = decompress(j, bytes, n, TJPF_CMYK, &four, err);
	if (!rc)
		from_cmyk(four.px, out->px, (size_t)w * (size_t)h);
	e3_image_release(&four);
	return rc;
}

/* The bytes with an end marker behind them, in front of the zeros with which they may be padded: the decoder would take
 * those for data of the picture. One zero may be. *n becomes the length. */
static uint8_t *with_end(const uint8_t *bytes, size_t *n, e3_err *err)
{
	size_t end = *n;
	while (end > 1 && bytes[end - 1] == 0 && bytes[end - 2] == 0)
		end--;
	uint8_t *copy = e3_alloc(end + 2, 1, "a picture", err);
	if (copy) {
		memcpy(copy, bytes, end);
		copy[end] = 0xff, copy[end + 1] = EOI;
		*n = end + 2;
	}
	return copy;
}

/* What no decoder here reads, by its name. */
static int refuse(const survey *s, e3_err *err)
{
	if (s->frame == JPEG_LS)
		return e3_fail(err, "a JPEG-LS: not read");
	if (s->frame == 0xc3 || s->frame == 0xc7 || s->frame == 0xcb || s->frame == 0xcf)
		return e3_fail(err, "a lossless JPEG (as in raw files of cameras): not read");
	if (s->frame && s->precision != 8)
		return e3_fail(err, "a JPEG of %d bits a sample: only 8 are read", s->precision);
	return 0;
}

int jpeg_look(const uint8_t *bytes, size_t n, e3_image_facts *out, e3_err *err)
{
	survey s = look_over(bytes, n, true);
	if (refuse(&s, err))
		return -1;
	if (!s.frame || s.ended)
		return e3_fail(err, "damaged: a JPEG without %s", s.frame ? "a scan" : "a frame header");
	if (s.w < 1 || s.h < 1)
		return e3_fail(err, "damaged: a JPEG of %d × %d pixels", s.w, s.h);
	out->w = s.w, out->h = s.h, out->orientation = s.orientation;
	out->plain = s.components == 1 || s.components == 3;
	return 0;
}

int jpeg_decode(const uint8_t *bytes, size_t n, e3_image *out, int *orientation, bool *gaps, e3_err *err)
{
	survey s = look_over(bytes, n, false);
	*orientation = s.orientation;
	if (refuse(&s, err))
		return -1;
	if (!s.ended && !all_scans(&s))
		return e3_fail(err, "truncated: the JPEG data end before its end marker");
	job j = {.tj = tjInitDecompress(), .patched = !s.ended, .gaps = gaps};
	uint8_t *copy = s.ended ? NULL : with_end(bytes, &n, err);
	int rc = !j.tj ? e3_fail(err, "%s", tjGetErrorStr2(NULL)) : s.ended || copy ? 0 : -1;
	if (!rc)
		rc = decode(&j, copy ? copy : bytes, n, out, err);
	if (rc)
		e3_image_release(out);
	free(copy);
	tjDestroy(j.tj);
	return rc;
}
