/* model: a window over the stream (doc/network.md 9.11): the first frames and the newest key frames stay whole, of the
 * others the special tokens stay for ever. Nothing is scored: the host knows which patches go, and the next frame takes
 * their slots.
 *
 * What the window has no room for goes at the end of a step, as with every policy, so that the next key frame sees
 * exactly the first frames, a window with itself, and the special tokens. After a frame that no key frame follows
 * nothing goes: frames in between see the whole window beside themselves.
 */
#include "e3/mem.h"
#include "evict.h"
#include <stdlib.h>
#include <string.h>

int e3_slide_open(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err)
{
	size_t patches = (size_t)(plan->tokens_per_frame - plan->special);
	e->dev = cache->dev, e->layers = cache->layers;
	e->in_window = e3_alloc((size_t)e->window + 1, sizeof *e->in_window, "frames of the cache", err);
	e->slide_slot = e3_alloc(patches, sizeof *e->slide_slot, "eviction", err);
	return e->in_window && e->slide_slot ? 0 : -1;
}

void e3_slide_release(e3_evictor *e) { free(e->in_window), free(e->slide_slot); }

void e3_slide_find(e3_evictor *e, const e3_plan *plan, const e3_cache *cache)
{
	const e3_layer_cache *l = &cache->layer[0];
	uint32_t tokens = (uint32_t)plan->tokens_per_frame, last = tokens - 1;
	int64_t after = e->start - 1;
	/* The last patch of a frame is there if the frame is whole. The next one is found, and so on. */
	for (e->n_window = 0; e->n_window <= e->window; e->n_window++) {
		int64_t next = INT64_MAX;
		for (uint32_t s = 0; s < l->n; s++) {
			int64_t f = l->id[s] / tokens;
			if (l->id[s] != E3_HOLE && l->id[s] % tokens == last && f > after && f < next)
				next = f;
		}
		if (next == INT64_MAX)
			break;
		e->in_window[e->n_window] = after = next;
	}
}

void e3_slide_keep(e3_evictor *e, int64_t t)
{
	if (t >= e->start)
		e->in_window[e->n_window++] = t;
}

/* Where a layer has the tokens from `first` on. All layers have them in the same slots, unless they were saved by
 * another policy: what the layer before had is tried first. */
static int find_slots(e3_evictor *e, const e3_layer_cache *l, uint32_t first, uint32_t n, e3_err *err)
{
	uint32_t found = 0;
	bool same = true;
	for (uint32_t k = 0; same && k < n; k++)
		same = e->slide_slot[k] < l->n && l->id[e->slide_slot[k]] == first + k;
	if (same)
		return 0;
	for (uint32_t s = 0; s < l->n; s++)
		if (l->id[s] - first < n)
			e->slide_slot[l->id[s] - first] = s, found++;
	return found == n ? 0 : e3_fail(err, "%u tokens in the cache of a frame that has %u", found, n);
}

static int evict_frame(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t frame, e3_evict *record,
	e3_err *err)
{
	uint32_t special = (uint32_t)plan->special, n = (uint32_t)plan->tokens_per_frame - special,
			 first = (uint32_t)frame * (uint32_t)plan->tokens_per_frame + special;
	for (int l = 0; l < cache->layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		size_t before = r->n_removed;
		if (find_slots(e, &cache->layer[l], first, n, err) || e3_evictor_removed(r, n, err) ||
			e3_cache_remove(cache, l, e->slide_slot, (int)n, plan->tokens_per_frame, err))
			return e3_fail_in(err, "layer %d", l);
		/* Ascending: the current frame's own tokens, if they go too, are the newest and stand last. */
		memmove(r->removed + n, r->removed, before * sizeof *r->removed);
		for (uint32_t k = 0; k < n; k++)
			r->removed[k] = first + k;
		r->k_after -= n;
	}
	return 0;
}

int e3_slide_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, e3_evict *record, e3_err *err)
{
	int gone = e->n_window + e->soon - e->window;
	for (int k = gone - 1; k >= 0; k--) /* the newest first: each goes in front of those before it */
		if (evict_frame(e, plan, cache, e->in_window[k], record, err))
			return -1;
	if (gone > 0) {
		e->n_window -= gone;
		memmove(e->in_window, e->in_window + gone, (size_t)e->n_window * sizeof *e->in_window);
	}
	e3_slide_record(e, plan, record);
	return 0;
}

/* Protected, as the record counts it: the first frame, and the special tokens of all. */
void e3_slide_record(const e3_evictor *e, const e3_plan *plan, e3_evict *record)
{
	for (int l = 0; l < record->n_layers; l++) {
		e3_evict_layer *r = &record->layer[l];
		r->prot = (uint32_t)(plan->tokens_per_frame + (e->kept - 1) * plan->special);
		r->alpha = 1.0 / record->n_layers, r->budget = r->k_after;
	}
}
