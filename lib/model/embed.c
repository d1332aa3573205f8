/* model: from pixels to patch tokens: patch convolution, position embedding, ViT (doc/network.md 3, 4). */
#include "e3/mem.h"
#include "together.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pillow's and PyTorch's antialiased bicubic kernel, a = -0.5. */
static double cubic(double t)
{
	const double a = -0.5;
	t = fabs(t);
	if (t < 1)
		return ((a + 2) * t - (a + 3)) * t * t + 1;
	return t < 2 ? a * (((t - 5) * t + 8) * t - 4) : 0;
}

/* One axis of the resize of [nin][inner] vectors, for `outer` of them side by side: out [outer][nout][inner] (4.1). */
static void resize_axis(const float *in, float *out, const size_t outer_inner[2], int nin, int nout)
{
	double scale = (double)nin / nout, fs = fmax(scale, 1);
	size_t inner = outer_inner[1];
	for (int o = 0; o < nout; o++) {
		double centre = (o + 0.5) * scale, sum = 0;
		int lo = (int)fmax(0, trunc(centre - 2 * fs + 0.5)), hi = (int)fmin(nin, trunc(centre + 2 * fs + 0.5));
		for (int j = lo; j < hi; j++)
			sum += cubic((j - centre + 0.5) / fs);
		for (size_t k = 0; k < outer_inner[0]; k++) {
			float *to = out + (k * (size_t)nout + (size_t)o) * inner;
			memset(to, 0, inner * sizeof *to);
			for (int j = lo; j < hi; j++) {
				float weight = (float)(cubic((j - centre + 0.5) / fs) / sum);
				const float *from = in + (k * (size_t)nin + (size_t)j) * inner;
				for (size_t c = 0; c < inner; c++)
					to[c] += weight * from[c];
			}
		}
	}
}

/* Position embedding of the patches for this grid into to [gh * gw][embed]. */
static int position_embedding(const e3_session *s, float *to, e3_err *err)
{
	int m = s->net->c.pos_grid, gh = s->plan.patch_grid[0], gw = s->plan.patch_grid[1];
	size_t dim = (size_t)s->net->c.embed;
	const float *patches = s->net->pos + dim;
	if (gh == m && gw == m) {
		memcpy(to, patches, (size_t)m * (size_t)m * dim * sizeof *to);
		return 0;
	}
	float *wide = e3_alloc((size_t)m * (size_t)gw * dim, sizeof *wide, "position embedding", err);
	if (!wide)
		return -1;
	resize_axis(patches, wide, (size_t[]){(size_t)m, dim}, m, gw);
	resize_axis(wide, to, (size_t[]){1, (size_t)gw * dim}, m, gh);
	free(wide);
	return 0;
}

static int open_descriptor(e3_session *s, e3_err *err)
{
	size_t dim = (size_t)s->net->c.embed;
	return e3_arena_floats(&s->arena, dim, &s->mean, err) ||
			s->dev->ops->alloc_host(s->dev, dim * sizeof *s->descriptor, (void **)&s->descriptor, err)
		? -1
		: 0;
}

static int open_work(e3_session *s, e3_work *w, e3_err *err)
{
	const e3_config *c = &s->net->c;
	size_t dim = (size_t)c->embed, patches = (size_t)(s->plan.patch_grid[0] * s->plan.patch_grid[1]),
		   lead = 1 + (size_t)c->vit_registers;
	w->vit_tokens = (int)(patches + lead);
	float *t = e3_alloc((size_t)w->vit_tokens * dim, sizeof *t, "ViT template", err);
	if (!t)
		return -1;
	/* cls with its position, the registers without one, then where the patches are added to their positions. */
	for (size_t k = 0; k < dim; k++)
		t[k] = s->net->cls[k] + s->net->pos[k];
	if (c->vit_registers)
		memcpy(t + dim, s->net->vit_registers, (lead - 1) * dim * sizeof *t);
	int rc = position_embedding(s, t + lead * dim, err) ||
		e3_arena_upload(&w->arena, t, (size_t)w->vit_tokens * dim, &w->vit_template, err) ||
		e3_arena_floats(&w->arena, (size_t)w->lanes * (size_t)w->vit_tokens * dim, &w->xv, err) ||
		e3_arena_floats(&w->arena, patches * 3 * (size_t)(c->patch * c->patch), &w->patches, err) ||
		e3_self_open(&w->arena, &w->vit_self,
			(const int[]){w->vit_tokens, c->vit_heads, c->embed / c->vit_heads, w->lanes}, err);
	free(t);
	return rc ? -1 : 0;
}

int e3_embed_open(e3_session *s, e3_err *err)
{
	return (e3_work_is_new(s) && open_work(s, s->work, err)) || (s->o.describe && open_descriptor(s, err)) ? -1 : 0;
}

/* The mean of the patch tokens on its way to the host. */
static int take_mean(e3_session *s, e3_rows tokens, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	size_t dim = (size_t)tokens.ld;
	return ops->mean_rows(s->dev, tokens, tokens.ld, s->mean, err) ||
			ops->fetch(s->dev, s->descriptor, e3_tensor_f32(s->mean), dim, err)
		? -1
		: 0;
}

void e3_embed_describe(e3_session *s)
{
	int dim = s->net->c.embed;
	double square = 0;
	if (!s->descriptor)
		return;
	for (int k = 0; k < dim; k++)
		square += (double)s->descriptor[k] * s->descriptor[k];
	for (int k = 0; square > 0 && k < dim; k++)
		s->descriptor[k] = (float)(s->descriptor[k] / sqrt(square));
}

/* The picture's patches, added to what the ViT begins with, in the session's lane. */
int e3_embed_patches(e3_session *s, const uint8_t *rgb, e3_err *err)
{
	const e3_config *c = &s->net->c;
	const e3_dev_ops *ops = s->dev->ops;
	const e3_work *w = s->work;
	int patches = s->plan.patch_grid[0] * s->plan.patch_grid[1], lead = w->vit_tokens - patches,
		width = 3 * c->patch * c->patch;
	float *at = s->xv + (size_t)lead * (size_t)c->embed;
	e3_patchify patchify = {rgb, s->h, s->w, c->patch, w->patches};
	e3_linear conv = {.x = e3_tensor_f32(w->patches),
		.rows = patches,
		.ldx = width,
		.mat = &s->net->patch,
		.add = true,
		.out = e3_tensor_f32(at),
		.ldo = c->embed};
	return ops->patchify(s->dev, &patchify, err) ||
			ops->copy(s->dev, e3_tensor_f32(s->xv), e3_tensor_f32(w->vit_template),
				(size_t)w->vit_tokens * (size_t)c->embed, err) ||
			ops->linear(s->dev, &conv, err)
		? -1
		: 0;
}

int e3_embed_step(e3_session *s, const uint8_t *rgb, e3_err *err)
{
	const e3_config *c = &s->net->c;
	const e3_work *w = s->work;
	e3_kv seen = w->vit_self.kv;
	seen.page += s->lane;
	if (e3_embed_patches(s, rgb, err))
		return -1;
	for (int k = 0; k < c->vit_depth; k++) {
		e3_block_run run = {.block = &s->net->vit[k],
			.x = s->xv,
			.rows = w->vit_tokens,
			.kv = &seen,
			.slot = w->vit_self.slot,
			.q = s->now.q,
			.attended = s->attended,
			.hidden = s->hidden};
		e3_activation block = {"vit", k, NULL, e3_tensor_f32(s->xv), {w->vit_tokens, c->embed}, 0};
		if (e3_block_step(s->dev, &run, err) || e3_session_note(s, &block, err))
			return e3_fail_in(err, "ViT block %d", k);
	}
	return e3_embed_again(s, err);
}

int e3_embed_again(e3_session *s, e3_err *err)
{
	const e3_config *c = &s->net->c;
	const e3_dev_ops *ops = s->dev->ops;
	int patches = s->plan.patch_grid[0] * s->plan.patch_grid[1], lead = s->work->vit_tokens - patches;
	float *from = s->xv + (size_t)lead * (size_t)c->embed, *x = s->now.x + (size_t)s->plan.special * (size_t)c->embed;
	e3_activation tokens = {"vit", -1, "tokens", e3_tensor_f32(x), {patches, c->embed}, 0};
	e3_rows normed = {x, patches, c->embed};
	return ops->norm(s->dev, (e3_rows){from, patches, c->embed}, &s->net->vit_norm, normed, err) ||
			e3_session_note(s, &tokens, err) || (s->descriptor && take_mean(s, normed, err))
		? -1
		: 0;
}

int e3_embed_lanes(e3_session *const *s, int n, e3_err *err)
{
	const e3_config *c = &s[0]->net->c;
	const e3_work *w = s[0]->work;
	e3_kv all = w->vit_self.kv;
	all.n_keys = n * w->vit_tokens;
	for (int k = 0; k < c->vit_depth; k++) {
		e3_block_run run = {.block = &s[0]->net->vit[k],
			.x = w->xv,
			.rows = n * w->vit_tokens,
			.kv = &all,
			.slot = w->vit_self.slot,
			.q = w->q,
			.attended = w->attended,
			.hidden = w->hidden,
			.groups = n};
		if (e3_block_step(s[0]->dev, &run, err))
			return e3_fail_in(err, "ViT block %d", k);
	}
	for (int l = 0; l < n; l++)
		if (e3_embed_again(s[l], err))
			return -1;
	return 0;
}
