/* sets: folders and file names: sorted listings, paths, messages about missing files. */
#include "e3/mem.h"
#include "internal.h"
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

void sets_names_release(sets_names *x)
{
	for (size_t k = 0; k < x->n; k++)
		free(x->v[k]);
	free(x->v);
	*x = (sets_names){0};
}

int sets_names_add(sets_names *x, const char *name, e3_err *err)
{
	if ((x->n & (x->n - 1)) == 0 && e3_grow((void **)&x->v, x->n ? 2 * x->n : 1, sizeof *x->v, "a list of names", err))
		return -1;
	x->v[x->n] = strdup(name);
	return x->v[x->n] ? (x->n++, 0) : e3_fail(err, "listing: out of memory");
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

bool sets_names_have(const sets_names *sorted, const char *name)
{
	return sorted->n && bsearch(&name, sorted->v, sorted->n, sizeof *sorted->v, by_bytes);
}

const char *sets_suffix_of(const char *name, const char *suffixes)
{
	size_t n = strlen(name);
	for (const char *p = suffixes; *p;) {
		size_t length = strcspn(p, "|");
		if (n >= length && strncasecmp(name + n - length, p, length) == 0)
			return name + n - length;
		p += length + (p[length] == '|');
	}
	return NULL;
}

static bool fits(const char *name, const sets_pattern *want)
{
	size_t prefix = want->prefix ? strlen(want->prefix) : 0;
	if (name[0] == '.' || strlen(name) < prefix || (prefix && strncmp(name, want->prefix, prefix)))
		return false;
	return !want->suffix || !*want->suffix || sets_suffix_of(name + prefix, want->suffix);
}

int sets_folder(const char *path, sets_pattern want, sets_names *out, e3_err *err)
{
	*out = (sets_names){0};
	DIR *d = opendir(path);
	if (!d)
		return e3_fail_sys(err, "reading: %s", path);
	int rc = 0;
	for (struct dirent *e; !rc && (e = readdir(d));) {
		struct stat st;
		if (!fits(e->d_name, &want))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, 0)) {
			/* a dangling link: leaving it out would shift files that are paired by order */
			if (want.suffix && *want.suffix && !want.folders)
				rc = e3_fail_sys(err, "reading: %s/%s", path, e->d_name);
			continue;
		}
		if ((S_ISDIR(st.st_mode) != 0) == want.folders)
			rc = sets_names_add(out, e->d_name, err);
	}
	closedir(d);
	if (rc)
		sets_names_release(out);
	else if (out->n)
		qsort(out->v, out->n, sizeof *out->v, by_bytes);
	return rc;
}

bool sets_is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool sets_is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *sets_path(e3_err *err, const char *fmt, ...)
{
	char *path;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&path, fmt, args);
	va_end(args);
	if (n >= 0)
		return path;
	e3_fail(err, "making a path: out of memory");
	return NULL;
}

int sets_need(const char *path, const char *what, e3_err *err)
{
	return access(path, R_OK) ? e3_fail_sys(err, "reading: %s: %s", path, what) : 0;
}
