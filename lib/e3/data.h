/* data: what stages send each other, as plain structs, without the wire format and without the model.
 *
 * Poses: camera from world, x_cam = R x_world + t, OpenCV axes (x right, y down, z forward), the world is the first
 * camera's frame up to the model's scale. pose[9] = t (3), quaternion x y z w (not normalised), fov_h (vertical), fov_w
 * (horizontal), radians (doc/network.md 6). Images are row-major, 8-bit sRGB, interleaved. Depth is z depth in the
 * camera frame, not ray length.
 *
 * Ownership: a struct owns the pointers in it. e3_X_release frees them and zeroes the struct; a zeroed struct is empty.
 */
#ifndef E3_DATA_H
#define E3_DATA_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Message kinds: the numbers are those of the stream (e3-stream(5)); E3_KINDS is one more than the highest. */
typedef enum e3_kind {
	E3_HEAD = 1,
	E3_FRAME,
	E3_PRED,
	E3_EVICT,
	E3_ATTN,
	E3_END,
	E3_ABORT,
	E3_TRUTH,
	E3_MASK,
	E3_CORRECT,
	E3_EDGE,
	E3_KINDS
} e3_kind;

/* Pixel of this image = s * (pixel of the source image) + t, per axis, without half-pixel terms (doc/formats.md 4.1).
 * Identity: {1, 1, 0, 0}. */
typedef struct e3_fit {
	double sx, sy, tx, ty;
} e3_fit;

/* Where a frame came from. A prediction carries the same as its frame, but for `fit`. */
typedef struct e3_source {
	int64_t i;        /* 0, 1, 2, ... strictly increasing in a stream */
	double pts;       /* seconds; for images without a time: i */
	int64_t src_i;    /* index of the frame in the source (video frame number, image number) */
	int src_w, src_h; /* size of the source picture, upright (after rotation), with square pixels */
	int rot;          /* degrees clockwise by which the decoder rotated it: 0, 90, 180, 270 */
	e3_fit fit;
	double t_capture; /* when a live source took it, seconds since 1970 UTC; 0 = not live, or unknown */
} e3_source;

typedef struct e3_head {
	char *tool, *version; /* that wrote this stream */
	char *source;         /* what was read: file name, URL, "-" */
	int64_t frames;       /* total in the stream; -1 = unknown */
	double fps;           /* of the stream (after sampling); 0 = unknown */
	/* From e3-infer; model NULL means the stream has no predictions. */
	char *model;            /* name */
	int layers;             /* global-attention layers */
	int tokens_per_frame;   /* N = special tokens + patches; 0 until known */
	int patch_grid[2];      /* rows, columns; {0,0} until known */
	char *policy;           /* of eviction: a name that e3-infer --policy takes */
	int64_t budget;         /* tokens over all layers; -1 = none */
	char *device;           /* "cpu", or the name of the GPU */
	char *kv;               /* how keys and values are packed, as in e3-infer --kv; NULL: they are not */
	int64_t kv_token_bytes; /* bytes of cache one token takes in one layer */
	/* Of a run that began with a saved cache: the frames that cache had seen (0 = no saved cache), and the index of the
	 * last of them. */
	int64_t seen, after;
	bool frozen;   /* the saved cache did not change: each frame was added to it and removed again */
	bool corrects; /* messages `correct` may follow: what is sent for a frame is not final before the end */
} e3_head;

typedef struct e3_frame {
	e3_source s;
	int w, h;
	uint8_t *rgb;  /* [h][w][3] */
	char *name;    /* of its picture, a file name without a folder; NULL: none */
	bool prepared; /* brought to the network's size already: it takes it without a resize */
} e3_frame;

typedef struct e3_pred {
	e3_source s;  /* s.fit: source pixel to network pixel */
	int w, h;     /* the network image */
	uint8_t *rgb; /* [h][w][3], what the network saw */
	char *name;   /* as of its frame */
	bool has_pose;
	float pose[9];
	float *depth, *depth_conf;   /* [h][w] each, or both NULL. Confidence > 1 */
	float *points, *points_conf; /* [h][w][3] world, and [h][w]; or both NULL */
	double ms;                   /* time of this frame in the network */
	double latency;              /* seconds from s.t_capture to this result; 0 = not live */
	bool half;                   /* send dense arrays as f16 (in memory they are always f32) */
	/* Of a stream in segments: which one answered, and the similarity that has been applied to pose, depth and points,
	 * from the segment's own coordinates to those of the stream. */
	bool has_segment;
	int64_t segment;
	double world[8]; /* a similarity y = s R x + t: s, quaternion x y z w of R, t */
} e3_pred;

typedef struct e3_evict_layer {
	int layer;
	uint32_t k_before, k_after; /* cached tokens before and after this step; before includes this frame's */
	double budget;              /* tokens this layer may keep, before rounding up */
	double alpha, variance;     /* share of the budget (sums to 1 over layers); variance of the mass */
	uint32_t saturated;         /* scores that overflowed to +inf (f16 sums only) */
	uint32_t prot;              /* tokens that may not be evicted; "protected" in the stream */
	float score_q[9];           /* quantiles 0 1 5 25 50 75 95 99 100 % of the finite scores; NaN when there are none */
	float max_evicted, min_kept; /* finite scores; NaN when there are none */
	uint32_t *removed; /* ids evicted at this step, ascending; id = (frame - first) * tokens_per_frame + index */
	size_t n_removed;
} e3_evict_layer;

/* What the cache did after frame i; sent for every frame, also when nothing was evicted. While two segments overlap a
 * frame has two: first that of the segment that answered, then that of its successor. */
typedef struct e3_evict {
	int64_t i;
	int64_t segment; /* whose cache; 0 in a stream without segments */
	int64_t first;   /* the frame of the stream that is frame 0 of this cache */
	/* The frame was no key frame: it saw the cache and itself, and is not kept. All its tokens are among the removed.
	 */
	bool passing;
	e3_evict_layer *layer;
	int n_layers;
} e3_evict;

/* Attention of frame i in one layer, for the layers that e3-infer was told to report. Mass = sum over this frame's
 * queries of the mean over heads of the softmax probability; over all keys it sums to tokens_per_frame. */
typedef struct e3_attn {
	int64_t i;
	int64_t segment, first; /* as in e3_evict: of the segment that answered */
	int layer;
	uint32_t n_keys;
	uint32_t *key; /* [n_keys] token ids, ascending */
	float *mass;   /* [n_keys] */
	uint32_t n_frames;
	float *frame_mass; /* [n_frames] mass on the tokens of frame first + f, divided by tokens_per_frame: sums to 1.
						  n_frames = i + 1 - first */
	uint32_t map_rows, map_cols;
	float *map; /* [map_rows][map_cols] on request: head-averaged probability, queries × keys (columns as in key); or
				   NULL */
} e3_attn;

typedef struct e3_end {
	int64_t frames;
	double seconds;                             /* wall time of the stage that wrote it */
	uint64_t peak_rss;                          /* bytes, of that stage */
	uint64_t cache_now, cache_peak, cache_full; /* bytes of KV cache: at the end, highest, had nothing been evicted */
	double latency_mean, latency_max;           /* seconds from capture to this stage's result; both 0 = not live */
	uint64_t device_used; /* GPU memory at the end less what was in use before the weights; 0 = no GPU, or unknown */
	char cut[256];        /* why the stream ends before its time; empty: it does not */
} e3_end;

typedef struct e3_abort {
	char *tool; /* the stage that failed first */
	int code;   /* its exit code */
	char *text;
} e3_abort;

/* Ground truth of frame i. Every stage passes it on. */
typedef struct e3_truth {
	int64_t i;
	int w, h;
	float *depth; /* [h][w], 0 = unknown; or NULL */
	bool has_pose;
	float pose[9];
	bool has_intrinsics;
	double intrinsics[4]; /* fx fy cx cy, pixels of the w × h depth map */
	char *unit;           /* of lengths: "m", or what one unit is */
} e3_truth;

/* Which pixels of frame i belong to a class. Every stage passes it on. */
typedef struct e3_mask {
	int64_t i;
	char *class; /* "sky", "person": 1 to E3_MASK_CLASS bytes without a comma */
	int w, h;    /* of the mask: any size */
	uint8_t *px; /* [h][w], 255 = of that class; 128 and more counts as that */
	bool has_fit;
	e3_fit fit; /* source pixel to mask pixel; without it the mask covers the picture of its frame, edge to edge */
} e3_mask;

enum { E3_MASK_CLASS = 63 };
/* Is it the name of a class? Lists of them are joined by commas, and are typed. */
bool e3_mask_class_ok(const char *name, size_t n);

/* A measured similarity between two segments: from the coordinates of b to those of a, each as the segment had them
 * itself, before e3_pred.world. */
typedef enum e3_edge_type {
	E3_EDGE_JOIN, /* of consecutive segments, from the frames that both saw */
	E3_EDGE_LOOP  /* of places where the camera was twice */
} e3_edge_type;

typedef struct e3_edge {
	int64_t i; /* the newest frame that was sent before it */
	e3_edge_type type;
	int64_t a, b;     /* segments */
	int64_t frame[2]; /* one frame of each place; of a join twice the last shared one */
	double sim[8];    /* as e3_pred.world */
	double sigma[3];  /* standard deviations: rotation in radians, translation in units of a, logarithm of the scale */
} e3_edge;

/* The similarity to apply to what was sent for frames `from` to `to`, both included, in the coordinates in which it was
 * sent. The newest for a frame replaces earlier ones. */
typedef struct e3_correct {
	int64_t i;        /* the newest frame that was sent before it */
	int64_t from, to; /* from <= to <= i */
	double sim[8];
} e3_correct;

/* How far a stage is behind a live source: seconds from a frame's capture to its result. Zero-initialised is empty. The
 * figures contain the difference between the clocks of the two machines, so they may be negative. */
typedef struct e3_latency {
	int64_t n;
	double last, sum, max;
} e3_latency;

/* Adds a frame captured at `t_capture` whose result was ready at `now`, seconds since 1970 UTC; ignores t_capture 0. */
void e3_latency_add(e3_latency *l, double t_capture, double now);
double e3_latency_mean(const e3_latency *l); /* 0 when empty */
/* Text for a progress line: ", 0.31 s behind (mean 0.28)", or "" when empty. */
void e3_latency_print(const e3_latency *l, char *to, size_t n);

void e3_head_release(e3_head *x);
/* After an error that says a stream has no frames: why, if a resumed run found nothing new. Returns -1. */
int e3_head_explain_empty(const e3_head *x, e3_err *err);
void e3_frame_release(e3_frame *x);
void e3_pred_release(e3_pred *x);
void e3_evict_release(e3_evict *x);
void e3_attn_release(e3_attn *x);
void e3_abort_release(e3_abort *x);
void e3_truth_release(e3_truth *x);
void e3_mask_release(e3_mask *x);

#endif
