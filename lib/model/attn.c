/* model: the attention of a layer as users get it: which layers, keys by token id, mass, mass by frame, and on request
 * the attention map. */
#include "e3/mem.h"
#include "session.h"
#include <stdlib.h>

typedef struct key_at {
	uint32_t id, slot;
} key_at;

static int by_id(const void *a, const void *b)
{
	const key_at *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int fill(e3_attn *a, const key_at *order, const e3_session *s, const float *mass, const float *attn_map,
	e3_err *err)
{
	uint32_t n = a->n_keys, tokens = (uint32_t)s->plan.tokens_per_frame;
	a->key = e3_alloc(n, sizeof *a->key, "attention record", err);
	a->mass = e3_alloc(n, sizeof *a->mass, "attention record", err);
	a->frame_mass = e3_alloc(a->n_frames, sizeof *a->frame_mass, "attention record", err);
	if (attn_map)
		a->map = e3_alloc((size_t)tokens * n, sizeof *a->map, "attention map", err);
	if (!a->key || !a->mass || !a->frame_mass || (attn_map && !a->map))
		return -1;
	for (uint32_t k = 0; k < n; k++) {
		a->key[k] = order[k].id;
		a->mass[k] = mass[order[k].slot];
		a->frame_mass[order[k].id / tokens] += a->mass[k] / (float)tokens;
	}
	if (attn_map) {
		a->map_rows = tokens, a->map_cols = n;
		for (size_t q = 0; q < tokens; q++)
			for (size_t k = 0; k < n; k++)
				a->map[q * n + k] = attn_map[q * n + order[k].slot];
	}
	return 0;
}

static int report(e3_session *s, int frame, int n, int layer, e3_err *err)
{
	size_t at = (size_t)frame * (size_t)s->net->c.layers + (size_t)layer;
	const e3_layer_cache *l = &s->past->cache.layer[layer];
	if (s->n_attn == s->cap_attn) {
		if (e3_grow((void **)&s->attn, (size_t)s->cap_attn + 8, sizeof *s->attn, "attention records", err))
			return -1;
		for (int k = s->cap_attn; k < s->cap_attn + 8; k++)
			s->attn[k] = (e3_attn){0};
		s->cap_attn += 8;
	}
	e3_attn *a = &s->attn[s->n_attn++];
	e3_attn_release(a);
	*a = (e3_attn){.i = s->past->t + frame, .layer = layer, .n_keys = l->n, .n_frames = (uint32_t)(s->past->t + n)};
	key_at *order = e3_alloc(l->n, sizeof *order, "attention record", err);
	if (!order)
		return -1;
	for (uint32_t k = 0; k < l->n; k++)
		order[k] = (key_at){l->id[k], k};
	qsort(order, l->n, sizeof *order, by_id);
	int rc = fill(a, order, s, s->mass.host_layer[at], s->o.attn_map ? s->mass.attn_map[at].host : NULL, err);
	free(order);
	return rc;
}

int e3_attn_collect(e3_session *s, int n, e3_err *err)
{
	s->n_attn = 0;
	for (int k = 0; k < n; k++)
		for (int l = 0; l < s->past->cache.layers; l++)
			if (e3_session_reports(s, l) && report(s, k, n, l, err))
				return -1;
	return 0;
}

bool e3_session_reports(const e3_session *s, int layer)
{
	return s->o.attn && s->o.attn[layer] && s->past == &s->pasts[s->main];
}

int e3_session_attn(e3_session *s, int k, e3_attn *attn, e3_err *err)
{
	if (k >= s->n_attn)
		return 0;
	e3_attn_release(attn);
	*attn = s->attn[k];
	s->attn[k] = (e3_attn){0};
	return 1;
}
