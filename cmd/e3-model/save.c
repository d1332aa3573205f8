/* e3-model: convert and seed. Owns the metadata of the new file: --meta, else that of the old file, else what follows
 * from the configuration. */
#include "model.h"
#include "e3/config.h"
#include "e3/tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* key, value; the values live in the checkpoint, the options or `text`. */
typedef struct pairs {
	const char *(*pair)[2];
	size_t n;
} pairs;

static void set_pair(pairs *p, const char *key, const char *value)
{
	size_t k = 0;
	while (k < p->n && strcmp(p->pair[k][0], key) != 0)
		k++;
	p->pair[k][0] = key, p->pair[k][1] = value;
	p->n += k == p->n;
}

/* The values of the configuration, for keys that the checkpoint lacks. */
typedef struct defaults {
	const e3_ckpt *ckpt;
	pairs *to;
	char text[16][2][160];
	int n;
} defaults;

static int add_default(void *ctx, const char *key, const char *value)
{
	defaults *d = ctx;
	if (e3_ckpt_meta(d->ckpt, key))
		return 0;
	snprintf(d->text[d->n][0], sizeof d->text[0][0], "%s", key);
	snprintf(d->text[d->n][1], sizeof d->text[0][1], "%s", value);
	set_pair(d->to, d->text[d->n][0], d->text[d->n][1]);
	return ++d->n == 16;
}

static void drop_empty(pairs *p)
{
	size_t n = 0;
	for (size_t k = 0; k < p->n; k++)
		if (p->pair[k][1][0]) {
			p->pair[n][0] = p->pair[k][0], p->pair[n][1] = p->pair[k][1];
			n++;
		}
	p->n = n;
}

static int tick(void *ctx, uint64_t done, uint64_t total)
{
	e3_progress("%s: %llu of %llu MB", (const char *)ctx, (unsigned long long)(done / 1000000),
		(unsigned long long)(total / 1000000));
	return e3_stop_signal();
}

int em_save(const e3_ckpt *ckpt, const em_options *o, e3_err *err)
{
	static const e3_dtype types[] = {E3_F32, E3_F16, E3_BF16};
	size_t had = 0;
	const char *key, *value;
	e3_config config;
	while (e3_ckpt_meta_at(ckpt, had, &value))
		had++;
	pairs p = {e3_alloc(had + 16 + EM_MAX_META, sizeof *p.pair, "metadata", err), 0};
	if (!p.pair)
		return -1;
	for (size_t k = 0; (key = e3_ckpt_meta_at(ckpt, k, &value)); k++)
		set_pair(&p, key, value);
	defaults d = {.ckpt = ckpt, .to = &p};
	if (e3_config_read(ckpt, &config, NULL, NULL) == 0)
		e3_config_each_meta(&config, add_default, &d);
	for (int k = 0; k < o->n_meta; k++)
		set_pair(&p, o->meta[k].key, o->meta[k].value);
	drop_empty(&p);
	e3_ckpt_saving how = {
		.dtype = o->dtype < 0 ? -1 : (int)types[o->dtype],
		.drop_track = o->drop_track,
		.meta = (const char *const(*)[2])p.pair,
		.n_meta = p.n,
		.tick = tick,
		.ctx = (void *)(uintptr_t)o->output,
	};
	int rc = e3_ckpt_save(ckpt, o->output, &how, err);
	free(p.pair);
	return rc;
}
