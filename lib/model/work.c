/* model: what a step works in, and who shares it: the sessions of a batch whose frames have one size. Owns the lanes.
 */
#include "e3/mem.h"
#include "together.h"
#include <stdlib.h>

static void release(e3_work *w)
{
	e3_arena_release(&w->arena);
	free(w->vit_self.slot), free(w->vit_self.page), free(w->self.slot), free(w->self.page);
	free(w->cat), free(w->last), free(w->owner), free(w);
}

int e3_work_join(e3_session *s, e3_err *err)
{
	e3_batch *b = s->o.batch;
	e3_work *w = b ? e3_batch_work(b, s) : NULL;
	if (!w) {
		w = e3_alloc(1, sizeof *w, "session", err);
		if (!w)
			return -1;
		w->arena.dev = s->dev, w->h = s->h, w->w = s->w, w->lanes = b ? e3_batch_lanes(b) : 1;
		w->cat = e3_alloc((size_t)w->lanes * E3_DPT_LEVELS, sizeof(float *), "session", err);
		w->last = e3_alloc((size_t)w->lanes, sizeof(float *), "session", err);
		w->owner = e3_alloc((size_t)w->lanes, sizeof *w->owner, "session", err);
		if (!w->cat || !w->last || !w->owner) {
			release(w);
			return -1;
		}
	}
	s->work = w;
	return 0;
}

bool e3_work_is_new(const e3_session *s) { return !s->work->users; }

int e3_work_opened(e3_session *s, e3_err *err)
{
	if (!s->work->users && s->o.batch && e3_batch_add_work(s->o.batch, s->work, err))
		return -1;
	s->home = s->work->users++ % s->work->lanes;
	s->joined = true;
	return 0;
}

void e3_work_tokens(const e3_session *s, bool odd, e3_tokens *to)
{
	const e3_work *w = s->work;
	const e3_tokens *spare = &s->spare.tokens;
	to->x = odd ? spare->x : w->x + (size_t)s->lane * (size_t)s->plan.tokens_per_frame * (size_t)s->net->c.embed;
	to->last = odd ? spare->last : w->last[s->lane];
	for (int l = 0; l < E3_DPT_LEVELS; l++)
		to->cat[l] = odd ? spare->cat[l] : w->cat[s->lane * E3_DPT_LEVELS + l];
}

void e3_work_turn(e3_session *s)
{
	s->odd = !s->odd;
	e3_work_tokens(s, s->odd, &s->frame[0]);
	e3_session_turn_to(s, 0);
}

void e3_work_lane(e3_session *s, int lane)
{
	const e3_work *w = s->work;
	e3_tokens *f = &s->frame[0];
	size_t n = (size_t)s->plan.tokens_per_frame, v = (size_t)w->vit_tokens, most = n > v ? n : v,
		   dim = (size_t)s->net->c.embed, heads = (size_t)s->net->c.heads, k = (size_t)lane;
	size_t hidden = (size_t)(s->net->c.hidden > s->net->c.vit_hidden ? s->net->c.hidden : s->net->c.vit_hidden);
	s->lane = lane;
	s->xv = w->xv + k * v * dim;
	s->attended = e3_tensor_at(w->attended, k * most * dim), s->hidden = e3_tensor_at(w->hidden, k * most * hidden);
	s->lse = w->lse + k * heads * n;
	f->q = e3_tensor_at(w->q, k * most * dim);
	e3_work_tokens(s, s->odd, f);
	e3_session_turn_to(s, 0);
}

void e3_work_leave(e3_session *s)
{
	e3_work *w = s->work;
	s->work = NULL;
	if (!w || (s->joined ? --w->users : w->users) > 0)
		return;
	if (s->o.batch)
		e3_batch_drop_work(s->o.batch, w);
	release(w);
}
