/* e3-evict-stats: a matrix of bounded size over a stream of unknown length: when it is full, two rows (or columns)
 * become one. */
#include "evict-stats.h"
#include <stdlib.h>
#include <string.h>

int es_bins_init(es_bins *b, int side, e3_err *err)
{
	size_t n = (size_t)side * (size_t)side;
	*b = (es_bins){.side = side, .row_bin = 1, .col_bin = 1};
	b->sum = e3_alloc(n, sizeof *b->sum, "bins", err);
	b->count = e3_alloc(n, sizeof *b->count, "bins", err);
	if (b->sum && b->count)
		return 0;
	es_bins_release(b);
	return -1;
}

void es_bins_release(es_bins *b)
{
	free(b->sum);
	free(b->count);
	*b = (es_bins){0};
}

static void merge(es_bins *b, size_t to, size_t from)
{
	float sum = b->sum[from];
	uint32_t count = b->count[from];
	b->sum[from] = 0, b->count[from] = 0;
	b->sum[to] += sum, b->count[to] += count;
}

/* Rows 2k and 2k+1 become row k. Going upwards, a row is read before it is written: from >= to, and what is moved is
 * cleared. */
static void halve_rows(es_bins *b)
{
	size_t side = (size_t)b->side;
	for (size_t r = 1; r < side; r++)
		for (size_t c = 0; c < side; c++)
			merge(b, r / 2 * side + c, r * side + c);
	b->row_bin *= 2;
}

static void halve_cols(es_bins *b)
{
	size_t side = (size_t)b->side;
	for (size_t r = 0; r < side; r++)
		for (size_t c = 1; c < side; c++)
			merge(b, r * side + c / 2, r * side + c);
	b->col_bin *= 2;
}

void es_bins_reach(es_bins *b, int64_t rows, int64_t cols)
{
	b->rows = rows > b->rows ? rows : b->rows;
	b->cols = cols > b->cols ? cols : b->cols;
	while (b->rows > b->side * b->row_bin)
		halve_rows(b);
	while (b->cols > b->side * b->col_bin)
		halve_cols(b);
}

void es_bins_add(es_bins *b, int64_t row, int64_t col, float v)
{
	size_t at = (size_t)(row / b->row_bin) * (size_t)b->side + (size_t)(col / b->col_bin);
	b->sum[at] += v;
	b->count[at]++;
}
