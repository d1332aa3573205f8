/* export: the table of output formats. Options, help, checks and messages follow from it. */
#include "export/writer.h"
#include <string.h>
#include <strings.h>

/* Each is defined at the end of its format's file. */
extern const e3_format_ops e3_glb_format, e3_ply_format, e3_splat_format, e3_tum_format, e3_kitti_format,
	e3_intrinsics_format, e3_npz_format, e3_mesh_format, e3_depth_format, e3_depth_color_format, e3_depth_pfm_format,
	e3_depth_exr_format, e3_colmap_format, e3_mcap_format, e3_run_json_format;

const e3_format e3_formats[] = {
	/* name, help, kind, whether it writes points, whether one file per frame, endings of a name, names in a folder,
	   functions */
	{"glb", "binary glTF: points, cameras, trajectory", E3_FORMAT_BINARY, true, false, NULL, NULL, &e3_glb_format},
	{"ply", "binary PLY point cloud: one file, or one per frame", E3_FORMAT_BINARY, true, true, NULL, "frame_*.ply",
		&e3_ply_format},
	{"splat", "PLY of 3D Gaussians, for splat viewers", E3_FORMAT_BINARY, true, false, NULL, NULL, &e3_splat_format},
	{"tum", "trajectory: time, camera centre, quaternion", E3_FORMAT_TEXT, false, false, NULL, NULL, &e3_tum_format},
	{"kitti", "trajectory: 3x4 world-from-camera matrices", E3_FORMAT_TEXT, false, false, NULL, NULL, &e3_kitti_format},
	{"intrinsics-txt", "fx fy cx cy width height of each frame", E3_FORMAT_TEXT, false, false, NULL, NULL,
		&e3_intrinsics_format},
	{"npz", "predictions.npz with the reference's nine keys", E3_FORMAT_BINARY, false, false, NULL, NULL,
		&e3_npz_format},
	{"mesh", "triangle mesh of the surface, as its ending says:\nFILE.glb or FILE.ply", E3_FORMAT_BINARY, false, false,
		".glb|.ply", NULL, &e3_mesh_format},
	{"depth", "16-bit PNG of every frame's depth", E3_FORMAT_FOLDER, false, false, NULL, "*.png", &e3_depth_format},
	{"depth-color", "coloured PNG of every frame's depth", E3_FORMAT_FOLDER, false, false, NULL, "*.png",
		&e3_depth_color_format},
	{"depth-pfm", "PFM of every frame's depth: 32-bit floats", E3_FORMAT_FOLDER, false, false, NULL, "*.pfm",
		&e3_depth_pfm_format},
	{"depth-exr", "OpenEXR of every frame's depth: 32-bit channel Z", E3_FORMAT_FOLDER, false, false, NULL, "*.exr",
		&e3_depth_exr_format},
	{"colmap", "COLMAP model with pictures, and transforms.json", E3_FORMAT_FOLDER, false, false, NULL,
		"images/*|sparse/0/*|transforms.json|points.ply", &e3_colmap_format},
	{"mcap", "recording for Foxglove: pictures, depth, points,\ncameras, path", E3_FORMAT_BINARY, true, false, NULL,
		NULL, &e3_mcap_format},
	/* last: it reports what the others wrote */
	{"run-json", "what was read and chosen, frame by frame", E3_FORMAT_TEXT, false, false, NULL, NULL,
		&e3_run_json_format},
	{NULL, NULL, E3_FORMAT_TEXT, false, false, NULL, NULL, NULL},
};

_Static_assert(sizeof e3_formats / sizeof *e3_formats <= E3_MAX_FORMATS + 1, "more formats than an export can hold");

const e3_format *e3_format_find(const char *name)
{
	for (const e3_format *f = e3_formats; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

bool e3_format_takes(const e3_format *f, const char *path)
{
	if (!f->endings || strcmp(path, "-") == 0)
		return true;
	for (const char *e = f->endings; *e;) {
		size_t n = strcspn(e, "|"), all = strlen(path);
		if (all > n && strncasecmp(path + all - n, e, n) == 0)
			return true;
		e += n + (e[n] == '|');
	}
	return false;
}
