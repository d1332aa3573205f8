/* image: private to resize*.c, fit.c and their test. */
#ifndef E3_IMAGE_RESIZE_H
#define E3_IMAGE_RESIZE_H

#include "e3/image.h"
#include "e3/thread.h"

typedef enum resize_filter { RESIZE_BICUBIC, RESIZE_LANCZOS } resize_filter;

/* --- resize_axis.c: the weights --- */

enum { RESIZE_BITS = 22, RESIZE_HALF = 1 << (RESIZE_BITS - 1), RESIZE_GROUP = 4, RESIZE_DIGITS = 3 };

/* One axis: output o is the sum of q[o][j] × input lo[o] + j, j < n[o], plus half, shifted down by RESIZE_BITS and
 * clipped. The same in groups of four inputs that begin at multiples of four, weights beyond the window being 0: groups
 * first[o] to first[o] + count[o] - 1, and for each of them the weights in parts, as the path that computes wants them.
 */
typedef struct resize_axis {
	int in, out, taps; /* taps: row length of q */
	int *lo, *n;       /* [out] */
	int32_t *q;        /* [out][taps] */
	int groups;        /* row length of parts */
	int *first, *count;
	uint32_t *parts; /* [out][groups][RESIZE_DIGITS] */
} resize_axis;

/* Weights for outputs [first, first + n); the others stay empty. in = out copies. */
int resize_axis_init(resize_axis *a, resize_filter kind, int first, int n, e3_err *err);
/* Cuts the weights of four inputs into parts. */
typedef void resize_split_fn(const int32_t q[RESIZE_GROUP], uint32_t parts[RESIZE_DIGITS]);
/* Fills first, count and parts. Groups are counted from input `origin` on. */
int resize_axis_group(resize_axis *a, int origin, resize_split_fn *split, e3_err *err);
/* Whether no two neighbouring weights are too large for the parts of the vector paths. */
bool resize_axis_fits(const resize_axis *a);
void resize_axis_release(resize_axis *a);

/* --- the two passes, in portable C and for processors that can do more; all give the same bits --- */

/* A strip of rows, as many as the path takes at once; those beyond the picture repeat the last one. */
typedef struct resize_strip {
	const uint8_t *row[E3_STRIP_ROWS];
	int w, channels;
	void *scratch; /* of this thread: what the path asked for */
} resize_strip;

typedef struct resize_path {
	const char *name;
	int rows;                                  /* of a strip */
	size_t (*scratch)(int w, int channels);    /* bytes; NULL: none */
	size_t (*stride)(int out_w, int channels); /* bytes that RESIZE_GROUP rows take between the passes */
	resize_split_fn *split;                    /* NULL: uses the weights as they are */
	/* The strip, scaled to the width of the axis, to where its first row belongs between the passes. */
	void (*across)(const resize_axis *a, const resize_strip *strip, size_t stride, uint8_t *to);
	/* Row o of the result, of n bytes. lo[o] and first[o] count from the first row of `between`. */
	void (*down)(const resize_axis *a, int o, const uint8_t *between, size_t stride, size_t n, uint8_t *to);
} resize_path;

/* For the vector paths: columns of the strip in groups of four: scratch[group][channel][rows][RESIZE_GROUP], from this
 * group on, 0 where the picture has ended. */
void resize_spread(const resize_strip *strip, int rows, int group, uint8_t *scratch);

extern const resize_path resize_path_plain, resize_path_avx2, resize_path_avx512;
/* Path k of those that this processor can take, the fastest first; NULL past the last one. */
const resize_path *resize_path_usable(int k);

/* --- resize.c --- */

/* Rows [row, row + rows) of the picture scaled to w × h. */
typedef struct resize_window {
	int w, h, row, rows;
	resize_filter filter;
	const resize_path *path; /* NULL: the fastest */
} resize_window;

/* What resizing pictures of one size keeps from one to the next. */
typedef struct resizer {
	int w, h, channels; /* of the pictures; 0: nothing was set up */
	resize_window window;
	const resize_path *path;
	resize_axis across, down;
	int top, high; /* rows of the picture that are needed */
	size_t stride, n_scratch;
	uint8_t *between;
	int threads;
	uint8_t *scratch; /* [threads][n_scratch] */
} resizer;

/* Pillow's resize, computing no more than the rows asked for. `out` is reused when it has the right size. The resizer
 * is set up for this size, and again when it changes. pool may be NULL. */
int resizer_apply(resizer *r, const e3_strips *in, const resize_window *window, e3_pool *pool, e3_image *out,
	e3_err *err);
void resizer_release(resizer *r);
/* The same, once; out is initialised here. */
int resize_rows(const e3_image *in, const resize_window *window, e3_image *out, e3_err *err);

#endif
