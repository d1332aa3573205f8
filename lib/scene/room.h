/* scene: the room that follows from a seed: its size, paint, light and furniture. In metres; y is up; the middle of the
 * room is the origin. Rotations are row-major. The distributions are those of the generator that the demo model was
 * trained with; the random numbers differ. */
#ifndef SCENE_ROOM_H
#define SCENE_ROOM_H

#include "path.h"

/* Faces of the room: 2 × axis, + 1 for the side where the coordinate is positive. Paints are indexed by faces, then
 * objects. */
enum { FACE_FLOOR = 2, FACE_CEILING = 3, FACES = 6 };

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
	scene_paint paint;
} scene_object;

typedef struct scene_light {
	double dir[3]; /* unit, towards the light */
	double ambient, falloff, gain, gamma, tint[3];
} scene_light;

typedef struct scene_room {
	double half[3];
	scene_paint face[FACES];
	scene_light light;
	scene_object object[E3_SCENE_OBJECTS_MAX];
	int objects;
} scene_room;

/* Half the size of the room along each axis. The path needs it too. */
void scene_room_size(uint64_t seed, double half[3]);
/* Generates paint, light and furniture, without the objects that the camera would run into. */
void scene_room_draw(scene_room *room, const e3_scene_options *o, const scene_path *path);
/* Horizontal field of view in radians. */
double scene_fov(const e3_scene_options *o);

#endif
