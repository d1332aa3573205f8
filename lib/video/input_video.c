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

static void describe(const e3_input *in, const e3_sampling *rule, double fps)
{
	const e3_video_info *i = e3_video_describe(in->video);
	const e3_frame_choice *c = &in->o.choice;
	double avg = i->fps[E3_FPS_AVG], r = i->fps[E3_FPS_R];
	e3_tell(E3_TELL_DETAIL,
		"%s: %s, %s, %d x %d, %.3f frames/s (guess %.3f, avg %.3f, r %.3f), %.3f s, %" PRId64 " frames", in->name,
		i->codec, i->format, i->w, i->h, fps, i->fps[E3_FPS_GUESS], avg, r, i->seconds, e3_video_frames(in->video));
	if (rule->step > 0)
		e3_tell(E3_TELL_DETAIL, "interval: %" PRId64 " frame%s", rule->step, rule->step == 1 ? "" : "s");
	else
		e3_tell(E3_TELL_DETAIL, "interval: %g s", rule->every);
	if (avg > 0 && r > 0 && fabs(avg - r) > 0.1 * r && rule->step > 1 && c->step == 0 && c->fps <= 0)
		e3_tell(E3_TELL_NOTE,
			"%s: the frame rate varies (on average %.3f, at base %.3f): sampling by time keeps even intervals",
			in->name, avg, r);
	input_describe_picture(in, i);
}

/* Some containers end without an error although they were cut; the duration in their header shows it. Sound may be a
 * little longer than the pictures. */
static void check_end(const e3_input *in)
{
	double stated = e3_video_describe(in->video)->seconds, missing = stated - in->last_pts;
	if (stated > 0 && missing > 0.25 && (missing > 2 || missing > 0.05 * stated))
		e3_tell(E3_TELL_WARN, "reading: %s: ends at %.2f s, its head states %.2f s: cut off?", in->name, in->last_pts,
			stated);
}

static int next(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_video_frame f;
	while (!(in->o.stop && in->o.stop()) && !e3_sampler_full(&in->sampler)) {
		int got = e3_video_next(in->video, &f, err);
		if (got == 0)
			check_end(in);
		if (got <= 0)
			return got;
		in->last_pts = f.pts;
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

static void report(e3_input *in)
{
	int64_t errors = e3_video_errors(in->video);
	if (errors > 0)
		e3_tell(E3_TELL_WARN, "reading: %s: %" PRId64 " damaged packet%s or frame%s", in->name, errors,
			errors == 1 ? "" : "s", errors == 1 ? "" : "s");
}

int input_open_video(e3_input *in, int fd, e3_err *err)
{
	static const input_kind kind = {next, report};
	e3_video_options options = input_video_options(in, fd);
	e3_sampling rule;
	in->kind = &kind;
	in->video = e3_video_open(&options, err);
	if (!in->video)
		return -1;
	const e3_frame_choice *c = &in->o.choice;
	double fps = c->fps > 0 ? c->fps : e3_video_describe(in->video)->fps[c->rate];
	if (input_rule(c, false, fps, &rule, &in->fps, err))
		return e3_fail_in(err, "reading: %s", in->name);
	if (e3_video_index(in->video, rule.step == 0 || rule.start > 0 || isfinite(rule.end), err))
		return -1;
	describe(in, &rule, fps);
	in->total = predict(in->video, &rule);
	e3_sampler_init(&in->sampler, &rule);
	return e3_video_seek(in->video, rule.start, err);
}
