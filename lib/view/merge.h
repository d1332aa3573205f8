/* view: which places in the world have a point already, in bounded memory: a table of cells that forgets some. */
#ifndef VIEW_MERGE_H
#define VIEW_MERGE_H

#include "e3/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Owner: the caller. Zero-initialised is closed: then every point is new. */
typedef struct view_merge {
	uint32_t *slot; /* [mask + 1], in pairs: 26 bits of the cell's hash, 5 of confidence, 1: in use */
	uint64_t mask, salt;
} view_merge;

/* For about `cells` cells: at most 32 MiB, touched as they fill. */
int view_merge_open(view_merge *m, int64_t cells, e3_err *err);
/* Is a point here news: none is known in its cell, or one that was clearly less certain (confidence 0 to 31)? Then it
 * is known from now on. Cells are cubes of 2^k, k by `spacing`: what is seen from near gets finer ones, and what was
 * seen from near is known from far away too. */
bool view_merge_take(view_merge *m, const double world[3], double spacing, int confidence);
/* Forgets everything: what was known has moved. */
void view_merge_forget(view_merge *m);
void view_merge_close(view_merge *m);

#endif
