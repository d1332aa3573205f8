/* dev: what the files of the CPU backend share: the pool, per-thread scratch memory, vector loops, products.
 *
 * Loops are plain C with `omp simd` hints; E3_CLONES compiles a function for several instruction sets and picks one at
 * start (never -march=native: the same binary runs everywhere).
 */
#ifndef E3_DEV_CPU_H
#define E3_DEV_CPU_H

#include "dev/check.h"
#include "dev/tile.h"
#include "e3/clones.h"
#include "e3/dev.h"
#include "e3/thread.h"
#include <cblas.h>

typedef struct e3_cpu {
	e3_dev dev; /* first: the public part */
	e3_halt halt;
	e3_pool *pool;
	const e3_tiles *tiles;
	const e3_bf16 *bf16; /* NULL: f32 throughout */
	char label[64];
	struct {
		float *p;
		size_t floats;
	} * scratch; /* one per thread, and one more shared by all, allocated by the caller of an operation */
} e3_cpu;

static inline int e3_min(int a, int b) { return a < b ? a : b; }
static inline int e3_max(int a, int b) { return a > b ? a : b; }
static inline int e3_ceil_div(int a, int b) { return (a + b - 1) / b; }
static inline size_t e3_area(int a, int b) { return (size_t)a * (size_t)b; }

static inline e3_cpu *e3_cpu_of(e3_dev *dev) { return (e3_cpu *)(void *)dev; }

/* At least `floats` floats for each thread (which = 0..threads-1) or for the operation (which = threads): kept between
 * calls, so nothing is allocated once shapes have been seen. */
int e3_cpu_scratch(e3_cpu *cpu, int which, size_t floats, float **out, e3_err *err);
int e3_cpu_scratch_all(e3_cpu *cpu, size_t floats, const char *op, e3_err *err);

/* A matrix in memory: where it begins, and values from one row to the next. */
typedef struct e3_block_of {
	const float *p;
	int ld;
} e3_block_of;

/* c [m][n] (ldc) = alpha × a [m][k] × b^T, b [n][k], + beta × c; one thread. */
typedef struct e3_product {
	int m, n, k;
	e3_block_of a, b;
	float *c;
	int ldc;
	float alpha, beta;
} e3_product;

static inline void e3_gemm_nt(const e3_product *p)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->m, p->n, p->k, p->alpha, p->a.p, p->a.ld, p->b.p, p->b.ld,
		p->beta, p->c, p->ldc);
}

/* Weights lie in panels where their role says so, else as they were given. */
static inline bool e3_cpu_in_panels(const e3_mat *m)
{
	return m->role == E3_ROLE_ATTENDED || m->role == E3_ROLE_FEATURES;
}

/* And in bf16, if that was asked for, where the products of the processor fit. */
static inline bool e3_cpu_in_bf16(const e3_mat *m) { return e3_cpu_in_panels(m) && m->in % 32 == 0; }

/* Values that the memory of a matrix has. */
static inline size_t e3_cpu_weight_values(const e3_tiles *t, bool bf16, const e3_mat *m)
{
	int lanes = bf16 && e3_cpu_in_bf16(m) ? E3_TILE_LANES : t->lanes;
	return e3_area(e3_cpu_in_panels(m) ? (m->out + lanes - 1) / lanes * lanes : m->out, m->in);
}

/* The product of one task with columns [c0, c0 + p->n) of a matrix of f32 or bf16; c0 is where a panel begins. p->b and
 * p->k are filled in. room: e3_cpu_times_room floats. */
void e3_cpu_times(const e3_cpu *cpu, const e3_mat *m, int c0, e3_panel *p, float *room);
size_t e3_cpu_times_room(const e3_cpu *cpu, const e3_mat *m, int rows, int cols);
/* Columns that a panel of the matrix has. */
static inline int e3_cpu_lanes(const e3_cpu *cpu, const e3_mat *m)
{
	return m->w.dtype == E3_BF16 ? E3_TILE_LANES : cpu->tiles->lanes;
}

/* cpu_packed.c: matrices in 8 bits. Of rows of x, normed first if asked, the values that they are rounded to and their
 * scales; in the operation's scratch memory. */
int e3_cpu_round(e3_cpu *cpu, e3_rows x, const e3_norm *norm, const e3_mat *mat, float **out, float **scale,
	e3_err *err);
/* y [rows][cols] = x W^T, of rows of W from `first` on; x rounded. room: e3_cpu_room8 floats. One thread. */
typedef struct e3_product8 {
	const e3_mat *mat;
	const float *x;
	int ldx, rows;
	const float *x_scale;
	int first, cols;
	float *y;
	int ldy;
	float *room;
} e3_product8;
size_t e3_cpu_room8(int rows, int in);
void e3_cpu_product8(const e3_product8 *p);
int e3_cpu_weight8(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err);
int e3_cpu_linear8(e3_cpu *cpu, const e3_linear *op, e3_err *err);

/* cpu_kv.c. One head of one token into its slot: v [head_dim], of its key (half 0) or of its value (1). And n rows of
 * a head from a slot on, all in one page: where they lie, or unpacked into room [n][head_dim]. */
void e3_cpu_put_row(const e3_kv *kv, int half, int head, int slot, const float *v);
const float *e3_cpu_rows(const e3_kv *kv, int half, int head, int slot, int n, float *room);
/* Floats of room for the rows of a page; 0 if they need none. */
static inline size_t e3_cpu_room(const e3_kv *kv)
{
	return kv->pack ? (size_t)kv->page_keys * (size_t)kv->head_dim : 0;
}

/* Into how many tasks a product of rows × cols is cut. */
void e3_cpu_cut(const e3_cpu *cpu, const e3_mat *m, int rows, int *row_parts, int *col_parts);
/* LayerNorm of rows. */
void e3_cpu_norm_rows(e3_cpu *cpu, e3_rows x, const e3_norm *n, e3_rows out);
/* One row of LayerNorm. */
void e3_cpu_norm_row(const float *x, const e3_norm *n, float *out);
/* Applies an activation to n floats in place. */
void e3_cpu_act(float *x, int n, e3_act act);

/* e^x, relative error below 2e-7; 0 below -87.3, finite above 88.7. Inlined so that loops over it vectorise. */
static inline float e3_expf(float x)
{
	const float round = 12582912.0f; /* 1.5 × 2^23: adding it rounds to an integer */
	x = x < 88.37f ? x : 88.37f;
	float zero = x < -87.3f ? 0.0f : 1.0f;
	x = x > -87.3f ? x : -87.3f;
	float n = (x * 1.44269504f + round) - round;
	float f = (x - n * 0.693145752f) - n * 1.42860677e-6f;
	float p = 1.38888889e-3f;
	p = p * f + 8.33333333e-3f;
	p = p * f + 4.16666667e-2f;
	p = p * f + 1.66666667e-1f;
	p = p * f + 0.5f;
	p = p * f + 1.0f;
	p = p * f + 1.0f;
	union {
		int32_t i;
		float f;
	} scale = {((int32_t)n + 127) << 23};
	return p * scale.f * zero;
}

/* The operations, by file. All values are f32, which the checks make sure of. */
int e3_cpu_patchify(e3_dev *, const e3_patchify *, e3_err *);
int e3_cpu_linear(e3_dev *, const e3_linear *, e3_err *);
int e3_cpu_norm(e3_dev *, e3_rows, const e3_norm *, e3_rows, e3_err *);
int e3_cpu_copy_rows(e3_dev *, e3_rows, int, e3_rows, e3_err *);
int e3_cpu_mean_rows(e3_dev *, e3_rows, int, float *, e3_err *);
int e3_cpu_modulate(e3_dev *, const float *, const float *, int, float *, e3_err *);
int e3_cpu_qkv(e3_dev *, const e3_qkv *, e3_err *);
int e3_cpu_attend(e3_dev *, const e3_attend *, e3_err *);
int e3_cpu_mass(e3_dev *, const e3_mass *, e3_err *);
int e3_cpu_move(e3_dev *, const e3_kv *, const uint32_t *, const uint32_t *, int, e3_err *);
int e3_cpu_enter(e3_dev *, const e3_entered *, int, e3_err *);
int e3_cpu_score(e3_dev *, const e3_rule *, const e3_scored *, int, e3_err *);
int e3_cpu_reserve(e3_dev *, size_t, e3_err *);
int e3_cpu_choose(e3_dev *, const e3_rule *, const e3_chosen *, int, e3_err *);
int e3_cpu_match(e3_dev *, const e3_match *, e3_err *);
int e3_cpu_mean_keys(e3_dev *, const e3_mean_keys *, int, e3_err *);
int e3_cpu_shift(e3_dev *, e3_rows, e3_rows, int, float *, e3_err *);
int e3_cpu_novelty(e3_dev *, const e3_rule *, const e3_novelty *, int, e3_err *);
int e3_cpu_conv(e3_dev *, const e3_conv *, e3_err *);
int e3_cpu_deconv(e3_dev *, e3_features, const e3_mat *, e3_features, e3_err *);
int e3_cpu_upsample(e3_dev *, e3_features, e3_features, e3_err *);
int e3_cpu_add_uv(e3_dev *, e3_features, e3_uv, e3_err *);
int e3_cpu_dense(e3_dev *, const e3_dense *, e3_err *);

#endif
