/* view: pictures of a frame: what the network saw, its depth and confidence, small. */
#ifndef VIEW_MAPS_H
#define VIEW_MAPS_H

#include "e3/data.h"
#include "e3/mem.h"

enum { VIEW_SIDE = 320 /* the longest, of pictures and maps */, VIEW_JPEG_QUALITY = 75 };

/* The bodies of records, appended to *out. rgb is [h][w][3]. */
int view_picture(const uint8_t *rgb, int w, int h, e3_buf *out, e3_err *err);
/* 1; 0: no pixel has a depth. */
int view_depth_map(const float *depth, int w, int h, e3_buf *out, e3_err *err);
/* range: of the run (view_confidence_range). */
int view_confidence_map(const float *conf, int w, int h, const double range[2], e3_buf *out, e3_err *err);

#endif
