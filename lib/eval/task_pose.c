/* eval: the task pose: the camera path as a whole. */
#include "eval/tasks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSE_FIGURES = 13 };

static const eval_figure pose_figures[POSE_FIGURES] = {
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
	{"drift_t", NULL, 5},
	{"drift_r", NULL, 5},
	{"path_length", NULL, 5},
};

typedef struct pose_state {
	const e3_eval_options *o;
	e3_camera_pose *est, *ref;
	e3_intrinsics *intrinsics; /* for result files */
	size_t n, room_est, room_ref, room_intrinsics;
} pose_state;

static void *pose_begin(const e3_eval_options *o, e3_err *err)
{
	pose_state *s = e3_alloc(1, sizeof *s, "the task pose", err);
	if (s)
		*s = (pose_state){.o = o};
	return s;
}

static int push(e3_camera_pose **p, size_t *room, size_t n, const e3_pose *pose, e3_err *err)
{
	if (n == *room) {
		size_t more = n ? 2 * n : 64;
		if (e3_grow((void **)p, more, sizeof **p, "the path", err))
			return -1;
		*room = more;
	}
	e3_camera_pose_of(pose, *p + n);
	return 0;
}

static int push_intrinsics(pose_state *s, const e3_pred *p, e3_err *err)
{
	if (s->n == s->room_intrinsics) {
		size_t more = s->n ? 2 * s->n : 64;
		if (e3_grow((void **)&s->intrinsics, more, sizeof *s->intrinsics, "intrinsics", err))
			return -1;
		s->room_intrinsics = more;
	}
	s->intrinsics[s->n] = e3_intrinsics_decode(p->pose, p->w, p->h);
	return 0;
}

static int pose_add(void *state, const eval_sample *p, e3_err *err)
{
	pose_state *s = state;
	if (!p->has_pose)
		return 0;
	if (push(&s->est, &s->room_est, s->n, &p->pose, err) || push(&s->ref, &s->room_ref, s->n, &p->truth->pose, err))
		return -1;
	if (s->o->results && p->pred && push_intrinsics(s, p->pred, err))
		return -1;
	s->n++;
	return 0;
}

static int pose_finish(void *state, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	pose_state *s = state;
	e3_err why;
	seq->path = (e3_eval_path){.frames = (int64_t)s->n};
	if (s->n == 0)
		return 0;
	double *ate = e3_alloc(s->n, sizeof *ate, "errors of a path", err);
	if (!ate)
		return -1;
	if (s->n == 1)
		e3_fail(&why, "a path needs two or more frames with poses");
	seq->path.scored = s->n > 1 && !e3_path_evaluate(s->ref, s->est, s->n, &seq->path.score, ate, &why);
	if (!seq->path.scored)
		snprintf(seq->path.why, sizeof seq->path.why, "%.*s", E3_EVAL_WHY - 1, why.text);
	seq->pose = s->est, seq->true_pose = s->ref, seq->ate = ate, seq->intrinsics = s->intrinsics;
	s->est = s->ref = NULL, s->intrinsics = NULL;
	return 0;
}

static void pose_free(void *state)
{
	pose_state *s = state;
	if (s)
		free(s->est), free(s->ref), free(s->intrinsics);
	free(s);
}

/* The value that the reference reads back from its result files. */
static double six(const e3_eval_options *o, double v)
{
	char text[64];
	if (!o->compat)
		return v;
	snprintf(text, sizeof text, "%.6f", v);
	return strtod(text, NULL);
}

static void pose_average(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to)
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
		sum.drift_t += p->drift_t, sum.drift_r += p->drift_r, sum.length += p->length;
		to->path.frames += s[k].path.frames;
		count++;
	}
	to->path.scored = count > 0;
	double *const mean[] = {&sum.ate.rmse, &sum.rpe_t.rmse, &sum.rpe_r.rmse, &sum.ate.mean, &sum.ate.median,
		&sum.ate.max, &sum.turn.mean, &sum.turn.max, &sum.sim.s, &sum.drift_t, &sum.drift_r, &sum.length};
	for (size_t k = 0; count && k < sizeof mean / sizeof *mean; k++)
		*mean[k] /= count;
	to->path.score = sum;
}

static int pose_rows(const e3_eval_seq *s) { return s->path.scored; }

static const char *pose_row(const e3_eval_seq *s, int row, double *v)
{
	const e3_path_score *p = &s->path.score;
	const double all[POSE_FIGURES] = {p->ate.rmse, p->rpe_t.rmse, p->rpe_r.rmse, p->turn.mean, p->ate.mean,
		p->ate.median, p->ate.max, p->turn.max, p->sim.s, (double)s->path.frames, p->drift_t, p->drift_r, p->length};
	memcpy(v, all, sizeof all);
	return "Sim(3)";
}

static const char *pose_why(const e3_eval_seq *s)
{
	return s->with_pose ? s->path.why : "no frame has both a predicted and a true pose";
}

const eval_task eval_task_pose = {
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
