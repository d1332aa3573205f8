/* surface: the blocks of the field, found by their position: open addressing, never removed one by one. */
#include "surface/field.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1 << 12 };

static uint32_t slot_of(const sf_field *f, const int32_t at[3])
{
	uint64_t h = 0;
	for (int k = 0; k < 3; k++) {
		h = (h ^ (uint32_t)at[k]) * 0x9E3779B97F4A7C15u;
		h ^= h >> 32;
	}
	uint32_t k = (uint32_t)h & (f->slots - 1);
	while (f->slot[k] && memcmp(f->block[f->slot[k] - 1].at, at, sizeof f->block->at) != 0)
		k = (k + 1) & (f->slots - 1);
	return k;
}

uint32_t sf_find(const sf_field *f, const int32_t at[3])
{
	return f->slots && f->slot[slot_of(f, at)] ? f->slot[slot_of(f, at)] - 1 : SF_NONE;
}

static int grow(sf_field *f, e3_err *err)
{
	uint32_t slots = f->slots ? 2 * f->slots : FIRST_SLOTS;
	uint32_t *slot = e3_alloc(slots, sizeof *slot, "the blocks of the surface", err);
	if (!slot || e3_grow((void **)&f->block, slots / 2, sizeof *f->block, "the blocks of the surface", err)) {
		free(slot);
		return -1;
	}
	free(f->slot);
	f->slot = slot, f->slots = slots, f->cap = slots / 2;
	for (uint32_t k = 0; k < f->n; k++)
		f->slot[slot_of(f, f->block[k].at)] = k + 1;
	return 0;
}

uint32_t sf_add(sf_field *f, const int32_t at[3], e3_err *err)
{
	if (f->n == f->cap && grow(f, err))
		return SF_NONE;
	uint32_t k = slot_of(f, at);
	if (f->slot[k])
		return f->slot[k] - 1;
	f->block[f->n] = (sf_block){.at = {at[0], at[1], at[2]}};
	f->slot[k] = ++f->n;
	return f->n - 1;
}

void sf_clear(sf_field *f)
{
	for (uint32_t k = 0; k < f->n; k++)
		free(f->block[k].v);
	free(f->block), free(f->slot);
	*f = (sf_field){.n = 0};
}
