/* eval: truth from a file of its own: a stream, a safetensors file, a trajectory file; or the predictions of another
 * run in its place; frame by frame, in order. */
#include "eval/tasks.h"
#include "e3/checkpoint.h"
#include "e3/hold.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct eval_truth {
	eval_input_kind kind;
	const char *path;
	const e3_eval_options *o;
	e3_truth now; /* the truth returned last or, for streams, to be returned next */
	/* stream */
	e3_in *in;
	e3_hold *hold;
	bool ended, ahead; /* `ahead`: `now` was not returned yet */
	e3_pred other;     /* with `against`: `now` borrows its depth */
	/* safetensors */
	e3_ckpt *ckpt;
	const e3_tensor_info *depth, *pose;
	/* trajectory */
	e3_traj traj;
	bool *given; /* by time: poses that a prediction got */
	size_t last; /* the newest of them */
};

/* The messages of a stream that say the truth. */
static int wanted(const eval_truth *t) { return t->o->against ? E3_PRED : E3_TRUTH; }

int eval_frame_truth_of(const e3_truth *t, eval_frame_truth *to, e3_err *err)
{
	*to = (eval_frame_truth){.map = t->depth ? t : NULL, .has_pose = t->has_pose, .unit = t->unit};
	if (t->has_pose && e3_pose_decode(t->pose, &to->pose, err))
		return e3_fail_in(err, "truth of frame %" PRId64, t->i);
	return 0;
}

static int open_tensors(eval_truth *t, e3_err *err)
{
	if (!(t->ckpt = e3_ckpt_open(t->path, err)))
		return -1;
	t->depth = e3_ckpt_find(t->ckpt, "depth"), t->pose = e3_ckpt_find(t->ckpt, "pose");
	if (!t->depth && !t->pose)
		return e3_fail(err, "reading the truth: %s: it has neither a tensor 'depth' nor a tensor 'pose'", t->path);
	if (t->depth &&
		(t->depth->rank != 3 || t->depth->shape[1] < 1 || t->depth->shape[1] > 65535 || t->depth->shape[2] < 1 ||
			t->depth->shape[2] > 65535))
		return e3_fail(err, "reading the truth: %s: depth: expected the shape [frames, height, width]", t->path);
	if (t->pose && (t->pose->rank != 2 || t->pose->shape[1] != 9))
		return e3_fail(err, "reading the truth: %s: pose: expected the shape [frames, 9]", t->path);
	if (t->depth && t->pose && t->depth->shape[0] != t->pose->shape[0])
		return e3_fail(err, "reading the truth: %s: depth of %" PRId64 " frames, poses of %" PRId64, t->path,
			t->depth->shape[0], t->pose->shape[0]);
	if (!t->depth)
		return 0;
	t->now.h = (int)t->depth->shape[1], t->now.w = (int)t->depth->shape[2];
	t->now.depth = e3_alloc((size_t)t->now.w * (size_t)t->now.h, sizeof *t->now.depth, "a depth map", err);
	return t->now.depth ? 0 : -1;
}

eval_truth *eval_truth_open(const char *path, const e3_eval_options *o, e3_err *err)
{
	eval_truth *t = e3_alloc(1, sizeof *t, "the truth", err);
	if (!t)
		return NULL;
	*t = (eval_truth){.path = path, .o = o};
	int rc = eval_input_kind_of(path, &t->kind, err);
	if (!rc && o->against && t->kind != EVAL_STREAM)
		rc = e3_fail(err, "comparing with %s: expected a stream of predictions", path);
	else if (!rc && t->kind == EVAL_STREAM)
		rc = (t->hold = e3_hold_open(1U << wanted(t), err)) && (t->in = e3_in_open(path, &o->stream, err)) ? 0 : -1;
	else if (!rc && t->kind == EVAL_SAFETENSORS)
		rc = open_tensors(t, err);
	else if (!rc)
		rc = eval_traj_load(path, o, &t->traj, err) ||
				!(t->given = e3_alloc(t->traj.n, sizeof *t->given, "the truth", err))
			? -1
			: 0;
	if (rc) {
		eval_truth_close(t);
		return NULL;
	}
	return t;
}

/* Decodes a message of the wanted kind into `now`. */
static int decode_now(eval_truth *t, const e3_msg *msg, e3_err *err)
{
	if (!t->o->against)
		return e3_truth_decode(msg, &t->now, err);
	if (e3_pred_decode(msg, &t->other, err) || e3_hold_pred(t->hold, &t->other, err))
		return -1;
	const e3_pred *p = &t->other;
	t->now = (e3_truth){.i = p->s.i, .w = p->w, .h = p->h, .depth = p->depth, .has_pose = p->has_pose};
	memcpy(t->now.pose, p->pose, sizeof t->now.pose);
	return 0;
}

/* Reads on until the truth of frame i or a later one is in `now`. */
static int stream_at(eval_truth *t, int64_t i, eval_frame_truth *to, e3_err *err)
{
	e3_msg msg;
	int rc = 1;
	while (!t->ended && !(t->ahead && t->now.i >= i)) {
		if ((rc = e3_hold_read(t->hold, e3_hold_from_in, t->in, &msg, err)) < 0)
			return e3_fail_in(err, "the truth");
		t->ended = rc == 0;
		if (rc == 0 || msg.kind != wanted(t) || e3_msg_index(&msg) < i)
			continue;
		if (decode_now(t, &msg, err))
			return e3_fail_in(err, "the truth: %s", t->path);
		t->ahead = true;
	}
	if (!t->ahead || t->now.i != i)
		return 0;
	return eval_frame_truth_of(&t->now, to, err) ? -1 : 1;
}

/* Row k is the truth of the k-th picture of the source. */
static int tensors_at(eval_truth *t, const e3_source *s, eval_frame_truth *to, e3_err *err)
{
	const e3_tensor_info *any = t->depth ? t->depth : t->pose;
	size_t pixels = (size_t)t->now.w * (size_t)t->now.h;
	t->now.i = s->i;
	if (s->src_i >= any->shape[0])
		return e3_fail(err,
			"frame %" PRId64 " shows picture %" PRId64 " of the source, counted from 0: %s has the truth of %" PRId64,
			s->i, s->src_i, t->path, any->shape[0]);
	if (t->depth && e3_ckpt_read_f32(t->ckpt, t->depth, (size_t)s->src_i * pixels, pixels, t->now.depth, err))
		return -1;
	if (t->pose && e3_ckpt_read_f32(t->ckpt, t->pose, (size_t)s->src_i * 9, 9, t->now.pose, err))
		return -1;
	t->now.has_pose = t->pose != NULL;
	if (eval_frame_truth_of(&t->now, to, err))
		return -1;
	to->unit = e3_ckpt_meta(t->ckpt, "unit");
	return 1;
}

/* The stamp nearest to `at`. Stamps need not be in order. */
static size_t nearest(const e3_traj *t, double at)
{
	size_t best = 0;
	for (size_t k = 1; k < t->n; k++)
		if (fabs(t->stamp[k] - at) < fabs(t->stamp[best] - at))
			best = k;
	return best;
}

static int traj_at(eval_truth *t, int64_t k, const e3_source *s, eval_frame_truth *to, e3_err *err)
{
	size_t row = (size_t)k;
	*to = (eval_frame_truth){.has_pose = true};
	if (t->o->max_diff >= 0) {
		row = nearest(&t->traj, s->pts);
		double gap = fabs(t->traj.stamp[row] - s->pts);
		if (!(gap <= t->o->max_diff) || (t->given[row] && row != t->last))
			return 0;
		t->given[row] = true, t->last = row;
		to->by_time = true, to->row = row, to->gap = gap;
	} else if (row >= t->traj.n)
		return 0; /* eval_truth_end reports both counts */
	return eval_traj_pose(t->traj.pose[row], &to->pose, err) ? -1 : 1;
}

int eval_truth_at(eval_truth *t, int64_t k, const e3_source *s, eval_frame_truth *to, e3_err *err)
{
	switch (t->kind) {
	case EVAL_STREAM:
		return stream_at(t, s->i, to, err);
	case EVAL_SAFETENSORS:
		return tensors_at(t, s, to, err);
	default:
		return traj_at(t, k, s, to, err);
	}
}

int eval_truth_end(const eval_truth *t, int64_t n, e3_err *err)
{
	if (t->kind != EVAL_TRAJ || t->o->max_diff >= 0 || t->traj.n == (size_t)n)
		return 0;
	return e3_fail(err, "pairing poses: %" PRId64 " predicted, %zu true ones in %s%s", n, t->traj.n, t->path,
		eval_hint(t->o->hints.unequal_counts));
}

void eval_truth_close(eval_truth *t)
{
	if (!t)
		return;
	if (t->o->against)
		t->now.depth = NULL;
	e3_pred_release(&t->other), e3_truth_release(&t->now);
	e3_hold_close(t->hold);
	e3_in_close(t->in);
	if (t->ckpt)
		e3_ckpt_close(t->ckpt);
	e3_traj_release(&t->traj);
	free(t->given);
	free(t);
}
