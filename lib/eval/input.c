/* eval: the kind of an input file, and trajectory files as poses. */
#include "eval/tasks.h"
#include "e3/io.h"
#include "e3/known.h"
#include "e3/num.h"
#include "e3/what.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	e3_what what = e3_what_file(path);
	if (what.kind == E3_WHAT_TEXT)
		return 0;
	if (what.name)
		return e3_fail(err, "reading: %s: not an e3 stream: this is %s", path, what.name);
	return e3_fail(err, "reading: %s: not a stream, a safetensors file or a trajectory in text", path);
}

/* The count of numbers in the first line that is not a comment. */
static int numbers_in_line(const char *text, size_t n)
{
	int count = 0;
	bool inside = false, comment = false;
	for (size_t k = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; k < n; k++) {
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

static int guess(const char *path, const e3_map *map, e3_traj_format *to, e3_err *err)
{
	const char *slash = strrchr(path, '/');
	const char *what = e3_what_bytes(map->data, map->size < E3_WHAT_BYTES ? map->size : E3_WHAT_BYTES).name;
	bool foreign = what && map->size > 0 && strcmp(what, "text") != 0;
	switch (foreign ? -1 : numbers_in_line((const char *)map->data, map->size)) {
	case 0:
	case 8:
		*to = strcmp(slash ? slash + 1 : path, "pred_traj.txt") ? E3_TRAJ_TUM : E3_TRAJ_TUM_WXYZ;
		return 0;
	case 12:
		*to = E3_TRAJ_KITTI;
		return 0;
	case 4:
	case 16:
		*to = E3_TRAJ_4X4;
		return 0;
	}
	return e3_fail(err,
		"reading: %s: this is %s: expected a trajectory: a line of 8 numbers (time x y z qx qy qz qw), 12 (KITTI), 16 or "
		"4 (matrices), or of names of such columns (EuRoC's data.csv)",
		path, foreign ? what : "text that begins with no line of a trajectory");
}

/* Poses of named columns. */
static int load_named(const char *path, const e3_map *map, e3_traj *to, e3_err *err)
{
	const e3_known_reading how = {.format = E3_KNOWN_POSES, .sigma = 1};
	e3_known known;
	int rc = e3_known_decode((const char *)map->data, map->size, path, &how, &known, err);
	for (size_t k = 0; !rc && k < known.n; k++)
		rc = e3_traj_add(to, known.row[k].time, known.row[k].pose, err);
	e3_known_release(&known);
	return rc;
}

int eval_traj_load(const char *path, const e3_eval_options *o, e3_traj *to, e3_err *err)
{
	e3_map map;
	*to = (e3_traj){0};
	if (e3_map_open(&map, path, err))
		return -1;
	e3_traj_format format = o->traj_format ? (e3_traj_format)(o->traj_format - 1) : E3_TRAJ_TUM;
	bool named = !o->traj_format && e3_known_named((const char *)map.data, map.size);
	int rc = o->traj_format || named ? 0 : guess(path, &map, &format, err);
	if (!rc && !o->traj_format && format == E3_TRAJ_TUM_WXYZ)
		e3_tell(E3_TELL_NOTE, "%s: read as scalar-first, as files of this name are%s", path,
			eval_hint(o->hints.scalar_first));
	if (!rc)
		rc = named ? load_named(path, &map, to, err)
				   : e3_traj_decode((const char *)map.data, map.size, path, format, to, err);
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
