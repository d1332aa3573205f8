/* scene: where the rooms are: one at the origin, and with two rooms the second beyond its wall in the direction of x,
 * joined by a doorway; and the way round all of it. In metres; y is up; the floors are at one level. */
#ifndef SCENE_PLAN_H
#define SCENE_PLAN_H

#include "e3/scene.h"

enum { ROOM_FIRST, ROOM_SECOND, ROOM_DOOR, ROOMS }; /* the doorway is a small room */

/* Control points: of a round in a room, of the way through the door, of the way round both rooms. */
enum { ROUND_KNOTS = 8, DOOR_KNOTS = 3, TOUR_KNOTS = 2 * (ROUND_KNOTS + DOOR_KNOTS) };

typedef struct scene_box {
	double centre[3], half[3];
} scene_box;

typedef struct scene_plan {
	uint64_t seed;
	int rooms; /* 1 or 2; the door is there with 2 */
	bool alike;
	scene_box box[ROOMS];
} scene_plan;

void scene_plan_draw(scene_plan *plan, const e3_scene_options *o);
/* The seed of what stands in a room. */
uint64_t scene_plan_seed(const scene_plan *plan, int room);

/* A round in a room: eight control points from the angle `turn` on, to the left or the right. */
typedef struct scene_round {
	uint64_t seed;
	const scene_box *box;
	double turn, sense;
} scene_round;

/* Control point k, with the random numbers of `index`. */
void scene_round_knot(const scene_round *round, int k, int index, double p[3]);

/* The way round both rooms: control points, and at each the direction of the view (radians, from x to z). After it that
 * direction has grown by `turned`, whole turns. */
typedef struct scene_tour {
	double knot[TOUR_KNOTS][3], yaw[TOUR_KNOTS], turned;
	double enter[3]; /* where the camera enters the second room, in the direction of x */
} scene_tour;

void scene_tour_draw(scene_tour *tour, const scene_plan *plan);

#endif
