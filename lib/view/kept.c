/* view: what the cache holds, replayed from eviction records. Owns, of every frame that has a patch left, how many
 * layers hold each. (lib/trace remembers the whole history, which a live page has no room for.) */
#include "view/kept.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD = 12, ENTRY = 12, MOST_LAYERS = 255, MOST_PATCHES = 65535 };
#define ALL UINT32_MAX /* in place of the number of patches: all of them, in all layers */

bool view_kept_init(view_kept *k, const e3_head *h)
{
	int64_t patches = (int64_t)h->patch_grid[0] * h->patch_grid[1];
	*k = (view_kept){.layers = h->layers,
		.tokens = h->tokens_per_frame,
		.special = h->tokens_per_frame - (int)patches,
		.rows = h->patch_grid[0],
		.cols = h->patch_grid[1],
		.seen = h->seen,
		.frozen = h->frozen,
		.i = -1,
		.full = -1};
	return h->model && h->layers > 0 && h->layers <= MOST_LAYERS && h->patch_grid[0] > 0 && h->patch_grid[1] > 0 &&
		patches <= MOST_PATCHES && h->tokens_per_frame >= patches;
}

static void cache_release(view_kept_cache *c)
{
	for (size_t k = 0; k < c->n; k++)
		free(c->frame[k].holders);
	free(c->frame);
	*c = (view_kept_cache){0};
}

void view_kept_release(view_kept *k)
{
	for (size_t j = 0; j < k->caches; j++)
		cache_release(&k->cache[j]);
	free(k->cache);
	*k = (view_kept){.i = -1, .full = -1};
}

static view_kept_cache *cache_of(view_kept *k, const e3_evict *rec, e3_err *err)
{
	for (size_t j = 0; j < k->caches; j++)
		if (k->cache[j].segment == rec->segment)
			return &k->cache[j];
	if (e3_grow((void **)&k->cache, k->caches + 1, sizeof *k->cache, "the caches of a run", err))
		return NULL;
	view_kept_cache *c = &k->cache[k->caches++];
	/* of a cache whose beginning is not in the stream the frames before are unknown */
	*c = (view_kept_cache){.segment = rec->segment, .steps = rec->first ? rec->i - rec->first : k->seen};
	return c;
}

static int enter(const view_kept *k, view_kept_cache *c, uint32_t number, e3_err *err)
{
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 16;
		if (e3_grow((void **)&c->frame, room, sizeof *c->frame, "frames of a cache", err))
			return -1;
		c->room = room;
	}
	c->frame[c->n++] = (view_kept_frame){.number = number,
		.local = c->steps++,
		.tokens = (uint32_t)(k->rows * k->cols * k->layers),
		.changed = true};
	return 0;
}

static int lose(const view_kept *k, view_kept_frame *f, int index, e3_err *err)
{
	size_t patches = (size_t)k->rows * (size_t)k->cols;
	if (index < k->special)
		return 0;
	if (!f->holders) {
		if (!(f->holders = e3_alloc(patches, 1, "patches of a frame", err)))
			return -1;
		memset(f->holders, k->layers, patches);
	}
	uint8_t *at = &f->holders[index - k->special];
	if (*at)
		(*at)--, f->tokens--, f->changed = true;
	return 0;
}

/* Ids ascend, and so do the frames. */
static int lose_all(const view_kept *k, view_kept_cache *c, const e3_evict_layer *x, e3_err *err)
{
	size_t f = 0;
	for (size_t j = 0; j < x->n_removed; j++) {
		int64_t local = x->removed[j] / (uint32_t)k->tokens;
		while (f < c->n && c->frame[f].local < local)
			f++;
		if (f < c->n && c->frame[f].local == local &&
			lose(k, &c->frame[f], (int)(x->removed[j] % (uint32_t)k->tokens), err))
			return -1;
	}
	return 0;
}

static int add_entry(const view_kept *k, const view_kept_frame *f, e3_buf *out, e3_err *err)
{
	size_t patches = (size_t)k->rows * (size_t)k->cols, at = out->len;
	uint32_t n = f->holders || !f->tokens ? 0 : ALL;
	uint8_t head[ENTRY];
	e3_put_le32(head, f->number), e3_put_le32(head + 4, f->tokens), e3_put_le32(head + 8, n);
	if (e3_buf_add(out, head, sizeof head, err))
		return -1;
	for (size_t p = 0; f->holders && p < patches; p++) {
		if (!f->holders[p])
			continue;
		uint8_t held[4] = {(uint8_t)p, (uint8_t)(p >> 8), f->holders[p], 0};
		if (e3_buf_add(out, held, sizeof held, err))
			return -1;
		n++;
	}
	e3_put_le32((uint8_t *)out->data + at + 8, n);
	return 0;
}

static int add_body(view_kept *k, view_kept_cache *c, bool full, e3_buf *out, e3_err *err)
{
	size_t at = out->len;
	uint32_t m = 0;
	uint8_t head[HEAD];
	e3_put_le16(head, (uint16_t)k->rows), e3_put_le16(head + 2, (uint16_t)k->cols);
	e3_put_le16(head + 4, (uint16_t)k->layers), e3_put_le16(head + 6, full);
	e3_put_le32(head + 8, 0);
	if (e3_buf_add(out, head, sizeof head, err))
		return -1;
	for (size_t j = 0; j < c->n; j++) {
		view_kept_frame *f = &c->frame[j];
		if (full ? f->tokens == 0 : !f->changed)
			continue;
		if (add_entry(k, f, out, err))
			return -1;
		m++;
	}
	e3_put_le32((uint8_t *)out->data + at + 8, m);
	return 0;
}

static void forget_gone(view_kept_cache *c)
{
	size_t n = 0;
	for (size_t j = 0; j < c->n; j++) {
		view_kept_frame f = c->frame[j];
		f.changed = false;
		if (f.tokens)
			c->frame[n++] = f;
		else
			free(f.holders);
	}
	c->n = n;
}

/* The first record of a frame is of the segment that answers: those before it are over. */
static void answer(view_kept *k, view_kept_cache *c)
{
	size_t over = (size_t)(c - k->cache);
	if (!over)
		return;
	for (size_t j = 0; j < over; j++)
		cache_release(&k->cache[j]);
	memmove(k->cache, c, (k->caches - over) * sizeof *c);
	k->caches -= over;
	k->full = -1;
}

int view_kept_add(view_kept *k, const e3_evict *rec, uint32_t number, e3_buf *out, e3_err *err)
{
	view_kept_cache *c = cache_of(k, rec, err);
	if (!c || (!k->frozen && enter(k, c, number, err)))
		return -1;
	bool answers = rec->i != k->i;
	k->i = rec->i;
	for (int l = 0; l < rec->n_layers; l++)
		if (lose_all(k, c, &rec->layer[l], err))
			return -1;
	if (!answers) {
		forget_gone(c);
		return 0;
	}
	answer(k, c);
	c = k->cache;
	bool full = k->full < 0 || number - k->full >= VIEW_KEPT_EVERY;
	if (add_body(k, c, full, out, err))
		return -1;
	k->full = full ? number : k->full;
	forget_gone(c);
	return 1;
}

/* --- bodies --- */

bool view_kept_full(const void *body) { return e3_le16((const uint8_t *)body + 6) == 1; }

static size_t entry_bytes(const uint8_t *e)
{
	uint32_t n = e3_le32(e + 8);
	return ENTRY + (n == ALL ? 0 : 4 * (size_t)n);
}

static int add_kept(e3_buf *out, const uint8_t *e, uint32_t *m, e3_err *err)
{
	if (e3_le32(e + 4) == 0)
		return 0;
	++*m;
	return e3_buf_add(out, e, entry_bytes(e), err);
}

int view_kept_apply(e3_buf *whole, const void *next, size_t n, e3_err *err)
{
	const uint8_t *a = (const uint8_t *)whole->data, *b = next, *a_end = a + whole->len, *b_end = b + n;
	e3_buf out = {0};
	uint32_t m = 0;
	int rc = e3_buf_add(&out, a, HEAD, err);
	bool full = view_kept_full(next);
	for (a = full ? a_end : a + HEAD, b += HEAD; !rc && (a < a_end || b < b_end);) {
		bool replaced = a < a_end && b < b_end && e3_le32(a) == e3_le32(b);
		if (b >= b_end || (a < a_end && e3_le32(a) < e3_le32(b))) {
			rc = add_kept(&out, a, &m, err);
			a += entry_bytes(a);
			continue;
		}
		rc = add_kept(&out, b, &m, err);
		a += replaced ? entry_bytes(a) : 0;
		b += entry_bytes(b);
	}
	if (rc) {
		e3_buf_release(&out);
		return -1;
	}
	e3_put_le32((uint8_t *)out.data + 8, m);
	e3_buf_release(whole);
	*whole = out;
	return 0;
}
