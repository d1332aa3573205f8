/* e3-evict-stats: the report for programs: one JSON object. What is not known is null. */
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

static int shape(const es_report *x, e3_buf *to, e3_err *err)
{
	const es_shape *sh = &x->r->shape;
	const e3_head *h = x->head;
	return text(to, "source", h->source, err) || text(to, "model", h->model, err) ||
		text(to, "device", h->device, err) || text(to, "policy", h->policy, err) ||
		whole(to, "budget_tokens", h->budget, h->budget >= 0, err) ||
		e3_buf_printf(to, err, "\"interrupted\":%s,", x->interrupted ? "true" : "false") ||
		whole(to, "frames", x->r->steps, true, err) || whole(to, "layers", sh->layers, true, err) ||
		whole(to, "tokens_per_frame", sh->n, true, err) || whole(to, "special_tokens", sh->special, true, err) ||
		e3_buf_printf(to, err, "\"patch_grid\":[%d,%d],", sh->rows, sh->cols);
}

static int memory(const es_report *x, e3_buf *to, e3_err *err)
{
	const es_shape *sh = &x->r->shape;
	int64_t kv = x->head->kv_token_bytes, now = (int64_t)x->r->step[x->r->steps - 1].after,
			peak = (int64_t)x->s->peak_tokens;
	int64_t full = (int64_t)sh->layers * sh->n * x->r->steps;
	return open_object(to, "cache", err) || whole(to, "tokens_now", now, true, err) ||
		whole(to, "tokens_peak", peak, true, err) || whole(to, "tokens_without_eviction", full, true, err) ||
		whole(to, "token_bytes", kv, kv > 0, err) || whole(to, "bytes_now", now * kv, kv > 0, err) ||
		whole(to, "bytes_peak", peak * kv, kv > 0, err) ||
		whole(to, "bytes_without_eviction", full * kv, kv > 0, err) ||
		real(to, "kept_fraction", (double)now / (double)full, err) || closing(to, "},", err);
}

static int layers(const es_report *x, e3_buf *to, e3_err *err)
{
	int64_t t = x->s->last_eviction, end = x->r->steps - 1, n = x->r->shape.layers;
	if (whole(to, "last_eviction", t < 0 ? 0 : x->r->step[t].i, t >= 0, err) ||
		whole(to, "tokens_removed", (int64_t)x->s->removed, true, err) ||
		real(to, "budget_use",
			t >= 0 && x->head->budget > 0 ? (double)x->r->step[t].after / (double)x->head->budget : NAN, err) ||
		real(to, "entropy", x->s->entropy, err) || e3_buf_printf(to, err, "\"per_layer\":["))
		return -1;
	for (int l = 0; l < n; l++) {
		const es_cell *c = es_cell_at(x->r, t < 0 ? end : t, l);
		const es_survival *v = &x->s->layer[l];
		if (e3_buf_printf(to, err, "{\"layer\":%d,\"tokens_now\":%" PRIu32 ",", l, es_cell_at(x->r, end, l)->after) ||
			real(to, "budget", c->budget, err) || real(to, "budget_use", es_budget_use(c), err) ||
			real(to, "alpha", c->alpha, err) || real(to, "variance", c->variance, err) ||
			whole(to, "median_life", v->median, v->median >= 0, err) ||
			real(to, "jaccard_next", l + 1 < n ? x->s->agreement[l * n + l + 1] : NAN, err) || closing(to, "},", err))
			return -1;
	}
	return closing(to, "],", err);
}

static int lives(const es_report *x, e3_buf *to, e3_err *err)
{
	static const int tau[] = {0, 1, 2, 5, 10, 20, 50};
	const es_survival *v = &x->s->all;
	const es_step *last = &x->r->step[x->r->steps - 1];
	if (open_object(to, "survival", err))
		return -1;
	for (size_t k = 0; k < sizeof tau / sizeof *tau; k++) {
		char key[16];
		snprintf(key, sizeof key, "%d", tau[k]);
		if (real(to, key, tau[k] < v->n && v->at_risk[tau[k]] ? v->s[tau[k]] : NAN, err))
			return -1;
	}
	return closing(to, "},", err) || whole(to, "median_life", v->median, v->median >= 0, err) ||
		real(to, "stillborn", x->s->born ? (double)x->s->stillborn / (double)x->s->born : NAN, err) ||
		e3_buf_printf(to, err,
			"\"age\":{\"5\":%" PRIu32 ",\"25\":%" PRIu32 ",\"50\":%" PRIu32 ",\"75\":%" PRIu32 ",\"95\":%" PRIu32
			",\"max\":%" PRIu32 "},",
			last->age[0], last->age[1], last->age[2], last->age[3], last->age[4], last->age_max) ||
		real(to, "first_frame_kept", x->s->first_kept, err) || real(to, "special_kept", x->s->special_kept, err) ||
		whole(to, "saturated_max", (int64_t)x->s->saturated, true, err) ||
		whole(to, "protected_evicted", (int64_t)x->s->protected_evicted, true, err);
}

static int violations(const es_report *x, e3_buf *to, e3_err *err)
{
	const es_check *c = x->check;
	if (whole(to, "violations_total", (int64_t)c->total, true, err) || e3_buf_printf(to, err, "\"violations\":["))
		return -1;
	for (int k = 0; k < c->n; k++) {
		const es_violation *v = &c->list[k];
		if (e3_buf_printf(to, err, "{\"frame\":%" PRId64 ",", v->frame) ||
			whole(to, "layer", v->layer, v->layer >= 0, err) || text(to, "rule", es_rule_name(v->rule), err) ||
			text(to, "expected", v->expected, err) || text(to, "found", v->found, err) || closing(to, "},", err))
			return -1;
	}
	return closing(to, "],", err);
}

static int latency(const es_report *x, e3_buf *to, e3_err *err)
{
	const es_latency *l = x->latency;
	if (l->n == 0)
		return e3_buf_printf(to, err, "\"latency\":null,");
	return open_object(to, "latency", err) || whole(to, "frames", (int64_t)l->n, true, err) ||
		real(to, "mean", l->mean, err) || real(to, "p50", l->p50, err) || real(to, "p99", l->p99, err) ||
		real(to, "max", l->max, err) || closing(to, "},", err);
}

int es_json(const es_report *x, e3_buf *to, e3_err *err)
{
	if (e3_buf_add(to, "{", 1, err) || shape(x, to, err) || memory(x, to, err) || layers(x, to, err) ||
		lives(x, to, err) || latency(x, to, err) || e3_buf_printf(to, err, "\"importance\":["))
		return -1;
	for (int64_t f = 0; f < x->r->steps; f++)
		if (e3_buf_printf(to, err, "%.6g,", x->s->importance[f]))
			return -1;
	return closing(to, "],", err) || violations(x, to, err) || closing(to, "}\n", err);
}
