/* scene: the camera's path through the room. Metres, y up, the middle of the room is the origin; rotations row-major.
 */
#ifndef SCENE_PATH_H
#define SCENE_PATH_H

#include "plan.h"

enum { WALK_SAMPLES = 1024 };

typedef struct scene_path {
	uint64_t seed;
	int64_t frames;
	e3_scene_path kind;
	bool revisit, endless;
	double limit[3]; /* |eye| never exceeds this; with two rooms the knots keep it away from the walls */
	double metres;   /* from the first frame to the last, or to the turning point with revisit, bends not counted */
	double start[3], yaw; /* where it begins, and the direction it looks in there */
	/* clip: a bent stroke; looks along a sweep, or at a focus */
	double heading, climb, bend, length, sweep, pitch, pitch_sweep, roll, roll_sweep, focus[3];
	bool orbit;
	/* walk: a closed cubic B-spline, and the metres from its beginning to each of its samples; the directions of the
	 * view are used with two rooms */
	scene_tour tour;
	int knots, rooms;
	double along[WALK_SAMPLES + 1];
	double back[3], back_yaw;       /* revisit: deviation of the path back at its end */
	double passes[WALK_SAMPLES][3]; /* points of the path */
	int n_passes;
	double total;        /* metres from the first frame to the last */
	double jitter_total; /* sum of the uneven steps from the first frame to the last */
	int64_t step;        /* steps were added up to this frame ... */
	double stepped;      /* ... and this is their sum */
} scene_path;

typedef struct scene_view {
	double eye[3];
	double rot[9]; /* camera from world */
} scene_view;

void scene_path_draw(scene_path *path, const e3_scene_options *o, const scene_plan *plan);
scene_view scene_path_view(scene_path *path, int64_t frame);
/* Whether the whole path stays at least `radius` away from the centre. */
bool scene_path_clear(const scene_path *path, const double centre[3], double radius);
/* Camera from world for a camera at eye that looks at target, turned about its axis by roll. */
void scene_look(const double eye[3], const double target[3], double roll, double rot[9]);

/* The random draws, for scene_uniform and scene_normal. These numbers must never change, so that a seed keeps its
 * scene. */
enum {
	DRAW_SIZE,
	DRAW_HEIGHT,
	DRAW_PLACE,
	DRAW_HEADING,
	DRAW_LENGTH,
	DRAW_STEP,
	DRAW_BEND,
	DRAW_YAW,
	DRAW_SWEEP,
	DRAW_PITCH,
	DRAW_FOCUS,
	DRAW_ORBIT,
	DRAW_ROLL,
	DRAW_FOV,
	DRAW_OBJECT_SIZE,
	DRAW_OBJECT_KIND,
	DRAW_OBJECT_PLACE,
	DRAW_OBJECT_LIFT,
	DRAW_OBJECT_AHEAD,
	DRAW_OBJECT_NORMAL,
	DRAW_OBJECT_TURN,
	DRAW_COLOUR,
	DRAW_PATTERN,
	DRAW_OFFSET,
	DRAW_LIGHT,
	DRAW_CAMERA,
	DRAW_KNOT,
	DRAW_GAZE_YAW,
	DRAW_GAZE_PITCH,
	DRAW_GAZE_ROLL,
	DRAW_BACK,
	DRAW_NOISE,
	DRAW_ROOM,
	DRAW_DOOR
};

#endif
