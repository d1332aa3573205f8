/* export: predictions to files that other programs open. lib/export has one file per format, and a table of all
 * formats.
 *
 * Usage: e3_export_open, e3_export_add for every prediction, e3_export_finish, e3_export_close. Nothing appears under
 * its final name before e3_export_finish has written everything; closing without finishing leaves nothing behind. When
 * the stream fails, e3_export_keep takes the place of e3_export_finish.
 *
 * Every output stands on its own. One that cannot be written, or whose temporary file cannot, is reported (e3_tell) and
 * takes no more; the others go on to the end and appear. The frames that it had whole appear as they do when the stream
 * fails: as PATH.partial, or as the files in its folder. What its own file has no room for leaves nothing.
 *
 * Data that is needed at the end of the stream waits in nameless temporary files, so memory does not grow with the
 * number of frames, except where a format says so. Formats and rules: doc/formats.md 1, 3, 4.
 */
#ifndef E3_EXPORT_H
#define E3_EXPORT_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/image.h"
#include <stdbool.h>

/* --- formats.c: the table of formats --- */

typedef enum e3_format_kind { E3_FORMAT_TEXT, E3_FORMAT_BINARY, E3_FORMAT_FOLDER } e3_format_kind;

/* One output format. */
typedef struct e3_format {
	const char *name;    /* what the user calls it: "tum" */
	const char *help;    /* one line */
	e3_format_kind kind; /* text and binary: one file, which may be standard output; folder: files in a folder */
	bool points;         /* it writes a point cloud: e3_cloud_options apply */
	bool per_frame;      /* it can write one file for each frame (e3_output.per_frame) */
	const char *endings; /* of a name, joined by '|': others are refused; NULL: any */
	const char *holds;   /* what the files in a folder of it are called, as a pattern; NULL: it has no folder */
	const struct e3_format_ops *ops;
} e3_format;

enum { E3_MAX_FORMATS = 16 };

/* Every format, in the order in which outputs are written. The last row has no name. */
extern const e3_format e3_formats[];
/* NULL when there is no such format. */
const e3_format *e3_format_find(const char *name);

/* --- export.c: one run --- */

/* What to write where. */
typedef struct e3_output {
	const e3_format *format;
	const char *path; /* "-" is standard output, except for folders */
	bool per_frame;   /* where the format can: one file for each frame in the folder `path` */
} e3_output;

/* Does a name have an ending that the format takes? Standard output has none and is always taken. */
bool e3_format_takes(const e3_format *f, const char *path);

bool e3_output_is_folder(const e3_output *o);

typedef enum e3_point_source { E3_POINTS_AUTO, E3_POINTS_POINT_MAP, E3_POINTS_DEPTH } e3_point_source;

/* Which points are kept, beside confidence (doc/formats.md 4.11): all; those off the edges of objects and not too far;
 * of these, those that other frames agree with. */
typedef enum e3_clean_mode { E3_CLEAN_NONE, E3_CLEAN_EDGES, E3_CLEAN_CONSISTENT } e3_clean_mode;

enum { E3_EXPORT_MASKS = 16 };

/* Which points survive: shared by every format with points. */
typedef struct e3_cloud_options {
	e3_point_source source; /* auto: depth and pose when the stream has both, else the point map */
	e3_clean_mode clean;
	double conf_pct;                   /* percentile of confidence that points must reach, 0..100 */
	double conf_min;                   /* absolute confidence that points must reach; 0 = none */
	bool mask_black;                   /* drop r+g+b < 16 */
	bool mask_white;                   /* drop r, g, b all > 240 */
	const char *mask_dir;              /* pictures, non-zero = keep; NULL = none */
	const char *mask[E3_EXPORT_MASKS]; /* classes whose pixels give no points (e3_export_mask) */
	int n_masks;
	int stride;      /* every n-th pixel of every n-th row; 1 = all */
	double voxel;    /* edge of a cell in scene units; 0 = none */
	bool voxel_auto; /* the width of a pixel · 2^k, scale/2048 or more, so that there are at most voxel_most cells */
	int64_t voxel_most; /* of auto; 0 = 2,000,000 */
	int64_t max_points; /* 0 = all; -1 = the format's default: GLB 2,000,000, splat 1,000,000, PLY all */
	bool upstream;      /* depth mode uses the point map, and without one integer pixel indices, as the reference */
	bool allow_empty;   /* no point left is not an error */
} e3_cloud_options;

typedef enum e3_frustum { E3_FRUSTUM_LINES, E3_FRUSTUM_MESH } e3_frustum;

/* Axes of clouds: x right and y down, as the stream has them; or upright. */
typedef enum e3_axes { E3_AXES_OPENCV, E3_AXES_Y_UP, E3_AXES_Z_UP } e3_axes;

/* Where up comes from: the cameras of the run (e3_up_find), the first camera, or an axis of the stream. */
typedef enum e3_up_choice { E3_UP_GRAVITY, E3_UP_FIRST, E3_UP_AXIS } e3_up_choice;

/* The mesh; 0: chosen by the run. */
typedef struct e3_mesh_options {
	double voxel, trunc; /* scene units */
	int64_t memory;      /* bytes of voxels; larger ones are used when they would take more */
} e3_mesh_options;

#define E3_MESH_MEMORY ((int64_t)512 << 20) /* the default */

/* Which frames become pictures of a COLMAP model: all; of so many frames, of so long a way of the camera (in units
 * of the stream, or as a share of its whole way), the sharpest one. */
typedef enum e3_every { E3_EVERY_ALL, E3_EVERY_FRAMES, E3_EVERY_DISTANCE, E3_EVERY_SHARE } e3_every;

typedef struct e3_colmap_options {
	const char *images; /* folder of the source's pictures, by the names in the stream; NULL: the network's pictures */
	e3_every unit;
	double every;
	bool camera_per_image; /* instead of one for all pictures of a size */
	bool single;           /* one observation of each point: no tracks */
	int64_t points;        /* at most */
} e3_colmap_options;

/* The similarity that has been applied to the predictions before they come here, for comments and run.json. */
typedef struct e3_export_placed {
	const char *how;   /* "scale", "known distances" or "path"; NULL: none, as the stream is */
	const char *world; /* what the world and its unit are now: "lengths times 2" */
	const char *file;  /* of the path */
	e3_similarity sim;
	int64_t matched, outliers; /* positions or distances that were used; those of them that do not fit */
	double rms, worst;         /* residuals of those that fit; of distances relative */
	const char *turn;          /* what determined the turn about a path on a line */
	double off;                /* median angle between known orientations and the cameras', degrees; below 0: unknown */
	const double *origin;      /* latitude, longitude, altitude of the world's origin; NULL: none */
} e3_export_placed;

typedef struct e3_export_options {
	e3_output output[E3_MAX_FORMATS]; /* in any order, at most one of each format */
	int n_outputs;
	e3_cloud_options cloud;
	e3_align align;
	e3_up_choice up;
	double up_axis[3]; /* E3_UP_AXIS: unit length */
	bool cameras;      /* frustums and trajectory in the GLB */
	e3_frustum frustum;
	int64_t frustums;    /* how many are drawn, evenly over the path; INT64_MAX: all; -1: as many as do not overlap, and
						  * at most 24 */
	double frustum_size; /* depth of a frustum as a fraction of the scene scale */
	bool glb_conf;       /* adds _CONFIDENCE */
	bool glb_srgb;       /* sRGB bytes in COLOR_0, as the reference writes */
	bool ply_conf, ply_frame, ply_normals;
	e3_axes axes; /* of PLY and splats */
	bool kitti_first_identity;
	bool model_intrinsics; /* of the network image instead of the source picture */
	bool depth_at_source;  /* depth in the pixels of the upright source picture; else of the network's */
	double depth_scale;    /* 16-bit value of depth 1; 0 = auto */
	e3_cmap depth_cmap;
	double depth_range[2]; /* depths at the ends of the colours; both 0 = 2nd and 98th percentile of 1/depth */
	e3_mesh_options mesh;
	e3_colmap_options colmap;
	bool upstream;                  /* the reference's GLB and npz with their quirks (doc/formats.md 1.7, 1.8) */
	const e3_export_placed *placed; /* complete before e3_export_finish; NULL: nothing was applied */
	int (*stop)(void);              /* not 0: what is written at the end is given up. NULL: never */
} e3_export_options;

typedef struct e3_mesh_facts {
	uint32_t vertices, triangles, dropped; /* dropped: pieces that were too small */
	int64_t skipped_frames;                /* without a usable field of view */
	double voxel, trunc, noise;            /* noise: how far frames disagree, as a part of the depth */
	uint64_t bytes;                        /* of voxels */
} e3_mesh_facts;

/* Counts and choices of a run, for messages and run.json. Complete after e3_export_finish. */
typedef struct e3_export_facts {
	int64_t frames;
	uint64_t points;                          /* candidates: finite, after stride */
	uint64_t non_finite;                      /* points dropped for NaN or infinity in position or confidence */
	uint64_t kept;                            /* after threshold and masks */
	uint64_t written[E3_MAX_FORMATS];         /* points in the output of each row of e3_formats */
	double threshold;                         /* confidence at the percentile */
	uint64_t below, ties, masked;             /* points below the threshold; exactly at it; masked, which count as 0 */
	int64_t mask_frames[E3_EXPORT_MASKS];     /* frames that had a mask of each class that was asked for */
	int64_t masks_late;                       /* masks that came too late for their frame */
	char mask_classes[256];                   /* of the other classes in the stream, as many as have room */
	uint64_t at_edges, seen_through, too_far; /* points that cleaning drops */
	double scene_scale;                       /* |p95 - p5| of the kept points */
	double voxel;                             /* edge used; 0 = none */
	bool from_depth;         /* points came from depth, by choice or because the stream has no point map */
	int64_t skipped_frames;  /* frames without points: no usable field of view to unproject the depth */
	int64_t borrowed_frames; /* frames whose points are from the point map for that reason */
	uint64_t depth_clipped;  /* depths the 16-bit factor cannot hold: written as 0 (unknown) */
	double depth_scale;
	e3_mesh_facts mesh;
	uint64_t spooled;          /* bytes in temporary files */
	uint64_t pictures;         /* of the COLMAP model */
	bool made[E3_MAX_FORMATS]; /* the output of each row of e3_formats has appeared under its name */
} e3_export_facts;

typedef struct e3_export e3_export;

/* Opens every output, so that a folder that cannot be written fails now. opt and its strings are borrowed until close.
 */
e3_export *e3_export_open(const e3_export_options *opt, e3_err *err);
/* The stream's head; borrowed only during the call. */
int e3_export_head(e3_export *x, const e3_head *head, e3_err *err);
/* Leaves out the pixels of a mask, if its class was asked for: before its prediction is added, whose index is that of
 * the mask; `pred` is that prediction. Borrowed only during the call. */
int e3_export_mask(e3_export *x, const e3_pred *pred, const e3_mask *mask, e3_err *err);
/* Borrowed only during the call. -1: a frame that an output cannot hold, which none has taken, or no output is left. A
 * mask that is missing lets e3_export_keep make nothing. */
int e3_export_add(e3_export *x, const e3_pred *pred, e3_err *err);
/* Writes and renames everything. end may be NULL (interrupted). No frames at all is an error. -1 also when an output
 * failed, now or before: the others have appeared (e3_export_facts.made). Nothing appears once stop() is not 0. */
int e3_export_finish(e3_export *x, const e3_end *end, e3_err *err);
/* The stream failed: writes what came so far. Files appear as PATH.partial and leave PATH alone, files of a folder in
 * it, which is reported (e3_tell). Nothing without a frame. */
int e3_export_keep(e3_export *x, e3_err *err);
const e3_export_facts *e3_export_facts_of(const e3_export *x);
void e3_export_close(e3_export *x);

/* --- ply.c: a cloud that is in memory, by itself --- */

typedef struct e3_ply_points {
	const double (*xyz)[3];  /* [n], written as they are: 64 bits a coordinate */
	const uint8_t (*rgb)[3]; /* [n] */
	size_t n;
	const char *comment; /* one line */
} e3_ply_points;

int e3_ply_save(const char *path, const e3_ply_points *p, e3_err *err);

#endif
