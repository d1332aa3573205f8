/* export: COLMAP: the same scene for nerfstudio and its relatives (doc/formats.md 4.6): transforms.json, and the points
 * as PLY in its coordinates: z up. */
#include "e3/json.h"
#include "e3/num.h"
#include "e3/version.h"
#include "export/colmap.h"
#include <string.h>

/* OPENCV with no distortion: every reader of this file knows it, not every one knows PINHOLE. */
static void camera(e3_json *j, const e3_intrinsics *k)
{
	e3_json_real(j, "fl_x", k->fx, 17);
	e3_json_real(j, "fl_y", k->fy, 17);
	e3_json_real(j, "cx", k->cx, 17);
	e3_json_real(j, "cy", k->cy, 17);
	e3_json_int(j, "w", k->w);
	e3_json_int(j, "h", k->h);
	static const char *const none[] = {"k1", "k2", "p1", "p2"};
	for (int n = 0; n < 4; n++)
		e3_json_int(j, none[n], 0);
}

static void row_of(e3_json *j, double a, double b, double c, double d)
{
	e3_json_reals(j, NULL, (double[]){a, b, c, d}, 4, 17);
}

/* Camera to world, the camera's axes those of OpenGL: y up, looking along -z. */
static void frame(e3_json *j, const colmap_model *m, size_t at, const double up[9])
{
	const colmap_image *im = &m->image[at];
	char path[COLMAP_NAME + 8];
	double c[12], a[12] = {0};
	snprintf(path, sizeof path, "images/%s", im->written);
	for (int row = 0; row < 3; row++)
		memcpy(a + 4 * row, up + 3 * row, 3 * sizeof *up);
	e3_pose_to_world(&im->pose, c);
	e3_rigid_mul(a, c, c);
	e3_json_blank(j, "\n  ");
	e3_json_object(j, NULL);
	e3_json_text(j, "file_path", path);
	e3_json_int(j, "colmap_im_id", (int64_t)at + 1);
	if (m->n_cameras > 1)
		camera(j, &m->camera[im->camera]);
	e3_json_array(j, "transform_matrix");
	for (int row = 0; row < 3; row++)
		row_of(j, c[4 * row], 0 - c[4 * row + 1], 0 - c[4 * row + 2], c[4 * row + 3]);
	row_of(j, 0, 0, 0, 1);
	e3_json_end(j);
	e3_json_end(j);
}

static void begin(e3_json *j, const colmap_model *m, const double up[9])
{
	e3_json_object(j, NULL);
	e3_json_blank(j, "\n ");
	e3_json_text(j, "camera_model", "OPENCV");
	if (m->n_cameras == 1)
		camera(j, &m->camera[0]);
	e3_json_blank(j, "\n ");
	e3_json_array(j, "applied_transform");
	for (int row = 0; row < 3; row++)
		row_of(j, up[3 * row], up[3 * row + 1], up[3 * row + 2], 0);
	e3_json_end(j);
	e3_json_blank(j, "\n ");
	e3_json_text(j, "ply_file_path", "points.ply");
	e3_json_blank(j, "\n ");
	e3_json_array(j, "frames");
}

static int write_json(const colmap_model *m, const double up[9], e3_file *to, e3_err *err)
{
	e3_buf text = {0};
	e3_json j = {.to = &text, .err = err, .spaced = true};
	int rc = 0;
	begin(&j, m, up);
	for (size_t k = 0; k < m->n_images && !rc; k++) {
		frame(&j, m, k, up);
		rc = j.rc || e3_file_write(to, text.data, text.len, err) ? -1 : 0;
		text.len = 0;
	}
	e3_json_end(&j);
	e3_json_blank(&j, "\n");
	e3_json_end(&j);
	rc = rc || j.rc || e3_buf_add(&text, "\n", 1, err) || e3_file_write(to, text.data, text.len, err) ? -1 : 0;
	e3_buf_release(&text);
	return rc;
}

static void turn(const double up[9], const double v[3], double to[3])
{
	for (int row = 0; row < 3; row++)
		to[row] = up[3 * row] * v[0] + up[3 * row + 1] * v[1] + up[3 * row + 2] * v[2];
}

static int write_ply(const colmap_model *m, const double up[9], e3_file *to, e3_err *err)
{
	if (fprintf(to->f,
			"ply\nformat binary_little_endian 1.0\n"
			"comment e3-export " E3_VERSION "; coordinates of transforms.json: z up\n"
			"element vertex %zu\n"
			"property float x\nproperty float y\nproperty float z\n"
			"property float nx\nproperty float ny\nproperty float nz\n"
			"property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n",
			m->n_points) < 0)
		return e3_fail_sys(err, "writing: %s", to->path);
	for (size_t k = 0; k < m->n_points; k++) {
		const colmap_point *p = &m->point[k];
		double n[3], at[3];
		uint8_t room[27];
		turn(up, p->xyz, at);
		turn(up, (double[]){p->normal[0] / 127.0, p->normal[1] / 127.0, p->normal[2] / 127.0}, n);
		for (int i = 0; i < 3; i++) {
			e3_put_lef32(room + 4 * i, (float)at[i]);
			e3_put_lef32(room + 12 + 4 * i, (float)n[i]);
		}
		memcpy(room + 24, p->rgb, 3);
		if (e3_file_write(to, room, sizeof room, err))
			return -1;
	}
	return 0;
}

int colmap_scene_write(const colmap_model *m, const double up[9], const e3_outdir *dir, e3_err *err)
{
	char path[4096];
	for (int k = 0; k < 2; k++) {
		e3_file file = {0};
		if (e3_outdir_name(dir, k ? "points.ply" : "transforms.json", path, sizeof path, err) ||
			e3_file_open(&file, path, err))
			return -1;
		if (k ? write_ply(m, up, &file, err) : write_json(m, up, &file, err)) {
			e3_file_discard(&file);
			return -1;
		}
		if (e3_file_commit(&file, err))
			return -1;
	}
	return 0;
}
