/* image: writing PNG. libpng's setjmp stays inside this file; every write is checked. */
#include "e3/image.h"
#include "e3/io.h"
#include <png.h>
#include <stdlib.h>
#include <string.h>

/* Where a PNG goes. */
typedef struct target {
	FILE *to;
	const char *name;
	e3_err *err;
} target;

typedef struct plane {
	const uint8_t *rows;
	size_t stride;
	int w, h, depth, color;
	const char *const *text; /* key, value, ..., NULL; or NULL */
	bool quick;              /* one filter, little compression */
} plane;

static void on_error(png_structp png, const char *text)
{
	target *s = png_get_error_ptr(png);
	e3_fail(s->err, "writing: %s: %s", s->name, text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, const char *text) { (void)png, (void)text; }

static void on_write(png_structp png, png_bytep bytes, size_t n)
{
	target *s = png_get_io_ptr(png);
	if (fwrite(bytes, 1, n, s->to) != n) {
		e3_fail_sys(s->err, "writing: %s", s->name);
		png_longjmp(png, 1);
	}
}

static void on_flush(png_structp png) { (void)png; }

static void write_text(png_structp png, png_infop info, const char *const *text)
{
	for (; text && text[0] && text[1]; text += 2) {
		/* libpng copies its arguments, although they are not const */
		png_text t = {.compression = PNG_TEXT_COMPRESSION_NONE,
			.key = (char *)(uintptr_t)text[0],
			.text = (char *)(uintptr_t)text[1]};
		t.text_length = strlen(text[1]);
		png_set_text(png, info, &t, 1);
	}
}

static int write_plane(target *s, const plane *p)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, s, on_error, on_warning);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	if (!info) {
		png_destroy_write_struct(&png, NULL);
		return e3_fail(s->err, "writing: %s: out of memory", s->name);
	}
	if (setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return -1; /* the error was set where it happened */
	}
	png_set_write_fn(png, s, on_write, on_flush);
	png_set_IHDR(png, info, (png_uint_32)p->w, (png_uint_32)p->h, p->depth, p->color, PNG_INTERLACE_NONE,
		PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (p->quick) {
		png_set_compression_level(png, 1);
		png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
	}
	write_text(png, info, p->text);
	png_write_info(png, info);
	if (p->depth == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		png_set_swap(png);
	for (int y = 0; y < p->h; y++)
		png_write_row(png, p->rows + (size_t)y * p->stride);
	png_write_end(png, info);
	png_destroy_write_struct(&png, &info);
	return 0;
}

static plane plane_of(const e3_image *im)
{
	int color = im->channels == 1 ? PNG_COLOR_TYPE_GRAY
		: im->channels == 3       ? PNG_COLOR_TYPE_RGB
								  : PNG_COLOR_TYPE_RGB_ALPHA;
	return (plane){im->px, (size_t)im->w * (size_t)im->channels, im->w, im->h, 8, color, NULL, false};
}

int e3_png_write(FILE *to, const char *name, const e3_image *im, e3_err *err)
{
	plane p = plane_of(im);
	return write_plane(&(target){to, name, err}, &p);
}

static int save(const char *path, const plane *p, e3_err *err)
{
	e3_file file;
	if (e3_file_open(&file, path, err))
		return -1;
	if (write_plane(&(target){file.f, path, err}, p)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

int e3_png_save(const char *path, const e3_image *im, e3_err *err)
{
	plane p = plane_of(im);
	return save(path, &p, err);
}

int e3_png_save_text(const char *path, const e3_image *im, const char *const *text, e3_err *err)
{
	plane p = plane_of(im);
	p.text = text;
	return save(path, &p, err);
}

int e3_png_save_quick(const char *path, const e3_image *im, e3_err *err)
{
	plane p = plane_of(im);
	p.quick = true;
	return save(path, &p, err);
}

int e3_png16_save(const char *path, const uint16_t *v, int w, int h, const char *const *text, e3_err *err)
{
	plane p = {(const uint8_t *)v, 2 * (size_t)w, w, h, 16, PNG_COLOR_TYPE_GRAY, text, false};
	return save(path, &p, err);
}
