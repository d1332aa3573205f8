/* trace: a matrix of bounded size over a stream of unknown length. */
#ifndef E3_TRACE_BINS_H
#define E3_TRACE_BINS_H

#include "e3/err.h"
#include <stdint.h>

typedef struct trace_bins {
	int side;                 /* most rows and columns; even */
	int64_t row_bin, col_bin; /* units that a row or column stands for: powers of two */
	int64_t rows, cols;       /* units so far */
	float *sum;               /* [side][side] */
	uint32_t *count;          /* [side][side] */
} trace_bins;

int trace_bins_init(trace_bins *b, int side, e3_err *err);
void trace_bins_release(trace_bins *b);
/* Makes room for so many units; halves the resolution as often as that needs. */
void trace_bins_reach(trace_bins *b, int64_t rows, int64_t cols);
/* Adds a value at (row, col), which trace_bins_reach has made room for. */
void trace_bins_add(trace_bins *b, int64_t row, int64_t col, float v);
static inline int trace_bins_rows(const trace_bins *b) { return (int)((b->rows + b->row_bin - 1) / b->row_bin); }
static inline int trace_bins_cols(const trace_bins *b) { return (int)((b->cols + b->col_bin - 1) / b->col_bin); }

#endif
