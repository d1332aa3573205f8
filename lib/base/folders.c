/* base: folders for outputs, made when the first output in them is opened. Owns the list of those that this process
 * made: where it fails or a signal ends it, those that are empty by then are removed again. */
#include "e3/io.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Filled in order, so a folder comes after the one that it is in; never emptied, so a signal handler can read it. A
 * folder for which there is no room stays. */
enum { MAX_MADE = 64, MAX_LINKS = 40 };
static _Atomic(char *) made[MAX_MADE];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void e3_folders_leave(void)
{
	for (int k = MAX_MADE - 1; k >= 0; k--) {
		const char *path = atomic_load(&made[k]);
		if (path)
			(void)rmdir(path); /* fails when something is in it */
	}
}

/* false: it was made before, so somebody has removed it since. */
static bool remember(const char *path)
{
	char *whole = realpath(path, NULL), *other = NULL; /* the working directory may change */
	bool again = false;
	pthread_mutex_lock(&lock);
	int k = 0;
	while (k < MAX_MADE && !again && (other = atomic_load(&made[k])))
		again = whole && strcmp(other, whole) == 0, k++;
	if (k < MAX_MADE && !again)
		atomic_store(&made[k], whole);
	pthread_mutex_unlock(&lock);
	if (k == MAX_MADE || again)
		free(whole);
	return !again;
}

/* again: also what was made before and removed since. */
static int make(const char *path, int links, bool again, e3_err *err);

/* A link whose folder is missing: makes that. */
static int make_target(const char *link, int links, bool again, e3_err *err)
{
	char to[PATH_MAX], whole[PATH_MAX];
	const char *slash = strrchr(link, '/');
	ssize_t n = readlink(link, to, sizeof to - 1);
	if (n < 0)
		return e3_fail(err, "creating a directory: %s: exists and is not a directory", link);
	to[n] = 0;
	if (links == MAX_LINKS ||
		snprintf(whole, sizeof whole, "%.*s%s", to[0] == '/' || !slash ? 0 : (int)(slash + 1 - link), link, to) >=
			(int)sizeof whole) {
		errno = links == MAX_LINKS ? ELOOP : ENAMETOOLONG;
		return e3_fail_sys(err, "creating a directory: %s", link);
	}
	return make(whole, links + 1, again, err);
}

static int make(const char *path, int links, bool again, e3_err *err)
{
	char part[PATH_MAX];
	struct stat st;
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof part)
		return e3_fail(err, "creating a directory: %.60s: name %s", path, n ? "too long" : "empty");
	for (size_t k = 1; k <= n; k++) {
		if (path[k] != '/' && path[k] != 0)
			continue;
		memcpy(part, path, k);
		part[k] = 0;
		if (stat(part, &st) == 0)
			continue;
		if (mkdir(part, 0777) == 0) {
			if (!remember(part) && !again) { /* what was in it is lost: nothing goes on as if it were there */
				(void)rmdir(part);
				return e3_fail(err, "creating a directory: %s: it was removed during the run", part);
			}
		} else if (errno != EEXIST)
			return e3_fail_sys(err, "creating a directory: %s", part);
		else if (stat(part, &st) && make_target(part, links, again, err))
			return -1;
	}
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return e3_fail(err, "creating a directory: %s: exists and is not a directory", path);
	return 0;
}

int e3_mkdirs(const char *path, e3_err *err) { return make(path, 0, true, err); }

int e3_mkdirs_for(const char *path, e3_err *err)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	if (n == 0)
		return 0;
	if (n >= sizeof folder)
		return e3_fail(err, "creating a directory: %.60s: name too long", path);
	memcpy(folder, path, n);
	folder[n] = 0;
	return make(folder, 0, false, err);
}
