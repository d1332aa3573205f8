/* geom: one point for every cell of a grid, the mean of those in it: a list of them, and a table with open addressing
 * that finds them. Doubling the edge merges cells exactly, because floor(x / 2s) = floor(floor(x / s) / 2): so `auto`
 * needs one pass and never more than max_cells cells.
 */
#include "e3/geom.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
	int32_t at[3];
	e3_cell mean;
} entry;

#define EMPTY UINT32_MAX
enum { FIRST_SLOTS = 1 << 12, FEWEST = 8 /* cells that meet at the origin never merge */ };

struct e3_cells {
	double size;
	uint64_t max_cells, n, cap, slots; /* slots: a power of two, at most 3/4 used */
	entry *cells;
	uint32_t *slot; /* [slots] a cell, or EMPTY */
};

e3_cells *e3_cells_open(double size, uint64_t max_cells, e3_err *err)
{
	e3_cells *v = e3_alloc(1, sizeof *v, "the grid of cells", err);
	if (!v)
		return NULL;
	*v = (e3_cells){.size = size, .max_cells = max_cells, .slots = FIRST_SLOTS};
	v->slot = e3_alloc(FIRST_SLOTS, sizeof *v->slot, "the grid of cells", err);
	if (!v->slot) {
		free(v);
		return NULL;
	}
	memset(v->slot, 0xff, FIRST_SLOTS * sizeof *v->slot);
	return v;
}

static int32_t coordinate(double x, double size)
{
	double c = floor(x / size);
	return c < INT32_MIN ? INT32_MIN : c > INT32_MAX ? INT32_MAX : (int32_t)c;
}

/* The slot of the cell at these coordinates, or the empty one where it belongs. */
static uint32_t *probe(const e3_cells *v, const int32_t at[3])
{
	uint64_t h = 0;
	for (int k = 0; k < 3; k++) {
		h = (h ^ (uint32_t)at[k]) * 0x9E3779B97F4A7C15u;
		h ^= h >> 32;
	}
	for (uint64_t k = h & (v->slots - 1);; k = (k + 1) & (v->slots - 1))
		if (v->slot[k] == EMPTY || memcmp(v->cells[v->slot[k]].at, at, sizeof v->cells->at) == 0)
			return &v->slot[k];
}

/* The mean of what two means are of. */
static void merge(e3_cell *to, const e3_cell *b)
{
	float sum = to->weight + b->weight, part = b->weight / sum;
	for (int k = 0; k < 3; k++) {
		to->xyz[k] += part * (b->xyz[k] - to->xyz[k]);
		to->rgb[k] += part * (b->rgb[k] - to->rgb[k]);
		to->normal[k] += part * (b->normal[k] - to->normal[k]);
	}
	to->conf += part * (b->conf - to->conf);
	to->weight = sum;
}

/* cells has room for one more. */
static void put(e3_cells *v, const entry *c)
{
	uint32_t *slot = probe(v, c->at);
	if (*slot != EMPTY) {
		merge(&v->cells[*slot].mean, &c->mean);
		return;
	}
	*slot = (uint32_t)v->n;
	v->cells[v->n++] = *c;
}

/* Puts every cell again, with coordinates halved. A cell moves towards the beginning, so none is lost. */
static void coarsen(e3_cells *v)
{
	uint64_t n = v->n;
	memset(v->slot, 0xff, v->slots * sizeof *v->slot);
	v->n = 0;
	for (uint64_t k = 0; k < n; k++) {
		entry c = v->cells[k];
		for (int j = 0; j < 3; j++)
			c.at[j] = coordinate(c.at[j], 2);
		put(v, &c);
	}
	v->size *= 2;
}

static int grow(e3_cells *v, e3_err *err)
{
	if (v->n == v->cap) {
		uint64_t cap = v->cap ? v->cap + v->cap / 2 : 1024;
		if (cap >= EMPTY)
			return e3_fail(err, "the grid of cells: more than 4,294,967,294 cells: larger ones are needed");
		if (e3_grow((void **)&v->cells, cap, sizeof *v->cells, "the grid of cells", err))
			return -1;
		v->cap = cap;
	}
	if (v->n < v->slots / 4 * 3)
		return 0;
	uint32_t *slot = e3_alloc(2 * v->slots, sizeof *slot, "the grid of cells", err);
	if (!slot)
		return -1;
	free(v->slot);
	v->slot = slot;
	v->slots *= 2;
	memset(v->slot, 0xff, v->slots * sizeof *v->slot);
	for (uint64_t k = 0; k < v->n; k++)
		*probe(v, v->cells[k].at) = (uint32_t)k;
	return 0;
}

int e3_cells_add(e3_cells *v, const e3_cell *point, e3_err *err)
{
	entry c = {.mean = *point};
	if (grow(v, err))
		return -1;
	for (int k = 0; k < 3; k++)
		c.at[k] = coordinate(point->xyz[k], v->size);
	put(v, &c);
	while (v->max_cells && v->n > v->max_cells && v->n > FEWEST && isfinite(v->size * 2))
		coarsen(v);
	return 0;
}

uint64_t e3_cells_count(const e3_cells *v) { return v->n; }

const e3_cell *e3_cells_get(const e3_cells *v, uint64_t k) { return &v->cells[k].mean; }

double e3_cells_size(const e3_cells *v) { return v->size; }

void e3_cells_close(e3_cells *v)
{
	if (!v)
		return;
	free(v->cells);
	free(v->slot);
	free(v);
}
