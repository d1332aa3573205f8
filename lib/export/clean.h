/* export: what cleaning is made of: edges of the depth (edges.c), the views of a run (views.c), and how far they agree
 * (agree.c). A frame's depth is what points come from: its depth, or that of its point map. */
#ifndef E3_EXPORT_CLEAN_H
#define E3_EXPORT_CLEAN_H

#include "e3/thread.h"
#include "export/points.h"

/* What is known of a pixel, one byte: it has no point; why cleaning drops its point; or how far other frames agree with
 * it, on a logarithmic scale up to E3_AGREED. */
enum { E3_NO_POINT, E3_AT_EDGE, E3_SEEN_THROUGH, E3_TOO_FAR, E3_DROPPED = E3_TOO_FAR, E3_DOUBTED, E3_AGREED = 255 };

/* The factor of a confidence that belongs to a byte: 1 for E3_AGREED, 0 where the point is dropped. */
float e3_agreement(uint8_t byte);

/* --- edges.c --- */

/* Drops the pixels between two surfaces: those where inverse depth changes by more than a part of itself, and by far
 * more than it does beside them. keep: [h][w] bytes; inverse: [h][w], 0 = unknown. */
void e3_edges_drop(const float *inverse, int w, int h, uint8_t *keep);

/* --- views.c: the cameras of a run, and the depth of some of its frames --- */

typedef struct e3_views e3_views;

typedef struct e3_view {
	e3_pose pose;
	e3_intrinsics k;
	bool usable;
	const float *inverse; /* [k.h][k.w] 1/depth, 0 = unknown; NULL until e3_views_read */
} e3_view;

enum { E3_VIEWS_OTHERS = 8 };

e3_views *e3_views_open(e3_frame_spool *frames, const e3_locator *where, e3_err *err);
/* The cameras of the run, in order. inverse: of this frame. */
int e3_views_add(e3_views *v, const e3_located *at, const float *inverse, e3_err *err);
/* 1/depth of a frame, [h][w]. to: as large. */
void e3_views_inverse(const e3_located *at, float *to);
/* Of the run: the middle of what it sees, and the distance from there beyond which points are too far. After all were
 * added. */
int e3_views_extent(const e3_views *v, double middle[3], double *far, e3_err *err);
/* Other frames that see much of what frame `ordinal` sees, evenly spread over the run: their number. */
int e3_views_choose(const e3_views *v, uint64_t ordinal, uint64_t others[E3_VIEWS_OTHERS]);
/* A frame with its depth, which stays until 2 × E3_VIEWS_OTHERS others were read. NULL: an error. */
const e3_view *e3_views_read(e3_views *v, uint64_t ordinal, e3_err *err);
void e3_views_close(e3_views *v);

/* --- agree.c --- */

typedef struct e3_agree {
	const e3_view *view; /* the frame that is judged, with its depth */
	const e3_view *other[E3_VIEWS_OTHERS];
	int n;
} e3_agree;

/* Judges the points of a frame by what the others see there. keep: [h][w], of points that are not dropped yet. */
void e3_agree_judge(const e3_agree *a, e3_pool *pool, uint8_t *keep);

#endif
