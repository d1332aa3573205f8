/* eval: the metrics of the papers (doc/evaluation.md): depth, camera paths, pairs of cameras, clouds of points.
 * Arithmetic is in double precision. The only files are temporary ones without a name.
 *
 * Predictions and truth are those of e3/data.h. Where the reference's code defines a metric (exactly ten iterations,
 * the lower median, a thousand small steps), this code does the same, because the published figures depend on it. No
 * value is dropped silently: a prediction that is not finite makes the figures not finite, as in the reference. Callers
 * can leave such pixels out when they collect them; e3_pixels_collect counts them.
 */
#ifndef E3_EVAL_H
#define E3_EVAL_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/kdtree.h"
#include "e3/work.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- resample.c: resizing a predicted map to the size of the truth (doc/evaluation.md 1.5) --- */

/* OpenCV's INTER_CUBIC on one channel of f32: half-pixel centres, four taps a side, a = -0.75, edges repeated, no
 * antialiasing; weights and sums in single precision as there. `to` is [h][w]. Equal sizes copy. */
int e3_resize_cubic(const float *from, const int from_size[2], float *to, const int size[2], e3_err *err);

/* Where the pixels of a w × h truth lie in a network picture. A truth of the network picture's size corresponds to it
 * pixel by pixel. Any other truth shows the whole source picture, at any resolution; the frame's `fit` says which part
 * of it the network saw. */
typedef struct e3_resampler {
	int from_w, from_h;       /* the network picture */
	int w, h;                 /* the truth */
	int part[4];              /* of the network picture, x0 y0 x1 y1: where the source is (the rest is padding) */
	int seen[4];              /* of the truth, x0 y0 x1 y1: what the network saw (the rest was cropped) */
	double scale[2], move[2]; /* network = scale × (truth + 0.5) + move - 0.5, per axis */
	float *weight[2];         /* [w][4], [h][4] */
	int *first[2];            /* [w], [h]: the first of four taps, before edges are repeated */
	float *row;               /* scratch: [4][w] */
	int *row_at;              /* scratch: [4] */
	bool same;                /* the sizes are equal: copy */
} e3_resampler;

/* -1 when the truth has neither the network picture's size nor the source's proportions (within 2 %), or when the
 * network saw no part of it. */
int e3_resampler_init(e3_resampler *o, const e3_source *s, const int from[2], const int to[2], e3_err *err);
/* `to` is [h][w]; only the pixels in `seen` are written. */
void e3_resampler_apply(e3_resampler *o, const float *from, float *to);
void e3_resampler_release(e3_resampler *o);

/* --- pixels.c: the scored pixels of an image or of a whole sequence --- */

/* n pairs of predicted and true depth, in one of two types; the other pointer is NULL. Borrowed. */
typedef struct e3_pixels {
	const float *f;  /* [n][2] */
	const double *d; /* [n][2] */
	size_t n;
	bool mapped; /* f is part of a mapped file: pages are released after they were read, so that memory does not grow */
	const e3_work *work; /* NULL, or what may stop: then no more pixels are read, and figures mean nothing */
} e3_pixels;

/* Call when the pairs before `at` have been read; their pages may be released. */
void e3_pixels_passed(const e3_pixels *x, size_t at);

typedef struct e3_pixel_rule {
	double cap;  /* truth must be below it; 0 = none */
	bool finite; /* leave out predictions that are not finite */
} e3_pixel_rule;

/* Counts of the pixels of a map; e3_pixels_collect adds to them. */
typedef struct e3_pixel_count {
	uint64_t used;         /* truth > 0 and below the cap */
	uint64_t not_finite;   /* with truth, predicted NaN or infinite (used unless the rule leaves them out) */
	uint64_t not_positive; /* with truth, predicted 0 or less (used) */
	uint64_t unseen;       /* with truth, outside the part that the network saw */
} e3_pixel_count;

/* Both maps have the truth's size (`pred` comes from e3_resampler_apply); `to` has room for [w × h][2]. Returns the
 * number of pairs written. */
size_t e3_pixels_collect(const e3_resampler *o, const float *pred, const float *truth, const e3_pixel_rule *rule,
	float *to, e3_pixel_count *count);

/* Any number of pairs, in a temporary file without a name (e3_spool): memory does not grow. 8 bytes a pixel. */
typedef struct e3_pixel_store {
	void *file; /* FILE * */
	void *map;
	size_t n, mapped;
} e3_pixel_store;

int e3_pixel_store_add(e3_pixel_store *s, const float *pairs, size_t n, e3_err *err);
/* All pairs, to be read any number of times. No more can be added after this. */
int e3_pixel_store_read(e3_pixel_store *s, e3_pixels *out, e3_err *err);
void e3_pixel_store_release(e3_pixel_store *s);

/* --- depth.c: doc/evaluation.md 3 --- */

typedef enum e3_depth_align {
	E3_DEPTH_MEDIAN,      /* s = lower median of the truth / lower median of the prediction */
	E3_DEPTH_SCALE,       /* least absolute error by ten steps of re-weighted least squares; like the reference's, not
							 converged */
	E3_DEPTH_SCALE_SHIFT, /* at most 1000 Adam steps with rate 1e-4, starting from the median's scale */
	E3_DEPTH_METRIC,      /* no alignment */
	E3_DEPTH_LSTSQ        /* s and t of least squares */
} e3_depth_align;

typedef struct e3_depth_rule {
	e3_depth_align align;
	bool disparity; /* align to 1 / (truth + 1e-8), then invert the prediction (0 where it is not above 0) */
	double clip;    /* predictions are at most this, after alignment; 0 = no limit */
	int threads;    /* for E3_DEPTH_SCALE_SHIFT, whose steps each read all pixels; 0 = 1. Figures do not depend on it */
} e3_depth_rule;

typedef struct e3_depth_fit {
	double s, t; /* aligned = s × prediction + t */
	int steps;   /* of the iterative alignments */
} e3_depth_fit;

/* As options and result files spell it. */
const char *e3_depth_align_name(e3_depth_align align);

/* Without pixels s = 1, t = 0. */
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
/* Means weighted by pixels: start with *sum zeroed, add each score, then finish. */
void e3_depth_average_add(e3_depth_score *sum, const e3_depth_score *one);
void e3_depth_average_finish(e3_depth_score *sum);

/* --- path.c: doc/evaluation.md 5 --- */

/* Position and orientation of a camera in the world. */
typedef struct e3_camera_pose {
	double x[3];
	double q[4]; /* world from camera, x y z w, unit length */
} e3_camera_pose;

void e3_camera_pose_of(const e3_pose *p, e3_camera_pose *to);

typedef struct e3_stats {
	double max, mean, median, min, rmse, sse, std; /* std: of the population */
} e3_stats;

typedef struct e3_path_score {
	e3_similarity sim;     /* estimate to reference */
	e3_stats ate;          /* distance of positions after sim */
	e3_stats rpe_t, rpe_r; /* of neighbours (i, i + 1): length, and angle in degrees; all 0 when n is 1 */
	e3_stats turn;         /* angle between the rotations of estimate and reference, not aligned, in degrees */
	/* Error of the motion over parts of the path, each aligned at its beginning, by length of the part
	 * (doc/evaluation.md 5.4): of position, a share; of rotation, degrees for each unit of the reference. NaN: no part
	 * is long enough. */
	double drift_t, drift_r;
	double length; /* of the reference's path */
} e3_path_score;

/* Compares n poses each, index to index. `ate`, if not NULL, receives the n distances. -1 "degenerate" when the
 * positions of one of them do not determine a rotation. */
int e3_path_evaluate(const e3_camera_pose *ref, const e3_camera_pose *est, size_t n, e3_path_score *score, double *ate,
	e3_err *err);

/* Statistics of n values; sorts them. n = 0 gives zeros. */
void e3_stats_make(double *v, size_t n, e3_stats *to);

/* --- pairs.c: doc/evaluation.md 6 --- */

/* Rotation and translation-direction error of the motion between cameras i and j, in degrees. Poses are camera from
 * world. */
void e3_pair_errors(const e3_pose ref[2], const e3_pose est[2], double *rotation, double *translation);

enum { E3_AUCS = 4, E3_AUC_MAX = 30 };
static const int e3_auc_at[E3_AUCS] = {30, 15, 5, 3};

/* Counts of pairs; those of several sequences may be added up. Zero-initialised is empty. */
typedef struct e3_pair_counts {
	uint64_t n;
	uint64_t bin[E3_AUC_MAX]; /* by the whole degrees of max(rotation, translation) */
	uint64_t exact[E3_AUCS];  /* max exactly at the limit, which counts in the last bin below it */
	uint64_t rotation[E3_AUCS], translation[E3_AUCS]; /* below e3_auc_at degrees */
} e3_pair_counts;

void e3_pair_counts_add(e3_pair_counts *c, double rotation, double translation);
void e3_pair_counts_merge(e3_pair_counts *to, const e3_pair_counts *from);
/* Shares of pairs with an error below e3_auc_at[k] degrees, and the area under the curve up to it; 0 without pairs. */
double e3_pair_rra(const e3_pair_counts *c, int k);
double e3_pair_rta(const e3_pair_counts *c, int k);
double e3_pair_auc(const e3_pair_counts *c, int k);

/* --- normals.c: doc/evaluation.md 4.6 --- */

enum { E3_NORMAL_NEIGHBOURS = 30, E3_NORMAL_MOST = 64 };

/* The normal of every point of the tree, from its k <= E3_NORMAL_MOST nearest points, itself included. Unit length,
 * either sign; 0 0 1 where the points do not determine one. */
int e3_normals_make(const e3_kdtree *t, int k, const e3_work *work, double (*normal)[3], e3_err *err);

/* --- icp.c: doc/evaluation.md 4.5 --- */

typedef struct e3_icp_rule {
	double radius; /* points farther apart are not matched */
	const e3_work *work;
} e3_icp_rule;

typedef struct e3_icp {
	double m[12]; /* 3×4: the motion of x */
	double fitness,
		rmse;  /* at the end: share of points matched within the radius; root mean square of their distances */
	int steps; /* at most 30 */
} e3_icp;

/* Moves the n >= 1 points x onto those of the tree, rotation and translation only. */
int e3_icp_run(double (*x)[3], size_t n, const e3_kdtree *to, const e3_icp_rule *rule, e3_icp *out, e3_err *err);

/* --- recon.c: doc/evaluation.md 4 --- */

/* The point of a pixel u, v of depth z, in the world; K in pixels of the map. */
void e3_point_of_depth(const e3_pose *pose, const e3_intrinsics *k, const int at[2], double depth, double x[3]);
/* The middle crop × crop pixels of a picture as x0 y0 x1 y1, or the whole picture where it is smaller; crop 0: all. */
void e3_recon_crop(int w, int h, int crop, int box[4]);

/* Predicted and true points, matched one to one. */
typedef struct e3_matched {
	double (*pred)[3], (*truth)[3];
	uint8_t (*rgb)[3]; /* of both; NULL unless colours are kept */
	size_t n, room;
} e3_matched;

/* All pixels of a scene that have a truth. Zero-initialised is empty. */
typedef struct e3_recon {
	e3_matched inside, outside; /* the crop; `outside` enters only shift and scale */
	e3_pose first;              /* of the truth: its points are kept in this camera's frame */
	int64_t views;
	bool colours; /* set before the first view: keep the colours of the points inside, 3 bytes each */
} e3_recon;

typedef struct e3_recon_view {
	const e3_resampler *resampler;
	const float *points; /* [from_h][from_w][3], predicted */
	const uint8_t *rgb;  /* the network picture, for colours; NULL: grey */
	const float *depth;  /* [h][w], true; a pixel counts where it is above 0 and finite, the nearest one beside each
							predicted point */
	const e3_pose *pose; /* true */
	const e3_intrinsics *intrinsics; /* of the true depth */
} e3_recon_view;

int e3_recon_add(e3_recon *r, const e3_recon_view *view, int crop, e3_err *err);
/* One pair of points; the truth in the first camera's frame. */
int e3_recon_push(e3_recon *r, const double pred[3], const double truth[3], bool inside, e3_err *err);
void e3_recon_release(e3_recon *r);

/* [0] of the truth, [1] of the prediction. */
typedef struct e3_recon_fit {
	double shift[2]; /* lower median of z, which is subtracted */
	double size[2];  /* lower median of distances from the centre; predictions are multiplied by size[0] / size[1] */
	double centre[2][3]; /* lower median of each coordinate, after the shift */
} e3_recon_fit;

/* Shift and scale over all views (doc/evaluation.md 4.3), in place. */
int e3_recon_normalise(e3_recon *r, e3_recon_fit *fit, e3_err *err);

typedef struct e3_recon_rule {
	double radius;   /* of ICP */
	bool similarity; /* fit and apply one over all pairs before ICP: for points from predicted depth and cameras */
	const e3_work *work;
} e3_recon_rule;

typedef struct e3_recon_score {
	double acc, acc_med, comp, comp_med; /* distances, in units of the truth */
	double nc1, nc1_med, nc2, nc2_med;   /* |cos| between normals of neighbours: of predicted points, of true points */
	double nc, nc_med;                   /* mean of both */
	e3_recon_fit fit;
	e3_icp icp;
	size_t points;     /* in each cloud; 0: nothing was scored */
	size_t not_finite; /* left out */
} e3_recon_score;

/* A cloud and the normals of its points, in the order of the tree. */
typedef struct e3_point_set {
	e3_kdtree tree;
	double (*normal)[3];
} e3_point_set;

/* Fills the ten figures of the score. */
int e3_point_sets_compare(const e3_point_set *pred, const e3_point_set *truth, const e3_work *work, e3_recon_score *to,
	e3_err *err);
/* First step: shift, scale, removal of what is not finite, similarity. r->inside then holds the points as they are
 * compared, before ICP. */
int e3_recon_align(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);
/* Second step: ICP and the figures. r->inside then holds the moved prediction, with colours in the same order, without
 * colours in any order. Takes at most 140 bytes a point, the points included. */
int e3_recon_compare(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);
/* Both steps. */
int e3_recon_evaluate(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);

#endif
