/* mask: pictures in a folder, one for each frame. Owns the sorted list of their names, and by what they belong to
 * frames. Refuses to guess where some belong by name and others do not. */
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
	char **stem;   /* the same names, by their part before the ending */
	bool numbered; /* every name is a frame number; otherwise names belong to frames in natural order, as pictures do */
	bool asked, named; /* the first frame with a name has come; a picture has its name: so has that of every frame */
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

static size_t stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot && dot > name ? (size_t)(dot - name) : strlen(name);
}

static int compare_stem(const char *name, const char *to, size_t n)
{
	size_t own = stem_length(name), least = own < n ? own : n;
	int order = memcmp(name, to, least);
	return order ? order : (own > n) - (own < n);
}

static int by_stem(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	return compare_stem(x, y, stem_length(y));
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
	m->stem = e3_alloc(m->n, sizeof *m->stem, "names of masks", err);
	if (!m->stem)
		return -1;
	memcpy(m->stem, m->name, m->n * sizeof *m->stem);
	qsort(m->stem, m->n, sizeof *m->stem, by_stem);
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

/* The picture with this stem, or NULL; *n: how many there are. */
static const char *find_stem(const e3_mask_folder *m, const char *stem, size_t length, size_t *n)
{
	size_t first = 0, last = m->n;
	while (first < last) {
		size_t middle = first + (last - first) / 2;
		if (compare_stem(m->stem[middle], stem, length) < 0)
			first = middle + 1;
		else
			last = middle;
	}
	for (*n = 0; first + *n < m->n && compare_stem(m->stem[first + *n], stem, length) == 0;)
		++*n;
	return *n ? m->stem[first] : NULL;
}

/* Of the frame a.jpg: a.jpg.png or a.png. */
static const char *name_of(const e3_mask_folder *m, const char *frame, size_t *n)
{
	const char *whole = find_stem(m, frame, strlen(frame), n);
	return whole ? whole : find_stem(m, frame, stem_length(frame), n);
}

static const char *name_at(const e3_mask_folder *m, int64_t frame, int64_t ordinal)
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

/* By name, if the first frame that has one finds a picture; else by number or order. */
static const char *name_for(e3_mask_folder *m, const e3_source *s, int64_t ordinal, const char *frame, e3_err *err)
{
	size_t same = 0;
	const char *named = frame ? name_of(m, frame, &same) : NULL, *at = name_at(m, s->i, ordinal);
	if (frame && !m->asked)
		m->asked = true, m->named = named != NULL;
	if (frame && m->named && !named)
		e3_fail(err, "reading masks: %s: no mask for frame %lld, %s: others have the names of their frames", m->dir,
			(long long)s->i, frame);
	else if (frame && m->named && same > 1)
		e3_fail(err, "reading masks: %s: %zu masks for frame %lld, %s: %s is one of them", m->dir, same,
			(long long)s->i, frame, named);
	else if (named && !m->named && (!at || strcmp(at, named) != 0))
		e3_fail(err,
			"reading masks: %s: %s has the name of frame %lld, %s, but the frames before have none of theirs: expected all "
			"masks by name, or all by number or order",
			m->dir, named, (long long)s->i, frame);
	else if (!m->named && !at)
		e3_fail(err, "reading masks: %s: no mask for frame %lld", m->dir, (long long)s->i);
	else
		return m->named && frame ? named : at;
	return NULL;
}

int e3_mask_folder_load(e3_mask_folder *m, const e3_source *s, int64_t ordinal, const char *frame, e3_image *picture,
	e3_err *err)
{
	const char *name = name_for(m, s, ordinal, frame, err);
	char path[4096];
	if (!name)
		return -1;
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
	free(m->name), free(m->stem);
	free(m->dir);
	free(m);
}
