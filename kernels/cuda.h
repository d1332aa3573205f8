/* kernels: what the files of the CUDA backend share: its state, errors, scratch memory, staging, types.
 *
 * Every operation only enqueues work on the stream of the current branch. Scratch memory grows when a shape is first
 * seen and stays; small arrays from the host (slots, page tables, pictures) go through a pinned ring that `finish`
 * rewinds. What lies between gather and launch is captured into a graph once the memory has stopped growing; the graph
 * of the frame before is brought up to date and started.
 */
#ifndef E3_KERNELS_CUDA_H
#define E3_KERNELS_CUDA_H

extern "C" {
#include "dev/check.h"
#include "e3/dev.h"
}
#include "attend.h"
#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

typedef __nv_bfloat16 bf16;
typedef __half f16;

/* Scratch memory of a branch, by what it holds while an operation runs. */
enum {
	SCRATCH_INPUT,
	SCRATCH_PRODUCT,
	SCRATCH_ATTEND,
	SCRATCH_LT,
	SCRATCH_FEATURES,
	SCRATCH_SPLIT,
	SCRATCH_RESULT,
	SCRATCH_CHOOSE,
	SCRATCH_MATCH,
	SCRATCH_PACK,
	SCRATCH_WIDE,
	SCRATCH_KINDS
};
enum { E3_LAYERS_MOST = 256, RETIRED_MOST = 64, PARTS_MOST = 8 };

typedef struct e3_cuda_scratch {
	void *p;
	size_t size;
} e3_cuda_scratch;

/* An array that lies in the ring already. */
typedef struct e3_staged {
	uint64_t hash;
	size_t at, size;
	int branch;
} e3_staged;

typedef struct e3_ring {
	char *host, *device;
	size_t size, used, sent; /* what lies from `sent` to `used` is not on the device yet */
	size_t limit;            /* what lies from here on is still wanted, or the end */
	e3_staged seen[256];
	int n_seen;
} e3_ring;

/* Two halves of a buffer through which weights go to the device; released when a session opens. */
typedef struct e3_cuda_upload {
	float *host[2], *device[2]; /* f32 */
	cudaEvent_t done[2];
	int next;
} e3_cuda_upload;

/* Memory for the scales of matrices in 8 bits. */
typedef struct e3_cuda_scales {
	char *p[64];
	int n;
	size_t used; /* of the last */
} e3_cuda_scales;

/* Memory that matrices share: the driver gives it in pieces of 2 MiB, and many matrices are no multiple of that. What
 * one leaves behind is free when its chunk has none any more. */
typedef struct e3_cuda_shared {
	struct {
		char *p;
		size_t used;
		int live; /* matrices in it */
	} * chunk;
	int n, cap;
} e3_cuda_shared;

struct e3_gemm_plan;

typedef struct e3_cuda {
	e3_dev dev; /* first: the public part */
	e3_attend_dev attend;
	bool strict;
	size_t shared_most; /* bytes of shared memory a block may have */
	void *encode_tiled; /* the driver's maker of tensor maps, or NULL */
	char label[280];
	cublasLtHandle_t lt;
	struct e3_gemm_plan *plan;
	int n_plans, cap_plans;
	bool lacks8[2]; /* cuBLASLt multiplies no int8, no e4m3 on this GPU */
	cudaStream_t stream[E3_BRANCHES];
	cudaEvent_t marked;
	int branch;
	bool is_marked, begun[E3_BRANCHES]; /* since the last finish */
	int gathering;                      /* 1 + the piece that is being gathered, or 0 */
	int origin;                         /* in this branch; which others belong to the piece: */
	bool joined[E3_BRANCHES];
	cudaEvent_t gathered[E3_BRANCHES]; /* where the piece begins, and where the others end */
	int steady;                        /* frames since memory of the backend's own last grew */
	int part, blocks;                  /* of the piece: which is being gathered, and how much it has got */
	cudaGraphExec_t piece[E3_PIECES][PARTS_MOST];
	void *retired[RETIRED_MOST]; /* device memory that gathered work may still use: freed by finish */
	int n_retired;
	e3_cuda_scratch scratch[E3_BRANCHES][SCRATCH_KINDS];
	e3_ring ring;
	e3_cuda_upload upload;
	e3_cuda_scales scales;
	e3_cuda_shared shared;
	cudaStream_t staging; /* copies of a piece wait for nothing */
	cudaEvent_t staged;
	cudaEvent_t early;         /* where that ends which the next frame's work waits for */
	bool goes_on[E3_BRANCHES]; /* past the next finish: it is of the next frame */
	bool is_ahead;             /* one of them does, */
	size_t ahead_from;         /* and what it needs lies in the ring from here on */
} e3_cuda;

static inline e3_cuda *e3_cuda_of(e3_dev *dev) { return (e3_cuda *)(void *)dev; }
static inline cudaStream_t e3_cuda_stream(const e3_cuda *c) { return c->stream[c->branch]; }

/* plugin.cu. Each returns 0 or -1 with a text. */
int e3_cuda_fail(e3_err *err, const char *what, cudaError_t code);
int e3_cuda_scratch_get(e3_cuda *c, int kind, size_t bytes, void **out, e3_err *err); /* zeroed when it is allocated */
/* The next finish waits for all. */
void e3_cuda_stay(e3_cuda *c);
/* Before a block of the network: what was gathered so far is started if it is enough. */
int e3_cuda_cut(e3_cuda *c, e3_err *err);
/* ring.cu. After the device was waited for it begins again, or goes on around what was put into it ahead. */
int e3_cuda_ring_open(e3_cuda *c, size_t size, e3_err *err);
void e3_cuda_ring_rewind(e3_cuda *c);
/* Copies an array in host memory to where kernels of this branch can read it, good until finish. */
int e3_cuda_stage(e3_cuda *c, const void *from, size_t bytes, const void **out, e3_err *err);
int e3_cuda_stage_kv(e3_cuda *c, const e3_kv *kv, e3_attend_kv *out, e3_err *err);
/* Several arrays in one copy: put each, then send. */
int e3_cuda_put(e3_cuda *c, const void *from, size_t bytes, const void **out, e3_err *err);
int e3_cuda_put_kv(e3_cuda *c, const e3_kv *kv, e3_attend_kv *out, e3_err *err);
int e3_cuda_send(e3_cuda *c, e3_err *err);

#define E3_TRY(call, what) \
	do { \
		cudaError_t code_ = (call); \
		if (code_ != cudaSuccess) \
			return e3_cuda_fail(err, what, code_); \
	} while (0)
/* After a launch. */
#define E3_LAUNCHED(what) E3_TRY(cudaGetLastError(), what)

void e3_cuda_upload_close(e3_cuda *c);
void e3_cuda_scales_close(e3_cuda *c);
/* Is p a matrix in shared memory? Then it is released. */
bool e3_cuda_shared_free(e3_cuda *c, const void *p);
void e3_cuda_shared_close(e3_cuda *c);
/* weight.cu: the type that the role of a matrix asks for (later it is mat->w.dtype), and values from one row to the
 * next.
 */
static inline e3_dtype e3_cuda_weight_type(const e3_cuda *c, const e3_mat *m)
{
	if (e3_dtype_is_8(m->packed))
		return m->packed;
	return c->strict || m->role == E3_ROLE_EXACT ? E3_F32 : E3_F16;
}
static inline int e3_cuda_padded(int n) { return (n + 7) & ~7; }
static inline int e3_cuda_ld_of(e3_dtype type, int in)
{
	return type == E3_F32 ? in : e3_dtype_is_8(type) ? (in + 15) & ~15 : e3_cuda_padded(in);
}
static inline int e3_cuda_weight_ld(const e3_mat *m) { return e3_cuda_ld_of(m->w.dtype, m->in); }

/* norm.cu: rows of x, normalised if `norm` is not NULL, to rows of another type; columns from dim up to `width` become
 * zero. */
typedef struct e3_convert {
	const void *x;
	e3_dtype x_type;
	int ldx, rows, dim;
	const e3_norm *norm;
	void *out;
	e3_dtype out_type;
	int ldo, width;
} e3_convert;
int e3_cuda_convert(e3_cuda *c, const e3_convert *r, e3_err *err);

/* gemm.cu: d [rows][out] = x [rows][in] w^T (+ bias), or d += that; x and w of one type, d f32 or of that type; of int8
 * d is int32, of e4m3 f32, and neither is added to, where the GPU can (no algorithm: it fails). Row starts of x and w
 * must be aligned to 16 bytes unless f32. */
typedef struct e3_gemm {
	const void *x, *w;
	e3_dtype type;
	int rows, in, out, ldx, ldw;
	const float *bias; /* only with f32 d */
	bool add;          /* only with f32 d */
	void *d;
	e3_dtype d_type;
	int ldd;
} e3_gemm;
int e3_cuda_gemm(e3_cuda *c, const e3_gemm *g, e3_err *err);
void e3_cuda_gemm_close(e3_cuda *c);

/* gemm_wgmma.cu: the same for f16 on Hopper, with what follows: act(x w^T + bias) -> d;
 * with `place` to queries and cache (heads of 64). x, w and d aligned to 16 bytes, as are their rows. */
struct place_args;
typedef struct e3_tiles {
	const void *x, *w;
	int rows, in, out, ldx, ldw;
	const float *bias;
	e3_act act;
	void *d;
	int ldo;
	const struct place_args *place;
} e3_tiles;
bool e3_cuda_tiles_can(const e3_cuda *c, const e3_mat *m, int rows);
int e3_cuda_tiles(e3_cuda *c, const e3_tiles *g, e3_err *err);

/* gemm_turned.cu: the same with the tokens as columns of a tile: act(x w^T + bias) -> d, out a multiple of 64; what it
 * costs as gemm_wgmma.cu reckons; and d (f32) += x w^T + bias. */
int e3_cuda_turned(e3_cuda *c, const e3_tiles *g, e3_err *err);
double e3_cuda_turned_cost(const e3_cuda *c, const e3_tiles *g);
bool e3_cuda_turned_add_can(const e3_cuda *c, const e3_linear *op);
int e3_cuda_turned_add(e3_cuda *c, const e3_tiles *g, e3_err *err);

/* linear.cu: x as the matrix needs it (type, padding, norm): where it is already, if that is possible. */
int e3_cuda_product_input(e3_cuda *c, const e3_convert *from, const e3_mat *mat, const void **x, int *ldx, e3_err *err);

/* packed.cu: the same to 8 bits, with the scale of each row. */
int e3_cuda_round(e3_cuda *c, const e3_convert *r, float *scale, e3_err *err);
/* linear with a matrix in 8 bits; and a product without bias: placed, or
 * [rows][out] in scratch memory, then *sums is not NULL. */
int e3_cuda_linear8(e3_cuda *c, const e3_linear *op, e3_err *err);
int e3_cuda_product8(e3_cuda *c, const e3_convert *from, const e3_mat *m, const struct place_args *place, float **sums,
	e3_err *err);

/* gemm8_wgmma.cu: products of 8-bit values on Hopper with what follows, as e3_cuda_tiles; x [rows][ld] and the matrix
 * have rows of `ld` bytes. */
typedef struct e3_tiles8 {
	const void *x;
	const float *x_scale;
	int rows, ld;
	const e3_mat *mat;
	e3_act act;
	bool add;
	e3_tensor out;
	int ldo;
	const struct place_args *place; /* or NULL */
} e3_tiles8;
bool e3_cuda_tiles8_can(const e3_cuda *c, const e3_tiles8 *t);
int e3_cuda_tiles8(e3_cuda *c, const e3_tiles8 *t, e3_err *err);

/* gemv.cu: one row times a matrix, f32 arithmetic. With `q` the result is split into q and the places of k and v. */
typedef struct e3_gemv {
	const float *x;
	const e3_norm *norm;
	const e3_mat *mat;
	e3_act act;
	bool add;
	float *out;
	float *q, *k, *v; /* k, v: head 0 of the slot; heads follow at head_stride */
	int dim, head_dim, head_stride;
} e3_gemv;
int e3_cuda_gemv(e3_cuda *c, const e3_gemv *g, e3_err *err);

/* conv_mma.cu, conv_plain.cu: 3×3 convolution; the first needs f16 features, and channels in multiples of 32 (in) and 8
 * (out). */
bool e3_cuda_conv_mma_can(const e3_conv *op);
int e3_cuda_conv_mma(e3_cuda *c, const e3_conv *op, e3_err *err);
int e3_cuda_conv_plain(e3_cuda *c, const e3_conv *op, e3_err *err);

/* Table of operations, by file. */
int e3_cuda_weight(e3_dev *, const float *, e3_mat *, e3_err *);
int e3_cuda_patchify(e3_dev *, const e3_patchify *, e3_err *);
int e3_cuda_linear(e3_dev *, const e3_linear *, e3_err *);
int e3_cuda_norm(e3_dev *, e3_rows, const e3_norm *, e3_rows, e3_err *);
int e3_cuda_copy_rows(e3_dev *, e3_rows, int, e3_rows, e3_err *);
int e3_cuda_mean_rows(e3_dev *, e3_rows, int, float *, e3_err *);
int e3_cuda_modulate(e3_dev *, const float *, const float *, int, float *, e3_err *);
int e3_cuda_qkv(e3_dev *, const e3_qkv *, e3_err *);
int e3_cuda_attend(e3_dev *, const e3_attend *, e3_err *);
int e3_cuda_mass(e3_dev *, const e3_mass *, e3_err *);
int e3_cuda_move(e3_dev *, const e3_kv *, const uint32_t *, const uint32_t *, int, e3_err *);
int e3_cuda_match(e3_dev *, const e3_match *, e3_err *);
int e3_cuda_mean_keys(e3_dev *, const e3_mean_keys *, int, e3_err *);
int e3_cuda_shift(e3_dev *, e3_rows, e3_rows, int, float *, e3_err *);
int e3_cuda_novelty(e3_dev *, const e3_rule *, const e3_novelty *, int, e3_err *);
int e3_cuda_conv(e3_dev *, const e3_conv *, e3_err *);
int e3_cuda_deconv(e3_dev *, e3_features, const e3_mat *, e3_features, e3_err *);
int e3_cuda_upsample(e3_dev *, e3_features, e3_features, e3_err *);
int e3_cuda_add_uv(e3_dev *, e3_features, e3_uv, e3_err *);
int e3_cuda_dense(e3_dev *, const e3_dense *, e3_err *);
int e3_cuda_enter(e3_dev *, const e3_entered *, int, e3_err *);
int e3_cuda_score(e3_dev *, const e3_rule *, const e3_scored *, int, e3_err *);
int e3_cuda_reserve(e3_dev *, size_t, e3_err *);
int e3_cuda_choose(e3_dev *, const e3_rule *, const e3_chosen *, int, e3_err *);

/* pack.cu: keys and values [2][heads][rows][head_dim] of this type into their slots of packed pages. from and to, as
 * slot and kv->page, are on the device. */
int e3_cuda_pack(e3_cuda *c, const e3_attend_kv *kv, e3_dtype type, const void *from, const uint32_t *slot, int rows,
	e3_err *err);
int e3_cuda_move_packed(e3_cuda *c, const e3_attend_kv *kv, const uint32_t *from, const uint32_t *to, int n,
	e3_err *err);

/* evict.cu, match.cu, novelty.cu, qkv.cu, pack.cu: load the kernels that the first frames do not need, so that they
 * take no memory later. */
cudaError_t e3_cuda_evict_open(void);
cudaError_t e3_cuda_match_open(void);
cudaError_t e3_cuda_novelty_open(void);
cudaError_t e3_cuda_move_open(void);
cudaError_t e3_cuda_pack_open(void);
/* from and to are on the device. */
int e3_cuda_move_scores(e3_cuda *c, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err);

static inline int e3_ceil_div(int a, int b) { return (a + b - 1) / b; }
static inline bool e3_aligned(const void *p, size_t to) { return (uintptr_t)p % to == 0; }

#endif
