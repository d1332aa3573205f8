/* trace: a matrix of bounded size over a stream of unknown length: when it is full, pairs of rows (or columns) are
 * merged. */
#include "trace/bins.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

int trace_bins_init(trace_bins *b, int side, e3_err *err)
{
	size_t n = (size_t)side * (size_t)side;
	*b = (trace_bins){.side = side, .row_bin = 1, .col_bin = 1};
	b->sum = e3_alloc(n, sizeof *b->sum, "bins", err);
	b->count = e3_alloc(n, sizeof *b->count, "bins", err);
	if (b->sum && b->count)
		return 0;
	trace_bins_release(b);
	return -1;
}

void trace_bins_release(trace_bins *b)
{
	free(b->sum);
	free(b->count);
	*b = (trace_bins){0};
}

static void merge(trace_bins *b, size_t to, size_t from)
{
	float sum = b->sum[from];
	uint32_t count = b->count[from];
	b->sum[from] = 0, b->count[from] = 0;
	b->sum[to] += sum, b->count[to] += count;
}

/* Rows 2k and 2k+1 become row k. In ascending order a row is read before it is overwritten. */
static void halve_rows(trace_bins *b)
{
	size_t side = (size_t)b->side;
	for (size_t r = 1; r < side; r++)
		for (size_t c = 0; c < side; c++)
			merge(b, r / 2 * side + c, r * side + c);
	b->row_bin *= 2;
}

static void halve_cols(trace_bins *b)
{
	size_t side = (size_t)b->side;
	for (size_t r = 0; r < side; r++)
		for (size_t c = 1; c < side; c++)
			merge(b, r * side + c / 2, r * side + c);
	b->col_bin *= 2;
}

void trace_bins_reach(trace_bins *b, int64_t rows, int64_t cols)
{
	b->rows = rows > b->rows ? rows : b->rows;
	b->cols = cols > b->cols ? cols : b->cols;
	while (b->rows > b->side * b->row_bin)
		halve_rows(b);
	while (b->cols > b->side * b->col_bin)
		halve_cols(b);
}

void trace_bins_add(trace_bins *b, int64_t row, int64_t col, float v)
{
	size_t at = (size_t)(row / b->row_bin) * (size_t)b->side + (size_t)(col / b->col_bin);
	b->sum[at] += v;
	b->count[at]++;
}
