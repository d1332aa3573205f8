/* model: one transformer block, and the keys and values of attention within one set of tokens. */
#ifndef E3_MODEL_BLOCK_H
#define E3_MODEL_BLOCK_H

#include "arena.h"
#include "net.h"

/* Self attention inside one set of tokens: one page that every block overwrites; and so for some sets side by side, a
 * page for each. */
typedef struct e3_self {
	e3_kv kv;       /* of the first set */
	uint8_t **page; /* [sets]; free */
	uint32_t *slot; /* 0, 1, 2, ... for the tokens of all sets; free */
} e3_self;

/* shape: tokens, heads, head_dim, sets. */
int e3_self_open(e3_arena *arena, e3_self *self, const int shape[4], e3_err *err);

/* Rows that see the same keys, of a block that is run on those of several frames. */
typedef struct e3_block_lane {
	e3_kv kv;
	float *lse, *shift; /* as below */
} e3_block_lane;

/* One block on x [rows][dim] (doc/network.md 4, 5.2): keys and values go to `slot` of kv, queries see all of kv. */
typedef struct e3_block_run {
	const e3_block *block;
	float *x;
	int rows;
	const float *rope;
	const e3_kv *kv;
	const uint32_t *slot;
	e3_tensor q, attended, hidden; /* [rows][dim], the same, [rows][fc1.out] */
	float *lse;                    /* NULL: not wanted */
	float *before, *shift;         /* [rows][dim], [rows]: how far the second half moved each token; NULL: not wanted */
	/* Rows of several frames, rows / lanes each: what those of each see, and its own lse and shift. `kv` has the pages
	 * of all of them then. 0: one, as above. */
	const e3_block_lane *lane;
	int lanes;
	int groups; /* the same, where each sees a page of `kv` alone (e3_self); 0: one */
} e3_block_run;
int e3_block_step(e3_dev *dev, const e3_block_run *r, e3_err *err);
/* The two parts of it: queries, keys and values; all the rest. */
int e3_block_keys(e3_dev *dev, const e3_block_run *r, e3_err *err);
int e3_block_rest(e3_dev *dev, const e3_block_run *r, e3_err *err);

#endif
