/* export: COLMAP: what an earlier run left in the folder goes when the new model appears; what is somebody else's
 * stays, and where it is in the way nothing is written. An earlier run's files are known by the first line of its text
 * files. */
#include "export/colmap.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const made[] = {"sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin",
	"sparse/0/cameras.txt", "sparse/0/images.txt", "sparse/0/points3D.txt", "transforms.json", "points.ply"};

static FILE *open_marked(const e3_outdir *dir, const char *name)
{
	char path[4096], line[64] = "";
	FILE *f = snprintf(path, sizeof path, "%s/%s", dir->path, name) < (int)sizeof path ? fopen(path, "re") : NULL;
	const size_t mark = strlen("# e3-export ");
	if (f && (!fgets(line, sizeof line, f) || strncmp(line, colmap_mark, mark) != 0)) {
		fclose(f);
		return NULL;
	}
	return f;
}

/* The pictures that images.txt names: the tenth word of every other line. */
static int claim_pictures(e3_outdir *dir, FILE *f, e3_err *err)
{
	char *line = NULL, name[COLMAP_NAME + 8];
	size_t room = 0;
	int rc = 0;
	for (bool first = true; !rc && getline(&line, &room, f) > 0;) {
		char word[COLMAP_NAME];
		if (line[0] == '#')
			continue;
		if (first && sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %255s", word) == 1 && !strchr(word, '/')) {
			snprintf(name, sizeof name, "images/%s", word);
			rc = e3_outdir_replace(dir, name, err);
		}
		first = !first;
	}
	free(line);
	return rc;
}

static bool is_there(const e3_outdir *dir, const char *name)
{
	char path[4096];
	return snprintf(path, sizeof path, "%s/%s", dir->path, name) < (int)sizeof path && access(path, F_OK) == 0;
}

/* What the new files are moved to is known now. */
static int check_folders(const e3_outdir *dir, e3_err *err)
{
	static const char *const folder[] = {"images", "sparse", "sparse/0"};
	char path[4096];
	struct stat st;
	for (int k = 0; k < 3; k++)
		if (snprintf(path, sizeof path, "%s/%s", dir->path, folder[k]) < (int)sizeof path && stat(path, &st) == 0 &&
			!S_ISDIR(st.st_mode))
			return e3_fail(err, "opening: %s: exists and is not a directory", path);
	return 0;
}

int colmap_dir_claim(e3_outdir *dir, e3_err *err)
{
	if (check_folders(dir, err))
		return -1;
	FILE *cameras = open_marked(dir, "sparse/0/cameras.txt"), *images = open_marked(dir, "sparse/0/images.txt");
	int rc = 0;
	for (size_t k = 0; k < sizeof made / sizeof *made && !rc && !(cameras && images); k++)
		if (is_there(dir, made[k]))
			rc = e3_fail(err,
				"opening: %s/%s is there, and not of an earlier run: a COLMAP model needs a folder of its own",
				dir->path, made[k]);
	if (cameras && images)
		rc = claim_pictures(dir, images, err);
	if (cameras)
		fclose(cameras);
	if (images)
		fclose(images);
	return rc;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int colmap_dir_check(const colmap_model *m, const e3_outdir *dir, e3_err *err)
{
	if (dir->n_old)
		qsort(dir->old, dir->n_old, sizeof *dir->old, by_name);
	for (size_t k = 0; k < m->n_images; k++) {
		char name[COLMAP_NAME + 8], *key = name;
		snprintf(name, sizeof name, "images/%s", m->image[k].written);
		if (is_there(dir, name) && !(dir->n_old && bsearch(&key, dir->old, dir->n_old, sizeof *dir->old, by_name)))
			return e3_fail(err, "writing: %s/%s is there, and not of an earlier run", dir->path, name);
	}
	return 0;
}
