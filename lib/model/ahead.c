/* model: what is computed of the next frame before the results of this one are there: its ViT beside this frame's
 * aggregator, its aggregator beside this frame's heads. Owns when that may be, and how it is taken back.
 *
 * A frame that is under way has tokens in the cache; the past knows nothing of it otherwise.
 */
#include "together.h"

void e3_session_look_ahead(e3_session *s, const uint8_t *(*next)(void *ctx), void *ctx)
{
	s->next = next, s->next_ctx = ctx;
}

/* What frames that are under way at a time cannot share. */
static int open_spare(e3_session *s, e3_err *err)
{
	size_t n = (size_t)s->plan.tokens_per_frame, v = (size_t)s->work->vit_tokens, dim = (size_t)s->net->c.embed;
	e3_arena *a = &s->arena;
	e3_spare *to = &s->spare;
	if (to->tokens.x)
		return 0;
	return e3_aggregate_open_kept(s, a, to->tokens.cat, &to->tokens.last, err) ||
			e3_arena_alloc(a, s->dev->attn_dtype, v * dim, &to->tokens.q, err) ||
			e3_arena_alloc(a, s->dev->attn_dtype, v * dim, &to->attended, err) ||
			e3_arena_alloc(a, s->dev->feature_dtype, v * (size_t)s->net->c.vit_hidden, &to->hidden, err) ||
			e3_arena_floats(a, n * dim, &to->tokens.x, err)
		? -1
		: 0;
}

/* The ViT in what is spare. */
static int embed_next(e3_session *s, const uint8_t *rgb, e3_err *err)
{
	e3_tokens now = s->now;
	e3_tensor attended = s->attended, hidden = s->hidden;
	e3_work_tokens(s, !s->odd, &s->now);
	s->now.q = s->spare.tokens.q, s->attended = s->spare.attended, s->hidden = s->spare.hidden;
	int rc = e3_session_embed(s, rgb, err);
	s->now = now, s->attended = attended, s->hidden = hidden;
	return rc;
}

/* Where the tokens of this frame's picture are still wanted, or a descriptor is fetched with them, there is no room for
 * the next picture's: a step beside the stream follows if the frame is shared with the next segment. */
static bool may_look(const e3_session *s)
{
	bool shared = s->o.side && s->past->t + 1 > s->o.segment - s->o.side;
	return s->next && s->dev->ops->ahead && !shared && !s->o.batch && !s->descriptor && s->past == &s->pasts[s->main];
}

/* A stream that has no memory for this goes on without. The spare memory is made in the branch that uses it first. */
int e3_ahead_look(e3_session *s, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_err no = {""};
	if (s->ahead || !may_look(s))
		return 0;
	s->ahead = s->next(s->next_ctx);
	if (!s->ahead)
		return 0;
	int rc = ops->ahead(s->dev, E3_BRANCH_NEXT, err);
	if (!rc && open_spare(s, &no))
		s->ahead = NULL, s->next = NULL;
	else
		rc = rc || embed_next(s, s->ahead, err);
	return rc || ops->branch(s->dev, E3_BRANCH_MAIN, err) ? e3_fail_in(err, "the next frame") : 0;
}

bool e3_ahead_take(e3_session *s, const uint8_t *rgb)
{
	bool there = rgb && rgb == s->ahead;
	s->ahead = NULL;
	if (there && !s->under_way)
		e3_work_turn(s);
	return there;
}

int e3_ahead_begin(e3_session *s, e3_err *err)
{
	e3_err no = {""};
	bool plain = s->o.keyframe == 1 && !s->keeps && !s->o.frozen && !s->o.attn;
	if (!s->ahead || !plain || e3_session_ready(s, &no))
		return 0;
	e3_work_turn(s);
	s->under_way = true;
	if (s->dev->ops->ahead(s->dev, E3_BRANCH_MAIN, err))
		return -1;
	/* This frame is complete: its results do not fail with the next one, whose step will find the same and say so. */
	return e3_session_aggregate(s, &no) ? e3_ahead_drop(s, err) : 0;
}

/* A ViT alone is not waited for: what follows finish in the main branch starts after it. */
int e3_ahead_drop(e3_session *s, e3_err *err)
{
	s->ahead = NULL;
	if (!s->under_way)
		return 0;
	s->under_way = false;
	if (s->dev->ops->finish(s->dev, err))
		return -1;
	for (int l = 0; l < s->past->cache.layers; l++)
		e3_cache_forget(&s->past->cache, l, (uint32_t)(s->past->t * s->plan.tokens_per_frame));
	return 0;
}
