/* export: what clean.c and cloud.c share: where the points of a frame are, and which pixels have one. */
#ifndef E3_EXPORT_POINTS_H
#define E3_EXPORT_POINTS_H

#include "export/writer.h"

/* Zero-initialised; released by e3_locator_release. */
typedef struct e3_locator {
	e3_point_source source; /* auto until e3_locator_choose */
	bool upstream;          /* integer pixel indices, as the reference */
	bool copies;            /* depth mode takes the point map, as the reference does */
	bool borrows;           /* frames without a usable field of view take theirs, when nobody chose the source */
	float *world;
	size_t cap;
} e3_locator;

/* The points of a frame, from its point map or from its depth. Borrows from the frame and from the locator. */
typedef struct e3_located {
	e3_export_frame frame;
	const float *xyz;   /* [h][w][3]; NULL: the frame has none */
	const float *conf;  /* [h][w]; NULL counts as 1 */
	const float *depth; /* of points from depth, to skip where it is unknown; else NULL */
} e3_located;

/* Decides by the first frame where points come from; refuses a frame without what they need. */
int e3_locator_choose(e3_locator *l, const e3_cloud_options *opt, const e3_pred *p, e3_err *err);
/* The arrays that e3_locate reads: of this frame, or NULL: of any. */
unsigned e3_locator_parts(const e3_locator *l, const e3_pred *p);
/* Does it take this frame's point map although points come from depth? */
bool e3_locator_borrows(const e3_locator *l, const e3_pred *p);
int e3_locate(e3_locator *l, const e3_pred *p, e3_located *at, e3_err *err);
void e3_locator_release(e3_locator *l);
/* Where the points of this run come from; it is of `c`. */
const e3_locator *e3_clean_where(const e3_clean *c);

/* Towards the camera, times 127; 0 0 0 where the neighbours do not tell. */
void e3_located_normal(const e3_located *at, int u, int v, int8_t normal[3]);

#endif
