/* eval: the report for programs: one JSON object on one line. Unknown values are null. */
#include "eval/tasks.h"
#include "e3/json.h"
#include "e3/version.h"
#include <math.h>

/* An integer, null when it is not known. */
static void whole(e3_json *j, const char *key, int64_t v, bool known)
{
	if (known)
		e3_json_int(j, key, v);
	else
		e3_json_null(j, key);
}

/* Task by task, row by row: {"depth": {"per image": {...}}, ...}. */
static void scores(const e3_eval_report *r, const e3_eval_seq *s, e3_json *j)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++) {
		const eval_task *t = eval_tasks[k];
		if (!(r->o->tasks >> k & 1))
			continue;
		e3_json_object(j, t->key);
		for (int row = 0; row < t->rows(s); row++) {
			double v[EVAL_FIGURES] = {0};
			e3_json_object(j, t->row(s, row, v));
			for (int f = 0; f < t->figures; f++)
				if (t->figure[f].digits)
					e3_json_real(j, t->figure[f].key, v[f], 12);
				else
					e3_json_int(j, t->figure[f].key, (int64_t)v[f]);
			e3_json_end(j);
		}
		e3_json_end(j);
	}
}

static void counts(const e3_eval_seq *s, e3_json *j)
{
	bool end = s->has_end;
	e3_json_int(j, "frames", s->frames);
	e3_json_int(j, "frames_with_depth", s->with_depth);
	e3_json_int(j, "frames_with_pose", s->with_pose);
	e3_json_text(j, "unit", s->unit[0] ? s->unit : NULL);
	e3_json_int(j, "pixels_not_finite", (int64_t)s->pixels.not_finite);
	whole(j, "first_not_finite", s->first_not_finite, s->first_not_finite >= 0);
	e3_json_int(j, "pixels_not_positive", (int64_t)s->pixels.not_positive);
	whole(j, "first_not_positive", s->first_not_positive, s->first_not_positive >= 0);
	e3_json_int(j, "pixels_cropped", (int64_t)s->pixels.unseen);
	e3_json_real(j, "seconds", end ? s->end.seconds : NAN, 12);
	whole(j, "peak_rss", (int64_t)s->end.peak_rss, end);
	whole(j, "cache_peak", (int64_t)s->end.cache_peak, end);
	whole(j, "cache_full", (int64_t)s->end.cache_full, end);
	whole(j, "device_used", (int64_t)s->end.device_used, end && s->end.device_used);
}

static void sequence(const e3_eval_report *r, const e3_eval_seq *s, e3_json *j)
{
	const e3_head *h = &s->head;
	e3_json_object(j, NULL);
	e3_json_text(j, "name", s->name);
	e3_json_text(j, "input", s->input);
	e3_json_text(j, "source", h->source);
	e3_json_text(j, "model", h->model);
	e3_json_text(j, "device", h->device);
	e3_json_text(j, "policy", h->policy);
	whole(j, "budget_tokens", h->budget, h->model && h->budget >= 0);
	e3_json_bool(j, "interrupted", s->interrupted);
	if (s->failed) {
		e3_json_text(j, "failed", s->why);
	} else {
		counts(s, j);
		scores(r, s, j);
	}
	e3_json_end(j);
}

int e3_eval_json(const e3_eval_report *r, e3_buf *to, e3_err *err)
{
	e3_json j = {.to = to, .err = err};
	e3_json_object(&j, NULL);
	e3_json_text(&j, "tool", "e3-eval");
	e3_json_text(&j, "version", E3_VERSION);
	e3_json_int(&j, "inputs", r->inputs);
	e3_json_int(&j, "scored", r->scored);
	e3_json_array(&j, "sequences");
	for (int k = 0; k < r->n; k++)
		sequence(r, &r->seq[k], &j);
	e3_json_end(&j);
	e3_json_object(&j, "average");
	scores(r, r->average ? r->average : r->seq, &j);
	e3_json_end(&j);
	e3_json_end(&j);
	return j.rc ? -1 : e3_buf_add(to, "\n", 1, err);
}
