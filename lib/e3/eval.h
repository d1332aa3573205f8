/* eval: the metrics of the papers (doc/evaluation.md): depth, camera paths, pairs of cameras, clouds of points.
 * Arithmetic in double precision; no files but nameless temporary ones.
 *
 * Predictions and truth are those of e3/data.h. What the reference defines by what it does (ten iterations and no more,
 * the lower median, a thousand small steps) is done likewise, because the published figures stand on it. Nothing here
 * drops a value: a prediction that is not finite makes the figures it enters not finite, as in the reference; callers
 * who want it otherwise leave such pixels out when they collect (e3_pixels_collect says how many).
 */
#ifndef E3_EVAL_H
#define E3_EVAL_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- resample.c: a predicted map brought to the size of the truth (doc/evaluation.md 1.5) --- */

/* OpenCV's INTER_CUBIC on one channel of f32: half-pixel centres, four taps a side, a = -0.75, edges repeated, no
 * antialiasing; weights and sums in single precision as there. `to` is [h][w]. Equal sizes copy. */
int e3_resize_cubic(const float *from, const int from_size[2], float *to, const int size[2], e3_err *err);

/* Where the pixels of a w × h truth lie in a network picture. A truth of the network picture's size is beside it pixel
 * by pixel; any other is of the whole source picture, whatever its resolution, and the frame's `fit` says which part
 * the network saw. */
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
	bool same;                /* nothing to do */
} e3_resampler;

/* -1 when the truth has neither the network picture's size nor the source's shape (within 2 %), or nothing of it was
 * seen. */
int e3_resampler_init(e3_resampler *o, const e3_source *s, const int from[2], const int to[2], e3_err *err);
/* `to` is [h][w]; only the pixels in `seen` are written. */
void e3_resampler_apply(e3_resampler *o, const float *from, float *to);
void e3_resampler_release(e3_resampler *o);

/* --- pixels.c: the pixels of an image or of a whole sequence that count --- */

/* Predicted and true depth side by side, n pairs, as one of two types; the other pointer is NULL. Borrowed. */
typedef struct e3_pixels {
	const float *f;  /* [n][2] */
	const double *d; /* [n][2] */
	size_t n;
	bool mapped; /* f is part of a file: what was read through is given back to the system, so that it does not add up
					in memory */
} e3_pixels;

/* Says that the pairs before `at` have been read, for this pass. */
void e3_pixels_passed(const e3_pixels *x, size_t at);

typedef struct e3_pixel_rule {
	double cap;  /* truth must be below it; 0 = none */
	bool finite; /* leave out what is predicted not finite */
} e3_pixel_rule;

/* What became of the pixels of a map; adds to what is there. */
typedef struct e3_pixel_count {
	uint64_t used;       /* truth > 0 and below the cap */
	uint64_t not_finite; /* of the pixels with truth, predicted NaN or infinite (used unless the rule says otherwise) */
	uint64_t not_positive; /* of the pixels with truth, predicted 0 or less (used) */
	uint64_t unseen;       /* with truth, where the network saw nothing */
} e3_pixel_count;

/* From maps of one size (a predicted one that e3_resampler_apply has made); `to` has room for [w × h][2]. Returns the
 * pairs written. */
size_t e3_pixels_collect(const e3_resampler *o, const float *pred, const float *truth, const e3_pixel_rule *rule,
	float *to, e3_pixel_count *count);

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

/* --- depth.c: doc/evaluation.md 3 --- */

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
	int threads;    /* for E3_DEPTH_SCALE_SHIFT, a pass over all pixels a step; 0 = 1. Figures do not depend on it */
} e3_depth_rule;

typedef struct e3_depth_fit {
	double s, t; /* aligned = s × prediction + t */
	int steps;   /* of the iteration, if there is one */
} e3_depth_fit;

/* As options and result files spell it. */
const char *e3_depth_align_name(e3_depth_align align);

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

/* --- path.c: doc/evaluation.md 5 --- */

/* A camera in the world. */
typedef struct e3_camera_pose {
	double x[3];
	double q[4]; /* world from camera, x y z w, unit length */
} e3_camera_pose;

void e3_camera_pose_of(const e3_pose *p, e3_camera_pose *to);

typedef struct e3_stats {
	double max, mean, median, min, rmse, sse, std; /* std of the whole, not of a sample */
} e3_stats;

typedef struct e3_path_score {
	e3_similarity sim;     /* estimate to reference */
	e3_stats ate;          /* distance of positions after sim */
	e3_stats rpe_t, rpe_r; /* of neighbours (i, i + 1): length, and angle in degrees; all 0 when n is 1 */
	e3_stats turn;         /* angle between the rotations of estimate and reference as they are, in degrees */
} e3_path_score;

/* n places each, index to index. `ate`, if not NULL, receives the n distances. -1 "degenerate" when the estimate or the
 * reference does not fix a rotation. */
int e3_path_evaluate(const e3_camera_pose *ref, const e3_camera_pose *est, size_t n, e3_path_score *score, double *ate,
	e3_err *err);

/* Of n values, which are sorted on the way. n = 0 gives zeros. */
void e3_stats_make(double *v, size_t n, e3_stats *to);

/* --- pairs.c: doc/evaluation.md 6 --- */

/* Rotation and translation-direction error of the motion between cameras i and j, in degrees. Poses are camera from
 * world. */
void e3_pair_errors(const e3_pose ref[2], const e3_pose est[2], double *rotation, double *translation);

enum { E3_AUCS = 4, E3_AUC_MAX = 30 };
static const int e3_auc_at[E3_AUCS] = {30, 15, 5, 3};

/* Counts of pairs: poses of any number of sequences may be pooled. Zero-initialised is empty. */
typedef struct e3_pair_counts {
	uint64_t n;
	uint64_t bin[E3_AUC_MAX];                         /* by the whole degrees of max(rotation, translation) */
	uint64_t exact[E3_AUCS];                          /* max exactly at the limit, which still counts in its last bin */
	uint64_t rotation[E3_AUCS], translation[E3_AUCS]; /* below e3_auc_at degrees */
} e3_pair_counts;

void e3_pair_counts_add(e3_pair_counts *c, double rotation, double translation);
void e3_pair_counts_merge(e3_pair_counts *to, const e3_pair_counts *from);
/* Shares of pairs with an error below e3_auc_at[k] degrees, and the area under the curve up to it; 0 without pairs. */
double e3_pair_rra(const e3_pair_counts *c, int k);
double e3_pair_rta(const e3_pair_counts *c, int k);
double e3_pair_auc(const e3_pair_counts *c, int k);

/* --- kdtree.c: exact nearest neighbours --- */

typedef struct e3_kdtree {
	double (*x)[3]; /* [n] the points, in the order of the tree; borrowed */
	uint32_t *was;  /* [n] the row each had before */
	size_t n;
	struct e3_kdnode *node; /* [2^levels - 1] */
	int levels;
} e3_kdtree;

/* Over n >= 1 points, which it puts into another order and which must stay as they are then. about 10 bytes a point
 * beside them. The same for any number of threads. -1 also when a coordinate is not finite. */
int e3_kdtree_init(e3_kdtree *t, double (*x)[3], size_t n, int threads, e3_err *err);
/* The k >= 1 nearest to q (itself included, if it is one of them) whose squared distance is below `limit`: rows of t->x
 * and squared distances, nearest first. Returns how many there are. */
size_t e3_kdtree_near(const e3_kdtree *t, const double q[3], size_t k, double limit, size_t *row, double *d2);

#define E3_NOWHERE UINT32_MAX

typedef struct e3_nearest {
	uint32_t row; /* or E3_NOWHERE */
	double d2;    /* its squared distance; without one, `limit` */
	double rest;  /* all other points are at least this far (squared) */
} e3_nearest;

/* The nearest whose squared distance is below `limit`. guess: a row that is near, or E3_NOWHERE. slack >= 0 makes
 * `rest` tell more: at least (distance + slack)^2, or the distance of the second nearest if that is less. */
void e3_kdtree_nearest(const e3_kdtree *t, const double q[3], uint32_t guess, double limit, double slack,
	e3_nearest *to);
/* Rows in ascending order, all those nearer to a box than `radius` among them, and others. Returns how many there are;
 * no more than `room` are written. */
size_t e3_kdtree_around(const e3_kdtree *t, const double low[3], const double high[3], double radius, uint32_t *row,
	size_t room);
void e3_kdtree_release(e3_kdtree *t);
/* Puts the points back in the order they had, and releases; also of a tree that could not be made. */
void e3_kdtree_undo(e3_kdtree *t);

/* --- normals.c: doc/evaluation.md 4.6 --- */

enum { E3_NORMAL_NEIGHBOURS = 30, E3_NORMAL_MOST = 64 };

/* Of every point of the tree, from its k <= E3_NORMAL_MOST nearest with itself; unit length, either sign; 0 0 1 where
 * there is none. */
void e3_normals_make(const e3_kdtree *t, int k, int threads, double (*normal)[3]);

/* --- icp.c: doc/evaluation.md 4.5 --- */

typedef struct e3_icp_rule {
	double radius; /* points farther apart are not matched */
	int threads;   /* figures do not depend on it */
} e3_icp_rule;

typedef struct e3_icp {
	double m[12];         /* 3×4: what x was moved by */
	double fitness, rmse; /* share of points with a partner within the radius; of their distances. At the end */
	int steps;            /* at most 30 */
} e3_icp;

/* Moves the n >= 1 points x onto those of the tree, rotation and translation only. */
int e3_icp_run(double (*x)[3], size_t n, const e3_kdtree *to, const e3_icp_rule *rule, e3_icp *out, e3_err *err);

/* --- recon.c: doc/evaluation.md 4 --- */

/* The point of a pixel u, v of depth z, in the world; K in pixels of the map. */
void e3_point_of_depth(const e3_pose *pose, const e3_intrinsics *k, const int at[2], double depth, double x[3]);
/* The middle crop × crop of a picture as x0 y0 x1 y1, or what there is of it; crop 0: all. */
void e3_recon_crop(int w, int h, int crop, int box[4]);

/* Points beside points. */
typedef struct e3_matched {
	double (*pred)[3], (*truth)[3];
	uint8_t (*rgb)[3]; /* of both; NULL unless colours are kept */
	size_t n, room;
} e3_matched;

/* A scene: all its pixels with truth. Zero-initialised is empty. */
typedef struct e3_recon {
	e3_matched inside, outside; /* of the crop: `outside` only counts for shift and scale */
	e3_pose first;              /* of the truth: its points are kept in this camera's frame */
	int64_t views;
	bool colours; /* set it before the first view: the colours of the points inside are kept, 3 bytes each */
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
	double shift[2]; /* lower median of z, taken off */
	double size[2];  /* lower median of distances from the centre; predictions were multiplied by size[0] / size[1] */
	double centre[2][3]; /* lower median of each coordinate, after the shift */
} e3_recon_fit;

/* Shift and scale over all views (doc/evaluation.md 4.3), in place. */
int e3_recon_normalise(e3_recon *r, e3_recon_fit *fit, e3_err *err);

typedef struct e3_recon_rule {
	double radius;   /* of ICP */
	bool similarity; /* before it, over all pairs: for points from predicted depth and cameras */
	int threads;     /* figures do not depend on it */
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
int e3_point_sets_compare(const e3_point_set *pred, const e3_point_set *truth, int threads, e3_recon_score *to,
	e3_err *err);
/* First: shift, scale, what is not finite left out, the similarity. r->inside then has the points as they are compared,
 * but for ICP. */
int e3_recon_align(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);
/* Then: ICP and the figures. r->inside has the prediction moved; with colours in the same order, without in any. 140
 * bytes a point at most, the points included. */
int e3_recon_compare(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);
/* Both. */
int e3_recon_evaluate(e3_recon *r, const e3_recon_rule *rule, e3_recon_score *to, e3_err *err);

#endif
