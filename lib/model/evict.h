/* model: one step of eviction: from the masses of a frame to slots that are free (doc/network.md 9.2, doc/design.md 4).
 *
 * In three parts, so that the device can do other work in between: `begin` starts adding up the scores of the frame,
 * `decide` shares out the budget and starts choosing the tokens to evict, `apply` frees their slots. The caller waits
 * for the device between begin and decide (mark and wait, or finish) and between decide and apply (finish).
 */
#ifndef E3_MODEL_EVICT_H
#define E3_MODEL_EVICT_H

#include "bank.h"
#include "cache.h"
#include "e3/infer.h"
#include "policy.h"

typedef struct e3_evictor {
	const e3_policy *policy; /* NULL: nothing is evicted */
	double temperature;
	int compat;
	bool fill;       /* absolute budget: other layers use what one layer cannot use */
	bool free_first; /* the tokens of frame 0 are not protected */
	uint32_t seed;   /* of random numbers */
	int64_t frames;  /* of a past, if the budget is a fraction of them, else -1; the last one does not evict */

	/* One for each layer. */
	e3_dev *dev;
	int layers;
	e3_kv *view;
	e3_layer_stat *stat;     /* alloc_host */
	e3_evict_choice *choice; /* alloc_host */
	double *novel;           /* alloc_host: mean novelty */
	const float *shift;      /* device [layers][tokens] of the current frame, or NULL */
	e3_chosen *chosen;
	uint32_t
		*room; /* alloc_host: slots, then ids, of the evicted tokens: room_keys each, for all that the cache holds */
	size_t room_keys;

	/* Of a policy that slides (slide.c). The caller sets the numbers before each step. */
	int64_t kept;       /* key frames, with the current one */
	int64_t start;      /* of them the first ones stay whole */
	bool soon;          /* the next frame will be a key frame */
	int64_t *in_window; /* [n_window] the key frames after the start that are whole, ascending */
	int n_window, window;
	uint32_t *slide_slot; /* [patches of a frame] */

	/* Of a policy that evicts whole frames (whole.c); also in a frozen session, where `policy` is NULL. */
	const e3_whole *whole;   /* or NULL */
	const float *seen;       /* what describes the current frame (by layer: in each), there when decide is called */
	const uint32_t *slot;    /* [layers][tokens] of the current frame */
	float *mean, *mean_host; /* [layers][dim] of the keys of the current frame, if the policy works by layer */
	e3_bank *bank;           /* [banks] what is cached: one for all layers, or one for each */
	int banks;
	bool *keep;           /* [banks][2 * room of a bank] as e3_bank_choose leaves them */
	int *gone, n_gone;    /* one bank: where the frames stood that went in the last step, the newest first */
	uint32_t *whole_slot; /* [room of a bank × tokens per frame] */
} e3_evictor;

/* Allocates the memory for all steps, in the branch of the device that will choose; the settings above stay as they
 * are. begin calls it again if the cache has grown. */
int e3_evictor_open(e3_evictor *e, const e3_cache *cache, e3_err *err);

/* For a policy that evicts whole frames, after the settings above (`whole` among them): instead of e3_evictor_open.
 * dim: numbers that describe a frame. */
int e3_whole_open(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int dim, e3_err *err);
/* Forgets all frames, when the cache does. */
void e3_evictor_reset(e3_evictor *e);

/* Rows of patches that are one group for the device's `match` (9.8). */
enum { E3_MATCH_POOL = 16 };

/* Whether frame t (counted from 0) ends in a decision, and whether that decision needs the masses. */
bool e3_evictor_decides(const e3_evictor *e, int64_t t);
bool e3_evictor_needs_mass(const e3_evictor *e, int64_t t);
/* Whether it needs the device's `match` in every layer, or how far each layer's second half moved each token. */
bool e3_evictor_needs_match(const e3_evictor *e, int64_t t);
bool e3_evictor_needs_shift(const e3_evictor *e, int64_t t);

/* After the aggregator of frame t: mass[l] on the device, in slot order (ignored if the policy does not need it). */
int e3_evictor_begin(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, float *const *mass,
	e3_err *err);
/* Instead of begin, decide and apply, for a frame t of those that start together and of which nothing is evicted: the
 * record says what it would if t were the newest so far. The device has been waited for; `slot` and `seen` are of that
 * frame. Between both calls the device is waited for again. */
int e3_evictor_see(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err);
int e3_evictor_seen(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, e3_evict *record,
	e3_err *err);
/* Fills *record, except for the evicted tokens. */
int e3_evictor_decide(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, int64_t t, e3_evict *record,
	e3_err *err);
int e3_evictor_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err);
/* Fills the rest of the record of frame t, once it is applied and before the next frame is decided. Apart, since the
 * next frame waits for the free slots, and nobody for the record. */
int e3_evictor_tell(const e3_evictor *e, int64_t t, e3_evict *record, e3_err *err);
/* Instead of decide and apply, for a frame that is not kept: its tokens go again, and with them what a policy that
 * slides evicts for the next one. */
int e3_evictor_pass(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err);
void e3_evictor_release(e3_evictor *e);

/* The record of frame t before anything is evicted. */
int e3_evictor_record(e3_evict *record, const e3_cache *cache, int64_t t, e3_err *err);
/* Room for n removed tokens. */
int e3_evictor_removed(e3_evict_layer *r, size_t n, e3_err *err);

/* ---- slide.c: a policy that slides ---- */
int e3_slide_open(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err);
/* After a cache was read: which frames are in the window. */
void e3_slide_find(e3_evictor *e, const e3_plan *plan, const e3_cache *cache);
/* The frame is a key frame; before apply. */
void e3_slide_keep(e3_evictor *e, int64_t t);
/* Frees what the window has no room for any more, and adds it to the record. */
int e3_slide_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, e3_evict *record, e3_err *err);
/* What the record of a frame says besides. */
void e3_slide_record(const e3_evictor *e, const e3_plan *plan, e3_evict *record);
void e3_slide_release(e3_evictor *e);

/* ---- whole.c: what the three parts do for a policy that evicts whole frames ---- */
int e3_whole_begin(e3_evictor *e, const e3_plan *plan, const e3_cache *cache, e3_err *err);
void e3_whole_decide(e3_evictor *e, const e3_plan *plan, int64_t t, e3_evict *record);
int e3_whole_apply(e3_evictor *e, const e3_plan *plan, e3_cache *cache, int64_t t, e3_evict *record, e3_err *err);
void e3_whole_release(e3_evictor *e);

#endif
