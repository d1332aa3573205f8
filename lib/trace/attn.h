/* trace: attention records as attn.c gathers them and attn_draw.c draws them. */
#ifndef E3_EVICT_STATS_ATTN_H
#define E3_EVICT_STATS_ATTN_H

#include "e3/trace_draw.h"
#include "trace/bins.h"

typedef struct attn_layer {
	int layer;
	bool full;       /* head-averaged maps were recorded: a row is a query; else a row is a frame */
	trace_bins map;  /* mean probability of a key; a column is a token */
	trace_bins mass; /* frame to frame */
	FILE *rows;      /* spool of the exact mass: row t has t + 1 floats; NaN where there was no record */
	int64_t frames;  /* rows so far */
} attn_layer;

struct e3_trace_attn {
	e3_trace_attn_look look;
	e3_trace_shape shape;
	attn_layer *layer; /* in order of layer */
	int n;
};

#endif
