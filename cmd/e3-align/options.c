/* e3-align: its options. */
#include "align.h"
#include "e3/num.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* As the table parses it; align_parse makes `align_options` of it. */
static struct {
	align_options o;
	const char *poses, *gps;
	bool geodetic;
	double poses_sigma, turn_sigma, gps_sigma, gap, offset;
} given = {
	.o.stage = E3_STAGE_INIT,
	.o.aligner.graph = E3_GRAPH_DEFAULTS,
	.poses_sigma = 0.01,
	.turn_sigma = 0.5,
	.gps_sigma = 1,
	.gap = 0.02,
};

/* I,J,LENGTH */
static int add_distance(void *to, const char *arg, e3_err *err)
{
	align_options *o = to;
	char word[3][64];
	const char *at = arg;
	int n = 0;
	e3_aligner_distance d;
	for (; n < 3; n++) {
		size_t len = strcspn(at, ",");
		snprintf(word[n], sizeof word[n], "%.*s", (int)(len < 63 ? len : 63), at);
		at += len;
		if (n < 2 && *at++ != ',')
			break;
	}
	if (n < 3 || *at)
		return e3_fail(err, "expected I,J,LENGTH: two frames and the distance between their cameras, got '%s'", arg);
	for (int k = 0; k < 2; k++)
		if (e3_parse_i64(word[k], 0, INT64_C(1) << 53, &d.frame[k], err))
			return -1;
	if (e3_parse_f64(word[2], 1e-9, E3_KNOWN_FARTHEST, &d.length, err))
		return -1;
	if (d.frame[0] == d.frame[1])
		return e3_fail(err, "expected two different frames, got '%s'", arg);
	if (o->aligner.n_distances == DISTANCES_MOST)
		return e3_fail(err, "expected at most %d distances", DISTANCES_MOST);
	o->distance[o->aligner.n_distances++] = d;
	return 0;
}

static const e3_opt table[] = {
	E3_OPT_TITLE("Output"),
	E3_OPT_SENDS("output,o", &given.o.stage.output, "ENDPOINT", "write to ENDPOINT (default: -, standard output)"),
	E3_OPT_FLAG("final", &given.o.final, "wait for the end, then write predictions as corrected"),
	E3_OPT_ROWS(e3_stage_endpoint_rows, &given.o.stage.stream),
	E3_OPT_TITLE("Loops"),
	E3_OPT_FLAG("no-loops", &given.o.aligner.no_loops, "do not use them"),
	E3_OPT_NEEDS("!no-loops"),
	E3_OPT_NAMED("robust", &given.o.aligner.graph.loss, "LOSS", e3_graph_loss_name,
		"how loops that do not fit count: %s\n(geman-mcclure)"),
	E3_OPT_REAL("robust-width", &given.o.aligner.graph.width, "W", 0.1, 1e6,
		"standard deviations beyond which a loop is refused (10)"),
	E3_OPT_TITLE("What is known of the camera's path"),
	E3_OPT_READS("poses", &given.poses, "FILE", "poses: time x y z qx qy qz qw, world from camera"),
	E3_OPT_READS("gps", &given.gps, "FILE", "positions: time x y z [sigma], in metres"),
	E3_OPT_NEEDS("gps"),
	E3_OPT_FLAG("gps-lla", &given.geodetic,
		"positions are latitude, longitude, altitude; the world is\n"
		"metres east, north and up of the first"),
	E3_OPT_NEEDS(NULL),
	E3_OPT_CALL("distance", &given.o, "I,J,LENGTH", add_distance,
		"the cameras of frames I and J are LENGTH apart;\nmay be repeated"),
	E3_OPT_NEEDS("poses|gps"),
	E3_OPT_REAL("max-gap", &given.gap, "S", 0, 1e6, "seconds between a frame and what is known (0.02)"),
	E3_OPT_REAL("time-offset", &given.offset, "S", -1e12, 1e12, "add S seconds to the times of the files (0)"),
	E3_OPT_NEEDS("poses"),
	E3_OPT_REAL("poses-sigma", &given.poses_sigma, "LENGTH", 1e-9, 1e6, "standard deviation of known poses (0.01)"),
	E3_OPT_REAL("turn-sigma", &given.turn_sigma, "DEGREES", 1e-6, 180,
		"standard deviation of their orientations (0.5)"),
	E3_OPT_NEEDS("gps"),
	E3_OPT_REAL("gps-sigma", &given.gps_sigma, "LENGTH", 1e-9, 1e6, "standard deviation of positions without one (1)"),
	E3_OPT_TITLE("Report"),
	E3_OPT_WRITES("report", &given.o.report, "FILE", "write what was done to FILE"),
	E3_OPT_FLAG("json", &given.o.json, "report as one JSON object, without --report to standard error"),
	E3_OPT_WRITES("edges", &given.o.edges, "FILE", "write a table of the joins and loops, tab separated"),
	E3_OPT_END,
};

static const e3_opts opts = {
	.tool = "e3-align",
	.usage = "[options] [INPUT]",
	.summary = "Aligns the segments of a stream of predictions: loops, known poses, positions and distances.",
	.table = table,
	.streams = true,
	.tail = "INPUT is a file, '-' (standard input, the default), or a zmq: endpoint.\n",
};

align_options *align_parse(int argc, char **argv)
{
	align_options *o = &given.o;
	int first = e3_opts_parse(&opts, argc, argv);
	if (argc - first > 1)
		e3_usage_error("expected one INPUT, got '%s' and '%s'", argv[first], argv[first + 1]);
	if (first < argc)
		o->stage.input = argv[first];
	if ((o->report && !strcmp(o->report, "-")) || (o->edges && !strcmp(o->edges, "-")))
		e3_usage_error("--report and --edges need a file: the stream goes to standard output");
	o->stage.needs = E3_STAGE_PREDICTIONS;
	o->aligner.known = o->known, o->aligner.distance = o->distance;
	o->aligner.gap = given.gap;
	o->aligner.turn_sigma = given.turn_sigma * 0.017453292519943295;
	o->aligner.keep = o->final;
	return o;
}

static int load(align_options *o, const char *path, e3_known_format format, double sigma, e3_err *err)
{
	if (!path)
		return 0;
	const e3_known_reading how = {.format = format, .offset = given.offset, .sigma = sigma};
	o->known_path[o->aligner.n_known] = path;
	return e3_known_load(path, &how, &o->known[o->aligner.n_known++], err);
}

int align_load(align_options *o, e3_err *err)
{
	return load(o, given.poses, E3_KNOWN_POSES, given.poses_sigma, err) ||
			load(o, given.gps, given.geodetic ? E3_KNOWN_GEODETIC : E3_KNOWN_POSITIONS, given.gps_sigma, err)
		? -1
		: 0;
}

bool align_wanted(const align_options *o)
{
	return !o->aligner.no_loops || o->aligner.n_known > 0 || o->aligner.n_distances > 0;
}
