/* export: binary glTF (doc/formats.md 3). Every size is known before the first byte is written, so the output may be a
 * pipe and points are never all in memory. The camera nodes are: about half a kilobyte per frame. Refuses more than
 * 4 GiB. */
#include "e3/num.h"
#include "export/glb.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4096 };

typedef struct glb {
	e3_format_writer base;
	e3_glb_camera *cameras;
	size_t n, cap;
	int64_t unusable;     /* cameras without a usable field of view */
	uint16_t linear[256]; /* of sRGB bytes */
} glb;

/* 0: all. */
static uint64_t most_points(const e3_export_options *o)
{
	int64_t max = o->cloud.max_points;
	return max > 0 ? (uint64_t)max : max < 0 && !o->upstream ? E3_GLB_MAX_POINTS : 0;
}

static uint64_t point_bytes(const e3_export_options *o) { return 12 + (o->glb_srgb ? 4 : 8) + (o->glb_conf ? 4 : 0); }

/* With the first frame of a run whose length is announced: warns of more than the format holds. */
static void foresee(const e3_format_writer *w, const e3_export_run *run, const e3_pred *p)
{
	const e3_export_options *o = run->opt;
	double stride = o->cloud.stride, most = (double)most_points(o), all;
	all = (double)run->announced * p->w * p->h / (stride * stride) * (1 - o->cloud.conf_pct / 100);
	if (most > 0 && all > most)
		all = most;
	if (!(o->cloud.voxel > 0) && !o->cloud.voxel_auto && all * (double)point_bytes(o) > UINT32_MAX)
		e3_tell(E3_TELL_WARN,
			"%s: %lld frames make up to %.0f million points and %.1f GiB, and a GLB holds at most 4 GiB: then it will be "
			"refused; write fewer points, larger voxels, or a PLY",
			e3_file_name(&w->file), (long long)run->announced, all / 1e6, all * (double)point_bytes(o) / (1 << 30));
}

static int glb_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	glb *s = (glb *)w;
	const e3_pred *p = frame->pred;
	if (!w->frames)
		foresee(w, run, p);
	if (!run->opt->cameras || !p->has_pose)
		return 0;
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		if (e3_grow((void **)&s->cameras, cap, sizeof *s->cameras, "cameras", err))
			return -1;
		s->cap = cap;
	}
	s->cameras[s->n++] = (e3_glb_camera){
		.frame = p->s.i,
		.src_i = p->s.src_i,
		.pts = p->s.pts,
		.pose = frame->pose,
		.fov_h = p->pose[7],
		.fov_w = p->pose[8],
		.usable = frame->usable_k,
	};
	s->unusable += !frame->usable_k;
	return 0;
}

/* Bounds of positions and colours: glTF requires them, exact, before the data. */
static int measure(e3_export_run *run, const e3_point_selection *selection, e3_glb_scene *scene, e3_err *err)
{
	e3_point_batch b;
	int rc;
	bool any = false;
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1)
		for (size_t k = 0; k < b.n; k++, any = true)
			for (int j = 0; j < 3; j++) {
				float x = b.p[k].xyz[j];
				uint8_t c = b.p[k].rgb[j];
				if (!any || x < scene->min[j])
					scene->min[j] = x;
				if (!any || x > scene->max[j])
					scene->max[j] = x;
				if (!any || c < scene->rgb_min[j])
					scene->rgb_min[j] = c;
				if (!any || c > scene->rgb_max[j])
					scene->rgb_max[j] = c;
			}
	return rc;
}

typedef enum attribute { POSITIONS, COLOURS, CONFIDENCES } attribute;

/* One attribute of one point; returns its size. */
static size_t encode(attribute a, bool srgb, const uint16_t *linear, const e3_point *p, uint8_t *to)
{
	switch (a) {
	case POSITIONS:
		for (int j = 0; j < 3; j++)
			e3_put_lef32(to + 4 * j, p->xyz[j]);
		return 12;
	case CONFIDENCES:
		e3_put_lef32(to, p->conf);
		return 4;
	default:
		if (srgb) {
			memcpy(to, p->rgb, 3);
			to[3] = 255;
			return 4;
		}
		for (int j = 0; j < 3; j++)
			e3_put_le16(to + 2 * j, linear[p->rgb[j]]);
		e3_put_le16(to + 6, 65535);
		return 8;
	}
}

static int write_batch(glb *s, e3_export_run *run, attribute a, const e3_point_batch *b, e3_err *err)
{
	uint8_t room[CHUNK * 12];
	size_t used = 0;
	for (size_t k = 0; k < b->n; k++) {
		used += encode(a, run->opt->glb_srgb, s->linear, &b->p[k], room + used);
		if (used + 12 > sizeof room || k + 1 == b->n) {
			if (e3_file_write(&s->base.file, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

/* What the reference shows when no point is left. */
static const e3_point upstream_nothing = {.xyz = {1, 0, 0}, .conf = 1, .rgb = {255, 255, 255}};

static int write_points(glb *s, e3_export_run *run, const e3_point_selection *selection, bool nothing, e3_err *err)
{
	for (attribute a = POSITIONS; a <= (run->opt->glb_conf ? CONFIDENCES : COLOURS); a++) {
		e3_point_batch b = {.p = &upstream_nothing, .n = 1};
		int rc = 0;
		if (nothing && write_batch(s, run, a, &b, err))
			return -1;
		e3_cloud_rewind(run->cloud);
		while (!nothing && (rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1)
			if (write_batch(s, run, a, &b, err))
				return -1;
		if (rc)
			return -1;
	}
	return 0;
}

static int write_chunk_head(glb *s, uint64_t n, const char *type, e3_err *err)
{
	uint8_t head[8];
	e3_put_le32(head, (uint32_t)n);
	memcpy(head + 4, type, 4);
	return e3_file_write(&s->base.file, head, sizeof head, err);
}

static int write_container(glb *s, e3_export_run *run, const e3_point_selection *selection, e3_gltf *g, e3_err *err)
{
	e3_buf json = {0};
	uint64_t bin = g->points_bytes + g->tail.len;
	uint32_t total;
	uint8_t head[12] = "glTF\2";
	bool nothing = g->plain && !selection->n;
	int rc = e3_gltf_json(g, &json);
	if (!rc)
		rc = e3_glb_size(e3_file_name(&s->base.file), selection->n, json.len, bin, &total, err);
	if (!rc)
		rc = e3_file_reserve(&s->base.file, total, err);
	if (!rc) {
		e3_put_le32(head + 8, total);
		rc = e3_file_write(&s->base.file, head, sizeof head, err);
	}
	if (!rc)
		rc = write_chunk_head(s, json.len, "JSON", err);
	if (!rc)
		rc = e3_file_write(&s->base.file, json.data, json.len, err);
	if (!rc && bin)
		rc = write_chunk_head(s, bin, "BIN", err); /* with the NUL */
	if (!rc && g->points_bytes)
		rc = write_points(s, run, selection, nothing, err);
	if (!rc && g->tail.len)
		rc = e3_file_write(&s->base.file, g->tail.data, g->tail.len, err);
	e3_buf_release(&json);
	return rc;
}

static int glb_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	glb *s = (glb *)w;
	const e3_export_options *o = run->opt;
	e3_point_selection selection;
	if (e3_cloud_select(run->cloud, most_points(o), &selection, err))
		return -1;
	e3_glb_scene scene = {
		.opt = o,
		.cameras = s->cameras,
		.n_cameras = s->n,
		.n_points = selection.n,
		.scale = run->facts.scene_scale > 0 || (o->upstream && selection.n) ? run->facts.scene_scale : 1,
	};
	e3_export_scene(run, scene.matrix);
	if (measure(run, &selection, &scene, err))
		return -1;
	w->points = selection.n;
	if (o->upstream && !selection.n) {
		scene.n_points = 1;
		memcpy(scene.min, upstream_nothing.xyz, sizeof scene.min);
		memcpy(scene.max, upstream_nothing.xyz, sizeof scene.max);
		memset(scene.rgb_min, 255, 3);
		memset(scene.rgb_max, 255, 3);
	}
	e3_gltf g = {.err = err, .points_bytes = scene.n_points * point_bytes(o)};
	if (o->upstream)
		e3_glb_scene_upstream(&scene, &g);
	else
		e3_glb_scene_ours(&scene, &g);
	int rc = g.rc ? -1 : write_container(s, run, &selection, &g, err);
	e3_gltf_release(&g);
	if (s->unusable)
		e3_tell(E3_TELL_WARN, "%s: %lld of %zu cameras have no frustum and no glTF camera: no usable field of view",
			e3_file_name(&w->file), (long long)s->unusable, s->n);
	return rc;
}

static int glb_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	for (int k = 0; k < 256; k++)
		((glb *)w)->linear[k] = e3_linear16((uint8_t)k);
	return 0;
}

static void glb_release(e3_format_writer *w) { free(((glb *)w)->cameras); }

const e3_format_ops e3_glb_format = {.size = sizeof(glb),
	.open = glb_open,
	.add = glb_add,
	.write = glb_write,
	.release = glb_release};
