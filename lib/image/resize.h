/* image: private to resize*.c, fit.c and their test. */
#ifndef E3_IMAGE_RESIZE_H
#define E3_IMAGE_RESIZE_H

#include "e3/image.h"

typedef enum resize_filter { RESIZE_BICUBIC, RESIZE_LANCZOS } resize_filter;

/* Rows [row, row + rows) of the picture scaled to w × h. */
typedef struct resize_window {
	int w, h, row, rows;
	resize_filter filter;
	bool portable; /* without AVX2, whatever the processor has */
} resize_window;

/* Pillow's resize, computing no more than the rows asked for; out is initialised here. */
int resize_rows(const e3_image *in, const resize_window *window, e3_image *out, e3_err *err);

/* --- the two passes, in portable C and for AVX2 --- */

enum { RESIZE_BITS = 22, RESIZE_HALF = 1 << (RESIZE_BITS - 1), RESIZE_SCRATCH = 32 };

/* One axis: output o is the sum of q[o][j] × input lo[o] + j, j < n[o], plus half, shifted down by RESIZE_BITS and
 * clipped. */
typedef struct resize_axis {
	int out, taps; /* taps: row length of q */
	int *lo, *n;   /* [out] */
	int32_t *q;    /* [out][taps] */
	bool portable;
} resize_axis;

/* Two rows at once; they may be the same. */
typedef struct resize_pair {
	const uint8_t *in[2];
	uint8_t *out[2];
} resize_pair;

/* in_w pixels of c channels to a->out pixels; scratch: RESIZE_SCRATCH bytes a pixel, 32-byte aligned. */
typedef void resize_across_fn(const resize_axis *a, const resize_pair *rows, int in_w, int c, void *scratch);
/* Bytes [from, stride) of an output row, from n input rows that lie `stride` bytes apart. */
typedef void resize_down_fn(const int32_t *q, int n, const uint8_t *in, size_t stride, size_t from, uint8_t *out);

resize_down_fn resize_down_plain, resize_down_avx2;
resize_across_fn resize_across_plain, resize_across_avx2;

#endif
