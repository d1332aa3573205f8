/* e3-scene: rendered rooms as a stream of frames with ground truth. Parse, open, render, close. */
#include "as.h"
#include "e3/scene.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stage.h"
#include "e3/thread.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT, LONG, REVISIT };

/* What a kind stands for. */
static const struct kind {
	const char *name;
	int64_t frames;
	double length;
	e3_scene_path path;
	bool revisit;
} kinds[] = {
	[SHORT] = {"short", 48, 1, E3_SCENE_CLIP, false},
	[LONG] = {"long", 144, 3.5, E3_SCENE_WALK, false},
	[REVISIT] = {"revisit", 144, 2, E3_SCENE_WALK, true},
};

typedef struct scene_tool {
	int kind, path;
	int64_t seed, frames, start, rooms, objects, threads;
	double fps, length, laps, fov, noise;
	int size[2];
	bool revisit, endless, alike, metres;
	scene_as as;

	e3_scene_options o;
	e3_scene *scene;
	e3_buf source;
	uint8_t *rgb;
	float *depth;
	int64_t sent;
	e3_stage stage;
} scene_tool;

static scene_tool t = {
	.path = -1,
	.frames = -1,
	.length = -1,
	.fps = 12,
	.noise = 0.008,
	.rooms = 1,
	.objects = 14,
	.as = {.set = -1},
	.stage = {.stream = E3_STREAM_DEFAULTS, .lock = PTHREAD_MUTEX_INITIALIZER},
};

static int parse_size(void *to, const char *arg, e3_err *err)
{
	int side[2];
	if (e3_parse_size(arg, E3_SCENE_SIDE_MAX, side, err))
		return -1;
	if ((int64_t)side[0] * side[1] > E3_SCENE_PIXELS_MAX)
		return e3_fail(err, "at most %d pixels fit into a truth message, got '%s'", E3_SCENE_PIXELS_MAX, arg);
	memcpy(to, side, sizeof side);
	return 0;
}

static const e3_opt table[] = {
	E3_OPT_TITLE("The scene"),
	E3_OPT_INT("seed", &t.seed, "N", 0, 0x1p53, "determines room, furniture, light and path (default 0)"),
	E3_OPT_CHOICE("kind", &t.kind, "KIND", "short|long|revisit",
		"frames, length and path: short (48 past furniture, the\ndefault), long (144 round the room), revisit (144, there\nand back)"),
	E3_OPT_INT("frames", &t.frames, "N", 1, E3_SCENE_FRAMES_MAX, "number of frames on the path"),
	E3_OPT_REAL("length", &t.length, "X", 0, 1000, "length of the path; 1 is 0.2 to 1.5 m"),
	E3_OPT_REAL("laps", &t.laps, "X", 0, 1000, "times round, for a walk: instead of --length"),
	E3_OPT_CHOICE("path", &t.path, "PATH", "clip|walk",
		"clip: one stroke past the furniture; walk: round the\nroom, as often as the length needs"),
	E3_OPT_FLAG("revisit", &t.revisit, "the path turns back half-way and returns close by"),
	E3_OPT_FLAG("endless", &t.endless, "a walk without end; its speed follows from length and\nframes"),
	E3_OPT_INT("rooms", &t.rooms, "N", 1, 2, "2: a walk through two rooms joined by a door (default 1)"),
	E3_OPT_FLAG("alike", &t.alike, "the second room looks like the first"),
	E3_OPT_INT("objects", &t.objects, "N", 0, E3_SCENE_OBJECTS_MAX, "boxes and ellipsoids in each room (default 14)"),
	E3_OPT_TITLE("The camera"),
	E3_OPT_CALL("size", t.size, "WxH", parse_size, "size of the pictures (default 224x168)"),
	E3_OPT_REAL("fov", &t.fov, "DEG", 1, 170, "horizontal field of view (default: 57 to 63, by the\nseed)"),
	E3_OPT_REAL("fps", &t.fps, "X", 1e-3, 1e6, "frames per second, for the times (default 12)"),
	E3_OPT_REAL("noise", &t.noise, "X", 0, 1, "standard deviation of the image noise (default 0.008,\nwhite is 1)"),
	E3_OPT_TITLE("Output"),
	E3_OPT_SENDS("output,o", &t.stage.output, "ENDPOINT", "destination of the stream (default -)"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &t.stage.stream),
	E3_OPT_ROWS(e3_stage_queue_rows, &t.stage.stream),
	E3_OPT_CHOICE("as", &t.as.set, "NAME", E3_SET_NAMES,
		"write a data set into DIR instead, in metres and in its own\nsize unless --size is given: one of\n" E3_SET_WORDS),
	E3_OPT_TEXT("sequence", &t.as.sequence, "NAME", "with --as: name of the sequence"),
	E3_OPT_INT("start", &t.start, "I", 0, 0x1p53, "begin with frame I; frames are the same as without this"),
	E3_OPT_FLAG("metres", &t.metres, "give the truth in metres instead of mean distances of the\nfirst frame's points"),
	E3_OPT_INT("threads", &t.threads, "N", 1, E3_SCENE_THREADS_MAX, "threads that render (default: one per processor)"),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-scene",
	.usage = "[options]\n       e3-scene --as NAME [options] DIR",
	.summary =
		"Renders a room with furniture, or two, seen by a moving camera: frames with their exact depth and pose.",
	.table = table,
	.tail = "Example:\n  e3-scene --seed 7 | e3-infer --P 0.2 | e3-export --glb room.glb\n",
};

static void check_operands(int n, char **operand)
{
	if (t.as.set < 0 && n > 0)
		e3_usage_error("%s: e3-scene reads no input", operand[0]);
	if (t.as.set < 0 && t.as.sequence)
		e3_usage_error("--sequence needs --as");
	if (t.as.set < 0)
		return;
	if (n != 1)
		e3_usage_error("--as needs one folder to write to");
	if (t.endless || t.stage.output)
		e3_usage_error("--as does not go with %s", t.endless ? "--endless" : "--output: it writes files, not a stream");
	t.as.dir = operand[0];
	e3_opts_claim(&(e3_claim){.use = E3_WRITES, .path = t.as.dir, .holds = "**/*"});
}

static void parse(int argc, char **argv)
{
	int first = e3_opts_parse(&opts, argc, argv);
	const struct kind *k = &kinds[t.kind];
	check_operands(argc - first, argv + first);
	bool revisit = t.revisit || k->revisit;
	if (t.endless && revisit)
		e3_usage_error("--endless and %s exclude each other", t.revisit ? "--revisit" : "--kind revisit");
	const char *walks = t.endless ? "--endless" : t.rooms == 2 ? "--rooms 2" : t.laps > 0 ? "--laps" : NULL;
	if (walks && t.path == E3_SCENE_CLIP)
		e3_usage_error("%s needs --path walk: a clip %s", walks, t.rooms == 2 ? "stays in its room" : "ends");
	if (t.alike && t.rooms != 2)
		e3_usage_error("--alike needs --rooms 2");
	if (t.laps > 0 && t.length >= 0)
		e3_usage_error("--laps and --length exclude each other");
	int64_t frames = t.frames > 0 ? t.frames : k->frames;
	if (!t.endless && t.start >= frames)
		e3_usage_error("--start %" PRId64 ": the scene has %" PRId64 " frames", t.start, frames);
	t.o = (e3_scene_options){
		.seed = (uint64_t)t.seed,
		.w = t.size[0],
		.h = t.size[1],
		.frames = frames,
		.length = t.length >= 0 ? t.length : k->length,
		.laps = t.laps,
		.path = walks     ? E3_SCENE_WALK
			: t.path >= 0 ? (e3_scene_path)t.path
						  : k->path,
		.revisit = revisit,
		.endless = t.endless,
		.metres = t.metres,
		.rooms = (int)t.rooms,
		.alike = t.alike,
		.objects = (int)t.objects,
		.fov = t.fov * 3.14159265358979323846 / 180,
		.noise = t.noise,
		.threads = t.threads ? (int)t.threads : e3_processors(E3_SCENE_THREADS_MAX),
	};
	t.as.start = t.start, t.as.fps = t.fps;
	if (t.as.set >= 0)
		scene_as_complete(&t.as, &t.o);
	else if (!t.o.w)
		t.o.w = 224, t.o.h = 168;
}

static int send_head(e3_err *err)
{
	if (e3_buf_printf(&t.source, err, "scene %" PRId64 " %s", t.seed, kinds[t.kind].name))
		return -1;
	e3_head head = e3_stage_head(t.source.data);
	head.frames = t.endless ? -1 : t.o.frames - t.start;
	head.fps = t.fps;
	return e3_out_head(t.stage.out, &head, err);
}

/* The frame, then its truth. */
static int send_frame(int64_t i, e3_err *err)
{
	const e3_scene_facts *facts = e3_scene_describe(t.scene);
	const int w = t.o.w, h = t.o.h;
	const e3_source at = {.i = i, .pts = (double)i / t.fps, .src_i = i, .src_w = w, .src_h = h, .fit = {1, 1, 0, 0}};
	e3_frame frame = {.s = at, .w = w, .h = h, .rgb = t.rgb};
	e3_truth truth = {.i = i,
		.w = w,
		.h = h,
		.depth = t.depth,
		.has_pose = true,
		.has_intrinsics = true,
		.unit = (char *)(uintptr_t)facts->unit};
	memcpy(truth.intrinsics, facts->intrinsics, sizeof truth.intrinsics);
	e3_scene_render(t.scene, i, t.rgb, t.depth, truth.pose);
	if (e3_out_frame(t.stage.out, &frame, err) || e3_out_truth(t.stage.out, &truth, err))
		return -1;
	t.sent++;
	e3_stage_progress(&t.stage, t.sent, t.endless ? -1 : t.o.frames - t.start, "%s", "");
	return 0;
}

static int open_all(e3_err *err)
{
	size_t pixels = (size_t)t.o.w * (size_t)t.o.h;
	if (!t.stage.output)
		t.stage.output = "-";
	if (e3_stage_open_output(&t.stage, err))
		return -1;
	t.scene = e3_scene_open(&t.o, err);
	t.rgb = e3_alloc(pixels, 3, "a frame", err);
	t.depth = t.rgb ? e3_alloc(pixels, sizeof *t.depth, "a depth map", err) : NULL;
	if (!t.scene || !t.rgb || !t.depth)
		return -1;
	const e3_scene_facts *f = e3_scene_describe(t.scene);
	e3_detail("%sroom %.2f × %.2f m, %.2f m high, %d objects; path %.2f m; one unit is %.3f m",
		f->rooms > 1 ? "two rooms; first " : "", f->room[0], f->room[2], f->room[1], f->objects, f->length, f->metres);
	if (f->lap > 0)
		e3_detail("once round is %.2f m", f->lap);
	return 0;
}

static int run(e3_err *err)
{
	if (open_all(err) || send_head(err))
		return -1;
	for (int64_t i = t.start; (t.endless || i < t.o.frames) && !e3_stop_signal(); i++)
		if (send_frame(i, err))
			return -1;
	e3_end end = e3_stage_end(&t.stage, t.sent);
	e3_detail("%" PRId64 " frames in %.2f s", t.sent, end.seconds);
	return e3_out_end(t.stage.out, &end, err);
}

int main(int argc, char **argv)
{
	e3_err err = {""};
	e3_tool_init("e3-scene");
	parse(argc, argv);
	if (t.as.set >= 0)
		return e3_tool_exit(scene_as_run(&t.as, &t.o, &err), &err);
	int rc = run(&err);
	rc = e3_stage_finish(&t.stage, rc, &err);
	e3_stage_close(&t.stage);
	e3_scene_close(t.scene);
	free(t.rgb), free(t.depth);
	e3_buf_release(&t.source);
	return e3_tool_exit(rc, &err);
}
