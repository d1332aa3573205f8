/* model: from named tensors to weights on the device. Large tensors are read, reordered and scaled by all threads of
 * the loader, a piece each; the device is given one tensor at a time. The configuration was checked before: here shapes
 * are trusted. */
#include "ckpt.h"
#include "compose.h"
#include "e3/mem.h"
#include "net.h"
#include <stdatomic.h>
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

enum { PIECE = 1 << 15, THREADS_MOST = 16 };

int e3_loader_open(e3_loader *l, e3_err *err)
{
	int wanted = e3_ckpt_threads(l->ckpt), threads = wanted ? wanted : e3_processors(THREADS_MOST);
	l->pool = e3_pool_open(threads < THREADS_MOST ? threads : THREADS_MOST, E3_POOL_SPIN, err);
	return l->pool ? 0 : e3_fail_in(err, "loading");
}

/* Room for n floats in the loader's buffer `which`, from where the device takes them fastest. */
static float *room(e3_loader *l, int which, size_t n, e3_err *err)
{
	e3_dev *dev = l->net->arena.dev;
	void *p;
	if (l->cap[which] >= n)
		return l->host[which];
	dev->ops->free_host(dev, l->host[which]);
	l->host[which] = NULL, l->cap[which] = 0;
	if (dev->ops->alloc_host(dev, n * sizeof(float), &p, err))
		return NULL;
	l->host[which] = p, l->cap[which] = n;
	return p;
}

void e3_loader_release(e3_loader *l)
{
	e3_dev *dev = l->net->arena.dev;
	dev->ops->free_host(dev, l->host[0]), dev->ops->free_host(dev, l->host[1]);
	e3_pool_close(l->pool);
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

/* Puts the tensor's rows (of its first dimension) first .. first + n - 1 in their places. */
typedef void reorder(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to, size_t first, size_t n);

/* A tensor on its way into the loader's memory: the tasks of a loop take some rows each. */
typedef struct reading {
	e3_loader *l;
	const e3_tensor_info *t;
	reorder *order;
	float *host, *mixed;
	size_t rows, cols, at_once;
	bool scaled;
	atomic_bool failed;
	e3_err err; /* of the first that failed */
} reading;

static size_t rows_of_task(const reading *r, int task, size_t *first)
{
	*first = (size_t)task * r->at_once;
	return r->rows - *first < r->at_once ? r->rows - *first : r->at_once;
}

static void read_rows(void *ctx, int task, int thread)
{
	reading *r = ctx;
	e3_err err = {""};
	size_t first, n = rows_of_task(r, task, &first);
	float *to = r->host + first * r->cols;
	(void)thread;
	if (atomic_load(&r->failed))
		return;
	if (e3_ckpt_read_f32(r->l->ckpt, r->t, first * r->cols, n * r->cols, to, &err)) {
		if (!atomic_exchange(&r->failed, true))
			r->err = err;
		return;
	}
	for (size_t k = 0; r->scaled && k < n; k++)
		for (size_t c = 0; c < r->cols; c++)
			to[k * r->cols + c] *= r->l->scale[first + k];
}

static void reorder_rows(void *ctx, int task, int thread)
{
	const reading *r = ctx;
	size_t first, n = rows_of_task(r, task, &first);
	(void)thread;
	r->order(r->l, r->t, r->host, r->mixed, first, n);
}

/* Reads a tensor into the loader's memory: its rows times the loader's scale, if `scaled`; or reordered. */
static float *read_tensor(e3_loader *l, const e3_tensor_info *t, reorder *order, bool scaled, e3_err *err)
{
	reading r = {.l = l, .t = t, .order = order, .scaled = scaled && l->scale};
	r.host = t ? room(l, 0, t->count, err) : NULL;
	r.mixed = r.host && order ? room(l, 1, t->count, err) : r.host;
	if (!r.mixed)
		return NULL;
	r.rows = t->rank ? (size_t)t->shape[0] : 1;
	r.cols = r.rows ? t->count / r.rows : 0;
	if (!t->count)
		return r.mixed;
	r.at_once = (PIECE + r.cols - 1) / r.cols;
	int tasks = (int)((r.rows + r.at_once - 1) / r.at_once);
	e3_parallel_for(l->pool, tasks, read_rows, &r);
	if (atomic_load(&r.failed)) {
		if (err)
			*err = r.err;
		return NULL;
	}
	if (order)
		e3_parallel_for(l->pool, tasks, reorder_rows, &r);
	return r.mixed;
}

static int load_vector(e3_loader *l, const char *name, reorder *order, float **out, e3_err *err)
{
	const e3_tensor_info *t = find(l, name, err);
	const float *host = read_tensor(l, t, order, false, err);
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
static void head_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to, size_t first,
	size_t n)
{
	size_t d = (size_t)l->head_dim, rows = (size_t)t->shape[0], cols = t->count / rows,
		   ordered = rows > d ? rows / 3 * 2 : rows;
	for (size_t r = first; r < first + n; r++) {
		size_t source = r < ordered ? r / d * d + (size_t)l->order[r % d] : r;
		memcpy(to + r * cols, from + source * cols, cols * sizeof *to);
	}
}

/* NAME.weight, reordered into rows × cols, and NAME.bias if there is one. */
static int load_mat(e3_loader *l, const char *name, reorder *order, e3_mat *out, e3_err *err)
{
	char w[160], b[160];
	snprintf(w, sizeof w, "%s.weight", name);
	snprintf(b, sizeof b, "%s.bias", name);
	const e3_tensor_info *t = find(l, w, err);
	float *host = read_tensor(l, t, order, true, err);
	*out = (e3_mat){.role = l->role, .packed = l->packed};
	if (!host)
		return -1;
	out->out = (int)t->shape[0], out->in = (int)(t->count / (size_t)out->out);
	if (e3_arena_weight(&l->net->arena, host, out, err))
		return -1;
	if (!e3_load_has(l, b))
		return 0;
	host = read_tensor(l, find(l, b, err), order == head_order ? order : NULL, true, err);
	if (!host)
		return -1;
	return e3_arena_upload(&l->net->arena, host, (size_t)out->out, &out->b, err);
}

/* 1×1 convolutions and the patch convolution are linear layers over their last axes. */
int e3_load_linear(e3_loader *l, const char *name, e3_mat *out, e3_err *err)
{
	return load_mat(l, name, NULL, out, err);
}

static void conv_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to, size_t first,
	size_t n)
{
	size_t in = (size_t)t->shape[1], taps = (size_t)(t->shape[2] * t->shape[3]);
	from += first * in * taps;
	for (size_t o = first; o < first + n; o++)
		for (size_t c = 0; c < in; c++)
			for (size_t k = 0; k < taps; k++)
				to[(o * taps + k) * in + c] = *from++;
}

int e3_load_conv(e3_loader *l, const char *name, e3_mat *out, e3_err *err)
{
	return load_mat(l, name, conv_order, out, err);
}

/* [in][out][kh][kw] of a transposed convolution as [kh][kw][out][in]. */
static void deconv_order(const e3_loader *l, const e3_tensor_info *t, const float *from, float *to, size_t first,
	size_t n)
{
	size_t in = (size_t)t->shape[0], out = (size_t)t->shape[1], taps = (size_t)(t->shape[2] * t->shape[3]);
	from += first * out * taps;
	for (size_t c = first; c < first + n; c++)
		for (size_t o = 0; o < out; o++)
			for (size_t k = 0; k < taps; k++)
				to[(k * out + o) * in + c] = *from++;
}

/* Copies a tensor out of the loader's memory, reordered. */
static float *reordered(e3_loader *l, const e3_tensor_info *t, reorder *order, e3_err *err)
{
	const float *from = read_tensor(l, t, order, false, err);
	float *to = from ? e3_alloc(t->count, sizeof *to, t->name, err) : NULL;
	if (to)
		memcpy(to, from, t->count * sizeof *to);
	return to;
}

/* What is made of both goes to the device. A plan reads no values. */
static int load_composed(e3_loader *l, e3_composing *c, e3_mat *out, e3_err *err)
{
	e3_arena *a = &l->net->arena;
	*out = (e3_mat){.out = (c->k + 2) * (c->k + 2) * c->out, .in = c->in, .role = l->role};
	c->made = room(l, 1, (size_t)out->out * (size_t)out->in, err);
	c->made_bias = c->made ? e3_alloc(16 * (size_t)c->out, sizeof *c->made_bias, "weights", err) : NULL;
	if (!c->made_bias)
		return -1;
	int rc = (!l->ckpt->empty && e3_compose(c, l->pool, err)) || e3_arena_weight(a, c->made, out, err) ||
		e3_arena_upload(a, c->made_bias, 16 * (size_t)c->out, &out->b, err);
	free(c->made_bias);
	return rc ? -1 : 0;
}

int e3_load_deconv(e3_loader *l, const char *first, const char *second, e3_mat *out, e3_err *err)
{
	char name[3][160];
	snprintf(name[0], sizeof name[0], "%s.weight", first);
	snprintf(name[1], sizeof name[1], "%s.bias", first);
	snprintf(name[2], sizeof name[2], "%s.weight", second);
	const e3_tensor_info *t = find(l, name[0], err), *u = t ? find(l, name[2], err) : NULL;
	float *taps[2] = {NULL, NULL}, *bias = NULL;
	int rc = -1;
	if (u && (taps[0] = reordered(l, t, deconv_order, err)) && (taps[1] = reordered(l, u, conv_order, err)) &&
		!e3_load_host(l, name[1], &bias, err)) {
		e3_composing c = {.k = (int)t->shape[2],
			.in = (int)t->shape[0],
			.middle = (int)t->shape[1],
			.out = (int)u->shape[0],
			.first = taps[0],
			.second = taps[1],
			.bias = bias};
		rc = load_composed(l, &c, out, err);
	}
	free(taps[0]), free(taps[1]), free(bias);
	return rc;
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
	reorder *order = l->order ? head_order : NULL;
	*b = (e3_block){.heads = heads, .qk_norm = e3_load_has(l, "attn.q_norm.weight")};
	l->packed = role == E3_ROLE_FEATURES ? l->net->packed : 0;
	if (role == E3_ROLE_ROW && l->net->packed && !b->qk_norm)
		l->packed = E3_I8; /* whatever the others are: it costs the same, and is more exact where the input is f32 */
	int rc = e3_load_norm(l, "norm1", eps, &b->norm1, err) || e3_load_norm(l, "norm2", eps, &b->norm2, err) ||
		load_mat(l, "attn.qkv", order, &b->qkv, err) || e3_load_linear(l, "mlp.fc1", &b->fc1, err) ||
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
	int rc = e3_load_norm(l, "norm", 1e-5f, &d->norm, err) ||
		e3_load_deconv(l, "resize_layers.0", "scratch.layer1_rn", &d->rn[0], err) ||
		e3_load_deconv(l, "resize_layers.1", "scratch.layer2_rn", &d->rn[1], err) ||
		e3_load_conv(l, "resize_layers.3", &d->down, err) || e3_load_conv(l, "scratch.output_conv1", &d->conv1, err) ||
		e3_load_conv(l, "scratch.output_conv2.0", &d->conv2, err);
	for (int k = 0; !rc && k < E3_DPT_LEVELS; k++) {
		snprintf(name, sizeof name, "projects.%d", k);
		rc = e3_load_linear(l, name, &d->project[k], err);
		snprintf(name, sizeof name, "scratch.layer%d_rn", k + 1);
		rc = rc || (k >= 2 && e3_load_conv(l, name, &d->rn[k], err));
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
