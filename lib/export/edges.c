/* export: depth discontinuities. Networks draw an edge as a ramp of a few pixels, and the points of a ramp fly between
 * two surfaces. Inverse depth is linear along a plane, however slanted, so a ramp is where it changes much faster than
 * beside it. */
#include "export/clean.h"

/* Pixels on either side that a ramp spans; those further out say what the surfaces do. */
enum { HALF = 2, BESIDE = 4 };
/* What a ramp changes by, as a part of inverse depth, beyond the change beside it. */
#define RAMP 0.06f

static float slope(const float *q, long step, int from, int to)
{
	float a = q[from * step], b = q[to * step];
	return a > 0 && b > 0 ? (b - a) / (float)(to - from) : NAN;
}

/* Is a ramp at *q? `before`, `after`: pixels that there are on either side. */
static bool ramp(const float *q, long step, int before, int after)
{
	int a = before < HALF ? before : HALF, b = after < HALF ? after : HALF;
	int c = before < BESIDE ? before : BESIDE, d = after < BESIDE ? after : BESIDE;
	float jump = slope(q, step, -a, b) * (float)(a + b);
	if (!(fabsf(jump) > RAMP * *q))
		return false;
	/* what one of the two surfaces, going on as it does beside the ramp, would change by */
	float left = c > a ? slope(q, step, -c, -a) : NAN, right = d > b ? slope(q, step, b, d) : NAN;
	float most = 0;
	if (left * jump > 0)
		most = fabsf(left);
	if (right * jump > 0 && fabsf(right) > most)
		most = fabsf(right);
	return fabsf(jump) - most * (float)(a + b) > RAMP * *q;
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
