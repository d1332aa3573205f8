/* e3-eval: main: options, one input after the other, their average, then everything asked for; nothing is written
 * before the end. */
#include "eval.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const ev_task *const ev_tasks[EV_TASKS] = {&ev_task_depth, &ev_task_video, &ev_task_pose, &ev_task_pairs,
	&ev_task_recon};

enum { MAX_TRUTHS = 4096 };

#define DATASETS "e3|sintel|bonn|kitti|nyu|tum|scannet|co3d|7scenes|nrgbd"

typedef struct cli {
	ev_options o;
	const char *truth[MAX_TRUTHS];
	const char *output;
	bool json;
	int dataset;
} cli;

static int parse_truth(void *to, const char *arg, e3_err *err)
{
	cli *c = to;
	if (c->o.n_truth == MAX_TRUTHS)
		return e3_fail(err, "given more than %d times", MAX_TRUTHS);
	c->truth[c->o.n_truth++] = arg;
	return 0;
}

static int parse_align(void *to, const char *arg, e3_err *err)
{
	ev_options *o = to;
	o->align_given = true;
	memset(o->align, 0, sizeof o->align);
	for (const char *at = arg;; at++) {
		size_t n = strcspn(at, ",");
		int k = 0;
		while (k < EV_ALIGNS && (strlen(ev_align_name[k]) != n || memcmp(ev_align_name[k], at, n)))
			k++;
		if (k == EV_ALIGNS)
			return e3_fail(err, "expected " E3_DEPTH_ALIGNS ", or several with commas, got '%.*s'", (int)n, at);
		o->align[k] = true;
		at += n;
		if (!*at)
			return 0;
	}
}

void ev_seq_release(ev_seq *s)
{
	free(s->input), free(s->name), free(s->group);
	free(s->place), free(s->true_place), free(s->ate), free(s->camera), free(s->moment);
	ev_shots_free(s->shots);
	e3_head_release(&s->head);
	*s = (ev_seq){0};
}

char *ev_stem(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	const char *dot = strrchr(base, '.');
	char *name = strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
	if (name)
		e3_text_clean(name);
	return name;
}

static char *folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
}

static int name_of(ev_seq *s, const char *input, e3_err *err)
{
	s->input = strdup(input), s->group = folder(input), s->name = ev_stem(input);
	return s->input && s->group && s->name ? 0 : e3_fail(err, "naming %s: out of memory", input);
}

/* Files are called after sequences, so no two may have one name. */
static int check_names(const cli *c, const ev_seq *seq, int n, e3_err *err)
{
	for (int k = 1; (c->o.results || c->o.png || c->o.ply) && k < n; k++)
		for (int j = 0; j < k; j++)
			if (!strcmp(seq[j].name, seq[k].name))
				return e3_fail(err, "naming files: %s and %s would both be %s", seq[j].input, seq[k].input,
					seq[k].name);
	return 0;
}

static int read_inputs(const cli *c, char **input, ev_report *r, ev_seq *seq, e3_err *err)
{
	for (int k = 0; k < r->n; k++) {
		seq[k].first_not_finite = seq[k].first_not_positive = -1, seq[k].curve_score = NAN;
		if (name_of(&seq[k], input[k], err))
			return -1;
	}
	if (check_names(c, seq, r->n, err))
		return -1;
	for (int k = 0; k < r->n; k++) {
		ev_seq *s = &seq[k];
		if (e3_stop_signal()) { /* what is left is not read */
			r->n = k;
			break;
		}
		const char *truth = c->o.n_truth == 0 ? NULL : c->o.truth[c->o.n_truth == 1 ? 0 : k];
		int rc = ev_read(&c->o, input[k], truth, s, err);
		if (rc && (!c->o.compat || e3_stop_signal()))
			return -1;
		s->failed = rc != 0;
		if (rc) {
			snprintf(s->why, sizeof s->why, "%.*s", EV_WHY - 1, err->text);
			e3_warn("%s: left out", err->text);
		}
		r->scored += rc == 0;
	}
	if (r->scored == 0)
		return e3_fail(err, "evaluating: none of %d inputs could be scored", r->n);
	return 0;
}

/* A task that was asked for by name scores something, or the tool fails; asked for nothing, it takes what there is. */
static int check_scored(const ev_report *r, e3_err *err)
{
	for (int k = 0; k < EV_TASKS; k++) {
		const ev_task *t = ev_tasks[k];
		if (!(r->o->tasks >> k & 1))
			continue;
		int rows = 0;
		for (int j = 0; j < r->n; j++) {
			const ev_seq *s = &r->seq[j];
			bool has = !s->failed && t->rows(s) > 0;
			rows += has;
			if (!has && !s->failed && !r->o->all && t->why(s) && t->why(s)[0])
				e3_warn("%s: %s: not scored: %s", t->name, s->name, t->why(s));
		}
		if (rows == 0 && !r->o->all)
			return e3_fail(err, "evaluating %s: nothing could be scored", t->name);
	}
	return 0;
}

static int write_report(const cli *c, const ev_report *r, e3_err *err)
{
	e3_buf text = {0};
	e3_file file;
	int rc = c->json ? ev_json(r, &text, err) : ev_text(r, &text, err);
	if (!rc && !(rc = e3_file_open(&file, c->output ? c->output : "-", err))) {
		rc = e3_file_write(&file, text.data, text.len, err);
		if (rc)
			e3_file_discard(&file);
		else
			rc = e3_file_commit(&file, err);
	}
	e3_buf_release(&text);
	return rc;
}

static void add_counts(ev_seq *to, const ev_seq *s)
{
	to->frames += s->frames, to->with_truth += s->with_truth, to->with_depth += s->with_depth,
		to->with_pose += s->with_pose;
	to->pixels.used += s->pixels.used, to->pixels.not_finite += s->pixels.not_finite,
		to->pixels.unseen += s->pixels.unseen;
	to->pixels.not_positive += s->pixels.not_positive;
	if (to->first_not_finite < 0)
		to->first_not_finite = s->first_not_finite;
	if (to->first_not_positive < 0)
		to->first_not_positive = s->first_not_positive;
}

/* Sequences of one folder become one. `to` has room for as many as there are sequences; returns how many folders there
 * are. */
static int pool_folders(const ev_report *r, ev_seq *to, e3_err *err)
{
	ev_seq *member = e3_alloc((size_t)r->n, sizeof *member, "folders", err);
	int groups = 0;
	for (int k = 0; member && k < r->n; k++) {
		int count = 0;
		bool first = true;
		for (int j = 0; j < k; j++)
			first &= strcmp(r->seq[j].group, r->seq[k].group) != 0;
		if (!first)
			continue;
		ev_seq *s = &to[groups];
		*s = (ev_seq){.name = strdup(r->seq[k].group),
			.input = strdup(r->seq[k].group),
			.first_not_finite = -1,
			.first_not_positive = -1};
		if (!s->name || !s->input) {
			e3_fail(err, "folders: out of memory");
			break;
		}
		groups++;
		for (int j = k; j < r->n; j++)
			if (!strcmp(r->seq[j].group, r->seq[k].group) && !r->seq[j].failed)
				member[count++] = r->seq[j]; /* borrowed: averages only read */
		for (int j = 0; j < count; j++)
			add_counts(s, &member[j]);
		for (int j = 0; j < EV_TASKS; j++)
			ev_tasks[j]->average(r->o, member, count, s);
	}
	free(member);
	return groups;
}

static int average_of(ev_report *r, ev_seq *average, e3_err *err)
{
	if (!(average->name = strdup("average")))
		return e3_fail(err, "the average: out of memory");
	average->by_folder = r->o->by_folder;
	for (int k = 0; k < EV_TASKS; k++)
		ev_tasks[k]->average(r->o, r->seq, r->n, average);
	r->average = average;
	return 0;
}

static int process(const cli *c, int n, char **input, e3_err *err)
{
	char dash[] = "-", *standard[] = {dash};
	if (n == 0)
		n = 1, input = standard;
	ev_seq *seq = e3_alloc(2 * (size_t)n + 1, sizeof *seq, "sequences", err);
	ev_report all = {.o = &c->o, .seq = seq, .n = n, .inputs = n}, r;
	int rc = seq ? read_inputs(c, input, &all, seq, err) : -1;
	e3_progress_end();
	r = all;
	if (!rc)
		rc = check_scored(&r, err);
	if (!rc && c->o.by_folder) {
		r.seq = seq + n, r.n = pool_folders(&all, seq + n, err);
		rc = r.n ? 0 : -1;
	}
	if (!rc && (r.n > 1 || c->o.by_folder))
		rc = average_of(&r, seq + 2 * n, err);
	all.average = r.average;
	if (!rc && c->o.results)
		rc = ev_results(&all, c->o.results, err);
	if (!rc && c->o.png)
		rc = ev_png(&all, c->o.png, err);
	if (!rc)
		rc = write_report(c, &r, err);
	for (int k = 0; seq && k <= 2 * n; k++)
		ev_seq_release(&seq[k]);
	free(seq);
	return rc;
}

static cli c = {.o = {.max_diff = -1, .icp = 0.1, .crop = 224}};

static const e3_opt table[] = {
	{E3_OPT_TITLE, .help = "Truth"},
	{E3_OPT_CALL, "truth", .to = &c, .arg = "FILE", .call = parse_truth,
		.help = "truth from a stream, a safetensors or a trajectory\n"
				"file instead of the input: one for all inputs, or one each"},
	{E3_OPT_TEXT, "against", .to = &c.o.against, .arg = "FILE",
		.help = "how far from the predictions in FILE, instead of the truth"},
	{E3_OPT_CHOICE, "traj-format", .to = &c.o.form, .arg = "FORM", .choices = "auto|tum|wxyz|kitti|4x4|nrgbd",
		.help = "of trajectory files: auto, tum, wxyz, kitti, 4x4, nrgbd"},
	{E3_OPT_REAL, "max-diff", .to = &c.o.max_diff, .arg = "SEC", .min = 0, .max = 1e9,
		.help = "pair poses of a trajectory file by time, at most SEC apart"},
	E3_STREAM_OPTIONS,
	{E3_OPT_TITLE, .help = "Depth"},
	{E3_OPT_CALL, "align", .to = &c.o, .arg = "HOW", .call = parse_align,
		.help = "median, scale, scale&shift, metric, lstsq; several with\ncommas (depth: median; video-depth: scale)"},
	{E3_OPT_CHOICE, "dataset", .to = &c.dataset, .arg = "NAME", .choices = DATASETS,
		.help =
			"limits of sintel, bonn, kitti or nyu; its name, of these or\ntum, scannet, co3d, 7scenes, nrgbd, for result files"},
	{E3_OPT_REAL, "max-depth", .to = &c.o.pixels.cap, .arg = "D", .min = 0, .max = 1e30,
		.help = "only where the truth is below D"},
	{E3_OPT_REAL, "clip", .to = &c.o.clip, .arg = "D", .min = 0, .max = 1e30,
		.help = "aligned predictions are at most D"},
	{E3_OPT_FLAG, "disparity", .to = &c.o.disparity, .help = "predictions are inverse depth"},
	{E3_OPT_FLAG, "finite", .to = &c.o.pixels.finite, .help = "leave out pixels predicted not finite"},
	{E3_OPT_TITLE, .help = "Reconstruction"},
	{E3_OPT_FLAG, "use-proj", .to = &c.o.use_proj,
		.help = "points of predicted depth and camera, not predicted points"},
	{E3_OPT_REAL, "icp", .to = &c.o.icp, .arg = "R", .min = 0, .max = 1e9,
		.help = "points farther apart than R are no partners (default 0.1)"},
	{E3_OPT_INT, "crop", .to = &c.o.crop, .arg = "N", .min = 0, .max = 65535,
		.help = "compare the middle N x N of each picture (default 224;\n0: all of it)"},
	{E3_OPT_TEXT, "ply", .to = &c.o.ply, .arg = "DIR", .help = "write the clouds that are compared into DIR, as PLY"},
	{E3_OPT_TITLE, .help = "Report"},
	{E3_OPT_INT, "threads", .to = &c.o.threads, .arg = "N", .min = 1, .max = 64,
		.help = "threads of recon and scale&shift (default: one a processor)"},
	{E3_OPT_FLAG, "json", .to = &c.json, .help = "report as one JSON object"},
	{E3_OPT_TEXT, "output", .letter = 'o', .to = &c.output, .arg = "FILE",
		.help = "report to FILE instead of standard output"},
	{E3_OPT_FLAG, "by-folder", .to = &c.o.by_folder,
		.help = "inputs of one folder are one category: its pairs pooled, then\n"
				"the mean over folders"},
	{E3_OPT_TEXT, "png", .to = &c.o.png, .arg = "DIR",
		.help = "draw errors, paths, and accuracy against memory into DIR"},
	{E3_OPT_TEXT, "results", .to = &c.o.results, .arg = "DIR", .help = "write the reference's result files into DIR"},
	{E3_OPT_FLAG, "npy", .to = &c.o.npy, .help = "and every predicted depth map (with --results)"},
	{E3_OPT_FLAG, "compat", .to = &c.o.compat, .help = "what the reference's scripts do besides: see the manual"},
	{E3_OPT_END, .name = NULL},
};

/* doc/evaluation.md 3.4 */
static void apply_dataset(cli *x)
{
	enum { NONE, SINTEL, BONN };
	static const char *const name[] = {"e3", "sintel", "bonn", "kitti", "nyu", "tum", "scannet", "co3d", "7scenes",
		"NRGBD"};
	x->o.dataset = name[x->dataset];
	if (x->dataset == SINTEL && x->o.clip == 0)
		x->o.clip = 70;
	if ((x->dataset == SINTEL || x->dataset == BONN) && x->o.pixels.cap == 0)
		x->o.pixels.cap = 70;
}

/* The first operand may name a task. */
static int choose_task(ev_options *o, const char *word)
{
	for (int k = 0; word && k < EV_TASKS; k++)
		if (!strcmp(word, ev_tasks[k]->name)) {
			o->tasks = 1u << k;
			return 1;
		}
	o->tasks = ((1u << EV_TASKS) - 1) & ~(1u << EV_TASK_RECON), o->all = true; /* which takes memory and minutes */
	return 0;
}

int main(int argc, char **argv)
{
	e3_tool_init("e3-eval");
	static const e3_opts opts = {
		.tool = "e3-eval",
		.usage = "[depth | video-depth | pose | pairs | recon] [options] [INPUT...]",
		.summary = "Compares predictions with the truth: the papers' metrics.",
		.table = table,
		.tail =
			"Without a task: whatever the truth allows but recon. INPUT is a file, '-' (standard input, the default), a zmq: endpoint,\n"
			"or for poses a trajectory file; several are several sequences.\n",
	};
	int first = e3_opts_parse(&opts, argc, argv), aligns = 0;
	first += choose_task(&c.o, first < argc ? argv[first] : NULL);
	c.o.truth = c.truth;
	if (c.o.against && c.o.n_truth)
		e3_usage_error("--against takes the place of --truth: give one of them");
	if (c.o.against)
		c.truth[0] = c.o.against, c.o.n_truth = 1;
	if (c.o.n_truth > 1 && c.o.n_truth != argc - first)
		e3_usage_error("--truth was given %d times for %d inputs: once, or once for each", c.o.n_truth, argc - first);
	for (int k = 0; k < EV_ALIGNS; k++)
		aligns += c.o.align[k];
	if (!c.o.all && c.o.tasks == 1 && aligns > 1)
		e3_usage_error("the task depth takes one --align");
	if (c.o.npy && !c.o.results)
		e3_usage_error("--npy needs --results DIR");
	if (c.o.ply && c.o.tasks != 1u << EV_TASK_RECON)
		e3_usage_error("--ply needs the task recon");
	if (c.o.threads == 0)
		c.o.threads = sysconf(_SC_NPROCESSORS_ONLN);
	apply_dataset(&c);
	e3_err err;
	int rc = process(&c, argc - first, argv + first, &err);
	return e3_tool_exit(rc, &err);
}
