/* scene: ray casting: for each pixel the nearest surface and its z depth, in double precision. */
#include "cast.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 1e-3 /* nearer surfaces are not seen; the camera is never that close */
#define FAR 1e9

int scene_row_open(scene_row *row, int w, e3_err *err)
{
	size_t n = (size_t)w;
	*row = (scene_row){0};
	row->z = e3_alloc(n, sizeof *row->z, "a row", err);
	row->hit = e3_alloc(n, sizeof *row->hit, "a row", err);
	row->x = e3_alloc(6 * n, sizeof *row->x, "a row", err);
	if (!row->z || !row->hit || !row->x) {
		scene_row_close(row);
		return -1;
	}
	row->y = row->x + n, row->z_local = row->x + 2 * n;
	row->light = row->x + 3 * n, row->mix = row->x + 4 * n, row->fade = row->x + 5 * n;
	return 0;
}

void scene_row_close(scene_row *row)
{
	free(row->z), free(row->hit), free(row->x);
	*row = (scene_row){0};
}

static double py_of(const scene_camera *c, int y) { return (y + 0.5 - c->h / 2.0) / c->focal; }

/* The smallest rectangle that contains the corners of the object's box; the whole picture when a corner is not clearly
 * in front of the camera. */
static void bound(scene_seen *s, const scene_object *t, const scene_shot *shot)
{
	const scene_camera *c = &shot->camera;
	const double *r = shot->view.rot;
	double lo[2] = {FAR, FAR}, hi[2] = {-FAR, -FAR};
	bool before = false, behind = false;
	for (int corner = 0; corner < 8; corner++) {
		double p[3], q[3] = {0};
		for (int k = 0; k < 3; k++)
			p[k] = t->centre[k] - shot->view.eye[k];
		for (int k = 0; k < 3; k++)
			for (int j = 0; j < 3; j++)
				p[j] += t->rot[3 * k + j] * t->half[k] * (corner >> k & 1 ? 1 : -1);
		for (int k = 0; k < 3; k++)
			for (int j = 0; j < 3; j++)
				q[k] += r[3 * k + j] * p[j];
		bool front = q[2] > 0.01;
		before |= front, behind |= !front;
		for (int k = 0; k < 2 && front; k++) {
			lo[k] = fmin(lo[k], q[k] / q[2]);
			hi[k] = fmax(hi[k], q[k] / q[2]);
		}
	}
	const double size[2] = {c->w, c->h};
	int first[2], last[2];
	for (int k = 0; k < 2; k++) { /* pixel centres from lo to hi, and one more on each side */
		first[k] = behind ? 0 : (int)fmin(fmax(floor(lo[k] * c->focal + size[k] / 2 - 0.5) - 1, 0), size[k]);
		last[k] = behind ? (int)size[k] : (int)fmin(fmax(ceil(hi[k] * c->focal + size[k] / 2 - 0.5) + 2, 0), size[k]);
	}
	s->left = first[0], s->top = first[1];
	s->right = before ? last[0] : 0, s->bottom = before ? last[1] : 0;
}

/* The room that a point is in: the doorway lies between the walls that it joins. */
static int room_at(const scene_house *house, const double p[3])
{
	const scene_box *door = &house->room[ROOM_DOOR].box;
	if (house->rooms == 1 || p[0] < door->centre[0] - door->half[0])
		return ROOM_FIRST;
	return p[0] > door->centre[0] + door->half[0] ? ROOM_SECOND : ROOM_DOOR;
}

void scene_shot_take(scene_shot *shot, const scene_house *house, const scene_camera *camera, const scene_view *view)
{
	shot->house = house, shot->inside = room_at(house, view->eye);
	shot->camera = *camera, shot->view = *view;
	for (int n = 0; n < house->objects; n++) {
		const scene_object *t = &house->object[n];
		scene_seen *s = &shot->seen[n];
		s->round = t->round;
		for (int k = 0; k < 3; k++) {
			s->origin[k] = 0;
			for (int j = 0; j < 3; j++) {
				s->origin[k] += t->rot[3 * k + j] * (view->eye[j] - t->centre[j]) / t->half[k];
				s->ray[3 * k + j] = 0; /* object from world × world from camera */
				for (int m = 0; m < 3; m++)
					s->ray[3 * k + j] += t->rot[3 * k + m] * view->rot[3 * j + m] / t->half[k];
			}
		}
		bound(s, t, shot);
	}
}

static inline __attribute__((always_inline)) double away_from_zero(double v, double least)
{
	return fabs(v) < least ? least : v;
}

/* The faces of the room that the camera is in: the nearest of the planes in the direction of the ray. */
SCENE_CLONES static void cast_walls(const scene_shot *shot, int y, double *restrict z, int64_t *restrict hit)
{
	const scene_camera *c = &shot->camera;
	const scene_box *box = &shot->house->room[shot->inside].box;
	const double *r = shot->view.rot, *eye = shot->view.eye, *half = box->half, *centre = box->centre;
	const double py = py_of(c, y), middle = c->w / 2.0, focal = c->focal;
	const double b0 = r[3] * py + r[6], b1 = r[4] * py + r[7], b2 = r[5] * py + r[8];
	const double r0 = r[0], r1 = r[1], r2 = r[2], e0 = eye[0] - centre[0], e1 = eye[1] - centre[1],
				 e2 = eye[2] - centre[2], h0 = half[0], h1 = half[1], h2 = half[2];
	const int64_t first = shot->inside * FACES;
	const int w = c->w;
#pragma omp simd
	for (int x = 0; x < w; x++) {
		double px = (x + 0.5 - middle) / focal;
		double d0 = b0 + r0 * px, d1 = b1 + r1 * px, d2 = b2 + r2 * px;
		double i0 = 1 / away_from_zero(d0, 1e-9), i1 = 1 / away_from_zero(d1, 1e-9), i2 = 1 / away_from_zero(d2, 1e-9);
		double p0 = (h0 - e0) * i0, q0 = (-h0 - e0) * i0, p1 = (h1 - e1) * i1, q1 = (-h1 - e1) * i1;
		double p2 = (h2 - e2) * i2, q2 = (-h2 - e2) * i2;
		double t0 = p0 > q0 ? p0 : q0, t1 = p1 > q1 ? p1 : q1, t2 = p2 > q2 ? p2 : q2;
		int64_t f0 = first + (d0 > 0 ? 1 : 0), f1 = first + (d1 > 0 ? 3 : 2), f2 = first + (d2 > 0 ? 5 : 4);
		double t = t0;
		int64_t f = f0;
		f = t1 < t ? f1 : f, t = t1 < t ? t1 : t;
		f = t2 < t ? f2 : f, t = t2 < t ? t2 : t;
		z[x] = t, hit[x] = f;
	}
}

/* The common part of the two functions below: the ray of a pixel in the object's axes. */
#define THING_RAY \
	const double *m = s->ray; \
	const double b0 = m[1] * py + m[2], b1 = m[4] * py + m[5], b2 = m[7] * py + m[8], m0 = m[0], m1 = m[3], m2 = m[6]; \
	const double o0 = s->origin[0], o1 = s->origin[1], o2 = s->origin[2], middle = c->w / 2.0, focal = c->focal; \
	const int left = s->left, right = s->right

SCENE_CLONES static void cast_ball(const scene_seen *s, const scene_camera *c, double py, int64_t id,
	const scene_row *row)
{
	THING_RAY;
	double *restrict z = row->z;
	int64_t *restrict hit = row->hit;
	const double cc = o0 * o0 + o1 * o1 + o2 * o2 - 1;
#pragma omp simd
	for (int x = left; x < right; x++) {
		double px = (x + 0.5 - middle) / focal;
		double d0 = b0 + m0 * px, d1 = b1 + m1 * px, d2 = b2 + m2 * px;
		double a = d0 * d0 + d1 * d1 + d2 * d2, b = d0 * o0 + d1 * o1 + d2 * o2;
		double disc = b * b - a * cc;
		double t = (-b - sqrt(disc > 0 ? disc : 0)) / a, old = z[x];
		t = disc > 0 ? t : FAR;
		t = t > NEAR ? t : FAR;
		hit[x] = t < old ? id : hit[x];
		z[x] = t < old ? t : old;
	}
}

SCENE_CLONES static void cast_box(const scene_seen *s, const scene_camera *c, double py, int64_t id,
	const scene_row *row)
{
	THING_RAY;
	double *restrict z = row->z;
	int64_t *restrict hit = row->hit;
#pragma omp simd
	for (int x = left; x < right; x++) {
		double px = (x + 0.5 - middle) / focal;
		double d0 = b0 + m0 * px, d1 = b1 + m1 * px, d2 = b2 + m2 * px;
		double i0 = 1 / away_from_zero(d0, 1e-9), i1 = 1 / away_from_zero(d1, 1e-9), i2 = 1 / away_from_zero(d2, 1e-9);
		double p0 = (-1 - o0) * i0, q0 = (1 - o0) * i0, p1 = (-1 - o1) * i1, q1 = (1 - o1) * i1, p2 = (-1 - o2) * i2,
			   q2 = (1 - o2) * i2;
		double n0 = p0 < q0 ? p0 : q0, n1 = p1 < q1 ? p1 : q1, n2 = p2 < q2 ? p2 : q2;
		double f0 = p0 < q0 ? q0 : p0, f1 = p1 < q1 ? q1 : p1, f2 = p2 < q2 ? q2 : p2;
		double near = n0 > n1 ? n0 : n1, far = f0 < f1 ? f0 : f1, old = z[x];
		near = near > n2 ? near : n2, far = far < f2 ? far : f2;
		near = near < far ? near : FAR;
		near = near > NEAR ? near : FAR;
		hit[x] = near < old ? id : hit[x];
		z[x] = near < old ? near : old;
	}
}

/* Where a ray that passes through a room leaves it: the depth, and the face. */
static double leave(const scene_room *room, const double eye[3], const double d[3], int *face)
{
	double z = FAR;
	for (int axis = 0; axis < 3; axis++) {
		double inverse = 1 / away_from_zero(d[axis], 1e-9), e = eye[axis] - room->box.centre[axis];
		double p = (room->box.half[axis] - e) * inverse, q = (-room->box.half[axis] - e) * inverse, t = p > q ? p : q;
		if (t < z)
			z = t, *face = 2 * axis + (d[axis] > 0);
	}
	return z;
}

/* The room that a ray comes to when it leaves one through a face at p; -1: it hits that wall. */
static int room_behind(const scene_house *house, int room, int face, const double p[3])
{
	const scene_box *door = &house->room[ROOM_DOOR].box;
	if (room == ROOM_DOOR)
		return face == FACE_LEFT ? ROOM_FIRST : face == FACE_RIGHT ? ROOM_SECOND : -1;
	if (face != (room == ROOM_FIRST ? FACE_RIGHT : FACE_LEFT))
		return -1;
	return fabs(p[1] - door->centre[1]) < door->half[1] && fabs(p[2] - door->centre[2]) < door->half[2] ? ROOM_DOOR
																										: -1;
}

/* Follows the rays that go through the door. */
static void pass_doors(const scene_shot *shot, int y, scene_row *row)
{
	const scene_camera *c = &shot->camera;
	const double *r = shot->view.rot, *eye = shot->view.eye, py = py_of(c, y);
	for (int x = 0; x < c->w; x++) {
		const double px = (x + 0.5 - c->w / 2.0) / c->focal;
		double d[3], p[3], z = row->z[x];
		int room = shot->inside, face = (int)row->hit[x] % FACES, next;
		for (int axis = 0; axis < 3; axis++)
			d[axis] = r[axis] * px + r[3 + axis] * py + r[6 + axis];
		for (;;) {
			for (int axis = 0; axis < 3; axis++)
				p[axis] = eye[axis] + z * d[axis];
			next = room_behind(shot->house, room, face, p);
			if (next < 0)
				break;
			room = next;
			z = leave(&shot->house->room[room], eye, d, &face);
		}
		row->z[x] = z, row->hit[x] = room * FACES + face;
	}
}

void scene_cast(const scene_shot *shot, int y, scene_row *row)
{
	double py = py_of(&shot->camera, y);
	cast_walls(shot, y, row->z, row->hit);
	if (shot->house->rooms > 1)
		pass_doors(shot, y, row);
	for (int n = 0; n < shot->house->objects; n++) {
		const scene_seen *s = &shot->seen[n];
		if (y < s->top || y >= s->bottom)
			continue;
		if (s->round)
			cast_ball(s, &shot->camera, py, SURFACE_OBJECT + n, row);
		else
			cast_box(s, &shot->camera, py, SURFACE_OBJECT + n, row);
	}
}
