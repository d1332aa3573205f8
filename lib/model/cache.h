/* model: the KV cache: a pool of pages shared by the layers, and for each layer which token lies in which slot.
 *
 * Slots 0..n-1 of a layer hold its tokens while a frame attends. Eviction frees slots and the next frame's tokens fill
 * them, lowest first; only when a layer shrinks by more than a frame do its last tokens move into the gaps, so that
 * pages go back to the pool. Attention does not care about order (no temporal position), so nothing else is ever
 * copied.
 */
#ifndef E3_MODEL_CACHE_H
#define E3_MODEL_CACHE_H

#include "e3/dev.h"

#define E3_HOLE UINT32_MAX

typedef struct e3_layer_cache {
	uint32_t n;     /* slots 0..n-1 are in use or holes */
	uint32_t holes; /* how many of them are holes */
	uint32_t cap;   /* size of the array below */
	uint32_t *id; /* token id of each slot, or E3_HOLE; id = frame * tokens_per_frame + index. The pages have it too */
	uint8_t **page;
	int n_pages, cap_pages;
} e3_layer_cache;

typedef struct e3_cache e3_cache;
struct e3_cache {
	e3_dev *dev;
	int layers, heads, head_dim, page_keys;
	e3_kv_pack pack;
	size_t page_bytes;
	bool grows; /* no budget: slabs are added as the stream goes on */
	e3_layer_cache *layer;
	e3_cache *pool; /* the cache whose pages it takes, and to which it gives them back: itself, or another one */
	uint8_t **slab; /* what was allocated; pages point into it */
	int n_slabs;
	uint8_t **spare; /* free pages */
	int64_t n_spare, n_pages;
	uint32_t *scratch; /* for moves: 2 × scratch_n */
	size_t scratch_n;
};

/* pages = 0: no budget, grows. shape = {layers, heads, head_dim, page_keys, pack}. */
int e3_cache_open(e3_cache *c, e3_dev *dev, const int shape[5], int64_t pages, e3_err *err);
/* Empty, of the same shape, with the pages of another one, which must be released after it and may not move. */
int e3_cache_share(e3_cache *c, e3_cache *with, e3_err *err);
void e3_cache_release(e3_cache *c);
/* Slots for the n tokens of a frame (ids first_id ... first_id + n - 1): slot[k], ascending holes first. The caller
 * tells the device (its operation `enter`), for all layers at once. */
int e3_cache_append(e3_cache *c, int layer, uint32_t first_id, int n, uint32_t *slot, e3_err *err);
/* Frees n slots (distinct, in use); `reserve` tokens will come next and fill gaps, gaps beyond that are closed. */
int e3_cache_remove(e3_cache *c, int layer, const uint32_t *slot, int n, int reserve, e3_err *err);
/* Removes the tokens with ids from first_id on, as if they had never come: slots, holes and pages are as before.
 * Nothing moves. */
void e3_cache_forget(e3_cache *c, int layer, uint32_t first_id);
/* Every layer is empty again, and all pages are free. */
void e3_cache_clear(e3_cache *c);
/* Gives an empty layer n slots with these ids (E3_HOLE: unused), the last not a hole. The caller writes keys, values
 * and scores into the pages. */
int e3_cache_restore(e3_cache *c, int layer, const uint32_t *id, uint32_t n, e3_err *err);
/* The view attention takes. Valid until the next change. No holes may be left (append fills them: a frame is never
 * smaller). */
e3_kv e3_cache_view(const e3_cache *c, int layer);
/* Tokens in use. */
uint32_t e3_cache_count(const e3_cache *c, int layer);

#endif
