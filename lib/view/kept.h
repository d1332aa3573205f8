/* view: which patches the cache holds, frame by frame, from eviction records; in memory that is bounded by the cache.
 */
#ifndef VIEW_KEPT_H
#define VIEW_KEPT_H

#include "e3/data.h"
#include "e3/mem.h"

enum { VIEW_KEPT_EVERY = 64 /* frames, at most, from one full record to the next */ };

/* A frame of which patches are left. */
typedef struct view_kept_frame {
	uint32_t number;  /* of the frame in its run */
	int64_t local;    /* as the cache counts it */
	uint32_t tokens;  /* patches over all layers */
	uint8_t *holders; /* [patches] layers that hold it; NULL: all layers hold all of them */
	bool changed;     /* since the record before */
} view_kept_frame;

/* The cache of a segment. */
typedef struct view_kept_cache {
	int64_t segment, steps;
	view_kept_frame *frame; /* [n] by number; those without a patch are gone */
	size_t n, room;
} view_kept_cache;

/* Owner: the caller. */
typedef struct view_kept {
	int layers, tokens, special, rows, cols; /* tokens: of a frame */
	int64_t seen;                            /* frames that a saved cache had seen */
	bool frozen;
	view_kept_cache *cache; /* the first one is that of the segment that answers */
	size_t caches;
	int64_t i;    /* of the newest record; -1: none came */
	int64_t full; /* number of the frame of the last full record; -1: the next one is */
} view_kept;

/* false when a page cannot show such a cache: the stream does not say its shape, or it has more than 255 layers or
 * 65535 patches. */
bool view_kept_init(view_kept *k, const e3_head *head);
/* A record, of frame `number`. 1: it is that of the segment that answered for the frame, and *out gets the body of a
 * kept record; 0: of its successor; -1. */
int view_kept_add(view_kept *k, const e3_evict *rec, uint32_t number, e3_buf *out, e3_err *err);
void view_kept_release(view_kept *k);

/* Bodies of records. Is it a full one? */
bool view_kept_full(const void *body);
/* *whole, a full body, as the changes in `next` make it. */
int view_kept_apply(e3_buf *whole, const void *next, size_t n, e3_err *err);

#endif
