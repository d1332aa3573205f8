/* sets: reading trajectories from text: TUM, KITTI, 4×4 matrices, NRGBD's. Refuses what is not a number, not finite or
 * not a rotation, naming the line. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/sets.h"
#include "internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void e3_traj_release(e3_traj *t)
{
	free(t->stamp), free(t->pose);
	*t = (e3_traj){0};
}

int e3_traj_add(e3_traj *t, double stamp, const double pose[12], e3_err *err)
{
	if ((t->n & (t->n - 1)) == 0) { /* full at the powers of two */
		size_t cap = t->n ? 2 * t->n : 1;
		if (e3_grow((void **)&t->stamp, cap, sizeof *t->stamp, "a trajectory", err) ||
			e3_grow((void **)&t->pose, cap, sizeof *t->pose, "a trajectory", err))
			return -1;
	}
	t->stamp[t->n] = stamp;
	memcpy(t->pose[t->n++], pose, sizeof *t->pose);
	return 0;
}

/* --- numbers, line by line --- */

typedef struct scan {
	const char *p, *end;
	int64_t line; /* line of the number read last, or of the place where a number was expected */
	bool fresh;   /* that number was the first of its line */
} scan;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == ',' || c == '\r'; }

/* Skips blanks, and with `lines` also line ends and comments. Returns whether something is left (without `lines`: on
 * this line). */
static bool skip(scan *s, bool lines)
{
	for (; s->p < s->end; s->p++) {
		if (*s->p == '#')
			while (s->p + 1 < s->end && s->p[1] != '\n')
				s->p++;
		else if (*s->p == '\n' && !lines)
			return false;
		else if (*s->p == '\n')
			s->line++, s->fresh = true;
		else if (!is_blank(*s->p))
			return true;
	}
	return false;
}

/* Reads a number; nan and inf are accepted. */
static int number(scan *s, double *out, e3_err *err)
{
	char word[64], *stop;
	size_t n = 0;
	while (s->p < s->end && !is_blank(*s->p) && *s->p != '\n' && *s->p != '#') {
		if (n + 1 < sizeof word)
			word[n] = *s->p;
		n++, s->p++;
	}
	word[n < sizeof word ? n : sizeof word - 1] = 0;
	*out = strtod(word, &stop);
	if (n == 0 || n >= sizeof word || stop != word + n || strpbrk(word, "xXpP("))
		return e3_fail(err, "line %lld: '%.40s' is not a number", (long long)s->line, word);
	s->fresh = false;
	return 0;
}

/* Reads a line of n numbers. */
static int row_of(scan *s, double *to, int n, e3_err *err)
{
	for (int k = 0; k < n; k++) {
		if (!skip(s, false))
			return e3_fail(err, "line %lld: %d numbers: expected %d", (long long)s->line, k, n);
		if (number(s, &to[k], err))
			return -1;
	}
	if (skip(s, false))
		return e3_fail(err, "line %lld: more than %d numbers", (long long)s->line, n);
	return 0;
}

/* --- from numbers to poses --- */

int sets_check_rotation(const double m[12], e3_err *err)
{
	double det =
		m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) + m[2] * (m[4] * m[9] - m[5] * m[8]);
	for (int a = 0; a < 3; a++)
		for (int b = 0; b <= a; b++) {
			double dot = m[4 * a] * m[4 * b] + m[4 * a + 1] * m[4 * b + 1] + m[4 * a + 2] * m[4 * b + 2];
			if (!(fabs(dot - (a == b)) <= 0.01))
				return e3_fail(err, "the matrix is not a rotation");
		}
	return det > 0 ? 0 : e3_fail(err, "the matrix is a reflection: expected a rotation");
}

static int check_finite(const double *v, int n, int64_t line, e3_err *err)
{
	for (int k = 0; k < n; k++)
		if (!isfinite(v[k]))
			return e3_fail(err, "line %lld: number %d is not finite: the pose is missing", (long long)line, k + 1);
	return 0;
}

static int from_quaternion(const double v[8], bool scalar_first, int64_t line, double pose[12], e3_err *err)
{
	double q[4] = {v[4], v[5], v[6], v[7]}, r[9];
	if (scalar_first)
		q[0] = v[5], q[1] = v[6], q[2] = v[7], q[3] = v[4];
	if (e3_quat_to_mat(q, r))
		return e3_fail(err, "line %lld: the quaternion has length 0", (long long)line);
	for (int row = 0; row < 3; row++) {
		memcpy(pose + 4 * row, r + 3 * row, 3 * sizeof *r);
		pose[4 * row + 3] = v[1 + row];
	}
	return 0;
}

static int from_matrix(const double v[16], int n, int64_t line, double pose[12], e3_err *err)
{
	static const double last[4] = {0, 0, 0, 1};
	for (int k = 12; k < n; k++)
		if (fabs(v[k] - last[k - 12]) > 1e-6)
			return e3_fail(err, "line %lld: the last row of the matrix is not 0 0 0 1", (long long)line);
	memcpy(pose, v, 12 * sizeof *v);
	return sets_check_rotation(pose, err) ? e3_fail_in(err, "line %lld", (long long)line) : 0;
}

/* doc/evaluation.md 2.6: the reference uses the identity where a pose is missing; OpenGL's y and z axes point the other
 * way. */
static int from_nrgbd(double v[16], int64_t line, double pose[12], e3_err *err)
{
	static const double none[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
	if (isnan(v[0]) || isnan(v[1]) || isnan(v[2]) || isnan(v[3]))
		memcpy(v, none, sizeof none);
	if (check_finite(v, 16, line, err))
		return -1;
	for (int row = 0; row < 4; row++)
		v[4 * row + 1] = -v[4 * row + 1], v[4 * row + 2] = -v[4 * row + 2];
	return from_matrix(v, 16, line, pose, err);
}

static int read_pose(scan *s, e3_traj_format format, double *stamp, double pose[12], e3_err *err)
{
	double v[16];
	int64_t line = s->line;
	switch (format) {
	case E3_TRAJ_TUM:
	case E3_TRAJ_TUM_WXYZ:
		if (row_of(s, v, 8, err) || check_finite(v, 8, line, err))
			return -1;
		*stamp = v[0];
		return from_quaternion(v, format == E3_TRAJ_TUM_WXYZ, line, pose, err);
	case E3_TRAJ_KITTI:
		return row_of(s, v, 12, err) || check_finite(v, 12, line, err) || from_matrix(v, 12, line, pose, err) ? -1 : 0;
	case E3_TRAJ_NRGBD:
		for (int k = 0; k < 4; k++)
			if (!skip(s, true))
				return e3_fail(err, "line %lld: the text ends inside a matrix of 4 lines", (long long)s->line);
			else if (row_of(s, v + 4 * k, 4, err))
				return -1;
		return from_nrgbd(v, line, pose, err);
	case E3_TRAJ_4X4:
		for (int k = 0; k < 16; k++)
			if (!skip(s, true))
				return e3_fail(err, "line %lld: the text ends after %d of the 16 numbers of a matrix",
					(long long)s->line, k);
			else if (number(s, &v[k], err))
				return -1;
		return check_finite(v, 16, line, err) || from_matrix(v, 16, line, pose, err) ? -1 : 0;
	}
	return e3_fail(err, "unknown format %d", (int)format);
}

int e3_traj_decode(const char *text, size_t n, const char *name, e3_traj_format format, e3_traj *out, e3_err *err)
{
	scan s = {.p = text, .end = text + n, .line = 1};
	int rc = 0;
	*out = (e3_traj){0};
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* which some programs put before a text in UTF-8 */
		s.p += 3;
	while (!rc && skip(&s, true)) {
		double pose[12], stamp = (double)out->n;
		rc = read_pose(&s, format, &stamp, pose, err) || e3_traj_add(out, stamp, pose, err) ? -1 : 0;
	}
	if (!rc && out->n == 0)
		rc = e3_fail(err, "holds no pose");
	if (rc)
		e3_traj_release(out);
	return rc ? e3_fail_in(err, "reading: %s", name) : 0;
}

int e3_traj_load(const char *path, e3_traj_format format, e3_traj *out, e3_err *err)
{
	e3_map map;
	*out = (e3_traj){0};
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = e3_traj_decode((const char *)map.data, map.size, path, format, out, err);
	e3_map_close(&map);
	return rc;
}
