/* What the tests of lib/export share: a folder of their own, a small frame, and a run with it. */
#ifndef EXPORT_FIXTURE_H
#define EXPORT_FIXTURE_H

#include "check.h"
#include "export/writer.h"
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

enum { W = 6, H = 4, N = W * H };

static char folder[64];

static inline int make_folder(void **state)
{
	strcpy(folder, "/tmp/e3-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static inline const char *in_folder(const char *name)
{
	static char path[8][256];
	static int next;
	char *to = path[next++ % 8];
	snprintf(to, sizeof path[0], "%s/%s", folder, name);
	return to;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static inline int remove_folder(void **state) { return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

/* Files and folders in the test's folder. */
static inline int entries(void)
{
	int n = -2;
	DIR *d = opendir(folder);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static inline e3_pred frame(int64_t i)
{
	static uint8_t rgb[3 * N];
	static float depth[N], conf[N], points[3 * N];
	for (int k = 0; k < N; k++) {
		rgb[3 * k] = (uint8_t)(10 * k), rgb[3 * k + 1] = 100, rgb[3 * k + 2] = (uint8_t)i;
		depth[k] = 1 + 0.1f * (float)k;
		conf[k] = 2 + (float)k + (float)i;
		points[3 * k] = (float)(k % W), points[3 * k + 1] = (float)(k / W), points[3 * k + 2] = (float)i;
	}
	return (e3_pred){
		.s = {.i = i, .pts = 0.5 * (double)i, .src_w = W, .src_h = H, .fit = {1, 1, 0, 0}},
		.w = W,
		.h = H,
		.rgb = rgb,
		.has_pose = true,
		.pose = {0, 0, 0, 0, 0, 0, 1, 1, 1},
		.depth = depth,
		.depth_conf = conf,
		.points = points,
		.points_conf = conf,
	};
}

static inline e3_export_options options(void)
{
	return (e3_export_options){.cloud = {.stride = 1, .max_points = -1},
		.cameras = true,
		.frustum_size = 0.1,
		.ply_conf = true};
}

/* Asks for an output. */
static inline e3_output *add_output(e3_export_options *o, const char *format, const char *path)
{
	e3_output *out = &o->output[o->n_outputs++];
	*out = (e3_output){.format = e3_format_find(format), .path = path};
	assert_non_null(out->format);
	return out;
}

/* Points in the output of a format. */
static inline uint64_t written(const e3_export *x, const char *format)
{
	return e3_export_facts_of(x)->written[e3_format_find(format) - e3_formats];
}

/* A run that has got so many frames. */
static inline e3_export *begin(const e3_export_options *o, int frames)
{
	e3_err err;
	e3_export *x = e3_export_open(o, &err);
	if (!x)
		fail_msg("%s", err.text);
	for (int64_t i = 0; i < frames; i++) {
		e3_pred p = frame(i);
		if (e3_export_add(x, &p, &err))
			fail_msg("%s", err.text);
	}
	return x;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

#endif
