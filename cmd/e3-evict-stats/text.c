/* e3-evict-stats: the report for people: one line per subject, "name  figures in words". */
#include "evict-stats.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 3, VIOLATIONS_SHOWN = 20 };

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

/* A line "name        text"; a line that continues the one above has no name. */
E3_PRINTF(4, 5) static int line(e3_buf *to, e3_err *err, const char *name, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return e3_buf_printf(to, err, "%-12s%s\n", name, text);
}

static int segment_line(const e3_replay *r, e3_buf *to, e3_err *err)
{
	return line(to, err, "segments",
		"%" PRId64 ", of at most %" PRId64 " frames; %" PRId64
		" frame%s in two of them: figures are of each until its end",
		r->segments, e3_replay_longest(r), r->steps - r->frames, plural((uint64_t)(r->steps - r->frames)));
}

static int shape_lines(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_shape *sh = &x->run.replay->shape;
	const e3_head *h = x->run.head;
	char budget[32];
	e3_trace_count_text((uint64_t)(h->budget > 0 ? h->budget : 0), budget);
	if (line(to, err, "run", "%s, %" PRId64 " frame%s%s, model %s on %s", h->source ? h->source : "?",
			x->run.replay->frames, plural((uint64_t)x->run.replay->frames), x->interrupted ? " (interrupted)" : "",
			h->model, h->device ? h->device : "?") ||
		line(to, err, "network", "%d layer%s, %d tokens a frame: %d special, %d x %d patches", sh->layers,
			plural((uint64_t)sh->layers), sh->n, sh->special, sh->rows, sh->cols))
		return -1;
	if (x->run.replay->segments > 1 && segment_line(x->run.replay, to, err))
		return -1;
	if (h->budget < 0)
		return line(to, err, "policy", "%s, no budget", h->policy ? h->policy : "?");
	return line(to, err, "policy", "%s, budget %s tokens%s: %.1f frames a layer on average",
		h->policy ? h->policy : "?", budget, x->run.replay->segments > 1 ? " a segment" : "",
		(double)h->budget / ((double)sh->layers * sh->n));
}

static int memory_lines(const report *x, e3_buf *to, e3_err *err)
{
	uint64_t now = x->run.stats->held[x->run.replay->frames - 1], peak = x->run.stats->peak_tokens;
	uint64_t full = x->run.stats->full_tokens;
	double kv = (double)x->run.head->kv_token_bytes;
	char a[32], b[32], c[32];
	e3_trace_count_text(now, a), e3_trace_count_text(peak, b), e3_trace_count_text(full, c);
	if (line(to, err, "cache", "%s tokens now, %s peak (before an eviction), %s without eviction", a, b, c))
		return -1;
	if (kv <= 0)
		return line(to, err, "memory", "unknown: the stream does not give the bytes of a token");
	e3_trace_bytes_text(kv * (double)now, a), e3_trace_bytes_text(kv * (double)peak, b),
		e3_trace_bytes_text(kv * (double)full, c);
	const char *packed = x->run.head->kv;
	return line(to, err, "memory", "%s now, %s peak, %s without eviction: %.1f %% kept%s%s", a, b, c,
		100.0 * (double)now / (double)full, packed ? ", packed as " : "", packed ? packed : "");
}

/* At the last eviction: how much of the budget is used, and the layers with the largest and the smallest share. */
static int budget_lines(const report *x, e3_buf *to, e3_err *err)
{
	int64_t t = x->run.stats->last_eviction;
	int layers = x->run.replay->shape.layers, most = 0, least = 0, under = 0, over = 0;
	if (t < 0)
		return line(to, err, "eviction", "nothing was removed");
	char removed[32];
	e3_trace_count_text(x->run.stats->removed, removed);
	if (line(to, err, "eviction", "%s tokens removed, last at frame %" PRId64, removed, x->run.replay->step[t].i))
		return -1;
	for (int l = 0; l < layers; l++) {
		double share = e3_trace_cell_at(x->run.replay, t, l)->alpha,
			   use = e3_trace_budget_use(e3_trace_cell_at(x->run.replay, t, l));
		most = share > e3_trace_cell_at(x->run.replay, t, most)->alpha ? l : most;
		least = share < e3_trace_cell_at(x->run.replay, t, least)->alpha ? l : least;
		under += use<1, over += use> 1;
	}
	const e3_trace_cell *hi = e3_trace_cell_at(x->run.replay, t, most), *lo = e3_trace_cell_at(x->run.replay, t, least);
	if (x->run.head->budget > 0 &&
		line(to, err, "budget use", "%.1f %% of the whole at that frame; %d layer%s under, %d over their share",
			100.0 * (double)x->run.replay->step[t].after / (double)x->run.head->budget, under, plural((uint64_t)under),
			over))
		return -1;
	if (!isfinite(x->run.stats->entropy) || hi->alpha <= lo->alpha)
		return 0;
	return line(to, err, "shares",
		"most layer %d (%.1f %%, %" PRIu32 " tokens), least layer %d (%.1f %%, %" PRIu32 "); evenness %.3f", most,
		100 * hi->alpha, hi->after, least, 100 * lo->alpha, lo->after, x->run.stats->entropy);
}

static int life_lines(const report *x, e3_buf *to, e3_err *err)
{
	static const int tau[] = {1, 2, 5, 10, 20, 50};
	const e3_trace_survival *v = &x->run.stats->all;
	char text[256] = "", median[48] = "longer than the run";
	size_t at = 0;
	for (size_t k = 0; k < sizeof tau / sizeof *tau; k++)
		if (tau[k] < v->n && v->at_risk[tau[k]])
			at += (size_t)snprintf(text + at, sizeof text - at, "%s%d: %.1f %%", at ? ", " : "", tau[k],
				100 * v->s[tau[k]]);
	if (v->median >= 0)
		snprintf(median, sizeof median, "%" PRId64 " frame%s", v->median, plural((uint64_t)v->median));
	if ((at && line(to, err, "survival", "patches still kept after frames %s", text)) ||
		line(to, err, "", "median life %s; stillborn %.1f %%", median,
			x->run.stats->born ? 100.0 * (double)x->run.stats->stillborn / (double)x->run.stats->born : 0.0))
		return -1;
	const e3_trace_step *last = &x->run.replay->step[x->run.replay->answer[x->run.replay->frames - 1]];
	if (line(to, err, "age", "of the kept patches: median %" PRIu32 ", 95 %% %" PRIu32 ", oldest %" PRIu32 " frame%s",
			last->age[2], last->age[4], last->age_max, plural(last->age_max)))
		return -1;
	return isfinite(x->run.stats->special_kept)
		? line(to, err, "protected", "frame 0: %.1f %% kept, special tokens: %.1f %% kept",
			  100 * x->run.stats->first_kept, 100 * x->run.stats->special_kept)
		: 0;
}

/* Of the last segment that answered. */
static int frame_lines(const report *x, e3_buf *to, e3_err *err)
{
	const e3_replay *r = x->run.replay;
	const e3_trace_segment *s = &r->segment[r->step[r->answer[r->frames - 1]].segment];
	int64_t top[TOP], oldest = -1;
	int n = 0;
	/* nothing was evicted after later frames came */
	for (int64_t local = 1; local < s->steps && s->step[local] <= x->run.stats->last_eviction; local++) {
		int64_t f = s->step[local];
		if (!(x->run.stats->importance[f] > 0))
			continue;
		oldest = oldest < 0 ? f : oldest;
		int k = n < TOP ? n++ : TOP;
		for (; k > 0 && x->run.stats->importance[f] > x->run.stats->importance[top[k - 1]]; k--)
			if (k < TOP)
				top[k] = top[k - 1];
		if (k < TOP)
			top[k] = f;
	}
	char text[160] = "";
	size_t at = 0;
	for (int k = 0; k < n; k++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%" PRId64 " (%.1f %%)", k ? ", " : "", r->step[top[k]].i,
			100 * x->run.stats->importance[top[k]]);
	if (n && line(to, err, "remembered", "most, after frame %" PRId64 ": frames %s", r->step[s->step[0]].i, text))
		return -1;
	if (oldest > 0)
		return line(to, err, "", "oldest with patches left: frame %" PRId64, r->step[oldest].i);
	return 0;
}

static int latency_line(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_latency *l = x->latency;
	return l->n
		? line(to, err, "latency", "from capture to prediction: median %.3f s, 99 %% within %.3f s, at most %.3f s",
			  l->p50, l->p99, l->max)
		: 0;
}

static int agreement_line(const report *x, e3_buf *to, e3_err *err)
{
	int layers = x->run.replay->shape.layers, n = 0;
	double sum = 0, lo = INFINITY, hi = -INFINITY;
	for (int l = 0; l + 1 < layers; l++) {
		double j = x->run.stats->agreement[l * layers + l + 1];
		if (isfinite(j))
			sum += j, n++, lo = fmin(lo, j), hi = fmax(hi, j);
	}
	return n ? line(to, err, "agreement", "neighbouring layers keep the same patches: Jaccard %.3f (%.3f to %.3f)",
				   sum / n, lo, hi)
			 : 0;
}

static int warning_lines(const report *x, e3_buf *to, e3_err *err)
{
	const e3_trace_check *c = x->check;
	if (x->run.stats->saturated &&
		line(to, err, "warning", "up to %" PRIu64 " score%s overflowed: such a token can never be evicted",
			x->run.stats->saturated, plural(x->run.stats->saturated)))
		return -1;
	if (x->run.stats->protected_evicted &&
		line(to, err, "warning", "%" PRIu64 " protected token%s removed, as e3-infer --compat evict3r does",
			x->run.stats->protected_evicted, x->run.stats->protected_evicted == 1 ? " was" : "s were"))
		return -1;
	if (c->total && !x->with_check)
		return line(to, err, "warning", "%" PRIu64 " violation%s of the cache's rules: see --check", c->total,
			plural(c->total));
	if (x->with_check && c->total == 0)
		return line(to, err, "check", "%" PRId64 " step%s of %d layer%s: every rule holds", c->steps,
			plural((uint64_t)c->steps), x->run.replay->shape.layers, plural((uint64_t)x->run.replay->shape.layers));
	for (int k = 0; x->with_check && k < c->n && k < VIOLATIONS_SHOWN; k++) {
		char text[320];
		e3_trace_violation_text(&c->list[k], text, sizeof text);
		if (line(to, err, "violation", "%s", text))
			return -1;
	}
	if (x->with_check && c->total > VIOLATIONS_SHOWN)
		return line(to, err, "violation", "... and %" PRIu64 " more", c->total - VIOLATIONS_SHOWN);
	return 0;
}

int report_text(const report *x, e3_buf *to, e3_err *err)
{
	return shape_lines(x, to, err) || memory_lines(x, to, err) || budget_lines(x, to, err) || life_lines(x, to, err) ||
			frame_lines(x, to, err) || agreement_line(x, to, err) || latency_line(x, to, err) ||
			warning_lines(x, to, err)
		? -1
		: 0;
}
