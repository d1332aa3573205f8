/* model: which matrices stay in 16 bits when the others are in 8 (doc/network.md 15.3): each product of the first frame
 * is compared with that of the matrix in 16 bits, whose block is loaded for that moment only; what errs too much takes
 * the place of its 8 bits, the worst first, as long as the reserve has room. Or, of a resumed stream, those that were
 * chosen before. */
#include "block.h"
#include "e3/mem.h"
#include "session.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MATRICES = 4, ROWS = 64 };

typedef struct calibration {
	e3_probe probe; /* first */
	e3_net *net;
	e3_dev *dev;
	e3_packing *to;
	/* The block that is looked at, in 16 bits. */
	e3_loader loader;
	e3_net plain;
	e3_block block;
	int at; /* its number, or -1 */
	/* Results of both products: device, host. */
	float *device, *host[2];
	size_t cap;
} calibration;

static e3_mat *matrix_of(e3_block *b, int k)
{
	e3_mat *const all[MATRICES] = {&b->qkv, &b->proj, &b->fc1, &b->fc2};
	return all[k];
}

/* Blocks by number: those of the ViT, the frame blocks, the global blocks, the camera head's. */
static int blocks_before_camera(const e3_config *c) { return c->vit_depth + 2 * c->layers; }
static int blocks_of(const e3_net *net) { return blocks_before_camera(&net->c) + net->c.camera_depth; }

static e3_block *block_of(e3_net *net, int k)
{
	int vit = net->c.vit_depth, layers = net->c.layers, camera = blocks_before_camera(&net->c);
	return k < vit         ? &net->vit[k]
		: k < vit + layers ? &net->frame[k - vit]
		: k < camera       ? &net->global[k - vit - layers]
						   : &net->trunk[k - camera];
}

void e3_packing_name(const e3_config *c, int matrix, char to[32])
{
	static const char *const names[MATRICES] = {"qkv", "proj", "fc1", "fc2"};
	int k = matrix / MATRICES, vit = c->vit_depth, layers = c->layers, camera = k - blocks_before_camera(c);
	const char *family = k < vit ? "vit" : k < vit + layers ? "frame" : camera < 0 ? "global" : "camera";
	int number = k < vit ? k : camera < 0 ? (k - vit) % layers : camera;
	snprintf(to, 32, "%s.%d.%s", family, number, names[matrix % MATRICES]);
}

static int number_of(e3_net *net, const e3_block *b)
{
	for (int k = 0; k < blocks_of(net); k++)
		if (block_of(net, k) == b)
			return k;
	return -1;
}

/* ---- loading again ---- */

static void drop_plain(calibration *c)
{
	e3_arena_release(&c->plain.arena);
	c->at = -1;
}

static int load_plain(calibration *c, int block, e3_err *err)
{
	if (c->at == block)
		return 0;
	drop_plain(c);
	if (e3_load_numbered(&c->loader, block, &c->block, err))
		return -1;
	c->at = block;
	return 0;
}

/* Puts a matrix in 16 bits in its place. */
static int widen(calibration *c, int matrix, e3_err *err)
{
	e3_mat *to = matrix_of(block_of(c->net, matrix / MATRICES), matrix % MATRICES);
	if (load_plain(c, matrix / MATRICES, err))
		return -1;
	const e3_mat *from = matrix_of(&c->block, matrix % MATRICES);
	if (e3_arena_take(&c->net->arena, &c->plain.arena, from->w.p, err))
		return -1;
	e3_arena_drop(&c->net->arena, to->w.p);
	to->w = from->w, to->packed = 0, to->scale = NULL;
	c->to->wide[matrix] = true, c->to->n_wide++;
	return 0;
}

/* ---- what was chosen, as a saved session has it ---- */

/* The place of matrix k of block b: a layer and a bit; -1: there is none. */
static int bit_of(const e3_config *c, int matrix, int *layer)
{
	enum { CAMERA = 32 / MATRICES - 1 };
	int k = matrix / MATRICES, vit = c->vit_depth, layers = c->layers, camera = k - blocks_before_camera(c);
	int group = k < vit ? 2 + k / layers : camera < 0 ? (k - vit) / layers : CAMERA;
	*layer = k < vit ? k % layers : camera < 0 ? (k - vit) % layers : camera;
	bool has = camera < 0 ? group < CAMERA : camera < layers;
	return has ? group * MATRICES + matrix % MATRICES : -1;
}

void e3_net_wide(const e3_net *net, uint32_t *wide)
{
	e3_net *n = (e3_net *)(uintptr_t)net; /* blocks are only looked at */
	int layer;
	memset(wide, 0, (size_t)net->c.layers * sizeof *wide);
	for (int k = 0; net->packed && k < blocks_of(net) * MATRICES; k++) {
		int bit = bit_of(&net->c, k, &layer);
		if (bit >= 0 && !e3_dtype_is_8(matrix_of(block_of(n, k / MATRICES), k % MATRICES)->w.dtype))
			wide[layer] |= 1u << bit;
	}
}

const char *e3_packing_type(e3_dtype packed)
{
	return packed == E3_I8 ? "int8" : packed == E3_F8 ? "fp8" : "16 bits or f32";
}

/* ---- comparing ---- */

static int room_for(calibration *c, size_t n, e3_err *err)
{
	if (n <= c->cap)
		return 0;
	c->dev->ops->free(c->dev, c->device);
	free(c->host[0]), free(c->host[1]);
	c->device = c->host[0] = c->host[1] = NULL, c->cap = 0;
	c->host[0] = e3_alloc(n, sizeof(float), "calibration", err);
	c->host[1] = e3_alloc(n, sizeof(float), "calibration", err);
	if (!c->host[0] || !c->host[1] || e3_dev_floats(c->dev, n, &c->device, err))
		return -1;
	c->cap = n;
	return 0;
}

/* The error of a sample of the rows, without biases, relative to how much the result differs from row to row: what all
 * rows share tells nothing of the picture, and may be large where a channel is. Of one row: relative to the result. */
static int compare(calibration *c, const e3_linear *op, const e3_mat *plain, double *error, e3_err *err)
{
	int step = op->rows / ROWS > 0 ? op->rows / ROWS : 1, rows = (op->rows + step - 1) / step;
	size_t n = (size_t)rows * (size_t)op->mat->out;
	const e3_mat *mats[2] = {op->mat, plain};
	double num = 0, den = 0;
	if (room_for(c, n, err))
		return -1;
	for (int k = 0; k < 2; k++) {
		e3_mat m = *mats[k];
		m.b = NULL;
		e3_linear product = {.x = op->x,
			.rows = rows,
			.ldx = op->ldx * step,
			.norm = op->norm,
			.mat = &m,
			.out = e3_tensor_f32(c->device),
			.ldo = m.out};
		if (c->dev->ops->linear(c->dev, &product, err) ||
			c->dev->ops->download(c->dev, c->host[k], e3_tensor_f32(c->device), n, err))
			return -1;
	}
	for (int o = 0; o < op->mat->out; o++) {
		double mean = 0;
		for (size_t k = (size_t)o; rows > 1 && k < n; k += (size_t)op->mat->out)
			mean += c->host[1][k] / (double)rows;
		for (size_t k = (size_t)o; k < n; k += (size_t)op->mat->out) {
			double d = (double)c->host[0][k] - c->host[1][k], own = c->host[1][k] - mean;
			num += d * d, den += own * own;
		}
	}
	*error = den > 0 ? sqrt(num / den) : 0;
	return 0;
}

static int look(e3_probe *probe, e3_dev *dev, const e3_block *b, const e3_linear *op, e3_err *err)
{
	calibration *c = (calibration *)(void *)probe;
	int block = number_of(c->net, b), k = 0;
	(void)dev;
	while (k < MATRICES && matrix_of(block_of(c->net, block), k) != op->mat)
		k++;
	double *error = &c->to->error[block * MATRICES + k];
	if (!e3_dtype_is_8(op->mat->w.dtype) || *error > 0) /* the camera head comes four times: the first counts */
		return 0;
	return load_plain(c, block, err) || compare(c, op, matrix_of(&c->block, k), error, err)
		? e3_fail_in(err, "calibrating")
		: 0;
}

static void set_probe(e3_net *net, e3_probe *probe)
{
	for (int k = 0; k < blocks_of(net); k++)
		block_of(net, k)->probe = probe;
}

/* The frame through ViT, aggregator and camera head, in a session of its own. */
static int run(calibration *c, const uint8_t *rgb, const int size[2], e3_err *err)
{
	e3_infer_options o = e3_infer_defaults();
	o.budget_kind = E3_BUDGET_FRAMES, o.budget = 2, o.outputs = E3_OUT_POSE, o.start = 1;
	e3_session *s = e3_session_open(c->net, c->dev, &o, size, err);
	set_probe(c->net, &c->probe);
	int rc = !s || e3_session_embed(s, rgb, err) || e3_aggregate_step(s, 1, err) || c->dev->ops->finish(c->dev, err) ||
		e3_camera_step(s, 1, err) || c->dev->ops->finish(c->dev, err);
	set_probe(c->net, NULL);
	e3_session_close(s);
	return rc ? -1 : 0;
}

/* ---- choosing ---- */

/* Of the matrices that err by more than the bound and are not chosen yet, the worst; -1: none. */
static int worst_of(const e3_packing *p)
{
	int worst = -1;
	for (int k = 0; k < p->n; k++)
		if (!p->wide[k] && p->error[k] > p->bound && (worst < 0 || p->error[k] > p->error[worst]))
			worst = k;
	return worst;
}

/* Bytes that a matrix takes more in 16 bits; the CPU's other type is f32. */
static uint64_t more_bytes(const calibration *c, const e3_mat *m)
{
	uint64_t n = (uint64_t)m->out * (uint64_t)m->in;
	return n * (e3_dtype_size(c->dev->feature_dtype) - 1);
}

static int choose(calibration *c, e3_err *err)
{
	e3_packing *p = c->to;
	uint64_t room = e3_net_reserve(c->net), used = 0;
	bool *fits = e3_alloc((size_t)p->n, sizeof *fits, "calibration", err);
	int rc = fits ? 0 : -1;
	e3_arena_drop(&c->net->arena, c->net->reserve), c->net->reserve = NULL;
	for (int k; !rc && (k = worst_of(p)) >= 0;) {
		uint64_t bytes = more_bytes(c, matrix_of(block_of(c->net, k / MATRICES), k % MATRICES));
		p->wide[k] = true; /* no candidate any more */
		fits[k] = used + bytes <= room;
		used += fits[k] ? bytes : 0;
		p->n_over += !fits[k];
		p->over = !fits[k] && p->error[k] > p->over ? p->error[k] : p->over;
	}
	for (int k = 0; !rc && k < p->n; k++) {
		p->wide[k] = false;
		rc = fits[k] && widen(c, k, err) ? -1 : 0;
		p->worst = !p->wide[k] && p->error[k] > p->worst ? p->error[k] : p->worst;
	}
	free(fits);
	return rc;
}

/* ---- in and out ---- */

static int begin(calibration *c, e3_net *net, const e3_ckpt *ckpt, e3_dev *dev, e3_packing *to, e3_err *err)
{
	size_t n = (size_t)blocks_of(net) * MATRICES;
	*c = (calibration){.probe = {look}, .net = net, .dev = dev, .to = to, .at = -1};
	c->plain.c = net->c, c->plain.arena.dev = dev;
	c->loader = (e3_loader){.net = &c->plain, .ckpt = ckpt};
	*to = (e3_packing){.type = net->packed, .n = (int)n, .bound = net->packed == E3_I8 ? 0.05 : 0.1};
	to->error = e3_alloc(n, sizeof *to->error, "calibration", err);
	to->wide = e3_alloc(n, sizeof *to->wide, "calibration", err);
	return to->error && to->wide ? e3_loader_open(&c->loader, err) : -1;
}

static void end(calibration *c)
{
	drop_plain(c);
	e3_loader_release(&c->loader);
	c->dev->ops->free(c->dev, c->device);
	free(c->host[0]), free(c->host[1]);
}

int e3_net_calibrate(e3_net *net, const e3_ckpt *ckpt, e3_dev *dev, const uint8_t *rgb, const int size[2],
	e3_packing *to, e3_err *err)
{
	calibration c;
	int rc = begin(&c, net, ckpt, dev, to, err) || run(&c, rgb, size, err) || choose(&c, err);
	end(&c);
	return rc ? -1 : 0;
}

int e3_net_widen(e3_net *net, const e3_ckpt *ckpt, e3_dev *dev, const uint32_t *wide, e3_packing *to, e3_err *err)
{
	calibration c;
	int rc = begin(&c, net, ckpt, dev, to, err), layer;
	e3_arena_drop(&net->arena, net->reserve), net->reserve = NULL;
	for (int k = 0; !rc && k < to->n; k++) {
		int bit = bit_of(&net->c, k, &layer);
		rc = bit >= 0 && wide[layer] >> bit & 1 ? widen(&c, k, err) : 0;
	}
	end(&c);
	return rc ? -1 : 0;
}

void e3_packing_release(e3_packing *p)
{
	free(p->error), free(p->wide);
	*p = (e3_packing){0};
}
