/* video: inputs that are a video: counted before they are decoded where that is possible. */
#include "video/input.h"
#include <inttypes.h>
#include <math.h>

/* Feeds the counted frames to the rule: how many it will keep; -1: unknown. */
static int64_t predict(const e3_video *v, const e3_sampling *rule)
{
	bool timed = e3_video_times_known(v), needs_time = rule->step == 0 || rule->start > 0 || isfinite(rule->end);
	int64_t frames = e3_video_frames(v), kept = 0;
	e3_sampler sampler;
	if (frames < 0 || (needs_time && !timed))
		return -1;
	e3_sampler_init(&sampler, rule);
	for (int64_t k = 0; k < frames; k++) {
		e3_sample what = e3_sampler_feed(&sampler, timed ? e3_video_time(v, k) : 0);
		if (what == E3_SAMPLE_DONE)
			break;
		kept += what == E3_SAMPLE_KEEP;
	}
	return kept;
}

/* The average frame rate. That of FFmpeg may come from an index that counts empty packets as well (AVI with B
 * pictures), but the frames that were counted may bear out the stated rate. */
static double average(const e3_input *in)
{
	const e3_video_info *i = e3_video_describe(in->video);
	int64_t n = e3_video_frames(in->video);
	if (e3_video_times_known(in->video) && n > 2)
		return (double)(n - 1) / e3_video_time(in->video, n - 1);
	double counted = n > 2 && i->seconds > 0 ? (double)n / i->seconds : 0, stated = i->fps[E3_FPS_GUESS];
	return fabs(counted - stated) < 0.1 * stated ? counted : i->fps[E3_FPS_AVG];
}

static void describe(const e3_input *in, const e3_sampling *rule, double fps)
{
	const e3_video_info *i = e3_video_describe(in->video);
	const e3_frame_choice *c = &in->o.choice;
	double avg = average(in), r = i->fps[E3_FPS_R];
	e3_tell(E3_TELL_DETAIL,
		"%s: %s, %s, %d x %d, %.3f frames/s (guess %.3f, avg %.3f, r %.3f), %.3f s, %" PRId64 " frames", in->name,
		i->codec, i->format, i->w, i->h, fps, i->fps[E3_FPS_GUESS], avg, r, i->seconds, e3_video_frames(in->video));
	if (e3_video_noted(in->video).by_decoding)
		e3_tell(E3_TELL_DETAIL, "%s: unusual or damaged: its frames were counted by decoding them", in->name);
	if (rule->step > 0)
		e3_tell(E3_TELL_DETAIL, "interval: %" PRId64 " frame%s", rule->step, rule->step == 1 ? "" : "s");
	else
		e3_tell(E3_TELL_DETAIL, "interval: %g s", rule->every);
	if (avg > 0 && r > 0 && fabs(avg - r) > 0.1 * r && fabs(avg - fps) > 0.1 * avg && rule->step > 1 && c->step == 0 &&
		c->fps <= 0)
		e3_tell(E3_TELL_NOTE,
			"%s: the frame rate varies (on average %.3f, at base %.3f): sampling by time keeps even intervals",
			in->name, avg, r);
	if (i->another)
		e3_tell(E3_TELL_WARN,
			"reading: %s: another recording comes behind the first in this file and is not read: mp4 files cannot be "
			"joined by putting one after another",
			in->name);
	if (i->streams > 1 && in->o.stream < 0)
		e3_tell(E3_TELL_NOTE, "%s: has %d video streams: number %d (%d × %d) is used", in->name, i->streams, i->stream,
			i->w, i->h);
	input_describe_picture(in, i);
}

/* Some containers end without an error although they were cut; the duration in their header shows it. Sound may be a
 * little longer than the pictures. */
static bool ends_early(const e3_input *in, e3_err *how)
{
	e3_video_notes n = e3_video_noted(in->video);
	double stated = n.listed ? 0 : e3_video_describe(in->video)->seconds, missing = stated - n.ends;
	if (stated <= 0 || n.restarts || n.before_key || missing <= 0.25 || (missing <= 2 && missing <= 0.05 * stated))
		return false;
	e3_fail(how, "reading: %s: ends at %.2f s, its head states %.2f s: cut off?", in->name, n.ends, stated);
	return true;
}

/* Once: the source is cut off. */
static void tell_cut(e3_input *in)
{
	const char *cut = e3_video_noted(in->video).cut;
	if (cut && !in->told_cut)
		e3_tell(E3_TELL_WARN, "%s", cut);
	in->told_cut = in->told_cut || cut;
}

/* At the end of the video: what is damaged or missing is an error where that was asked for. */
static int finish(e3_input *in, e3_err *err)
{
	e3_video_notes n = e3_video_noted(in->video);
	e3_err how;
	if (in->o.strict && n.cut)
		return e3_fail(err, "%s", n.cut);
	if (ends_early(in, &how)) {
		if (in->o.strict)
			return e3_fail(err, "%s", how.text);
		e3_tell(E3_TELL_WARN, "%s", how.text);
	}
	if (in->o.strict && n.damaged + n.before_key > 0)
		return e3_fail(err, "reading: %s: %" PRId64 " frames are damaged or missing", in->name,
			n.damaged + n.before_key);
	return 0;
}

int input_next_decoded(e3_input *in, e3_video_frame *f, e3_err *err)
{
	int got = e3_video_next(in->video, f, err);
	return got == 0 ? finish(in, err) : got;
}

static int next(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_video_frame f;
	while (!(in->o.stop && in->o.stop()) && !e3_sampler_full(&in->sampler)) {
		int got = input_next_decoded(in, &f, err);
		if (got <= 0)
			return got;
		e3_sample what = e3_sampler_feed(&in->sampler, f.pts);
		if (what == E3_SAMPLE_DONE)
			return 0;
		if (what == E3_SAMPLE_KEEP) {
			at->pts = f.pts, at->src_i = f.index, *key = f.key;
			return e3_video_image(in->video, im, &at->rot, err) ? -1 : 1;
		}
	}
	return 0;
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

static void report(e3_input *in)
{
	e3_video_notes n = e3_video_noted(in->video);
	tell_cut(in);
	if (n.before_key > 0)
		e3_tell(E3_TELL_WARN,
			"reading: %s: does not begin with a key frame: %" PRId64 " frame%s before the first one left out", in->name,
			n.before_key, plural(n.before_key));
	if (n.restarts > 0)
		e3_tell(E3_TELL_NOTE, "%s: its clock starts again %" PRId64 " time%s (recordings joined?): time goes on",
			in->name, n.restarts, plural(n.restarts));
	if (n.damaged > 0)
		e3_tell(E3_TELL_WARN, "reading: %s: %" PRId64 " damaged packet%s or frame%s", in->name, n.damaged,
			plural(n.damaged), plural(n.damaged));
}

static bool chooses_by_time(const e3_frame_choice *c)
{
	return c->start > 0 || isfinite(c->end) || (c->by_time && c->step == 0 && !c->all);
}

/* The rate for counting frames: the stated one, unless the time stamps contradict it (a browser's recording states
 * 1000, single fields twice the rate); 0: unknown. */
static double rate_of(const e3_input *in)
{
	const double contradicts = 1.9, absurd = 300;
	const e3_frame_choice *c = &in->o.choice;
	const e3_video_info *i = e3_video_describe(in->video);
	double stated = i->fps[c->rate], measured = average(in);
	if (c->fps > 0 || c->rate != E3_FPS_GUESS)
		return c->fps > 0 ? c->fps : stated;
	if (measured <= 0)
		return stated < absurd ? stated : 0;
	if (stated > 0 && stated < contradicts * measured && measured < contradicts * stated)
		return stated;
	if (c->step == 0 && !c->all && !c->by_time)
		e3_tell(E3_TELL_NOTE, "%s: states %.3f frames/s and has %.3f on average: that is used", in->name, stated,
			measured);
	return measured;
}

/* Begins where --start needs it. */
static int begin(e3_input *in, const e3_sampling *rule, e3_err *err)
{
	const double wait = 60; /* s of video that take a while to decode */
	bool sought = false;
	if (rule->start <= 0)
		return 0;
	if (e3_video_seek(in->video, rule->start, &sought, err))
		return -1;
	if (!sought)
		e3_tell(rule->start > wait ? E3_TELL_NOTE : E3_TELL_DETAIL,
			"%s: decoding from the beginning: no later frame before %g s surely stands alone", in->name, rule->start);
	return 0;
}

int input_open_video(e3_input *in, int fd, e3_err *err)
{
	static const input_kind kind = {next, report}, sharpest = {input_next_sharpest, report};
	e3_video_options options = input_video_options(in, fd);
	e3_sampling rule;
	in->kind = in->o.choice.sharpest ? &sharpest : &kind;
	in->video = e3_video_open(&options, err);
	if (!in->video)
		return -1;
	const e3_frame_choice *c = &in->o.choice;
	tell_cut(in);
	if (e3_video_index(in->video, chooses_by_time(c), err))
		return -1;
	double fps = rate_of(in);
	if (input_rule(c, false, fps, &rule, &in->fps, err))
		return e3_fail_in(err, "reading: %s", in->name);
	/* One picture, such as a GIF without movement or of a kind that only FFmpeg knows; or pictures from the network. */
	const e3_video_info *i = e3_video_describe(in->video);
	int64_t frames = e3_video_frames(in->video);
	if (((i->picture && frames == 1) || (i->stills && frames < 0 && c->every <= 0)) &&
		input_rule(c, true, c->fps, &rule, &in->fps, err))
		return e3_fail_in(err, "reading: %s", in->name);
	describe(in, &rule, fps);
	in->total = predict(in->video, &rule);
	e3_sampler_init(&in->sampler, &rule);
	return begin(in, &rule, err);
}
