/* image: private to the readers: one decoder per format, each filling an RGB picture from bytes in memory. */
#ifndef E3_IMAGE_READ_H
#define E3_IMAGE_READ_H

#include "e3/image.h"

/* The input of a decoder. */
typedef struct picture_bytes {
	const uint8_t *bytes;
	size_t n;
	bool opaque; /* ignore alpha instead of compositing over white */
	bool mask;   /* over black, of grey too: what is transparent is not marked */
} picture_bytes;

/* A message is the reason only: e3_image_decode puts "reading: NAME" before it. On failure *out is empty. */
/* *gaps: data are damaged or missing in the middle, where the picture is wrong, as with Pillow; only set to true. */
int jpeg_decode(const uint8_t *bytes, size_t n, e3_image *out, int *orientation, bool *gaps, e3_err *err);
int png_decode(const picture_bytes *from, e3_image *out, int *orientation, e3_err *err);
int pnm_decode(const uint8_t *bytes, size_t n, e3_image *out, e3_err *err);

/* The headers alone: fill all of *out but the kind. What is too short or impossible is refused. */
int jpeg_look(const uint8_t *bytes, size_t n, e3_image_facts *out, e3_err *err);

/* The EXIF orientation of a PNG, 1 to 8; 1 when there is none. */
int png_orientation(const uint8_t *bytes, size_t n);

/* The header of a PNM picture: 1; 0 when the bytes end inside it; -1 when it is not one. */
typedef struct pnm_header {
	int kind; /* 1 to 6 */
	int w, h, maxval, channels;
	size_t data; /* where the samples begin */
	size_t row;  /* bytes of a row in the raw kinds 4 to 6 */
} pnm_header;

int pnm_header_read(const uint8_t *bytes, size_t n, pnm_header *out, e3_err *err);

/* The next JPEG marker at or after `at` that is neither stuffing, padding nor a restart: its position, or n. */
size_t jpeg_marker(const uint8_t *bytes, size_t n, size_t at);

/* Where the value of a field of the first directory of a TIFF structure lies, and its bytes; 0: not there. */
size_t exif_find(const uint8_t *tiff, size_t n, int tag, size_t *size);
#endif
