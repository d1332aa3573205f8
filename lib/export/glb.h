/* export: the parts of the GLB writer: the document (glb_doc.c, glb_parts.c), camera shapes (glb_camera.c), cameras
 * (glb_frusta.c), the scene in our layout and in the reference's (glb_scene.c), the container (glb.c). Byte level:
 * doc/formats.md 3. */
#ifndef E3_EXPORT_GLB_H
#define E3_EXPORT_GLB_H

#include "e3/json.h"
#include "export/writer.h"

/* --- glb_doc.c: a glTF document under construction --- */

/* An array of the document: its members so far, as JSON. */
typedef struct e3_gltf_list {
	e3_buf text;
	e3_json json;
	int n;
} e3_gltf_list;

/* The binary chunk is the points (streamed, never in memory) and then `tail`. */
typedef struct e3_gltf {
	e3_gltf_list views, accessors, meshes, nodes, materials, cameras;
	uint64_t points_bytes;
	e3_buf tail;
	bool lit;   /* no material is unlit */
	bool plain; /* as the reference: no bufferView targets */
	e3_err *err;
	int rc; /* the first failure sticks */
} e3_gltf;

enum { E3_GLTF_U8 = 5121, E3_GLTF_U16 = 5123, E3_GLTF_U32 = 5125, E3_GLTF_F32 = 5126 };
enum { E3_GLTF_VERTICES = 34962, E3_GLTF_INDICES = 34963 };

/* Adds a view of a part of the binary chunk and returns its number; target 0 = none. */
int e3_gltf_view(e3_gltf *g, uint64_t offset, uint64_t length, int target);
/* Appends to the tail, padded to 4 bytes; returns the offset in the binary chunk. */
uint64_t e3_gltf_tail(e3_gltf *g, const void *bytes, size_t n);
/* An array that an accessor reads from a view: `count` elements of `width` 1, 3 or 4; min and max [width] or NULL.
 * Bytes and shorts of width 4 are normalized colours. */
typedef struct e3_gltf_array {
	int view, component, width;
	uint64_t count;
	const float *min, *max;
} e3_gltf_array;

int e3_gltf_accessor(e3_gltf *g, const e3_gltf_array *a);
/* Adds a member to an array: begin opens the object, the caller fills it, end returns its number. */
e3_json *e3_gltf_begin(e3_gltf *g, e3_gltf_list *list);
int e3_gltf_end(e3_gltf *g, e3_gltf_list *list);
/* The JSON chunk, padded to 4 with spaces (at least one when plain). */
int e3_gltf_json(e3_gltf *g, e3_buf *out);
void e3_gltf_release(e3_gltf *g);
/* Bytes of the whole file; -1 when the format cannot hold it (4 GiB). */
int e3_glb_size(const char *path, uint64_t points, uint64_t json, uint64_t bin, uint32_t *total, e3_err *err);
/* Extremes of n points. */
void e3_bounds(const float *v, size_t n, float min[3], float max[3]);

/* --- glb_parts.c: arrays at the end of the binary chunk, and what is made of them --- */

int e3_gltf_vertices(e3_gltf *g, const float *v, size_t n);
/* Linear. */
int e3_gltf_colours(e3_gltf *g, const uint8_t (*rgba)[4], size_t n);
int e3_gltf_indices(e3_gltf *g, const uint32_t *v, size_t n);

/* Accessors and material; -1: none. */
typedef struct e3_gltf_primitive {
	int mode; /* 0 points, 1 lines, 3 a line, 4 triangles */
	int position, colour, conf, indices, material;
} e3_gltf_primitive;

void e3_gltf_attributes(e3_json *j, const e3_gltf_primitive *p);
/* A mesh of one primitive, and its node. */
void e3_gltf_mesh_node(e3_gltf *g, const char *name, const e3_gltf_primitive *p);
/* A white material without light: vertices have their own colours. */
int e3_gltf_unlit(e3_gltf *g, const char *name);

/* --- glb_camera.c --- */

typedef struct e3_glb_camera {
	int64_t frame, src_i;
	double pts;
	e3_pose pose;
	float fov_h, fov_w; /* radians */
	bool usable;        /* between 0 and pi */
} e3_glb_camera;

enum { E3_CONE_VERTICES = 14, E3_CONE_TRIANGLES = 48, E3_LINES_VERTICES = 6, E3_LINES_INDICES = 20 };

/* The reference's camera: base 0.1 in front of the apex, OpenCV camera axes, scene scale 1 (doc/formats.md 1.5). */
void e3_cone_vertices(double v[E3_CONE_VERTICES][3]);
/* Returns the number of triangles: 48, or 40 without the degenerate ones. */
int e3_cone_triangles(uint16_t tri[E3_CONE_TRIANGLES][3], bool degenerate);
/* Apex, four corners at depth `size`, up tick; glTF camera axes (-z forward, y up). */
void e3_lines_vertices(float fov_h, float fov_w, double size, float v[E3_LINES_VERTICES][3]);
extern const uint16_t e3_lines_indices[E3_LINES_INDICES];
/* gist_rainbow at k of n, as its entry and as sRGB bytes. */
int e3_camera_colour(int64_t k, int64_t n, uint8_t rgb[3]);
/* sRGB byte to linear, 0..65535. */
uint16_t e3_linear16(uint8_t srgb);

/* --- glb_scene.c --- */

typedef struct e3_glb_scene {
	const e3_export_options *opt;
	const e3_glb_camera *cameras;
	size_t n_cameras;
	double matrix[16]; /* of the world (e3_export_scene) */
	double scale;      /* of the scene, > 0 */
	uint64_t n_points;
	float min[3], max[3]; /* of the points */
	uint8_t rgb_min[3], rgb_max[3];
} e3_glb_scene;

/* Fills the document; points come first in the binary chunk: positions, colours, confidences. */
void e3_glb_scene_ours(const e3_glb_scene *s, e3_gltf *g);
void e3_glb_scene_upstream(const e3_glb_scene *s, e3_gltf *g);

/* --- glb_frusta.c --- */

void e3_glb_cameras(const e3_glb_scene *s, e3_gltf *g, int material);
/* The cameras that get a frustum of depth `size`, as opt->frustums says: how many, and which; chosen[n_cameras]. */
size_t e3_glb_choose(const e3_glb_scene *s, double size, size_t *chosen);

#endif
