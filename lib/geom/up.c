/* geom: which way is up, from cameras that people hold level, and the axes of a scene that stands upright. Keeps sums
 * only, so memory does not grow with the number of cameras. */
#include "e3/geom.h"
#include <math.h>
#include <string.h>

/* Mean squared sine of 1.4 degrees: cameras are not held more evenly than that. */
static const double least_uneven = 6e-4;
/* How much less the mean of the cameras' tops is to be trusted than their being level: variances. */
static const double mean_share = 2;
/* Mean squared sines of the pitch of cameras that turn about their own x axis, and about the vertical. */
static const double pitch_most = 0.45, pitch_least = 0.1;

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static double unit(double v[3])
{
	double length = sqrt(dot(v, v));
	for (int k = 0; length > 0 && k < 3; k++)
		v[k] /= length;
	return length;
}

static void cross(const double a[3], const double b[3], double to[3])
{
	double c[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
	memcpy(to, c, sizeof c);
}

void e3_up_add(e3_up_sums *s, const e3_pose *p)
{
	if (!s->n++)
		s->first = *p;
	for (int axis = 0; axis < 3; axis++)
		for (int i = 0; i < 3; i++) {
			s->axis[axis][i] += p->r[3 * axis + i];
			for (int j = 0; j < 3; j++)
				s->square[axis][3 * i + j] += p->r[3 * axis + i] * p->r[3 * axis + j];
		}
}

/* aᵀ m b */
static double form(const double m[9], const double a[3], const double b[3])
{
	double sum = 0;
	for (int i = 0; i < 3; i++)
		sum += a[i] * dot(m + 3 * i, b);
	return sum;
}

/* The direction least squares orthogonal to the level axes, whose mean square is `level`, drawn towards `mean`, the
 * mean of the axes that point up, by as much as the level axes turn out to be held unevenly. *drawn: how much that is.
 */
static void settle(const double level[9], const double mean[3], double up[3], double *drawn)
{
	double m[9], u[9], d[3], v[9];
	for (int round = 0; round < 20; round++) {
		double pull = mean_share * form(level, up, up) + least_uneven, sign = 0;
		for (int k = 0; k < 9; k++)
			m[k] = level[k] + pull * ((k % 4 == 0) - mean[k / 3] * mean[k % 3]);
		e3_svd3(m, u, d, v);
		for (int k = 0; k < 3; k++)
			sign += u[3 * k + 2] * up[k];
		for (int k = 0; k < 3; k++)
			up[k] = sign < 0 ? -u[3 * k + 2] : u[3 * k + 2];
		*drawn = pull;
	}
}

e3_up_from e3_up_find(const e3_up_sums *s, double up[3])
{
	double x[9], y[9], z[9], top[3], side[3], ahead[3], level, other[3], drawn, also;
	if (!s->n) {
		memcpy(up, (double[3]){0, -1, 0}, 3 * sizeof *up);
		return E3_UP_FROM_FIRST;
	}
	for (int k = 0; k < 9; k++)
		x[k] = s->square[0][k] / (double)s->n, y[k] = s->square[1][k] / (double)s->n,
		z[k] = s->square[2][k] / (double)s->n;
	for (int k = 0; k < 3; k++) {
		side[k] = -s->axis[0][k] / (double)s->n, top[k] = -s->axis[1][k] / (double)s->n;
		ahead[k] = s->axis[2][k] / (double)s->n;
		up[k] = top[k], other[k] = side[k];
	}
	if (s->n == 1 || unit(up) < 1e-3)
		for (int k = 0; k < 3; k++)
			up[k] = -s->first.r[3 + k];
	if (s->n == 1)
		return E3_UP_FROM_FIRST;
	settle(x, top, up, &drawn);
	/* Pictures taken upright and not turned since: the sensor's left is up. */
	if (form(z, up, up) > pitch_most && unit(other) > 0.5) {
		settle(y, side, other, &also);
		if (form(z, other, other) < pitch_least) {
			memcpy(up, other, sizeof other);
			return E3_UP_FROM_SIDES;
		}
	}
	/* Cameras that look straight down while they turn about it have no top. */
	if (fabs(dot(up, top)) < 0.05 && fabs(dot(up, ahead)) > 0.5 && dot(up, ahead) > 0)
		for (int k = 0; k < 3; k++)
			up[k] = -up[k];
	/* what the level axes say of the direction in which they say least */
	level = x[0] + x[4] + x[8] - form(x, up, up);
	double most[9], d[3], v[9];
	e3_svd3(x, most, d, v);
	level -= d[0];
	return level > drawn ? E3_UP_FROM_LEVEL : E3_UP_FROM_MEAN;
}

void e3_up_rotation(const double up[3], const e3_pose *first, e3_up_axis axis, double r[9])
{
	double top[3] = {up[0], up[1], up[2]}, ahead[3] = {0, 0, 1}, down[3] = {0, 1, 0}, right[3];
	if (first) {
		memcpy(ahead, first->r + 6, sizeof ahead);
		memcpy(down, first->r + 3, sizeof down);
	}
	unit(top);
	double steep = dot(ahead, top);
	if (fabs(steep) > 0.99) /* straight down or up: the upper or the lower edge of the picture is ahead */
		for (int k = 0; k < 3; k++)
			ahead[k] = steep < 0 ? -down[k] : down[k];
	cross(ahead, top, right);
	unit(right);
	cross(top, right, ahead);
	for (int k = 0; k < 3; k++) {
		r[k] = right[k];
		r[3 + k] = axis == E3_UP_Y ? top[k] : ahead[k];
		r[6 + k] = axis == E3_UP_Y ? -ahead[k] : top[k];
	}
}
