/* export: what a format implements, and what it may use. A new format is one file that fills an e3_sink, and one line
 * in export.c. */
#ifndef E3_EXPORT_SINK_H
#define E3_EXPORT_SINK_H

#include "e3/export.h"
#include "e3/io.h"
#include "e3/mem.h"

typedef struct e3_cloud e3_cloud;
typedef struct e3_frames e3_frames;

/* Everything the formats of one run share. The spools exist only when a sink asked for them by `needs`. */
typedef struct e3_run {
	const e3_export_options *opt;
	e3_export_facts facts;
	e3_cloud *cloud;
	e3_frames *frames;
	unsigned parts; /* E3_PART_*: what is spooled in `frames` */
	bool wants_cloud;
	bool has_first; /* first: pose of the first frame, when the stream has poses */
	e3_pose first;
	char *source, *model, *policy, *device;
	int64_t budget;
	const e3_end *end; /* during write; NULL when interrupted */
} e3_run;

/* A frame as it arrives, decoded once for all. */
typedef struct e3_view {
	const e3_pred *pred;
	e3_pose pose;    /* valid when pred->has_pose */
	e3_intrinsics k; /* of the network image */
	bool usable_k;
} e3_view;

/* -1 when the pose cannot be decoded. */
int e3_view_make(const e3_pred *pred, e3_view *v, e3_err *err);

typedef struct e3_sink e3_sink;
typedef struct e3_sink_ops {
	int (*add)(e3_sink *s, e3_run *run, const e3_view *v, e3_err *err); /* may be NULL */
	int (*write)(e3_sink *s, e3_run *run, e3_err *err); /* the stream is over: write all, still under temporary names */
	int (*commit)(e3_sink *s, e3_err *err);             /* every sink has written: appear */
	void (*free)(e3_sink *s);                           /* removes what was not committed */
} e3_sink_ops;

struct e3_sink {
	const e3_sink_ops *ops;
};

/* fflush, checked: the end of every `write` to a file, so that a full disk is noticed before anything appears. */
int e3_sink_flush(e3_file *file, e3_err *err);

e3_sink *e3_glb_open(e3_run *run, e3_err *err);
e3_sink *e3_ply_open(e3_run *run, e3_err *err);
e3_sink *e3_tum_open(e3_run *run, e3_err *err);
e3_sink *e3_kitti_open(e3_run *run, e3_err *err);
e3_sink *e3_intrinsics_open(e3_run *run, e3_err *err);
e3_sink *e3_npz_open(e3_run *run, e3_err *err);
e3_sink *e3_depth_open(e3_run *run, e3_err *err);
e3_sink *e3_run_json_open(e3_run *run, e3_err *err);

/* --- frames.c: predictions on disk, replayed in order as often as wanted --- */

enum { E3_PART_RGB = 1, E3_PART_DEPTH = 2, E3_PART_POINTS = 4, E3_PART_CONF = 8 /* of both */ };

e3_frames *e3_frames_open(e3_err *err);
int e3_frames_add(e3_frames *f, const e3_pred *p, unsigned parts, e3_err *err);
void e3_frames_rewind(e3_frames *f);
/* The next frame with those of `parts` it has (others NULL): 1, or 0 at the end, or -1. The struct is reused from call
 * to call. */
int e3_frames_next(e3_frames *f, unsigned parts, const e3_pred **p, e3_err *err);
uint64_t e3_frames_bytes(const e3_frames *f);
void e3_frames_close(e3_frames *f);

/* --- cloud.c: points on disk; threshold, masks, reduction --- */

typedef struct e3_point {
	float xyz[3], conf;
	uint8_t rgb[3], unused;
} e3_point;

/* Which of the kept points one output takes. */
typedef struct e3_pick {
	uint64_t n; /* points it gives */
	bool all;
	uint32_t limit; /* otherwise: those whose hash is at most this */
} e3_pick;

/* A run of points of one frame; n may be 0. Every frame gives at least one batch. */
typedef struct e3_batch {
	const e3_point *p;
	size_t n;
	int64_t frame;    /* its number in the stream */
	uint64_t segment; /* 0, 1, 2, ... */
} e3_batch;

e3_cloud *e3_cloud_open(const e3_cloud_options *opt, e3_err *err);
int e3_cloud_add(e3_cloud *c, const e3_view *v, e3_export_facts *facts, e3_err *err);
/* Finds threshold, scene scale and cells; fills the facts. Fails when nothing is left, unless that is allowed. */
int e3_cloud_settle(e3_cloud *c, e3_export_facts *facts, e3_err *err);
/* max 0 = all. After settling. */
int e3_cloud_pick(e3_cloud *c, uint64_t max, e3_pick *pick, e3_err *err);
/* Goes through the picked points in order, as often as wanted: 1, 0 at the end, -1. */
void e3_cloud_rewind(e3_cloud *c);
int e3_cloud_next(e3_cloud *c, const e3_pick *pick, e3_batch *b, e3_err *err);
uint64_t e3_cloud_bytes(const e3_cloud *c);
void e3_cloud_close(e3_cloud *c);

/* --- mask.c: --mask-dir --- */

typedef struct e3_masks e3_masks;

e3_masks *e3_masks_open(const char *dir, e3_err *err);
/* keep receives w × h bytes of 0 or 1 for the pixels of the network image; ordinal counts the frames of this run from
 * 0. */
int e3_masks_get(e3_masks *m, const e3_pred *p, int64_t ordinal, uint8_t *keep, e3_err *err);
void e3_masks_close(e3_masks *m);

/* --- outdir.c: a folder of outputs that appear together --- */

typedef struct e3_outdir {
	char *path, *temp;
	bool made; /* the folder was not there before */
} e3_outdir;

int e3_outdir_open(e3_outdir *d, const char *path, e3_err *err);
/* The path to write NAME to; valid until the next call with the same buffer. -1 when it is too long. */
int e3_outdir_name(const e3_outdir *d, const char *name, char *to, size_t size, e3_err *err);
int e3_outdir_commit(e3_outdir *d, e3_err *err);
void e3_outdir_discard(e3_outdir *d);

#endif
