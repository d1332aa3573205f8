/* export: predictions in a nameless temporary file, read again as often as a format needs. Holds one frame in memory.
 */
#include "export/writer.h"
#include <stdlib.h>
#include <string.h>

/* Precedes the arrays of each frame, which follow in the order of `arrays`. Only the process that wrote it reads it. */
typedef struct record {
	e3_source s;
	int w, h;
	float pose[9];
	bool has_pose, has[5];
	double ms;
} record;

struct e3_frame_spool {
	int (*stop)(void);
	FILE *f;
	uint64_t bytes, n, at; /* bytes written; frames; the frame to read next */
	uint64_t limit;        /* frames that are read */
	uint64_t whole;        /* bytes of the frames that are whole, all on disk */
	e3_pred p;             /* what e3_frame_spool_next returned last */
	void *room[5];         /* its arrays, reused */
	size_t cap[5];
};

/* The arrays of a prediction: bytes per pixel, and the part that asks for them. */
static const struct {
	size_t pixel;
	unsigned part;
} arrays[5] = {
	{3, E3_PART_RGB},
	{4, E3_PART_DEPTH},
	{4, E3_PART_CONF},
	{12, E3_PART_POINTS},
	{4, E3_PART_CONF},
};

static const void *array_of(const e3_pred *p, int k)
{
	const void *all[5] = {p->rgb, p->depth, p->depth_conf, p->points, p->points_conf};
	return all[k];
}

e3_frame_spool *e3_frame_spool_open(e3_err *err)
{
	e3_frame_spool *f = e3_alloc(1, sizeof *f, "the frame spool", err);
	if (!f)
		return NULL;
	f->f = e3_spool(err);
	if (!f->f) {
		free(f);
		return NULL;
	}
	return f;
}

static int put(e3_frame_spool *f, const void *from, size_t n, e3_err *err)
{
	f->bytes += n;
	return e3_spool_write(f->f, from, n, err);
}

int e3_frame_spool_add(e3_frame_spool *f, const e3_pred *p, unsigned parts, e3_err *err)
{
	record r;
	memset(&r, 0, sizeof r);
	r.s = p->s, r.w = p->w, r.h = p->h, r.has_pose = p->has_pose, r.ms = p->ms;
	memcpy(r.pose, p->pose, sizeof r.pose);
	for (int k = 0; k < 5; k++)
		r.has[k] = (arrays[k].part & parts) && array_of(p, k);
	if (put(f, &r, sizeof r, err))
		return -1;
	for (int k = 0; k < 5; k++)
		if (r.has[k] && put(f, array_of(p, k), (size_t)p->w * (size_t)p->h * arrays[k].pixel, err))
			return -1;
	if (fflush(f->f))
		return e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)");
	f->whole = f->bytes;
	f->limit = ++f->n;
	return 0;
}

int e3_frame_spool_cut(e3_frame_spool *f, e3_err *err)
{
	f->bytes = f->whole;
	return e3_spool_cut(f->f, f->whole, err);
}

void e3_frame_spool_rewind(e3_frame_spool *f)
{
	rewind(f->f);
	f->at = 0;
}

int e3_frame_spool_next(e3_frame_spool *f, unsigned parts, const e3_pred **p, e3_err *err)
{
	record r;
	if (f->at == f->limit)
		return 0;
	if (f->stop && f->stop())
		return e3_fail(err, "exporting: interrupted");
	if (e3_spool_read(f->f, &r, sizeof r, err))
		return -1;
	void *got[5] = {0};
	for (int k = 0; k < 5; k++) {
		size_t n = (size_t)r.w * (size_t)r.h * arrays[k].pixel;
		if (!r.has[k])
			continue;
		if (!(arrays[k].part & parts)) {
			if (fseeko(f->f, (off_t)n, SEEK_CUR))
				return e3_fail_sys(err, "reading a temporary file");
			continue;
		}
		if (n > f->cap[k]) {
			if (e3_grow(&f->room[k], n, 1, "a frame", err))
				return -1;
			f->cap[k] = n;
		}
		if (e3_spool_read(f->f, f->room[k], n, err))
			return -1;
		got[k] = f->room[k];
	}
	f->p = (e3_pred){
		.s = r.s,
		.w = r.w,
		.h = r.h,
		.has_pose = r.has_pose,
		.ms = r.ms,
		.rgb = got[0],
		.depth = got[1],
		.depth_conf = got[2],
		.points = got[3],
		.points_conf = got[4],
	};
	memcpy(f->p.pose, r.pose, sizeof r.pose);
	f->at++;
	*p = &f->p;
	return 1;
}

void e3_frame_spool_limit(e3_frame_spool *f, int64_t n) { f->limit = (uint64_t)n < f->n ? (uint64_t)n : f->n; }

uint64_t e3_frame_spool_bytes(const e3_frame_spool *f) { return f->bytes; }

void e3_frame_spool_stop_by(e3_frame_spool *f, int (*stop)(void)) { f->stop = stop; }

void e3_frame_spool_close(e3_frame_spool *f)
{
	if (!f)
		return;
	fclose(f->f);
	for (int k = 0; k < 5; k++)
		free(f->room[k]);
	free(f);
}
