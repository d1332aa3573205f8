/* export: the axes in which clouds are written (doc/formats.md 4.2): those of the stream, or turned upright (3.6).
 * Only turned: the origin and the scale stay. */
#include "export/writer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void e3_world_text(const e3_export_run *run, e3_axes axes, char *to, size_t n)
{
	static const char *const text[] = {
		"OpenCV axes (x right, y down, z forward)",
		"axes x right, y up, z backward (glTF, three.js)",
		"axes x right, y forward, z up (Blender, nerfstudio)",
	};
	const e3_export_placed *p = run->opt->placed;
	const char *first = axes == E3_AXES_OPENCV ? "world = first camera, " : "";
	if (!p || !p->how)
		snprintf(to, n, "%s%s, scale arbitrary", first, text[axes]);
	else if (p->file) /* the axes of the stream are those of the path */
		snprintf(to, n, "%s%s%s", axes == E3_AXES_OPENCV ? "world = " : text[axes], axes == E3_AXES_OPENCV ? "" : ", ",
			p->world);
	else
		snprintf(to, n, "%s%s, %s", first, text[axes], p->world);
}

void e3_axes_matrix(e3_axes axes, const e3_export_run *run, double r[9])
{
	static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
	if (axes == E3_AXES_OPENCV)
		memcpy(r, identity, sizeof identity);
	else
		e3_export_axes(run, axes == E3_AXES_Y_UP ? E3_UP_Y : E3_UP_Z, r);
}

void e3_axes_turn(e3_axes axes, const double r[9], const float v[3], float out[3])
{
	const float in[3] = {v[0], v[1], v[2]};
	for (int row = 0; row < 3; row++)
		out[row] = axes == E3_AXES_OPENCV
			? in[row]
			: (float)(r[3 * row] * in[0] + r[3 * row + 1] * in[1] + r[3 * row + 2] * in[2]);
}

void e3_point_normal(const e3_point *p, float out[3])
{
	double n[3] = {p->normal[0], p->normal[1], p->normal[2]};
	double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
	for (int a = 0; a < 3; a++)
		out[a] = length > 0 ? (float)(n[a] / length) : 0;
}
