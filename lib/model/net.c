/* model: loading a whole network, and releasing it. */
#include "net.h"
#include "e3/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks with the same shape, NAME.0, NAME.1, ... */
typedef struct family {
	const char *name;
	int n, heads;
	float eps;
} family;

static int load_blocks(e3_loader *l, const family *f, e3_block **out, e3_err *err)
{
	*out = e3_alloc((size_t)f->n, sizeof **out, "blocks", err);
	if (!*out)
		return -1;
	for (int k = 0; k < f->n; k++) {
		snprintf(l->prefix, sizeof l->prefix, "%s.%d.", f->name, k);
		if (e3_load_block(l, f->eps, f->heads, &(*out)[k], err))
			return -1;
	}
	return 0;
}

static void set_prefix(e3_loader *l, const char *prefix) { snprintf(l->prefix, sizeof l->prefix, "%s", prefix); }

/* The special tokens side by side, for frame 0, for the other frames of the start, and for later ones (doc/network.md
 * 5.1, 14.1). */
static int load_special(e3_loader *l, e3_err *err)
{
	const e3_config *c = &l->net->c;
	size_t width = (size_t)c->embed, all = (size_t)e3_config_special(c), at = 0;
	float *to = e3_alloc(3 * all * width, sizeof *to, "special tokens", err);
	int rc = to ? 0 : -1;
	for (const e3_arch_token *t = e3_config_arch(c)->token; !rc && t->tensor; t++) {
		size_t n = t->registers ? (size_t)c->registers : 1;
		float *variant = NULL;
		rc = e3_load_host(l, t->tensor, &variant, err);
		for (size_t k = 0; !rc && k < 3; k++) {
			bool first = k == 0 || (k == 1 && t->first == E3_FIRST_START);
			memcpy(to + (k * all + at) * width, variant + (first ? 0 : n * width), n * width * sizeof *to);
		}
		free(variant);
		at += n;
	}
	if (!rc)
		rc = e3_arena_upload(&l->net->arena, to, 3 * all * width, &l->net->special, err);
	free(to);
	return rc;
}

/* Neighbouring channels turn together in such a head (14.2), where the device turns channel k of a half with channel k
 * + quarter (5.3): the first quarter of the pairs goes to the first half, and so on. Queries and keys are put into that
 * order alike, which changes neither their norms nor their products. */
static void pair_order(int head_dim, int *order)
{
	int quarter = head_dim / 4;
	for (int p = 0; p < 2 * quarter; p++) {
		int to = p < quarter ? p : p + quarter;
		order[to] = 2 * p, order[to + quarter] = 2 * p + 1;
	}
}

/* Fills the order of the global blocks, where they need one; free it. */
static int global_order(const e3_config *c, int **order, e3_err *err)
{
	*order = NULL;
	if (e3_config_arch(c)->rope != E3_ROPE_TIME)
		return 0;
	*order = e3_alloc((size_t)c->head_dim, sizeof **order, "channels of a head", err);
	if (*order)
		pair_order(c->head_dim, *order);
	return *order ? 0 : -1;
}

static int load_aggregator(e3_loader *l, e3_err *err)
{
	e3_net *net = l->net;
	const e3_config *c = &net->c;
	l->role = E3_ROLE_FEATURES;
	set_prefix(l, "aggregator.");
	if (load_special(l, err))
		return -1;
	set_prefix(l, "aggregator.patch_embed.");
	if (e3_load_linear(l, "patch_embed.proj", &net->patch, err) || e3_load_host(l, "cls_token", &net->cls, err) ||
		e3_load_host(l, "pos_embed", &net->pos, err) || e3_load_norm(l, "norm", 1e-6f, &net->vit_norm, err))
		return -1;
	if (c->vit_registers && e3_load_host(l, "register_tokens", &net->vit_registers, err))
		return -1;
	const family vit = {"aggregator.patch_embed.blocks", c->vit_depth, c->vit_heads, 1e-6f},
				 frame = {"aggregator.frame_blocks", c->layers, c->heads, 1e-5f},
				 global = {"aggregator.global_blocks", c->layers, c->heads, 1e-5f};
	if (load_blocks(l, &vit, &net->vit, err) || load_blocks(l, &frame, &net->frame, err))
		return -1;
	int *order;
	if (global_order(c, &order, err))
		return -1;
	l->order = order;
	int rc = load_blocks(l, &global, &net->global, err);
	l->order = NULL;
	free(order);
	return rc;
}

int e3_load_numbered(e3_loader *l, int number, e3_block *out, e3_err *err)
{
	const e3_config *c = &l->net->c;
	int trunk = number - c->vit_depth - 2 * c->layers;
	if (trunk >= 0) {
		snprintf(l->prefix, sizeof l->prefix, "camera_head.trunk.%d.", trunk);
		l->role = E3_ROLE_ROW;
		return e3_load_block(l, 1e-5f, c->camera_heads, out, err);
	}
	bool vit = number < c->vit_depth, global = number >= c->vit_depth + c->layers;
	const char *blocks = vit ? "patch_embed.blocks" : global ? "global_blocks" : "frame_blocks";
	int *order, k = vit ? number : (number - c->vit_depth) % c->layers;
	if (global_order(c, &order, err))
		return -1;
	snprintf(l->prefix, sizeof l->prefix, "aggregator.%s.%d.", blocks, k);
	l->role = E3_ROLE_FEATURES, l->head_dim = c->head_dim, l->order = global ? order : NULL;
	int rc = e3_load_block(l, vit ? 1e-6f : 1e-5f, vit ? c->vit_heads : c->heads, out, err);
	l->order = NULL;
	free(order);
	return rc;
}

/* For a sixteenth of the matrices of ViT and aggregator, what they take more in the device's type. */
uint64_t e3_net_reserve(const e3_net *net)
{
	const e3_config *c = &net->c;
	uint64_t embed = (uint64_t)c->embed, frame = 4 * embed * embed + 2 * embed * (uint64_t)c->hidden,
			 vit = 4 * embed * embed + 2 * embed * (uint64_t)c->vit_hidden;
	uint64_t more = e3_dtype_size(net->arena.dev->feature_dtype) - 1;
	return net->reserve ? ((uint64_t)c->vit_depth * vit + 2 * (uint64_t)c->layers * frame) / 16 * more : 0;
}

static int open_reserve(e3_net *net, e3_err *err)
{
	e3_tensor t;
	net->reserve = net; /* so that its size is known */
	int rc = e3_arena_alloc(&net->arena, E3_I8, (size_t)e3_net_reserve(net), &t, err);
	net->reserve = rc ? NULL : t.p;
	return rc;
}

static int load_camera(e3_loader *l, e3_err *err)
{
	e3_net *net = l->net;
	set_prefix(l, "camera_head.");
	l->role = E3_ROLE_EXACT; /* small, and next to the pose itself */
	if (e3_load_norm(l, "token_norm", 1e-5f, &net->token_norm, err) ||
		e3_load_norm(l, "trunk_norm", 1e-5f, &net->trunk_norm, err) ||
		e3_load_linear(l, "embed_pose", &net->embed_pose, err) ||
		e3_load_linear(l, "pose_branch.fc2", &net->pose2, err) ||
		e3_load_vector(l, "empty_pose_tokens", &net->empty_pose, err))
		return -1;
	l->role = E3_ROLE_ROW;
	if (e3_load_linear(l, "poseLN_modulation.1", &net->modulation, err) ||
		e3_load_linear(l, "pose_branch.fc1", &net->pose1, err))
		return -1;
	const family trunk = {"camera_head.trunk", net->c.camera_depth, net->c.camera_heads, 1e-5f};
	return load_blocks(l, &trunk, &net->trunk, err);
}

e3_net *e3_net_open(const e3_ckpt *ckpt, e3_dev *dev, e3_err *err) { return e3_net_open_packed(ckpt, dev, 0, err); }

e3_net *e3_net_open_packed(const e3_ckpt *ckpt, e3_dev *dev, e3_dtype packed, e3_err *err)
{
	e3_net *net = e3_alloc(1, sizeof *net, "network", err);
	if (!net)
		return NULL;
	net->arena.dev = dev, net->packed = packed;
	e3_loader l = {.net = net, .ckpt = ckpt};
	int rc = e3_config_read(ckpt, &net->c, NULL, err) || e3_fingerprint(ckpt, &net->c, &net->fingerprint, err);
	l.head_dim = net->c.head_dim;
	rc = rc || e3_loader_open(&l, err) || load_aggregator(&l, err) || load_camera(&l, err);
	if (!rc && net->c.depth.present) {
		set_prefix(&l, "depth_head.");
		rc = e3_load_dpt(&l, &net->depth, err);
	}
	if (!rc && net->c.point.present) {
		set_prefix(&l, "point_head.");
		rc = e3_load_dpt(&l, &net->point, err);
	}
	if (!rc && packed)
		rc = open_reserve(net, err);
	e3_loader_release(&l);
	if (rc) {
		e3_net_close(net);
		return NULL;
	}
	return net;
}

void e3_net_close(e3_net *net)
{
	if (!net)
		return;
	e3_arena_release(&net->arena);
	free(net->cls), free(net->pos), free(net->vit_registers);
	free(net->vit), free(net->frame), free(net->global), free(net->trunk);
	free(net);
}

const e3_config *e3_net_config(const e3_net *net) { return &net->c; }

uint64_t e3_net_fingerprint(const e3_net *net) { return net->fingerprint; }
