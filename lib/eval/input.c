/* eval: the kind of an input file, and trajectory files as poses. */
#include "eval/tasks.h"
#include "e3/io.h"
#include "e3/num.h"
#include "e3/what.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_text(const uint8_t *b, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (b[k] >= 0x7f || (b[k] < ' ' && !memchr("\t\n\r", b[k], 3)))
			return false;
	return n > 0;
}

int eval_input_kind_of(const char *path, eval_input_kind *kind, e3_err *err)
{
	struct stat st;
	uint8_t b[64];
	*kind = EVAL_STREAM;
	if (!strcmp(path, "-") || stat(path, &st) || !S_ISREG(st.st_mode))
		return 0; /* an endpoint, a pipe or a missing file: the stream reader reports what is wrong with it */
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : e3_read_full(fd, b, sizeof b);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return e3_fail_sys(err, "reading: %s", path);
	if (n == 0 || b[0] == 0xc9)
		return 0;
	if (n > 9 && b[8] == '{' && e3_le64(b) < (uint64_t)st.st_size) {
		*kind = EVAL_SAFETENSORS;
		return 0;
	}
	*kind = EVAL_TRAJ;
	if (is_text(b, (size_t)n))
		return 0;
	const char *what = e3_what_file(path).name;
	if (what)
		return e3_fail(err, "reading: %s: not an e3 stream: this is %s", path, what);
	return e3_fail(err, "reading: %s: not a stream, a safetensors file or a trajectory in text", path);
}

/* The count of numbers in the first line that is not a comment. */
static int numbers_in_line(const char *text, size_t n)
{
	int count = 0;
	bool inside = false, comment = false;
	for (size_t k = 0; k < n; k++) {
		char c = text[k];
		if (c == '\n' && count > 0)
			break;
		if (c == '\n')
			comment = false;
		comment |= c == '#';
		bool blank = strchr(" \t\r\n,", c) || comment;
		count += !blank && !inside;
		inside = !blank;
	}
	return count;
}

static e3_traj_format guess(const char *path, const e3_map *map)
{
	const char *slash = strrchr(path, '/');
	switch (numbers_in_line((const char *)map->data, map->size)) {
	case 12:
		return E3_TRAJ_KITTI;
	case 4:
	case 16:
		return E3_TRAJ_4X4;
	default:
		return strcmp(slash ? slash + 1 : path, "pred_traj.txt") ? E3_TRAJ_TUM : E3_TRAJ_TUM_WXYZ;
	}
}

int eval_traj_load(const char *path, const e3_eval_options *o, e3_traj *to, e3_err *err)
{
	e3_map map;
	*to = (e3_traj){0};
	if (e3_map_open(&map, path, err))
		return -1;
	e3_traj_format format = o->traj_format ? (e3_traj_format)(o->traj_format - 1) : guess(path, &map);
	if (!o->traj_format && format == E3_TRAJ_TUM_WXYZ)
		e3_tell(E3_TELL_NOTE, "%s: read as scalar-first, as files of this name are%s", path,
			eval_hint(o->hints.scalar_first));
	int rc = e3_traj_decode((const char *)map.data, map.size, path, format, to, err);
	e3_map_close(&map);
	if (!rc && to->n == 0)
		rc = e3_fail(err, "reading: %s: no poses", path);
	return rc;
}

int eval_traj_pose(const double c2w[12], e3_pose *to, e3_err *err)
{
	double m[12];
	e3_rigid_invert(c2w, m);
	for (int row = 0; row < 3; row++) {
		memcpy(to->r + 3 * row, m + 4 * row, 3 * sizeof *m);
		to->t[row] = m[4 * row + 3];
	}
	return e3_mat_to_quat(to->r, to->q) ? e3_fail(err, "the matrix of a pose is not a rotation") : 0;
}
