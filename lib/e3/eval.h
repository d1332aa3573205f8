/* eval: the metrics of the papers (spec/eval.md): depth, camera paths, pairs of cameras. Arithmetic in double precision; no files
 * but nameless temporary ones.
 *
 * Predictions and truth are those of e3/data.h. What the reference defines by what it does (ten iterations and no more, the lower
 * median, a thousand small steps) is done likewise, because the published figures stand on it. Nothing here drops a value: a
 * prediction that is not finite makes the figures it enters not finite, as in the reference; callers who want it otherwise leave
 * such pixels out when they collect (e3_pixels_collect says how many).
 */
#ifndef E3_EVAL_H
#define E3_EVAL_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- onto.c: a predicted map brought to the size of the truth (spec/eval.md 1.5) --- */

/* OpenCV's INTER_CUBIC on one channel of f32: half-pixel centres, four taps a side, a = -0.75, edges repeated, no antialiasing;
 * weights and sums in single precision as there. `to` is [h][w]. Equal sizes copy. */
int e3_resize_cubic(const float *from, int from_w, int from_h, float *to, int w, int h, e3_err *err);

/* Where the pixels of a w × h truth lie in a network picture. A truth of the network picture's size is beside it pixel by pixel;
 * any other is of the whole source picture, whatever its resolution, and the frame's `fit` says which part the network saw. */
typedef struct e3_onto {
	int from_w, from_h;     /* the network picture */
	int w, h;               /* the truth */
	int part[4];            /* of the network picture, x0 y0 x1 y1: where the source is (the rest is padding) */
	int seen[4];            /* of the truth, x0 y0 x1 y1: what the network saw (the rest was cropped) */
	double scale[2], move[2]; /* network = scale × (truth + 0.5) + move - 0.5, per axis */
	float *weight[2];       /* [w][4], [h][4] */
	int *first[2];          /* [w], [h]: the first of four taps, before edges are repeated */
	float *row;             /* scratch: [4][w] */
	int *row_at;            /* scratch: [4] */
	bool same;              /* nothing to do */
} e3_onto;

/* -1 when the truth has neither the network picture's size nor the source's shape (within 2 %), or nothing of it was seen. */
int e3_onto_init(e3_onto *o, const e3_source *s, int from_w, int from_h, int w, int h, e3_err *err);
/* `to` is [h][w]; only the pixels in `seen` are written. */
void e3_onto_apply(e3_onto *o, const float *from, float *to);
void e3_onto_release(e3_onto *o);

/* --- pixels.c: the pixels of an image or of a whole sequence that count --- */

/* Predicted and true depth side by side, n pairs, as one of two types; the other pointer is NULL. Borrowed. */
typedef struct e3_pixels {
	const float *f;  /* [n][2] */
	const double *d; /* [n][2] */
	size_t n;
	bool mapped;     /* f is part of a file: what was read through is given back to the system, so that it does not add up in memory */
} e3_pixels;

/* Says that the pairs before `at` have been read, for this pass. */
void e3_pixels_passed(const e3_pixels *x, size_t at);

typedef struct e3_pixel_rule {
	double cap;      /* truth must be below it; 0 = none */
	bool finite;     /* leave out what is predicted not finite */
} e3_pixel_rule;

/* What became of the pixels of a map; adds to what is there. */
typedef struct e3_pixel_count {
	uint64_t used;       /* truth > 0 and below the cap */
	uint64_t not_finite; /* of the pixels with truth, predicted NaN or infinite (used unless the rule says otherwise) */
	uint64_t unseen;     /* with truth, where the network saw nothing */
} e3_pixel_count;

/* From maps of one size (a predicted one that e3_onto_apply has made); `to` has room for [w × h][2]. Returns the pairs written. */
size_t e3_pixels_collect(const e3_onto *o, const float *pred, const float *truth, const e3_pixel_rule *rule, float *to,
	e3_pixel_count *count);

/* Pairs of any number, in a nameless temporary file (e3_spool): memory does not grow. 8 bytes a pixel. */
typedef struct e3_pixel_store {
	void *file; /* FILE * */
	void *map;
	size_t n, mapped;
} e3_pixel_store;

int e3_pixel_store_add(e3_pixel_store *s, const float *pairs, size_t n, e3_err *err);
/* All of them, to be read any number of times; more cannot be added. */
int e3_pixel_store_read(e3_pixel_store *s, e3_pixels *out, e3_err *err);
void e3_pixel_store_release(e3_pixel_store *s);

/* --- depth.c: spec/eval.md 3 --- */

typedef enum e3_depth_align {
	E3_DEPTH_MEDIAN,      /* s = lower median of the truth / lower median of the prediction */
	E3_DEPTH_SCALE,       /* least absolute error by ten re-weighted least squares, unconverged as the reference's */
	E3_DEPTH_SCALE_SHIFT, /* at most 1000 steps of Adam of 1e-4 from the median's scale */
	E3_DEPTH_METRIC,      /* as it is */
	E3_DEPTH_LSTSQ        /* s and t of least squares */
} e3_depth_align;

typedef struct e3_depth_rule {
	e3_depth_align align;
	bool disparity; /* align to 1 / (truth + 1e-8), then turn the prediction over (0 where it is not above 0) */
	double clip;    /* predictions are at most this, after alignment; 0 = no limit */
} e3_depth_rule;

typedef struct e3_depth_fit {
	double s, t; /* aligned = s × prediction + t */
	int steps;   /* of the iteration, if there is one */
} e3_depth_fit;

/* Names of the alignments in the order of the enumeration, separated by '|': as options and result files spell them. */
#define E3_DEPTH_ALIGNS "median|scale|scale&shift|metric|lstsq"

/* No pixel gives s = 1, t = 0. */
int e3_depth_align_fit(const e3_pixels *x, const e3_depth_rule *rule, e3_depth_fit *fit, e3_err *err);

enum { E3_DELTAS = 4 };

typedef struct e3_depth_score {
	double abs_rel, sq_rel, rmse, log_rmse;
	double delta[E3_DELTAS]; /* share of pixels with max(q/g, g/q) < 1.25^k, k = 0 .. 3; the first is always 0 */
	double close;            /* the same for 1.03 */
	double n;                /* pixels: the weight */
} e3_depth_score;

/* n = 0 gives zeros and weight 0, as in the reference. */
void e3_depth_evaluate(const e3_pixels *x, const e3_depth_rule *rule, const e3_depth_fit *fit, e3_depth_score *score);
/* Means weighted by pixels: *sum starts zeroed; add each, then finish. */
void e3_depth_average_add(e3_depth_score *sum, const e3_depth_score *one);
void e3_depth_average_finish(e3_depth_score *sum);

/* --- path.c: spec/eval.md 5 --- */

/* A camera in the world. */
typedef struct e3_place {
	double x[3];
	double q[4]; /* world from camera, x y z w, unit length */
} e3_place;

void e3_place_of_pose(const e3_pose *p, e3_place *to);

typedef struct e3_stats {
	double max, mean, median, min, rmse, sse, std; /* std of the whole, not of a sample */
} e3_stats;

typedef struct e3_path_score {
	e3_similarity sim;        /* estimate to reference */
	e3_stats ate;             /* distance of positions after sim */
	e3_stats rpe_t, rpe_r;    /* of neighbours (i, i + 1): length, and angle in degrees; all 0 when n is 1 */
	e3_stats turn;            /* angle between the rotations of estimate and reference as they are, in degrees */
} e3_path_score;

/* n places each, index to index. `ate`, if not NULL, receives the n distances. -1 "degenerate" when the estimate or the reference
 * does not fix a rotation. */
int e3_path_evaluate(const e3_place *ref, const e3_place *est, size_t n, e3_path_score *score, double *ate, e3_err *err);

/* Of n values, which are sorted on the way. n = 0 gives zeros. */
void e3_stats_make(double *v, size_t n, e3_stats *to);

/* --- pairs.c: spec/eval.md 6 --- */

/* Rotation and translation-direction error of the motion between cameras i and j, in degrees. Poses are camera from world. */
void e3_pair_errors(const e3_pose ref[2], const e3_pose est[2], double *rotation, double *translation);

enum { E3_AUCS = 4, E3_AUC_MAX = 30 };
static const int e3_auc_at[E3_AUCS] = {30, 15, 5, 3};

/* Counts of pairs: poses of any number of sequences may be pooled. Zero-initialised is empty. */
typedef struct e3_pair_counts {
	uint64_t n;
	uint64_t bin[E3_AUC_MAX];     /* by the whole degrees of max(rotation, translation) */
	uint64_t exact[E3_AUCS];      /* max exactly at the limit, which still counts in its last bin */
	uint64_t rotation[E3_AUCS], translation[E3_AUCS]; /* below e3_auc_at degrees */
} e3_pair_counts;

void e3_pair_counts_add(e3_pair_counts *c, double rotation, double translation);
void e3_pair_counts_merge(e3_pair_counts *to, const e3_pair_counts *from);
/* Shares of pairs with an error below e3_auc_at[k] degrees, and the area under the curve up to it; 0 without pairs. */
double e3_pair_rra(const e3_pair_counts *c, int k);
double e3_pair_rta(const e3_pair_counts *c, int k);
double e3_pair_auc(const e3_pair_counts *c, int k);

#endif
