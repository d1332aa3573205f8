/* export: COLMAP: the pictures. COLMAP and those who train from its models take pictures as they are stored: one that
 * is to be turned (EXIF), that has alpha, or that is no PNG or JPEG is written anew, as PNG; any other is linked or
 * copied. All are looked at before one is written. */
#include "e3/image.h"
#include "export/colmap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 4096 };

static int path_of(const char *folder, const colmap_image *im, char path[PATH], e3_err *err)
{
	return snprintf(path, PATH, "%s/%s", folder, im->name) < PATH
		? 0
		: e3_fail(err, "reading pictures: %s/%s: name too long", folder, im->name);
}

static int look(colmap_image *im, const char *path, e3_err *err)
{
	e3_map map;
	e3_image_facts facts;
	if (e3_map_open(&map, path, err))
		return -1;
	e3_image_kind kind = map.size >= E3_IMAGE_HEAD ? e3_image_sniff(map.data, map.size) : E3_IMAGE_NONE;
	int rc = kind > E3_IMAGE_PNM
		? e3_fail(err, "reading pictures: %s: neither JPEG nor PNG, which is what COLMAP and its users read", path)
		: e3_image_look(map.data, map.size, path, &facts, err);
	e3_map_close(&map);
	if (rc)
		return -1;
	bool across = facts.orientation >= 5;
	int w = across ? facts.h : facts.w, h = across ? facts.w : facts.h;
	if (w != im->s.src_w || h != im->s.src_h)
		return e3_fail(err, "reading pictures: %s: %d × %d pixels, but frame %lld was made of a picture of %d × %d",
			path, w, h, (long long)im->s.i, im->s.src_w, im->s.src_h);
	im->redrawn = facts.orientation != 1 || !facts.plain || kind == E3_IMAGE_PNM;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const colmap_image *const *)a)->name, (*(const colmap_image *const *)b)->name);
}

/* Two recordings that were joined may have frames of one name, and one folder has but one picture of it. */
static int check_twins(const colmap_model *m, e3_err *err)
{
	const colmap_image **room = e3_alloc(m->n_images, sizeof *room, "names of pictures", err);
	int rc = room ? 0 : -1;
	for (size_t k = 0; room && k < m->n_images; k++)
		room[k] = &m->image[k];
	if (room)
		qsort(room, m->n_images, sizeof *room, by_name);
	for (size_t k = 1; !rc && k < m->n_images; k++)
		if (by_name(&room[k - 1], &room[k]) == 0)
			rc = e3_fail(err, "reading pictures: frames %lld and %lld of the stream have pictures of one name, %s",
				(long long)room[k - 1]->s.i, (long long)room[k]->s.i, room[k]->name);
	free(room);
	return rc;
}

int colmap_images_look(colmap_model *m, const char *folder, e3_err *err)
{
	char path[PATH], first[PATH] = "";
	size_t missing = 0;
	for (size_t k = 0; k < m->n_images; k++) {
		const colmap_image *im = &m->image[k];
		if (!im->name)
			return e3_fail(err, "reading pictures: frame %lld of the stream does not say what its picture is called",
				(long long)im->s.i);
	}
	if (check_twins(m, err))
		return -1;
	for (size_t k = 0; k < m->n_images; k++) {
		colmap_image *im = &m->image[k];
		struct stat st;
		if (path_of(folder, im, path, err))
			return -1;
		if (stat(path, &st) && errno == ENOENT) {
			if (!missing++)
				memcpy(first, path, sizeof first);
		} else if (!missing && look(im, path, err)) {
			return -1;
		}
	}
	if (missing)
		return e3_fail(err, "reading pictures: %s: no such picture; %zu of %zu are missing", first, missing,
			m->n_images);
	return 0;
}

static int copy(const char *from, const char *to, e3_err *err)
{
	e3_map map;
	e3_file file;
	if (e3_map_open(&map, from, err))
		return -1;
	int rc = e3_file_open(&file, to, err);
	if (!rc && e3_file_write(&file, map.data, map.size, err)) {
		e3_file_discard(&file);
		rc = -1;
	} else if (!rc) {
		rc = e3_file_commit(&file, err);
	}
	e3_map_close(&map);
	return rc;
}

static int redraw(const char *from, const char *to, e3_err *err)
{
	e3_image im = {0};
	int orientation = 1;
	int rc = e3_image_load(from, &im, &orientation, err) || e3_image_orient(&im, orientation, err) ||
			e3_png_save_quick(to, &im, err)
		? -1
		: 0;
	e3_image_release(&im);
	return rc;
}

/* A hard link costs no room and stays whole when the folder is moved or packed. */
static int write_one(const colmap_image *im, const char *from, const char *to, e3_err *err)
{
	if (im->redrawn)
		return redraw(from, to, err);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 ? 0 : copy(from, to, err);
}

static int target_of(const e3_outdir *dir, const colmap_image *im, char to[PATH], e3_err *err)
{
	char name[COLMAP_NAME + 8];
	snprintf(name, sizeof name, "images/%s", im->written);
	return e3_outdir_name(dir, name, to, PATH, err);
}

static int write_network(const colmap_image *im, e3_export_run *run, const char *to, e3_err *err)
{
	const e3_pred *p;
	if (e3_frame_spool_seek(run->frames, im->ordinal, err))
		return -1;
	int rc = e3_frame_spool_next(run->frames, E3_PART_RGB, &p, err);
	if (rc != 1)
		return rc ? -1 : e3_fail(err, "reading a temporary file: it ended");
	if (!p->rgb)
		return e3_fail(err, "writing pictures: frame %lld has none in the stream", (long long)im->s.i);
	return e3_png_save_quick(to, &(e3_image){.w = p->w, .h = p->h, .channels = 3, .px = p->rgb}, err);
}

int colmap_images_write(const colmap_model *m, const char *folder, e3_export_run *run, const e3_outdir *dir,
	e3_err *err)
{
	char from[PATH], to[PATH];
	size_t redrawn = 0;
	if (e3_outdir_sub(dir, "images", err))
		return -1;
	for (size_t k = 0; k < m->n_images; k++) {
		const colmap_image *im = &m->image[k];
		if (run->opt->stop && run->opt->stop())
			return e3_fail(err, "exporting: interrupted");
		if (target_of(dir, im, to, err))
			return -1;
		if (m->network ? write_network(im, run, to, err)
					   : path_of(folder, im, from, err) || write_one(im, from, to, err))
			return -1;
		redrawn += im->redrawn;
	}
	if (redrawn)
		e3_tell(E3_TELL_NOTE, "%zu picture%s written anew as PNG: %s to be turned upright, or no plain JPEG or PNG",
			redrawn, redrawn == 1 ? "" : "s", redrawn == 1 ? "it was" : "they were");
	return 0;
}
