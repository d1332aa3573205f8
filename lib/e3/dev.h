/* dev: the seam between the network and the machine it runs on.
 *
 * A device is a table of operations and a private state. The model code exists once and calls only these operations;
 * each is coarse enough for a backend to fuse what it contains. There are two backends: the CPU (lib/dev, the reference
 * for the other) and CUDA (kernels/, a plug-in that fills the same table). The mathematics is in doc/network.md; the
 * numbers in parentheses below are its sections.
 *
 * Operands and their types. Memory that always holds f32 is `float *`. Where the device chooses the type, the operand
 * is an e3_tensor, which carries its type; an operation refuses a tensor of the wrong type (lib/dev/check.c). A is the
 * device's attn_dtype, F its feature_dtype: f16 on CUDA; f32 on the CPU and in strict mode.
 *
 *   operation    reads                             writes
 *   patchify     rgb u8 (host)                     out f32
 *   linear       x f32, A or F                     out f32, A or F; f32 when it adds
 *   norm         x f32                             out f32
 *   modulate     token, modulation f32             out f32
 *   qkv          x, rope f32                       q and kv: A, or f32 where kv is f32
 *   attend       q, kv: A, or both f32             out as q; lse f32
 *   mass         q, kv: A, or both f32; lse f32    mass, attn_map f32
 *   match        q, kv: A, or both f32             scores of kv
 *   mean_keys    kv: A                             out f32
 *   shift        before, after f32                 out f32
 *   novelty      kv: A; importance f32             scores of kv; mean in host memory
 *   conv         x, resid, plus F                  out F
 *   deconv       x F                               out F
 *   upsample     x F                               out F
 *   add_uv       x F; uv f32                       x
 *   dense        z F; uv f32                       value, conf f32 (host)
 *   copy_rows    x f32                             out f32
 *   mean_rows    x f32                             out f32
 *   copy         any type                          the same type
 *   move         pages of kv                       pages of kv
 *   enter, score, choose: scored pages; results in host memory
 *
 * Weights are given as f32; `weight` keeps them in the type that suits their role, or in 8 bits. Matrices are row-major
 * [rows][columns]. "Map" alone is not used: feature maps are `e3_features` [row][column][channel], attention maps are
 * `attn_map` [query][key]. An operation with no work is valid.
 *
 * Order. Operations return 0, or -1 with a text that names the operation; they may still be running when they return.
 * Within a branch they take effect in the order given. One frame, as lib/model/session.c gives it to the device while
 * pictures come faster than it computes:
 *
 *   caller     mark | ViT | heads, score mark | wait | choose mark wait, move | tokens | finish
 *   MAIN       [------- tokens -------]^mark            [------ tokens of the next frame ------
 *   CAMERA                             [---- camera head ----]
 *   EVICT                              [score]^mark [choose]^mark [move]
 *   DEPTH                              [------- depth head -------]
 *   POINT                              [------- point head -------]
 *   NEXT          [- ViT of the next frame -]
 *
 * The branches after POINT have the camera heads of further streams that are computed together. All run side by side.
 *
 *   mark      remembers this point of the current branch.
 *   wait      returns when everything before the last mark is done.
 *   branch    selects the branch that the next operations go to. The first use of another one than MAIN since `finish`
 *             starts after everything that was given before the last mark; between gather and launch all that are used
 *             start with the piece, and it ends when all have.
 *   finish    waits for all branches and returns to MAIN.
 *   ahead     selects a branch for work of the next frame, for which the next finish does not wait: NEXT, at once; or
 *             MAIN, after everything that was given to NEXT and to the current branch. What follows that finish in MAIN
 *             starts after both. NULL: the device cannot do that.
 *   gather    starts recording the operations; no wait until launch.
 *   launch    in the branch of gather: starts the recorded operations as one, which is cheaper than many small starts.
 *
 * What one branch writes, another may use after a wait for it or after finish. Results in host memory (fetch, dense,
 * score, choose) are there after finish, or after wait if they were asked for before mark. Host memory that an
 * operation only reads may be reused when the operation returns.
 */
#ifndef E3_DEV_H
#define E3_DEV_H

#include "e3/dtype.h"
#include "e3/err.h"
#include "e3/kv.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct e3_dev e3_dev;

/* Values of one type in device memory: a small handle, passed by value. Only a device may read or write through p (the
 * CPU's memory happens to be plain memory). p NULL: no tensor. */
typedef struct e3_tensor {
	uint8_t *p;
	e3_dtype dtype;
} e3_tensor;

/* The tensor from its value n on. */
static inline e3_tensor e3_tensor_at(e3_tensor t, size_t n)
{
	return (e3_tensor){t.p + n * e3_dtype_size(t.dtype), t.dtype};
}

/* f32 memory as a tensor, and back; NULL if the tensor has another type. */
static inline e3_tensor e3_tensor_f32(const float *p) { return (e3_tensor){(uint8_t *)(uintptr_t)p, E3_F32}; }
static inline float *e3_tensor_floats(e3_tensor t) { return t.dtype == E3_F32 ? (float *)(void *)t.p : NULL; }

/* Rows of f32 values: `ld` values from the start of one to the start of the next. What copy_rows reads may have ld 0:
 * all its rows are the same one. */
typedef struct e3_rows {
	float *p;
	int n, ld;
} e3_rows;

/* A feature map [h][w][c]. */
typedef struct e3_features {
	e3_tensor t;
	int h, w, c;
} e3_features;

/* Position features of a map of h × w pixels and c channels: x [w][c / 2] goes to the first half of the channels, y
 * [h][c / 2] to the second. Scaled by 0.1 already (7.1). */
typedef struct e3_uv {
	const float *x, *y;
} e3_uv;

typedef enum e3_act { E3_ACT_NONE, E3_ACT_GELU, E3_ACT_RELU, E3_ACT_SILU } e3_act;

/* LayerNorm over `dim` values: population variance, eps inside the root. w and b NULL: no affine part. */
typedef struct e3_norm {
	int dim;
	float eps;
	float *w, *b;
} e3_norm;

/* What a matrix is multiplied with, which decides the type that a backend keeps it in. */
typedef enum e3_role {
	E3_ROLE_EXACT,    /* anything; kept in f32 */
	E3_ROLE_ATTENDED, /* the output of attention: attn_dtype */
	E3_ROLE_ROW,      /* f32, one row at a time, where reading the weights is the cost: the camera head */
	E3_ROLE_FEATURES  /* features, or f32 that is rounded to their type: feature_dtype */
} e3_role;

/* Linear layer: y = x W^T + b, W [out][in]; b may be NULL. w comes from `weight`, or with E3_ROLE_EXACT also from alloc
 * and upload.
 *
 * In 8 bits (w.dtype E3_I8 or E3_F8) row o of W is scale[o] times the values of w, which the device lays out as it
 * likes; linear and qkv then round each row of their input (after the norm) to the same type with a scale of its own,
 * and multiply 8 bits by 8 bits (15). With E3_ROLE_ROW the input stays f32 and is one row, q and kv are f32 too, and
 * qkv has neither norms of heads nor rotation (15.4). No other operation takes such a matrix. */
typedef struct e3_mat {
	int out, in;
	e3_tensor w;
	float *b;
	e3_role role;
	e3_dtype packed; /* asks `weight` for 8 bits: E3_I8 or E3_F8; 0: the type of the role */
	float *scale;    /* [out], with w, or with the device; NULL but in 8 bits */
} e3_mat;

static inline bool e3_dtype_is_8(e3_dtype t) { return t == E3_I8 || t == E3_F8; }
/* In 8 bits, for an input that is not. */
static inline bool e3_is_row8(const e3_mat *m) { return m->role == E3_ROLE_ROW && e3_dtype_is_8(m->w.dtype); }

/* RGB [h][w][3] in host memory to normalised patches [h/patch * w/patch][3 * patch * patch], channel slowest (3.1, 4).
 */
typedef struct e3_patchify {
	const uint8_t *rgb;
	int h, w, patch;
	float *out;
} e3_patchify;

/* act(norm(x) W^T + b) -> out; with `add`: out += that (4, 5.2; LayerScale is in the matrix). */
typedef struct e3_linear {
	e3_tensor x;
	int rows, ldx;       /* ldx: values from one row of x to the next */
	const e3_norm *norm; /* or NULL */
	const e3_mat *mat;
	e3_act act;
	bool add; /* accumulate into out */
	e3_tensor out;
	int ldo;
} e3_linear;

/* LayerNorm, qkv projection, norm of q and k per head, 2D RoPE, keys and values into their slots (5.2, 5.3, 5.4). */
typedef struct e3_qkv {
	const float *x; /* [rows][dim] */
	int rows;
	const e3_norm *norm;
	const e3_mat *mat;              /* [3 dim][dim], output [q | k | v], each head-major */
	const e3_norm *q_norm, *k_norm; /* or NULL */
	const float *rope;    /* [rows][head_dim]: cos of head_dim/2 angles, then their sines (y half first); or NULL */
	e3_tensor q;          /* [heads][rows][head_dim] */
	const e3_kv *kv;      /* where k and v go */
	const uint32_t *slot; /* [rows] slot of each row's key (host memory) */
} e3_qkv;

/* Rows from one head of queries to the next. */
static inline int e3_q_step(int q_step, int rows) { return q_step ? q_step : rows; }

/* softmax(q K^T / sqrt(head_dim)) V over all keys -> out [rows][heads * head_dim]; on request the log-sum-exp of each
 * row. */
typedef struct e3_attend {
	e3_tensor q; /* [heads][rows][head_dim] */
	int rows;
	const e3_kv *kv;
	e3_tensor out;
	float *lse; /* [heads][rows], or NULL */
	/* Rows from one head of q to the next; 0: `rows`. So the queries may be a slice of those of more rows. */
	int q_step;
	/* So many sets of `rows` rows, one after the other in q and out, each of which sees a page of its own: n_keys keys
	 * in it, at most page_keys. No lse. 0: one. */
	int groups;
} e3_attend;

/* The mass of each key, recomputed from q, K and the log-sum-exp: sum over rows of the mean over heads of the
 * probability (9.1), in slot order. The probabilities are not stored, unless attn_map asks for their mean over heads.
 */
typedef struct e3_mass {
	e3_tensor q;
	int rows;
	const e3_kv *kv;
	const float *lse;
	float *mass;     /* [n_keys] */
	float *attn_map; /* [rows][n_keys], or NULL */
	int q_step;      /* as of e3_attend */
} e3_mass;

/* Tells whoever watches the device what the operations are computing (e3/watch.h); devices themselves ignore it.
 * Without a tensor a stage begins, with one it is a result of the stage. */
typedef struct e3_activation {
	const char *stage; /* vit, agg, camera, depth, point, evict */
	int index;         /* number of a block, level or iteration; -1: none */
	const char *part;  /* or NULL */
	e3_tensor t;
	int shape[3]; /* rows and columns, or height, width and channels; the unused ones are 0 */
	int ahead;    /* it belongs to a later frame than the current one: by so many (frames that start together) */
} e3_activation;

/* ---- eviction (doc/network.md 9.2, doc/design.md 4) ----
 * The device keeps the scores of the cached tokens and compares them; the caller decides how many tokens each layer
 * loses. A policy is data: what is measured, how it is summed up, how it is randomised, which tokens are protected. A
 * policy that combines the choices below differently is a row in a table (lib/model/policy.c) and needs no new kernel.
 */

/* What is measured of a token; tokens with the lowest scores are evicted first. */
typedef enum e3_measure {
	E3_MEASURE_NOTHING, /* every token counts the same: the score is the random number itself */
	E3_MEASURE_FRAME,   /* the frame that it came with: the oldest are evicted first */
	E3_MEASURE_MATCH,   /* how well its key fits the queries of this frame, without a softmax (`match`) */
	E3_MEASURE_NOVELTY, /* how unlike other keys it is; of a new token, how important (`novelty`) */
	E3_MEASURE_SHARE    /* the attention that it receives, relative to its layer's mean, averaged over the frames that
						   saw it; needs the masses */
} e3_measure;

/* How the shares of the frames are added up: exactly; or, as the released code does, in half precision, where a frame's
 * special tokens start with an infinite sum. */
typedef enum e3_sums { E3_SUMS_F64, E3_SUMS_F16 } e3_sums;

/* The random number of a token, the same in every frame. The measurement is divided by it (lib/dev/rank.h). */
typedef enum e3_dither {
	E3_DITHER_NONE,
	E3_DITHER_RANDOM, /* a hash of the token's id and the seed */
	E3_DITHER_EVEN    /* a dither pattern: spread evenly over picture and time */
} e3_dither;

/* score = measurement / dither, or sqrt(measurement) / dither. */
typedef struct e3_scoring {
	e3_measure measure;
	bool root;
	e3_dither dither;
	e3_sums sums;
} e3_scoring;

/* The score of each key of a layer becomes its match with this frame's queries (E3_MEASURE_MATCH): the inner product of
 * its mean over the heads with a mean query. That is the mean over the heads and over groups of rows: each of the first
 * `special` rows is a group, then every `pool` rows are, the last perhaps smaller (9.8). */
typedef struct e3_match {
	e3_tensor q; /* [heads][rows][head_dim] */
	int rows, special, pool;
	const e3_kv *kv; /* scored */
	int q_step;      /* as of e3_attend */
} e3_match;

/* The mean of a frame's keys in one layer. */
typedef struct e3_mean_keys {
	const e3_kv *kv;
	const uint32_t *slot; /* [n], host memory */
	int n;
	float *out; /* [heads * head_dim] */
} e3_mean_keys;

/* The score of each key of a layer becomes its novelty (E3_MEASURE_NOVELTY, 9.10). Of an old token: how unlike the mean
 * key its key is; of a token of frame t: its importance, patches smoothed over the grid; both scaled to 0 to 1/2 over
 * the tokens that are not protected. With no importance, or no old token: of all, 1 minus the likeness. */
typedef struct e3_novelty {
	const e3_kv *kv;         /* scored */
	const float *importance; /* [tokens of a frame], or NULL */
	double *mean;            /* alloc_host: of the scores; without importance of the likenesses */
} e3_novelty;

/* Whether the score of a token is what an operation made of it in this frame. */
static inline bool e3_scoring_is_given(const e3_scoring *s)
{
	return s->measure == E3_MEASURE_MATCH || s->measure == E3_MEASURE_NOVELTY;
}
static inline bool e3_scoring_needs_mass(const e3_scoring *s) { return s->measure == E3_MEASURE_SHARE; }

/* How tokens are scored and which are protected: those of frame 0 unless `free_first`, and the first `special` of each
 * of the newest `protected_frames` frames. A token's id is frame * tokens + index. */
#define E3_ALL_FRAMES INT64_MAX
typedef struct e3_rule {
	e3_scoring scoring;
	bool protected_last; /* protected tokens may be evicted too, after all others (the released code) */
	uint32_t tokens, special;
	uint32_t columns;         /* of the grid of patches, which follow the special tokens row by row */
	int64_t t;                /* the frame that was just computed */
	int64_t protected_frames; /* or E3_ALL_FRAMES */
	bool newest_whole;        /* and all tokens of frame t */
	bool free_first;
	uint32_t seed; /* of random numbers: each gives another draw */
} e3_rule;

typedef struct e3_layer_stat {
	double variance;          /* population variance of the mass; 0 without one */
	uint32_t prot, saturated; /* protected; not protected but with an infinite sum */
} e3_layer_stat;

/* New tokens of one layer, with ids from first_id on. They have no score yet; those of frame 0 (first_id 0) have an
 * infinite one unless `free_first`. */
typedef struct e3_entered {
	const e3_kv *kv;
	const uint32_t *slot; /* [n], host memory */
	int n;
	uint32_t first_id;
	bool free_first;
} e3_entered;

/* One layer to be scored: adds this frame's share to every slot. */
typedef struct e3_scored {
	const e3_kv *kv;
	const float *mass;   /* [n_keys]; NULL unless the scoring needs it */
	e3_layer_stat *stat; /* in alloc_host memory */
} e3_scored;

typedef struct e3_evict_choice {
	uint32_t removed; /* as many as asked for, or all that may be evicted if there are fewer */
	float score_q[9]; /* quantiles 0 1 5 25 50 75 95 99 100 % of the finite scores; NaN when there are none */
	float max_evicted, min_kept; /* finite scores; NaN when there are none */
} e3_evict_choice;

/* One layer to choose from: the `remove` slots with the lowest (score, id) of those that may be evicted. Results in
 * alloc_host memory. */
typedef struct e3_chosen {
	const e3_kv *kv;
	int remove;
	uint32_t *slot, *id; /* [remove] in that order */
	e3_evict_choice *choice;
} e3_chosen;

/* Convolution 3×3, padding 1 (7): out = act(conv(x or relu(x)) + b) + resid or relu(resid) + plus. */
typedef struct e3_conv {
	e3_features x;
	int resize[2];     /* rows, columns that x is resized to first (bilinear, align corners); 0: as it is */
	const e3_mat *mat; /* [out][3 * 3 * in], taps row by row, channels innermost */
	int stride;        /* 1 or 2: out is (h-1)/stride+1 × (w-1)/stride+1 of what x is then */
	bool relu_in;
	e3_act act;
	e3_tensor resid; /* same shape as out, or none */
	bool relu_resid;
	e3_tensor plus; /* same shape as out, or none */
	e3_features out;
} e3_conv;

/* The end of a dense head (7, "Tail"): z resized (bilinear, align corners) to H × W, plus position features, conv 3×3
 * to `conv->out` channels, ReLU, 1×1 to n+1 channels, then exp (n = 1) or sign·expm1 (n = 3), and 1 + exp for the
 * confidence. Results in host memory. */
typedef struct e3_dense {
	e3_features z;
	e3_uv uv; /* of H × W pixels and z.c channels */
	const e3_mat *conv, *out;
	int H, W;
	float *value; /* [H][W][n], from alloc_host */
	float *conf;  /* [H][W], from alloc_host */
} e3_dense;

/* Frames of several streams in one operation at most; a piece for each number of them. */
enum { E3_LANES = 8, E3_PIECES = 4 * E3_LANES };
enum { E3_BRANCH_MAIN, E3_BRANCH_CAMERA, E3_BRANCH_EVICT, E3_BRANCH_POINT };
enum { E3_BRANCH_DEPTH = 3 + E3_LANES, E3_BRANCH_NEXT, E3_BRANCHES };

/* Bytes of the memory that the device works in: in use (by all processes, as the device reports it; by this one on the
 * CPU), and in all. */
typedef struct e3_memory {
	uint64_t used, total;
} e3_memory;

typedef struct e3_dev_ops {
	const char *(*name)(e3_dev *);
	void (*close)(e3_dev *);
	e3_memory (*memory)(e3_dev *);

	/* n values: zeroed, aligned to 64 bytes. free and free_host accept NULL. */
	int (*alloc)(e3_dev *, e3_dtype, size_t n, e3_tensor *out, e3_err *);
	void (*free)(e3_dev *, void *p);
	int (*upload)(e3_dev *, e3_tensor to, const void *from, size_t n, e3_err *);
	int (*download)(e3_dev *, void *to, e3_tensor from, size_t n, e3_err *); /* complete when it returns */
	/* Allocates mat->w (and mat->scale) and fills it from f32 [mat->out][mat->in] in host memory, as mat->role and
	 * mat->packed ask; `free` of mat->w.p releases it. The scales go with it, or with the device. */
	int (*weight)(e3_dev *, const float *from, e3_mat *mat, e3_err *);
	/* Host memory that results can be written to while the caller goes on; zeroed. */
	int (*alloc_host)(e3_dev *, size_t bytes, void **out, e3_err *);
	void (*free_host)(e3_dev *, void *);
	/* A download into alloc_host memory, in the order of the branch. */
	int (*fetch)(e3_dev *, void *to, e3_tensor from, size_t n, e3_err *);
	int (*copy)(e3_dev *, e3_tensor to, e3_tensor from, size_t n, e3_err *);

	/* The order of work: see the timeline above. `which` of gather is below E3_PIECES and names pieces that are alike
	 * from frame to frame. */
	int (*mark)(e3_dev *, e3_err *);
	int (*wait)(e3_dev *, e3_err *);
	int (*branch)(e3_dev *, int which, e3_err *);
	int (*finish)(e3_dev *, e3_err *);
	int (*ahead)(e3_dev *, int which, e3_err *);
	int (*gather)(e3_dev *, int which, e3_err *);
	int (*launch)(e3_dev *, e3_err *);

	int (*note)(e3_dev *, const e3_activation *, e3_err *);

	int (*patchify)(e3_dev *, const e3_patchify *, e3_err *);
	int (*linear)(e3_dev *, const e3_linear *, e3_err *);
	int (*norm)(e3_dev *, e3_rows x, const e3_norm *, e3_rows out, e3_err *);
	int (*copy_rows)(e3_dev *, e3_rows x, int dim, e3_rows out, e3_err *); /* the first dim values of each row */
	int (*mean_rows)(e3_dev *, e3_rows x, int dim, float *out, e3_err *);  /* of the first dim values of each row */
	int (*qkv)(e3_dev *, const e3_qkv *, e3_err *);
	int (*attend)(e3_dev *, const e3_attend *, e3_err *);
	int (*mass)(e3_dev *, const e3_mass *, e3_err *);
	int (*match)(e3_dev *, const e3_match *, e3_err *);
	int (*mean_keys)(e3_dev *, const e3_mean_keys *, int layers, e3_err *);
	/* out[r] = the length of row r of `after` minus row r of `before`, [rows][dim] both. */
	int (*shift)(e3_dev *, e3_rows before, e3_rows after, int dim, float *out, e3_err *);
	int (*novelty)(e3_dev *, const e3_rule *, const e3_novelty *, int layers, e3_err *);
	/* Moves the key and value (and scores) of slot from[k] to slot to[k], k = 0..n-1 (host memory). */
	int (*move)(e3_dev *, const e3_kv *, const uint32_t *from, const uint32_t *to, int n, e3_err *);
	/* out = p + g * (LN(p; no affine, 1e-6) * (1 + b) + a), mod = [a | b | g] (6). */
	int (*modulate)(e3_dev *, const float *p, const float *mod, int dim, float *out, e3_err *);

	int (*conv)(e3_dev *, const e3_conv *, e3_err *);
	/* Transposed convolution, kernel k + 2, stride k, padding 1 (7): out is k times as high and wide. mat [(k + 2)^2 *
	 * out][in]; bias [4][4][out], by whether a row has one above it (1), below it (2), and the same of columns. */
	int (*deconv)(e3_dev *, e3_features x, const e3_mat *, e3_features out, e3_err *);
	int (*upsample)(e3_dev *, e3_features x, e3_features out, e3_err *); /* bilinear, align corners */
	int (*add_uv)(e3_dev *, e3_features x, e3_uv, e3_err *);             /* x += uv */
	int (*dense)(e3_dev *, const e3_dense *, e3_err *);

	int (*enter)(e3_dev *, const e3_entered *, int layers, e3_err *);
	/* Allocates what score and choose need for up to `keys` keys over all layers. */
	int (*reserve)(e3_dev *, size_t keys, e3_err *);
	int (*score)(e3_dev *, const e3_rule *, const e3_scored *, int layers, e3_err *);
	int (*choose)(e3_dev *, const e3_rule *, const e3_chosen *, int layers, e3_err *);
} e3_dev_ops;

/* How work on a slow device is given up: while `armed`, once stop() is not 0, operations leave
 * out what they have not begun; then `wait` or `finish` fails, and what was computed since the last one is worthless.
 */
typedef struct e3_halt {
	int (*stop)(void);
	bool armed;
} e3_halt;

/* Every backend's private state begins with this. */
struct e3_dev {
	const e3_dev_ops *ops;
	e3_dtype attn_dtype, feature_dtype;
	e3_halt *halt; /* NULL: work is never given up. The CPU has one, whose stop is NULL at first */
	/* The bits of a product's row depend on how many rows it has: frames of several streams are computed one after the
	 * other, so that each is what it is alone. */
	bool apart;
	bool branches; /* they run side by side; else one operation after the other */
};

/* f32 memory: alloc for float *. */
static inline int e3_dev_floats(e3_dev *dev, size_t n, float **out, e3_err *err)
{
	e3_tensor t = {0};
	int rc = dev->ops->alloc(dev, E3_F32, n, &t, err);
	*out = e3_tensor_floats(t);
	return rc;
}

/* What a plug-in exports under the name e3_dev_plugin_cuda. The number changes with anything in this file. */
#define E3_DEV_ABI 27
typedef struct e3_dev_plugin {
	int abi;
	e3_dev *(*open)(bool strict, e3_err *err);
} e3_dev_plugin;

/* The CUDA backend, from its plug-in. strict: f32 throughout, not f16. NULL with "no CUDA device: why". */
e3_dev *e3_dev_cuda(bool strict, e3_err *err);

/* threads 0: one for each processor that this process may use. */
e3_dev *e3_dev_cpu(int threads, e3_err *err);
/* Before weights are given to it: products with weights of the roles ATTENDED and FEATURES take bf16 and sum in f32;
 * everything else stays f32. -1 where the processor has no such products. */
int e3_dev_cpu_bf16(e3_dev *dev, e3_err *err);
/* Stands for the CPU in a plan: counts the memory that is asked of it, and computes nothing; results are zeros. */
e3_dev *e3_dev_hollow(e3_err *err);
void e3_dev_hollow_bf16(e3_dev *dev); /* as e3_dev_cpu_bf16, on any processor */
void e3_dev_close(e3_dev *dev);

#endif
