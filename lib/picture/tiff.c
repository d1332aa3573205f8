/* picture: TIFF through libtiff: the first page, of every kind that its RGBA interface reads (strips and tiles, 1 to 16
 * bits, grey, palette, RGB, CMYK, YCbCr, all compressions of the library). Refuses raw files of cameras, whose first
 * page is a preview. libtiff reports errors to a function of the whole process, which finds the reader by its handle.
 */
#include "readers.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

typedef struct reader {
	const uint8_t *bytes;
	size_t n, at;
	e3_err said; /* the first error of libtiff */
} reader;

static void on_error(thandle_t handle, const char *module, const char *fmt, va_list args)
{
	reader *r = handle;
	char text[256];
	if (!r || r->said.text[0])
		return;
	vsnprintf(text, sizeof text, fmt, args);
	e3_fail(&r->said, "%s", text);
}

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t n)
{
	reader *r = handle;
	size_t left = r->at < r->n ? r->n - r->at : 0, now = (size_t)n < left ? (size_t)n : left;
	memcpy(to, r->bytes + (left ? r->at : 0), now);
	r->at += now;
	return (tmsize_t)now;
}

static tmsize_t on_write(thandle_t handle, void *from, tmsize_t n) { return -1; }

static toff_t on_seek(thandle_t handle, toff_t to, int whence)
{
	reader *r = handle;
	r->at = (size_t)to + (whence == SEEK_CUR ? r->at : whence == SEEK_END ? r->n : 0);
	return r->at;
}

static int on_close(thandle_t handle) { return 0; }
static toff_t on_size(thandle_t handle) { return ((reader *)handle)->n; }

static int on_map(thandle_t handle, void **base, toff_t *size)
{
	reader *r = handle;
	*base = (void *)(uintptr_t)r->bytes, *size = r->n;
	return 1;
}

static void on_unmap(thandle_t handle, void *base, toff_t size) {}

static int failed(const reader *r, const char *what, e3_err *err)
{
	return e3_fail(err, "%s%s%s", what, r->said.text[0] ? ": " : "", r->said.text);
}

static TIFF *open_tiff(reader *r, const e3_picture *from, e3_err *err)
{
	*r = (reader){.bytes = from->bytes, .n = from->n};
	TIFFSetErrorHandler(NULL);
	TIFFSetWarningHandler(NULL);
	TIFFSetWarningHandlerExt(NULL);
	TIFFSetErrorHandlerExt(on_error);
	TIFF *t = TIFFClientOpen("TIFF", "r", r, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap);
	if (!t)
		failed(r, "damaged TIFF", err);
	return t;
}

/* DNG says so; other raw files begin with a reduced picture, and have the real one in a directory below. */
static bool is_raw(TIFF *t)
{
	enum { DNG_VERSION = 50706, REDUCED = 1 };
	uint16_t n = 0;
	uint32_t kind = 0;
	void *value = NULL;
	char *make = NULL;
	toff_t *below = NULL;
	if (TIFFGetField(t, DNG_VERSION, &value) == 1)
		return true;
	bool reduced = TIFFGetField(t, TIFFTAG_SUBFILETYPE, &kind) == 1 && (kind & REDUCED);
	return reduced && TIFFGetField(t, TIFFTAG_SUBIFD, &n, &below) == 1 && n > 0 &&
		TIFFGetField(t, TIFFTAG_MAKE, &make) == 1;
}

static int header(TIFF *t, const reader *r, e3_image_facts *out, e3_err *err)
{
	uint32_t w = 0, h = 0;
	uint16_t orientation = 1;
	char why[1024] = "";
	if (is_raw(t))
		return e3_fail(err, "a camera's raw file: not read: develop it to JPEG or TIFF");
	if (TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &w) != 1 || TIFFGetField(t, TIFFTAG_IMAGELENGTH, &h) != 1 || w < 1 ||
		h < 1 || w > INT32_MAX || h > INT32_MAX)
		return failed(r, "damaged: a TIFF without a size", err);
	if (!TIFFRGBAImageOK(t, why))
		return e3_fail(err, "this kind of TIFF is not read: %s", why);
	TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &orientation);
	out->w = (int)w, out->h = (int)h;
	out->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
	return 0;
}

/* Whether more pages follow; smaller copies of the first one are none. */
static bool has_pages(TIFF *t)
{
	enum { REDUCED = 1, MASK = 4 };
	uint32_t kind = 0;
	if (TIFFLastDirectory(t) || !TIFFReadDirectory(t))
		return false;
	return TIFFGetField(t, TIFFTAG_SUBFILETYPE, &kind) != 1 || !(kind & (REDUCED | MASK));
}

int tiff_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	reader r;
	TIFF *t = open_tiff(&r, from, err);
	if (!t)
		return -1;
	int rc = header(t, &r, out, err);
	out->animated = !rc && has_pages(t);
	TIFFClose(t);
	return rc;
}

/* Whether libtiff multiplies colours by alpha: it does for RGB, and not for grey. */
static bool premultiplied(const TIFFRGBAImage *im)
{
	bool grey = im->photometric == PHOTOMETRIC_MINISBLACK || im->photometric == PHOTOMETRIC_MINISWHITE;
	return im->alpha == EXTRASAMPLE_ASSOCALPHA || !grey;
}

static void to_rgb(const TIFFRGBAImage *im, const uint32_t *from, e3_image *out)
{
	bool multiplied = premultiplied(im);
	uint8_t *to = out->px;
	for (size_t k = 0; k < (size_t)out->w * (size_t)out->h; k++, to += 3) {
		int a = im->alpha ? (int)TIFFGetA(from[k]) : 255;
		int c[3] = {(int)TIFFGetR(from[k]), (int)TIFFGetG(from[k]), (int)TIFFGetB(from[k])};
		for (int j = 0; j < 3; j++)
			to[j] = a == 255 ? (uint8_t)c[j]
				: multiplied ? (uint8_t)(c[j] + 255 - a > 255 ? 255 : c[j] + 255 - a)
							 : over_white(c[j], a);
	}
}

static int read_page(TIFF *t, const reader *r, e3_image *out, e3_err *err)
{
	TIFFRGBAImage im;
	char why[1024] = "";
	size_t pixels = (size_t)out->w * (size_t)out->h;
	if (!TIFFRGBAImageBegin(&im, t, 1, why))
		return e3_fail(err, "this kind of TIFF is not read: %s", why);
	im.req_orientation = im.orientation; /* as stored: turning is ours */
	uint32_t *raster = e3_alloc(pixels, sizeof *raster, "a picture", err);
	int rc = !raster ? -1
		: TIFFRGBAImageGet(&im, raster, (uint32_t)out->w, (uint32_t)out->h) && !r->said.text[0]
		? 0
		: failed(r, "damaged TIFF data", err);
	if (!rc)
		to_rgb(&im, raster, out);
	free(raster);
	TIFFRGBAImageEnd(&im);
	return rc;
}

int tiff_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	reader r;
	e3_image_facts facts;
	TIFF *t = open_tiff(&r, from, err);
	if (!t)
		return -1;
	int rc = header(t, &r, &facts, err);
	if (!rc)
		rc = e3_image_init(out, facts.w, facts.h, 3, err);
	r.said.text[0] = 0;
	if (!rc)
		rc = read_page(t, &r, out, err);
	*orientation = rc ? 1 : facts.orientation;
	TIFFClose(t);
	return rc;
}
