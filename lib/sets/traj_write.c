/* sets: writing trajectories, in the formats that traj.c reads. Numbers have all digits that a double needs; a file
 * appears only when it is complete. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/sets.h"
#include <math.h>

static int put_tum(e3_buf *b, const e3_traj *t, size_t k, bool scalar_first, e3_err *err)
{
	const double *m = t->pose[k], r[9] = {m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]};
	double q[4];
	if (e3_mat_to_quat(r, q))
		return e3_fail(err, "pose %zu is not a rotation", k);
	/* stamps are seconds to the microsecond, or plain counts */
	bool count = scalar_first && t->stamp[k] == floor(t->stamp[k]);
	if (e3_buf_printf(b, err, "%.*f %.17g %.17g %.17g", count ? 0 : 6, t->stamp[k], m[3], m[7], m[11]))
		return -1;
	for (int j = 0; j < 4; j++)
		if (e3_buf_printf(b, err, " %.17g", q[scalar_first ? (j + 3) % 4 : j]))
			return -1;
	return e3_buf_add(b, "\n", 1, err);
}

static int put_row(e3_buf *b, const double *v, int n, char last, e3_err *err)
{
	for (int k = 0; k < n; k++)
		if (e3_buf_printf(b, err, "%.17g%c", v[k], k < n - 1 ? ' ' : last))
			return -1;
	return 0;
}

static int put_matrix(e3_buf *b, const double pose[12], e3_traj_format format, bool one_line, e3_err *err)
{
	static const double last[4] = {0, 0, 0, 1};
	double v[12];
	for (int k = 0; k < 12; k++)
		v[k] = format == E3_TRAJ_NRGBD && (k % 4 == 1 || k % 4 == 2) ? 0 - pose[k] : pose[k];
	if (format == E3_TRAJ_KITTI)
		return put_row(b, v, 12, '\n', err);
	for (int row = 0; row < 3; row++)
		if (put_row(b, v + 4 * row, 4, one_line ? ' ' : '\n', err))
			return -1;
	return put_row(b, last, 4, '\n', err);
}

static int put_all(e3_buf *b, e3_traj_format format, const e3_traj *t, e3_err *err)
{
	for (size_t k = 0; k < t->n; k++) {
		bool tum = format == E3_TRAJ_TUM || format == E3_TRAJ_TUM_WXYZ;
		/* one pose: four lines as in 7-Scenes; several: a line each as in ScanNet */
		if (tum ? put_tum(b, t, k, format == E3_TRAJ_TUM_WXYZ, err)
				: put_matrix(b, t->pose[k], format, format == E3_TRAJ_4X4 && t->n > 1, err))
			return -1;
	}
	return 0;
}

int e3_traj_save(const char *path, e3_traj_format format, const e3_traj *t, e3_err *err)
{
	e3_buf text = {0};
	e3_file file = {0};
	int rc = put_all(&text, format, t, err);
	if (rc)
		e3_fail_in(err, "writing: %s", path);
	if (!rc)
		rc = e3_file_open(&file, path, err);
	if (!rc)
		rc = e3_file_write(&file, text.data, text.len, err);
	if (!rc)
		rc = e3_file_commit(&file, err);
	else
		e3_file_discard(&file);
	e3_buf_release(&text);
	return rc;
}
