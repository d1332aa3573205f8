/* e3-evict-stats: the report for programs: one JSON object. Unknown figures are null. */
#include "evict-stats.h"
#include "e3/json.h"
#include <math.h>

/* An integer, null when it is not known. */
static void whole(e3_json *j, const char *key, int64_t v, bool known)
{
	if (known)
		e3_json_int(j, key, v);
	else
		e3_json_null(j, key);
}

static void real(e3_json *j, const char *key, double v) { e3_json_real(j, key, v, 9); }

static void shape(const report *x, e3_json *j)
{
	const e3_trace_shape *sh = &x->run.replay->shape;
	const e3_head *h = x->run.head;
	e3_json_text(j, "source", h->source);
	e3_json_text(j, "model", h->model);
	e3_json_text(j, "device", h->device);
	e3_json_text(j, "policy", h->policy);
	whole(j, "budget_tokens", h->budget, h->budget >= 0);
	e3_json_bool(j, "interrupted", x->interrupted);
	e3_json_int(j, "frames", x->run.replay->frames);
	e3_json_int(j, "layers", sh->layers);
	e3_json_int(j, "tokens_per_frame", sh->n);
	e3_json_int(j, "special_tokens", sh->special);
	e3_json_ints(j, "patch_grid", (int[]){sh->rows, sh->cols}, 2);
}

static void memory(const report *x, e3_json *j)
{
	int64_t kv = x->run.head->kv_token_bytes, now = (int64_t)x->run.stats->held[x->run.replay->frames - 1],
			peak = (int64_t)x->run.stats->peak_tokens, full = (int64_t)x->run.stats->full_tokens;
	e3_json_object(j, "cache");
	e3_json_int(j, "tokens_now", now);
	e3_json_int(j, "tokens_peak", peak);
	e3_json_int(j, "tokens_without_eviction", full);
	whole(j, "token_bytes", kv, kv > 0);
	if (x->run.head->kv)
		e3_json_text(j, "kv", x->run.head->kv);
	whole(j, "bytes_now", now * kv, kv > 0);
	whole(j, "bytes_peak", peak * kv, kv > 0);
	whole(j, "bytes_without_eviction", full * kv, kv > 0);
	real(j, "kept_fraction", (double)now / (double)full);
	e3_json_end(j);
}

static void layers(const report *x, e3_json *j)
{
	int64_t t = x->run.stats->last_eviction, end = x->run.replay->answer[x->run.replay->frames - 1],
			n = x->run.replay->shape.layers;
	whole(j, "last_eviction", t < 0 ? 0 : x->run.replay->step[t].i, t >= 0);
	e3_json_int(j, "tokens_removed", (int64_t)x->run.stats->removed);
	real(j, "budget_use",
		t >= 0 && x->run.head->budget > 0 ? (double)x->run.replay->step[t].after / (double)x->run.head->budget : NAN);
	real(j, "entropy", x->run.stats->entropy);
	e3_json_array(j, "per_layer");
	for (int l = 0; l < n; l++) {
		const e3_trace_cell *c = e3_trace_cell_at(x->run.replay, t < 0 ? end : t, l);
		const e3_trace_survival *v = &x->run.stats->layer[l];
		e3_json_object(j, NULL);
		e3_json_int(j, "layer", l);
		e3_json_int(j, "tokens_now", e3_trace_cell_at(x->run.replay, end, l)->after);
		real(j, "budget", c->budget);
		real(j, "budget_use", e3_trace_budget_use(c));
		real(j, "alpha", c->alpha);
		real(j, "variance", c->variance);
		whole(j, "median_life", v->median, v->median >= 0);
		real(j, "jaccard_next", l + 1 < n ? x->run.stats->agreement[l * n + l + 1] : NAN);
		e3_json_end(j);
	}
	e3_json_end(j);
}

static void lives(const report *x, e3_json *j)
{
	static const int tau[] = {0, 1, 2, 5, 10, 20, 50};
	static const char *const age[] = {"5", "25", "50", "75", "95"};
	const e3_trace_survival *v = &x->run.stats->all;
	const e3_trace_step *last = &x->run.replay->step[x->run.replay->answer[x->run.replay->frames - 1]];
	e3_json_object(j, "survival");
	for (size_t k = 0; k < sizeof tau / sizeof *tau; k++) {
		char key[16];
		snprintf(key, sizeof key, "%d", tau[k]);
		real(j, key, tau[k] < v->n && v->at_risk[tau[k]] ? v->s[tau[k]] : NAN);
	}
	e3_json_end(j);
	whole(j, "median_life", v->median, v->median >= 0);
	real(j, "stillborn", x->run.stats->born ? (double)x->run.stats->stillborn / (double)x->run.stats->born : NAN);
	e3_json_object(j, "age");
	for (size_t k = 0; k < sizeof age / sizeof *age; k++)
		e3_json_int(j, age[k], last->age[k]);
	e3_json_int(j, "max", last->age_max);
	e3_json_end(j);
	real(j, "first_frame_kept", x->run.stats->first_kept);
	real(j, "special_kept", x->run.stats->special_kept);
	e3_json_int(j, "saturated_max", (int64_t)x->run.stats->saturated);
	e3_json_int(j, "protected_evicted", (int64_t)x->run.stats->protected_evicted);
}

static void violations(const report *x, e3_json *j)
{
	const e3_trace_check *c = x->check;
	e3_json_int(j, "violations_total", (int64_t)c->total);
	e3_json_array(j, "violations");
	for (int k = 0; k < c->n; k++) {
		const e3_trace_violation *v = &c->list[k];
		e3_json_object(j, NULL);
		e3_json_int(j, "frame", v->frame);
		if (x->run.replay->segments > 1)
			e3_json_int(j, "segment", v->segment);
		whole(j, "layer", v->layer, v->layer >= 0);
		e3_json_text(j, "rule", e3_trace_rule_name(v->rule));
		e3_json_text(j, "expected", v->expected);
		e3_json_text(j, "found", v->found);
		e3_json_end(j);
	}
	e3_json_end(j);
}

/* Only of a stream that has several. */
static void segments(const report *x, e3_json *j)
{
	const e3_replay *r = x->run.replay;
	if (r->segments < 2)
		return;
	e3_json_array(j, "segments");
	for (int64_t k = 0; k < r->segments; k++) {
		const e3_trace_segment *s = &r->segment[k];
		int64_t answers = 0, removed = 0;
		for (int64_t local = 0; local < s->steps; local++) {
			const e3_trace_step *step = &r->step[s->step[local]];
			answers += r->answer[step->frame] == s->step[local], removed += step->removed;
		}
		e3_json_object(j, NULL);
		e3_json_int(j, "segment", s->number);
		e3_json_int(j, "first", r->step[s->step[0]].i);
		e3_json_int(j, "last", r->step[s->step[s->steps - 1]].i);
		e3_json_int(j, "frames", s->steps);
		e3_json_int(j, "answered", answers);
		e3_json_int(j, "tokens_removed", removed);
		e3_json_int(j, "tokens_at_end", (int64_t)r->step[s->step[s->steps - 1]].after);
		e3_json_end(j);
	}
	e3_json_end(j);
}

static void latency(const report *x, e3_json *j)
{
	const e3_trace_latency *l = x->latency;
	if (l->n == 0) {
		e3_json_null(j, "latency");
		return;
	}
	e3_json_object(j, "latency");
	e3_json_int(j, "frames", (int64_t)l->n);
	real(j, "mean", l->mean);
	real(j, "p50", l->p50);
	real(j, "p99", l->p99);
	real(j, "max", l->max);
	e3_json_end(j);
}

int report_json(const report *x, e3_buf *to, e3_err *err)
{
	e3_json j = {.to = to, .err = err};
	e3_json_object(&j, NULL);
	shape(x, &j);
	memory(x, &j);
	layers(x, &j);
	lives(x, &j);
	latency(x, &j);
	e3_json_array(&j, "importance");
	for (int64_t f = 0; f < x->run.replay->frames; f++)
		e3_json_real(&j, NULL, x->run.stats->importance[x->run.replay->answer[f]], 6);
	e3_json_end(&j);
	segments(x, &j);
	violations(x, &j);
	e3_json_end(&j);
	return j.rc ? -1 : e3_buf_add(to, "\n", 1, err);
}
