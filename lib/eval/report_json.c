/* eval: the report for programs: one JSON object on one line. What is not known is null. */
#include "eval/tasks.h"
#include "e3/tool.h"
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
	return isfinite(v) ? e3_buf_printf(to, err, "\"%s\":%.12g,", key, v) : e3_buf_printf(to, err, "\"%s\":null,", key);
}

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

/* Task by task, row by row: {"depth": {"per image": {...}}, ...}. */
static int scores(const e3_eval_report *r, const e3_eval_seq *s, e3_buf *to, e3_err *err)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++) {
		const eval_task *t = eval_tasks[k];
		if (!(r->o->tasks >> k & 1))
			continue;
		if (e3_buf_printf(to, err, "\"%s\":{", t->key))
			return -1;
		for (int j = 0; j < t->rows(s); j++) {
			double v[EVAL_FIGURES] = {0};
			if (e3_buf_printf(to, err, "\"%s\":{", t->row(s, j, v)))
				return -1;
			for (int f = 0; f < t->figures; f++)
				if (t->figure[f].digits ? real(to, t->figure[f].key, v[f], err)
										: whole(to, t->figure[f].key, (int64_t)v[f], true, err))
					return -1;
			if (closing(to, "},", err))
				return -1;
		}
		if (closing(to, "},", err))
			return -1;
	}
	return 0;
}

static int sequence(const e3_eval_report *r, const e3_eval_seq *s, e3_buf *to, e3_err *err)
{
	const e3_head *h = &s->head;
	bool end = s->has_end;
	if (e3_buf_add(to, "{", 1, err) || text(to, "name", s->name, err) || text(to, "input", s->input, err) ||
		text(to, "source", h->source, err) || text(to, "model", h->model, err) || text(to, "device", h->device, err) ||
		text(to, "policy", h->policy, err) || whole(to, "budget_tokens", h->budget, h->model && h->budget >= 0, err) ||
		e3_buf_printf(to, err, "\"interrupted\":%s,", s->interrupted ? "true" : "false"))
		return -1;
	if (s->failed)
		return text(to, "failed", s->why, err) || closing(to, "},", err);
	return whole(to, "frames", s->frames, true, err) || whole(to, "frames_with_depth", s->with_depth, true, err) ||
		whole(to, "frames_with_pose", s->with_pose, true, err) || text(to, "unit", s->unit[0] ? s->unit : NULL, err) ||
		whole(to, "pixels_not_finite", (int64_t)s->pixels.not_finite, true, err) ||
		whole(to, "first_not_finite", s->first_not_finite, s->first_not_finite >= 0, err) ||
		whole(to, "pixels_not_positive", (int64_t)s->pixels.not_positive, true, err) ||
		whole(to, "first_not_positive", s->first_not_positive, s->first_not_positive >= 0, err) ||
		whole(to, "pixels_cropped", (int64_t)s->pixels.unseen, true, err) ||
		real(to, "seconds", end ? s->end.seconds : NAN, err) ||
		whole(to, "peak_rss", (int64_t)s->end.peak_rss, end, err) ||
		whole(to, "cache_peak", (int64_t)s->end.cache_peak, end, err) ||
		whole(to, "cache_full", (int64_t)s->end.cache_full, end, err) ||
		whole(to, "device_used", (int64_t)s->end.device_used, end && s->end.device_used, err) ||
		scores(r, s, to, err) || closing(to, "},", err);
}

int e3_eval_json(const e3_eval_report *r, e3_buf *to, e3_err *err)
{
	if (e3_buf_printf(to, err, "{\"tool\":\"e3-eval\",\"version\":\"%s\",\"inputs\":%d,\"scored\":%d,\"sequences\":[",
			E3_VERSION, r->inputs, r->scored))
		return -1;
	for (int k = 0; k < r->n; k++)
		if (sequence(r, &r->seq[k], to, err))
			return -1;
	if (closing(to, "],\"average\":{", err) || scores(r, r->average ? r->average : r->seq, to, err))
		return -1;
	return closing(to, "}}\n", err);
}
