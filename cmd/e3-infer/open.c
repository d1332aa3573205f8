/* e3-infer: the session of a stream, and the head of its output: both come with the first frame, or when none will
 * come. Owns when they are opened and closed. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/tool.h"
#include "e3/version.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void infer_take_length(infer_request *r, int64_t frames)
{
	if (frames < 0 || r->separate)
		return;
	if (r->o.frames >= 0 && r->o.frames != frames)
		e3_warn("--frames %lld: the stream says %lld: using that", (long long)r->o.frames, (long long)frames);
	r->o.frames = frames;
}

static int new_session(infer *f, e3_err *err)
{
	infer_take_length(&f->r, f->head.frames);
	if (f->r.vram <= 0 && !f->r.o.policy->keeps_all && f->r.o.budget_kind == E3_BUDGET_FRACTION &&
		!f->r.track.segment && f->r.o.frames < 0)
		return e3_fail(err,
			"planning: --P: the stream does not say how many frames it has: give --frames N, or an absolute budget with --budget");
	if ((f->streams ? infer_streams_settle(f->streams, &f->r, f->size, err)
					: infer_setup_settle(&f->setup, &f->r, f->size, err)) ||
		!(f->session = e3_session_open(f->setup.net, f->setup.dev, &f->r.o, f->size, err)))
		return -1;
	return 0;
}

static const uint8_t *next_picture(void *ctx)
{
	const infer *f = ctx;
	const e3_image *p = infer_reader_peek(f->reader);
	return p && p->h == f->size[0] && p->w == f->size[1] ? p->px : NULL;
}

static int open_session(infer *f, e3_err *err)
{
	/* Also where no frame comes: what is saved again says what was chosen. */
	if (f->resume.from && infer_setup_calibrate(&f->setup, &f->r, f->resume.from, NULL, err))
		return -1;
	infer_slot_take(f);
	int rc;
	do {
		e3_batch_lock(f->r.o.batch);
		if (f->resume.from)
			f->session = infer_resume_session(&f->resume, &f->r, f->setup.net, f->setup.dev, f->head.frames, err);
		rc = !f->session && (f->resume.from || new_session(f, err)) ? -1 : 0;
		e3_batch_unlock(f->r.o.batch);
	} while (rc && !infer_slot_wait(f, err));
	if (rc)
		return -1;
	infer_slot_hold(f);
	if (!f->r.separate)
		e3_session_look_ahead(f->session, next_picture, f);
	f->track = e3_track_open(f->session, &f->r.track, err);
	if (!f->track || (f->resume.from && e3_track_restore(f->track, f->resume.file, err)))
		return -1;
	const e3_plan *p = e3_session_plan(f->session);
	e3_detail("frames: %d × %d, %d tokens each; cache: %.1f MiB in pages of %d keys", f->size[1], f->size[0],
		p->tokens_per_frame, (double)p->cache_bytes / 1048576, p->page_keys);
	return 0;
}

static int set_text(char **to, const char *text, e3_err *err)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : e3_fail(err, "writing the head: out of memory");
}

/* Sent with the first frame, when the session knows its numbers, or with the end of an empty stream. */
int infer_send_head(infer *f, e3_err *err)
{
	const e3_config *c = e3_net_config(f->setup.net);
	e3_head *h = &f->head;
	if (set_text(&h->tool, "e3-infer", err) || set_text(&h->version, E3_VERSION, err) ||
		set_text(&h->model, c->name[0] ? c->name : "unnamed", err) || set_text(&h->policy, f->r.o.policy->name, err) ||
		set_text(&h->device, f->setup.dev->ops->name(f->setup.dev), err))
		return -1;
	h->layers = c->layers;
	h->budget = -1;
	if (f->session) {
		const e3_plan *p = e3_session_plan(f->session);
		const e3_infer_options *o = e3_session_options(f->session);
		h->tokens_per_frame = p->tokens_per_frame;
		h->patch_grid[0] = p->patch_grid[0], h->patch_grid[1] = p->patch_grid[1];
		h->kv_token_bytes = (int64_t)p->token_bytes;
		if (o->pack && set_text(&h->kv, e3_infer_kept_as(o), err))
			return -1;
		if (isfinite(p->budget))
			h->budget = (int64_t)floor(p->budget);
		if (!f->resume.from && f->r.automatic && f->r.o.side)
			e3_note("segments of %lld frames, chosen by the budget (--segment 0: one piece)",
				(long long)f->r.track.segment);
	}
	if (f->resume.from) {
		h->seen = e3_saved_seen(f->resume.from), h->after = f->resume.from->position.last_i, h->frozen = f->r.freeze;
		h->frames = h->frames < 0 ? -1 : h->frames > f->resume.covered ? h->frames - f->resume.covered : 0;
		if (f->resume.covered && f->over && !e3_stop_signal())
			e3_note("%s: the saved session has seen all %lld frames of this stream: nothing is new, and the output has "
					"no frames",
				f->r.load, (long long)f->resume.covered);
		else if (f->resume.covered)
			e3_note("%s: the saved session has seen %lld frames of this stream, which are skipped", f->r.load,
				(long long)f->resume.covered);
	}
	f->head_sent = true;
	e3_batch_rest(f->r.o.batch); /* a reader may be slow */
	int rc = e3_out_head(f->r.stage.out, h, err);
	e3_batch_wake(f->r.o.batch);
	return rc;
}

int infer_begin(infer *f, e3_err *err)
{
	return (!f->session && open_session(f, err)) || (!f->slots && !f->head_sent && infer_send_head(f, err)) ? -1 : 0;
}

void infer_close_session(infer *f)
{
	e3_track_close(f->track);
	e3_batch_lock(f->r.o.batch);
	e3_session_close(f->session);
	e3_batch_unlock(f->r.o.batch);
	f->track = NULL, f->session = NULL;
	infer_slot_leave(f);
}

int infer_begin_again(infer *f, e3_err *err)
{
	if (!f->slots || !f->session || e3_session_frames(f->session) || e3_track_frames(f->track))
		return -1;
	bool turn = f->slot.turn; /* else others may have taken memory meanwhile: once more at once */
	infer_close_session(f);
	if (turn ? infer_slot_wait(f, err) : !e3_no_memory(err))
		return -1;
	return infer_begin(f, err);
}
