/* eval: the task pairs: the relative pose of every two frames. */
#include "eval/tasks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_FRAMES = 5000 }; /* most frames whose pairs are compared when the task was not asked for by name */

enum { PAIRS_FIGURES = 13 };

static const eval_figure pairs_figures[PAIRS_FIGURES] = {
	{"auc30", "AUC@30", 4},
	{"auc15", "AUC@15", 4},
	{"auc5", "AUC@5", 4},
	{"auc3", "AUC@3", 4},
	{"rra30", NULL, 4},
	{"rra15", "RRA@15", 4},
	{"rra5", "RRA@5", 4},
	{"rra3", NULL, 4},
	{"rta30", NULL, 4},
	{"rta15", "RTA@15", 4},
	{"rta5", "RTA@5", 4},
	{"rta3", NULL, 4},
	{"pairs", "pairs", 0},
};

typedef struct pairs_state {
	const e3_eval_options *o;
	e3_pose (*pose)[2]; /* estimate, reference */
	size_t n, room;
} pairs_state;

static void *pairs_begin(const e3_eval_options *o, e3_err *err)
{
	pairs_state *s = e3_alloc(1, sizeof *s, "the task pairs", err);
	if (s)
		*s = (pairs_state){.o = o};
	return s;
}

static int pairs_add(void *state, const eval_sample *p, e3_err *err)
{
	pairs_state *s = state;
	if (!p->has_pose || (s->o->all && s->n > PAIRS_FRAMES))
		return 0;
	if (s->n == s->room) {
		size_t more = s->n ? 2 * s->n : 64;
		if (e3_grow((void **)&s->pose, more, sizeof *s->pose, "poses", err))
			return -1;
		s->room = more;
	}
	s->pose[s->n][0] = p->pose, s->pose[s->n][1] = p->truth->pose;
	s->n++;
	return 0;
}

static int pairs_finish(void *state, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	pairs_state *s = state;
	seq->pairs = (e3_pair_counts){0};
	seq->pair_frames = (int64_t)s->n;
	if (s->o->all && s->n > PAIRS_FRAMES) {
		snprintf(seq->pairs_why, sizeof seq->pairs_why,
			"more than %d frames: their pairs are compared only when the task pairs is asked for", PAIRS_FRAMES);
		return 0;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (e3_work_check(work, err))
			return -1;
		for (size_t j = i + 1; j < s->n; j++) {
			const e3_pose est[2] = {s->pose[i][0], s->pose[j][0]}, ref[2] = {s->pose[i][1], s->pose[j][1]};
			double rotation, translation;
			e3_pair_errors(ref, est, &rotation, &translation);
			e3_pair_counts_add(&seq->pairs, rotation, translation);
		}
	}
	return 0;
}

static void pairs_free(void *state)
{
	pairs_state *s = state;
	if (s)
		free(s->pose);
	free(s);
}

static int pairs_rows(const e3_eval_seq *s) { return s->pairs.n > 0; }

static const char *pairs_row(const e3_eval_seq *s, int row, double *v)
{
	for (int k = 0; k < E3_AUCS; k++) {
		v[k] = e3_pair_auc(&s->pairs, k);
		v[E3_AUCS + k] = e3_pair_rra(&s->pairs, k), v[2 * E3_AUCS + k] = e3_pair_rta(&s->pairs, k);
	}
	v[3 * E3_AUCS] = (double)s->pairs.n;
	if (s->by_folder)
		memcpy(v, s->pair_mean, sizeof s->pair_mean);
	return "all pairs";
}

/* Pools all pairs. With `by_folder`, where each `s` is the pool of a folder, the mean of their figures counts. */
static void pairs_average(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to)
{
	double v[PAIRS_FIGURES];
	for (int k = 0; k < n; k++) {
		e3_pair_counts_merge(&to->pairs, &s[k].pairs);
		to->pair_frames += s[k].pair_frames;
		if (s[k].pairs.n == 0)
			continue;
		pairs_row(&s[k], 0, v);
		for (int j = 0; j < 3 * E3_AUCS; j++)
			to->pair_mean[j] += v[j];
		to->pair_groups++;
	}
	for (int j = 0; to->pair_groups && j < 3 * E3_AUCS; j++)
		to->pair_mean[j] /= to->pair_groups;
}

static const char *pairs_why(const e3_eval_seq *s)
{
	return s->pairs_why[0]  ? s->pairs_why
		: s->with_pose == 1 ? "a pair needs two frames with poses"
		: s->with_pose      ? ""
							: "no frame has both a predicted and a true pose";
}

const eval_task eval_task_pairs = {
	"pairs",
	"pairs",
	pairs_figures,
	PAIRS_FIGURES,
	true,
	pairs_begin,
	pairs_add,
	pairs_finish,
	pairs_free,
	pairs_average,
	pairs_rows,
	pairs_row,
	pairs_why,
};
