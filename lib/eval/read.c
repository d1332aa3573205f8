/* eval: reading one input: pairs each prediction with its truth and passes both to the tasks. */
#include "eval/tasks.h"
#include "e3/hold.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING = 8 }; /* most predictions that wait for their truth, or the reverse */

/* A predicted pose beside the true one that is nearest in time. */
typedef struct timed {
	bool there, has_pred;
	eval_frame_truth truth;
	e3_pred pred; /* without arrays and texts, which are the message's */
	e3_pose pose;
} timed;

typedef struct run {
	const e3_eval_options *o;
	e3_eval_seq *s;
	eval_truth *truth; /* from a file; NULL: from the stream */
	e3_in *in;
	e3_hold *hold;
	void *state[E3_EVAL_TASKS];
	e3_pred pending_pred[WAITING];
	e3_truth pending_truth[WAITING];
	int n_pending_pred, n_pending_truth;
	int64_t n_truths; /* truth messages of the stream so far */
	int64_t held;     /* predictions that wait for corrections */
	timed last;       /* by time: the pair that waits for a nearer one */
	e3_resampler resampler;
	e3_source resampler_source; /* the frame `resampler` was made for */
	float *depth, *pixels;
	size_t room; /* capacity of both, in pixels */
} run;

static int begin_tasks(run *r, e3_err *err)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		if (r->o->tasks >> k & 1 && !(r->state[k] = eval_tasks[k]->begin(r->o, err)))
			return -1;
	return 0;
}

static int add_to_tasks(run *r, const eval_sample *p, e3_err *err)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		if (r->state[k] && eval_tasks[k]->add(r->state[k], p, err))
			return -1;
	return 0;
}

static bool resampler_fits(const run *r, const e3_pred *p, const e3_truth *t)
{
	const e3_source *a = &r->resampler_source, *b = &p->s;
	return r->resampler.w == t->w && r->resampler.h == t->h && r->resampler.from_w == p->w &&
		r->resampler.from_h == p->h && a->src_w == b->src_w && a->src_h == b->src_h &&
		!memcmp(&a->fit, &b->fit, sizeof a->fit);
}

/* Resizes the predicted depth to the truth's size and collects the pixels to score. */
static int match_depth(run *r, const e3_pred *p, const e3_truth *t, eval_sample *pair, e3_err *err)
{
	size_t n = (size_t)t->w * (size_t)t->h;
	if (!resampler_fits(r, p, t)) {
		e3_resampler_release(&r->resampler);
		if (e3_resampler_init(&r->resampler, &p->s, (int[]){p->w, p->h}, (int[]){t->w, t->h}, err))
			return -1;
		r->resampler_source = p->s;
	}
	if (n > r->room) {
		if (e3_grow((void **)&r->depth, n, sizeof *r->depth, "a depth map", err) ||
			e3_grow((void **)&r->pixels, n, 2 * sizeof *r->pixels, "pixels", err))
			return -1;
		r->room = n;
	}
	e3_pixel_count before = r->s->pixels;
	if (r->o->npy && eval_save_npy(r->o, r->s->name, r->s->with_depth, p, err))
		return -1;
	e3_resampler_apply(&r->resampler, p->depth, r->depth);
	pair->n_pixels = e3_pixels_collect(&r->resampler, r->depth, t->depth, &r->o->pixels, r->pixels, &r->s->pixels);
	pair->resampler = &r->resampler, pair->depth = r->depth, pair->pixels = r->pixels;
	if (!r->s->with_depth++)
		r->s->truth_w = t->w, r->s->truth_h = t->h, r->s->w = p->w, r->s->h = p->h;
	if (r->s->pixels.not_finite > before.not_finite && r->s->first_not_finite < 0)
		r->s->first_not_finite = p->s.i;
	if (r->s->pixels.not_positive > before.not_positive && r->s->first_not_positive < 0)
		r->s->first_not_positive = p->s.i;
	return 0;
}

/* Keeps what the charts need of a frame. */
static int remember(run *r, const eval_sample *p, e3_err *err)
{
	e3_eval_seq *s = r->s;
	e3_pixels x = {.f = p->pixels, .n = p->n_pixels};
	e3_depth_rule rule = {E3_DEPTH_MEDIAN, r->o->disparity, r->o->clip, 1};
	e3_depth_fit fit;
	e3_depth_score one;
	if (s->n_frame_errors == s->frame_errors_room) {
		size_t more = s->n_frame_errors ? 2 * s->n_frame_errors : 64;
		if (e3_grow((void **)&s->frame_error, more, sizeof *s->frame_error, "errors of frames", err))
			return -1;
		s->frame_errors_room = more;
	}
	if (e3_depth_align_fit(&x, &rule, &fit, err))
		return -1;
	e3_depth_evaluate(&x, &rule, &fit, &one);
	s->frame_error[s->n_frame_errors++] =
		(e3_eval_frame_error){p->pred->s.i, one.n > 0 ? (float)one.abs_rel : NAN, NAN, p->n_pixels};
	return eval_shots_add(&s->shots, p, r->o, err);
}

/* --- poses paired by time: each true one counts once, for the prediction nearest to it --- */

static int score_last(run *r, e3_err *err)
{
	timed *l = &r->last;
	eval_sample pair = {.k = r->s->with_truth,
		.head = &r->s->head,
		.pred = l->has_pred ? &l->pred : NULL,
		.truth = &l->truth,
		.has_pose = true,
		.pose = l->pose};
	if (!l->there)
		return 0;
	l->there = false;
	r->s->with_truth++, r->s->with_pose++;
	return add_to_tasks(r, &pair, err);
}

/* p: NULL for a pose of a trajectory file. */
static int wait_for_nearer(run *r, const e3_pred *p, const e3_pose *pose, const eval_frame_truth *t, e3_err *err)
{
	timed *l = &r->last;
	if (l->there && l->truth.row == t->row && l->truth.gap <= t->gap)
		return 0;
	if (l->there && l->truth.row != t->row && score_last(r, err))
		return -1;
	*l = (timed){.there = true, .has_pred = p, .truth = *t, .pose = *pose};
	if (p) {
		l->pred = (e3_pred){.s = {.i = p->s.i}, .w = p->w, .h = p->h, .has_pose = true};
		memcpy(l->pred.pose, p->pose, sizeof p->pose);
	}
	return 0;
}

/* Scores a prediction against its truth. */
static int score(run *r, const e3_pred *p, const eval_frame_truth *t, e3_err *err)
{
	e3_eval_seq *s = r->s;
	eval_sample pair = {.k = s->with_truth, .head = &s->head, .pred = p, .truth = t};
	if (p->has_pose && t->by_time)
		return e3_pose_decode(p->pose, &pair.pose, err) ? e3_fail_in(err, "frame %" PRId64, p->s.i)
														: wait_for_nearer(r, p, &pair.pose, t, err);
	s->with_truth++;
	if (t->unit && !s->unit[0])
		snprintf(s->unit, sizeof s->unit, "%s", t->unit);
	if (p->depth && t->map && match_depth(r, p, t->map, &pair, err))
		return -1;
	if (pair.resampler && r->o->charts && remember(r, &pair, err))
		return -1;
	if (p->has_pose && t->has_pose) {
		if (e3_pose_decode(p->pose, &pair.pose, err))
			return e3_fail_in(err, "frame %" PRId64, p->s.i);
		pair.has_pose = true;
		s->with_pose++;
	}
	return add_to_tasks(r, &pair, err);
}

/* --- truth inside the stream, before or after its prediction --- */

static void drop(void *all, int *n, size_t size)
{
	char *p = all, first[sizeof(e3_pred) > sizeof(e3_truth) ? sizeof(e3_pred) : sizeof(e3_truth)];
	memcpy(first, p, size); /* its buffers are used again */
	memmove(p, p + size, (WAITING - 1) * size);
	memcpy(p + (WAITING - 1) * size, first, size);
	--*n;
}

static void drop_pred(run *r) { drop(r->pending_pred, &r->n_pending_pred, sizeof *r->pending_pred); }
static void drop_truth(run *r) { drop(r->pending_truth, &r->n_pending_truth, sizeof *r->pending_truth); }

/* Both come in order of their index, so when the first ones differ, the lower one has no partner. */
static int match(run *r, e3_err *err)
{
	while (r->n_pending_pred && r->n_pending_truth) {
		int64_t a = r->pending_pred[0].s.i, b = r->pending_truth[0].i;
		eval_frame_truth t;
		if (a == b && (eval_frame_truth_of(&r->pending_truth[0], &t, err) || score(r, &r->pending_pred[0], &t, err)))
			return -1;
		if (a <= b)
			drop_pred(r);
		if (b <= a)
			drop_truth(r);
	}
	return 0;
}

static int take_pred(run *r, const e3_msg *msg, e3_err *err)
{
	if (r->n_pending_pred == WAITING)
		drop_pred(r);
	e3_pred *p = &r->pending_pred[r->n_pending_pred];
	if (e3_pred_decode(msg, p, err) || e3_hold_pred(r->hold, p, err))
		return -1;
	int64_t k = r->s->frames++;
	if (!r->truth) {
		r->n_pending_pred++;
		return match(r, err);
	}
	eval_frame_truth t;
	int rc = eval_truth_at(r->truth, k, &p->s, &t, err);
	return rc < 0 || (rc > 0 && score(r, p, &t, err)) ? -1 : 0;
}

static int take_truth(run *r, const e3_msg *msg, e3_err *err)
{
	if (r->truth)
		return 0;
	if (r->n_pending_truth == WAITING)
		drop_truth(r);
	if (e3_truth_decode(msg, &r->pending_truth[r->n_pending_truth], err))
		return -1;
	r->n_pending_truth++, r->n_truths++;
	return match(r, err);
}

/* A stream from a pipe is named after its source. */
static int name_pipe(e3_eval_seq *s, e3_err *err)
{
	if (strcmp(s->input, "-") || !s->head.source || !s->head.source[0])
		return 0;
	free(s->name);
	return (s->name = eval_stem(s->head.source)) ? 0 : e3_fail(err, "naming %s: out of memory", s->input);
}

static int take(run *r, const e3_msg *msg, e3_err *err)
{
	e3_eval_seq *s = r->s;
	switch (msg->kind) {
	case E3_HEAD:
		if (e3_head_decode(msg, &s->head, err))
			return -1;
		return s->head.model ? name_pipe(s, err)
							 : e3_fail(err, "a stream from %s without predictions: e3-infer makes them",
								   s->head.tool ? s->head.tool : "an unknown tool");
	case E3_PRED:
		return take_pred(r, msg, err);
	case E3_TRUTH:
		return take_truth(r, msg, err);
	case E3_END:
		s->has_end = true;
		return e3_end_decode(msg, &s->end, err);
	default:
		return 0;
	}
}

/* A stop is an end here: what came until then is scored. The reason stays in err. */
static int next(void *from, e3_msg *msg, e3_err *err)
{
	run *r = from;
	int more = e3_in_next(r->in, msg, err);
	r->s->interrupted = more < 0 && eval_stopped(r->o);
	if (more > 0 && msg->kind == E3_PRED && r->s->head.corrects && r->o->progress)
		r->o->progress(r->s->name, ++r->held);
	return r->s->interrupted ? 0 : more;
}

static int read_stream(run *r, const char *input, e3_err *err)
{
	e3_msg msg;
	int rc = 1;
	const unsigned kinds = 1U << E3_PRED | 1U << E3_TRUTH | 1U << E3_END;
	if (!(r->in = e3_in_open(input, &r->o->stream, err)) || !(r->hold = e3_hold_open(kinds, err)))
		return -1;
	while (rc > 0 && (rc = e3_hold_read(r->hold, next, r, &msg, err)) > 0) {
		if (take(r, &msg, err))
			rc = -1;
		else if (r->o->progress)
			r->o->progress(r->s->name, r->s->frames);
	}
	return rc < 0 || (r->s->interrupted && r->s->frames == 0) ? -1 : 0;
}

/* A trajectory file in place of predictions: only poses. */
static int read_traj(run *r, const char *input, e3_err *err)
{
	e3_traj traj;
	int rc = eval_traj_load(input, r->o, &traj, err);
	if (!rc && !r->truth)
		rc = e3_fail(err, "a trajectory file carries no truth%s", eval_hint(r->o->hints.no_truth_file));
	for (size_t k = 0; !rc && k < traj.n; k++) {
		e3_source s =
			{.i = (int64_t)k, .src_i = (int64_t)k, .pts = traj.stamp[k], .src_w = 1, .src_h = 1, .fit = {1, 1, 0, 0}};
		eval_frame_truth t;
		int has = eval_truth_at(r->truth, r->s->frames++, &s, &t, err);
		eval_sample pair = {.k = r->s->with_truth, .head = &r->s->head, .truth = &t, .has_pose = true};
		if (has < 0 || (has > 0 && eval_traj_pose(traj.pose[k], &pair.pose, err)))
			rc = -1;
		else if (has > 0 && t.by_time)
			rc = wait_for_nearer(r, NULL, &pair.pose, &t, err);
		else if (has > 0 && t.has_pose) {
			r->s->with_truth++, r->s->with_pose++;
			rc = add_to_tasks(r, &pair, err);
		}
	}
	e3_traj_release(&traj);
	return rc;
}

static int finish(run *r, e3_err *err)
{
	e3_eval_seq *s = r->s;
	const char *plural = s->frames == 1 ? "" : "s";
	eval_scoring scoring;
	if (s->frames == 0)
		return e3_fail(err, "it has no predictions"), e3_head_explain_empty(&s->head, err);
	if (score_last(r, err))
		return -1;
	if (r->truth && !s->interrupted && eval_truth_end(r->truth, s->frames, err))
		return -1;
	if (s->with_truth == 0 && r->n_truths > 0)
		return e3_fail(err, "its %" PRId64 " prediction%s and its %" PRId64 " truth%s have no frame in common",
			s->frames, plural, r->n_truths, r->n_truths == 1 ? "" : "s");
	if (s->with_truth == 0)
		return r->truth ? e3_fail(err, "none of its %" PRId64 " prediction%s has a truth", s->frames, plural)
						: e3_fail(err, "no truth beside its %" PRId64 " prediction%s%s", s->frames, plural,
							  eval_hint(r->o->hints.no_truth));
	eval_scoring_begin(&scoring, r->o, s->name);
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		if (r->state[k] && eval_tasks[k]->finish(r->state[k], s, &scoring.work, err))
			return -1;
	return 0;
}

static void release(run *r)
{
	for (int k = 0; k < E3_EVAL_TASKS; k++)
		if (r->state[k])
			eval_tasks[k]->free(r->state[k]);
	for (int k = 0; k < WAITING; k++)
		e3_pred_release(&r->pending_pred[k]), e3_truth_release(&r->pending_truth[k]);
	eval_truth_close(r->truth);
	e3_hold_close(r->hold);
	e3_in_close(r->in);
	e3_resampler_release(&r->resampler);
	free(r->depth), free(r->pixels);
}

int eval_read(const e3_eval_options *o, const char *input, const char *truth, e3_eval_seq *s, e3_err *err)
{
	run r = {.o = o, .s = s};
	eval_input_kind kind;
	int rc = eval_input_kind_of(input, &kind, err);
	if (!rc && kind == EVAL_SAFETENSORS)
		rc = e3_fail(err, "a safetensors file, expected a prediction stream or a trajectory");
	if (!rc)
		rc = begin_tasks(&r, err);
	if (!rc && truth && !(r.truth = eval_truth_open(truth, o, err)))
		rc = -1;
	if (!rc)
		rc = kind == EVAL_TRAJ ? read_traj(&r, input, err) : read_stream(&r, input, err);
	if (!rc)
		rc = finish(&r, err);
	release(&r);
	/* messages of file readers name the file already */
	return rc ? (strcmp(input, "-") && strstr(err->text, input) ? -1 : e3_fail_in(err, "evaluating: %s", input)) : 0;
}
