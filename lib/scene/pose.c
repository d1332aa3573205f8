/* scene: views as poses in the frame of the first camera, quaternion and fields of view included (e3/data.h). */
#include "pose.h"
#include "arith.h"

void scene_quaternion(const double r[9], double q[4])
{
	/* Computes the largest component first, so that the division is safe. Four times the square of each is: */
	const double square[4] = {1 + r[0] - r[4] - r[8], 1 - r[0] + r[4] - r[8], 1 - r[0] - r[4] + r[8],
		1 + r[0] + r[4] + r[8]};
	const double x = r[7] - r[5], y = r[2] - r[6], z = r[3] - r[1], xy = r[1] + r[3], xz = r[2] + r[6],
				 yz = r[5] + r[7];
	const double row[4][4] = {{square[0], xy, xz, x}, {xy, square[1], yz, y}, {xz, yz, square[2], z},
		{x, y, z, square[3]}};
	int best = 3;
	for (int k = 0; k < 3; k++)
		if (square[k] > square[best])
			best = k;
	double length = 2 * sqrt(square[best]), sign = row[best][3] < 0 ? -1 : 1;
	for (int k = 0; k < 4; k++)
		q[k] = sign * row[best][k] / length;
}

void scene_pose(const scene_view *first, const scene_view *view, double metres, double pose[7])
{
	double rel[9] = {0}, away[3];
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			for (int k = 0; k < 3; k++)
				rel[3 * i + j] += view->rot[3 * i + k] * first->rot[3 * j + k];
	for (int k = 0; k < 3; k++)
		away[k] = first->eye[k] - view->eye[k];
	for (int k = 0; k < 3; k++) /* position of the first camera in this camera's axes */
		pose[k] =
			(view->rot[3 * k] * away[0] + view->rot[3 * k + 1] * away[1] + view->rot[3 * k + 2] * away[2]) / metres;
	scene_quaternion(rel, pose + 3);
}
