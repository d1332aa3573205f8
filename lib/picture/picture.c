/* picture: the table of the kinds of pictures, and what all kinds have in common. */
#include "readers.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* PNG, JPEG and PNM are lib/image's. */
static int plain_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	size_t end = 0;
	if (e3_image_look(from->bytes, from->n, from->name, out, err))
		return -1;
	bool ends = out->kind == E3_IMAGE_PNG || (out->kind == E3_IMAGE_JPEG && from->to_end);
	if (!ends || e3_image_extent(from->bytes, from->n, &end, NULL) > 0)
		return 0;
	e3_image im; /* without its end: only decoding shows whether data lack */
	int orientation, rc = e3_image_decode(from->bytes, from->n, from->name, &im, &orientation, err);
	e3_image_release(&im);
	return rc;
}

/* Pillow's convert('RGB'), which the reference uses, cuts 16-bit grey off at 255. Here all of its range is kept. */
static int scale_grey(const e3_picture *from, e3_image *out, e3_err *err)
{
	uint16_t *grey;
	int size[2];
	if (e3_png16_decode(from->bytes, from->n, from->name, &grey, size, err))
		return -1;
	for (size_t k = 0; k < (size_t)out->w * (size_t)out->h; k++)
		memset(out->px + 3 * k, (int)((grey[k] * 255u + 32767) / 65535), 3);
	free(grey);
	return 0;
}

static int plain_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	enum { DEPTH = 24, COLOURS = 25, GREY = 0 }; /* bytes of a PNG's header */
	if (e3_image_decode(from->bytes, from->n, from->name, out, orientation, err))
		return -1;
	if (out->damaged && from->strict)
		return e3_fail(err, "reading: %s: JPEG data are damaged or missing inside", from->name);
	e3_image_tell_damage(out, from->name);
	bool deep = e3_image_sniff(from->bytes, from->n) == E3_IMAGE_PNG && from->bytes[DEPTH] == 16 &&
		from->bytes[COLOURS] == GREY;
	return deep && !from->upstream ? scale_grey(from, out, err) : 0;
}

static int raw_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	return e3_fail(err, "a camera's raw file: not read: develop it to JPEG or TIFF");
}

static int raw_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	return raw_look(from, NULL, err);
}

static const struct kind {
	e3_image_kind kind;
	const char *name, *suffixes;
	picture_look *look;
	picture_decode *decode;
} kinds[] = {
	{E3_IMAGE_PNG, "PNG", "png apng", plain_look, plain_decode},                       /* libpng */
	{E3_IMAGE_JPEG, "JPEG", "jpg jpeg jpe jfif mpo", plain_look, plain_decode},        /* TurboJPEG */
	{E3_IMAGE_PNM, "PNM", "ppm pgm pbm pnm", plain_look, plain_decode},                /* own */
	{E3_IMAGE_WEBP, "WebP", "webp", webp_look, webp_decode},                           /* libwebp */
	{E3_IMAGE_TIFF, "TIFF", "tif tiff", tiff_look, tiff_decode},                       /* libtiff */
	{E3_IMAGE_HEIF, "HEIF", "heic heif hif avif avifs heics", heif_look, heif_decode}, /* libheif */
	{E3_IMAGE_BMP, "BMP", "bmp dib", bmp_look, ffmpeg_decode},                         /* FFmpeg, as the next three */
	{E3_IMAGE_GIF, "GIF", "gif", gif_look, ffmpeg_decode},
	{E3_IMAGE_JXL, "JPEG XL", "jxl", jxl_look, ffmpeg_decode},
	{E3_IMAGE_J2K, "JPEG 2000", "jp2 j2k j2c jpx", j2k_look, ffmpeg_decode},
	{E3_IMAGE_RAW, "raw", "dng cr2 cr3 crw nef nrw arw sr2 raf orf rw2 pef srw 3fr iiq erf mef mos mrw x3f rwl",
		raw_look, raw_decode},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const e3_picture *from, e3_err *err)
{
	e3_image_kind kind = e3_image_sniff(from->bytes, from->n);
	for (size_t k = 0; k < KINDS; k++)
		if (kinds[k].kind == kind)
			return &kinds[k];
	e3_fail(err, from->n ? "not a picture of a kind that is read" : "empty");
	return NULL;
}

/* Puts "reading: NAME" before the reason, once. */
static int fail_in(const e3_picture *from, const struct kind *k, e3_err *err)
{
	return k && k->look == plain_look ? -1 : e3_fail_in(err, "reading: %s", from->name);
}

int e3_picture_look(const e3_picture *from, e3_image_facts *out, e3_err *err)
{
	const struct kind *k = kind_of(from, err);
	*out = (e3_image_facts){.orientation = 1};
	if (!k)
		return fail_in(from, k, err);
	out->kind = k->kind;
	return k->look(from, out, err) ? fail_in(from, k, err) : 0;
}

int e3_picture_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err)
{
	const struct kind *k = kind_of(from, err);
	*out = (e3_image){0};
	*orientation = 1;
	if (k && k->decode(from, out, orientation, err) == 0)
		return 0;
	e3_image_release(out);
	return fail_in(from, k, err);
}

bool e3_picture_may_move(const uint8_t *bytes, size_t n)
{
	static const char brands[][5] = {"avis", "hevc", "hevx", "hevs", "hevm", "msf1"};
	e3_image_kind kind = e3_image_sniff(bytes, n);
	for (size_t k = 0; kind == E3_IMAGE_HEIF && k < sizeof brands / sizeof *brands; k++)
		if (memcmp(bytes + 8, brands[k], 4) == 0)
			return true;
	return kind == E3_IMAGE_GIF;
}

const char *e3_picture_kind_name(e3_image_kind kind)
{
	for (size_t k = 0; k < KINDS; k++)
		if (kinds[k].kind == kind)
			return kinds[k].name;
	return NULL;
}

const char *e3_picture_suffixes(int k) { return k < KINDS ? kinds[k].suffixes : NULL; }

e3_image_kind e3_picture_kind_by_name(const char *path)
{
	const char *dot = strrchr(path, '.');
	for (size_t k = 0; dot && k < KINDS; k++)
		for (const char *p = kinds[k].suffixes; *p;) {
			size_t n = strcspn(p, " ");
			if (strlen(dot + 1) == n && strncasecmp(dot + 1, p, n) == 0)
				return kinds[k].kind;
			p += n + (p[n] == ' ');
		}
	return E3_IMAGE_NONE;
}

void rgba_over_white(const uint8_t *from, uint8_t *to, size_t w)
{
	for (size_t x = 0; x < w; x++, from += 4, to += 3)
		for (int c = 0; c < 3; c++)
			to[c] = over_white(from[c], from[3]);
}
