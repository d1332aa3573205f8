/* e3-eval: the command line: options, what they imply for each other, and the words that name them in messages. */
#include "options.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/sets.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include <string.h>
#include <unistd.h>

static int parse_truth(void *to, const char *arg, e3_err *err)
{
	eval_cli *x = to;
	if (x->o.n_truth == EVAL_TRUTHS_MAX)
		return e3_fail(err, "may be given at most %d times", EVAL_TRUTHS_MAX);
	x->truth[x->o.n_truth++] = arg;
	return 0;
}

static int parse_align(void *to, const char *arg, e3_err *err)
{
	e3_eval_options *o = to;
	e3_word words[E3_EVAL_ALIGNS + 1] = {{NULL, 0}};
	int chosen;
	for (int k = 0; k < E3_EVAL_ALIGNS; k++)
		words[k] = (e3_word){e3_depth_align_name((e3_depth_align)k), 1 << k};
	if (e3_parse_words(arg, words, &chosen, err))
		return -1;
	o->align_given = true;
	for (int k = 0; k < E3_EVAL_ALIGNS; k++)
		o->align[k] = chosen >> k & 1;
	return 0;
}

static eval_cli c = {
	.o =
		{
			.max_diff = -1,
			.stream = E3_STREAM_DEFAULTS,
			.icp = 0.1,
			.crop = 224,
			.hints =
				{
					.no_truth = ": e3-scene and e3-decode --dataset send it, --truth FILE attaches it",
					.no_truth_file = ": --truth FILE attaches it",
					.unequal_counts = ": --max-diff SEC pairs them by time",
					.scalar_first = " (--traj-format tum reads x y z w)",
					.no_points = "; --use-proj computes them from depth and camera",
					.not_finite = " (--finite leaves them out)",
				},
		},
};

/* What --results writes. */
#define RESULTS \
	"metric.json|result_*.json|*_eval_metric.txt|**/pred_traj.txt|**/pred_focal.txt|**/pred_intrinsics.txt|" \
	"_error_log.txt|logs_*.txt|**/frame_*.npy"

static const e3_opt table[] = {
	E3_OPT_TITLE("Truth"),
	E3_OPT_CALL_READS("truth", &c, "FILE", parse_truth,
		"take the truth from a stream, a safetensors or a trajectory\n"
		"file instead of the input: once, or once for each input"),
	E3_OPT_READS("against", &c.against, "FILE", "compare with the predictions in FILE instead of the truth"),
	E3_OPT_CHOICE("traj-format", &c.o.traj_format, "FORM", "auto|tum|wxyz|kitti|4x4|nrgbd",
		"format of trajectory files: auto, tum, wxyz, kitti, 4x4, nrgbd"),
	E3_OPT_REAL("max-diff", &c.o.max_diff, "SEC", 0, 1e9, "pair poses of a trajectory file by time, at most SEC apart"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &c.o.stream),
	E3_OPT_TITLE("Depth"),
	E3_OPT_CALL("align", &c.o, "HOW", parse_align,
		"median, scale, scale&shift, metric, lstsq; several with\ncommas (depth: median; video-depth: scale)"),
	E3_OPT_CHOICE("dataset", &c.dataset, "NAME", "e3" E3_SET_CHOICES,
		"limit depth as the papers do for this data set, and use its\nname in result files; e3 (default) or one of\n" E3_SET_WORDS),
	E3_OPT_REAL("max-depth", &c.o.pixels.cap, "D", 0, 1e30, "score only pixels whose truth is below D"),
	E3_OPT_REAL("clip", &c.o.clip, "D", 0, 1e30, "limit aligned predictions to D"),
	E3_OPT_FLAG("disparity", &c.o.disparity, "predictions are inverse depth"),
	E3_OPT_FLAG("finite", &c.o.pixels.finite, "leave out pixels with predictions that are not finite"),
	E3_OPT_TITLE("Reconstruction"),
	E3_OPT_FLAG("use-proj", &c.o.use_proj, "compute points from predicted depth and camera"),
	E3_OPT_REAL("icp", &c.o.icp, "R", 0, 1e9, "do not match points farther apart than R (default 0.1)"),
	E3_OPT_INT("crop", &c.o.crop, "N", 0, 65535,
		"compare the middle N x N pixels of each picture (default\n224; 0: all)"),
	E3_OPT_WRITES_IN("ply", &c.o.ply, "DIR", "**/*.ply", "write the compared clouds into DIR, as PLY"),
	E3_OPT_TITLE("Report"),
	E3_OPT_INT("threads", &c.o.threads, "N", 1, 64,
		"threads for recon and scale&shift (default: one for each\nprocessor)"),
	E3_OPT_FLAG("json", &c.json, "report as one JSON object"),
	E3_OPT_WRITES("output,o", &c.output, "FILE", "write the report to FILE instead of standard output"),
	E3_OPT_FLAG("by-folder", &c.o.by_folder,
		"treat the inputs of a folder as one category: pool its pairs,\n"
		"then average over folders"),
	E3_OPT_WRITES_IN("png", &c.o.charts, "DIR", "**/*.png",
		"draw charts of errors, paths, and accuracy against memory"),
	E3_OPT_WRITES_IN("results", &c.o.results, "DIR", RESULTS, "write the reference's result files into DIR"),
	E3_OPT_NEEDS("results"),
	E3_OPT_FLAG("npy", &c.o.npy, "with --results: write every predicted depth map too"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_FLAG("compat", &c.o.compat, "imitate further properties of the reference's scripts"),
	E3_OPT_END,
};

/* doc/evaluation.md 3.4. The choice 0 is "e3": no data set. */
static void apply_dataset(eval_cli *x)
{
	x->o.dataset = "e3";
	if (x->dataset == 0)
		return;
	const e3_set_info *info = e3_set_info_of(x->dataset - 1);
	x->o.dataset = info->label ? info->label : e3_set_name(x->dataset - 1);
	if (x->o.clip == 0)
		x->o.clip = info->max_prediction;
	if (x->o.pixels.cap == 0)
		x->o.pixels.cap = info->max_depth;
}

/* The first operand may be a task. */
static int choose_task(e3_eval_options *o, const char *word)
{
	for (int k = 0; word && k < E3_EVAL_TASKS; k++)
		if (!strcmp(word, e3_eval_task_name((e3_eval_task)k))) {
			o->tasks = 1u << k;
			return 1;
		}
	o->tasks = ((1u << E3_EVAL_TASKS) - 1) & ~(1u << E3_EVAL_RECON),
	o->all = true; /* recon takes memory and minutes, so it must be asked for */
	return 0;
}

static const e3_opts opts = {
	.tool = "e3-eval",
	.usage = "[depth | video-depth | pose | pairs | recon] [options] [INPUT...]",
	.summary = "Compares predictions with the truth, with the papers' metrics.",
	.table = table,
	.tail =
		"Without a task: all tasks that the truth allows, except recon. INPUT is a file, '-' (standard input, the default), a zmq:\n"
		"endpoint, or for poses a trajectory file; each is one sequence.\n",
};

/* Options that are for some of the tasks; those of depth also for charts, which show it with every task. */
static void check_tasks(unsigned tasks, bool charts)
{
	static const unsigned recon = 1u << E3_EVAL_RECON, depth = 1u << E3_EVAL_DEPTH | 1u << E3_EVAL_VIDEO_DEPTH;
	static const struct {
		const char *option;
		unsigned tasks;
		const char *words;
		bool drawn;
	} table_of_tasks[] = {
		{"ply", recon, "recon", false},
		{"icp", recon, "recon", false},
		{"crop", recon, "recon", false},
		{"use-proj", recon, "recon", false},
		{"align", depth, "depth or video-depth", false},
		{"max-depth", depth, "depth or video-depth, or --png", true},
		{"clip", depth, "depth or video-depth, or --png", true},
		{"disparity", depth, "depth or video-depth, or --png", true},
		{"finite", depth, "depth or video-depth, or --png", true},
	};
	for (size_t k = 0; k < sizeof table_of_tasks / sizeof *table_of_tasks; k++)
		if (e3_opts_given(table_of_tasks[k].option) && !(tasks & table_of_tasks[k].tasks) &&
			!(charts && table_of_tasks[k].drawn))
			e3_usage_error("--%s: needs the task %s", table_of_tasks[k].option, table_of_tasks[k].words);
}

static void claim_operands(const eval_cli *x)
{
	for (int k = 0; k < x->inputs || k == 0; k++)
		e3_opts_claim(
			&(e3_claim){.use = E3_READS | E3_STREAM, .path = x->inputs ? x->input[k] : "-", .what = "the input"});
	if (!x->output)
		e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = "-"});
}

eval_cli *eval_cli_parse(int argc, char **argv)
{
	int first = e3_opts_parse(&opts, argc, argv), aligns = 0;
	first += choose_task(&c.o, first < argc ? argv[first] : NULL);
	c.input = argv + first, c.inputs = argc - first;
	claim_operands(&c);
	c.o.truth = c.truth;
	if (c.against && c.o.n_truth)
		e3_usage_error("--against replaces --truth: give only one of them");
	if (c.against)
		c.truth[0] = c.against, c.o.n_truth = 1, c.o.against = true;
	if (c.o.n_truth > 1 && c.o.n_truth != c.inputs)
		e3_usage_error("--truth was given %d times for %d inputs: give it once, or once for each", c.o.n_truth,
			c.inputs);
	for (int k = 0; k < E3_EVAL_ALIGNS; k++)
		aligns += c.o.align[k];
	if (!c.o.all && c.o.tasks == 1u << E3_EVAL_DEPTH && aligns > 1)
		e3_usage_error("the task depth takes one --align");
	check_tasks(c.o.tasks, c.o.charts);
	if (c.o.threads == 0)
		c.o.threads = sysconf(_SC_NPROCESSORS_ONLN);
	apply_dataset(&c);
	return &c;
}
