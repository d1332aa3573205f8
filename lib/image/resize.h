/* image: private to resize.c and fit.c. */
#ifndef E3_IMAGE_RESIZE_H
#define E3_IMAGE_RESIZE_H

#include "e3/image.h"

/* Rows [row, row + rows) of the picture scaled to w × h. */
typedef struct resize_window {
	int w, h, row, rows;
} resize_window;

/* Pillow's bicubic, computing no more than the rows asked for; out is initialised here. */
int resize_rows(const e3_image *in, const resize_window *window, e3_image *out, e3_err *err);

#endif
