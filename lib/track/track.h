/* track: the chain itself, for the files that keep it. Private to this layer. */
#ifndef E3_TRACK_TRACK_H
#define E3_TRACK_TRACK_H

#include "e3/track.h"

/* What both segments saw of a shared frame. */
typedef struct e3_shared {
	e3_view *a, *b; /* [overlap]: of the segment that answers, of the next one */
	int64_t first;  /* the first shared frame */
} e3_shared;

struct e3_track {
	e3_session *s;
	e3_track_options o;
	e3_track_place at;
	int64_t i, frames; /* the newest frame; how many there were */
	e3_shared shared;
	e3_evict evict; /* of the last side step */
	e3_edge edge;
	int n_edges;
	bool beside; /* the newest frame is shared, and the side has not seen it yet */
};

#endif
