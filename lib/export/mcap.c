/* export: a recording for Foxglove and other readers of MCAP (doc/formats.md 4.12): which messages there are and when.
 * Points wait in a temporary file until the frames are read again, so that messages come in the order of their times.
 * Owns that file. */
#include "export/mcap.h"
#include "e3/version.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAP_POINTS = 500000, /* of the whole cloud in one message */
	PATH_POSES = 10000   /* of the path in one */
};

/* Seconds: two of them still fit into 64 bits of nanoseconds. */
#define LATEST 9e9

/* Channels. */
enum { TRANSFORMS, CALIBRATION, PICTURE, DEPTH, POINTS, MAP, PATH, CHANNELS };

static const struct {
	const char *topic;
	e3_foxglove message;
} topics[CHANNELS] = {
	[TRANSFORMS] = {"/tf", E3_FOXGLOVE_TRANSFORMS},
	[CALIBRATION] = {"/camera/calibration", E3_FOXGLOVE_CALIBRATION},
	[PICTURE] = {"/camera/image", E3_FOXGLOVE_COMPRESSED_IMAGE},
	[DEPTH] = {"/camera/depth", E3_FOXGLOVE_RAW_IMAGE},
	[POINTS] = {"/points", E3_FOXGLOVE_POINT_CLOUD},
	[MAP] = {"/map", E3_FOXGLOVE_POINT_CLOUD},
	[PATH] = {"/path", E3_FOXGLOVE_POSES},
};

/* Before the points of one batch in the temporary file. */
typedef struct batch {
	uint64_t frame; /* 0, 1, ... of the run */
	uint64_t n;
} batch;

typedef struct mcap {
	e3_format_writer base;
	e3_mcap *file;
	e3_mcap_channel channel[CHANNELS];
	e3_bytes description[CHANNELS];
	e3_bytes message; /* room for one */
	FILE *points;
	batch next;      /* the batch that is read next; n is 0 at the end */
	e3_buf batch;    /* room for the points of one frame */
	uint64_t depths; /* bytes of all depth maps */
	int64_t poses, lensless;
	bool timed;     /* the times below are known */
	uint64_t start; /* of the first frame, nanoseconds */
	double first;   /* its pts */
} mcap;

/* Readers of protobuf take messages of less than 2 GiB. */
static int mcap_check(const e3_format_writer *w, const e3_pred *p, e3_err *err)
{
	if ((int64_t)p->w * p->h < INT32_MAX / E3_MCAP_POINT - 1024)
		return 0;
	return e3_fail(err, "writing: %s: frame %lld is %d × %d: its points would not fit into a message of 2 GiB",
		e3_file_name(&w->file), (long long)p->s.i, p->w, p->h);
}

static int mcap_add(e3_format_writer *w, e3_export_run *run, const e3_export_frame *frame, e3_err *err)
{
	mcap *s = (mcap *)w;
	const e3_pred *p = frame->pred;
	s->depths += p->depth ? 4 * (uint64_t)p->w * (uint64_t)p->h : 0;
	s->poses += p->has_pose;
	s->lensless += p->has_pose && !frame->usable_k;
	return 0;
}

/* Of seconds that are not negative. */
static uint64_t nanoseconds(double s)
{
	double whole = floor(s < LATEST ? s : LATEST);
	return (uint64_t)whole * 1000000000 + (uint64_t)((s < LATEST ? s - whole : 0) * 1e9 + 0.5);
}

/* Of a live source the first frame's capture, else the stream's clock; then as far apart as the frames are. Times of
 * MCAP have no sign. */
static uint64_t time_of(mcap *s, const e3_source *at)
{
	if (!s->timed) {
		s->start = nanoseconds(at->t_capture > 0 ? at->t_capture : at->pts > 0 ? at->pts : 0);
		s->first = at->pts;
		s->timed = true;
	}
	uint64_t d = nanoseconds(fabs(at->pts - s->first));
	return at->pts >= s->first ? s->start + d : d < s->start ? s->start - d : 0;
}

static int begin(mcap *s, e3_err *err)
{
	s->message.err = err;
	return s->message.rc;
}

static int send(mcap *s, int channel, uint64_t time, e3_err *err)
{
	return s->message.rc ? -1 : e3_mcap_message(s->file, channel, time, &s->message.b, err);
}

/* --- points --- */

static int point_bytes(const e3_point_batch *b, e3_buf *to, e3_err *err)
{
	uint8_t point[E3_MCAP_POINT];
	to->len = 0;
	for (size_t k = 0; k < b->n; k++) {
		e3_mcap_point(&b->p[k], point);
		if (e3_buf_add(to, point, sizeof point, err))
			return -1;
	}
	return 0;
}

static int spool_points(mcap *s, e3_export_run *run, e3_err *err)
{
	int64_t max = run->opt->cloud.max_points;
	e3_point_selection selection;
	e3_point_batch b;
	int rc;
	if (e3_cloud_select(run->cloud, max > 0 ? (uint64_t)max : 0, &selection, err))
		return -1;
	s->base.points = selection.n;
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, &selection, &b, err)) == 1) {
		batch head = {b.segment, b.n};
		if (!b.n)
			continue;
		if (point_bytes(&b, &s->batch, err) || e3_spool_write(s->points, &head, sizeof head, err) ||
			e3_spool_write(s->points, s->batch.data, s->batch.len, err))
			return -1;
	}
	if (!rc && fflush(s->points))
		return e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	return rc;
}

static int read_head(mcap *s, e3_err *err)
{
	if (fread(&s->next, sizeof s->next, 1, s->points) == 1)
		return 0;
	s->next.n = 0;
	return ferror(s->points) ? e3_fail_sys(err, "reading a temporary file") : 0;
}

/* The points that the frame adds to the scene. */
static int send_points(mcap *s, uint64_t time, uint64_t frame, e3_err *err)
{
	e3_buf *b = &s->batch;
	b->len = 0;
	while (s->next.n && s->next.frame == frame) {
		size_t n = (size_t)s->next.n * E3_MCAP_POINT;
		if (b->len + n > b->cap) {
			size_t cap = 2 * (b->len + n);
			if (e3_grow((void **)&b->data, cap, 1, "points", err))
				return -1;
			b->cap = cap;
		}
		if (e3_spool_read(s->points, b->data + b->len, n, err) || read_head(s, err))
			return -1;
		b->len += n;
	}
	e3_foxglove_points(&s->message, time, b->len / E3_MCAP_POINT);
	e3_bytes_add(&s->message, b->data, b->len);
	return send(s, POINTS, time, err);
}

/* The whole cloud, thinned: what is seen from the start, wherever a reader jumps to. */
static int send_map(mcap *s, e3_export_run *run, uint64_t time, e3_err *err)
{
	uint64_t most = s->base.points < MAP_POINTS ? s->base.points : MAP_POINTS;
	e3_point_selection selection;
	e3_point_batch b;
	int rc;
	if (!most)
		return 0;
	if (e3_cloud_select(run->cloud, most, &selection, err))
		return -1;
	e3_foxglove_points(&s->message, time, (size_t)selection.n);
	e3_cloud_rewind(run->cloud);
	while ((rc = e3_cloud_next(run->cloud, &selection, &b, err)) == 1) {
		if (point_bytes(&b, &s->batch, err))
			return -1;
		e3_bytes_add(&s->message, s->batch.data, s->batch.len);
	}
	return rc ? -1 : send(s, MAP, time, err);
}

/* --- what the frames have --- */

/* The whole path, of every n-th camera where there are many. */
static int send_path(mcap *s, e3_export_run *run, uint64_t time, e3_err *err)
{
	const int64_t step = (s->poses + PATH_POSES - 1) / PATH_POSES;
	const e3_pred *p;
	int64_t n = 0;
	int rc;
	if (!s->poses)
		return 0;
	e3_foxglove_path(&s->message, time);
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, 0, &p, err)) == 1) {
		e3_export_frame frame;
		if (!p->has_pose || n++ % step)
			continue;
		if (e3_export_frame_init(&frame, p, err))
			return -1;
		e3_foxglove_path_pose(&s->message, &frame.pose);
	}
	return rc ? -1 : send(s, PATH, time, err);
}

static int send_frame(mcap *s, const e3_export_frame *f, const double upright[9], uint64_t ordinal, e3_err *err)
{
	const e3_pred *p = f->pred;
	const uint64_t time = time_of(s, &p->s);
	e3_foxglove_transforms(&s->message, time, upright, p->has_pose ? &f->pose : NULL);
	if (send(s, TRANSFORMS, time, err))
		return -1;
	if (p->has_pose) {
		e3_intrinsics k = f->k;
		if (!f->usable_k)
			k.fx = k.fy = 0; /* readers take that as not calibrated */
		e3_foxglove_calibration(&s->message, time, &k);
		if (send(s, CALIBRATION, time, err))
			return -1;
	}
	if (p->rgb) {
		e3_foxglove_picture(&s->message, time, p->rgb, p->w, p->h);
		if (send(s, PICTURE, time, err))
			return -1;
	}
	if (p->depth) {
		e3_foxglove_depth(&s->message, time, p->depth, p->w, p->h);
		if (send(s, DEPTH, time, err))
			return -1;
	}
	return send_points(s, time, ordinal, err);
}

static int send_frames(mcap *s, e3_export_run *run, const double upright[9], e3_err *err)
{
	const e3_pred *p;
	uint64_t ordinal = 0;
	int rc;
	rewind(s->points);
	if (read_head(s, err))
		return -1;
	e3_frame_spool_rewind(run->frames);
	while ((rc = e3_frame_spool_next(run->frames, E3_PART_RGB | E3_PART_DEPTH, &p, err)) == 1) {
		e3_export_frame frame;
		if (e3_export_frame_init(&frame, p, err) || send_frame(s, &frame, upright, ordinal++, err))
			return -1;
	}
	return rc;
}

/* What was read and how lengths are to be taken: a record beside the messages. */
static int put_facts(mcap *s, const e3_export_run *run, e3_err *err)
{
	char world[256], frames[32];
	e3_world_text(run, E3_AXES_OPENCV, world, sizeof world);
	snprintf(frames, sizeof frames, "%" PRId64, s->base.frames);
	const char *const pairs[] = {"tool", "e3-export " E3_VERSION, "source", run->source ? run->source : "", "model",
		run->model ? run->model : "", "policy", run->policy ? run->policy : "", "device",
		run->device ? run->device : "", "frames", frames, "complete", run->end ? "true" : "false", "world", world,
		NULL};
	return e3_mcap_metadata(s->file, "e3", pairs, err);
}

/* The time of the first frame. */
static int first_time(mcap *s, e3_export_run *run, uint64_t *time, e3_err *err)
{
	const e3_pred *p;
	e3_frame_spool_rewind(run->frames);
	int rc = e3_frame_spool_next(run->frames, 0, &p, err);
	*time = rc == 1 ? time_of(s, &p->s) : 0;
	return rc < 0 ? -1 : 0;
}

static int mcap_write(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	mcap *s = (mcap *)w;
	double upright[9];
	uint64_t start;
	e3_export_axes(run, E3_UP_Z, upright);
	if (begin(s, err) || spool_points(s, run, err) ||
		e3_file_reserve(&w->file, s->depths + w->points * E3_MCAP_POINT, err) || first_time(s, run, &start, err))
		return -1;
	s->file = e3_mcap_open(&w->file, s->channel, CHANNELS, err);
	if (!s->file || put_facts(s, run, err) || send_map(s, run, start, err) || send_path(s, run, start, err) ||
		send_frames(s, run, upright, err))
		return -1;
	e3_tell_lensless(w->file.path, s->lensless, w->frames);
	return e3_mcap_finish(s->file, err);
}

static int mcap_open(e3_format_writer *w, e3_export_run *run, e3_err *err)
{
	mcap *s = (mcap *)w;
	for (int k = 0; k < CHANNELS; k++) {
		e3_bytes *d = &s->description[k];
		d->err = err;
		e3_foxglove_describe(topics[k].message, d);
		if (d->rc)
			return -1;
		s->channel[k] = (e3_mcap_channel){topics[k].topic, e3_foxglove_name(topics[k].message), &d->b};
	}
	s->points = e3_spool(err);
	return s->points ? 0 : -1;
}

static void mcap_release(e3_format_writer *w)
{
	mcap *s = (mcap *)w;
	e3_mcap_close(s->file);
	for (int k = 0; k < CHANNELS; k++)
		e3_buf_release(&s->description[k].b);
	e3_buf_release(&s->message.b);
	e3_buf_release(&s->batch);
	if (s->points)
		fclose(s->points);
}

const e3_format_ops e3_mcap_format = {.size = sizeof(mcap),
	.parts = E3_PART_RGB | E3_PART_DEPTH,
	.open = mcap_open,
	.check = mcap_check,
	.add = mcap_add,
	.write = mcap_write,
	.release = mcap_release};
