/* Matrices in 8 bits on a device (doc/network.md 15), against a loop in double precision that rounds the way the text
 * says, by search among all values that there are. */
#ifndef TEST_DEV_WEIGHTS8_H
#define TEST_DEV_WEIGHTS8_H

#include "check.h"
#include "e3/dev.h"
#include "e3/num.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types of input and output: f32, or what the device keeps attention and features in; f32 that is not rounded, since
 * the matrix is for rows. */
enum { AS_F32, AS_ATTN, AS_FEATURES, AS_ROW };

typedef struct packed_case {
	const char *what;
	int rows, in, out;
	e3_act act;
	bool norm, add, outlier;
	int x_as, out_as;
} packed_case;

static const packed_case packed_cases[] = {
	{"one row", 1, 64, 48, E3_ACT_NONE, false, false, false, AS_F32, AS_F32},
	{"a few rows, GELU", 7, 192, 576, E3_ACT_GELU, false, false, false, AS_F32, AS_F32},
	{"rows that are no multiple of anything, added", 65, 1104, 80, E3_ACT_NONE, false, true, false, AS_F32, AS_F32},
	{"long rows", 66, 4096, 64, E3_ACT_NONE, false, true, false, AS_F32, AS_F32},
	{"after a norm", 140, 1024, 128, E3_ACT_NONE, true, false, false, AS_F32, AS_F32},
	{"after a norm, GELU", 193, 192, 384, E3_ACT_GELU, true, false, false, AS_F32, AS_F32},
	{"one channel is a hundred times the others", 70, 256, 64, E3_ACT_NONE, false, false, true, AS_F32, AS_F32},
	{"what attention gives, added", 197, 384, 192, E3_ACT_NONE, false, true, false, AS_ATTN, AS_F32},
	{"features, added", 65, 1536, 80, E3_ACT_NONE, false, true, false, AS_FEATURES, AS_F32},
	{"after a norm, GELU, features", 259, 192, 832, E3_ACT_GELU, true, false, false, AS_F32, AS_FEATURES},
	{"one row that stays f32, after a norm, GELU", 1, 2048, 300, E3_ACT_GELU, true, false, false, AS_ROW, AS_F32},
	{"one row that stays f32, added", 1, 8192, 77, E3_ACT_NONE, false, true, false, AS_ROW, AS_F32},
	{"one short row that stays f32, added", 1, 36, 101, E3_ACT_NONE, false, true, false, AS_ROW, AS_F32},
};

/* The nearest of the values of the type, the even code of two that are as near. */
static double nearest_8(e3_dtype type, float v)
{
	double best = 0, least = INFINITY;
	bool even = false;
	int first = type == E3_I8 ? (int)fmaxf(0, floorf(v) + 126) : 0, end = type == E3_I8 ? first + 4 : 127;
	for (int code = first; code < end && code < 255; code++) {
		int e = code >> 3, m = code & 7;
		double value = type == E3_I8 ? code - 127 : e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
		bool is_even = type == E3_I8 ? (code - 127) % 2 == 0 : m % 2 == 0;
		double d = fabs(value - (type == E3_I8 ? v : fabsf(v)));
		if (d < least || (d == least && is_even && !even))
			least = d, best = value, even = is_even;
	}
	return type == E3_I8 || v >= 0 ? best : -best;
}

static double round_8(e3_dtype type, const float *x, int n, double *out)
{
	float most = 0, top = type == E3_I8 ? 127 : 448;
	for (int k = 0; k < n; k++)
		most = fmaxf(most, fabsf(x[k]));
	float inv = most > 0 ? top / most : 0;
	for (int k = 0; k < n; k++)
		out[k] = nearest_8(type, x[k] * inv);
	return most / top;
}

static uint32_t packed_seed;
static float packed_random(void)
{
	packed_seed = packed_seed * 1664525u + 1013904223u;
	return (float)(packed_seed >> 8) / (1 << 23) - 1.0f;
}

static float *packed_floats(size_t n)
{
	float *p = malloc(n * sizeof *p);
	assert_non_null(p);
	for (size_t k = 0; k < n; k++)
		p[k] = packed_random();
	return p;
}

static e3_dtype packed_type(const e3_dev *dev, int as)
{
	return as == AS_ATTN ? dev->attn_dtype : as == AS_FEATURES ? dev->feature_dtype : E3_F32;
}

/* Bits of 16-bit types; values that such a type holds. */
static uint16_t packed_half(e3_dtype type, float v) { return type == E3_BF16 ? e3_f32_to_bf16(v) : e3_f32_to_f16(v); }
static float packed_float(e3_dtype type, uint16_t h) { return type == E3_BF16 ? e3_bf16_to_f32(h) : e3_f16_to_f32(h); }

static e3_tensor packed_upload_as(e3_dev *dev, e3_dtype type, const float *from, size_t n)
{
	e3_err err = {""};
	e3_tensor t;
	uint16_t *half = calloc(n, sizeof *half);
	assert_non_null(half);
	for (size_t k = 0; k < n; k++)
		half[k] = packed_half(type, from[k]);
	assert_int_equal(dev->ops->alloc(dev, type, n, &t, &err), 0);
	assert_int_equal(dev->ops->upload(dev, t, type == E3_F32 ? (const void *)from : half, n, &err), 0);
	free(half);
	return t;
}

static e3_tensor packed_upload(e3_dev *dev, const float *from, size_t n)
{
	e3_err err = {""};
	e3_tensor t;
	assert_int_equal(dev->ops->alloc(dev, E3_F32, n, &t, &err), 0);
	assert_int_equal(dev->ops->upload(dev, t, from, n, &err), 0);
	return t;
}

/* What the device makes of a case; the caller frees it. */
static float *packed_result(e3_dev *dev, const packed_case *c, e3_dtype type, const float *x, const float *w,
	const float *b, const float *old, const float *norm)
{
	e3_err err = {""};
	size_t n = (size_t)c->rows * (size_t)c->out;
	e3_mat m = {.out = c->out, .in = c->in, .role = c->x_as == AS_ROW ? E3_ROLE_ROW : E3_ROLE_FEATURES, .packed = type};
	assert_int_equal(dev->ops->weight(dev, w, &m, &err), 0);
	assert_int_equal(m.w.dtype, type);
	assert_non_null(m.scale);
	e3_tensor tx = packed_upload_as(dev, packed_type(dev, c->x_as), x, (size_t)c->rows * (size_t)c->in),
			  ty = packed_upload_as(dev, packed_type(dev, c->out_as), old, n),
			  tb = packed_upload(dev, b, (size_t)c->out), tn = packed_upload(dev, norm, 2 * (size_t)c->in);
	m.b = e3_tensor_floats(tb);
	e3_norm ln = {.dim = c->in, .eps = 1e-5f, .w = e3_tensor_floats(tn), .b = e3_tensor_floats(tn) + c->in};
	e3_linear op = {.x = tx,
		.rows = c->rows,
		.ldx = c->in,
		.norm = c->norm ? &ln : NULL,
		.mat = &m,
		.act = c->act,
		.add = c->add,
		.out = ty,
		.ldo = c->out};
	float *y = malloc(n * sizeof *y);
	uint16_t *half = malloc(n * sizeof *half);
	assert_true(y && half);
	if (dev->ops->linear(dev, &op, &err) || dev->ops->download(dev, ty.dtype == E3_F32 ? (void *)y : half, ty, n, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; ty.dtype != E3_F32 && k < n; k++)
		y[k] = packed_float(ty.dtype, half[k]);
	free(half);
	e3_tensor all[] = {m.w, tx, ty, tb, tn};
	for (int k = 0; k < 5; k++)
		dev->ops->free(dev, all[k].p);
	return y;
}

/* The relative L2 error of a case; NaN-free. */
static double packed_error(e3_dev *dev, const packed_case *c, e3_dtype type)
{
	packed_seed = 12345u + (uint32_t)c->rows;
	size_t in = (size_t)c->in, rows = (size_t)c->rows, out = (size_t)c->out;
	float *x = packed_floats(rows * in), *w = packed_floats(out * in), *b = packed_floats(out),
		  *old = packed_floats(rows * out), *norm = packed_floats(2 * in), *row = packed_floats(in);
	for (size_t r = 0; c->outlier && r < rows; r++)
		x[r * in + 5] *= 100;
	e3_dtype x_type = packed_type(dev, c->x_as);
	for (size_t k = 0; x_type != E3_F32 && k < rows * in; k++)
		x[k] = packed_float(x_type, packed_half(x_type, x[k]));
	float *y = packed_result(dev, c, type, x, w, b, old, norm);
	double *qx = malloc(in * sizeof *qx), *qw = malloc(in * out * sizeof *qw), *sw = malloc(out * sizeof *sw), num = 0,
		   den = 0;
	assert_true(qx && qw && sw);
	for (size_t o = 0; o < out; o++)
		sw[o] = round_8(type, w + o * in, c->in, qw + o * in);
	for (size_t r = 0; r < rows; r++) {
		memcpy(row, x + r * in, in * sizeof *row);
		double mean = 0, var = 0;
		for (size_t k = 0; k < in; k++)
			mean += row[k] / (double)in;
		for (size_t k = 0; k < in; k++)
			var += (row[k] - mean) * (row[k] - mean) / (double)in;
		for (size_t k = 0; c->norm && k < in; k++)
			row[k] = (float)((row[k] - mean) / sqrt(var + 1e-5) * norm[k] + norm[in + k]);
		double sx = c->x_as == AS_ROW ? 1 : round_8(type, row, c->in, qx);
		for (size_t k = 0; c->x_as == AS_ROW && k < in; k++)
			qx[k] = row[k];
		for (size_t o = 0; o < out; o++) {
			double sum = 0;
			for (size_t k = 0; k < in; k++)
				sum += qx[k] * qw[o * in + k];
			double want = sum * sx * sw[o] + b[o];
			want = c->act == E3_ACT_GELU ? 0.5 * want * erfc(-want / sqrt(2)) : want;
			want += c->add ? old[r * out + o] : 0;
			double d = y[r * out + o] - want;
			num += d * d, den += want * want;
		}
	}
	free(x), free(w), free(b), free(old), free(norm), free(row), free(y), free(qx), free(qw), free(sw);
	return sqrt(num / den);
}

/* bound[0]: values that are rounded as they are given; [1]: after a norm, where the last bit of a value may decide;
 * [2]: more where the result has 16 bits. */
static void check_packed(e3_dev *dev, e3_dtype type, const double bound[3])
{
	for (size_t k = 0; k < sizeof packed_cases / sizeof *packed_cases; k++) {
		const packed_case *c = &packed_cases[k];
		double e = packed_error(dev, c, type);
		printf("# %s, %s: %.1e\n", e3_dtype_name(type), c->what, e);
		double most = c->x_as == AS_ROW ? 1e-6 : bound[c->norm] + (c->out_as ? bound[2] : 0);
		if (!(e <= most))
			fail_msg("%s: %s: error %.2e, at most %.1e", e3_dtype_name(type), c->what, e, most);
	}
}

#endif
