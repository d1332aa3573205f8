/* sets: the files of a sequence being written: their paths, noted so that they can be removed, and their contents. */
#include "write.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *sets_to_write(e3_set_writer *w, e3_err *err, const char *fmt, ...)
{
	char *inside, *path;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&inside, fmt, args);
	va_end(args);
	if (n < 0) {
		e3_fail(err, "making a path: out of memory");
		return NULL;
	}
	path = sets_path(err, "%s/%s", w->root, inside);
	free(inside);
	char *slash = path ? strrchr(path, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = 0;
	int rc = e3_mkdirs(path, err);
	*slash = '/';
	if (!rc && access(path, F_OK)) /* do not remove files that existed before */
		rc = sets_names_add(&w->written, path, err);
	if (!rc)
		return path;
	free(path);
	return NULL;
}

int sets_save_rgb(char *path, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_png_save(path, s->rgb, err) : -1;
	free(path);
	return rc;
}

int sets_save_jpeg(char *path, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_jpeg_save(path, s->rgb, 95, err) : -1;
	free(path);
	return rc;
}

int sets_save_depth16(char *path, e3_depth16 kind, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_depth16_save(path, kind, s->depth, err) : -1;
	free(path);
	return rc;
}

int sets_save_poses(char *path, e3_traj_format format, const e3_traj *t, e3_err *err)
{
	int rc = path ? e3_traj_save(path, format, t, err) : -1;
	free(path);
	return rc;
}

int sets_save_text(char *path, e3_buf *text, e3_err *err)
{
	int rc = path && text->data ? sets_save(path, text->data, text->len, err) : -1;
	free(path);
	e3_buf_release(text);
	return rc;
}

int sets_save_recorded(e3_set_writer *w, char *path, e3_err *err)
{
	for (size_t k = 0; k < w->poses.n; k++)
		w->poses.stamp[k] += SETS_RECORDED;
	return sets_save_poses(path, E3_TRAJ_TUM, &w->poses, err);
}
