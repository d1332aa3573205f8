/* scene: generating rooms from the seed: paint, light, furniture. */
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

/* What the furniture of a room depends on. */
typedef struct furnishing {
	scene_house *house;
	const scene_plan *plan;
	const scene_path *path;
	int room;
	uint64_t seed;
	double from[3], yaw; /* where the camera begins in this room, from its middle, and looks to */
} furnishing;

/* Places the object anywhere in the room or, more often, in front of the camera as it begins there. The height is the
 * same in each try. */
static void place(scene_object *t, const furnishing *f, int index, int try)
{
	const int at = index + try * E3_SCENE_OBJECTS_MAX;
	uint64_t seed = f->seed;
	const scene_box *box = &f->plan->box[f->room];
	const double *half = box->half;
	bool lifted = uniform(seed, DRAW_OBJECT_LIFT, 2 * index, 0, 1) < 0.12;
	t->centre[1] = -half[1] + 0.98 * t->half[1] + (lifted ? uniform(seed, DRAW_OBJECT_LIFT, 2 * index + 1, 0, 1) : 0);
	if (uniform(seed, DRAW_OBJECT_AHEAD, 2 * at, 0, 1) < 0.66) {
		double far = uniform(seed, DRAW_OBJECT_AHEAD, 2 * at + 1, 1.3, 4);
		double x =
			f->from[0] + far * scene_cos(f->yaw) + 0.9 * scene_normal(seed, DRAW_OBJECT_NORMAL, (uint64_t)(2 * at));
		double z =
			f->from[2] + far * scene_sin(f->yaw) + 0.9 * scene_normal(seed, DRAW_OBJECT_NORMAL, (uint64_t)(2 * at + 1));
		t->centre[0] = clamp(x, 0.1 - half[0], half[0] - 0.1);
		t->centre[2] = clamp(z, 0.1 - half[2], half[2] - 0.1);
	} else {
		t->centre[0] = uniform(seed, DRAW_OBJECT_PLACE, 2 * at, -1, 1) * half[0];
		t->centre[2] = uniform(seed, DRAW_OBJECT_PLACE, 2 * at + 1, -1, 1) * half[2];
	}
	for (int axis = 0; axis < 3; axis++)
		t->centre[axis] += box->centre[axis];
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

/* Whether the object would stand in the wall between the rooms, and so be seen in both. */
static bool in_the_wall(const scene_plan *plan, const scene_object *t, double radius)
{
	const double first = plan->box[ROOM_FIRST].half[0];
	const scene_box *second = &plan->box[ROOM_SECOND];
	if (plan->rooms == 1)
		return false;
	return t->room == ROOM_FIRST ? t->centre[0] + radius > first
								 : t->centre[0] - radius < second->centre[0] - second->half[0];
}

/* The same object in the look-alike of its room. */
static scene_object copy_of(const scene_plan *plan, const scene_object *t)
{
	scene_object copy = *t;
	copy.room = ROOM_SECOND;
	for (int axis = 0; axis < 3; axis++)
		copy.centre[axis] += plan->box[ROOM_SECOND].centre[axis];
	return copy;
}

static bool is_free(const furnishing *f, const scene_object *t, double radius)
{
	return scene_path_clear(f->path, t->centre, radius + 0.4) && !in_the_wall(f->plan, t, radius);
}

/* false when the camera would run into the object. A walk passes everywhere, so other positions are tried first. */
static bool draw_object(scene_object *t, const furnishing *f, int index)
{
	uint64_t seed = f->seed;
	double norm = 0;
	t->room = f->room;
	for (int k = 0; k < 3; k++) {
		t->half[k] = log_uniform(seed, DRAW_OBJECT_SIZE, 3 * index + k, 0.13, 0.55);
		norm += t->half[k] * t->half[k];
	}
	t->round = uniform(seed, DRAW_OBJECT_KIND, index, 0, 1) < 0.35;
	draw_turn(t, seed, index);
	draw_paint(&t->paint, seed, FACES + index);
	for (int try = 0; try < (f->path->kind == E3_SCENE_WALK ? TRIES : 1); try++) {
		place(t, f, index, try);
		if (!is_free(f, t, sqrt(norm)))
			continue;
		const scene_object copy = copy_of(f->plan, t);
		if (!f->plan->alike || is_free(f, &copy, sqrt(norm)))
			return true;
	}
	return false;
}

static void furnish(const furnishing *f, int objects)
{
	scene_house *house = f->house;
	for (int k = 0; k < objects; k++)
		house->objects += draw_object(&house->object[house->objects], f, k);
}

static void draw_room(scene_house *house, const scene_plan *plan, int room)
{
	scene_room *r = &house->room[room];
	uint64_t seed = scene_plan_seed(plan, room);
	r->box = plan->box[room];
	for (int f = 0; f < FACES; f++)
		draw_paint(&r->face[f], seed, f);
	draw_light(&r->light, seed);
	const scene_light first = house->room[ROOM_FIRST].light;
	r->light.gain = first.gain, r->light.gamma = first.gamma;
	memcpy(r->light.tint, first.tint, sizeof first.tint);
}

/* The doorway: sides and lintel of one paint, in the light of the first room. */
static void draw_door(scene_house *house)
{
	scene_room *door = &house->room[ROOM_DOOR];
	for (int f = 0; f < FACES; f++)
		if (f != FACE_FLOOR)
			door->face[f] = door->face[FACES - 1];
	door->light = house->room[ROOM_FIRST].light;
}

void scene_house_draw(scene_house *house, const e3_scene_options *o, const scene_plan *plan, const scene_path *path)
{
	furnishing f = {.house = house, .plan = plan, .path = path, .seed = plan->seed, .yaw = path->yaw};
	house->rooms = plan->rooms, house->objects = 0;
	draw_room(house, plan, ROOM_FIRST);
	memcpy(f.from, path->start, sizeof f.from);
	furnish(&f, o->objects);
	if (plan->rooms == 1)
		return;
	draw_room(house, plan, ROOM_SECOND);
	draw_room(house, plan, ROOM_DOOR);
	draw_door(house);
	if (plan->alike) {
		for (int n = house->objects, k = 0; k < n; k++)
			house->object[house->objects++] = copy_of(plan, &house->object[k]);
		return;
	}
	f.room = ROOM_SECOND, f.seed = scene_plan_seed(plan, ROOM_SECOND), f.yaw = 0;
	for (int axis = 0; axis < 3; axis++)
		f.from[axis] = path->tour.enter[axis] - plan->box[ROOM_SECOND].centre[axis];
	furnish(&f, o->objects);
}
