/* export: Foxglove's messages for what a frame has: where the camera is, its picture, its depth, its points. */
#include "e3/image.h"
#include "e3/num.h"
#include "export/mcap.h"
#include "export/mcap_schemas.h"
#include <math.h>
#include <string.h>

/* Frames of reference: upright > world > camera. */
#define UPRIGHT "upright"
#define WORLD "world"
#define CAMERA "camera"

enum { JPEG_QUALITY = 90 };

static void begin(e3_bytes *o) { o->b.len = 0; }

static void stamp(e3_bytes *o, uint64_t time)
{
	size_t mark = e3_pb_open(o, PB_STAMP);
	e3_pb_int(o, PB_TIME_SECONDS, time / 1000000000);
	e3_pb_int(o, PB_TIME_NANOS, time % 1000000000);
	e3_pb_close(o, mark);
}

static void vector(e3_bytes *o, int field, const double *v, int n)
{
	size_t mark = e3_pb_open(o, field);
	for (int k = 0; k < n; k++)
		e3_pb_double(o, PB_X + k, v[k]);
	e3_pb_close(o, mark);
}

/* Where the child is in its parent. */
typedef struct place {
	const char *parent, *child;
	double t[3], q[4];
} place;

static void transform(e3_bytes *o, uint64_t time, const place *at)
{
	size_t mark = e3_pb_open(o, PB_TFS_TRANSFORMS);
	stamp(o, time);
	e3_pb_text(o, PB_TF_PARENT, at->parent);
	e3_pb_text(o, PB_TF_CHILD, at->child);
	vector(o, PB_TF_TRANSLATION, at->t, 3);
	vector(o, PB_TF_ROTATION, at->q, 4);
	e3_pb_close(o, mark);
}

void e3_foxglove_transforms(e3_bytes *o, uint64_t time, const double upright[9], const e3_pose *pose)
{
	place world = {.parent = UPRIGHT, .child = WORLD}, camera = {.parent = WORLD, .child = CAMERA};
	begin(o);
	if (e3_mat_to_quat(upright, world.q))
		world.q[3] = 1;
	transform(o, time, &world);
	if (!pose)
		return;
	e3_pose_center(pose, camera.t);
	e3_pose_quat_to_world(pose, camera.q);
	transform(o, time, &camera);
}

/* OpenCV's pixels, whose first has its centre at 0, 0: ours has it at 0.5, 0.5. */
void e3_foxglove_calibration(e3_bytes *o, uint64_t time, const e3_intrinsics *k)
{
	const double cx = k->cx - 0.5, cy = k->cy - 0.5;
	begin(o);
	stamp(o, time);
	e3_pb_text(o, PB_CAL_FRAME, CAMERA);
	e3_pb_fixed32(o, PB_CAL_WIDTH, (uint32_t)k->w);
	e3_pb_fixed32(o, PB_CAL_HEIGHT, (uint32_t)k->h);
	e3_pb_text(o, PB_CAL_MODEL, "plumb_bob");
	e3_pb_doubles(o, PB_CAL_D, (const double[5]){0}, 5);
	e3_pb_doubles(o, PB_CAL_K, (const double[9]){k->fx, 0, cx, 0, k->fy, cy, 0, 0, 1}, 9);
	e3_pb_doubles(o, PB_CAL_R, (const double[9]){1, 0, 0, 0, 1, 0, 0, 0, 1}, 9);
	e3_pb_doubles(o, PB_CAL_P, (const double[12]){k->fx, 0, cx, 0, 0, k->fy, cy, 0, 0, 0, 1, 0}, 12);
}

void e3_foxglove_picture(e3_bytes *o, uint64_t time, const uint8_t *rgb, int w, int h)
{
	const e3_image im = {.w = w, .h = h, .channels = 3, .px = (uint8_t *)rgb};
	begin(o);
	stamp(o, time);
	e3_pb_text(o, PB_JPEG_FRAME, CAMERA);
	e3_pb_text(o, PB_JPEG_FORMAT, "jpeg");
	size_t mark = e3_pb_open(o, PB_JPEG_DATA);
	if (!o->rc)
		o->rc = e3_jpeg_encode(&im, JPEG_QUALITY, &o->b, o->err);
	e3_pb_close(o, mark);
}

void e3_foxglove_depth(e3_bytes *o, uint64_t time, const float *depth, int w, int h)
{
	uint8_t room[4096];
	size_t used = 0, n = (size_t)w * (size_t)h;
	begin(o);
	stamp(o, time);
	e3_pb_text(o, PB_RAW_FRAME, CAMERA);
	e3_pb_fixed32(o, PB_RAW_WIDTH, (uint32_t)w);
	e3_pb_fixed32(o, PB_RAW_HEIGHT, (uint32_t)h);
	e3_pb_text(o, PB_RAW_ENCODING, "32FC1");
	e3_pb_fixed32(o, PB_RAW_STEP, 4 * (uint32_t)w);
	e3_pb_bytes(o, PB_RAW_DATA, 4 * n);
	for (size_t k = 0; k < n; k++) {
		e3_put_lef32(room + used, e3_depth_known(depth[k]) ? depth[k] : NAN);
		used += 4;
		if (used == sizeof room || k + 1 == n) {
			e3_bytes_add(o, room, used);
			used = 0;
		}
	}
}

static void packed(e3_bytes *o, const char *name, uint32_t offset, int type)
{
	size_t mark = e3_pb_open(o, PB_CLOUD_FIELDS);
	e3_pb_text(o, PB_PACKED_NAME, name);
	e3_pb_fixed32(o, PB_PACKED_OFFSET, offset);
	e3_pb_int(o, PB_PACKED_TYPE, (uint64_t)type);
	e3_pb_close(o, mark);
}

void e3_foxglove_points(e3_bytes *o, uint64_t time, size_t n)
{
	static const char *const floats[] = {"x", "y", "z", "confidence"},
							 *const bytes[] = {"red", "green", "blue", "alpha"};
	const double zero[3] = {0}, same[4] = {0, 0, 0, 1};
	begin(o);
	stamp(o, time);
	e3_pb_text(o, PB_CLOUD_FRAME, WORLD);
	size_t mark = e3_pb_open(o, PB_CLOUD_POSE);
	vector(o, PB_POSE_POSITION, zero, 3);
	vector(o, PB_POSE_ORIENTATION, same, 4);
	e3_pb_close(o, mark);
	e3_pb_fixed32(o, PB_CLOUD_STRIDE, E3_MCAP_POINT);
	for (uint32_t k = 0; k < 4; k++)
		packed(o, floats[k], 4 * k, PB_PACKED_FLOAT32);
	for (uint32_t k = 0; k < 4; k++)
		packed(o, bytes[k], 16 + k, PB_PACKED_UINT8);
	e3_pb_bytes(o, PB_CLOUD_DATA, n * E3_MCAP_POINT);
}

void e3_mcap_point(const e3_point *p, uint8_t to[E3_MCAP_POINT])
{
	for (int k = 0; k < 3; k++)
		e3_put_lef32(to + 4 * k, p->xyz[k]);
	e3_put_lef32(to + 12, p->conf);
	memcpy(to + 16, p->rgb, 3);
	to[19] = 255;
}

void e3_foxglove_path(e3_bytes *o, uint64_t time)
{
	begin(o);
	stamp(o, time);
	e3_pb_text(o, PB_POSES_FRAME, WORLD);
}

void e3_foxglove_path_pose(e3_bytes *o, const e3_pose *pose)
{
	double c[3], q[4];
	e3_pose_center(pose, c);
	e3_pose_quat_to_world(pose, q);
	size_t mark = e3_pb_open(o, PB_POSES_POSES);
	vector(o, PB_POSE_POSITION, c, 3);
	vector(o, PB_POSE_ORIENTATION, q, 4);
	e3_pb_close(o, mark);
}
