/* eval: private: declarations that the parts of an evaluation share. Data flow in one direction: truth (truth.c) ->
 * read.c (pairs each prediction with its truth) -> tasks (each keeps what it needs and scores a sequence at its end) ->
 * text, JSON, result files, charts. A task is a row of eval_tasks: it fills its own part of e3_eval_seq and says which
 * of its figures to show. */
#ifndef E3_EVAL_TASKS_H
#define E3_EVAL_TASKS_H

#include "e3/data.h"
#include "e3/evaluation.h"
#include "e3/mem.h"
#include "e3/sets.h"
#include <stdatomic.h>

/* --- input.c: what an operand is; trajectory files --- */

typedef enum eval_input_kind { EVAL_STREAM, EVAL_SAFETENSORS, EVAL_TRAJ } eval_input_kind;

/* By the first bytes; endpoints, pipes and devices are streams. -1 when the file cannot be read or is of another
 * kind. */
int eval_input_kind_of(const char *path, eval_input_kind *kind, e3_err *err);
/* A trajectory file in the format asked for or, by the numbers in a line, the one it seems to have. */
int eval_traj_load(const char *path, const e3_eval_options *o, e3_traj *to, e3_err *err);
/* Camera from world, of a pose world from camera. -1 when the matrix is not a rotation. */
int eval_traj_pose(const double c2w[12], e3_pose *to, e3_err *err);

/* --- truth.c: truth from a file of its own --- */

typedef struct eval_truth eval_truth;

/* Truth of a frame. */
typedef struct eval_frame_truth {
	const e3_truth *map; /* its depth, or NULL */
	bool has_pose;
	e3_pose pose;
	const char *unit; /* or NULL */
	bool by_time;     /* it is pose `row` of the file, `gap` seconds from the prediction */
	size_t row;
	double gap;
} eval_frame_truth;

/* The truth of a message. */
int eval_frame_truth_of(const e3_truth *t, eval_frame_truth *to, e3_err *err);

/* A stream, a safetensors file (depth [n,h,w], pose [n,9]) or a trajectory file, told apart by content. */
eval_truth *eval_truth_open(const char *path, const e3_eval_options *o, e3_err *err);
/* The truth of the k-th prediction: 1 and *to (borrowed until the next call); 0 when there is none; -1. Frames come in
 * order. By time, predictions that follow each other may get the same pose, of which the nearest has it: later ones do
 * not get it again. */
int eval_truth_at(eval_truth *t, int64_t k, const e3_source *s, eval_frame_truth *to, e3_err *err);
/* After n predictions: -1 when they cannot have been paired index to index. */
int eval_truth_end(const eval_truth *t, int64_t n, e3_err *err);
void eval_truth_close(eval_truth *t);

/* --- sequence.c --- */

void eval_seq_release(e3_eval_seq *s);
/* The part of a path between its last slash and its last point; malloc'd, control characters replaced. NULL: out of
 * memory. */
char *eval_stem(const char *path);
/* The hint, or "". */
const char *eval_hint(const char *hint);
bool eval_stopped(const e3_eval_options *o);

/* --- scoring.c --- */

/* One sequence being scored. `work` stops a second after the stop of the run. */
typedef struct eval_scoring {
	e3_work work;
	const e3_eval_options *o;
	const char *name;
	_Atomic(int64_t) stopped; /* when the stop was first seen, in nanoseconds; 0: not yet */
} eval_scoring;

void eval_scoring_begin(eval_scoring *x, const e3_eval_options *o, const char *name);

/* --- read.c --- */

/* Reads one input from its beginning to its end into `s`, tasks included. truth: NULL = the stream's own. */
int eval_read(const e3_eval_options *o, const char *input, const char *truth, e3_eval_seq *s, e3_err *err);

/* --- tasks.c, task_*.c --- */

/* One frame: a prediction beside its truth. Borrowed. */
typedef struct eval_sample {
	int64_t k;           /* frames with truth before this one */
	const e3_head *head; /* of the prediction stream; empty for trajectory files */
	const e3_pred *pred;
	const eval_frame_truth *truth;
	const e3_resampler *resampler; /* how the prediction came to the truth's size; NULL without depth on either side */
	const float *depth;            /* [truth h][truth w] prediction at the truth's size, inside resampler->seen */
	const float *pixels;           /* [n_pixels][2] prediction and truth of the pixels that count */
	size_t n_pixels;
	bool has_pose; /* both `pose` and truth->pose are there */
	e3_pose pose;
} eval_sample;

enum { EVAL_FIGURES = 16 };

typedef struct eval_figure {
	const char *key;  /* in JSON */
	const char *name; /* above the column; NULL: not in the table */
	int digits;       /* after the point; 0 = a whole number */
} eval_figure;

typedef struct eval_task {
	const char *name; /* as asked for */
	const char *key;  /* in JSON */
	const eval_figure *figure;
	int figures;
	bool high_is_good; /* of the first figure */
	/* One sequence: state, frames, score. */
	void *(*begin)(const e3_eval_options *o, e3_err *err);
	int (*add)(void *state, const eval_sample *p, e3_err *err);
	int (*finish)(void *state, e3_eval_seq *s, const e3_work *work, e3_err *err);
	void (*free)(void *state);
	/* The same part of `to` from many sequences. */
	void (*average)(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to);
	/* Rows (0: nothing scored), their labels and values. */
	int (*rows)(const e3_eval_seq *s);
	const char *(*row)(const e3_eval_seq *s, int row, double *v);
	/* Why nothing was scored; NULL or empty: no reason to give. */
	const char *(*why)(const e3_eval_seq *s);
} eval_task;

extern const eval_task *const eval_tasks[E3_EVAL_TASKS];
extern const eval_task eval_task_depth, eval_task_video, eval_task_pose, eval_task_pairs, eval_task_recon;

/* --- results.c --- */

/* The k-th predicted depth map of a sequence, beside the result files. */
int eval_save_npy(const e3_eval_options *o, const char *name, int64_t k, const e3_pred *p, e3_err *err);

/* --- shots.c: frames kept for a picture of maps --- */

#define EVAL_ERROR_TOP 0.25 /* relative error that has the lightest colour */

/* Keeps the frame, which has depth, if its turn has come. */
int eval_shots_add(e3_eval_shots **to, const eval_sample *p, const e3_eval_options *o, e3_err *err);
/* unit: of the truth. */
int eval_shots_draw(const e3_eval_shots *x, const char *title, const char *unit, const char *path, e3_err *err);
void eval_shots_free(e3_eval_shots *x);

#endif
