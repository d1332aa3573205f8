/* sets: a sequence: its frames, strides and limits; pairing files by name. Refuses a picture whose partner is missing,
 * naming it. */
#include "e3/mem.h"
#include "internal.h"
#include <stdlib.h>
#include <string.h>

sets_frame *sets_add(e3_seq *q, char *image, int64_t index, e3_err *err)
{
	if (!image)
		return NULL;
	if (q->n == q->cap) {
		size_t cap = q->cap ? 2 * q->cap : 64;
		if (e3_grow((void **)&q->frame, cap, sizeof *q->frame, "a sequence", err)) {
			free(image);
			return NULL;
		}
		q->cap = cap;
	}
	q->frame[q->n] = (sets_frame){.image = image, .index = index, .stamp = (double)index};
	return &q->frame[q->n++];
}

static void frame_release(sets_frame *f)
{
	free(f->image), free(f->depth);
	*f = (sets_frame){0};
}

int64_t sets_number(const char *name)
{
	const char *p = strpbrk(name, "0123456789");
	int64_t v = 0;
	if (!p)
		return -1;
	for (; *p >= '0' && *p <= '9' && v < (int64_t)1 << 50; p++)
		v = 10 * v + (*p - '0');
	return v;
}

int sets_listing(const char *path, sets_pattern want, const char *what, sets_names *out, e3_err *err)
{
	if (sets_folder(path, want, out, err))
		return e3_fail_in(err, "%s", what);
	if (out->n == 0)
		return e3_fail(err, "reading: %s: no %s: expected %s*%s here", path, what, want.prefix ? want.prefix : "",
			want.suffix ? want.suffix : "");
	return 0;
}

static size_t stem_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot ? (size_t)(dot - name) : strlen(name);
}

/* The first of the names that has the stem of `name` and one of the suffixes (NULL: any); NULL when there is none. */
static const char *with_stem(const sets_names *names, const char *name, const char *suffixes)
{
	size_t n = stem_of(name);
	for (size_t k = 0; k < names->n; k++)
		if (stem_of(names->v[k]) == n && strncmp(names->v[k], name, n) == 0 &&
			(!suffixes || sets_suffix_of(names->v[k], suffixes)))
			return names->v[k];
	return NULL;
}

char *sets_find_beside(const sets_beside *b, const char *name, e3_err *err)
{
	int first = (int)strcspn(b->suffix, "|");
	char *usual = sets_path(err, "%.*s%.*s", (int)stem_of(name), name, first, b->suffix), *path = NULL;
	if (!usual)
		return NULL;
	const char *found = sets_names_have(b->there, usual) ? usual : with_stem(b->there, name, b->suffix);
	if (found)
		path = sets_path(err, "%s/%s", b->dir, found);
	else
		e3_fail(err, "reading: %s/%s: missing: there are %zu %s and %zu of these", b->dir, usual, b->from->n, b->what,
			b->there->n);
	free(usual);
	return path;
}

int sets_need_all(const sets_beside *b, e3_err *err)
{
	for (size_t k = 0; b->there->n > b->from->n && k < b->there->n; k++)
		if (!with_stem(b->from, b->there->v[k], NULL))
			return e3_fail(err, "reading: %s/%s: nothing of that name among the %zu %s: there are %zu of these", b->dir,
				b->there->v[k], b->from->n, b->what, b->there->n);
	return 0;
}

/* Keeps every stride-th frame, up to max_frames. */
static void thin(e3_seq *q)
{
	const e3_set_options *o = &q->set->o;
	size_t step = q->strided ? 1 : (size_t)o->stride, n = 0;
	for (size_t k = 0; k < q->n; k++)
		if (k % step == 0 && (o->max_frames == 0 || n < (size_t)o->max_frames))
			q->frame[n++] = q->frame[k];
		else
			frame_release(&q->frame[k]);
	q->n = n;
}

e3_seq *e3_seq_open(const e3_set *s, size_t k, e3_err *err)
{
	e3_seq *q = e3_alloc(1, sizeof *q, "a sequence", err);
	if (!q)
		return NULL;
	q->set = s;
	q->name = strdup(s->entry[k].name);
	int rc = q->name ? 0 : e3_fail(err, "out of memory");
	if (!rc && !s->entry[k].found)
		rc = e3_fail(err, "reading: %s: not found", s->base);
	if (!rc)
		rc = s->row->open(s, q->name, q, err);
	if (rc) {
		e3_fail_in(err, "%s: %s", s->name, s->entry[k].name);
		e3_seq_close(q);
		return NULL;
	}
	thin(q);
	return q;
}

void e3_seq_close(e3_seq *q)
{
	if (!q)
		return;
	for (size_t k = 0; k < q->n; k++)
		frame_release(&q->frame[k]);
	e3_map_close(&q->pack);
	free(q->frame), free(q->name);
	free(q);
}

e3_seq_counts e3_seq_count(const e3_seq *q)
{
	e3_seq_counts c = q->counts;
	c.frames = (int64_t)q->n;
	return c;
}
