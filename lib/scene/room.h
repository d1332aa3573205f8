/* scene: the rooms that follow from a seed: their paint, light and furniture. In metres; y is up; the middle of the
 * first room is the origin. Rotations are row-major. The distributions are those of the generator that the demo model
 * was trained with; the random numbers differ. */
#ifndef SCENE_ROOM_H
#define SCENE_ROOM_H

#include "path.h"

/* Faces of a room: 2 × axis, + 1 for the side where the coordinate is positive. Surfaces are numbered: the faces of
 * each room, then the objects. */
enum { FACE_LEFT, FACE_RIGHT, FACE_FLOOR, FACE_CEILING, FACES = 6, SURFACE_OBJECT = ROOMS * FACES };
enum { OBJECTS_MAX = 2 * E3_SCENE_OBJECTS_MAX };

typedef enum scene_pattern { CHECKS, STRIPES, SOFT, BRICKS, CLOUDS, GRAIN, PATTERNS } scene_pattern;

typedef struct scene_paint {
	float a[3], b[3];       /* the two colours */
	float scale, offset[3]; /* of the texture, which is solid and moves with the object */
	scene_pattern pattern;
} scene_paint;

/* A box or an ellipsoid. */
typedef struct scene_object {
	bool round;
	double half[3], centre[3];
	double rot[9]; /* object from world */
	int room;
	scene_paint paint;
} scene_object;

typedef struct scene_light {
	double dir[3]; /* unit, towards the light */
	double ambient, falloff, gain, gamma, tint[3];
} scene_light;

typedef struct scene_room {
	scene_box box;
	scene_paint face[FACES];
	scene_light light; /* gain, gamma and tint are the camera's: the same in all rooms */
} scene_room;

typedef struct scene_house {
	int rooms; /* 1 or 2; with 2 there is ROOM_DOOR too */
	scene_room room[ROOMS];
	scene_object object[OBJECTS_MAX];
	int objects;
} scene_house;

/* Generates paint, light and furniture, without the objects that the camera would run into. */
void scene_house_draw(scene_house *house, const e3_scene_options *o, const scene_plan *plan, const scene_path *path);
/* Horizontal field of view in radians. */
double scene_fov(const e3_scene_options *o);

#endif
