/* trace: the rules of doc/formats.md 7.4, checked on every record against the cache before it.
 *
 * What is protected is frame 0 (unless the run was told otherwise) and the special tokens of some of the newest frames.
 * By default eviction never removes a protected token, and a layer keeps at least its protected tokens. With
 * `e3-infer --compat evict3r` it removes protected tokens where the layer's share is smaller. The stream does not say
 * which of both made it, so both token counts are accepted, and a protected token may be removed only where no other
 * token with a finite score is kept. A record without eviction (of the first frame, and of the last one of a stream of
 * known length) has its own token count as its budget.
 */
#include "e3/trace.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void e3_trace_check_init(e3_trace_check *c, const e3_head *head)
{
	*c = (e3_trace_check){0};
	c->budgeted = head->budget >= 0 && !(head->policy && strcmp(head->policy, "none") == 0);
}

const char *e3_trace_rule_name(e3_trace_rule rule)
{
	static const char *const names[E3_RULES] = {[E3_RULE_ALIVE] = "alive",
		[E3_RULE_UNIQUE] = "unique",
		[E3_RULE_COUNT] = "count",
		[E3_RULE_BUDGET] = "budget",
		[E3_RULE_PROTECTED] = "protected",
		[E3_RULE_ALPHA] = "alpha",
		[E3_RULE_ORDER] = "order"};
	return names[rule];
}

/* Where a violation was found. */
typedef struct place {
	e3_trace_check *c;
	const e3_trace_segment *in;
	int64_t frame, segment;
	int layer;
	bool passing; /* the record is of a frame that is not kept */
} place;

E3_PRINTF(4, 5) static void violated(const place *at, e3_trace_rule rule, const char *expected, const char *found, ...)
{
	e3_trace_check *c = at->c;
	e3_trace_violation v = {.frame = at->frame, .segment = at->segment, .layer = at->layer, .rule = rule};
	va_list args;
	va_start(args, found);
	vsnprintf(v.found, sizeof v.found, found, args);
	va_end(args);
	snprintf(v.expected, sizeof v.expected, "%s", expected);
	if (rule <= E3_RULE_COUNT && !c->is_broken)
		c->broken = v, c->is_broken = true;
	if (c->n < E3_TRACE_VIOLATIONS)
		c->list[c->n++] = v;
	c->total++;
}

static const char *number(char to[80], const char *fmt, uint64_t v)
{
	snprintf(to, 80, fmt, v);
	return to;
}

/* Every id occurs once and is alive. Returns how many protected tokens are removed. */
static uint32_t check_ids(const place *at, const e3_replay *r, const e3_evict_layer *x, int64_t protected_frames,
	bool first)
{
	uint32_t n = (uint32_t)r->shape.n, protected = 0, own = 0;
	int64_t t = at->in->steps;
	bool said_unique = false, said_alive = false;
	char text[80];
	for (size_t k = 0; k < x->n_removed; k++) {
		uint32_t id = x->removed[k], index = id % n;
		int64_t f = id / n;
		int32_t life = f < t ? e3_replay_life(r, x->layer, at->in->step[f], (int)index) : -1;
		if (k && id <= x->removed[k - 1]) {
			if (!said_unique)
				violated(at, E3_RULE_UNIQUE, number(text, "ids above %" PRIu64, x->removed[k - 1]), "%" PRIu32, id);
			said_unique = true;
		} else if (f > t) {
			if (!said_alive)
				violated(at, E3_RULE_ALIVE, number(text, "ids below %" PRIu64, (uint64_t)(t + 1) * n), "%" PRIu32, id);
			said_alive = true;
		} else if (life >= 0) {
			if (!said_alive)
				violated(at, E3_RULE_ALIVE, "a token in the cache", "%" PRIu32 ", which was evicted at step %" PRId64,
					id, f + life);
			said_alive = true;
		} else if (f == t && at->passing) {
			own++;
		} else {
			protected += (f == 0 && first) || (index < (uint32_t)r->shape.special && f + protected_frames > t);
		}
	}
	if (at->passing && own != n)
		violated(at, E3_RULE_COUNT, number(text, "all %" PRIu64 " tokens of a frame that is not kept removed", n),
			"%" PRIu32, own);
	return protected;
}

/* K_after = min(K_before, max(ceil(budget), protected)), or without `protected` where protected tokens were evicted.
 * e3-infer computes the budget in f32: next to a whole number its ceiling may be either of two. */
static void check_budget(const place *at, const e3_replay *r, const e3_evict_layer *x)
{
	uint32_t protected = x->prot;
	if (!isfinite(x->budget) || x->budget < 0)
		return;
	double slack = 0x1p-22 * (x->budget + (double)r->shape.n * (double)(at->in->steps + 1));
	double before = x->k_before, lo = fmin(before, ceil(x->budget - slack)), hi = fmin(before, ceil(x->budget + slack));
	double floor_lo = fmin(before, fmax(lo, protected)), floor_hi = fmin(before, fmax(hi, protected)),
		   after = x->k_after;
	if ((after >= lo && after <= hi) || (after >= floor_lo && after <= floor_hi))
		return;
	char text[80];
	double share = fmin(before, ceil(x->budget));
	if (protected > share)
		snprintf(text, sizeof text, "%.0f kept (or %.0f, the budget of %.2f)", fmin(before, protected), share,
			x->budget);
	else
		snprintf(text, sizeof text, "%.0f kept (budget %.2f of %.0f)", share, x->budget, before);
	violated(at, E3_RULE_BUDGET, text, "%" PRIu32, x->k_after);
}

static void check_layer(const place *at, const e3_replay *r, const e3_evict *rec)
{
	const e3_evict_layer *x = &rec->layer[at->layer];
	uint32_t n = (uint32_t)r->shape.n, alive = at->in->alive[x->layer] + n;
	char text[80];
	if (x->k_before != alive)
		violated(at, E3_RULE_COUNT, number(text, "%" PRIu64 " tokens before", alive), "%" PRIu32, x->k_before);
	if (x->k_after != x->k_before - x->n_removed)
		violated(at, E3_RULE_COUNT, number(text, "%" PRIu64 " tokens after", x->k_before - x->n_removed), "%" PRIu32,
			x->k_after);
	bool first;
	int64_t frames = e3_replay_protected_frames(r, at->in, rec, at->layer, &first);
	if (frames < 0 && x->n_removed)
		violated(at, E3_RULE_PROTECTED,
			number(text, "frame 0 and the special tokens of whole frames protected, at most %" PRIu64,
				at->in->of_first[x->layer] + at->in->specials[x->layer] + (uint64_t)r->shape.special),
			"%" PRIu32, x->prot);
	uint32_t gone = check_ids(at, r, x, frames < 0 ? at->in->steps + 1 : frames, first || frames < 0);
	int64_t others_left = (int64_t)alive - x->prot - ((int64_t)x->n_removed - gone);
	bool finite_stays = isfinite(x->min_kept) || (x->saturated == 0 && others_left > 0);
	if (gone && finite_stays)
		violated(at, E3_RULE_PROTECTED, "special tokens and frame 0 kept while others could be evicted",
			"%" PRIu32 " of them removed", gone);
	if (at->c->budgeted && at->in->steps > 0)
		check_budget(at, r, x);
	if (x->saturated == 0 && x->max_evicted > x->min_kept) /* false when either is NaN */
		violated(at, E3_RULE_ORDER, "no evicted score above a kept one", "%.6g evicted, %.6g kept", x->max_evicted,
			x->min_kept);
}

static int belongs(const e3_replay *r, const e3_evict *rec, e3_err *err)
{
	if (rec->n_layers != r->shape.layers)
		return e3_fail(err, "frame %" PRId64 ": eviction record of %d layer%s, the head says %d", rec->i, rec->n_layers,
			rec->n_layers == 1 ? "" : "s", r->shape.layers);
	for (int l = 0; l < rec->n_layers; l++)
		if (rec->layer[l].layer != l)
			return e3_fail(err, "frame %" PRId64 ": layer %d where layer %d was expected", rec->i, rec->layer[l].layer,
				l);
	if (e3_replay_segment(r, rec->segment))
		return 0;
	for (int64_t k = r->segments - 1; k >= 0; k--)
		if (r->segment[k].number >= rec->segment)
			return e3_fail(err,
				"frame %" PRId64 ": a record of segment %" PRId64 ", which ended before: segment %" PRId64
				" had answered",
				rec->i, rec->segment, r->segment[r->segments - 1].number);
	if (rec->segment && rec->i != rec->first)
		return e3_fail(err,
			"the beginning of segment %" PRId64 " is missing: its first frame is %" PRId64 ", its first record that of "
			"frame %" PRId64 "; give the whole stream of e3-infer",
			rec->segment, rec->first, rec->i);
	if (rec->n_layers && rec->layer[0].k_before > (uint32_t)r->shape.n)
		return e3_fail(err,
			"the beginning of the stream is missing: at frame %" PRId64 " the cache already holds %" PRIu32
			" tokens of a layer, one frame has %d; give the whole stream of e3-infer",
			rec->i, rec->layer[0].k_before, r->shape.n);
	return 0;
}

int e3_trace_check_step(e3_trace_check *c, const e3_replay *before, const e3_evict *rec, e3_err *err)
{
	uint32_t none[E3_TRACE_MAX_LAYERS] = {0};
	const e3_trace_segment empty = {.alive = none, .of_first = none, .specials = none};
	if (belongs(before, rec, err))
		return -1;
	const e3_trace_segment *in = e3_replay_segment(before, rec->segment);
	place at = {c, in ? in : &empty, rec->i, rec->segment, -1, rec->passing};
	double alpha = 0;
	size_t removed = 0;
	for (int l = 0; l < rec->n_layers; l++) {
		at.layer = l;
		check_layer(&at, before, rec);
		alpha += rec->layer[l].alpha, removed += rec->layer[l].n_removed;
	}
	at.layer = -1;
	if (removed && !(fabs(alpha - 1) <= 1e-5))
		violated(&at, E3_RULE_ALPHA, "shares that sum to 1", "%.7g", alpha);
	c->steps++;
	return 0;
}

const e3_trace_violation *e3_trace_check_broken(const e3_trace_check *c) { return c->is_broken ? &c->broken : NULL; }

void e3_trace_violation_text(const e3_trace_violation *v, char *to, size_t size)
{
	char segment[40] = "", layer[24] = "all layers";
	if (v->segment)
		snprintf(segment, sizeof segment, ", segment %" PRId64, v->segment);
	if (v->layer >= 0)
		snprintf(layer, sizeof layer, "layer %d", v->layer);
	snprintf(to, size, "frame %" PRId64 "%s, %s: %s: expected %s, found %s", v->frame, segment, layer,
		e3_trace_rule_name(v->rule), v->expected, v->found);
}
