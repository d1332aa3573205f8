/* model: finds the weights if none are named: in the user's cache folder, else the bundled demo model. */
#include "e3/checkpoint.h"
#include "e3/io.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_model(const char *name)
{
	static const char *const ends[] = {".safetensors", ".pth", ".pt"};
	size_t n = strlen(name);
	for (size_t k = 0; name[0] != '.' && k < sizeof ends / sizeof *ends; k++) {
		size_t m = strlen(ends[k]);
		if (n > m && strcmp(name + n - m, ends[k]) == 0)
			return true;
	}
	return false;
}

/* The first model file of a folder, by name. */
static char *model_in(const char *dir)
{
	DIR *d = opendir(dir);
	char best[256] = "", *path = NULL;
	for (struct dirent *e; d && (e = readdir(d));)
		if (is_model(e->d_name) && (!best[0] || strcmp(e->d_name, best) < 0))
			snprintf(best, sizeof best, "%s", e->d_name);
	if (d)
		closedir(d);
	if (best[0] && asprintf(&path, "%s/%s", dir, best) < 0)
		path = NULL;
	return path;
}

/* The demo model, as installed or in the source tree. */
static char *bundled(void)
{
	static const char *const places[] = {"../share/e3/demo.safetensors", "../../pipelines/demo/model.safetensors"};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return NULL;
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
		char *path;
		if (asprintf(&path, "%s/%s", self, places[k]) < 0)
			return NULL;
		if (access(path, R_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

int e3_ckpt_locate(char **path, bool *is_demo, e3_err *err)
{
	char *dir = NULL;
	*path = NULL, *is_demo = false;
	if (e3_cache_path(NULL, &dir, NULL) == 0)
		*path = model_in(dir);
	free(dir);
	if (*path)
		return 0;
	*is_demo = true;
	*path = bundled();
	return *path ? 0 : e3_fail(err, "~/.cache/e3: no model there, and the demo model is not installed");
}
