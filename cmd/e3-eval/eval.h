/* e3-eval: what the files of the tool share. Private to cmd/e3-eval*.c.
 *
 * One direction: truth (where it comes from) -> read (an input, frame by frame, each prediction beside its truth) ->
 * tasks (each keeps what it needs and scores a sequence at its end) -> text, JSON, result files, pictures. A task is a
 * row of ev_tasks: it fills its own part of ev_seq, and says what of it to show.
 */
#ifndef E3_EVAL_TOOL_H
#define E3_EVAL_TOOL_H

#include "e3/data.h"
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/sets.h"

enum { EV_ALIGNS = 5, EV_FIGURES = 16, EV_WHY = 256 };

typedef struct ev_options {
	unsigned tasks;        /* bit k: ev_tasks[k] */
	bool all;              /* no task was asked for: whatever the truth allows */
	bool align[EV_ALIGNS]; /* by e3_depth_align; none: the task's own */
	bool align_given;
	e3_pixel_rule pixels;
	double clip;
	bool disparity, compat, by_folder;
	const char *const *truth; /* --truth, n_truth times */
	int n_truth;
	const char *against; /* --against: a stream whose predictions stand as truth; then it is truth[0] */
	int form;            /* of trajectory files: 0 = by content, else 1 + e3_traj_format */
	double max_diff;     /* seconds by which stamps may differ; negative: index to index */
	const char *results, *png;
	bool npy;
	const char *dataset; /* its name, or "e3" */
	const char *ply;     /* recon: folder for clouds */
	bool use_proj;       /* recon: points of predicted depth and camera */
	double icp;          /* recon: radius */
	int64_t crop;        /* recon */
	int64_t threads;
} ev_options;

/* --- paths.c: trajectory files --- */

typedef enum ev_kind { EV_STREAM, EV_SAFETENSORS, EV_TRAJ } ev_kind;

/* What an operand is, by its first bytes; endpoints, pipes and devices are streams. -1 when it cannot be read or is
 * none of these. */
int ev_kind_of(const char *path, ev_kind *kind, e3_err *err);
/* A trajectory file in the format asked for or, by the numbers in a line, the one it seems to have. */
int ev_traj_load(const char *path, const ev_options *o, e3_traj *to, e3_err *err);
/* Camera from world, of a pose world from camera. -1 when it is no rotation. */
int ev_traj_pose(const double c2w[12], e3_pose *to, e3_err *err);

/* --- truth.c --- */

typedef struct ev_truth ev_truth;

/* Truth of a frame. */
typedef struct ev_true {
	const e3_truth *map; /* its depth, or NULL */
	bool has_pose;
	e3_pose pose;
	const char *unit; /* or NULL */
} ev_true;

/* Of a message. */
int ev_true_of(const e3_truth *t, ev_true *to, e3_err *err);

/* A stream, a safetensors file (depth [n,h,w], pose [n,9]) or a trajectory file, told apart by content. */
ev_truth *ev_truth_open(const char *path, const ev_options *o, e3_err *err);
/* The truth of the k-th prediction: 1 and *to (borrowed until the next call); 0 when there is none; -1. Frames come in
 * order. */
int ev_truth_at(ev_truth *t, int64_t k, const e3_source *s, ev_true *to, e3_err *err);
/* After n predictions: -1 when they cannot have been paired index to index. */
int ev_truth_end(const ev_truth *t, int64_t n, e3_err *err);
void ev_truth_close(ev_truth *t);

/* One frame: a prediction beside its truth. Borrowed. */
typedef struct ev_pair {
	int64_t k;           /* frames with truth before this one */
	const e3_head *head; /* of the prediction stream; empty for trajectory files */
	const e3_pred *pred;
	const ev_true *truth;
	const e3_onto *onto; /* how the prediction came to the truth's size; NULL without depth on either side */
	const float *depth;  /* [truth h][truth w] prediction at the truth's size, inside onto->seen */
	const float *pixels; /* [n_pixels][2] prediction and truth of the pixels that count */
	size_t n_pixels;
	bool has_pose; /* both `pose` and truth->pose are there */
	e3_pose pose;
} ev_pair;

typedef struct ev_depth {
	e3_depth_score score; /* score.n = 0: nothing to score */
	e3_depth_fit fit;     /* video-depth: of the sequence */
	int64_t images;
} ev_depth;

typedef struct ev_path {
	e3_path_score score;
	int64_t frames;
	bool scored;
	char why[EV_WHY]; /* it was not */
} ev_path;

typedef struct ev_recon {
	e3_recon_score score;
	int64_t views;
	bool scored;
	char why[EV_WHY]; /* it was not */
} ev_recon;

/* Error of depth in one frame, for the pictures. */
typedef struct ev_moment {
	int64_t i;
	float image, sequence; /* AbsRel after the image's median, and after the alignment of the sequence */
	size_t pixels;
} ev_moment;

typedef struct ev_shots ev_shots;

/* An input, or the average over inputs (then only what averages have). */
typedef struct ev_seq {
	char *input; /* the operand */
	char *name;  /* for tables and files */
	char *group; /* its folder, for --by-folder */
	e3_head head;
	e3_end end;
	bool has_end, interrupted, failed;
	char why[EV_WHY]; /* it failed */
	int64_t frames;   /* predictions */
	int64_t with_truth, with_depth, with_pose;
	int truth_w, truth_h, w, h; /* of the first frame with depth: the truth, the network picture */
	char unit[64];
	e3_pixel_count pixels;
	int64_t first_not_finite, first_not_positive; /* frame; -1 = none */
	ev_depth depth;
	ev_depth video[EV_ALIGNS];
	ev_path path;
	ev_recon recon;
	e3_pair_counts pairs;
	int64_t pair_frames;
	bool by_folder;                /* an average over folders: the mean of their figures counts, not all pairs pooled */
	int pair_groups;               /* how many are behind pair_mean */
	double pair_mean[3 * E3_AUCS]; /* as the figures of the task pairs begin */
	char pairs_why[EV_WHY];
	e3_place *place, *true_place; /* [with_pose], for --results and --png */
	double *ate;                  /* [with_pose] */
	e3_intrinsics *camera;        /* [with_pose] as predicted, for --results; NULL: a trajectory file, which has none */
	ev_moment *moment;            /* [with_depth], for --png */
	size_t n_moments, moments_room;
	const char *curve_align; /* what `sequence` of the moments is aligned by */
	double curve_score;      /* AbsRel of the sequence by that, or of its images; NaN */
	ev_shots *shots;
} ev_seq;

void ev_seq_release(ev_seq *s);
/* The part of a path between its last slash and its last point; malloc'd, control characters replaced. NULL: out of
 * memory. */
char *ev_stem(const char *path);

/* --- read.c --- */

/* Reads one input from its beginning to its end into `s`, tasks included. truth: NULL = the stream's own. */
int ev_read(const ev_options *o, const char *input, const char *truth, ev_seq *s, e3_err *err);

/* --- the tasks --- */

typedef struct ev_figure {
	const char *key;  /* in JSON */
	const char *name; /* above the column; NULL: not in the table */
	int digits;       /* after the point; 0 = a whole number */
} ev_figure;

typedef struct ev_task {
	const char *name; /* as asked for */
	const char *key;  /* in JSON */
	const ev_figure *figure;
	int figures;
	bool high_is_good; /* of the first figure */
	/* One sequence: state, frames, score. */
	void *(*begin)(const ev_options *o, e3_err *err);
	int (*add)(void *state, const ev_pair *p, e3_err *err);
	int (*finish)(void *state, ev_seq *s, e3_err *err);
	void (*free)(void *state);
	/* The same part of `to` from many sequences. */
	void (*average)(const ev_options *o, const ev_seq *s, int n, ev_seq *to);
	/* Rows (0: nothing scored), their labels and values. */
	int (*rows)(const ev_seq *s);
	const char *(*row)(const ev_seq *s, int row, double *v);
	/* Why there is nothing, in words; NULL or empty when nothing is to be said. */
	const char *(*why)(const ev_seq *s);
} ev_task;

enum { EV_TASK_DEPTH, EV_TASK_VIDEO, EV_TASK_POSE, EV_TASK_PAIRS, EV_TASK_RECON, EV_TASKS };
extern const ev_task *const ev_tasks[EV_TASKS];
extern const ev_task ev_task_depth, ev_task_video, ev_task_pose, ev_task_pairs, ev_task_recon;
extern const char *const ev_align_name[EV_ALIGNS];

/* --- text.c, json.c --- */

typedef struct ev_report {
	const ev_options *o;
	const ev_seq *seq; /* [n] */
	int n;
	int inputs, scored;    /* of the inputs, which are more than n when folders are pooled */
	const ev_seq *average; /* NULL with one sequence */
} ev_report;

int ev_text(const ev_report *r, e3_buf *to, e3_err *err);
int ev_json(const ev_report *r, e3_buf *to, e3_err *err);

/* --- results.c --- */

int ev_results(const ev_report *r, const char *dir, e3_err *err);
/* The k-th predicted depth map of a sequence, beside them. */
int ev_save_npy(const ev_options *o, const char *name, int64_t k, const e3_pred *p, e3_err *err);

/* --- shots.c, png.c --- */

#define EV_ERROR_TOP 0.25 /* relative error that has the lightest colour */

/* Maybe keeps the frame, which has depth. *to: NULL at first. */
int ev_shots_add(ev_shots **to, const ev_pair *p, const ev_options *o, e3_err *err);
/* unit: of the truth. */
int ev_shots_draw(const ev_shots *x, const char *title, const char *unit, const char *path, e3_err *err);
void ev_shots_free(ev_shots *x);
int ev_png(const ev_report *r, const char *dir, e3_err *err);

#endif
