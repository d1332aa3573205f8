/* A cache whose eviction is driven by hand: masses are given, the cache holds no keys worth anything. */
#ifndef EVICT_HAND_H
#define EVICT_HAND_H

#include "check.h"
#include "model/evict.h"
#include "e3/mem.h"
#include "e3/num.h"

enum { MAX_LAYERS = 4, MAX_KEYS = 4096 };

typedef struct hand {
	e3_dev *dev;
	e3_cache cache;
	e3_plan plan;
	e3_evictor e;
	e3_evict record;
	float *mass[MAX_LAYERS];
	int64_t t;
} hand;

static inline void open_hand(hand *h, int layers, int tokens, int special)
{
	e3_err err = {""};
	*h = (hand){.plan = {.tokens_per_frame = tokens,
					.special = special,
					.layers = layers,
					.protected_frames = 1,
					.budget = INFINITY},
		.e = {.policy = e3_policy_find("evict3r"), .temperature = 0.5, .frames = -1}};
	h->dev = e3_dev_cpu(1, &err);
	assert_non_null(h->dev);
	assert_int_equal(e3_cache_open(&h->cache, h->dev, (const int[]){layers, 1, 4, 64, E3_PACK_NONE}, 0, &err), 0);
	for (int l = 0; l < layers; l++)
		h->mass[l] = malloc(MAX_KEYS * sizeof *h->mass[l]);
}

static inline void close_hand(hand *h)
{
	e3_cache_release(&h->cache);
	e3_evictor_release(&h->e);
	e3_evict_release(&h->record);
	e3_dev_close(h->dev);
	for (int l = 0; l < MAX_LAYERS; l++)
		free(h->mass[l]);
}

/* The three parts of frame t. */
static inline int evict(hand *h, int64_t t, e3_err *err)
{
	const e3_dev_ops *ops = h->dev->ops;
	return e3_evictor_begin(&h->e, &h->plan, &h->cache, t, h->mass, err) || ops->finish(h->dev, err) ||
			e3_evictor_decide(&h->e, &h->plan, &h->cache, t, &h->record, err) || ops->finish(h->dev, err) ||
			e3_evictor_apply(&h->e, &h->plan, &h->cache, t, &h->record, err) ||
			e3_evictor_tell(&h->e, t, &h->record, err)
		? -1
		: 0;
}

static inline void append(hand *h, int layer, uint32_t first, int n)
{
	e3_err err = {""};
	uint32_t slot[MAX_KEYS];
	assert_int_equal(e3_cache_append(&h->cache, layer, first, n, slot, &err), 0);
	e3_kv view = e3_cache_view(&h->cache, layer);
	assert_int_equal(h->dev->ops->enter(h->dev, &(e3_entered){&view, slot, n, first, h->e.free_first}, 1, &err), 0);
}

/* The next frame: appended, its masses from fn(layer, id, frame) or all alike, eviction decided. */
static inline void next_frame(hand *h, float (*fn)(const hand *h, int layer, uint32_t id))
{
	e3_err err = {""};
	uint32_t n = (uint32_t)h->plan.tokens_per_frame;
	for (int l = 0; l < h->plan.layers; l++) {
		append(h, l, (uint32_t)h->t * n, (int)n);
		const e3_layer_cache *c = &h->cache.layer[l];
		assert_true(c->n <= MAX_KEYS);
		for (uint32_t k = 0; k < c->n; k++)
			h->mass[l][k] = fn ? fn(h, l, c->id[k]) : (float)n / (float)c->n;
	}
	if (evict(h, h->t, &err))
		fail_msg("%s", err.text);
	assert_int_equal(h->record.i, h->t);
	assert_int_equal(h->record.n_layers, h->plan.layers);
	h->t++;
}

static inline bool held(const hand *h, int layer, uint32_t id)
{
	for (uint32_t k = 0; k < h->cache.layer[layer].n; k++)
		if (h->cache.layer[layer].id[k] == id)
			return true;
	return false;
}

static inline void left(const hand *h, int layer, const char *ids)
{
	char got[256] = "";
	const e3_evict_layer *r = &h->record.layer[layer];
	for (size_t k = 0; k < r->n_removed; k++) {
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u", k ? " " : "", r->removed[k]);
		assert_false(held(h, layer, r->removed[k]));
	}
	assert_string_equal(got, ids);
	assert_int_equal(r->k_after, r->k_before - r->n_removed);
	assert_int_equal(r->k_after, e3_cache_count(&h->cache, layer));
}

#endif
