/* track: how far the camera has moved since the last key frame, and whether that is enough for the next one. */
#include "track.h"
#include <math.h>

/* Of a picture's width; chosen by hand. And the frames after which one is kept although nothing moves. */
static const double ENOUGH = 0.05;
enum { LONGEST = 30 };

double e3_view_flow(const e3_view *from, const e3_view *to)
{
	const e3_intrinsics *k = &from->k, *l = to->k.fx > 0 ? &to->k : k;
	const double *r = to->pose.r;
	double sum = 0, n = 0, c[3];
	if (!(k->fx > 0))
		return 0;
	e3_pose_center(&from->pose, c);
	for (int y = 0; y < k->h; y++)
		for (int x = 0; x < k->w; x++) {
			double d = (double)from->depth[y * k->w + x], world[3], seen[3];
			if (!e3_depth_known((float)d))
				continue;
			const double here[3] = {d * (x - k->cx) / k->fx, d * (y - k->cy) / k->fy, d};
			for (int a = 0; a < 3; a++)
				world[a] =
					from->pose.r[a] * here[0] + from->pose.r[3 + a] * here[1] + from->pose.r[6 + a] * here[2] + c[a];
			for (int a = 0; a < 3; a++)
				seen[a] = r[3 * a] * world[0] + r[3 * a + 1] * world[1] + r[3 * a + 2] * world[2] + to->pose.t[a];
			double dx = l->fx * seen[0] / seen[2] + l->cx - x, dy = l->fy * seen[1] / seen[2] + l->cy - y;
			sum += seen[2] > 0 ? fmin(hypot(dx, dy) / k->w, 1) : 1; /* what is behind the camera has left the picture */
			n++;
		}
	return n > 0 ? sum / n : 0;
}

/* A pose that is not usable says nothing: the frame is kept. */
static bool keeps(void *ctx, const e3_result *r)
{
	e3_track *t = ctx;
	e3_err err = {""};
	t->chosen = true;
	if (e3_view_take(&t->now, r, &err))
		return true;
	t->since++;
	return t->since >= LONGEST || e3_view_flow(&t->key, &t->now) > ENOUGH;
}

bool e3_track_chooses(const e3_track *t) { return !e3_session_options(t->s)->keyframe; }

void e3_motion_open(e3_track *t)
{
	if (e3_track_chooses(t))
		e3_session_ask(t->s, keeps, t);
}

int e3_motion_after(e3_track *t, const e3_result *r, const e3_evict *evict, e3_err *err)
{
	bool chosen = t->chosen;
	t->chosen = false;
	if (!e3_track_chooses(t) || evict->passing || e3_session_options(t->s)->frozen)
		return 0;
	t->since = 0;
	return (!chosen && e3_view_take(&t->now, r, err)) || e3_view_copy(&t->key, &t->now, err) ? -1 : 0;
}
