/* model: a fingerprint of the network: a hash of part of its weights, so that a saved session is resumed with its own.
 * Owns which values are read: all of a small tensor, four runs of a large one. Weights that training changed differ
 * there too, and it takes milliseconds. */
#include "e3/num.h"
#include "net.h"
#include <string.h>

enum { RUN = 64, RUNS = 4 };

typedef struct print {
	const e3_ckpt *ckpt;
	uint64_t hash;
	e3_err *err;
} print;

static void mix(print *p, const void *bytes, size_t n)
{
	p->hash = e3_fnv1a64((uint64_t[]){p->hash, e3_fnv1a64(bytes, n)}, 2 * sizeof p->hash);
}

/* The name and the licence say nothing about the numbers. */
static int mix_meta(void *ctx, const char *key, const char *value)
{
	if (strcmp(key, "e3.name") != 0 && strcmp(key, "e3.license") != 0)
		mix(ctx, key, strlen(key)), mix(ctx, value, strlen(value));
	return 0;
}

static int mix_tensor(void *ctx, const char *name, int rank, const int64_t *shape)
{
	print *p = ctx;
	float v[RUN * RUNS];
	const e3_tensor_info *t = e3_ckpt_find(p->ckpt, name); /* it exists: the configuration was checked */
	bool small = t->count <= RUN * RUNS;
	int runs = small ? 1 : RUNS;
	size_t n = small ? t->count : RUN;
	mix(p, name, strlen(name)), mix(p, shape, (size_t)rank * sizeof *shape);
	for (int k = 0; k < runs; k++)
		if (e3_ckpt_read_f32(p->ckpt, t, small ? 0 : (t->count - RUN) / (RUNS - 1) * (size_t)k, n, v + k * RUN, p->err))
			return -1;
	mix(p, v, (size_t)runs * n * sizeof *v);
	return 0;
}

int e3_fingerprint(const e3_ckpt *ckpt, const e3_config *c, uint64_t *out, e3_err *err)
{
	print p = {.ckpt = ckpt, .err = err};
	if (e3_config_each_meta(c, mix_meta, &p) || e3_config_each(c, mix_tensor, &p))
		return e3_fail_in(err, "fingerprint of the model");
	*out = p.hash;
	return 0;
}
