/* e3-eval: the tasks pose (the path as a whole) and pairs (every two frames). */
#include "eval.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_FRAMES = 5000 }; /* most frames of which all pairs are taken without being asked */

/* --- pose --- */

enum { POSE_FIGURES = 10 };

static const ev_figure pose_figures[POSE_FIGURES] = {
	{"ate", "ATE", 5},
	{"rpe_t", "RPE trans", 5},
	{"rpe_r", "RPE rot", 4},
	{"rotation", "rotation", 4},
	{"ate_mean", NULL, 5},
	{"ate_median", NULL, 5},
	{"ate_max", "ATE max", 5},
	{"rotation_max", "rot max", 4},
	{"scale", "scale", 4},
	{"frames", "frames", 0},
};

typedef struct pose_state {
	const ev_options *o;
	e3_place *est, *ref;
	e3_intrinsics *camera; /* for --results */
	size_t n, room_est, room_ref, room_camera;
} pose_state;

static void *pose_begin(const ev_options *o, e3_err *err)
{
	pose_state *s = e3_alloc(1, sizeof *s, "the task pose", err);
	if (s)
		*s = (pose_state){.o = o};
	return s;
}

static int push(e3_place **p, size_t *room, size_t n, const e3_pose *pose, e3_err *err)
{
	if (n == *room) {
		size_t more = n ? 2 * n : 64;
		if (e3_grow((void **)p, more, sizeof **p, "the path", err))
			return -1;
		*room = more;
	}
	e3_place_of_pose(pose, *p + n);
	return 0;
}

static int push_camera(pose_state *s, const e3_pred *p, e3_err *err)
{
	if (s->n == s->room_camera) {
		size_t more = s->n ? 2 * s->n : 64;
		if (e3_grow((void **)&s->camera, more, sizeof *s->camera, "cameras", err))
			return -1;
		s->room_camera = more;
	}
	s->camera[s->n] = e3_intrinsics_decode(p->pose, p->w, p->h);
	return 0;
}

static int pose_add(void *state, const ev_pair *p, e3_err *err)
{
	pose_state *s = state;
	if (!p->has_pose)
		return 0;
	if (push(&s->est, &s->room_est, s->n, &p->pose, err) || push(&s->ref, &s->room_ref, s->n, &p->truth->pose, err))
		return -1;
	if (s->o->results && p->pred && push_camera(s, p->pred, err))
		return -1;
	s->n++;
	return 0;
}

static int pose_finish(void *state, ev_seq *seq, e3_err *err)
{
	pose_state *s = state;
	e3_err why;
	seq->path = (ev_path){.frames = (int64_t)s->n};
	if (s->n == 0)
		return 0;
	double *ate = e3_alloc(s->n, sizeof *ate, "errors of a path", err);
	if (!ate)
		return -1;
	if (s->n == 1)
		e3_fail(&why, "one frame with poses makes no path");
	seq->path.scored = s->n > 1 && !e3_path_evaluate(s->ref, s->est, s->n, &seq->path.score, ate, &why);
	if (!seq->path.scored)
		snprintf(seq->path.why, sizeof seq->path.why, "%.*s", EV_WHY - 1, why.text);
	seq->place = s->est, seq->true_place = s->ref, seq->ate = ate, seq->camera = s->camera;
	s->est = s->ref = NULL, s->camera = NULL;
	return 0;
}

static void pose_free(void *state)
{
	pose_state *s = state;
	if (s)
		free(s->est), free(s->ref), free(s->camera);
	free(s);
}

/* As the reference reads it back from its result files. */
static double six(const ev_options *o, double v)
{
	char text[64];
	if (!o->compat)
		return v;
	snprintf(text, sizeof text, "%.6f", v);
	return strtod(text, NULL);
}

static void pose_average(const ev_options *o, const ev_seq *s, int n, ev_seq *to)
{
	e3_path_score sum = {0};
	int count = 0;
	for (int k = 0; k < n; k++) {
		const e3_path_score *p = &s[k].path.score;
		if (!s[k].path.scored)
			continue;
		sum.ate.rmse += six(o, p->ate.rmse), sum.rpe_t.rmse += six(o, p->rpe_t.rmse),
			sum.rpe_r.rmse += six(o, p->rpe_r.rmse);
		sum.ate.mean += p->ate.mean, sum.ate.median += p->ate.median, sum.ate.max += p->ate.max;
		sum.turn.mean += p->turn.mean, sum.turn.max += p->turn.max, sum.sim.s += p->sim.s;
		to->path.frames += s[k].path.frames;
		count++;
	}
	to->path.scored = count > 0;
	double *const mean[] = {&sum.ate.rmse, &sum.rpe_t.rmse, &sum.rpe_r.rmse, &sum.ate.mean, &sum.ate.median,
		&sum.ate.max, &sum.turn.mean, &sum.turn.max, &sum.sim.s};
	for (size_t k = 0; count && k < sizeof mean / sizeof *mean; k++)
		*mean[k] /= count;
	to->path.score = sum;
}

static int pose_rows(const ev_seq *s) { return s->path.scored; }

static const char *pose_row(const ev_seq *s, int row, double *v)
{
	const e3_path_score *p = &s->path.score;
	const double all[POSE_FIGURES] = {p->ate.rmse, p->rpe_t.rmse, p->rpe_r.rmse, p->turn.mean, p->ate.mean,
		p->ate.median, p->ate.max, p->turn.max, p->sim.s, (double)s->path.frames};
	memcpy(v, all, sizeof all);
	return "Sim(3)";
}

static const char *pose_why(const ev_seq *s)
{
	return s->with_pose ? s->path.why : "no frame has both a predicted and a true pose";
}

const ev_task ev_task_pose = {
	"pose",
	"pose",
	pose_figures,
	POSE_FIGURES,
	false,
	pose_begin,
	pose_add,
	pose_finish,
	pose_free,
	pose_average,
	pose_rows,
	pose_row,
	pose_why,
};

/* --- pairs --- */

enum { PAIRS_FIGURES = 13 };

static const ev_figure pairs_figures[PAIRS_FIGURES] = {
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
	const ev_options *o;
	e3_pose (*pose)[2]; /* estimate, reference */
	size_t n, room;
} pairs_state;

static void *pairs_begin(const ev_options *o, e3_err *err)
{
	pairs_state *s = e3_alloc(1, sizeof *s, "the task pairs", err);
	if (s)
		*s = (pairs_state){.o = o};
	return s;
}

static int pairs_add(void *state, const ev_pair *p, e3_err *err)
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

static int pairs_finish(void *state, ev_seq *seq, e3_err *err)
{
	pairs_state *s = state;
	seq->pairs = (e3_pair_counts){0};
	seq->pair_frames = (int64_t)s->n;
	if (s->o->all && s->n > PAIRS_FRAMES) {
		snprintf(seq->pairs_why, sizeof seq->pairs_why,
			"more than %d frames: all their pairs are taken by 'e3-eval pairs'", PAIRS_FRAMES);
		return 0;
	}
	for (size_t i = 0; i < s->n; i++)
		for (size_t j = i + 1; j < s->n; j++) {
			const e3_pose est[2] = {s->pose[i][0], s->pose[j][0]}, ref[2] = {s->pose[i][1], s->pose[j][1]};
			double rotation, translation;
			e3_pair_errors(ref, est, &rotation, &translation);
			e3_pair_counts_add(&seq->pairs, rotation, translation);
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

static int pairs_rows(const ev_seq *s) { return s->pairs.n > 0; }

static const char *pairs_row(const ev_seq *s, int row, double *v)
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

/* All pairs pooled; by folder, where each `s` is a folder's pool, the mean of their figures. */
static void pairs_average(const ev_options *o, const ev_seq *s, int n, ev_seq *to)
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

static const char *pairs_why(const ev_seq *s)
{
	return s->pairs_why[0]  ? s->pairs_why
		: s->with_pose == 1 ? "one frame with poses makes no pair"
		: s->with_pose      ? ""
							: "no frame has both a predicted and a true pose";
}

const ev_task ev_task_pairs = {
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
