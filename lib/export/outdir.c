/* export: a folder of outputs that appear together: they are written into a hidden folder inside it and moved up at
 * the end. */
#include "export/outdir.h"
#include "e3/io.h"
#include "e3/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 3 }; /* folders in the hidden folder */

static bool is_entry(const struct dirent *e) { return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0; }

/* What is in the folder, as far as it can be removed. */
static void remove_all(int fd, int depth)
{
	int copy = depth <= DEEPEST ? dup(fd) : -1;
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (!is_entry(e) || unlinkat(fd, e->d_name, 0) == 0)
			continue;
		int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0) {
			remove_all(sub, depth + 1);
			close(sub);
			(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
		}
	}
	if (dir)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
}

/* The hidden folder of a process that was killed: one that is in use is locked. */
static void sweep_one(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		remove_all(fd, 0);
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void sweep(const char *path)
{
	static const char mark[] = ".tmp.";
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		const char *pid = e->d_name + strlen(mark);
		if (strncmp(e->d_name, mark, strlen(mark)) == 0 && *pid && strspn(pid, "0123456789") == strlen(pid))
			sweep_one(dirfd(dir), e->d_name);
	}
	if (dir)
		closedir(dir);
}

int e3_outdir_open(e3_outdir *d, const char *path, e3_err *err)
{
	struct stat st;
	*d = (e3_outdir){.made = stat(path, &st) != 0, .lock = -1};
	if (e3_mkdirs(path, err))
		return -1;
	sweep(path);
	if (asprintf(&d->path, "%s", path) < 0)
		d->path = NULL;
	if (asprintf(&d->temp, "%s/.tmp.%ld", path, (long)getpid()) < 0)
		d->temp = NULL;
	int rc = d->path && d->temp ? 0 : e3_fail(err, "creating a directory: %s: out of memory", path);
	if (!rc && mkdir(d->temp, 0777) && errno != EEXIST)
		rc = e3_fail_sys(err, "creating a directory: %s", d->temp);
	if (!rc && (d->lock = open(d->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
		(void)flock(d->lock, LOCK_EX | LOCK_NB); /* without locks nothing is swept */
	if (rc)
		e3_outdir_discard(d);
	return rc;
}

int e3_outdir_name(const e3_outdir *d, const char *name, char *to, size_t size, e3_err *err)
{
	if (snprintf(to, size, "%s/%s", d->temp, name) >= (int)size)
		return e3_fail(err, "writing: %s/%s: name too long", d->path, name);
	return 0;
}

int e3_outdir_sub(const e3_outdir *d, const char *name, e3_err *err)
{
	char path[4096];
	return e3_outdir_name(d, name, path, sizeof path, err) || e3_mkdirs(path, err) ? -1 : 0;
}

int e3_outdir_replace(e3_outdir *d, const char *name, e3_err *err)
{
	if (e3_grow((void **)&d->old, d->n_old + 1, sizeof *d->old, "names of files", err))
		return -1;
	d->old[d->n_old] = strdup(name);
	return d->old[d->n_old++] ? 0 : e3_fail(err, "creating a directory: %s: out of memory", d->path);
}

static int path_in(const char *folder, const char *name, char to[4096], e3_err *err)
{
	return snprintf(to, 4096, "%s/%s", folder, name) < 4096
		? 0
		: e3_fail(err, "writing: %s/%s: name too long", folder, name);
}

/* Moves every file of a folder to another one, and those of its folders to folders of the same names. */
static int move_all(const char *from, const char *to, int depth, e3_err *err)
{
	char a[4096], b[4096];
	DIR *dir = depth <= DEEPEST ? opendir(from) : NULL;
	int rc = 0;
	if (!dir)
		return e3_fail_sys(err, "reading a directory: %s", from);
	for (struct dirent *e; !rc && (e = readdir(dir));) {
		struct stat st;
		if (!is_entry(e))
			continue;
		if (path_in(from, e->d_name, a, err) || path_in(to, e->d_name, b, err))
			rc = -1;
		else if (lstat(a, &st) == 0 && S_ISDIR(st.st_mode))
			rc = e3_mkdirs(b, err) || move_all(a, b, depth + 1, err) ? -1 : 0;
		else if (rename(a, b))
			rc = e3_fail_sys(err, "renaming to: %s", b);
	}
	closedir(dir);
	return rc;
}

int64_t e3_outdir_count(const e3_outdir *d)
{
	int64_t n = 0;
	DIR *dir = d->temp ? opendir(d->temp) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));)
		n += is_entry(e);
	if (dir)
		closedir(dir);
	return n;
}

int e3_outdir_commit(e3_outdir *d, e3_err *err)
{
	char path[4096];
	for (size_t k = 0; k < d->n_old; k++)
		if (path_in(d->temp, d->old[k], path, NULL) || access(path, F_OK) == 0)
			d->old[k][0] = 0; /* a new file takes its place */
	if (move_all(d->temp, d->path, 0, err))
		return -1;
	for (size_t k = 0; k < d->n_old; k++)
		if (d->old[k][0] && path_in(d->path, d->old[k], path, NULL) == 0)
			(void)unlink(path);
	d->made = false;
	e3_outdir_discard(d);
	return 0;
}

void e3_outdir_discard(e3_outdir *d)
{
	if (d->path && d->temp) {
		int fd = open(d->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			remove_all(fd, 0);
			close(fd);
		}
		rmdir(d->temp);
		if (d->made)
			rmdir(d->path);
		if (d->lock >= 0)
			close(d->lock);
	}
	for (size_t k = 0; k < d->n_old; k++)
		free(d->old[k]);
	free(d->old);
	free(d->path);
	free(d->temp);
	*d = (e3_outdir){0};
}
