/* e3-evict-stats: its options. */
#include "evict-stats.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* As the table parses it; options_parse makes `options` of it. */
static struct {
	options o;
	int64_t tiles, columns, attn_size;
	int style, view, row_scale, map;
	int layers[E3_TRACE_MAX_LAYERS];
} given = {.o.stage = E3_STAGE_INIT, .map = E3_VIRIDIS, .tiles = 24, .columns = 8, .attn_size = 1024};

static int parse_layers(void *unused, const char *arg, e3_err *err)
{
	int n = e3_parse_ints(arg, 0, E3_TRACE_MAX_LAYERS - 1, given.layers, E3_TRACE_MAX_LAYERS, err);
	if (n < 0)
		return -1;
	given.o.look.layers = given.o.attn_look.layers = given.layers;
	given.o.look.n_layers = given.o.attn_look.n_layers = n;
	return 0;
}

/* LO:HI, or pPCT: from 0 to that percentile. */
static int parse_range(void *to, const char *arg, e3_err *err)
{
	e3_trace_attn_look *look = to;
	bool both = strchr(arg, ':');
	double range[2] = {NAN};
	look->has_range = true;
	if (!both && (arg[0] != 'p' || e3_parse_f64(arg + 1, 0, 100, &range[1], NULL)))
		return e3_fail(err, "expected LO:HI or p and a percentile from 0 to 100, got '%s'", arg);
	if (both && e3_parse_range(arg, -1e30, 1e30, range, err))
		return -1;
	look->lo = range[0], look->hi = range[1];
	return 0;
}

static const e3_opt table[] = {
	E3_OPT_TITLE("Report"),
	E3_OPT_FLAG("json", &given.o.json, "report as one JSON object"),
	E3_OPT_WRITES("output,o", &given.o.output, "FILE", "report to FILE instead of standard output"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &given.o.stage.stream),
	E3_OPT_WRITES_IN("tsv", &given.o.tsv, "DIR", "*.tsv|summary.json",
		"write tables to DIR: per_step, per_layer, survival, frames,\n"
		"agreement (.tsv) and summary.json"),
	E3_OPT_FLAG("check", &given.o.check, "check every record; exit 1 when a rule is violated"),
	E3_OPT_FLAG("pass", &given.o.pass,
		"forward the stream to standard output;\n"
		"the report goes to standard error or -o FILE"),
	E3_OPT_TITLE("Pictures"),
	E3_OPT_WRITES("sheet", &given.o.sheet, "FILE", "contact sheet (PNG): frames, depth, patches still kept"),
	E3_OPT_NEEDS("sheet"),
	E3_OPT_INT("columns", &given.columns, "N", 1, MAX_SHOTS, "frames on the contact sheet (8)"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_WRITES_IN("png", &given.o.png, "DIR", "*.png", "write charts and a sheet of kept patches per layer to DIR"),
	E3_OPT_NEEDS("png"),
	E3_OPT_CHOICE("view", &given.view, "VIEW", "self|now|age|layers",
		"what the layers' sheets show: self, now, age, layers (self)"),
	E3_OPT_CHOICE("style", &given.style, "STYLE", "dim|mark|hide", "how evicted patches look: dim, mark, hide (dim)"),
	E3_OPT_FLAG("grid", &given.o.look.grid, "draw the edges of patches"),
	E3_OPT_INT("tiles", &given.tiles, "N", 1, MAX_SHOTS, "frames on a layer's sheet (24)"),
	E3_OPT_NEEDS("png|attn"),
	E3_OPT_CALL("layers", NULL, "LIST", parse_layers, "only these layers, as in 0,5,11 (--png and --attn)"),
	E3_OPT_TITLE("Attention (of a stream made with e3-infer --attn-layers)"),
	E3_OPT_WRITES_IN("attn", &given.o.attn, "DIR", "attn/*", "write maps and frame-to-frame mass to DIR/attn"),
	E3_OPT_NEEDS("attn"),
	E3_OPT_CHOICE("row-scale", &given.row_scale, "HOW", "none|frames",
		"none, or frames: multiply rows of frame f by f+1 (none)"),
	E3_OPT_NAMED("cmap", &given.map, "NAME", e3_cmap_name, "%s (viridis)"),
	E3_OPT_CALL("range", &given.o.attn_look, "RANGE", parse_range,
		"LO:HI, or pPCT: up to that percentile (maps p99, mass p95)"),
	E3_OPT_INT("attn-size", &given.attn_size, "N", 16, 2048, "most rows and columns of a map (1024)"),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-evict-stats",
	.usage = "[options] [INPUT]",
	.summary = "Reports what the cache of e3-infer kept: statistics, tables, pictures.",
	.table = table,
	.streams = true,
	.tail = "INPUT is a file, '-' (standard input, the default), or a zmq: endpoint.\n",
};

options *options_parse(int argc, char **argv)
{
	options *o = &given.o;
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first > 1)
		e3_usage_error("expected one INPUT, got '%s' and '%s'", argv[first], argv[first + 1]);
	if (first < argc)
		o->stage.input = argv[first];
	if (o->pass || !o->output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = "-", .by = o->pass ? "--pass" : NULL});
	o->stage.needs = E3_STAGE_PREDICTIONS;
	o->columns = (int)given.columns;
	o->look.style = (e3_patch_style)given.style;
	o->look.view = (e3_sheet_view)given.view;
	o->look.frames = (int)given.tiles;
	o->attn_look.map = (e3_cmap)given.map;
	o->attn_look.scale_rows = given.row_scale == 1;
	o->attn_look.side = (int)given.attn_size;
	return o;
}
