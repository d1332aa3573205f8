/* dev: the device that looks at another one. Every operation is passed on; notes become files, and with `count` the
 * operation is waited for and its time and bytes go into a table.
 *
 * What is watched happens in one branch, one operation after the other: branches, marks and pieces are not passed on,
 * so that the time of an operation is its own. Results are the same, since order within a branch is kept.
 */
#include "e3/watch.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/npy.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 192 };

typedef struct row {
	const char *stage, *op;
	int64_t calls;
	double seconds;
	uint64_t bytes;
} row;

typedef struct watch {
	e3_dev dev;
	e3_dev *inner;
	e3_watch_options o;
	int64_t frame;
	const char *stage;
	row rows[MAX_ROWS];
	int n_rows;
	uint64_t pages; /* of the scored layers, at the last frame */
	uint8_t *raw;   /* a tensor on its way into a file */
	float *values;
	size_t cap;
} watch;

static watch *watch_of(e3_dev *dev) { return (watch *)(void *)dev; }

/* ---- counting ---- */

static row *row_for(watch *w, const char *op)
{
	for (int k = 0; k < w->n_rows; k++)
		if (!strcmp(w->rows[k].stage, w->stage) && !strcmp(w->rows[k].op, op))
			return &w->rows[k];
	if (w->n_rows == MAX_ROWS)
		return &w->rows[MAX_ROWS - 1];
	w->rows[w->n_rows] = (row){.stage = w->stage, .op = op};
	return &w->rows[w->n_rows++];
}

static int settle(watch *w, e3_err *err)
{
	return w->inner->ops->mark(w->inner, err) || w->inner->ops->wait(w->inner, err) ? -1 : 0;
}

/* After an operation that returned rc and began at `start`. */
static int done(watch *w, int rc, const char *op, double start, uint64_t bytes, e3_err *err)
{
	if (rc || !w->o.count)
		return rc;
	if (settle(w, err))
		return -1;
	row *r = row_for(w, op);
	r->calls++, r->seconds += e3_now() - start, r->bytes += bytes;
	return 0;
}

/* Begins an operation: its device, and the time. */
#define BEGIN \
	watch *w = watch_of(dev); \
	e3_dev *d = w->inner; \
	double start = w->o.count ? e3_now() : 0

static uint64_t size_of(e3_tensor t, size_t n) { return t.p ? n * e3_dtype_size(t.dtype) : 0; }
static uint64_t mat_bytes(const e3_mat *m) { return size_of(m->w, (size_t)m->out * (size_t)m->in); }
static uint64_t features_bytes(e3_features f) { return size_of(f.t, (size_t)f.h * (size_t)f.w * (size_t)f.c); }
static uint64_t rows_bytes(int rows, int columns) { return sizeof(float) * (uint64_t)rows * (uint64_t)columns; }

/* Keys and values of all slots in use. */
static uint64_t kv_used(const e3_kv *kv) { return (uint64_t)e3_kv_token(kv) * (uint64_t)kv->n_keys; }

static int w_patchify(e3_dev *dev, const e3_patchify *op, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->patchify(d, op, err), "patchify", start, 15 * (uint64_t)op->h * (uint64_t)op->w, err);
}

static int w_linear(e3_dev *dev, const e3_linear *op, e3_err *err)
{
	BEGIN;
	size_t rows = (size_t)op->rows;
	uint64_t bytes = mat_bytes(op->mat) + size_of(op->x, rows * (size_t)op->mat->in) +
		size_of(op->out, rows * (size_t)op->mat->out) * (op->add ? 2 : 1);
	return done(w, d->ops->linear(d, op, err), "linear", start, bytes, err);
}

static int w_norm(e3_dev *dev, e3_rows x, const e3_norm *norm, e3_rows out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->norm(d, x, norm, out, err), "norm", start, 2 * rows_bytes(x.n, norm->dim), err);
}

static int w_copy_rows(e3_dev *dev, e3_rows x, int dim, e3_rows out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->copy_rows(d, x, dim, out, err), "copy_rows", start, 2 * rows_bytes(x.n, dim), err);
}

static int w_mean_rows(e3_dev *dev, e3_rows x, int dim, float *out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->mean_rows(d, x, dim, out, err), "mean_rows", start, rows_bytes(x.n + 1, dim), err);
}

static int w_qkv(e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	BEGIN;
	uint64_t bytes = mat_bytes(op->mat) + rows_bytes(op->rows, op->mat->in) +
		size_of(op->q, (size_t)op->rows * (size_t)op->mat->out);
	return done(w, d->ops->qkv(d, op, err), "qkv", start, bytes, err);
}

static int w_attend(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	BEGIN;
	size_t n = (size_t)op->rows * (size_t)op->kv->heads * (size_t)op->kv->head_dim;
	uint64_t bytes = kv_used(op->kv) + size_of(op->q, n) + size_of(op->out, n);
	return done(w, d->ops->attend(d, op, err), "attend", start, bytes, err);
}

static int w_mass(e3_dev *dev, const e3_mass *op, e3_err *err)
{
	BEGIN;
	size_t n = (size_t)op->rows * (size_t)op->kv->heads * (size_t)op->kv->head_dim;
	uint64_t bytes = kv_used(op->kv) / 2 + size_of(op->q, n) + rows_bytes(1, op->kv->n_keys) +
		(op->attn_map ? rows_bytes(op->rows, op->kv->n_keys) : 0);
	return done(w, d->ops->mass(d, op, err), "mass", start, bytes, err);
}

static int w_match(e3_dev *dev, const e3_match *op, e3_err *err)
{
	BEGIN;
	size_t n = (size_t)op->rows * (size_t)op->kv->heads * (size_t)op->kv->head_dim;
	return done(w, d->ops->match(d, op, err), "match", start, kv_used(op->kv) / 2 + size_of(op->q, n), err);
}

static int w_mean_keys(e3_dev *dev, const e3_mean_keys *layer, int layers, e3_err *err)
{
	BEGIN;
	uint64_t bytes = 0;
	for (int l = 0; l < layers; l++)
		bytes += kv_used(layer[l].kv) / 2 * (uint64_t)layer[l].n / (uint64_t)layer[l].kv->n_keys;
	return done(w, d->ops->mean_keys(d, layer, layers, err), "mean_keys", start, bytes, err);
}

static int w_shift(e3_dev *dev, e3_rows before, e3_rows after, int dim, float *out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->shift(d, before, after, dim, out, err), "shift", start, 2 * rows_bytes(after.n, dim), err);
}

static int w_novelty(e3_dev *dev, const e3_rule *rule, const e3_novelty *layer, int layers, e3_err *err)
{
	BEGIN;
	uint64_t bytes = 0;
	for (int l = 0; l < layers; l++)
		bytes += kv_used(layer[l].kv); /* the keys, twice */
	return done(w, d->ops->novelty(d, rule, layer, layers, err), "novelty", start, bytes, err);
}

static int w_move(e3_dev *dev, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *err)
{
	BEGIN;
	uint64_t each = kv->n_keys ? kv_used(kv) / (uint64_t)kv->n_keys : 0;
	return done(w, d->ops->move(d, kv, from, to, n, err), "move", start, 2 * each * (uint64_t)n, err);
}

static int w_modulate(e3_dev *dev, const float *p, const float *mod, int dim, float *out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->modulate(d, p, mod, dim, out, err), "modulate", start, rows_bytes(5, dim), err);
}

static int w_conv(e3_dev *dev, const e3_conv *op, e3_err *err)
{
	BEGIN;
	uint64_t bytes = mat_bytes(op->mat) + features_bytes(op->x) +
		features_bytes(op->out) * (uint64_t)(1 + (op->resid.p != NULL) + (op->plus.p != NULL));
	return done(w, d->ops->conv(d, op, err), "conv", start, bytes, err);
}

static int w_deconv(e3_dev *dev, e3_features x, const e3_mat *mat, e3_features out, e3_err *err)
{
	BEGIN;
	uint64_t bytes = mat_bytes(mat) + features_bytes(x) + features_bytes(out);
	return done(w, d->ops->deconv(d, x, mat, out, err), "deconv", start, bytes, err);
}

static int w_upsample(e3_dev *dev, e3_features x, e3_features out, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->upsample(d, x, out, err), "upsample", start, features_bytes(x) + features_bytes(out), err);
}

static int w_add_uv(e3_dev *dev, e3_features x, e3_uv uv, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->add_uv(d, x, uv, err), "add_uv", start, 2 * features_bytes(x), err);
}

static int w_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	BEGIN;
	uint64_t bytes = mat_bytes(op->conv) + features_bytes(op->z) + rows_bytes(op->H * op->out->out, op->W);
	return done(w, d->ops->dense(d, op, err), "dense", start, bytes, err);
}

static int w_enter(e3_dev *dev, const e3_entered *layer, int layers, e3_err *err)
{
	BEGIN;
	uint64_t n = 0;
	w->pages = 0;
	for (int l = 0; l < layers; l++) {
		n += (uint64_t)layer[l].n;
		w->pages += (uint64_t)(layer[l].kv->n_keys + layer[l].kv->page_keys - 1) / (uint64_t)layer[l].kv->page_keys;
	}
	return done(w, d->ops->enter(d, layer, layers, err), "enter", start, 16 * n, err);
}

static int w_score(e3_dev *dev, const e3_rule *rule, const e3_scored *layer, int layers, e3_err *err)
{
	BEGIN;
	uint64_t n = 0;
	for (int l = 0; l < layers; l++)
		n += (uint64_t)layer[l].kv->n_keys;
	return done(w, d->ops->score(d, rule, layer, layers, err), "score", start, 36 * n, err);
}

static int w_choose(e3_dev *dev, const e3_rule *rule, const e3_chosen *layer, int layers, e3_err *err)
{
	BEGIN;
	uint64_t n = 0;
	for (int l = 0; l < layers; l++)
		n += (uint64_t)layer[l].kv->n_keys;
	return done(w, d->ops->choose(d, rule, layer, layers, err), "choose", start, 16 * n, err);
}

static int w_copy(e3_dev *dev, e3_tensor to, e3_tensor from, size_t n, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->copy(d, to, from, n, err), "copy", start, 2 * size_of(from, n), err);
}

static int w_upload(e3_dev *dev, e3_tensor to, const void *from, size_t n, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->upload(d, to, from, n, err), "upload", start, size_of(to, n), err);
}

static int w_download(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->download(d, to, from, n, err), "download", start, size_of(from, n), err);
}

static int w_fetch(e3_dev *dev, void *to, e3_tensor from, size_t n, e3_err *err)
{
	BEGIN;
	return done(w, d->ops->fetch(d, to, from, n, err), "fetch", start, size_of(from, n), err);
}

static int w_weight(e3_dev *dev, const float *from, e3_mat *mat, e3_err *err)
{
	BEGIN;
	int rc = d->ops->weight(d, from, mat, err);
	return done(w, rc, "weight", start, rc ? 0 : mat_bytes(mat), err);
}

/* ---- passed on as they are ---- */

static const char *w_name(e3_dev *dev) { return watch_of(dev)->inner->ops->name(watch_of(dev)->inner); }
static e3_memory w_memory(e3_dev *dev) { return watch_of(dev)->inner->ops->memory(watch_of(dev)->inner); }
static int w_alloc(e3_dev *dev, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err)
{
	return watch_of(dev)->inner->ops->alloc(watch_of(dev)->inner, dtype, n, out, err);
}
static void w_free(e3_dev *dev, void *p) { watch_of(dev)->inner->ops->free(watch_of(dev)->inner, p); }
static int w_alloc_host(e3_dev *dev, size_t bytes, void **out, e3_err *err)
{
	return watch_of(dev)->inner->ops->alloc_host(watch_of(dev)->inner, bytes, out, err);
}
static void w_free_host(e3_dev *dev, void *p) { watch_of(dev)->inner->ops->free_host(watch_of(dev)->inner, p); }
static int w_reserve(e3_dev *dev, size_t keys, e3_err *err)
{
	return watch_of(dev)->inner->ops->reserve(watch_of(dev)->inner, keys, err);
}
static int w_finish(e3_dev *dev, e3_err *err) { return watch_of(dev)->inner->ops->finish(watch_of(dev)->inner, err); }
static int w_wait(e3_dev *dev, e3_err *err) { return settle(watch_of(dev), err); }

/* ---- not passed on: everything is in one branch ---- */

static int w_mark(e3_dev *dev, e3_err *err) { return 0; }
static int w_branch(e3_dev *dev, int which, e3_err *err) { return 0; }
static int w_gather(e3_dev *dev, int which, e3_err *err) { return 0; }
static int w_launch(e3_dev *dev, e3_err *err) { return 0; }

/* ---- dumping ---- */

static int room_for(watch *w, size_t n, e3_err *err)
{
	if (n <= w->cap)
		return 0;
	free(w->raw), free(w->values);
	w->cap = 0;
	w->raw = e3_alloc(n, sizeof(float), "a dump", err);
	w->values = e3_alloc(n, sizeof(float), "a dump", err);
	if (!w->raw || !w->values)
		return -1;
	w->cap = n;
	return 0;
}

/* Values of any type that devices compute in, as f32. */
static void widen(const uint8_t *raw, e3_dtype dtype, size_t n, float *to)
{
	const uint16_t *half = (const uint16_t *)(const void *)raw;
	if (dtype == E3_F32)
		memcpy(to, raw, n * sizeof *to);
	else
		for (size_t k = 0; k < n; k++)
			to[k] = dtype == E3_BF16 ? e3_bf16_to_f32(half[k]) : e3_f16_to_f32(half[k]);
}

static int write_npy(const char *path, const float *v, const int64_t *shape, int dims, e3_err *err)
{
	e3_file file = {0};
	char header[192];
	size_t n = sizeof *v, length = e3_npy_header(header, shape, dims);
	for (int k = 0; k < dims; k++)
		n *= (size_t)shape[k];
	if (e3_file_open(&file, path, err))
		return -1;
	if (e3_file_write(&file, header, length, err) == 0 && e3_file_write(&file, v, n, err) == 0)
		return e3_file_commit(&file, err);
	e3_file_discard(&file);
	return -1;
}

static int dump(watch *w, const e3_activation *note, e3_err *err)
{
	char path[4300], index[16] = "";
	int64_t shape[3];
	int dims = 0;
	size_t n = 1;
	for (; dims < 3 && note->shape[dims]; dims++)
		shape[dims] = note->shape[dims], n *= (size_t)shape[dims];
	if (note->index >= 0)
		snprintf(index, sizeof index, ".%02d", note->index);
	snprintf(path, sizeof path, "%.4096s/frame%06lld.%.32s%s%s%.32s.npy", w->o.dump, (long long)w->frame + note->ahead,
		note->stage, index, note->part ? "." : "", note->part ? note->part : "");
	if (room_for(w, n, err) || w->inner->ops->download(w->inner, w->raw, note->t, n, err))
		return -1;
	widen(w->raw, note->t.dtype, n, w->values);
	return write_npy(path, w->values, shape, dims, err);
}

static int w_note(e3_dev *dev, const e3_activation *note, e3_err *err)
{
	watch *w = watch_of(dev);
	w->stage = note->stage;
	bool block = note->index >= 0 && (!strcmp(note->stage, "vit") || !strcmp(note->stage, "agg"));
	if (!w->o.dump || w->frame < 0 || !note->t.p ||
		(block && w->o.blocks && !w->o.blocks[note->index % E3_WATCH_BLOCKS]))
		return 0;
	return dump(w, note, err) ? e3_fail_in(err, "dumping") : 0;
}

static void w_close(e3_dev *dev)
{
	watch *w = watch_of(dev);
	e3_dev_close(w->inner);
	free(w->raw), free(w->values), free(w);
}

static const e3_dev_ops watch_ops = {
	.name = w_name,
	.close = w_close,
	.memory = w_memory,
	.alloc = w_alloc,
	.free = w_free,
	.upload = w_upload,
	.download = w_download,
	.weight = w_weight,
	.alloc_host = w_alloc_host,
	.free_host = w_free_host,
	.fetch = w_fetch,
	.copy = w_copy,
	.mark = w_mark,
	.wait = w_wait,
	.branch = w_branch,
	.finish = w_finish,
	.gather = w_gather,
	.launch = w_launch,
	.note = w_note,
	.patchify = w_patchify,
	.linear = w_linear,
	.norm = w_norm,
	.copy_rows = w_copy_rows,
	.mean_rows = w_mean_rows,
	.qkv = w_qkv,
	.attend = w_attend,
	.mass = w_mass,
	.match = w_match,
	.mean_keys = w_mean_keys,
	.shift = w_shift,
	.novelty = w_novelty,
	.move = w_move,
	.modulate = w_modulate,
	.conv = w_conv,
	.deconv = w_deconv,
	.upsample = w_upsample,
	.add_uv = w_add_uv,
	.dense = w_dense,
	.enter = w_enter,
	.reserve = w_reserve,
	.score = w_score,
	.choose = w_choose,
};

e3_dev *e3_dev_watch(e3_dev *inner, const e3_watch_options *o, e3_err *err)
{
	watch *w = e3_alloc(1, sizeof *w, "watching the device", err);
	if (!w || (o->dump && e3_mkdirs(o->dump, err))) {
		free(w);
		e3_dev_close(inner);
		return NULL;
	}
	w->dev = (e3_dev){&watch_ops, inner->attn_dtype, inner->feature_dtype, inner->halt, inner->apart, false};
	w->inner = inner, w->o = *o, w->stage = "load";
	return &w->dev;
}

void e3_watch_frame(e3_dev *dev, int64_t i) { watch_of(dev)->frame = i; }

void e3_watch_print(const e3_dev *dev, FILE *to)
{
	const watch *w = (const watch *)(const void *)dev;
	double seconds = 0;
	uint64_t bytes = 0;
	int64_t calls = 0;
	fprintf(to, "%-8s %-10s %9s %11s %11s %9s\n", "stage", "operation", "calls", "ms", "MiB", "GiB/s");
	for (int k = 0; k < w->n_rows; k++) {
		const row *r = &w->rows[k];
		calls += r->calls, seconds += r->seconds, bytes += r->bytes;
		fprintf(to, "%-8s %-10s %9lld %11.3f %11.1f %9.1f\n", r->stage, r->op, (long long)r->calls, 1e3 * r->seconds,
			(double)r->bytes / 1048576, r->seconds > 0 ? (double)r->bytes / 1073741824 / r->seconds : 0);
	}
	fprintf(to, "%-8s %-10s %9lld %11.3f %11.1f\n", "all", "", (long long)calls, 1e3 * seconds,
		(double)bytes / 1048576);
	fprintf(to, "cache: %llu pages in use at the last frame\n", (unsigned long long)w->pages);
}
