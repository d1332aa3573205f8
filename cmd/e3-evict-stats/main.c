/* e3-evict-stats: main: options, one pass over the stream, then the reports asked for; nothing is written before the
 * end. */
#include "evict-stats.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TOKENS = 1 << 20, SHOTS = 64 };

typedef struct options {
	const char *output, *tsv, *png, *sheet, *attn;
	bool json, check, pass;
	int64_t tiles, columns, attn_size;
	int layers[ES_MAX_LAYERS];
	int style, view, row_scale;
	es_look look;
	es_attn_look attn_look;
} options;

typedef struct run {
	const options *o;
	e3_in *in;
	e3_out *out; /* --pass; NULL otherwise */
	e3_head head;
	es_shape shape;
	es_replay replay;
	es_check check;
	es_frames frames;
	es_attn *attn;
	e3_pred pred;
	e3_evict evict;
	e3_attn attn_record;
	int64_t preds;
	es_latency latency;
	bool interrupted;
	e3_file report;
} run;

static int parse_layers(void *to, const char *arg, e3_err *err)
{
	options *o = to;
	int n = e3_parse_ints(arg, 0, ES_MAX_LAYERS - 1, o->layers, ES_MAX_LAYERS, err);
	if (n < 0)
		return -1;
	o->look.layers = o->attn_look.layers = o->layers;
	o->look.n_layers = o->attn_look.n_layers = n;
	return 0;
}

static int parse_cmap(void *to, const char *arg, e3_err *err) { return e3_cmap_parse(arg, to, err); }

/* MIN:MAX, or pPCT: from the smallest value to that percentile. */
static int parse_range(void *to, const char *arg, e3_err *err)
{
	es_attn_look *look = to;
	const char *colon = strchr(arg, ':');
	char low[64];
	look->has_range = true;
	if (!colon) {
		look->lo = NAN;
		if (arg[0] != 'p' || e3_parse_f64(arg + 1, 0, 100, &look->hi, NULL))
			return e3_fail(err, "expected MIN:MAX or p and a percentile from 0 to 100, got '%s'", arg);
		return 0;
	}
	snprintf(low, sizeof low, "%.*s", (int)(colon - arg < 63 ? colon - arg : 63), arg);
	if (e3_parse_f64(low, -1e30, 1e30, &look->lo, err) || e3_parse_f64(colon + 1, -1e30, 1e30, &look->hi, err))
		return -1;
	return look->lo < look->hi ? 0 : e3_fail(err, "expected MIN below MAX, got '%s'", arg);
}

static int read_shape(run *x, e3_err *err)
{
	const e3_head *h = &x->head;
	int64_t patches = (int64_t)h->patch_grid[0] * h->patch_grid[1];
	if (!h->model)
		return e3_fail(err, "reading: %s: a stream of frames without predictions (from %s): e3-infer goes before",
			h->source ? h->source : "-", h->tool ? h->tool : "?");
	if (h->frozen)
		return e3_fail(err, "reading: %s: answers of e3-infer --freeze: their cache does not change",
			h->source ? h->source : "-");
	if (h->seen)
		return e3_fail(err,
			"reading: %s: goes on after frame %" PRId64
			" of another stream, whose records are needed too: join them with e3-cat --then",
			h->source ? h->source : "-", h->after);
	if (h->layers < 1 || h->layers > ES_MAX_LAYERS || h->tokens_per_frame < 1 || h->tokens_per_frame > MAX_TOKENS ||
		h->patch_grid[0] < 1 || h->patch_grid[1] < 1 || patches > h->tokens_per_frame)
		return e3_fail(err,
			"reading the head: %d layers, %d tokens a frame, %d x %d patches: expected 1 to %d layers, 1 to %d tokens, "
			"no more patches than tokens",
			h->layers, h->tokens_per_frame, h->patch_grid[0], h->patch_grid[1], ES_MAX_LAYERS, MAX_TOKENS);
	for (int k = 0; k < x->o->look.n_layers; k++)
		if (x->o->layers[k] >= h->layers)
			return e3_fail(err, "option --layers: layer %d: the network has layers 0 to %d", x->o->layers[k],
				h->layers - 1);
	x->shape = (es_shape){h->layers, h->tokens_per_frame, h->patch_grid[0], h->patch_grid[1],
		(int)(h->tokens_per_frame - patches)};
	es_check_init(&x->check, h);
	if (es_replay_init(&x->replay, &x->shape, err))
		return -1;
	if ((x->o->png || x->o->sheet) && es_frames_init(&x->frames, &x->shape, SHOTS, err))
		return -1;
	if (x->o->attn && !(x->attn = es_attn_open(&x->o->attn_look, &x->shape, err)))
		return -1;
	return 0;
}

static int add_evict(run *x, const e3_msg *msg, e3_err *err)
{
	if (e3_evict_decode(msg, &x->evict, err) || es_check_step(&x->check, &x->replay, &x->evict, err))
		return -1;
	const es_violation *broken = es_check_broken(&x->check);
	if (broken && !x->o->check) {
		char text[320];
		es_violation_text(broken, text, sizeof text);
		return e3_fail(err, "replaying the cache: %s; records are missing or damaged (--check lists everything)", text);
	}
	return es_replay_add(&x->replay, &x->evict, err);
}

/* Decoded for its picture, and for its time where the source is live: that the first frame tells. */
static int add_pred(run *x, const e3_msg *msg, e3_err *err)
{
	bool live = x->preds == 0 || x->latency.n > 0;
	x->preds++;
	if (!x->frames.shot && !live)
		return 0;
	if (e3_pred_decode(msg, &x->pred, err) ||
		(x->pred.latency != 0 && es_latency_add(&x->latency, x->pred.latency, err)))
		return -1;
	return x->frames.shot ? es_frames_add(&x->frames, x->preds - 1, &x->pred, err) : 0;
}

static int add_message(run *x, const e3_msg *msg, e3_err *err)
{
	switch (msg->kind) {
	case E3_HEAD:
		return e3_head_decode(msg, &x->head, err) || read_shape(x, err) ? -1 : 0;
	case E3_PRED:
		return add_pred(x, msg, err);
	case E3_EVICT:
		return add_evict(x, msg, err);
	case E3_ATTN:
		if (!x->attn)
			return 0;
		return e3_attn_decode(msg, &x->attn_record, err) || es_attn_add(x->attn, x->replay.steps, &x->attn_record, err)
			? -1
			: 0;
	default:
		return 0;
	}
}

/* The whole stream. After SIGINT or SIGTERM the frames so far are reported. */
static int read_stream(run *x, e3_err *err)
{
	e3_msg msg;
	int rc;
	while ((rc = e3_in_next(x->in, &msg, err)) == 1) {
		if (add_message(x, &msg, err) || (x->out && e3_out_msg(x->out, &msg, err)))
			return -1;
		if (e3_progress_due())
			e3_progress("%" PRId64 " frames", x->replay.steps);
	}
	x->interrupted = rc < 0 && e3_stop_signal();
	if (rc < 0 && !x->interrupted)
		return -1;
	if (x->replay.steps > 0)
		return 0;
	if (x->interrupted)
		return e3_fail(err, "interrupted before the first frame");
	if (x->preds == 0)
		return e3_fail(err, "reading: %s: the stream has no frames: nothing to report",
			x->head.source ? x->head.source : "-");
	return e3_fail(err,
		"reading: %s: %" PRId64 " predictions, but no eviction records: nothing says what the cache kept",
		x->head.source ? x->head.source : "-", x->preds);
}

/* The stream went out whole, or the stages after this one learn why not. */
static int close_pass(run *x, int rc, e3_err *err)
{
	e3_out *out = x->out;
	x->out = NULL;
	if (!out)
		return rc;
	if (rc == 0 && !x->interrupted)
		return e3_out_close(out, err);
	const e3_abort *first = x->in ? e3_in_abort(x->in) : NULL;
	if (first)
		e3_out_abort(out, first->tool, first->code, first->text);
	else
		e3_out_abort(out, e3_tool_name(), x->interrupted ? 128 + e3_stop_signal() : 1,
			x->interrupted ? "interrupted" : err->text);
	return rc;
}

/* Files that cannot be written are found before the stream is read: it may not come a second time. */
static int open_outputs(run *x, e3_err *err)
{
	e3_file sheet = {0};
	if (x->o->sheet && e3_file_open(&sheet, x->o->sheet, err))
		return -1;
	e3_file_discard(&sheet);
	if (x->o->pass && !x->o->output)
		return 0;
	return e3_file_open(&x->report, x->o->output ? x->o->output : "-", err);
}

static int write_report(run *x, const es_report *report, e3_err *err)
{
	e3_buf text = {0};
	int rc = x->o->json ? es_json(report, &text, err) : es_text(report, &text, err);
	if (!rc && !x->report.f)
		rc = e3_write_full(STDERR_FILENO, text.data, text.len) ? e3_fail_sys(err, "writing the report: standard error")
															   : 0;
	else if (!rc)
		rc = e3_file_write(&x->report, text.data, text.len, err) || e3_file_commit(&x->report, err) ? -1 : 0;
	e3_buf_release(&text);
	return rc;
}

static int draw_attention(run *x, e3_err *err)
{
	int layers;
	if (!x->o->attn)
		return 0;
	if (es_attn_draw(x->attn, x->o->attn, &layers, err))
		return -1;
	if (layers == 0)
		return e3_fail(err, "drawing attention: the stream has no attention records%s: run e3-infer with --attn-layers",
			x->o->look.n_layers ? " of these layers" : "");
	return 0;
}

static int report_all(run *x, e3_err *err)
{
	const options *o = x->o;
	es_stats stats;
	if (es_stats_init(&stats, &x->replay, err))
		return -1;
	es_latency_finish(&x->latency);
	es_report report = {&x->replay, &stats, &x->check, &x->head, &x->latency, o->check, x->interrupted};
	int rc = 0;
	if ((o->png || o->sheet) && x->frames.n == 0)
		rc = e3_fail(err, "drawing: %s: the stream has no pictures (no predictions)",
			x->head.source ? x->head.source : "-");
	if (!rc)
		rc = write_report(x, &report, err);
	if (!rc && o->tsv)
		rc = es_tsv(&report, o->tsv, err);
	if (!rc && o->png)
		rc = es_sheets(&report, &x->frames, &o->look, o->png, err) || es_charts(&report, o->png, err) ? -1 : 0;
	if (!rc && o->sheet)
		rc = es_contact(&report, &x->frames, (int)o->columns, o->sheet, err);
	if (!rc)
		rc = draw_attention(x, err);
	if (!rc && o->check && x->check.total)
		rc = e3_fail(err, "checking: %s: %" PRIu64 " violation%s", x->head.source ? x->head.source : "-",
			x->check.total, x->check.total == 1 ? "" : "s");
	es_stats_release(&stats);
	return rc;
}

static void release(run *x)
{
	e3_in_close(x->in);
	e3_file_discard(&x->report);
	e3_head_release(&x->head);
	e3_pred_release(&x->pred);
	e3_evict_release(&x->evict);
	e3_attn_release(&x->attn_record);
	es_replay_release(&x->replay);
	es_frames_release(&x->frames);
	es_attn_close(x->attn);
	es_latency_release(&x->latency);
}

static int process(const options *o, const char *endpoint, e3_err *err)
{
	run x = {.o = o};
	int rc = 0;
	if (o->pass && !(x.out = e3_out_open("-", err)))
		return -1;
	if (open_outputs(&x, err) || !(x.in = e3_in_open(endpoint, err)) || read_stream(&x, err))
		rc = -1;
	rc = close_pass(&x, rc, err);
	if (!rc)
		rc = report_all(&x, err);
	release(&x);
	return rc;
}

static options o = {.tiles = 24, .columns = 8, .attn_size = 1024, .attn_look = {.map = E3_VIRIDIS}};

static const e3_opt table[] = {
	{E3_OPT_TITLE, .help = "Report"},
	{E3_OPT_FLAG, "json", .to = &o.json, .help = "report as one JSON object"},
	{E3_OPT_TEXT, "output", .letter = 'o', .to = &o.output, .arg = "FILE",
		.help = "report to FILE instead of standard output"},
	E3_STREAM_OPTIONS,
	{E3_OPT_TEXT, "tsv", .to = &o.tsv, .arg = "DIR",
		.help = "write tables to DIR: per_step, per_layer, survival, frames,\n"
				"agreement (.tsv) and summary.json"},
	{E3_OPT_FLAG, "check", .to = &o.check, .help = "check every record; exit 1 when a rule is violated"},
	{E3_OPT_FLAG, "pass", .to = &o.pass,
		.help = "forward the stream to standard output;\n"
				"the report goes to standard error or -o FILE"},
	{E3_OPT_TITLE, .help = "Pictures"},
	{E3_OPT_TEXT, "sheet", .to = &o.sheet, .arg = "FILE",
		.help = "contact sheet (PNG): frames, depth, patches still kept"},
	{E3_OPT_INT, "columns", .to = &o.columns, .arg = "N", .help = "frames on the contact sheet (8)", .min = 1,
		.max = SHOTS},
	{E3_OPT_TEXT, "png", .to = &o.png, .arg = "DIR",
		.help = "write charts and a sheet of kept patches per layer to DIR"},
	{E3_OPT_CHOICE, "view", .to = &o.view, .arg = "VIEW",
		.help = "what the layers' sheets show: self, now, age, layers (self)", .choices = "self|now|age|layers"},
	{E3_OPT_CHOICE, "style", .to = &o.style, .arg = "STYLE", .help = "how evicted patches look: dim, mark, hide (dim)",
		.choices = "dim|mark|hide"},
	{E3_OPT_FLAG, "grid", .to = &o.look.grid, .help = "draw the edges of patches"},
	{E3_OPT_INT, "tiles", .to = &o.tiles, .arg = "N", .help = "frames on a layer's sheet (24)", .min = 1, .max = SHOTS},
	{E3_OPT_CALL, "layers", .to = &o, .arg = "LIST", .help = "only these layers, as in 0,5,11 (--png and --attn)",
		.call = parse_layers},
	{E3_OPT_TITLE, .help = "Attention (of a stream made with e3-infer --attn-layers)"},
	{E3_OPT_TEXT, "attn", .to = &o.attn, .arg = "DIR", .help = "write maps and frame-to-frame mass to DIR/attn"},
	{E3_OPT_CHOICE, "row-scale", .to = &o.row_scale, .arg = "HOW",
		.help = "none, or frames: multiply rows of frame f by f+1 (none)", .choices = "none|frames"},
	{E3_OPT_CALL, "cmap", .to = &o.attn_look.map, .arg = "NAME", .call = parse_cmap,
		.help = "viridis, plasma, magma, turbo, grey, gist_rainbow (viridis)"},
	{E3_OPT_CALL, "range", .to = &o.attn_look, .arg = "RANGE", .call = parse_range,
		.help = "MIN:MAX, or pPCT: up to that percentile (maps p99, mass p95)"},
	{E3_OPT_INT, "attn-size", .to = &o.attn_size, .arg = "N", .min = 16, .max = 2048,
		.help = "most rows and columns of a map (1024)"},
	{E3_OPT_END, .name = NULL},
};

int main(int argc, char **argv)
{
	e3_tool_init("e3-evict-stats");
	static const e3_opts opts = {
		.tool = "e3-evict-stats",
		.usage = "[options] [INPUT]",
		.summary = "Reports what the cache of e3-infer kept: statistics, tables, pictures.",
		.table = table,
		.tail = "INPUT is a file, '-' (standard input, the default), or a zmq: endpoint.\n",
	};
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first > 1)
		e3_usage_error("expected one INPUT, got '%s' and '%s'", argv[first], argv[first + 1]);
	o.look.style = (es_style)o.style, o.look.view = (es_view)o.view, o.look.frames = (int)o.tiles;
	o.attn_look.scale_rows = o.row_scale == 1, o.attn_look.side = (int)o.attn_size;
	e3_err err;
	int rc = process(&o, first < argc ? argv[first] : "-", &err);
	return e3_tool_exit(rc, &err);
}
