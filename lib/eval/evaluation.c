/* eval: a run: reads every input, scores it with each task, pools folders, averages. */
#include "eval/tasks.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

static int name_sequence(e3_eval_seq *s, const char *input, e3_err *err)
{
	*s = (e3_eval_seq){.first_not_finite = -1, .first_not_positive = -1, .curve_score = NAN};
	s->input = strdup(input), s->group = folder(input), s->name = eval_stem(input);
	return s->input && s->group && s->name ? 0 : e3_fail(err, "naming %s: out of memory", input);
}

/* Files are named after sequences, so two sequences must not share a name. */
static int check_names(const e3_eval_options *o, const e3_eval_seq *seq, int n, e3_err *err)
{
	for (int k = 1; (o->results || o->charts || o->ply) && k < n; k++)
		for (int j = 0; j < k; j++)
			if (!strcmp(seq[j].name, seq[k].name))
				return e3_fail(err, "naming files: %s and %s would both be %s", seq[j].input, seq[k].input,
					seq[k].name);
	return 0;
}

static int read_inputs(const e3_eval_options *o, char **input, e3_eval_report *r, e3_eval_seq *seq, e3_err *err)
{
	for (int k = 0; k < r->n; k++)
		if (name_sequence(&seq[k], input[k], err))
			return -1;
	if (check_names(o, seq, r->n, err))
		return -1;
	for (int k = 0; k < r->n; k++) {
		e3_eval_seq *s = &seq[k];
		if (eval_stopped(o)) {
			r->n = k;
			break;
		}
		const char *truth = o->n_truth == 0 ? NULL : o->truth[o->n_truth == 1 ? 0 : k];
		int rc = eval_read(o, input[k], truth, s, err);
		if (rc && (!o->compat || eval_stopped(o)))
			return -1;
		s->failed = rc != 0;
		if (rc) {
			snprintf(s->why, sizeof s->why, "%.*s", E3_EVAL_WHY - 1, err->text);
			e3_tell(E3_TELL_WARN, "%s: left out", err->text);
		}
		r->scored += rc == 0;
	}
	if (r->scored == 0)
		return e3_fail(err, "evaluating: none of %d input%s could be scored", r->n, r->n == 1 ? "" : "s");
	return 0;
}

/* A task that was asked for must score something. Without a choice the run takes what there is. */
static int check_scored(const e3_eval_report *r, e3_err *err)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++) {
		const eval_task *t = eval_tasks[k];
		if (!(r->o->tasks >> k & 1))
			continue;
		int rows = 0;
		for (int j = 0; j < r->n; j++) {
			const e3_eval_seq *s = &r->seq[j];
			bool has = !s->failed && t->rows(s) > 0;
			rows += has;
			if (!has && !s->failed && !r->o->all && t->why(s) && t->why(s)[0])
				e3_tell(E3_TELL_WARN, "%s: %s: not scored: %s", t->name, s->name, t->why(s));
		}
		if (rows == 0 && !r->o->all)
			return e3_fail(err, "evaluating %s: nothing could be scored", t->name);
	}
	return 0;
}

static void add_counts(e3_eval_seq *to, const e3_eval_seq *s)
{
	to->frames += s->frames, to->with_truth += s->with_truth;
	to->with_depth += s->with_depth, to->with_pose += s->with_pose;
	to->pixels.used += s->pixels.used, to->pixels.unseen += s->pixels.unseen;
	to->pixels.not_finite += s->pixels.not_finite, to->pixels.not_positive += s->pixels.not_positive;
	if (to->first_not_finite < 0)
		to->first_not_finite = s->first_not_finite;
	if (to->first_not_positive < 0)
		to->first_not_positive = s->first_not_positive;
}

/* Pools the sequences of one folder into one. `to` has room for as many as there are sequences; returns the number of
 * folders, 0 without memory. */
static int pool_folders(const e3_eval_report *r, e3_eval_seq *to, e3_err *err)
{
	e3_eval_seq *member = e3_alloc((size_t)r->n, sizeof *member, "folders", err);
	int groups = 0;
	for (int k = 0; member && k < r->n; k++) {
		int count = 0;
		bool first = true;
		for (int j = 0; j < k; j++)
			first &= strcmp(r->seq[j].group, r->seq[k].group) != 0;
		if (!first)
			continue;
		e3_eval_seq *s = &to[groups++];
		*s = (e3_eval_seq){.name = strdup(r->seq[k].group),
			.input = strdup(r->seq[k].group),
			.first_not_finite = -1,
			.first_not_positive = -1};
		if (!s->name || !s->input) {
			e3_fail(err, "folders: out of memory");
			groups = 0;
			break;
		}
		for (int j = k; j < r->n; j++)
			if (!strcmp(r->seq[j].group, r->seq[k].group) && !r->seq[j].failed)
				member[count++] = r->seq[j]; /* borrowed: averages only read */
		for (int j = 0; j < count; j++)
			add_counts(s, &member[j]);
		for (int j = 0; j < E3_EVAL_TASKS; j++)
			eval_tasks[j]->average(r->o, member, count, s);
	}
	free(member);
	return groups;
}

static int average_of(e3_eval_report *r, e3_eval_seq *average, e3_err *err)
{
	if (!(average->name = strdup("average")))
		return e3_fail(err, "the average: out of memory");
	average->by_folder = r->o->by_folder;
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		eval_tasks[k]->average(r->o, r->seq, r->n, average);
	r->average = average;
	return 0;
}

/* seq holds the n inputs, then room for as many folders, then one for the average. */
static int run(e3_eval *e, const e3_eval_options *o, char **input, int n, e3_err *err)
{
	e3_eval_report *r = &e->report;
	e->inputs = (e3_eval_report){.o = o, .seq = e->seq, .n = n, .inputs = n};
	if (read_inputs(o, input, &e->inputs, e->seq, err) || check_scored(&e->inputs, err))
		return -1;
	*r = e->inputs;
	if (o->by_folder) {
		r->seq = e->seq + n, r->n = pool_folders(&e->inputs, e->seq + n, err);
		if (!r->n)
			return -1;
	}
	if ((r->n > 1 || o->by_folder) && average_of(r, e->seq + 2 * n, err))
		return -1;
	e->inputs.average = r->average;
	return 0;
}

e3_eval *e3_eval_run(const e3_eval_options *o, char **input, int n, e3_err *err)
{
	char dash[] = "-", *standard[] = {dash};
	if (n == 0)
		n = 1, input = standard;
	e3_eval *e = e3_alloc(1, sizeof *e, "an evaluation", err);
	if (!e)
		return NULL;
	e->n_seq = 2 * n + 1;
	e->seq = e3_alloc((size_t)e->n_seq, sizeof *e->seq, "sequences", err);
	if (e->seq && !run(e, o, input, n, err))
		return e;
	e3_eval_free(e);
	return NULL;
}

void e3_eval_free(e3_eval *e)
{
	for (int k = 0; e && e->seq && k < e->n_seq; k++)
		eval_seq_release(&e->seq[k]);
	if (e)
		free(e->seq);
	free(e);
}
