/* trace: pictures of a finished run: sheets of kept patches, the contact sheet, charts, attention maps. All are PNG. */
#ifndef E3_TRACE_DRAW_H
#define E3_TRACE_DRAW_H

#include "e3/image.h"
#include "e3/trace.h"

/* What the pictures show. All borrowed. */
typedef struct e3_trace_run {
	const e3_head *head;
	const e3_replay *replay;
	const e3_trace_stats *stats;
} e3_trace_run;

/* --- shots.c: small pictures of some frames, evenly spaced, gathered while the stream is read --- */

typedef struct e3_trace_shot {
	int64_t t, i; /* frame, counted from 0; index in the stream */
	double pts;
	e3_image rgb;   /* (cols × cell) × (rows × cell) pixels */
	float *inverse; /* [h][w] 1 / depth, 0 = unknown; NULL when the stream has no depth */
} e3_trace_shot;

typedef struct e3_trace_shots {
	e3_trace_shape shape;
	int cell;            /* pixels per side of a patch */
	int capacity;        /* most shots; a long stream keeps between half of that and all of it */
	int64_t stride;      /* every stride-th frame is kept; doubles when the room is used up */
	e3_trace_shot *shot; /* [capacity + 1] */
	int n;
	bool has_last;       /* shot[n] is the newest frame, which the stride would skip */
	uint64_t *histogram; /* of 1 / depth over all pixels of all frames, by the top 16 bits of the float */
} e3_trace_shots;

int e3_trace_shots_init(e3_trace_shots *fr, const e3_trace_shape *shape, int capacity, e3_err *err);
void e3_trace_shots_release(e3_trace_shots *fr);
/* The prediction of frame t, counted from 0. */
int e3_trace_shots_add(e3_trace_shots *fr, int64_t t, const e3_pred *p, e3_err *err);
/* At most `want` shots, spread evenly over the run; with want > 1 the first and the last frame are among them. to[want]
 * receives them; returns how many. */
int e3_trace_shots_pick(const e3_trace_shots *fr, int want, const e3_trace_shot **to);
/* 1 / depth at two percentiles of the whole run; 0 and 1 when the stream has no depth. */
void e3_trace_shots_range(const e3_trace_shots *fr, double low_pct, double high_pct, double range[2]);

/* --- sheets.c, contact.c, charts.c --- */

/* How evicted patches look: a quarter of the light without colour; red; white. */
typedef enum e3_patch_style { E3_PATCH_DIM, E3_PATCH_MARK, E3_PATCH_HIDE } e3_patch_style;

typedef enum e3_sheet_view {
	E3_SHEET_SELF,  /* every frame with its own patches as they are at the end */
	E3_SHEET_NOW,   /* a row per step: all frames so far as they were at that step */
	E3_SHEET_AGE,   /* coloured by how long a patch was kept */
	E3_SHEET_LAYERS /* no sheets of single layers */
} e3_sheet_view;

typedef struct e3_sheet_look {
	e3_patch_style style;
	e3_sheet_view view;
	bool grid;         /* draw the edges of patches */
	int frames;        /* on a sheet, at most 256 */
	const int *layers; /* [n_layers] layers to draw; n_layers 0: all */
	int n_layers;
} e3_sheet_look;

/* Writes DIR/layers.png and DIR/LNN.png. */
int e3_trace_sheets(const e3_trace_run *x, const e3_trace_shots *fr, const e3_sheet_look *look, const char *dir,
	e3_err *err);
/* Writes the contact sheet: frames, depth and what the cache kept, side by side. */
int e3_trace_contact(const e3_trace_run *x, const e3_trace_shots *fr, int columns, const char *path, e3_err *err);
/* Writes the charts into DIR. */
int e3_trace_charts(const e3_trace_run *x, const char *dir, e3_err *err);

/* --- attn.c, attn_draw.c: attention records, gathered while the stream is read --- */

typedef struct e3_trace_attn_look {
	e3_cmap map;
	bool scale_rows; /* multiply the rows of frame f by f + 1 */
	bool has_range;
	double lo, hi; /* values of the first and the last colour; with lo NaN: from 0 to percentile hi */
	const int *layers;
	int n_layers;
	int side; /* most rows and columns of a map */
} e3_trace_attn_look;

typedef struct e3_trace_attn e3_trace_attn;

e3_trace_attn *e3_trace_attn_open(const e3_trace_attn_look *look, const e3_trace_shape *shape, e3_err *err);
/* `r`: of the eviction records that came before this one. */
int e3_trace_attn_add(e3_trace_attn *a, const e3_replay *r, const e3_attn *rec, e3_err *err);
/* Writes DIR/attn/. *layers receives how many layers were drawn: 0 when there were no attention records. */
int e3_trace_attn_draw(e3_trace_attn *a, const char *dir, int *layers, e3_err *err);
void e3_trace_attn_close(e3_trace_attn *a);

#endif
