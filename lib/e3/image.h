/* image: 8-bit pictures: reading, writing, the reference's resize, colour maps and drawing.
 *
 * An e3_image is row-major, interleaved, tightly packed; channels 1 (grey), 3 (RGB) or 4 (RGBA). It owns its pixels.
 */
#ifndef E3_IMAGE_H
#define E3_IMAGE_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct e3_image {
	int w, h, channels;
	uint8_t *px;  /* [h][w][channels] */
	bool damaged; /* set by e3_image_decode: data inside were damaged or missing, so that part of it is wrong */
} e3_image;

/* Zeroed pixels. Refuses sizes below 1 and above 65535 a side or 2^28 pixels. */
int e3_image_init(e3_image *im, int w, int h, int channels, e3_err *err);
void e3_image_release(e3_image *im);

/* --- read.c: PNG, JPEG (bit-identical to Pillow), PNM --- */

/* From bytes in memory. The result is always RGB: alpha is composited over white, grey replicated (doc/network.md 3.1).
 * `name` is for messages. *orientation receives the EXIF orientation 1..8 (1 when absent), which is not applied. */
int e3_image_decode(const uint8_t *bytes, size_t n, const char *name, e3_image *out, int *orientation, e3_err *err);
int e3_image_load(const char *path, e3_image *out, int *orientation, e3_err *err);
/* A mask, in which black is nothing: alpha is composited over black. As it is stored, without EXIF orientation. */
int e3_image_load_mask(const char *path, e3_image *out, e3_err *err);
/* Warns of a picture that is `damaged`; e3_image_load does. */
void e3_image_tell_damage(const e3_image *im, const char *name);
/* The same with alpha ignored instead of laid over white, as Pillow's convert('RGB') and OpenCV's imread do it. */
int e3_image_decode_opaque(const uint8_t *bytes, size_t n, const char *name, e3_image *out, int *orientation,
	e3_err *err);
/* 16-bit grey PNG only. *v is [h][w] in host byte order, from e3_alloc. */
int e3_png16_decode(const uint8_t *bytes, size_t n, const char *name, uint16_t **v, int size[2], e3_err *err);
/* Orientation 1 to 8 from a TIFF structure, with or without "Exif\0\0" before it, as programs write it into PNG and
 * WebP; 1 when absent or damaged. */
int e3_exif_orientation(const uint8_t *tiff, size_t n);
/* Applies EXIF orientation 1..8; *im is replaced. */
int e3_image_orient(e3_image *im, int orientation, e3_err *err);
/* The same into *out, which is reused when it has the right size. */
int e3_image_turn(const e3_image *in, int orientation, e3_image *out, e3_err *err);

/* The formats of pictures. This layer reads the first three; lib/picture reads the others, except cameras' raw files.
 */
typedef enum e3_image_kind {
	E3_IMAGE_NONE,
	E3_IMAGE_PNG,
	E3_IMAGE_JPEG,
	E3_IMAGE_PNM,
	E3_IMAGE_WEBP,
	E3_IMAGE_TIFF,
	E3_IMAGE_BMP,
	E3_IMAGE_GIF,
	E3_IMAGE_HEIF, /* HEIC and AVIF too */
	E3_IMAGE_JXL,
	E3_IMAGE_J2K,
	E3_IMAGE_RAW
} e3_image_kind;

/* The format, from the first bytes: E3_IMAGE_HEAD are enough. With fewer a BMP is taken for none. */
enum { E3_IMAGE_HEAD = 18 };
e3_image_kind e3_image_sniff(const uint8_t *bytes, size_t n);

/* --- look.c: what a picture's header says, without decoding --- */

typedef struct e3_image_facts {
	e3_image_kind kind;
	int w, h;        /* as stored; 0: not known before decoding */
	int orientation; /* 1 to 8: how to turn it, as in e3_image_orient */
	bool animated;   /* several images: frames, or pages */
	bool plain;      /* 8 bits, no alpha: any program shows the pixels that are decoded here */
} e3_image_facts;

/* PNG, JPEG and PNM. Refuses what is no such picture, sizes that are impossible, headers that are damaged, and PNG that
 * ends before its picture data. */
int e3_image_look(const uint8_t *bytes, size_t n, const char *name, e3_image_facts *out, e3_err *err);

/* --- stream.c: pictures one after another --- */

/* Where the first picture in `bytes` ends: 1 and *at = its length; 0 when bytes are missing (always for kinds that end
 * where the stream ends). A JPEG or PNG ends where another picture begins; the pictures that belong to it (MPO) are
 * part of it. -1 when they are not a picture. *at starts at 0 and carries progress from call to call as bytes are
 * added. */
int e3_image_extent(const uint8_t *bytes, size_t n, size_t *at, e3_err *err);
/* Whether a picture that begins so states no length: it ends where the stream ends. */
bool e3_image_ends_with_stream(const uint8_t *bytes, size_t n);
/* The images of a GIF: 1 and *length, up to its end; 0 when bytes are missing; -1 when they are no GIF. */
int e3_gif_walk(const uint8_t *bytes, size_t n, size_t *length, int *images);

typedef struct e3_image_stream e3_image_stream;

/* Pictures from a descriptor (borrowed), of which the `n` bytes at `head` were read already. `stop`, if not NULL, is
 * called while waiting: when it returns not 0, the wait ends with an error. */
e3_image_stream *e3_image_stream_open(int fd, const void *head, size_t n, int (*stop)(void), e3_err *err);
/* The bytes of the next picture, as soon as the last of them has arrived: 1; 0 at the end; -1. The stream owns them,
 * until the next call. Messages name the byte, not the file. */
int e3_image_stream_next(e3_image_stream *s, const uint8_t **bytes, size_t *n, e3_err *err);
/* Whether the picture handed out last is a JPEG or PNG inside which the stream ended. */
bool e3_image_stream_cut(const e3_image_stream *s);
void e3_image_stream_close(e3_image_stream *s);

/* --- png.c --- */

/* 8-bit PNG, channels 1, 3 or 4: to an open stream, which the caller closes and checks, or to a file that appears
 * whole. */
int e3_png_write(FILE *to, const char *name, const e3_image *im, e3_err *err);
int e3_png_save(const char *path, const e3_image *im, e3_err *err);
/* The same in a seventh of the time, for a file a seventh larger (1920 × 1080 photographs). */
int e3_png_save_quick(const char *path, const e3_image *im, e3_err *err);
/* text: keys and values of text chunks in turn, then NULL; may be NULL. */
int e3_png_save_text(const char *path, const e3_image *im, const char *const *text, e3_err *err);
/* 16-bit grey PNG of w × h values. */
int e3_png16_save(const char *path, const uint16_t *v, int w, int h, const char *const *text, e3_err *err);

/* JPEG of an RGB picture, every channel in full resolution; quality 1 to 100. Appears whole. */
int e3_jpeg_save(const char *path, const e3_image *im, int quality, e3_err *err);
/* The same, appended to *out, colours in half resolution: smaller, for looking at. */
int e3_jpeg_encode(const e3_image *im, int quality, e3_buf *out, e3_err *err);

/* --- resize.c --- */

enum { E3_STRIP_ROWS = 16 };

/* A picture whose rows are made when they are wanted. get: rows [first, first + n), of which `first` is even and n at
 * most E3_STRIP_ROWS, *stride bytes apart; they stay as they are until the same thread (of the pool that resizes; 0
 * without one) asks again. */
typedef struct e3_strips {
	int w, h, channels;
	const uint8_t *(*get)(void *ctx, int first, int n, int thread, size_t *stride);
	void *ctx;
} e3_strips;

/* Those of a picture in memory, which is borrowed. */
e3_strips e3_image_strips(const e3_image *im);

/* Pillow's bicubic on 8-bit data, bit for bit (doc/network.md 3.2); any channel count; equal size copies. out is
 * initialised here. */
int e3_resize_bicubic(const e3_image *in, int w, int h, e3_image *out, e3_err *err);
/* The same with Pillow's Lanczos filter of three lobes (doc/evaluation.md 1.4). */
int e3_resize_lanczos(const e3_image *in, int w, int h, e3_image *out, e3_err *err);

/* --- fit.c: what the network gets to see of a picture (doc/network.md 3.1) --- */

/* CROP: the reference's: the width becomes the target, and rows beyond it go. PAD: the longer side becomes the target,
 * white to a square. LONG: the longer side becomes the target, and nothing is cut or added. */
typedef enum e3_fit_mode { E3_FIT_CROP, E3_FIT_PAD, E3_FIT_LONG } e3_fit_mode;

typedef struct e3_fit_rule {
	int target, patch; /* the longer side, or the width; sizes are multiples of the patch: 518 and 14 */
	e3_fit_mode mode;
} e3_fit_rule;

/* Where a rule puts a w × h picture: the scaled size, then rows cropped or white added. */
typedef struct e3_fit_plan {
	int scaled_w, scaled_h; /* after the resize */
	int w, h;               /* of the result */
	int crop_y;             /* crop mode: rows dropped at the top */
	int pad_x, pad_y;       /* pad mode: white columns on the left and rows at the top */
} e3_fit_plan;

/* The share of the picture that the plan cuts off, above and below together: 0 to 1. */
double e3_fit_cut(const e3_fit_plan *plan);
/* -1 when the picture is too wide (height would be 0) or sizes are out of range. */
int e3_fit_plan_make(int w, int h, const e3_fit_rule *rule, e3_fit_plan *plan, e3_err *err);
/* Applies the plan: out is initialised here. RGB only. */
int e3_fit_apply(const e3_image *in, const e3_fit_plan *plan, e3_image *out, e3_err *err);

/* The same for one picture after another: keeps weights and memory while the size stays, and shares the work among
 * `threads`. */
typedef struct e3_fitter e3_fitter;
e3_fitter *e3_fitter_open(int threads, e3_err *err);
/* *out is reused when it has the right size. */
int e3_fitter_apply(e3_fitter *f, const e3_strips *in, const e3_fit_plan *plan, e3_image *out, e3_err *err);
void e3_fitter_close(e3_fitter *f); /* NULL allowed */

/* The affine from source pixels to those of the planned picture, of a w × h picture to which `before` leads from the
 * source. */
e3_fit e3_fit_compose(e3_fit before, const e3_fit_plan *plan, int w, int h);

/* Nearest-neighbour resize for masks and enlargements. */
int e3_resize_nearest(const e3_image *in, int w, int h, e3_image *out, e3_err *err);

/* --- cmap.c: colour maps by their published knots (doc/formats.md 2.5, 1.5) --- */

typedef enum e3_cmap { E3_VIRIDIS, E3_PLASMA, E3_MAGMA, E3_TURBO, E3_GREY, E3_RAINBOW /* gist_rainbow */ } e3_cmap;

/* x in [0,1] (clamped; NaN gives neutral grey 808080) to RGB, matplotlib's index rule. */
void e3_cmap_rgb(e3_cmap cmap, double x, uint8_t rgb[3]);
/* The name of each e3_cmap; NULL past the last. */
const char *e3_cmap_name(int cmap);

/* --- draw.c: enough to label and chart; pictures are RGB; everything is clipped to the picture --- */

void e3_draw_fill(e3_image *im, int x, int y, int w, int h, const uint8_t rgb[3]);
void e3_draw_blit(e3_image *to, int x, int y, const e3_image *from);
/* One dot wide, both ends drawn. */
void e3_draw_line(e3_image *im, int x0, int y0, int x1, int y1, const uint8_t rgb[3]);
/* One pixel moved towards rgb by `share` in [0,1]. */
void e3_draw_blend(e3_image *im, int x, int y, const uint8_t rgb[3], double share);
/* Antialiased, `width` pixels wide with round ends, from a to b = {x, y}; the centre of pixel (0,0) is (0.5,0.5). */
void e3_draw_stroke(e3_image *im, const double a[2], const double b[2], double width, const uint8_t rgb[3]);
/* Built-in font in cells of 6 by 8 dots, `scale` pixels a dot; ASCII, others as '?'; returns the width drawn. y is the
 * top. */
int e3_draw_text(e3_image *im, int x, int y, int scale, const uint8_t rgb[3], const char *text);
int e3_text_width(int scale, const char *text);

#endif
