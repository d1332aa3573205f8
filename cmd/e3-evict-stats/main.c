/* e3-evict-stats: reads a prediction stream to its end, then writes the reports and pictures asked for. */
#include "evict-stats.h"
#include "e3/io.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TOKENS = 1 << 20 };

typedef struct session {
	const options *o;
	e3_stage *stage;    /* with an output where the stream is passed on */
	e3_file to;         /* the report; closed: standard error */
	const char *source; /* the input's name for messages */
	e3_replay replay;
	e3_trace_check check;
	e3_trace_stats stats;
	e3_trace_shots shots;
	e3_trace_attn *attn; /* NULL: not asked for */
	e3_trace_latency latency;
	e3_pred pred;
	e3_evict evict;
	e3_attn attn_record;
	int64_t preds;
} session;

static bool with_shots(const options *o) { return o->png || o->sheet; }

/* The record's numbers are trusted from here on: sizes are computed from them. */
static int read_shape(const session *x, e3_trace_shape *shape, e3_err *err)
{
	const e3_head *h = &x->stage->head;
	int64_t patches = (int64_t)h->patch_grid[0] * h->patch_grid[1];
	if (h->frames == 0 && h->tokens_per_frame == 0)
		return e3_fail(err, "reading: %s: no frame came: there is no cache to look at", x->source);
	if (h->layers < 1 || h->layers > E3_TRACE_MAX_LAYERS || h->tokens_per_frame < 1 ||
		h->tokens_per_frame > MAX_TOKENS || h->patch_grid[0] < 1 || h->patch_grid[1] < 1 ||
		patches > h->tokens_per_frame)
		return e3_fail(err,
			"reading the head: %d layers, %d tokens a frame, %d x %d patches: expected 1 to %d layers, 1 to %d tokens, "
			"no more patches than tokens",
			h->layers, h->tokens_per_frame, h->patch_grid[0], h->patch_grid[1], E3_TRACE_MAX_LAYERS, MAX_TOKENS);
	*shape = (e3_trace_shape){h->layers, h->tokens_per_frame, h->patch_grid[0], h->patch_grid[1],
		(int)(h->tokens_per_frame - patches)};
	for (int k = 0; k < x->o->look.n_layers; k++)
		if (x->o->look.layers[k] >= h->layers)
			return e3_fail(err, "option --layers: layer %d: the network has layers 0 to %d", x->o->look.layers[k],
				h->layers - 1);
	return 0;
}

static int start(session *x, e3_err *err)
{
	const e3_head *h = &x->stage->head;
	e3_trace_shape shape;
	x->source = strcmp(x->stage->input, "-") ? x->stage->input : h->source ? h->source : "-";
	if (h->frozen)
		return e3_fail(err, "reading: %s: made by e3-infer --freeze: the cache did not change", x->source);
	if (h->seen)
		return e3_fail(err,
			"reading: %s: continues another stream after its frame %" PRId64
			", and the records of that one are needed too: join both with e3-cat --then",
			x->source, h->after);
	if (read_shape(x, &shape, err) || e3_replay_init(&x->replay, &shape, err))
		return -1;
	e3_trace_check_init(&x->check, h);
	if (with_shots(x->o) && e3_trace_shots_init(&x->shots, &shape, MAX_SHOTS, err))
		return -1;
	if (x->o->attn && !(x->attn = e3_trace_attn_open(&x->o->attn_look, &shape, err)))
		return -1;
	return 0;
}

static int add_evict(session *x, const e3_msg *msg, e3_err *err)
{
	if (e3_evict_decode(msg, &x->evict, err) || e3_trace_check_step(&x->check, &x->replay, &x->evict, err))
		return -1;
	const e3_trace_violation *broken = e3_trace_check_broken(&x->check);
	if (broken && !x->o->check) {
		char text[320];
		e3_trace_violation_text(broken, text, sizeof text);
		return e3_fail(err, "replaying the cache: %s; records are missing or damaged (--check lists everything)", text);
	}
	if (e3_replay_add(&x->replay, &x->evict, err))
		return -1;
	return with_shots(x->o) ? 0 : e3_trace_stats_fold(&x->stats, &x->replay, err);
}

/* Predictions are decoded only for their pictures and, from a live source, for their latency. The first one tells
 * whether the source is live. */
static int add_pred(session *x, const e3_msg *msg, e3_err *err)
{
	bool maybe_live = x->preds == 0 || x->latency.n > 0;
	x->preds++;
	if (!with_shots(x->o) && !maybe_live)
		return 0;
	if (e3_pred_decode(msg, &x->pred, err) ||
		(x->pred.latency != 0 && e3_trace_latency_add(&x->latency, x->pred.latency, err)))
		return -1;
	return with_shots(x->o) ? e3_trace_shots_add(&x->shots, x->preds - 1, &x->pred, err) : 0;
}

static int add_attn(session *x, const e3_msg *msg, e3_err *err)
{
	if (!x->attn)
		return 0;
	if (e3_attn_decode(msg, &x->attn_record, err))
		return -1;
	return e3_trace_attn_add(x->attn, &x->replay, &x->attn_record, err);
}

static int add_message(session *x, const e3_msg *msg, e3_err *err)
{
	switch (msg->kind) {
	case E3_HEAD:
		return start(x, err);
	case E3_PRED:
		return add_pred(x, msg, err);
	case E3_EVICT:
		return add_evict(x, msg, err);
	case E3_ATTN:
		return add_attn(x, msg, err);
	default:
		return 0;
	}
}

/* The whole stream. After SIGINT or SIGTERM the frames so far are reported. */
static int read_stream(session *x, e3_err *err)
{
	e3_msg msg;
	int more;
	while ((more = e3_stage_next(x->stage, &msg, err)) > 0) {
		if (add_message(x, &msg, err) || e3_stage_pass(x->stage, &msg, err))
			return -1;
		e3_stage_progress(x->stage, x->replay.frames, x->stage->head.frames, "%s", "");
	}
	if (more < 0)
		return -1;
	if (x->replay.steps > 0)
		return 0;
	if (x->stage->interrupted)
		return e3_fail(err, "interrupted before the first frame");
	if (x->preds == 0)
		return e3_fail(err, "reading: %s: the stream has no frames: nothing to report", x->source);
	return e3_fail(err,
		"reading: %s: %" PRId64 " prediction%s, but no eviction records: they would say what the cache kept", x->source,
		x->preds, x->preds == 1 ? "" : "s");
}

/* Files that cannot be written are reported before the stream is read, because it may not come a second time. */
static int open_outputs(session *x, e3_err *err)
{
	e3_file sheet = {0};
	if (x->o->sheet && e3_file_open(&sheet, x->o->sheet, err))
		return -1;
	e3_file_discard(&sheet);
	if (x->o->pass && !x->o->output)
		return 0;
	return e3_file_open(&x->to, x->o->output ? x->o->output : "-", err);
}

static int write_report(session *x, const report *r, e3_err *err)
{
	e3_buf text = {0};
	int rc = x->o->json ? report_json(r, &text, err) : report_text(r, &text, err);
	if (!rc && !x->to.f && e3_write_full(STDERR_FILENO, text.data, text.len))
		rc = e3_fail_sys(err, "writing the report: standard error");
	if (!rc && x->to.f)
		rc = e3_file_write(&x->to, text.data, text.len, err) || e3_file_commit(&x->to, err) ? -1 : 0;
	e3_buf_release(&text);
	return rc;
}

static int draw_attention(session *x, e3_err *err)
{
	int layers = 0;
	if (e3_trace_attn_draw(x->attn, x->o->attn, &layers, err))
		return -1;
	if (layers == 0)
		return e3_fail(err, "drawing attention: the stream has no attention records%s: run e3-infer with --attn-layers",
			x->o->look.n_layers ? " of these layers" : "");
	return 0;
}

static int draw(session *x, const e3_trace_run *run, e3_err *err)
{
	const options *o = x->o;
	if (o->png && (e3_trace_sheets(run, &x->shots, &o->look, o->png, err) || e3_trace_charts(run, o->png, err)))
		return -1;
	if (o->sheet && e3_trace_contact(run, &x->shots, o->columns, o->sheet, err))
		return -1;
	return o->attn ? draw_attention(x, err) : 0;
}

static int report_all(session *x, e3_err *err)
{
	const options *o = x->o;
	if (with_shots(o) && x->shots.n == 0)
		return e3_fail(err, "drawing: %s: the stream has no pictures (no predictions)", x->source);
	if (e3_trace_stats_finish(&x->stats, &x->replay, err))
		return -1;
	e3_trace_latency_finish(&x->latency);
	report r = {.run = {&x->stage->head, &x->replay, &x->stats},
		.check = &x->check,
		.latency = &x->latency,
		.with_check = o->check,
		.interrupted = x->stage->interrupted};
	int rc = write_report(x, &r, err);
	if (!rc && o->tsv)
		rc = report_tsv(&r, o->tsv, err);
	if (!rc)
		rc = draw(x, &r.run, err);
	if (!rc && o->check && x->check.total)
		rc = e3_fail(err, "checking: %s: %" PRIu64 " violation%s", x->source, x->check.total,
			x->check.total == 1 ? "" : "s");
	return rc;
}

static void release(session *x)
{
	e3_stage_close(x->stage);
	e3_file_discard(&x->to);
	e3_pred_release(&x->pred);
	e3_evict_release(&x->evict);
	e3_attn_release(&x->attn_record);
	e3_trace_stats_release(&x->stats);
	e3_replay_release(&x->replay);
	e3_trace_shots_release(&x->shots);
	e3_trace_attn_close(x->attn);
	e3_trace_latency_release(&x->latency);
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	e3_tool_init("e3-evict-stats");
	options *o = options_parse(argc, argv);
	session x = {.o = o, .stage = &o->stage, .source = "-"};
	int rc = (o->pass && e3_stage_open_output(x.stage, &err)) || open_outputs(&x, &err) ||
			e3_stage_open_input(x.stage, &err) || read_stream(&x, &err)
		? -1
		: 0;
	rc = e3_stage_finish(x.stage, rc, &err);
	if (!rc)
		rc = report_all(&x, &err);
	release(&x);
	return e3_tool_exit(rc, &err);
}
