/* e3-export: the command line, and the rules between options that a table cannot express. */
#include "export.h"
#include "place.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The options, and what the table cannot put into e3_export_options directly. */
static struct {
	e3_export_options opt;
	const char *path[E3_MAX_FORMATS]; /* of the output in each row of e3_formats */
	double conf_pct, conf_min;        /* below 0: not given */
	int points, clean, merge, frustum, glb_color, intrinsics, compat, depth_cmap, axes, depth_size;
	bool show_cam, per_frame;
} o = {
	.opt =
		{
			.cloud = {.stride = 1, .max_points = -1},
			.cameras = true,
			.frustums = -1,
			.frustum_size = 0.1,
			.mesh = {.memory = E3_MESH_MEMORY},
			.ply_conf = true,
			.colmap = {.points = 200000},
		},
	.conf_pct = -1,
	.conf_min = -1,
	.clean = -1,
	.merge = -1,
	.frustum = -1,
	.glb_color = -1,
	.depth_cmap = E3_TURBO,
};
static placing place = {.align = -1, .o.gap = 0.02};
static int64_t stride = 1;
static e3_stage stage = E3_STAGE_INIT;

static int parse_voxel(void *to, const char *arg, e3_err *err)
{
	e3_cloud_options *c = to;
	o.merge = strcmp(arg, "none") != 0;
	c->voxel_auto = strcmp(arg, "auto") == 0;
	c->voxel = 0;
	return c->voxel_auto || !o.merge ? 0 : e3_parse_f64(arg, DBL_MIN, DBL_MAX, &c->voxel, err);
}

static int parse_up(void *to, const char *arg, e3_err *err)
{
	e3_export_options *x = to;
	bool minus = *arg == '-';
	const char *axis = arg + minus;
	x->up = !strcmp(arg, "gravity") ? E3_UP_GRAVITY : !strcmp(arg, "first") ? E3_UP_FIRST : E3_UP_AXIS;
	if (x->up != E3_UP_AXIS)
		return 0;
	if (!*axis || axis[1] || !strchr("xyz", *axis))
		return e3_fail(err, "expected gravity, first, or an axis of the stream: x, -x, y, -y, z or -z, got '%s'", arg);
	for (int k = 0; k < 3; k++)
		x->up_axis[k] = "xyz"[k] != *axis ? 0 : minus ? -1 : 1;
	return 0;
}

static int parse_scale(void *to, const char *arg, e3_err *err)
{
	if (strcmp(arg, "auto") != 0)
		return e3_parse_f64(arg, 1e-6, 1e9, to, err);
	*(double *)to = 0;
	return 0;
}

static int parse_size(void *to, const char *arg, e3_err *err)
{
	if (strcmp(arg, "auto") != 0)
		return e3_parse_f64(arg, DBL_MIN, DBL_MAX, to, err);
	*(double *)to = 0;
	return 0;
}

static int parse_frustums(void *to, const char *arg, e3_err *err)
{
	int64_t *n = to;
	*n = strcmp(arg, "all") == 0 ? INT64_MAX : 0;
	return *n || strcmp(arg, "path") == 0 ? 0 : e3_parse_i64(arg, 1, INT64_MAX, n, err);
}

/* N frames, Du units of the stream, P% of the way. */
static int parse_every(void *to, const char *arg, e3_err *err)
{
	e3_colmap_options *c = to;
	char text[64];
	size_t n = strlen(arg);
	char unit = n > 1 && n < sizeof text ? arg[n - 1] : 0;
	snprintf(text, sizeof text, "%.*s", (int)(n - (unit == 'u' || unit == '%')), arg);
	if (unit == 'u' || unit == '%') {
		c->unit = unit == 'u' ? E3_EVERY_DISTANCE : E3_EVERY_SHARE;
		if (e3_parse_f64(text, DBL_MIN, unit == 'u' ? DBL_MAX : 100, &c->every, err))
			return -1;
		c->every /= unit == '%' ? 100 : 1;
		return 0;
	}
	int64_t frames;
	if (e3_parse_i64(text, 1, 1000000000, &frames, err))
		return e3_fail(err, "expected frames (10), a distance (0.5u) or a share of the way (1%%), got '%s'", arg);
	c->unit = E3_EVERY_FRAMES;
	c->every = (double)frames;
	return 0;
}

/* NAME,...: classes. */
static int parse_masks(void *to, const char *arg, e3_err *err)
{
	static char text[1024];
	e3_cloud_options *c = to;
	if (snprintf(text, sizeof text, "%s", arg) >= (int)sizeof text)
		return e3_fail(err, "a list of more than %zu bytes", sizeof text - 1);
	c->n_masks = 0;
	for (char *at = text, *end; at; at = end) {
		end = strchr(at, ',');
		if (end)
			*end++ = 0;
		if (!*at)
			return e3_fail(err, "expected names of classes, separated by commas, got '%.80s'", arg);
		if (c->n_masks == E3_EXPORT_MASKS)
			return e3_fail(err, "expected at most %d classes", E3_EXPORT_MASKS);
		c->mask[c->n_masks++] = at;
	}
	return 0;
}

/* What follows the outputs. */
static const e3_opt rest[] = {
	E3_OPT_TITLE("Points (GLB and PLY)"),
	E3_OPT_NEEDS("glb|ply|splat|mcap|colmap"),
	E3_OPT_CHOICE("points", &o.points, "auto|map|depth", "auto|map|depth",
		"from the point map, or from depth and pose\n(auto: depth and pose if the stream has both)"),
	E3_OPT_CHOICE("clean", &o.clean, "none|edges|consistent", "none|edges|consistent",
		"drop points at the edges of objects; and those that\nother frames see through; default: consistent, or none\nwhen --conf-pct or --conf-min is given"),
	E3_OPT_REAL("conf-pct", &o.conf_pct, "Q", 0, 100,
		"drop the Q % least confident points; default 35 when\ncleaning is consistent, else 20; 0 with --conf-min"),
	E3_OPT_REAL("conf-min", &o.conf_min, "X", 0, FLT_MAX, "drop points with confidence below X"),
	E3_OPT_FLAG("mask-black", &o.opt.cloud.mask_black, "drop nearly black points"),
	E3_OPT_FLAG("mask-white", &o.opt.cloud.mask_white, "drop nearly white points"),
	E3_OPT_NEEDS("glb|ply|splat|mcap|colmap|mesh"),
	E3_OPT_CALL("mask", &o.opt.cloud, "CLASS,...", parse_masks,
		"leave out the pixels of these classes, as in sky,person;\ne3-mask adds the masks to the stream"),
	E3_OPT_READS_IN("mask-dir", &o.opt.cloud.mask_dir, "DIR", "*.png|*.p[gpnb]m|*.jpg|*.jpeg",
		"one picture per frame, non-zero = keep: named by\nframe number (000012.png), or in sorted order"),
	E3_OPT_NEEDS("glb|ply|splat|mcap|colmap"),
	E3_OPT_INT("stride", &stride, "N", 1, 65535, "every N-th pixel of every N-th row"),
	E3_OPT_NEEDS("glb|ply|splat|mcap"),
	E3_OPT_CALL("voxel", &o.opt.cloud, "SIZE|auto|none", parse_voxel,
		"one point for each cell of SIZE scene units, the mean\nof those in it; auto: as wide as a pixel; default:\nauto, or none with --conf-pct, --conf-min, --per-frame"),
	E3_OPT_INT("max-points", &o.opt.cloud.max_points, "N", 0, 1e15,
		"keep N points, evenly chosen; 0 = all;\ndefault: GLB 2000000, splat 1000000, others all"),
	E3_OPT_NEEDS("glb|ply|splat|mcap|colmap|mesh"),
	E3_OPT_FLAG("allow-empty", &o.opt.cloud.allow_empty, "write outputs even when no point is left"),
	E3_OPT_TITLE("GLB"),
	E3_OPT_NEEDS("glb"),
	E3_OPT_FLAG("show-cam", &o.show_cam, "camera frustums and trajectory (the default)"),
	E3_OPT_CLEAR("no-cameras", &o.opt.cameras, "points only"),
	E3_OPT_CALL("cameras", &o.opt.frustums, "all|path|N", parse_frustums,
		"frustums: of all cameras, none but the path, or of N\nevenly over the path; default: as many as do not\noverlap, at most 24"),
	E3_OPT_CHOICE("frustum", &o.frustum, "lines|mesh", "lines|mesh", "thin lines, or cones visible in every viewer"),
	E3_OPT_REAL("frustum-size", &o.opt.frustum_size, "F", 1e-6, 1000,
		"depth of a frustum as a fraction of the scene; 0.1"),
	E3_OPT_NEEDS("glb|ply|splat|mcap|colmap|mesh|run-json|align"),
	E3_OPT_CALL("up", &o.opt, "gravity|first|AXIS", parse_up,
		"what is up in GLB, mesh, turned PLY: from all cameras\n(default), the top of the first picture, or an axis\nof the stream: z, -y, ..."),
	E3_OPT_NEEDS("glb"),
	E3_OPT_FLAG("glb-conf", &o.opt.glb_conf, "add confidences as attribute _CONFIDENCE"),
	E3_OPT_CHOICE("glb-color", &o.glb_color, "linear|upstream", "linear|upstream",
		"linear 16-bit colours, or sRGB bytes as the reference"),
	E3_OPT_NEEDS("glb|npz|ply|splat|mcap|colmap|mesh"),
	E3_OPT_CHOICE("compat", &o.compat, "none|upstream", "none|upstream",
		"GLB and npz as the reference writes them, defects\nincluded"),
	E3_OPT_TITLE("PLY"),
	E3_OPT_NEEDS("ply"),
	E3_OPT_FLAG("ply-conf", &o.opt.ply_conf, "add property confidence (the default)"),
	E3_OPT_CLEAR("no-ply-conf", &o.opt.ply_conf, "no property confidence"),
	E3_OPT_FLAG("ply-normals", &o.opt.ply_normals, "add properties nx ny nz, towards the camera"),
	E3_OPT_FLAG("ply-frame", &o.opt.ply_frame, "add property frame"),
	E3_OPT_NEEDS("ply|splat|mesh"),
	E3_OPT_CHOICE("ply-axes", &o.axes, "opencv|y-up|z-up", "opencv|y-up|z-up",
		"y down, as the stream; y up for Open3D, F3D, MeshLab,\nthree.js; z up for Blender, CloudCompare"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_FLAG("per-frame", &o.per_frame, "one file per frame in the folder of --ply"),
	E3_OPT_TITLE("Scale and place, of all outputs"),
	E3_OPT_REAL("scale", &place.scale, "F", 1e-9, 1e9, "all lengths times F"),
	E3_OPT_CALL("known-distance", &place, "A:B=LENGTH", placing_parse_distance,
		"the cameras of frames A and B are LENGTH apart; or\nA@x,y:B@x,y=LENGTH, surfaces at pixels of their source\npictures; may be repeated"),
	E3_OPT_CALL("align", &place, "FILE|gl|upstream|none", placing_parse_align,
		"scale, turn and shift to a known path: TUM, or a table\nwith time,lat,lon,alt or time,x,y,z; the words are for\nthe GLB: first camera at the origin, looking towards\n-z, and upright (--up); as the reference; or the axes\nof the stream"),
	E3_OPT_CALL("max-gap", &place, "S", placing_parse_gap, "seconds between a frame and what is known (0.02)"),
	E3_OPT_CALL("time-offset", &place, "S|start", placing_parse_offset,
		"add S seconds to the times of the file; start: so many\nthat both begin at once"),
	E3_OPT_TITLE("Mesh"),
	E3_OPT_NEEDS("mesh"),
	E3_OPT_CALL("mesh-voxel", &o.opt.mesh.voxel, "SIZE|auto", parse_size,
		"edge of a voxel in scene units; auto: 1.5 times\nthe width of a pixel where it meets the surface"),
	E3_OPT_CALL("mesh-trunc", &o.opt.mesh.trunc, "DIST|auto", parse_size,
		"how far from a surface a frame speaks of it; auto: by\nhow far frames disagree, at least 3 voxels"),
	E3_OPT_BYTES("mesh-memory", &o.opt.mesh.memory,
		"memory for voxels; default 512M. When they would take\nmore, larger ones are used"),
	E3_OPT_TITLE("COLMAP"),
	E3_OPT_NEEDS("colmap"),
	E3_OPT_READS_IN("images", &o.opt.colmap.images, "DIR", "*.png|*.p[gpnb]m|*.jpg|*.jpeg",
		"pictures of full size, as e3-decode --images wrote\nthem, or the folder that it read; default: the\nnetwork's pictures"),
	E3_OPT_CALL("colmap-every", &o.opt.colmap, "N|Du|P%", parse_every,
		"keyframes: the sharpest of every N frames, of a way\nof D units of the stream, or of P % of the whole way"),
	E3_OPT_INT("colmap-points", &o.opt.colmap.points, "N", 1, 50000000, "at most N points; default 200000"),
	E3_OPT_FLAG("camera-per-image", &o.opt.colmap.camera_per_image,
		"a camera for each picture, not one for all of a size"),
	E3_OPT_FLAG("no-tracks", &o.opt.colmap.single, "one observation of each point"),
	E3_OPT_TITLE("Text and depth"),
	E3_OPT_NEEDS("intrinsics-txt"),
	E3_OPT_CHOICE("intrinsics", &o.intrinsics, "source|model", "source|model",
		"pixels of the source picture or of the network's"),
	E3_OPT_NEEDS("kitti"),
	E3_OPT_FLAG("first-identity", &o.opt.kitti_first_identity, "KITTI: relative to the first frame"),
	E3_OPT_NEEDS("depth|depth-color|depth-pfm|depth-exr"),
	E3_OPT_CHOICE("depth-size", &o.depth_size, "model|source", "model|source",
		"depth in the pixels of the network's picture or of\nthe source's, with sharp edges"),
	E3_OPT_NEEDS("depth"),
	E3_OPT_CALL("depth-scale", &o.opt.depth_scale, "auto|F", parse_scale,
		"16-bit value of depth 1; auto: 5000, 1000, 256 or\nless, as the largest depth allows"),
	E3_OPT_NEEDS("depth-color"),
	E3_OPT_NAMED("depth-cmap", &o.depth_cmap, "NAME", e3_cmap_name, "%s\n(default turbo)"),
	E3_OPT_RANGE("depth-range", o.opt.depth_range, "NEAR:FAR", 1e-8, DBL_MAX,
		"depths at the ends of the colours; default: 2nd and\n98th percentile of 1/depth over the run"),
	E3_OPT_TITLE("Input"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &stage.stream),
	E3_OPT_END,
};

/* The rows of the outputs, then the rest. */
static e3_opt table[1 + E3_MAX_FORMATS + sizeof rest / sizeof *rest];

static const e3_opts opts = {
	.tool = "e3-export",
	.usage = "OUTPUT... [options] [STREAM]",
	.summary = "Writes a prediction stream (standard input, a path or zmq:...) to files that other programs open.",
	.table = table,
	.streams = true,
	.tail = "Example: e3-decode clip.mp4 | e3-infer --P 0.5 | e3-export --glb out.glb --tum out.tum\n",
};

static void fill_table(void)
{
	e3_opt *to = table;
	*to++ = (e3_opt)E3_OPT_TITLE("Outputs (any number of them; FILE may be - for standard output)");
	for (int k = 0; e3_formats[k].name; k++) {
		const e3_format *f = &e3_formats[k];
		const char *arg = f->kind == E3_FORMAT_FOLDER ? "DIR" : "FILE";
		*to++ = (e3_opt)E3_OPT_WRITES_IN(f->name, &o.path[k], arg, f->holds, f->help);
	}
	memcpy(to, rest, sizeof rest);
}

static bool is_stdout(const e3_output *x) { return strcmp(x->path, "-") == 0; }

static void check_output(const e3_output *x)
{
	e3_err err;
	if (is_stdout(x) && e3_output_is_folder(x))
		e3_usage_error("--%s: a folder cannot be standard output", x->format->name);
	if (!e3_format_takes(x->format, x->path))
		e3_usage_error("--%s: %s: the name must end in %s", x->format->name, x->path, x->format->endings);
	if (is_stdout(x) && x->format->kind == E3_FORMAT_BINARY && e3_refuse_terminal(1, &err))
		e3_usage_error("%s", err.text);
}

static _Noreturn void complain_no_output(void)
{
	char names[512] = "";
	for (const e3_format *f = e3_formats; f->name; f++)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s--%s", f == e3_formats ? "" : ", ", f->name);
	e3_usage_error("nothing to write: give at least one of %s", names);
}

static _Noreturn void complain_no_folder(void)
{
	char names[512] = "";
	for (const e3_format *f = e3_formats; f->name; f++)
		if (f->per_frame)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s--%s DIR", *names ? " or " : "", f->name);
	e3_usage_error("--per-frame needs %s", names);
}

/* Lists the outputs that were asked for. */
static void take_outputs(e3_export_options *x)
{
	bool split = false;
	for (int k = 0; e3_formats[k].name; k++)
		if (o.path[k]) {
			bool per_frame = o.per_frame && e3_formats[k].per_frame;
			x->output[x->n_outputs++] = (e3_output){&e3_formats[k], o.path[k], per_frame};
			split = split || per_frame;
		}
	if (o.per_frame && !split)
		complain_no_folder();
	if (!x->n_outputs)
		complain_no_output();
	for (int k = 0; k < x->n_outputs; k++)
		check_output(&x->output[k]);
}

/* Who chooses points by confidence gets all points of that confidence, unless cleaning or merging is asked for. */
static void choose_cleaning(e3_cloud_options *c)
{
	bool all = c->upstream || o.conf_pct >= 0 || o.conf_min >= 0;
	c->clean = o.clean >= 0 ? (e3_clean_mode)o.clean : all ? E3_CLEAN_NONE : E3_CLEAN_CONSISTENT;
	int usual = c->clean == E3_CLEAN_CONSISTENT ? 35 : 20;
	c->conf_pct = o.conf_pct >= 0 ? o.conf_pct : o.conf_min >= 0 ? 0 : usual;
	c->conf_min = fmax(o.conf_min, 0);
	if (o.merge < 0)
		c->voxel_auto = !all && !o.per_frame;
	else if (c->voxel_auto && c->max_points > 0)
		c->voxel_most = c->max_points;
}

e3_stage *e3_export_parse(int argc, char **argv, e3_export_options *opt, placing **placed)
{
	fill_table();
	int at = e3_opts_parse(&opts, argc, argv);
	e3_export_options *x = &o.opt;
	placing_check(&place);
	if (argc - at > 1)
		e3_usage_error("expected one stream at a time: '%s' is one more", argv[at + 1]);
	x->upstream = x->cloud.upstream = o.compat == 1;
	x->cloud.allow_empty = x->cloud.allow_empty || x->upstream;
	x->cloud.source = (e3_point_source)o.points;
	choose_cleaning(&x->cloud);
	x->cloud.stride = (int)stride;
	x->align = place.align >= 0 ? (e3_align)place.align : x->upstream ? E3_ALIGN_UPSTREAM : E3_ALIGN_GL;
	x->frustum = o.frustum == 1 ? E3_FRUSTUM_MESH : E3_FRUSTUM_LINES;
	x->glb_srgb = o.glb_color >= 0 ? o.glb_color == 1 : x->upstream;
	x->depth_cmap = (e3_cmap)o.depth_cmap;
	x->depth_at_source = o.depth_size == 1;
	x->axes = (e3_axes)o.axes;
	x->model_intrinsics = o.intrinsics == 1;
	if (place.align >= 0 && !e3_opts_given("glb") && !e3_opts_given("mesh"))
		e3_usage_error("--align gl, upstream and none: need --glb or --mesh");
	if (x->frustums >= 0 && !x->cameras)
		e3_usage_error("--cameras and --no-cameras contradict each other");
	if (x->frustums >= 0 && x->upstream)
		e3_usage_error("--cameras cannot be combined with --compat upstream, which draws all");
	if (o.show_cam && !x->cameras)
		e3_usage_error("--show-cam and --no-cameras contradict each other");
	if (at < argc)
		stage.input = argv[at];
	take_outputs(x);
	*opt = *x, *placed = &place;
	return &stage;
}
