/* The cases of the table (dev_table.h), operation by operation: odd and tiny shapes, every combination of flags. */
#ifndef DEV_CASES_H
#define DEV_CASES_H

#include "dev_evict.h"
#include "dev_features.h"
#include "dev_match.h"
#include "dev_table.h"

static inline void case_patchify(table *t)
{
	static const int shape[][3] = {{14, 14, 14}, {8, 16, 4}, {56, 70, 14}, {5, 35, 5}, {2, 2, 1}};
	e3_err err = {""};
	for (int k = 0; k < COUNT(shape); k++) {
		int h = shape[k][0], w = shape[k][1];
		size_t n = (size_t)(3 * h * w);
		uint8_t *rgb = malloc(n);
		for (size_t j = 0; j < n; j++)
			rgb[j] = (uint8_t)(127.5f + 127.5f * any(t));
		double *want = expected(NULL, n);
		float *out = on_device(t, NULL, n);
		e3_patchify op = {rgb, h, w, shape[k][2], out};
		ref_patchify(&op, want);
		must(t, t->dev->ops->patchify(t->dev, &op, &err), &err);
		result(t, T_PATCHIFY, out, want, n);
		end_case(t);
		free(rgb);
	}
}

/* mode: 0 write, 1 add. norms: 0 none, 1 affine, 2 not. */
static inline void one_linear(table *t, int rows, const int dims[2], const int how[4])
{
	int in = dims[0], out = dims[1], mode = how[1], ldx = in + how[3], ldo = out + how[3];
	e3_err err = {""};
	size_t nx = (size_t)((rows - 1) * ldx + in), no = (size_t)((rows - 1) * ldo + out);
	mat_pair m = mat_make(t, out, in, how[3] % 2 ? 0 : out);
	norm_pair norm = norm_make(t, in, 1e-5f, how[2] == 1);
	float *x = values(t, nx, 1), *before = values(t, no, 1);
	for (size_t k = 0; k < no; k++)
		if (mode == 0 || k % (size_t)ldo >= (size_t)out)
			before[k] = sentinel();
	e3_linear host = {.x = e3_tensor_f32(x),
				  .rows = rows,
				  .ldx = ldx,
				  .norm = how[2] ? &norm.host : NULL,
				  .mat = &m.host,
				  .act = (e3_act)how[0],
				  .add = mode > 0,
				  .ldo = ldo},
			  dev = host;
	float *out_at = on_device(t, before, no);
	dev.x = e3_tensor_f32(on_device(t, x, nx)), dev.norm = how[2] ? &norm.dev : NULL, dev.mat = &m.dev;
	dev.out = e3_tensor_f32(out_at);
	double *want = expected(before, no);
	ref_linear(&host, want);
	must(t, t->dev->ops->linear(t->dev, &dev, &err), &err);
	result(t, T_LINEAR, out_at, want, no);
	guards_intact(t, T_LINEAR);
	end_case(t);
	mat_free(&m), norm_free(&norm), free(x), free(before);
}

static inline void case_linear(table *t)
{
	static const int rows[] = {1, 3, 25, 197},
					 dims[][2] = {{12, 36}, {36, 100}, {100, 12}, {9, 1}, {1, 7}, {128, 384}, {588, 64}};
	for (int r = 0; r < COUNT(rows); r++)
		for (int d = 0; d < COUNT(dims); d++)
			for (int act = 0; act < 4; act++)
				for (int mode = 0; mode < 2; mode++)
					for (int norm = 0; norm < 3; norm++)
						if (rows[r] * dims[d][0] * dims[d][1] < 100000 || (act + mode * 2 + norm * 3) % 9 == r)
							one_linear(t, rows[r], dims[d], (const int[]){act, mode, norm, (act + mode + norm) % 4});
}

static inline void case_norm(table *t)
{
	static const int dims[] = {1, 12, 36, 100, 1024}, rows[] = {1, 3, 25, 197};
	e3_err err = {""};
	for (int k = 0; k < 3 * COUNT(dims) * COUNT(rows); k++) {
		int dim = dims[k % COUNT(dims)], many = rows[k / COUNT(dims) % COUNT(rows)], gap = k % 3, ldx = dim + gap,
			ldo = dim + 2 * gap;
		size_t nx = (size_t)((many - 1) * ldx + dim), no = (size_t)((many - 1) * ldo + dim);
		norm_pair norm = norm_make(t, dim, k % 2 ? 1e-5f : 1e-6f, k % 4 < 3);
		float *x = values(t, nx, k % 5 ? 3 : 0.01f);
		for (size_t j = 0; j < nx; j++)
			x[j] += k % 7 == 0 ? 50 : 0; /* variance by squares would lose three digits */
		if (k % 6 == 0)
			for (int j = 0; j < dim; j++)
				x[j] = 0.75f; /* no variance at all */
		double *want = expected(NULL, no), *row = malloc((size_t)dim * sizeof *row);
		for (int r = 0; r < many; r++) {
			for (int j = 0; j < dim; j++)
				row[j] = x[r * ldx + j];
			ref_norm_row(row, &norm.host, want + r * ldo);
		}
		e3_rows from = {on_device(t, x, nx), many, ldx}, out = {on_device(t, NULL, no), many, ldo};
		must(t, t->dev->ops->norm(t->dev, from, &norm.dev, out, &err), &err);
		result(t, T_NORM, out.p, want, no);
		end_case(t);
		norm_free(&norm), free(x), free(row);
	}
}

static inline void case_copy(table *t)
{
	e3_err err = {""};
	float *x = values(t, 25 * 40, 1);
	for (int gap = 0; gap < 4; gap++) {
		int dim = 37, rows = 25, ldo = 2 * dim + gap,
			ld = gap < 3 ? dim + gap : 0; /* at last one row, again and again */
		size_t n = (size_t)((rows - 1) * ldo + dim);
		double *want = expected(NULL, n);
		for (int r = 0; r < rows; r++)
			for (int k = 0; k < dim; k++)
				want[r * ldo + k] = x[r * ld + k];
		e3_rows from = {on_device(t, x, 25 * 40), rows, ld}, out = {on_device(t, NULL, n), rows, ldo};
		float *flat = on_device(t, NULL, 25 * 40);
		must(t, t->dev->ops->copy_rows(t->dev, from, dim, out, &err), &err);
		result(t, T_COPY, out.p, want, n);
		must(t, t->dev->ops->copy(t->dev, e3_tensor_f32(flat), e3_tensor_f32(from.p), 999, &err), &err);
		want = expected(x, 25 * 40);
		want[999] = NAN; /* copy took one less */
		result(t, T_COPY, flat, want, 25 * 40);
		end_case(t);
	}
	free(x);
}

static inline void case_mean(table *t)
{
	static const int shape[][2] = {{1, 1}, {3, 12}, {25, 37}, {197, 100}, {1036, 1024}}; /* rows, columns */
	e3_err err = {""};
	for (int k = 0; k < 2 * COUNT(shape); k++) {
		int rows = shape[k / 2][0], dim = shape[k / 2][1], ld = dim + k % 2 * 3;
		float *x = values(t, (size_t)(rows * ld), 1);
		double *want = expected(NULL, (size_t)dim);
		for (int c = 0; c < dim; c++) {
			double sum = 0;
			for (int r = rows - 1; r >= 0; r--)
				x[r * ld + c] += 3, sum += x[r * ld + c];
			want[c] = sum / rows;
		}
		float *out = on_device(t, NULL, (size_t)dim);
		e3_rows from = {on_device(t, x, (size_t)(rows * ld)), rows, ld};
		must(t, t->dev->ops->mean_rows(t->dev, from, dim, out, &err), &err);
		result(t, T_MEAN, out, want, (size_t)dim);
		end_case(t);
		free(x);
	}
}

/* ---- attention ---- */

static const int attention_heads[][2] = {{3, 12}, {1, 32}, {2, 64}, {1, 128}, {4, 4}};

static inline void one_qkv(table *t, int rows, const int *heads, int page_keys, int how)
{
	e3_err err = {""};
	int d = heads[1], dim = heads[0] * d, slots = rows + page_keys + 5; /* more slots than rows: a partial last page */
	size_t nq = (size_t)(rows * dim);
	kv_pair kv;
	kv_make(t, &kv, (const int[]){heads[0], d, page_keys, slots}, 0);
	mat_pair m = mat_make(t, 3 * dim, dim, 3 * dim);
	norm_pair norm = norm_make(t, dim, 1e-5f, true), qn = norm_make(t, d, 1e-5f, true),
			  kn = norm_make(t, d, 1e-5f, true);
	float *x = values(t, nq, 1), *rope = values(t, (size_t)(rows * d), 1);
	uint32_t *slot = malloc((size_t)rows * sizeof *slot);
	int step = 3;
	while (slots % step == 0)
		step += 2;
	for (int r = 0; r < rows; r++)
		slot[r] = (uint32_t)((r * step + 1) % slots); /* scattered, all different */
	e3_qkv host = {x, rows, &norm.host, &m.host, how & 1 ? &qn.host : NULL, how & 1 ? &kn.host : NULL,
		how & 2 ? rope : NULL, {0}, &kv.host, slot};
	float *q_at = on_device(t, NULL, nq);
	e3_qkv dev = {on_device(t, x, nq), rows, &norm.dev, &m.dev, how & 1 ? &qn.dev : NULL, how & 1 ? &kn.dev : NULL,
		how & 2 ? on_device(t, rope, (size_t)(rows * d)) : NULL, e3_tensor_f32(q_at), &kv.dev, slot};
	double *q = expected(NULL, nq), *page[16];
	size_t floats = 2 * (size_t)(dim * page_keys);
	for (int k = 0; k < kv.pages; k++)
		page[k] = expected(NULL, floats);
	ref_qkv(&host, q, page);
	must(t, t->dev->ops->qkv(t->dev, &dev, &err), &err);
	result(t, T_QKV, q_at, q, nq);
	for (int k = 0; k < kv.pages; k++)
		result(t, T_QKV, kv.dev_page[k], page[k], floats);
	end_case(t);
	kv_free(&kv), mat_free(&m), norm_free(&norm), norm_free(&qn), norm_free(&kn), free(x), free(rope), free(slot);
}

static inline void case_qkv(table *t)
{
	static const int rows[] = {1, 3, 25, 197};
	for (int h = 0; h < COUNT(attention_heads); h++)
		for (int r = 0; r < COUNT(rows); r++)
			for (int how = 0; how < 4; how++)
				if (rows[r] < 100 || how == 3)
					one_qkv(t, rows[r], attention_heads[h], r % 2 ? 64 : 21, how);
}

/* The same rows as a slice of the queries of more: `before` rows of other frames in every head come first. */
static inline float *queries_within(const float *q, int heads, int rows, int d, int before, int step)
{
	float *wide = malloc((size_t)heads * (size_t)step * (size_t)d * sizeof *wide);
	for (int k = 0; k < heads * step * d; k++)
		wide[k] = NAN;
	for (int h = 0; h < heads; h++)
		memcpy(wide + (h * step + before) * d, q + h * rows * d, (size_t)(rows * d) * sizeof *wide);
	return wide;
}

static inline void one_attention(table *t, int rows, const int *heads, const int keys[2], float scale)
{
	e3_err err = {""};
	int d = heads[1];
	bool sharp =
		scale > 100; /* scores of some hundreds: one key takes all, and f32 has a few digits left behind the point */
	size_t n = (size_t)keys[1], nq = (size_t)(rows * heads[0] * d), nl = (size_t)(rows * heads[0]),
		   nm = (size_t)rows * n;
	kv_pair kv;
	kv_make(t, &kv, (const int[]){heads[0], d, keys[0], keys[1]}, 1);
	float *q = values(t, nq, scale), *lse32 = malloc(nl * sizeof *lse32);
	double *want[4] = {expected(NULL, nq), expected(NULL, nl), expected(NULL, n), expected(NULL, nm)};
	ref_attention(q, rows, &kv.host, want);
	for (size_t k = 0; k < nl; k++)
		lse32[k] = (float)want[1][k];
	float *out = on_device(t, NULL, nq), *bare_out = on_device(t, NULL, nq);
	e3_tensor dev_q = e3_tensor_f32(on_device(t, q, nq));
	e3_attend attend = {dev_q, rows, &kv.dev, e3_tensor_f32(out), on_device(t, NULL, nl), 0, 0}, bare = attend;
	enum { BEFORE = 4, AFTER = 1 };
	int step = BEFORE + rows + AFTER;
	float *wide = queries_within(q, heads[0], rows, d, BEFORE, step);
	bare.q = e3_tensor_f32(on_device(t, wide, (size_t)(heads[0] * step * d)) + BEFORE * d), bare.q_step = step;
	bare.out = e3_tensor_f32(bare_out), bare.lse = NULL;
	must(t, t->dev->ops->attend(t->dev, &attend, &err), &err);
	must(t, t->dev->ops->attend(t->dev, &bare, &err), &err);
	double *again = malloc(nq * sizeof *again);
	memcpy(again, want[0], nq * sizeof *again);
	result(t, sharp ? T_SHARP : T_ATTEND, out, want[0], nq);
	result(t, sharp ? T_SHARP : T_ATTEND, bare_out, again, nq);
	result(t, T_LSE, attend.lse, want[1], nl);
	e3_mass mass = {attend.q, rows, &kv.dev, on_device(t, lse32, nl), on_device(t, NULL, n), NULL, 0}, map = mass;
	map.q = bare.q, map.q_step = step;
	map.mass = on_device(t, NULL, n), map.attn_map = on_device(t, NULL, nm);
	must(t, t->dev->ops->mass(t->dev, &mass, &err), &err);
	must(t, t->dev->ops->mass(t->dev, &map, &err), &err);
	again = malloc(n * sizeof *again);
	memcpy(again, want[2], n * sizeof *again);
	result(t, sharp ? T_SHARP : T_MASS, mass.mass, want[2], n);
	result(t, sharp ? T_SHARP : T_MASS, map.mass, again, n);
	result(t, sharp ? T_SHARP : T_MAP, map.attn_map, want[3], nm);
	guards_intact(t, T_MASS);
	end_case(t);
	kv_free(&kv), free(q), free(wide), free(lse32);
}

/* Two sets of rows, each of which sees its own page. */
static inline void one_grouped(table *t, int rows, const int *heads)
{
	e3_err err = {""};
	enum { GROUPS = 2 };
	int d = heads[1], step = GROUPS * rows, width = heads[0] * d;
	size_t nq = (size_t)(rows * width), nl = (size_t)(rows * heads[0]);
	kv_pair kv;
	kv_make(t, &kv, (const int[]){heads[0], d, rows, GROUPS * rows}, 1);
	float *q = values(t, GROUPS * nq, 2), *own = malloc(nq * sizeof *own), *out = on_device(t, NULL, GROUPS * nq);
	double *all = expected(NULL, GROUPS * nq);
	for (int g = 0; g < GROUPS; g++) {
		double *want[4] = {expected(NULL, nq), expected(NULL, nl), expected(NULL, (size_t)rows),
			expected(NULL, (size_t)(rows * rows))};
		e3_kv one = kv.host;
		one.page += g, one.n_keys = rows;
		for (int h = 0; h < heads[0]; h++)
			memcpy(own + h * rows * d, q + (h * step + g * rows) * d, (size_t)(rows * d) * sizeof *own);
		ref_attention(own, rows, &one, want);
		memcpy(all + (size_t)g * nq, want[0], nq * sizeof *all);
		free(want[0]), free(want[1]), free(want[2]), free(want[3]);
	}
	e3_kv dev = kv.dev;
	dev.n_keys = rows;
	e3_attend op = {.q = e3_tensor_f32(on_device(t, q, GROUPS * nq)),
		.rows = rows,
		.kv = &dev,
		.out = e3_tensor_f32(out),
		.q_step = step,
		.groups = GROUPS};
	must(t, t->dev->ops->attend(t->dev, &op, &err), &err);
	result(t, T_ATTEND, out, all, GROUPS * nq);
	end_case(t);
	kv_free(&kv), free(q), free(own);
}

static inline void case_groups(table *t)
{
	for (int h = 0; h < COUNT(attention_heads); h++)
		one_grouped(t, 5 + 30 * h, attention_heads[h]);
}

static inline void case_attention(table *t)
{
	/* Keys of a page, keys: one, a full page, one more, several pages with a partial last one, a page that is not a
	 * power of two. */
	static const int keys[][2] = {{64, 1}, {64, 64}, {64, 65}, {64, 300}, {256, 300}, {256, 7}, {21, 50}, {1, 9}},
					 rows[] = {1, 3, 25, 197};
	for (int h = 0; h < COUNT(attention_heads); h++)
		for (int k = 0; k < COUNT(keys); k++)
			for (int r = 0; r < COUNT(rows); r++)
				if (rows[r] < 100 || (h + k) % 3 == 0)
					one_attention(t, rows[r], attention_heads[h], keys[k], (h + k + r) % 3 ? 2 : 400);
}

static inline void case_move(table *t)
{
	e3_err err = {""};
	static const uint32_t from[] = {149, 64, 63, 148, 70}, to[] = {0, 1, 65, 62, 127};
	for (int h = 0; h < COUNT(attention_heads); h++)
		for (int n = 0; n <= COUNT(from); n += COUNT(from)) {
			const int *heads = attention_heads[h];
			size_t floats = 2 * 64 * (size_t)(heads[0] * heads[1]);
			kv_pair kv;
			kv_make(t, &kv, (const int[]){heads[0], heads[1], 64, 150}, 1);
			double *page[3] = {expected(kv.host_page[0], floats), expected(kv.host_page[1], floats),
				expected(kv.host_page[2], floats)};
			for (int k = 0; k < n; k++)
				for (int row = 0; row < 2 * heads[0]; row++)
					for (int c = 0; c < heads[1]; c++)
						page[to[k] / 64][ref_place(&kv.host, 0, row, (int)to[k]) + (size_t)c] =
							kv.host_page[from[k] / 64][ref_place(&kv.host, 0, row, (int)from[k]) + (size_t)c];
			must(t, t->dev->ops->move(t->dev, &kv.dev, from, to, n, &err), &err);
			for (int k = 0; k < 3; k++)
				result(t, T_MOVE, kv.dev_page[k], page[k], floats);
			end_case(t);
			kv_free(&kv);
		}
}

static inline void case_modulate(table *t)
{
	static const int dims[] = {1, 12, 72, 100, 512};
	e3_err err = {""};
	for (int k = 0; k < COUNT(dims); k++) {
		size_t n = (size_t)dims[k];
		float *p = values(t, n, 2), *mod = values(t, 3 * n, 1), *out = on_device(t, NULL, n);
		double *want = expected(NULL, n);
		ref_modulate(p, mod, dims[k], want);
		must(t, t->dev->ops->modulate(t->dev, on_device(t, p, n), on_device(t, mod, 3 * n), dims[k], out, &err), &err);
		result(t, T_MODULATE, out, want, n);
		end_case(t);
		free(p), free(mod);
	}
}

/* ---- a block, with what it passes on in the device's attn_dtype ---- */

static inline void case_block(table *t)
{
	e3_err err = {""};
	for (int h = 0; h < COUNT(attention_heads); h++) {
		int d = attention_heads[h][1], dim = attention_heads[h][0] * d, rows = 25, hidden = 2 * dim;
		size_t n = (size_t)(rows * dim), floats = 2 * (size_t)(dim * 64);
		mat_pair qkv = mat_make(t, 3 * dim, dim, 3 * dim), proj = mat_make(t, dim, dim, dim);
		mat_pair fc1 = mat_make(t, hidden, dim, hidden), fc2 = mat_make(t, dim, hidden, dim);
		norm_pair norm = norm_make(t, dim, 1e-5f, true);
		kv_pair kv;
		kv_make(t, &kv, (const int[]){attention_heads[h][0], d, 64, rows}, 0);
		float *x = values(t, n, 1), *start = on_device(t, x, n), *lse = on_device(t, NULL, n),
			  *mass = on_device(t, NULL, (size_t)rows);
		e3_tensor sum = e3_tensor_f32(start), q = e3_tensor_f32(on_device(t, NULL, n)),
				  y = e3_tensor_f32(on_device(t, NULL, n)),
				  wide = e3_tensor_f32(on_device(t, NULL, (size_t)(rows * hidden)));
		uint32_t slot[25];
		for (int k = 0; k < rows; k++)
			slot[k] = (uint32_t)(rows - 1 - k);
		e3_qkv one = {start, rows, &norm.dev, &qkv.dev, NULL, NULL, NULL, q, &kv.dev, slot};
		e3_linear three = {.x = y, .rows = rows, .ldx = dim, .mat = &proj.dev, .add = true, .out = sum, .ldo = dim};
		e3_linear four = {.x = sum,
			.rows = rows,
			.ldx = dim,
			.norm = &norm.dev,
			.mat = &fc1.dev,
			.act = E3_ACT_GELU,
			.out = wide,
			.ldo = hidden};
		e3_linear five = {.x = wide, .rows = rows, .ldx = hidden, .mat = &fc2.dev, .add = true, .out = sum, .ldo = dim};
		must(t,
			t->dev->ops->qkv(t->dev, &one, &err) ||
				t->dev->ops->attend(t->dev, &(e3_attend){q, rows, &kv.dev, y, lse, 0, 0}, &err) ||
				t->dev->ops->mass(t->dev, &(e3_mass){q, rows, &kv.dev, lse, mass, NULL, 0}, &err) ||
				t->dev->ops->linear(t->dev, &three, &err) || t->dev->ops->linear(t->dev, &four, &err) ||
				t->dev->ops->linear(t->dev, &five, &err),
			&err);
		/* The same on the host, rounded to f32 between operations. */
		double *dq = expected(NULL, n), *page = expected(NULL, floats), *dy = expected(NULL, n),
			   *dm = expected(NULL, (size_t)rows), *dx = expected(x, n), *dh = expected(NULL, (size_t)(rows * hidden));
		float *hq = malloc(n * sizeof *hq), *hh = malloc((size_t)(rows * hidden) * sizeof *hh);
		one.x = x, one.norm = &norm.host, one.mat = &qkv.host, one.kv = &kv.host;
		ref_qkv(&one, dq, &page);
		for (size_t k = 0; k < n; k++)
			hq[k] = (float)dq[k];
		for (size_t k = 0; k < floats; k++)
			kv.host_page[0][k] = (float)page[k];
		ref_attention(hq, rows, &kv.host, (double *const[]){dy, NULL, dm, NULL});
		for (size_t k = 0; k < n; k++)
			hq[k] = (float)dy[k];
		three.x = e3_tensor_f32(hq), three.mat = &proj.host;
		ref_linear(&three, dx);
		for (size_t k = 0; k < n; k++)
			hq[k] = (float)dx[k];
		four.x = e3_tensor_f32(hq), four.mat = &fc1.host, four.norm = &norm.host;
		ref_linear(&four, dh);
		for (int k = 0; k < rows * hidden; k++)
			hh[k] = (float)dh[k];
		five.x = e3_tensor_f32(hh), five.mat = &fc2.host;
		ref_linear(&five, dx);
		result(t, T_BLOCK, start, dx, n);
		result(t, T_BLOCK, mass, dm, (size_t)rows);
		guards_intact(t, T_BLOCK);
		end_case(t);
		mat_free(&qkv), mat_free(&proj), mat_free(&fc1), mat_free(&fc2), norm_free(&norm), kv_free(&kv);
		free(x), free(dq), free(page), free(dy), free(dh), free(hq), free(hh);
	}
}

/* The whole table on one device. Prints the worst of each operation; fails where a bound is passed. The hash of all
 * results. */
static inline uint64_t check_device(e3_dev *dev, const double bound[T_KINDS])
{
	table t = {.dev = dev, .bound = bound, .seed = 20u, .hash = 0xcbf29ce484222325u};
	case_patchify(&t), case_linear(&t), case_norm(&t), case_copy(&t), case_mean(&t), case_qkv(&t), case_attention(&t),
		case_move(&t), case_modulate(&t);
	case_conv(&t), case_deconv(&t), case_upsample(&t), case_uv(&t), case_dense(&t), case_block(&t), case_evict(&t);
	case_match(&t), case_mean_keys(&t), case_shift(&t), case_novelty(&t), case_groups(&t);
	for (int k = 0; k < T_KINDS; k++)
		printf("# %s: %-16s %4d results, worst relative L2 %.1e, bound %.0e\n", dev->ops->name(dev), table_names[k],
			t.cases[k], t.worst[k], bound[k]);
	return t.hash;
}

#endif
