/* sets: 7-Scenes' registration: projects each raw depth pixel into the colour camera; the nearest one counts
 * (doc/evaluation.md 2.5). */
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>
#include <stdlib.h>

/* The motion from the depth to the colour camera, and both cameras at 640 × 480. */
static const double motion[12] = {
	0.99996518012567637,
	0.0026765126468950343,
	-0.0079041012313000904,
	-0.025558943178152542,
	-0.0027409311281316700,
	0.99996302803027592,
	-0.0081504520778013286,
	0.00010109636268061706,
	0.0078819942130445332,
	0.0081718328771890631,
	0.99993554558014031,
	0.0020318321729487039,
};
enum { NOMINAL_W = 640, NOMINAL_H = 480, INVALID = 65535 };
static const double focal_depth = 585, focal_colour = 525, far_limit = 100;

/* x, y, z in the colour picture of a raw pixel. As in the reference, 0.5 is added before the projection but not
 * subtracted after it. */
static void project(double u, double v, double d, const double scale[2], double out[3])
{
	double cx = NOMINAL_W / 2 * scale[0], cy = NOMINAL_H / 2 * scale[1];
	double p[3] = {(u + 0.5 - cx) / (focal_depth * scale[0]) * d, (v + 0.5 - cy) / (focal_depth * scale[1]) * d, d},
		   q[3];
	for (int k = 0; k < 3; k++)
		q[k] = motion[4 * k] * p[0] + motion[4 * k + 1] * p[1] + motion[4 * k + 2] * p[2] + motion[4 * k + 3];
	out[0] = focal_colour * scale[0] * q[0] / q[2] + cx;
	out[1] = focal_colour * scale[1] * q[1] / q[2] + cy;
	out[2] = q[2];
}

int e3_scenes7_register(const uint16_t *raw, int w, int h, bool reject_invalid, uint16_t *out, e3_err *err)
{
	size_t n = (size_t)w * (size_t)h;
	double scale[2] = {(double)w / NOMINAL_W, (double)h / NOMINAL_H},
		   *nearest = e3_alloc(n, sizeof *nearest, "a depth map", err);
	if (!nearest)
		return -1;
	for (size_t k = 0; k < n; k++) {
		double at[3], d = raw[k] / 1000.0;
		if (!(d > 0 && d < far_limit) || (reject_invalid && raw[k] == INVALID))
			continue;
		project((double)(k % (size_t)w), (double)(k / (size_t)w), d, scale, at);
		double column = nearbyint(at[0]), row = nearbyint(at[1]);
		if (!(at[2] > 0) || !(column >= 0 && column < w && row >= 0 && row < h))
			continue;
		double *to = &nearest[(size_t)row * (size_t)w + (size_t)column];
		if (*to == 0 || at[2] < *to)
			*to = at[2];
	}
	for (size_t k = 0; k < n; k++)
		out[k] = (uint16_t)((uint32_t)(1000 * nearest[k]) & 0xffff);
	free(nearest);
	return 0;
}
