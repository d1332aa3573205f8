/* export: one frame's depth in the size that was asked for (depth_map.c). */
#ifndef E3_EXPORT_DEPTH_MAP_H
#define E3_EXPORT_DEPTH_MAP_H

#include "export/writer.h"

/* Zero-initialised is empty. Its memory is used again from frame to frame. */
typedef struct e3_depth_map {
	float *d; /* [h][w], 0 = unknown */
	int w, h;
	size_t cap;
	e3_depth_sizer *sizer;
} e3_depth_map;

/* Refuses a frame without depth. */
int e3_depth_map_check(const e3_format_writer *w, const e3_pred *p, e3_err *err);
/* The depth of p in the pixels of the network, or of the source. -1 when the stream does not say how large that is. */
int e3_depth_map_make(e3_depth_map *m, const e3_pred *p, bool source, e3_err *err);
void e3_depth_map_release(e3_depth_map *m);

#endif
