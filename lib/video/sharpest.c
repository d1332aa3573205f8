/* video: of each interval its sharpest frame, of videos and of pictures in files (doc/formats.md 5.7). Holds one. */
#include "video/input.h"

/* Takes the frame last decoded when it is sharper than the one that is held. */
static int consider(e3_input *in, const e3_video_frame *f, e3_err *err)
{
	double sharpness = e3_video_sharpness(in->video);
	if (in->best.has && sharpness <= in->best.sharpness)
		return 0;
	if (e3_video_keep(in->video, err))
		return -1;
	in->best.has = true, in->best.sharpness = sharpness, in->best.frame = *f;
	return 0;
}

/* Hands out the frame that is held. */
static int give(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	if (!in->best.has)
		return 0;
	in->best.has = false;
	at->pts = in->best.frame.pts, at->src_i = in->best.frame.index, *key = in->best.frame.key;
	return e3_video_kept_image(in->video, im, &at->rot, err) ? -1 : 1;
}

/* By number an interval ends with the frame that the rule keeps; by time it begins with it, and the next one, or the
 * end, closes it. */
static int next_by_number(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_video_frame f;
	while (!(in->o.stop && in->o.stop()) && !e3_sampler_full(&in->sampler)) {
		int got = input_next_decoded(in, &f, err);
		if (got <= 0)
			return got;
		int64_t before = in->sampler.seen;
		e3_sample what = e3_sampler_feed(&in->sampler, f.pts);
		if (what == E3_SAMPLE_DONE)
			return 0;
		if (in->sampler.seen > before && consider(in, &f, err))
			return -1;
		if (what == E3_SAMPLE_KEEP)
			return give(in, im, at, key, err);
	}
	return 0;
}

static int next_by_time(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	e3_video_frame f;
	while (!(in->o.stop && in->o.stop()) && !in->best.ended) {
		int got = input_next_decoded(in, &f, err);
		if (got < 0 && !in->best.has)
			return -1;
		if (got <= 0 || e3_sampler_past(&in->sampler, f.pts)) { /* an error comes again when it is asked for again */
			in->best.ended = got >= 0;
			break;
		}
		e3_sample what = e3_sampler_full(&in->sampler) ? E3_SAMPLE_SKIP : e3_sampler_feed(&in->sampler, f.pts);
		if (what == E3_SAMPLE_KEEP && in->best.has) {
			int rc = give(in, im, at, key, err);
			return rc < 0 || consider(in, &f, err) ? -1 : rc;
		}
		if ((what == E3_SAMPLE_KEEP || in->best.has) && consider(in, &f, err))
			return -1;
	}
	return give(in, im, at, key, err);
}

int input_next_sharpest(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	return (in->sampler.rule.step > 0 ? next_by_number : next_by_time)(in, im, at, key, err);
}

static void swap(e3_image *a, e3_image *b)
{
	e3_image t = *a;
	*a = *b, *b = t;
}

static int consider_file(e3_input *in, const char *path, e3_err *err)
{
	input_best *b = &in->best;
	e3_source at;
	if (input_load_picture(in, path, &b->spare, &at, err)) {
		b->lost++;
		return input_leave_out(in, err);
	}
	double sharpness = e3_picture_sharpness(&b->spare);
	if (b->has && sharpness <= b->sharpness)
		return 0;
	swap(&b->picture, &b->spare);
	b->has = true, b->sharpness = sharpness, b->source = at, b->path = path;
	return 0;
}

int input_next_sharpest_file(e3_input *in, e3_image *im, e3_source *at, bool *key, e3_err *err)
{
	input_best *b = &in->best;
	*key = true;
	while (in->index < (int64_t)in->list.n && !(in->o.stop && in->o.stop())) {
		int64_t before = in->sampler.seen;
		e3_sample what = e3_sampler_feed(&in->sampler, input_picture_time(in));
		if (what == E3_SAMPLE_DONE)
			break;
		if (in->sampler.seen > before && !in->bad[in->index] && consider_file(in, in->list.path[in->index], err))
			return -1;
		in->index++;
		if (what != E3_SAMPLE_KEEP)
			continue;
		in->known += b->has || !b->lost ? b->lost : b->lost - 1; /* what no announced frame lacks */
		b->lost = 0;
		if (b->has) {
			swap(im, &b->picture);
			*at = b->source, in->picture = b->path;
			b->has = false;
			return 1;
		}
	}
	return in->left_out && in->given == 0 ? e3_fail(err, "%s", in->damage.text) : 0;
}
