/* base: output files that appear whole or not at all. Owns the temporary name, the rename and the removal, the name of
 * what is kept of a file that is not whole, and the lock that tells a file that a process is writing from one that a
 * killed process left. Refuses folders, and a file that this process is writing already. */
#include "e3/io.h"
#include "e3/claim.h"
#include "e3/num.h"
#include "unfinished.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int (*stop_asked)(void);

void e3_file_stop_by(int (*stop)(void)) { stop_asked = stop; }

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

/* The file that a path leads to through links, one that does not exist yet included. NULL: out of memory, or the links
 * form a circle (errno). */
static char *follow(const char *path)
{
	enum { MAX_LINKS = 40 };
	char *at = strdup(path), to[4096];
	ssize_t n;
	for (int k = 0; at && (n = readlink(at, to, sizeof to - 1)) >= 0; k++) {
		const char *slash = strrchr(at, '/');
		char *next = NULL;
		to[n] = 0;
		if (k == MAX_LINKS)
			errno = ELOOP;
		else if (asprintf(&next, "%.*s%s", to[0] == '/' || !slash ? 0 : (int)(slash + 1 - at), at, to) < 0)
			next = NULL;
		free(at);
		at = next;
	}
	return at;
}

/* 0: locked, or a file system without locks; -1 with errno. Says what is waited for. */
static int lock(int fd, const char *path, double seconds)
{
	enum { STEP_MS = 20 };
	bool told = false;
	for (double start = e3_now(); flock(fd, LOCK_EX | LOCK_NB) && (errno == EWOULDBLOCK || errno == EINTR);) {
		double waited = e3_now() - start;
		bool stop = stop_asked && stop_asked();
		if (stop || (seconds > 0 && waited > seconds)) {
			errno = stop ? EINTR : ETIMEDOUT;
			return -1;
		}
		if (waited > 1 && !told)
			e3_tell(E3_TELL_WARN, "waiting for: %s: another process is writing it", path);
		told = told || waited > 1;
		(void)poll(NULL, 0, STEP_MS);
	}
	return 0;
}

/* Opens file->temp, locked for as long as it is open. On a file system without locks the file stays unlocked;
 * e3_file_sweep removes nothing there. */
static int open_locked(e3_file *file, double seconds, e3_err *err)
{
	for (;;) {
		struct stat st;
		int fd = open(file->temp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd < 0)
			return e3_fail_sys(err, "opening: %s", file->path);
		bool own = fstat(fd, &st) == 0 && e3_unfinished_has(&st);
		if (own || lock(fd, file->path, seconds)) {
			bool late = !own && errno == ETIMEDOUT;
			close(fd);
			return own ? e3_fail(err, "opening: %s: this run is writing it already", file->path)
				: late ? e3_fail(err, "opening: %s: another process is writing it ('timeout')", file->path)
					   : e3_fail(err, "opening: %s: interrupted while another process writes it", file->path);
		}
		if (fstat(fd, &st) == 0 && st.st_nlink == 0) { /* another process removed it before it was locked */
			close(fd);
			continue;
		}
		if (ftruncate(fd, 0) || !(file->f = fdopen(fd, "w+"))) {
			e3_fail_sys(err, "opening: %s", file->path);
			close(fd);
			return -1;
		}
		file->fd = fd;
		file->listed = e3_unfinished_add(file->temp, file->partial, &st);
		return 0;
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

/* Of the file itself, not of a link to it. */
static void sweep(const char *path)
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

void e3_file_sweep(const char *path)
{
	char *target = follow(path);
	if (target)
		sweep(target);
	free(target);
}

int e3_file_renew(e3_file *file, const char *path, e3_err *err)
{
	e3_file_sweep(path);
	return e3_file_open(file, path, err);
}

const char *e3_file_name(const e3_file *file) { return strcmp(file->path, "-") ? file->path : "standard output"; }

static int open_in_place(e3_file *file, int fd, e3_err *err)
{
	file->f = open_blocking(file->fd = fd);
	return file->f ? 0 : e3_fail_sys(err, "opening: %s", e3_file_name(file));
}

/* TARGET.partial; with one more ".partial" where that is a file which the run reads: it must not be replaced. */
static char *partial_of(const char *target)
{
	char *name = NULL, *longer = NULL;
	if (asprintf(&name, "%s.partial", target) < 0)
		return NULL;
	while (name && e3_claim_reads(name)) {
		if (asprintf(&longer, "%s.partial", name) < 0)
			longer = NULL;
		free(name);
		name = longer;
	}
	return name;
}

/* A file that is there is replaced as if it were overwritten: it must be writable, and keeps its permissions. */
static int open_beside(e3_file *file, double seconds, e3_err *err)
{
	struct stat st;
	file->target = follow(file->path);
	if (!file->target)
		return e3_fail_sys(err, "opening: %s", file->path);
	bool there = stat(file->target, &st) == 0, folder = there && S_ISDIR(st.st_mode);
	folder = folder || file->target[strlen(file->target) - 1] == '/';
	if (!folder && !there && e3_mkdirs_for(file->target, err))
		return e3_fail_in(err, "opening: %s", file->path);
	if (folder || (there && faccessat(AT_FDCWD, file->target, W_OK, AT_EACCESS))) {
		errno = folder ? EISDIR : errno;
		return e3_fail_sys(err, "opening: %s", file->path);
	}
	if (asprintf(&file->temp, "%s.tmp.%ld", file->target, (long)getpid()) < 0)
		file->temp = NULL;
	file->partial = partial_of(file->target);
	if (file->temp && file->partial && open_locked(file, seconds, err) == 0) {
		if (there)
			(void)fchmod(file->fd, st.st_mode & 0777);
		return 0;
	}
	if (!file->temp || !file->partial)
		e3_fail(err, "opening: %s: out of memory", file->path);
	free(file->temp); /* not ours to remove */
	file->temp = NULL;
	return -1;
}

int e3_file_open(e3_file *file, const char *path, e3_err *err) { return e3_file_open_within(file, path, 0, err); }

int e3_file_open_within(e3_file *file, const char *path, double seconds, e3_err *err)
{
	*file = (e3_file){.path = strdup(path)};
	if (!file->path)
		return e3_fail(err, "opening: %s: out of memory", path);
	int rc = strcmp(path, "-") == 0 ? open_in_place(file, dup(STDOUT_FILENO), err)
		: in_place(path)            ? open_in_place(file, open(path, O_WRONLY | O_CLOEXEC), err)
									: open_beside(file, seconds, err);
	if (rc)
		e3_file_discard(file);
	return rc;
}

int e3_file_reserve(e3_file *file, uint64_t bytes, e3_err *err)
{
	struct statvfs fs;
	if (!file->temp || !bytes || bytes > INT64_MAX)
		return 0;
	int why = fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) ? errno : 0;
	if (why == EOPNOTSUPP || why == ENOSYS)
		why = fstatvfs(file->fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < bytes ? ENOSPC : 0;
	if (why != ENOSPC && why != EDQUOT && why != EFBIG)
		return 0;
	errno = why;
	return e3_fail_sys(err, "writing: %s: %.1f MB", file->path, (double)bytes / 1e6);
}

int e3_file_write(e3_file *file, const void *from, size_t n, e3_err *err)
{
	if (n && fwrite(from, 1, n, file->f) != n)
		return e3_fail_sys(err, "writing: %s", e3_file_name(file));
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
		rc = e3_fail_sys(err, "writing: %s", e3_file_name(file));
	if (rc)
		e3_file_discard(file);
	else
		rc = e3_file_commit(file, err);
	if (!rc)
		sync_folder(path);
	free(path);
	return rc;
}

/* Flushes and closes: 0, or -1 with the error. */
static int finish(e3_file *file, e3_err *err)
{
	int rc = 0;
	if (fflush(file->f) || ferror(file->f))
		rc = e3_fail_sys(err, "writing: %s", e3_file_name(file));
	if (fclose(file->f) && !rc)
		rc = e3_fail_sys(err, "closing: %s", e3_file_name(file));
	file->f = NULL;
	return rc;
}

static void clear(e3_file *file)
{
	e3_unfinished_forget(file->listed);
	free(file->temp), free(file->partial), free(file->target), free(file->path);
	*file = (e3_file){0};
}

int e3_file_commit(e3_file *file, e3_err *err)
{
	int locked = file->temp ? dup(file->fd) : -1; /* keeps the lock until the rename */
	int rc = finish(file, err);
	if (!rc && file->temp && rename(file->temp, file->target)) {
		rc = e3_fail_sys(err, "renaming to: %s", file->path);
		if (file->listed && atomic_load(&file->listed->worth) && rename(file->temp, file->partial) == 0) {
			e3_fail_in(err, "what was written stays as %s", file->partial);
			clear(file);
		}
	} else if (!rc) {
		clear(file);
	}
	if (locked >= 0)
		close(locked);
	e3_file_discard(file);
	return rc;
}

/* Does this process have that file open? It may be reading the part that a new one would replace. */
static bool is_open(const char *path)
{
	struct stat st, of;
	bool open = false;
	DIR *dir = stat(path, &st) == 0 ? opendir("/proc/self/fd") : NULL;
	for (struct dirent *e; dir && !open && (e = readdir(dir));)
		open = fstatat(dirfd(dir), e->d_name, &of, 0) == 0 && of.st_dev == st.st_dev && of.st_ino == st.st_ino;
	if (dir)
		closedir(dir);
	return open;
}

void e3_file_worth(e3_file *file)
{
	if (!file->listed || atomic_load(&file->listed->worth))
		return;
	if (is_open(file->partial)) { /* then this one keeps the name that it has */
		free(file->partial), free(file->listed->partial);
		file->partial = strdup(file->temp), file->listed->partial = strdup(file->temp);
		if (!file->partial || !file->listed->partial)
			return;
	}
	atomic_store(&file->listed->worth, true);
}

int e3_file_keep(e3_file *file, char **name, e3_err *err)
{
	*name = NULL;
	int locked = dup(file->fd), rc = finish(file, err);
	if (!rc) {
		bool named = rename(file->temp, file->partial) == 0; /* else it stays under the name that it has */
		*name = named ? file->partial : file->temp;
		*(named ? &file->partial : &file->temp) = NULL;
		clear(file);
	}
	if (locked >= 0)
		close(locked);
	e3_file_discard(file);
	return rc;
}

void e3_file_discard(e3_file *file)
{
	e3_unfinished_go(file->listed);
	if (file->f)
		fclose(file->f);
	if (file->temp)
		unlink(file->temp);
	clear(file);
}
