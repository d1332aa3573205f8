/* view: what a recording has of a frame, made when it is asked for. */
#ifndef VIEW_MADE_H
#define VIEW_MADE_H

#include "view/run.h"

/* E3_VIEW_PICTURE, _DEPTH, _CONFIDENCE and _CHUNK: as e3_view_get. */
int view_made_get(e3_view_store *v, view_run *r, const e3_view_key *key, e3_buf *out, e3_err *err);
/* As e3_view_points. */
int64_t view_made_points(e3_view_store *v, view_run *r, int64_t n);
void view_made_release(view_run *r);

#endif
