/* e3-decode: its options, and which of them go together. */
#include "decode.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/thread.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_SETTINGS = 32, DEFAULT_PATCH = 14, DEFAULT_FIT = 518, PATCH_OF_SETS = 14, MOST_THREADS = 8 };

static decode_options o = {
	.stage = {.stream = E3_STREAM_DEFAULTS, .lock = PTHREAD_MUTEX_INITIALIZER},
	.input =
		{.choice.end = INFINITY, .reconnect = -1, .stall = -1, .autorotate = true, .tonemap = true, .square = true},
	.request.set.task = -1,
};

/* As the table parses it; options_parse puts it where it belongs. */
static struct {
	int64_t stream, threads, fit, patch, spool_max;
	int sampling, fps_source, live, matrix, fit_mode, compat, size[2], set, co3d_size;
	const char *setting[MAX_SETTINGS];
	int n_settings;
	bool natural;
} given = {.stream = -1, .patch = DEFAULT_PATCH, .spool_max = (int64_t)4 << 30, .set = -1, .fit_mode = -1};

static int add_setting(void *unused, const char *arg, e3_err *err)
{
	const char *is = strchr(arg, '=');
	if (!is || is == arg)
		return e3_fail(err, "expected KEY=VALUE, got '%s'", arg);
	if (given.n_settings == MAX_SETTINGS)
		return e3_fail(err, "expected at most %d of them", MAX_SETTINGS);
	given.setting[given.n_settings++] = arg;
	return 0;
}

static const e3_opt table[] = {
	E3_OPT_TITLE("Which frames"),
	E3_OPT_REAL("every", &o.input.choice.every, "SEC", 1e-6, 1e9,
		"one frame every SEC seconds (default 0.5; pictures: all)"),
	E3_OPT_INT("step", &o.input.choice.step, "N", 1, 1e12, "every Nth frame: the Nth, the 2Nth, ..."),
	E3_OPT_FLAG("all", &o.input.choice.all, "every frame"),
	E3_OPT_CHOICE("sampling", &given.sampling, "HOW", "count|time",
		"what --every counts: count frames, as the reference\ndoes (default), or time, by time stamps"),
	E3_OPT_FLAG("first", &o.input.choice.first, "keep the first frame too"),
	E3_OPT_FLAG("sharpest", &o.input.choice.sharpest, "of each interval its sharpest frame"),
	E3_OPT_REAL("start", &o.input.choice.start, "SEC", 0, 1e9, "begin at this time"),
	E3_OPT_REAL("end", &o.input.choice.end, "SEC", 0, 1e9, "end before this time"),
	E3_OPT_INT("max-frames", &o.input.choice.max_frames, "N", 1, 1e12, "keep N frames at most"),
	E3_OPT_REAL("fps", &o.input.choice.fps, "X", 1e-3, 1e6,
		"frame rate for --every, instead of the source's;\ntimes of pictures"),
	E3_OPT_CHOICE("fps-source", &given.fps_source, "WHICH", "guess|avg|r",
		"which of the container's frame rates: guess (default),\navg or r"),
	E3_OPT_INT("stream", &given.stream, "N", 0, 1e6, "stream N of the file (default: the best video)"),
	E3_OPT_FLAG("lexical", &o.input.lexical,
		"sort folders byte by byte (default: as file managers\nshow them, 2 before 10)"),
	E3_OPT_FLAG("natural", &given.natural, "the default: 2 before 10"),
	E3_OPT_FLAG("strict", &o.input.strict,
		"fail at a damaged picture or a video that is damaged\nor cut off (default: leave out, and say so)"),
	E3_OPT_TITLE("Live sources"),
	E3_OPT_CHOICE("live", &given.live, "HOW", "auto|latest|all|off",
		"latest: when the reader is ready it gets the newest\nframe, the others are skipped (auto does that with\n"
		"cameras and network streams); all: every frame, the\nsource waits; off: read like a file"),
	E3_OPT_SIZE("size", given.size, 65535, "size of a camera's pictures"),
	E3_OPT_REAL("rate", &o.input.rate, "X", 1e-3, 1e5, "frames per second of a camera"),
	E3_OPT_TEXT("pixfmt", &o.input.pixfmt, "NAME", "what a camera sends: mjpeg, yuyv422, ..."),
	E3_OPT_REAL("reconnect", &o.input.reconnect, "SEC", 0, 1e9,
		"how long to try to get a lost source back (network\nstreams: 60; others: 0); if given, also at the start"),
	E3_OPT_REAL("stall", &o.input.stall, "SEC", 0, 1e9,
		"a source that gives nothing for so long is lost\n(cameras and network: 10; pipes: 0, never)"),
	E3_OPT_CALL("input-option", NULL, "KEY=VALUE", add_setting, "an option of FFmpeg's input; may be repeated"),
	E3_OPT_TITLE("Data sets: e3-datasets(7)"),
	E3_OPT_CHOICE("dataset", &given.set, "NAME", E3_SET_NAMES,
		"read this data set, with its truth, instead of INPUT: one of\n" E3_SET_WORDS),
	E3_OPT_NEEDS("dataset"),
	E3_OPT_READS_IN("root", &o.request.set.root, "DIR", E3_SET_FILES, "where it lies"),
	E3_OPT_TEXT("sequence", &o.request.sequence, "PATTERN",
		"which sequences, as the shell matches names; several\nneed -o with a %s, which becomes the name"),
	E3_OPT_FLAG("list", &o.request.list, "say what is there and what is missing, and exit"),
	E3_OPT_NEEDS("list"),
	E3_OPT_FLAG("json", &o.request.json, "with --list: as JSON"),
	E3_OPT_NEEDS("dataset"),
	E3_OPT_CHOICE("task", &o.request.set.task, "TASK", E3_TASK_NAMES,
		"what the frames are for: depth, video-depth, recon, pose\nor pairs (default: what the data set is used for)"),
	E3_OPT_INT("stride", &o.request.set.stride, "N", 1, 1e9, "every Nth frame (default: as the papers do)"),
	E3_OPT_FLAG("whole", &o.request.set.whole,
		"bonn, kitti, tum: the whole recordings, from the original\nfiles, instead of the part that the papers use"),
	E3_OPT_INT("repeat", &o.request.repeat, "N", 1, 1000,
		"send the sequence N times over in one stream, with truth\nthe last time only: what is scored has been seen before"),
	E3_OPT_FLAG("reject-invalid", &o.request.set.reject_invalid,
		"7scenes: depth registered here, without the invalid code\nthe reference takes for 65.5 m"),
	E3_OPT_READS_IN("annotations", &o.request.set.annotations, "DIR", E3_SET_FILES,
		"co3d: where the .jgz files lie (default: the root)"),
	E3_OPT_CHOICE("co3d-size", &given.co3d_size, "N", "224|518",
		"co3d: squeezed to 224 x 224 as the reference does it\n(default), or 518 wide in proportion"),
	E3_OPT_INT("draw", &o.request.set.draw, "N", 2, 1e4, "co3d: frames drawn of each sequence (default 10)"),
	E3_OPT_INT("min-frames", &o.request.set.min_frames, "N", 2, 1e6,
		"co3d: shorter sequences are left out (default 50)"),
	E3_OPT_INT("seed", &o.request.set.seed, "N", 0, 4294967295.0, "co3d: of the draws (default 0)"),
	E3_OPT_FLAG("fast-eval", &o.request.set.ten, "co3d: ten sequences of each category"),
	E3_OPT_TITLE("Size and colour"),
	E3_OPT_INT("fit", &given.fit, "N", 1, 8192,
		"resize to the network's size here (518 for the\nreleased model) instead of sending source pixels"),
	E3_OPT_CHOICE("fit-mode", &given.fit_mode, "MODE", "crop|pad|long",
		"crop tall pictures (default), pad to a square with\nwhite, or long: the longer side N, nothing cut;\nalone with --fit 518"),
	E3_OPT_NEEDS("fit|fit-mode"),
	E3_OPT_INT("patch", &given.patch, "N", 1, 256, "sides are multiples of N (default 14)"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_CHOICE("matrix", &given.matrix, "WHICH", "auto|opencv|601|709|2020",
		"colour matrix: auto, by the stream's tag (default);\nopencv, bit-exact to OpenCV; 601, 709, 2020"),
	E3_OPT_CLEAR("no-tonemap", &o.input.tonemap,
		"send the codes of HDR and wide-gamut videos as they are\n(default: mapped to SDR, BT.709)"),
	E3_OPT_CLEAR("no-square", &o.input.square,
		"send pixels that are not square as they are stored\n(default: made square, in width)"),
	E3_OPT_CLEAR("no-autorotate", &o.input.autorotate, "ignore rotation and EXIF orientation"),
	E3_OPT_CHOICE("compat", &given.compat, "WHAT", "none|upstream",
		"upstream: pictures as the reference loads them: no EXIF\norientation, 16-bit grey cut off at 255 (default none)"),
	E3_OPT_TITLE("Input and output"),
	E3_OPT_SENDS("output,o", &o.stage.output, "ENDPOINT", "where the stream goes (default -)"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &o.stage.stream),
	E3_OPT_ROWS(e3_stage_queue_rows, &o.stage.stream),
	E3_OPT_WRITES_IN("images", &o.images, "DIR", "*.png|*.jpg|*.jpeg|*.jpe|*.jfif|*.mpo",
		"write the pictures that are sent, at source size and\nupright; frames carry their names"),
	E3_OPT_WRITES_IN("png", &o.png, "DIR", "*.png|frames.tsv", "DIR/%06d.png and DIR/frames.tsv; no stream unless -o"),
	E3_OPT_FLAG("spool", &o.input.spool,
		"copy a piped video to a temporary file first, so that\nits frames can be counted"),
	E3_OPT_BYTES("spool-max", &given.spool_max, "limit of such copies (default 4G)"),
	E3_OPT_INT("threads", &given.threads, "N", 1, 64,
		"threads that decode and resize\n(default: one per processor, at most 8)"),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-decode",
	.usage = "[options] INPUT...",
	.summary =
		"Turns a video, a camera, a network stream, pictures, folders of them or standard input (-) into a stream of frames.",
	.table = table,
	.tail = "Example:\n  e3-decode --every 0.5 clip.mp4 | e3-infer --P 0.5 | e3-export --glb out.glb\n",
};

static bool any_option_of_draws(const e3_set_options *s)
{
	return s->annotations || given.co3d_size || s->draw || s->min_frames || s->seed || s->ten;
}

static void check_with_set(int operands)
{
	const set_request *r = &o.request;
	const e3_frame_choice *c = &o.input.choice;
	const e3_set_info *info = e3_set_info_of(given.set);
	const char *name = e3_set_name(given.set);
	if (operands > 0)
		e3_usage_error("--dataset takes no INPUT: give the folder with --root");
	if (!r->set.root)
		e3_usage_error("--dataset needs --root DIR");
	if (c->every > 0 || c->step > 0 || c->all || c->first || c->sharpest || c->start > 0 || isfinite(c->end) ||
		given.sampling || c->fps > 0)
		e3_usage_error("--dataset chooses frames itself: only --stride and --max-frames go with it");
	if (o.png || o.images || given.fit_mode > 0 || given.compat)
		e3_usage_error(
			"--png, --images, --fit-mode and --compat do not go with --dataset: its loader prepares the frames");
	if (r->repeat && r->list)
		e3_usage_error("--repeat does not go with --list");
	if (!info->draws && any_option_of_draws(&r->set))
		e3_usage_error("--annotations, --co3d-size, --draw, --min-frames, --seed and --fast-eval do not go with %s",
			name);
	if (r->set.reject_invalid && !info->registers)
		e3_usage_error("--reject-invalid does not go with %s", name);
	if (r->set.whole && !info->selects)
		e3_usage_error("--whole does not go with %s: the papers use its whole recordings", name);
	if (info->draws && given.fit)
		e3_usage_error("--fit does not go with %s: see --co3d-size", name);
	if (given.fit % PATCH_OF_SETS)
		e3_usage_error("--fit %" PRId64 " is not a multiple of %d", given.fit, PATCH_OF_SETS);
}

static void check(int operands)
{
	const e3_frame_choice *c = &o.input.choice;
	if (given.set >= 0)
		check_with_set(operands);
	if (operands < 1 && given.set < 0)
		e3_usage_error("no input: give a video, a camera, pictures, a folder, or - for standard input");
	if ((c->every > 0) + (c->step > 0) + c->all > 1)
		e3_usage_error("--every, --step and --all exclude each other");
	if (given.sampling == 1 && (c->step > 0 || c->all))
		e3_usage_error("--sampling time needs --every: --step and --all count frames");
	if (given.natural && o.input.lexical)
		e3_usage_error("--natural and --lexical exclude each other");
	if (c->sharpest && (c->all || c->step == 1))
		e3_usage_error("--sharpest chooses one frame of several: it needs --every or --step above 1");
	if (c->end <= c->start)
		e3_usage_error("--end %g is not after --start %g", c->end, c->start);
	if (given.fit > 0 && given.fit % given.patch)
		e3_usage_error("--fit %" PRId64 " is not a multiple of the patch size %" PRId64, given.fit, given.patch);
}

int options_check_live(const decode_options *d, e3_err *err)
{
	const e3_input_options *in = &d->input;
	e3_input_kind kind = e3_input_kind_of(in->operand[0]);
	bool camera = kind == E3_INPUT_CAMERA, comes_back = camera || kind == E3_INPUT_NETWORK || kind == E3_INPUT_URL;
	const char *what = camera ? NULL : in->w > 0 ? "--size" : in->rate > 0 ? "--rate" : in->pixfmt ? "--pixfmt" : NULL;
	if (what)
		return e3_fail(err, "reading: %s: %s is for cameras", in->operand[0], what);
	if (in->choice.sharpest)
		return e3_fail(err, "reading: %s: --sharpest is for videos: a live source gives its newest frame",
			in->operand[0]);
	if (in->reconnect > 0 && !comes_back)
		return e3_fail(err, "reading: %s: --reconnect is for cameras and network streams", in->operand[0]);
	return 0;
}

decode_options *options_parse(int argc, char **argv)
{
	int first = e3_opts_parse(&opts, argc, argv);
	e3_input_options *in = &o.input;
	if (given.fit_mode >= 0 && given.fit == 0 && given.set < 0)
		given.fit = DEFAULT_FIT;
	o.fit =
		(e3_fit_rule){(int)given.fit, (int)given.patch, given.fit_mode < 0 ? E3_FIT_CROP : (e3_fit_mode)given.fit_mode};
	in->operand = argv + first, in->n = argc - first;
	options_claim_inputs(in);
	check(argc - first);
	in->choice.by_time = given.sampling == 1;
	in->choice.rate = (e3_fps_source)given.fps_source;
	in->live = (e3_live_mode)given.live;
	in->w = given.size[0], in->h = given.size[1];
	in->set = given.setting, in->n_set = given.n_settings;
	in->spool_max = (uint64_t)given.spool_max;
	in->stream = (int)given.stream, in->threads = given.threads ? (int)given.threads : e3_processors(MOST_THREADS);
	in->exif = in->autorotate && given.compat == 0;
	in->upstream = given.compat != 0;
	in->matrix = (e3_matrix)given.matrix;
	in->stop = e3_stop_signal;
	o.from_set = given.set >= 0;
	if (o.from_set) {
		o.request.set.set = given.set;
		o.request.set.max_frames = in->choice.max_frames;
		o.request.set.size = (int)given.fit;
		o.request.set.co3d_size = given.co3d_size ? 518 : 224;
	}
	return &o;
}
