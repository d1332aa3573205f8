/* e3-evict-stats: what the files of the tool share. Private to cmd/e3-evict-stats*.c and its tests.
 *
 * One direction: replay (the cache as the records tell it) <- check (invariants), stats (figures) <- text, JSON, TSV,
 * pictures. Steps are counted 0, 1, 2, ... in the order in which e3-infer saw the frames; a token's id is step × N +
 * index (doc/formats.md 7.2). "Patches" are the tokens with index >= special. Protected by rule: frame 0, and the
 * special tokens of the newest frames, as many frames as the record's `protected` counts (all, unless the budget is too
 * small for that).
 */
#ifndef E3_EVICT_STATS_H
#define E3_EVICT_STATS_H

#include "e3/data.h"
#include "e3/image.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/plot.h"

/* --- replay.c --- */

typedef struct es_shape {
	int layers;
	int n;          /* tokens a frame */
	int rows, cols; /* patch grid */
	int special;    /* n - rows × cols */
} es_shape;

enum { ES_QUANTILES = 9, ES_AGES = 5, ES_LIFE_MAX = 65534, ES_MAX_LAYERS = 256 };

/* What one layer did at one step. */
typedef struct es_cell {
	uint32_t before, after, removed;
	uint32_t stillborn;         /* of this step's patches, removed at this step */
	uint32_t saturated, prot;   /* as recorded */
	uint32_t protected_evicted; /* protected tokens among the removed */
	double budget, alpha, variance;
	float q[ES_QUANTILES], max_evicted, min_kept;
	float jaccard_next; /* patches alive here and in the next layer, of those alive in either; NaN in the last layer */
} es_cell;

typedef struct es_step {
	int64_t i;              /* the frame's index in the stream */
	uint64_t before, after; /* tokens over all layers */
	uint32_t removed, stillborn;
	uint32_t age[ES_AGES]; /* steps since birth of the kept patches, all layers: quantiles 5, 25, 50, 75, 95 % */
	uint32_t age_max;
} es_step;

/* The whole run: 2 bytes for each (layer, token) of which something left, plus one es_cell for each (layer, step). */
typedef struct es_replay {
	es_shape shape;
	int64_t steps;
	es_step *step; /* [steps] */
	es_cell *cell; /* [steps][layers] */
	uint16_t *
		*life; /* [steps][layers]: NULL (nothing left) or [n]: 0 = alive, else 1 + steps kept, at most ES_LIFE_MAX */
	uint32_t *by_frame; /* [steps] patches alive now, over all layers */
	uint32_t *alive;    /* [layers] tokens alive now */
	uint32_t *patches;  /* [layers] patches alive now */
	uint32_t *first;    /* [layers] tokens of frame 0 alive now */
	uint32_t *specials; /* [layers] special tokens of later frames alive now */
	uint32_t *common;   /* [layers] patches alive in this layer and the next */
	int64_t room;       /* steps allocated */
} es_replay;

int es_replay_init(es_replay *r, const es_shape *shape, e3_err *err);
void es_replay_release(es_replay *r);
/* Applies one record; its layers are 0 .. layers-1 in order (es_check_step). Ids that are not alive are ignored. */
int es_replay_add(es_replay *r, const e3_evict *rec, e3_err *err);
/* Steps for which token `index` of frame f was kept in `layer` (0 = left at once); -1 = alive now. */
int32_t es_life(const es_replay *r, int layer, int64_t f, int index);
/* How many of the newest frames have protected specials at the step that comes next, when its record counts `prot`
 * protected tokens; -1 when that count fits no such rule. */
int64_t es_protected_frames(const es_replay *r, int layer, uint32_t prot);
/* Whether it was in the cache after step t. */
bool es_alive_at(const es_replay *r, int layer, int64_t f, int index, int64_t t);
/* Layers that hold the token after step t. */
int es_holding(const es_replay *r, int64_t f, int index, int64_t t);
static inline const es_cell *es_cell_at(const es_replay *r, int64_t t, int layer)
{
	return r->cell + t * r->shape.layers + layer;
}

/* --- check.c: the invariants of doc/formats.md 7.4 --- */

typedef enum es_rule { ES_ALIVE, ES_UNIQUE, ES_COUNT, ES_BUDGET, ES_PROTECTED, ES_ALPHA, ES_ORDER, ES_RULES } es_rule;

typedef struct es_violation {
	int64_t frame;
	int layer; /* -1: all layers together */
	es_rule rule;
	char expected[80], found[80];
} es_violation;

enum { ES_VIOLATIONS_KEPT = 100 };

typedef struct es_check {
	bool budgeted;  /* there is a budget to keep to */
	int64_t steps;  /* checked */
	uint64_t total; /* violations, those not kept in list included */
	es_violation list[ES_VIOLATIONS_KEPT];
	int n;
	bool is_broken;
	es_violation broken; /* the first of the rules alive, unique, count */
} es_check;

void es_check_init(es_check *c, const e3_head *head);
/* Checks a record against the cache before it. -1 when it does not belong here at all: other layers than the head says,
 * or a stream whose beginning is missing. */
int es_check_step(es_check *c, const es_replay *before, const e3_evict *rec, e3_err *err);
const char *es_rule_name(es_rule rule);
/* Rules without which the statistics would be about another cache: alive, unique, count. NULL when they hold. */
const es_violation *es_check_broken(const es_check *c);
/* "frame 3, layer 2: budget: expected 10, found 12" */
void es_violation_text(const es_violation *v, char *to, size_t size);

/* --- stats.c: figures of a finished replay (doc/formats.md 7.4) --- */

/* Kaplan-Meier over the lives of patches of frames 1 and later; a patch alive at the end is censored. */
typedef struct es_survival {
	int64_t n;                  /* ages 0 .. n-1 */
	uint64_t *at_risk, *deaths; /* [n] */
	double *s;                  /* [n] share still alive after age tau */
	int64_t median;             /* first age with s <= 0.5; -1 = not reached */
} es_survival;

typedef struct es_stats {
	const es_replay *r;
	es_survival all, *layer; /* pooled; [layers] */
	double *agreement;       /* [layers][layers] Jaccard of the patches alive at the end; NaN when both are empty */
	double *spatial;         /* [layers][rows][cols] mean over frames of (steps kept) / (steps since birth) */
	uint32_t *kept;          /* [steps][layers] patches alive at the end, by frame */
	double *importance;      /* [steps] their sum over layers / (layers × n) */
	int64_t last_eviction;   /* last step that removed something; -1 = none */
	uint64_t peak_tokens;    /* most tokens over all layers at once: before an eviction */
	uint64_t removed, stillborn, born;     /* tokens; patches of frames >= 1; patches of frames >= 1 */
	uint64_t saturated, protected_evicted; /* largest of a step; total */
	double special_kept,
		first_kept; /* shares of the specials of frames >= 1 and of frame 0 alive at the end; NaN = none */
	double entropy; /* of alpha at last_eviction, / ln layers; NaN = unknown */
} es_stats;

int es_stats_init(es_stats *s, const es_replay *r, e3_err *err);
void es_stats_release(es_stats *s);
/* kept / ceil(budget) at step t; NaN without a budget. */
double es_budget_use(const es_cell *c);
/* The matrix "who is remembered": rows = steps, columns = frames, share of a frame's patches alive, mean over layers;
 * averaged into at most `side` rows and columns. NaN above the diagonal. *size receives the side, *bin the steps a row
 * stands for. */
double *es_remembered(const es_replay *r, int side, int *size, int *bin, e3_err *err);

/* --- text.c, json.c, tsv.c --- */

/* latency.c: seconds from capture to prediction, of a live source; zero-initialised is empty. The figures are there
 * when finished. */
typedef struct es_latency {
	double *seconds;
	size_t n, room;
	double mean, p50, p99, max;
} es_latency;

int es_latency_add(es_latency *l, double seconds, e3_err *err);
void es_latency_finish(es_latency *l);
void es_latency_release(es_latency *l);

typedef struct es_report {
	const es_replay *r;
	const es_stats *s;
	const es_check *check;
	const e3_head *head;
	const es_latency *latency;
	bool with_check; /* asked for: say so when all is well */
	bool interrupted;
} es_report;

/* "1,234,567", "1.5 MiB" */
void es_count_text(uint64_t v, char to[32]);
void es_bytes_text(double bytes, char to[32]);
int es_text(const es_report *x, e3_buf *to, e3_err *err);
int es_json(const es_report *x, e3_buf *to, e3_err *err);
int es_tsv(const es_report *x, const char *dir, e3_err *err);

/* --- frames.c: pictures of some frames, evenly spaced, whatever the length of the stream --- */

typedef struct es_shot {
	int64_t t, i; /* step; index in the stream */
	double pts;
	e3_image rgb;   /* cols × cell by rows × cell */
	float *inverse; /* [h][w] 1 / depth, 0 = none; NULL when the stream has no depth */
} es_shot;

typedef struct es_frames {
	es_shape shape;
	int cell;       /* pixels a patch side */
	int capacity;   /* shots kept: between half of it and all */
	int64_t stride; /* every stride-th frame is kept; doubles when full */
	es_shot *shot;
	int n;
	bool has_last;       /* the shot after the n evenly spaced ones is the newest frame */
	uint64_t *histogram; /* of 1/depth over all pixels of all frames, by the top 16 bits of the float */
} es_frames;

int es_frames_init(es_frames *fr, const es_shape *shape, int capacity, e3_err *err);
void es_frames_release(es_frames *fr);
int es_frames_add(es_frames *fr, int64_t t, const e3_pred *p, e3_err *err);
/* `want` shots spread over the run, first and last included when want > 1: the count; to[] receives them. */
int es_frames_pick(const es_frames *fr, int want, const es_shot **to);
/* Range of 1/depth between two percentiles of the whole run; 0 and 1 when there is none. */
void es_frames_range(const es_frames *fr, double low_pct, double high_pct, double range[2]);

/* --- sheets.c, contact.c, charts.c --- */

typedef enum es_style { ES_DIM, ES_MARK, ES_HIDE } es_style;
typedef enum es_view { ES_SELF, ES_NOW, ES_AGE, ES_LAYERS } es_view;

typedef struct es_look {
	es_style style;
	es_view view;
	bool grid;
	int frames;        /* on a sheet */
	const int *layers; /* n_layers of them; NULL: all */
	int n_layers;
} es_look;

/* One patch of a picture: dimmed, marked or hidden. */
void es_patch_paint(e3_image *im, const int box[4], es_style style); /* box: x, y, w, h */
int es_sheets(const es_report *x, const es_frames *fr, const es_look *look, const char *dir, e3_err *err);
int es_contact(const es_report *x, const es_frames *fr, int columns, const char *path, e3_err *err);
int es_charts(const es_report *x, const char *dir, e3_err *err);

/* --- bins.c: a matrix that grows at both ends of a stream and stays within a side --- */

typedef struct es_bins {
	int side;                 /* most rows and columns */
	int64_t row_bin, col_bin; /* units a bin stands for: powers of two */
	int64_t rows, cols;       /* units seen */
	float *sum;               /* [side][side] */
	uint32_t *count;          /* [side][side] */
} es_bins;

int es_bins_init(es_bins *b, int side, e3_err *err);
void es_bins_release(es_bins *b);
/* Makes room for so many units; halves the resolution as often as needed. */
void es_bins_reach(es_bins *b, int64_t rows, int64_t cols);
/* Adds a value at (row, col), inside what es_bins_reach has seen. */
void es_bins_add(es_bins *b, int64_t row, int64_t col, float v);
static inline int es_bins_rows(const es_bins *b) { return (int)((b->rows + b->row_bin - 1) / b->row_bin); }
static inline int es_bins_cols(const es_bins *b) { return (int)((b->cols + b->col_bin - 1) / b->col_bin); }

/* --- attn.c, attn-draw.c --- */

typedef struct es_attn_look {
	e3_cmap map;
	bool scale_rows; /* rows of frame f × (f + 1) */
	bool has_range;
	double lo, hi; /* the range; or, with lo NaN, hi = percentile that is the top */
	const int *layers;
	int n_layers;
	int side; /* bins a side */
} es_attn_look;

typedef struct es_attn es_attn;

es_attn *es_attn_open(const es_attn_look *look, const es_shape *shape, e3_err *err);
/* `steps`: eviction records before this one: a record of frame t comes beside the eviction record of frame t. */
int es_attn_add(es_attn *a, int64_t steps, const e3_attn *rec, e3_err *err);
/* Writes attn/ into dir. *layers receives how many were drawn: 0 when the stream had no attention records. */
int es_attn_draw(es_attn *a, const char *dir, int *layers, e3_err *err);
void es_attn_close(es_attn *a);

#endif
