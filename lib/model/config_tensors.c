/* model: which tensors a configuration has (doc/network.md 1), in the order of the released file, and what describes it
 * as metadata. Owns names and shapes, and nothing else. */
#include "e3/config.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One walk over the list; after the caller's function returned non-zero nothing more is emitted. */
typedef struct walk {
	int (*fn)(void *ctx, const char *name, int rank, const int64_t *shape);
	void *ctx;
	int rc;
	char prefix[96];
} walk;

/* PREFIX.name with `rank` dimensions given as ints. */
static void emit(walk *w, const char *name, int rank, ...)
{
	char full[192];
	int64_t shape[E3_MAX_RANK];
	va_list args;
	if (w->rc)
		return;
	va_start(args, rank);
	for (int k = 0; k < rank; k++)
		shape[k] = va_arg(args, int);
	va_end(args);
	snprintf(full, sizeof full, "%s.%s", w->prefix, name);
	w->rc = w->fn(w->ctx, full, rank, shape);
}

static void emit_norm(walk *w, const char *name, int width)
{
	char full[96];
	snprintf(full, sizeof full, "%s.weight", name);
	emit(w, full, 1, width);
	snprintf(full, sizeof full, "%s.bias", name);
	emit(w, full, 1, width);
}

static void emit_linear(walk *w, const char *name, int out, int in)
{
	char full[96];
	snprintf(full, sizeof full, "%s.weight", name);
	emit(w, full, 2, out, in);
	snprintf(full, sizeof full, "%s.bias", name);
	emit(w, full, 1, out);
}

/* `first` and `second` are the first two axes of the weight; a transposed convolution has its input channels first, and
 * every one here has as many in as out. */
static void emit_conv(walk *w, const char *name, int first, int second, int kernel)
{
	char full[96];
	snprintf(full, sizeof full, "%s.weight", name);
	emit(w, full, 4, first, second, kernel, kernel);
	snprintf(full, sizeof full, "%s.bias", name);
	emit(w, full, 1, first);
}

/* head_dim: of q_norm and k_norm, 0 where the block has none. */
static void emit_block(walk *w, int width, int hidden, int head_dim, bool scaled)
{
	emit_norm(w, "norm1", width);
	emit_linear(w, "attn.qkv", 3 * width, width);
	if (head_dim) {
		emit_norm(w, "attn.q_norm", head_dim);
		emit_norm(w, "attn.k_norm", head_dim);
	}
	emit_linear(w, "attn.proj", width, width);
	if (scaled)
		emit(w, "ls1.gamma", 1, width);
	emit_norm(w, "norm2", width);
	emit_linear(w, "mlp.fc1", hidden, width);
	emit_linear(w, "mlp.fc2", width, hidden);
	if (scaled)
		emit(w, "ls2.gamma", 1, width);
}

static void set_prefix(walk *w, const char *fmt, ...) E3_PRINTF(2, 3);
static void set_prefix(walk *w, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(w->prefix, sizeof w->prefix, fmt, args);
	va_end(args);
}

static void emit_aggregator(walk *w, const e3_config *c)
{
	static const char *const families[] = {"frame", "global"};
	set_prefix(w, "aggregator");
	for (const e3_arch_token *t = e3_config_arch(c)->token; t->tensor; t++)
		emit(w, t->tensor, 4, 1, 2, t->registers ? c->registers : 1, c->embed);
	set_prefix(w, "aggregator.patch_embed");
	emit(w, "cls_token", 3, 1, 1, c->embed);
	emit(w, "pos_embed", 3, 1, c->pos_grid ? 1 + c->pos_grid * c->pos_grid : 0, c->embed);
	if (c->vit_registers)
		emit(w, "register_tokens", 3, 1, c->vit_registers, c->embed);
	emit_conv(w, "patch_embed.proj", c->embed, 3, c->patch);
	for (int k = 0; k < c->vit_depth; k++) {
		set_prefix(w, "aggregator.patch_embed.blocks.%d", k);
		emit_block(w, c->embed, c->vit_hidden, 0, !(c->unscaled & E3_UNSCALED_VIT));
	}
	set_prefix(w, "aggregator.patch_embed");
	emit_norm(w, "norm", c->embed);
	for (int f = 0; f < 2; f++)
		for (int k = 0; k < c->layers; k++) {
			set_prefix(w, "aggregator.%s_blocks.%d", families[f], k);
			emit_block(w, c->embed, c->hidden, c->qk_norm ? c->head_dim : 0, !(c->unscaled & E3_UNSCALED_AGGREGATOR));
		}
}

static void emit_camera(walk *w, const e3_config *c)
{
	int e = c->camera_dim;
	set_prefix(w, "camera_head");
	emit(w, "empty_pose_tokens", 3, 1, 1, 9);
	for (int k = 0; k < c->camera_depth; k++) {
		set_prefix(w, "camera_head.trunk.%d", k);
		emit_block(w, e, c->camera_hidden, 0, !(c->unscaled & E3_UNSCALED_CAMERA));
	}
	set_prefix(w, "camera_head");
	emit_norm(w, "token_norm", e);
	emit_norm(w, "trunk_norm", e);
	emit_linear(w, "embed_pose", e, 9);
	emit_linear(w, "poseLN_modulation.1", 3 * e, e);
	emit_linear(w, "pose_branch.fc1", c->camera_mlp, e);
	emit_linear(w, "pose_branch.fc2", 9, c->camera_mlp);
}

static void emit_fusion(walk *w, int level, int features)
{
	char name[64];
	snprintf(name, sizeof name, "scratch.refinenet%d.out_conv", level);
	emit_conv(w, name, features, features, 1);
	for (int unit = level == 4 ? 2 : 1; unit <= 2; unit++) /* the coarsest level has no skip input */
		for (int conv = 1; conv <= 2; conv++) {
			snprintf(name, sizeof name, "scratch.refinenet%d.resConfUnit%d.conv%d", level, unit, conv);
			emit_conv(w, name, features, features, 3);
		}
}

static void emit_dpt(walk *w, const char *head, const e3_dpt_config *d, int width)
{
	char name[64];
	if (!d->present)
		return;
	set_prefix(w, "%s", head);
	emit_norm(w, "norm", width);
	for (int k = 0; k < E3_DPT_LEVELS; k++) {
		snprintf(name, sizeof name, "projects.%d", k);
		emit_conv(w, name, d->oc[k], width, 1);
	}
	emit_conv(w, "resize_layers.0", d->oc[0], d->oc[0], d->up[0]);
	emit_conv(w, "resize_layers.1", d->oc[1], d->oc[1], d->up[1]);
	emit_conv(w, "resize_layers.3", d->oc[3], d->oc[3], 3);
	for (int k = 0; k < E3_DPT_LEVELS; k++) {
		snprintf(name, sizeof name, "scratch.layer%d_rn.weight", k + 1);
		emit(w, name, 4, d->features, d->oc[k], 3, 3);
	}
	for (int level = 1; level <= E3_DPT_LEVELS; level++)
		emit_fusion(w, level, d->features);
	emit_conv(w, "scratch.output_conv1", d->features / 2, d->features, 3);
	emit_conv(w, "scratch.output_conv2.0", d->hidden, d->features / 2, 3);
	emit_conv(w, "scratch.output_conv2.2", d->out, d->hidden, 1);
}

int e3_config_each(const e3_config *c, int (*fn)(void *ctx, const char *name, int rank, const int64_t *shape),
	void *ctx)
{
	walk w = {.fn = fn, .ctx = ctx};
	emit_aggregator(&w, c);
	emit_camera(&w, c);
	emit_dpt(&w, "point_head", &c->point, c->camera_dim);
	emit_dpt(&w, "depth_head", &c->depth, c->camera_dim);
	return w.rc;
}

int e3_config_special(const e3_config *c)
{
	int n = 0;
	for (const e3_arch_token *t = e3_config_arch(c)->token; t->tensor; t++)
		n += t->registers ? c->registers : 1;
	return n;
}

int e3_config_each_meta(const e3_config *c, int (*fn)(void *ctx, const char *key, const char *value), void *ctx)
{
	char vit[16], camera[16], layers[64], size[16];
	snprintf(vit, sizeof vit, "%d", c->vit_heads);
	snprintf(camera, sizeof camera, "%d", c->camera_heads);
	snprintf(size, sizeof size, "%d", c->image_size);
	snprintf(layers, sizeof layers, "%d,%d,%d,%d", c->dpt_layers[0], c->dpt_layers[1], c->dpt_layers[2],
		c->dpt_layers[3]);
	const char *const pairs[][2] = {
		{"e3.arch", e3_config_arch(c)->name},
		{"e3.vit_heads", vit},
		{"e3.camera_heads", camera},
		{"e3.dpt_layers", layers},
		{"e3.image_size", size},
		{"e3.rope_angles", c->rope_bf16 ? "bf16" : "f32"},
		{"e3.name", c->name},
		{"e3.license", c->license},
	};
	int rc = 0;
	for (size_t k = 0; k < sizeof pairs / sizeof *pairs && !rc; k++)
		if (pairs[k][1][0])
			rc = fn(ctx, pairs[k][0], pairs[k][1]);
	return rc;
}
