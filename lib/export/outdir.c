/* export: a folder of outputs that appear together: they are written into a hidden folder inside it and moved up at
 * the end. */
#include "export/outdir.h"
#include "e3/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The hidden folder of a process that was killed: one that is in use is locked. */
static void sweep_one(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), copy = -1;
	DIR *dir = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && (copy = dup(fd)) >= 0 ? fdopendir(copy) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, 0);
	if (dir) {
		closedir(dir);
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	}
	if (fd >= 0)
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

/* Moves every file of the hidden folder up into the output folder, or removes it. */
static int empty_temp(const e3_outdir *d, bool move, e3_err *err)
{
	char from[4096], to[4096];
	DIR *dir = opendir(d->temp);
	int rc = 0;
	if (!dir)
		return e3_fail_sys(err, "reading a directory: %s", d->temp);
	for (struct dirent *e; !rc && (e = readdir(dir));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (e3_outdir_name(d, e->d_name, from, sizeof from, err) ||
			snprintf(to, sizeof to, "%s/%s", d->path, e->d_name) >= (int)sizeof to)
			rc = -1;
		else if (move ? rename(from, to) : unlink(from))
			rc = e3_fail_sys(err, "%s: %s", move ? "renaming to" : "removing", move ? to : from);
	}
	closedir(dir);
	return rc;
}

int64_t e3_outdir_count(const e3_outdir *d)
{
	int64_t n = 0;
	DIR *dir = d->temp ? opendir(d->temp) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	if (dir)
		closedir(dir);
	return n;
}

int e3_outdir_commit(e3_outdir *d, e3_err *err)
{
	if (empty_temp(d, true, err))
		return -1;
	d->made = false;
	e3_outdir_discard(d);
	return 0;
}

void e3_outdir_discard(e3_outdir *d)
{
	if (d->path && d->temp) {
		(void)empty_temp(d, false, NULL);
		rmdir(d->temp);
		if (d->made)
			rmdir(d->path);
		if (d->lock >= 0)
			close(d->lock);
	}
	free(d->path);
	free(d->temp);
	*d = (e3_outdir){0};
}
