/* e3-evict-stats: the report for programs: one JSON object. Unknown figures are null. */
#include "evict-stats.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static int text(e3_buf *to, const char *key, const char *v, e3_err *err)
{
	return e3_buf_printf(to, err, "\"%s\":", key) || (v ? e3_buf_json(to, v, err) : e3_buf_add(to, "null", 4, err)) ||
		e3_buf_add(to, ",", 1, err);
}

static int real(e3_buf *to, const char *key, double v, e3_err *err)
{
	return isfinite(v) ? e3_buf_printf(to, err, "\"%s\":%.9g,", key, v) : e3_buf_printf(to, err, "\"%s\":null,", key);
}

/* 0 stands for "unknown" in counts that are never 0. */
static int whole(e3_buf *to, const char *key, int64_t v, bool known, e3_err *err)
{
	return known ? e3_buf_printf(to, err, "\"%s\":%" PRId64 ",", key, v) : e3_buf_printf(to, err, "\"%s\":null,", key);
}

/* Replaces the comma that every member ends with. */
static int closing(e3_buf *to, const char *with, e3_err *err)
{
	if (to->len && to->data[to->len - 1] == ',')
		to->len--;
	return e3_buf_add(to, with, strlen(with), err);
}

static int open_object(e3_buf *to, const char *key, e3_err *err) { return e3_buf_printf(to, err, "\"%s\":{", key); }

static int shape(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_shape *sh = &x->run.replay->shape;
	const e3_head *h = x->run.head;
	return text(to, "source", h->source, err) || text(to, "model", h->model, err) ||
		text(to, "device", h->device, err) || text(to, "policy", h->policy, err) ||
		whole(to, "budget_tokens", h->budget, h->budget >= 0, err) ||
		e3_buf_printf(to, err, "\"interrupted\":%s,", x->interrupted ? "true" : "false") ||
		whole(to, "frames", x->run.replay->steps, true, err) || whole(to, "layers", sh->layers, true, err) ||
		whole(to, "tokens_per_frame", sh->n, true, err) || whole(to, "special_tokens", sh->special, true, err) ||
		e3_buf_printf(to, err, "\"patch_grid\":[%d,%d],", sh->rows, sh->cols);
}

static int memory(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_shape *sh = &x->run.replay->shape;
	int64_t kv = x->run.head->kv_token_bytes, now = (int64_t)x->run.replay->step[x->run.replay->steps - 1].after,
			peak = (int64_t)x->run.stats->peak_tokens;
	int64_t full = (int64_t)sh->layers * sh->n * x->run.replay->steps;
	return open_object(to, "cache", err) || whole(to, "tokens_now", now, true, err) ||
		whole(to, "tokens_peak", peak, true, err) || whole(to, "tokens_without_eviction", full, true, err) ||
		whole(to, "token_bytes", kv, kv > 0, err) || whole(to, "bytes_now", now * kv, kv > 0, err) ||
		whole(to, "bytes_peak", peak * kv, kv > 0, err) ||
		whole(to, "bytes_without_eviction", full * kv, kv > 0, err) ||
		real(to, "kept_fraction", (double)now / (double)full, err) || closing(to, "},", err);
}

static int layers(const report *x, e3_buf *to, e3_err *err)
{
	int64_t t = x->run.stats->last_eviction, end = x->run.replay->steps - 1, n = x->run.replay->shape.layers;
	if (whole(to, "last_eviction", t < 0 ? 0 : x->run.replay->step[t].i, t >= 0, err) ||
		whole(to, "tokens_removed", (int64_t)x->run.stats->removed, true, err) ||
		real(to, "budget_use",
			t >= 0 && x->run.head->budget > 0 ? (double)x->run.replay->step[t].after / (double)x->run.head->budget
											  : NAN,
			err) ||
		real(to, "entropy", x->run.stats->entropy, err) || e3_buf_printf(to, err, "\"per_layer\":["))
		return -1;
	for (int l = 0; l < n; l++) {
		const e3_trace_cell *c = e3_trace_cell_at(x->run.replay, t < 0 ? end : t, l);
		const e3_trace_survival *v = &x->run.stats->layer[l];
		if (e3_buf_printf(to, err, "{\"layer\":%d,\"tokens_now\":%" PRIu32 ",", l,
				e3_trace_cell_at(x->run.replay, end, l)->after) ||
			real(to, "budget", c->budget, err) || real(to, "budget_use", e3_trace_budget_use(c), err) ||
			real(to, "alpha", c->alpha, err) || real(to, "variance", c->variance, err) ||
			whole(to, "median_life", v->median, v->median >= 0, err) ||
			real(to, "jaccard_next", l + 1 < n ? x->run.stats->agreement[l * n + l + 1] : NAN, err) ||
			closing(to, "},", err))
			return -1;
	}
	return closing(to, "],", err);
}

static int lives(const report *x, e3_buf *to, e3_err *err)
{
	static const int tau[] = {0, 1, 2, 5, 10, 20, 50};
	const e3_trace_survival *v = &x->run.stats->all;
	const e3_trace_step *last = &x->run.replay->step[x->run.replay->steps - 1];
	if (open_object(to, "survival", err))
		return -1;
	for (size_t k = 0; k < sizeof tau / sizeof *tau; k++) {
		char key[16];
		snprintf(key, sizeof key, "%d", tau[k]);
		if (real(to, key, tau[k] < v->n && v->at_risk[tau[k]] ? v->s[tau[k]] : NAN, err))
			return -1;
	}
	return closing(to, "},", err) || whole(to, "median_life", v->median, v->median >= 0, err) ||
		real(to, "stillborn", x->run.stats->born ? (double)x->run.stats->stillborn / (double)x->run.stats->born : NAN,
			err) ||
		e3_buf_printf(to, err,
			"\"age\":{\"5\":%" PRIu32 ",\"25\":%" PRIu32 ",\"50\":%" PRIu32 ",\"75\":%" PRIu32 ",\"95\":%" PRIu32
			",\"max\":%" PRIu32 "},",
			last->age[0], last->age[1], last->age[2], last->age[3], last->age[4], last->age_max) ||
		real(to, "first_frame_kept", x->run.stats->first_kept, err) ||
		real(to, "special_kept", x->run.stats->special_kept, err) ||
		whole(to, "saturated_max", (int64_t)x->run.stats->saturated, true, err) ||
		whole(to, "protected_evicted", (int64_t)x->run.stats->protected_evicted, true, err);
}

static int violations(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_check *c = x->check;
	if (whole(to, "violations_total", (int64_t)c->total, true, err) || e3_buf_printf(to, err, "\"violations\":["))
		return -1;
	for (int k = 0; k < c->n; k++) {
		const e3_trace_violation *v = &c->list[k];
		if (e3_buf_printf(to, err, "{\"frame\":%" PRId64 ",", v->frame) ||
			whole(to, "layer", v->layer, v->layer >= 0, err) || text(to, "rule", e3_trace_rule_name(v->rule), err) ||
			text(to, "expected", v->expected, err) || text(to, "found", v->found, err) || closing(to, "},", err))
			return -1;
	}
	return closing(to, "],", err);
}

static int latency(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_latency *l = x->latency;
	if (l->n == 0)
		return e3_buf_printf(to, err, "\"latency\":null,");
	return open_object(to, "latency", err) || whole(to, "frames", (int64_t)l->n, true, err) ||
		real(to, "mean", l->mean, err) || real(to, "p50", l->p50, err) || real(to, "p99", l->p99, err) ||
		real(to, "max", l->max, err) || closing(to, "},", err);
}

int report_json(const report *x, e3_buf *to, e3_err *err)
{
	if (e3_buf_add(to, "{", 1, err) || shape(x, to, err) || memory(x, to, err) || layers(x, to, err) ||
		lives(x, to, err) || latency(x, to, err) || e3_buf_printf(to, err, "\"importance\":["))
		return -1;
	for (int64_t f = 0; f < x->run.replay->steps; f++)
		if (e3_buf_printf(to, err, "%.6g,", x->run.stats->importance[f]))
			return -1;
	return closing(to, "],", err) || violations(x, to, err) || closing(to, "}\n", err);
}
