/* base: output files that appear whole or not at all. Owns the temporary name, the rename and the removal, and the lock
 * that tells a file that a process is writing from one that a killed process left. */
#include "e3/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Temporary files that are being written. The lock is for threads; a signal handler reads without it, so a slot holds a
 * whole path or NULL at any time, and is cleared before its path is freed. */
enum { MAX_UNFINISHED = 64 };
static _Atomic(char *) unfinished[MAX_UNFINISHED];
static pthread_mutex_t unfinished_lock = PTHREAD_MUTEX_INITIALIZER;

void e3_file_remove_unfinished(void)
{
	for (int k = 0; k < MAX_UNFINISHED; k++) {
		const char *path = unfinished[k];
		if (path)
			unlink(path);
	}
}

static void remember(const char *path)
{
	char *copy = strdup(path);
	pthread_mutex_lock(&unfinished_lock);
	for (int k = 0; copy && k < MAX_UNFINISHED; k++)
		if (!unfinished[k]) {
			unfinished[k] = copy;
			copy = NULL;
		}
	pthread_mutex_unlock(&unfinished_lock);
	free(copy);
}

static void forget(const char *path)
{
	char *found = NULL;
	pthread_mutex_lock(&unfinished_lock);
	for (int k = 0; !found && k < MAX_UNFINISHED; k++) {
		char *p = unfinished[k];
		if (p && strcmp(p, path) == 0) {
			found = p;
			unfinished[k] = NULL;
		}
	}
	pthread_mutex_unlock(&unfinished_lock);
	free(found);
}

static ssize_t write_all(void *cookie, const char *from, size_t n)
{
	return e3_write_full((int)(intptr_t)cookie, from, n) ? 0 : (ssize_t)n;
}

static int close_descriptor(void *cookie) { return close((int)(intptr_t)cookie); }

/* A FILE for a descriptor that may block: stdio by itself reports a write that a signal interrupts as failed. */
static FILE *open_blocking(int fd)
{
	cookie_io_functions_t io = {.write = write_all, .close = close_descriptor};
	FILE *f = fd < 0 ? NULL : fopencookie((void *)(intptr_t)fd, "w", io);
	if (!f && fd >= 0)
		close(fd);
	return f;
}

/* Devices and pipes cannot be replaced by a rename: they are written in place. */
static int in_place(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* Locked for as long as it is open. On a file system without locks the file stays unlocked; e3_file_sweep removes
 * nothing there. */
static FILE *open_locked(const char *temp)
{
	for (;;) {
		struct stat st;
		FILE *f = fopen(temp, "w+e");
		if (!f || flock(fileno(f), LOCK_EX) || fstat(fileno(f), &st) || st.st_nlink > 0)
			return f;
		fclose(f); /* another process removed it before it was locked */
	}
}

static bool is_temporary_of(const char *name, const char *base)
{
	static const char mark[] = ".tmp.";
	size_t n = strlen(base);
	if (strncmp(name, base, n) != 0 || strncmp(name + n, mark, strlen(mark)) != 0)
		return false;
	const char *pid = name + n + strlen(mark);
	return *pid && strspn(pid, "0123456789") == strlen(pid);
}

void e3_file_sweep(const char *path)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
	const char *base = slash ? path + (slash - copy) + 1 : path;
	if (slash)
		slash[slash == copy] = 0;
	DIR *dir = copy ? opendir(slash ? copy : ".") : NULL;
	for (struct dirent *e; dir && (e = readdir(dir));) {
		int fd = is_temporary_of(e->d_name, base)
			? openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
			: -1;
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
		close(fd);
	}
	if (dir)
		closedir(dir);
	free(copy);
}

int e3_file_renew(e3_file *file, const char *path, e3_err *err)
{
	e3_file_sweep(path);
	return e3_file_open(file, path, err);
}

int e3_file_open(e3_file *file, const char *path, e3_err *err)
{
	*file = (e3_file){0};
	file->path = strdup(path);
	if (!file->path)
		return e3_fail(err, "opening: %s: out of memory", path);
	int rc = 0;
	if (strcmp(path, "-") == 0) {
		file->f = open_blocking(file->fd = dup(STDOUT_FILENO));
		rc = file->f ? 0 : e3_fail_sys(err, "opening: standard output");
	} else if (in_place(path)) {
		file->f = open_blocking(file->fd = open(path, O_WRONLY | O_CLOEXEC));
		rc = file->f ? 0 : e3_fail_sys(err, "opening: %s", path);
	} else {
		size_t n = strlen(path) + 32;
		file->temp = malloc(n);
		if (!file->temp)
			rc = e3_fail(err, "opening: %s: out of memory", path);
		else {
			snprintf(file->temp, n, "%s.tmp.%ld", path, (long)getpid());
			file->f = open_locked(file->temp);
			if (file->f) {
				file->fd = fileno(file->f);
				remember(file->temp);
			} else {
				rc = e3_fail_sys(err, "opening: %s", path);
			}
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

/* Syncs the folder of a path, so that the new name is on disk too. Some file systems cannot; that is not an error. */
static void sync_folder(const char *path)
{
	char *copy = strdup(path), *slash = copy ? strrchr(copy, '/') : NULL;
	if (slash)
		slash[slash == copy] = 0;
	int fd = !copy ? -1 : open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(copy);
}

int e3_file_commit_durable(e3_file *file, e3_err *err)
{
	char *path = strdup(file->path);
	int rc = path ? 0 : e3_fail(err, "writing: %s: out of memory", file->path);
	if (!rc && (fflush(file->f) || (file->temp && fsync(file->fd))))
		rc = e3_fail_sys(err, "writing: %s", file->path);
	if (rc)
		e3_file_discard(file);
	else
		rc = e3_file_commit(file, err);
	if (!rc)
		sync_folder(path);
	free(path);
	return rc;
}

int e3_file_commit(e3_file *file, e3_err *err)
{
	int rc = 0, locked = file->temp ? dup(file->fd) : -1; /* keeps the lock until the rename */
	if (fflush(file->f) || ferror(file->f))
		rc = e3_fail_sys(err, "writing: %s", file->path);
	if (fclose(file->f) && !rc)
		rc = e3_fail_sys(err, "closing: %s", file->path);
	file->f = NULL;
	if (!rc && file->temp && rename(file->temp, file->path))
		rc = e3_fail_sys(err, "renaming to: %s", file->path);
	if (!rc && file->temp) {
		forget(file->temp);
		free(file->temp);
		file->temp = NULL;
	}
	if (locked >= 0)
		close(locked);
	e3_file_discard(file);
	return rc;
}

void e3_file_discard(e3_file *file)
{
	if (file->f)
		fclose(file->f);
	if (file->temp) {
		unlink(file->temp);
		forget(file->temp);
	}
	free(file->temp);
	free(file->path);
	*file = (e3_file){0};
}
