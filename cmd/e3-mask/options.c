/* e3-mask: the options. Refuses those that have no use for the source of masks that was chosen. */
#include "mask.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 1024, MAX_SIDE = 8192 };

static struct {
	bool sky;
	const char *onnx, *class;
	int layout, rule, compat;
	bool mean, std;
	double threshold;
	int64_t threads, longest;
} said = {.layout = -1, .rule = -1, .compat = -1, .threshold = -1, .longest = -1};

static const char sky_file[] = "skyseg.onnx";

static int take_class(const char *from, size_t n, char to[E3_MASK_CLASS + 1], e3_err *err)
{
	if (!e3_mask_class_ok(from, n))
		return e3_fail(err, "expected a name of 1 to %d bytes, got '%.*s'", E3_MASK_CLASS, (int)(n < 70 ? n : 70),
			from);
	memcpy(to, from, n);
	to[n] = 0;
	return 0;
}

/* NAME=INDEX,... */
static int parse_classes(void *to, const char *arg, e3_err *err)
{
	e3_seg_options *o = to;
	for (o->n_classes = 0;; arg++) {
		size_t n = strcspn(arg, ",");
		const char *equals = memchr(arg, '=', n);
		char number[16];
		int64_t index;
		if (!equals || (size_t)(arg + n - equals) > sizeof number)
			return e3_fail(err, "expected NAME=INDEX, got '%.*s'", (int)n, arg);
		snprintf(number, sizeof number, "%.*s", (int)(arg + n - equals - 1), equals + 1);
		if (o->n_classes == E3_SEG_CLASSES)
			return e3_fail(err, "expected at most %d classes", E3_SEG_CLASSES);
		e3_seg_class *c = &o->class[o->n_classes++];
		if (take_class(arg, (size_t)(equals - arg), c->name, err) || e3_parse_i64(number, 0, 65535, &index, err))
			return -1;
		c->index = (int)index;
		for (int k = 0; k < o->n_classes - 1; k++)
			if (strcmp(o->class[k].name, c->name) == 0)
				return e3_fail(err, "%s: given twice", c->name);
		arg += n;
		if (!*arg)
			return 0;
	}
}

/* R,G,B */
static int parse_colour(const char *arg, double low, double to[3], e3_err *err)
{
	for (int k = 0; k < 3; k++) {
		char number[32];
		size_t n = strcspn(arg, ",");
		if (n >= sizeof number || (k < 2) != (arg[n] == ','))
			return e3_fail(err, "expected three numbers, R,G,B");
		snprintf(number, sizeof number, "%.*s", (int)n, arg);
		if (e3_parse_f64(number, low, 1e6, &to[k], err))
			return -1;
		arg += n + 1;
	}
	return 0;
}

static int parse_mean(void *to, const char *arg, e3_err *err)
{
	said.mean = true;
	return parse_colour(arg, -1e6, to, err);
}

static int parse_std(void *to, const char *arg, e3_err *err)
{
	said.std = true;
	return parse_colour(arg, 1e-6, to, err);
}

static const e3_err_name settings[] = {{"'size'", "--input-size"}, {NULL, NULL}};

void mask_explain(e3_err *err) { e3_err_rename(err, settings); }

/* --- which options go together --- */

static void check_source(const mask_request *r)
{
	int sources = said.sky + (said.onnx != NULL) + (r->dir != NULL);
	if (sources != 1)
		e3_usage_error(sources
				? "--sky, --onnx and --from: one at a time; a second e3-mask adds to the masks of the first"
				: "where do masks come from? give --sky, --onnx or --from");
	const char *unused = (said.class || r->invert) && !r->dir ? said.class ? "class" : "invert"
		: said.compat > 0 && !said.sky                        ? "compat upstream"
		: said.onnx                                           ? NULL
		: r->seg.n_classes                                    ? "classes"
		: r->seg.size[0]                                      ? "input-size"
		: said.mean                                           ? "mean"
		: said.std                                            ? "std"
		: r->seg.bgr                                          ? "bgr"
		: said.layout >= 0                                    ? "layout"
		: said.rule >= 0                                      ? "decide"
		: r->seg.sigmoid                                      ? "sigmoid"
		: r->seg.output                                       ? "tensor"
		: r->dir && said.threshold >= 0                       ? "threshold"
		: r->dir && said.threads                              ? "threads"
		: r->dir && said.longest >= 0                         ? "max-side"
															  : NULL;
	if (unused)
		e3_usage_error("%s: has no use for --%s", said.sky ? "--sky" : said.onnx ? "--onnx" : "--from", unused);
	if (said.onnx && !r->seg.n_classes)
		e3_usage_error("--onnx: needs --classes NAME=INDEX,...: which of the model's numbers are which class");
	if (r->dir && !said.class)
		e3_usage_error("--from: needs --class NAME: of what are these the masks?");
}

/* Defaults; what the released model for sky is; what was said wins. */
static void settle(mask_request *r)
{
	e3_seg_options *o = &r->seg;
	bool upstream = said.compat == 1;
	o->threads = (int)said.threads;
	if (said.sky) {
		e3_seg_sky(o);
		o->stretch = upstream;
		o->threshold = upstream ? 32 : o->threshold;
	} else {
		const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
		memcpy(o->mean, said.mean ? o->mean : mean, sizeof mean);
		memcpy(o->std, said.std ? o->std : std, sizeof std);
		o->layout = said.layout == 0 ? E3_SEG_NCHW : said.layout == 1 ? E3_SEG_NHWC : E3_SEG_ANY;
		o->rule = said.rule >= 0 ? (e3_seg_rule)(said.rule + 1) : E3_SEG_AUTO;
		o->threshold = 0.5;
	}
	if (said.threshold >= 0)
		o->threshold = said.threshold * (upstream ? 255 : 1);
	o->longest = said.longest >= 0 ? (int)said.longest : upstream ? 0 : LONGEST;
}

int mask_check_model(const mask_request *r, e3_err *err)
{
	if (!r->found || access(r->found, R_OK) == 0)
		return 0;
	return e3_fail(err,
		"finding the model for sky: %s: not there: 'e3-model fetch skyseg' gets it, or name a file: --sky FILE.onnx",
		r->found);
}

static bool is_model(const char *name)
{
	size_t n = strlen(name);
	return n > 5 && strcmp(name + n - 5, ".onnx") == 0;
}

/* The stream, and with --sky the model: that is the one whose name ends in .onnx. */
static void take_operands(mask_request *r, int n, char **operand)
{
	bool stream = false;
	for (int k = 0; k < n; k++) {
		if (said.sky && !r->seg.model && is_model(operand[k])) {
			r->seg.model = operand[k];
		} else if (stream) {
			e3_usage_error("too many operands: %s; e3-mask reads one stream", operand[k]);
		} else {
			r->stage.input = operand[k];
			stream = true;
		}
	}
}

void mask_parse(int argc, char **argv, mask_request *r)
{
	e3_err err = {""};
	e3_seg_options *o = &r->seg;
	const e3_opt table[] = {
		E3_OPT_TITLE("Where masks come from: one of these"),
		E3_OPT_FLAG("sky", &said.sky,
			"the released U2-Net for sky; the file *.onnx that follows,\nor skyseg.onnx in ~/.cache/e3"),
		E3_OPT_READS("onnx", &said.onnx, "FILE", "another segmentation model; needs --classes"),
		E3_OPT_READS_IN("from", &r->dir, "DIR", "*.png *.pgm *.ppm *.pnm *.pbm *.jpg *.jpeg",
			"mask pictures, one for each frame; needs --class"),
		E3_OPT_TITLE("Models"),
		E3_OPT_CALL("classes", o, "LIST", parse_classes, "NAME=INDEX,...: channels or labels of the output"),
		E3_OPT_CHOICE("decide", &said.rule, "HOW", "argmax|threshold|labels",
			"a class is: the highest channel, where its channel\nreaches --threshold, or its number in the output"),
		E3_OPT_REAL("threshold", &said.threshold, "T", 0, 1e6,
			"value from which a pixel is of the class (default 0.5,\nfor sky 32/255)"),
		E3_OPT_FLAG("sigmoid", &o->sigmoid, "the output holds logits: a sigmoid before --threshold"),
		E3_OPT_SIZE("input-size", o->size, MAX_SIDE, "size the model takes (default: what it says)"),
		E3_OPT_CALL("mean", o->mean, "R,G,B", parse_mean,
			"subtracted from values of 0 to 1\n(default 0.485,0.456,0.406)"),
		E3_OPT_CALL("std", o->std, "R,G,B", parse_std, "then divided by (default 0.229,0.224,0.225)"),
		E3_OPT_FLAG("bgr", &o->bgr, "the model takes blue, green, red"),
		E3_OPT_CHOICE("layout", &said.layout, "HOW", "nchw|nhwc",
			"order of its dimensions: nchw or nhwc (default: what it\nsays)"),
		E3_OPT_TEXT("tensor", &o->output, "NAME", "the output that is used (default: the first)"),
		E3_OPT_INT("threads", &said.threads, "N", 1, 1024, "processors to use (default: all)"),
		E3_OPT_INT("max-side", &said.longest, "N", 0, 65535,
			"no side of a mask is longer (default 1024; 0: as the\npicture)"),
		E3_OPT_CHOICE("compat", &said.compat, "none|upstream", "none|upstream",
			"--sky as the reference does it, defects included"),
		E3_OPT_TITLE("Mask pictures"),
		E3_OPT_TEXT("class", &said.class, "NAME", "the class that they show, as in sky or person"),
		E3_OPT_FLAG("invert", &r->invert, "black is the class; otherwise all that is not black is"),
		E3_OPT_TITLE("Output"),
		E3_OPT_SENDS("output,o", &r->stage.output, "ENDPOINT", "write to ENDPOINT (default: -, standard output)"),
		E3_OPT_ROWS(e3_stage_queue_rows, &r->stage.stream),
		E3_OPT_TITLE("Network"),
		E3_OPT_ROWS(e3_stage_endpoint_rows, &r->stage.stream),
		E3_OPT_END,
	};
	const e3_opts opts = {
		.tool = "e3-mask",
		.usage = "--sky [MODEL.onnx] | --onnx FILE --classes LIST | --from DIR --class NAME [options] [STREAM]",
		.summary = "Add masks to a stream: which pixels are sky, people, or another class.",
		.table = table,
		.tail = "Example: e3-decode clip.mp4 | e3-mask --sky | e3-infer --P 0.5 | e3-export --mask sky --glb out.glb\n",
	};
	r->stage.output = NULL;
	int at = e3_opts_parse(&opts, argc, argv);
	bool is_output = r->stage.output != NULL;
	r->stage.output = is_output ? r->stage.output : "-";
	take_operands(r, argc - at, argv + at);
	e3_opts_claim(&(e3_claim){.use = E3_READS | E3_STREAM, .path = r->stage.input, .what = "the stream that is read"});
	if (said.sky && !o->model && e3_cache_path(sky_file, &r->found, &err))
		e3_usage_error("--sky: %s", err.text);
	if (r->found)
		o->model = r->found;
	if (said.sky)
		e3_opts_claim(&(e3_claim){.use = E3_READS, .path = o->model, .what = "the model that is read"});
	if (!is_output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES | E3_STREAM, .path = "-"});
	check_source(r);
	if (said.class && take_class(said.class, strlen(said.class), r->class, &err))
		e3_usage_error("--class: %s", err.text);
	o->model = said.onnx ? said.onnx : o->model;
	settle(r);
}
