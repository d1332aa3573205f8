/* export: what the files of the COLMAP format share (doc/formats.md 4.3): the model as it grows.
 *
 *   colmap.c         the format: takes frames, and does the steps below in this order
 *   colmap_choose.c  keyframes and cameras
 *   colmap_names.c   what pictures are called
 *   colmap_images.c  pictures: looked at first, then linked, copied, turned upright
 *   colmap_points.c  points of the keyframes
 *   colmap_tracks.c  which other pictures see them, and where
 *   colmap_model.c   cameras, images, points3D as .bin and .txt
 *   colmap_scene.c   transforms.json and points.ply
 *   colmap_dir.c     what an earlier run left in the folder
 */
#ifndef E3_EXPORT_COLMAP_H
#define E3_EXPORT_COLMAP_H

#include "export/points.h"

enum { COLMAP_TRACK = 8 /* observations of a point, at most */, COLMAP_NAME = 256 };

/* A frame of the run; in a colmap_model one of its images. */
typedef struct colmap_image {
	uint64_t ordinal; /* in the frame spool */
	e3_source s;
	int w, h; /* of the network's picture */
	e3_pose pose;
	float enc[2]; /* fields of view: vertical, horizontal */
	float sharp;
	int camera;    /* index */
	bool redrawn;  /* the picture is written anew, as PNG */
	char *name;    /* as the stream has it; NULL: none */
	char *written; /* in images/ */
} colmap_image;

/* One of several observations. x y: pixels of the written picture, the first one's centre at 0.5. */
typedef struct colmap_obs {
	uint32_t image, index; /* index: which of the 2-D points of its image */
	float x, y;
} colmap_obs;

typedef struct colmap_point {
	double xyz[3];
	float error;   /* sum of distances between the observations and the projections, pixels */
	uint32_t seen; /* by how many other images, of which every `stride`-th is in the track */
	uint32_t stride;
	uint8_t rgb[3], n; /* n: observations; the first is that of the image it comes from */
	int8_t normal[3];
} colmap_point;

typedef struct colmap_model {
	bool network; /* the pictures are those of the network */
	colmap_image *image;
	size_t n_images;
	e3_intrinsics *camera; /* of the written pictures */
	size_t n_cameras;
	colmap_point *point;
	colmap_obs *obs; /* [n_points][COLMAP_TRACK] */
	size_t n_points;
} colmap_model;

/* --- colmap_choose.c --- */

/* Variance of the Laplacian of the luma, to be compared with that of other pictures of the run. */
float colmap_sharpness(const e3_pred *p);
/* Moves the keyframes among n frames to the front, in their order; the others keep their texts. The number of them. */
size_t colmap_keyframes(colmap_image *frame, size_t n, const e3_colmap_options *opt);
/* Fills cameras, and the camera of each image. Reports the spread of focal lengths. */
int colmap_cameras(colmap_model *m, bool per_image, e3_err *err);
/* The camera of an image in pixels of its network picture. */
e3_intrinsics colmap_network_camera(const colmap_model *m, const colmap_image *im);
/* From the network's picture to the written one, for each axis: written = (network - t) / s. */
e3_fit colmap_fit(const colmap_model *m, const colmap_image *im);

/* --- colmap_names.c --- */

/* Fills `written`: safe in images.txt, unique, in the order of the images when sorted by bytes. */
int colmap_names(colmap_model *m, e3_err *err);

/* --- colmap_images.c --- */

/* Are the pictures of the images in this folder, of the right size, and can they be used as they are? */
int colmap_images_look(colmap_model *m, const char *folder, e3_err *err);
/* To the folder images/ of dir; folder NULL: the network's pictures. */
int colmap_images_write(const colmap_model *m, const char *folder, e3_export_run *run, const e3_outdir *dir,
	e3_err *err);

/* --- colmap_points.c --- */

/* What is known of the pixels of one image. Zero-initialised; released by colmap_view_release. */
typedef struct colmap_view {
	const e3_pred *pred;
	const float *z; /* [h][w] depth in front of the camera; e3_depth_known or not */
	uint8_t *keep;  /* [h][w] pixels that may give points */
	float *from_map;
	size_t cap;
} colmap_view;

int colmap_view_load(colmap_view *v, e3_export_run *run, const colmap_image *im, e3_err *err);
void colmap_view_release(colmap_view *v);
/* At most `most` points, each with its first observation. */
int colmap_points(colmap_model *m, e3_export_run *run, size_t most, e3_err *err);

/* --- colmap_tracks.c --- */

/* Adds the observations of other images, and errors. */
int colmap_tracks(colmap_model *m, e3_export_run *run, e3_err *err);

/* --- colmap_model.c --- */

/* Into sparse/0 of dir. single: each point keeps its first observation, and only that. */
int colmap_model_write(colmap_model *m, bool single, const e3_outdir *dir, e3_err *err);

/* --- colmap_scene.c --- */

/* transforms.json and points.ply. up: from the world to z up, row-major. */
int colmap_scene_write(const colmap_model *m, const double up[9], const e3_outdir *dir, e3_err *err);

/* --- colmap_dir.c --- */

/* Refuses a folder whose model or scene is somebody else's; what is of an earlier run is to vanish. */
int colmap_dir_claim(e3_outdir *dir, e3_err *err);
/* Refuses pictures in the way that are not of an earlier run. */
int colmap_dir_check(const colmap_model *m, const e3_outdir *dir, e3_err *err);
/* The first line of the text files: how a later run knows them. */
extern const char colmap_mark[];

#endif
