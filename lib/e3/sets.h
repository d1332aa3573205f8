/* sets: the papers' data sets on disk: their files, their layouts, their loaders; read and written (spec/eval.md 1, 2, 6).
 *
 * Poses here are world from camera (camera to world), 3×4 row-major with an implied last row 0 0 0 1, OpenCV axes, whatever the
 * file holds: what hands them to the stream inverts them. Depth is z depth in the unit of the data set; 0 is unknown.
 */
#ifndef E3_SETS_H
#define E3_SETS_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/image.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- traj.c, traj_write.c: trajectories --- */

typedef enum e3_traj_format {
	E3_TRAJ_TUM,      /* "stamp tx ty tz qx qy qz qw"; '#' comments; commas and tabs are blanks */
	E3_TRAJ_TUM_WXYZ, /* "stamp tx ty tz qw qx qy qz": pred_traj.txt of CUT3R (spec/eval.md 7) */
	E3_TRAJ_KITTI,    /* 12 numbers a line */
	E3_TRAJ_4X4,      /* 16 numbers a pose on any number of lines: 7-Scenes' pose.txt, ScanNet's pose_90.txt */
	E3_TRAJ_NRGBD     /* 4 lines of 4 numbers a pose, OpenGL axes; a pose whose first line has a nan is the identity */
} e3_traj_format;

typedef struct e3_traj {
	size_t n;
	double *stamp;      /* as the file has it; formats without one: 0, 1, 2, ... */
	double (*pose)[12]; /* world from camera */
} e3_traj;

/* Reads all of `text` (n bytes, no NUL needed). `name` is for messages, which name the line. Refuses numbers that are missing, too
 * many or not finite, quaternions without length, matrices that are no rotation within 1 %. *out is initialised here. */
int e3_traj_decode(const char *text, size_t n, const char *name, e3_traj_format format, e3_traj *out, e3_err *err);
int e3_traj_load(const char *path, e3_traj_format format, e3_traj *out, e3_err *err);
int e3_traj_save(const char *path, e3_traj_format format, const e3_traj *t, e3_err *err);
/* Adds one; *t may be zeroed. */
int e3_traj_add(e3_traj *t, double stamp, const double pose[12], e3_err *err);
void e3_traj_release(e3_traj *t);

/* Pairs of stamps of a and b less than `within` apart (strictly), the nearest first, each used once; ordered by a (spec/eval.md
 * 2.7). pair is malloc'd: [n][2] indices into a and b. */
int e3_traj_associate(const double *a, size_t n_a, const double *b, size_t n_b, double within, size_t (**pair)[2], size_t *n, e3_err *err);

#endif
