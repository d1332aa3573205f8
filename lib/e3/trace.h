/* trace: the cache of a run, replayed from the eviction records of its prediction stream: statistics and checks.
 *
 * Order of use: e3_replay (which token was in which layer after every frame), then e3_trace_check (does a record follow
 * the rules) and e3_trace_stats (figures of the whole run), then the pictures of e3/trace_draw.h. Nothing here reads a
 * stream: the caller hands over decoded records.
 *
 * Terms. A stream in segments has a cache for each; any other is one segment. A step is a record: a frame that entered
 * a cache. Steps of the run are counted 0, 1, 2, ... in the order of the records, and so are the steps of each segment
 * (`local`) and the frames of the stream; without segments the three are the same. A token's id is local step × N +
 * index, N being the tokens of a frame (doc/formats.md 7.2). The first `special` indices of a frame are its special
 * tokens, the others are its patches. Protected tokens are those of a segment's frame 0 and the special tokens of its
 * newest frames: all frames, or fewer where the budget is small; the record's `protected` count says how many.
 *
 * While two segments overlap, a frame has a step in both; the first of them is the segment that answered. A segment
 * ends when another one has answered instead, and with it everything that its cache held.
 */
#ifndef E3_TRACE_H
#define E3_TRACE_H

#include "e3/data.h"
#include "e3/err.h"

/* --- replay.c: the cache, step by step --- */

typedef struct e3_trace_shape {
	int layers;
	int n;          /* tokens of a frame */
	int rows, cols; /* patch grid */
	int special;    /* n - rows × cols */
} e3_trace_shape;

enum { E3_TRACE_QUANTILES = 9, E3_TRACE_AGES = 5, E3_TRACE_LIFE_MAX = 65534, E3_TRACE_MAX_LAYERS = 256 };

/* One layer at one step. */
typedef struct e3_trace_cell {
	uint32_t before, after, removed;
	uint32_t stillborn;         /* patches of this step's frame that were removed at this step */
	uint32_t saturated, prot;   /* as recorded */
	uint32_t protected_evicted; /* protected tokens among the removed ones */
	double budget, alpha, variance;
	float q[E3_TRACE_QUANTILES], max_evicted, min_kept;
	float jaccard_next; /* patches alive in this layer and the next / patches alive in either; NaN in the last layer */
} e3_trace_cell;

/* All layers at one step. */
typedef struct e3_trace_step {
	int64_t i;              /* the frame's index in the stream */
	int64_t frame;          /* counted from 0 */
	int64_t local;          /* step of the segment */
	int64_t segment;        /* its place in e3_replay.segment */
	bool passing;           /* the frame was no key frame, and left nothing */
	uint64_t before, after; /* tokens */
	uint32_t removed, stillborn;
	uint32_t age[E3_TRACE_AGES]; /* steps since the kept patches arrived: quantiles 5, 25, 50, 75, 95 % */
	uint32_t age_max;
} e3_trace_step;

/* A cache. */
typedef struct e3_trace_segment {
	int64_t number, first; /* as recorded: the segment, and the stream's index of its first frame */
	int64_t steps;         /* so far */
	int64_t kept;          /* of them key frames */
	int64_t *step;         /* [steps] the steps of the run that they are */
	int64_t room;          /* steps allocated */
	int64_t end;           /* the step of the run at which another one had answered; INT64_MAX: still in use */
	/* Of each layer, alive now, or at the end: */
	uint32_t *alive;    /* tokens */
	uint32_t *patches;  /* patches */
	uint32_t *of_first; /* tokens of the first frame */
	uint32_t *specials; /* special tokens of later frames */
	uint32_t *common;   /* patches in this layer and in the next */
} e3_trace_segment;

/* The whole run. Takes 2 bytes for each token of every (layer, frame) that lost one, and one cell per (layer, step). */
typedef struct e3_replay {
	e3_trace_shape shape;
	int64_t steps;
	e3_trace_step *step; /* [steps] */
	e3_trace_cell *cell; /* [steps][layers] */
	uint16_t **life;     /* [steps][layers]: NULL: nothing was removed; else [n]: 0 = alive, k + 1 = kept for k steps */
	uint32_t *by_frame;  /* [steps] patches of the step's frame alive now, over all layers */
	int64_t room;        /* steps allocated */
	int64_t frames;
	int64_t *answer;           /* [frames] the step that answered */
	e3_trace_segment *segment; /* [segments] in the order in which they began */
	int64_t segments;
} e3_replay;

int e3_replay_init(e3_replay *r, const e3_trace_shape *shape, e3_err *err);
void e3_replay_release(e3_replay *r);
/* Applies a record, which must have passed e3_trace_check_step. Ids that are not alive are ignored. */
int e3_replay_add(e3_replay *r, const e3_evict *rec, e3_err *err);
/* Frees the lives of the tokens of a segment that is over. From then on nothing may ask for them. */
void e3_replay_forget(e3_replay *r, int64_t segment);
/* The segment in use that has this number; NULL: none. */
const e3_trace_segment *e3_replay_segment(const e3_replay *r, int64_t number);
/* The step at which frame `frame` entered the segment; -1: it never did. */
int64_t e3_replay_step_of(const e3_replay *r, int64_t segment, int64_t frame);
/* The step that answered for a frame, and the last step of a segment. -1: there is no such frame yet. */
int64_t e3_replay_answer(const e3_replay *r, int64_t frame);
int64_t e3_replay_last(const e3_replay *r, int64_t segment);
/* Most steps of a segment. */
int64_t e3_replay_longest(const e3_replay *r);
/* For how many steps of its segment `layer` kept token `index` of the frame of step f (0: removed on arrival, at most
 * E3_TRACE_LIFE_MAX); -1: to the end of the segment, or until now. */
int32_t e3_replay_life(const e3_replay *r, int layer, int64_t f, int index);
/* How many of the newest frames have protected special tokens at the next step of the segment, by the number of
 * protected tokens in its record; frames between them that left nothing count too. -1 when no number of frames gives
 * that count. *first: whether its frame 0 is protected too. (Some counts fit both ways; then it is not if the record
 * evicts tokens of it.) */
int64_t e3_replay_protected_frames(const e3_replay *r, const e3_trace_segment *s, const e3_evict *rec, int layer,
	bool *first);
/* Whether the token of step f was in its cache after step t; never, when they are of different segments. */
bool e3_replay_alive_at(const e3_replay *r, int layer, int64_t f, int index, int64_t t);
/* How many layers held the token after step t. */
int e3_replay_holders(const e3_replay *r, int64_t f, int index, int64_t t);
static inline const e3_trace_cell *e3_trace_cell_at(const e3_replay *r, int64_t t, int layer)
{
	return r->cell + t * r->shape.layers + layer;
}

/* --- check.c: the rules of doc/formats.md 7.4 --- */

typedef enum e3_trace_rule {
	E3_RULE_ALIVE,
	E3_RULE_UNIQUE,
	E3_RULE_COUNT,
	E3_RULE_BUDGET,
	E3_RULE_PROTECTED,
	E3_RULE_ALPHA,
	E3_RULE_ORDER,
	E3_RULES
} e3_trace_rule;

typedef struct e3_trace_violation {
	int64_t frame, segment;
	int layer; /* -1: all layers together */
	e3_trace_rule rule;
	char expected[80], found[80];
} e3_trace_violation;

enum { E3_TRACE_VIOLATIONS = 100 };

typedef struct e3_trace_check {
	bool budgeted;  /* the run has a budget */
	int64_t steps;  /* checked so far */
	uint64_t total; /* violations, also those that `list` has no room for */
	e3_trace_violation list[E3_TRACE_VIOLATIONS];
	int n;
	bool is_broken;
	e3_trace_violation broken; /* the first violation of alive, unique or count */
} e3_trace_check;

void e3_trace_check_init(e3_trace_check *c, const e3_head *head);
/* Checks a record against its cache as it was before the record. Violations are counted in *c. -1 when the record
 * cannot be applied at all: its layers are not those of the head, its segment is over, or the beginning of the stream
 * or of the segment is missing. */
int e3_trace_check_step(e3_trace_check *c, const e3_replay *before, const e3_evict *rec, e3_err *err);
const char *e3_trace_rule_name(e3_trace_rule rule);
/* The first violation of alive, unique or count, after which the replay no longer describes the cache; NULL: none. */
const e3_trace_violation *e3_trace_check_broken(const e3_trace_check *c);
/* "frame 3, layer 2: budget: expected 10, found 12"; after the frame "segment 4", but for the first segment */
void e3_trace_violation_text(const e3_trace_violation *v, char *to, size_t size);

/* --- stats.c: figures of a finished replay (doc/formats.md 7.4) --- */

/* Kaplan-Meier estimate over the patches of frames 1 and later of each segment; a patch that is alive at the end of its
 * segment is censored. */
typedef struct e3_trace_survival {
	int64_t n;                  /* ages 0 .. n-1 */
	uint64_t *at_risk, *deaths; /* [n] */
	double *s;                  /* [n] share of the patches that are still alive after this age */
	int64_t median;             /* first age with s <= 0.5; -1: not reached */
	int64_t room;               /* ages allocated */
} e3_trace_survival;

/* "The end" is that of each segment. */
typedef struct e3_trace_stats {
	const e3_replay *r;
	e3_trace_survival all, *layer; /* all layers pooled; [layers] */
	double *agreement;             /* [layers][layers] Jaccard index of the patches alive at the end; NaN: none alive */
	double *spatial;               /* [layers][rows][cols] mean over steps of (steps kept) / (steps since arrival) */
	uint32_t *kept;                /* [steps][layers] patches of the step's frame alive at the end */
	uint64_t *held;                /* [frames] tokens over all caches after the frame */
	double *importance;            /* [steps] their sum over layers / (layers × n) */
	int64_t last_eviction;         /* the last step that removed something; -1: no step did */
	uint64_t peak_tokens;          /* most tokens over all caches at once, which is before an eviction */
	uint64_t full_tokens;          /* of one cache that holds all frames */
	uint64_t removed;              /* tokens */
	uint64_t born, stillborn;   /* patches of frames 1 and later of each segment; of these, those removed on arrival */
	uint64_t saturated;         /* the largest count of a step */
	uint64_t protected_evicted; /* total */
	double special_kept, first_kept; /* share alive at the end of the special tokens of frames 1 and later, and of frame
										0; NaN: there are none */
	double entropy;                  /* of alpha at last_eviction, divided by ln layers; NaN: unknown */
	/* While segments are added: */
	int64_t segments, room; /* added so far: the first ones; steps that `kept` has room for */
	uint64_t *both;         /* [layers][layers] patches alive at the end in both */
} e3_trace_stats;

/* The replay is borrowed until the release. */
int e3_trace_stats_init(e3_trace_stats *s, const e3_replay *r, e3_err *err);
/* The same in parts, for long runs of which no picture of single tokens is wanted. *s is zero-initialised, and to be
 * released also after a failure. fold: after any record, adds the segments that are over, and their lives are
 * forgotten. finish: adds the rest; then the figures are valid. */
int e3_trace_stats_fold(e3_trace_stats *s, e3_replay *r, e3_err *err);
int e3_trace_stats_finish(e3_trace_stats *s, const e3_replay *r, e3_err *err);
void e3_trace_stats_release(e3_trace_stats *s);
/* Kept tokens / ceil(budget); NaN without a budget. */
double e3_trace_budget_use(const e3_trace_cell *c);
/* Which frames are remembered when: row and column = frame, value = share of the column's patches in the cache that
 * answered for the row, mean over layers; NaN above the diagonal. Averaged into at most `side` rows and columns; *size
 * receives their number, *bin how many frames one stands for. */
double *e3_trace_remembered(const e3_replay *r, int side, int *size, int *bin, e3_err *err);

/* --- latency.c: seconds from capture to prediction of every frame of a live source --- */

/* Zero-initialised is empty. The figures are valid after e3_trace_latency_finish. */
typedef struct e3_trace_latency {
	double *seconds; /* [n]; all of them, because quantiles are exact */
	size_t n, room;
	double mean, p50, p99, max;
} e3_trace_latency;

int e3_trace_latency_add(e3_trace_latency *l, double seconds, e3_err *err);
void e3_trace_latency_finish(e3_trace_latency *l);
void e3_trace_latency_release(e3_trace_latency *l);

/* --- text.c: numbers for people --- */

/* "1,234,567" */
void e3_trace_count_text(uint64_t v, char to[32]);
/* "1.5 MiB" */
void e3_trace_bytes_text(double bytes, char to[32]);

#endif
