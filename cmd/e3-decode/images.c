/* e3-decode: the names of pictures, and the folder of the very pictures that were sent. A file that any program shows
 * as it was sent is copied, every other picture is written as PNG. Owns the names in use: no two frames of a stream
 * have the same. */
#include "decode.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/picture.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 200 }; /* bytes; leaves room for what makes it unique */

struct images {
	const char *dir; /* NULL: names only */
	bool exif;       /* pictures were turned */
	picture_writer *writer;
	char frame[40]; /* the name of a frame of a video: different by its number, and there is no end of them */
	char **used;    /* [cap] names of files: a table by hash, at most half full */
	size_t n, cap;
};

/* An earlier run's pictures would mix with ours, and other files are not ours to touch. */
static int require_empty(const char *dir, e3_err *err)
{
	DIR *d = opendir(dir);
	if (!d)
		return e3_fail_sys(err, "opening: %s", dir);
	int rc = 0;
	for (struct dirent *e; !rc && (e = readdir(d));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = e3_fail(err, "opening: %s: not empty (%s): pictures need a folder of their own", dir, e->d_name);
	closedir(d);
	return rc;
}

images *images_open(const char *dir, bool exif, picture_writer *writer, e3_err *err)
{
	if (dir && (e3_mkdirs(dir, err) || require_empty(dir, err)))
		return NULL;
	images *s = e3_alloc(1, sizeof *s, "names of pictures", err);
	if (s)
		s->dir = dir, s->exif = exif, s->writer = writer;
	return s;
}

void images_close(images *s)
{
	for (size_t k = 0; s && k < s->cap; k++)
		free(s->used[k]);
	if (s)
		free(s->used);
	free(s);
}

/* Where the name is in the table, or would be. */
static size_t slot(char *const *used, size_t cap, const char *name)
{
	size_t k = (size_t)e3_fnv1a64(name, strlen(name)) & (cap - 1);
	while (used[k] && strcmp(used[k], name))
		k = (k + 1) & (cap - 1);
	return k;
}

static int grow(images *s, e3_err *err)
{
	size_t cap = s->cap ? 2 * s->cap : 256;
	char **used = e3_alloc(cap, sizeof *used, "names of pictures", err);
	if (!used)
		return -1;
	for (size_t k = 0; k < s->cap; k++)
		if (s->used[k])
			used[slot(used, cap, s->used[k])] = s->used[k];
	free(s->used);
	s->used = used, s->cap = cap;
	return 0;
}

/* Takes the name "STEM.EXT", or "STEM_2.EXT" and so on when it is in use. *out stays ours. */
static int take(images *s, const char *stem, const char *suffix, const char **out, e3_err *err)
{
	e3_buf name = {0};
	int rc = 2 * (s->n + 1) > s->cap ? grow(s, err) : 0;
	for (int64_t k = 1; !rc; k++) {
		name.len = 0;
		rc = k == 1 ? e3_buf_printf(&name, err, "%s%s", stem, suffix)
					: e3_buf_printf(&name, err, "%s_%" PRId64 "%s", stem, k, suffix);
		size_t at = rc ? 0 : slot(s->used, s->cap, name.data);
		if (!rc && !s->used[at]) {
			*out = s->used[at] = name.data;
			s->n++;
			return 0;
		}
	}
	e3_buf_release(&name);
	return rc;
}

/* How many bytes the UTF-8 character at p has; 0: none, or a control character. */
static size_t character(const unsigned char *p)
{
	if (*p < 0x80)
		return *p >= 0x20 && *p != 0x7f;
	size_t n = *p >= 0xf0 && *p < 0xf5 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 0;
	for (size_t k = 1; k < n; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	return *p >= 0xf5 ? 0 : n;
}

/* The stem and suffix of a file's name, as text that every reader of the stream takes. */
static void split(const char *path, char stem[NAME_MOST + 1], char suffix[NAME_MOST + 1])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
	size_t n = 0;
	snprintf(suffix, NAME_MOST + 1, "%s", dot && dot > name && strlen(dot) < 16 ? dot : "");
	size_t end = strlen(name) - strlen(suffix);
	for (size_t k = 0; k < end && n + 4 < NAME_MOST;) {
		size_t wide = character((const unsigned char *)name + k);
		if (wide)
			memcpy(stem + n, name + k, wide);
		else
			stem[n] = '_';
		n += wide ? wide : 1, k += wide ? wide : 1;
	}
	stem[n] = 0;
	for (char *p = suffix; *p; p++)
		*p = (char)((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e ? '_' : *p);
}

/* Whether a file can be copied as it is; then *length is that of its first picture. */
static bool may_copy(const images *s, const char *path, size_t *length, e3_image_kind *kind)
{
	e3_map map;
	e3_image_facts facts = {.kind = E3_IMAGE_NONE};
	*length = 0;
	if (e3_map_open(&map, path, NULL))
		return false;
	bool good = e3_picture_look(&(e3_picture){.bytes = map.data, .n = map.size, .name = path, .stored = !s->exif},
					&facts, NULL) == 0 &&
		facts.plain && facts.orientation == 1 && e3_image_extent(map.data, map.size, length, NULL) > 0;
	*kind = facts.kind;
	if (good && facts.kind == E3_IMAGE_JPEG) /* one without its end marker is written anew */
		good = *length >= 2 && map.data[*length - 1] == 0xd9;
	else
		good = good && facts.kind == E3_IMAGE_PNG;
	e3_map_close(&map);
	return good;
}

static int save(const images *s, const char *name, const e3_image *im, const char *from, size_t length, e3_err *err)
{
	e3_buf path = {0};
	int rc = e3_buf_printf(&path, err, "%s/%s", s->dir, name);
	if (!rc)
		rc = from ? writer_copy(s->writer, path.data, from, length, err) : writer_png(s->writer, path.data, im, err);
	e3_buf_release(&path);
	return rc;
}

int images_add(images *s, const e3_image *im, const char *path, int64_t src_i, const char **name, e3_err *err)
{
	char stem[NAME_MOST + 1], suffix[NAME_MOST + 1] = ".png";
	size_t length = 0;
	e3_image_kind kind = E3_IMAGE_NONE;
	*name = NULL;
	if (!path && !s->dir)
		return 0;
	bool copied = path && s->dir && may_copy(s, path, &length, &kind);
	if (!path) {
		snprintf(s->frame, sizeof s->frame, "frame_%06" PRId64 ".png", src_i);
		return save(s, *name = s->frame, im, NULL, 0, err);
	}
	split(path, stem, suffix);
	if (s->dir && (!copied || e3_picture_kind_by_name(suffix) != kind))
		snprintf(suffix, sizeof suffix, "%s", copied && kind == E3_IMAGE_JPEG ? ".jpg" : ".png");
	if (take(s, stem, suffix, name, err))
		return -1;
	return s->dir ? save(s, *name, im, copied ? path : NULL, length, err) : 0;
}
