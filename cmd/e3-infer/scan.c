/* e3-infer: --save-cache, --load-cache, --continue, --freeze: where in its stream a scan stands, what of a stream it
 * has seen, and which options its file answers. Refuses options that contradict the file, and frames that are not those
 * the cache saw. */
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

static const char *compat_text(int compat, char to[64])
{
	snprintf(to, 64, "--compat %s%s%s%s", compat ? "" : "(none)", compat & E3_COMPAT_F16_SUMS ? "f16-sums " : "",
		compat & E3_COMPAT_STARVE ? "starve " : "", compat & E3_COMPAT_CAMERA ? "camera" : "");
	return to;
}

/* What the file answers may be said again, but not otherwise. */
static int check_given(const infer_request *r, const e3_saved *x, e3_err *err)
{
	const infer_given *g = &r->given;
	const e3_infer_options *a = &x->o, *b = &r->o;
	char saved[64], asked[64];
	bool free_budget = r->go_on && !a->policy->keeps_all && b->budget_kind != E3_BUDGET_FRACTION;
	if (g->policy && a->policy != b->policy) {
		snprintf(saved, sizeof saved, "--policy %s", a->policy->name);
		snprintf(asked, sizeof asked, "--policy %s", b->policy->name);
		return contradicts(r->load, saved, asked, err);
	}
	if (g->budget && !free_budget &&
		(a->policy->keeps_all || a->budget_kind != b->budget_kind || a->budget != b->budget))
		return contradicts(r->load, budget_text(a, saved), budget_text(b, asked), err);
	if (g->temperature && a->temperature != b->temperature)
		return contradicts(r->load, number_text("temp", a->temperature, saved),
			number_text("temp", b->temperature, asked), err);
	if (g->camera_frames && a->camera_frames != b->camera_frames)
		return contradicts(r->load, number_text("camera-frames", a->camera_frames, saved),
			number_text("camera-frames", b->camera_frames, asked), err);
	if (g->compat && a->compat != b->compat)
		return contradicts(r->load, compat_text(a->compat, saved), compat_text(b->compat, asked), err);
	if (b->frames >= 0 && !r->go_on && a->budget_kind == E3_BUDGET_FRACTION && !a->policy->keeps_all &&
		a->frames != b->frames)
		return contradicts(r->load, number_text("frames", (double)a->frames, saved),
			number_text("frames", (double)b->frames, asked), err);
	if (g->fit_mode && r->fit_mode != x->position.fit)
		return contradicts(r->load, x->position.fit ? "--fit-mode pad" : "--fit-mode crop",
			x->position.fit ? "--fit-mode crop" : "--fit-mode pad", err);
	return 0;
}

/* The request as it was when the file was saved, but for what is written. A fraction of a stream that is over stays the
 * number of tokens it was. */
static void settle(infer_request *r, const e3_saved *x)
{
	e3_infer_options o = x->o;
	o.outputs = r->o.outputs, o.attn_map = r->o.attn_map, o.frozen = r->freeze;
	if (r->go_on && r->given.budget)
		o.budget_kind = r->o.budget_kind, o.budget = r->o.budget;
	else if (r->go_on && !o.policy->keeps_all && o.budget_kind == E3_BUDGET_FRACTION)
		o.budget_kind = E3_BUDGET_TOKENS, o.budget *= (double)o.frames * x->layers * x->tokens_per_frame;
	if (r->go_on)
		o.frames = -1;
	r->o = o;
	r->fit_mode = x->position.fit;
}

int infer_scan_open(infer_scan *s, infer_request *r, const e3_net *net, const e3_dev *dev, e3_err *err)
{
	*s = (infer_scan){.position = {.first_i = -1, .last_i = -1, .fit = r->fit_mode}};
	if (!r->load)
		return 0;
	s->file = e3_saved_open(r->load, err);
	if (!s->file || e3_saved_fits(s->file, net, dev, err))
		return -1;
	s->from = e3_saved_head(s->file);
	s->position = s->from->position;
	s->pending = s->position.truths;
	if (check_given(r, s->from, err))
		return -1;
	if (strcmp(dev->ops->name((e3_dev *)(uintptr_t)dev), s->from->device) != 0)
		e3_note("%s was saved on %s: going on here gives results as right, but not the same bits", r->load,
			s->from->device);
	settle(r, s->from);
	char budget[64];
	e3_detail("%s: %" PRId64 " frames seen, the last frame %" PRId64 " of %s; %s", r->load, s->from->t,
		s->position.last_i, s->position.source, budget_text(&r->o, budget));
	return 0;
}

void infer_scan_close(infer_scan *s)
{
	e3_saved_close(s->file);
	*s = (infer_scan){0};
}

infer_span infer_scan_seen(const infer_scan *s, const infer_request *r)
{
	if (!s->from || r->go_on || r->freeze)
		return (infer_span){-1, -1};
	return (infer_span){s->position.first_i - s->position.shift_i, s->position.last_i - s->position.shift_i};
}

int infer_scan_check(const infer_scan *s, const infer_item *item, e3_err *err)
{
	const e3_stream_position *p = &s->position;
	const e3_image *im = &item->picture;
	int64_t i = item->source.i + p->shift_i;
	if (im->h != s->from->size[0] || im->w != s->from->size[1])
		return e3_fail(err, "reading frame %" PRId64 ": %d × %d for the network, %d × %d in the saved cache",
			item->source.i, im->w, im->h, s->from->size[1], s->from->size[0]);
	uint32_t crc = e3_picture_crc(im->px, im->w, im->h);
	if ((i == p->first_i && crc != p->first_crc) || (i == p->last_i && crc != p->last_crc))
		return e3_fail(err,
			"reading frame %" PRId64 ": is not the picture that the saved cache saw as frame %" PRId64
			" of %s; to take this stream "
			"as new pictures of the same scene give --continue",
			item->source.i, i, p->source);
	return 0;
}

/* The length of the whole, if the stream says its own. */
static int64_t whole(const infer_scan *s, int64_t stream) { return stream < 0 ? -1 : s->from->t + stream - s->skipped; }

e3_session *infer_scan_resume(infer_scan *s, const infer_request *r, const e3_net *net, e3_dev *dev, int64_t frames,
	e3_err *err)
{
	e3_infer_options o = r->o;
	int64_t all = whole(s, frames);
	bool fraction = !o.policy->keeps_all && o.budget_kind == E3_BUDGET_FRACTION;
	o.attn = r->n_attn ? r->attn : NULL;
	if (fraction && !r->freeze && all >= 0 && all != o.frames) {
		e3_fail(err,
			"opening the saved cache: %s: --P %g was of %" PRId64 " frames; with this stream there are %" PRId64
			", and that is another budget: "
			"--continue takes what it was as a number of tokens",
			r->load, o.budget, o.frames, all);
		return NULL;
	}
	if (!fraction && o.frames >= 0 && (all < 0 || all > o.frames))
		o.frames = all; /* room for more than was announced */
	if (s->from->t > s->from->camera_frames && s->from->camera_frames)
		o.camera_frames = s->from->camera_frames; /* it goes round in there */
	return e3_session_resume(net, dev, &o, s->file, err);
}

void infer_scan_move(infer_scan *s, const infer_request *r, const e3_head *head, const e3_source *first)
{
	e3_stream_position *p = &s->position;
	const e3_stream_position *from = s->from ? &s->from->position : NULL;
	if (from && r->go_on) {
		p->shift_i = from->last_i + 1 - first->i;
		p->shift_pts =
			first->pts > from->last_pts ? 0 : from->last_pts - first->pts + (head->fps > 0 ? 1 / head->fps : 1);
	}
	if (!from || r->go_on)
		snprintf(p->source, sizeof p->source, "%s", head->source);
	s->moved = true;
}

void infer_scan_place(infer_scan *s, const infer_request *r, e3_source *source)
{
	if (r->freeze)
		return;
	source->i += s->position.shift_i;
	source->pts += s->position.shift_pts;
}

void infer_scan_took(infer_scan *s, const infer_request *r, const infer_parcel *parcel)
{
	e3_stream_position *p = &s->position;
	const e3_pred *pred = &parcel->pred;
	if (r->freeze)
		return;
	if (!s->took && (!s->from || r->go_on)) {
		p->first_i = pred->s.i;
		p->first_crc = e3_picture_crc(parcel->fitted.px, pred->w, pred->h);
	}
	s->took = true;
	p->last_i = pred->s.i, p->last_pts = pred->s.pts, p->truths = 0;
}

bool infer_scan_passed(infer_scan *s, const infer_request *r, int64_t i)
{
	bool again = s->from && !r->go_on && !r->freeze && !s->took && i == s->position.last_i && s->pending > 0;
	if (again)
		s->pending--;
	else if (i == s->position.last_i)
		s->position.truths++;
	return again;
}

int infer_scan_save(infer_scan *s, const infer_request *r, e3_session *session, const infer_parcel *last, e3_err *err)
{
	struct stat st;
	double t = e3_now();
	if (s->took)
		s->position.last_crc = e3_picture_crc(last->fitted.px, last->pred.w, last->pred.h);
	if (e3_session_save(session, &s->position, r->save, err))
		return -1;
	s->saved = e3_session_frames(session);
	e3_detail("%s: %" PRId64 " frames, %.1f MiB in %.2f s", r->save, s->saved,
		stat(r->save, &st) ? 0 : (double)st.st_size / 1048576, e3_now() - t);
	return 0;
}
