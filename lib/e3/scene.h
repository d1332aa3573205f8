/* scene: rendered rooms with ground truth: furniture, paint, light and a moving camera, all generated from one seed.
 * The rooms are of the kind that the bundled model was trained on (e3-scene(1)): boxes and ellipsoids in a box, solid
 * textures, one distant light, no antialiasing, a little noise. Frames are ray cast on the CPU; depth is the exact z
 * depth of the surface at each pixel's centre. Every frame can be rendered without the others, in any order. The same
 * options give the same bytes on every machine with IEEE 754 arithmetic and for any number of threads: the code uses
 * only the four operations, square roots and integers (lib/scene/arith.h), and the compiler must not contract or
 * reorder them. */
#ifndef E3_SCENE_H
#define E3_SCENE_H

#include "e3/err.h"
#include <stdbool.h>
#include <stdint.h>

/* The path of the camera. CLIP: one curved stroke past the furniture, as in the bundled clip. WALK: round the room at
 * walking height on a smooth closed path, looking mostly to its middle; with two rooms round the first, through the
 * door, round the second and back. */
typedef enum e3_scene_path { E3_SCENE_CLIP, E3_SCENE_WALK } e3_scene_path;

enum { E3_SCENE_OBJECTS_MAX = 256, E3_SCENE_THREADS_MAX = 64 };
#define E3_SCENE_FRAMES_MAX 10000000
#define E3_SCENE_PIXELS_MAX 16000000 /* the limit of a truth message, 64 MiB */
#define E3_SCENE_SIDE_MAX 8192

typedef struct e3_scene_options {
	uint64_t seed;
	int w, h;
	int64_t frames; /* of the whole path; length and frames determine the speed */
	double length;  /* of the path; 1 is 0.2 to 1.5 m, by the seed */
	double laps;    /* WALK only: if above 0, the length is so many times round, instead */
	e3_scene_path path;
	bool revisit; /* there and back: the last frames see what the first ones saw, from nearby */
	bool endless; /* WALK only: the path never ends; frames beyond `frames` may be rendered */
	bool metres;  /* truth in metres; otherwise in mean distances of the first frame's points */
	int rooms;    /* 0 or 1; 2, WALK only: two rooms joined by a door */
	bool alike;   /* the second room looks like the first: size, paint, light and furniture */
	int objects;  /* in each room */
	double fov;   /* horizontal, radians; 0: 57 to 63 degrees, by the seed */
	double noise; /* standard deviation of the image noise, where 1 is white; the model was trained with 0.008 */
	int threads;
} e3_scene_options;

/* 224 × 168, 48 frames, a clip of length 1, 14 objects, noise 0.008, one thread, seed 0. */
#define E3_SCENE_DEFAULTS \
	{ \
		.w = 224, .h = 168, .frames = 48, .length = 1, .path = E3_SCENE_CLIP, .rooms = 1, .objects = 14, \
		.noise = 0.008, .threads = 1 \
	}

typedef struct e3_scene e3_scene;

/* A scene in numbers. */
typedef struct e3_scene_facts {
	double room[3]; /* metres: wide, high, deep; the first room */
	int rooms;
	int objects;          /* objects in all rooms: those that the camera would run into are left out */
	double metres;        /* one unit of the truth */
	double length;        /* of the path in metres, over `frames` */
	double up[3];         /* the direction up of the rooms, in the world of the poses: camera axes of frame 0 */
	double lap;           /* metres once round; 0 for a clip */
	double intrinsics[4]; /* fx fy cx cy; the centre of the first pixel is at 0, 0 */
	const char *unit;     /* "m", or a description of the unit; static */
} e3_scene_facts;

/* NULL when an option is out of range, or without memory or threads. */
e3_scene *e3_scene_open(const e3_scene_options *o, e3_err *err);
const e3_scene_facts *e3_scene_describe(const e3_scene *s);
/* Frame i: rgb [h][w][3] and depth [h][w] (each may be NULL), pose as in e3/data.h; the world is the camera of frame 0.
 * i is 0 or more, and below `frames` unless endless. One caller at a time. */
void e3_scene_render(e3_scene *s, int64_t i, uint8_t *rgb, float *depth, float pose[9]);
void e3_scene_close(e3_scene *s);

#endif
