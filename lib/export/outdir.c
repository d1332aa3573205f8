/* export: a folder of outputs that appear together: they are written into a hidden folder inside it and moved up at
 * the end. Owns their names there, and the removal of what an earlier run left. */
#include "export/outdir.h"
#include "e3/io.h"
#include "e3/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
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

/* The digits before the ending of a name: where they begin, and how many; 0: fewer than four. */
static size_t digits_of(const char *name, size_t *from)
{
	enum { LEAST = 4 };
	const char *dot = strrchr(name, '.');
	size_t end = dot ? (size_t)(dot - name) : 0, at = end;
	while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9')
		at--;
	*from = at;
	return end - at >= LEAST ? end - at : 0;
}

static bool is_ours(const e3_outdir_kind *kind, int fd, uint64_t size)
{
	static const char mark[] = "e3-export";
	uint8_t head[E3_OUTDIR_HEAD];
	ssize_t n = e3_read_full(fd, head, sizeof head);
	if (n <= 0)
		return false;
	return kind->ours ? kind->ours(head, (size_t)n, size) : memmem(head, (size_t)n, mark, strlen(mark)) != NULL;
}

int e3_outdir_claim(e3_outdir *d, const e3_outdir_kind *kind, e3_err *err)
{
	int rc = 0;
	DIR *dir = opendir(d->path);
	for (struct dirent *e; dir && !rc && (e = readdir(dir));) {
		struct stat st;
		size_t from;
		if (fnmatch(kind->holds, e->d_name, FNM_PERIOD) || !digits_of(e->d_name, &from) ||
			fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (S_ISDIR(st.st_mode))
			rc = e3_fail(err, "writing: %s/%s: is a directory, in the way of a file of that name", d->path, e->d_name);
		int fd =
			S_ISREG(st.st_mode) ? openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
		if (fd >= 0 && is_ours(kind, fd, (uint64_t)st.st_size))
			rc = e3_outdir_replace(d, e->d_name, err);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return rc;
}

static int pad_names(const e3_outdir *d, e3_err *err)
{
	size_t most = 0, from;
	DIR *dir = opendir(d->temp);
	int rc = 0;
	if (!dir)
		return e3_fail_sys(err, "reading a directory: %s", d->temp);
	for (struct dirent *e; (e = readdir(dir));) {
		size_t n = digits_of(e->d_name, &from);
		most = n > most ? n : most;
	}
	rewinddir(dir);
	for (struct dirent *e; !rc && (e = readdir(dir));) {
		char to[NAME_MAX + 1];
		size_t n = digits_of(e->d_name, &from);
		if (!n || n == most)
			continue;
		int length = snprintf(to, sizeof to, "%.*s%0*d%s", (int)from, e->d_name, (int)(most - n), 0, e->d_name + from);
		if (length >= (int)sizeof to)
			rc = e3_fail(err, "renaming to: %s/%s: name too long", d->path, to);
		else if (renameat(dirfd(dir), e->d_name, dirfd(dir), to))
			rc = e3_fail_sys(err, "renaming to: %s/%s", d->path, to);
	}
	closedir(dir);
	return rc;
}

static void remove_old(const e3_outdir *d)
{
	char path[4096];
	int removed = 0;
	for (size_t k = 0; k < d->n_old; k++)
		removed += d->old[k][0] && path_in(d->path, d->old[k], path, NULL) == 0 && unlink(path) == 0;
	if (removed)
		e3_tell(E3_TELL_NOTE, "%s: removed %d file%s of an earlier run", d->path, removed, removed == 1 ? "" : "s");
}

int e3_outdir_commit(e3_outdir *d, bool whole, e3_err *err)
{
	char path[4096];
	if (pad_names(d, err))
		return -1;
	for (size_t k = 0; k < d->n_old; k++)
		if (path_in(d->temp, d->old[k], path, NULL) || access(path, F_OK) == 0)
			d->old[k][0] = 0; /* a new file takes its place */
	if (move_all(d->temp, d->path, 0, err))
		return -1;
	if (whole)
		remove_old(d);
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
