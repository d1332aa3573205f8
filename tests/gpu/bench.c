/* make bench-gpu: the full seeded network on a device, frame by frame, then operation by operation: bench DEVICE FRAMES
 * BUDGET [W H]. KV=fp8, int8 or k8v4: with a packed cache; PRECISION=int8 or fp8: with weights in 8 bits. ENERGY=1:
 * also what each operation takes of an NVIDIA GPU's energy.
 *
 * The time of an operation is taken by giving it several times in a row: what a further one costs when the device never
 * waits. Works through the seam alone, so it times any backend; pictures are noise. Prints, asserts nothing.
 */
#include "../../lib/model/session.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "energy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT = 6, MAX_ROWS = 128, WARM = 14 };

typedef struct row {
	char label[64];
	double seconds, flop, joules; /* joules: of one call, and what the idle device takes meanwhile */
	int calls;
} row;

/* Stands before a device: passes everything on, and times the operations of a frame. */
typedef struct probe {
	e3_dev dev;
	e3_dev *inner;
	row rows[MAX_ROWS];
	int n;
} probe;

static probe *probe_of(e3_dev *dev) { return (probe *)(void *)dev; }

static row *charge(probe *p, const char *label, double seconds, double flop)
{
	int k = 0;
	while (k < p->n && strcmp(p->rows[k].label, label))
		k++;
	if (k == MAX_ROWS)
		return NULL;
	if (k == p->n)
		snprintf(p->rows[p->n++].label, sizeof p->rows[k].label, "%s", label);
	p->rows[k].seconds += seconds, p->rows[k].flop += flop, p->rows[k].calls++;
	return &p->rows[k];
}

typedef int operation(e3_dev *, const void *, e3_err *);

/* Of one call: the operation again and again, for longer than the counter's steps. */
static double energy(e3_dev *d, operation *op, const void *args, double seconds, e3_err *err)
{
	int n = (int)(0.35 / fmax(seconds, 5e-6)) + 1;
	if (seconds < 1e-5 || d->ops->finish(d, err))
		return 0;
	double from = joules();
	for (int k = 0; k < n; k++)
		if (op(d, args, err))
			return 0;
	return d->ops->finish(d, err) ? 0 : (joules() - from) / n;
}

static int timed(e3_dev *dev, operation *op, const void *args, const char *label, double flop, e3_err *err)
{
	probe *p = probe_of(dev);
	e3_dev *d = p->inner;
	double best[2] = {1e9, 1e9};
	for (int round = 0; round < 2; round++)
		for (int many = 0; many < 2; many++) {
			if (d->ops->finish(d, err))
				return -1;
			double t = e3_now();
			for (int k = 0; k < (many ? 1 + REPEAT : 1); k++)
				if (op(d, args, err))
					return -1;
			if (d->ops->finish(d, err))
				return -1;
			best[many] = fmin(best[many], e3_now() - t);
		}
	row *r = charge(p, label, (best[1] - best[0]) / REPEAT, flop);
	if (r && r->calls == 1 && getenv("ENERGY"))
		r->joules = energy(d, op, args, r->seconds, err);
	return 0;
}

static int on_linear(e3_dev *d, const void *a, e3_err *err) { return d->ops->linear(d, a, err); }
static int on_qkv(e3_dev *d, const void *a, e3_err *err) { return d->ops->qkv(d, a, err); }
static int on_attend(e3_dev *d, const void *a, e3_err *err) { return d->ops->attend(d, a, err); }
static int on_mass(e3_dev *d, const void *a, e3_err *err) { return d->ops->mass(d, a, err); }
static int on_conv(e3_dev *d, const void *a, e3_err *err) { return d->ops->conv(d, a, err); }
static int on_dense(e3_dev *d, const void *a, e3_err *err) { return d->ops->dense(d, a, err); }

static int p_linear(e3_dev *dev, const e3_linear *op, e3_err *err)
{
	char label[64];
	const char *kind = op->rows == 1 ? "row" : op->mat->role == E3_ROLE_FEATURES ? "features 1x1" : "linear";
	snprintf(label, sizeof label, op->rows == 1 ? "%s x %d x %d" : "%s %d x %d x %d", kind, op->mat->in, op->mat->out,
		op->rows);
	return timed(dev, on_linear, op, label, 2.0 * op->rows * op->mat->in * op->mat->out, err);
}

static int p_qkv(e3_dev *dev, const e3_qkv *op, e3_err *err)
{
	return timed(dev, on_qkv, op, op->rows == 1 ? "row qkv" : "qkv", 2.0 * op->rows * op->mat->in * op->mat->out, err);
}

static int p_attend(e3_dev *dev, const e3_attend *op, e3_err *err)
{
	const char *label = op->rows == 1              ? "row attend"
		: op->lse || op->kv->n_keys > 2 * op->rows ? "attend, global"
												   : "attend, one frame";
	return timed(dev, on_attend, op, label, 4.0 * op->rows * op->kv->n_keys * op->kv->heads * op->kv->head_dim, err);
}

static int p_mass(e3_dev *dev, const e3_mass *op, e3_err *err)
{
	return timed(dev, on_mass, op, "mass", 2.0 * op->rows * op->kv->n_keys * op->kv->heads * op->kv->head_dim, err);
}

static int on_match(e3_dev *d, const void *a, e3_err *err) { return d->ops->match(d, a, err); }
static int p_match(e3_dev *dev, const e3_match *op, e3_err *err)
{
	return timed(dev, on_match, op, "match", 2.0 * op->kv->n_keys * op->kv->heads * op->kv->head_dim, err);
}

static int p_mean_keys(e3_dev *d, const e3_mean_keys *layer, int layers, e3_err *e)
{
	return probe_of(d)->inner->ops->mean_keys(probe_of(d)->inner, layer, layers, e);
}

static int p_shift(e3_dev *d, e3_rows a, e3_rows b, int dim, float *out, e3_err *e)
{
	return probe_of(d)->inner->ops->shift(probe_of(d)->inner, a, b, dim, out, e);
}

static int p_novelty(e3_dev *d, const e3_rule *rule, const e3_novelty *layer, int layers, e3_err *e)
{
	return probe_of(d)->inner->ops->novelty(probe_of(d)->inner, rule, layer, layers, e);
}

static int p_conv(e3_dev *dev, const e3_conv *op, e3_err *err)
{
	char label[64];
	int oh = op->out.h, ow = op->out.w;
	snprintf(label, sizeof label, "conv %d x %d, %d to %d", oh, ow, op->mat->in / 9, op->mat->out);
	return timed(dev, on_conv, op, label, 2.0 * oh * ow * op->mat->in * op->mat->out, err);
}

static int p_dense(e3_dev *dev, const e3_dense *op, e3_err *err)
{
	return timed(dev, on_dense, op, "dense", 2.0 * op->H * op->W * op->conv->in * op->conv->out, err);
}

/* The operations that take their operands one by one. */
typedef struct rest {
	int what, n;
	e3_rows rows, out_rows;
	e3_features x, out;
	e3_tensor to, from;
	const float *a, *b;
	e3_uv uv;
	const e3_mat *mat;
	const e3_norm *norm;
} rest;
enum { R_NORM, R_COPY_ROWS, R_MEAN, R_COPY, R_DECONV, R_UPSAMPLE, R_UV, R_MODULATE };

static int on_rest(e3_dev *d, const void *args, e3_err *err)
{
	const rest *r = args;
	const e3_dev_ops *o = d->ops;
	switch (r->what) {
	case R_NORM:
		return o->norm(d, r->rows, r->norm, r->out_rows, err);
	case R_COPY_ROWS:
		return o->copy_rows(d, r->rows, r->n, r->out_rows, err);
	case R_MEAN:
		return o->mean_rows(d, r->rows, r->n, r->out_rows.p, err);
	case R_COPY:
		return o->copy(d, r->to, r->from, (size_t)r->n, err);
	case R_DECONV:
		return o->deconv(d, r->x, r->mat, r->out, err);
	case R_UPSAMPLE:
		return o->upsample(d, r->x, r->out, err);
	case R_UV:
		return o->add_uv(d, r->x, r->uv, err);
	default:
		return o->modulate(d, r->a, r->b, r->n, r->out_rows.p, err);
	}
}

static int p_norm(e3_dev *d, e3_rows x, const e3_norm *norm, e3_rows out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_NORM, .rows = x, .out_rows = out, .norm = norm}, "norm", 0, err);
}

static int p_copy_rows(e3_dev *d, e3_rows x, int dim, e3_rows out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_COPY_ROWS, .n = dim, .rows = x, .out_rows = out}, "copies", 0, err);
}

static int p_mean_rows(e3_dev *d, e3_rows x, int dim, float *out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_MEAN, .n = dim, .rows = x, .out_rows.p = out}, "mean_rows", 0, err);
}

static int p_copy(e3_dev *d, e3_tensor to, e3_tensor from, size_t n, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_COPY, .n = (int)n, .to = to, .from = from}, "copies", 0, err);
}

static int p_deconv(e3_dev *d, e3_features x, const e3_mat *mat, e3_features out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_DECONV, .x = x, .out = out, .mat = mat}, "deconv",
		2.0 * x.h * x.w * mat->in * mat->out, err);
}

static int p_upsample(e3_dev *d, e3_features x, e3_features out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_UPSAMPLE, .x = x, .out = out}, "upsample", 0, err);
}

static int p_uv(e3_dev *d, e3_features x, e3_uv uv, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_UV, .x = x, .uv = uv}, "add_uv", 0, err);
}

static int p_modulate(e3_dev *d, const float *p, const float *mod, int dim, float *out, e3_err *err)
{
	return timed(d, on_rest, &(rest){.what = R_MODULATE, .n = dim, .a = p, .b = mod, .out_rows = {out, 1, dim}},
		"row modulate", 0, err);
}

static int on_patchify(e3_dev *d, const void *a, e3_err *err) { return d->ops->patchify(d, a, err); }
static int p_patchify(e3_dev *d, const e3_patchify *op, e3_err *err)
{
	return timed(d, on_patchify, op, "patchify", 0, err);
}

/* Passed on as they are. */
static const char *p_name(e3_dev *d) { return probe_of(d)->inner->ops->name(probe_of(d)->inner); }
static int p_alloc(e3_dev *d, e3_dtype type, size_t n, e3_tensor *out, e3_err *e)
{
	return probe_of(d)->inner->ops->alloc(probe_of(d)->inner, type, n, out, e);
}
static void p_free(e3_dev *d, void *p) { probe_of(d)->inner->ops->free(probe_of(d)->inner, p); }
static int p_alloc_host(e3_dev *d, size_t n, void **out, e3_err *e)
{
	return probe_of(d)->inner->ops->alloc_host(probe_of(d)->inner, n, out, e);
}
static void p_free_host(e3_dev *d, void *p) { probe_of(d)->inner->ops->free_host(probe_of(d)->inner, p); }
static int p_upload(e3_dev *d, e3_tensor to, const void *from, size_t n, e3_err *e)
{
	return probe_of(d)->inner->ops->upload(probe_of(d)->inner, to, from, n, e);
}
static int p_weight(e3_dev *d, const float *from, e3_mat *m, e3_err *e)
{
	return probe_of(d)->inner->ops->weight(probe_of(d)->inner, from, m, e);
}
static int p_download(e3_dev *d, void *to, e3_tensor from, size_t n, e3_err *e)
{
	return probe_of(d)->inner->ops->download(probe_of(d)->inner, to, from, n, e);
}
static int p_fetch(e3_dev *d, void *to, e3_tensor from, size_t n, e3_err *e)
{
	return probe_of(d)->inner->ops->fetch(probe_of(d)->inner, to, from, n, e);
}
static int p_mark(e3_dev *d, e3_err *e) { return probe_of(d)->inner->ops->mark(probe_of(d)->inner, e); }
static int p_wait(e3_dev *d, e3_err *e) { return probe_of(d)->inner->ops->wait(probe_of(d)->inner, e); }
static int p_branch(e3_dev *d, int which, e3_err *e)
{
	return probe_of(d)->inner->ops->branch(probe_of(d)->inner, which, e);
}
static int p_finish(e3_dev *d, e3_err *e) { return probe_of(d)->inner->ops->finish(probe_of(d)->inner, e); }
/* Operations are timed one by one: nothing is gathered. */
static int p_gather(e3_dev *d, int which, e3_err *e) { return 0; }
static int p_launch(e3_dev *d, e3_err *e) { return 0; }
static int p_note(e3_dev *d, const e3_activation *note, e3_err *e) { return 0; }
static int p_reserve(e3_dev *d, size_t keys, e3_err *e)
{
	return probe_of(d)->inner->ops->reserve(probe_of(d)->inner, keys, e);
}
static int p_enter(e3_dev *d, const e3_entered *layer, int layers, e3_err *e)
{
	return probe_of(d)->inner->ops->enter(probe_of(d)->inner, layer, layers, e);
}
static int p_score(e3_dev *d, const e3_rule *rule, const e3_scored *layer, int layers, e3_err *e)
{
	return probe_of(d)->inner->ops->score(probe_of(d)->inner, rule, layer, layers, e);
}
static int p_choose(e3_dev *d, const e3_rule *rule, const e3_chosen *layer, int layers, e3_err *e)
{
	double t = e3_now();
	probe *p = probe_of(d);
	int rc = p->inner->ops->finish(p->inner, e) || p->inner->ops->choose(p->inner, rule, layer, layers, e) ||
		p->inner->ops->finish(p->inner, e);
	charge(p, "choose (waiting included)", e3_now() - t, 0);
	return rc;
}
static int p_move(e3_dev *d, const e3_kv *kv, const uint32_t *from, const uint32_t *to, int n, e3_err *e)
{
	return probe_of(d)->inner->ops->move(probe_of(d)->inner, kv, from, to, n, e);
}

static const e3_dev_ops timing = {
	.name = p_name,
	.alloc = p_alloc,
	.free = p_free,
	.upload = p_upload,
	.weight = p_weight,
	.download = p_download,
	.alloc_host = p_alloc_host,
	.free_host = p_free_host,
	.fetch = p_fetch,
	.mark = p_mark,
	.wait = p_wait,
	.branch = p_branch,
	.finish = p_finish,
	.gather = p_gather,
	.launch = p_launch,
	.note = p_note,
	.reserve = p_reserve,
	.copy = p_copy,
	.patchify = p_patchify,
	.linear = p_linear,
	.norm = p_norm,
	.copy_rows = p_copy_rows,
	.mean_rows = p_mean_rows,
	.qkv = p_qkv,
	.attend = p_attend,
	.mass = p_mass,
	.match = p_match,
	.mean_keys = p_mean_keys,
	.shift = p_shift,
	.novelty = p_novelty,
	.move = p_move,
	.modulate = p_modulate,
	.conv = p_conv,
	.deconv = p_deconv,
	.upsample = p_upsample,
	.add_uv = p_uv,
	.dense = p_dense,
	.enter = p_enter,
	.score = p_score,
	.choose = p_choose,
};

/* What a session's operations go to from now on. */
static void use(e3_session *s, e3_dev *dev) { s->dev = s->past->cache.dev = dev; }

static int by_time(const void *a, const void *b)
{
	const row *x = a, *y = b;
	return x->seconds < y->seconds ? 1 : -1;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void noise(uint8_t *rgb, size_t n, uint32_t seed)
{
	for (size_t k = 0; k < n; k++)
		rgb[k] = (uint8_t)e3_fmix32(seed + (uint32_t)k);
}

static int frames(e3_session *s, int n, const int size[2], double *ms, e3_err *err)
{
	size_t bytes = 3 * (size_t)size[0] * (size_t)size[1];
	uint8_t *rgb = malloc(bytes);
	e3_evict evict = {0};
	e3_result r;
	int rc = rgb ? 0 : -1;
	for (int k = 0; k < n && !rc; k++) {
		noise(rgb, bytes, (uint32_t)k * 2654435761u);
		double t = e3_now();
		rc = e3_session_step(s, rgb, &r, &evict, err);
		ms[k] = 1e3 * (e3_now() - t);
	}
	e3_evict_release(&evict);
	free(rgb);
	return rc;
}

/* One frame stage by stage, the device waited for between them. */
static int stages(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2], e3_err *err)
{
	const e3_dev_ops *ops = dev->ops;
	double ms[WARM + 4], t[6];
	e3_session *s = e3_session_open(net, dev, o, size, err);
	uint8_t *rgb = calloc(3 * (size_t)size[0], (size_t)size[1]);
	if (!s || !rgb || frames(s, WARM, size, ms, err))
		return -1;
	noise(rgb, 3 * (size_t)size[0] * (size_t)size[1], 5);
	t[0] = e3_now();
	if (e3_embed_step(s, rgb, err) || ops->finish(dev, err))
		return -1;
	t[1] = e3_now();
	int rc = e3_aggregate_step(s, 1, err);
	double given = e3_now();
	if (rc || ops->finish(dev, err))
		return -1;
	t[2] = e3_now();
	if (e3_camera_step(s, 1, err) || ops->finish(dev, err))
		return -1;
	t[3] = e3_now();
	if (e3_dpt_step(s, &net->depth, &s->work->depth, s->result[0].depth, s->result[0].depth_conf, err) ||
		ops->finish(dev, err) ||
		e3_dpt_step(s, &net->point, &s->work->point, s->result[0].points, s->result[0].points_conf, err) ||
		ops->finish(dev, err))
		return -1;
	t[4] = e3_now();
	printf(
		"stages, one after the other: ViT %.2f ms, aggregator %.2f (given in %.2f), camera head %.2f, dense heads %.2f\n",
		1e3 * (t[1] - t[0]), 1e3 * (t[2] - t[1]), 1e3 * (given - t[1]), 1e3 * (t[3] - t[2]), 1e3 * (t[4] - t[3]));
	e3_session_close(s);
	free(rgb);
	return 0;
}

/* Every row with its share of the rate that a large product reaches on an H200, then what the mass costs beside
 * attention. */
static void print_rows(const probe *p)
{
	const double most = 790;
	double sum = 0, global = 0, attend = 0, mass = 0;
	printf("%-36s %6s %9s %9s %9s\n", "operation, one frame", "calls", "ms", "TFLOP/s", "of 790");
	for (int k = 0; k < p->n; k++) {
		const row *r = &p->rows[k];
		double rate = 1e-12 * r->flop / r->seconds;
		sum += r->seconds;
		global += !strcmp(r->label, "attend, global") ? r->seconds : 0;
		attend += !strncmp(r->label, "attend, ", 8) ? r->seconds : 0;
		mass += !strcmp(r->label, "mass") ? r->seconds : 0;
		printf("%-36s %6d %9.3f %9.1f %7.0f %%", r->label, r->calls, 1e3 * r->seconds, rate, 100 * rate / most);
		printf(r->joules > 0 ? " %8.1f mJ %4.0f W\n" : "\n", 1e3 * r->joules * r->calls,
			r->joules * r->calls / r->seconds);
	}
	printf("%-36s %6s %9.3f\n", "sum", "", 1e3 * sum);
	if (mass > 0)
		printf("mass: %.1f %% of attention and mass, %.1f %% of attention, %.1f %% of the global layers' attention\n",
			100 * mass / (attend + mass), 100 * mass / attend, 100 * mass / global);
}

static int run(e3_dev *dev, int n, double budget, const int size[2], e3_err *err)
{
	static probe p;
	double t = e3_now(), *ms = calloc((size_t)n + WARM + 4, sizeof *ms);
	p = (probe){.inner = dev,
		.dev = {.ops = &timing, .attn_dtype = dev->attn_dtype, .feature_dtype = dev->feature_dtype}};
	e3_ckpt *ckpt = e3_ckpt_open("seed:full:1", err);
	const char *precision = getenv("PRECISION") ? getenv("PRECISION") : "";
	e3_dtype packed = !strcmp(precision, "int8") ? E3_I8 : !strcmp(precision, "fp8") ? E3_F8 : 0;
	e3_net *net = ckpt ? e3_net_open_packed(ckpt, dev, packed, err) : NULL;
	if (!net)
		return -1;
	printf("%s: weights in %.1f s, resident %.0f MiB\n", dev->ops->name(dev), e3_now() - t,
		(double)e3_rss_now() / 1048576);
	e3_infer_options o = e3_infer_defaults();
	for (int k = E3_PACK_BF16; k < E3_PACKS && getenv("KV"); k++)
		if (!strcmp(getenv("KV"), (const char *const[]){"", "bf16", "fp8", "int8", "k8v4"}[k]))
			o.pack = (e3_kv_pack)k;
	e3_infer_use_device(&o, dev);
	o.policy = e3_policy_find(budget > 0 ? "evict3r" : "none"), o.budget_kind = E3_BUDGET_FRAMES, o.budget = budget;
	e3_session *s = e3_session_open(net, dev, &o, size, err);
	if (!s || frames(s, WARM, size, ms, err))
		return -1;
	double from = joules();
	if (frames(s, n, size, ms + WARM, err))
		return -1;
	double taken = joules() - from;
	if (!isnan(taken))
		printf("%.2f J a frame\n", taken / n);
	printf("first frame %.1f ms, second %.1f\n", ms[0], ms[1]);
	qsort(ms + WARM, (size_t)n, sizeof *ms, by_value);
	printf("frames %d to %d: median %.2f ms (%.1f frames/s), p99 %.2f, fastest %.2f\n", WARM, WARM + n - 1,
		ms[WARM + n / 2], 1e3 / ms[WARM + n / 2], ms[WARM + n * 99 / 100], ms[WARM]);
	e3_session_close(s);

	if (stages(net, dev, &o, size, err))
		return -1;
	/* A device that times: the same weights, a session of its own. */
	s = e3_session_open(net, dev, &o, size, err);
	if (!s || frames(s, WARM, size, ms, err))
		return -1;
	use(s, &p.dev);
	if (frames(s, 1, size, ms, err))
		return -1;
	qsort(p.rows, (size_t)p.n, sizeof *p.rows, by_time);
	print_rows(&p);
	use(s, dev);
	e3_session_close(s);
	e3_net_close(net);
	free(ms);
	return 0;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	if (argc < 4) {
		fprintf(stderr, "bench cpu|cuda|cuda-f32 FRAMES BUDGET-IN-FRAMES|0 [W H]\n");
		return 2;
	}
	int size[2] = {argc > 5 ? atoi(argv[5]) : 392, argc > 4 ? atoi(argv[4]) : 518};
	e3_dev *dev = !strcmp(argv[1], "cpu") ? e3_dev_cpu(0, &err) : e3_dev_cuda(!strcmp(argv[1], "cuda-f32"), &err);
	int rc = dev ? run(dev, atoi(argv[2]), atof(argv[3]), size, &err) : -1;
	if (rc)
		fprintf(stderr, "bench: %s\n", err.text);
	e3_dev_close(dev);
	return rc ? 1 : 0;
}
