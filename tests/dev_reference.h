/* Every operation of e3_dev_ops as a plain loop in double precision, from the contract in e3/dev.h and doc/network.md
 * alone. Inputs are what the device is given; outputs are doubles, untouched where the contract does not say that
 * something is written. */
#ifndef DEV_REFERENCE_H
#define DEV_REFERENCE_H

#include "e3/dev.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline double ref_act(double x, e3_act act)
{
	switch (act) {
	case E3_ACT_GELU:
		return 0.5 * x * erfc(-x / sqrt(2.0));
	case E3_ACT_RELU:
		return x > 0 ? x : 0;
	case E3_ACT_SILU:
		return x / (1 + exp(-x));
	default:
		return x;
	}
}

static inline void ref_norm_row(const double *x, const e3_norm *n, double *out)
{
	double mean = 0, var = 0;
	for (int k = 0; k < n->dim; k++)
		mean += x[k] / n->dim;
	for (int k = 0; k < n->dim; k++)
		var += (x[k] - mean) * (x[k] - mean) / n->dim;
	for (int k = 0; k < n->dim; k++) {
		double y = (x[k] - mean) / sqrt(var + (double)n->eps);
		out[k] = n->w ? y * n->w[k] + n->b[k] : y;
	}
}

/* One row through norm (or NULL) and matrix: y [mat->out]. */
static inline void ref_product(const float *x, const e3_norm *norm, const e3_mat *m, double *y)
{
	const float *w = e3_tensor_floats(m->w);
	double *u = malloc((size_t)m->in * sizeof *u);
	for (int k = 0; k < m->in; k++)
		u[k] = x[k];
	if (norm)
		ref_norm_row(u, norm, u);
	for (int o = 0; o < m->out; o++) {
		y[o] = m->b ? m->b[o] : 0;
		for (int k = 0; k < m->in; k++)
			y[o] += u[k] * w[(size_t)o * (size_t)m->in + (size_t)k];
	}
	free(u);
}

static inline void ref_linear(const e3_linear *op, double *out)
{
	double *y = malloc((size_t)op->mat->out * sizeof *y);
	for (int r = 0; r < op->rows; r++) {
		ref_product(e3_tensor_floats(op->x) + (size_t)r * (size_t)op->ldx, op->norm, op->mat, y);
		double *to = out + (size_t)r * (size_t)op->ldo;
		for (int o = 0; o < op->mat->out; o++) {
			double v = ref_act(y[o], op->act);
			to[o] = op->add ? to[o] + v : v;
		}
	}
	free(y);
}

static inline void ref_patchify(const e3_patchify *op, double *out)
{
	int h = op->h, w = op->w, p = op->patch;
	static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++) {
				int patch = y / p * (w / p) + x / p, at = (c * p + y % p) * p + x % p;
				out[(size_t)patch * (size_t)(3 * p * p) + (size_t)at] =
					(op->rgb[3 * (y * w + x) + c] / 255.0 - mean[c]) / std[c];
			}
}

/* Where the key (half 0) or value (half 1) of a slot begins, counted from the start of its page. */
static inline size_t ref_place(const e3_kv *kv, int half, int head, int slot)
{
	return ((size_t)(half * kv->heads + head) * (size_t)kv->page_keys + (size_t)(slot % kv->page_keys)) *
		(size_t)kv->head_dim;
}

/* The page of a slot on the host. */
static inline float *ref_page(const e3_kv *kv, int slot) { return (float *)(void *)kv->page[slot / kv->page_keys]; }

/* q [heads][rows][d]; pages: one array of doubles for each page. */
static inline void ref_qkv(const e3_qkv *op, double *q, double *const *page)
{
	int heads = op->kv->heads, d = op->kv->head_dim, dim = heads * d, quarter = d / 4;
	double *y = malloc(3 * (size_t)dim * sizeof *y);
	for (int r = 0; r < op->rows; r++) {
		ref_product(op->x + (size_t)r * (size_t)dim, op->norm, op->mat, y);
		for (int kind = 0; kind < 3; kind++)
			for (int head = 0; head < heads; head++) {
				double *u = y + kind * dim + head * d;
				const e3_norm *norm = kind == 0 ? op->q_norm : kind == 1 ? op->k_norm : NULL;
				if (norm)
					ref_norm_row(u, norm, u);
				for (int part = 0; kind < 2 && op->rope && part < 2; part++)
					for (int k = 0; k < quarter; k++) {
						const float *angle = op->rope + (size_t)r * (size_t)d + part * quarter + k;
						double a = u[part * d / 2 + k], b = u[part * d / 2 + quarter + k], c = angle[0],
							   s = angle[d / 2];
						u[part * d / 2 + k] = a * c - b * s;
						u[part * d / 2 + quarter + k] = b * c + a * s;
					}
				int slot = (int)op->slot[r];
				double *to = kind == 0 ? q + ((size_t)head * (size_t)op->rows + (size_t)r) * (size_t)d
									   : page[slot / op->kv->page_keys] + ref_place(op->kv, kind - 1, head, slot);
				memcpy(to, u, (size_t)d * sizeof *to);
			}
	}
	free(y);
}

/* Scores of one query row against all keys into p as probabilities; the log-sum-exp. */
static inline double ref_probabilities(const float *q, const e3_kv *kv, int head, double *p)
{
	double most = -INFINITY, sum = 0;
	for (int k = 0; k < kv->n_keys; k++) {
		const float *key = ref_page(kv, k) + ref_place(kv, 0, head, k);
		p[k] = 0;
		for (int c = 0; c < kv->head_dim; c++)
			p[k] += (double)q[c] * key[c];
		p[k] /= sqrt((double)kv->head_dim);
		most = fmax(most, p[k]);
	}
	for (int k = 0; k < kv->n_keys; k++)
		sum += p[k] = exp(p[k] - most);
	for (int k = 0; k < kv->n_keys; k++)
		p[k] /= sum;
	return most + log(sum);
}

/* out [rows][heads * d], lse [heads][rows], mass [n_keys], attention map [rows][n_keys]: each or NULL. */
static inline void ref_attention(const float *q, int rows, const e3_kv *kv, double *const to[4])
{
	size_t n = (size_t)kv->n_keys, d = (size_t)kv->head_dim, heads = (size_t)kv->heads, many = (size_t)rows;
	double *p = malloc(n * sizeof *p);
	for (size_t k = 0; to[2] && k < n; k++)
		to[2][k] = 0;
	for (size_t k = 0; to[3] && k < n * many; k++)
		to[3][k] = 0;
	for (size_t head = 0; head < heads; head++)
		for (size_t r = 0; r < many; r++) {
			double lse = ref_probabilities(q + (head * many + r) * d, kv, (int)head, p);
			for (size_t c = 0; to[0] && c < d; c++)
				to[0][(r * heads + head) * d + c] = 0;
			for (size_t k = 0; k < n; k++) {
				const float *v = ref_page(kv, (int)k) + ref_place(kv, 1, (int)head, (int)k);
				for (size_t c = 0; to[0] && c < d; c++)
					to[0][(r * heads + head) * d + c] += p[k] * v[c];
				if (to[2])
					to[2][k] += p[k] / (double)heads;
				if (to[3])
					to[3][r * n + k] += p[k] / (double)heads;
			}
			if (to[1])
				to[1][head * many + r] = lse;
		}
	free(p);
}

static inline void ref_modulate(const float *p, const float *mod, int dim, double *out)
{
	for (int k = 0; k < dim; k++)
		out[k] = p[k];
	ref_norm_row(out, &(e3_norm){.dim = dim, .eps = 1e-6f}, out);
	for (int k = 0; k < dim; k++)
		out[k] = p[k] + (double)mod[2 * dim + k] * (out[k] * (1.0 + mod[dim + k]) + mod[k]);
}

/* 3×3, padding 1, of a feature map of doubles: taps row by row, channels innermost. */
static inline double ref_taps(const double *x, const int size[2], const e3_mat *m, int y, int at, int o)
{
	int cin = m->in / 9;
	const float *w = e3_tensor_floats(m->w);
	double v = m->b ? m->b[o] : 0;
	for (int tap = 0; tap < 9; tap++) {
		int sy = y + tap / 3 - 1, sx = at + tap % 3 - 1;
		for (int c = 0; c < cin && sy >= 0 && sx >= 0 && sy < size[0] && sx < size[1]; c++)
			v += x[(sy * size[1] + sx) * cin + c] * w[(size_t)o * (size_t)m->in + (size_t)(tap * cin + c)];
	}
	return v;
}

static inline void ref_upsample(e3_features in, const int to[2], double *out)
{
	const float *x = e3_tensor_floats(in.t);
	const int from[2] = {in.h, in.w}, c = in.c;
	for (int y = 0; y < to[0]; y++)
		for (int at = 0; at < to[1]; at++) {
			double v = to[0] > 1 ? (double)y * (from[0] - 1) / (to[0] - 1) : 0,
				   u = to[1] > 1 ? (double)at * (from[1] - 1) / (to[1] - 1) : 0;
			int y0 = (int)v, x0 = (int)u, y1 = y0 + 1 < from[0] ? y0 + 1 : y0, x1 = x0 + 1 < from[1] ? x0 + 1 : x0;
			for (int k = 0; k < c; k++) {
				double top =
					x[(y0 * from[1] + x0) * c + k] * (1 - (u - x0)) + x[(y0 * from[1] + x1) * c + k] * (u - x0);
				double low =
					x[(y1 * from[1] + x0) * c + k] * (1 - (u - x0)) + x[(y1 * from[1] + x1) * c + k] * (u - x0);
				out[(y * to[1] + at) * c + k] = top * (1 - (v - y0)) + low * (v - y0);
			}
		}
}

static inline void ref_conv(const e3_conv *op, double *out)
{
	bool resize = op->resize[0];
	int h = resize ? op->resize[0] : op->x.h, w = resize ? op->resize[1] : op->x.w, oh = (h - 1) / op->stride + 1,
		ow = (w - 1) / op->stride + 1, cout = op->mat->out, n = h * w * (op->mat->in / 9);
	const float *in = e3_tensor_floats(op->x.t), *resid = e3_tensor_floats(op->resid),
				*plus = e3_tensor_floats(op->plus);
	double *x = malloc((size_t)n * sizeof *x);
	if (resize)
		ref_upsample(op->x, op->resize, x);
	for (int k = 0; k < n && !resize; k++)
		x[k] = in[k];
	for (int k = 0; k < n && op->relu_in; k++)
		x[k] = ref_act(x[k], E3_ACT_RELU);
	for (int y = 0; y < oh; y++)
		for (int at = 0; at < ow; at++)
			for (int o = 0; o < cout; o++) {
				int k = (y * ow + at) * cout + o;
				double v = ref_act(ref_taps(x, (int[]){h, w}, op->mat, y * op->stride, at * op->stride, o), op->act);
				if (resid)
					v += op->relu_resid ? ref_act(resid[k], E3_ACT_RELU) : resid[k];
				out[k] = v + (plus ? plus[k] : 0);
			}
	free(x);
}

static inline void ref_deconv(e3_features in, const e3_mat *m, int k, double *out)
{
	const float *x = e3_tensor_floats(in.t), *w = e3_tensor_floats(m->w);
	int h = in.h, width = in.w, taps = k + 2, cout = m->out / (taps * taps);
	for (int y = 0; y < h * k; y++)
		for (int at = 0; at < width * k; at++) {
			int kind = 4 * ((y > 0) + 2 * (y < h * k - 1)) + (at > 0) + 2 * (at < width * k - 1);
			for (int o = 0; o < cout; o++)
				out[(y * width * k + at) * cout + o] = m->b[kind * cout + o];
		}
	for (int cell = 0; cell < h * width; cell++)
		for (int tap = 0; tap < taps * taps; tap++) {
			int y = cell / width * k + tap / taps - 1, at = cell % width * k + tap % taps - 1;
			for (int o = 0; o < cout && y >= 0 && y < h * k && at >= 0 && at < width * k; o++)
				for (int c = 0; c < m->in; c++)
					out[(y * width * k + at) * cout + o] +=
						(double)x[cell * m->in + c] * w[(size_t)(tap * cout + o) * (size_t)m->in + (size_t)c];
		}
}

static inline void ref_add_uv(double *x, const int size[3], e3_uv uv)
{
	int h = size[0], w = size[1], c = size[2];
	for (int y = 0; y < h; y++)
		for (int at = 0; at < w; at++)
			for (int k = 0; k < c; k++)
				x[(y * w + at) * c + k] += k < c / 2 ? uv.x[at * (c / 2) + k] : uv.y[y * (c / 2) + k - c / 2];
}

static inline void ref_dense(const e3_dense *op, double *value, double *conf)
{
	int size[3] = {op->H, op->W, op->z.c}, n = op->out->out - 1, hid = op->conv->out;
	const float *last = e3_tensor_floats(op->out->w);
	double *wide = malloc((size_t)(op->H * op->W * op->z.c) * sizeof *wide), *u = malloc((size_t)hid * sizeof *u);
	ref_upsample(op->z, size, wide);
	ref_add_uv(wide, size, op->uv);
	for (int k = 0; k < op->H * op->W; k++) {
		for (int o = 0; o < hid; o++)
			u[o] = ref_act(ref_taps(wide, size, op->conv, k / op->W, k % op->W, o), E3_ACT_RELU);
		for (int o = 0; o <= n; o++) {
			double v = op->out->b[o];
			for (int c = 0; c < hid; c++)
				v += u[c] * last[o * hid + c];
			if (o == n)
				conf[k] = 1 + exp(v);
			else
				value[k * n + o] = n == 1 ? exp(v) : v < 0 ? -expm1(-v) : expm1(v);
		}
	}
	free(wide), free(u);
}

#endif
