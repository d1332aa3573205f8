/* Two rooms joined by a door: depth against a computation that knows no doors, where the walk goes, what stands where,
 * look-alikes, the same bytes always. */
#include "check.h"
#include "e3/geom.h"
#include "e3/num.h"
#include "e3/scene.h"
#include "scene/arith.h"
#include "scene/cast.h"

enum { W = 80, H = 60, PIXELS = W * H, FRAMES = 240 };

static e3_scene_options two_rooms(uint64_t seed)
{
	e3_scene_options o = E3_SCENE_DEFAULTS;
	o.seed = seed, o.w = W, o.h = H, o.frames = FRAMES, o.path = E3_SCENE_WALK, o.rooms = 2, o.laps = 1;
	return o;
}

typedef struct world {
	scene_plan plan;
	scene_path path;
	scene_house house;
} world;

static world w;

static void build(const e3_scene_options *o)
{
	scene_plan_draw(&w.plan, o);
	scene_path_draw(&w.path, o, &w.plan);
	scene_house_draw(&w.house, o, &w.plan, &w.path);
}

/* How deep in the box a point is: the distance to the nearest of its faces, negative outside. */
static double depth_in(const scene_box *b, const double p[3])
{
	double d = INFINITY;
	for (int k = 0; k < 3; k++)
		d = fmin(d, b->half[k] - fabs(p[k] - b->centre[k]));
	return d;
}

/* The distance to the nearest wall, in a room or in the door with the space before and behind it. */
static double clearance(const scene_plan *plan, const double p[3])
{
	scene_box opening = plan->box[ROOM_DOOR];
	opening.half[0] += 0.4;
	return fmax(depth_in(&opening, p), fmax(depth_in(&plan->box[ROOM_FIRST], p), depth_in(&plan->box[ROOM_SECOND], p)));
}

/* How far a ray gets in the boxes taken together: the end of the intervals that hang together from 0 on. */
static double reach(const scene_plan *plan, const double eye[3], const double d[3])
{
	double end = 0, to[ROOMS], from[ROOMS];
	for (int r = 0; r < ROOMS; r++) {
		from[r] = -INFINITY, to[r] = INFINITY;
		for (int k = 0; k < 3; k++) {
			const scene_box *b = &plan->box[r];
			double a = (b->centre[k] - b->half[k] - eye[k]) / d[k], c = (b->centre[k] + b->half[k] - eye[k]) / d[k];
			from[r] = fmax(from[r], fmin(a, c)), to[r] = fmin(to[r], fmax(a, c));
		}
	}
	for (int n = 0; n < ROOMS; n++)
		for (int r = 0; r < ROOMS; r++)
			if (from[r] < to[r] && from[r] <= end + 1e-9 && to[r] > end)
				end = to[r];
	return end;
}

static void walls_and_doors(void **state)
{
	static scene_shot shot;
	scene_row row;
	const scene_camera camera = {W, H, 70};
	size_t seen[ROOMS] = {0}, pixels = 0;
	double worst = 0;
	assert_int_equal(scene_row_open(&row, W, NULL), 0);
	for (uint64_t seed = 0; seed < 12; seed++) {
		e3_scene_options o = two_rooms(seed);
		o.objects = 0, o.alike = seed % 3 == 2;
		build(&o);
		for (int i = 0; i < FRAMES; i += 5) {
			scene_view v = scene_path_view(&w.path, i);
			scene_shot_take(&shot, &w.house, &camera, &v);
			for (int y = 0; y < H; y++) {
				scene_cast(&shot, y, &row);
				for (int x = 0; x < W; x++) {
					double px = (x + 0.5 - W / 2.0) / camera.focal, py = (y + 0.5 - H / 2.0) / camera.focal, d[3];
					for (int k = 0; k < 3; k++)
						d[k] = v.rot[k] * px + v.rot[3 + k] * py + v.rot[6 + k];
					worst = fmax(worst, fabs(row.z[x] / reach(&w.plan, v.eye, d) - 1));
					seen[row.hit[x] / FACES]++, pixels++;
				}
			}
		}
	}
	scene_row_close(&row);
	printf("# of %zu pixels %zu show the first room, %zu the second, %zu the doorway; largest relative error %.1e\n",
		pixels, seen[ROOM_FIRST], seen[ROOM_SECOND], seen[ROOM_DOOR], worst);
	assert_true(worst < 1e-9);
	assert_true(seen[ROOM_DOOR] > pixels / 200 && seen[ROOM_FIRST] > pixels / 4 && seen[ROOM_SECOND] > pixels / 4);
}

/* The first, the doorway, the second, the doorway, the first again; never near a wall or the sides of the door; steps,
 * bends and turns are those of a walk. */
static void the_walk_goes_round_both_rooms(void **state)
{
	static const int order[] = {ROOM_FIRST, ROOM_DOOR, ROOM_SECOND, ROOM_DOOR, ROOM_FIRST};
	double nearest = INFINITY, turned = 0, end = 0;
	for (uint64_t seed = 0; seed < 40; seed++) {
		e3_scene_options o = two_rooms(seed);
		o.alike = seed % 2, o.frames = 1000;
		build(&o);
		int at = 0;
		double first[3] = {0}, before[9] = {0};
		for (int i = 0; i < 1000; i++) {
			scene_view v = scene_path_view(&w.path, i);
			int room = ROOM_DOOR;
			for (int r = ROOM_FIRST; r <= ROOM_SECOND; r++)
				if (depth_in(&w.plan.box[r], v.eye) > 0)
					room = r;
			if (room != order[at])
				at++;
			assert_true(at < 5 && room == order[at]);
			nearest = fmin(nearest, clearance(&w.plan, v.eye));
			double trace = 0;
			for (int k = 0; k < 9 && i; k++)
				trace += v.rot[k] * before[k];
			turned = fmax(turned, i ? acos(fmin(1, (trace - 1) / 2)) : 0);
			memcpy(before, v.rot, sizeof before);
			if (i == 0)
				memcpy(first, v.eye, sizeof first);
			if (i == 999)
				end = fmax(end, hypot(v.eye[0] - first[0], v.eye[2] - first[2]));
		}
		assert_int_equal(at, 4);
	}
	printf("# never nearer than %.3f m to a wall; turns by up to %.3f a frame; ends within %.4f m of the start\n",
		nearest, turned, end);
	assert_true(nearest > 0.15 && turned < 0.1 && end < 1e-9);
}

static void coming_back_keeps_away_from_the_walls(void **state)
{
	double nearest = INFINITY, off = 0;
	for (uint64_t seed = 0; seed < 30; seed++) {
		e3_scene_options o = two_rooms(seed);
		o.revisit = true, o.laps = 0.75;
		build(&o);
		scene_view first = scene_path_view(&w.path, 0), v = first;
		for (int i = 0; i < FRAMES; i++) {
			v = scene_path_view(&w.path, i);
			nearest = fmin(nearest, clearance(&w.plan, v.eye));
		}
		off = fmax(off, hypot(v.eye[0] - first.eye[0], v.eye[2] - first.eye[2]));
	}
	printf("# never nearer than %.3f m to a wall; ends within %.3f m of the start\n", nearest, off);
	assert_true(nearest > 0.05 && off > 0.05 && off < 0.29);
}

/* Nothing stands in the wall between the rooms, before the door or where the camera walks. */
static void furniture_stays_in_its_room(void **state)
{
	int objects = 0;
	for (uint64_t seed = 0; seed < 40; seed++) {
		e3_scene_options o = two_rooms(seed);
		o.alike = seed % 2;
		build(&o);
		for (int k = 0; k < w.house.objects; k++) {
			const scene_object *t = &w.house.object[k];
			double radius = sqrt(t->half[0] * t->half[0] + t->half[1] * t->half[1] + t->half[2] * t->half[2]);
			double plane = w.plan.box[ROOM_FIRST].half[0];
			assert_true(t->room == ROOM_FIRST ? t->centre[0] + radius <= plane : t->centre[0] - radius > plane);
			assert_true(scene_path_clear(&w.path, t->centre, radius + 0.39));
		}
		objects += w.house.objects;
	}
	printf("# %.1f objects a room\n", objects / 80.0);
	assert_true(objects > 80 * 12);
}

/* A picture taken in the first room and one from the same place in the second, with pictures of the walls that have no
 * door. */
static void look_alikes(void **state)
{
	static scene_shot shot;
	static uint8_t rgb[2][W * 3];
	static float gamma[SCENE_GAMMA + 2], normal[SCENE_NORMAL];
	const scene_camera camera = {W, H, 70};
	scene_row row;
	size_t same = 0, pixels = 0;
	int objects = 0;
	for (int k = 0; k < SCENE_GAMMA + 2; k++)
		gamma[k] = (float)k / SCENE_GAMMA;
	assert_int_equal(scene_row_open(&row, W, NULL), 0);
	for (uint64_t n = 0; n < 20; n++) {
		e3_scene_options o = two_rooms(n / 2);
		o.alike = true;
		build(&o);
		objects += w.house.objects;
		const double *to = w.plan.box[ROOM_SECOND].centre;
		for (int y = 0; y < H; y++) {
			for (int k = 0; k < 2; k++) {
				const double aside = n % 2 ? 1 : -1;
				scene_view v = {.eye = {0.3 + k * to[0], 0.2 + k * to[1], k * to[2]}};
				const double at[3] = {v.eye[0], v.eye[1] - 0.2, v.eye[2] + aside};
				scene_look(v.eye, at, 0, v.rot);
				scene_shot_take(&shot, &w.house, &camera, &v);
				shot.gamma = gamma, shot.normal = normal;
				scene_cast(&shot, y, &row);
				scene_paint_row(&shot, y, &row, rgb[k]);
			}
			for (int k = 0; k < 3 * W; k++)
				same += abs(rgb[0][k] - rgb[1][k]) <= 1, pixels++;
		}
	}
	scene_row_close(&row);
	printf("# %.5f of the values are the same, %.1f objects a room\n", (double)same / (double)pixels, objects / 40.0);
	assert_true((double)same > 0.999 * (double)pixels && objects > 40 * 10);
	/* other rooms look different */
	e3_scene_options o = two_rooms(3);
	build(&o);
	assert_true(fabs(w.plan.box[ROOM_FIRST].half[0] - w.plan.box[ROOM_SECOND].half[0]) > 1e-3);
}

/* The walk through the look-alike follows the same line. */
static void look_alikes_are_walked_alike(void **state)
{
	double worst = 0;
	for (uint64_t seed = 0; seed < 20; seed++) {
		e3_scene_options o = two_rooms(seed);
		o.alike = true;
		build(&o);
		for (int k = 0; k < ROUND_KNOTS; k++) {
			const double *a = w.path.tour.knot[k],
						 *b = w.path.tour.knot[ROUND_KNOTS + DOOR_KNOTS + (k + ROUND_KNOTS / 2) % ROUND_KNOTS];
			for (int axis = 0; axis < 3; axis++)
				worst = fmax(worst, fabs(b[axis] - a[axis] - w.plan.box[ROOM_SECOND].centre[axis]));
		}
	}
	assert_true(worst < 1e-9);
}

static void a_seed_keeps_its_bytes(void **state)
{
	static const struct {
		uint64_t seed;
		bool alike;
		int64_t frame;
		uint64_t rgb, depth, pose;
	} kept[] = {
		{7, false, 100, 0xea9a68ea36140418u, 0x9880342cd1d34a48u, 0x311dd7a7cf23c2dau},
		{7, true, 100, 0x3addfd341763c1d7u, 0x1bcaa91902805384u, 0x4218fc1bb4c95bc4u},
		{123456789, false, 239, 0xf37843871ca9d7e2u, 0x7e61b1dfcddbc21bu, 0x6041025a326ee381u},
	};
	static uint8_t rgb[3 * PIXELS];
	static float depth[PIXELS], pose[9];
	int off = 0;
	for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
		e3_scene_options o = two_rooms(kept[k].seed);
		o.alike = kept[k].alike, o.threads = 1 + (int)k;
		e3_scene *s = e3_scene_open(&o, NULL);
		assert_non_null(s);
		e3_scene_render(s, kept[k].frame, rgb, depth, pose);
		uint64_t got[3] = {e3_fnv1a64(rgb, sizeof rgb), e3_fnv1a64(depth, sizeof depth), e3_fnv1a64(pose, sizeof pose)};
		printf("# seed %llu: 0x%016llxu, 0x%016llxu, 0x%016llxu\n", (unsigned long long)kept[k].seed,
			(unsigned long long)got[0], (unsigned long long)got[1], (unsigned long long)got[2]);
		off += got[0] != kept[k].rgb || got[1] != kept[k].depth || got[2] != kept[k].pose;
		assert_int_equal(e3_scene_describe(s)->rooms, 2);
		e3_scene_close(s);
	}
	assert_int_equal(off, 0);
}

static void endless_walks_return(void **state)
{
	e3_scene_options o = two_rooms(4);
	o.endless = true, o.laps = 1, o.frames = 100;
	e3_scene *s = e3_scene_open(&o, NULL);
	assert_non_null(s);
	int far = 0, near = 0;
	for (int i = 100000; i < 100200; i++) {
		float pose[9];
		e3_scene_render(s, i, NULL, NULL, pose);
		double away = sqrt((double)pose[0] * pose[0] + (double)pose[1] * pose[1] + (double)pose[2] * pose[2]) *
			e3_scene_describe(s)->metres;
		near += away < 1;
		far += away > e3_scene_describe(s)->room[0];
	}
	e3_scene_close(s);
	printf("# of 200 frames, two rounds, %d are within a metre of the first, %d in the second room\n", near, far);
	assert_true(near > 4 && far > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walls_and_doors),
		cmocka_unit_test(the_walk_goes_round_both_rooms),
		cmocka_unit_test(coming_back_keeps_away_from_the_walls),
		cmocka_unit_test(furniture_stays_in_its_room),
		cmocka_unit_test(look_alikes),
		cmocka_unit_test(look_alikes_are_walked_alike),
		cmocka_unit_test(a_seed_keeps_its_bytes),
		cmocka_unit_test(endless_walks_return),
	};
	return cmocka_run_group_tests_name("scene: two rooms", tests, NULL, NULL);
}
