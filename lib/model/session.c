/* model: one stream through the network. Owns the session's memory and the order of the stages of a frame. */
#include "together.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_outputs(const e3_session *s, e3_err *err)
{
	if (s->o.outputs & E3_OUT_DEPTH && !s->net->c.depth.present)
		return e3_fail(err, "opening: outputs: depth: the model has no depth head");
	if (s->o.outputs & E3_OUT_POINTS && !s->net->c.point.present)
		return e3_fail(err, "opening: outputs: points: the model has no point head");
	return 0;
}

int e3_session_open_result(e3_session *s, e3_result *r, int outputs, e3_err *err)
{
	size_t bytes = (size_t)s->h * (size_t)s->w * sizeof(float);
	*r = (e3_result){.w = s->w, .h = s->h, .has_pose = outputs & E3_OUT_POSE};
	if (outputs & E3_OUT_DEPTH &&
		(s->dev->ops->alloc_host(s->dev, bytes, (void **)&r->depth, err) ||
			s->dev->ops->alloc_host(s->dev, bytes, (void **)&r->depth_conf, err)))
		return -1;
	if (outputs & E3_OUT_POINTS &&
		(s->dev->ops->alloc_host(s->dev, 3 * bytes, (void **)&r->points, err) ||
			s->dev->ops->alloc_host(s->dev, bytes, (void **)&r->points_conf, err)))
		return -1;
	return 0;
}

/* Two sets of results, one to be written while the other is computed; and those of side steps. */
static int open_results(e3_session *s, e3_err *err)
{
	if (e3_session_open_result(s, &s->result[0], s->o.outputs, err) ||
		e3_session_open_result(s, &s->result[1], s->o.outputs, err) ||
		(s->o.side && e3_session_open_result(s, &s->side, s->o.outputs & ~E3_OUT_POINTS, err)))
		return -1;
	size_t bytes = (size_t)s->together * E3_POSE * sizeof(float);
	return s->dev->ops->alloc_host(s->dev, bytes, (void **)&s->pose, err);
}

void e3_session_close_result(e3_session *s, e3_result *r)
{
	float *maps[] = {r->depth, r->depth_conf, r->points, r->points_conf};
	for (int m = 0; m < 4; m++)
		s->dev->ops->free_host(s->dev, maps[m]);
}

static int make_plan(e3_session *s, int64_t pages, e3_err *err)
{
	e3_plan *p = &s->plan;
	if (e3_plan_make(&s->net->c, &s->o, s->h, s->w, p, err))
		return -1;
	s->together = s->o.frozen || pages ? 1 : p->together; /* what is resumed has begun */
	if (p->pages && (p->pages < pages || s->o.frozen))    /* a frozen cache does not grow into its budget */
		p->pages = pages, p->cache_bytes = (uint64_t)pages * p->page_bytes;
	return 0;
}

/* Choosing is done in a branch of its own, which the memory for it belongs to. */
static int open_evictor(e3_session *s, e3_past *past, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	bool fraction = s->o.budget_kind == E3_BUDGET_FRACTION;
	past->evictor = (e3_evictor){.policy = s->o.frozen || s->o.policy->keeps_all ? NULL : s->o.policy,
		.temperature = s->o.temperature,
		.compat = s->o.compat,
		.fill = !fraction,
		.free_first = s->o.free_first,
		.seed = s->o.seed,
		.whole = s->o.policy->whole.rule ? &s->o.policy->whole : NULL,
		.seen = s->descriptor,
		.slot = s->frame[0].slot,
		.shift = s->shift,
		.window = s->o.window,
		.frames = fraction ? e3_plan_frames(&s->o) : -1};
	past->start = 1;
	if (past->evictor.policy && s->o.policy->slides)
		return e3_slide_open(&past->evictor, &s->plan, &past->cache, err);
	if (past->evictor.whole)
		return e3_whole_open(&past->evictor, &s->plan, &past->cache, s->net->c.embed, err);
	return past->evictor.policy &&
			(ops->branch(s->dev, E3_BRANCH_EVICT, err) || e3_evictor_open(&past->evictor, &past->cache, err) ||
				ops->finish(s->dev, err))
		? -1
		: 0;
}

static int open_parts(e3_session *s, int64_t pages, e3_err *err)
{
	if (check_outputs(s, err) || make_plan(s, pages, err) || e3_work_join(s, err) || e3_embed_open(s, err) ||
		e3_aggregate_open(s, err) || open_results(s, err))
		return -1;
	if (s->o.outputs & E3_OUT_POSE && e3_camera_open(s, err))
		return -1;
	if (e3_dpt_open(s, err) || open_evictor(s, &s->pasts[0], err) || (s->o.side && open_evictor(s, &s->pasts[1], err)))
		return -1;
	return e3_work_opened(s, err);
}

e3_session *e3_session_open(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2], e3_err *err)
{
	return e3_session_open_with(net, dev, o, size, 0, err);
}

e3_session *e3_session_open_with(const e3_net *net, e3_dev *dev, const e3_infer_options *o, const int size[2],
	int64_t pages, e3_err *err)
{
	e3_session *s = e3_alloc(1, sizeof *s, "session", err);
	if (!s)
		return NULL;
	s->net = net, s->dev = s->arena.dev = dev, s->o = *o, s->h = size[0], s->w = size[1];
	e3_infer_use_device(&s->o, dev);
	s->o.describe |= o->policy->whole.rule && !o->policy->whole.by_layer && !o->frozen;
	s->past = &s->pasts[0];
	if (open_parts(s, pages, err)) {
		e3_session_close(s);
		return NULL;
	}
	return s;
}

void e3_session_close(e3_session *s)
{
	if (!s)
		return;
	e3_ahead_drop(s, &(e3_err){""});
	for (int k = 1; k >= 0; k--) { /* the side has the pages of the other */
		e3_cache_release(&s->pasts[k].cache);
		e3_evictor_release(&s->pasts[k].evictor);
		free(s->pasts[k].camera);
		e3_session_close_result(s, &s->result[k]);
	}
	e3_session_close_result(s, &s->side);
	e3_start_close(s);
	e3_arena_release(&s->arena);
	e3_aggregate_close(s);
	s->dev->ops->free_host(s->dev, s->pose), s->dev->ops->free_host(s->dev, s->descriptor);
	for (int k = 0; k < s->cap_attn; k++)
		e3_attn_release(&s->attn[k]);
	free(s->attn);
	e3_work_leave(s);
	free(s);
}

const e3_plan *e3_session_plan(const e3_session *s) { return &s->plan; }

const e3_infer_options *e3_session_options(const e3_session *s) { return &s->o; }

void e3_session_ask(e3_session *s, bool (*keeps)(void *ctx, const e3_result *r), void *ctx)
{
	s->keeps = keeps, s->keeps_ctx = ctx;
}

/* In both pasts, but for those of a frame that is under way. */
static uint64_t tokens_held(const e3_session *s)
{
	uint64_t n = 0, each = (uint64_t)s->plan.tokens_per_frame * (uint64_t)s->plan.layers;
	for (int k = 0; k < 2; k++)
		for (int l = 0; l < s->pasts[k].cache.layers; l++)
			n += e3_cache_count(&s->pasts[k].cache, l);
	return s->under_way ? n - each : n;
}

int e3_session_note(const e3_session *s, const e3_activation *a, e3_err *err)
{
	e3_activation note = *a;
	note.ahead = s->at;
	return s->dev->ops->note(s->dev, &note, err);
}

int e3_session_begin(e3_session *s, const char *stage, e3_err *err)
{
	return e3_session_note(s, &(e3_activation){.stage = stage, .index = -1}, err);
}

void e3_session_turn_to(e3_session *s, int k) { s->at = k, s->now = s->frame[k]; }

int e3_session_score(e3_session *s, e3_err *err)
{
	return e3_evictor_begin(&s->past->evictor, &s->plan, &s->past->cache, s->past->t, s->mass.layer, err);
}

int e3_session_embed(e3_session *s, const uint8_t *rgb, e3_err *err)
{
	return e3_session_begin(s, "vit", err) || (rgb ? e3_embed_step(s, rgb, err) : e3_embed_again(s, err)) ? -1 : 0;
}

int e3_session_aggregate(e3_session *s, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	return e3_session_begin(s, "agg", err) || e3_aggregate_room(s, err) ||
			ops->gather(s->dev, E3_PIECE_AGGREGATOR, err) || e3_aggregate_step(s, 1, err) || ops->launch(s->dev, err)
		? -1
		: 0;
}

static int camera(e3_session *s, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	return e3_session_begin(s, "camera", err) || ops->gather(s->dev, E3_PIECE_CAMERA, err) ||
			e3_camera_step(s, 1, err) || ops->launch(s->dev, err)
		? -1
		: 0;
}

int e3_session_heads(e3_session *s, e3_result *r, e3_err *err)
{
	if (r->depth && e3_dpt_step(s, &s->net->depth, &s->work->depth, r->depth, r->depth_conf, err))
		return e3_fail_in(err, "depth head");
	if (!r->points)
		return 0;
	const e3_dev_ops *ops = s->dev->ops;
	if (ops->branch(s->dev, E3_BRANCH_POINT, err) ||
		e3_dpt_step(s, &s->net->point, &s->work->point, r->points, r->points_conf, err) ||
		ops->branch(s->dev, E3_BRANCH_DEPTH, err))
		return e3_fail_in(err, "point head");
	return 0;
}

int e3_session_dense(e3_session *s, e3_result *r, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	return ops->branch(s->dev, E3_BRANCH_DEPTH, err) ||
			ops->gather(s->dev, r == &s->side ? E3_PIECE_DENSE_SIDE : E3_PIECE_DENSE, err) ||
			e3_session_heads(s, r, err) || ops->launch(s->dev, err)
		? -1
		: 0;
}

void e3_session_count_tokens(e3_session *s)
{
	uint64_t held = tokens_held(s);
	s->peak_tokens = held > s->peak_tokens ? held : s->peak_tokens;
}

/* Of a frame that is not kept. */
int e3_session_pass(e3_session *s, e3_evict *evict, e3_err *err)
{
	return e3_attn_collect(s, 1, err) || s->dev->ops->finish(s->dev, err) ||
			e3_evictor_pass(&s->past->evictor, &s->plan, &s->past->cache, s->past->t, evict, err) ||
			s->dev->ops->finish(s->dev, err)
		? -1
		: 0;
}

/* Frame t of a past, by its number alone. */
static bool is_key(const e3_past *p, int keyframe, int64_t t)
{
	return t < p->start || keyframe <= 1 || (t - p->start) % keyframe == 0;
}

/* Is the current frame kept, and will the next one be? What `keeps` says of that is not known yet: it may. */
int e3_session_choose(e3_session *s, e3_result *r, e3_err *err)
{
	e3_past *p = s->past;
	bool side = p != &s->pasts[s->main]; /* a short past has use for every frame */
	s->kept = s->o.frozen || side || is_key(p, s->o.keyframe, p->t);
	if (!s->o.keyframe && s->keeps && !side && p->t >= p->start && !s->o.frozen) {
		if (s->dev->ops->finish(s->dev, err) || (r->has_pose && e3_camera_pose(s, s->pose, r->pose, err)))
			return -1;
		s->kept = s->keeps(s->keeps_ctx, r);
	}
	p->evictor.kept = p->keys + s->kept, p->evictor.start = p->start;
	p->evictor.soon = side || is_key(p, s->o.keyframe, p->t + 1);
	return 0;
}

int e3_session_decide(e3_session *s, e3_evict *evict, e3_err *err)
{
	return e3_evictor_decide(&s->past->evictor, &s->plan, &s->past->cache, s->past->t, evict, err) ||
			e3_attn_collect(s, 1, err)
		? -1
		: 0;
}

int e3_session_apply(e3_session *s, const e3_result *r, e3_evict *evict, e3_err *err)
{
	if (e3_evictor_apply(&s->past->evictor, &s->plan, &s->past->cache, s->past->t, evict, err))
		return -1;
	for (int k = 0; r->has_pose && k < s->past->evictor.n_gone; k++)
		e3_camera_forget(s, s->past->evictor.gone[k]);
	return r->has_pose && !s->o.frozen ? e3_camera_keep(s, err) : 0;
}

/* The frame's own tokens go again; its record says that nothing came. */
static void forget_frame(e3_session *s, e3_evict *evict)
{
	for (int l = 0; l < s->past->cache.layers; l++) {
		e3_evict_layer *r = &evict->layer[l];
		e3_cache_forget(&s->past->cache, l, (uint32_t)(s->past->t * s->plan.tokens_per_frame));
		r->k_before = r->k_after = e3_cache_count(&s->past->cache, l);
		r->budget = r->k_after;
	}
}

/* The frame is part of the past. */
static void count(e3_session *s, e3_evict *evict)
{
	if (s->o.frozen)
		forget_frame(s, evict);
	else
		s->past->t++, s->past->keys += s->kept;
}

/* Once the device has been waited for. */
static int evict_step(e3_session *s, e3_result *r, e3_evict *evict, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_embed_describe(s);
	e3_session_count_tokens(s);
	if (e3_session_choose(s, r, err))
		return -1;
	if (!s->kept && e3_session_pass(s, evict, err))
		return -1;
	if (s->kept &&
		(ops->branch(s->dev, E3_BRANCH_EVICT, err) || e3_session_begin(s, "evict", err) ||
			e3_session_decide(s, evict, err) || ops->mark(s->dev, err) || ops->wait(s->dev, err) ||
			e3_session_apply(s, r, evict, err)))
		return -1;
	int64_t t = s->past->t;
	count(s, evict);
	return e3_ahead_begin(s, err) || (s->kept && e3_evictor_tell(&s->past->evictor, t, evict, err)) ||
			ops->finish(s->dev, err)
		? -1
		: 0;
}

/* The heads are given to the device before it is waited for: while they run the tokens are scored, the budget is shared
 * out, the leaving tokens are chosen and taken out of the cache, and the next frame begins (ahead.c). */
static int step(e3_session *s, const uint8_t *rgb, e3_result *r, e3_evict *evict, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	bool there = e3_ahead_take(s, rgb);
	if ((!there && (e3_ahead_drop(s, err) || e3_session_embed(s, rgb, err))) ||
		(!s->under_way && e3_session_aggregate(s, err)) || ops->mark(s->dev, err))
		return -1;
	s->under_way = false;
	/* The next picture's ViT begins at once, in memory that the ViT of this step would still be using; so not before
	 * the aggregator is waited for, unless this frame's was computed ahead too. */
	if (there && e3_ahead_look(s, err))
		return -1;
	if (ops->branch(s->dev, E3_BRANCH_CAMERA, err) || (r->has_pose && camera(s, err)))
		return e3_fail_in(err, "camera head");
	if (e3_session_dense(s, r, err) || ops->branch(s->dev, E3_BRANCH_EVICT, err) || e3_session_score(s, err) ||
		ops->mark(s->dev, err) || (there && e3_ahead_look(s, err)) || ops->wait(s->dev, err) || e3_ahead_look(s, err))
		return -1;
	return evict_step(s, r, evict, err);
}

/* Where work can be given up, what changes the past comes last and is not given up. Until then the past has only got
 * the frame's tokens: without them it is as it was, and may be saved. */
static int step_or_give_up(e3_session *s, const uint8_t *rgb, e3_result *r, e3_evict *evict, e3_err *err)
{
	e3_halt *halt = s->dev->halt;
	bool armed = halt->armed;
	if (e3_session_embed(s, rgb, err) || e3_session_begin(s, "agg", err) || e3_aggregate_step(s, 1, err) ||
		e3_session_dense(s, r, err) || s->dev->ops->wait(s->dev, err)) {
		for (int l = 0; l < s->past->cache.layers; l++)
			e3_cache_forget(&s->past->cache, l, (uint32_t)(s->past->t * s->plan.tokens_per_frame));
		s->broken = false;
		return -1;
	}
	halt->armed = false;
	int rc = e3_session_score(s, err) || (r->has_pose && camera(s, err)) ? -1 : evict_step(s, r, evict, err);
	halt->armed = armed;
	return rc;
}

/* Every key frame leaves something for ever, and memory was allocated at the beginning. */
static int no_room(const e3_session *s, e3_err *err)
{
	long long t = s->past->t, n = s->past->keys;
	if (s->plan.keys < s->plan.most_keys)
		return e3_fail(err, "inferring: frame %lld: the stream was said to have %lld frames: give 'frames'", t,
			(long long)s->o.frames);
	return e3_fail(err, "inferring: frame %lld: %lld key frames, which is the most: give 'segment' or 'keyframe'", t,
		n);
}

int e3_session_ready(e3_session *s, e3_err *err)
{
	int64_t t = s->past->t;
	e3_start_release(s);
	if ((uint64_t)(t + 1) * (uint64_t)s->plan.tokens_per_frame >= E3_HOLE)
		return e3_fail(err, "inferring: frame %lld: token ids would pass 32 bits", (long long)t);
	if (e3_rope_check(s, s->past->keys, err))
		return e3_fail_in(err, "inferring: frame %lld", (long long)t);
	if (s->past->keys >= s->plan.keys && !s->o.frozen && is_key(s->past, s->o.keyframe, t))
		return no_room(s, err);
	return 0;
}

/* A step of s->past, and the pose that came of it. */
static int whole_step(e3_session *s, const uint8_t *rgb, e3_result *r, e3_evict *evict, e3_err *err)
{
	int64_t t = s->past->t, keys = s->past->keys;
	if (e3_session_ready(s, err))
		return -1;
	s->broken = true;
	if (!(s->dev->halt ? step_or_give_up : step)(s, rgb, r, evict, err) &&
		!(r->has_pose && e3_camera_pose(s, s->pose, r->pose, err))) {
		s->broken = false;
		return 0;
	}
	s->past->t = t, s->past->keys = keys; /* a frame without results does not count */
	return e3_fail_in(err, "inferring: frame %lld", (long long)t);
}

/* The tokens of this picture are in the lane now, unless the next one's are. */
static void embedded(e3_session *s, const uint8_t *rgb)
{
	s->work->owner[s->lane] = s->ahead ? NULL : s;
	s->picture = rgb;
}

void e3_session_stepped(e3_session *s, const uint8_t *rgb, e3_evict *evict, e3_result *result)
{
	*result = s->result[s->turn];
	s->turn = 1 - s->turn;
	embedded(s, rgb);
	if (evict)
		count(s, evict);
}

int e3_session_alone(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err)
{
	s->work->owner[s->lane] = NULL;
	if (whole_step(s, rgb, &s->result[s->turn], evict, err))
		return -1;
	e3_session_stepped(s, rgb, NULL, result);
	return 0;
}

int e3_session_step(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err)
{
	if (!s->o.batch)
		return e3_session_alone(s, rgb, result, evict, err);
	return e3_batch_step(s->o.batch, &(e3_turn){.s = s, .rgb = rgb, .result = result, .evict = evict, .err = err});
}

static e3_past *side_of(e3_session *s) { return &s->pasts[1 - s->main]; }

int e3_session_side(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err)
{
	if (!s->o.side || (!rgb && !s->picture))
		return e3_fail(err, "inferring beside the stream: %s", s->o.side ? "no picture" : "the session has no side");
	e3_batch_lock(s->o.batch);
	int rc = e3_ahead_drop(s, err);
	bool there = !rgb && s->work->owner[s->lane] == s;
	if (!there)
		e3_work_lane(s, s->home), s->work->owner[s->lane] = NULL;
	s->past = side_of(s);
	rc = rc || whole_step(s, rgb || there ? rgb : s->picture, &s->side, evict, err) ? -1 : 0;
	s->past = &s->pasts[s->main];
	if (rgb)
		s->picture = NULL;
	e3_batch_unlock(s->o.batch);
	*result = s->side;
	return rc;
}

void e3_session_side_clear(e3_session *s)
{
	e3_past *side = side_of(s);
	e3_cache_clear(&side->cache);
	e3_evictor_reset(&side->evictor);
	side->t = side->keys = 0;
	side->start = 1;
}

void e3_session_take_over(e3_session *s)
{
	e3_ahead_drop(s, &(e3_err){""});
	s->main = 1 - s->main;
	s->past = &s->pasts[s->main];
	e3_session_side_clear(s);
}

int64_t e3_session_frames(const e3_session *s) { return s->past->t; }

int64_t e3_session_side_frames(const e3_session *s) { return s->pasts[1 - s->main].t; }

const float *e3_session_descriptor(const e3_session *s) { return s->descriptor; }

e3_cache_use e3_session_cache(const e3_session *s)
{
	uint64_t full = (uint64_t)s->past->t * (uint64_t)s->plan.tokens_per_frame * (uint64_t)s->plan.layers;
	return (e3_cache_use){tokens_held(s) * s->plan.token_bytes, s->peak_tokens * s->plan.token_bytes,
		full * s->plan.token_bytes};
}
