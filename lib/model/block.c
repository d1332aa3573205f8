/* model: a transformer block as five operations of the device. */
#include "block.h"
#include "e3/mem.h"

int e3_self_open(e3_arena *arena, e3_self *self, const int shape[4], e3_err *err)
{
	int tokens = shape[0], heads = shape[1], head_dim = shape[2], sets = shape[3];
	size_t values = 2 * (size_t)tokens * (size_t)heads * (size_t)head_dim;
	e3_tensor page;
	self->slot = e3_alloc((size_t)tokens * (size_t)sets, sizeof *self->slot, "session", err);
	self->page = e3_alloc((size_t)sets, sizeof *self->page, "session", err);
	if (!self->slot || !self->page || e3_arena_alloc(arena, arena->dev->attn_dtype, values * (size_t)sets, &page, err))
		return -1;
	for (int k = 0; k < tokens * sets; k++)
		self->slot[k] = (uint32_t)k;
	for (int k = 0; k < sets; k++)
		self->page[k] = e3_tensor_at(page, values * (size_t)k).p;
	self->kv = (e3_kv){.page = self->page,
		.dtype = page.dtype,
		.page_keys = tokens,
		.n_keys = tokens,
		.heads = heads,
		.head_dim = head_dim};
	return 0;
}

static int look(e3_dev *dev, const e3_block *b, const e3_linear *op, e3_err *err)
{
	return b->probe ? b->probe->look(b->probe, dev, b, op, err) : 0;
}

static int product(e3_dev *dev, const e3_block *b, const e3_linear *op, e3_err *err)
{
	return look(dev, b, op, err) || dev->ops->linear(dev, op, err) ? -1 : 0;
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
	e3_linear alone = {.x = e3_tensor_f32(r->x), .rows = r->rows, .ldx = b->qkv.in, .norm = &b->norm1, .mat = &b->qkv};
	return look(dev, b, &alone, err) || dev->ops->qkv(dev, &qkv, err) ? -1 : 0;
}

/* Each frame's queries see its own keys. */
static int attend_lanes(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	int rows = r->rows / r->lanes;
	size_t dim = (size_t)r->block->qkv.in;
	for (int l = 0; l < r->lanes; l++) {
		const e3_block_lane *lane = &r->lane[l];
		size_t first = (size_t)l * (size_t)rows;
		e3_attend attend = {.q = e3_tensor_at(r->q, first * (size_t)lane->kv.head_dim),
			.rows = rows,
			.kv = &lane->kv,
			.out = e3_tensor_at(r->attended, first * dim),
			.lse = lane->lse,
			.q_step = r->rows};
		if (dev->ops->attend(dev, &attend, err))
			return -1;
	}
	return 0;
}

static bool wants_shift(const e3_block_run *r)
{
	bool wants = r->shift != NULL;
	for (int l = 0; l < r->lanes; l++)
		wants |= r->lane[l].shift != NULL;
	return wants;
}

static int shift_lanes(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	int dim = r->block->qkv.in, lanes = r->lanes ? r->lanes : 1, rows = r->rows / lanes;
	for (int l = 0; l < lanes; l++) {
		float *to = r->lanes ? r->lane[l].shift : r->shift;
		size_t at = (size_t)l * (size_t)rows * (size_t)dim;
		e3_rows now = {r->x + at, rows, dim}, then = {r->before + at, rows, dim};
		if (to && dev->ops->shift(dev, then, now, dim, to, err))
			return -1;
	}
	return 0;
}

int e3_block_rest(e3_dev *dev, const e3_block_run *r, e3_err *err)
{
	const e3_block *b = r->block;
	const e3_dev_ops *ops = dev->ops;
	e3_tensor x = e3_tensor_f32(r->x);
	int dim = b->qkv.in, wide = b->fc1.out;
	int groups = r->groups > 1 ? r->groups : 1;
	e3_kv own = *r->kv;
	e3_attend attend = {.q = r->q,
		.rows = r->rows / groups,
		.kv = &own,
		.out = r->attended,
		.lse = r->lse,
		.q_step = r->rows,
		.groups = r->groups};
	own.n_keys /= groups;
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
	bool shift = wants_shift(r);
	return (r->lanes ? attend_lanes(dev, r, err) : ops->attend(dev, &attend, err)) || product(dev, b, &proj, err) ||
			(shift && ops->copy(dev, e3_tensor_f32(r->before), x, (size_t)r->rows * (size_t)dim, err)) ||
			product(dev, b, &fc1, err) || product(dev, b, &fc2, err) || (shift && shift_lanes(dev, r, err))
		? -1
		: 0;
}
