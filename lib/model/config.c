/* model: reads a configuration from the shapes and metadata of a checkpoint, and checks that the checkpoint is exactly
 * that network (doc/network.md 1 and 2). Collects all problems; refuses a file that has any. */
#include "e3/config.h"
#include "ckpt.h"
#include "e3/num.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIM = 1 << 20, FIRST_FEW = 4, TEXT = 256 };

typedef struct reading {
	const e3_ckpt *ckpt;
	e3_config *c;
	e3_buf *report; /* may be NULL */
	e3_err *err;
	bool *seen; /* per tensor of the checkpoint */
	size_t problems;
	char few[768]; /* the first problems, for the error */
	bool broken;   /* out of memory for the report */
} reading;

static void problem(reading *r, const char *fmt, ...) E3_PRINTF(2, 3);
static void problem(reading *r, const char *fmt, ...)
{
	char text[768];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	e3_text_clean(text);
	if (r->problems++ < FIRST_FEW) {
		size_t n = strlen(r->few);
		snprintf(r->few + n, sizeof r->few - n, "%s%.180s", n ? "; " : "", text);
	}
	if (r->report && e3_buf_printf(r->report, r->err, "%s\n", text))
		r->broken = true;
}

static void shape_text(char *to, int rank, const int64_t *shape)
{
	size_t n = 0;
	to[n++] = '[';
	for (int k = 0; k < rank; k++)
		n += (size_t)snprintf(to + n, TEXT - n, "%s%lld", k ? "," : "", (long long)shape[k]);
	snprintf(to + n, TEXT - n, "]");
}

/* The same with '?' for a dimension that could not be read. */
static void wanted_text(char *to, int rank, const int64_t *shape)
{
	size_t n = 0;
	to[n++] = '[';
	for (int k = 0; k < rank; k++) {
		n += (size_t)snprintf(to + n, TEXT - n, k ? "," : "");
		n += (size_t)snprintf(to + n, TEXT - n, shape[k] ? "%lld" : "?", (long long)shape[k]);
	}
	snprintf(to + n, TEXT - n, "]");
}

/* The size of one axis of a tensor that the configuration is read from; 0, with a problem noted, if it is not valid. A
 * missing tensor is not noted here: all needed tensors are checked later. */
static int axis(reading *r, const char *name, int rank, int at, int min)
{
	const e3_tensor_info *t = e3_ckpt_find(r->ckpt, name);
	if (!t)
		return 0;
	char got[TEXT];
	shape_text(got, t->rank, t->shape);
	if (t->rank != rank) {
		problem(r, "shape: %s: expected %d dimensions, got %s", name, rank, got);
		return 0;
	}
	if (t->shape[at] < min || t->shape[at] > MAX_DIM) {
		problem(r, "shape: %s: dimension %d of %s: expected %d to %d", name, at, got, min, MAX_DIM);
		return 0;
	}
	return (int)t->shape[at];
}

/* axis() of PREFIX + name. */
static int axis_in(reading *r, const char *prefix, const char *name, int rank, int at)
{
	char full[TEXT];
	snprintf(full, sizeof full, "%s%s", prefix, name);
	return axis(r, full, rank, at, 1);
}

static bool starts(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

static bool any_with(const reading *r, const char *prefix)
{
	for (size_t k = 0; k < e3_ckpt_count(r->ckpt); k++)
		if (starts(e3_ckpt_at(r->ckpt, k)->name, prefix))
			return true;
	return false;
}

/* 1 + the largest i of PREFIXi.…; a gap below it is found later, as missing tensors. */
static int count_blocks(const reading *r, const char *prefix)
{
	int n = 0;
	for (size_t k = 0; k < e3_ckpt_count(r->ckpt); k++) {
		const char *name = e3_ckpt_at(r->ckpt, k)->name;
		if (!starts(name, prefix))
			continue;
		char *end;
		const char *digits = name + strlen(prefix);
		long i = strtol(digits, &end, 10);
		if (end > digits && *end == '.' && *digits >= '0' && *digits <= '9' && i >= n && i < E3_MAX_LAYERS)
			n = (int)i + 1;
	}
	return n;
}

/* Whether a family of blocks has LayerScale: looks for any of its gammas, since one may be missing. */
static bool scaled(const reading *r, const char *prefix)
{
	for (size_t k = 0; k < e3_ckpt_count(r->ckpt); k++) {
		const char *name = e3_ckpt_at(r->ckpt, k)->name, *dot = strrchr(name, '.');
		if (starts(name, prefix) && dot && strcmp(dot, ".gamma") == 0)
			return true;
	}
	return false;
}

static int meta_int(reading *r, const char *key, int fallback)
{
	const char *text = e3_ckpt_meta(r->ckpt, key);
	int64_t v;
	e3_err why;
	if (!text)
		return fallback;
	if (e3_parse_i64(text, 1, MAX_DIM, &v, &why)) {
		problem(r, "metadata: %s: %s", key, why.text);
		return fallback;
	}
	return (int)v;
}

static void read_vit(reading *r)
{
	static const char registers[] = "aggregator.patch_embed.register_tokens";
	e3_config *c = r->c;
	int tokens = axis(r, "aggregator.patch_embed.pos_embed", 3, 1, 2);
	c->patch = axis(r, "aggregator.patch_embed.patch_embed.proj.weight", 4, 2, 1);
	c->vit_registers = axis(r, registers, 3, 1, 0);
	c->vit_depth = count_blocks(r, "aggregator.patch_embed.blocks.");
	c->vit_hidden = axis(r, "aggregator.patch_embed.blocks.0.mlp.fc1.weight", 2, 0, 1);
	c->unscaled |= scaled(r, "aggregator.patch_embed.blocks.") ? 0 : E3_UNSCALED_VIT;
	c->pos_grid = tokens ? (int)lround(sqrt(tokens - 1)) : 0;
	if (tokens && c->pos_grid * c->pos_grid != tokens - 1) {
		problem(r, "configuration: pos_embed has %d positions beside the class token, expected a square number",
			tokens - 1);
		c->pos_grid = 0;
	}
	if (c->registers &&
		!e3_ckpt_find(r->ckpt, registers)) /* without registers in the aggregator the ViT may have none */
		problem(r, "missing: %s: expected [1,%d,%d]", registers, c->registers, c->embed);
	c->vit_heads = meta_int(r, "e3.vit_heads", c->embed >= 64 ? c->embed / 64 : 1); /* the DINOv2 rule */
}

static void read_blocks(reading *r)
{
	e3_config *c = r->c;
	int frame = count_blocks(r, "aggregator.frame_blocks."), global = count_blocks(r, "aggregator.global_blocks.");
	if (frame != global)
		problem(r, "configuration: %d frame blocks and %d global blocks, expected the same number", frame, global);
	c->layers = frame > global ? frame : global;
	c->hidden = axis(r, "aggregator.frame_blocks.0.mlp.fc1.weight", 2, 0, 1);
	for (size_t k = 0; k < e3_ckpt_count(r->ckpt) && !c->head_dim; k++) { /* look at all: one may be missing */
		const char *name = e3_ckpt_at(r->ckpt, k)->name;
		if ((!starts(name, "aggregator.frame_blocks.") && !starts(name, "aggregator.global_blocks.")) ||
			(!strstr(name, ".attn.q_norm.") && !strstr(name, ".attn.k_norm.")))
			continue;
		c->qk_norm = true;
		c->head_dim = axis(r, name, 1, 0, 1);
	}
	if (!scaled(r, "aggregator.frame_blocks.") && !scaled(r, "aggregator.global_blocks."))
		c->unscaled |= E3_UNSCALED_AGGREGATOR;
	if (!c->qk_norm)
		c->head_dim = meta_int(r, "e3.head_dim", 64); /* no tensor has this dimension */
	c->heads = c->head_dim ? c->embed / c->head_dim : 0;
}

static void read_camera(reading *r)
{
	e3_config *c = r->c;
	c->camera_dim = axis(r, "camera_head.token_norm.weight", 1, 0, 1);
	c->camera_depth = count_blocks(r, "camera_head.trunk.");
	c->camera_hidden = axis(r, "camera_head.trunk.0.mlp.fc1.weight", 2, 0, 1);
	c->camera_mlp = axis(r, "camera_head.pose_branch.fc1.weight", 2, 0, 1);
	c->unscaled |= scaled(r, "camera_head.trunk.") ? 0 : E3_UNSCALED_CAMERA;
	c->camera_heads = meta_int(r, "e3.camera_heads", 16);
	if (!c->camera_dim)
		c->camera_dim = 2 * c->embed;
	else if (c->embed && c->camera_dim != 2 * c->embed)
		problem(r, "configuration: camera head of width %d, expected %d, twice the embedding", c->camera_dim,
			2 * c->embed);
}

static void read_dpt(reading *r, const char *prefix, e3_dpt_config *d, int out)
{
	static const char *const up[] = {"resize_layers.0.weight", "resize_layers.1.weight"};
	d->present = any_with(r, prefix);
	if (!d->present)
		return;
	d->features = axis_in(r, prefix, "scratch.layer1_rn.weight", 4, 0);
	for (int k = 0; k < E3_DPT_LEVELS; k++) {
		char name[32];
		snprintf(name, sizeof name, "projects.%d.weight", k);
		d->oc[k] = axis_in(r, prefix, name, 4, 0);
		if (d->oc[k] % 4)
			problem(r, "configuration: %s%s: %d channels, expected a multiple of 4", prefix, name, d->oc[k]);
	}
	for (int k = 0; k < 2; k++)
		d->up[k] = axis_in(r, prefix, up[k], 4, 2);
	d->hidden = axis_in(r, prefix, "scratch.output_conv2.0.weight", 4, 0);
	d->out = axis_in(r, prefix, "scratch.output_conv2.2.weight", 4, 0);
	if (d->features % 8)
		problem(r, "configuration: %s %d features, expected a multiple of 8", prefix, d->features);
	if (d->out && d->out != out)
		problem(r, "configuration: %s %d outputs, expected %d", prefix, d->out, out);
}

static void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
	e3_text_clean(to);
}

/* Before all else, since it says which tensors there are: by the metadata, else by the tensor that only one has. */
static void read_arch(reading *r)
{
	const char *said = e3_ckpt_meta(r->ckpt, "e3.arch");
	char names[128];
	int k = said ? e3_arch_find(said) : 0;
	if (k < 0)
		problem(r, "metadata: e3.arch: expected %s, got '%s'", e3_arch_names(names, sizeof names), said);
	for (int a = 0; !said && e3_archs[a].name; a++)
		if (e3_archs[a].mark && e3_ckpt_find(r->ckpt, e3_archs[a].mark))
			k = a;
	r->c->arch = k < 0 ? 0 : k;
}

static void read_metadata(reading *r)
{
	e3_config *c = r->c;
	e3_err why;
	const char *angles = e3_ckpt_meta(r->ckpt, "e3.rope_angles"), *layers = e3_ckpt_meta(r->ckpt, "e3.dpt_layers");
	if (angles && strcmp(angles, "bf16") != 0 && strcmp(angles, "f32") != 0)
		problem(r, "metadata: e3.rope_angles: expected bf16 or f32, got '%s'", angles);
	c->rope_bf16 = !angles || strcmp(angles, "f32") != 0;
	int n = e3_parse_ints(layers ? layers : "4,11,17,23", 0, E3_MAX_LAYERS - 1, c->dpt_layers, E3_DPT_LEVELS, &why);
	if (n < 0)
		problem(r, "metadata: e3.dpt_layers: %s", why.text);
	else if (n != E3_DPT_LEVELS)
		problem(r, "metadata: e3.dpt_layers: expected %d numbers, got '%s'", E3_DPT_LEVELS, layers);
	c->image_size = meta_int(r, "e3.image_size", 518);
	copy_text(c->name, sizeof c->name, e3_ckpt_meta(r->ckpt, "e3.name"));
	copy_text(c->license, sizeof c->license, e3_ckpt_meta(r->ckpt, "e3.license"));
}

/* Checks shapes and metadata against each other. A 0 stands for a value that could not be read, which is noted
 * elsewhere. */
static void cross_check(reading *r)
{
	const e3_config *c = r->c;
	if (c->embed && c->head_dim && c->embed % c->head_dim)
		problem(r, "configuration: embedding of %d is not a multiple of the head width %d", c->embed, c->head_dim);
	const e3_arch *arch = e3_config_arch(c);
	int axes = arch->axis[0] + arch->axis[1] + arch->axis[2];
	if (arch->rope == E3_ROPE_TIME && c->head_dim && c->head_dim != axes)
		problem(r, "configuration: head width %d, expected %d: that of %s", c->head_dim, axes, arch->title);
	else if (c->head_dim % 4)
		problem(r, "configuration: head width %d, expected a multiple of 4", c->head_dim);
	if (c->embed && c->embed % c->vit_heads)
		problem(r, "configuration: embedding of %d is not a multiple of e3.vit_heads %d", c->embed, c->vit_heads);
	if (c->camera_dim && c->camera_dim % c->camera_heads)
		problem(r, "configuration: camera head of %d is not a multiple of e3.camera_heads %d", c->camera_dim,
			c->camera_heads);
	if (c->patch && c->image_size % c->patch)
		problem(r, "configuration: e3.image_size %d is not a multiple of the patch size %d", c->image_size, c->patch);
	for (int k = 0; k < E3_DPT_LEVELS; k++)
		if (c->dpt_layers[k] >= c->layers || (k && c->dpt_layers[k] <= c->dpt_layers[k - 1])) {
			problem(r, "configuration: e3.dpt_layers %d,%d,%d,%d: expected ascending, below the %d layers",
				c->dpt_layers[0], c->dpt_layers[1], c->dpt_layers[2], c->dpt_layers[3], c->layers);
			break;
		}
	if (!c->vit_depth || !c->layers || !c->camera_depth)
		problem(r, "configuration: %d ViT blocks, %d layers, %d camera blocks: expected at least one of each",
			c->vit_depth, c->layers, c->camera_depth);
	if (!c->depth.present && !c->point.present)
		problem(r, "configuration: neither a depth_head nor a point_head");
}

/* A dimension of 0 in the wanted shape could not be read: any size is accepted. */
static bool fits(const e3_tensor_info *t, int rank, const int64_t *shape)
{
	if (t->rank != rank)
		return false;
	for (int k = 0; k < rank; k++)
		if (shape[k] != 0 && t->shape[k] != shape[k])
			return false;
	return true;
}

static int check_tensor(void *ctx, const char *name, int rank, const int64_t *shape)
{
	reading *r = ctx;
	char want[TEXT], got[TEXT];
	const e3_tensor_info *t = e3_ckpt_find(r->ckpt, name);
	wanted_text(want, rank, shape);
	if (!t) {
		problem(r, "missing: %s: expected %s", name, want);
		return 0;
	}
	r->seen[e3_ckpt_index(r->ckpt, t)] = true;
	r->c->parameters += (int64_t)t->count;
	if (!fits(t, rank, shape)) {
		shape_text(got, t->rank, t->shape);
		problem(r, "shape: %s: expected %s, got %s", name, want, got);
	}
	if (t->dtype >= E3_F64)
		problem(r, "type: %s: expected F32, F16 or BF16, got %s", name, e3_dtype_name(t->dtype));
	return 0;
}

/* Tensors that the configuration does not need: the track head and the mask token are known, others are problems. */
static void check_rest(reading *r)
{
	char got[TEXT];
	for (size_t k = 0; k < e3_ckpt_count(r->ckpt); k++) {
		const e3_tensor_info *t = e3_ckpt_at(r->ckpt, k);
		if (r->seen[k] || strcmp(t->name, "aggregator.patch_embed.mask_token") == 0)
			continue;
		if (starts(t->name, "track_head.")) {
			r->c->has_track = true;
			r->c->parameters_track += (int64_t)t->count;
			continue;
		}
		shape_text(got, t->rank, t->shape);
		problem(r, "unknown: %s: %s %s", t->name, e3_dtype_name(t->dtype), got);
	}
}

int e3_config_read(const e3_ckpt *ckpt, e3_config *out, e3_buf *report, e3_err *err)
{
	*out = (e3_config){0};
	reading r = {.ckpt = ckpt, .c = out, .report = report, .err = err};
	r.seen = e3_alloc(e3_ckpt_count(ckpt), sizeof *r.seen, "list of tensors seen", err);
	if (!r.seen)
		return -1;
	read_arch(&r);
	out->embed = axis(&r, "aggregator.camera_token", 4, 3, 1);
	out->registers = axis(&r, "aggregator.register_token", 4, 2, 0);
	read_vit(&r);
	read_blocks(&r);
	read_camera(&r);
	if (e3_config_arch(out)->heads & E3_HEAD_DEPTH)
		read_dpt(&r, "depth_head.", &out->depth, 2);
	if (e3_config_arch(out)->heads & E3_HEAD_POINTS)
		read_dpt(&r, "point_head.", &out->point, 4);
	read_metadata(&r);
	cross_check(&r);
	e3_config_each(out, check_tensor, &r);
	check_rest(&r);
	free(r.seen);
	if (r.broken)
		return -1;
	if (r.problems)
		return e3_fail(err, "reading configuration: %s: %zu problem%s: %s%s", e3_ckpt_path(ckpt), r.problems,
			r.problems == 1 ? "" : "s", r.few, r.problems > FIRST_FEW ? "; ..." : "");
	return 0;
}
