/* scene: shading: solid textures, light, gain, gamma, noise. A row is divided into spans of one surface; each span is
 * shaded with that surface's constants, in loops over its pixels. */
#include "cast.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* A span: n pixels of one surface from column x. */
typedef struct span {
	const scene_shot *shot;
	const scene_row *row;
	int x, n, y;
	int64_t hit;
	const scene_room *room;
} span;

INLINE int32_t floor_to_int(float v)
{
	int32_t i = (int32_t)v;
	return i - ((float)i > v);
}

/* A value from 0 to 1 for three integers; only the low 31 bits count, so 32-bit arithmetic is enough. */
INLINE float lattice(uint32_t n)
{
	n = n << 13 ^ n;
	n = (n * (n * n * 15731u + 789221u) + 1376312589u) & 0x7fffffffu;
	return (float)(int32_t)n * 0x1p-31f;
}

INLINE float blend(float a, float b, float t) { return a * (1 - t) + b * t; }

/* Smooth noise: random values on a grid of unit length, blended with 3t^2 - 2t^3. */
INLINE float soft_noise(float x, float y, float z)
{
	int32_t ix = floor_to_int(x), iy = floor_to_int(y), iz = floor_to_int(z);
	float tx = x - (float)ix, ty = y - (float)iy, tz = z - (float)iz;
	tx = tx * tx * (3 - 2 * tx), ty = ty * ty * (3 - 2 * ty), tz = tz * tz * (3 - 2 * tz);
	const uint32_t kx = 1619, ky = 31337, kz = 6971;
	uint32_t n = (uint32_t)ix * kx + (uint32_t)iy * ky + (uint32_t)iz * kz;
	float a = blend(lattice(n), lattice(n + kx), tx), b = blend(lattice(n + ky), lattice(n + kx + ky), tx);
	float c = blend(lattice(n + kz), lattice(n + kx + kz), tx),
		  d = blend(lattice(n + ky + kz), lattice(n + kx + ky + kz), tx);
	return blend(blend(a, b, ty), blend(c, d, ty), tz);
}

INLINE float fraction(float v) { return v - (float)floor_to_int(v); }

/* The share of the second colour, before the fine grain. */
INLINE float pattern_at(scene_pattern p, float x, float y, float z, float n2, float n3)
{
	switch (p) {
	case CHECKS:
		return (float)((floor_to_int(x) + floor_to_int(y) + floor_to_int(z)) & 1);
	case STRIPES:
		return (float)(floor_to_int(x + 0.35f * y) & 1);
	case SOFT:
		return soft_noise(1.5f * x, 1.5f * y, 1.5f * z);
	case BRICKS: {
		float course = (float)floor_to_int(2 * y), level = fraction(2 * y), along = fraction(x + z + 0.5f * course);
		return level < 0.12f ? 1 : along < 0.07f ? 1 : 0;
	}
	case CLOUDS: {
		float v = soft_noise(1.5f * x, 1.5f * y, 1.5f * z) * 1.6f - 0.3f;
		return v < 0 ? 0 : v > 1 ? 1 : v;
	}
	default:
		return 0.5f * n2 + 0.5f * n3;
	}
}

INLINE void mix_pixels(scene_pattern p, const span *s, const scene_paint *paint)
{
	const float *restrict lx = s->row->x, *restrict ly = s->row->y, *restrict lz = s->row->z_local;
	float *restrict mix = s->row->mix;
	const float scale = paint->scale, ox = paint->offset[0], oy = paint->offset[1], oz = paint->offset[2];
	const int n = s->n;
#pragma omp simd
	for (int k = 0; k < n; k++) {
		float x = lx[k] * scale + ox, y = ly[k] * scale + oy, z = lz[k] * scale + oz;
		float n2 = soft_noise(4.1f * x + 7, 4.1f * y + 7, 4.1f * z + 7);
		float n3 = soft_noise(11.3f * x + 3, 11.3f * y + 3, 11.3f * z + 3);
		mix[k] = pattern_at(p, x, y, z, n2, n3) * 0.7f + 0.18f * n2 + 0.12f * n3;
	}
}

SCENE_CLONES static void mix_colours(const span *s, const scene_paint *paint)
{
	switch (paint->pattern) {
	case CHECKS:
		mix_pixels(CHECKS, s, paint);
		break;
	case STRIPES:
		mix_pixels(STRIPES, s, paint);
		break;
	case SOFT:
		mix_pixels(SOFT, s, paint);
		break;
	case BRICKS:
		mix_pixels(BRICKS, s, paint);
		break;
	case CLOUDS:
		mix_pixels(CLOUDS, s, paint);
		break;
	default:
		mix_pixels(GRAIN, s, paint);
	}
}

/* Brightness by Lambert's cosine: full on the side of the light, less than ambient on the other side. */
INLINE float brightness(float cosine, float ambient)
{
	return ambient + (1 - ambient) * (cosine > 0 ? cosine : 0) + 0.12f * (cosine < 0 ? cosine : 0);
}

/* A face of a room: texture coordinates are from the middle of the room, and the brightness is constant. */
SCENE_CLONES static void light_wall(const span *s)
{
	const scene_shot *shot = s->shot;
	const double *r = shot->view.rot, *eye = shot->view.eye, *restrict z = s->row->z + s->x;
	const double py = (s->y + 0.5 - shot->camera.h / 2.0) / shot->camera.focal, middle = shot->camera.w / 2.0,
				 focal = shot->camera.focal;
	const double b0 = r[3] * py + r[6], b1 = r[4] * py + r[7], b2 = r[5] * py + r[8];
	const double *centre = s->room->box.centre;
	const double r0 = r[0], r1 = r[1], r2 = r[2], e0 = eye[0] - centre[0], e1 = eye[1] - centre[1],
				 e2 = eye[2] - centre[2];
	float *restrict lx = s->row->x, *restrict ly = s->row->y, *restrict lz = s->row->z_local,
					*restrict light = s->row->light;
	const scene_light *l = &s->room->light;
	const int64_t face = s->hit % FACES;
	const double cosine = l->dir[face / 2] * (face % 2 ? -1 : 1);
	const float bright = brightness((float)cosine, (float)l->ambient);
	const int n = s->n, first = s->x;
#pragma omp simd
	for (int k = 0; k < n; k++) {
		double px = (first + k + 0.5 - middle) / focal, t = z[k];
		lx[k] = (float)(e0 + t * (b0 + r0 * px));
		ly[k] = (float)(e1 + t * (b1 + r1 * px));
		lz[k] = (float)(e2 + t * (b2 + r2 * px));
		light[k] = bright;
	}
}

/* The same for an object: coordinates are in its own axes; the normal is that of its face, or that of the ellipsoid at
 * the point. */
SCENE_CLONES static void light_object(const span *s)
{
	const scene_shot *shot = s->shot;
	const scene_object *t = &shot->house->object[s->hit - SURFACE_OBJECT];
	const scene_seen *seen = &shot->seen[s->hit - SURFACE_OBJECT];
	const scene_light *l = &s->room->light;
	const double *m = seen->ray, *restrict z = s->row->z + s->x;
	const double py = (s->y + 0.5 - shot->camera.h / 2.0) / shot->camera.focal, middle = shot->camera.w / 2.0,
				 focal = shot->camera.focal;
	const double b0 = m[1] * py + m[2], b1 = m[4] * py + m[5], b2 = m[7] * py + m[8], m0 = m[0], m1 = m[3], m2 = m[6];
	const double o0 = seen->origin[0], o1 = seen->origin[1], o2 = seen->origin[2];
	const float h0 = (float)t->half[0], h1 = (float)t->half[1], h2 = (float)t->half[2], ambient = (float)l->ambient;
	float along[3]; /* the light in the object's axes */
	for (int k = 0; k < 3; k++)
		along[k] = (float)(t->rot[3 * k] * l->dir[0] + t->rot[3 * k + 1] * l->dir[1] + t->rot[3 * k + 2] * l->dir[2]);
	const float l0 = along[0], l1 = along[1], l2 = along[2];
	float *restrict lx = s->row->x, *restrict ly = s->row->y, *restrict lz = s->row->z_local,
					*restrict light = s->row->light;
	const bool ball = t->round;
	const int n = s->n, first = s->x;
#pragma omp simd
	for (int k = 0; k < n; k++) {
		double px = (first + k + 0.5 - middle) / focal, depth = z[k];
		float u = (float)(o0 + depth * (b0 + m0 * px)), v = (float)(o1 + depth * (b1 + m1 * px)),
			  w = (float)(o2 + depth * (b2 + m2 * px));
		float au = fabsf(u), av = fabsf(v), aw = fabsf(w);
		float n0 = u / h0, n1 = v / h1, n2 = w / h2;
		float round = (n0 * l0 + n1 * l1 + n2 * l2) / sqrtf(n0 * n0 + n1 * n1 + n2 * n2);
		float side = au > av ? (au > aw ? (u < 0 ? -l0 : l0) : (w < 0 ? -l2 : l2))
							 : (av > aw ? (v < 0 ? -l1 : l1) : (w < 0 ? -l2 : l2));
		light[k] = brightness(ball ? round : side, ambient);
		lx[k] = u * h0, ly[k] = v * h1, lz[k] = w * h2;
	}
}

/* e^-v for 0 <= v < 1. */
INLINE float fade_by(float v)
{
	return 1 - v * (1 - v / 2 * (1 - v / 3 * (1 - v / 4 * (1 - v / 5 * (1 - v / 6 * (1 - v / 7))))));
}

INLINE uint32_t scatter(uint32_t h) /* Murmur3's finaliser */
{
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	return h ^ h >> 16;
}

/* One channel: colour × light, gain and tint, gamma curve by table, noise, 8 bits. */
INLINE void develop(const span *s, const scene_paint *paint, int channel, uint8_t *restrict rgb)
{
	const scene_light *l = &s->room->light;
	const float *restrict mix = s->row->mix, *restrict light = s->row->light;
	const float *restrict gamma = s->shot->gamma, *restrict normal = s->shot->normal;
	float *restrict out = s->row->fade;
	const float a = paint->a[channel], b = paint->b[channel], gain = (float)(l->gain * l->tint[channel]);
	const uint32_t noise = s->shot->noise, first = (uint32_t)((s->y * s->shot->camera.w + s->x) * 3 + channel);
	const int n = s->n;
#pragma omp simd
	for (int k = 0; k < n; k++) {
		float v = blend(a, b, mix[k]) * light[k] * gain;
		v = v < 1e-3f ? 1e-3f : v > 1 ? 1 : v;
		int32_t step = (int32_t)(v * SCENE_GAMMA);
		v = blend(gamma[step], gamma[step + 1], v * SCENE_GAMMA - (float)step);
		v += normal[scatter((first + 3u * (uint32_t)k) ^ noise) % SCENE_NORMAL];
		v = v < 0 ? 0 : v > 1 ? 1 : v;
		out[k] = v * 255 + 0.5f;
	}
	for (int k = 0; k < n; k++)
		rgb[3 * k + channel] = (uint8_t)out[k];
}

SCENE_CLONES static void expose(const span *s, const scene_paint *paint, uint8_t *rgb)
{
	float *restrict light = s->row->light;
	const double *restrict z = s->row->z + s->x;
	const float falloff = (float)s->room->light.falloff;
	const int n = s->n;
#pragma omp simd
	for (int k = 0; k < n; k++)
		light[k] *= fade_by((float)z[k] * falloff);
	for (int channel = 0; channel < 3; channel++)
		develop(s, paint, channel, rgb);
}

void scene_paint_row(const scene_shot *shot, int y, scene_row *row, uint8_t *rgb)
{
	const int w = shot->camera.w;
	for (int x = 0, end; x < w; x = end) {
		for (end = x + 1; end < w && row->hit[end] == row->hit[x];)
			end++;
		const int64_t hit = row->hit[x];
		const scene_object *object = hit < SURFACE_OBJECT ? NULL : &shot->house->object[hit - SURFACE_OBJECT];
		const scene_room *room = &shot->house->room[object ? object->room : hit / FACES];
		const scene_paint *paint = object ? &object->paint : &room->face[hit % FACES];
		const span s = {shot, row, x, end - x, y, hit, room};
		if (!object)
			light_wall(&s);
		else
			light_object(&s);
		mix_colours(&s, paint);
		expose(&s, paint, rgb + 3 * (size_t)x);
	}
}
