/* scene: a scene: generated once from its options, then rendered frame by frame, in any order. */
#include "arith.h"
#include "cast.h"
#include "e3/mem.h"
#include "e3/thread.h"
#include "pose.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4 }; /* rows per task */

struct e3_scene {
	e3_scene_options o;
	e3_scene_facts facts;
	scene_house house;
	scene_path path;
	scene_camera camera;
	scene_shot shot;
	scene_view first;
	float fov[2]; /* vertical, horizontal */
	float gamma[SCENE_GAMMA + 2], normal[SCENE_NORMAL];
	e3_pool *pool;
	scene_row row[E3_SCENE_THREADS_MAX];
	uint8_t *rgb; /* output of the current frame */
	float *depth;
};

static int check(const e3_scene_options *o, e3_err *err)
{
	if (o->w < 1 || o->h < 1 || o->w > E3_SCENE_SIDE_MAX || o->h > E3_SCENE_SIDE_MAX ||
		(int64_t)o->w * o->h > E3_SCENE_PIXELS_MAX)
		return e3_fail(err, "size %d × %d: sides go from 1 to %d, and no more than %d pixels fit into a truth message",
			o->w, o->h, E3_SCENE_SIDE_MAX, E3_SCENE_PIXELS_MAX);
	if (o->frames < 1 || o->frames > E3_SCENE_FRAMES_MAX)
		return e3_fail(err, "%" PRId64 " frames: expected 1 to %d", o->frames, E3_SCENE_FRAMES_MAX);
	if (!(o->length >= 0 && o->length <= 1000))
		return e3_fail(err, "length %g: expected 0 to 1000", o->length);
	if (o->objects < 0 || o->objects > E3_SCENE_OBJECTS_MAX)
		return e3_fail(err, "%d objects: expected 0 to %d", o->objects, E3_SCENE_OBJECTS_MAX);
	if (!(o->fov == 0 || (o->fov >= 0.01 && o->fov <= 3)))
		return e3_fail(err, "field of view %g: expected 0.01 to 3 radians", o->fov);
	if (!(o->noise >= 0 && o->noise <= 1))
		return e3_fail(err, "noise %g: expected 0 to 1", o->noise);
	if (o->threads < 1 || o->threads > E3_SCENE_THREADS_MAX)
		return e3_fail(err, "%d threads: expected 1 to %d", o->threads, E3_SCENE_THREADS_MAX);
	if (o->rooms < 0 || o->rooms > 2)
		return e3_fail(err, "%d rooms: expected 1 or 2", o->rooms);
	if (o->rooms == 2 && o->path != E3_SCENE_WALK)
		return e3_fail(err, "only a walk goes through two rooms");
	if (o->alike && o->rooms != 2)
		return e3_fail(err, "look-alikes need two rooms");
	if (!(o->laps >= 0 && o->laps <= 1000) || (o->laps > 0 && o->path != E3_SCENE_WALK))
		return e3_fail(err, "%g times round: expected a walk, and 0 to 1000", o->laps);
	if (o->endless && (o->path != E3_SCENE_WALK || o->revisit))
		return e3_fail(err, "only a walk that does not turn back can be endless");
	return 0;
}

/* Quantiles of the normal distribution at (k + 1/2) / SCENE_NORMAL: solves x' = sqrt(2 pi) exp(x^2 / 2) from the middle
 * outwards. */
static void fill_normal(float *normal, double deviation)
{
	enum { HALF = SCENE_NORMAL / 2, SUBSTEPS = 8 };
	const double root = sqrt(2 * SCENE_PI);
	double x = 0;
	for (int k = 0; k < HALF; k++) {
		int steps = k ? SUBSTEPS : SUBSTEPS / 2;
		double h = 1.0 / SUBSTEPS / SCENE_NORMAL;
		for (int n = 0; n < steps; n++) { /* fourth-order Runge-Kutta */
			double a = root * scene_exp(x * x / 2), x1 = x + h / 2 * a, b = root * scene_exp(x1 * x1 / 2);
			double x2 = x + h / 2 * b, c = root * scene_exp(x2 * x2 / 2), x3 = x + h * c,
				   d = root * scene_exp(x3 * x3 / 2);
			x += h / 6 * (a + 2 * b + 2 * c + d);
		}
		normal[HALF + k] = (float)(deviation * x);
		normal[HALF - 1 - k] = (float)(-deviation * x);
	}
}

static void fill_gamma(float *curve, double gamma)
{
	curve[0] = 0;
	for (int k = 1; k <= SCENE_GAMMA + 1; k++)
		curve[k] = (float)scene_pow((double)k / SCENE_GAMMA, gamma);
}

static void do_rows(void *ctx, int task, int thread)
{
	e3_scene *s = ctx;
	scene_row *row = &s->row[thread];
	const size_t w = (size_t)s->camera.w;
	const double metres = s->facts.metres;
	for (int y = task * BLOCK; y < (task + 1) * BLOCK && y < s->camera.h; y++) {
		scene_cast(&s->shot, y, row);
		for (size_t x = 0; s->depth && x < w; x++)
			s->depth[(size_t)y * w + x] = (float)(row->z[x] / metres);
		if (s->rgb)
			scene_paint_row(&s->shot, y, row, s->rgb + 3 * w * (size_t)y);
	}
}

static scene_view take(e3_scene *s, int64_t i)
{
	scene_view view = scene_path_view(&s->path, i);
	scene_shot_take(&s->shot, &s->house, &s->camera, &view);
	s->shot.gamma = s->gamma, s->shot.normal = s->normal;
	s->shot.noise = (uint32_t)scene_bits(s->o.seed, DRAW_NOISE, (uint64_t)i);
	return view;
}

/* The unit: the mean distance from the first camera to the points it sees. */
static double mean_distance(e3_scene *s)
{
	double sum = 0;
	scene_row *row = &s->row[0];
	for (int y = 0; y < s->camera.h; y++) {
		double py = (y + 0.5 - s->camera.h / 2.0) / s->camera.focal;
		scene_cast(&s->shot, y, row);
		for (int x = 0; x < s->camera.w; x++) {
			double px = (x + 0.5 - s->camera.w / 2.0) / s->camera.focal;
			sum += row->z[x] * sqrt(px * px + py * py + 1);
		}
	}
	return sum / ((double)s->camera.w * s->camera.h);
}

static void draw(e3_scene *s)
{
	const e3_scene_options *o = &s->o;
	scene_plan plan;
	scene_plan_draw(&plan, o);
	scene_path_draw(&s->path, o, &plan);
	scene_house_draw(&s->house, o, &plan, &s->path);
	const double *half = plan.box[ROOM_FIRST].half, fov = scene_fov(o);
	s->camera = (scene_camera){o->w, o->h, o->w / 2.0 / scene_tan(fov / 2)};
	s->fov[0] = (float)(2 * scene_atan(o->h / 2.0 / s->camera.focal));
	s->fov[1] = (float)fov;
	fill_gamma(s->gamma, s->house.room[ROOM_FIRST].light.gamma);
	fill_normal(s->normal, o->noise);
	s->first = take(s, 0);
	s->facts = (e3_scene_facts){
		.room = {2 * half[0], 2 * half[1], 2 * half[2]},
		.rooms = s->house.rooms,
		.objects = s->house.objects,
		.metres = o->metres ? 1 : mean_distance(s),
		.length = s->path.total,
		.up = {s->first.rot[1], s->first.rot[4], s->first.rot[7]},
		.lap = o->path == E3_SCENE_WALK ? s->path.along[WALK_SAMPLES] : 0,
		/* rays go through pixel centres, and the axis through the middle of the picture */
		.intrinsics = {s->camera.focal, s->camera.focal, o->w / 2.0 - 0.5, o->h / 2.0 - 0.5},
		.unit = o->metres ? "m" : "mean distance of the first frame's points",
	};
}

e3_scene *e3_scene_open(const e3_scene_options *o, e3_err *err)
{
	if (check(o, err)) {
		e3_fail_in(err, "making a scene");
		return NULL;
	}
	e3_scene *s = e3_alloc(1, sizeof *s, "a scene", err);
	if (!s)
		return NULL;
	s->o = *o;
	int rc = 0;
	for (int t = 0; t < o->threads && !rc; t++)
		rc = scene_row_open(&s->row[t], o->w, err);
	if (rc || !(s->pool = e3_pool_open(o->threads, E3_POOL_SLEEP, err))) {
		e3_scene_close(s);
		return NULL;
	}
	draw(s);
	return s;
}

const e3_scene_facts *e3_scene_describe(const e3_scene *s) { return &s->facts; }

void e3_scene_render(e3_scene *s, int64_t i, uint8_t *rgb, float *depth, float pose[9])
{
	double p[7];
	scene_view view = take(s, i);
	s->rgb = rgb, s->depth = depth;
	if (rgb || depth)
		e3_parallel_for(s->pool, (s->camera.h + BLOCK - 1) / BLOCK, do_rows, s);
	scene_pose(&s->first, &view, s->facts.metres, p);
	for (int k = 0; k < 7; k++)
		pose[k] = (float)p[k];
	pose[7] = s->fov[0], pose[8] = s->fov[1];
}

void e3_scene_close(e3_scene *s)
{
	if (!s)
		return;
	e3_pool_close(s->pool);
	for (int t = 0; t < s->o.threads; t++)
		scene_row_close(&s->row[t]);
	free(s);
}
