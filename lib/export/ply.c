/* export: binary little-endian PLY (doc/formats.md 4.2): one file, or one per frame in a folder. Colours stay sRGB
 * bytes, positions stay in the world of the stream unless other axes were asked for. */
#include "e3/num.h"
#include "e3/version.h"
#include "export/writer.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct ply {
	e3_format_writer base;
	bool normals, conf, frame; /* the properties that are written */
	const e3_export_run *run;
	e3_axes axes;
	double turn[9]; /* to these axes */
} ply;

enum { CHUNK = 1024, MAX_RECORD = 39 };

/* What follows the positions, and what follows the colours. */
typedef struct further {
	const char *normals, *more;
} further;

static int write_header(e3_file *to, const char *comment, uint64_t n, const char *type, further add, e3_err *err)
{
	int rc = fprintf(to->f,
		"ply\n"
		"format binary_little_endian 1.0\n"
		"comment %s\n"
		"element vertex %" PRIu64 "\n"
		"property %s x\nproperty %s y\nproperty %s z\n"
		"%sproperty uchar red\nproperty uchar green\nproperty uchar blue\n"
		"%send_header\n",
		comment, n, type, type, type, add.normals, add.more);
	return rc < 0 ? e3_fail_sys(err, "writing: %s", e3_file_name(to)) : 0;
}

static int write_stream_header(const ply *s, e3_file *to, uint64_t n, e3_err *err)
{
	char more[64], world[256], comment[300];
	e3_world_text(s->run, s->axes, world, sizeof world);
	snprintf(comment, sizeof comment, "e3-export " E3_VERSION "; %s", world);
	snprintf(more, sizeof more, "%s%s", s->conf ? "property float confidence\n" : "",
		s->frame ? "property int frame\n" : "");
	const char *normals = s->normals ? "property float nx\nproperty float ny\nproperty float nz\n" : "";
	return write_header(to, comment, n, "float", (further){normals, more}, err);
}

static int write_points(const ply *s, e3_file *to, const e3_point_batch *b, e3_err *err)
{
	uint8_t room[CHUNK * MAX_RECORD];
	size_t used = 0;
	for (size_t k = 0; k < b->n; k++) {
		const e3_point *p = &b->p[k];
		float xyz[3];
		e3_axes_turn(s->axes, s->turn, p->xyz, xyz);
		for (int j = 0; j < 3; j++)
			e3_put_lef32(room + used + 4 * j, xyz[j]);
		used += 12;
		if (s->normals) {
			e3_point_normal(p, xyz);
			e3_axes_turn(s->axes, s->turn, xyz, xyz);
			for (int j = 0; j < 3; j++, used += 4)
				e3_put_lef32(room + used, xyz[j]);
		}
		memcpy(room + used, p->rgb, 3);
		used += 3;
		if (s->conf)
			e3_put_lef32(room + used, p->conf), used += 4;
		if (s->frame)
			e3_put_le32(room + used, (uint32_t)b->frame), used += 4;
		if (used + MAX_RECORD > sizeof room || k + 1 == b->n) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

static int write_plain(e3_file *to, const e3_ply_points *p, e3_err *err)
{
	uint8_t room[CHUNK * MAX_RECORD];
	size_t used = 0;
	if (write_header(to, p->comment, p->n, "double", (further){"", ""}, err))
		return -1;
	for (size_t k = 0; k < p->n; k++) {
		for (int j = 0; j < 3; j++, used += 8) {
			uint64_t u;
			memcpy(&u, &p->xyz[k][j], 8);
			e3_put_le64(room + used, u);
		}
		memcpy(room + used, p->rgb[k], 3);
		used += 3;
		if (used + MAX_RECORD > sizeof room || k + 1 == p->n) {
			if (e3_file_write(to, room, used, err))
				return -1;
			used = 0;
		}
	}
	return 0;
}

int e3_ply_save(const char *path, const e3_ply_points *p, e3_err *err)
{
	e3_file file;
	if (e3_file_open(&file, path, err))
		return -1;
	if (write_plain(&file, p, err)) {
		e3_file_discard(&file);
		return -1;
	}
	return e3_file_commit(&file, err);
}

static int write_one(ply *s, e3_export_run *run, const e3_point_selection *selection, e3_err *err)
{
	e3_point_batch b;
	int rc;
	uint64_t record = 15 + (s->normals ? 12 : 0) + (s->conf ? 4 : 0) + (s->frame ? 4 : 0);
	if (e3_file_reserve(&s->base.file, selection->n * record, err) ||
		write_stream_header(s, &s->base.file, selection->n, err))
		return -1;
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1)
		if (write_points(s, &s->base.file, &b, err))
			return -1;
	return rc;
}

/* The points of each frame, which its header must tell. One number a frame does not matter beside one file a frame. */
static uint64_t *count_frames(const ply *s, e3_export_run *run, const e3_point_selection *selection, e3_err *err)
{
	uint64_t *count = e3_alloc((size_t)s->base.frames, sizeof *count, "the points of each frame", err);
	e3_point_batch b;
	int rc = count ? 0 : -1;
	e3_cloud_rewind(run->cloud);
	while (!rc && (rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1) {
		count[b.segment] += b.n;
		rc = 0;
	}
	if (rc) {
		free(count);
		return NULL;
	}
	return count;
}

static int write_frames(ply *s, e3_export_run *run, const e3_point_selection *selection, const uint64_t *count,
	e3_err *err)
{
	e3_point_batch b;
	e3_file file = {0};
	uint64_t next = 0;
	int rc;
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, selection, &b, err)) == 1) {
		if (b.segment == next) {
			char name[64], path[4096];
			snprintf(name, sizeof name, "frame_%06" PRId64 ".ply", b.frame);
			if ((file.f && e3_file_commit(&file, err)) || e3_outdir_name(&s->base.dir, name, path, sizeof path, err) ||
				e3_file_open(&file, path, err) || write_stream_header(s, &file, count[next], err)) {
				rc = -1;
				break;
			}
			next++;
		}
		if (write_points(s, &file, &b, err)) {
			rc = -1;
			break;
		}
	}
	if (!rc)
		return e3_file_commit(&file, err);
	e3_file_discard(&file);
	return -1;
}

static int ply_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	ply *s = (ply *)w;
	int64_t max = run->opt->cloud.max_points;
	e3_point_selection selection;
	if (e3_cloud_select(run->cloud, max > 0 ? (uint64_t)max : 0, &selection, err))
		return -1;
	selection.normals = s->normals;
	w->points = selection.n;
	e3_axes_matrix(s->axes, run, s->turn);
	if (!w->dir.path)
		return write_one(s, run, &selection, err);
	uint64_t *count = count_frames(s, run, &selection, err);
	int rc = count ? write_frames(s, run, &selection, count, err) : -1;
	free(count);
	return rc;
}

static int ply_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	ply *s = (ply *)w;
	s->conf = run->opt->ply_conf, s->frame = run->opt->ply_frame;
	s->normals = run->opt->ply_normals;
	run->parts |= s->normals ? E3_PART_NORMALS : 0;
	s->axes = run->opt->axes, s->run = run;
	return 0;
}

const e3_format_ops e3_ply_format = {.size = sizeof(ply), .open = ply_open, .write = ply_write};
