/* scene: the camera's way through the room. Any frame's view can be had by itself; views in order cost no more than
 * each other. */
#include "way.h"
#include "arith.h"
#include <string.h>

#define MARGIN 0.45     /* metres between the camera and any wall */
#define STEP_MEAN 0.65  /* of the uneven steps, 0.3 to 1 */
#define GAZE_METRES 1.0 /* between the control points of where a walk looks */

static double draw(const scene_way *w, int what, int index, double lo, double hi)
{
	return scene_uniform(w->seed, (uint64_t)what, (uint64_t)index, lo, hi);
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

static void walk_point(const scene_way *w, double u, double p[3])
{
	double weight[4], k = floor(u);
	spline_weights(u - k, weight);
	for (int axis = 0; axis < 3; axis++) {
		p[axis] = 0;
		for (int j = 0; j < 4; j++)
			p[axis] += weight[j] * w->knot[((int)k + j) % WALK_KNOTS][axis];
	}
}

static double distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
	return sqrt(x * x + y * y + z * z);
}

/* Where the walk is after so many metres; it closes after along[WALK_SAMPLES] of them. */
static void walk_at(const scene_way *w, double metres, double p[3])
{
	double round = w->along[WALK_SAMPLES];
	metres -= round * floor(metres / round);
	int lo = 0, hi = WALK_SAMPLES;
	while (hi - lo > 1) {
		int mid = (lo + hi) / 2;
		if (w->along[mid] <= metres)
			lo = mid;
		else
			hi = mid;
	}
	double part = (metres - w->along[lo]) / (w->along[hi] - w->along[lo]);
	walk_point(w, (lo + part) * WALK_KNOTS / WALK_SAMPLES, p);
}

/* A smooth random function of the metres walked; its control points never repeat. */
static double gaze(const scene_way *w, int what, double metres, double lo, double hi)
{
	double weight[4], at = metres / GAZE_METRES, k = floor(at), sum = 0;
	spline_weights(at - k, weight);
	for (int j = 0; j < 4; j++)
		sum += weight[j] * scene_uniform(w->seed, (uint64_t)what, (uint64_t)((int64_t)k + j), lo, hi);
	return sum;
}

static void draw_walk(scene_way *w, const double half[3])
{
	double turn = draw(w, DRAW_HEADING, 0, 0, 2 * SCENE_PI), sense = draw(w, DRAW_HEADING, 1, 0, 1) < 0.5 ? -1 : 1;
	for (int k = 0; k < WALK_KNOTS; k++) {
		double angle = turn + sense * 2 * SCENE_PI / WALK_KNOTS * (k + draw(w, DRAW_KNOT, 3 * k, -0.25, 0.25));
		double radius = draw(w, DRAW_KNOT, 3 * k + 1, 0.3, 0.75);
		w->knot[k][0] = radius * half[0] * scene_cos(angle);
		w->knot[k][1] = draw(w, DRAW_KNOT, 3 * k + 2, 1.3, 1.7) - half[1];
		w->knot[k][2] = radius * half[2] * scene_sin(angle);
	}
	double before[3], p[3];
	walk_point(w, 0, before);
	memcpy(w->start, before, sizeof before);
	for (int k = 1; k <= WALK_SAMPLES; k++) {
		walk_point(w, (double)k * WALK_KNOTS / WALK_SAMPLES, p);
		w->along[k] = w->along[k - 1] + distance(before, p);
		memcpy(before, p, sizeof p);
	}
	w->yaw = scene_atan2(-w->start[2], -w->start[0]) + gaze(w, DRAW_GAZE_YAW, 0, -0.9, 0.9);
}

static void draw_clip(scene_way *w, const double half[3], double stretch)
{
	double height = draw(w, DRAW_HEIGHT, 0, 1.3, 1.7);
	double angle = draw(w, DRAW_PLACE, 0, 0, 2 * SCENE_PI), radius = draw(w, DRAW_PLACE, 1, 0.3, 0.75);
	w->start[0] = radius * scene_cos(angle) * half[0];
	w->start[1] = height - half[1];
	w->start[2] = radius * scene_sin(angle) * half[2];
	w->heading = draw(w, DRAW_HEADING, 0, 0, 2 * SCENE_PI);
	w->climb = draw(w, DRAW_HEADING, 1, -0.12, 0.12);
	w->bend = draw(w, DRAW_BEND, 0, -0.4, 0.4);
	w->length = stretch;
	/* mostly towards the middle of the room */
	w->yaw = scene_atan2(-w->start[2], -w->start[0]) + draw(w, DRAW_YAW, 0, -0.7, 0.7);
	w->sweep = draw(w, DRAW_SWEEP, 0, -0.8, 0.8) * stretch;
	w->pitch = draw(w, DRAW_PITCH, 0, -0.4, -0.12);
	w->pitch_sweep = draw(w, DRAW_PITCH, 1, -0.1, 0.1);
	double far = draw(w, DRAW_FOCUS, 0, 1.6, 3.2);
	w->focus[0] = w->start[0] + far * scene_cos(w->yaw);
	w->focus[1] = w->start[1] - far * 0.28;
	w->focus[2] = w->start[2] + far * scene_sin(w->yaw);
	w->orbit = draw(w, DRAW_ORBIT, 0, 0, 1) < 0.6;
	w->roll = draw(w, DRAW_ROLL, 0, -0.04, 0.04);
	w->roll_sweep = draw(w, DRAW_ROLL, 1, -0.03, 0.03);
}

static double step_of(const scene_way *w, int64_t frame)
{
	return scene_uniform(w->seed, DRAW_STEP, (uint64_t)frame, 0.3, 1);
}

/* How far along the whole way the frame is: 0 at the first, 1 at the last, unevenly, as a hand moves. */
static double progress(scene_way *w, int64_t frame)
{
	if (frame < w->step)
		w->step = 0, w->stepped = 0;
	while (w->step < frame)
		w->stepped += step_of(w, ++w->step);
	return w->stepped / w->jitter_total;
}

/* There and back: a triangle with its tip rounded. */
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

static void clip_eye(const scene_way *w, double along, double eye[3])
{
	double s, c, sideways = w->bend * scene_sin(SCENE_PI * along * w->length);
	scene_sincos(w->heading, &s, &c);
	eye[0] = w->start[0] + w->metres * (c * along - s * sideways);
	eye[1] = w->start[1] + w->metres * w->climb * along;
	eye[2] = w->start[2] + w->metres * (s * along + c * sideways);
}

static double clamp(double v, double limit) { return v > limit ? limit : v < -limit ? -limit : v; }

scene_view scene_way_view(scene_way *w, int64_t frame)
{
	scene_view v;
	double t = progress(w, frame), along = w->revisit ? there_and_back(t) : t, target[3], roll;
	double off =
		w->revisit && t > 0.5 ? (2 * t - 1) * (2 * t - 1) * (5 - 4 * t) : 0; /* smoothstep over the second half */
	bool walk = w->path == E3_SCENE_WALK;
	if (walk)
		walk_at(w, along * w->metres, v.eye);
	else
		clip_eye(w, along, v.eye);
	for (int axis = 0; axis < 3; axis++)
		v.eye[axis] = clamp(v.eye[axis] + off * w->back[axis], w->limit[axis]);
	double yaw = off * w->back_yaw;
	if (walk) {
		double m = along * w->metres;
		yaw += scene_atan2(-v.eye[2], -v.eye[0]) + gaze(w, DRAW_GAZE_YAW, m, -0.9, 0.9);
		ahead_of(v.eye, yaw, gaze(w, DRAW_GAZE_PITCH, m, -0.45, -0.1), target);
		roll = gaze(w, DRAW_GAZE_ROLL, m, -0.06, 0.06);
	} else {
		yaw += w->yaw + w->sweep * along;
		ahead_of(v.eye, yaw, w->pitch + w->pitch_sweep * along, target);
		roll = w->roll + w->roll_sweep * along;
	}
	scene_look(v.eye, w->orbit ? w->focus : target, roll, v.rot);
	return v;
}

/* Where the camera passes, for those who must not stand there; and how long the way is. */
static void sample(scene_way *w)
{
	int64_t step = 1 + (w->frames - 1) / WALK_SAMPLES;
	double before[3];
	for (int64_t k = 0; k < w->frames; k += step) {
		scene_view v = scene_way_view(w, k);
		if (k)
			w->total += distance(before, v.eye);
		memcpy(before, v.eye, sizeof before);
		if (w->path == E3_SCENE_CLIP)
			memcpy(w->passes[w->n_passes++], v.eye, sizeof v.eye);
	}
	if (w->path == E3_SCENE_CLIP)
		return;
	for (int k = 0; k < WALK_SAMPLES; k++)
		walk_point(w, (double)k * WALK_KNOTS / WALK_SAMPLES, w->passes[k]);
	w->n_passes = WALK_SAMPLES;
}

void scene_way_draw(scene_way *w, const e3_scene_options *o, const double half[3])
{
	*w = (scene_way){.seed = o->seed,
		.frames = o->frames,
		.path = o->path,
		.revisit = o->revisit,
		.endless = o->endless};
	for (int axis = 0; axis < 3; axis++)
		w->limit[axis] = half[axis] - MARGIN;
	w->metres = draw(w, DRAW_LENGTH, 0, 0.2, 1.5) * o->length;
	if (o->path == E3_SCENE_WALK)
		draw_walk(w, half);
	else
		draw_clip(w, half, o->length);
	if (o->length == 0) /* it stands still */
		w->pitch_sweep = w->roll_sweep = 0;
	else if (o->revisit) {
		for (int axis = 0; axis < 3; axis++)
			w->back[axis] = draw(w, DRAW_BACK, axis, -0.2, 0.2) * (axis == 1 ? 0.4 : 1);
		w->back_yaw = draw(w, DRAW_BACK, 3, -0.2, 0.2);
	}
	for (int64_t k = 1; k < o->frames; k++)
		w->jitter_total += step_of(w, k);
	if (o->frames == 1)
		w->jitter_total = STEP_MEAN;
	sample(w);
}

bool scene_way_clear(const scene_way *w, const double centre[3], double radius)
{
	if (w->path == E3_SCENE_WALK && w->revisit)
		radius += 0.3; /* the way back is off by at most that */
	for (int k = 0; k < w->n_passes; k++)
		if (distance(w->passes[k], centre) < radius)
			return false;
	return true;
}
