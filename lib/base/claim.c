/* base: the inputs and outputs of a run, compared with each other. Owns the list of them; refuses an output that is an
 * input or another output. */
#include "e3/claim.h"
#include "e3/mem.h"
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a claim points to. */
typedef struct place {
	bool counts; /* a file or a folder, or nothing yet */
	bool exists, folder;
	bool pipe; /* then it does not count, but two outputs in it would be mixed */
	dev_t dev;
	ino_t ino;
	bool has_parent; /* the folder that it is in exists */
	dev_t parent_dev;
	ino_t parent_ino;
	char *path; /* absolute, without links; empty when it has no name */
} place;

/* Its texts are its own, but for `what` and `back`. */
typedef struct entry {
	e3_claim c;
	bool std; /* standard input or output */
	place at;
	const struct entry *from; /* the folder in which it is a link */
} entry;

/* A stage adds to the list when its stream begins, while other threads may open files. */
static struct {
	entry **at;
	size_t n;
} list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- places --- */

enum { LINKS_MOST = 40 };

static bool join(char *to, const char *dir, const char *name)
{
	return (size_t)snprintf(to, PATH_MAX, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name) < PATH_MAX;
}

static char *last_part(const char *path)
{
	char *slash = strrchr(path, '/');
	return slash ? slash + 1 : (char *)(uintptr_t)path;
}

static bool without_links(const char *path, char *to, int depth);

/* The folder of `path`, without links, and the last part of the name in it. */
static bool split(const char *path, char *folder, char name[NAME_MAX + 1], int depth)
{
	char copy[PATH_MAX];
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0 || n >= sizeof copy)
		return false;
	memcpy(copy, path, n);
	copy[n] = 0;
	char *part = last_part(copy);
	if ((size_t)snprintf(name, NAME_MAX + 1, "%s", part) > NAME_MAX)
		return false;
	if (part == copy)
		return without_links(".", folder, depth + 1);
	part[part - 1 == copy ? 0 : -1] = 0;
	return without_links(copy, folder, depth + 1);
}

/* As realpath, also of what does not exist: then the folders that would have to be made count as they are written. */
static bool without_links(const char *path, char *to, int depth)
{
	char folder[PATH_MAX], name[NAME_MAX + 1], target[PATH_MAX];
	if (realpath(path, to))
		return true;
	if (depth > LINKS_MOST || !split(path, folder, name, depth))
		return false;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		memcpy(to, folder, strlen(folder) + 1);
		if (name[1] && last_part(to) > to + 1)
			last_part(to)[-1] = 0;
		return true;
	}
	if (!join(to, folder, name))
		return false;
	ssize_t n = readlink(to, target, sizeof target - 1);
	if (n <= 0)
		return true;
	target[n] = 0;
	char whole[PATH_MAX];
	return target[0] == '/' ? without_links(target, to, depth + 1)
							: join(whole, folder, target) && without_links(whole, to, depth + 1);
}

static void find_parent(place *p)
{
	char folder[PATH_MAX];
	struct stat st;
	memcpy(folder, p->path, strlen(p->path) + 1);
	char *part = last_part(folder);
	part[part > folder + 1 ? -1 : 0] = 0;
	if (folder[0] && stat(folder, &st) == 0)
		p->has_parent = true, p->parent_dev = st.st_dev, p->parent_ino = st.st_ino;
}

/* Of standard input or output: the name of its file, unless that is gone. */
static bool name_of(int fd, const struct stat *st, char to[PATH_MAX])
{
	char path[32];
	struct stat named;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return realpath(path, to) && stat(to, &named) == 0 && named.st_dev == st->st_dev && named.st_ino == st->st_ino;
}

/* fd: of standard input or output, else -1. */
static int locate(place *p, const char *path, int fd, e3_err *err)
{
	struct stat st;
	char to[PATH_MAX] = "";
	p->exists = fd >= 0 ? fstat(fd, &st) == 0 : stat(path, &st) == 0;
	p->counts = p->exists ? S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) : fd < 0;
	if (p->exists)
		p->folder = S_ISDIR(st.st_mode), p->pipe = S_ISFIFO(st.st_mode), p->dev = st.st_dev, p->ino = st.st_ino;
	if (!p->counts)
		return 0;
	if (!(fd >= 0 ? name_of(fd, &st, to) : without_links(path, to, 0)))
		to[0] = 0;
	p->counts = p->exists || to[0];
	p->path = strdup(to);
	if (!p->path)
		return e3_fail(err, "a list of files: out of memory");
	if (to[0])
		find_parent(p);
	return 0;
}

static bool same(const place *a, const place *b)
{
	if (a->exists != b->exists)
		return false;
	if (a->exists)
		return a->dev == b->dev && a->ino == b->ino;
	if (a->has_parent && b->has_parent)
		return a->parent_dev == b->parent_dev && a->parent_ino == b->parent_ino &&
			strcmp(last_part(a->path), last_part(b->path)) == 0;
	return strcmp(a->path, b->path) == 0;
}

/* --- folders --- */

static bool one_holds(const char *pattern, size_t n, const char *name)
{
	char one[256];
	if (n >= sizeof one)
		return false;
	memcpy(one, pattern, n);
	one[n] = 0;
	if (strncmp(one, "**/", 3) == 0)
		return fnmatch(one + 3, last_part(name), FNM_CASEFOLD) == 0;
	return fnmatch(one, name, FNM_PATHNAME | FNM_CASEFOLD) == 0;
}

static bool holds(const char *patterns, const char *name)
{
	for (const char *p = patterns; *p;) {
		size_t n = strcspn(p, "|");
		if (one_holds(p, n, name))
			return true;
		p += n + (p[n] == '|');
	}
	return false;
}

/* The name of a file in a folder or in one below it; NULL: it is not there. */
static const char *name_in(const place *file, const place *folder)
{
	size_t n = strlen(folder->path);
	n -= n == 1; /* "/" */
	if (folder->path[0] && strncmp(file->path, folder->path, n) == 0 && file->path[n] == '/' && file->path[n + 1])
		return file->path + n + 1;
	if (file->has_parent && folder->exists && file->parent_dev == folder->dev && file->parent_ino == folder->ino)
		return last_part(file->path);
	return NULL;
}

/* Is one of the folder's files this one, by a link? */
static bool linked_in(const entry *folder, const place *file)
{
	DIR *d = folder->at.folder && file->exists && !file->folder ? opendir(folder->at.path) : NULL;
	bool found = false;
	for (struct dirent *e; !found && d && (e = readdir(d));) {
		struct stat st;
		found = holds(folder->c.holds, e->d_name) && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
			st.st_dev == file->dev && st.st_ino == file->ino;
	}
	if (d)
		closedir(d);
	return found;
}

static bool is_in(const entry *file, const entry *folder)
{
	if (!folder->c.holds)
		return false;
	const char *name = name_in(&file->at, &folder->at);
	if (name && holds(folder->c.holds, name))
		return true;
	return folder->c.use & E3_READS && linked_in(folder, &file->at);
}

/* --- texts --- */

/* By its option and name, or by its name alone. */
static const char *called(const entry *e, char to[PATH_MAX + 64])
{
	const char *path = !e->std ? e->c.path : e->c.use & E3_READS ? "standard input" : "standard output";
	snprintf(to, PATH_MAX + 64, "%s%s%s", e->c.by ? e->c.by : "", e->c.by ? " " : "", path);
	return to;
}

/* What an input is to the run. */
static const char *role(const entry *e, char to[256])
{
	if (e->c.by)
		snprintf(to, 256, "the %s of %s", e->at.folder ? "folder" : "file", e->c.by);
	else
		snprintf(to, 256, "%s", e->std ? "standard input" : e->c.what);
	return to;
}

static int fail_same(const entry *out, const entry *in, e3_err *err)
{
	char what[256], as[PATH_MAX + 4] = "";
	const char *path = out->std ? "standard output" : out->c.path;
	if (!in->std && strcmp(in->c.path, path) != 0)
		snprintf(as, sizeof as, " (%s)", in->c.path);
	return e3_fail(err, "%s%s%s is %s%s: give the output another name", out->c.by ? out->c.by : "",
		out->c.by ? ": " : "", path, role(in, what), as);
}

static int fail_twice(const entry *a, const entry *b, e3_err *err)
{
	char one[PATH_MAX + 64], two[PATH_MAX + 64];
	if (a->c.by && b->c.by && strcmp(a->c.path, b->c.path) == 0)
		return e3_fail(err, "%s and %s have the same name, %s: give them different names", a->c.by, b->c.by, a->c.path);
	return e3_fail(err, "%s and %s are the same %s: give them different names", called(a, one), called(b, two),
		a->at.folder     ? "folder"
			: a->at.pipe ? "pipe"
						 : "file");
}

static int fail_inside(const entry *file, const entry *folder, e3_err *err)
{
	char one[PATH_MAX + 64], two[PATH_MAX + 64], what[256];
	if (file->c.use & E3_READS)
		return e3_fail(err, "%s would replace files such as %s, which is %s: give the output another folder",
			called(folder, one), file->std ? file->at.path : file->c.path, role(file, what));
	if (folder->c.use & E3_READS)
		return e3_fail(err, "%s is one of the files in %s, %s: give the output another name", called(file, one),
			folder->c.path, role(folder, what));
	return e3_fail(err, "%s is a file that %s writes: give it another name", called(file, one), called(folder, two));
}

/* --- clashes --- */

/* Is it a file that an earlier run left when it wrote the output? The next one removes it. */
static bool is_left_over(const entry *in, const entry *out)
{
	static const char mark[] = ".tmp.";
	size_t n = strlen(out->at.path);
	if (out->c.use & E3_STREAM || n == 0 || strncmp(in->at.path, out->at.path, n) != 0 ||
		strncmp(in->at.path + n, mark, strlen(mark)) != 0)
		return false;
	const char *pid = in->at.path + n + strlen(mark);
	return *pid && strspn(pid, "0123456789") == strlen(pid);
}

static int compare_reading(const entry *out, const entry *in, e3_err *err)
{
	char what[256];
	if (out->c.back && in->c.by && strcmp(out->c.back, in->c.by) == 0)
		return 0;
	if (same(&out->at, &in->at))
		return fail_same(out, in, err);
	if (out->c.use & E3_MAYBE)
		return 0;
	if (is_left_over(in, out))
		return e3_fail(err, "%s: writing it removes %s, which is %s: give the output another name", out->c.path,
			in->c.path, role(in, what));
	return is_in(in, out) ? fail_inside(in, out, err) : is_in(out, in) ? fail_inside(out, in, err) : 0;
}

/* Would the folder of `file` take the place of the file `of`? */
static bool is_below(const entry *file, const entry *of)
{
	return !of->c.holds && !of->at.exists && of->at.path[0] && name_in(&file->at, &of->at);
}

static int fail_below(const entry *file, const entry *of, e3_err *err)
{
	char one[PATH_MAX + 64], two[PATH_MAX + 64];
	return e3_fail(err, "%s needs a folder with the name of %s: give them different names", called(file, one),
		called(of, two));
}

static int compare_writing(const entry *a, const entry *b, e3_err *err)
{
	bool maybe = (a->c.use | b->c.use) & E3_MAYBE;
	if (a->std && b->std && !maybe && a->c.by && b->c.by)
		return e3_fail(err, "%s and %s: only one output can be standard output", a->c.by, b->c.by);
	if (a->std && b->std)
		return maybe ? 0 : e3_fail(err, "only one output can be standard output");
	if (!maybe && a->at.pipe && b->at.pipe && a->at.dev == b->at.dev && a->at.ino == b->at.ino)
		return fail_twice(a, b, err);
	if (!a->at.counts || !b->at.counts)
		return 0;
	if (same(&a->at, &b->at))
		return fail_twice(a, b, err);
	if (maybe)
		return 0;
	if (is_below(a, b) || is_below(b, a))
		return is_below(a, b) ? fail_below(a, b, err) : fail_below(b, a, err);
	return is_in(a, b) ? fail_inside(a, b, err) : is_in(b, a) ? fail_inside(b, a, err) : 0;
}

static int compare(const entry *x, const entry *y, e3_err *err)
{
	if (x->c.use & y->c.use & E3_WRITES)
		return compare_writing(x, y, err);
	if (x->c.use & y->c.use & E3_READS || !x->at.counts || !y->at.counts)
		return 0;
	return x->c.use & E3_WRITES ? compare_reading(x, y, err) : compare_reading(y, x, err);
}

static void release(entry *e)
{
	free((char *)(uintptr_t)e->c.path);
	free((char *)(uintptr_t)e->c.by);
	free((char *)(uintptr_t)e->c.holds);
	free(e->at.path);
	free(e);
}

static int fill(entry *e, const e3_claim *c, e3_err *err)
{
	e->c = *c;
	e->c.path = strdup(c->path), e->c.by = c->by ? strdup(c->by) : NULL,
	e->c.holds = c->holds ? strdup(c->holds) : NULL;
	if (!e->c.path || (c->by && !e->c.by) || (c->holds && !e->c.holds))
		return e3_fail(err, "a list of files: out of memory");
	e->std = strcmp(c->path, "-") == 0;
	return locate(&e->at, c->path, !e->std ? -1 : c->use & E3_READS ? STDIN_FILENO : STDOUT_FILENO, err);
}

/* Takes a claim that has been filled; 1 when it is in the list now. A missing input is for whoever opens it, and what
 * is no file clashes with nothing. */
static int take(entry *e, e3_err *err)
{
	if (e->c.use & E3_READS ? !e->at.counts || !e->at.exists : !e->at.counts && !e->std && !e->at.pipe)
		return 0;
	for (size_t k = 0; k < list.n; k++) {
		const entry *other = list.at[k];
		bool kin = e->from && (e->from == other || e->from == other->from);
		if (!kin && compare(other, e, err))
			return -1;
	}
	if (e3_grow((void **)&list.at, list.n + 1, sizeof *list.at, "a list of files", err))
		return -1;
	list.at[list.n++] = e;
	return 1;
}

static int add(const e3_claim *c, const entry *from, e3_err *err);

/* Of a folder that has links in it: what they point to is read or may be written too. */
static int claim_links(const entry *folder, e3_err *err)
{
	DIR *d = folder->c.holds && folder->at.folder ? opendir(folder->c.path) : NULL;
	int rc = 0;
	for (struct dirent *e; !rc && d && (e = readdir(d));) {
		char path[PATH_MAX], target[2];
		e3_claim link = folder->c;
		link.path = path, link.holds = NULL;
		if ((e->d_type == DT_LNK || e->d_type == DT_UNKNOWN) && holds(folder->c.holds, e->d_name) &&
			join(path, folder->c.path, e->d_name) && readlink(path, target, sizeof target) > 0)
			rc = add(&link, folder, err);
	}
	if (d)
		closedir(d);
	return rc;
}

static int add(const e3_claim *c, const entry *from, e3_err *err)
{
	entry *e = e3_alloc(1, sizeof *e, "a list of files", err);
	if (!e)
		return -1;
	e->from = from;
	int rc = fill(e, c, err) ? -1 : take(e, err);
	if (rc > 0)
		return claim_links(e, err);
	release(e);
	return rc;
}

int e3_claim_add(const e3_claim *c, e3_err *err)
{
	bool is_path = c->path && !(c->use & E3_STREAM && strncmp(c->path, "zmq:", 4) == 0);
	if (!is_path)
		return 0;
	if (!*c->path)
		return e3_fail(err, "%s: the name is empty", c->by ? c->by : c->what ? c->what : "a file");
	pthread_mutex_lock(&lock);
	int rc = add(c, NULL, err);
	pthread_mutex_unlock(&lock);
	return rc;
}

int e3_claim_replaces(const e3_claim *c, char *name, size_t size)
{
	struct stat st;
	char path[PATH_MAX];
	int n = 0;
	if (strcmp(c->path, "-") == 0 || (c->use & E3_STREAM && strncmp(c->path, "zmq:", 4) == 0) || stat(c->path, &st))
		return 0;
	if (S_ISREG(st.st_mode)) {
		snprintf(name, size, "%s", c->path);
		return 1;
	}
	DIR *d = c->holds && S_ISDIR(st.st_mode) ? opendir(c->path) : NULL;
	for (struct dirent *e; d && (e = readdir(d));)
		if (holds(c->holds, e->d_name) && join(path, c->path, e->d_name) && n++ == 0)
			snprintf(name, size, "%s", path);
	if (d)
		closedir(d);
	return n;
}

bool e3_claim_reads(const char *path)
{
	struct stat st;
	bool found = false;
	if (stat(path, &st))
		return false;
	pthread_mutex_lock(&lock);
	for (size_t k = 0; !found && k < list.n; k++) {
		const entry *e = list.at[k];
		found = e->c.use & E3_READS && e->at.dev == st.st_dev && e->at.ino == st.st_ino;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

void e3_claims_clear(void)
{
	for (size_t k = 0; k < list.n; k++)
		release(list.at[k]);
	free(list.at);
	list.at = NULL, list.n = 0;
}
