/* export: masks, one picture per frame, where not black = keep (doc/formats.md 1.4). A mask is a picture of the source
 * and goes through the scaling and cropping of its frame, so that it covers the right rows when a portrait video is
 * cropped. Owns the sorted list of file names. */
#include "export/writer.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct e3_masks {
	char *dir, **name;
	size_t n;
	bool numbered; /* every name is a frame number; otherwise names belong to frames in sorted order */
};

static bool is_picture(const char *name)
{
	static const char *const ends[] = {".png", ".pgm", ".ppm", ".pnm", ".pbm", ".jpg", ".jpeg"};
	const char *dot = strrchr(name, '.');
	for (size_t k = 0; dot && dot != name && k < sizeof ends / sizeof *ends; k++)
		if (strcasecmp(dot, ends[k]) == 0)
			return true;
	return false;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

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

static int read_names(e3_masks *m, DIR *d, e3_err *err)
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

e3_masks *e3_masks_open(const char *dir, e3_err *err)
{
	e3_masks *m = e3_alloc(1, sizeof *m, "masks", err);
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
		e3_masks_close(m);
		return NULL;
	}
	return m;
}

static const char *name_for(const e3_masks *m, int64_t frame, int64_t ordinal)
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

/* For each pixel of the network image along one axis: the pixel of the mask that covers its centre, or -1 outside the
 * source picture. The resize keeps the edges of the pictures together, so centres are at k + 0.5. */
static void sample_axis(int n, double s, double t, int src, int mask, int *to)
{
	for (int k = 0; k < n; k++) {
		double at = (k + 0.5 - t) / s / src;
		to[k] = at >= 0 && at < 1 ? (int)(at * mask) : -1;
	}
}

int e3_masks_get(e3_masks *m, const e3_pred *p, int64_t ordinal, uint8_t *keep, e3_err *err)
{
	const char *name = name_for(m, p->s.i, ordinal);
	const e3_fit *f = &p->s.fit;
	char path[4096];
	e3_image im = {0};
	int orientation;
	if (!name)
		return e3_fail(err, "reading masks: %s: no mask for frame %lld", m->dir, (long long)p->s.i);
	if (snprintf(path, sizeof path, "%s/%s", m->dir, name) >= (int)sizeof path)
		return e3_fail(err, "reading masks: %s: name too long", m->dir);
	if (e3_image_load(path, &im, &orientation, err))
		return -1;
	bool direct = (im.w == p->w && im.h == p->h) || !(f->sx > 0) || !(f->sy > 0) || p->s.src_w < 1 || p->s.src_h < 1;
	int *x = e3_alloc((size_t)p->w + (size_t)p->h, sizeof *x, "a mask", err);
	if (!x) {
		e3_image_release(&im);
		return -1;
	}
	int *y = x + p->w;
	sample_axis(p->w, direct ? 1 : f->sx, direct ? 0 : f->tx, direct ? p->w : p->s.src_w, im.w, x);
	sample_axis(p->h, direct ? 1 : f->sy, direct ? 0 : f->ty, direct ? p->h : p->s.src_h, im.h, y);
	for (int v = 0; v < p->h; v++)
		for (int u = 0; u < p->w; u++) {
			bool inside = x[u] >= 0 && y[v] >= 0;
			const uint8_t *px = im.px + (inside ? (size_t)y[v] * (size_t)im.w + (size_t)x[u] : 0) * 3;
			*keep++ = inside && (px[0] | px[1] | px[2]);
		}
	free(x);
	e3_image_release(&im);
	return 0;
}

void e3_masks_close(e3_masks *m)
{
	if (!m)
		return;
	for (size_t k = 0; k < m->n; k++)
		free(m->name[k]);
	free(m->name);
	free(m->dir);
	free(m);
}
