/* export: COLMAP: what pictures are called. A name has no blank (images.txt is split at them) and nothing that a shell
 * or another system takes for more than a name; sorted by bytes, names are in the order of the frames, as programs that
 * list a folder expect of a video. */
#include "export/colmap.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STEM = 200 };

/* How many bytes at p are one character that may stay; 0: it becomes '_'. */
static size_t good(const char *p, bool first)
{
	if ((unsigned char)*p >= 0x80)
		return e3_utf8_length(p, strlen(p));
	return isalnum((unsigned char)*p) || *p == '_' || (!first && strchr(".+=@()-", *p));
}

static void clean(const char *name, char stem[STEM + 1], char ext[16])
{
	const char *dot = strrchr(name, '.');
	size_t n = 0, end = dot && dot > name && strlen(dot) < 12 ? (size_t)(dot - name) : strlen(name);
	snprintf(ext, 16, "%s", name[end] ? name + end + 1 : "");
	for (char *p = ext; *p; p++)
		if (!isalnum((unsigned char)*p))
			*p = '_';
	for (size_t k = 0; k < end && n + 4 < STEM;) {
		size_t wide = good(name + k, k == 0);
		if (wide && k + wide <= end)
			memcpy(stem + n, name + k, wide);
		else
			stem[n] = '_', wide = 1;
		n += wide, k += wide;
	}
	stem[n] = 0;
}

static int digits(uint64_t n)
{
	int d = 1;
	for (; n >= 10; n /= 10)
		d++;
	return d < 6 ? 6 : d;
}

/* number: what is put in front; 0: nothing. */
static int name_one(const colmap_model *m, colmap_image *im, uint64_t number, e3_err *err)
{
	char stem[STEM + 1], ext[16] = "png";
	e3_buf text = {0};
	const colmap_image *last = &m->image[m->n_images - 1];
	if (im->name)
		clean(im->name, stem, ext);
	if (!im->name || m->network || im->redrawn)
		memcpy(ext, "png", 4);
	int rc = number ? e3_buf_printf(&text, err, "%0*" PRIu64 "_", digits(m->n_images), number) : 0;
	if (!rc)
		rc = im->name ? e3_buf_printf(&text, err, "%s%s%s", stem, *ext ? "." : "", ext)
					  : e3_buf_printf(&text, err, "frame_%0*" PRId64 ".png", digits((uint64_t)last->s.i), im->s.i);
	if (rc)
		return -1;
	free(im->written);
	im->written = text.data;
	return 0;
}

static int by_letters(const void *a, const void *b)
{
	return strcasecmp((*(const colmap_image *const *)a)->written, (*(const colmap_image *const *)b)->written);
}

/* In order, and different also where a folder does not tell capitals from small letters. */
static int in_order(const colmap_model *m, bool *good, e3_err *err)
{
	const colmap_image **room = e3_alloc(m->n_images, sizeof *room, "names of pictures", err);
	*good = true;
	for (size_t k = 0; room && k < m->n_images; k++) {
		room[k] = &m->image[k];
		*good = *good && (!k || strcmp(room[k - 1]->written, room[k]->written) < 0);
	}
	if (room)
		qsort(room, m->n_images, sizeof *room, by_letters);
	for (size_t k = 1; room && k < m->n_images; k++)
		*good = *good && by_letters(&room[k - 1], &room[k]);
	free(room);
	return room ? 0 : -1;
}

int colmap_names(colmap_model *m, e3_err *err)
{
	bool good;
	for (size_t k = 0; k < m->n_images; k++)
		if (name_one(m, &m->image[k], 0, err))
			return -1;
	if (in_order(m, &good, err))
		return -1;
	for (size_t k = 0; !good && k < m->n_images; k++)
		if (name_one(m, &m->image[k], k + 1, err))
			return -1;
	if (!good)
		e3_tell(E3_TELL_NOTE, "the pictures' names do not sort in the order of the frames: they are numbered, as %s",
			m->image[0].written);
	return 0;
}
