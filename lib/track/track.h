/* track: the chain itself, for the files that keep it. Private to this layer. */
#ifndef E3_TRACK_TRACK_H
#define E3_TRACK_TRACK_H

#include "direct.h"
#include "loops.h"

/* What both segments saw of a shared frame. */
typedef struct e3_shared {
	e3_view *a, *b; /* [overlap]: of the segment that answers, of the next one */
	int64_t first;  /* the first shared frame */
} e3_shared;

/* The frame that a segment begins with, as the segment saw it. */
typedef struct e3_reference {
	e3_view view;
	e3_pyramid picture;
} e3_reference;

struct e3_track {
	e3_session *s;
	e3_track_options o;
	e3_track_place at;
	int64_t i, frames;       /* the newest frame; how many there were */
	const uint8_t *rgb;      /* of the newest frame, until it is done */
	e3_view now;             /* the newest frame as the segment that answers saw it */
	e3_reference main, next; /* of the segment that answers; of the next one, once that has begun */
	e3_shared shared;
	e3_loops *loops;              /* NULL: not wanted */
	e3_evict evict;               /* of the last side step of the next segment */
	e3_edge edge[E3_TRACK_EDGES]; /* of the last call of e3_track_beside */
	int n_edges;
	e3_view key;   /* of motion.c: the last key frame, as the segment that answers saw it */
	int64_t since; /* frames after it */
	bool chosen;   /* the current frame was asked about */
	bool beside;   /* the newest frame is shared, and the side has not seen it yet */
};

/* ---- motion.c: which frames are key frames, if the camera's motion decides ---- */

bool e3_track_chooses(const e3_track *t);
void e3_motion_open(e3_track *t);
/* After a step: a key frame is what the next ones are compared with. */
int e3_motion_after(e3_track *t, const e3_result *r, const e3_evict *evict, e3_err *err);

#endif
