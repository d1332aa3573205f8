/* model: one step of eviction: from the masses of a frame to slots that are free (doc/network.md 9.2, doc/design.md 4).
 *
 * Three parts, so that a device can work on something else between them: `begin` has the frame's scores added, `decide`
 * shares the budget out and has the leaving tokens chosen, `apply` frees their slots. Between begin and decide the
 * device must be waited for (mark and wait, or finish), and again between decide and apply (finish).
 */
#ifndef E3_MODEL_EVICT_H
#define E3_MODEL_EVICT_H

#include "cache.h"
#include "e3/infer.h"
#include "policy.h"

typedef struct e3_evictor {
	const e3_policy *policy; /* NULL: nothing is evicted */
	double temperature;
	int compat;
	bool fill;      /* absolute budget: what one layer cannot use goes to the others */
	int64_t frames; /* of the stream when the budget is a fraction of it, else -1: the last frame does not evict */

	/* One for each layer. */
	e3_dev *dev;
	int layers;
	e3_kv *view;
	e3_layer_stat *stat; /* alloc_host */
	e3_choice *choice;   /* alloc_host */
	e3_chosen *chosen;
	uint32_t
		*room; /* alloc_host: slots, then ids, of those that leave: room_keys each, as many as the cache can hold */
	size_t room_keys;
} e3_evictor;

/* Memory for all steps, in the branch of the device where choosing will be done; the policy and the rest stay as they
 * were set. If the cache has grown since, begin calls it again. */
int e3_evictor_open(e3_evictor *e, const e3_cache *cache, e3_err *err);

/* Whether frame t (counted from 0) ends in a decision, and whether that decision needs the masses. */
bool e3_evictor_decides(const e3_evictor *e, int64_t t);
bool e3_evictor_needs_mass(const e3_evictor *e, int64_t t);

/* After the aggregator of frame t: mass[l] on the device, in slot order (not looked at when not needed). */
int e3_evictor_begin(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, float *const *mass,
	e3_err *err);
/* Fills *record with all but who leaves. */
int e3_evictor_decide(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, e3_evict *record,
	e3_err *err);
int e3_evictor_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err);
/* The three in a row. */
int e3_evictor_step(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, float *const *mass,
	e3_evict *record, e3_err *err);
void e3_evictor_release(e3_evictor *e);

#endif
