/* model: a transformer block as five operations of the device. */
#include "block.h"
#include "e3/mem.h"

int e3_self_open(e3_arena *arena, e3_self *self, const int shape[3], e3_err *err)
{
	int tokens = shape[0], heads = shape[1], head_dim = shape[2];
	e3_tensor page;
	self->slot = e3_alloc((size_t)tokens, sizeof *self->slot, "session", err);
	if (!self->slot ||
		e3_arena_alloc(arena, arena->dev->attn_dtype, 2 * (size_t)tokens * (size_t)heads * (size_t)head_dim, &page,
			err))
		return -1;
	for (int k = 0; k < tokens; k++)
		self->slot[k] = (uint32_t)k;
	self->page = page.p;
	self->kv = (e3_kv){.page = &self->page,
		.dtype = page.dtype,
		.page_keys = tokens,
		.n_keys = tokens,
		.heads = heads,
		.head_dim = head_dim};
	return 0;
}

int e3_block_step(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	return e3_block_keys(dev, r, err) || e3_block_rest(dev, r, err) ? -1 : 0;
}

int e3_block_keys(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	const e3_block *b = r->block;
	e3_qkv qkv = {.x = r->x,
		.rows = r->rows,
		.norm = &b->norm1,
		.mat = &b->qkv,
		.q_norm = b->qk_norm ? &b->q_norm : NULL,
		.k_norm = b->qk_norm ? &b->k_norm : NULL,
		.rope = r->rope,
		.q = r->q,
		.kv = r->kv,
		.slot = r->slot};
	return dev->ops->qkv(dev, &qkv, err);
}

int e3_block_rest(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	const e3_block *b = r->block;
	const e3_dev_ops *ops = dev->ops;
	e3_tensor x = e3_tensor_f32(r->x);
	int dim = b->qkv.in, wide = b->fc1.out;
	e3_attend attend = {.q = r->q, .rows = r->rows, .kv = r->kv, .out = r->attended, .lse = r->lse};
	e3_linear proj =
		{.x = r->attended, .rows = r->rows, .ldx = dim, .mat = &b->proj, .add = true, .out = x, .ldo = dim};
	e3_linear fc1 = {.x = x,
		.rows = r->rows,
		.ldx = dim,
		.norm = &b->norm2,
		.mat = &b->fc1,
		.act = E3_ACT_GELU,
		.out = r->hidden,
		.ldo = wide};
	e3_linear fc2 = {.x = r->hidden, .rows = r->rows, .ldx = wide, .mat = &b->fc2, .add = true, .out = x, .ldo = dim};
	e3_rows now = {r->x, r->rows, dim}, then = {r->before, r->rows, dim};
	return ops->attend(dev, &attend, err) || ops->linear(dev, &proj, err) ||
			(r->shift && ops->copy(dev, e3_tensor_f32(r->before), x, (size_t)r->rows * (size_t)dim, err)) ||
			ops->linear(dev, &fc1, err) || ops->linear(dev, &fc2, err) ||
			(r->shift && ops->shift(dev, then, now, dim, r->shift, err))
		? -1
		: 0;
}
