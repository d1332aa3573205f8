/* sets: the papers' data sets on disk: their files, folders and loaders, for reading and writing (doc/evaluation.md 1,
 * 2, 6). Poses here are world from camera (camera to world), 3×4 row-major with an implied last row 0 0 0 1, with
 * OpenCV axes, whatever the file contains; e3_seq_read inverts them for the stream. Depth is z depth in the unit of the
 * data set; 0 is unknown. */
#ifndef E3_SETS_H
#define E3_SETS_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/image.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- maps.c, npy.c: depth maps in files; `name` is for messages, which read "reading: NAME: ..." --- */

typedef struct e3_depth {
	int w, h;
	float *z; /* [h][w], 0 = unknown */
} e3_depth;

void e3_depth_release(e3_depth *d);
/* A zeroed map; the limits of the sizes are those of e3_image_init. */
int e3_depth_init(e3_depth *d, int w, int h, e3_err *err);

/* Sintel's .dpt: float32. Refuses another tag, sizes that do not match the bytes or exceed 1e8 pixels, NaN. Zero and
 * negative values are unknown. */
int e3_sintel_dpt_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err);
int e3_sintel_dpt_save(const char *path, const e3_depth *d, e3_err *err);

/* numpy's .npy with a matrix of '<f4' or '<f8' in C order. Refuses values that are not finite. Zero and negative values
 * are unknown. */
int e3_npy_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err);
int e3_npy_save(const char *path, const e3_depth *d, e3_err *err);

/* What the values of a 16-bit PNG mean. */
typedef enum e3_depth16 {
	E3_DEPTH16_KITTI,   /* 1/256 m */
	E3_DEPTH16_BONN,    /* 1/5000 m; TUM's too */
	E3_DEPTH16_SCENES7, /* mm; beyond 10 m, 65535 too: unknown */
	E3_DEPTH16_NRGBD    /* mm; beyond 10 m: unknown */
} e3_depth16;

/* As the reference reads them (doc/evaluation.md 2). Refuses a KITTI or Bonn map whose highest value is at most 255: it
 * was converted from 8 bits. */
int e3_depth16_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth16 kind, e3_depth *out, e3_err *err);
/* Rounds metres to the format's step; values outside its range become unknown. */
int e3_depth16_save(const char *path, e3_depth16 kind, const e3_depth *d, e3_err *err);

/* Sintel's .cam. */
typedef struct e3_cam {
	double k[9];    /* intrinsics, row-major 3×3 */
	double w2c[12]; /* camera from world */
} e3_cam;

/* Refuses another tag or size, numbers that are not finite, focal lengths of 0, a matrix that is not a rotation. */
int e3_cam_decode(const uint8_t *bytes, size_t n, const char *name, e3_cam *out, e3_err *err);
int e3_cam_save(const char *path, const e3_cam *cam, e3_err *err);

/* --- register.c: 7-Scenes' raw depth seen from its colour camera (doc/evaluation.md 2.5) --- */

/* raw, out: [h][w] mm. With reject_invalid the code 65535 is dropped; without it, the code is projected and may wrap
 * around, as in the reference. */
int e3_scenes7_register(const uint16_t *raw, int w, int h, bool reject_invalid, uint16_t *out, e3_err *err);

/* --- rng.c: the draws of CO3D's evaluation (doc/evaluation.md 6), value for value --- */

typedef struct e3_mt {
	uint32_t state[624];
	int at;
} e3_mt;

void e3_mt_seed_numpy(e3_mt *g, uint32_t seed);  /* numpy.random.seed */
void e3_mt_seed_python(e3_mt *g, uint32_t seed); /* random.seed */
/* numpy.random.choice(n, k, replace=False) and random.sample(range(n), k): out[k]. 0 < k <= n. */
int e3_mt_choice(e3_mt *g, uint32_t n, uint32_t k, uint32_t *out, e3_err *err);
int e3_mt_sample(e3_mt *g, uint32_t n, uint32_t k, uint32_t *out, e3_err *err);

/* --- traj.c, traj_write.c: trajectories --- */

typedef enum e3_traj_format {
	E3_TRAJ_TUM,      /* "stamp tx ty tz qx qy qz qw"; '#' comments; commas and tabs are blanks */
	E3_TRAJ_TUM_WXYZ, /* "stamp tx ty tz qw qx qy qz": pred_traj.txt of CUT3R (doc/evaluation.md 7) */
	E3_TRAJ_KITTI,    /* 12 numbers a line */
	E3_TRAJ_4X4,      /* 16 numbers a pose on any number of lines: 7-Scenes' pose.txt, ScanNet's pose_90.txt */
	E3_TRAJ_NRGBD     /* 4 lines of 4 numbers a pose, OpenGL axes; a pose whose first line has a nan is the identity */
} e3_traj_format;

typedef struct e3_traj {
	size_t n;
	double *stamp;      /* as the file has it; formats without one: 0, 1, 2, ... */
	double (*pose)[12]; /* world from camera */
} e3_traj;

/* Reads all of `text` (n bytes, no NUL needed). Errors begin with `name` and the line. Refuses numbers that are
 * missing, superfluous or not finite, quaternions of length 0, matrices that are not a rotation within 1 %. *out is
 * initialised here. */
int e3_traj_decode(const char *text, size_t n, const char *name, e3_traj_format format, e3_traj *out, e3_err *err);
int e3_traj_load(const char *path, e3_traj_format format, e3_traj *out, e3_err *err);
int e3_traj_save(const char *path, e3_traj_format format, const e3_traj *t, e3_err *err);
/* Adds a pose; *t may be zeroed. */
int e3_traj_add(e3_traj *t, double stamp, const double pose[12], e3_err *err);
void e3_traj_release(e3_traj *t);

/* Time stamps in seconds, in any order. */
typedef struct e3_stamps {
	const double *t;
	size_t n;
} e3_stamps;

typedef struct e3_stamp_pairs {
	size_t (*at)[2]; /* [n] positions in a and in b; free() it */
	size_t n;
} e3_stamp_pairs;

/* Pairs of stamps of a and b less than `within` apart (strictly), the nearest first, each used once; ordered by a
 * (doc/evaluation.md 2.7). */
int e3_traj_associate(e3_stamps a, e3_stamps b, double within, e3_stamp_pairs *out, e3_err *err);

/* --- loader.c: the reference's image loaders, byte for byte (doc/evaluation.md 1) --- */

/* A: scales the long side to `size`, then scales (or, with `crop`, crops) the sides to multiples of 14. *fit maps
 * pixels of `in` to pixels of *out. Refuses squares. RGB only; out is initialised here. */
int e3_loader_a(const e3_image *in, int size, bool crop, e3_image *out, e3_fit *fit, e3_err *err);

typedef struct e3_loaded {
	e3_image rgb;
	e3_depth depth;  /* empty when there was none */
	e3_intrinsics k; /* of rgb */
	e3_fit fit;
} e3_loaded;

/* B: crops around the principal point, scales to cover target[0] × target[1], crops to that; depth by nearest
 * neighbour. `depth` may be NULL; else it has the size of `rgb`. Refuses portrait pictures and principal points in the
 * outer fifth. */
int e3_loader_b(const e3_image *rgb, const e3_depth *depth, const e3_intrinsics *k, const int target[2], e3_loaded *out,
	e3_err *err);
void e3_loaded_release(e3_loaded *x);

/* C: 224: scaled to 224 × 224, whatever the proportions; 518: width 518, the height rounded to a multiple of 14, at
 * most 518. */
int e3_loader_c(const e3_image *in, int size, e3_image *out, e3_fit *fit, e3_err *err);

/* --- set.c, seq.c, read.c: a data set as sequences of frames with truth --- */

/* The registry: a line for each data set, with the identifier of its row in lib/sets (sets_IDENTIFIER, in
 * set_IDENTIFIER.c) and the name in options and messages. Choices, help texts and error texts follow from it. */
#define E3_SETS(X) \
	X(sintel, "sintel") \
	X(kitti, "kitti") \
	X(bonn, "bonn") \
	X(nyu, "nyu") \
	X(scenes7, "7scenes") \
	X(nrgbd, "nrgbd") \
	X(tum, "tum") \
	X(scannet, "scannet") \
	X(co3d, "co3d")

#define E3_SET_COUNT_ONE(ident, name) +1
#define E3_SET_WORD(ident, name) " " name
#define E3_SET_CHOICE(ident, name) "|" name
enum { E3_SET_COUNT = 0 E3_SETS(E3_SET_COUNT_ONE) };
#define E3_SET_WORDS E3_SETS(E3_SET_WORD)     /* " sintel kitti ...", a literal */
#define E3_SET_CHOICES E3_SETS(E3_SET_CHOICE) /* "|sintel|kitti ...", a literal */
#define E3_SET_NAMES (&E3_SET_CHOICES[1])     /* "sintel|kitti ...", as option tables take it */

/* What their files are called, as patterns (e3_claim.holds). */
#define E3_SET_FILES "**/*.png|**/*.jpg|**/*.jpeg|**/*.txt|**/*.npy|**/*.dpt|**/*.cam|**/*.jgz"

typedef int e3_set_id; /* position in the registry */

typedef enum e3_task {
	E3_TASK_DEPTH,
	E3_TASK_VIDEO_DEPTH,
	E3_TASK_RECON,
	E3_TASK_POSE,
	E3_TASK_PAIRS,
	E3_TASKS
} e3_task;
#define E3_TASK_NAMES "depth|video-depth|recon|pose|pairs"
const char *e3_task_name(e3_task task);

/* The properties of a data set's files when a scene is written as one. */
typedef struct e3_set_format {
	int w, h;     /* of the data set's pictures */
	double focal; /* in pixels at that width, if the readers assume this value and these proportions; 0: any */
	bool central; /* the readers assume the principal point w/2, h/2, counted from the centre of the first pixel */
	const char *sequence; /* the first of the published ones */
} e3_set_format;

/* What is known of a data set without its files. */
typedef struct e3_set_info {
	const char *label;     /* name in the reference's result files; NULL: the name */
	unsigned tasks;        /* 1 << e3_task: those it has truth for */
	e3_task usual;         /* the one the papers use it for */
	int64_t stride;        /* of the papers: every so many frames */
	double max_depth;      /* depth is scored only where the truth is below that; 0: everywhere */
	double max_prediction; /* aligned predictions are at most that; 0: no limit */
	bool draws;            /* frames are drawn at random: e3_set_options' annotations, co3d_size, draw, ... */
	bool registers;        /* raw depth is registered to colour: e3_set_options' reject_invalid */
	bool selects;          /* the papers use a part of each recording: e3_set_options' whole */
	e3_set_format format;
} e3_set_info;

const char *e3_set_name(e3_set_id id);
const e3_set_info *e3_set_info_of(e3_set_id id);

typedef struct e3_set_options {
	e3_set_id set;
	const char *root;               /* the data set's folder, or a folder that contains it under its usual name */
	const char *annotations;        /* CO3D: folder of the files CATEGORY_test.jgz; NULL: the root */
	int task;                       /* e3_task; -1: the data set's usual task */
	int64_t stride;                 /* every stride-th frame; 0: as in the papers */
	int64_t max_frames;             /* at most so many of those; 0: all */
	bool whole;                     /* the original recording to its end instead of the part that the papers use */
	int size;                       /* of loaders A and B; 0: 518 */
	int co3d_size;                  /* of loader C, 224 or 518; 0: 224 */
	int64_t draw, seed, min_frames; /* CO3D: frames drawn of a sequence (0: 10), the generators' seed, sequences shorter
									   are left out (0: 50) */
	bool ten;                       /* CO3D: ten sequences of each category, drawn: the reference's fast_eval */
	bool reject_invalid;            /* 7-Scenes: register the raw depth here, without the invalid code */
} e3_set_options;

typedef struct e3_set e3_set;

/* Finds the data set and lists its sequences. NULL when nothing of it is found, with what was expected and what is
 * there, and for a task that it has no truth for. Strings in the options are borrowed. */
e3_set *e3_set_open(const e3_set_options *o, e3_err *err);
void e3_set_close(e3_set *s);
e3_task e3_set_task(const e3_set *s);

typedef struct e3_set_entry {
	const char *name; /* its name in options */
	bool published;   /* part of the papers' tables */
	bool found;       /* some of its files exist */
} e3_set_entry;

size_t e3_set_count(const e3_set *s);
e3_set_entry e3_set_entry_at(const e3_set *s, size_t k);

typedef struct e3_seq e3_seq;

typedef struct e3_seq_counts {
	int64_t images, depths, poses; /* what exists, before strides and limits */
	int64_t frames;                /* what e3_seq_read gives */
} e3_seq_counts;

/* Lists and pairs the files of sequence k. NULL when something is missing: the error names the file, what was expected
 * and what was found. */
e3_seq *e3_seq_open(const e3_set *s, size_t k, e3_err *err);
void e3_seq_close(e3_seq *q);
e3_seq_counts e3_seq_count(const e3_seq *q);
/* Frame k (0 .. frames-1) as the loader of the task prepares it, and its truth (both are released first, then filled).
 * For depth and video-depth the truth is the depth map in its own size, with its intrinsics where the data set states
 * them; for recon the depth map as loader B crops it, with its intrinsics; for pose and pairs there is no depth map.
 * Poses are camera from world, where the world is the first frame's camera; their fields of view are 0 where the data
 * set states no intrinsics. */
int e3_seq_read(e3_seq *q, int64_t k, e3_frame *frame, e3_truth *truth, e3_err *err);

/* --- write.c: a scene in a data set's own layout and files, for e3_set_open and the originals' readers --- */

typedef struct e3_set_writer e3_set_writer;

/* Writes below `dir`, the root for e3_set_open. sequence NULL: that of the format. Refuses names that do not match the
 * data set's form, and sequences that exist. */
e3_set_writer *e3_set_writer_open(e3_set_id set, const char *dir, const char *sequence, e3_err *err);
/* The next frame: depth in metres (Sintel: units) of the size of rgb, pose world from camera, seconds from the first
 * frame. Values are rounded to the format's step; those outside its range become unknown. */
typedef struct e3_set_shot {
	const e3_image *rgb;
	const e3_depth *depth;
	e3_intrinsics k;
	double pose[12], seconds;
} e3_set_shot;
int e3_set_writer_add(e3_set_writer *w, const e3_set_shot *shot, e3_err *err);
/* Writes the files of the whole sequence, and frees w. On failure all files of the sequence are removed. */
int e3_set_writer_close(e3_set_writer *w, e3_err *err);
/* Frees w and removes what it wrote. NULL is fine. */
void e3_set_writer_discard(e3_set_writer *w);

#endif
