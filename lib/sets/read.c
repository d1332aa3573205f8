/* sets: reading one frame of a sequence: its picture through the loader of the task, with its truth. Refuses depth maps
 * whose size differs from their picture's. */
#include "e3/mem.h"
#include "internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Loads the picture and turns it upright. CO3D's transparent pictures are laid over white; all others lose their alpha.
 */
static int load_picture(e3_seq *q, const sets_frame *f, e3_image *out, int *rot, e3_err *err)
{
	static const int degrees[9] = {0, 0, 0, 180, 180, 90, 90, 270, 270};
	e3_map map = {0};
	int orientation = 1;
	*out = (e3_image){0};
	if (!f->size && e3_map_open(&map, f->image, err))
		return -1;
	const uint8_t *bytes = f->size ? q->pack.data + f->at : map.data;
	size_t n = f->size ? f->size : map.size;
	bool white = q->set->task == E3_TASK_PAIRS;
	int rc = white ? e3_image_decode(bytes, n, f->image, out, &orientation, err)
				   : e3_image_decode_opaque(bytes, n, f->image, out, &orientation, err);
	e3_image_tell_damage(out, f->image);
	if (!rc && !white)
		rc = e3_image_orient(out, orientation, err);
	*rot = white ? 0 : degrees[orientation];
	e3_map_close(&map);
	return rc;
}

/* 7-Scenes: loads the registered map; registers the raw one where it is missing, or where invalid values are to be left
 * out. */
static int load_scenes7(const sets_frame *f, bool reject, const e3_map *map, e3_depth *out, e3_err *err)
{
	size_t n = strlen(f->depth);
	static const char ready[] = ".proj.png";
	if (n > strlen(ready) && strcmp(f->depth + n - strlen(ready), ready) == 0)
		return e3_depth16_decode(map->data, map->size, f->depth, E3_DEPTH16_SCENES7, out, err);
	uint16_t *raw, *seen;
	int size[2];
	if (e3_png16_decode(map->data, map->size, f->depth, &raw, size, err))
		return -1;
	seen = e3_alloc((size_t)size[0] * (size_t)size[1], sizeof *seen, "a depth map", err);
	int rc = seen && e3_depth_init(out, size[0], size[1], err) == 0 ? 0 : -1;
	if (!rc)
		rc = e3_scenes7_register(raw, size[0], size[1], reject, seen, err);
	if (!rc)
		rc = sets_depth16(seen, E3_DEPTH16_SCENES7, out, err);
	free(raw), free(seen);
	return rc;
}

static int load_depth(const e3_seq *q, const sets_frame *f, e3_depth *out, e3_err *err)
{
	const sets_row *row = q->set->row;
	e3_map map;
	int rc = -1;
	*out = (e3_depth){0};
	if (e3_map_open(&map, f->depth, err))
		return -1;
	switch (row->map) {
	case SETS_DPT:
		rc = e3_sintel_dpt_decode(map.data, map.size, f->depth, out, err);
		break;
	case SETS_NPY:
		rc = e3_npy_decode(map.data, map.size, f->depth, out, err);
		break;
	case SETS_PNG16:
		rc = e3_depth16_decode(map.data, map.size, f->depth, row->kind, out, err);
		break;
	case SETS_SCENES7:
		rc = load_scenes7(f, q->set->o.reject_invalid, &map, out, err);
		break;
	case SETS_NO_DEPTH:
		rc = e3_fail(err, "reading: %s: no depth", f->depth);
	}
	e3_map_close(&map);
	if (rc)
		e3_depth_release(out);
	return rc;
}

/* The intrinsics for a picture of w × h, from those for the nominal size. */
static e3_intrinsics scaled(const e3_intrinsics *k, int w, int h)
{
	double sx = k->w ? (double)w / k->w : 1, sy = k->h ? (double)h / k->h : 1;
	return (e3_intrinsics){k->fx * sx, k->fy * sy, k->cx * sx, k->cy * sy, w, h};
}

static e3_intrinsics through(const e3_intrinsics *k, const e3_fit *fit, int w, int h)
{
	return (
		e3_intrinsics){k->fx * fit->sx, k->fy * fit->sy, k->cx * fit->sx + fit->tx, k->cy * fit->sy + fit->ty, w, h};
}

/* Applies the loader of the task to the picture and the depth map; *to receives the truth's depth and intrinsics too.
 */
static int prepare(const e3_seq *q, const e3_image *im, e3_depth *depth, e3_intrinsics *k, e3_loaded *to, e3_err *err)
{
	const e3_set_options *o = &q->set->o;
	const int target[2] = {o->size, (int)nearbyint(o->size * 0.75 / 14) * 14};
	*to = (e3_loaded){0};
	switch (q->set->task) {
	case E3_TASK_RECON:
		return e3_loader_b(im, depth, k, target, to, err);
	case E3_TASK_PAIRS:
		return e3_loader_c(im, o->co3d_size, &to->rgb, &to->fit, err);
	case E3_TASK_POSE:
		if (e3_loader_a(im, o->size, true, &to->rgb, &to->fit, err))
			return -1;
		to->k = through(k, &to->fit, to->rgb.w, to->rgb.h);
		return 0;
	default:
		if (e3_loader_a(im, o->size, false, &to->rgb, &to->fit, err))
			return -1;
		to->k = scaled(k, depth->w, depth->h);
		to->k.fx = k->fx > 0 ? to->k.fx : 0;
		to->depth = *depth;
		*depth = (e3_depth){0};
		return 0;
	}
}

/* Pose: camera from world, where the world is the first frame's camera. */
static void put_pose(const e3_seq *q, const sets_frame *f, const e3_intrinsics *k, e3_truth *t)
{
	double w2c[12], m[12], q4[4];
	e3_rigid_invert(f->pose, w2c);
	e3_rigid_mul(w2c, q->frame[0].pose, m);
	const double r[9] = {m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]};
	t->has_pose = q->frame[0].has_pose && e3_mat_to_quat(r, q4) == 0;
	for (int j = 0; j < 3; j++)
		t->pose[j] = (float)m[4 * j + 3];
	for (int j = 0; j < 4; j++)
		t->pose[3 + j] = (float)q4[j];
	t->pose[7] = k->fy > 0 ? (float)(2 * atan(k->h / 2.0 / k->fy)) : 0;
	t->pose[8] = k->fx > 0 ? (float)(2 * atan(k->w / 2.0 / k->fx)) : 0;
}

static int fill(e3_seq *q, int64_t i, e3_image *im, e3_frame *frame, e3_truth *truth, e3_err *err)
{
	const sets_frame *f = &q->frame[i];
	e3_depth depth = {0};
	e3_loaded loaded;
	if (f->depth && load_depth(q, f, &depth, err))
		return -1;
	if (f->depth && (depth.w != im->w || depth.h != im->h)) {
		e3_fail(err, "reading: %s: a depth map of %d × %d: its picture %s is %d × %d", f->depth, depth.w, depth.h,
			f->image, im->w, im->h);
		e3_depth_release(&depth);
		return -1;
	}
	e3_intrinsics k = scaled(&f->k, im->w, im->h);
	int rc = prepare(q, im, f->depth ? &depth : NULL, &k, &loaded, err);
	e3_depth_release(&depth);
	if (rc)
		return e3_fail_in(err, "%s", f->image);
	frame->s.fit = loaded.fit;
	frame->w = loaded.rgb.w, frame->h = loaded.rgb.h, frame->rgb = loaded.rgb.px, frame->prepared = true;
	truth->i = i;
	truth->w = loaded.depth.z ? loaded.depth.w : frame->w, truth->h = loaded.depth.z ? loaded.depth.h : frame->h;
	truth->depth = loaded.depth.z;
	if (f->k.fx > 0) {
		truth->has_intrinsics = true;
		memcpy(truth->intrinsics, (double[4]){loaded.k.fx, loaded.k.fy, loaded.k.cx, loaded.k.cy},
			sizeof truth->intrinsics);
	}
	if (f->has_pose)
		put_pose(q, f, &loaded.k, truth);
	truth->unit = strdup(q->set->row->unit);
	return truth->unit ? 0 : e3_fail(err, "reading: %s: out of memory", f->image);
}

int e3_seq_read(e3_seq *q, int64_t k, e3_frame *frame, e3_truth *truth, e3_err *err)
{
	e3_image im;
	int rot;
	e3_frame_release(frame);
	e3_truth_release(truth);
	const sets_frame *f = &q->frame[k];
	if (load_picture(q, f, &im, &rot, err))
		return -1;
	frame->s = (e3_source){.i = k, .pts = f->stamp, .src_i = f->index, .src_w = im.w, .src_h = im.h, .rot = rot};
	int rc = fill(q, k, &im, frame, truth, err);
	e3_image_release(&im);
	if (rc) {
		e3_frame_release(frame);
		e3_truth_release(truth);
	}
	return rc;
}
