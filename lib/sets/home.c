/* sets: finding the folder of a data set. When nothing of it is at the root, the message says what was expected, what
 * is there and, if the data set is up to three folders above or one below, which folder to give. */
#include "e3/mem.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_folder(const char *path, const sets_row *row)
{
	sets_names found;
	bool yes = false;
	if (sets_folder(path, row->folder, &found, NULL))
		return false;
	for (size_t k = 0; k < found.n && !yes; k++) {
		char *inside = sets_path(NULL, "%s%s/%s", path, found.v[k], row->inside ? row->inside : "");
		yes = inside && (sets_is_folder(inside) || sets_is_file(inside));
		free(inside);
	}
	sets_names_release(&found);
	return yes;
}

static bool is_home(const e3_set *s) { return s->row->is_home ? s->row->is_home(s) : has_folder(s->base, s->row); }

/* Makes `path` (which ends in a slash) s->base when the data set is there; else frees it. */
static bool take(e3_set *s, char *path)
{
	s->base = path;
	if (path && is_home(s))
		return true;
	free(path);
	s->base = NULL;
	return false;
}

/* Looks in a folder below `dir` (which ends in a slash) whose name differs from `home` only in case. */
static bool is_called(e3_set *s, const char *dir, const sets_names *here, const char *home)
{
	size_t n = strcspn(home, "/");
	for (size_t k = 0; n && k < here->n; k++)
		if (strlen(here->v[k]) == n && strncasecmp(here->v[k], home, n) == 0 &&
			take(s, sets_path(NULL, "%s%s%s", dir, here->v[k], home + n)))
			return true;
	return false;
}

/* Looks in `dir` (which ends in a slash) and in its folders with one of the data set's usual names. */
static bool is_in(e3_set *s, const char *dir)
{
	const char *const *home = s->row->homes;
	sets_names here = {0};
	bool yes = false;
	for (size_t k = 0; !yes && k < SETS_HOMES && home[k]; k++)
		yes = take(s, sets_path(NULL, "%s%s", dir, home[k]));
	if (yes || sets_folder(dir, (sets_pattern){NULL, NULL, true}, &here, NULL))
		return yes;
	for (size_t k = 0; !yes && k < SETS_HOMES && home[k]; k++)
		yes = is_called(s, dir, &here, home[k]);
	sets_names_release(&here);
	return yes;
}

/* Looks one folder below the root and a few above. Returns the folder to give instead, allocated, or NULL. */
static char *near_by(e3_set *s, const char *root)
{
	enum { ABOVE = 3 };
	sets_names below = {0};
	char *dir = realpath(root, NULL), *slash;
	bool found = false;
	sets_folder(root, (sets_pattern){NULL, NULL, true}, &below, NULL);
	for (size_t k = 0; !found && k < below.n; k++) {
		char *path = sets_path(NULL, "%s/%s/", root, below.v[k]);
		found = path && is_in(s, path);
		free(path);
	}
	for (int k = 0; !found && dir && k < ABOVE && (slash = strrchr(dir, '/')) > dir; k++) {
		slash[1] = 0;
		found = is_in(s, dir);
		slash[0] = 0;
	}
	sets_names_release(&below);
	free(dir);
	char *base = s->base;
	s->base = NULL;
	return base;
}

/* Lists a few names of the root's contents, for the message. */
static int describe(const char *root, e3_buf *to)
{
	enum { SHOWN = 6 };
	sets_names all[2] = {{0}};
	int rc = 0;
	size_t n = 0;
	for (int folders = 1; folders >= 0; folders--) {
		if (sets_folder(root, (sets_pattern){"", "", folders}, &all[folders], NULL))
			return e3_buf_printf(to, NULL, "nothing that can be read");
		for (size_t k = 0; !rc && k < all[folders].n; k++)
			if (n++ < SHOWN)
				rc = e3_buf_printf(to, NULL, "%s%s%s", n > 1 ? ", " : "", all[folders].v[k], folders ? "/" : "");
	}
	if (!rc && n > SHOWN)
		rc = e3_buf_printf(to, NULL, " and %zu more", n - SHOWN);
	if (!rc && n == 0)
		rc = e3_buf_printf(to, NULL, "nothing");
	sets_names_release(&all[0]);
	sets_names_release(&all[1]);
	return rc;
}

int sets_find_home(e3_set *s, e3_err *err)
{
	const sets_row *row = s->row;
	const char *root = s->o.root;
	char *dir = sets_path(err, "%s%s", root, root[0] && root[strlen(root) - 1] == '/' ? "" : "/");
	if (!dir)
		return -1;
	bool found = is_in(s, dir);
	free(dir);
	if (found)
		return 0;
	if (row->refuse && row->refuse(s, err))
		return -1;
	if (!sets_is_folder(root))
		return e3_fail(err, "opening: %s: %s: no such folder", s->name, root);
	e3_buf what = {0};
	char *other = near_by(s, root);
	describe(root, &what);
	e3_fail(err, "opening: %s: %s: expected %s, here or in %s; found %s%s%s", s->name, root, row->expected,
		row->homes[1], what.data ? what.data : "", other ? "; the data set is elsewhere: give " : "",
		other ? other : "");
	free(other);
	e3_buf_release(&what);
	return -1;
}
