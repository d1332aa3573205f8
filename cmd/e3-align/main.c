/* e3-align: predictions and edges in, the same out in the newest world, and corrections for what went before. */
#include "align.h"
#include "e3/geom.h"
#include "e3/hold.h"
#include "e3/num.h"
#include "e3/tool.h"

typedef struct session {
	align_options *o;
	e3_stage *stage;
	e3_aligner *aligner; /* NULL: the stream has its corrections */
	e3_hold *hold;       /* with --final */
	e3_pred pred;
} session;

/* After a signal the last solution gets this long; then it is taken as it is. */
static int solved_long_enough(void)
{
	const double seconds = 1;
	static double since;
	if (!e3_stop_signal())
		return 0;
	since = since > 0 ? since : e3_now();
	return e3_now() - since > seconds;
}

static int tell(void *to, const e3_correct *x, e3_err *err)
{
	session *s = to;
	return s->hold ? e3_hold_correct(s->hold, x, err) : e3_out_correct(s->stage->out, x, err);
}

/* Writes a message, or holds it until the corrections are complete. */
static int pass(session *s, const e3_msg *msg, e3_err *err)
{
	return s->hold ? e3_hold_put(s->hold, msg, err) : e3_stage_pass(s->stage, msg, err);
}

static int begin(session *s, const e3_msg *msg, e3_err *err)
{
	e3_head *head = &s->stage->head;
	bool before = head->corrects;
	if (before && !s->o->final)
		return e3_fail(err,
			"reading: the stream has been aligned already: option --final applies its corrections, and e3-export does");
	if (before && (s->o->aligner.n_known || s->o->aligner.n_distances))
		return e3_fail(err,
			"reading: the stream has been aligned already: known poses, positions and distances belong into that run");
	if (s->o->final && !(s->hold = e3_hold_open(0, err)))
		return -1;
	if (!before && !(s->aligner = e3_aligner_open(&s->o->aligner, err)))
		return -1;
	head->corrects = !s->o->final && align_wanted(s->o);
	return head->corrects == before ? e3_stage_pass(s->stage, msg, err) : e3_out_head(s->stage->out, head, err);
}

static int write_pred(session *s, const e3_msg *msg, bool moved, e3_err *err)
{
	e3_stage *stage = s->stage;
	/* Half precision was chosen for the network's units, which are not those of the world. */
	s->pred.half &= !moved || !e3_aligner_world(s->aligner);
	return moved ? e3_out_pred(stage->out, &s->pred, err) : e3_stage_pass(stage, msg, err);
}

static int take_pred(session *s, const e3_msg *msg, e3_err *err)
{
	bool moved = false;
	if (s->aligner && (e3_pred_decode(msg, &s->pred, err) || e3_aligner_pred(s->aligner, &s->pred, &moved, err)))
		return -1;
	if (s->hold)
		return e3_hold_put(s->hold, msg, err);
	if (write_pred(s, msg, moved, err))
		return -1;
	e3_latency_add(&s->stage->latency, s->pred.s.t_capture, e3_now_utc());
	return 0;
}

static int take_edge(session *s, const e3_msg *msg, e3_err *err)
{
	e3_edge edge;
	if (e3_edge_decode(msg, &edge, err) || pass(s, msg, err))
		return -1;
	return s->aligner ? e3_aligner_edge_add(s->aligner, &edge, err) : 0;
}

static int take_correct(session *s, const e3_msg *msg, e3_err *err)
{
	e3_correct x;
	return e3_correct_decode(msg, &x, err) || e3_hold_correct(s->hold, &x, err) ? -1 : 0;
}

static int write_corrected(session *s, const e3_msg *msg, e3_err *err)
{
	e3_pred *pred = &s->pred;
	if (e3_pred_decode(msg, pred, err))
		return -1;
	if (!pred->has_segment) { /* so that it says what has been applied */
		pred->has_segment = true, pred->segment = 0;
		e3_similarity_pack(&e3_similarity_identity, pred->world);
	}
	pred->half &= !s->aligner || !e3_aligner_world(s->aligner);
	return e3_hold_pred(s->hold, pred, err) || e3_out_pred(s->stage->out, pred, err) ? -1 : 0;
}

/* What was held, corrected. Predictions without a correction leave as they came. */
static int write_held(session *s, e3_err *err)
{
	e3_msg msg;
	int more, rc = 0;
	while (!rc && (more = e3_hold_next(s->hold, &msg, err)) != 0) {
		if (more < 0)
			return -1;
		bool correct = msg.kind == E3_PRED && e3_hold_corrects(s->hold, e3_msg_index(&msg));
		rc = correct ? write_corrected(s, &msg, err) : e3_stage_pass(s->stage, &msg, err);
	}
	return rc;
}

/* There is no more: the last solution, and what was held. */
static int complete(session *s, e3_err *err)
{
	if (s->aligner && e3_aligner_finish(s->aligner, err))
		return -1;
	return s->hold ? write_held(s, err) : 0;
}

static int take(session *s, const e3_msg *msg, e3_err *err)
{
	switch (msg->kind) {
	case E3_HEAD:
		return begin(s, msg, err);
	case E3_PRED:
		return take_pred(s, msg, err);
	case E3_EDGE:
		return take_edge(s, msg, err);
	case E3_CORRECT:
		return take_correct(s, msg, err);
	case E3_END:
		return complete(s, err) || e3_stage_pass(s->stage, msg, err) ? -1 : 0;
	default:
		return pass(s, msg, err);
	}
}

/* After a failure: what came is worth its corrections too; the failure is what is reported. */
static int keep(session *s)
{
	e3_err other = {""};
	if (complete(s, &other))
		e3_warn("%s", other.text);
	return -1;
}

/* The stream to its end, or to a signal: then the frames so far are finished. */
static int loop(session *s, e3_err *err)
{
	e3_msg msg;
	e3_stage *stage = s->stage;
	int more;
	while ((more = e3_stage_next(stage, &msg, err)) > 0) {
		if (take(s, &msg, err)) /* a full TMPDIR: what is held is whole */
			return s->hold && msg.kind != E3_HEAD && msg.kind != E3_END ? keep(s) : -1;
		e3_stage_progress(stage, stage->preds, stage->head.frames, "%s", "");
	}
	if (more < 0)
		return stage->head.tool && !stage->ended ? keep(s) : -1;
	if (!stage->interrupted || stage->ended || !stage->head.tool)
		return 0;
	const e3_end end = e3_stage_end(stage, stage->preds > stage->frames ? stage->preds : stage->frames);
	return complete(s, err) || e3_out_end(stage->out, &end, err) ? -1 : 0;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	e3_tool_init("e3-align");
	align_options *o = align_parse(argc, argv);
	session s = {.o = o, .stage = &o->stage};
	o->aligner.tell = tell, o->aligner.to = &s;
	o->aligner.graph.stop = solved_long_enough;
	int rc = align_load(o, &err) || align_report_check(o, &err) || e3_stage_open_output(s.stage, &err) ||
			e3_stage_open_input(s.stage, &err) || loop(&s, &err)
		? -1
		: 0;
	rc = e3_stage_finish(s.stage, rc, &err);
	e3_progress_end();
	if (!rc && s.aligner) {
		align_warn(o, e3_aligner_facts_of(s.aligner));
		rc = align_report(o, e3_aligner_facts_of(s.aligner), &err);
	}
	e3_pred_release(&s.pred);
	e3_hold_close(s.hold);
	e3_aligner_close(s.aligner);
	for (int k = 0; k < KNOWN_FILES; k++)
		e3_known_release(&o->known[k]);
	e3_stage_close(s.stage);
	return e3_tool_exit(rc, &err);
}
