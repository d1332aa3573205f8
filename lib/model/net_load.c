/* model: from named tensors to weights on the device. The configuration was checked before: here shapes are trusted. */
#include "e3/mem.h"
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const e3_tensor_info *find(const e3_loader *l, const char *name, e3_err *err)
{
	char full[256];
	snprintf(full, sizeof full, "%s%s", l->prefix, name);
	const e3_tensor_info *t = e3_ckpt_find(l->ckpt, full);
	if (!t)
		e3_fail(err, "loading: %s: tensor %s: not found", e3_ckpt_path(l->ckpt), full);
	return t;
}

bool e3_load_has(const e3_loader *l, const char *name) { return find(l, name, NULL) != NULL; }

/* Room for n floats in the loader's buffer `which`. */
static float *room(e3_loader *l, int which, size_t n, e3_err *err)
{
	if (l->cap[which] < n) {
		free(l->host[which]);
		l->cap[which] = 0;
		l->host[which] = e3_alloc(n, sizeof(float), "a tensor", err);
		if (!l->host[which])
			return NULL;
		l->cap[which] = n;
	}
	return l->host[which];
}

void e3_loader_release(e3_loader *l)
{
	free(l->host[0]), free(l->host[1]);
	*l = (e3_loader){0};
}

int e3_load_host(e3_loader *l, const char *name, float **out, e3_err *err)
{
	const e3_tensor_info *t = find(l, name, err);
	*out = t ? e3_alloc(t->count, sizeof(float), t->name, err) : NULL;
	if (!*out)
		return -1;
	if (e3_ckpt_read_f32(l->ckpt, t, 0, t->count, *out, err) == 0)
		return 0;
	free(*out);
	*out = NULL;
	return -1;
}

typedef void reorder(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to);

/* Reads a tensor, reordered if asked, into the loader's memory. */
static float *read_tensor(e3_loader *l, const e3_tensor_info *t, reorder *order, e3_err *err)
{
	float *host = t ? room(l, 0, t->count, err) : NULL, *mixed = host && order ? room(l, 1, t->count, err) : host;
	if (!mixed || e3_ckpt_read_f32(l->ckpt, t, 0, t->count, host, err))
		return NULL;
	if (order)
		order(l, t, host, mixed);
	return mixed;
}

static int load_vector(e3_loader *l, const char *name, reorder *order, float **out, e3_err *err)
{
	const e3_tensor_info *t = find(l, name, err);
	const float *host = read_tensor(l, t, order, err);
	return host ? e3_arena_upload(&l->net->arena, host, t->count, out, err) : -1;
}

int e3_load_vector(e3_loader *l, const char *name, float **out, e3_err *err)
{
	return load_vector(l, name, NULL, out, err);
}

static int load_norm(e3_loader *l, const char *name, reorder *order, e3_norm *out, e3_err *err)
{
	char w[160], b[160];
	snprintf(w, sizeof w, "%s.weight", name);
	snprintf(b, sizeof b, "%s.bias", name);
	const e3_tensor_info *t = find(l, w, err);
	out->dim = t ? (int)t->count : 0;
	return !t || load_vector(l, w, order, &out->w, err) || load_vector(l, b, order, &out->b, err) ? -1 : 0;
}

int e3_load_norm(e3_loader *l, const char *name, float eps, e3_norm *out, e3_err *err)
{
	*out = (e3_norm){.eps = eps};
	return load_norm(l, name, NULL, out, err);
}

/* Puts rows that stand for the channels of heads into the loader's order. A third of a qkv layer is values, which stay;
 * anything else belongs to one head. */
static void head_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to)
{
	size_t d = (size_t)l->head_dim, rows = (size_t)t->shape[0], cols = t->count / rows,
		   ordered = rows > d ? rows / 3 * 2 : rows;
	for (size_t r = 0; r < rows; r++) {
		size_t source = r < ordered ? r / d * d + (size_t)l->order[r % d] : r;
		memcpy(to + r * cols, from + source * cols, cols * sizeof *to);
	}
}

static void scale_rows(const float *scale, float *host, int rows, int cols)
{
	for (int r = 0; scale && r < rows; r++)
		for (int c = 0; c < cols; c++)
			*host++ *= scale[r];
}

/* NAME.weight, reordered into rows × cols, and NAME.bias if there is one. A transposed convolution is stored
 * [in][out][kh][kw]. */
static int load_mat(e3_loader *l, const char *name, reorder *order, bool transposed, e3_mat *out, e3_err *err)
{
	char w[160], b[160];
	snprintf(w, sizeof w, "%s.weight", name);
	snprintf(b, sizeof b, "%s.bias", name);
	const e3_tensor_info *t = find(l, w, err);
	float *host = read_tensor(l, t, order, err);
	*out = (e3_mat){.role = l->role, .packed = l->packed};
	if (!host)
		return -1;
	int first = (int)t->shape[0], others = (int)(t->count / (size_t)first);
	out->out = transposed ? others : first, out->in = transposed ? first : others;
	scale_rows(l->scale, host, out->out, out->in);
	if (e3_arena_weight(&l->net->arena, host, out, err))
		return -1;
	if (!e3_load_has(l, b))
		return 0;
	host = read_tensor(l, find(l, b, err), order == head_order ? order : NULL, err);
	if (!host)
		return -1;
	scale_rows(l->scale, host, out->out, 1);
	return e3_arena_upload(&l->net->arena, host, (size_t)out->out, &out->b, err);
}

/* 1×1 convolutions and the patch convolution are linear layers over their last axes. */
int e3_load_linear(e3_loader *l, const char *name, e3_mat *out, e3_err *err)
{
	return load_mat(l, name, NULL, false, out, err);
}

static void conv_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to)
{
	size_t in = (size_t)t->shape[1], taps = (size_t)(t->shape[2] * t->shape[3]);
	for (size_t o = 0; o < (size_t)t->shape[0]; o++)
		for (size_t c = 0; c < in; c++)
			for (size_t k = 0; k < taps; k++)
				to[(o * taps + k) * in + c] = *from++;
}

int e3_load_conv(e3_loader *l, const char *name, e3_mat *out, e3_err *err)
{
	return load_mat(l, name, conv_order, false, out, err);
}

static void deconv_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to)
{
	size_t in = (size_t)t->shape[0], out = (size_t)t->shape[1], taps = (size_t)(t->shape[2] * t->shape[3]);
	for (size_t c = 0; c < in; c++)
		for (size_t o = 0; o < out; o++)
			for (size_t k = 0; k < taps; k++)
				to[(k * out + o) * in + c] = *from++;
}

int e3_load_deconv(e3_loader *l, const char *name, e3_mat *out, e3_err *err)
{
	return load_mat(l, name, deconv_order, true, out, err);
}

/* A linear layer with the LayerScale that follows it, if there is one: gamma (W x + b) = (gamma W) x + gamma b. */
static int load_scaled(e3_loader *l, const char *name, const char *gamma, e3_mat *out, e3_err *err)
{
	float *scale = NULL;
	if (e3_load_has(l, gamma) && e3_load_host(l, gamma, &scale, err))
		return -1;
	l->scale = scale;
	int rc = e3_load_linear(l, name, out, err);
	l->scale = NULL;
	free(scale);
	return rc;
}

int e3_load_block(e3_loader *l, float eps, int heads, e3_block *b, e3_err *err)
{
	e3_role role = l->role;
	l->packed = role == E3_ROLE_FEATURES ? l->net->packed : 0;
	reorder *order = l->order ? head_order : NULL;
	*b = (e3_block){.heads = heads, .qk_norm = e3_load_has(l, "attn.q_norm.weight")};
	int rc = e3_load_norm(l, "norm1", eps, &b->norm1, err) || e3_load_norm(l, "norm2", eps, &b->norm2, err) ||
		load_mat(l, "attn.qkv", order, false, &b->qkv, err) || e3_load_linear(l, "mlp.fc1", &b->fc1, err) ||
		load_scaled(l, "mlp.fc2", "ls2.gamma", &b->fc2, err);
	l->role = role == E3_ROLE_FEATURES ? E3_ROLE_ATTENDED : role;
	rc = rc || load_scaled(l, "attn.proj", "ls1.gamma", &b->proj, err);
	l->role = role, l->packed = 0;
	if (!rc && b->qk_norm)
		rc = load_norm(l, "attn.q_norm", order, &b->q_norm, err) || load_norm(l, "attn.k_norm", order, &b->k_norm, err);
	b->q_norm.eps = b->k_norm.eps = eps;
	return rc ? -1 : 0;
}

static int load_rcu(e3_loader *l, const char *name, e3_rcu *out, e3_err *err)
{
	char part[96];
	for (int k = 0; k < 2; k++) {
		snprintf(part, sizeof part, "scratch.%s.conv%d", name, k + 1);
		if (e3_load_conv(l, part, &out->conv[k], err))
			return -1;
	}
	return 0;
}

int e3_load_dpt(e3_loader *l, e3_dpt *d, e3_err *err)
{
	char name[64];
	*d = (e3_dpt){0};
	l->role = E3_ROLE_FEATURES;
	int rc = e3_load_norm(l, "norm", 1e-5f, &d->norm, err) || e3_load_deconv(l, "resize_layers.0", &d->up[0], err) ||
		e3_load_deconv(l, "resize_layers.1", &d->up[1], err) || e3_load_conv(l, "resize_layers.3", &d->down, err) ||
		e3_load_conv(l, "scratch.output_conv1", &d->conv1, err) ||
		e3_load_conv(l, "scratch.output_conv2.0", &d->conv2, err);
	for (int k = 0; !rc && k < E3_DPT_LEVELS; k++) {
		snprintf(name, sizeof name, "projects.%d", k);
		rc = e3_load_linear(l, name, &d->project[k], err);
		snprintf(name, sizeof name, "scratch.layer%d_rn", k + 1);
		rc = rc || e3_load_conv(l, name, &d->rn[k], err);
		snprintf(name, sizeof name, "refinenet%d.resConfUnit2", k + 1);
		rc = rc || load_rcu(l, name, &d->fuse[k], err);
		snprintf(name, sizeof name, "scratch.refinenet%d.out_conv", k + 1);
		rc = rc || e3_load_linear(l, name, &d->out[k], err);
		snprintf(name, sizeof name, "refinenet%d.resConfUnit1", k + 1);
		if (!rc && k < E3_DPT_LEVELS - 1)
			rc = load_rcu(l, name, &d->skip[k], err);
	}
	l->role = E3_ROLE_EXACT;
	return rc || e3_load_linear(l, "scratch.output_conv2.2", &d->last, err) ? -1 : 0;
}
