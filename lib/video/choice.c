/* video: from the frames that are asked for to the rule that chooses them, and other defaults by kind of input. */
#include "video/input.h"
#include "video/live.h"
#include <math.h>

#define DEFAULT_EVERY 0.5    /* s between frames of a video */
#define DEFAULT_TIMEOUT 10.0 /* s without data from a camera or the network */

int input_rule(const e3_frame_choice *c, bool pictures, double fps, e3_sampling *rule, double *kept_fps, e3_err *err)
{
	double every = c->every > 0 ? c->every : DEFAULT_EVERY;
	*rule = (e3_sampling){.step = 1, .first = c->first, .start = c->start, .end = c->end, .max_frames = c->max_frames};
	*kept_fps = fps;
	if (c->step > 0 || c->all || (pictures && c->every <= 0)) {
		rule->step = c->step > 0 ? c->step : 1;
	} else if (c->by_time || (!pictures && fps <= 0)) {
		rule->step = 0, rule->every = every;
		*kept_fps = 1 / every;
		return 0;
	} else {
		if (fps <= 0)
			return e3_fail(err,
				"the frame rate is unknown: state it, or choose every Nth frame, all frames, or sampling by time");
		/* truncated, as the reference does: 29.97 frames/s and 1 s make 29 */
		rule->step = (int64_t)(fps * every);
		if (rule->step < 1) {
			e3_tell(E3_TELL_WARN, "%g s are less than a frame at %.3f frames/s: every frame is kept", every, fps);
			rule->step = 1;
		}
	}
	*kept_fps = fps / (double)rule->step;
	return 0;
}

static double timeout_of(const e3_input_options *o)
{
	e3_input_kind kind = e3_input_kind_of(o->operand[0]);
	bool waits = kind == E3_INPUT_CAMERA || kind == E3_INPUT_NETWORK || kind == E3_INPUT_URL;
	return o->stall >= 0 ? o->stall : waits ? DEFAULT_TIMEOUT : 0;
}

void input_describe_picture(const e3_input *in, const e3_video_info *i)
{
	if (i->square_w != i->w && in->o.square && in->o.matrix != E3_MATRIX_OPENCV)
		e3_tell(E3_TELL_NOTE, "%s: its pixels are not square: %d × %d become %d × %d", in->name, i->w, i->h,
			i->square_w, i->h);
	bool maps = in->o.tonemap && in->o.matrix != E3_MATRIX_OPENCV;
	if (i->hdr)
		e3_tell(E3_TELL_NOTE, "%s: HDR (PQ or HLG): %s", in->name,
			maps ? "tone-mapped to SDR" : "sent without tone mapping");
	else if (i->wide)
		e3_tell(E3_TELL_NOTE, "%s: a wide gamut: %s", in->name,
			maps ? "converted to BT.709" : "sent without conversion");
}

e3_video_options input_video_options(const e3_input *in, int fd)
{
	const e3_input_options *o = &in->o;
	e3_input_kind kind = e3_input_kind_of(in->name); /* what --live off reads as if it were a file */
	bool camera = kind == E3_INPUT_CAMERA, drawn = kind == E3_INPUT_DRAWN;
	return (e3_video_options){.input = in->name,
		.url = camera || drawn ? live_input_path(in->name) : NULL,
		.format = drawn ? "lavfi"
			: camera    ? "v4l2"
						: NULL,
		.fd = fd,
		.head = in->head.bytes,
		.n_head = in->head.n,
		.spool = o->spool,
		.spool_max = o->spool_max,
		.set = o->set,
		.n_set = o->n_set,
		.timeout = timeout_of(o),
		.stream = o->stream,
		.threads = o->threads,
		.autorotate = o->autorotate,
		.tonemap = o->tonemap,
		.square = o->square,
		.strict = o->strict,
		.matrix = o->matrix,
		.stop = o->stop};
}
