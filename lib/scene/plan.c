/* scene: the plan of the rooms and the way round them. */
#include "plan.h"
#include "arith.h"
#include "path.h"
#include <string.h>

#define WALL 0.15       /* metres: between the rooms */
#define DOOR_HIGH 2.05  /* metres */
#define DOOR_HALF 0.5   /* metres: half its width */
#define APPROACH 0.8    /* metres from the wall to the control points before and behind the door */
#define DOOR_ASIDE 0.35 /* of half the wall: how far from its middle the door may be */

static double draw(uint64_t seed, int what, int index, double lo, double hi)
{
	return scene_uniform(seed, (uint64_t)what, (uint64_t)index, lo, hi);
}

uint64_t scene_plan_seed(const scene_plan *plan, int room)
{
	bool same = room == ROOM_FIRST || (room == ROOM_SECOND && plan->alike);
	return same ? plan->seed : scene_bits(plan->seed, DRAW_ROOM, (uint64_t)room);
}

static void room_size(uint64_t seed, double half[3])
{
	half[0] = draw(seed, DRAW_SIZE, 0, 1.9, 3.4);
	half[1] = draw(seed, DRAW_SIZE, 1, 1.25, 1.45);
	half[2] = draw(seed, DRAW_SIZE, 2, 1.9, 3.4);
}

void scene_plan_draw(scene_plan *plan, const e3_scene_options *o)
{
	*plan = (scene_plan){.seed = o->seed, .rooms = o->rooms == 2 ? 2 : 1, .alike = o->alike};
	scene_box *a = &plan->box[ROOM_FIRST], *b = &plan->box[ROOM_SECOND], *door = &plan->box[ROOM_DOOR];
	room_size(o->seed, a->half);
	if (plan->rooms == 1)
		return;
	room_size(scene_plan_seed(plan, ROOM_SECOND), b->half);
	/* of look-alikes the door is in the middle, so that the way round is the same in both */
	double aside = plan->alike ? 0 : DOOR_ASIDE;
	double out = draw(o->seed, DRAW_DOOR, 0, -aside, aside) * a->half[2],
		   in = draw(o->seed, DRAW_DOOR, 1, -aside, aside) * b->half[2];
	const double floor = -a->half[1];
	*door = (scene_box){{a->half[0] + WALL / 2, floor + DOOR_HIGH / 2, out}, {WALL / 2, DOOR_HIGH / 2, DOOR_HALF}};
	b->centre[0] = a->half[0] + WALL + b->half[0];
	b->centre[1] = floor + b->half[1];
	b->centre[2] = out - in;
}

void scene_round_knot(const scene_round *r, int k, int index, double p[3])
{
	const double *half = r->box->half;
	double angle =
		r->turn + r->sense * 2 * SCENE_PI / ROUND_KNOTS * (k + draw(r->seed, DRAW_KNOT, 3 * index, -0.25, 0.25));
	double radius = draw(r->seed, DRAW_KNOT, 3 * index + 1, 0.3, 0.75);
	p[0] = radius * half[0] * scene_cos(angle);
	p[1] = draw(r->seed, DRAW_KNOT, 3 * index + 2, 1.3, 1.7) - half[1];
	p[2] = radius * half[2] * scene_sin(angle);
}

/* The angle that differs from `angle` by whole turns and is nearest to `from`. */
static double nearest_turn(double angle, double from)
{
	return angle + 2 * SCENE_PI * floor((from - angle) / (2 * SCENE_PI) + 0.5);
}

/* One room of the tour: from its door round to its door, looking to its middle until the door comes near. The camera
 * comes in with the view `yaw` and leaves with the view that is returned. */
static double tour_room(scene_tour *tour, const scene_plan *plan, int room, double sense, double yaw)
{
	/* how much of the view is still turned from the way out to the middle */
	static const double inwards[ROUND_KNOTS] = {1, 1, 1, 1, 1, 1, 0.5, 0.15};
	const scene_box *box = &plan->box[room], *door = &plan->box[ROOM_DOOR];
	const int first = room * (ROUND_KNOTS + DOOR_KNOTS);
	const double side = room == ROOM_FIRST ? 1 : -1, out = yaw + sense * SCENE_PI;
	scene_round round = {.seed = plan->seed, .box = box, .sense = sense};
	round.turn = scene_atan2((door->centre[2] - box->centre[2]) / box->half[2], side) + sense * SCENE_PI / ROUND_KNOTS;
	for (int k = 0; k < ROUND_KNOTS; k++) {
		int index = room == ROOM_FIRST ? k : plan->alike ? (k + ROUND_KNOTS / 2) % ROUND_KNOTS : ROUND_KNOTS + k;
		double *p = tour->knot[first + k];
		scene_round_knot(&round, k, index, p);
		yaw = nearest_turn(scene_atan2(-p[2], -p[0]), yaw);
		tour->yaw[first + k] = out + inwards[k] * (yaw - out);
		for (int axis = 0; axis < 3; axis++)
			p[axis] += box->centre[axis];
	}
	for (int k = 0; k < DOOR_KNOTS; k++) {
		double *p = tour->knot[first + ROUND_KNOTS + k];
		p[0] = door->centre[0] + side * (k - 1) * (WALL / 2 + APPROACH);
		p[1] = draw(plan->seed, DRAW_KNOT, 3 * (2 * ROUND_KNOTS + room * DOOR_KNOTS + k) + 2, 1.3, 1.7) -
			plan->box[ROOM_FIRST].half[1];
		p[2] = door->centre[2];
		tour->yaw[first + ROUND_KNOTS + k] = out;
	}
	return out;
}

void scene_tour_draw(scene_tour *tour, const scene_plan *plan)
{
	double sense[2];
	for (int room = 0; room < 2; room++)
		sense[room] = draw(plan->seed, DRAW_HEADING, 1 + (plan->alike ? 0 : room), 0, 1) < 0.5 ? -1 : 1;
	double yaw = tour_room(tour, plan, ROOM_FIRST, sense[0], SCENE_PI);
	yaw = tour_room(tour, plan, ROOM_SECOND, sense[1], yaw);
	tour->turned = yaw - SCENE_PI;
	memcpy(tour->enter, tour->knot[ROUND_KNOTS + DOOR_KNOTS - 1], sizeof tour->enter);
}
