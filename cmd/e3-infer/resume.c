/* e3-infer: --save-cache, --load-cache, --continue, --freeze: where in its stream a session stands, which frames of a
 * stream it has seen, and which options its file answers. Refuses options that contradict the file, and frames that are
 * not those the session saw. */
#include "infer.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int contradicts(const char *path, const char *saved, const char *asked, e3_err *err)
{
	return e3_fail(err, "opening the saved cache: %s: was saved with %s, this run asks for %s", path, saved, asked);
}

static const char *budget_text(const e3_infer_options *o, char to[64])
{
	if (o->policy->keeps_all)
		snprintf(to, 64, "--no-evict");
	else if (o->policy->slides)
		snprintf(to, 64, "--window %d", o->window);
	else if (o->budget_kind == E3_BUDGET_FRACTION)
		snprintf(to, 64, "--P %g", o->budget);
	else if (o->budget_kind == E3_BUDGET_BYTES)
		snprintf(to, 64, "--budget %gM", o->budget / 1048576);
	else
		snprintf(to, 64, "--budget %.12g%s", o->budget, o->budget_kind == E3_BUDGET_FRAMES ? "f" : "");
	return to;
}

static const char *number_text(const char *option, double v, char to[64])
{
	snprintf(to, 64, "--%s %.12g", option, v);
	return to;
}

static const char *keyframe_text(int keyframe, char to[64])
{
	return keyframe ? number_text("keyframe", keyframe, to) : "--keyframe auto";
}

static const char *compat_text(int compat, char to[64])
{
	snprintf(to, 64, "--compat %s%s%s%s%s", compat ? "" : "(none)", compat & E3_COMPAT_F16_SUMS ? "f16-sums " : "",
		compat & E3_COMPAT_STARVE ? "starve " : "", compat & E3_COMPAT_CAMERA ? "camera" : "",
		compat & E3_COMPAT_OVGGT ? " ovggt" : "");
	return to;
}

static const char *fit_mode_text(int mode)
{
	return mode == E3_FIT_LONG ? "--fit-mode long" : mode == E3_FIT_PAD ? "--fit-mode pad" : "--fit-mode crop";
}

static const char *segment_text(int64_t segment, char to[64])
{
	if (segment)
		snprintf(to, 64, "--segment %" PRId64 "f", segment);
	else
		snprintf(to, 64, "no --segment");
	return to;
}

static int check_segments(const infer_request *r, const e3_saved *x, e3_err *err)
{
	char saved[64], asked[64];
	const e3_track_options *t = &r->track;
	if (r->given.segment && x->o.segment != t->segment)
		return contradicts(r->load, segment_text(x->o.segment, saved), segment_text(t->segment, asked), err);
	if (r->given.overlap && x->position.overlap != t->overlap)
		return contradicts(r->load, number_text("overlap", (double)x->position.overlap, saved),
			number_text("overlap", (double)t->overlap, asked), err);
	if (t->loops && !x->position.places)
		return contradicts(r->load, "no --loops", "--loops", err);
	if (r->given.places && x->position.places != t->places)
		return contradicts(r->load,
			x->position.places ? number_text("loop-places", (double)x->position.places, saved) : "no --loops",
			number_text("loop-places", (double)t->places, asked), err);
	return 0;
}

/* Options may repeat what the file says, but not contradict it. */
static int check_given(const infer_request *r, const e3_saved *x, e3_err *err)
{
	const infer_given *g = &r->given;
	const e3_infer_options *a = &x->o, *b = &r->o;
	char saved[64], asked[64];
	bool free_budget =
		r->continues && !a->policy->keeps_all && !a->policy->slides && b->budget_kind != E3_BUDGET_FRACTION;
	if (g->policy && a->policy != b->policy) {
		snprintf(saved, sizeof saved, "--policy %s", a->policy->name);
		snprintf(asked, sizeof asked, "--policy %s", b->policy->name);
		return contradicts(r->load, saved, asked, err);
	}
	if ((g->fraction || g->budget) && !free_budget &&
		(a->policy->keeps_all || a->budget_kind != b->budget_kind || a->budget != b->budget))
		return contradicts(r->load, budget_text(a, saved), budget_text(b, asked), err);
	if (g->kv && r->o.pack != x->o.pack) {
		snprintf(saved, sizeof saved, "--kv %s", e3_infer_kept_as(a));
		snprintf(asked, sizeof asked, "--kv %s", e3_infer_kept_as(b));
		return contradicts(r->load, saved, asked, err);
	}
	if (g->temperature && a->temperature != b->temperature)
		return contradicts(r->load, number_text("temp", a->temperature, saved),
			number_text("temp", b->temperature, asked), err);
	if (g->protect_first && a->free_first != b->free_first)
		return contradicts(r->load, a->free_first ? "--protect-first no" : "--protect-first yes",
			b->free_first ? "--protect-first no" : "--protect-first yes", err);
	if (g->seed && a->seed != b->seed)
		return contradicts(r->load, number_text("seed", a->seed, saved), number_text("seed", b->seed, asked), err);
	if (g->window && a->window != b->window)
		return contradicts(r->load, number_text("window", a->window, saved), number_text("window", b->window, asked),
			err);
	if (g->start && a->start != b->start)
		return contradicts(r->load, number_text("start", a->start, saved), number_text("start", b->start, asked), err);
	if (g->keyframe && a->keyframe != b->keyframe)
		return contradicts(r->load, keyframe_text(a->keyframe, saved), keyframe_text(b->keyframe, asked), err);
	if (g->camera_frames && a->camera_frames != b->camera_frames)
		return contradicts(r->load, number_text("camera-frames", a->camera_frames, saved),
			number_text("camera-frames", b->camera_frames, asked), err);
	if (g->compat && a->compat != b->compat)
		return contradicts(r->load, compat_text(a->compat, saved), compat_text(b->compat, asked), err);
	if (b->frames >= 0 && !r->continues && a->budget_kind == E3_BUDGET_FRACTION && !a->policy->keeps_all &&
		a->frames != b->frames)
		return contradicts(r->load, number_text("frames", (double)a->frames, saved),
			number_text("frames", (double)b->frames, asked), err);
	if (g->fit_mode && r->fit_mode != x->position.fit)
		return contradicts(r->load, fit_mode_text(x->position.fit), fit_mode_text(r->fit_mode), err);
	return check_segments(r, x, err);
}

/* Takes the options from the file, except those about the output. With --continue a fraction becomes the number of
 * tokens that it was. */
static void take_options(infer_request *r, const e3_saved *x)
{
	e3_infer_options o = x->o;
	o.outputs = r->o.outputs, o.attn_map = r->o.attn_map, o.frozen = r->freeze;
	if (r->continues && r->given.budget)
		o.budget_kind = r->o.budget_kind, o.budget = r->o.budget;
	else if (r->continues && !o.policy->keeps_all && o.budget_kind == E3_BUDGET_FRACTION)
		o.budget_kind = E3_BUDGET_TOKENS, o.budget *= (double)e3_plan_frames(&o) * x->layers * x->tokens_per_frame;
	if (r->continues)
		o.frames = -1;
	r->o = o;
	r->track = (e3_track_options){.segment = o.segment,
		.overlap = x->position.overlap,
		.loops = x->position.places && !r->freeze,
		.places = x->position.places};
	r->fit_mode = x->position.fit;
}

int infer_resume_open(infer_resume *s, infer_request *r, const e3_net *net, const e3_dev *dev, e3_err *err)
{
	*s = (infer_resume){.position = {.first_i = -1, .last_i = -1, .fit = r->fit_mode}};
	if (!r->load)
		return 0;
	s->file = e3_saved_open(r->load, err);
	if (!s->file || e3_saved_fits(s->file, net, dev, err))
		return -1;
	s->from = e3_saved_head(s->file);
	s->position = s->from->position;
	s->delivered_truths = s->position.truths;
	if (check_given(r, s->from, err))
		return -1;
	if (strcmp(dev->ops->name((e3_dev *)(uintptr_t)dev), s->from->device) != 0)
		e3_note("%s was saved on %s: results on another device are as accurate, but not bit for bit the same", r->load,
			s->from->device);
	take_options(r, s->from);
	char budget[64];
	e3_detail("%s: %" PRId64 " frames seen, the last frame %" PRId64 " of %s; %s", r->load, e3_saved_seen(s->from),
		s->position.last_i, s->position.source, budget_text(&r->o, budget));
	return 0;
}

void infer_resume_close(infer_resume *s)
{
	e3_saved_close(s->file);
	*s = (infer_resume){0};
}

infer_span infer_resume_span(const infer_resume *s, const infer_request *r)
{
	if (!s->from || r->continues || r->freeze)
		return (infer_span){-1, -1};
	return (infer_span){s->position.first_i - s->position.shift_i, s->position.last_i - s->position.shift_i};
}

int infer_resume_check(const infer_resume *s, const infer_frame *frame, e3_err *err)
{
	const e3_stream_position *p = &s->position;
	const e3_image *im = &frame->picture;
	int64_t i = frame->source.i + p->shift_i;
	if (im->h != s->from->size[0] || im->w != s->from->size[1])
		return e3_fail(err, "reading frame %" PRId64 ": %d × %d for the network, %d × %d in the saved cache",
			frame->source.i, im->w, im->h, s->from->size[1], s->from->size[0]);
	uint32_t crc = e3_picture_crc(im->px, im->w, im->h);
	if ((i == p->first_i && crc != p->first_crc) || (i == p->last_i && crc != p->last_crc))
		return e3_fail(err,
			"reading frame %" PRId64 ": not the picture that the saved session saw as frame %" PRId64
			" of %s; if these are new pictures of the same scene, give --continue",
			frame->source.i, i, p->source);
	return 0;
}

/* The length of the whole stream, if this part of it says its own. */
static int64_t whole(const infer_resume *s, int64_t part)
{
	return part < 0 ? -1 : e3_saved_seen(s->from) + part - s->covered;
}

/* The chain of segments goes on with this length of the stream. A side that the file has room for stays: a budget in
 * bytes is one of both. */
static int prepare_segments(infer_request *r, e3_infer_options *o, e3_err *err)
{
	int64_t side = o->side;
	r->track.frames = o->frames;
	if (e3_track_prepare(&r->track, o, err))
		return -1;
	o->side = r->freeze ? 0 : o->side > side ? o->side : side;
	return 0;
}

e3_session *infer_resume_session(infer_resume *s, infer_request *r, const e3_net *net, e3_dev *dev, int64_t frames,
	e3_err *err)
{
	e3_infer_options o = r->o, now = o;
	int64_t all = now.frames = whole(s, frames);
	bool fraction = !o.policy->keeps_all && o.budget_kind == E3_BUDGET_FRACTION;
	o.attn = r->n_attn ? r->attn : NULL;
	if (fraction && !r->freeze && all >= 0 && e3_plan_frames(&now) != e3_plan_frames(&o)) {
		e3_fail(err,
			"opening the saved cache: %s: --P %g was of %" PRId64 " frames; with this stream there are %" PRId64
			", which would change the budget; --continue keeps its number of tokens",
			r->load, o.budget, e3_plan_frames(&o), e3_plan_frames(&now));
		return NULL;
	}
	if ((!fraction || o.segment) && o.frames >= 0 && (all < 0 || all > o.frames))
		o.frames = all;                                            /* the stream is longer than was said */
	bool ring = !o.policy->whole.rule || o.policy->whole.by_layer; /* else it has the frames of the cache */
	if (ring && s->from->past[0].keys > s->from->camera_frames && s->from->camera_frames)
		o.camera_frames = s->from->camera_frames; /* the memory is a ring of this size */
	return prepare_segments(r, &o, err) ? NULL : e3_session_resume(net, dev, &o, s->file, err);
}

/* --continue: how much more the index and the time of every frame of this stream are in the output. */
static void find_shift(infer_resume *s, const e3_head *head, const e3_source *first)
{
	const e3_stream_position *from = &s->from->position;
	double frame_time = head->fps > 0 ? 1 / head->fps : 1;
	s->position.shift_i = from->last_i + 1 - first->i;
	s->position.shift_pts = first->pts > from->last_pts ? 0 : from->last_pts - first->pts + frame_time;
}

infer_placed infer_resume_place(infer_resume *s, const infer_request *r, const e3_head *head, infer_frame *frame)
{
	infer_placed placed = {frame->source, &frame->picture, &frame->name};
	if (!s->placed && s->from && r->continues)
		find_shift(s, head, &frame->source);
	if (!s->placed && (!s->from || r->continues))
		snprintf(s->position.source, sizeof s->position.source, "%s", head->source);
	s->placed = true;
	if (!r->freeze)
		placed.source.i += s->position.shift_i, placed.source.pts += s->position.shift_pts;
	return placed;
}

void infer_resume_count(infer_resume *s, const infer_request *r, infer_computed computed)
{
	e3_stream_position *p = &s->position;
	const infer_parcel *parcel = computed.parcel;
	const e3_pred *pred = &parcel->pred;
	if (r->freeze)
		return;
	if (!s->computed && (!s->from || r->continues)) {
		p->first_i = pred->s.i;
		p->first_crc = e3_picture_crc(parcel->fitted.px, pred->w, pred->h);
	}
	s->computed = true;
	p->last_i = pred->s.i, p->last_pts = pred->s.pts, p->truths = 0;
}

bool infer_resume_record(infer_resume *s, const infer_request *r, int64_t *i)
{
	*i += r->freeze ? 0 : s->position.shift_i;
	if (*i != s->position.last_i)
		return false;
	bool same_stream = s->from && !r->continues && !r->freeze,
		 again = same_stream && !s->computed && s->delivered_truths > 0;
	if (again)
		s->delivered_truths--;
	else
		s->position.truths++;
	return again;
}

void infer_resume_tell(const infer_resume *s, const infer_request *r)
{
	const char *to = r->stage.output;
	bool path = strcmp(to, "-") != 0 && strncmp(to, "zmq:", 4) != 0;
	if (!s->computed)
		return;
	e3_warn("to go on: --load-cache %s -o REST, with the same input or what comes after frame %" PRId64
			" of it; e3-cat %s%s --then REST joins both",
		r->save, s->position.last_i - s->position.shift_i, path ? to : "FIRST", path ? ".partial" : "");
}

int infer_resume_save(infer_resume *s, const infer_request *r, e3_track *track, infer_written written, e3_err *err)
{
	struct stat st;
	double t = e3_now();
	const infer_parcel *last = written.last;
	if (s->computed)
		s->position.last_crc = e3_picture_crc(last->fitted.px, last->pred.w, last->pred.h);
	if (e3_track_save(track, &s->position, r->save, err))
		return -1;
	e3_detail("%s: %" PRId64 " frames, %.1f MiB in %.2f s", r->save, e3_track_frames(track),
		stat(r->save, &st) ? 0 : (double)st.st_size / 1048576, e3_now() - t);
	return 0;
}
