/* e3-export: the command line, and the rules between options that a table cannot say. */
#include "export.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/stream.h"
#include "e3/tool.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* What the table cannot put into e3_export_options directly. */
static struct {
	e3_export_options opt;
	double conf_pct;
	int points, frustum, align, glb_color, intrinsics, compat;
	bool show_cam;
} o = {
	.opt =
		{
			.cloud = {.stride = 1, .max_points = -1},
			.cameras = true,
			.frustum_size = 0.1,
			.ply_conf = true,
			.depth_cmap = E3_TURBO,
		},
	.conf_pct = -1,
	.align = -1,
	.frustum = -1,
	.glb_color = -1,
};
static int64_t stride = 1;

static int parse_voxel(void *to, const char *arg, e3_err *err)
{
	e3_cloud_options *c = to;
	c->voxel_auto = strcmp(arg, "auto") == 0;
	return c->voxel_auto ? 0 : e3_parse_f64(arg, DBL_MIN, DBL_MAX, &c->voxel, err);
}

static int parse_cmap(void *to, const char *arg, e3_err *err) { return e3_cmap_parse(arg, to, err); }

static int parse_scale(void *to, const char *arg, e3_err *err)
{
	if (strcmp(arg, "auto") != 0)
		return e3_parse_f64(arg, 1e-6, 1e9, to, err);
	*(double *)to = 0;
	return 0;
}

static int parse_range(void *to, const char *arg, e3_err *err)
{
	e3_export_options *x = to;
	char near[64];
	const char *colon = strchr(arg, ':');
	size_t n = colon ? (size_t)(colon - arg) : 0;
	if (!colon || n >= sizeof near)
		return e3_fail(err, "expected NEAR:FAR, got '%s'", arg);
	memcpy(near, arg, n);
	near[n] = 0;
	if (e3_parse_f64(near, 1e-8, DBL_MAX, &x->depth_near, err) ||
		e3_parse_f64(colon + 1, 1e-8, DBL_MAX, &x->depth_far, err))
		return -1;
	return x->depth_near < x->depth_far ? 0 : e3_fail(err, "expected NEAR below FAR, got '%s'", arg);
}

#define TITLE(text) \
	{ \
		E3_OPT_TITLE, NULL, 0, NULL, NULL, text, 0, 0, NULL, NULL \
	}
#define TEXT(name, to, arg, help) \
	{ \
		E3_OPT_TEXT, name, 0, to, arg, help, 0, 0, NULL, NULL \
	}
#define FLAG(name, to, help) \
	{ \
		E3_OPT_FLAG, name, 0, to, NULL, help, 0, 0, NULL, NULL \
	}
#define CLEAR(name, to, help) \
	{ \
		E3_OPT_CLEAR, name, 0, to, NULL, help, 0, 0, NULL, NULL \
	}
#define REAL(name, to, arg, min, max, help) \
	{ \
		E3_OPT_REAL, name, 0, to, arg, help, min, max, NULL, NULL \
	}
#define INT(name, to, arg, min, max, help) \
	{ \
		E3_OPT_INT, name, 0, to, arg, help, min, max, NULL, NULL \
	}
#define CHOICE(name, to, words, help) \
	{ \
		E3_OPT_CHOICE, name, 0, to, words, help, 0, 0, words, NULL \
	}
#define CALL(name, to, arg, help, fn) \
	{ \
		E3_OPT_CALL, name, 0, to, arg, help, 0, 0, NULL, fn \
	}

static const e3_opt table[] = {
	TITLE("Outputs (any number of them; FILE may be - for standard output)"),
	TEXT("glb", &o.opt.glb, "FILE", "binary glTF: points, cameras, trajectory"),
	TEXT("ply", &o.opt.ply, "FILE", "binary PLY point cloud; a folder with --per-frame"),
	TEXT("tum", &o.opt.tum, "FILE", "trajectory: time, camera centre, quaternion"),
	TEXT("kitti", &o.opt.kitti, "FILE", "trajectory: 3x4 world-from-camera matrices"),
	TEXT("intrinsics-txt", &o.opt.intrinsics, "FILE", "fx fy cx cy width height of each frame"),
	TEXT("npz", &o.opt.npz, "FILE", "predictions.npz with the reference's nine keys"),
	TEXT("depth", &o.opt.depth, "DIR", "16-bit PNG of every frame's depth"),
	TEXT("depth-color", &o.opt.depth_color, "DIR", "coloured PNG of every frame's depth"),
	TEXT("run-json", &o.opt.run_json, "FILE", "what was read and chosen, frame by frame"),
	TITLE("Points (GLB and PLY)"),
	CHOICE("points", &o.points, "auto|map|depth",
		"from the point map, or from depth and pose\n(auto: the point map if the stream has it)"),
	REAL("conf-pct", &o.conf_pct, "Q", 0, 100,
		"drop the Q % least confident points; default 20,\n0 when --conf-min is given"),
	REAL("conf-min", &o.opt.cloud.conf_min, "X", 0, FLT_MAX, "drop points with confidence below X"),
	FLAG("mask-black", &o.opt.cloud.mask_black, "drop nearly black points"),
	FLAG("mask-white", &o.opt.cloud.mask_white, "drop nearly white points"),
	TEXT("mask-dir", &o.opt.cloud.mask_dir, "DIR",
		"one picture per frame, non-zero = keep: named by\nframe number (000012.png), or in sorted order"),
	INT("stride", &stride, "N", 1, 65535, "every N-th pixel of every N-th row"),
	CALL("voxel", &o.opt.cloud, "SIZE|auto",
		"keep the most confident point of each cell of SIZE\nscene units; auto: as fine as --max-points allows",
		parse_voxel),
	INT("max-points", &o.opt.cloud.max_points, "N", 0, 1e15,
		"keep N points, evenly chosen; 0 = all;\ndefault: GLB 2000000, PLY all"),
	FLAG("allow-empty", &o.opt.cloud.allow_empty, "no point left is not an error"),
	TITLE("GLB"),
	FLAG("show-cam", &o.show_cam, "camera frustums and trajectory (the default)"),
	CLEAR("no-cameras", &o.opt.cameras, "points only"),
	CHOICE("frustum", &o.frustum, "lines|mesh", "thin lines, or ribbons visible in every viewer"),
	REAL("frustum-size", &o.opt.frustum_size, "F", 1e-6, 1000, "depth of a frustum as a fraction of the scene; 0.1"),
	CHOICE("align", &o.align, "gl|upstream|none",
		"first camera at the origin, looking down -z, y up;\nas the reference; or the stream's own axes"),
	FLAG("glb-conf", &o.opt.glb_conf, "add confidences as attribute _CONFIDENCE"),
	CHOICE("glb-color", &o.glb_color, "linear|upstream", "linear 16-bit colours, or sRGB bytes as the reference"),
	CHOICE("compat", &o.compat, "none|upstream", "GLB and npz as the reference writes them, defects\nincluded"),
	TITLE("PLY"),
	FLAG("ply-conf", &o.opt.ply_conf, "property confidence (the default)"),
	CLEAR("no-ply-conf", &o.opt.ply_conf, "without it"),
	FLAG("ply-frame", &o.opt.ply_frame, "property frame"),
	FLAG("per-frame", &o.opt.ply_per_frame, "one file per frame in the folder of --ply"),
	TITLE("Text and depth"),
	CHOICE("intrinsics", &o.intrinsics, "source|model", "pixels of the source picture or of the network's"),
	FLAG("first-identity", &o.opt.kitti_first_identity, "KITTI: relative to the first frame"),
	CALL("depth-scale", &o.opt.depth_scale, "auto|F",
		"16-bit value of depth 1; auto: 5000, 1000, 256 or\nless, as the largest depth allows", parse_scale),
	CALL("depth-cmap", &o.opt.depth_cmap, "NAME", "turbo (default), viridis, plasma, magma, grey", parse_cmap),
	CALL("depth-range", &o.opt, "NEAR:FAR",
		"depths at the ends of the colours; default: 2nd and\n98th percentile of 1/depth over the run", parse_range),
	{E3_OPT_TITLE, .help = "Input"},
	E3_STREAM_OPTIONS,
	{E3_OPT_END, NULL, 0, NULL, NULL, NULL, 0, 0, NULL, NULL},
};

static const e3_opts opts = {
	.tool = "e3-export",
	.usage = "OUTPUT... [options] [STREAM]",
	.summary = "Writes a prediction stream (standard input, a path or zmq:...) to files other programs open.",
	.table = table,
	.tail = "Example: e3-decode clip.mp4 | e3-infer --P 0.5 | e3-export --glb out.glb --tum out.tum\n",
};

static bool is_stdout(const char *path) { return path && strcmp(path, "-") == 0; }

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	return a && stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
		x.st_ino == y.st_ino;
}

static void check_outputs(const e3_export_options *x, const char *from)
{
	const char *files[] = {x->glb, x->npz, x->ply, x->tum, x->kitti, x->intrinsics, x->run_json};
	enum { FILES = sizeof files / sizeof *files, BINARY = 3 };
	int to_stdout = 0;
	bool any = x->depth || x->depth_color;
	for (int k = 0; k < FILES; k++) {
		any = any || files[k];
		to_stdout += is_stdout(files[k]);
		if (same_file(files[k], from))
			e3_usage_error("%s is the stream that is read: give the output another name", files[k]);
		for (int j = 0; files[k] && !is_stdout(files[k]) && strncmp(files[k], "/dev/", 5) != 0 && j < k; j++)
			if (files[j] && strcmp(files[j], files[k]) == 0)
				e3_usage_error("two outputs have the same name: %s", files[k]);
		e3_err err;
		if (k < BINARY && is_stdout(files[k]) && e3_refuse_terminal(1, &err))
			e3_usage_error("%s", err.text);
	}
	if (!any)
		e3_usage_error(
			"nothing to write: give at least one of --glb, --ply, --tum, --kitti, --intrinsics-txt, --npz, --depth, "
			"--depth-color, --run-json");
	if (to_stdout > 1)
		e3_usage_error("only one output can be standard output");
	if (is_stdout(x->depth) || is_stdout(x->depth_color) || (x->ply_per_frame && is_stdout(x->ply)))
		e3_usage_error("a folder cannot be standard output");
	if (x->depth && x->depth_color && strcmp(x->depth, x->depth_color) == 0)
		e3_usage_error("--depth and --depth-color use the same names: give them different folders");
	if (x->ply_per_frame && !x->ply)
		e3_usage_error("--per-frame needs --ply DIR");
}

const char *e3_export_parse(int argc, char **argv, e3_export_options *opt)
{
	int at = e3_opts_parse(&opts, argc, argv);
	e3_export_options *x = &o.opt;
	if (argc - at > 1)
		e3_usage_error("one stream at a time: '%s' is too much", argv[at + 1]);
	x->upstream = x->cloud.upstream = o.compat == 1;
	x->cloud.allow_empty = x->cloud.allow_empty || x->upstream;
	x->cloud.source = (e3_points)o.points;
	x->cloud.conf_pct = o.conf_pct >= 0 ? o.conf_pct : x->cloud.conf_min > 0 ? 0 : 20;
	x->cloud.stride = (int)stride;
	x->align = o.align >= 0 ? (e3_align)o.align : x->upstream ? E3_ALIGN_UPSTREAM : E3_ALIGN_GL;
	x->frustum = o.frustum == 1 ? E3_FRUSTUM_MESH : E3_FRUSTUM_LINES;
	x->glb_srgb = o.glb_color >= 0 ? o.glb_color == 1 : x->upstream;
	x->model_intrinsics = o.intrinsics == 1;
	if (o.show_cam && !x->cameras)
		e3_usage_error("--show-cam and --no-cameras contradict each other");
	const char *from = at < argc ? argv[at] : "-";
	check_outputs(x, from);
	*opt = *x;
	return from;
}
