/* scene: one frame of the rooms: casting rays and shading what they hit. Rows are independent of each other. */
#ifndef SCENE_CAST_H
#define SCENE_CAST_H

#include "room.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define SCENE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SCENE_CLONES
#endif

typedef struct scene_camera {
	int w, h;
	double focal; /* in pixels; the axis goes through the middle of the picture */
} scene_camera;

/* An object in one frame: eye and rays in the object's axes, in which it is the cube or ball of half size 1. */
typedef struct scene_seen {
	bool round;
	double origin[3];
	double ray[9];                /* direction = ray (px, py, 1) */
	int left, right, top, bottom; /* the pixels that may see it; right and bottom are exclusive */
} scene_seen;

typedef struct scene_shot {
	const scene_house *house;
	scene_camera camera;
	scene_view view;
	int inside; /* the room that the camera is in */
	scene_seen seen[OBJECTS_MAX];
	const float *gamma;  /* [SCENE_GAMMA + 2] the curve at k / SCENE_GAMMA */
	const float *normal; /* [SCENE_NORMAL] quantiles of the noise, the deviation included */
	uint32_t noise;      /* of this frame */
} scene_shot;

enum { SCENE_GAMMA = 4096, SCENE_NORMAL = 4096 };

void scene_shot_take(scene_shot *shot, const scene_house *house, const scene_camera *camera, const scene_view *view);

/* Scratch of one thread: rows of w. */
typedef struct scene_row {
	double *z;              /* z depth of the nearest surface */
	int64_t *hit;           /* its number: room × FACES + face, or SURFACE_OBJECT + object */
	float *x, *y, *z_local; /* texture coordinates */
	float *light, *mix, *fade;
} scene_row;

int scene_row_open(scene_row *row, int w, e3_err *err);
void scene_row_close(scene_row *row);

/* Fills z and hit of row y. */
void scene_cast(const scene_shot *shot, int y, scene_row *row);
/* Computes the pixels from them, rgb [w][3]. */
void scene_paint_row(const scene_shot *shot, int y, scene_row *row, uint8_t *rgb);

#endif
