/* export: which way is up in a run, and the scene that viewers open upright (doc/formats.md 1.6, 3.6). */
#include "export/writer.h"
#include <string.h>

const char *e3_export_up_name(e3_up_from from)
{
	static const char *const name[] = {
		[E3_UP_FROM_LEVEL] = "level cameras",
		[E3_UP_FROM_MEAN] = "mean camera",
		[E3_UP_FROM_FIRST] = "first camera",
		[E3_UP_FROM_SIDES] = "cameras on their side",
		[E3_UP_FROM_GIVEN] = "given",
	};
	return name[from];
}

e3_up_from e3_export_up(const e3_export_run *run, double up[3])
{
	const e3_export_options *o = run->opt;
	e3_up_sums first = {.n = 0};
	switch (o->up) {
	case E3_UP_AXIS:
		memcpy(up, o->up_axis, sizeof o->up_axis);
		return E3_UP_FROM_GIVEN;
	case E3_UP_FIRST:
		if (run->has_first)
			e3_up_add(&first, &run->first);
		return e3_up_find(&first, up);
	default:
		return e3_up_find(&run->up, up);
	}
}

void e3_export_axes(const e3_export_run *run, e3_up_axis axis, double r[9])
{
	double up[3];
	e3_export_up(run, up);
	e3_up_rotation(up, run->has_first ? &run->first : NULL, axis, r);
}

void e3_export_scene(const e3_export_run *run, double m[16])
{
	const e3_export_options *o = run->opt;
	const e3_pose *first = run->has_first ? &run->first : NULL;
	double r[9], c[3] = {0};
	if (o->align != E3_ALIGN_GL || o->up == E3_UP_FIRST) {
		e3_align_matrix(o->align, first, m);
		return;
	}
	e3_export_axes(run, E3_UP_Y, r);
	if (first)
		e3_pose_center(first, c);
	for (int row = 0; row < 3; row++) {
		for (int col = 0; col < 3; col++)
			m[4 * col + row] = r[3 * row + col];
		m[4 * row + 3] = 0;
		m[12 + row] = 0 - (r[3 * row] * c[0] + r[3 * row + 1] * c[1] + r[3 * row + 2] * c[2]); /* never -0 */
	}
	m[15] = 1;
}
