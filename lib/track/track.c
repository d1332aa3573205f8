/* track: the chain of segments. Owns when the next segment begins and takes over, and the world they share. Refuses
 * overlaps that leave a segment no frames of its own. */
#include "track.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 5 }; /* frames of a segment that is chosen by the budget */

int e3_track_prepare(const e3_track_options *t, e3_infer_options *o, e3_err *err)
{
	if (!o->keyframe)
		o->outputs |= E3_OUT_POSE | E3_OUT_DEPTH;
	if (!t->segment)
		return 0;
	if (t->segment < 2)
		return e3_fail(err, "planning: 'segment' of %lld frames: expected at least 2", (long long)t->segment);
	if (t->overlap < 1 || t->overlap > t->segment / 2)
		return e3_fail(err, "planning: 'overlap' of %lld frames: expected 1 to %lld, half of 'segment'",
			(long long)t->overlap, (long long)t->segment / 2);
	if (t->loops && t->segment - t->overlap < E3_PLACE_FRAMES)
		return e3_fail(err, "planning: 'segment' of %lld frames: 'loops' needs %d that are not shared",
			(long long)t->segment, E3_PLACE_FRAMES);
	bool chain = t->frames < 0 || t->frames > t->segment;
	o->segment = t->segment;
	int64_t trial = t->loops ? E3_LOOP_FRAMES : 0;
	o->side = !chain || o->frozen ? 0 : t->overlap > trial ? t->overlap : trial;
	o->outputs |= E3_OUT_POSE | E3_OUT_DEPTH;
	o->describe = t->loops && o->side > 0;
	return 0;
}

int64_t e3_track_length(const e3_plan *p)
{
	double frames = floor(p->budget / p->layers / p->tokens_per_frame + 1e-6) + 1;
	return frames < LEAST ? LEAST : frames < E3_TRACK_LONGEST ? (int64_t)frames : E3_TRACK_LONGEST;
}

int64_t e3_track_shortest(const e3_track_options *t)
{
	int64_t loops = t->loops ? t->overlap + E3_PLACE_FRAMES : 0, shared = 2 * t->overlap,
			least = loops > shared ? loops : shared;
	return least > LEAST ? least : LEAST;
}

static int open_loops(e3_track *t, e3_err *err)
{
	t->loops = e3_alloc(1, sizeof *t->loops, "loops", err);
	return t->loops ? e3_loops_open(t->loops, t->s, &t->o, err) : -1;
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
	e3_motion_open(t);
	t->shared.a = e3_alloc(n + 1, sizeof *t->shared.a, "segments", err);
	t->shared.b = e3_alloc(n + 1, sizeof *t->shared.b, "segments", err);
	bool chain = o->segment && (o->frames < 0 || o->frames > o->segment);
	int64_t together = e3_session_plan(s)->together, least = together + o->overlap;
	if (chain && together > 1 && !t->frames && o->segment < least) {
		e3_fail(err,
			"planning: 'segment' of %lld frames: the %lld of the 'start' are not shared: expected at least %lld",
			(long long)o->segment, (long long)together, (long long)least);
		e3_track_close(t);
		return NULL;
	}
	if (!t->shared.a || !t->shared.b || (chain && o->loops && open_loops(t, err))) {
		e3_track_close(t);
		return NULL;
	}
	return t;
}

static void close_reference(e3_reference *r) { e3_view_release(&r->view), e3_pyramid_release(&r->picture); }

void e3_track_close(e3_track *t)
{
	if (!t)
		return;
	for (int64_t k = 0; t->o.segment && k < t->o.overlap; k++) {
		if (t->shared.a)
			e3_view_release(&t->shared.a[k]);
		if (t->shared.b)
			e3_view_release(&t->shared.b[k]);
	}
	free(t->shared.a), free(t->shared.b);
	if (t->loops)
		e3_loops_release(t->loops);
	close_reference(&t->main), close_reference(&t->next);
	e3_view_release(&t->now), e3_view_release(&t->key);
	e3_evict_release(&t->evict);
	free(t->loops), free(t);
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

static int refer(e3_track *t, e3_reference *to, const e3_view *view, e3_err *err)
{
	const e3_plan *p = e3_session_plan(t->s);
	return e3_view_copy(&to->view, view, err) || e3_pyramid_make(&to->picture, t->rgb, p->size[1], p->size[0], err) ? -1
																													: 0;
}

/* What joints and loops need of the k-th frame of a segment, as that saw it. */
static int remember(e3_track *t, const e3_loop_frame *seen, e3_err *err)
{
	if (!seen->k && refer(t, seen->segment == t->at.segment ? &t->main : &t->next, seen->view, err))
		return -1;
	return t->loops ? e3_loops_take(t->loops, seen, err) : 0;
}

int e3_track_step(e3_track *t, const uint8_t *rgb, int64_t i, e3_result *result, e3_evict *evict, e3_err *err)
{
	int64_t before = e3_session_frames(t->s), own = t->o.segment - t->o.overlap;
	if (e3_session_step(t->s, rgb, result, evict, err) || e3_motion_after(t, result, evict, err))
		return -1;
	int64_t now = e3_session_frames(t->s);
	t->i = i, t->frames += now - before, t->rgb = rgb;
	bool ends = t->o.frames >= 0 && t->frames - now + t->o.segment >= t->o.frames; /* the stream, with this segment */
	bool counts = t->o.segment && now > before;
	t->beside = counts && now > own && !ends;
	if (counts) {
		e3_loop_frame seen = {i, t->at.segment, before, rgb, &t->now, &t->at.world, NULL};
		if (e3_view_take(&t->now, result, err) || remember(t, &seen, err))
			return -1;
	}
	if (t->beside && e3_view_copy(&t->shared.a[e3_session_side_frames(t->s)], &t->now, err))
		return -1;
	/* Of a frozen session the frames of the cache are in another stream. */
	bool here = t->at.segment && !e3_session_options(t->s)->frozen;
	evict->i = i, evict->segment = t->at.segment, evict->first = here ? t->at.first : 0;
	return t->at.segment ? place(&t->at.world, result, err) : 0;
}

int e3_track_start(e3_track *t, const e3_track_first *first, e3_result *results, e3_evict *evicts, e3_err *err)
{
	if (e3_session_start(t->s, first->rgb, first->n, results, evicts, err))
		return -1;
	for (int k = 0; k < first->n; k++) {
		const float *descriptor = t->loops ? e3_session_start_descriptor(t->s, k) : NULL;
		e3_loop_frame seen = {first->i[k], 0, k, first->rgb[k], &t->now, &t->at.world, descriptor};
		t->i = evicts[k].i = first->i[k], t->frames++, t->rgb = first->rgb[k];
		if (t->o.segment && (e3_view_take(&t->now, &results[k], err) || remember(t, &seen, err)))
			return -1;
	}
	/* The last of them may be shared with the next segment. */
	int64_t now = first->n, own = t->o.segment - t->o.overlap;
	t->beside = t->o.segment && now > own && !(t->o.frames >= 0 && t->o.segment >= t->o.frames);
	if (t->beside && e3_view_copy(&t->shared.a[0], &t->now, err))
		return -1;
	return e3_motion_after(t, &results[first->n - 1], &evicts[first->n - 1], err);
}

e3_track_place e3_track_placed(const e3_track *t) { return t->at; }

/* How the next segment lies to this one: by the first frame that they share, whose pose in this segment its picture
 * tells more exactly than the network; the scale by all of them. */
static int measure(e3_track *t, e3_edge *edge, e3_err *err)
{
	e3_joint joint;
	e3_aligned aligned;
	e3_sight from = {&t->main.view, &t->main.picture}, to = {&t->shared.a[0], &t->next.picture};
	bool direct = e3_align_direct(&from, &to, &aligned);
	if (direct)
		t->shared.a[0].pose = aligned.pose;
	if (e3_join(t->shared.a, t->shared.b, (int)t->o.overlap, &joint, err))
		return -1;
	*edge = (e3_edge){.i = t->i,
		.type = E3_EDGE_JOIN,
		.a = t->at.segment,
		.b = t->at.segment + 1,
		.frame = {t->i, t->i},
		.sigma = {direct ? 0.012 : 0.03, direct ? 0.012 : 0.03, 0.02}};
	e3_similarity_pack(&joint.sim, edge->sim);
	return 0;
}

/* The next segment takes over. */
static int hand_over(e3_track *t, e3_err *err)
{
	e3_edge *edge = &t->edge[t->n_edges++];
	e3_similarity sim, ended = t->at.world;
	e3_reference old = t->main;
	if (measure(t, edge, err) || e3_similarity_unpack(edge->sim, &sim, err))
		return -1;
	e3_similarity_mul(&t->at.world, &sim, &t->at.world);
	t->at.segment++, t->at.first = t->shared.first;
	t->main = t->next, t->next = old;
	if (e3_track_chooses(t) && e3_view_copy(&t->key, &t->shared.b[t->o.overlap - 1], err))
		return -1;
	t->since = 0;
	e3_session_take_over(t->s);
	return t->loops ? e3_loops_segment_ended(t->loops, edge->a, &ended, err) : 0;
}

/* Beside the frames that are not shared, a loop may be tried. */
static int try_loop(e3_track *t, int64_t time, e3_err *err)
{
	e3_edge *edge = &t->edge[t->n_edges];
	int found = t->loops ? e3_loops_run(t->loops, time, edge, err) : 0;
	edge->i = t->i;
	t->n_edges += found == 1;
	return found < 0 ? -1 : 0;
}

/* The next segment sees a shared frame. */
static int see_shared(e3_track *t, e3_err *err)
{
	e3_result r;
	int64_t k = e3_session_side_frames(t->s);
	e3_loop_frame seen = {t->i, t->at.segment + 1, k, t->rgb, &t->shared.b[k], NULL, NULL};
	if (!k)
		t->shared.first = t->i;
	if (e3_session_side(t->s, NULL, &r, &t->evict, err) || e3_view_take(&t->shared.b[k], &r, err) ||
		remember(t, &seen, err))
		return e3_fail_in(err, "segment %lld", (long long)seen.segment);
	t->evict.i = t->i, t->evict.segment = seen.segment, t->evict.first = t->shared.first;
	return k + 1 == t->o.overlap ? hand_over(t, err) : 0;
}

int e3_track_beside(e3_track *t, e3_err *err)
{
	int64_t own = t->o.segment - t->o.overlap, now = e3_session_frames(t->s);
	t->n_edges = 0;
	e3_evict_release(&t->evict);
	if (!t->beside)
		return try_loop(t, now <= own ? own - now + 1 : 1, err);
	t->beside = false;
	if (see_shared(t, err))
		return -1;
	/* If the next frame is shared again, there will be no better time. */
	return e3_session_frames(t->s) == own && own == t->o.overlap ? try_loop(t, 1, err) : 0;
}

e3_track_report e3_track_reported(e3_track *t)
{
	e3_track_report r = {&t->evict, t->edge, t->n_edges};
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
