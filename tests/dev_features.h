/* The table's cases of feature maps: convolutions, resizing, positions, the end of the dense heads. Part of
 * dev_cases.h. */
#ifndef DEV_FEATURES_H
#define DEV_FEATURES_H

#include "dev_table.h"

static const int map_sizes[][2] = {{1, 1}, {1, 9}, {8, 1}, {2, 2}, {5, 7}, {14, 19}};

/* how: relu_in, relu of resid, resid, plus, no bias, resized first (bits); act; stride. */
static inline void one_conv(table *t, const int *size, const int channels[2], const int how[3])
{
	e3_err err = {""};
	int cin = channels[0], cout = channels[1], bits = how[0], stride = how[2], resize[2] = {0, 0};
	int h = size[0], w = size[1];
	if (bits & 32) /* wider, or narrower */
		h = resize[0] = 2 * h + 1, w = resize[1] = bits & 1 ? (3 * w + 1) / 2 : (w + 1) / 2;
	size_t nx = (size_t)(size[0] * size[1] * cin),
		   no = (size_t)(((h - 1) / stride + 1) * ((w - 1) / stride + 1) * cout);
	mat_pair m = mat_make(t, cout, 9 * cin, bits & 16 ? 0 : cout);
	float *x = values(t, nx, 1), *resid = values(t, no, 1), *plus = values(t, no, 1);
	e3_conv host = {.x = {e3_tensor_f32(x), size[0], size[1], cin},
				.resize = {resize[0], resize[1]},
				.mat = &m.host,
				.stride = stride,
				.relu_in = bits & 1,
				.act = (e3_act)how[1],
				.resid = e3_tensor_f32(bits & 4 ? resid : NULL),
				.relu_resid = bits & 2,
				.plus = e3_tensor_f32(bits & 8 ? plus : NULL)},
			dev = host;
	float *out = on_device(t, NULL, no);
	dev.x.t = e3_tensor_f32(on_device(t, x, nx)), dev.mat = &m.dev;
	dev.out = (e3_features){e3_tensor_f32(out), (h - 1) / stride + 1, (w - 1) / stride + 1, cout};
	dev.resid = e3_tensor_f32(bits & 4 ? on_device(t, resid, no) : NULL);
	dev.plus = e3_tensor_f32(bits & 8 ? on_device(t, plus, no) : NULL);
	double *want = expected(NULL, no);
	ref_conv(&host, want);
	must(t, t->dev->ops->conv(t->dev, &dev, &err), &err);
	int kind = resize[0] ? T_RESIZED : T_CONV;
	result(t, kind, out, want, no);
	guards_intact(t, kind);
	end_case(t);
	mat_free(&m), free(x), free(resid), free(plus);
}

static inline void case_conv(table *t)
{
	static const int channels[][2] = {{1, 1}, {3, 5}, {12, 36}, {20, 8}, {64, 40}};
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int c = 0; c < COUNT(channels); c++)
			for (int how = 0; how < 32 * 3 * 2; how++) /* activations: none, GELU, ReLU */
				if (how % (1 + c * s) == c)
					one_conv(t, map_sizes[s], channels[c], (const int[]){how % 32, how / 32 % 3, how / 96 + 1});
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int c = 0; c < COUNT(channels); c++)
			for (int bits = 0; bits < 32; bits++)
				if (bits % (1 + c * s) == c)
					one_conv(t, map_sizes[s], channels[c], (const int[]){32 | bits, bits % 2, bits % 3 / 2 + 1});
}

static inline void case_deconv(table *t)
{
	static const int shape[][3] = {{1, 1, 1}, {3, 5, 2}, {12, 8, 3}, {32, 16, 4}, {7, 1, 5}};
	e3_err err = {""};
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int c = 0; c < COUNT(shape); c++) {
			int h = map_sizes[s][0], w = map_sizes[s][1], cin = shape[c][0], cout = shape[c][1], k = shape[c][2];
			size_t nx = (size_t)(h * w * cin), no = (size_t)(h * w * k * k * cout);
			mat_pair m = mat_make(t, (k + 2) * (k + 2) * cout, cin, 16 * cout);
			float *x = values(t, nx, 1), *out = on_device(t, NULL, no);
			double *want = expected(NULL, no);
			e3_features host = {e3_tensor_f32(x), h, w, cin}, from = {e3_tensor_f32(on_device(t, x, nx)), h, w, cin},
						to = {e3_tensor_f32(out), h * k, w * k, cout};
			ref_deconv(host, &m.host, k, want);
			must(t, t->dev->ops->deconv(t->dev, from, &m.dev, to, &err), &err);
			result(t, T_DECONV, out, want, no);
			end_case(t);
			mat_free(&m), free(x);
		}
}

static inline void case_upsample(table *t)
{
	static const int to[][2] = {{1, 1}, {3, 4}, {10, 14}, {5, 7}, {1, 20}, {40, 3}};
	e3_err err = {""};
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int k = 0; k < COUNT(to); k++) {
			int c = (int[]){1, 8, 36}[k % 3];
			size_t nx = (size_t)(map_sizes[s][0] * map_sizes[s][1] * c), no = (size_t)(to[k][0] * to[k][1] * c);
			float *x = values(t, nx, 1), *out = on_device(t, NULL, no);
			double *want = expected(NULL, no);
			e3_features host = {e3_tensor_f32(x), map_sizes[s][0], map_sizes[s][1], c}, from = host,
						large = {e3_tensor_f32(out), to[k][0], to[k][1], c};
			from.t = e3_tensor_f32(on_device(t, x, nx));
			ref_upsample(host, to[k], want);
			must(t, t->dev->ops->upsample(t->dev, from, large, &err), &err);
			result(t, T_UPSAMPLE, out, want, no);
			end_case(t);
			free(x);
		}
}

static inline void case_uv(table *t)
{
	e3_err err = {""};
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int c = 2; c <= 36; c += 17) {
			int h = map_sizes[s][0], w = map_sizes[s][1], half = c / 2, even = 2 * half;
			size_t n = (size_t)(h * w * even);
			float *x = values(t, n, 1), *ux = values(t, (size_t)(w * half), 1), *uy = values(t, (size_t)(h * half), 1);
			float *at = on_device(t, x, n), *dx = on_device(t, ux, (size_t)(w * half)),
				  *dy = on_device(t, uy, (size_t)(h * half));
			double *want = expected(x, n);
			ref_add_uv(want, (const int[]){h, w, even}, (e3_uv){ux, uy});
			e3_features map = {e3_tensor_f32(at), h, w, even};
			must(t, t->dev->ops->add_uv(t->dev, map, (e3_uv){dx, dy}, &err), &err);
			result(t, T_UV, at, want, n);
			end_case(t);
			free(x), free(ux), free(uy);
		}
}

/* Host memory from alloc_host with guards, as the dense heads write to it. */
static inline float *host_room(table *t, size_t n, void **whole)
{
	e3_err err = {""};
	must(t, t->dev->ops->alloc_host(t->dev, (n + 2 * GUARD) * sizeof(float), whole, &err), &err);
	float *p = *whole;
	for (size_t k = 0; k < n + 2 * GUARD; k++)
		assert_true(p[k] == 0);
	for (size_t k = 0; k < n + 2 * GUARD; k++)
		p[k] = sentinel();
	return p + GUARD;
}

static inline void one_dense(table *t, const int *size, const int to[2], const int channels[3])
{
	e3_err err = {""};
	int c = channels[0], hid = channels[1], n = channels[2];
	size_t nz = (size_t)(size[0] * size[1] * c), area = (size_t)(to[0] * to[1]), many = area * (size_t)n;
	mat_pair conv = mat_make(t, hid, 9 * c, hid), out = mat_make(t, n + 1, hid, n + 1);
	float *z = values(t, nz, 1), *ux = values(t, (size_t)(to[1] * c / 2), 0.1f),
		  *uy = values(t, (size_t)(to[0] * c / 2), 0.1f);
	e3_dense host = {.z = {e3_tensor_f32(z), size[0], size[1], c},
				 .uv = {ux, uy},
				 .conv = &conv.host,
				 .out = &out.host,
				 .H = to[0],
				 .W = to[1]},
			 dev = host;
	void *values_at, *conf_at;
	dev.z.t = e3_tensor_f32(on_device(t, z, nz));
	dev.uv = (e3_uv){on_device(t, ux, (size_t)(to[1] * c / 2)), on_device(t, uy, (size_t)(to[0] * c / 2))};
	dev.conv = &conv.dev, dev.out = &out.dev, dev.value = host_room(t, many, &values_at),
	dev.conf = host_room(t, area, &conf_at);
	double *value = expected(NULL, many), *conf = expected(NULL, area);
	ref_dense(&host, value, conf);
	must(t, t->dev->ops->dense(t->dev, &dev, &err), &err);
	must(t, t->dev->ops->finish(t->dev, &err), &err);
	compare(t, T_DENSE, values_at, value, many);
	compare(t, T_DENSE, conf_at, conf, area);
	end_case(t);
	t->dev->ops->free_host(t->dev, values_at), t->dev->ops->free_host(t->dev, conf_at);
	mat_free(&conv), mat_free(&out), free(z), free(ux), free(uy), free(value), free(conf);
}

static inline void case_dense(table *t)
{
	static const int to[][2] = {{14, 14}, {1, 12}, {9, 1}, {7, 10}, {42, 56}};
	static const int channels[][3] = {{2, 1, 1}, {4, 7, 3}, {16, 32, 1}, {16, 32, 3}};
	for (int s = 0; s < COUNT(map_sizes); s++)
		for (int k = 0; k < COUNT(to); k++)
			for (int c = 0; c < COUNT(channels); c++)
				if (k < 4 || c % 2 == s % 2)
					one_dense(t, map_sizes[s], to[k], channels[c]);
}

#endif
