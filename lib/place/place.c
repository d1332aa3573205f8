/* place: what is seen of a run, and which of the three ways gives its similarity. */
#include "place.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

e3_place *e3_place_open(const e3_place_options *o, e3_err *err)
{
	e3_place *p = e3_alloc(1, sizeof *p, "the place of the run", err);
	if (!p)
		return NULL;
	*p = (e3_place){.o = *o, .first = -1};
	p->facts.sim = e3_similarity_identity;
	p->facts.off = -1;
	p->facts.how = o->path ? E3_PLACE_PATH : o->n_distances ? E3_PLACE_DISTANCES : E3_PLACE_FACTOR;
	if (p->facts.how == E3_PLACE_FACTOR)
		p->facts.sim.s = o->factor;
	for (int k = 0; k < 2 && o->n_distances; k++)
		if (!(p->end[k] = e3_alloc((size_t)o->n_distances, sizeof *p->end[k], "known distances", err))) {
			e3_place_close(p);
			return NULL;
		}
	return p;
}

bool e3_place_waits(const e3_place *p) { return p->facts.how != E3_PLACE_FACTOR; }

static int add_camera(e3_place *p, const e3_pred *pred, const e3_pose *pose, e3_err *err)
{
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		if (e3_grow((void **)&p->camera, room, sizeof *p->camera, "the cameras of the run", err))
			return -1;
		p->room = room;
	}
	place_camera *c = &p->camera[p->n++];
	*c = (place_camera){.frame = pred->s.i, .time = pred->s.pts};
	e3_pose_center(pose, c->center);
	e3_pose_quat_to_world(pose, c->q);
	return 0;
}

int e3_place_see(e3_place *p, const e3_pred *pred, e3_err *err)
{
	e3_pose pose = {.q = {0, 0, 0, 1}};
	if (pred->has_pose && e3_pose_decode(pred->pose, &pose, err))
		return e3_fail_in(err, "frame %lld", (long long)pred->s.i);
	if (p->first < 0)
		p->first = pred->s.i;
	p->last = pred->s.i, p->frames++;
	if (p->facts.how == E3_PLACE_DISTANCES)
		return place_see_distances(p, pred, pred->has_pose ? &pose : NULL, err);
	return pred->has_pose ? add_camera(p, pred, &pose, err) : 0;
}

/* The cameras where the corrections put them. */
static int correct_cameras(e3_place *p, e3_place_correction *correct, void *of, e3_err *err)
{
	for (size_t k = 0; k < p->n; k++) {
		place_camera *c = &p->camera[k];
		e3_similarity sim;
		double turn[4];
		int there = correct(of, c->frame, &sim, err);
		if (there < 0)
			return -1;
		if (!there)
			continue;
		e3_similarity_apply(&sim, c->center, c->center);
		if (e3_mat_to_quat(sim.r, turn))
			return e3_fail(err, "correcting frame %lld: not a rotation", (long long)c->frame);
		e3_quat_mul(turn, c->q, c->q);
	}
	return 0;
}

int e3_place_solve(e3_place *p, e3_place_correction *correct, void *of, e3_err *err)
{
	p->facts.frames = p->frames;
	if (p->facts.how == E3_PLACE_DISTANCES)
		return place_solve_distances(p, correct, of, err);
	if (p->facts.how != E3_PLACE_PATH)
		return 0;
	return (correct && correct_cameras(p, correct, of, err)) || place_solve_path(p, err) ? -1 : 0;
}

const e3_place_facts *e3_place_facts_of(const e3_place *p) { return &p->facts; }

void e3_place_close(e3_place *p)
{
	if (!p)
		return;
	free(p->camera);
	free(p->end[0]);
	free(p->end[1]);
	free(p);
}
