/* Every operation on CUDA. Strict (f32): the table of the CPU backend, against double precision. With f16: the
 * shapes of the released network and awkward ones, against the CPU backend on the same rounded inputs, with sentinels
 * around what is written. */
#include "../dev_cases.h"

static const double strict_bounds[T_KINDS] = {
	[T_PATCHIFY] = 2e-7,
	[T_LINEAR] = 6e-6,
	[T_NORM] = 3e-5,
	[T_COPY] = 0,
	[T_MEAN] = 1e-7,
	[T_QKV] = 1e-6,
	[T_ATTEND] = 2e-6,
	[T_LSE] = 1e-6,
	[T_MASS] = 4e-6,
	[T_MAP] = 4e-6,
	[T_SHARP] = 2e-4,
	[T_MATCH] = 2e-6,
	[T_SHIFT] = 1e-6,
	[T_NOVELTY] = 1e-5,
	[T_MOVE] = 0,
	[T_MODULATE] = 1e-6,
	[T_CONV] = 2e-6,
	[T_RESIZED] = 3e-6,
	[T_DECONV] = 1e-6,
	[T_UPSAMPLE] = 2e-6,
	[T_UV] = 2e-7,
	[T_DENSE] = 3e-6,
	[T_BLOCK] = 1e-6,
};

static e3_dev *open_or_skip(bool strict)
{
	e3_err err = {""};
	e3_dev *dev = e3_dev_cuda(strict, &err);
	if (!dev) {
		printf("# %s\n", err.text);
		skip();
	}
	return dev;
}

static void every_operation_in_f32(void **state)
{
	e3_dev *dev = open_or_skip(true);
	uint64_t one = check_device(dev, strict_bounds), two = check_device(dev, strict_bounds);
	assert_true(one == two); /* the same bits every time */
	e3_dev_close(dev);
}

/* ---- mixed types ---- */

typedef struct mixed {
	table t; /* of the device under test: sentinels, values */
	e3_dev *gpu, *cpu;
	int n;
} mixed;

static float rounded(e3_dtype type, float v)
{
	return type == E3_BF16 ? e3_bf16_to_f32(e3_f32_to_bf16(v)) : type == E3_F16 ? e3_f16_to_f32(e3_f32_to_f16(v)) : v;
}

/* n values that the type can hold. */
static float *values_as(mixed *m, e3_dtype type, size_t n, float scale)
{
	float *v = values(&m->t, n, scale);
	for (size_t k = 0; k < n; k++)
		v[k] = rounded(type, v[k]);
	return v;
}

static size_t floats_of(e3_dtype type, size_t n) { return type == E3_F32 ? n : (n + 1) / 2; }

/* n values of a type on the device, as on_device does it; n even unless f32. from NULL: sentinels. */
static e3_tensor put_as(mixed *m, e3_dtype type, const float *from, size_t n)
{
	if (type == E3_F32 || !from)
		return (e3_tensor){(uint8_t *)on_device(&m->t, from, floats_of(type, n)), type};
	uint16_t *half = calloc(n + 1, sizeof *half);
	for (size_t k = 0; k < n; k++)
		half[k] = type == E3_BF16 ? e3_f32_to_bf16(from[k]) : e3_f32_to_f16(from[k]);
	float *p = on_device(&m->t, (const float *)(const void *)half, floats_of(type, n));
	free(half);
	return (e3_tensor){(uint8_t *)p, type};
}

static void compare_as(mixed *m, const char *what, e3_tensor dev, const float *want, size_t n, double bound)
{
	e3_err err = {""};
	e3_dtype type = dev.dtype;
	size_t floats = floats_of(type, n);
	float *got = malloc((floats + 2 * GUARD) * sizeof *got), none = sentinel();
	const uint16_t *half = (const uint16_t *)(const void *)(got + GUARD);
	double num = 0, den = 0;
	must(&m->t,
		m->gpu->ops->finish(m->gpu, &err) ||
			m->gpu->ops->download(m->gpu, got, e3_tensor_f32((const float *)(void *)dev.p - GUARD), floats + 2 * GUARD,
				&err),
		&err);
	for (size_t k = 0; k < GUARD; k++)
		if (memcmp(&got[k], &none, 4) || memcmp(&got[GUARD + floats + k], &none, 4))
			fail_msg("%s: wrote beside the result", what);
	for (size_t k = 0; k < n; k++) {
		float v = type == E3_F32 ? got[GUARD + k] : type == E3_BF16 ? e3_bf16_to_f32(half[k]) : e3_f16_to_f32(half[k]);
		if (!isfinite(v))
			fail_msg("%s: %g at %zu of %zu", what, v, k, n);
		num += (v - want[k]) * (double)(v - want[k]), den += want[k] * (double)want[k];
	}
	double rel = sqrt(num / (den > 0 ? den : 1));
	m->n++;
	printf("# %-52s relative L2 %.1e, bound %.0e\n", what, rel, bound);
	if (!(rel <= bound))
		fail_msg("%s: relative L2 %.2e, bound %.2e", what, rel, bound);
	free(got);
}

/* The same matrix on both; the CPU's holds what the type of the other leaves of it. */
static mat_pair weights(mixed *m, int out, int in, e3_role role, int biases)
{
	e3_err err = {""};
	e3_dtype type = role == E3_ROLE_EXACT ? E3_F32
		: role == E3_ROLE_ATTENDED        ? m->gpu->attn_dtype
										  : m->gpu->feature_dtype;
	mat_pair p = {{.out = out, .in = in, .role = role}, {.out = out, .in = in, .role = role}};
	float *w = values_as(m, type, (size_t)out * (size_t)in, sqrtf(3.0f / (float)in));
	must(&m->t, m->cpu->ops->weight(m->cpu, w, &p.host, &err) || m->gpu->ops->weight(m->gpu, w, &p.dev, &err), &err);
	free(w);
	assert_int_equal(p.dev.w.dtype, type);
	if (biases) {
		p.host.b = values(&m->t, (size_t)biases, 0.5f);
		p.dev.b = on_device(&m->t, p.host.b, (size_t)biases);
	}
	return p;
}

static void weights_free(mixed *m, mat_pair *p)
{
	m->gpu->ops->free(m->gpu, p->dev.w.p);
	m->cpu->ops->free(m->cpu, p->host.w.p);
	free(p->host.b);
}

typedef struct linear_case {
	const char *what;
	int rows, in, out;
	e3_role role;
	e3_act act;
	int mode, norm; /* as in one_linear */
	char x, y;      /* f: f32, a: attn_dtype, m: feature_dtype */
	double bound;
} linear_case;

static e3_dtype type_named(const mixed *m, char c)
{
	return c == 'a' ? m->gpu->attn_dtype : c == 'm' ? m->gpu->feature_dtype : E3_F32;
}

static void linear_as(mixed *m, const linear_case *c)
{
	e3_err err = {""};
	e3_dtype xt = type_named(m, c->x), yt = type_named(m, c->y);
	size_t nx = (size_t)c->rows * (size_t)c->in, ny = (size_t)c->rows * (size_t)c->out;
	mat_pair w = weights(m, c->out, c->in, c->role, c->out);
	norm_pair norm = norm_make(&m->t, c->in, 1e-5f, c->norm == 1);
	float *x = values_as(m, xt, nx, 1), *before = values(&m->t, ny, 1);
	e3_linear host = {.x = e3_tensor_f32(x),
				  .rows = c->rows,
				  .ldx = c->in,
				  .norm = c->norm ? &norm.host : NULL,
				  .mat = &w.host,
				  .act = c->act,
				  .add = c->mode > 0,
				  .ldo = c->out},
			  dev = host;
	dev.x = put_as(m, xt, x, nx), dev.norm = c->norm ? &norm.dev : NULL, dev.mat = &w.dev;
	dev.out = put_as(m, yt, c->mode ? before : NULL, ny);
	host.out = e3_tensor_f32(before);
	must(&m->t, m->cpu->ops->linear(m->cpu, &host, &err) || m->gpu->ops->linear(m->gpu, &dev, &err), &err);
	compare_as(m, c->what, dev.out, before, ny, c->bound);
	end_case(&m->t);
	weights_free(m, &w), norm_free(&norm), free(x), free(before);
}

static void linears(mixed *m)
{
	static const linear_case cases[] = {
		{"linear f16: patches, added", 1036, 588, 1024, E3_ROLE_FEATURES, E3_ACT_NONE, 1, 0, 'f', 'f', 5e-4},
		{"linear: projection, added", 1041, 1024, 1024, E3_ROLE_ATTENDED, E3_ACT_NONE, 1, 0, 'a', 'f', 1e-5},
		{"linear: to the same type, ReLU", 200, 128, 96, E3_ROLE_ATTENDED, E3_ACT_RELU, 0, 0, 'a', 'a', 5e-3},
		{"linear f16: norm, GELU", 333, 1024, 4096, E3_ROLE_FEATURES, E3_ACT_GELU, 0, 1, 'f', 'm', 8e-4},
		{"linear f16: norm, GELU, a frame", 1041, 1024, 4096, E3_ROLE_FEATURES, E3_ACT_GELU, 0, 1, 'f', 'm', 8e-4},
		{"linear f16: norm, GELU, a low frame", 410, 1024, 4096, E3_ROLE_FEATURES, E3_ACT_GELU, 0, 1, 'f', 'm', 8e-4},
		{"linear f16: back, a frame, added", 1041, 4096, 1024, E3_ROLE_FEATURES, E3_ACT_NONE, 1, 0, 'm', 'f', 1e-5},
		{"linear f16: norm, GELU, odd", 65, 136, 400, E3_ROLE_FEATURES, E3_ACT_GELU, 0, 1, 'f', 'm', 8e-4},
		{"linear f16: back, added", 333, 4096, 1024, E3_ROLE_FEATURES, E3_ACT_NONE, 1, 0, 'm', 'f', 1e-5},
		{"linear f16: 36 to 100, three rows", 3, 36, 100, E3_ROLE_FEATURES, E3_ACT_SILU, 0, 2, 'f', 'm', 8e-4},
		{"row f16: norm, GELU", 1, 2048, 8192, E3_ROLE_ROW, E3_ACT_GELU, 0, 1, 'f', 'f', 2e-6},
		{"row f16: back, added", 1, 8192, 2048, E3_ROLE_ROW, E3_ACT_NONE, 1, 0, 'f', 'f', 2e-6},
		{"row f16: 36 to 101", 1, 36, 101, E3_ROLE_ROW, E3_ACT_SILU, 1, 2, 'f', 'f', 2e-6},
		{"row f32: pose", 1, 9, 2048, E3_ROLE_EXACT, E3_ACT_SILU, 0, 0, 'f', 'f', 2e-6},
		{"linear f16: norm, level", 1036, 2048, 256, E3_ROLE_FEATURES, E3_ACT_NONE, 0, 1, 'f', 'm', 1e-3},
		{"linear f16: features to features", 4144, 256, 256, E3_ROLE_FEATURES, E3_ACT_NONE, 0, 0, 'm', 'm', 1e-3},
		{"linear f16: 20 to 12, features", 35, 20, 12, E3_ROLE_FEATURES, E3_ACT_NONE, 0, 0, 'm', 'm', 1e-3},
	};
	for (int k = 0; k < COUNT(cases); k++)
		linear_as(m, &cases[k]);
}

typedef struct conv_case {
	const char *what;
	int h, w, cin, cout, stride, bits; /* as in one_conv */
	e3_act act;
} conv_case;

/* resize: or 0. */
static void conv_as(mixed *m, const conv_case *c, const int resize[2])
{
	e3_err err = {""};
	e3_dtype type = m->gpu->feature_dtype;
	int h = resize[0] ? resize[0] : c->h, w_of_x = resize[0] ? resize[1] : c->w;
	size_t nx = (size_t)(c->h * c->w * c->cin),
		   no = (size_t)(((h - 1) / c->stride + 1) * ((w_of_x - 1) / c->stride + 1) * c->cout);
	mat_pair w = weights(m, c->cout, 9 * c->cin, E3_ROLE_FEATURES, c->bits & 16 ? 0 : c->cout);
	float *x = values_as(m, type, nx, 1), *resid = values_as(m, type, no, 1), *plus = values_as(m, type, no, 1),
		  *want = malloc(no * sizeof *want);
	e3_features in = {e3_tensor_f32(x), c->h, c->w, c->cin};
	e3_features out = {e3_tensor_f32(want), (h - 1) / c->stride + 1, (w_of_x - 1) / c->stride + 1, c->cout};
	e3_conv host = {.x = in,
				.resize = {resize[0], resize[1]},
				.mat = &w.host,
				.stride = c->stride,
				.relu_in = c->bits & 1,
				.act = c->act,
				.resid = e3_tensor_f32(c->bits & 4 ? resid : NULL),
				.relu_resid = c->bits & 2,
				.plus = e3_tensor_f32(c->bits & 8 ? plus : NULL),
				.out = out},
			dev = host;
	const e3_tensor none = {NULL, type};
	dev.x.t = put_as(m, type, x, nx), dev.mat = &w.dev, dev.out.t = put_as(m, type, NULL, no);
	dev.resid = c->bits & 4 ? put_as(m, type, resid, no) : none,
	dev.plus = c->bits & 8 ? put_as(m, type, plus, no) : none;
	must(&m->t, m->cpu->ops->conv(m->cpu, &host, &err) || m->gpu->ops->conv(m->gpu, &dev, &err), &err);
	compare_as(m, c->what, dev.out.t, want, no, 6e-4);
	end_case(&m->t);
	weights_free(m, &w), free(x), free(resid), free(plus), free(want);
}

static void convs(mixed *m)
{
	static const conv_case cases[] = {
		{"conv 56x74, 256 to 256: unit, first", 56, 74, 256, 256, 1, 1, E3_ACT_RELU},
		{"conv 56x74, 256 to 256: unit, second", 56, 74, 256, 256, 1, 2 | 4 | 8, E3_ACT_NONE},
		{"conv 112x148, 64 to 128: many tiles", 112, 148, 64, 128, 1, 1, E3_ACT_RELU},
		{"conv 112x148, 64 to 256: large tiles", 112, 148, 64, 256, 1, 1 | 2 | 4 | 8, E3_ACT_NONE},
		{"conv 224x296, 64 to 128: several rounds", 224, 296, 64, 128, 1, 0, E3_ACT_NONE},
		{"conv 28x37, 64 to 64: small tiles", 28, 37, 64, 64, 1, 2 | 4, E3_ACT_RELU},
		{"conv 131x1, 64 to 192: one column", 131, 1, 64, 192, 1, 1 | 8, E3_ACT_NONE},
		{"conv 1x300, 128 to 64: one row", 1, 300, 128, 64, 1, 4, E3_ACT_NONE},
		{"conv 150x151, 32 to 136: no piece fits", 150, 151, 32, 136, 1, 0, E3_ACT_GELU},
		{"conv 28x37, 1024 to 64, stride 2: cut depth", 28, 37, 1024, 64, 2, 0, E3_ACT_NONE},
		{"conv 28x37, 256 to 128, stride 2: cut depth", 28, 37, 256, 128, 2, 4, E3_ACT_RELU},
		{"conv 14x19, 512 to 256: cut depth, no bias", 14, 19, 512, 256, 1, 16 | 4 | 8, E3_ACT_NONE},
		{"conv 130x97, 128 to 32: narrow", 130, 97, 128, 32, 1, 0, E3_ACT_RELU},
		{"conv 1x1, 32 to 8", 1, 1, 32, 8, 1, 4, E3_ACT_NONE},
		{"conv 9x1, 96 to 24", 9, 1, 96, 24, 1, 1 | 2 | 4, E3_ACT_NONE},
		{"conv 5x7, 12 to 36: by FMA", 5, 7, 12, 36, 2, 1 | 2 | 4 | 8, E3_ACT_RELU},
	};
	static const struct {
		conv_case conv;
		int resize[2];
	} resized[] = {
		{{"conv 28x37 to 56x74, 256 to 128: taps", 28, 37, 256, 128, 1, 0, E3_ACT_NONE}, {56, 74}},
		{{"conv 9x30 to 33x47, 64 to 128: taps, ReLU", 9, 30, 64, 128, 1, 16, E3_ACT_RELU}, {33, 47}},
		{{"conv 1x9 to 5x1, 128 to 128: taps, one column", 1, 9, 128, 128, 1, 0, E3_ACT_NONE}, {5, 1}},
		{{"conv 12x9 to 5x14, 128 to 128: made smaller", 12, 9, 128, 128, 1, 0, E3_ACT_NONE}, {5, 14}},
		{{"conv 12x9 to 21x14, 64 to 64: resized first", 12, 9, 64, 64, 1, 1 | 4, E3_ACT_NONE}, {21, 14}},
	};
	for (int k = 0; k < COUNT(cases); k++)
		conv_as(m, &cases[k], (const int[]){0, 0});
	for (int k = 0; k < COUNT(resized); k++)
		conv_as(m, &resized[k].conv, resized[k].resize);
}

static void other_features(mixed *m)
{
	e3_err err = {""};
	e3_dtype type = m->gpu->feature_dtype;
	static const int shape[][4] = {{28, 37, 64, 4}, {5, 7, 12, 2}, {1, 9, 8, 3}, {14, 19, 320, 2}};
	for (int k = 0; k < COUNT(shape); k++) {
		int h = shape[k][0], w = shape[k][1], c = shape[k][2], up = shape[k][3];
		size_t nx = (size_t)(h * w * c), no = nx * (size_t)(up * up);
		mat_pair mat = weights(m, (up + 2) * (up + 2) * c, c, E3_ROLE_FEATURES, 16 * c);
		float *x = values_as(m, type, nx, 1), *want = malloc(no * sizeof *want);
		e3_features host = {e3_tensor_f32(x), h, w, c}, host_out = {e3_tensor_f32(want), h * up, w * up, c}, dev = host,
					out = host_out;
		dev.t = put_as(m, type, x, nx), out.t = put_as(m, type, NULL, no);
		must(&m->t,
			m->cpu->ops->deconv(m->cpu, host, &mat.host, host_out, &err) ||
				m->gpu->ops->deconv(m->gpu, dev, &mat.dev, out, &err),
			&err);
		compare_as(m, "deconv", out.t, want, no, 6e-4);
		must(&m->t,
			m->cpu->ops->upsample(m->cpu, host, host_out, &err) || m->gpu->ops->upsample(m->gpu, dev, out, &err), &err);
		compare_as(m, "upsample", out.t, want, no, 6e-4);
		float *ux = values(&m->t, (size_t)(w * c / 2), 1), *uy = values(&m->t, (size_t)(h * c / 2), 1);
		float *dx = on_device(&m->t, ux, (size_t)(w * c / 2)), *dy = on_device(&m->t, uy, (size_t)(h * c / 2));
		must(&m->t,
			m->cpu->ops->add_uv(m->cpu, host, (e3_uv){ux, uy}, &err) ||
				m->gpu->ops->add_uv(m->gpu, dev, (e3_uv){dx, dy}, &err),
			&err);
		compare_as(m, "add_uv", dev.t, x, nx, 6e-4);
		end_case(&m->t);
		weights_free(m, &mat), free(x), free(want), free(ux), free(uy);
	}
}

static void dense_as(mixed *m, const int from[2], const int to[2], const int channels[3])
{
	e3_err err = {""};
	e3_dtype type = m->gpu->feature_dtype;
	int c = channels[0], hid = channels[1], n = channels[2];
	size_t nz = (size_t)(from[0] * from[1] * c), area = (size_t)(to[0] * to[1]), many = area * (size_t)n;
	mat_pair conv = weights(m, hid, 9 * c, E3_ROLE_FEATURES, hid), out = weights(m, n + 1, hid, E3_ROLE_EXACT, n + 1);
	float *z = values_as(m, type, nz, 1), *ux = values(&m->t, (size_t)(to[1] * c / 2), 0.1f),
		  *uy = values(&m->t, (size_t)(to[0] * c / 2), 0.1f);
	e3_dense host = {{e3_tensor_f32(z), from[0], from[1], c}, {ux, uy}, &conv.host, &out.host, to[0], to[1],
				 malloc(many * sizeof(float)), malloc(area * sizeof(float))},
			 dev = host;
	void *value, *conf;
	dev.z.t = put_as(m, type, z, nz);
	dev.uv = (e3_uv){on_device(&m->t, ux, (size_t)(to[1] * c / 2)), on_device(&m->t, uy, (size_t)(to[0] * c / 2))};
	dev.conv = &conv.dev, dev.out = &out.dev, dev.value = host_room(&m->t, many, &value),
	dev.conf = host_room(&m->t, area, &conf);
	must(&m->t,
		m->cpu->ops->dense(m->cpu, &host, &err) || m->gpu->ops->dense(m->gpu, &dev, &err) ||
			m->gpu->ops->finish(m->gpu, &err),
		&err);
	for (int part = 0; part < 2; part++) {
		const float *got = part ? dev.conf : dev.value, *want = part ? host.conf : host.value, none = sentinel();
		size_t len = part ? area : many;
		double num = 0, den = 0;
		for (size_t k = 0; k < len; k++)
			num += (got[k] - want[k]) * (double)(got[k] - want[k]), den += want[k] * (double)want[k];
		for (size_t k = 0; k < GUARD; k++)
			assert_true(!memcmp(got - GUARD + k, &none, 4) && !memcmp(got + len + k, &none, 4));
		printf("# dense %dx%d, %d to %d to %d%-25s relative L2 %.1e, bound 1e-03\n", to[0], to[1], c, hid, n,
			part ? ", confidence" : "", sqrt(num / den));
		assert_true(sqrt(num / den) <= 1e-3);
	}
	m->n++;
	end_case(&m->t);
	m->gpu->ops->free_host(m->gpu, value), m->gpu->ops->free_host(m->gpu, conf);
	weights_free(m, &conv), weights_free(m, &out), free(z), free(ux), free(uy), free(host.value), free(host.conf);
}

/* Queries, keys and values in f16: projection with norms and rotation into scattered slots, then attention and mass,
 * each against the CPU on what the device itself wrote before. */
static void attention_as(mixed *m, int rows, const int *heads, int page_keys, int n_keys)
{
	e3_err err = {""};
	e3_dtype type = m->gpu->attn_dtype;
	int d = heads[1], dim = heads[0] * d;
	size_t nq = (size_t)(rows * dim), page = 2 * (size_t)(dim * page_keys), nl = (size_t)(rows * heads[0]);
	mat_pair mat = weights(m, 3 * dim, dim, E3_ROLE_FEATURES, 3 * dim);
	norm_pair norm = norm_make(&m->t, dim, 1e-5f, true), qn = norm_make(&m->t, d, 1e-5f, true),
			  kn = norm_make(&m->t, d, 1e-5f, true);
	float *x = values(&m->t, nq, 1), *rope = values(&m->t, (size_t)(rows * d), 1), *q = malloc(nq * sizeof *q),
		  *y = malloc(nq * sizeof *y);
	float *host_page[16], *lse = malloc(nl * sizeof *lse), *mass = malloc((size_t)n_keys * sizeof *mass);
	e3_tensor dev_page[16];
	uint8_t *host_list[16], *dev_list[16];
	int pages = (n_keys + page_keys - 1) / page_keys;
	for (int k = 0; k < pages; k++) {
		host_page[k] = values_as(m, type, page, 1);
		dev_page[k] = put_as(m, type, host_page[k], page);
		host_list[k] = (uint8_t *)host_page[k], dev_list[k] = dev_page[k].p;
	}
	uint32_t *slot = malloc((size_t)rows * sizeof *slot);
	for (int r = 0; r < rows; r++)
		slot[r] = (uint32_t)(n_keys - 1 - r);
	e3_kv host_kv = {host_list, E3_F32, page_keys, n_keys, heads[0], d, false, E3_PACK_NONE}, dev_kv = host_kv;
	dev_kv.page = dev_list, dev_kv.dtype = type;
	e3_qkv host = {x, rows, &norm.host, &mat.host, &qn.host, &kn.host, rope, e3_tensor_f32(q), &host_kv, slot};
	e3_qkv dev = {on_device(&m->t, x, nq), rows, &norm.dev, &mat.dev, &qn.dev, &kn.dev,
		on_device(&m->t, rope, (size_t)(rows * d)), put_as(m, type, NULL, nq), &dev_kv, slot};
	must(&m->t, m->cpu->ops->qkv(m->cpu, &host, &err) || m->gpu->ops->qkv(m->gpu, &dev, &err), &err);
	compare_as(m, "qkv f16: queries", dev.q, q, nq, 6e-4);
	for (int k = 0; k < pages; k++)
		compare_as(m, "qkv f16: a page", dev_page[k], host_page[k], page, 6e-4);
	for (int k = 0; k < pages; k++)
		for (size_t j = 0; j < page; j++)
			host_page[k][j] = rounded(type, host_page[k][j]);
	for (size_t k = 0; k < nq; k++)
		q[k] = rounded(type, q[k]);
	/* The device reads what the CPU wrote, rounded: only attention is compared. */
	for (int k = 0; k < pages; k++)
		dev_list[k] = put_as(m, type, host_page[k], page).p;
	e3_attend host_at = {e3_tensor_f32(q), rows, &host_kv, e3_tensor_f32(y), lse, 0, 0},
			  dev_at = {put_as(m, type, q, nq), rows, &dev_kv, put_as(m, type, NULL, nq), on_device(&m->t, NULL, nl), 0,
				  0};
	e3_mass host_mass = {host_at.q, rows, &host_kv, lse, mass, NULL, 0},
			dev_mass = {dev_at.q, rows, &dev_kv, dev_at.lse, on_device(&m->t, NULL, (size_t)n_keys), NULL, 0};
	must(&m->t,
		m->cpu->ops->attend(m->cpu, &host_at, &err) || m->gpu->ops->attend(m->gpu, &dev_at, &err) ||
			m->cpu->ops->mass(m->cpu, &host_mass, &err) || m->gpu->ops->mass(m->gpu, &dev_mass, &err),
		&err);
	/* The same queries as a slice of more rows. */
	enum { BEFORE = 8, AFTER = 3 };
	int step = BEFORE + rows + AFTER;
	float *wide = queries_within(q, heads[0], rows, d, BEFORE, step);
	e3_attend slice = {e3_tensor_at(put_as(m, type, wide, (size_t)(heads[0] * step * d)), (size_t)(BEFORE * d)), rows,
		&dev_kv, put_as(m, type, NULL, nq), on_device(&m->t, NULL, nl), step, 0};
	e3_mass slice_mass = {slice.q, rows, &dev_kv, slice.lse, on_device(&m->t, NULL, (size_t)n_keys), NULL, step};
	must(&m->t, m->gpu->ops->attend(m->gpu, &slice, &err) || m->gpu->ops->mass(m->gpu, &slice_mass, &err), &err);
	free(wide);
	const double of_mass = d == 64 ? 5e-3 : 1e-4; /* Hopper's kernel makes it of f16 */
	char what[80];
	snprintf(what, sizeof what, "attend f16: %d rows, %d heads of %d, %d keys", rows, heads[0], d, n_keys);
	compare_as(m, what, dev_at.out, y, nq, 6e-3);
	compare_as(m, "  log-sum-exp", e3_tensor_f32(dev_at.lse), lse, nl, d == 64 ? 1e-3 : 1e-5); /* of scores in f16 */
	compare_as(m, "  mass", e3_tensor_f32(dev_mass.mass), mass, (size_t)n_keys, of_mass);
	compare_as(m, "  of a slice", slice.out, y, nq, 6e-3);
	compare_as(m, "  its mass", e3_tensor_f32(slice_mass.mass), mass, (size_t)n_keys, of_mass);
	end_case(&m->t);
	for (int k = 0; k < pages; k++)
		free(host_page[k]);
	weights_free(m, &mat), norm_free(&norm), norm_free(&qn), norm_free(&kn);
	free(x), free(rope), free(q), free(y), free(lse), free(mass), free(slot);
}

/* Scored pages in f16: the match of keys with queries, and their mean. */
static void keys_as(mixed *m, const int *heads, int rows, int page_keys, int n_keys)
{
	e3_err err = {""};
	e3_dtype type = m->gpu->attn_dtype;
	int dim = heads[0] * heads[1], pages = (n_keys + page_keys - 1) / page_keys;
	size_t nq = (size_t)(rows * dim), n = 2 * (size_t)(dim * page_keys);
	e3_kv host = {NULL, E3_F32, page_keys, n_keys, heads[0], heads[1], true, E3_PACK_NONE}, dev = host;
	dev.dtype = type;
	size_t floats = e3_page_bytes(&dev) / sizeof(float);
	uint8_t *host_list[16], *dev_list[16];
	float *mean[2];
	for (int p = 0; p < pages; p++) {
		float *kv = values_as(m, type, n, 1), *page = calloc(1, e3_page_bytes(&host)),
			  *raw = calloc(floats, sizeof *raw);
		for (size_t k = 0; k < n; k++)
			((uint16_t *)(void *)raw)[k] = e3_f32_to_f16(kv[k]);
		memcpy(page, kv, n * sizeof *kv);
		host_list[p] = (uint8_t *)page, dev_list[p] = (uint8_t *)on_device(&m->t, raw, floats);
		free(kv), free(raw);
	}
	host.page = host_list, dev.page = dev_list;
	float *q = values_as(m, type, nq, 1);
	uint32_t *slot = malloc((size_t)rows * sizeof *slot);
	for (int k = 0; k < rows; k++)
		slot[k] = (uint32_t)(n_keys - 1 - k);
	mean[0] = malloc((size_t)dim * sizeof(float)), mean[1] = on_device(&m->t, NULL, (size_t)dim);
	e3_match match = {e3_tensor_f32(q), rows, 5, 16, &host, 0}, on_gpu = {put_as(m, type, q, nq), rows, 5, 16, &dev, 0};
	e3_mean_keys a = {&host, slot, rows, mean[0]}, b = {&dev, slot, rows, mean[1]};
	must(&m->t,
		m->cpu->ops->match(m->cpu, &match, &err) || m->gpu->ops->match(m->gpu, &on_gpu, &err) ||
			m->cpu->ops->mean_keys(m->cpu, &a, 1, &err) || m->gpu->ops->mean_keys(m->gpu, &b, 1, &err) ||
			m->gpu->ops->finish(m->gpu, &err),
		&err);
	compare_as(m, "mean_keys f16", e3_tensor_f32(mean[1]), mean[0], (size_t)dim, 1e-6);
	double num = 0, den = 0;
	for (int k = 0; k < n_keys; k++) {
		double ours, theirs;
		memcpy(&ours, host_list[k / page_keys] + e3_kv_bytes(&host) + sizeof(double) * (size_t)(k % page_keys), 8);
		e3_tensor at = {dev_list[k / page_keys] + e3_kv_bytes(&dev) + sizeof(double) * (size_t)(k % page_keys), E3_F64};
		must(&m->t, m->gpu->ops->download(m->gpu, &theirs, at, 1, &err), &err);
		num += (ours - theirs) * (ours - theirs), den += ours * ours;
	}
	printf("# match f16: %d rows, %d heads of %d, %d keys: relative L2 %.1e, bound 1e-05\n", rows, heads[0], heads[1],
		n_keys, sqrt(num / den));
	assert_true(sqrt(num / den) <= 1e-5);
	m->n++;
	end_case(&m->t);
	for (int p = 0; p < pages; p++)
		free(host_list[p]);
	free(mean[0]), free(q), free(slot);
}

#include "packed.h"

static void every_operation_in_f16(void **state)
{
	e3_err err = {""};
	mixed m = {.gpu = open_or_skip(false), .cpu = e3_dev_cpu(0, &err)};
	assert_non_null(m.cpu);
	m.t = (table){.dev = m.gpu, .seed = 77};
	linears(&m);
	convs(&m);
	other_features(&m);
	dense_as(&m, (const int[]){24, 30}, (const int[]){42, 52}, (const int[]){128, 32, 1});
	dense_as(&m, (const int[]){24, 30}, (const int[]){42, 52}, (const int[]){128, 32, 3});
	dense_as(&m, (const int[]){9, 31}, (const int[]){40, 29}, (const int[]){64, 20, 3});
	dense_as(&m, (const int[]){8, 10}, (const int[]){14, 17}, (const int[]){16, 32, 3});
	dense_as(&m, (const int[]){3, 2}, (const int[]){5, 1}, (const int[]){12, 7, 1});
	attention_as(&m, 1041, (const int[]){2, 64}, 256, 1041);
	attention_as(&m, 200, (const int[]){4, 64}, 64, 777);
	attention_as(&m, 25, (const int[]){2, 64}, 64, 25);
	attention_as(&m, 37, (const int[]){3, 32}, 64, 130);
	attention_as(&m, 9, (const int[]){3, 12}, 64, 70);
	keys_as(&m, (const int[]){16, 64}, 1041, 256, 3000);
	keys_as(&m, (const int[]){3, 12}, 25, 64, 130);
	e3_dev_close(m.cpu);
	e3_dev_close(m.gpu);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_in_f32),
		cmocka_unit_test(every_operation_in_f16),
		cmocka_unit_test(packed_keys_and_values),
		cmocka_unit_test(packed_keys_and_values_in_f32),
	};
	if (argc > 1) /* only those whose names fit */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("dev: operations of CUDA", tests, NULL, NULL);
}
