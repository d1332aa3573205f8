/* e3-scene: rendering into a data set's layout. Some readers count the principal point from the centre of the first
 * pixel. For those the picture is rendered one pixel wider and higher and that pixel is cropped, so that the principal
 * point is where they expect it. */
#include "as.h"
#include "e3/opt.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void scene_as_complete(const scene_as *as, e3_scene_options *o)
{
	const e3_set_format f = e3_set_info_of(as->set)->format;
	if (f.focal > 0 && o->fov > 0)
		e3_usage_error("--fov does not go with --as %s: its readers know one camera", e3_set_name(as->set));
	if (!o->w)
		o->w = f.w, o->h = f.h;
	o->metres = true;
	double focal = f.focal * o->w / f.w;
	o->w += f.central, o->h += f.central;
	if (focal > 0)
		o->fov = 2 * atan(o->w / 2.0 / focal);
}

typedef struct room {
	e3_scene *scene;
	e3_image rgb; /* as rendered */
	e3_depth depth;
	e3_image rgb_cut; /* as written */
	e3_depth depth_cut;
} room;

static int open_room(room *r, const e3_scene_options *o, int cut, e3_err *err)
{
	r->scene = e3_scene_open(o, err);
	if (!r->scene || e3_image_init(&r->rgb, o->w, o->h, 3, err) || e3_depth_init(&r->depth, o->w, o->h, err))
		return -1;
	return e3_image_init(&r->rgb_cut, o->w - cut, o->h - cut, 3, err) ||
			e3_depth_init(&r->depth_cut, o->w - cut, o->h - cut, err)
		? -1
		: 0;
}

static void close_room(room *r)
{
	e3_scene_close(r->scene);
	e3_image_release(&r->rgb), e3_image_release(&r->rgb_cut);
	e3_depth_release(&r->depth), e3_depth_release(&r->depth_cut);
}

static int write_frame(room *r, e3_set_writer *w, int64_t i, double seconds, e3_err *err)
{
	float enc[9];
	e3_pose pose;
	const double *k = e3_scene_describe(r->scene)->intrinsics;
	e3_scene_render(r->scene, i, r->rgb.px, r->depth.z, enc);
	for (size_t y = 0, n = (size_t)r->rgb_cut.w; y < (size_t)r->rgb_cut.h; y++) {
		memcpy(r->rgb_cut.px + 3 * n * y, r->rgb.px + 3 * (size_t)r->rgb.w * y, 3 * n);
		memcpy(r->depth_cut.z + n * y, r->depth.z + (size_t)r->depth.w * y, n * sizeof *r->depth.z);
	}
	if (e3_pose_decode(enc, &pose, err))
		return -1;
	e3_set_shot shot = {.rgb = &r->rgb_cut,
		.depth = &r->depth_cut,
		.k = {k[0], k[1], k[2], k[3], r->rgb_cut.w, r->rgb_cut.h},
		.seconds = seconds};
	e3_pose_to_world(&pose, shot.pose);
	return e3_set_writer_add(w, &shot, err);
}

int scene_as_run(const scene_as *as, const e3_scene_options *o, e3_err *err)
{
	room r = {.scene = NULL};
	e3_set_writer *w = e3_set_writer_open(as->set, as->dir, as->sequence, err);
	int rc = w ? open_room(&r, o, e3_set_info_of(as->set)->format.central, err) : -1;
	int64_t i = as->start;
	for (; !rc && i < o->frames && !e3_stop_signal(); i++) {
		rc = write_frame(&r, w, i, (double)(i - as->start) / as->fps, err);
		e3_progress("%" PRId64 "/%" PRId64 " frames", i + 1 - as->start, o->frames - as->start);
	}
	if (!rc)
		rc = e3_set_writer_close(w, err);
	else
		e3_set_writer_discard(w);
	close_room(&r);
	return rc;
}
