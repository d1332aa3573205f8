/* track: loops: which place is tried, the trial, and what is accepted. Owns the bank, and what loops make of the world.
 */
#include "loops.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Chosen by measurement on rendered walks (pipelines/study). */
enum {
	STRIDE_MOST = 2, /* frames of a segment from one frame of its place to the next */
	SEPARATE = 48    /* frames between two places, at least */
};
static const double LIKENESS = 0.2;                        /* of descriptors less their mean, at least */
static const double APART_TURN = 0.035, APART_MOVE = 0.04; /* of the two directions of the alignment */
static const double DEPTH = 0.07; /* logarithm of the depths of the two first frames, where they see the same */
static const double SCALE = 0.15; /* logarithms of the depth ratios of the frames of a place: their spread, at most */
static const double WAY_FIRST = 0.15; /* mean depths that the chain may be wrong by, at once */
static const double WAY_EACH = 0.08;  /* and for each unit walked */

int e3_loops_open(e3_loops *l, e3_session *s, const e3_track_options *o, e3_err *err)
{
	const e3_plan *p = e3_session_plan(s);
	int64_t own = o->segment - o->overlap, stride = (own - 1) / (E3_PLACE_FRAMES - 1);
	*l = (e3_loops){.s = s,
		.stride = (int)(stride < STRIDE_MOST ? stride : STRIDE_MOST),
		.separate = (SEPARATE + own - 1) / own,
		.fix = e3_similarity_identity,
		.at = -1};
	l->mean = e3_alloc((size_t)p->describes, sizeof *l->mean, "loops", err);
	if (!l->mean || e3_places_open(&l->bank, (int)o->places, p->describes, p->size, err))
		return -1;
	e3_place *each[] = {&l->filling[0], &l->filling[1], &l->older, &l->newer};
	for (int k = 0; k < 4; k++)
		if (e3_place_open(&l->bank, each[k], err))
			return -1;
	return 0;
}

void e3_loops_release(e3_loops *l)
{
	if (l->tried)
		e3_tell(E3_TELL_DETAIL, "loops: %lld found in %lld trials", (long long)l->found, (long long)l->tried);
	e3_place *each[] = {&l->filling[0], &l->filling[1], &l->older, &l->newer};
	for (int k = 0; k < 4; k++)
		e3_place_release(each[k]);
	e3_places_release(&l->bank);
	for (int k = 0; k < E3_LOOP_FRAMES; k++)
		e3_view_release(&l->seen[k]);
	e3_pyramid_release(&l->picture[0]), e3_pyramid_release(&l->picture[1]);
	e3_evict_release(&l->evict);
	free(l->mean);
}

/* ---- places ---- */

static double distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
	return sqrt(x * x + y * y + z * z);
}

static void walk(e3_loops *l, const e3_loop_frame *f)
{
	double centre[3];
	e3_pose_center(&f->view->pose, centre);
	e3_similarity_apply(f->world, centre, centre);
	if (l->begun)
		l->walked += l->fix.s * distance(centre, l->last);
	memcpy(l->last, centre, sizeof centre);
	l->begun = true;
}

int e3_loops_take(e3_loops *l, const e3_loop_frame *f, e3_err *err)
{
	e3_place *p = &l->filling[f->segment % 2];
	int *filled = &l->filled[f->segment % 2];
	const float *d = f->descriptor ? f->descriptor : e3_session_descriptor(l->s);
	if (f->world)
		walk(l, f);
	if (!f->k) {
		*filled = 0;
		p->segment = f->segment, p->frame = f->i;
		memset(p->descriptor, 0, (size_t)l->bank.dim * sizeof *p->descriptor);
	}
	if (*filled == E3_PLACE_FRAMES || f->k != (int64_t)*filled * l->stride)
		return 0;
	for (int k = 0; k < l->bank.dim; k++)
		p->descriptor[k] += d[k] / E3_PLACE_FRAMES;
	memcpy(p->rgb[*filled], f->rgb, l->bank.picture);
	return e3_view_copy(&p->view[(*filled)++], f->view, err);
}

static int copy_place(const e3_places *b, e3_place *to, const e3_place *from, e3_err *err)
{
	to->segment = from->segment, to->frame = from->frame, to->world = from->world, to->walked = from->walked;
	memcpy(to->descriptor, from->descriptor, (size_t)b->dim * sizeof *to->descriptor);
	for (int k = 0; k < E3_PLACE_FRAMES; k++) {
		memcpy(to->rgb[k], from->rgb[k], b->picture);
		if (e3_view_copy(&to->view[k], &from->view[k], err))
			return -1;
	}
	return 0;
}

/* The cosine between two descriptors less the mean of all: what all pictures of a stream have in common says nothing.
 */
static double likeness(const e3_loops *l, const e3_place *a, const e3_place *b)
{
	double ab = 0, aa = 0, bb = 0;
	for (int k = 0; k < l->bank.dim; k++) {
		double mean = l->mean[k] / (double)l->places, x = (double)a->descriptor[k] - mean,
			   y = (double)b->descriptor[k] - mean;
		ab += x * y, aa += x * x, bb += y * y;
	}
	return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The old place that `p` looks most like, or NULL. */
static const e3_place *find(const e3_loops *l, const e3_place *p)
{
	const e3_place *found = NULL;
	double best = LIKENESS;
	for (int k = 0; k < l->bank.n && l->bank.place[k].segment <= p->segment - l->separate; k++) {
		double like = likeness(l, p, &l->bank.place[k]);
		if (like > best)
			best = like, found = &l->bank.place[k];
	}
	return found;
}

int e3_loops_segment_ended(e3_loops *l, int64_t segment, const e3_similarity *world, e3_err *err)
{
	e3_place *p = &l->filling[segment % 2];
	l->at = -1;
	if (l->filled[segment % 2] < E3_PLACE_FRAMES)
		return 0;
	e3_similarity_mul(&l->fix, world, &p->world);
	p->walked = l->walked;
	for (int k = 0; k < l->bank.dim; k++)
		l->mean[k] += (double)p->descriptor[k];
	l->places++;
	const e3_place *old = find(l, p);
	if (old) {
		l->at = 0, l->tried++;
		e3_session_side_clear(l->s);
		if (copy_place(&l->bank, &l->older, old, err) || copy_place(&l->bank, &l->newer, p, err))
			return -1;
	}
	l->filled[segment % 2] = 0;
	return e3_places_add(&l->bank, p, err);
}

/* ---- a trial ---- */

static int run_one(e3_loops *l, e3_err *err)
{
	int k = l->at % E3_PLACE_FRAMES;
	const e3_place *p = l->at < E3_PLACE_FRAMES ? &l->older : &l->newer;
	e3_result r;
	if (e3_session_side(l->s, p->rgb[k], &r, &l->evict, err) || e3_view_take(&l->seen[l->at], &r, err))
		return e3_fail_in(err, "trying a loop");
	l->at++;
	return 0;
}

static double mean_depth(const e3_view *v)
{
	double sum = 0;
	int n = 0;
	for (int k = 0; k < v->k.w * v->k.h; k++)
		if (e3_depth_known(v->depth[k]))
			sum += (double)v->depth[k], n++;
	return n ? sum / n : 1;
}

/* Could the chain be so wrong, after what was walked between? Rooms that look the same are told apart by nothing else.
 */
static bool possible(const e3_loops *l, const e3_similarity *sim)
{
	e3_similarity measured;
	double centre[3], here[3], there[3], unit = l->older.world.s * mean_depth(&l->older.view[0]);
	e3_similarity_mul(&l->older.world, sim, &measured);
	e3_pose_center(&l->newer.view[0].pose, centre);
	e3_similarity_apply(&measured, centre, here), e3_similarity_apply(&l->newer.world, centre, there);
	return distance(here, there) < WAY_FIRST * unit + WAY_EACH * fabs(l->newer.walked - l->older.walked);
}

/* The similarity from the newer place's segment to the older one's; NULL, or why it is refused. */
static int measure(e3_loops *l, e3_similarity *sim, const char **refused, e3_err *err)
{
	const e3_plan *plan = e3_session_plan(l->s);
	e3_view *old = &l->seen[0], *new = &l->seen[E3_PLACE_FRAMES];
	e3_sight from = {old, &l->picture[0]}, to = {new, &l->picture[1]};
	e3_aligned aligned;
	e3_joint older, newer;
	e3_similarity back;
	if (e3_pyramid_make(&l->picture[0], l->older.rgb[0], plan->size[1], plan->size[0], err) ||
		e3_pyramid_make(&l->picture[1], l->newer.rgb[0], plan->size[1], plan->size[0], err))
		return -1;
	int agree = e3_align_direct(&from, &to, &aligned) && aligned.turn < APART_TURN && aligned.move < APART_MOVE;
	*refused = agree ? NULL : "the pictures do not agree";
	if (*refused)
		return 0;
	new->pose = aligned.pose;
	if (e3_join(l->older.view, old, E3_PLACE_FRAMES, &older, err) ||
		e3_join(l->newer.view, new, E3_PLACE_FRAMES, &newer, err))
		return -1;
	e3_similarity_invert(&newer.sim, &back);
	e3_similarity_mul(&older.sim, &back, sim);
	*refused = aligned.depth > DEPTH || older.scale > SCALE || newer.scale > SCALE ? "the depths do not agree"
		: !possible(l, sim)                                                        ? "too far from where it should be"
																				   : NULL;
	return 0;
}

/* From now on the world is as the loop has it. */
static void adopt(e3_loops *l, const e3_similarity *sim)
{
	e3_similarity back, moved;
	e3_similarity_invert(&l->newer.world, &back);
	e3_similarity_mul(&l->older.world, sim, &moved);
	e3_similarity_mul(&moved, &back, &moved); /* of what was the fixed world */
	e3_similarity_mul(&moved, &l->fix, &l->fix);
	l->walked += l->older.walked - l->newer.walked;
}

/* The trial is over. */
static int judge(e3_loops *l, e3_edge *edge, e3_err *err)
{
	e3_similarity sim;
	const char *refused;
	l->at = -1;
	e3_session_side_clear(l->s);
	if (measure(l, &sim, &refused, err))
		return e3_fail_in(err, "trying a loop");
	e3_tell(E3_TELL_DETAIL, "frames %lld and %lld look alike: %s", (long long)l->older.frame, (long long)l->newer.frame,
		refused ? refused : "a loop");
	if (refused)
		return 0;
	l->found++;
	*edge = (e3_edge){.type = E3_EDGE_LOOP,
		.a = l->older.segment,
		.b = l->newer.segment,
		.frame = {l->older.frame, l->newer.frame},
		.sigma = {0.02, 0.025 * mean_depth(&l->older.view[0]), 0.03}};
	e3_similarity_pack(&sim, edge->sim);
	adopt(l, &sim);
	return 1;
}

int e3_loops_run(e3_loops *l, int64_t time, e3_edge *edge, e3_err *err)
{
	if (l->at < 0)
		return 0;
	for (int64_t n = (E3_LOOP_FRAMES - l->at + time - 1) / time; n > 0; n--)
		if (run_one(l, err))
			return -1;
	return l->at < E3_LOOP_FRAMES ? 0 : judge(l, edge, err);
}
