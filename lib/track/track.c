/* track: the chain of segments. Owns when the next segment begins and takes over, and the world they share. Refuses
 * overlaps that leave a segment no frames of its own. */
#include "track.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

int e3_track_prepare(const e3_track_options *t, e3_infer_options *o, e3_err *err)
{
	if (!t->segment)
		return 0;
	if (t->segment < 2)
		return e3_fail(err, "planning: 'segment' of %lld frames: expected at least 2", (long long)t->segment);
	if (t->overlap < 1 || t->overlap > t->segment / 2)
		return e3_fail(err, "planning: 'overlap' of %lld frames: expected 1 to %lld, half of 'segment'",
			(long long)t->overlap, (long long)t->segment / 2);
	bool chain = t->frames < 0 || t->frames > t->segment;
	o->segment = t->segment;
	o->side = chain && !o->frozen;
	o->outputs |= E3_OUT_POSE | E3_OUT_DEPTH;
	return 0;
}

e3_track *e3_track_open(e3_session *s, const e3_track_options *o, e3_err *err)
{
	size_t n = o->segment ? (size_t)o->overlap : 0;
	e3_track *t = e3_alloc(1, sizeof *t, "segments", err);
	if (!t)
		return NULL;
	t->s = s, t->o = *o;
	t->at = (e3_track_place){.world = e3_similarity_identity};
	t->frames = e3_session_frames(s);
	t->shared.a = e3_alloc(n + 1, sizeof *t->shared.a, "segments", err);
	t->shared.b = e3_alloc(n + 1, sizeof *t->shared.b, "segments", err);
	if (t->shared.a && t->shared.b)
		return t;
	e3_track_close(t);
	return NULL;
}

void e3_track_close(e3_track *t)
{
	if (!t)
		return;
	for (int64_t k = 0; k < t->o.overlap; k++) {
		if (t->o.segment && t->shared.a)
			e3_view_release(&t->shared.a[k]);
		if (t->o.segment && t->shared.b)
			e3_view_release(&t->shared.b[k]);
	}
	free(t->shared.a), free(t->shared.b);
	e3_evict_release(&t->evict);
	free(t);
}

static int place(const e3_similarity *world, e3_result *r, e3_err *err)
{
	e3_pred p = {.w = r->w, .h = r->h, .has_pose = r->has_pose, .depth = r->depth, .points = r->points};
	memcpy(p.pose, r->pose, sizeof p.pose);
	if (e3_similarity_pred(world, &p, err))
		return -1;
	memcpy(r->pose, p.pose, sizeof r->pose);
	return 0;
}

int e3_track_step(e3_track *t, const uint8_t *rgb, int64_t i, e3_result *result, e3_evict *evict, e3_err *err)
{
	int64_t before = e3_session_frames(t->s), own = t->o.segment - t->o.overlap;
	if (e3_session_step(t->s, rgb, result, evict, err))
		return -1;
	int64_t now = e3_session_frames(t->s);
	t->i = i, t->frames += now - before;
	bool ends = t->o.frames >= 0 && t->frames - now + t->o.segment >= t->o.frames; /* the stream, with this segment */
	t->beside = t->o.segment && now > before && now > own && !ends;
	if (t->beside && e3_view_take(&t->shared.a[e3_session_side_frames(t->s)], result, err))
		return -1;
	evict->i = i, evict->segment = t->at.segment, evict->first = t->at.segment ? t->at.first : 0;
	return t->at.segment ? place(&t->at.world, result, err) : 0;
}

e3_track_place e3_track_placed(const e3_track *t) { return t->at; }

/* The next segment takes over. */
static int hand_over(e3_track *t, e3_err *err)
{
	e3_joint joint;
	if (e3_join(t->shared.a, t->shared.b, (int)t->o.overlap, &joint, err))
		return -1;
	t->edge = (e3_edge){.i = t->i,
		.type = E3_EDGE_JOIN,
		.a = t->at.segment,
		.b = t->at.segment + 1,
		.frame = {t->i, t->i},
		.sigma = {joint.sigma[0], joint.sigma[1], joint.sigma[2]}};
	e3_similarity_pack(&joint.sim, t->edge.sim);
	t->n_edges = 1;
	e3_similarity_mul(&t->at.world, &joint.sim, &t->at.world);
	t->at.segment++, t->at.first = t->shared.first;
	e3_session_take_over(t->s);
	return 0;
}

int e3_track_beside(e3_track *t, e3_err *err)
{
	e3_result r;
	int64_t seen = e3_session_side_frames(t->s);
	t->n_edges = 0;
	e3_evict_release(&t->evict);
	if (!t->beside)
		return 0;
	t->beside = false;
	if (!seen)
		t->shared.first = t->i;
	if (e3_session_side(t->s, NULL, &r, &t->evict, err) || e3_view_take(&t->shared.b[seen], &r, err))
		return e3_fail_in(err, "segment %lld", (long long)t->at.segment + 1);
	t->evict.i = t->i, t->evict.segment = t->at.segment + 1, t->evict.first = t->shared.first;
	return seen + 1 == t->o.overlap ? hand_over(t, err) : 0;
}

e3_track_report e3_track_reported(e3_track *t)
{
	e3_track_report r = {&t->evict, &t->edge, t->n_edges};
	t->n_edges = 0;
	return r;
}

int64_t e3_track_frames(const e3_track *t) { return t->frames; }

e3_cache_use e3_track_cache(const e3_track *t)
{
	const e3_plan *p = e3_session_plan(t->s);
	e3_cache_use use = e3_session_cache(t->s);
	use.full = (uint64_t)t->frames * (uint64_t)p->tokens_per_frame * (uint64_t)p->layers * p->token_bytes;
	return use;
}
