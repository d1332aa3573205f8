/* e3-evict-stats: what attn.c (gathers attention records) and attn-draw.c (draws them) share. */
#ifndef E3_EVICT_STATS_ATTN_H
#define E3_EVICT_STATS_ATTN_H

#include "evict-stats.h"

typedef struct es_attn_layer {
	int layer;
	bool full;      /* rows are queries (head-averaged maps were recorded); otherwise rows are frames */
	es_bins map;    /* mean probability of a key: columns are tokens */
	es_bins mass;   /* frame to frame */
	FILE *rows;     /* exact mass: row t has t + 1 floats; NaN where there was no record */
	int64_t frames; /* rows so far */
} es_attn_layer;

struct es_attn {
	es_attn_look look;
	es_shape shape;
	es_attn_layer *layer; /* in order of layer */
	int n;
};

#endif
