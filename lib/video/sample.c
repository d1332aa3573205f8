/* video: which frames are kept. The same rule runs over the counted frames before decoding and over the decoded ones.
 */
#include "e3/video.h"

/* Times are rounded: a multiple of the interval and the time of the frame that it names may differ in the last bit. */
#define SLACK 1e-6

void e3_sampler_init(e3_sampler *s, const e3_sampling *rule) { *s = (e3_sampler){.rule = *rule, .due = rule->start}; }

bool e3_sampler_full(const e3_sampler *s) { return s->rule.max_frames > 0 && s->kept >= s->rule.max_frames; }

bool e3_sampler_past(const e3_sampler *s, double pts)
{
	return pts + SLACK >= s->rule.end || (e3_sampler_full(s) && pts + SLACK >= s->due);
}

static bool is_due(e3_sampler *s, double pts)
{
	if (pts + SLACK < s->due)
		return false;
	/* Only the next multiple is due: after a gap in the stream no burst of frames is kept. */
	int64_t passed = (int64_t)((pts + SLACK - s->rule.start) / s->rule.every);
	s->due = s->rule.start + (double)(passed + 1) * s->rule.every;
	return true;
}

e3_sample e3_sampler_feed(e3_sampler *s, double pts)
{
	if (e3_sampler_full(s) || pts + SLACK >= s->rule.end)
		return E3_SAMPLE_DONE;
	if (pts + SLACK < s->rule.start)
		return E3_SAMPLE_SKIP;
	s->seen++;
	bool keep = s->rule.step > 0 ? s->seen % s->rule.step == 0 : is_due(s, pts);
	if (!keep && !(s->rule.first && s->seen == 1))
		return E3_SAMPLE_SKIP;
	s->kept++;
	return E3_SAMPLE_KEEP;
}
