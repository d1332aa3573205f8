/* dev: the inner loops of the CPU backend, written in vectors, for several kinds of processors: products of a panel of
 * columns, exponentials of scores. One is chosen when the device is opened; the same binary runs everywhere.
 *
 * A panel is `lanes` columns of a right-hand side, [k][lanes]. Every value of a product is a sum in the order of k by
 * fused multiply-add, in blocks of E3_TILE_DEPTH that are added one after the other: it depends neither on how the
 * work is cut nor on the width of the vectors.
 */
#ifndef E3_DEV_TILE_H
#define E3_DEV_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Steps of a block of a sum; rows that are taken together; columns of the widest panel there is. */
enum { E3_TILE_DEPTH = 256, E3_TILE_ROWS = 120, E3_TILE_LANES = 32, E3_MASS_LANES = 16 };

/* c [m][n] (ldc) = a [m][k] × b [k][lanes], + bias [n] unless NULL, + c with `add`; n <= lanes. Value (r, k) of a is
 * a[r × a_row + k × a_k]; one of the two steps is 1. */
typedef struct e3_panel {
	int m, n, k;
	const float *a;
	size_t a_row, a_k;
	const float *b;
	float *c;
	size_t ldc;
	const float *bias;
	bool add;
} e3_panel;

/* Scores of n keys against the queries of a panel, as powers of 2: s [n][lanes]. */
typedef struct e3_scores {
	float *s;
	int n;
	float *max, *sum; /* [lanes], running */
	float *o;         /* [depth][lanes]: the output so far */
	int depth;
} e3_scores;

typedef struct e3_tiles {
	const char *name;
	int lanes;
	void (*panel)(const e3_panel *);
	/* s becomes 2^(s - max) with the new maximum; the sum and the output are brought to it. */
	void (*softmax)(const e3_scores *);
	/* acc [n][E3_MASS_LANES] += s over the lanes, where s becomes 2^(s - lse), lse [lanes]. */
	void (*mass)(float *s, int n, const float *lse, float *acc);
} e3_tiles;

/* Those that this processor can run, the best one first; NULL behind the last. */
const e3_tiles *e3_tiles_usable(int k);

/* Right-hand sides b [n][k] (ldb) as panels: [panels][k][lanes], zeros behind the last column. */
static inline size_t e3_panels(const e3_tiles *t, int n) { return (size_t)((n + t->lanes - 1) / t->lanes); }
void e3_tiles_pack(const e3_tiles *t, const float *b, size_t ldb, int n, int k, float *panels);

/* The product over all panels of b, in blocks of depth; `step` floats from one panel to the next. `room`: for
 * E3_TILE_ROOM floats, where rows of a that lie far apart are brought together. */
enum { E3_TILE_ROOM = E3_TILE_ROWS * E3_TILE_DEPTH };
void e3_tiles_product(const e3_tiles *t, const e3_panel *p, size_t step, float *room);

/* Products of bf16 with sums in f32. c [m][n] (ldc) = a [m][k] × panels, + bias, + c with `add`; k is a multiple of 32,
 * and a can be read up to a multiple of 32 rows. b: panels of E3_TILE_LANES columns, [k / 2][columns][2], b_step values
 * from one to the next. */
typedef struct e3_bf16_panel {
	int m, n, k;
	const uint16_t *a;
	size_t a_row;
	const uint16_t *b;
	size_t b_step;
	float *c;
	size_t ldc;
	const float *bias;
	bool add;
} e3_bf16_panel;

typedef struct e3_bf16 {
	const char *name;
	void (*product)(const e3_bf16_panel *);
	void (*round)(const float *from, size_t n, uint16_t *to); /* to the nearest, ties to even */
} e3_bf16;

/* NULL where the processor has none. */
const e3_bf16 *e3_bf16_usable(void);

/* Weights w [n][k] in that order, zeros behind the last column; row: room for k values. */
void e3_bf16_pack(const e3_bf16 *h, const float *w, int n, int k, uint16_t *row, uint16_t *panels);

extern const e3_tiles e3_tiles_plain;
#ifdef __x86_64__
extern const e3_tiles e3_tiles_v3, e3_tiles_v4;
#endif

#endif
