/* model: pages and slots. Refuses to use more pages than it was opened with. */
#include "cache.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

enum { SLAB_PAGES = 16 }; /* pages added at a time when the cache grows */

static int add_slab(e3_cache *c, int64_t pages, e3_err *err)
{
	e3_tensor slab;
	if (e3_grow((void **)&c->slab, (size_t)c->n_slabs + 1, sizeof *c->slab, "cache", err) ||
		e3_grow((void **)&c->spare, (size_t)(c->n_pages + pages), sizeof *c->spare, "cache", err) ||
		c->dev->ops->alloc(c->dev, E3_U8, (size_t)pages * c->page_bytes, &slab, err))
		return e3_fail_in(err, "growing the cache");
	c->slab[c->n_slabs++] = slab.p;
	for (int64_t k = pages - 1; k >= 0; k--)
		c->spare[c->n_spare++] = slab.p + (size_t)k * c->page_bytes;
	c->n_pages += pages;
	return 0;
}

int e3_cache_open(e3_cache *c, e3_dev *dev, const int shape[5], int64_t pages, e3_err *err)
{
	*c = (e3_cache){.dev = dev,
		.layers = shape[0],
		.heads = shape[1],
		.head_dim = shape[2],
		.page_keys = shape[3],
		.pack = (e3_kv_pack)shape[4],
		.grows = pages == 0};
	e3_kv page = {.dtype = dev->attn_dtype,
		.page_keys = c->page_keys,
		.heads = c->heads,
		.head_dim = c->head_dim,
		.scored = true,
		.pack = c->pack};
	c->page_bytes = e3_page_bytes(&page);
	c->pool = c;
	c->layer = e3_alloc((size_t)c->layers, sizeof *c->layer, "cache", err);
	if (!c->layer || (pages && add_slab(c, pages, err))) {
		e3_cache_release(c);
		return -1;
	}
	return 0;
}

int e3_cache_share(e3_cache *c, e3_cache *with, e3_err *err)
{
	*c = (e3_cache){.dev = with->dev,
		.layers = with->layers,
		.heads = with->heads,
		.head_dim = with->head_dim,
		.page_keys = with->page_keys,
		.pack = with->pack,
		.page_bytes = with->page_bytes,
		.pool = with};
	c->layer = e3_alloc((size_t)c->layers, sizeof *c->layer, "cache", err);
	return c->layer ? 0 : -1;
}

void e3_cache_release(e3_cache *c)
{
	for (int k = 0; k < c->n_slabs; k++)
		c->dev->ops->free(c->dev, c->slab[k]);
	for (int l = 0; c->layer && l < c->layers; l++)
		free(c->layer[l].id), free(c->layer[l].page);
	free(c->slab), free(c->spare), free(c->layer), free(c->scratch);
	*c = (e3_cache){0};
}

static int take_page(e3_cache *c, e3_layer_cache *l, e3_err *err)
{
	e3_cache *pool = c->pool;
	if (!pool->n_spare && !pool->grows)
		return e3_fail(err, "cache: %lld pages: all in use", (long long)pool->n_pages);
	if (!pool->n_spare && add_slab(pool, SLAB_PAGES, err))
		return -1;
	if (l->n_pages == l->cap_pages) {
		if (e3_grow((void **)&l->page, (size_t)l->cap_pages + 16, sizeof *l->page, "cache", err))
			return -1;
		l->cap_pages += 16;
	}
	l->page[l->n_pages++] = pool->spare[--pool->n_spare];
	return 0;
}

static int grow_slots(e3_layer_cache *l, uint32_t need, e3_err *err)
{
	if (need <= l->cap)
		return 0;
	uint32_t cap = need + need / 4 + 64;
	if (e3_grow((void **)&l->id, cap, sizeof *l->id, "cache slots", err))
		return -1;
	l->cap = cap;
	return 0;
}

int e3_cache_append(e3_cache *c, int layer, uint32_t first_id, int n, uint32_t *slot, e3_err *err)
{
	e3_layer_cache *l = &c->layer[layer];
	uint32_t fresh = (uint32_t)n > l->holes ? (uint32_t)n - l->holes : 0;
	if (grow_slots(l, l->n + fresh, err))
		return -1;
	while ((uint64_t)l->n_pages * (uint64_t)c->page_keys < (uint64_t)l->n + fresh)
		if (take_page(c, l, err))
			return -1;
	/* No branch in it: holes are anywhere, and the device waits. */
	int k = 0, filled = (uint32_t)n < l->holes ? n : (int)l->holes;
	for (uint32_t s = 0; k < filled; s++)
		slot[k] = s, k += l->id[s] == E3_HOLE;
	l->holes -= (uint32_t)filled;
	while (k < n)
		slot[k++] = l->n++;
	for (k = 0; k < n; k++)
		l->id[slot[k]] = first_id + (uint32_t)k;
	return 0;
}

/* Drops trailing holes and gives whole pages back. */
static void trim(e3_cache *c, e3_layer_cache *l)
{
	while (l->n && l->id[l->n - 1] == E3_HOLE)
		l->n--, l->holes--;
	while (l->n_pages && (uint64_t)(l->n_pages - 1) * (uint64_t)c->page_keys >= l->n)
		c->pool->spare[c->pool->n_spare++] = l->page[--l->n_pages];
}

/* Moves the last tokens into the lowest gaps until no more than `reserve` gaps are left. */
static int close_gaps(e3_cache *c, int layer, uint32_t reserve, e3_err *err)
{
	e3_layer_cache *l = &c->layer[layer];
	size_t n = 0;
	uint32_t low = 0;
	if (c->scratch_n < l->holes) {
		if (e3_grow((void **)&c->scratch, 2 * (size_t)l->holes, sizeof *c->scratch, "cache moves", err))
			return -1;
		c->scratch_n = l->holes;
	}
	uint32_t *from = c->scratch, *to = c->scratch + c->scratch_n;
	e3_kv view = e3_cache_view(c, layer);
	trim(c, l);
	while (l->holes > reserve) {
		while (l->id[low] != E3_HOLE)
			low++;
		uint32_t last = l->n - 1;
		from[n] = last, to[n++] = low;
		l->id[low] = l->id[last];
		l->id[last] = E3_HOLE;
		trim(c, l);
	}
	/* The pages of `view` that were given back still hold their bytes: they have not been taken again. */
	return c->dev->ops->move(c->dev, &view, from, to, (int)n, err);
}

int e3_cache_remove(e3_cache *c, int layer, const uint32_t *slot, int n, int reserve, e3_err *err)
{
	e3_layer_cache *l = &c->layer[layer];
	for (int k = 0; k < n; k++)
		l->id[slot[k]] = E3_HOLE;
	l->holes += (uint32_t)n;
	return close_gaps(c, layer, (uint32_t)reserve, err);
}

void e3_cache_forget(e3_cache *c, int layer, uint32_t first_id)
{
	e3_layer_cache *l = &c->layer[layer];
	for (uint32_t s = 0; s < l->n; s++)
		if (l->id[s] >= first_id && l->id[s] != E3_HOLE)
			l->id[s] = E3_HOLE, l->holes++;
	trim(c, l);
}

void e3_cache_clear(e3_cache *c)
{
	for (int l = 0; l < c->layers; l++) {
		c->layer[l].n = c->layer[l].holes = 0;
		trim(c, &c->layer[l]);
	}
}

int e3_cache_restore(e3_cache *c, int layer, const uint32_t *id, uint32_t n, e3_err *err)
{
	e3_layer_cache *l = &c->layer[layer];
	if (grow_slots(l, n, err))
		return -1;
	while ((uint64_t)l->n_pages * (uint64_t)c->page_keys < n)
		if (take_page(c, l, err))
			return -1;
	for (uint32_t s = 0; s < n; s++)
		l->holes += id[s] == E3_HOLE;
	if (n)
		memcpy(l->id, id, n * sizeof *id);
	l->n = n;
	return 0;
}

e3_kv e3_cache_view(const e3_cache *c, int layer)
{
	const e3_layer_cache *l = &c->layer[layer];
	return (e3_kv){.page = l->page,
		.dtype = c->dev->attn_dtype,
		.page_keys = c->page_keys,
		.n_keys = (int)l->n,
		.heads = c->heads,
		.head_dim = c->head_dim,
		.scored = true,
		.pack = c->pack};
}

uint32_t e3_cache_count(const e3_cache *c, int layer) { return c->layer[layer].n - c->layer[layer].holes; }
