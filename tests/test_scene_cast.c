/* Depth against closed forms, written independently: an empty room, a ball, a box; rectangles that leave nothing out;
 * points of one frame seen from another. */
#include "check.h"
#include "e3/geom.h"
#include "e3/mem.h"
#include "e3/scene.h"
#include "scene/arith.h"
#include "scene/cast.h"

enum { W = 96, H = 72 };

static scene_shot shot;
static scene_row row;

static int open_row(void **state) { return scene_row_open(&row, 640, NULL); }

static int close_row(void **state)
{
	scene_row_close(&row);
	return 0;
}

static const scene_camera camera = {W, H, 80};

static scene_house empty_room(void)
{
	scene_house house = {.rooms = 1, .room = {{.box = {.half = {2, 1.3, 3}}}}};
	return house;
}

/* The ray of a pixel's centre in the world, z = 1 in the camera. */
static void ray_of(const scene_view *v, const scene_camera *c, int x, int y, double d[3])
{
	const double p[3] = {(x + 0.5 - c->w / 2.0) / c->focal, (y + 0.5 - c->h / 2.0) / c->focal, 1};
	for (int j = 0; j < 3; j++)
		d[j] = v->rot[j] * p[0] + v->rot[3 + j] * p[1] + v->rot[6 + j] * p[2];
}

/* Where the ray leaves the room: the wall whose plane it meets within the wall. */
static double wall_depth(const double half[3], const double eye[3], const double d[3], int *face)
{
	for (int f = 0; f < 6; f++) {
		int axis = f / 2;
		double t = ((f % 2 ? half[axis] : -half[axis]) - eye[axis]) / d[axis];
		bool inside = t > 0;
		for (int k = 0; k < 3; k++)
			inside = inside && (k == axis || fabs(eye[k] + t * d[k]) <= half[k] * (1 + 1e-12));
		if (inside) {
			*face = f;
			return t;
		}
	}
	return NAN;
}

static void an_empty_room(void **state)
{
	scene_house room = empty_room();
	double worst = 0;
	int seen[6] = {0};
	for (int turn = 0; turn < 12; turn++) {
		scene_view v = {.eye = {0.7, 0.2, -1.1}};
		const double at[3] = {0.7 + cos(turn), 0.2 + 0.8 * sin(2.0 * turn), -1.1 + sin(turn)};
		scene_look(v.eye, at, 0.05 * turn, v.rot);
		scene_shot_take(&shot, &room, &camera, &v);
		for (int y = 0; y < H; y++) {
			scene_cast(&shot, y, &row);
			for (int x = 0; x < W; x++) {
				double d[3];
				int face = -1;
				ray_of(&v, &camera, x, y, d);
				double z = wall_depth(room.room[0].box.half, v.eye, d, &face);
				worst = fmax(worst, fabs(row.z[x] / z - 1));
				seen[face]++;
				assert_int_equal(row.hit[x], face);
			}
		}
	}
	printf("# largest relative error %.1e\n", worst);
	assert_true(worst < 1e-12);
	for (int f = 0; f < 6; f++)
		assert_true(seen[f] > 100);
}

/* The middle row of a picture that looks along z from z = -1. Its middle pixel looks straight ahead: directions of
 * exactly 0. */
static scene_view cast_middle_row(const scene_house *room)
{
	scene_view v = {.eye = {0, 0, -1}};
	const double at[3] = {0, 0, 1};
	const scene_camera odd = {65, 49, 80};
	scene_look(v.eye, at, 0, v.rot);
	scene_shot_take(&shot, room, &odd, &v);
	scene_cast(&shot, 24, &row);
	return v;
}

static void looking_along_an_axis(void **state)
{
	scene_house room = empty_room();
	scene_view v = cast_middle_row(&room);
	assert_true(fabs(row.z[32] - 4) < 1e-12); /* the wall z = 3 */
	assert_int_equal(row.hit[32], 5);
	/* The whole wall is at one z depth. */
	for (int x = 0; x < 65; x++)
		assert_true(row.hit[x] != 5 || fabs(row.z[x] - 4) < 1e-12);
	/* x to the right in the picture is -x of the world here: up is +y, and the camera looks along +z. */
	assert_true(v.rot[0] < -0.999 && v.rot[4] < -0.999 && v.rot[8] > 0.999);
}

static scene_object object_at(bool round, double x, double y, double z)
{
	return (scene_object){.round = round,
		.half = {0.4, 0.25, 0.3},
		.centre = {x, y, z},
		.rot = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
}

/* A ball of radius r at distance c: z = (C·d - sqrt((C·d)^2 - d·d (c^2 - r^2))) / d·d. */
static void a_ball(void **state)
{
	scene_house room = empty_room();
	const double r = 0.35, at[3] = {0.2, -0.3, 1.5};
	room.object[room.objects++] = object_at(true, at[0], at[1], at[2]);
	for (int k = 0; k < 3; k++)
		room.object[0].half[k] = r;
	scene_view v = {.eye = {-0.4, 0.3, -1}};
	scene_look(v.eye, at, 0.1, v.rot);
	scene_shot_take(&shot, &room, &camera, &v);
	double to[3], square = 0, worst = 0;
	int hits = 0;
	for (int k = 0; k < 3; k++)
		to[k] = at[k] - v.eye[k], square += to[k] * to[k];
	for (int y = 0; y < H; y++) {
		scene_cast(&shot, y, &row);
		for (int x = 0; x < W; x++) {
			double d[3];
			ray_of(&v, &camera, x, y, d);
			double dd = d[0] * d[0] + d[1] * d[1] + d[2] * d[2], dt = d[0] * to[0] + d[1] * to[1] + d[2] * to[2];
			double disc = dt * dt - dd * (square - r * r);
			assert_int_equal(row.hit[x] == SURFACE_OBJECT, disc > 0);
			if (disc > 0)
				worst = fmax(worst, fabs(row.z[x] - (dt - sqrt(disc)) / dd)), hits++;
		}
	}
	/* The middle of the picture is where the axis meets the ball. */
	printf("# %d pixels of ball, largest error %.1e\n", hits, worst);
	assert_true(worst < 1e-7 && hits > 300); /* at the rim the root of a difference */
}

static void an_ellipsoid_and_a_box_head_on(void **state)
{
	for (int round = 0; round < 2; round++) {
		scene_house room = empty_room();
		room.object[room.objects++] = object_at(round, 0, 0, 1);
		cast_middle_row(&room);
		assert_true(fabs(row.z[32] - 1.7) < 1e-12); /* 2 less the half depth 0.3, for both */
		/* Along the middle row: the box ends where |x| = 0.4 at z = 1.7. */
		for (int x = 0; x < 65 && !round; x++)
			assert_int_equal(row.hit[x] == SURFACE_OBJECT, fabs((x + 0.5 - 32.5) / 80) * 1.7 < 0.4);
		/* The silhouette of an ellipsoid with half axes a (across) and c (along) at distance l: tan^2 = a^2 / (l^2 -
		 * c^2). */
		for (int x = 0; x < 65 && round; x++)
			assert_int_equal(row.hit[x] == SURFACE_OBJECT, fabs((x + 0.5 - 32.5) / 80) < sqrt(0.16 / (4 - 0.09)));
	}
}

static void turned_objects_keep_their_size(void **state)
{
	scene_house room = empty_room();
	/* A quarter turn about the vertical: width and depth change places. */
	room.object[room.objects++] = object_at(false, 0, 0, 1);
	const double quarter[9] = {0, 0, -1, 0, 1, 0, 1, 0, 0};
	memcpy(room.object[0].rot, quarter, sizeof quarter);
	cast_middle_row(&room);
	assert_true(fabs(row.z[32] - 1.6) < 1e-12);
	for (int x = 0; x < 65; x++)
		assert_int_equal(row.hit[x] == SURFACE_OBJECT, fabs((x + 0.5 - 32.5) / 80) * 1.6 < 0.3);
}

/* The rectangles only save work: without them every depth is the same. */
static void rectangles_leave_nothing_out(void **state)
{
	static scene_house room;
	static scene_path path;
	double z[W];
	int64_t hit[W], covered = 0;
	for (uint64_t seed = 0; seed < 60; seed++) {
		e3_scene_options o = E3_SCENE_DEFAULTS;
		scene_plan plan;
		o.seed = seed, o.path = seed % 2 ? E3_SCENE_WALK : E3_SCENE_CLIP;
		scene_plan_draw(&plan, &o);
		scene_path_draw(&path, &o, &plan);
		scene_house_draw(&room, &o, &plan, &path);
		scene_view v = scene_path_view(&path, (int64_t)(seed % 48));
		const scene_camera c = {W, H, seed % 3 ? 80 : 20};
		for (int y = 0; y < H; y += 5) {
			scene_shot_take(&shot, &room, &c, &v);
			scene_cast(&shot, y, &row);
			memcpy(z, row.z, sizeof z), memcpy(hit, row.hit, sizeof hit);
			for (int k = 0; k < room.objects; k++) {
				scene_seen *s = &shot.seen[k];
				covered += (int64_t)(s->right - s->left) * (s->bottom - s->top);
				s->left = s->top = 0, s->right = W, s->bottom = H;
			}
			scene_cast(&shot, y, &row);
			assert_memory_equal(z, row.z, sizeof z);
			assert_memory_equal(hit, row.hit, sizeof hit);
		}
	}
	double share = (double)covered / (60.0 * 15 * 14 * W * H);
	printf("# rectangles cover %.3f of the picture each\n", share);
	assert_true(share < 0.25);
}

enum { BIG_W = 640, BIG_H = 480 };

/* The depth at x, y when the pixels around it lie on one plane, where 1 / depth is linear in the picture; else NAN. */
static double plane_depth(const float *depth, double x, double y)
{
	int x0 = (int)floor(x), y0 = (int)floor(y);
	if (x0 < 1 || y0 < 1 || x0 + 2 >= BIG_W || y0 + 2 >= BIG_H)
		return NAN;
	double i[4][4], bent = 0;
	for (int r = 0; r < 4; r++)
		for (int c = 0; c < 4; c++)
			i[r][c] = 1 / (double)depth[(y0 - 1 + r) * BIG_W + x0 - 1 + c];
	for (int r = 0; r < 4; r++)
		for (int c = 0; c < 2; c++) {
			bent = fmax(bent, fabs(i[r][c] - 2 * i[r][c + 1] + i[r][c + 2]));
			bent = fmax(bent, fabs(i[c][r] - 2 * i[c + 1][r] + i[c + 2][r]));
		}
	double ax = x - x0, ay = y - y0;
	double v = (i[1][1] * (1 - ax) + i[1][2] * ax) * (1 - ay) + (i[2][1] * (1 - ax) + i[2][2] * ax) * ay;
	return bent < 1e-6 * v ? 1 / v : NAN;
}

typedef struct agreement {
	size_t compared, hidden, wrong;
	double worst; /* metres */
} agreement;

/* Every third pixel of one frame, put into space by its depth and seen from the other. */
static void compare_frames(const e3_scene_facts *facts, float *const depth[2], float (*const enc)[9], agreement *a)
{
	const double *k = facts->intrinsics;
	e3_pose from, to;
	double world[12];
	assert_int_equal(e3_pose_decode(enc[0], &from, NULL), 0);
	assert_int_equal(e3_pose_decode(enc[1], &to, NULL), 0);
	e3_pose_to_world(&from, world);
	for (int at = 0; at < BIG_W * BIG_H; at += 3) {
		double d = depth[0][at], c[3] = {(at % BIG_W - k[2]) * d / k[0], ((double)(at / BIG_W) - k[3]) * d / k[1], d},
			   p[3], q[3];
		for (int j = 0; j < 3; j++)
			p[j] = world[4 * j] * c[0] + world[4 * j + 1] * c[1] + world[4 * j + 2] * c[2] + world[4 * j + 3];
		for (int j = 0; j < 3; j++)
			q[j] = to.r[3 * j] * p[0] + to.r[3 * j + 1] * p[1] + to.r[3 * j + 2] * p[2] + to.t[j];
		double seen = q[2] > 0 ? plane_depth(depth[1], q[0] / q[2] * k[0] + k[2], q[1] / q[2] * k[1] + k[3]) : NAN;
		if (isnan(seen))
			continue;
		double behind = (q[2] - seen) * facts->metres;
		a->compared++;
		a->wrong += behind < -1e-4;
		if (behind > 1e-3)
			a->hidden++;
		else
			a->worst = fmax(a->worst, fabs(behind));
	}
}

static agreement agreement_of(const e3_scene_options *o, int64_t from, int64_t to)
{
	static float first[BIG_W * BIG_H], second[BIG_W * BIG_H];
	float *const depth[2] = {first, second};
	agreement a = {0};
	float enc[2][9];
	e3_scene *s = e3_scene_open(o, NULL);
	assert_non_null(s);
	e3_scene_render(s, from, NULL, first, enc[0]);
	e3_scene_render(s, to, NULL, second, enc[1]);
	compare_frames(e3_scene_describe(s), depth, enc, &a);
	e3_scene_close(s);
	return a;
}

static void points_agree_between_frames(void **state)
{
	agreement a = {0};
	for (uint64_t n = 0; n < 12; n++) {
		bool door = n >= 6; /* through the door, which half of the way round both rooms lies behind */
		e3_scene_options o = E3_SCENE_DEFAULTS;
		o.seed = n % 6, o.w = BIG_W, o.h = BIG_H, o.path = door || n % 2 ? E3_SCENE_WALK : E3_SCENE_CLIP;
		o.metres = n % 3 == 0;
		if (door)
			o.rooms = 2, o.laps = 1, o.frames = 120;
		agreement one = door ? agreement_of(&o, 48 + 2 * (int64_t)(n % 6), 57) : agreement_of(&o, 3, 15);
		a.compared += one.compared, a.hidden += one.hidden, a.wrong += one.wrong;
		a.worst = fmax(a.worst, one.worst);
	}
	printf("# %zu points compared, %zu hidden, %zu in front of the surface; the others within %.1e m\n", a.compared,
		a.hidden, a.wrong, a.worst);
	assert_true(a.compared > 100000 && a.hidden < a.compared / 5);
	assert_int_equal(a.wrong, 0);
	assert_true(a.worst < 1e-4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_room),
		cmocka_unit_test(looking_along_an_axis),
		cmocka_unit_test(a_ball),
		cmocka_unit_test(an_ellipsoid_and_a_box_head_on),
		cmocka_unit_test(turned_objects_keep_their_size),
		cmocka_unit_test(rectangles_leave_nothing_out),
		cmocka_unit_test(points_agree_between_frames),
	};
	return cmocka_run_group_tests_name("scene: depth", tests, open_row, close_row);
}
