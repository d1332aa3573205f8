/* scene: the camera's path through the room. Any frame's view can be computed without the others; computing them in
 * order is cheap. */
#include "path.h"
#include "arith.h"
#include <string.h>

#define MARGIN 0.45     /* metres between the camera and any wall */
#define STEP_MEAN 0.65  /* mean of the uneven steps, which are 0.3 to 1 */
#define GAZE_METRES 1.0 /* between the control points of where a walk looks */

static double draw(const scene_path *path, int what, int index, double lo, double hi)
{
	return scene_uniform(path->seed, (uint64_t)what, (uint64_t)index, lo, hi);
}

/* A uniform cubic B-spline: stays within the hull of its control points, with continuous acceleration. */
static void spline_weights(double t, double weight[4])
{
	double s = 1 - t;
	weight[0] = s * s * s / 6;
	weight[1] = (3 * t * t * t - 6 * t * t + 4) / 6;
	weight[2] = (3 * s * s * s - 6 * s * s + 4) / 6;
	weight[3] = t * t * t / 6;
}

static void walk_point(const scene_path *path, double u, double p[3])
{
	double weight[4], k = floor(u);
	spline_weights(u - k, weight);
	for (int axis = 0; axis < 3; axis++) {
		p[axis] = 0;
		for (int j = 0; j < 4; j++)
			p[axis] += weight[j] * path->tour.knot[((int)k + j) % path->knots][axis];
	}
}

static double distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
	return sqrt(x * x + y * y + z * z);
}

/* The direction of the view there, without the gaze: to the middle of a single room, else as the tour says. */
static double walk_yaw(const scene_path *path, double u, const double eye[3])
{
	if (path->rooms == 1)
		return scene_atan2(-eye[2], -eye[0]);
	double weight[4], k = floor(u), yaw = 0;
	spline_weights(u - k, weight);
	for (int j = 0; j < 4; j++) {
		int at = (int)k + j;
		yaw += weight[j] * (path->tour.yaw[at % path->knots] + (at < path->knots ? 0 : path->tour.turned));
	}
	return yaw;
}

/* Where on the spline the walk is after so many metres; it closes after along[WALK_SAMPLES] of them. */
static double walk_at(const scene_path *path, double metres)
{
	double round = path->along[WALK_SAMPLES];
	metres -= round * floor(metres / round);
	int lo = 0, hi = WALK_SAMPLES;
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;
		if (path->along[mid] <= metres)
			lo = mid;
		else
			hi = mid;
	}
	double part = (metres - path->along[lo]) / (path->along[hi] - path->along[lo]);
	return (lo + part) * path->knots / WALK_SAMPLES;
}

/* A smooth random function of the metres walked; its control points never repeat. */
static double gaze(const scene_path *path, int what, double metres, double lo, double hi)
{
	double weight[4], at = metres / GAZE_METRES, k = floor(at), sum = 0;
	spline_weights(at - k, weight);
	for (int j = 0; j < 4; j++)
		sum += weight[j] * scene_uniform(path->seed, (uint64_t)what, (uint64_t)((int64_t)k + j), lo, hi);
	return sum;
}

static void draw_walk(scene_path *path, const scene_plan *plan)
{
	const scene_box *box = &plan->box[ROOM_FIRST];
	double turn = draw(path, DRAW_HEADING, 0, 0, 2 * SCENE_PI),
		   sense = draw(path, DRAW_HEADING, 1, 0, 1) < 0.5 ? -1 : 1;
	const scene_round round = {plan->seed, box, turn, sense};
	path->knots = plan->rooms == 2 ? TOUR_KNOTS : ROUND_KNOTS;
	if (plan->rooms == 2)
		scene_tour_draw(&path->tour, plan);
	else
		for (int k = 0; k < ROUND_KNOTS; k++)
			scene_round_knot(&round, k, k, path->tour.knot[k]);
	double before[3], p[3];
	walk_point(path, 0, before);
	memcpy(path->start, before, sizeof before);
	for (int k = 1; k <= WALK_SAMPLES; k++) {
		walk_point(path, (double)k * path->knots / WALK_SAMPLES, p);
		path->along[k] = path->along[k - 1] + distance(before, p);
		memcpy(before, p, sizeof p);
	}
	path->yaw = walk_yaw(path, 0, path->start) + gaze(path, DRAW_GAZE_YAW, 0, -0.9, 0.9);
}

static void draw_clip(scene_path *path, const double half[3], double span)
{
	double height = draw(path, DRAW_HEIGHT, 0, 1.3, 1.7);
	double angle = draw(path, DRAW_PLACE, 0, 0, 2 * SCENE_PI), radius = draw(path, DRAW_PLACE, 1, 0.3, 0.75);
	path->start[0] = radius * scene_cos(angle) * half[0];
	path->start[1] = height - half[1];
	path->start[2] = radius * scene_sin(angle) * half[2];
	path->heading = draw(path, DRAW_HEADING, 0, 0, 2 * SCENE_PI);
	path->climb = draw(path, DRAW_HEADING, 1, -0.12, 0.12);
	path->bend = draw(path, DRAW_BEND, 0, -0.4, 0.4);
	path->length = span;
	/* mostly towards the middle of the room */
	path->yaw = scene_atan2(-path->start[2], -path->start[0]) + draw(path, DRAW_YAW, 0, -0.7, 0.7);
	path->sweep = draw(path, DRAW_SWEEP, 0, -0.8, 0.8) * span;
	path->pitch = draw(path, DRAW_PITCH, 0, -0.4, -0.12);
	path->pitch_sweep = draw(path, DRAW_PITCH, 1, -0.1, 0.1);
	double far = draw(path, DRAW_FOCUS, 0, 1.6, 3.2);
	path->focus[0] = path->start[0] + far * scene_cos(path->yaw);
	path->focus[1] = path->start[1] - far * 0.28;
	path->focus[2] = path->start[2] + far * scene_sin(path->yaw);
	path->orbit = draw(path, DRAW_ORBIT, 0, 0, 1) < 0.6;
	path->roll = draw(path, DRAW_ROLL, 0, -0.04, 0.04);
	path->roll_sweep = draw(path, DRAW_ROLL, 1, -0.03, 0.03);
}

static double step_of(const scene_path *path, int64_t frame)
{
	return scene_uniform(path->seed, DRAW_STEP, (uint64_t)frame, 0.3, 1);
}

/* How far along the whole path the frame is: 0 at the first, 1 at the last, with uneven steps, as a hand moves. */
static double progress(scene_path *path, int64_t frame)
{
	if (frame < path->step)
		path->step = 0, path->stepped = 0;
	while (path->step < frame)
		path->stepped += step_of(path, ++path->step);
	return path->stepped / path->jitter_total;
}

/* There and back: a triangle function with a rounded tip. */
static double there_and_back(double t)
{
	const double tip = 0.1, x = 2 * t - 1;
	return 1 - (sqrt(x * x + tip * tip) - tip) / (sqrt(1 + tip * tip) - tip);
}

void scene_look(const double eye[3], const double target[3], double roll, double rot[9])
{
	double z[3], far = distance(eye, target), s, c;
	for (int axis = 0; axis < 3; axis++)
		z[axis] = (target[axis] - eye[axis]) / far;
	double level = sqrt(z[0] * z[0] + z[2] * z[2]);
	const double x[3] = {-z[2] / level, 0, z[0] / level};                       /* z × up */
	const double y[3] = {z[1] * x[2], z[2] * x[0] - z[0] * x[2], -z[1] * x[0]}; /* z × x: downwards */
	scene_sincos(roll, &s, &c);
	for (int axis = 0; axis < 3; axis++) {
		rot[axis] = c * x[axis] + s * y[axis];
		rot[3 + axis] = c * y[axis] - s * x[axis];
		rot[6 + axis] = z[axis];
	}
}

static void ahead_of(const double eye[3], double yaw, double pitch, double target[3])
{
	target[0] = eye[0] + scene_cos(yaw) * scene_cos(pitch);
	target[1] = eye[1] + scene_sin(pitch);
	target[2] = eye[2] + scene_sin(yaw) * scene_cos(pitch);
}

static void clip_eye(const scene_path *path, double along, double eye[3])
{
	double s, c, sideways = path->bend * scene_sin(SCENE_PI * along * path->length);
	scene_sincos(path->heading, &s, &c);
	eye[0] = path->start[0] + path->metres * (c * along - s * sideways);
	eye[1] = path->start[1] + path->metres * path->climb * along;
	eye[2] = path->start[2] + path->metres * (s * along + c * sideways);
}

static double clamp(double v, double limit) { return v > limit ? limit : v < -limit ? -limit : v; }

scene_view scene_path_view(scene_path *path, int64_t frame)
{
	scene_view v;
	double t = progress(path, frame), along = path->revisit ? there_and_back(t) : t, target[3], roll, u = 0;
	double off =
		path->revisit && t > 0.5 ? (2 * t - 1) * (2 * t - 1) * (5 - 4 * t) : 0; /* smoothstep over the second half */
	bool walk = path->kind == E3_SCENE_WALK;
	if (walk) {
		u = walk_at(path, along * path->metres);
		walk_point(path, u, v.eye);
	} else
		clip_eye(path, along, v.eye);
	for (int axis = 0; axis < 3; axis++)
		v.eye[axis] = clamp(v.eye[axis] + off * path->back[axis], path->limit[axis]);
	double yaw = off * path->back_yaw;
	if (walk) {
		double m = along * path->metres;
		yaw += walk_yaw(path, u, v.eye) + gaze(path, DRAW_GAZE_YAW, m, -0.9, 0.9);
		ahead_of(v.eye, yaw, gaze(path, DRAW_GAZE_PITCH, m, -0.45, -0.1), target);
		roll = gaze(path, DRAW_GAZE_ROLL, m, -0.06, 0.06);
	} else {
		yaw += path->yaw + path->sweep * along;
		ahead_of(v.eye, yaw, path->pitch + path->pitch_sweep * along, target);
		roll = path->roll + path->roll_sweep * along;
	}
	scene_look(v.eye, path->orbit ? path->focus : target, roll, v.rot);
	return v;
}

/* Points that the camera passes, where no object may stand; and the length of the path. */
static void sample(scene_path *path)
{
	int64_t step = 1 + (path->frames - 1) / WALK_SAMPLES;
	double before[3];
	for (int64_t k = 0; k < path->frames; k += step) {
		scene_view v = scene_path_view(path, k);
		if (k)
			path->total += distance(before, v.eye);
		memcpy(before, v.eye, sizeof before);
		if (path->kind == E3_SCENE_CLIP)
			memcpy(path->passes[path->n_passes++], v.eye, sizeof v.eye);
	}
	if (path->kind == E3_SCENE_CLIP)
		return;
	for (int k = 0; k < WALK_SAMPLES; k++)
		walk_point(path, (double)k * path->knots / WALK_SAMPLES, path->passes[k]);
	path->n_passes = WALK_SAMPLES;
}

void scene_path_draw(scene_path *path, const e3_scene_options *o, const scene_plan *plan)
{
	const double *half = plan->box[ROOM_FIRST].half;
	*path = (scene_path){.seed = o->seed,
		.frames = o->frames,
		.kind = o->path,
		.revisit = o->revisit,
		.endless = o->endless,
		.rooms = plan->rooms};
	for (int axis = 0; axis < 3; axis++)
		path->limit[axis] = plan->rooms == 1 ? half[axis] - MARGIN : INFINITY;
	path->metres = draw(path, DRAW_LENGTH, 0, 0.2, 1.5) * o->length;
	if (o->path == E3_SCENE_WALK)
		draw_walk(path, plan);
	else
		draw_clip(path, half, o->length);
	if (o->laps > 0)
		path->metres = o->laps * path->along[WALK_SAMPLES];
	if (path->metres == 0) /* it stands still */
		path->pitch_sweep = path->roll_sweep = 0;
	else if (o->revisit) {
		for (int axis = 0; axis < 3; axis++)
			path->back[axis] = draw(path, DRAW_BACK, axis, -0.2, 0.2) * (axis == 1 ? 0.4 : 1);
		path->back_yaw = draw(path, DRAW_BACK, 3, -0.2, 0.2);
	}
	for (int64_t k = 1; k < o->frames; k++)
		path->jitter_total += step_of(path, k);
	if (o->frames == 1)
		path->jitter_total = STEP_MEAN;
	sample(path);
}

bool scene_path_clear(const scene_path *path, const double centre[3], double radius)
{
	if (path->kind == E3_SCENE_WALK && path->revisit)
		radius += 0.3; /* the path back deviates by at most that */
	for (int k = 0; k < path->n_passes; k++)
		if (distance(path->passes[k], centre) < radius)
			return false;
	return true;
}
