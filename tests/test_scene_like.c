/* Scenes are like those the demo model was trained on: means over many seeds against means over 10,000 scenes of the
 * generator that made its training data (16 x 12 pixels, 12 frames), and each drawn parameter's range. */
#include "check.h"
#include "e3/mem.h"
#include "e3/scene.h"
#include "scene/arith.h"
#include "scene/room.h"

enum { W = 16, H = 12, FRAMES = 12, SCENES = 500 };

enum {
	DEPTH_LAST,
	DEPTH_LEAST,
	DEPTH_MOST,
	DEPTH_SPREAD,
	CENTRE_MIDDLE,
	CENTRE_LAST,
	TURN,
	FOV_H,
	FOV_W,
	RED,
	GREEN,
	BLUE,
	CONTRAST,
	TOP_ROW,
	BOTTOM_ROW,
	ACROSS,
	DOWN,
	SATURATION,
	DEPTH_TOP,
	DEPTH_BOTTOM,
	DEPTH_ACROSS,
	MEASURES
};

/* Mean and standard deviation over the generator's scenes. */
static const struct {
	const char *name;
	double mean, sd;
} reference[MEASURES] = {
	[DEPTH_LAST] = {"mean depth of the last frame", 0.92292, 0.15497},
	[DEPTH_LEAST] = {"least depth", 0.38113, 0.10159},
	[DEPTH_MOST] = {"greatest depth", 1.50327, 0.19576},
	[DEPTH_SPREAD] = {"deviation of depth", 0.26287, 0.07905},
	[CENTRE_MIDDLE] = {"distance of frame 6", 0.14866, 0.07148},
	[CENTRE_LAST] = {"distance of the last frame", 0.24517, 0.11527},
	[TURN] = {"turn of the last frame", 0.31806, 0.21317},
	[FOV_H] = {"vertical field of view", 0.81743, 0.02546},
	[FOV_W] = {"horizontal field of view", 1.04729, 0.03023},
	[RED] = {"red", 0.49147, 0.09125},
	[GREEN] = {"green", 0.49035, 0.09176},
	[BLUE] = {"blue", 0.49041, 0.09070},
	[CONTRAST] = {"deviation of the pixels", 0.15917, 0.03446},
	[TOP_ROW] = {"top row", 0.46663, 0.11270},
	[BOTTOM_ROW] = {"bottom row", 0.56504, 0.12239},
	[ACROSS] = {"steps from pixel to pixel", 0.06430, 0.01665},
	[DOWN] = {"steps from row to row", 0.07101, 0.01797},
	[SATURATION] = {"saturation", 0.12842, 0.04070},
	[DEPTH_TOP] = {"depth of the top row", 1.08459, 0.10550},
	[DEPTH_BOTTOM] = {"depth of the bottom row", 0.59725, 0.09160},
	[DEPTH_ACROSS] = {"steps of depth", 0.06413, 0.01980},
};

static double mean(const float *v, int n, int stride)
{
	double sum = 0;
	for (int k = 0; k < n; k++)
		sum += v[k * stride];
	return sum / n;
}

static double deviation(const float *v, int n)
{
	double m = mean(v, n, 1), sum = 0;
	for (int k = 0; k < n; k++)
		sum += (v[k] - m) * (v[k] - m);
	return sqrt(sum / (n - 1));
}

static double steps(const float *v, int w, int h, int to)
{
	double sum = 0;
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			sum += fabs((double)v[y * W + x + to] - v[y * W + x]);
	return sum / (w * h);
}

static void measure_picture(const uint8_t *rgb, const float *depth, double *m)
{
	float all[3 * W * H], grey[W * H], span[W * H];
	for (int k = 0; k < W * H; k++) {
		float lo = 1, hi = 0;
		for (int c = 0; c < 3; c++) {
			float v = (float)rgb[3 * k + c] / 255;
			all[3 * k + c] = v;
			lo = v < lo ? v : lo, hi = v > hi ? v : hi;
		}
		grey[k] = (all[3 * k] + all[3 * k + 1] + all[3 * k + 2]) / 3;
		span[k] = hi - lo;
	}
	for (int c = 0; c < 3; c++)
		m[RED + c] = mean(all + c, W * H, 3);
	m[CONTRAST] = deviation(all, 3 * W * H);
	m[TOP_ROW] = mean(grey, W, 1);
	m[BOTTOM_ROW] = mean(grey + W * (H - 1), W, 1);
	m[ACROSS] = steps(grey, W - 1, H, 1);
	m[DOWN] = steps(grey, W, H - 1, W);
	m[SATURATION] = mean(span, W * H, 1);
	m[DEPTH_SPREAD] = deviation(depth, W * H);
	m[DEPTH_TOP] = mean(depth, W, 1);
	m[DEPTH_BOTTOM] = mean(depth + W * (H - 1), W, 1);
	m[DEPTH_ACROSS] = steps(depth, W - 1, H, 1);
}

/* |camera centre| = |t|: rotations keep lengths. */
static double away(const float pose[9])
{
	return sqrt((double)pose[0] * pose[0] + (double)pose[1] * pose[1] + (double)pose[2] * pose[2]);
}

static void measure(uint64_t seed, double *m)
{
	e3_scene_options o = E3_SCENE_DEFAULTS;
	e3_err err;
	uint8_t rgb[3 * W * H];
	float depth[W * H], pose[9];
	o.seed = seed, o.w = W, o.h = H, o.frames = FRAMES;
	e3_scene *s = e3_scene_open(&o, &err);
	assert_non_null(s);
	m[DEPTH_LEAST] = INFINITY, m[DEPTH_MOST] = 0;
	for (int i = 0; i < FRAMES; i++) {
		e3_scene_render(s, i, i ? NULL : rgb, depth, pose);
		if (i == 0)
			measure_picture(rgb, depth, m);
		if (i == 6)
			m[CENTRE_MIDDLE] = away(pose);
		for (int k = 0; k < W * H; k++) {
			m[DEPTH_LEAST] = fmin(m[DEPTH_LEAST], depth[k]);
			m[DEPTH_MOST] = fmax(m[DEPTH_MOST], depth[k]);
		}
	}
	m[DEPTH_LAST] = mean(depth, W * H, 1);
	m[CENTRE_LAST] = away(pose);
	m[TURN] = 2 * acos(fmin(pose[6], 1));
	m[FOV_H] = pose[7], m[FOV_W] = pose[8];
	e3_scene_close(s);
}

static void means_agree(void **state)
{
	static double m[SCENES][MEASURES];
	int off = 0;
	for (int n = 0; n < SCENES; n++)
		measure((uint64_t)n + 1, m[n]);
	for (int k = 0; k < MEASURES; k++) {
		double sum = 0, squares = 0, sd = reference[k].sd;
		for (int n = 0; n < SCENES; n++)
			sum += m[n][k];
		for (int n = 0; n < SCENES; n++)
			squares += (m[n][k] - sum / SCENES) * (m[n][k] - sum / SCENES);
		double own = sqrt(squares / (SCENES - 1)),
			   z = (sum / SCENES - reference[k].mean) / (sd * sqrt(1.0 / SCENES + 1e-4));
		printf("# %-30s %.4f, reference %.4f: %+.1f standard errors; deviation %.4f, reference %.4f\n",
			reference[k].name, sum / SCENES, reference[k].mean, z, own, sd);
		off += !(fabs(z) < 3.5) + !(own > 0.8 * sd && own < 1.25 * sd);
	}
	assert_int_equal(off, 0);
}

/* A drawn number: its range, and its mean within four standard errors of a uniform distribution's. */
typedef struct drawn {
	const char *name;
	double lo, hi, least, most, sum;
	int n;
} drawn;

static void note(drawn *d, double v)
{
	d->least = d->n ? fmin(d->least, v) : v;
	d->most = d->n ? fmax(d->most, v) : v;
	d->sum += v, d->n++;
}

static int uniform(const drawn *d)
{
	double width = d->hi - d->lo, z = (d->sum / d->n - (d->lo + d->hi) / 2) / (width / sqrt(12.0 * d->n));
	printf("# %-12s %d of [%.3f, %.3f]: %.3f to %.3f, mean off by %+.1f standard errors\n", d->name, d->n, d->lo, d->hi,
		d->least, d->most, z);
	double room = 20 * width / d->n; /* the extremes of n draws come that near to the ends, but for one case in 10^8 */
	return d->least >= d->lo && d->most <= d->hi && d->least < d->lo + room && d->most > d->hi - room && fabs(z) < 4;
}

enum {
	D_WIDE,
	D_HIGH,
	D_EYE,
	D_OBJECT,
	D_FOV,
	D_AMBIENT,
	D_FALLOFF,
	D_GAIN,
	D_GAMMA,
	D_TINT,
	D_SCALE,
	D_FLOOR_SCALE,
	D_CEILING,
	DRAWN
};

static void parameters_have_their_ranges(void **state)
{
	drawn d[DRAWN] = {
		[D_WIDE] = {.name = "half width", .lo = 1.9, .hi = 3.4},
		[D_HIGH] = {.name = "half height", .lo = 1.25, .hi = 1.45},
		[D_EYE] = {.name = "eye height", .lo = 1.3, .hi = 1.7},
		[D_OBJECT] = {.name = "log size", .lo = log(0.13), .hi = log(0.55)},
		[D_FOV] = {.name = "view", .lo = 57, .hi = 63},
		[D_AMBIENT] = {.name = "ambient", .lo = 0.5, .hi = 0.75},
		[D_FALLOFF] = {.name = "falloff", .lo = 0, .hi = 0.04},
		[D_GAIN] = {.name = "gain", .lo = 0.9, .hi = 1.15},
		[D_GAMMA] = {.name = "gamma", .lo = 0.8, .hi = 1.1},
		[D_TINT] = {.name = "tint", .lo = 0.95, .hi = 1.05},
		[D_SCALE] = {.name = "log scale", .lo = log(1.2), .hi = log(4.5)},
		[D_FLOOR_SCALE] = {.name = "floor scale", .lo = 1.8, .hi = 3.2},
		[D_CEILING] = {.name = "ceiling", .lo = 0.8, .hi = 0.95},
	};
	int round = 0, objects = 0, pattern[PATTERNS] = {0}, floors[PATTERNS] = {0};
	static scene_house house;
	static scene_path path;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		e3_scene_options o = E3_SCENE_DEFAULTS;
		scene_plan plan;
		o.seed = seed, o.frames = 12;
		scene_plan_draw(&plan, &o);
		scene_path_draw(&path, &o, &plan);
		scene_house_draw(&house, &o, &plan, &path);
		const scene_room room = house.room[ROOM_FIRST];
		note(&d[D_WIDE], room.box.half[0]), note(&d[D_HIGH], room.box.half[1]),
			note(&d[D_EYE], path.start[1] + room.box.half[1]);
		note(&d[D_FOV], scene_fov(&o) * 180 / SCENE_PI), note(&d[D_AMBIENT], room.light.ambient),
			note(&d[D_FALLOFF], room.light.falloff);
		note(&d[D_GAIN], room.light.gain), note(&d[D_GAMMA], room.light.gamma), note(&d[D_TINT], room.light.tint[1]);
		note(&d[D_SCALE], log(room.face[0].scale)), note(&d[D_FLOOR_SCALE], room.face[FACE_FLOOR].scale);
		note(&d[D_CEILING], room.face[FACE_CEILING].a[0]);
		floors[room.face[FACE_FLOOR].pattern]++;
		assert_int_equal(room.face[FACE_CEILING].pattern, CLOUDS);
		for (int k = 0; k < 6; k++)
			pattern[room.face[k].pattern] += k != FACE_FLOOR && k != FACE_CEILING;
		for (int k = 0; k < house.objects; k++) {
			round += house.object[k].round;
			note(&d[D_OBJECT], log(house.object[k].half[1]));
		}
		objects += house.objects;
	}
	int good = 0;
	for (int k = 0; k < DRAWN;
		 k++) /* sizes of objects: large ones are left out more often, so only their range is theirs */
		good += k == D_OBJECT ? d[k].least >= d[k].lo && d[k].most <= d[k].hi : uniform(&d[k]);
	assert_int_equal(good, DRAWN);
	printf("# %d objects in 1000 rooms, %.3f of them round\n", objects, (double)round / objects);
	assert_in_range(objects, 13000, 14000);
	assert_true(fabs((double)round / objects - 0.35) < 4 * sqrt(0.35 * 0.65 / objects) + 0.01);
	for (int k = 0; k < PATTERNS; k++) {
		assert_true(fabs(pattern[k] / 4000.0 - 1.0 / PATTERNS) < 4 * sqrt(5.0 / 36 / 4000));
		bool on_floors = k == CHECKS || k == STRIPES || k == BRICKS;
		assert_true(on_floors ? abs(floors[k] - 333) < 60 : floors[k] == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(means_agree),
		cmocka_unit_test(parameters_have_their_ranges),
	};
	return cmocka_run_group_tests_name("scene: like the training scenes", tests, NULL, NULL);
}
