/* dev: the seam between the network and the machine it runs on.
 *
 * A device is a table of operations and a private state. The model code exists once and calls only these; each
 * operation is as coarse as a good backend needs for fusing. Two backends: the CPU (here, the oracle) and CUDA (a
 * plug-in that fills the same table). Mathematics: doc/network.md; the section is named beside each operation.
 *
 * Memory: pointers from `alloc` belong to the device and only the device's operations may read or write through them
 * (on the CPU they happen to be plain memory). Everything is f32, but for activations that only matter for products,
 * which have a type of the backend (e3_dev.attn_dtype, feature_dtype; f32 on the CPU and in strict mode): "short" are
 * queries, keys, values and attention's output unless the e3_kv is exact, and what e3_linear says; maps are what conv,
 * deconv, upsample, add_uv and dense work on, what lies between the two products of an MLP, and what e3_linear says.
 * Weights are handed over as f32; `weight` keeps them in the type that suits their use. Matrices are row-major
 * [rows][columns]; maps are [row][column][channel]. An operation with no work is valid.
 *
 * Order: operations return 0, or -1 with a text that names the operation; they may still be running when they return.
 * They take effect in the order they were given, within a branch. Results in host memory (`fetch`, `dense`) are there
 * after `finish`, or after `wait` if they were asked for before `mark`. Host memory handed to an operation may be
 * reused when it returns, unless the operation writes to it.
 */
#ifndef E3_DEV_H
#define E3_DEV_H

#include "e3/dtype.h"
#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct e3_dev e3_dev;

typedef enum e3_act { E3_ACT_NONE, E3_ACT_GELU, E3_ACT_RELU, E3_ACT_SILU } e3_act;

/* LayerNorm over `dim` values: population variance, eps inside the root. w and b NULL: no affine. */
typedef struct e3_norm {
	int dim;
	float eps;
	float *w, *b;
} e3_norm;

/* The type of an activation. Pointers are float * all the same; e3_dtype_floats says how many floats hold n values. */
static inline size_t e3_dtype_floats(e3_dtype t, size_t n) { return t == E3_F32 ? n : (n + 1) / 2; }

/* What a matrix is for, which decides the type a backend keeps it in: f32; products with short activations; with one
 * row at a time, where reading the weights is the cost (the camera head); with maps, or f32 that will be rounded as
 * maps are. */
typedef enum e3_use { E3_USE_ANY, E3_USE_SHORT, E3_USE_ROW, E3_USE_MAPS } e3_use;

/* Linear layer: y = x W^T + b, W [out][in]; b may be NULL. w comes from `weight`, or with E3_USE_ANY from alloc and
 * upload. */
typedef struct e3_mat {
	int out, in;
	float *w, *b;
	e3_use use;
} e3_mat;

/* Keys and values of one attention layer: a list of pages. A page holds K [heads][page_keys][head_dim], then V the
 * same. Keys 0..n_keys-1 lie one after the other through the pages: slot k is row k % page_keys of page k / page_keys.
 * A scored page goes on with what eviction knows of each slot: the sum of its scores (f64 [page_keys]), its token id,
 * and the frames that saw it (u32). */
typedef struct e3_kv {
	float *const *page;
	int page_keys, n_keys;
	int heads, head_dim;
	bool exact;  /* f32 throughout: the camera head */
	bool scored; /* page_keys is even */
} e3_kv;

/* Floats of K and V in one page of a type; the scores, if there are any, begin there and take 4 floats for each key. */
static inline size_t e3_page_floats(e3_dtype type, const e3_kv *kv)
{
	return e3_dtype_floats(type, 2 * (size_t)kv->heads * (size_t)kv->head_dim * (size_t)kv->page_keys);
}

/* act(norm(x) W^T + b) -> out; with `add`: out += that. (doc/network.md 4, 5.2; LayerScale is in the matrix) */
typedef struct e3_linear {
	const float *x;
	int rows, ldx;       /* ldx: floats from one row of x to the next */
	const e3_norm *norm; /* or NULL */
	const e3_mat *mat;
	e3_act act;
	bool add; /* accumulate into out */
	float *out;
	int ldo;
	bool x_short, out_short; /* the type of x and of out, ... */
	bool x_map, out_map;     /* ... at most one of each; out is f32 with `add` */
} e3_linear;

/* LayerNorm, qkv projection, norm of q and k per head, 2D RoPE, keys and values into their slots. (5.2, 5.3, 5.4) */
typedef struct e3_qkv {
	const float *x; /* [rows][dim] */
	int rows;
	const e3_norm *norm;
	const e3_mat *mat;              /* [3 dim][dim], output [q | k | v], each head-major */
	const e3_norm *q_norm, *k_norm; /* or NULL */
	const float *rope;    /* [rows][head_dim]: cos of head_dim/2 angles, then their sines (y half first); or NULL */
	float *q;             /* [heads][rows][head_dim] */
	const e3_kv *kv;      /* where k and v go */
	const uint32_t *slot; /* [rows] slot of each row's key (host memory) */
} e3_qkv;

/* softmax(q K^T / sqrt(head_dim)) V over all keys -> out [rows][heads * head_dim]; on request the log-sum-exp of each
 * row. */
typedef struct e3_attend {
	const float *q; /* [heads][rows][head_dim] */
	int rows;
	const e3_kv *kv;
	float *out;
	float *lse; /* [heads][rows], or NULL */
} e3_attend;

/* The mass of each key, recomputed from q, K and the log-sum-exp: sum over rows of the mean over heads of the
 * probability (9.1). No score matrix is stored, unless `map` asks for the head-averaged one. Slot order. */
typedef struct e3_mass {
	const float *q;
	int rows;
	const e3_kv *kv;
	const float *lse;
	float *mass; /* [n_keys] */
	float *map;  /* [rows][n_keys], or NULL */
} e3_mass;

/* ---- eviction (doc/network.md 9.2, doc/design.md 4) ----
 * The device keeps the scores of the cached tokens and compares them; the caller decides how many tokens each layer
 * loses. A policy is data: what is measured, how it is summed up, how it is randomised, which tokens are protected. A
 * policy that combines the choices below differently is a row in a table (lib/model/policy.c) and needs no new kernel.
 */

/* What is measured of a token; the lowest scores leave first. */
typedef enum e3_measure {
	E3_MEASURE_NOTHING, /* every token counts the same: the score is the random number itself */
	E3_MEASURE_FRAME,   /* the frame that it came with: the oldest leave first */
	E3_MEASURE_SHARE    /* the attention that it receives, relative to its layer's mean, averaged over the frames that
						   saw it; needs the masses */
} e3_measure;

/* How the shares of the frames are added up: exactly; or, as the released code does, in half precision, where a frame's
 * special tokens start with an infinite sum. */
typedef enum e3_sums { E3_SUMS_F64, E3_SUMS_F16 } e3_sums;

/* The random number of a token, the same in every frame. The measurement is divided by it (lib/dev/rank.h). */
typedef enum e3_dither {
	E3_DITHER_NONE,
	E3_DITHER_RANDOM, /* a hash of the token's id */
	E3_DITHER_EVEN    /* a dither pattern: spread evenly over picture and time */
} e3_dither;

/* score = measurement / dither, or sqrt(measurement) / dither. */
typedef struct e3_scoring {
	e3_measure measure;
	bool root;
	e3_dither dither;
	e3_sums sums;
} e3_scoring;

static inline bool e3_scoring_needs_mass(const e3_scoring *s) { return s->measure == E3_MEASURE_SHARE; }

/* How tokens are scored and which are protected: those of frame 0, and the first `special` of each of the newest
 * `protected_frames` frames. A token's id is frame * tokens + index. */
#define E3_ALL_FRAMES INT64_MAX
typedef struct e3_rule {
	e3_scoring scoring;
	bool protected_last; /* protected tokens may leave too, after all others (the released code) */
	uint32_t tokens, special;
	uint32_t columns;         /* of the grid of patches, which follow the special tokens row by row */
	int64_t t;                /* the frame that was just computed */
	int64_t protected_frames; /* or E3_ALL_FRAMES */
} e3_rule;

typedef struct e3_layer_stat {
	double variance;          /* population variance of the mass; 0 without one */
	uint32_t prot, saturated; /* protected; not protected but with an infinite sum */
} e3_layer_stat;

/* Tokens that have come into one layer, with ids from first_id on: no score yet; those of frame 0 (first_id 0) an
 * infinite one. */
typedef struct e3_entered {
	const e3_kv *kv;
	const uint32_t *slot; /* [n], host memory */
	int n;
	uint32_t first_id;
} e3_entered;

/* One layer to be scored: adds this frame's share to every slot. */
typedef struct e3_scored {
	const e3_kv *kv;
	const float *mass;   /* [n_keys]; NULL unless the scoring needs it */
	e3_layer_stat *stat; /* in alloc_host memory */
} e3_scored;

typedef struct e3_choice {
	uint32_t removed; /* as many as asked for, or all that may leave if they are fewer */
	float score_q[9]; /* quantiles 0 1 5 25 50 75 95 99 100 % of the finite scores; NaN when there are none */
	float max_evicted, min_kept; /* finite scores; NaN when there are none */
} e3_choice;

/* One layer to choose from: the `remove` slots with the lowest (score, id) of those that may leave. Results in
 * alloc_host memory. */
typedef struct e3_chosen {
	const e3_kv *kv;
	int remove;
	uint32_t *slot, *id; /* [remove] in that order */
	e3_choice *choice;
} e3_chosen;

/* Convolution 3×3, padding 1 (7): out = act(conv(x or relu(x)) + b) + resid or relu(resid) + plus. */
typedef struct e3_conv {
	const float *x;
	int h, w;
	const e3_mat *mat; /* [out][3 * 3 * in], taps row by row, channels innermost */
	int stride;        /* 1 or 2: out is (h-1)/stride+1 × (w-1)/stride+1 */
	bool relu_in;
	e3_act act;
	const float *resid; /* same shape as out, or NULL */
	bool relu_resid;
	const float *plus; /* same shape as out, or NULL */
	float *out;
} e3_conv;

/* The end of a dense head (7, "Tail"): z [h][w][c] resized (bilinear, align corners) to H × W, plus 0.1 UV, conv 3×3 to
 * `hidden`, ReLU, 1×1 to n+1 channels, then exp (n = 1) or sign·expm1 (n = 3), and 1 + exp for the confidence. Results
 * in host memory. */
typedef struct e3_dense {
	const float *z;
	int h, w, c;
	const float *uv_x,
		*uv_y; /* [W][c/2], [H][c/2], scaled by 0.1 already; channels 0..c/2-1 take uv_x, the rest uv_y */
	const e3_mat *conv, *out;
	int H, W;
	float *value; /* [H][W][n], from alloc_host */
	float *conf;  /* [H][W], from alloc_host */
} e3_dense;

enum { E3_BRANCHES = 3, E3_PIECES = 4 };

/* Bytes of the memory the device works in: in use (by everybody, as the device tells it; of this process on the CPU),
 * and in all. */
typedef struct e3_memory {
	uint64_t used, total;
} e3_memory;

typedef struct e3_dev_ops {
	const char *(*name)(e3_dev *);
	void (*close)(e3_dev *);
	e3_memory (*memory)(e3_dev *);

	int (*alloc)(e3_dev *, size_t floats, float **out, e3_err *); /* zeroed, aligned to 64 bytes */
	void (*free)(e3_dev *, float *);                              /* NULL is fine, as it is for free_host */
	int (*upload)(e3_dev *, float *to, const float *from, size_t n, e3_err *);
	/* Allocates mat->w and fills it from f32 [mat->out][mat->in] in host memory, for mat->use; `free` lets it go. */
	int (*weight)(e3_dev *, const float *from, e3_mat *mat, e3_err *);
	int (*download)(e3_dev *, float *to, const float *from, size_t n, e3_err *); /* complete when it returns */
	/* Host memory that results can be written to while the caller goes on; zeroed. */
	int (*alloc_host)(e3_dev *, size_t bytes, void **out, e3_err *);
	void (*free_host)(e3_dev *, void *);
	int (*fetch)(e3_dev *, float *to, const float *from, size_t n,
		e3_err *); /* download into alloc_host memory, in order */
	/* mark remembers this point of the branch at hand; wait returns when everything before the last mark is done. */
	int (*mark)(e3_dev *, e3_err *);
	int (*wait)(e3_dev *, e3_err *);
	/* What is given after branch(1) or branch(2) may run beside the other branches, but after all that was given before
	 * the last mark when the branch is first gone to since `finish`. finish waits for all branches and goes back to
	 * branch 0. What one branch writes another may use after a wait for it, or after finish. */
	int (*branch)(e3_dev *, int which, e3_err *);
	int (*finish)(e3_dev *, e3_err *);
	/* What is given from gather to launch, to one branch and without waiting, may be held back until launch and started
	 * as one piece, which takes the device less time; `which`, below E3_PIECES, names pieces that are alike from frame
	 * to frame. */
	int (*gather)(e3_dev *, int which, e3_err *);
	int (*launch)(e3_dev *, e3_err *);
	int (*copy)(e3_dev *, float *to, const float *from, size_t n, e3_err *);

	/* u8 RGB [h][w][3] in host memory -> normalised patches [h/p * w/p][3 * p * p], channel slowest (3.1, 4). */
	int (*patchify)(e3_dev *, const uint8_t *rgb, int h, int w, int patch, float *out, e3_err *);
	int (*linear)(e3_dev *, const e3_linear *, e3_err *);
	/* out [rows][dim] (ldo) = norm(x [rows][dim] (ldx)) */
	int (*norm)(e3_dev *, const float *x, int ldx, int rows, const e3_norm *, float *out, int ldo, e3_err *);
	/* Rows of `dim` floats, strided on both sides. */
	int (*copy_rows)(e3_dev *, const float *x, int ldx, int rows, int dim, float *out, int ldo, e3_err *);
	int (*qkv)(e3_dev *, const e3_qkv *, e3_err *);
	int (*attend)(e3_dev *, const e3_attend *, e3_err *);
	int (*mass)(e3_dev *, const e3_mass *, e3_err *);
	/* Moves the key and value (and scores) of slot from[k] to slot to[k], k = 0..n-1 (host memory). */
	int (*move)(e3_dev *, const e3_kv *, const uint32_t *from, const uint32_t *to, int n, e3_err *);
	/* out = p + g * (LN(p; no affine, 1e-6) * (1 + b) + a), mod = [a | b | g] (6). */
	int (*modulate)(e3_dev *, const float *p, const float *mod, int dim, float *out, e3_err *);

	int (*conv)(e3_dev *, const e3_conv *, e3_err *);
	/* Transposed convolution with kernel = stride = k: mat [k * k * out][in], tap row, tap column, channel; bias [out]
	 * in mat->b. */
	int (*deconv)(e3_dev *, const float *x, int h, int w, const e3_mat *, int k, float *out, e3_err *);
	/* Bilinear, align corners. */
	int (*upsample)(e3_dev *, const float *x, const int from[2], int c, float *out, const int to[2], e3_err *);
	/* x [h][w][c] += uv (see e3_dense). */
	int (*add_uv)(e3_dev *, float *x, int h, int w, int c, const float *uv_x, const float *uv_y, e3_err *);
	int (*dense)(e3_dev *, const e3_dense *, e3_err *);

	int (*enter)(e3_dev *, const e3_entered *, int layers, e3_err *);
	/* score and choose will be given no more than `keys` keys over all layers: memory they need for that is made now.
	 */
	int (*reserve)(e3_dev *, size_t keys, e3_err *);
	int (*score)(e3_dev *, const e3_rule *, const e3_scored *, int layers, e3_err *);
	int (*choose)(e3_dev *, const e3_rule *, const e3_chosen *, int layers, e3_err *);
} e3_dev_ops;

/* Every backend's private state begins with this. */
struct e3_dev {
	const e3_dev_ops *ops;
	e3_dtype attn_dtype, feature_dtype;
};

/* What a plug-in exports under the name e3_dev_plugin_cuda. The number changes with anything in this file. */
#define E3_DEV_ABI 9
typedef struct e3_dev_plugin {
	int abi;
	e3_dev *(*open)(bool strict, e3_err *err);
} e3_dev_plugin;

/* The CUDA backend, from its plug-in. strict: f32 throughout instead of bf16 products. NULL with "no CUDA device: why".
 */
e3_dev *e3_dev_cuda(bool strict, e3_err *err);

/* threads 0: one for each processor this process may use. */
e3_dev *e3_dev_cpu(int threads, e3_err *err);
void e3_dev_close(e3_dev *dev);

#endif
