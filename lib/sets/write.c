/* sets: writing a scene as a data set. When writing fails, the files written so far are removed. Refuses names that a
 * reader would not find, and sequences that exist. */
#include "e3/mem.h"
#include "write.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a name matches the form, in which words in capitals stand for words, N for a digit, and everything else for
 * itself. */
static bool has_form(const char *name, const char *form)
{
	while (*form) {
		if (form[0] == 'N' && form[1] != 'A') {
			if (!isdigit((unsigned char)*name++))
				return false;
			form++;
		} else if (isupper((unsigned char)*form)) {
			size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
			if (n == 0 || name[0] == '.')
				return false;
			name += n;
			while (isupper((unsigned char)*form))
				form++;
		} else if (*name++ != *form++) {
			return false;
		}
	}
	return *name == 0;
}

e3_set_writer *e3_set_writer_open(e3_set_id set, const char *dir, const char *sequence, e3_err *err)
{
	const sets_row *row = sets_row_of(set);
	const char *name = sequence ? sequence : row->info.format.sequence;
	if (!has_form(name, row->form)) {
		e3_fail(err, "writing: %s: sequence %s: expected a name such as %s (%s)", e3_set_name(set), name,
			row->info.format.sequence, row->form);
		return NULL;
	}
	e3_set_writer *w = e3_alloc(1, sizeof *w, "a data set", err);
	if (!w)
		return NULL;
	w->set = set, w->row = row, w->root = strdup(dir), w->name = strdup(name);
	const char *mark = strstr(row->mark, "%s");
	char *there = sets_path(err, "%s/%.*s%s%s", dir, (int)(mark - row->mark), row->mark, name, mark + 2);
	int rc = w->root && w->name && there ? 0 : e3_fail(err, "writing: %s: out of memory", e3_set_name(set));
	if (!rc && access(there, F_OK) == 0)
		rc =
			e3_fail(err, "writing: %s: %s: exists already: choose another folder or sequence", e3_set_name(set), there);
	free(there);
	if (!rc)
		return w;
	e3_set_writer_discard(w);
	return NULL;
}

int e3_set_writer_add(e3_set_writer *w, const e3_set_shot *shot, e3_err *err)
{
	const e3_set_format *f = &w->row->info.format;
	if (w->n == 0)
		w->size[0] = shot->rgb->w, w->size[1] = shot->rgb->h, w->focal = shot->k.fx;
	if (shot->rgb->w != w->size[0] || shot->rgb->h != w->size[1] || shot->depth->w != w->size[0] ||
		shot->depth->h != w->size[1])
		return e3_fail(err, "writing: %s: frame %lld: %d × %d, the first was %d × %d", e3_set_name(w->set),
			(long long)w->n, shot->rgb->w, shot->rgb->h, w->size[0], w->size[1]);
	if (f->focal > 0 && w->size[0] * f->h != w->size[1] * f->w)
		return e3_fail(err, "writing: %s: %d × %d: its readers expect the proportions of %d × %d", e3_set_name(w->set),
			w->size[0], w->size[1], f->w, f->h);
	double focal = f->focal * w->size[0] / f->w;
	if (f->focal > 0 && !(shot->k.fx > focal - 1e-3 && shot->k.fx < focal + 1e-3))
		return e3_fail(err, "writing: %s: a focal length of %.3f pixels: its readers assume %.3f at this width",
			e3_set_name(w->set), shot->k.fx, focal);
	if (e3_traj_add(&w->poses, shot->seconds, shot->pose, err) || w->row->put(w, shot, err))
		return -1;
	w->n++;
	return 0;
}

static void writer_free(e3_set_writer *w)
{
	if (w->row->writer_release)
		w->row->writer_release(w);
	sets_names_release(&w->written);
	e3_traj_release(&w->poses);
	free(w->root), free(w->name);
	free(w);
}

int e3_set_writer_close(e3_set_writer *w, e3_err *err)
{
	int rc = w->n ? 0 : e3_fail(err, "writing: %s: no frame was written", e3_set_name(w->set));
	if (!rc && w->row->finish)
		rc = w->row->finish(w, err);
	if (rc)
		e3_set_writer_discard(w);
	else
		writer_free(w);
	return rc;
}

/* Removes folders that become empty too, up to the root. */
void e3_set_writer_discard(e3_set_writer *w)
{
	if (!w)
		return;
	for (size_t k = w->written.n; k-- > 0;) {
		char *path = w->written.v[k], *slash;
		unlink(path);
		while ((slash = strrchr(path, '/')) && (size_t)(slash - path) > strlen(w->root)) {
			*slash = 0;
			if (rmdir(path))
				break;
		}
	}
	writer_free(w);
}
