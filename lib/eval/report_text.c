/* eval: the report for people: at most 25 lines. A block for each task: a heading, a row for each sequence (the
 * worst ones, when there are more than fit), the average. */
#include "eval/tasks.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 25, NAME = 24, LABEL = 12 };

static int cell(e3_buf *to, const eval_figure *f, double v, e3_err *err)
{
	int width = (int)strlen(f->name) + 2;
	width = width < 9 ? 9 : width;
	if (isnan(v)) /* the sign of a NaN means nothing */
		return e3_buf_printf(to, err, "%*s", width, "nan");
	if (f->digits == 0 && isfinite(v))
		return e3_buf_printf(to, err, " %*.0f", width > 11 ? width : 11, v);
	double size = fabs(v);
	int digits = size >= 1e4 ? 0 : size >= 1e3 ? 1 : size >= 100 ? 2 : f->digits;
	return e3_buf_printf(to, err, "%*.*f", width, size >= 1e8 ? 0 : digits, v);
}

static int heading(e3_buf *to, const eval_task *t, const char *name, e3_err *err)
{
	if (e3_buf_printf(to, err, "%-*s", NAME + LABEL, name))
		return -1;
	for (int k = 0; k < t->figures; k++) {
		int width = t->figure[k].name ? (int)strlen(t->figure[k].name) + 2 : 0;
		width = width && width < 9 ? 9 : width;
		if (t->figure[k].digits == 0 && width)
			width = width > 11 ? width + 1 : 12;
		if (width && e3_buf_printf(to, err, "%*s", width, t->figure[k].name))
			return -1;
	}
	return e3_buf_add(to, "\n", 1, err);
}

static int row(e3_buf *to, const eval_task *t, const e3_eval_seq *s, int k, e3_err *err)
{
	double v[EVAL_FIGURES] = {0};
	const char *label = t->row(s, k, v);
	if (e3_buf_printf(to, err, "  %-*.*s%-*s", NAME - 2, NAME - 3, s->name, LABEL, label))
		return -1;
	for (int f = 0; f < t->figures; f++)
		if (t->figure[f].name && cell(to, &t->figure[f], v[f], err))
			return -1;
	return e3_buf_add(to, "\n", 1, err);
}

/* The first lines: how the run was made, for one sequence, or else what all have in common. */
static int run_lines(const e3_eval_report *r, e3_buf *to, e3_err *err)
{
	const e3_eval_seq *s = r->seq;
	if (r->average) {
		int64_t frames = 0;
		for (int k = 0; k < r->n; k++)
			frames += s[k].failed ? 0 : s[k].frames;
		return e3_buf_printf(to, err, "%d of %d sequences scored, %" PRId64 " frames\n", r->scored, r->inputs, frames);
	}
	if (e3_buf_printf(to, err, "%s: %" PRId64 " frame%s%s", s->name, s->frames, s->frames == 1 ? "" : "s",
			s->interrupted ? " (interrupted)" : "") ||
		(s->head.model &&
			e3_buf_printf(to, err, ", model %s on %s, policy %s", s->head.model, s->head.device ? s->head.device : "?",
				s->head.policy ? s->head.policy : "?")))
		return -1;
	if (s->has_end && s->end.cache_full &&
		e3_buf_printf(to, err, ", cache %.1f of %.1f MiB", (double)s->end.cache_peak / 1048576,
			(double)s->end.cache_full / 1048576))
		return -1;
	if (e3_buf_printf(to, err, "\ntruth: %" PRId64 " frame%s with depth", s->with_depth,
			s->with_depth == 1 ? "" : "s") ||
		(s->with_depth &&
			e3_buf_printf(to, err, " (%d x %d, predicted at %d x %d)", s->truth_w, s->truth_h, s->w, s->h)) ||
		e3_buf_printf(to, err, ", %" PRId64 " with pose%s%s\n", s->with_pose, s->unit[0] ? ", unit " : "", s->unit))
		return -1;
	return 0;
}

/* Warnings that a reader of the figures needs. */
static int warning_lines(const e3_eval_report *r, e3_buf *to, e3_err *err)
{
	uint64_t bad = 0, low = 0, unseen = 0, used = 0;
	const e3_eval_seq *first = NULL, *first_low = NULL;
	for (int k = 0; k < r->n; k++) {
		const e3_eval_seq *s = &r->seq[k];
		bad += s->pixels.not_finite, unseen += s->pixels.unseen, used += s->pixels.used;
		low += s->pixels.not_positive;
		first = first || !s->pixels.not_finite ? first : s;
		first_low = first_low || !s->pixels.not_positive ? first_low : s;
	}
	if (bad &&
		e3_buf_printf(to, err,
			"warning: %" PRIu64 " pixel%s with predictions that are not finite, first in %s frame %" PRId64 "%s\n", bad,
			bad == 1 ? "" : "s", first->name, first->first_not_finite,
			r->o->pixels.finite ? ": left out" : eval_hint(r->o->hints.not_finite)))
		return -1;
	if (low &&
		e3_buf_printf(to, err,
			"warning: %" PRIu64 " pixel%s predicted 0 or less, first in %s frame %" PRId64
			": if half of all pixels are, no alignment is meaningful\n",
			low, low == 1 ? "" : "s", first_low->name, first_low->first_not_positive))
		return -1;
	return unseen
		? e3_buf_printf(to, err, "note: %.1f %% of the pixels with truth were cropped before the network: not scored\n",
			  100.0 * (double)unseen / (double)(unseen + used))
		: 0;
}

/* Counts the lines besides the rows of sequences. */
static int fixed_lines(const e3_eval_report *r, int *blocks)
{
	uint64_t bad = 0, low = 0, unseen = 0;
	for (int k = 0; k < r->n; k++)
		low += r->seq[k].pixels.not_positive, bad += r->seq[k].pixels.not_finite, unseen += r->seq[k].pixels.unseen;
	int lines = (r->average ? 1 : 2) + (bad > 0) + (low > 0) + (unseen > 0);
	*blocks = 0;
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		if (r->o->tasks >> k & 1) {
			const e3_eval_seq *most = r->average ? r->average : r->seq;
			int rows = eval_tasks[k]->rows(most);
			lines += 1 + (r->average ? rows : 0);
			*blocks += rows;
		}
	return lines;
}

/* Sorts the largest first figure first; for AUC, where small is bad, its negative is used. */
typedef struct ranked {
	int seq;
	double v;
} ranked;

static int by_badness(const void *a, const void *b)
{
	const ranked *x = a, *y = b;
	return x->v != y->v ? (x->v < y->v) - (x->v > y->v) : x->seq - y->seq;
}

static int rows_of_task(const e3_eval_report *r, const eval_task *t, int room, e3_buf *to, e3_err *err)
{
	ranked *order = e3_alloc((size_t)r->n, sizeof *order, "the report", err);
	int rc = order ? 0 : -1, rows = t->rows(r->average ? r->average : r->seq), n = 0;
	for (int k = 0; !rc && k < r->n; k++)
		if (t->rows(&r->seq[k])) {
			double v[EVAL_FIGURES] = {0};
			t->row(&r->seq[k], 0, v);
			order[n++] = (ranked){k, isnan(v[0]) ? INFINITY : t->high_is_good ? -v[0] : v[0]};
		}
	bool all = n <= room;
	char name[64];
	snprintf(name, sizeof name, all ? "%s" : room ? "%s, worst %d of %d" : "%s", t->name, room, n);
	if (!rc)
		rc = heading(to, t, name, err);
	if (!rc && !all)
		qsort(order, (size_t)n, sizeof *order, by_badness);
	for (int k = 0; !rc && k < (all ? n : room); k++)
		for (int j = 0; !rc && j < t->rows(&r->seq[order[k].seq]); j++)
			rc = row(to, t, &r->seq[order[k].seq], j, err);
	for (int j = 0; !rc && r->average && j < rows; j++)
		rc = row(to, t, r->average, j, err);
	free(order);
	return rc;
}

int e3_eval_text(const e3_eval_report *r, e3_buf *to, e3_err *err)
{
	int blocks, fixed = fixed_lines(r, &blocks), room = blocks ? (LINES - fixed) / blocks : 0;
	if (run_lines(r, to, err))
		return -1;
	for (int k = 0; k < E3_EVAL_TASKS; k++) {
		const eval_task *t = eval_tasks[k];
		if (!(r->o->tasks >> k & 1))
			continue;
		const e3_eval_seq *any = r->average ? r->average : r->seq;
		if (!t->rows(any)) {
			const char *why = t->why(r->seq);
			if (e3_buf_printf(to, err, "%s: not scored: %s\n", t->name, why && why[0] ? why : "nothing to score"))
				return -1;
			continue;
		}
		if (rows_of_task(r, t, room > 0 ? room : 0, to, err))
			return -1;
	}
	return warning_lines(r, to, err);
}
