/* track: a stream as a chain of segments in one world (doc/design.md 4).
 *
 * A segment is a past of its own (e3/infer.h): it begins with the last frames of the one before, beside it, and takes
 * over when that one ends. The similarity between the two, from the poses and depths of the frames that both saw, puts
 * the new segment into the world of the stream. So the cache is bounded, and no frame depends on a reference that is
 * far away.
 *
 * A frame is done in two parts: e3_track_step gives its result, which can be on its way while e3_track_beside computes
 * what the next segment needs.
 */
#ifndef E3_TRACK_H
#define E3_TRACK_H

#include "e3/geom.h"
#include "e3/infer.h"
#include "e3/saved.h"

/* --- view.c: what joining needs of a frame --- */

/* A frame as one segment saw it, in the segment's own coordinates: its pose, and depths of a grid of pixels. */
typedef struct e3_view {
	e3_pose pose;
	int from, step; /* the grid: every `step`-th pixel of the picture, from `from` on, in both directions */
	e3_intrinsics
		k; /* in steps of the grid, w × h, from the centre of its first pixel; fx 0: no usable field of view */
	float *depth, *conf; /* [k.h][k.w] */
} e3_view;

/* Every n-th pixel of every n-th row, about 3,000 in all. The view is reused: its arrays are kept when they fit. -1
 * when the pose is not usable. */
int e3_view_take(e3_view *v, const e3_result *r, e3_err *err);
int e3_view_copy(e3_view *to, const e3_view *from, e3_err *err);
void e3_view_release(e3_view *v);

/* --- motion.c: key frames by the camera's motion --- */

/* How far the pixels of a picture move from one view to the other, both in one world: the mean over those with a depth,
 * each at most 1, as a fraction of the picture's width. What gets behind the camera counts 1. 0 without a usable field
 * of view. */
double e3_view_flow(const e3_view *from, const e3_view *to);

/* --- join.c: the similarity between two sights of the same frames --- */

typedef struct e3_joint {
	e3_similarity sim; /* from b's coordinates to a's */
	double scale;      /* root mean square of what is left of the logarithms of the frames' depth ratios */
} e3_joint;

/* a[k] and b[k], k < n, are the same frame, and b begins with frame 0: nothing is more exact than a segment's pose of
 * its own reference, so rotation and translation are taken from it. The scale is the median of the depth ratios of all
 * frames, weighted by confidence. Where no pixel has a depth in both, the scale is 1, and so is joint.scale. */
int e3_join(const e3_view *a, const e3_view *b, int n, e3_joint *out, e3_err *err);

/* --- track.c: the chain --- */

typedef struct e3_track_options {
	int64_t segment; /* frames of a segment; 0: the whole stream is one */
	int64_t frames;  /* of the stream; -1: unknown */
	int64_t overlap; /* frames that a segment shares with the next one: 1 to segment / 2 */
	bool loops;      /* find places again, and measure how they lie to each other: as edges */
	int64_t places;  /* that are kept for it: 3 pictures and depth grids each */
} e3_track_options;

typedef struct e3_track e3_track;

/* What a session needs for this, and for choosing key frames: completes its options. Depth and pose are computed in any
 * case. A stream that is known to be no longer than a segment needs no side. -1 when the two do not go together; an
 * error names a setting in quotes: 'segment', 'overlap', 'loops'. */
int e3_track_prepare(const e3_track_options *t, e3_infer_options *o, e3_err *err);

enum { E3_TRACK_LONGEST = 1000000 }; /* frames of a segment */
/* The frames of a segment that a budget has room for without evicting anything: as many as it keeps, and the last. */
int64_t e3_track_length(const e3_plan *p);
/* The shortest that there may be, with the overlap and loops that are asked for. */
int64_t e3_track_shortest(const e3_track_options *t);

/* The session is borrowed. */
e3_track *e3_track_open(e3_session *s, const e3_track_options *o, e3_err *err);
void e3_track_close(e3_track *t);

/* Which segment answered, and where it is. */
typedef struct e3_track_place {
	int64_t segment, first; /* its number; the frame that it began with */
	e3_similarity world;    /* has been applied */
} e3_track_place;

/* The results of frame i in the coordinates of the stream, as e3_session_step. */
int e3_track_step(e3_track *t, const uint8_t *rgb, int64_t i, e3_result *result, e3_evict *evict, e3_err *err);
/* The first frames of a stream, which begin together (e3_session_start): instead of as many steps. */
typedef struct e3_track_first {
	const uint8_t *const *rgb;
	const int64_t *i; /* [n] their indices in the stream */
	int n;
} e3_track_first;
int e3_track_start(e3_track *t, const e3_track_first *first, e3_result *results, e3_evict *evicts, e3_err *err);
e3_track_place e3_track_placed(const e3_track *t);

/* Then once, before the next step: whatever is computed beside. The picture must still be there; the result need not.
 */
int e3_track_beside(e3_track *t, e3_err *err);

/* What the last call of e3_track_beside made, once; valid until the next one. */
enum { E3_TRACK_EDGES = 2 }; /* that one frame can make */
typedef struct e3_track_report {
	e3_evict *evict; /* of the segment that began beside; n_layers 0: none. The caller may take it. */
	const e3_edge *edge;
	int n_edges;
} e3_track_report;
e3_track_report e3_track_reported(e3_track *t);

/* --- state.c: the chain in the file of a session --- */

/* As e3_session_save, with what the chain knows, after e3_track_beside. What that made is not saved: it must have been
 * taken (e3_track_reported). Of the position, `earlier` and `overlap` are set. */
int e3_track_save(e3_track *t, const e3_stream_position *position, const char *path, e3_err *err);
/* Of a chain that was opened on the session that the file gave, with the options of the file: where the saved one
 * stood. */
int e3_track_restore(e3_track *t, e3_saved_file *from, e3_err *err);

/* --- track.c again --- */

/* Frames so far, with those of a resumed session. */
int64_t e3_track_frames(const e3_track *t);
/* Bytes of tokens, of both pasts: as e3_session_cache, of the whole stream. */
e3_cache_use e3_track_cache(const e3_track *t);

#endif
