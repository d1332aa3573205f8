/* model: one transformer block, and the keys and values of attention within one set of tokens. */
#ifndef E3_MODEL_BLOCK_H
#define E3_MODEL_BLOCK_H

#include "arena.h"
#include "net.h"

/* Self attention inside one set of tokens: one page that every block overwrites. */
typedef struct e3_self {
	e3_kv kv;
	uint8_t *page;
	uint32_t *slot; /* 0, 1, 2, ...; free */
} e3_self;

/* shape: tokens, heads, head_dim. */
int e3_self_open(e3_arena *arena, e3_self *self, const int shape[3], e3_err *err);

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
} e3_block_run;
int e3_block_step(e3_dev *dev, const e3_block_run *r, e3_err *err);
/* The two parts of it: queries, keys and values; all the rest. */
int e3_block_keys(e3_dev *dev, const e3_block_run *r, e3_err *err);
int e3_block_rest(e3_dev *dev, const e3_block_run *r, e3_err *err);

#endif
