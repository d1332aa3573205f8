/* geom: rotations and poses. Refuses zero quaternions. */
#include "e3/geom.h"
#include <math.h>
#include <string.h>

int e3_quat_to_mat(const double q[4], double r[9])
{
	double x = q[0], y = q[1], z = q[2], w = q[3];
	double len2 = x * x + y * y + z * z + w * w;
	if (!(len2 > 0) || !isfinite(len2))
		return -1;
	double s = 2 / len2;
	double m[9] = {
		1 - s * (y * y + z * z),
		s * (x * y - z * w),
		s * (x * z + y * w),
		s * (x * y + z * w),
		1 - s * (x * x + z * z),
		s * (y * z - x * w),
		s * (x * z - y * w),
		s * (y * z + x * w),
		1 - s * (x * x + y * y),
	};
	memcpy(r, m, sizeof m);
	return 0;
}

/* Shepperd's choice: the largest of the four squares is never small. */
int e3_mat_to_quat(const double r[9], double q[4])
{
	double trace = r[0] + r[4] + r[8],
		   square[4] = {1 + 2 * r[0] - trace, 1 + 2 * r[4] - trace, 1 + 2 * r[8] - trace, 1 + trace};
	int most = 0;
	for (int k = 1; k < 4; k++)
		most = square[k] > square[most] ? k : most;
	const double m[4][4] = {
		{square[0], r[1] + r[3], r[2] + r[6], r[7] - r[5]},
		{r[1] + r[3], square[1], r[5] + r[7], r[2] - r[6]},
		{r[2] + r[6], r[5] + r[7], square[2], r[3] - r[1]},
		{r[7] - r[5], r[2] - r[6], r[3] - r[1], square[3]},
	};
	const double *p = m[most];
	double length = sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + p[3] * p[3]);
	if (!(length > 0) || !isfinite(length))
		return -1;
	for (int k = 0; k < 4; k++)
		q[k] = (p[3] < 0 ? -p[k] : p[k]) / length;
	return 0;
}

double e3_quat_angle(const double q[4]) { return 2 * atan2(sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]), fabs(q[3])); }

void e3_quat_mul(const double a[4], const double b[4], double out[4])
{
	double p[4] = {
		a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1],
		a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0],
		a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3],
		a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
	};
	memcpy(out, p, sizeof p);
}

int e3_pose_decode(const float enc[9], e3_pose *out, e3_err *err)
{
	double q[4] = {enc[3], enc[4], enc[5], enc[6]};
	for (int k = 0; k < 9; k++)
		if (!isfinite(enc[k]))
			return e3_fail(err, "pose: value %d is not finite", k);
	if (e3_quat_to_mat(q, out->r))
		return e3_fail(err, "pose: the quaternion is zero");
	double len = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
	for (int k = 0; k < 4; k++)
		out->q[k] = q[k] / len;
	for (int k = 0; k < 3; k++)
		out->t[k] = enc[k];
	return 0;
}

void e3_pose_center(const e3_pose *p, double c[3])
{
	for (int k = 0; k < 3; k++)
		c[k] = 0 - (p->r[k] * p->t[0] + p->r[3 + k] * p->t[1] + p->r[6 + k] * p->t[2]); /* never -0 */
}

void e3_pose_to_world(const e3_pose *p, double m[12])
{
	double c[3];
	e3_pose_center(p, c);
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++)
			m[4 * row + col] = p->r[3 * col + row];
		m[4 * row + 3] = c[row];
	}
}

void e3_pose_quat_to_world(const e3_pose *p, double q[4])
{
	for (int k = 0; k < 3; k++)
		q[k] = 0 - p->q[k];
	q[3] = p->q[3];
}

void e3_rigid_invert(const double m[12], double out[12])
{
	double r[12];
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++)
			r[4 * row + col] = m[4 * col + row];
		r[4 * row + 3] = 0 - (m[row] * m[3] + m[4 + row] * m[7] + m[8 + row] * m[11]); /* never -0 */
	}
	memcpy(out, r, sizeof r);
}

void e3_rigid_mul(const double a[12], const double b[12], double out[12])
{
	double m[12];
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 4; col++) {
			double sum = col == 3 ? a[4 * row + 3] : 0;
			for (int k = 0; k < 3; k++)
				sum += a[4 * row + k] * b[4 * k + col];
			m[4 * row + col] = sum;
		}
	memcpy(out, m, sizeof m);
}
