/* export: depth discontinuities. Networks draw an edge as a ramp of a few pixels, and the points of a ramp fly between
 * two surfaces. Inverse depth is linear along a plane, however slanted, so a ramp is where it changes much faster than
 * beside it. */
#include "export/clean.h"

/* Pixels on either side that a ramp spans; those further out say what the surfaces do. */
enum { HALF = 2, BESIDE = 4 };
/* What a ramp changes by, as a part of inverse depth, beyond the change beside it. */
#define RAMP 0.06f
/* A pixel nearer to one of the surfaces than this part of the way between them belongs to it: a sharp edge has no ramp.
 */
#define ON_SURFACE 0.1f

static float slope(const float *q, long step, int from, int to)
{
	float a = q[from * step], b = q[to * step];
	return a > 0 && b > 0 ? (b - a) / (float)(to - from) : NAN;
}

/* Is *q on a ramp? `before`, `after`: pixels that there are on either side. */
static bool ramp(const float *q, long step, int before, int after)
{
	int a = before < HALF ? before : HALF, b = after < HALF ? after : HALF;
	int c = before < BESIDE ? before : BESIDE, d = after < BESIDE ? after : BESIDE;
	float jump = slope(q, step, -a, b) * (float)(a + b);
	if (!(fabsf(jump) > RAMP * *q))
		return false;
	/* what the surfaces on either side do, and where they would be here */
	float left = c > a ? slope(q, step, -c, -a) : 0, right = d > b ? slope(q, step, b, d) : 0;
	float most = fmaxf(left * jump > 0 ? fabsf(left) : 0, right * jump > 0 ? fabsf(right) : 0);
	if (!(fabsf(jump) - most * (float)(a + b) > RAMP * *q))
		return false;
	float from = q[-a * step] + left * (float)a, to = q[b * step] - right * (float)b;
	float at = (*q - from) / (to - from);
	return !(at < ON_SURFACE || at > 1 - ON_SURFACE);
}

void e3_edges_drop(const float *inverse, int w, int h, uint8_t *keep)
{
	for (int v = 0; v < h; v++)
		for (int u = 0; u < w; u++) {
			size_t k = (size_t)v * (size_t)w + (size_t)u;
			if (keep[k] > E3_DROPPED && (ramp(inverse + k, 1, u, w - 1 - u) || ramp(inverse + k, w, v, h - 1 - v)))
				keep[k] = E3_AT_EDGE;
		}
}
