/* image: reading PNG to RGB as Pillow's convert('RGB') does: palettes and grey are expanded; 16 bits are cut to their
 * upper byte, except that 16-bit grey saturates at 255; gamma and transparent colours are ignored; RGBA, and 16-bit
 * grey with alpha, is composited over white, or its alpha is ignored; a mask over black. 16-bit grey can also be read
 * as it is. Every error of libpng is an error here; setjmp stays inside this file. */
#include "read.h"
#include "e3/mem.h"
#include <png.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIXELS = 1 << 28 };

/* Everything that must survive the longjmp. */
typedef struct reader {
	const uint8_t *bytes;
	size_t n, at;
	e3_err *err;
	uint8_t *rows; /* one row, or all of them when interlaced */
	e3_image out;
	uint16_t *grey; /* want_grey: the samples, instead of `out` */
	int w, h;
	bool want_grey, opaque, mask;
	int type, depth;
	png_colorp palette;
	int n_palette;
} reader;

static void on_error(png_structp png, const char *text)
{
	reader *r = png_get_error_ptr(png);
	e3_fail(r->err, "%s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, const char *text) { (void)png, (void)text; }

static void on_read(png_structp png, png_bytep to, size_t n)
{
	reader *r = png_get_io_ptr(png);
	if (n > r->n - r->at)
		png_error(png, "truncated: the PNG data end before the picture is complete");
	memcpy(to, r->bytes + r->at, n);
	r->at += n;
}

static uint8_t over(int ground, int c, int a) { return (uint8_t)((c * a + ground * (255 - a) + 127) / 255); }

static void expand_palette(const reader *r, const uint8_t *from, uint8_t *to)
{
	for (int x = 0; x < r->out.w; x++, to += 3) {
		int k = from[x];
		if (k < r->n_palette)
			to[0] = r->palette[k].red, to[1] = r->palette[k].green, to[2] = r->palette[k].blue;
		else
			memset(to, k, 3); /* Pillow's palettes begin as a grey ramp */
	}
}

static void expand_grey(const reader *r, const uint8_t *from, uint8_t *to)
{
	bool alpha = r->type == PNG_COLOR_TYPE_GRAY_ALPHA;
	int ground = r->mask ? 0 : 255;
	int unit = r->depth < 8 ? 255 / ((1 << r->depth) - 1) : 1;
	for (int x = 0; x < r->out.w; x++, to += 3)
		if (r->depth == 16 && alpha) /* Pillow makes RGBA of these, and of no other grey */
			memset(to, over(ground, from[2 * x], from[2 * x + 1]), 3);
		else if (alpha && r->mask)
			memset(to, over(0, from[2 * x], from[2 * x + 1]), 3);
		else if (r->depth == 16)
			memset(to, from[2 * x] ? 255 : from[2 * x + 1], 3);
		else
			memset(to, from[x * (alpha ? 2 : 1)] * unit, 3);
}

static void drop_alpha(const reader *r, const uint8_t *from, uint8_t *to)
{
	for (int x = 0; x < r->out.w; x++, from += 4, to += 3)
		memcpy(to, from, 3);
}

static void expand_row(const reader *r, const uint8_t *from, uint8_t *to)
{
	if (r->type == PNG_COLOR_TYPE_RGB)
		memcpy(to, from, 3 * (size_t)r->out.w);
	else if (r->type == PNG_COLOR_TYPE_RGB_ALPHA && r->opaque)
		drop_alpha(r, from, to);
	else if (r->type == PNG_COLOR_TYPE_RGB_ALPHA)
		for (int x = 0; x < r->out.w; x++, from += 4, to += 3)
			for (int c = 0; c < 3; c++)
				to[c] = over(r->mask ? 0 : 255, from[c], from[3]);
	else if (r->type == PNG_COLOR_TYPE_PALETTE)
		expand_palette(r, from, to);
	else
		expand_grey(r, from, to);
}

static int prepare_grey(reader *r, png_structp png)
{
	if (r->type != PNG_COLOR_TYPE_GRAY || r->depth != 16)
		return e3_fail(r->err, "%d bits %s: expected 16 bits of grey", r->depth,
			r->type == PNG_COLOR_TYPE_GRAY          ? "of grey"
				: r->type == PNG_COLOR_TYPE_PALETTE ? "of palette"
													: "of colour or alpha");
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		png_set_swap(png);
	r->grey = e3_alloc((size_t)r->w * (size_t)r->h, sizeof *r->grey, "a depth map", r->err);
	return r->grey ? 0 : -1;
}

/* Header and transformations. Refuses sizes that the bytes present cannot hold, before memory is allocated. */
static int prepare(reader *r, png_structp png, png_infop info)
{
	png_read_info(png, info);
	png_uint_32 w = png_get_image_width(png, info), h = png_get_image_height(png, info);
	r->type = png_get_color_type(png, info), r->depth = png_get_bit_depth(png, info);
	enum { DEFLATE_LIMIT = 1032 }; /* the largest factor by which deflate expands */
	uint64_t raw = ((uint64_t)w * png_get_channels(png, info) * (unsigned)r->depth + 7) / 8 * h;
	if (raw / DEFLATE_LIMIT > r->n)
		return e3_fail(r->err, "truncated: %zu bytes for %u × %u pixels", r->n, (unsigned)w, (unsigned)h);
	if (w > 65535 || h > 65535 || (uint64_t)w * h > MAX_PIXELS)
		return e3_fail(r->err, "%u × %u pixels: too large", (unsigned)w, (unsigned)h);
	r->w = (int)w, r->h = (int)h;
	if (r->want_grey)
		return prepare_grey(r, png);
	if (r->type == PNG_COLOR_TYPE_PALETTE)
		png_get_PLTE(png, info, &r->palette, &r->n_palette);
	if (r->depth < 8)
		png_set_packing(png);
	if (r->depth == 16 && r->type != PNG_COLOR_TYPE_GRAY)
		png_set_strip_16(png);
	return e3_image_init(&r->out, r->w, r->h, 3, r->err);
}

static int read_all(reader *r, png_structp png, png_infop info)
{
	if (setjmp(png_jmpbuf(png)))
		return -1; /* the error was set where it happened */
	png_set_read_fn(png, r, on_read);
	if (prepare(r, png, info))
		return -1;
	int passes = png_set_interlace_handling(png);
	png_read_update_info(png, info);
	size_t stride = png_get_rowbytes(png, info), keep = passes > 1 ? stride : 0;
	r->rows = e3_alloc(passes > 1 ? (size_t)r->h : 1, stride, "a picture", r->err);
	if (!r->rows)
		return -1;
	for (int pass = 0; pass < passes; pass++)
		for (int y = 0; y < r->h; y++) {
			uint8_t *row = r->rows + (size_t)y * keep;
			png_read_row(png, row, NULL);
			if (pass == passes - 1 && r->want_grey)
				memcpy(r->grey + (size_t)y * (size_t)r->w, row, 2 * (size_t)r->w);
			else if (pass == passes - 1)
				expand_row(r, row, r->out.px + 3 * (size_t)y * (size_t)r->w);
		}
	return 0; /* what follows the last row need not be whole, as with Pillow */
}

static int run(reader *r)
{
	png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	int rc = info ? read_all(r, png, info) : e3_fail(r->err, "out of memory");
	png_destroy_read_struct(&png, &info, NULL);
	free(r->rows);
	return rc;
}

int png_decode(const picture_bytes *from, e3_image *out, int *orientation, e3_err *err)
{
	reader r = {.bytes = from->bytes, .n = from->n, .opaque = from->opaque, .mask = from->mask, .err = err};
	int rc = run(&r);
	if (rc)
		e3_image_release(&r.out);
	*out = r.out;
	*orientation = png_orientation(from->bytes, from->n);
	return rc;
}

int e3_png16_decode(const uint8_t *bytes, size_t n, const char *name, uint16_t **v, int size[2], e3_err *err)
{
	reader r = {.bytes = bytes, .n = n, .want_grey = true, .err = err};
	bool png = e3_image_sniff(bytes, n) == E3_IMAGE_PNG;
	*v = NULL;
	if (png && run(&r) == 0) {
		*v = r.grey, size[0] = r.w, size[1] = r.h;
		return 0;
	}
	free(r.grey);
	if (!png)
		e3_fail(err, n ? "not a PNG picture" : "empty");
	return e3_fail_in(err, "reading: %s", name);
}
