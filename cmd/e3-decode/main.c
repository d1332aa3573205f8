/* e3-decode: video, pictures or a pipe of either to a stream of frames. Parse, open, decode, close. */
#include "decode.h"
#include "set.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static decode_options o = {.every = -1,
	.reconnect = -1,
	.stall = -1,
	.end = INFINITY,
	.stream = -1,
	.threads = 2,
	.patch = DEFAULT_PATCH,
	.autorotate = true,
	.spool_max = (int64_t)4 << 30,
	.stage = {.stream = E3_STREAM_DEFAULTS, .lock = PTHREAD_MUTEX_INITIALIZER}};

static set_request set = SET_REQUEST_NONE;

static int parse_size(void *to, const char *arg, e3_err *err)
{
	static const char units[] = "kMGT";
	char number[32];
	size_t n = strlen(arg);
	const char *unit = n ? strchr(units, arg[n - 1]) : NULL;
	if (n == 0 || n >= sizeof number)
		return e3_fail(err, "expected a size such as 512M or 4G, got '%s'", arg);
	memcpy(number, arg, n + 1);
	number[n - (unit != NULL)] = 0;
	int64_t v;
	if (e3_parse_i64(number, 1, 1 << 20, &v, err))
		return unit ? -1 : e3_parse_i64(arg, 1, (int64_t)1 << 50, to, err);
	*(int64_t *)to = unit ? v << 10 * (unit - units + 1) : v;
	return 0;
}

static int parse_wxh(void *unused, const char *arg, e3_err *err)
{
	int n = 0;
	if (sscanf(arg, "%5dx%5d%n", &o.w, &o.h, &n) != 2 || arg[n] || o.w < 1 || o.h < 1)
		return e3_fail(err, "expected WIDTHxHEIGHT such as 1280x720, got '%s'", arg);
	return 0;
}

static int add_setting(void *unused, const char *arg, e3_err *err)
{
	const char *is = strchr(arg, '=');
	if (!is || is == arg)
		return e3_fail(err, "expected KEY=VALUE, got '%s'", arg);
	if (o.n_set == MAX_SETTINGS)
		return e3_fail(err, "at most %d", MAX_SETTINGS);
	o.set[o.n_set++] = arg;
	return 0;
}

static const e3_opt table[] = {
	{.type = E3_OPT_TITLE, .help = "Which frames"},
	{.type = E3_OPT_REAL,
		.name = "every",
		.to = &o.every,
		.arg = "SEC",
		.min = 1e-6,
		.max = 1e9,
		.help = "one frame every SEC seconds (default 0.5; pictures: all)"},
	{.type = E3_OPT_INT,
		.name = "step",
		.to = &o.step,
		.arg = "N",
		.min = 1,
		.max = 1e12,
		.help = "every Nth frame: the Nth, the 2Nth, ..."},
	{.type = E3_OPT_FLAG, .name = "all", .to = &o.all, .help = "every frame"},
	{.type = E3_OPT_CHOICE,
		.name = "sampling",
		.to = &o.sampling,
		.arg = "HOW",
		.choices = "count|time",
		.help = "what --every counts: count frames, as the reference\ndoes (default), or time, by time stamps"},
	{.type = E3_OPT_FLAG, .name = "first", .to = &o.first, .help = "keep the first frame too"},
	{.type = E3_OPT_REAL,
		.name = "start",
		.to = &o.start,
		.arg = "SEC",
		.min = 0,
		.max = 1e9,
		.help = "begin at this time"},
	{.type = E3_OPT_REAL,
		.name = "end",
		.to = &o.end,
		.arg = "SEC",
		.min = 0,
		.max = 1e9,
		.help = "end before this time"},
	{.type = E3_OPT_INT,
		.name = "max-frames",
		.to = &o.max_frames,
		.arg = "N",
		.min = 1,
		.max = 1e12,
		.help = "keep N frames at most"},
	{.type = E3_OPT_REAL,
		.name = "fps",
		.to = &o.fps,
		.arg = "X",
		.min = 1e-3,
		.max = 1e6,
		.help = "frame rate for --every, instead of the source's;\ntimes of pictures"},
	{.type = E3_OPT_CHOICE,
		.name = "fps-source",
		.to = &o.fps_source,
		.arg = "WHICH",
		.choices = "guess|avg|r",
		.help = "which of the container's frame rates: guess (default),\navg or r"},
	{.type = E3_OPT_INT,
		.name = "stream",
		.to = &o.stream,
		.arg = "N",
		.min = 0,
		.max = 1e6,
		.help = "stream N of the file (default: the best video)"},
	{.type = E3_OPT_FLAG, .name = "natural", .to = &o.natural, .help = "sort folders as people count (2 before 10)"},
	{.type = E3_OPT_TITLE, .help = "Live sources"},
	{.type = E3_OPT_CHOICE,
		.name = "live",
		.to = &o.live,
		.arg = "HOW",
		.choices = "auto|latest|all|off",
		.help =
			"latest: when the reader is ready it gets the newest\nframe, the others are skipped (auto does that with\n"
			"cameras and network streams); all: every frame, the\nsource waits; off: read like a file"},
	{.type = E3_OPT_CALL, .name = "size", .arg = "WxH", .call = parse_wxh, .help = "size of a camera's pictures"},
	{.type = E3_OPT_REAL,
		.name = "rate",
		.to = &o.rate,
		.arg = "X",
		.min = 1e-3,
		.max = 1e5,
		.help = "frames per second of a camera"},
	{.type = E3_OPT_TEXT,
		.name = "pixfmt",
		.to = &o.pixfmt,
		.arg = "NAME",
		.help = "what a camera sends: mjpeg, yuyv422, ..."},
	{.type = E3_OPT_REAL,
		.name = "reconnect",
		.to = &o.reconnect,
		.arg = "SEC",
		.min = 0,
		.max = 1e9,
		.help =
			"how long to try to get a lost source back (network\nstreams: 60; others: 0); if given, also at the start"},
	{.type = E3_OPT_REAL,
		.name = "stall",
		.to = &o.stall,
		.arg = "SEC",
		.min = 0,
		.max = 1e9,
		.help = "a source that gives nothing for so long is lost\n(cameras and network: 10; pipes: 0, never)"},
	{.type = E3_OPT_CALL,
		.name = "input-option",
		.arg = "KEY=VALUE",
		.call = add_setting,
		.help = "an option of FFmpeg's input; may be repeated"},
	SET_OPTIONS(set),
	{.type = E3_OPT_TITLE, .help = "How they look"},
	{.type = E3_OPT_INT,
		.name = "fit",
		.to = &o.fit,
		.arg = "N",
		.min = 1,
		.max = 8192,
		.help = "resize to the network's size here (518 for the\nreleased model) instead of sending source pixels"},
	{.type = E3_OPT_CHOICE,
		.name = "fit-mode",
		.to = &o.fit_mode,
		.arg = "MODE",
		.choices = "crop|pad",
		.help = "crop tall pictures (default), or pad to a square\nwith white"},
	{.type = E3_OPT_INT,
		.name = "patch",
		.to = &o.patch,
		.arg = "N",
		.min = 1,
		.max = 256,
		.help = "sides are multiples of N (default 14)"},
	{.type = E3_OPT_CHOICE,
		.name = "matrix",
		.to = &o.matrix,
		.arg = "WHICH",
		.choices = "auto|opencv|601|709|2020",
		.help = "colour matrix: auto, by the stream's tag (default);\nopencv, bit-exact to OpenCV; 601, 709, 2020"},
	{.type = E3_OPT_CLEAR,
		.name = "no-autorotate",
		.to = &o.autorotate,
		.help = "ignore rotation and EXIF orientation"},
	{.type = E3_OPT_CHOICE,
		.name = "compat",
		.to = &o.compat,
		.arg = "WHAT",
		.choices = "none|upstream",
		.help = "upstream: pictures as the reference loads them,\nwithout EXIF orientation (default none)"},
	{.type = E3_OPT_TITLE, .help = "Input and output"},
	{.type = E3_OPT_TEXT,
		.name = "output",
		.letter = 'o',
		.to = &o.stage.output,
		.arg = "ENDPOINT",
		.help = "where the stream goes (default -)"},
	E3_STAGE_ENDPOINT_ROWS(o.stage),
	E3_STAGE_QUEUE_ROWS(o.stage),
	{.type = E3_OPT_TEXT,
		.name = "png",
		.to = &o.png,
		.arg = "DIR",
		.help = "DIR/%06d.png and DIR/frames.tsv; no stream unless -o"},
	{.type = E3_OPT_FLAG,
		.name = "spool",
		.to = &o.spool,
		.help = "copy a piped video to a temporary file first, so that\nits frames can be counted"},
	{.type = E3_OPT_CALL,
		.name = "spool-max",
		.to = &o.spool_max,
		.arg = "SIZE",
		.call = parse_size,
		.help = "limit of such copies (default 4G)"},
	{.type = E3_OPT_INT,
		.name = "threads",
		.to = &o.threads,
		.arg = "N",
		.min = 1,
		.max = 64,
		.help = "decoder threads (default 2)"},
	{.type = E3_OPT_END},
};

static const e3_opts opts = {
	.tool = "e3-decode",
	.usage = "[options] INPUT...",
	.summary =
		"Turns a video, a camera, a network stream, pictures, folders of them or standard input (-) into a stream of frames.",
	.table = table,
	.tail = "Example:\n  e3-decode --every 0.5 clip.mp4 | e3-infer --P 0.5 | e3-export --glb out.glb\n",
};

static void check(int n)
{
	set_check(&set, &o, n);
	if (n < 1 && set.set < 0)
		e3_usage_error("no input: give a video, a camera, pictures, a folder, or - for standard input");
	if ((o.every > 0) + (o.step > 0) + o.all > 1)
		e3_usage_error("--every, --step and --all exclude each other");
	if (o.sampling == 1 && (o.step > 0 || o.all))
		e3_usage_error("--sampling time needs --every: --step and --all count frames");
	if (o.end <= o.start)
		e3_usage_error("--end %g is not after --start %g", o.end, o.start);
	if (o.fit > 0 && o.fit % o.patch)
		e3_usage_error("--fit %lld is not a multiple of the patch size %lld", (long long)o.fit, (long long)o.patch);
}

static void to_detail(const char *line) { e3_detail("%s", line); }

static int run(sink *s, char **operand, int n, e3_err *err)
{
	if (n == 1 && decode_is_live(operand[0], &o))
		return decode_live(operand[0], s, err);
	if (n == 1 && strcmp(operand[0], "-") == 0)
		return decode_stdin(s, err);
	input_list list;
	int rc = inputs_expand(operand, n, o.natural, &list, err);
	if (!rc)
		rc = list.n ? decode_pictures(&list, s, err) : decode_video(operand[0], -1, NULL, 0, s, err);
	inputs_release(&list);
	return rc;
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	sink s = {0};
	e3_tool_init("e3-decode");
	int first = e3_opts_parse(&opts, argc, argv), n = argc - first;
	check(n);
	if (set.set >= 0)
		return e3_tool_exit(set_run(&set, &o, &err), &err);
	e3_video_log(to_detail);
	if (n == 1)
		decode_live_prepare(argv[first], &o);
	int rc = sink_open(&s, &o, argv[first], &err);
	if (!rc) {
		rc = run(&s, argv + first, n, &err);
		if (rc && e3_stop_signal())
			rc = 0; /* what failed was the wait for more: the frames so far are whole */
		e3_err ending = {""};
		int closed = rc && !s.lost ? 0 : sink_end(&s, &ending);
		if (closed)
			rc = -1, err = ending;
		if (rc && (closed || !s.lost))
			sink_abort(&s, &err);
	}
	return e3_tool_exit(rc, &err);
}
