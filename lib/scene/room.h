/* scene: the room as it is drawn from a seed: its size, paint, light and furniture.
 *
 * Metres; y is up; the middle of the room is the origin. Rotations are row-major. The distributions are those of the
 * generator the demo model was trained with; the numbers are our own. */
#ifndef SCENE_ROOM_H
#define SCENE_ROOM_H

#include "path.h"

/* Faces of the room: 2 × axis, + 1 on the side where the coordinate is positive. Paints: the faces, then the things. */
enum { FACE_FLOOR = 2, FACE_CEILING = 3, FACES = 6 };

typedef enum scene_pattern { CHECKS, STRIPES, SOFT, BRICKS, CLOUDS, GRAIN, PATTERNS } scene_pattern;

typedef struct scene_paint {
	float a[3], b[3];       /* the two colours */
	float scale, offset[3]; /* of the texture, which is solid: cut out of a block that moves with the thing */
	scene_pattern pattern;
} scene_paint;

/* A box or an ellipsoid. */
typedef struct scene_thing {
	bool round;
	double half[3], centre[3];
	double rot[9]; /* thing from world */
	scene_paint paint;
} scene_thing;

typedef struct scene_light {
	double dir[3]; /* unit, towards the light */
	double ambient, falloff, gain, gamma, tint[3];
} scene_light;

typedef struct scene_room {
	double half[3];
	scene_paint face[FACES];
	scene_light light;
	scene_thing thing[E3_SCENE_OBJECTS_MAX];
	int things;
} scene_room;

/* The size of the room, half of each side; the path needs it too. */
void scene_room_size(uint64_t seed, double half[3]);
/* Draws paint, light and furniture; what the camera would run into is left out. */
void scene_room_draw(scene_room *room, const e3_scene_options *o, const scene_path *path);
/* Horizontal field of view in radians. */
double scene_fov(const e3_scene_options *o);

#endif
