/* mask: pictures in a folder, one for each frame. Owns the sorted list of their names. */
#include "e3/mask.h"
#include "e3/mem.h"
#include "e3/word.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct e3_mask_folder {
	char *dir, **name;
	size_t n;
	bool numbered; /* every name is a frame number; otherwise names belong to frames in natural order, as pictures do */
};

static bool is_picture(const char *name)
{
	static const char *const ends[] = {".png", ".pgm", ".ppm", ".pnm", ".pbm", ".jpg", ".jpeg"};
	const char *dot = strrchr(name, '.');
	for (size_t k = 0; dot && *name != '.' && k < sizeof ends / sizeof *ends; k++)
		if (strcasecmp(dot, ends[k]) == 0)
			return true;
	return false;
}

static int by_name(const void *a, const void *b) { return e3_word_natural(*(char *const *)a, *(char *const *)b); }

/* The number that a name consists of, or -1: "000012.png" is 12. */
static int64_t number_of(const char *name)
{
	size_t digits = strspn(name, "0123456789");
	return digits && digits < 16 && name[digits] == '.' ? strtoll(name, NULL, 10) : -1;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = number_of(*(char *const *)a), y = number_of(*(char *const *)b);
	return (x > y) - (x < y);
}

static int read_names(e3_mask_folder *m, DIR *d, e3_err *err)
{
	size_t cap = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (!is_picture(e->d_name))
			continue;
		if (m->n == cap) {
			cap = cap ? 2 * cap : 64;
			if (e3_grow((void **)&m->name, cap, sizeof *m->name, "names of masks", err))
				return -1;
		}
		m->name[m->n] = strdup(e->d_name);
		if (!m->name[m->n])
			return e3_fail(err, "reading masks: %s: out of memory", m->dir);
		m->n++;
	}
	if (!m->n)
		return e3_fail(err, "reading masks: %s: holds no PNG, JPEG or PNM file", m->dir);
	m->numbered = true;
	for (size_t k = 0; k < m->n; k++)
		m->numbered = m->numbered && number_of(m->name[k]) >= 0;
	qsort(m->name, m->n, sizeof *m->name, m->numbered ? by_number : by_name);
	return 0;
}

e3_mask_folder *e3_mask_folder_open(const char *dir, e3_err *err)
{
	e3_mask_folder *m = e3_alloc(1, sizeof *m, "masks", err);
	DIR *d = m ? opendir(dir) : NULL;
	int rc = m ? 0 : -1;
	if (m && !d)
		rc = e3_fail_sys(err, "reading masks: %s", dir);
	if (!rc && !(m->dir = strdup(dir)))
		rc = e3_fail(err, "reading masks: %s: out of memory", dir);
	if (!rc)
		rc = read_names(m, d, err);
	if (d)
		closedir(d);
	if (rc) {
		e3_mask_folder_close(m);
		return NULL;
	}
	return m;
}

static const char *name_for(const e3_mask_folder *m, int64_t frame, int64_t ordinal)
{
	if (!m->numbered)
		return (uint64_t)ordinal < m->n ? m->name[ordinal] : NULL;
	size_t first = 0, last = m->n;
	while (first < last) {
		size_t middle = first + (last - first) / 2;
		if (number_of(m->name[middle]) < frame)
			first = middle + 1;
		else
			last = middle;
	}
	return first < m->n && number_of(m->name[first]) == frame ? m->name[first] : NULL;
}

int e3_mask_folder_load(const e3_mask_folder *m, int64_t i, int64_t ordinal, e3_image *picture, e3_err *err)
{
	const char *name = name_for(m, i, ordinal);
	char path[4096];
	if (!name)
		return e3_fail(err, "reading masks: %s: no mask for frame %lld", m->dir, (long long)i);
	if (snprintf(path, sizeof path, "%s/%s", m->dir, name) >= (int)sizeof path)
		return e3_fail(err, "reading masks: %s: name too long", m->dir);
	return e3_image_load_mask(path, picture, err);
}

void e3_mask_folder_close(e3_mask_folder *m)
{
	if (!m)
		return;
	for (size_t k = 0; k < m->n; k++)
		free(m->name[k]);
	free(m->name);
	free(m->dir);
	free(m);
}
