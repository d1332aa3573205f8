/* view: the parts of records, and their bytes (e3-view(5)). */
#ifndef VIEW_RECORD_H
#define VIEW_RECORD_H

#include "e3/hold.h"
#include "view/store.h"

enum { VIEW_FRAME_BYTES = E3_VIEW_HEADER + 108, VIEW_POINT_BYTES = 10 };

enum { VIEW_HAS_POSE = 1, VIEW_HAS_PICTURE = 2, VIEW_HAS_DEPTH = 4, VIEW_HAS_KEPT = 8, VIEW_HAS_CHUNK = 16 };

typedef struct view_frame {
	int64_t i;
	double pts, t_capture;
	double matrix[12]; /* world from camera, 3×4 row-major; identity without a pose */
	double k[4];       /* fx/w fy/h cx/w cy/h */
	int w, h;
	double ms, latency;
	int64_t tokens, segment;
	unsigned flags;
} view_frame;

/* Points of a frame in its camera's space, in a random order: any first part is a fair thinning. */
typedef struct view_chunk {
	float min[3], size[3];
	uint32_t count;
	uint8_t *points; /* [count][VIEW_POINT_BYTES], as in the record; owned */
} view_chunk;

void view_set_flags(void *record, unsigned flags);
void view_frame_record(const view_frame *f, int run, uint32_t n, uint8_t to[VIEW_FRAME_BYTES]);
int view_correct_record(const e3_correction *c, int run, uint32_t n, e3_buf *out, e3_err *err);
/* 1; 0 when there is no point from key->offset on; -1. */
int view_chunk_record(const view_chunk *c, const e3_view_key *key, e3_buf *out, e3_err *err);

#endif
