/* model: one step of eviction: from the masses of a frame to slots that are free (spec/model.md 9.2, DESIGN 4). */
#ifndef E3_MODEL_EVICT_H
#define E3_MODEL_EVICT_H

#include "cache.h"
#include "e3/infer.h"
#include "policy.h"

typedef struct e3_evictor {
	e3_policy policy;
	double temperature;
	int compat;
	bool fill;       /* absolute budget: what one layer cannot use goes to the others */
	int64_t frames;  /* of the stream when the budget is a fraction of it, else -1: the last frame does not evict */
	e3_candidate *candidate;
	uint32_t *slot;
	size_t cap;
} e3_evictor;

/* Whether frame t (counted from 0) ends in a decision, and whether that decision needs the masses. */
bool e3_evictor_decides(const e3_evictor *e, int64_t t);
bool e3_evictor_needs_mass(const e3_evictor *e, int64_t t);

/* After the aggregator of frame t: mass[l] in slot order (NULL when not needed). Fills *record in every case. */
int e3_evictor_step(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, float *const *mass, e3_evict *record, e3_err *err);
void e3_evictor_release(e3_evictor *e);

#endif
