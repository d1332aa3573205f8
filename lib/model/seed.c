/* model: weights that are a function of seed, name and index (doc/design.md 6), so that golden files need no weight
 * file. Owns the generator; the values are computed when they are read. */
#include "ckpt.h"
#include "e3/config.h"
#include "e3/num.h"
#include <math.h>
#include <string.h>

/* The product and the sum below round separately: a fused multiply-add would give other bits. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15u;

static void generate(const e3_ckpt_tensor *t, size_t first, size_t n, float *to)
{
	uint64_t z0 = t->hash + (first + 1) * GOLDEN;
	double base = t->base, scale = t->scale;
	for (size_t k = 0; k < n; k++, z0 += GOLDEN) {
		uint64_t z = (z0 ^ z0 >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		double u = (double)(int32_t)(z >> 40) * 0x1p-24;
		double part = scale * (2 * u - 1);
		to[k] = (float)(base + part);
	}
}

static bool ends(const char *name, const char *tail)
{
	size_t n = strlen(name), m = strlen(tail);
	return n >= m && strcmp(name + n - m, tail) == 0;
}

static void value_range(const char *name, int rank, const int64_t *shape, double *base, double *scale)
{
	*base = 0, *scale = 0.5;
	if (ends(name, ".gamma")) {
		*base = 0.2, *scale = 0.1;
	} else if (ends(name, "q_norm.weight") || ends(name, "k_norm.weight")) {
		*base = 1.5, *scale = 0.5;
	} else if (ends(name, ".weight") && rank == 1) {
		*base = 1, *scale = 0.2;
	} else if (ends(name, ".bias")) {
		*scale = 0.05;
	} else if (ends(name, ".weight")) {
		double fan = 1;
		bool transposed = ends(name, "resize_layers.0.weight") || ends(name, "resize_layers.1.weight");
		for (int k = 1; k < rank; k++)
			fan *= (double)shape[k];
		*scale = sqrt(3 / (transposed ? (double)shape[0] : fan));
	}
}

typedef struct adding {
	e3_ckpt *c;
	uint64_t seed;
	e3_err *err;
} adding;

static int add(void *ctx, const char *name, int rank, const int64_t *shape)
{
	adding *a = ctx;
	size_t len = strlen(name);
	e3_ckpt_tensor t = {.info = {.dtype = E3_F32, .rank = rank},
		.generate = generate,
		.hash = e3_fnv1a64(name, len) + a->seed * GOLDEN};
	memcpy(t.info.shape, shape, (size_t)rank * sizeof *shape);
	e3_shape_strides(rank, shape, t.info.stride);
	value_range(name, rank, shape, &t.base, &t.scale);
	return e3_ckpt_add(a->c, name, len, t, a->err);
}

static int add_meta(void *ctx, const char *key, const char *value)
{
	adding *a = ctx;
	return e3_ckpt_add_meta(a->c, key, strcmp(key, "e3.name") == 0 ? a->c->path : value, a->err);
}

int e3_seed_parse(e3_ckpt *c, const char *spec, e3_err *err)
{
	char name[32], names[128];
	const char *colon = strchr(spec, ':');
	size_t len = colon ? (size_t)(colon - spec) : 0;
	e3_config config;
	int64_t seed;
	c->format = "seeded";
	if (len == 0 || len >= sizeof name)
		return e3_fail(err, "expected seed:CONFIG:N, CONFIG %s", e3_config_builtins(names, sizeof names));
	memcpy(name, spec, len);
	name[len] = 0;
	if (e3_config_builtin(name, &config, err) || e3_parse_i64(colon + 1, 0, INT64_MAX, &seed, err))
		return e3_fail_in(err, "expected seed:CONFIG:N");
	adding a = {c, (uint64_t)seed, err};
	return e3_config_each(&config, add, &a) || e3_config_each_meta(&config, add_meta, &a) ? -1 : 0;
}
