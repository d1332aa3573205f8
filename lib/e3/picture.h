/* picture: still pictures of every kind to upright RGB: one table says which reader and which library a kind has.
 *
 * A kind is recognized by its first bytes, never by its name. The result is RGB of 8 bits: alpha is laid over white,
 * grey replicated, 16 bits scaled (PNG: as Pillow does it, doc/network.md 3.1). Cameras' raw files and animated WebP
 * are refused by their name.
 */
#ifndef E3_PICTURE_H
#define E3_PICTURE_H

#include "e3/image.h"

/* A picture in memory. */
typedef struct e3_picture {
	const uint8_t *bytes;
	size_t n;
	const char *name; /* for messages */
	bool to_end;      /* e3_picture_look: of a JPEG, find out whether it is complete, which takes longer */
	bool tonemap;     /* HDR becomes SDR of BT.709: HEIF, AVIF */
	bool upstream;    /* 16-bit grey PNG as the reference reads it: what is above 255 becomes white */
	bool strict;      /* a JPEG with damaged data inside fails; else it is read, with a warning, as Pillow reads it */
	bool stored;      /* as the pixels are stored: without the turning and mirroring that HEIF asks for */
} e3_picture;

/* What the header says. Without `stored` HEIF's sizes are those after turning. Refuses what is no picture, and damage
 * that shows without decoding. */
int e3_picture_look(const e3_picture *from, e3_image_facts *out, e3_err *err);
/* The first picture as RGB; *orientation: how it has to be turned yet, 1 to 8. HEIF has been turned. */
int e3_picture_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err);

/* Whether these first bytes begin a GIF or a sequence of HEIF (animated AVIF): FFmpeg reads them as videos. */
bool e3_picture_may_move(const uint8_t *bytes, size_t n);
/* "JPEG", "HEIF" and so on; NULL for E3_IMAGE_NONE. */
const char *e3_picture_kind_name(e3_image_kind kind);
/* What the names of kind k = 0, 1, ... end in, separated by spaces; NULL past the last. */
const char *e3_picture_suffixes(int k);
/* The kind that the end of a file's name states (".jpg"), E3_IMAGE_NONE for any other. */
e3_image_kind e3_picture_kind_by_name(const char *path);

#endif
