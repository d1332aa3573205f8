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
	E3_OPT_TITLE("Which frames"),
	E3_OPT_REAL("every", &o.every, "SEC", 1e-6, 1e9, "one frame every SEC seconds (default 0.5; pictures: all)"),
	E3_OPT_INT("step", &o.step, "N", 1, 1e12, "every Nth frame: the Nth, the 2Nth, ..."),
	E3_OPT_FLAG("all", &o.all, "every frame"),
	E3_OPT_CHOICE("sampling", &o.sampling, "HOW", "count|time",
		"what --every counts: count frames, as the reference\ndoes (default), or time, by time stamps"),
	E3_OPT_FLAG("first", &o.first, "keep the first frame too"),
	E3_OPT_REAL("start", &o.start, "SEC", 0, 1e9, "begin at this time"),
	E3_OPT_REAL("end", &o.end, "SEC", 0, 1e9, "end before this time"),
	E3_OPT_INT("max-frames", &o.max_frames, "N", 1, 1e12, "keep N frames at most"),
	E3_OPT_REAL("fps", &o.fps, "X", 1e-3, 1e6, "frame rate for --every, instead of the source's;\ntimes of pictures"),
	E3_OPT_CHOICE("fps-source", &o.fps_source, "WHICH", "guess|avg|r",
		"which of the container's frame rates: guess (default),\navg or r"),
	E3_OPT_INT("stream", &o.stream, "N", 0, 1e6, "stream N of the file (default: the best video)"),
	E3_OPT_FLAG("natural", &o.natural, "sort folders as people count (2 before 10)"),
	E3_OPT_TITLE("Live sources"),
	E3_OPT_CHOICE("live", &o.live, "HOW", "auto|latest|all|off",
		"latest: when the reader is ready it gets the newest\nframe, the others are skipped (auto does that with\n"
		"cameras and network streams); all: every frame, the\nsource waits; off: read like a file"),
	E3_OPT_SIZE("size", o.size, 65535, "size of a camera's pictures"),
	E3_OPT_REAL("rate", &o.rate, "X", 1e-3, 1e5, "frames per second of a camera"),
	E3_OPT_TEXT("pixfmt", &o.pixfmt, "NAME", "what a camera sends: mjpeg, yuyv422, ..."),
	E3_OPT_REAL("reconnect", &o.reconnect, "SEC", 0, 1e9,
		"how long to try to get a lost source back (network\nstreams: 60; others: 0); if given, also at the start"),
	E3_OPT_REAL("stall", &o.stall, "SEC", 0, 1e9,
		"a source that gives nothing for so long is lost\n(cameras and network: 10; pipes: 0, never)"),
	E3_OPT_CALL("input-option", NULL, "KEY=VALUE", add_setting, "an option of FFmpeg's input; may be repeated"),
	SET_OPTIONS(set),
	E3_OPT_TITLE("How they look"),
	E3_OPT_INT("fit", &o.fit, "N", 1, 8192,
		"resize to the network's size here (518 for the\nreleased model) instead of sending source pixels"),
	E3_OPT_CHOICE("fit-mode", &o.fit_mode, "MODE", "crop|pad",
		"crop tall pictures (default), or pad to a square\nwith white"),
	E3_OPT_INT("patch", &o.patch, "N", 1, 256, "sides are multiples of N (default 14)"),
	E3_OPT_CHOICE("matrix", &o.matrix, "WHICH", "auto|opencv|601|709|2020",
		"colour matrix: auto, by the stream's tag (default);\nopencv, bit-exact to OpenCV; 601, 709, 2020"),
	E3_OPT_CLEAR("no-autorotate", &o.autorotate, "ignore rotation and EXIF orientation"),
	E3_OPT_CHOICE("compat", &o.compat, "WHAT", "none|upstream",
		"upstream: pictures as the reference loads them,\nwithout EXIF orientation (default none)"),
	E3_OPT_TITLE("Input and output"),
	E3_OPT_TEXT("output,o", &o.stage.output, "ENDPOINT", "where the stream goes (default -)"),
	E3_STAGE_ENDPOINT_ROWS(o.stage),
	E3_STAGE_QUEUE_ROWS(o.stage),
	E3_OPT_TEXT("png", &o.png, "DIR", "DIR/%06d.png and DIR/frames.tsv; no stream unless -o"),
	E3_OPT_FLAG("spool", &o.spool, "copy a piped video to a temporary file first, so that\nits frames can be counted"),
	E3_OPT_BYTES("spool-max", &o.spool_max, "limit of such copies (default 4G)"),
	E3_OPT_INT("threads", &o.threads, "N", 1, 64, "decoder threads (default 2)"),
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
