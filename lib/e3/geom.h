/* geom: poses, cameras, point clouds: arithmetic in double precision, no files.
 *
 * A pose is camera from world, x_cam = R x_world + t, OpenCV axes (x right, y down, z forward); its nine numbers are
 * described in e3/data.h and decoded as doc/network.md 6. Matrices are row-major unless said otherwise; quaternions are
 * x y z w. Pixel coordinates: the centre of the first pixel is at 0.5, 0.5 and the principal point at W/2, H/2, so a
 * point lies in pixel floor(f X/Z + c) (doc/formats.md 4.1).
 */
#ifndef E3_GEOM_H
#define E3_GEOM_H

#include "e3/data.h"
#include "e3/err.h"
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- pose.c --- */

typedef struct e3_pose {
	double r[9]; /* rotation, camera from world */
	double t[3];
	double q[4]; /* the same rotation, unit length, sign as given */
} e3_pose;

/* -1 when the quaternion is zero or a number is not finite. */
int e3_pose_decode(const float enc[9], e3_pose *out, e3_err *err);
/* C = -Rᵀ t */
void e3_pose_center(const e3_pose *p, double c[3]);
/* World from camera: [Rᵀ | C], row-major 3×4. */
void e3_pose_to_world(const e3_pose *p, double m[12]);
/* World from camera as a unit quaternion: the conjugate of q. */
void e3_pose_quat_to_world(const e3_pose *p, double q[4]);

/* Hamilton product: rotate by b, then by a. out may be a or b. */
void e3_quat_mul(const double a[4], const double b[4], double out[4]);
/* Rotation matrix of a quaternion of any length; -1 when it is zero. */
int e3_quat_to_mat(const double q[4], double r[9]);
/* The inverse of a rigid motion, 3×4 with an implied last row 0 0 0 1. out may be m. */
void e3_rigid_invert(const double m[12], double out[12]);
/* Unit quaternion of a rotation matrix, w >= 0; a matrix that is nearly a rotation gives one near it. -1 when the
 * result has no length or is not finite. */
int e3_mat_to_quat(const double r[9], double q[4]);
/* Angle of a rotation in radians, 0 to pi, from its unit quaternion; exact for small angles. */
double e3_quat_angle(const double q[4]);
/* 3×4 times 3×4, both with an implied last row 0 0 0 1. out may be a or b. */
void e3_rigid_mul(const double a[12], const double b[12], double out[12]);

/* --- camera.c --- */

typedef struct e3_intrinsics {
	double fx, fy, cx, cy; /* pixels of a w × h picture; no skew */
	int w, h;
} e3_intrinsics;

/* From the fields of view (enc[7] vertical, enc[8] horizontal) for a w × h network image. A field of view of 0 gives
 * infinity. */
e3_intrinsics e3_intrinsics_decode(const float enc[9], int w, int h);
/* false when a field of view is not between 0 and pi: such a camera has no frustum, and its depth cannot be
 * unprojected. */
bool e3_intrinsics_usable(const float enc[9]);
/* The same camera in pixels of the source picture (doc/formats.md 4.1). -1 when the fit or the source size is not
 * positive.
 */
int e3_intrinsics_to_source(const e3_intrinsics *k, const e3_source *s, e3_intrinsics *out, e3_err *err);

/* World points of a depth map, of the pixels' centres: X_cam = ((u+0.5-cx) d/fx, (v+0.5-cy) d/fy, d),
 * X_world = Rᵀ (X_cam - t). points is [h][w][3]. Every pixel is computed; where e3_depth_known is false, the point is
 * not valid. */
#define E3_DEPTH_MIN 1e-8f
/* false for depth that is not finite or not above E3_DEPTH_MIN. */
static inline bool e3_depth_known(float d) { return isfinite(d) && d > E3_DEPTH_MIN; }
void e3_unproject(const e3_pose *p, const e3_intrinsics *k, const float *depth, float *points);
/* k for e3_unproject to do as the reference does, which takes integer indices for the places of pixels and so puts
 * every point half a pixel to the upper left: only to reproduce its files and figures. */
e3_intrinsics e3_intrinsics_upstream(const e3_intrinsics *k);

typedef enum e3_align { E3_ALIGN_GL, E3_ALIGN_UPSTREAM, E3_ALIGN_NONE } e3_align;

/* Scene from world, 4×4 column-major as glTF wants it (doc/formats.md 1.6): gl = first camera at the origin, looking
 * down -z, y up; upstream = what the reference does; none = identity. first may be NULL: the world is the first
 * camera's frame then. */
void e3_align_matrix(e3_align mode, const e3_pose *first, double m[16]);

/* --- up.c: which way is up, from cameras that people hold level (doc/formats.md 3.6) --- */

/* Sums over the cameras of a run; zero-initialised is empty. */
typedef struct e3_up_sums {
	int64_t n;
	e3_pose first;
	double axis[3][3];   /* the cameras' x, y, z in the world */
	double square[3][9]; /* their outer products */
} e3_up_sums;

/* What decided: that the cameras' x axes are level; the mean of the tops of the pictures, since the cameras turned too
 * little; the first camera alone; the mean of the left sides, of pictures that lie on their side. */
typedef enum e3_up_from {
	E3_UP_FROM_LEVEL,
	E3_UP_FROM_MEAN,
	E3_UP_FROM_FIRST,
	E3_UP_FROM_SIDES,
	E3_UP_FROM_GIVEN /* never by e3_up_find */
} e3_up_from;

void e3_up_add(e3_up_sums *s, const e3_pose *p);
/* up: unit length, in the world. Without cameras the world is taken as the first one's frame. */
e3_up_from e3_up_find(const e3_up_sums *s, double up[3]);

typedef enum e3_up_axis { E3_UP_Y, E3_UP_Z } e3_up_axis;

/* The rotation from the world, row-major, to axes in which y is up and the first camera looks towards -z (glTF), or z
 * is up and it looks towards y (nerfstudio, Blender); x is to its right in both. Its own tilt stays. first may be NULL
 * as in e3_align_matrix. */
void e3_up_rotation(const double up[3], const e3_pose *first, e3_up_axis axis, double r[9]);

/* --- depth_size.c: a depth map in the pixels of the source picture (doc/formats.md 4.9) --- */

typedef struct e3_depth_sizer e3_depth_sizer; /* memory that is used again: 13 bytes for each pixel of the network */

e3_depth_sizer *e3_depth_sizer_open(e3_err *err);
/* The depth of a prediction to out [src_h][src_w]; 0 = unknown, also where the network saw nothing. Edges stay edges:
 * no value lies between two surfaces. Exact on planes. The prediction has depth, and its source a positive size and
 * scale. -1: no memory. */
int e3_depth_to_source(e3_depth_sizer *s, const e3_pred *p, float *out, e3_err *err);
void e3_depth_sizer_close(e3_depth_sizer *s);

/* --- similarity.c --- */

/* a = u diag(d) vᵀ, row-major, d descending and not negative; u and v orthogonal, of either determinant. */
void e3_svd3(const double a[9], double u[9], double d[3], double v[9]);

/* y = s r x + t */
typedef struct e3_similarity {
	double s, r[9], t[3];
} e3_similarity;

/* As the eight numbers of a message: s, quaternion x y z w, t. unpack: -1 when the scale is not positive, the
 * quaternion is zero, or a number is not finite. */
extern const e3_similarity e3_similarity_identity;
void e3_similarity_pack(const e3_similarity *a, double to[8]);
int e3_similarity_unpack(const double from[8], e3_similarity *out, e3_err *err);
/* out = a after b. out may be a or b. */
void e3_similarity_mul(const e3_similarity *a, const e3_similarity *b, e3_similarity *out);
/* out may be a. */
void e3_similarity_invert(const e3_similarity *a, e3_similarity *out);
/* The pose of the same camera in the coordinates that `a` leads to; fields of view do not change. -1 as
 * e3_pose_decode. */
int e3_similarity_pose(const e3_similarity *a, float pose[9], e3_err *err);
/* Applies it to pose, depth and points of a prediction, and to its `world`, if it has a segment. -1 also when no depth
 * stays known (E3_DEPTH_MIN). */
int e3_similarity_pred(const e3_similarity *a, e3_pred *pred, e3_err *err);

/* Least squares over n pairs of points (Umeyama 1991; doc/evaluation.md 5.2): always a rotation, never a reflection;
 * s = 1 unless `scale`. -1 when fewer than two singular values exceed 2.2e-16: the points are in one place or on a
 * line.
 */
int e3_similarity_fit(const double (*from)[3], const double (*to)[3], size_t n, bool scale, e3_similarity *out,
	e3_err *err);
/* What e3_similarity_solve needs of the pairs: their means, the mean of (to - its mean)(from - its mean)ᵀ, row-major,
 * and the mean of |from - its mean|², used only for a scale. */
typedef struct e3_moments {
	double from[3], to[3], cov[9], var;
} e3_moments;

int e3_similarity_solve(const e3_moments *m, bool scale, e3_similarity *out, e3_err *err);
/* out may be x. */
void e3_similarity_apply(const e3_similarity *a, const double x[3], double out[3]);

/* --- percentile.c: exact percentiles of a stream of floats in two passes and constant memory (doc/formats.md 1.3) ---
 */

enum { E3_PCT_MAX = 4 }; /* percentiles asked of one stream */

typedef struct e3_pct {
	double q[E3_PCT_MAX]; /* 0..100 */
	int n_q;
	uint64_t n;                    /* values of the first pass */
	uint64_t *high;                /* [65536] how many values have these top 16 bits */
	uint64_t *low[2 * E3_PCT_MAX]; /* [65536] low 16 bits of the values in bin[] */
	uint32_t bin[2 * E3_PCT_MAX];
	int n_bins;
} e3_pct;

/* Pass 1: e3_pct_add every value; e3_pct_second_pass; pass 2: e3_pct_refine every value again, in any order;
 * e3_pct_value.
 * Values are finite floats of either sign. About 4.5 MiB at most. */
int e3_pct_init(e3_pct *p, const double *q, int n_q, e3_err *err);
void e3_pct_add(e3_pct *p, float v);
int e3_pct_second_pass(e3_pct *p, e3_err *err);
void e3_pct_refine(e3_pct *p, float v);
/* The k-th percentile, equal to numpy's linear interpolation on float32 to the last bit. 0 when there were no values.
 */
double e3_pct_value(const e3_pct *p, int k);
/* The largest value that occurs at or below the k-th percentile: for 50 the lower median, sorted[(n - 1) / 2]. 0 when
 * there were no values. */
double e3_pct_lower(const e3_pct *p, int k);
void e3_pct_release(e3_pct *p);

/* --- voxel.c: the most confident point of every cell of a grid (doc/formats.md 4.8) --- */

typedef struct e3_voxels e3_voxels;

/* Cells of edge `size`. With max_cells > 0 the edge doubles whenever more cells would be occupied, as if the search had
 * begun with the larger edge; with 0 memory grows with the occupied cells (48 bytes each at most). */
e3_voxels *e3_voxels_open(double size, uint64_t max_cells, e3_err *err);
/* index: of this point in the run; of equally confident points the one with the lowest index stays. */
int e3_voxels_add(e3_voxels *v, const float xyz[3], float conf, uint64_t index, e3_err *err);
/* true when the point `index` at xyz is the one its cell keeps. */
bool e3_voxels_kept(const e3_voxels *v, const float xyz[3], uint64_t index);
uint64_t e3_voxels_count(const e3_voxels *v);
double e3_voxels_size(const e3_voxels *v);
void e3_voxels_close(e3_voxels *v);

/* --- cells.c: one point for every cell of a grid, the mean of those in it (doc/formats.md 4.8) --- */

typedef struct e3_cells e3_cells;

/* A point, or the mean of those of a cell, each counted by its weight. */
typedef struct e3_cell {
	float xyz[3], rgb[3], normal[3]; /* rgb: linear. normal: not of unit length in a mean */
	float conf;
	float weight;   /* above 0; of a mean: the sum */
	uint32_t group; /* what the first point of the cell came with */
} e3_cell;

/* Cells of edge `size`. With max_cells > 0 the edge doubles whenever more cells would be occupied, as if the search had
 * begun with the larger edge, but for rounding; with 0 memory grows with the occupied cells (about 150 bytes each at
 * most). */
e3_cells *e3_cells_open(double size, uint64_t max_cells, e3_err *err);
int e3_cells_add(e3_cells *v, const e3_cell *point, e3_err *err);
/* Occupied cells, in the order in which the first point of each was added. */
uint64_t e3_cells_count(const e3_cells *v);
const e3_cell *e3_cells_get(const e3_cells *v, uint64_t k);
double e3_cells_size(const e3_cells *v);
void e3_cells_close(e3_cells *v);

#endif
