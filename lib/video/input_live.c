/* video: inputs that are live sources: cameras, network streams, and anything that is to be read as it comes. */
#include "video/input.h"
#include "e3/io.h"
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_RECONNECT 60.0 /* s to get a network stream back */

static bool is_remote(e3_input_kind kind) { return kind == E3_INPUT_NETWORK || kind == E3_INPUT_URL; }

/* By time: counting makes no sense where frames get lost. Every frame, unless `every` or `step` ask for fewer. */
static e3_sampling choose(const e3_frame_choice *c)
{
	e3_sampling rule = {.step = c->step > 0 ? c->step : 1, .first = c->first, .start = c->start, .end = c->end};
	if (c->every > 0)
		rule.step = 0, rule.every = c->every;
	return rule;
}

/* Opening a FIFO waits for a writer. */
static int open_pipe(e3_input *in, e3_err *err)
{
	const char *path = in->o.operand[0];
	in->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : e3_open_input(path);
	return in->fd < 0 ? e3_fail_sys(err, "reading: %s", path) : 0;
}

static void say(const char *line) { e3_tell(E3_TELL_NOTE, "%s", line); }

static void describe(const e3_input *in)
{
	const e3_video_info *i = e3_live_describe(in->live);
	e3_tell(E3_TELL_DETAIL, "%s: live: %s, %s, %d x %d, %.3f frames/s", in->name, i->codec, i->format, i->w, i->h,
		i->fps[E3_FPS_GUESS]);
	input_describe_picture(in, i);
}

static void report(e3_input *in)
{
	e3_live_counts c = e3_live_counted(in->live);
	if (c.skipped > 0)
		e3_tell(E3_TELL_NOTE,
			"%s: %" PRId64 " frame%s sent, %" PRId64 " skipped: newer ones had come when the reader was ready",
			in->name, in->given, in->given == 1 ? "" : "s", c.skipped);
	if (c.losses > 0)
		e3_tell(E3_TELL_NOTE, "%s: the connection was lost %" PRId64 " time%s", in->name, c.losses,
			c.losses == 1 ? "" : "s");
	if (c.errors > 0)
		e3_tell(E3_TELL_WARN, "reading: %s: %" PRId64 " damaged packet%s or frame%s", in->name, c.errors,
			c.errors == 1 ? "" : "s", c.errors == 1 ? "" : "s");
}

static int next(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_live_frame f;
	int64_t most = in->o.choice.max_frames;
	if (most > 0 && in->given >= most)
		return 0;
	int got = e3_live_next(in->live, im, &f, err);
	if (got > 0) {
		*at = (e3_source){.pts = f.pts, .src_i = f.index, .rot = f.rot, .t_capture = f.t_capture};
		*key = f.key;
	}
	return got;
}

int input_open_live(e3_input *in, e3_err *err)
{
	static const input_kind kind = {next, report};
	const e3_input_options *o = &in->o;
	e3_input_kind what = e3_input_kind_of(o->operand[0]);
	if (what == E3_INPUT_PIPE && open_pipe(in, err))
		return -1;
	e3_live_options options = {.video = input_video_options(in, in->fd),
		.kind = what,
		.w = o->w,
		.h = o->h,
		.rate = o->rate,
		.pixfmt = o->pixfmt,
		.every = o->live == E3_LIVE_ALL,
		.sampling = choose(&o->choice),
		.reconnect = o->reconnect >= 0 ? o->reconnect
			: is_remote(what)          ? DEFAULT_RECONNECT
									   : 0,
		.retry = o->reconnect > 0,
		.say = say};
	in->kind = &kind;
	in->live = e3_live_open(&options, err);
	if (!in->live)
		return -1;
	describe(in);
	/* Otherwise the reader decides how many frames leave. */
	if (options.every && options.sampling.step > 0)
		in->fps = e3_live_describe(in->live)->fps[E3_FPS_GUESS] / (double)options.sampling.step;
	return 0;
}
