/* e3-decode: cameras, network streams and whatever else is read as it comes: what is asked of the source, the loop,
 * what was skipped. */
#include "decode.h"
#include "e3/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_STALL 10.0     /* s without anything from a camera or the network */
#define DEFAULT_RECONNECT 60.0 /* s to get a network stream back */

bool decode_is_live(const char *input, const decode_options *o)
{
	e3_input_kind kind = e3_input_kind_of(input);
	bool is = kind == E3_INPUT_CAMERA || kind == E3_INPUT_NETWORK || kind == E3_INPUT_DRAWN;
	return o->live == LIVE_LATEST || o->live == LIVE_ALL || (o->live == LIVE_AUTO && is);
}

void decode_live_prepare(const char *input, decode_options *o)
{
	e3_queue_limit *q = &o->stage.stream.queue;
	if (decode_is_live(input, o) && o->live != LIVE_ALL && q->messages == 0) /* not asked for */
		q->messages = 1;
}

static e3_stage *written; /* the output of the loop at hand */

/* Nobody may be reading any more while the source gives nothing. */
static int stop(void) { return e3_stop_signal() || e3_stage_output_lost(written, NULL); }

static void say(const char *line) { e3_note("%s", line); }

static bool is_remote(e3_input_kind kind) { return kind == E3_INPUT_NETWORK || kind == E3_INPUT_URL; }

double decode_timeout(const char *input, const decode_options *o)
{
	e3_input_kind kind = e3_input_kind_of(input);
	return o->stall >= 0 ? o->stall : kind == E3_INPUT_CAMERA || is_remote(kind) ? DEFAULT_STALL : 0;
}

/* Options that say nothing about this kind of source are not passed over in silence. */
static int check(const char *input, const e3_live_options *l, const decode_options *o, e3_err *err)
{
	bool camera = l->kind == E3_INPUT_CAMERA, comes_back = camera || is_remote(l->kind);
	const char *what = !camera && o->size[0] > 0 ? "--size"
		: !camera && o->rate > 0                 ? "--rate"
		: !camera && o->pixfmt                   ? "--pixfmt"
												 : NULL;
	if (what)
		return e3_fail(err, "reading: %s: %s is for cameras", input, what);
	if (o->reconnect > 0 && !comes_back)
		return e3_fail(err, "reading: %s: --reconnect is for cameras and network streams", input);
	return 0;
}

/* Frames are chosen by time, as counting makes no sense where frames get lost; every one unless --every or --step say
 * less. */
static e3_sampling choose(const decode_options *o)
{
	e3_sampling rule = {.step = o->step > 0 ? o->step : 1, .first = o->first, .start = o->start, .end = o->end};
	if (o->every > 0)
		rule.step = 0, rule.every = o->every;
	return rule;
}

/* Opening waits for a writer; then the reading end must not wait where nothing can interrupt it. */
static int open_fifo(const char *input, e3_err *err)
{
	int fd = strcmp(input, "-") == 0 ? dup(STDIN_FILENO) : open(input, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? e3_fail_sys(err, "reading: %s", input) : fd;
}

static void describe(const e3_live *l, const sink *s)
{
	const e3_video_info *i = e3_live_describe(l);
	e3_detail("%s: live: %s, %s, %d x %d, %.3f frames/s", s->name, i->codec, i->format, i->w, i->h,
		i->fps[E3_FPS_GUESS]);
	if (i->hdr)
		e3_note("%s: HDR (PQ or HLG): sent without tone mapping", s->name);
}

static void report(e3_live *l, const sink *s)
{
	e3_live_counts c = e3_live_counted(l);
	if (c.skipped > 0)
		e3_note("%s: %" PRId64 " frames sent, %" PRId64 " skipped: newer ones were there when the reader was ready",
			s->name, s->sent, c.skipped);
	if (c.losses > 0)
		e3_note("%s: the connection was lost %" PRId64 " time%s", s->name, c.losses, c.losses == 1 ? "" : "s");
	if (c.errors > 0)
		e3_warn("reading: %s: %" PRId64 " damaged packets or frames", s->name, c.errors);
}

/* A pipe holds frames of its own; while it does, the newest may as well stay here and be replaced. */
static void wait_for_reader(const sink *s)
{
	enum { MS = 2 };
	while (s->stage.out && e3_out_unread(s->stage.out) && !stop())
		(void)poll(NULL, 0, MS);
}

static int next_frame(e3_live *l, sink *s, e3_image *im, e3_live_frame *f, e3_err *err)
{
	if (e3_stop_signal() || (s->o->max_frames > 0 && s->sent >= s->o->max_frames))
		return 0;
	if (s->o->live != LIVE_ALL)
		wait_for_reader(s);
	return e3_live_next(l, im, f, err);
}

static int pass_frames(e3_live *l, sink *s, e3_err *err)
{
	e3_image im = {0};
	e3_live_frame f;
	int rc = 0, got = 0;
	while (!rc && (got = next_frame(l, s, &im, &f, err)) > 0) {
		e3_source at = {.pts = f.pts, .src_i = f.index, .rot = f.rot, .t_capture = f.t_capture};
		s->skipped = e3_live_counted(l).skipped;
		rc = sink_frame(s, &im, at, f.key, err);
	}
	e3_image_release(&im);
	if (!rc && !e3_stop_signal() && e3_stage_output_lost(&s->stage, err))
		return -1;
	s->lost = !rc && got < 0 && s->sent > 0;
	return rc || got < 0 ? -1 : 0;
}

int decode_live(const char *input, sink *s, e3_err *err)
{
	const decode_options *o = s->o;
	written = &s->stage;
	e3_input_kind kind = e3_input_kind_of(input);
	e3_live_options options = {.kind = kind,
		.w = o->size[0],
		.h = o->size[1],
		.rate = o->rate,
		.pixfmt = o->pixfmt,
		.every = o->live == LIVE_ALL,
		.sampling = choose(o),
		.reconnect = o->reconnect >= 0 ? o->reconnect
			: is_remote(kind)          ? DEFAULT_RECONNECT
									   : 0,
		.retry = o->reconnect > 0,
		.say = say};
	options.video = (e3_video_options){.input = s->name,
		.fd = -1,
		.spool_max = (uint64_t)o->spool_max,
		.set = o->set,
		.n_set = o->n_set,
		.timeout = decode_timeout(input, o),
		.stream = (int)o->stream,
		.threads = (int)o->threads,
		.autorotate = o->autorotate,
		.matrix = (e3_matrix)o->matrix,
		.stop = stop};
	if (check(input, &options, o, err))
		return -1;
	if (kind == E3_INPUT_PIPE && (options.video.fd = open_fifo(input, err)) < 0)
		return -1;
	e3_live *l = e3_live_open(&options, err);
	int rc = l ? 0 : -1;
	if (l) {
		double fps = e3_live_describe(l)->fps[E3_FPS_GUESS];
		describe(l, s);
		/* What leaves depends on the reader, unless everything does. */
		rc =
			sink_head(s, -1, options.every && options.sampling.step > 0 ? fps / (double)options.sampling.step : 0, err);
		if (!rc)
			rc = pass_frames(l, s, err);
		report(l, s);
	}
	e3_live_close(l);
	if (options.video.fd >= 0)
		close(options.video.fd);
	return rc;
}
