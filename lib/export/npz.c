/* export: predictions.npz with the nine arrays of the reference (doc/formats.md 0, 4.7): a zip of uncompressed npy
 * members. The checksum of an array grows as frames arrive and is combined with that of its header at the end, so that
 * nothing is written twice and the output may be a pipe. Refuses frames of different sizes. Leaves out arrays the
 * stream has no data for. */
#include "e3/npy.h"
#include "e3/num.h"
#include "export/writer.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Fills the floats of one frame. */
typedef void fill_fn(const e3_export_frame *frame, float *to);

/* Contents of a prediction. */
typedef enum contents { NONE = 0, POSE = 1, DEPTH = 2, DEPTH_CONF = 4, POINTS = 8, POINTS_CONF = 16 } contents;

typedef struct member {
	const char *key;
	int tail[3];           /* the shape after the frame count; -1 = h, -2 = w, 0 = no more */
	unsigned needs, parts; /* what the stream must have; E3_PART_* that `fill` reads */
	fill_fn *fill;
} member;

static size_t pixels(const e3_export_frame *frame) { return (size_t)frame->pred->w * (size_t)frame->pred->h; }

static void fill_points(const e3_export_frame *frame, float *to)
{
	memcpy(to, frame->pred->points, 12 * pixels(frame));
}
static void fill_points_conf(const e3_export_frame *frame, float *to)
{
	memcpy(to, frame->pred->points_conf, 4 * pixels(frame));
}
static void fill_depth(const e3_export_frame *frame, float *to) { memcpy(to, frame->pred->depth, 4 * pixels(frame)); }
static void fill_depth_conf(const e3_export_frame *frame, float *to)
{
	memcpy(to, frame->pred->depth_conf, 4 * pixels(frame));
}
static void fill_pose(const e3_export_frame *frame, float *to) { memcpy(to, frame->pred->pose, 9 * sizeof *to); }
static void fill_unprojected(const e3_export_frame *frame, float *to)
{
	e3_unproject(&frame->pose, &frame->k, frame->pred->depth, to);
	for (size_t k = 0; !frame->usable_k && k < 3 * pixels(frame); k++)
		to[k] = NAN;
}

static void fill_images(const e3_export_frame *frame, float *to)
{
	size_t n = pixels(frame);
	for (size_t c = 0; c < 3; c++)
		for (size_t k = 0; k < n; k++)
			*to++ = frame->pred->rgb ? (float)frame->pred->rgb[3 * k + c] / 255.0f : 0;
}

static void fill_extrinsic(const e3_export_frame *frame, float *to)
{
	for (int row = 0; row < 3; row++, to += 4) {
		for (int col = 0; col < 3; col++)
			to[col] = (float)frame->pose.r[3 * row + col];
		to[3] = (float)frame->pose.t[row];
	}
}

/* As the reference does: infinite or negative where the field of view is not usable. */
static void fill_intrinsic_upstream(const e3_export_frame *frame, float *to)
{
	const float k[9] = {(float)frame->k.fx, 0, (float)frame->k.cx, 0, (float)frame->k.fy, (float)frame->k.cy, 0, 0, 1};
	memcpy(to, k, sizeof k);
}

static void fill_intrinsic(const e3_export_frame *frame, float *to)
{
	fill_intrinsic_upstream(frame, to);
	if (!frame->usable_k)
		to[0] = to[4] = 0;
}

enum { MEMBERS = 9, INTRINSIC = 7, UNPROJECTED = 8, H = -1, W = -2 };

static const member members[MEMBERS] = {
	{"world_points", {H, W, 3}, POINTS, E3_PART_POINTS, fill_points},
	{"world_points_conf", {H, W}, POINTS_CONF, E3_PART_CONF, fill_points_conf},
	{"depth", {H, W, 1}, DEPTH, E3_PART_DEPTH, fill_depth},
	{"depth_conf", {H, W}, DEPTH_CONF, E3_PART_CONF, fill_depth_conf},
	{"pose_enc", {9}, POSE, 0, fill_pose},
	{"images", {3, H, W}, NONE, E3_PART_RGB, fill_images},
	{"extrinsic", {3, 4}, POSE, 0, fill_extrinsic},
	{"intrinsic", {3, 3}, POSE, 0, fill_intrinsic},
	{"world_points_from_depth", {H, W, 3}, DEPTH | POSE, E3_PART_DEPTH, fill_unprojected},
};
/* The reference's last member is a copy of the first (doc/formats.md 1.8). */
static const member copied = {"world_points_from_depth", {H, W, 3}, POINTS, E3_PART_POINTS, fill_points};

typedef struct npz {
	e3_format_writer base;
	int w, h;
	unsigned has; /* what the stream has; fixed by the first frame */
	member m[MEMBERS];
	uint32_t crc[MEMBERS];                   /* of the data so far, then of the whole member */
	uint64_t size[MEMBERS], offset[MEMBERS]; /* in the zip */
	int64_t lensless;                        /* frames with a pose without a usable field of view */
	float *room;                             /* one frame of the largest member */
	uint64_t at;                             /* bytes written */
} npz;

static unsigned contents_of(const e3_pred *p)
{
	return (p->has_pose ? POSE : 0) | (p->depth ? DEPTH : 0) | (p->depth_conf ? DEPTH_CONF : 0) |
		(p->points ? POINTS : 0) | (p->points_conf ? POINTS_CONF : 0);
}

static int dimension(const npz *s, int d) { return d == H ? s->h : d == W ? s->w : d; }

static size_t frame_floats(const npz *s, const member *m)
{
	size_t n = 1;
	for (int k = 0; k < 3 && m->tail[k]; k++)
		n *= (size_t)dimension(s, m->tail[k]);
	return n;
}

static bool present(const npz *s, const member *m) { return (s->has & m->needs) == m->needs; }

/* crc32 of any length: zlib takes 32 bits. */
static uint32_t crc_more(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	for (size_t step; n; p += step, n -= step) {
		step = n < 1 << 30 ? n : 1 << 30;
		crc = (uint32_t)crc32(crc, p, (uInt)step);
	}
	return crc;
}

static int npz_check(const e3_format_writer *w, const e3_pred *p, e3_err *err)
{
	const npz *s = (const npz *)w;
	if (!w->frames || (p->w == s->w && p->h == s->h && contents_of(p) == s->has))
		return 0;
	return e3_fail(err,
		"writing: %s: frame %lld is %d × %d or has other arrays; an npz holds one shape, the first was %d × %d",
		e3_file_name(&w->file), (long long)p->s.i, p->w, p->h, s->w, s->h);
}

static int npz_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	npz *s = (npz *)w;
	const e3_pred *p = frame->pred;
	if (!w->frames) {
		s->w = p->w, s->h = p->h, s->has = contents_of(p);
		size_t floats = (size_t)p->w * (size_t)p->h * 3;
		s->room = e3_alloc(floats > 12 ? floats : 12, sizeof *s->room, "a frame", err);
		if (!s->room)
			return -1;
	}
	s->lensless += p->has_pose && !frame->usable_k;
	for (int k = 0; k < MEMBERS; k++) {
		const member *m = &s->m[k];
		if (!present(s, m))
			continue;
		m->fill(frame, s->room);
		s->crc[k] = crc_more(s->crc[k], s->room, frame_floats(s, m) * sizeof *s->room);
	}
	return 0;
}

/* npy 1.0 header: its length, a multiple of 64. */
static size_t npy_header(const npz *s, const member *m, int64_t frames, char to[192])
{
	int64_t shape[4] = {frames};
	int dims = 1;
	for (int k = 0; k < 3 && m->tail[k]; k++)
		shape[dims++] = dimension(s, m->tail[k]);
	return e3_npy_header(to, shape, dims);
}

static int put(npz *s, const void *from, size_t n, e3_err *err)
{
	s->at += n;
	return e3_file_write(&s->base.file, from, n, err);
}

#define BIG 0xffffffffu

/* The local header of a member, or its central one, which has more fields. Sizes and offsets of more than 32 bits go
 * into the zip64 extra field. */
static int put_entry(npz *s, int k, bool central, e3_err *err)
{
	uint8_t e[46 + 64 + 28] = {0}, *p = e;
	char name[64];
	int name_len = snprintf(name, sizeof name, "%s.npy", s->m[k].key);
	bool big_size = s->size[k] >= BIG, big_offset = central && s->offset[k] >= BIG;
	unsigned extra = (big_size ? 16u : 0) + (big_offset ? 8u : 0);
	e3_put_le32(p, central ? 0x02014b50 : 0x04034b50), p += 4;
	unsigned version = extra ? 45 : 20;
	if (central)
		e3_put_le16(p, (uint16_t)version), p += 2;
	e3_put_le16(p, (uint16_t)version), p += 2;
	p += 6;                         /* flags, method: stored, time: midnight */
	e3_put_le16(p, 0x0021), p += 2; /* 1980-01-01 */
	e3_put_le32(p, s->crc[k]), p += 4;
	for (int j = 0; j < 2; j++)
		e3_put_le32(p, big_size ? BIG : (uint32_t)s->size[k]), p += 4;
	e3_put_le16(p, (uint16_t)name_len), p += 2;
	e3_put_le16(p, (uint16_t)(extra ? extra + 4 : 0)), p += 2;
	if (central) {
		p += 10; /* comment, disk, attributes */
		e3_put_le32(p, big_offset ? BIG : (uint32_t)s->offset[k]), p += 4;
	}
	memcpy(p, name, (size_t)name_len), p += name_len;
	if (extra) {
		e3_put_le16(p, 1), p += 2;
		e3_put_le16(p, (uint16_t)extra), p += 2;
		for (int j = 0; big_size && j < 2; j++)
			e3_put_le64(p, s->size[k]), p += 8;
		if (big_offset)
			e3_put_le64(p, s->offset[k]), p += 8;
	}
	return put(s, e, (size_t)(p - e), err);
}

static int put_end(npz *s, uint64_t entries, uint64_t start, e3_err *err)
{
	uint8_t e[22] = {0}, big[76] = {0};
	uint64_t size = s->at - start, at = s->at;
	if (start >= BIG) {
		e3_put_le32(big, 0x06064b50);
		e3_put_le64(big + 4, 44);
		e3_put_le16(big + 12, 45);
		e3_put_le16(big + 14, 45);
		e3_put_le64(big + 24, entries);
		e3_put_le64(big + 32, entries);
		e3_put_le64(big + 40, size);
		e3_put_le64(big + 48, start);
		e3_put_le32(big + 56, 0x07064b50);
		e3_put_le64(big + 64, at);
		e3_put_le32(big + 72, 1);
		if (put(s, big, sizeof big, err))
			return -1;
	}
	e3_put_le32(e, 0x06054b50);
	e3_put_le16(e + 8, (uint16_t)entries);
	e3_put_le16(e + 10, (uint16_t)entries);
	e3_put_le32(e + 12, (uint32_t)size);
	e3_put_le32(e + 16, start >= BIG ? BIG : (uint32_t)start);
	return put(s, e, sizeof e, err);
}

static int write_member(npz *s, e3_export_run *run, int k, e3_err *err)
{
	const member *m = &s->m[k];
	char header[192];
	size_t head = npy_header(s, m, s->base.frames, header), floats = frame_floats(s, m);
	uint64_t data = (uint64_t)s->base.frames * floats * sizeof *s->room;
	s->size[k] = head + data;
	s->offset[k] = s->at;
	s->crc[k] = (uint32_t)crc32_combine(crc_more(0, header, head), s->crc[k], (z_off_t)data);
	if (put_entry(s, k, false, err) || put(s, header, head, err))
		return -1;
	const e3_pred *p;
	int rc;
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, m->parts, &p, err)) == 1) {
		e3_export_frame frame;
		if (e3_export_frame_init(&frame, p, err))
			return -1;
		m->fill(&frame, s->room);
		if (put(s, s->room, floats * sizeof *s->room, err))
			return -1;
	}
	return rc;
}

static int npz_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	npz *s = (npz *)w;
	int entries = 0;
	uint64_t size = 0;
	for (int k = 0; k < MEMBERS; k++)
		size += present(s, &s->m[k]) ? (uint64_t)w->frames * frame_floats(s, &s->m[k]) * sizeof *s->room : 0;
	if (e3_file_reserve(&w->file, size, err))
		return -1;
	for (int k = 0; k < MEMBERS; k++) {
		if (!present(s, &s->m[k])) {
			continue;
		}
		if (write_member(s, run, k, err))
			return -1;
		entries++;
	}
	uint64_t start = s->at;
	for (int k = 0; k < MEMBERS; k++)
		if (present(s, &s->m[k]) && put_entry(s, k, true, err))
			return -1;
	if (entries < MEMBERS)
		e3_tell(E3_TELL_WARN, "%s: left out %d of the nine arrays: the stream lacks depth, points or pose",
			w->file.path, MEMBERS - entries);
	if (!run->opt->upstream)
		e3_tell_lensless(w->file.path, s->lensless, w->frames);
	return put_end(s, (uint64_t)entries, start, err);
}

static int npz_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	npz *s = (npz *)w;
	memcpy(s->m, members, sizeof members);
	if (run->opt->upstream)
		s->m[UNPROJECTED] = copied, s->m[INTRINSIC].fill = fill_intrinsic_upstream;
	return 0;
}

static void npz_release(e3_format_writer *w) { free(((npz *)w)->room); }

const e3_format_ops e3_npz_format = {
	.size = sizeof(npz),
	.parts = E3_PART_RGB | E3_PART_DEPTH | E3_PART_POINTS | E3_PART_CONF,
	.open = npz_open,
	.check = npz_check,
	.add = npz_add,
	.write = npz_write,
	.release = npz_release,
};
