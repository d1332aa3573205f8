/* picture: private to the readers: two functions for each kind, and what they share. */
#ifndef E3_PICTURE_READERS_H
#define E3_PICTURE_READERS_H

#include "e3/picture.h"

/* A message is the reason only: picture.c puts "reading: NAME" before it. *out is preset (kind, orientation 1). */
typedef int picture_look(const e3_picture *from, e3_image_facts *out, e3_err *err);
/* On failure *out may be left filled: picture.c releases it. */
typedef int picture_decode(const e3_picture *from, e3_image *out, int *orientation, e3_err *err);

picture_look webp_look, tiff_look, heif_look, bmp_look, gif_look, jxl_look, j2k_look;
picture_decode webp_decode, tiff_decode, heif_decode, ffmpeg_decode;

/* One pixel with alpha over white, rounded. */
static inline uint8_t over_white(int c, int a) { return (uint8_t)((c * a + 255 * (255 - a) + 127) / 255); }
/* A row of w pixels RGBA laid over white. */
void rgba_over_white(const uint8_t *from, uint8_t *to, size_t w);

#endif
