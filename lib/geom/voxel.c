/* geom: a grid of cells, open addressing. Doubling the edge merges cells exactly, because floor(x / 2s) = floor(floor(x
 * / s) / 2), and the best of the best is the best: so `auto` needs one pass and never more than max_cells cells. */
#include "e3/geom.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct cell {
	int32_t at[3];
	float conf;
	uint64_t index; /* EMPTY: no point here */
} cell;

#define EMPTY UINT64_MAX
enum { FIRST_SLOTS = 1 << 12, FEWEST = 8 /* cells that meet at the origin never merge */ };

struct e3_voxels {
	double size;
	uint64_t max_cells, n, slots; /* slots: a power of two, at most 3/4 used */
	cell *cells;
};

static cell *new_cells(uint64_t slots, e3_err *err)
{
	cell *c = e3_alloc(slots, sizeof *c, "the voxel grid", err);
	for (uint64_t k = 0; c && k < slots; k++)
		c[k].index = EMPTY;
	return c;
}

e3_voxels *e3_voxels_open(double size, uint64_t max_cells, e3_err *err)
{
	e3_voxels *v = e3_alloc(1, sizeof *v, "the voxel grid", err);
	if (!v)
		return NULL;
	*v = (e3_voxels){.size = size, .max_cells = max_cells, .slots = FIRST_SLOTS, .cells = new_cells(FIRST_SLOTS, err)};
	if (!v->cells) {
		free(v);
		return NULL;
	}
	return v;
}

static int32_t coordinate(double x, double size)
{
	double c = floor(x / size);
	return c < INT32_MIN ? INT32_MIN : c > INT32_MAX ? INT32_MAX : (int32_t)c;
}

static void locate(const e3_voxels *v, const float xyz[3], int32_t at[3])
{
	for (int k = 0; k < 3; k++)
		at[k] = coordinate(xyz[k], v->size);
}

/* The cell at these coordinates, or the empty slot where it belongs. */
static cell *probe(cell *cells, uint64_t slots, const int32_t at[3])
{
	uint64_t h = 0;
	for (int k = 0; k < 3; k++) {
		h = (h ^ (uint32_t)at[k]) * 0x9E3779B97F4A7C15u;
		h ^= h >> 32;
	}
	for (uint64_t k = h & (slots - 1);; k = (k + 1) & (slots - 1))
		if (cells[k].index == EMPTY || memcmp(cells[k].at, at, sizeof cells[k].at) == 0)
			return &cells[k];
}

static bool better(const cell *a, const cell *b)
{
	return a->conf > b->conf || (a->conf == b->conf && a->index < b->index);
}

static uint64_t put(cell *cells, uint64_t slots, const cell *c)
{
	cell *at = probe(cells, slots, c->at);
	bool fresh = at->index == EMPTY;
	if (fresh || better(c, at))
		*at = *c;
	return fresh;
}

/* Moves everything to a table of `slots`, with coordinates halved when `coarser`. */
static int rebuild(e3_voxels *v, uint64_t slots, bool coarser, e3_err *err)
{
	cell *to = new_cells(slots, err);
	if (!to)
		return -1;
	uint64_t n = 0;
	for (uint64_t k = 0; k < v->slots; k++) {
		cell c = v->cells[k];
		if (c.index == EMPTY)
			continue;
		for (int j = 0; coarser && j < 3; j++)
			c.at[j] = coordinate(c.at[j], 2);
		n += put(to, slots, &c);
	}
	free(v->cells);
	v->cells = to;
	v->slots = slots;
	v->n = n;
	if (coarser)
		v->size *= 2;
	return 0;
}

int e3_voxels_add(e3_voxels *v, const float xyz[3], float conf, uint64_t index, e3_err *err)
{
	cell c = {.conf = conf, .index = index};
	locate(v, xyz, c.at);
	v->n += put(v->cells, v->slots, &c);
	while (v->max_cells && v->n > v->max_cells && v->n > FEWEST && isfinite(v->size * 2))
		if (rebuild(v, v->slots, true, err))
			return -1;
	if (v->n > v->slots / 4 * 3)
		return rebuild(v, v->slots * 2, false, err);
	return 0;
}

bool e3_voxels_kept(const e3_voxels *v, const float xyz[3], uint64_t index)
{
	int32_t at[3];
	locate(v, xyz, at);
	return probe(v->cells, v->slots, at)->index == index;
}

uint64_t e3_voxels_count(const e3_voxels *v) { return v->n; }

double e3_voxels_size(const e3_voxels *v) { return v->size; }

void e3_voxels_close(e3_voxels *v)
{
	if (v)
		free(v->cells);
	free(v);
}
