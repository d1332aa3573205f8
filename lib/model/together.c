/* model: one step of several sessions (doc/design.md 4). Owns the order: their frames go through the ViT and the
 * aggregator as rows of one matrix, then each through the heads; meanwhile the budget of each is shared out. A session
 * that cannot go on costs the others nothing. */
#include "together.h"
#include "e3/mem.h"

/* Those that take part, and what they leave. */
typedef struct group {
	e3_turn *turn[E3_LANES];
	e3_session *s[E3_LANES];
	int n;
	e3_dev *dev;
	bool scored; /* the pasts have changed by more than the tokens of these frames: they cannot be computed again */
} group;

static e3_result *result_of(const e3_session *s) { return (e3_result *)(uintptr_t)&s->result[s->turn]; }

static void fails(e3_turn *t)
{
	t->rc = -1;
	t->s->broken = true;
	e3_fail_in(t->err, "inferring: frame %lld", (long long)t->s->past->t);
}

/* Into the lanes, one after the other: whoever has room for its tokens. */
static void gather_up(group *g, e3_turn *const *turn, int n)
{
	for (int k = 0; k < n; k++) {
		e3_session *s = turn[k]->s;
		if (e3_session_ready(s, turn[k]->err)) {
			turn[k]->rc = -1;
			continue;
		}
		e3_work_lane(s, g->n);
		s->work->owner[g->n] = NULL;
		if (e3_aggregate_prepare(s, turn[k]->err)) {
			fails(turn[k]);
			continue;
		}
		g->turn[g->n] = turn[k], g->s[g->n++] = s, g->dev = s->dev;
	}
}

/* A piece of so many sessions is another one than that of one. */
static int gather(const group *g, int piece, e3_err *err)
{
	return g->dev->ops->gather(g->dev, piece + E3_PIECE_KINDS * (g->n - 1), err);
}

static int embed(group *g, e3_err *err)
{
	for (int k = 0; k < g->n; k++)
		if ((!k && e3_session_begin(g->s[k], "vit", err)) || e3_embed_patches(g->s[k], g->turn[k]->rgb, err))
			return -1;
	return e3_embed_lanes(g->s, g->n, err);
}

static int aggregate(group *g, e3_err *err)
{
	if (e3_session_begin(g->s[0], "agg", err) || gather(g, E3_PIECE_AGGREGATOR, err) ||
		e3_aggregate_lanes(g->s, g->n, err))
		return -1;
	g->scored = true;
	for (int k = 0; k < g->n; k++)
		if (e3_session_score(g->s[k], err))
			return -1;
	return g->dev->ops->launch(g->dev, err);
}

/* The camera heads are chains of small steps, side by side. */
static int camera_branch(int k) { return k ? E3_BRANCH_POINT + k : E3_BRANCH_CAMERA; }

static int heads(group *g, e3_err *err)
{
	const e3_dev_ops *ops = g->dev->ops;
	bool pose = result_of(g->s[0])->has_pose;
	if (pose &&
		(ops->branch(g->dev, E3_BRANCH_CAMERA, err) || e3_session_begin(g->s[0], "camera", err) ||
			gather(g, E3_PIECE_CAMERA, err)))
		return -1;
	for (int k = 0; pose && k < g->n; k++)
		if ((k && ops->branch(g->dev, camera_branch(k), err)) || e3_camera_step(g->s[k], 1, err))
			return e3_fail_in(err, "camera head");
	if ((pose && (ops->branch(g->dev, E3_BRANCH_CAMERA, err) || ops->launch(g->dev, err))) ||
		ops->branch(g->dev, E3_BRANCH_DEPTH, err) || gather(g, E3_PIECE_DENSE, err))
		return -1;
	for (int k = 0; k < g->n; k++)
		if (e3_session_heads(g->s[k], result_of(g->s[k]), err))
			return -1;
	return ops->launch(g->dev, err);
}

/* Of what is kept, and of what is only seen. */
static int evict(group *g, e3_err *err)
{
	const e3_dev_ops *ops = g->dev->ops;
	for (int k = 0; k < g->n; k++) {
		e3_embed_describe(g->s[k]);
		e3_session_count_tokens(g->s[k]);
		if (e3_session_choose(g->s[k], result_of(g->s[k]), err))
			return -1;
	}
	if (ops->branch(g->dev, E3_BRANCH_EVICT, err) || e3_session_begin(g->s[0], "evict", err))
		return -1;
	for (int k = 0; k < g->n; k++)
		if (g->s[k]->kept && e3_session_decide(g->s[k], g->turn[k]->evict, err))
			return -1;
	if (ops->mark(g->dev, err) || ops->wait(g->dev, err))
		return -1;
	for (int k = 0; k < g->n; k++)
		if (g->s[k]->kept &&
			(e3_session_apply(g->s[k], result_of(g->s[k]), g->turn[k]->evict, err) ||
				e3_evictor_tell(&g->s[k]->past->evictor, g->s[k]->past->t, g->turn[k]->evict, err)))
			return -1;
	if (ops->finish(g->dev, err))
		return -1;
	for (int k = 0; k < g->n; k++)
		if (!g->s[k]->kept && e3_session_pass(g->s[k], g->turn[k]->evict, err))
			return -1;
	return 0;
}

static int through(group *g, e3_err *err)
{
	const e3_dev_ops *ops = g->dev->ops;
	return embed(g, err) || aggregate(g, err) || ops->mark(g->dev, err) || heads(g, err) || ops->wait(g->dev, err) ||
			evict(g, err)
		? -1
		: 0;
}

/* There may be no memory for what so many rows need in between: it is less for each alone. */
static void one_by_one(group *g)
{
	g->dev->ops->finish(g->dev, NULL);
	for (int k = 0; k < g->n; k++)
		for (int l = 0; l < g->s[k]->past->cache.layers; l++)
			e3_cache_forget(&g->s[k]->past->cache, l, (uint32_t)(g->s[k]->past->t * g->s[k]->plan.tokens_per_frame));
	for (int k = 0; k < g->n; k++)
		e3_turns_take(&g->turn[k], 1);
}

void e3_turns_take(e3_turn *const *turn, int n)
{
	group g = {.n = 0};
	e3_err why = {""};
	if (n == 1) {
		e3_turn *t = turn[0];
		e3_work_lane(t->s, t->s->home);
		t->rc = e3_session_alone(t->s, t->rgb, t->result, t->evict, t->err);
		return;
	}
	gather_up(&g, turn, n);
	int rc = g.n ? through(&g, &why) : 0;
	if (rc && !g.scored && e3_no_memory(&why)) {
		one_by_one(&g);
		return;
	}
	for (int k = 0; k < g.n; k++) {
		e3_turn *t = g.turn[k];
		e3_session *s = g.s[k];
		e3_result *r = result_of(s);
		if (rc)
			*t->err = why;
		else
			t->rc = r->has_pose && e3_camera_pose(s, s->pose, r->pose, t->err) ? -1 : 0;
		if (rc || t->rc)
			fails(t);
		else
			e3_session_stepped(s, t->rgb, t->evict, t->result);
	}
}
