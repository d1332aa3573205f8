/* One table of cases through every operation of a device, each result compared with tests/dev_reference.h. All device
 * memory goes through the device's own operations, so any backend can be passed: check_device(dev, bounds). Around and
 * between what an operation should write lie sentinels that must survive. The bytes of all results are hashed, in
 * order: two runs are equal when their hashes are. */
#ifndef DEV_TABLE_H
#define DEV_TABLE_H

#include "check.h"
#include "dev_reference.h"
#include "e3/mem.h"
#include "e3/num.h"

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

enum {
	T_PATCHIFY,
	T_LINEAR,
	T_NORM,
	T_COPY,
	T_MEAN,
	T_QKV,
	T_ATTEND,
	T_LSE,
	T_MASS,
	T_MAP,
	T_SHARP,
	T_MATCH,
	T_SHIFT,
	T_NOVELTY,
	T_MOVE,
	T_MODULATE,
	T_CONV,
	T_RESIZED, /* conv of a resized map, whose positions are rounded to f32 */
	T_DECONV,
	T_UPSAMPLE,
	T_UV,
	T_DENSE,
	T_BLOCK,
	T_EVICT,
	T_KINDS
};
static const char *const table_names[T_KINDS] = {
	"patchify",
	"linear",
	"norm",
	"copy",
	"mean_rows",
	"qkv",
	"attend",
	"log-sum-exp",
	"mass",
	"attention map",
	"sharp attention",
	"match",
	"shift",
	"novelty",
	"move",
	"modulate",
	"conv",
	"conv, resized",
	"deconv",
	"upsample",
	"add_uv",
	"dense",
	"block",
	"evict",
};

enum { GUARD = 64, MAX_HELD = 64 }; /* sentinels on each side: 256 bytes, so that alignment stays */

typedef struct table {
	e3_dev *dev;
	const double *bound; /* [T_KINDS] on the relative L2 distance of one result */
	float *held[MAX_HELD];
	size_t size[MAX_HELD]; /* of what lies between the guards */
	int n_held;
	uint32_t seed;
	uint64_t hash;
	int cases[T_KINDS];
	double worst[T_KINDS];
} table;

static inline void must(const table *t, int rc, const e3_err *err)
{
	if (rc)
		fail_msg("%s", err->text);
}

static inline float sentinel(void)
{
	uint32_t bits = 0x7fc0e3e3u;
	float f;
	memcpy(&f, &bits, 4);
	return f;
}

static inline float any(table *t) /* -1 to 1 */
{
	t->seed = t->seed * 1664525u + 1013904223u;
	return (float)((double)e3_fmix32(t->seed) / 2147483648.0 - 1);
}

/* n values on the host, centred and scaled; owned by the caller. */
static inline float *values(table *t, size_t n, float scale)
{
	float *v = malloc((n ? n : 1) * sizeof *v);
	for (size_t k = 0; k < n; k++)
		v[k] = scale * any(t);
	return v;
}

/* n floats on the device between guards: those of `from`, or sentinels. Freed by end_case. */
static inline float *on_device(table *t, const float *from, size_t n)
{
	e3_err err = {""};
	float *host = malloc((n + 2 * GUARD) * sizeof *host), *p = NULL;
	for (size_t k = 0; k < n + 2 * GUARD; k++)
		host[k] = from && k >= GUARD && k < n + GUARD ? from[k - GUARD] : sentinel();
	assert_true(t->n_held < MAX_HELD);
	must(t, e3_dev_floats(t->dev, n + 2 * GUARD, &p, &err), &err);
	must(t, t->dev->ops->upload(t->dev, e3_tensor_f32(p), host, n + 2 * GUARD, &err), &err);
	free(host);
	t->held[t->n_held] = p, t->size[t->n_held++] = n;
	return p + GUARD;
}

static inline void end_case(table *t)
{
	while (t->n_held)
		t->dev->ops->free(t->dev, t->held[--t->n_held]);
}

/* Got, with guards, against want; NaN in `want` and the guards stand for "not written". */
static inline void compare(table *t, int kind, const float *got, const double *want, size_t n)
{
	double num = 0, den = 0;
	const float none = sentinel();
	t->cases[kind]++;
	for (size_t k = 0; k < n + 2 * GUARD; k++) {
		bool inside = k >= GUARD && k < n + GUARD && !isnan(want[k - GUARD]);
		if (!inside && memcmp(&got[k], &none, 4) != 0)
			fail_msg("%s, case %d: wrote %g at %ld of %zu", table_names[kind], t->cases[kind], got[k], (long)k - GUARD,
				n);
		if (!inside)
			continue;
		if (!isfinite(got[k]))
			fail_msg("%s, case %d: %g at %ld of %zu", table_names[kind], t->cases[kind], got[k], (long)k - GUARD, n);
		double d = got[k] - want[k - GUARD];
		num += d * d, den += want[k - GUARD] * want[k - GUARD];
		uint32_t bits;
		memcpy(&bits, &got[k], 4);
		t->hash = (t->hash ^ bits) * 0x100000001b3u;
	}
	double rel = sqrt(num / (den > 0 ? den : 1));
	t->worst[kind] = fmax(t->worst[kind], rel);
	if (!(rel <= t->bound[kind]))
		fail_msg("%s, case %d: relative L2 %.2e, bound %.2e", table_names[kind], t->cases[kind], rel, t->bound[kind]);
}

/* Everything the device did, then the buffer `p` (from on_device) against want, which is freed. */
static inline void result(table *t, int kind, const float *p, double *want, size_t n)
{
	e3_err err = {""};
	float *got = malloc((n + 2 * GUARD) * sizeof *got);
	must(t, t->dev->ops->finish(t->dev, &err), &err);
	must(t, t->dev->ops->download(t->dev, got, e3_tensor_f32(p - GUARD), n + 2 * GUARD, &err), &err);
	compare(t, kind, got, want, n);
	free(got), free(want);
}

/* n doubles: those of `from`, or NaN ("not written"). */
static inline double *expected(const float *from, size_t n)
{
	double *v = malloc((n ? n : 1) * sizeof *v);
	for (size_t k = 0; k < n; k++)
		v[k] = from ? from[k] : NAN;
	return v;
}

/* Inputs must be as they were: checked for everything still held, but the outputs, by its guards alone. */
static inline void guards_intact(table *t, int kind)
{
	const float none = sentinel();
	e3_err err = {""};
	float edge[GUARD];
	for (int k = 0; k < t->n_held; k++)
		for (int side = 0; side < 2; side++) {
			e3_tensor at = e3_tensor_f32(t->held[k] + (side ? GUARD + t->size[k] : 0));
			must(t, t->dev->ops->download(t->dev, edge, at, GUARD, &err), &err);
			for (int j = 0; j < GUARD; j++)
				if (memcmp(&edge[j], &none, 4) != 0)
					fail_msg("%s, case %d: wrote beside a buffer", table_names[kind], t->cases[kind]);
		}
}

/* A host structure and the same for the device. */
typedef struct mat_pair {
	e3_mat host, dev;
} mat_pair;

static inline mat_pair mat_make(table *t, int out, int in, int biases)
{
	size_t n = (size_t)out * (size_t)in;
	float *w = values(t, n, sqrtf(3.0f / (float)in));
	mat_pair m = {.host = {.out = out, .in = in, .w = e3_tensor_f32(w)}, .dev = {.out = out, .in = in}};
	m.host.b = biases ? values(t, (size_t)biases, 0.5f) : NULL;
	m.dev.w = e3_tensor_f32(on_device(t, w, n));
	m.dev.b = biases ? on_device(t, m.host.b, (size_t)biases) : NULL;
	return m;
}

static inline void mat_free(mat_pair *m) { free(m->host.w.p), free(m->host.b); }

typedef struct norm_pair {
	e3_norm host, dev;
} norm_pair;

static inline norm_pair norm_make(table *t, int dim, float eps, bool affine)
{
	norm_pair n = {{dim, eps, NULL, NULL}, {dim, eps, NULL, NULL}};
	if (affine) {
		n.host.w = values(t, (size_t)dim, 1.5f), n.host.b = values(t, (size_t)dim, 0.5f);
		n.dev.w = on_device(t, n.host.w, (size_t)dim), n.dev.b = on_device(t, n.host.b, (size_t)dim);
	}
	return n;
}

static inline void norm_free(norm_pair *n) { free(n->host.w), free(n->host.b); }

/* Pages of an e3_kv on both sides; unused rows hold large numbers, which a mask must keep out. */
typedef struct kv_pair {
	e3_kv host, dev;
	float *host_page[16], *dev_page[16];
	uint8_t *host_list[16], *dev_list[16]; /* the same, as e3_kv wants them */
	int pages;
} kv_pair;

static inline void kv_make(table *t, kv_pair *p, const int shape[4], float scale)
{
	int heads = shape[0], d = shape[1], page_keys = shape[2], n_keys = shape[3];
	p->pages = (n_keys + page_keys - 1) / page_keys;
	assert_true(p->pages <= 16);
	p->host = (e3_kv){p->host_list, E3_F32, page_keys, n_keys, heads, d, false, E3_PACK_NONE};
	p->dev = p->host;
	p->dev.page = p->dev_list;
	size_t floats = 2 * (size_t)heads * (size_t)d * (size_t)page_keys;
	for (int j = p->pages - 1; j >= 0; j--) { /* the first page is not the first in memory */
		p->host_page[j] = scale > 0 ? values(t, floats, scale) : NULL;
		if (!p->host_page[j]) {
			p->host_page[j] = malloc(floats * sizeof(float));
			for (size_t k = 0; k < floats; k++)
				p->host_page[j][k] = sentinel();
		}
		for (int s = 0; scale > 0 && s < page_keys; s++)
			for (int row = 0; j * page_keys + s >= n_keys && row < 2 * heads; row++)
				for (int c = 0; c < d; c++)
					p->host_page[j][((size_t)row * (size_t)page_keys + (size_t)s) * (size_t)d + (size_t)c] = 1e30f;
		p->dev_page[j] = on_device(t, p->host_page[j], floats);
		p->host_list[j] = (uint8_t *)p->host_page[j], p->dev_list[j] = (uint8_t *)p->dev_page[j];
	}
}

static inline void kv_free(kv_pair *p)
{
	for (int k = 0; k < p->pages; k++)
		free(p->host_page[k]);
}

#endif
