/* sets: the layouts as they are written, one put for each frame and a finish for what belongs to the sequence
 * (doc/evaluation.md 2). The prepared forms are written where the papers prepare their data. */
#include "e3/mem.h"
#include "write.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int save_rgb(char *path, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_png_save(path, s->rgb, err) : -1;
	free(path);
	return rc;
}

static int save_jpeg(char *path, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_jpeg_save(path, s->rgb, 95, err) : -1;
	free(path);
	return rc;
}

static int save_depth16(char *path, e3_depth16 kind, const e3_set_shot *s, e3_err *err)
{
	int rc = path ? e3_depth16_save(path, kind, s->depth, err) : -1;
	free(path);
	return rc;
}

static int save_poses(char *path, e3_traj_format format, const e3_traj *t, e3_err *err)
{
	int rc = path ? e3_traj_save(path, format, t, err) : -1;
	free(path);
	return rc;
}

static int save_text(char *path, e3_buf *text, e3_err *err)
{
	int rc = path && text->data ? sets_save(path, text->data, text->len, err) : -1;
	free(path);
	e3_buf_release(text);
	return rc;
}

/* --- frames without more --- */

int sets_put_sintel(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n + 1;
	e3_cam cam = {.k = {s->k.fx, 0, s->k.cx, 0, s->k.fy, s->k.cy, 0, 0, 1}};
	e3_rigid_invert(s->pose, cam.w2c);
	if (save_rgb(sets_to_write(w, err, "training/final/%s/frame_%04lld.png", w->name, k), s, err))
		return -1;
	char *depth = sets_to_write(w, err, "training/depth/%s/frame_%04lld.dpt", w->name, k);
	char *camera = depth ? sets_to_write(w, err, "training/camdata_left/%s/frame_%04lld.cam", w->name, k) : NULL;
	int rc = camera ? e3_dpt_save(depth, s->depth, err) : -1;
	if (!rc)
		rc = e3_cam_save(camera, &cam, err);
	free(depth), free(camera);
	return rc;
}

int sets_put_kitti(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	static const char home[] = "depth_selection/val_selection_cropped";
	long long k = w->n;
	if (save_rgb(sets_to_write(w, err, "%s/image_gathered/%s/%010lld.png", home, w->name, k), s, err))
		return -1;
	return save_depth16(sets_to_write(w, err, "%s/groundtruth_depth_gathered/%s/%010lld.png", home, w->name, k),
		E3_DEPTH16_KITTI, s, err);
}

int sets_put_nyu(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (save_rgb(sets_to_write(w, err, "val/nyu_images/%s_%04lld.png", w->name, k), s, err))
		return -1;
	char *path = sets_to_write(w, err, "val/nyu_depths/%s_%04lld.npy", w->name, k);
	int rc = path ? e3_npy_save(path, s->depth, err) : -1;
	free(path);
	return rc;
}

/* --- frames, and a trajectory at the end --- */

/* The clock of such a recording. Depth is taken a little later than colour: readers pair by index. */
static const double recorded = 1548266469, later = 0.0125;

int sets_put_bonn(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	double t = recorded + s->seconds;
	if (save_rgb(sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/rgb_110/%.5f.png", w->name, t), s, err))
		return -1;
	return save_depth16(sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/depth_110/%.5f.png", w->name, t + later),
		E3_DEPTH16_BONN, s, err);
}

static int finish_tum(e3_set_writer *w, char *path, e3_err *err)
{
	for (size_t k = 0; k < w->poses.n; k++)
		w->poses.stamp[k] += recorded;
	return save_poses(path, E3_TRAJ_TUM, &w->poses, err);
}

int sets_finish_bonn(e3_set_writer *w, e3_err *err)
{
	return finish_tum(w, sets_to_write(w, err, "rgbd_bonn_dataset/rgbd_bonn_%s/groundtruth_110.txt", w->name), err);
}

int sets_put_tum(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	return save_rgb(sets_to_write(w, err, "%s/rgb_90/%.6f.png", w->name, recorded + s->seconds), s, err);
}

int sets_finish_tum(e3_set_writer *w, e3_err *err)
{
	return finish_tum(w, sets_to_write(w, err, "%s/groundtruth_90.txt", w->name), err);
}

int sets_put_scenes7(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	e3_traj one = {.n = 1, .stamp = w->poses.stamp + w->n, .pose = w->poses.pose + w->n};
	if (save_rgb(sets_to_write(w, err, "%s/frame-%06lld.color.png", w->name, k), s, err) ||
		save_depth16(sets_to_write(w, err, "%s/frame-%06lld.depth.proj.png", w->name, k), E3_DEPTH16_SCENES7, s, err))
		return -1;
	return save_poses(sets_to_write(w, err, "%s/frame-%06lld.pose.txt", w->name, k), E3_TRAJ_4X4, &one, err);
}

/* The scene's list of test sequences, this one added. */
int sets_finish_scenes7(e3_set_writer *w, e3_err *err)
{
	const char *slash = strchr(w->name, '/');
	char *path = sets_to_write(w, err, "%.*s/TestSplit.txt", (int)(slash - w->name), w->name);
	e3_map map = {0};
	e3_buf text = {0};
	int rc = path ? 0 : -1;
	if (!rc && sets_is_file(path)) {
		rc = e3_map_open(&map, path, err);
		if (!rc)
			rc = e3_buf_add(&text, map.data, map.size, err);
		if (!rc && text.len && text.data[text.len - 1] != '\n')
			rc = e3_buf_add(&text, "\n", 1, err);
		e3_map_close(&map);
	}
	if (!rc)
		rc = e3_buf_printf(&text, err, "sequence%lld\n", (long long)sets_number(slash));
	if (rc) {
		free(path);
		e3_buf_release(&text);
		return -1;
	}
	return save_text(path, &text, err);
}

int sets_put_nrgbd(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (save_rgb(sets_to_write(w, err, "%s/images/img%lld.png", w->name, k), s, err))
		return -1;
	return save_depth16(sets_to_write(w, err, "%s/depth/depth%lld.png", w->name, k), E3_DEPTH16_NRGBD, s, err);
}

int sets_finish_nrgbd(e3_set_writer *w, e3_err *err)
{
	e3_buf text = {0};
	if (e3_buf_printf(&text, err, "%.17g\n", w->focal) ||
		save_text(sets_to_write(w, err, "%s/focal.txt", w->name), &text, err))
		return -1;
	return save_poses(sets_to_write(w, err, "%s/poses.txt", w->name), E3_TRAJ_NRGBD, &w->poses, err);
}

int sets_put_scannet(e3_set_writer *w, const e3_set_shot *s, e3_err *err)
{
	long long k = w->n;
	if (save_jpeg(sets_to_write(w, err, "%s/color_90/frame_%04lld.jpg", w->name, k), s, err))
		return -1;
	return save_depth16(sets_to_write(w, err, "%s/depth_90/frame_%04lld.png", w->name, k), E3_DEPTH16_NRGBD, s, err);
}

int sets_finish_scannet(e3_set_writer *w, e3_err *err)
{
	return save_poses(sets_to_write(w, err, "%s/pose_90.txt", w->name), E3_TRAJ_4X4, &w->poses, err);
}
