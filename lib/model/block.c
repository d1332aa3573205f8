/* model: a transformer block as four operations of the device. */
#include "session.h"

int e3_block_step(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	const e3_block *b = r->block;
	const e3_dev_ops *ops = dev->ops;
	int dim = b->qkv.in;
	bool exact = r->kv->exact;
	e3_qkv qkv = {r->x, r->rows, &b->norm1, &b->qkv, b->qk_norm ? &b->q_norm : NULL, b->qk_norm ? &b->k_norm : NULL,
		r->rope, r->q, r->kv, r->slot};
	e3_attend attend = {r->q, r->rows, r->kv, r->attended, r->lse};
	e3_linear proj = {.x = r->attended,
		.rows = r->rows,
		.ldx = dim,
		.mat = &b->proj,
		.add = true,
		.out = r->x,
		.ldo = dim,
		.x_short = !exact};
	e3_linear fc1 = {.x = r->x,
		.rows = r->rows,
		.ldx = dim,
		.norm = &b->norm2,
		.mat = &b->fc1,
		.act = E3_ACT_GELU,
		.out = r->hidden,
		.ldo = b->fc1.out,
		.out_map = !exact};
	e3_linear fc2 = {.x = r->hidden,
		.rows = r->rows,
		.ldx = b->fc1.out,
		.mat = &b->fc2,
		.add = true,
		.out = r->x,
		.ldo = dim,
		.x_map = !exact};
	return ops->qkv(dev, &qkv, err) || ops->attend(dev, &attend, err) || ops->linear(dev, &proj, err) ||
			ops->linear(dev, &fc1, err) || ops->linear(dev, &fc2, err)
		? -1
		: 0;
}
