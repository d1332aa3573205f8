/* scene: generating a room from the seed: size, paint, light, furniture. */
#include "room.h"
#include "arith.h"
#include <string.h>

enum { TRIES = 24, CHANNELS = 3 };

static double uniform(uint64_t seed, int what, int index, double lo, double hi)
{
	return scene_uniform(seed, (uint64_t)what, (uint64_t)index, lo, hi);
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Uniform in the logarithm. */
static double log_uniform(uint64_t seed, int what, int index, double lo, double hi)
{
	return scene_exp(uniform(seed, what, index, scene_log(lo), scene_log(hi)));
}

void scene_room_size(uint64_t seed, double half[3])
{
	half[0] = uniform(seed, DRAW_SIZE, 0, 1.9, 3.4);
	half[1] = uniform(seed, DRAW_SIZE, 1, 1.25, 1.45);
	half[2] = uniform(seed, DRAW_SIZE, 2, 1.9, 3.4);
}

double scene_fov(const e3_scene_options *o)
{
	return o->fov > 0 ? o->fov : uniform(o->seed, DRAW_FOV, 0, 57, 63) * SCENE_PI / 180;
}

/* The colour of a paint. Walls are paler than objects. */
static void draw_paint(scene_paint *p, uint64_t seed, int index)
{
	enum { COLOURS = 16 };
	const int c = index * COLOURS;
	bool wall = index < FACES;
	double vivid = (uniform(seed, DRAW_COLOUR, c, 0, 1) < 0.4 ? 0.3 : 1) * (wall ? 0.45 : 1);
	double grey = uniform(seed, DRAW_COLOUR, c + 1, 0.3, 0.9), shift = uniform(seed, DRAW_COLOUR, c + 2, -0.35, 0.35);
	if (wall)
		grey = grey * 0.6 + 0.35;
	for (int k = 0; k < CHANNELS; k++) {
		double a = clamp(grey + vivid * uniform(seed, DRAW_COLOUR, c + 3 + k, -0.4, 0.4), 0.05, 1);
		p->a[k] = (float)a;
		p->b[k] = (float)clamp(a + shift + vivid * uniform(seed, DRAW_COLOUR, c + 6 + k, -0.25, 0.25), 0.04, 1);
		p->offset[k] = (float)uniform(seed, DRAW_OFFSET, index * CHANNELS + k, -20, 20);
	}
	p->scale = (float)log_uniform(seed, DRAW_PATTERN, 2 * index, 1.2, 4.5);
	p->pattern = (scene_pattern)(uniform(seed, DRAW_PATTERN, 2 * index + 1, 0, 1) * PATTERNS);
	if (index == FACE_FLOOR) {
		static const scene_pattern floors[] = {CHECKS, STRIPES, BRICKS};
		p->pattern = floors[(int)(uniform(seed, DRAW_COLOUR, c + 9, 0, 1) * 3)];
		p->scale = (float)uniform(seed, DRAW_COLOUR, c + 10, 1.8, 3.2);
	} else if (index == FACE_CEILING) {
		double white = uniform(seed, DRAW_COLOUR, c + 9, 0.8, 0.95);
		p->pattern = CLOUDS;
		for (int k = 0; k < CHANNELS; k++)
			p->a[k] = (float)white, p->b[k] = (float)(white - 0.08);
	}
}

static void draw_light(scene_light *l, uint64_t seed)
{
	double d[3] = {uniform(seed, DRAW_LIGHT, 0, -0.7, 0.7), uniform(seed, DRAW_LIGHT, 1, 0.6, 1),
		uniform(seed, DRAW_LIGHT, 2, -0.7, 0.7)};
	double length = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
	for (int k = 0; k < 3; k++) {
		l->dir[k] = d[k] / length;
		l->tint[k] = uniform(seed, DRAW_CAMERA, k, 0.95, 1.05);
	}
	l->ambient = uniform(seed, DRAW_LIGHT, 3, 0.5, 0.75);
	l->falloff = uniform(seed, DRAW_LIGHT, 4, 0, 0.04);
	l->gain = uniform(seed, DRAW_CAMERA, 3, 0.9, 1.15);
	l->gamma = uniform(seed, DRAW_CAMERA, 4, 0.8, 1.1);
}

/* Places the object anywhere in the room or, more often, in front of the first camera. The height is the same in each
 * try. */
static void place(scene_object *t, const scene_room *room, const scene_path *path, int index, int try)
{
	const int at = index + try * E3_SCENE_OBJECTS_MAX;
	uint64_t seed = path->seed;
	bool lifted = uniform(seed, DRAW_OBJECT_LIFT, 2 * index, 0, 1) < 0.12;
	t->centre[1] =
		-room->half[1] + 0.98 * t->half[1] + (lifted ? uniform(seed, DRAW_OBJECT_LIFT, 2 * index + 1, 0, 1) : 0);
	if (uniform(seed, DRAW_OBJECT_AHEAD, 2 * at, 0, 1) < 0.66) {
		double far = uniform(seed, DRAW_OBJECT_AHEAD, 2 * at + 1, 1.3, 4);
		double x = path->start[0] + far * scene_cos(path->yaw) +
			0.9 * scene_normal(seed, DRAW_OBJECT_NORMAL, (uint64_t)(2 * at));
		double z = path->start[2] + far * scene_sin(path->yaw) +
			0.9 * scene_normal(seed, DRAW_OBJECT_NORMAL, (uint64_t)(2 * at + 1));
		t->centre[0] = clamp(x, 0.1 - room->half[0], room->half[0] - 0.1);
		t->centre[2] = clamp(z, 0.1 - room->half[2], room->half[2] - 0.1);
	} else {
		t->centre[0] = uniform(seed, DRAW_OBJECT_PLACE, 2 * at, -1, 1) * room->half[0];
		t->centre[2] = uniform(seed, DRAW_OBJECT_PLACE, 2 * at + 1, -1, 1) * room->half[2];
	}
}

/* Rotates the object about the vertical; tilts a few. */
static void draw_turn(scene_object *t, uint64_t seed, int index)
{
	double turn = uniform(seed, DRAW_OBJECT_TURN, 3 * index, 0, SCENE_PI);
	double tilt = uniform(seed, DRAW_OBJECT_TURN, 3 * index + 1, 0, 1) < 0.12
		? uniform(seed, DRAW_OBJECT_TURN, 3 * index + 2, -0.4, 0.4)
		: 0;
	double s, c, sx, cx;
	scene_sincos(turn, &s, &c);
	scene_sincos(tilt, &sx, &cx);
	const double rot[9] = {c, 0, -s, sx * s, cx, sx * c, cx * s, -sx, cx * c};
	memcpy(t->rot, rot, sizeof rot);
}

/* false when the camera would run into the object. A walk passes everywhere, so other positions are tried first. */
static bool draw_object(scene_object *t, const scene_room *room, const scene_path *path, int index)
{
	uint64_t seed = path->seed;
	double norm = 0;
	for (int k = 0; k < 3; k++) {
		t->half[k] = log_uniform(seed, DRAW_OBJECT_SIZE, 3 * index + k, 0.13, 0.55);
		norm += t->half[k] * t->half[k];
	}
	t->round = uniform(seed, DRAW_OBJECT_KIND, index, 0, 1) < 0.35;
	draw_turn(t, seed, index);
	draw_paint(&t->paint, seed, FACES + index);
	for (int try = 0; try < (path->kind == E3_SCENE_WALK ? TRIES : 1); try++) {
		place(t, room, path, index, try);
		if (scene_path_clear(path, t->centre, sqrt(norm) + 0.4))
			return true;
	}
	return false;
}

void scene_room_draw(scene_room *room, const e3_scene_options *o, const scene_path *path)
{
	scene_room_size(o->seed, room->half);
	for (int f = 0; f < FACES; f++)
		draw_paint(&room->face[f], o->seed, f);
	draw_light(&room->light, o->seed);
	room->objects = 0;
	for (int k = 0; k < o->objects; k++)
		room->objects += draw_object(&room->object[room->objects], room, path, k);
}
