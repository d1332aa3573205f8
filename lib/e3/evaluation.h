/* eval: the evaluation of prediction streams: what e3-eval does, as a library (doc/evaluation.md).
 *
 *     e3_eval *e = e3_eval_run(&options, inputs, n, &err);    read every input to its end, score it
 *     e3_eval_text(&e->report, &text, &err);                  and e3_eval_json, e3_eval_results, e3_eval_charts
 *     e3_eval_free(e);
 *
 * An input is a prediction stream, or for poses a trajectory file. Its truth is in the stream, in a file of its own, or
 * (`against`) the predictions of another stream. Each task scores every sequence; then the sequences are averaged.
 */
#ifndef E3_EVALUATION_H
#define E3_EVALUATION_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/eval.h"
#include "e3/mem.h"
#include "e3/stream.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum e3_eval_task {
	E3_EVAL_DEPTH,       /* each image aligned by itself */
	E3_EVAL_VIDEO_DEPTH, /* one alignment for a sequence */
	E3_EVAL_POSE,        /* the camera path as a whole */
	E3_EVAL_PAIRS,       /* the relative pose of every two frames */
	E3_EVAL_RECON,       /* clouds of points */
	E3_EVAL_TASKS
} e3_eval_task;

/* "depth", "video-depth", ... */
const char *e3_eval_task_name(e3_eval_task task);

enum { E3_EVAL_ALIGNS = 5, E3_EVAL_WHY = 256 };

/* What the caller may add to some messages, each appended as it is; NULL adds nothing. A tool names its options here.
 */
typedef struct e3_eval_hints {
	const char *no_truth;       /* the stream carries no truth */
	const char *no_truth_file;  /* a trajectory needs a truth from elsewhere */
	const char *unequal_counts; /* poses cannot be paired index to index */
	const char *scalar_first;   /* a trajectory file was read as scalar first */
	const char *no_points;      /* no frame has predicted points */
	const char *not_finite;     /* some pixels are predicted not finite */
} e3_eval_hints;

typedef struct e3_eval_options {
	unsigned tasks;             /* bit k: e3_eval_task k */
	bool all;                   /* no task was asked for: score whatever the truth allows */
	bool align[E3_EVAL_ALIGNS]; /* by e3_depth_align; none: the task's own */
	bool align_given;
	e3_pixel_rule pixels;
	double clip;
	bool disparity, compat, by_folder;
	const char *const *truth; /* [n_truth] files with the truth: none, one for all inputs, or one for each */
	int n_truth;
	bool against;        /* truth[0] is a stream whose predictions are used as truth */
	int traj_format;     /* of trajectory files: 0 = by content, else 1 + e3_traj_format */
	double max_diff;     /* seconds by which stamps may differ; negative: pair index to index */
	const char *results; /* folder for e3_eval_results; NULL: none, and intrinsics are not kept */
	const char *charts;  /* folder for e3_eval_charts; NULL: none, and errors of frames are not kept */
	bool npy;            /* save every predicted depth map below `results` while reading */
	const char *dataset; /* its name in result files, or "e3" */
	const char *ply;     /* recon: folder for clouds */
	bool use_proj;       /* recon: points of predicted depth and camera */
	double icp;          /* recon: radius */
	int64_t crop;        /* recon */
	int64_t threads;
	e3_stream_options stream; /* of every stream that is read */
	e3_eval_hints hints;
	/* The caller's side; each may be NULL. */
	int (*stop)(void); /* not 0: score what has been read, leave out the rest; fail if that takes more than a second */
	void (*progress)(const char *name, int64_t frames);               /* while reading */
	void (*scoring)(const char *name, const char *what, int percent); /* while clouds are scored */
} e3_eval_options;

typedef struct e3_eval_depth {
	e3_depth_score score; /* score.n = 0: nothing to score */
	e3_depth_fit fit;     /* video-depth: of the sequence */
	int64_t images;
} e3_eval_depth;

typedef struct e3_eval_path {
	e3_path_score score;
	int64_t frames;
	bool scored;
	char why[E3_EVAL_WHY]; /* it was not scored */
} e3_eval_path;

typedef struct e3_eval_recon {
	e3_recon_score score;
	int64_t views;
	bool scored;
	char why[E3_EVAL_WHY]; /* it was not scored */
} e3_eval_recon;

/* Error of depth in one frame, for the charts. */
typedef struct e3_eval_frame_error {
	int64_t i;
	float image, sequence; /* AbsRel after the image's median, and after the alignment of the sequence */
	size_t pixels;
} e3_eval_frame_error;

typedef struct e3_eval_shots e3_eval_shots;

/* An input, or the average over inputs (then only what averages have). */
typedef struct e3_eval_seq {
	char *input; /* the operand */
	char *name;  /* for tables and files */
	char *group; /* its folder, for `by_folder` */
	e3_head head;
	e3_end end;
	bool has_end, interrupted, failed;
	char why[E3_EVAL_WHY]; /* it failed */
	int64_t frames;        /* predictions */
	int64_t with_truth, with_depth, with_pose;
	int truth_w, truth_h, w, h; /* of the first frame with depth: the truth, the network picture */
	char unit[64];
	e3_pixel_count pixels;
	int64_t first_not_finite, first_not_positive; /* frame; -1 = none */
	e3_eval_depth depth;
	e3_eval_depth video[E3_EVAL_ALIGNS];
	e3_eval_path path;
	e3_eval_recon recon;
	e3_pair_counts pairs;
	int64_t pair_frames;
	bool by_folder;                /* an average over folders: the mean of their figures counts, not all pairs pooled */
	int pair_groups;               /* how many are behind pair_mean */
	double pair_mean[3 * E3_AUCS]; /* as the figures of the task pairs begin */
	char pairs_why[E3_EVAL_WHY];
	e3_camera_pose *pose, *true_pose; /* [with_pose], for result files and charts */
	double *ate;                      /* [with_pose] */
	e3_intrinsics *intrinsics;        /* [with_pose] as predicted, for result files; NULL: a trajectory file has none */
	e3_eval_frame_error *frame_error; /* [with_depth], for the charts */
	size_t n_frame_errors, frame_errors_room;
	const char *curve_align; /* the alignment behind frame_error[].sequence */
	double curve_score;      /* AbsRel of the sequence by that, or of its images; NaN */
	e3_eval_shots *shots;
} e3_eval_seq;

typedef struct e3_eval_report {
	const e3_eval_options *o;
	const e3_eval_seq *seq; /* [n] */
	int n;
	int inputs, scored;         /* of the inputs, which are more than n when folders are pooled */
	const e3_eval_seq *average; /* NULL with one sequence */
} e3_eval_report;

/* One run over all inputs. */
typedef struct e3_eval {
	e3_eval_report inputs; /* a sequence for each input: for result files and charts */
	e3_eval_report report; /* the same, or with `by_folder` a sequence for each folder: for text and JSON */
	e3_eval_seq *seq;      /* [n_seq], owned */
	int n_seq;
} e3_eval;

/* Reads the n inputs one after the other and scores them; n = 0 reads standard input. NULL when an input cannot be
 * scored (with `compat`: when none can), or when a task that was asked for scores nothing. */
e3_eval *e3_eval_run(const e3_eval_options *o, char **input, int n, e3_err *err);
void e3_eval_free(e3_eval *e);

/* The report for people, at most 25 lines; and for programs, one JSON object on one line. */
int e3_eval_text(const e3_eval_report *r, e3_buf *to, e3_err *err);
int e3_eval_json(const e3_eval_report *r, e3_buf *to, e3_err *err);
/* The reference's own result files, below `dir`. */
int e3_eval_results(const e3_eval_report *r, const char *dir, e3_err *err);
/* PNG charts, below `dir`: errors over time, camera paths, accuracy against memory. */
int e3_eval_charts(const e3_eval_report *r, const char *dir, e3_err *err);

#endif
