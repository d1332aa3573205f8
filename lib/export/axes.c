/* export: the axes in which clouds are written (doc/formats.md 4.2): those of the stream, or turned upright as the
 * first camera was held. Only turned: the origin and the scale stay. */
#include "export/writer.h"
#include <string.h>

const char *e3_axes_text(e3_axes axes)
{
	static const char *const text[] = {
		"world = first camera, OpenCV axes (x right, y down, z forward)",
		"axes x right, y up, z backward (glTF, three.js); up as the first camera was held",
		"axes x right, y forward, z up (Blender, nerfstudio); up as the first camera was held",
	};
	return text[axes];
}

void e3_axes_matrix(e3_axes axes, const e3_export_run *run, double r[9])
{
	double m[16]; /* column-major */
	e3_align_matrix(axes == E3_AXES_OPENCV ? E3_ALIGN_NONE : E3_ALIGN_GL, run->has_first ? &run->first : NULL, m);
	for (int row = 0; row < 3; row++)
		for (int col = 0; col < 3; col++)
			r[3 * row + col] = m[4 * col + row];
	if (axes == E3_AXES_Z_UP) /* x y z -> x -z y */
		for (int col = 0; col < 3; col++) {
			double y = r[3 + col];
			r[3 + col] = -r[6 + col];
			r[6 + col] = y;
		}
}

void e3_axes_turn(e3_axes axes, const double r[9], const float v[3], float out[3])
{
	if (axes == E3_AXES_OPENCV) {
		memcpy(out, v, 3 * sizeof *v);
		return;
	}
	for (int row = 0; row < 3; row++)
		out[row] = (float)(r[3 * row] * v[0] + r[3 * row + 1] * v[1] + r[3 * row + 2] * v[2]);
}
