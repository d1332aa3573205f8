/* kernels: 3×3 convolutions of a map that is enlarged first, made at the size of the small map.
 *
 * Resizing and the products of a tap commute. So each tap's product is made of the small map, nine maps in all
 * (taps_wgmma.cu), and those are resized and added where their taps lie (taps_mix.cu): the enlarged map, of which there
 * would be three to four times as many products, is never made. What lies outside of the enlarged map adds nothing.
 */
#ifndef E3_KERNELS_TAPS_CUH
#define E3_KERNELS_TAPS_CUH

#include "dense.cuh"

enum { TAPS_NARROW = 32, TAPS_WIDE = 128 };

/* The maps of nine taps: [pixel][tap][c] of a small map; c is TAPS_NARROW or TAPS_WIDE. */
typedef struct taps_maps {
	f16 *p;
	int h, w, c;
} taps_maps;

/* Hopper, f16, at most TAPS_NARROW channels out or TAPS_WIDE; to: rows and columns of the enlarged map. */
bool e3_cuda_taps_can(const e3_cuda *c, e3_features x, const e3_mat *mat, const int to[2]);
/* Values that the maps have. */
size_t e3_cuda_taps_size(e3_features x, const e3_mat *mat);
/* p: of that size. */
int e3_cuda_taps(e3_cuda *c, e3_features x, const e3_mat *mat, f16 *p, taps_maps *out, e3_err *err);

/* y [pixel][mat->out] = x times the matrix, of which TAPS_WIDE rows at a time are as the taps above; without bias. */
bool e3_cuda_taps_many_can(const e3_cuda *c, e3_features x, const e3_mat *mat);
int e3_cuda_taps_many(e3_cuda *c, e3_features x, const e3_mat *mat, f16 *y, e3_err *err);

/* out = act(the sum of the taps + bias), TAPS_WIDE channels. */
int e3_cuda_taps_store(e3_cuda *c, const taps_maps *t, const e3_conv *op, e3_err *err);

/* The end of a dense head: z enlarged with positions added, op->conv, ReLU, op->out, and what is made of a pixel's
 * numbers. tables: room for e3_cuda_taps_tables(op) floats. */
size_t e3_cuda_taps_tables(const e3_dense *op);
int e3_cuda_taps_positions(e3_cuda *c, const e3_dense *op, float *tables, e3_err *err);
int e3_cuda_taps_pixels(e3_cuda *c, const taps_maps *t, const e3_dense *op, const float *tables, const pixel_args *px,
	e3_err *err);

#endif
