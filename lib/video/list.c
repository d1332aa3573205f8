/* video: pictures in files and folders, as a list of paths. What a file is, its first bytes say. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/picture.h"
#include "e3/word.h"
#include "video/input.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_suffix(const char *name, const char *list)
{
	const char *dot = strrchr(name, '.');
	for (const char *p = list; dot && *p;) {
		size_t n = strcspn(p, " ");
		if (strlen(dot + 1) == n && strncasecmp(dot + 1, p, n) == 0)
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

int input_list_add(e3_picture_list *list, const char *dir, const char *name, e3_err *err)
{
	e3_buf path = {0};
	if (e3_grow((void **)&list->path, list->n + 1, sizeof *list->path, "a list of files", err))
		return -1;
	if (e3_buf_printf(&path, err, "%s%s%s", dir ? dir : "", dir && dir[strlen(dir) - 1] != '/' ? "/" : "", name))
		return -1;
	list->path[list->n++] = path.data;
	return 0;
}

void e3_pictures_release(e3_picture_list *list)
{
	for (size_t k = 0; k < list->n; k++)
		free(list->path[k]);
	free(list->path);
	*list = (e3_picture_list){0};
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int naturally(const void *a, const void *b) { return e3_word_natural(*(char *const *)a, *(char *const *)b); }

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

void input_list_sort(e3_picture_list *list, size_t from, const char *dir, bool lexical)
{
	char **path = list->path + from;
	size_t n = list->n - from;
	qsort(path, n, sizeof *path, lexical ? by_bytes : naturally);
	for (size_t k = 1; k < n; k++)
		if ((lexical ? naturally : by_bytes)(&path[k - 1], &path[k]) > 0) {
			e3_tell(E3_TELL_NOTE, "reading: %s: in %s order: %s before %s", dir, lexical ? "byte" : "natural",
				base_name(path[k - 1]), base_name(path[k]));
			return;
		}
}

/* Files keep the order in which they are given, which a shell's pattern makes byte order: worth a word where it is not
 * the natural one. */
static void tell_order(const e3_picture_list *list)
{
	size_t odd = 0;
	for (size_t k = 1; k < list->n; k++) {
		if (by_bytes(&list->path[k - 1], &list->path[k]) > 0)
			return;
		if (odd == 0 && naturally(&list->path[k - 1], &list->path[k]) > 0)
			odd = k;
	}
	if (odd)
		e3_tell(E3_TELL_NOTE, "reading: files in the order in which they are given: %s before %s",
			base_name(list->path[odd - 1]), base_name(list->path[odd]));
}

/* The first bytes of a file: how many; -1 when it cannot be read. */
static ssize_t read_head(int dir, const char *name, uint8_t head[E3_IMAGE_HEAD])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : e3_read_full(fd, head, E3_IMAGE_HEAD);
	if (fd >= 0)
		close(fd);
	return n;
}

/* A file of motion JPEG begins like a picture; only its name distinguishes it. */
static bool is_motion_jpeg(const char *name) { return has_suffix(name, "mjpg mjpeg"); }

/* What a file in a folder is: NONE when it is no picture. A name that promises a picture makes a damaged one of what
 * does not begin as one; a text may begin like a PNM. */
static e3_image_kind kind_in_folder(int dir, const char *name)
{
	uint8_t head[E3_IMAGE_HEAD];
	ssize_t n = read_head(dir, name, head);
	e3_image_kind named = e3_picture_kind_by_name(name), kind = n > 0 ? e3_image_sniff(head, (size_t)n) : E3_IMAGE_NONE;
	if (is_motion_jpeg(name) || (kind == E3_IMAGE_PNM && named == E3_IMAGE_NONE))
		return E3_IMAGE_NONE;
	return named == E3_IMAGE_RAW || kind == E3_IMAGE_NONE ? named : kind;
}

/* One note for all files of a folder that were left out for the same reason. */
static void tell_left_out(const char *dir, e3_picture_list *list, const char *what)
{
	enum { SHOWN = 3 };
	e3_buf names = {0};
	if (list->n)
		qsort(list->path, list->n, sizeof *list->path, naturally);
	for (size_t k = 0; k < list->n && k < SHOWN; k++)
		(void)e3_buf_printf(&names, NULL, "%s%s", k ? ", " : "", list->path[k]);
	if (list->n && names.data)
		e3_tell(E3_TELL_NOTE, "reading: %s: left out: %zu file%s %s (%s%s)", dir, list->n, list->n == 1 ? "" : "s",
			what, names.data, list->n > SHOWN ? ", ..." : "");
	e3_buf_release(&names);
	e3_pictures_release(list);
}

static int add_folder(e3_picture_list *list, const char *dir, bool lexical, e3_err *err)
{
	e3_picture_list others = {0}, raws = {0};
	size_t before = list->n;
	bool folders = false;
	int rc = 0;
	DIR *d = opendir(dir);
	if (!d)
		return e3_fail_sys(err, "reading: %s", dir);
	for (struct dirent *e; !rc && (e = readdir(d));) {
		struct stat st;
		bool there = fstatat(dirfd(d), e->d_name, &st, 0) == 0;
		folders = folders || (e->d_name[0] != '.' && there && S_ISDIR(st.st_mode));
		if (e->d_name[0] == '.' || (there && !S_ISREG(st.st_mode)))
			continue; /* a link to nothing is one to a file that is missing */
		e3_image_kind kind = kind_in_folder(dirfd(d), e->d_name);
		bool taken = kind != E3_IMAGE_NONE && kind != E3_IMAGE_RAW;
		rc = input_list_add(taken ? list : kind == E3_IMAGE_RAW ? &raws : &others, taken ? dir : NULL, e->d_name, err);
	}
	closedir(d);
	tell_left_out(dir, &others,
		others.n == 1 ? "that is not a picture, or of a kind that is not read"
					  : "that are not pictures, or of a kind that is not read");
	tell_left_out(dir, &raws, "of a camera's raw kind, which is not read");
	if (!rc && list->n == before)
		rc = e3_fail(err, "reading: %s: no pictures in this folder%s", dir,
			folders ? "; folders inside it are not searched" : "");
	if (!rc)
		input_list_sort(list, before, dir, lexical);
	return rc;
}

/* Whether a file is one picture, or (alone) an animation, which is a video. FFmpeg cannot read animated WebP. */
static bool is_picture(const char *path, bool alone)
{
	uint8_t head[E3_IMAGE_HEAD];
	struct stat st;
	e3_image_facts facts;
	e3_map map;
	if (is_motion_jpeg(path) || stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	ssize_t n = read_head(AT_FDCWD, path, head);
	e3_image_kind kind = n > 0 ? e3_image_sniff(head, (size_t)n) : E3_IMAGE_NONE;
	bool moves = kind == E3_IMAGE_PNG || kind == E3_IMAGE_GIF || kind == E3_IMAGE_HEIF;
	if (kind == E3_IMAGE_NONE || !alone || !moves || e3_map_open(&map, path, NULL))
		return kind != E3_IMAGE_NONE;
	bool animated = e3_picture_look(&(e3_picture){.bytes = map.data, .n = map.size, .name = path}, &facts, NULL) == 0 &&
		facts.animated && (kind != E3_IMAGE_HEIF || e3_picture_may_move(map.data, map.size));
	e3_map_close(&map);
	return !animated;
}

int e3_pictures_expand(char *const *operand, int n, bool lexical, e3_picture_list *out, e3_err *err)
{
	bool folders = false;
	*out = (e3_picture_list){0};
	for (int k = 0; k < n; k++) {
		struct stat st;
		int rc = 0;
		if (strcmp(operand[k], "-") == 0)
			return e3_fail(err, "reading: -: standard input cannot be one input of several");
		bool folder = stat(operand[k], &st) == 0 && S_ISDIR(st.st_mode);
		folders = folders || folder;
		if (folder)
			rc = add_folder(out, operand[k], lexical, err);
		else if (n == 1 && !is_picture(operand[k], true))
			return 0; /* a video, or something that FFmpeg will refuse */
		else if (access(operand[k], R_OK))
			rc = e3_fail_sys(err, "reading: %s", operand[k]);
		else if (!is_picture(operand[k], false))
			rc = e3_fail(err, "reading: %s: not a picture: give one video, or pictures and folders", operand[k]);
		else
			rc = input_list_add(out, NULL, operand[k], err);
		if (rc)
			return -1;
	}
	if (!folders && !lexical)
		tell_order(out);
	return 0;
}
