/* wire: checks of values. Owns what is a finite number, a size, a source of a frame. */
#include "checks.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_NAME = 255 };

int e3_reals_check(const char *name, const double *v, int n, e3_err *err)
{
	for (int k = 0; k < n; k++)
		if (!isfinite(v[k]))
			return e3_fail(err, "%s: is %s, expected a finite number", name, isnan(v[k]) ? "not a number" : "infinite");
	return 0;
}

int e3_pose_check(const float pose[9], e3_err *err)
{
	for (int k = 0; k < 9; k++)
		if (!isfinite(pose[k]))
			return e3_fail(err, "pose[%d]: is %s, expected a finite number", k,
				isnan(pose[k]) ? "not a number" : "infinite");
	if (pose[3] == 0 && pose[4] == 0 && pose[5] == 0 && pose[6] == 0)
		return e3_fail(err, "pose: the quaternion is zero");
	return 0;
}

int e3_sim_check(const char *name, const double v[8], e3_err *err)
{
	if (e3_reals_check(name, v, 8, err))
		return -1;
	if (!(v[0] > 0))
		return e3_fail(err, "%s: scale %g, expected more than 0", name, v[0]);
	if (v[1] == 0 && v[2] == 0 && v[3] == 0 && v[4] == 0)
		return e3_fail(err, "%s: the quaternion is zero", name);
	return 0;
}

/* Later stages make files of it: it stays in its folder. */
int e3_name_check(const char *name, e3_err *err)
{
	size_t n = name ? strlen(name) : 1;
	if (name && (n < 1 || n > MAX_NAME || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		return e3_fail(err, "name: '%.40s': expected the name of a file, without a folder, of 1 to %d bytes", name,
			MAX_NAME);
	return 0;
}

int e3_size_check(int w, int h, e3_err *err)
{
	if (w < 1 || h < 1 || w > E3_MAX_SIDE || h > E3_MAX_SIDE)
		return e3_fail(err, "size %d × %d; each side must be 1 to %d", w, h, E3_MAX_SIDE);
	return 0;
}

int e3_fit_check(const double fit[4], e3_err *err)
{
	if (e3_reals_check("fit", fit, 4, err))
		return -1;
	if (!(fit[0] > 0 && fit[1] > 0))
		return e3_fail(err, "fit: scale %g, %g; both must be above 0", fit[0], fit[1]);
	return 0;
}

int e3_source_check(const e3_source *s, e3_err *err)
{
	if (s->i < 0 || s->i >= (int64_t)1 << 53)
		return e3_fail(err, "i: is %" PRId64 ", expected 0 to 2^53 - 1", s->i);
	if (e3_reals_check("pts", &s->pts, 1, err) || e3_reals_check("t_capture", &s->t_capture, 1, err) ||
		e3_fit_check((const double[4]){s->fit.sx, s->fit.sy, s->fit.tx, s->fit.ty}, err))
		return -1;
	if (s->rot != 0 && s->rot != 90 && s->rot != 180 && s->rot != 270)
		return e3_fail(err, "rot: is %d, expected 0, 90, 180 or 270", s->rot);
	if (s->src_i < 0)
		return e3_fail(err, "src_i: is %" PRId64 ", expected 0 or more", s->src_i);
	if (e3_size_check(s->src_w, s->src_h, err))
		return e3_fail_in(err, "src_w, src_h");
	return 0;
}
