/* view: what a run has of its frames in memory, within limits: pictures, maps, kept patches, points. */
#ifndef VIEW_SHELF_H
#define VIEW_SHELF_H

#include "view/record.h"

/* Parts of a frame that are bytes: the bodies of records E3_VIEW_PICTURE to E3_VIEW_KEPT. */
enum { VIEW_PARTS = E3_VIEW_KEPT - E3_VIEW_PICTURE + 1 };
/* Frames up to the newest that lose none of these: more than from one full record of kept patches to the next. */
enum { VIEW_NEWEST = 128 };

typedef struct view_item {
	uint32_t n; /* the frame */
	uint8_t *part[VIEW_PARTS];
	uint32_t len[VIEW_PARTS];
	view_chunk chunk;
} view_item;

/* Zero-initialised is empty. */
typedef struct view_shelf {
	view_item *item; /* [n] by frame */
	size_t n, room;
	int64_t bytes, points; /* held */
	uint32_t step;         /* of older frames, every so many keep their parts; 0: all do */
	int level;             /* how often the points were halved */
} view_shelf;

/* The item of frame n, which is new, or the newest one. */
view_item *view_shelf_add(view_shelf *s, uint32_t n, e3_err *err);
view_item *view_shelf_find(const view_shelf *s, uint32_t n);
/* The last item up to frame n that has a full record of kept patches; NULL: none. */
view_item *view_shelf_whole(const view_shelf *s, uint32_t n);
/* Takes over the bytes, which are of e3_buf. */
void view_shelf_put(view_shelf *s, view_item *to, int type, e3_buf *body);
void view_shelf_chunk(view_shelf *s, view_item *to, view_chunk *chunk);
/* Brings what is held within the limits, evenly over all frames: of older frames every second, every fourth, ... keeps
 * its parts; all chunks are cut to half of their points. */
void view_shelf_thin(view_shelf *s, int64_t bytes, int64_t points);
void view_shelf_release(view_shelf *s);

#endif
