/* hold: which similarity the frames of a stream have. Owns the stretches of frames, ascending and disjoint. */
#include "e3/hold.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

/* The first stretch that ends at frame i or later. */
static size_t find(const e3_corrections *c, int64_t i)
{
	size_t low = 0, high = c->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (c->at[mid].to < i)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int room_for(e3_corrections *c, size_t n, e3_err *err)
{
	if (n <= c->room)
		return 0;
	if (n > E3_CORRECTIONS_MAX)
		return e3_fail(err, "correcting: more than %d stretches of frames with corrections of their own",
			E3_CORRECTIONS_MAX);
	size_t room = c->room ? 2 * c->room : 16;
	if (e3_grow((void **)&c->at, room, sizeof *c->at, "corrections", err))
		return -1;
	c->room = room;
	return 0;
}

static bool joins(const e3_correction *a, const e3_correction *b)
{
	return a->to + 1 == b->from && memcmp(a->sim, b->sim, sizeof a->sim) == 0;
}

/* Puts n stretches in the place of those from `first` up to, but without, `last`. */
static void replace(e3_corrections *c, size_t first, size_t last, const e3_correction *with, size_t n)
{
	memmove(c->at + first + n, c->at + last, (c->n - last) * sizeof *c->at);
	memcpy(c->at + first, with, n * sizeof *with);
	c->n = c->n - (last - first) + n;
}

int e3_corrections_add(e3_corrections *c, const e3_correct *x, e3_err *err)
{
	if (room_for(c, c->n + 2, err))
		return -1;
	e3_correction piece[3];
	size_t first = find(c, x->from), last = first, n = 0;
	if (first < c->n && c->at[first].from < x->from) { /* its beginning stays */
		piece[n] = c->at[first];
		piece[n++].to = x->from - 1;
	}
	piece[n] = (e3_correction){.from = x->from, .to = x->to};
	memcpy(piece[n++].sim, x->sim, sizeof x->sim);
	while (last < c->n && c->at[last].from <= x->to)
		last++;
	if (last > first && c->at[last - 1].to > x->to) { /* its end stays */
		piece[n] = c->at[last - 1];
		piece[n++].from = x->to + 1;
	}
	replace(c, first, last, piece, n);
	for (size_t k = first + n; k-- > (first ? first - 1 : 0);)
		if (k + 1 < c->n && joins(&c->at[k], &c->at[k + 1])) {
			e3_correction whole = c->at[k];
			whole.to = c->at[k + 1].to;
			replace(c, k, k + 2, &whole, 1);
		}
	return 0;
}

const e3_correction *e3_corrections_of(const e3_corrections *c, int64_t i)
{
	size_t k = find(c, i);
	return k < c->n && c->at[k].from <= i ? &c->at[k] : NULL;
}

void e3_corrections_release(e3_corrections *c)
{
	free(c->at);
	*c = (e3_corrections){0};
}
