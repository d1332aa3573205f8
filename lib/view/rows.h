/* view: rows of one size, added one after the other, in a nameless temporary file: what grows with every frame for ever
 * takes no memory. */
#ifndef VIEW_ROWS_H
#define VIEW_ROWS_H

#include "e3/err.h"
#include <stdint.h>
#include <stdio.h>

/* Owner: the caller. One thread adds; any thread gets rows that it knows to be there. */
typedef struct view_rows {
	FILE *f;
	size_t size;
	int64_t n;
} view_rows;

int view_rows_open(view_rows *r, size_t size, e3_err *err);
int view_rows_add(view_rows *r, const void *row, e3_err *err);
int view_rows_get(const view_rows *r, int64_t k, void *row, e3_err *err);
void view_rows_close(view_rows *r);

#endif
