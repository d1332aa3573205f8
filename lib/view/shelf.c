/* view: parts and points of frames in memory. Owns them; drops what the limits have no room for. */
#include "view/shelf.h"
#include "e3/num.h"
#include "view/kept.h"
#include <stdlib.h>
#include <string.h>

/* A chunk is not cut below this: then half of the frames lose theirs. */
enum { FEWEST = 64 };

view_item *view_shelf_add(view_shelf *s, uint32_t n, e3_err *err)
{
	if (s->n && s->item[s->n - 1].n == n)
		return &s->item[s->n - 1];
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		if (e3_grow((void **)&s->item, room, sizeof *s->item, "frames of a run", err))
			return NULL;
		s->room = room;
	}
	s->item[s->n] = (view_item){.n = n};
	return &s->item[s->n++];
}

/* Where the first item after frame n is. */
static size_t after(const view_shelf *s, uint32_t n)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->item[mid].n <= n)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

view_item *view_shelf_find(const view_shelf *s, uint32_t n)
{
	size_t k = after(s, n);
	return k && s->item[k - 1].n == n ? &s->item[k - 1] : NULL;
}

static bool is_whole(const view_item *x)
{
	const uint8_t *kept = x->part[E3_VIEW_KEPT - E3_VIEW_PICTURE];
	return kept && view_kept_full(kept);
}

view_item *view_shelf_whole(const view_shelf *s, uint32_t n)
{
	for (size_t k = after(s, n); k--;)
		if (is_whole(&s->item[k]))
			return &s->item[k];
	return NULL;
}

static void drop_part(view_shelf *s, view_item *x, int part)
{
	s->bytes -= x->len[part];
	free(x->part[part]);
	x->part[part] = NULL, x->len[part] = 0;
}

void view_shelf_put(view_shelf *s, view_item *to, int type, e3_buf *body)
{
	int part = type - E3_VIEW_PICTURE;
	drop_part(s, to, part);
	uint8_t *fit = body->len ? realloc(body->data, body->len) : NULL;
	to->part[part] = fit ? fit : (uint8_t *)body->data, to->len[part] = (uint32_t)body->len;
	s->bytes += (int64_t)body->len;
	*body = (e3_buf){0};
}

static void cut_chunk(view_shelf *s, view_item *x, uint32_t count)
{
	s->points -= x->chunk.count - count;
	x->chunk.count = count;
	uint8_t *less = count ? realloc(x->chunk.points, (size_t)count * VIEW_POINT_BYTES) : NULL;
	if (less) {
		x->chunk.points = less;
	} else if (!count) {
		free(x->chunk.points);
		x->chunk.points = NULL;
	}
}

void view_shelf_chunk(view_shelf *s, view_item *to, view_chunk *chunk)
{
	cut_chunk(s, to, 0);
	to->chunk = *chunk;
	s->points += chunk->count;
	*chunk = (view_chunk){0};
}

/* Items without anything are forgotten, but for the newest. */
static void forget_empty(view_shelf *s)
{
	size_t n = 0;
	for (size_t k = 0; k < s->n; k++) {
		const view_item *x = &s->item[k];
		bool any = x->chunk.count || k + 1 == s->n;
		for (int p = 0; p < VIEW_PARTS; p++)
			any = any || x->part[p];
		if (any)
			s->item[n++] = *x;
	}
	s->n = n;
}

/* Changes alone say nothing where one is missing, so they go first, and full records as pictures do. */
static bool part_stays(const view_item *x, int part, uint32_t step)
{
	if (part + E3_VIEW_PICTURE != E3_VIEW_KEPT)
		return x->n % step == 0;
	return is_whole(x) && x->n / VIEW_KEPT_EVERY % step == 0;
}

/* Is there more that could go? */
static bool thin_parts(view_shelf *s, uint32_t newest)
{
	int left = 0;
	for (size_t k = 0; k < s->n; k++) {
		view_item *x = &s->item[k];
		if (x->n + (uint64_t)VIEW_NEWEST > newest)
			break;
		for (int p = 0; p < VIEW_PARTS; p++)
			if (x->part[p] && !part_stays(x, p, s->step))
				drop_part(s, x, p);
			else if (x->part[p])
				left += x->n > 0;
	}
	return left > 0;
}

static void thin_points(view_shelf *s)
{
	uint32_t bit = (uint32_t)1 << s->level % 32;
	s->level++;
	for (size_t k = 0; k < s->n; k++) {
		view_item *x = &s->item[k];
		uint32_t half = (x->chunk.count + 1) / 2;
		if (half < FEWEST)
			half = e3_fmix32(x->n) & bit ? x->chunk.count : 0;
		if (half < x->chunk.count)
			cut_chunk(s, x, half);
	}
}

void view_shelf_thin(view_shelf *s, int64_t bytes, int64_t points)
{
	uint32_t newest = s->n ? s->item[s->n - 1].n : 0;
	bool thinned = s->bytes > bytes || s->points > points;
	/* some room for what comes, so that the next time is not at once; what only the newest frames take stays */
	bool more = true;
	for (int k = 0; more && s->bytes > bytes - (k ? bytes / 4 : 0); k++) {
		s->step = !s->step ? 1 : k && s->step < UINT32_MAX / 2 ? 2 * s->step : s->step;
		more = thin_parts(s, newest);
	}
	for (int k = 0; s->points > points && k < 64; k++)
		thin_points(s);
	if (thinned)
		forget_empty(s);
}

void view_shelf_release(view_shelf *s)
{
	for (size_t k = 0; k < s->n; k++) {
		for (int p = 0; p < VIEW_PARTS; p++)
			free(s->item[k].part[p]);
		free(s->item[k].chunk.points);
	}
	free(s->item);
	*s = (view_shelf){0};
}
