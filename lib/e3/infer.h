/* model: a network on a device, frame by frame, with a KV cache inside a budget. Mathematics: doc/network.md 3-9;
 * budget: doc/design.md 4.
 *
 * An e3_net is loaded weights: immutable, may serve several sessions. An e3_session is one stream: caches, scores,
 * frame counter. A session allocates all its memory when it is opened, the device its working memory during the first
 * frame. Without eviction the cache grows with the stream.
 */
#ifndef E3_INFER_H
#define E3_INFER_H

#include "e3/checkpoint.h"
#include "e3/config.h"
#include "e3/data.h"
#include "e3/dev.h"
#include "e3/policy.h"

typedef struct e3_net e3_net;
typedef struct e3_session e3_session;
typedef struct e3_batch e3_batch;

/* Checks the checkpoint (e3_config_read) and loads its weights onto the device; the checkpoint may be closed
 * afterwards. */
e3_net *e3_net_open(const e3_ckpt *ckpt, e3_dev *dev, e3_err *err);
/* The same with the matrices of ViT and aggregator in 8 bits: E3_I8 or E3_F8, those of the camera head's trunk in E3_I8
 * (doc/network.md 15). */
e3_net *e3_net_open_packed(const e3_ckpt *ckpt, e3_dev *dev, e3_dtype packed, e3_err *err);

/* What was chosen for the matrices of such a network. They are numbered; e3_packing_name has their names. */
typedef struct e3_packing {
	e3_dtype type; /* of the others */
	int n, n_wide; /* matrices; of them in 16 bits */
	bool *wide;    /* [n] in 16 bits */
	double *error; /* [n] of its product in 8 bits, against 16 bits, relative to how much rows differ (L2) */
	double bound;  /* what errs more is to stay in 16 bits */
	double worst;  /* error of those in 8 bits */
	int n_over;    /* of those above the bound that the reserve had no room for; their worst error */
	double over;
} e3_packing;

/* Device memory that is kept free in a network in 8 bits until e3_net_calibrate, for matrices that stay in 16 bits; 0
 * after it. */
uint64_t e3_net_reserve(const e3_net *net);
/* Computes one frame, [size[0]][size[1]][3], compares every product in 8 bits with that in 16 bits, and gives the
 * matrices that err too much their 16 bits back, within the reserve. No session may be open. ckpt: the same again. */
int e3_net_calibrate(e3_net *net, const e3_ckpt *ckpt, e3_dev *dev, const uint8_t *rgb, const int size[2],
	e3_packing *to, e3_err *err);
/* Instead of that, to resume: the same choice as e3_net_wide gave. */
int e3_net_widen(e3_net *net, const e3_ckpt *ckpt, e3_dev *dev, const uint32_t *wide, e3_packing *to, e3_err *err);
/* What stays in 16 bits: for each layer, bits 0 to 3 for the frame block's qkv, proj, fc1 and fc2, 4 to 7 the global
 * block's, then four for each block of the ViT whose number modulo the layers is this one's, 28 to 31 for the camera
 * head's block of that number. */
void e3_net_wide(const e3_net *net, uint32_t *wide);
const char *e3_packing_type(e3_dtype packed); /* int8, fp8, 16 bits or f32 */
void e3_packing_release(e3_packing *p);
void e3_packing_name(const e3_config *c, int matrix, char to[32]); /* vit.3.fc1 */
void e3_net_close(e3_net *net);
/* A fingerprint of the network: a hash of the configuration, of the name and shape of every tensor, and of a sample of
 * its values (all values of a small tensor) as f32. The same weights have the same fingerprint in every container. */
uint64_t e3_net_fingerprint(const e3_net *net);
const e3_config *e3_net_config(const e3_net *net);

typedef enum e3_budget_kind { E3_BUDGET_FRACTION, E3_BUDGET_FRAMES, E3_BUDGET_TOKENS, E3_BUDGET_BYTES } e3_budget_kind;

/* The defects of the released code (doc/design.md 4), one by one. */
enum {
	/* score sums in half precision: the sum of an average token overflows after some 60 frames, which protects it */
	E3_COMPAT_F16_SUMS = 1,
	E3_COMPAT_STARVE = 2, /* a layer's share may be less than what is protected; protected tokens are evicted too */
	E3_COMPAT_CAMERA = 4, /* one camera cache for all refinement iterations */
	E3_COMPAT_ALL = 7,    /* those of Evict3R */
	E3_COMPAT_OVGGT = 8, /* of OVGGT: the importance of a token is that in the layer before; the first layer has none */
	E3_COMPAT_MOST = 15
};

enum { E3_OUT_POSE = 1, E3_OUT_DEPTH = 2, E3_OUT_POINTS = 4, E3_OUT_ALL = 7 };

typedef struct e3_infer_options {
	const e3_policy *policy;
	e3_budget_kind budget_kind;
	/* Fraction of the stream's tokens; frames per layer; tokens over all layers; bytes of cache, with the side's: the
	 * others are of one past. */
	double budget;
	double temperature; /* of the layer shares, where the policy needs the masses */
	int64_t frames;     /* length of the stream, -1 unknown; a fraction needs it */
	int compat;         /* E3_COMPAT_* */
	int outputs;        /* E3_OUT_* */
	int camera_frames;  /* frames the camera head remembers (frame 0 and the newest) */
	int start;          /* S: frames that begin a stream; 0: as many as the architecture begins with (e3/arch.h) */
	const bool *attn;   /* [layers] whose attention to report, or NULL */
	bool attn_map;      /* with the head-averaged map */
	/* Frames of the stream that a past covers at most, when a new one begins after so many (e3/track.h); 0: all. A
	 * fraction is of these frames then. */
	int64_t segment;
	int64_t side;    /* with a second past beside the first, of so many frames at most until it takes over */
	bool free_first; /* the tokens of frame 0 are not protected */
	uint32_t seed;   /* of a policy's random numbers */
	int window;      /* of a policy that slides: the newest key frames that stay whole */
	/* Key frames are those that the cache and the camera head keep; the others see what is kept, and themselves. All of
	 * the first ones (`start`), then every n-th, beginning with the first one after them. 0: e3_session_ask. */
	int keyframe;
	bool describe;   /* compute a descriptor of every frame (e3_session_descriptor) */
	bool frozen;     /* a frame sees the cache of a resumed session (e3/saved.h) and itself, and does not change it */
	e3_batch *batch; /* step with the other sessions that have it; NULL: alone */
	/* How keys and values are kept; where the device has them in that type anyway, it becomes E3_PACK_NONE. */
	e3_kv_pack pack;
	e3_dtype cached; /* type of those that are not packed: set by e3_session_open to what the device has */
} e3_infer_options;

/* Sets `cached` and `pack` as the device has them. */
void e3_infer_use_device(e3_infer_options *o, const e3_dev *dev);
/* What keys and values are kept as: "f32", "bf16", "fp8", "int8", "k8v4". */
const char *e3_infer_kept_as(const e3_infer_options *o);

/* The options of a plain run: evict3r, P 0.5, temperature 0.5, all outputs. */
e3_infer_options e3_infer_defaults(void);

/* Sets the policy, and the budget too if the policy has its own; one that slides has what `window` says. */
void e3_infer_use_policy(e3_infer_options *o, const e3_policy *policy);

/* What a budget means for frames of this size. Counts are over all layers. */
typedef struct e3_plan {
	int tokens_per_frame, special, layers;
	int patch_grid[2];
	int size[2];              /* rows, columns of the picture */
	int describes;            /* values of a descriptor */
	double budget;            /* tokens kept after a step; INFINITY with no eviction */
	double smallest;          /* the smallest budget that works, in tokens */
	int64_t protected_frames; /* newest frames whose special tokens are protected (frame 0 always is) */
	int start;                /* S: frames that count as its start */
	int together;             /* of them those that the network can see together: S, or 1 */
	int frames;               /* of a policy that evicts whole frames: how many stay in each layer; else 0 */
	int64_t keys, most_keys;  /* key frames that a past will have at most; that it can have. INT64_MAX: any number */
	int page_keys;
	int64_t pages;        /* of the cache, allocated at once; 0 with no eviction */
	int64_t side_pages;   /* that the side takes of them */
	uint64_t token_bytes; /* keys and values of one token in one layer */
	uint64_t page_bytes;  /* with what eviction knows of each token */
	uint64_t cache_bytes; /* pages, in bytes */
} e3_plan;

/* -1 when the options do not work for this network and frame size; the error names the smallest budget that does. An
 * error names a setting in quotes: 'fraction' (a budget of E3_BUDGET_FRACTION), 'budget' (any other), 'frames'. */
int e3_plan_make(const e3_config *c, const e3_infer_options *o, int h, int w, e3_plan *plan, e3_err *err);

/* The most frames that one past covers: of a segment, or of the stream; -1 unknown. */
int64_t e3_plan_frames(const e3_infer_options *o);

/* The most frames that one past can have, because of its key frames; INT64_MAX: any number. */
int64_t e3_plan_longest(const e3_config *c, const e3_infer_options *o);

/* For frames of h × w pixels (multiples of the patch size). */
e3_session *e3_session_open(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2], e3_err *err);
void e3_session_close(e3_session *s);
const e3_plan *e3_session_plan(const e3_session *s);
const e3_infer_options *e3_session_options(const e3_session *s);

/* The results of one frame, as in e3_pred; maps that were not asked for are NULL. The session owns them and keeps them
 * until the step after the next one, so that one frame can be written while the next is computed. */
typedef struct e3_result {
	int w, h;
	bool has_pose;
	float pose[9];
	float *depth, *depth_conf, *points, *points_conf;
} e3_result;

/* Without an interval of key frames (options.keyframe 0): whether a frame of the main stream, but the first ones, is
 * one. `keeps` is asked once for each, with its results. Of a side, and when nobody is asked, all are. */
void e3_session_ask(e3_session *s, bool (*keeps)(void *ctx, const e3_result *r), void *ctx);

/* Where the device can, a step begins with the picture of the next one, if that is there: `next` gives it or NULL, and
 * does not wait. The next step of the session must get the same pixels in the same place; one that gets another
 * picture, or anything else that comes between, finds the session as if nothing had been begun. Results are the same,
 * bit for bit. A result is there somewhat later then, as it shares the device with the next frame, and frames follow
 * each other faster. Takes memory for a second frame, allocated when it is first needed. Not of a session with a batch.
 */
void e3_session_look_ahead(e3_session *s, const uint8_t *(*next)(void *ctx), void *ctx);

/* One frame: rgb [h][w][3]. Fills *result and *evict, which the caller owns; evict->i counts the frames of this
 * session. In a frozen session it is always the number of frames that the cache has seen, and no token is added or
 * evicted. */
int e3_session_step(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err);
/* The first n frames of the stream together, if the architecture begins so: rgb[k] [h][w][3]; n is 1 to the plan's
 * `together`. They see each other, also the earlier ones the later ones; results[k] and evicts[k] are as if they had
 * come one by one, and nothing is evicted. Not in a session that has seen a frame, nor beside the stream. (Without this
 * call a stream starts with its first frame alone, whatever the options say.) The maps of the results are the
 * session's, and stay until it is closed. When it is given up the session is as it was. */
int e3_session_start(e3_session *s, const uint8_t *const *rgb, int n, e3_result *results, e3_evict *evicts,
	e3_err *err);
/* A step beside the main stream, with a past of its own, which the options must ask for ('side'). rgb NULL: the picture
 * of the last main step, whose first part is not computed again; no other step may have come between. The result has
 * pose and depth as the options say, never points; it is the session's until the next side step. */
int e3_session_side(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err);
/* The side forgets all its frames. */
void e3_session_side_clear(e3_session *s);
/* The side becomes the main stream; what was the main stream's past is forgotten and becomes the side. */
void e3_session_take_over(e3_session *s);
/* Frames that the main stream's past, and the side's, have seen. */
int64_t e3_session_frames(const e3_session *s);
int64_t e3_session_side_frames(const e3_session *s);

/* After a step, if options.describe is set: what the frame looks like, for comparing frames by their inner product. The
 * mean over the patches of the ViT's final normed tokens (doc/network.md 4.2), scaled to length 1: `embed` numbers (the
 * config has it) in host memory, valid until the next step (a side step too). NULL if it was not asked for. */
const float *e3_session_descriptor(const e3_session *s);
/* The same of frame k of the start, until the session is closed. */
const float *e3_session_start_descriptor(const e3_session *s, int k);
/* After a step: the attention of the k-th reported layer, k = 0, 1, ... Returns 1, 0 past the last layer, or -1. After
 * a start: of all layers of its first frame, then of the second, and so on; attn->i counts the frames of the session.
 */
int e3_session_attn(e3_session *s, int k, e3_attn *attn, e3_err *err);

/* ---- several streams on one device ----
 *
 * Each has a thread and a session of its own, opened with options.batch. The steps that are asked for at a time are one
 * batch: frames of one picture size are rows of one matrix in the products, at most E3_LANES of them; those of another
 * size come next. A step begins as soon as every stream that is busy has asked for its own, so that one that waits for
 * a frame, or for its reader, holds up nobody; and one that fails fails alone. Results are as without a batch, but for
 * the rounding of products that are cut differently; on the CPU, where that would be seen, exactly.
 */
e3_batch *e3_batch_open(int streams, e3_err *err);
void e3_batch_close(e3_batch *b);
int e3_batch_streams(const e3_batch *b);
/* Frames that are stepped together at most: the streams, or E3_LANES. */
int e3_batch_lanes(const e3_batch *b);
/* A stream is busy between wake and rest: it has a frame, or what a frame left to do. While it waits for anything but
 * the device it must rest; a step wakes it. All of these take NULL for a stream that is alone. */
void e3_batch_wake(e3_batch *b);
void e3_batch_rest(e3_batch *b);
/* The device belongs to the caller until unlock: for all that is not a step (e3_session_step, _start and _side ask for
 * it themselves): opening, closing, saving, measuring. */
void e3_batch_lock(e3_batch *b);
void e3_batch_unlock(e3_batch *b);
/* For tests: together also where that can be seen. And how many frames went together on average. */
void e3_batch_force(e3_batch *b);
double e3_batch_mean(const e3_batch *b);

/* The device memory in use while a session with these options is at work: everything, weights and other processes of
 * the device included. */
typedef struct e3_session_memory {
	e3_plan plan;
	uint64_t in_use;
} e3_session_memory;

/* With a batch: of all its streams, which have these options and this size; the plan is that of each. Attention maps
 * are those of two frames: they grow with the cache. */
int e3_session_measure(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2],
	e3_session_memory *out, e3_err *err);
/* Sets the budget of *o to what `total` bytes of device memory leave for the cache, of each stream of a batch: what
 * e3_session_measure then finds is never more, nor is it when attention maps have grown. Fails when the smallest cache
 * is too large. */
int e3_session_fit(const e3_net *net, e3_dev *dev, e3_infer_options *o, const int size[2], double total, e3_err *err);

typedef struct e3_cache_use {
	uint64_t now, peak, full; /* bytes of the tokens: kept now; at most during a step; without eviction */
} e3_cache_use;
e3_cache_use e3_session_cache(const e3_session *s);

#endif
