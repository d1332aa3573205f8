/* export: what a format implements, and what it may use. HACKING.md lists the files that a new format touches. */
#ifndef E3_EXPORT_WRITER_H
#define E3_EXPORT_WRITER_H

#include "e3/export.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "export/outdir.h"

typedef struct e3_clean e3_clean;
typedef struct e3_cloud e3_cloud;
typedef struct e3_frame_spool e3_frame_spool;

/* Everything that the formats of one run share. */
typedef struct e3_export_run {
	const e3_export_options *opt;
	const e3_format *formats; /* the table */
	e3_export_facts facts;
	e3_cloud *cloud;        /* NULL unless a format writes points */
	e3_clean *clean;        /* NULL unless a format writes points or has E3_PART_KEEP or E3_PART_MASK */
	e3_frame_spool *frames; /* the arrays `parts` of every frame; NULL when nothing reads frames again */
	unsigned parts;
	bool has_first; /* first: pose of the first frame, when the stream has poses */
	e3_pose first;
	e3_up_sums up; /* over all frames with a pose */
	char *source, *model, *policy, *device;
	int64_t budget;
	int64_t announced;            /* frames that the head announced; 0: unknown */
	const e3_end *end;            /* during write; NULL when the output does not have the whole stream */
	char *failed[E3_MAX_FORMATS]; /* why the output of each row of `formats` failed; NULL: it did not */
} e3_export_run;

/* A frame as it arrives, with its pose decoded once for all formats. */
typedef struct e3_export_frame {
	const e3_pred *pred;
	e3_pose pose;    /* valid when pred->has_pose */
	e3_intrinsics k; /* of the network image */
	bool usable_k;
} e3_export_frame;

/* One open output. A format that keeps more than this puts it first into a struct of its own. */
typedef struct e3_format_writer {
	const e3_format *format;
	e3_file file;    /* where to write; closed when the output is a folder */
	e3_outdir dir;   /* the folder otherwise */
	int64_t frames;  /* how many it has taken */
	bool failed;     /* it takes no more */
	bool kept;       /* although it failed, what it has is whole: `frames` of them, or the files in its folder */
	e3_up_sums up;   /* run->up when it failed: of the frames that it has taken */
	uint64_t points; /* formats with points: how many were written, set by `write` */
} e3_format_writer;

/* A format. The run allocates and zeroes the writer, opens its file or folder, flushes and closes it, and makes it
 * appear under its name when every format has written. A failure of add or write is the end of this output alone. Each
 * function may be NULL. */
typedef struct e3_format_ops {
	size_t size;    /* of the format's own struct */
	unsigned parts; /* E3_PART_*: arrays that `write` reads from run->frames */
	bool whole;     /* its folder is one thing: a part of what `write` makes is worth nothing */
	int (*open)(e3_format_writer *w, e3_export_run *run, e3_err *err);
	/* Refuses a frame that the format cannot hold, before any output takes it. */
	int (*check)(const e3_format_writer *w, const e3_pred *pred, e3_err *err);
	int (*add)(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err);
	int (*cut)(e3_format_writer *w, e3_err *err); /* add failed: back to the frames before. NULL: it is there already */
	int (*write)(e3_format_writer *w, e3_export_run *run, e3_err *err); /* the stream is over: write what is left */
	/* Of files in a folder: as in e3_outdir_kind. */
	bool (*ours)(const uint8_t *head, size_t n, uint64_t size);
	void (*release)(e3_format_writer *w); /* frees what the functions above allocated, also after they failed */
} e3_format_ops;

/* --- writer.c --- */

/* Decodes the pose: -1 when that is not possible. */
int e3_export_frame_init(e3_export_frame *frame, const e3_pred *pred, e3_err *err);
/* Warns of frames whose focal lengths were written as 0, unless there is none. */
void e3_tell_lensless(const char *path, int64_t lensless, int64_t frames);
/* fflush, checked, so that a full disk is noticed before the output appears. */
int e3_writer_flush(e3_format_writer *w, e3_err *err);

/* --- axes.c: the axes of a cloud that is written --- */

/* For the header of a file: axes, world, scale. */
void e3_world_text(const e3_export_run *run, e3_axes axes, char *to, size_t n);
/* The rotation from the world of the stream, row-major. Once every frame has been added. */
void e3_axes_matrix(e3_axes axes, const e3_export_run *run, double r[9]);
/* out = r v; bit for bit v when the axes are those of the stream. out may be v. */
void e3_axes_turn(e3_axes axes, const double r[9], const float v[3], float out[3]);

/* --- upright.c: which way is up; once every frame has been added --- */

/* up: unit length, in the world of the stream. What decided it, and its name in run.json. */
e3_up_from e3_export_up(const e3_export_run *run, double up[3]);
const char *e3_export_up_name(e3_up_from from);
/* The rotation from the world of the stream to axes in which `axis` is up (e3_up_rotation), row-major. */
void e3_export_axes(const e3_export_run *run, e3_up_axis axis, double r[9]);
/* The scene of a viewer, as GLB and meshes have it: the matrix, 4×4 column-major, of the node above everything. With
 * E3_ALIGN_GL the first camera is at the origin, looking towards -z, and y is up. */
void e3_export_scene(const e3_export_run *run, double m[16]);

/* --- frames.c: predictions on disk, replayed in order as often as wanted --- */

enum {
	E3_PART_RGB = 1,
	E3_PART_DEPTH = 2,
	E3_PART_POINTS = 4,
	E3_PART_DEPTH_CONF = 8,
	E3_PART_POINTS_CONF = 16,
	E3_PART_CONF = E3_PART_DEPTH_CONF | E3_PART_POINTS_CONF,
	E3_PART_MASK = 32,    /* of this run's masks: run->clean reads them */
	E3_PART_KEEP = 64,    /* no array: the format asks run->clean (e3_clean_keep) */
	E3_PART_NORMALS = 128 /* no array: merged points are to have normals; `open` may add it to run->parts */
};

e3_frame_spool *e3_frame_spool_open(e3_err *err);
/* mask: [h][w], 0 = no point; NULL: there is none. */
int e3_frame_spool_add(e3_frame_spool *f, const e3_pred *p, const uint8_t *mask, unsigned parts, e3_err *err);
/* After a failure of e3_frame_spool_add: the frames before it stay. */
int e3_frame_spool_cut(e3_frame_spool *f, e3_err *err);
void e3_frame_spool_rewind(e3_frame_spool *f);
/* e3_frame_spool_next goes on with the frame `ordinal`, counted from 0 in this run. */
int e3_frame_spool_seek(e3_frame_spool *f, uint64_t ordinal, e3_err *err);
/* The next frame with those of `parts` that it has (the other arrays are NULL): 1, 0 at the end, or -1. *p is reused
 * from call to call. */
int e3_frame_spool_next(e3_frame_spool *f, unsigned parts, const e3_pred **p, e3_err *err);
/* The mask of that frame, with E3_PART_MASK; NULL: it has none. */
const uint8_t *e3_frame_spool_mask(const e3_frame_spool *f);
uint64_t e3_frame_spool_count(const e3_frame_spool *f);
/* Warns when the disk has no room for so many frames like those that it has. */
void e3_frame_spool_expect(const e3_frame_spool *f, int64_t frames);
/* Reading ends after n frames. */
void e3_frame_spool_limit(e3_frame_spool *f, int64_t n);
uint64_t e3_frame_spool_bytes(const e3_frame_spool *f);
/* Reading fails once stop() is not 0; NULL: never. */
void e3_frame_spool_stop_by(e3_frame_spool *f, int (*stop)(void));
void e3_frame_spool_close(e3_frame_spool *f);

/* --- clean.c: which pixels of each frame give points --- */

/* opt and frames are borrowed. */
e3_clean *e3_clean_open(const e3_cloud_options *opt, e3_frame_spool *frames, e3_err *err);
/* Refuses a frame without what points need. */
int e3_clean_check(e3_clean *c, const e3_pred *p, e3_err *err);
/* Reads the mask of the frame that is added next; ordinal: as in e3_masks_get. */
int e3_clean_mask(e3_clean *c, const e3_pred *p, int64_t ordinal, e3_err *err);
/* Leaves out the pixels of a mask of the frame that is added next. */
int e3_clean_leave_out(e3_clean *c, const e3_pred *p, const e3_mask *mask, e3_err *err);
/* The mask that was read last, for the frame spool; NULL: there are none. */
const uint8_t *e3_clean_masked(const e3_clean *c);
/* The arrays that the frame spool must have of this frame, which was checked; NULL: of any. */
unsigned e3_clean_parts(const e3_clean *c, const e3_pred *p);
/* When the frame spool has every frame: decides, and fills the facts. */
int e3_clean_settle(e3_clean *c, e3_export_facts *facts, e3_err *err);
/* Which pixels of a frame give points: edges, consistency, masks and confidence. After settling. keep: [h][w], 1 or 0;
 * ordinal counts the frames of the run from 0. */
int e3_clean_keep(e3_clean *c, uint64_t ordinal, uint8_t *keep, e3_err *err);
void e3_clean_close(e3_clean *c);

/* --- cloud.c: the points of the pixels that were kept; reduction --- */

enum { E3_GLB_MAX_POINTS = 2000000 }; /* of a GLB unless the options say otherwise */

typedef struct e3_point {
	float xyz[3], conf;
	uint8_t rgb[3];
	int8_t normal[3]; /* unit length times 127, in the world, towards its camera; 0 0 0 = unknown */
} e3_point;

/* axes.c: of unit length; 0 0 0 = unknown. */
void e3_point_normal(const e3_point *p, float out[3]);

/* Which of the kept points one output takes. */
typedef struct e3_point_selection {
	uint64_t n; /* points it takes */
	bool all;
	uint32_t limit; /* unless all: it takes those whose hash is at most this */
	bool normals;   /* points are to have their normals: set it after e3_cloud_select */
} e3_point_selection;

/* Consecutive points of one frame; n may be 0. Every frame gives at least one batch. */
typedef struct e3_point_batch {
	const e3_point *p;
	size_t n;
	int64_t frame;    /* its number in the stream */
	uint64_t segment; /* 0, 1, 2, ...: how many frames came before */
} e3_point_batch;

/* Everything is borrowed. */
e3_cloud *e3_cloud_open(const e3_cloud_options *opt, e3_frame_spool *frames, e3_clean *clean, e3_err *err);
/* After e3_clean_settle: finds the scene scale, merges points (with normals, if asked), and fills the facts. Fails when
 * no point is left, unless allow_empty. */
int e3_cloud_settle(e3_cloud *c, bool normals, e3_export_facts *facts, e3_err *err);
/* Selects `max` of the kept points, 0 = all. After e3_cloud_settle. */
int e3_cloud_select(e3_cloud *c, uint64_t max, e3_point_selection *selection, e3_err *err);
/* Goes through the selected points in order, as often as wanted: 1, 0 at the end, -1. */
void e3_cloud_rewind(e3_cloud *c);
int e3_cloud_next(e3_cloud *c, const e3_point_selection *selection, e3_point_batch *b, e3_err *err);
void e3_cloud_close(e3_cloud *c);

/* --- mask.c: which pixels give points, by pictures and by masks of the stream --- */

typedef struct e3_masks e3_masks;

e3_masks *e3_masks_open(const char *dir, e3_err *err);
/* keep receives w × h bytes of 0 or 1 for the pixels of the network image; ordinal counts the frames of this run from
 * 0. */
int e3_masks_get(e3_masks *m, const e3_pred *p, int64_t ordinal, uint8_t *keep, e3_err *err);
void e3_masks_close(e3_masks *m);
/* Sets out[h][w] of the network image to 1 where the mask says so. upstream: the mask resized to that image without
 * regard to what was cropped or added, and pixels that are of the class in part stay, as the reference does it. */
int e3_mask_mark(const e3_mask *m, const e3_pred *p, bool upstream, uint8_t *out, e3_err *err);

#endif
