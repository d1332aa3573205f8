/* view: cells of the world that have a point. Owns the table. Two slots a bucket, the older one goes: a cell that was
 * forgotten costs a point that was there already, nothing else. */
#include "view/merge.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 1 << 12, MOST = 1 << 23, CLEARLY = 4 /* of 31 */, COARSER = 2 /* levels that are told too */ };

int view_merge_open(view_merge *m, int64_t cells, e3_err *err)
{
	size_t slots = LEAST;
	while (slots < MOST && (int64_t)slots < cells)
		slots *= 2;
	*m = (view_merge){.slot = calloc(slots, sizeof *m->slot), .mask = slots - 1};
	return m->slot ? 0 : e3_fail(err, "no memory for the table of %zu cells of points", slots);
}

static uint64_t mix(uint64_t h)
{
	h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
	h = (h ^ h >> 27) * 0x94D049BB133111EBu;
	return h ^ h >> 31;
}

/* floor, without a call. Cells beyond 2^62 of a level share one: such points are not of this world. */
static int64_t below(double x)
{
	x = x > 0x1p62 ? 0x1p62 : x < -0x1p62 ? -0x1p62 : x;
	int64_t i = (int64_t)x;
	return i - ((double)i > x);
}

/* per: cells in a unit of length, 2^-level. */
static uint64_t cell_of(const view_merge *m, const double world[3], int level, double per)
{
	uint64_t h = m->salt + (uint64_t)(level + 4096) * 0x9E3779B97F4A7C15u;
	for (int k = 0; k < 3; k++)
		h = (h ^ (uint64_t)below(world[k] * per)) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
	return mix(h);
}

static int confidence_of(uint32_t slot) { return (int)(slot >> 1 & 31); }

/* The slot of the cell, or NULL. */
static uint32_t *find(view_merge *m, uint64_t h)
{
	uint32_t *pair = m->slot + (h & m->mask & ~(uint64_t)1), tag = (uint32_t)(h >> 38) << 6 | 1;
	for (int k = 0; k < 2; k++)
		if ((pair[k] & ~(uint32_t)62) == tag)
			return pair + k;
	return NULL;
}

static void put(view_merge *m, uint64_t h, int confidence)
{
	uint32_t *at = find(m, h), *pair = m->slot + (h & m->mask & ~(uint64_t)1);
	if (!at) {
		pair[1] = pair[0];
		at = pair;
	} else if (confidence_of(*at) >= confidence) {
		return;
	}
	*at = (uint32_t)(h >> 38) << 6 | (uint32_t)confidence << 1 | 1;
}

bool view_merge_take(view_merge *m, const double world[3], double spacing, int confidence)
{
	if (!m->slot)
		return true;
	int level;
	(void)frexp(spacing, &level); /* spacing in [2^(level - 1), 2^level) */
	double per = ldexp(1, -(--level));
	const uint32_t *known = find(m, cell_of(m, world, level, per));
	if (known && confidence_of(*known) + CLEARLY > confidence)
		return false;
	for (int k = 0; k <= COARSER; k++, per /= 2)
		put(m, cell_of(m, world, level + k, per), confidence);
	return true;
}

void view_merge_forget(view_merge *m) { m->salt = mix(m->salt + 1); }

void view_merge_close(view_merge *m)
{
	free(m->slot);
	*m = (view_merge){0};
}
