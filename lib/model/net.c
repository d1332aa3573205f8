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

/* Camera token and register tokens side by side, for the first frame and for the others (doc/network.md 5.1). */
static int load_special(e3_loader *l, e3_err *err)
{
	const e3_config *c = &l->net->c;
	size_t width = (size_t)c->embed, n = 1 + (size_t)c->registers;
	float *camera = NULL, *registers = NULL, *both = e3_alloc(2 * n * width, sizeof *both, "special tokens", err);
	int rc =
		!both || e3_load_host(l, "camera_token", &camera, err) || e3_load_host(l, "register_token", &registers, err)
		? -1
		: 0;
	for (size_t k = 0; !rc && k < 2; k++) {
		memcpy(both + k * n * width, camera + k * width, width * sizeof *both);
		memcpy(both + (k * n + 1) * width, registers + k * (n - 1) * width, (n - 1) * width * sizeof *both);
	}
	if (!rc)
		rc = e3_arena_upload(&l->net->arena, both, 2 * n * width, &l->net->special, err);
	free(camera), free(registers), free(both);
	return rc;
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
	return load_blocks(l, &vit, &net->vit, err) || load_blocks(l, &frame, &net->frame, err) ||
			load_blocks(l, &global, &net->global, err)
		? -1
		: 0;
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

e3_net *e3_net_open(const e3_ckpt *ckpt, e3_dev *dev, e3_err *err)
{
	e3_net *net = e3_alloc(1, sizeof *net, "network", err);
	if (!net)
		return NULL;
	net->arena.dev = dev;
	e3_loader l = {.net = net, .ckpt = ckpt};
	int rc = e3_config_read(ckpt, &net->c, NULL, err) || e3_fingerprint(ckpt, &net->c, &net->fingerprint, err) ||
		load_aggregator(&l, err) || load_camera(&l, err);
	if (!rc && net->c.depth.present) {
		set_prefix(&l, "depth_head.");
		rc = e3_load_dpt(&l, &net->depth, err);
	}
	if (!rc && net->c.point.present) {
		set_prefix(&l, "point_head.");
		rc = e3_load_dpt(&l, &net->point, err);
	}
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
