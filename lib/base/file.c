/* base: output files that appear whole or not at all. Owns the temporary name, the rename and the removal. */
#include "e3/io.h"
#include "e3/tool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_stdout(e3_file *file, e3_err *err)
{
	int fd = dup(STDOUT_FILENO);
	file->f = fd < 0 ? NULL : fdopen(fd, "w");
	return file->f ? 0 : e3_fail_sys(err, "opening: standard output");
}

/* Devices and pipes cannot be replaced by a rename: they are written in place. */
static int in_place(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int e3_file_open(e3_file *file, const char *path, e3_err *err)
{
	*file = (e3_file){0};
	file->path = strdup(path);
	if (!file->path)
		return e3_fail(err, "opening: %s: out of memory", path);
	int rc = 0;
	if (strcmp(path, "-") == 0) {
		rc = open_stdout(file, err);
	} else if (in_place(path)) {
		file->f = fopen(path, "we");
		rc = file->f ? 0 : e3_fail_sys(err, "opening: %s", path);
	} else {
		size_t n = strlen(path) + 32;
		file->temp = malloc(n);
		if (!file->temp)
			rc = e3_fail(err, "opening: %s: out of memory", path);
		else {
			snprintf(file->temp, n, "%s.tmp.%ld", path, (long)getpid());
			file->f = fopen(file->temp, "w+e");
			if (file->f)
				e3_cleanup_add(file->temp);
			else
				rc = e3_fail_sys(err, "opening: %s", file->temp);
		}
	}
	if (rc)
		e3_file_discard(file);
	return rc;
}

int e3_file_write(e3_file *file, const void *from, size_t n, e3_err *err)
{
	if (n && fwrite(from, 1, n, file->f) != n)
		return e3_fail_sys(err, "writing: %s", file->path);
	return 0;
}

int e3_file_commit(e3_file *file, e3_err *err)
{
	int rc = 0;
	if (fflush(file->f) || ferror(file->f))
		rc = e3_fail_sys(err, "writing: %s", file->path);
	if (fclose(file->f) && !rc)
		rc = e3_fail_sys(err, "closing: %s", file->path);
	file->f = NULL;
	if (!rc && file->temp && rename(file->temp, file->path))
		rc = e3_fail_sys(err, "renaming to: %s", file->path);
	if (!rc && file->temp) {
		e3_cleanup_drop(file->temp);
		free(file->temp);
		file->temp = NULL;
	}
	e3_file_discard(file);
	return rc;
}

void e3_file_discard(e3_file *file)
{
	if (file->f)
		fclose(file->f);
	if (file->temp) {
		unlink(file->temp);
		e3_cleanup_drop(file->temp);
	}
	free(file->temp);
	free(file->path);
	*file = (e3_file){0};
}
