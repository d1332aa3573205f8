/* export: predictions in a nameless temporary file, read again as often as a format needs. Holds one frame in memory.
 */
#include "export/writer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { ARRAYS = 6 };

/* Precedes the arrays of each frame, which follow in the order of `arrays`. Only the process that wrote it reads it. */
typedef struct record {
	e3_source s;
	int w, h;
	float pose[9];
	bool has_pose, has[ARRAYS];
	double ms;
} record;

struct e3_frame_spool {
	int (*stop)(void);
	FILE *f;
	uint64_t bytes, n, at; /* bytes written; frames; the frame to read next */
	uint64_t limit;        /* frames that are read */
	uint64_t whole;        /* bytes of the frames that are whole, all on disk */
	uint64_t *start;       /* [cap_start] where each frame begins */
	size_t cap_start;
	e3_pred p;           /* what e3_frame_spool_next returned last */
	const uint8_t *mask; /* and its mask */
	void *room[ARRAYS];  /* its arrays, reused */
	size_t cap[ARRAYS];
};

/* The arrays of a prediction: bytes per pixel, and the part that asks for them. */
static const struct {
	size_t pixel;
	unsigned part;
} arrays[ARRAYS] = {
	{3, E3_PART_RGB},
	{4, E3_PART_DEPTH},
	{4, E3_PART_DEPTH_CONF},
	{12, E3_PART_POINTS},
	{4, E3_PART_POINTS_CONF},
	{1, E3_PART_MASK},
};

static const void *array_of(const e3_pred *p, const uint8_t *mask, int k)
{
	const void *all[ARRAYS] = {p->rgb, p->depth, p->depth_conf, p->points, p->points_conf, mask};
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

int e3_frame_spool_add(e3_frame_spool *f, const e3_pred *p, const uint8_t *mask, unsigned parts, e3_err *err)
{
	record r;
	if (f->n == f->cap_start) {
		size_t cap = f->cap_start ? 2 * f->cap_start : 64;
		if (e3_grow((void **)&f->start, cap, sizeof *f->start, "the frames", err))
			return -1;
		f->cap_start = cap;
	}
	f->start[f->n] = f->whole;
	memset(&r, 0, sizeof r);
	r.s = p->s, r.w = p->w, r.h = p->h, r.has_pose = p->has_pose, r.ms = p->ms;
	memcpy(r.pose, p->pose, sizeof r.pose);
	for (int k = 0; k < ARRAYS; k++)
		r.has[k] = (arrays[k].part & parts) && array_of(p, mask, k);
	if (put(f, &r, sizeof r, err))
		return -1;
	for (int k = 0; k < ARRAYS; k++)
		if (r.has[k] && put(f, array_of(p, mask, k), (size_t)p->w * (size_t)p->h * arrays[k].pixel, err))
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

void e3_frame_spool_expect(const e3_frame_spool *f, int64_t frames)
{
	struct statvfs fs;
	if (!f->n || frames <= (int64_t)f->n || fstatvfs(fileno(f->f), &fs))
		return;
	double room = (double)fs.f_bavail * (double)fs.f_frsize, need = (double)f->bytes / (double)f->n * (double)frames;
	if (need - (double)f->bytes > room)
		e3_tell(E3_TELL_WARN,
			"temporary files: %lld frames need about %.1f MB, and %.1f MB are free (TMPDIR chooses where)",
			(long long)frames, need / 1e6, room / 1e6);
}

void e3_frame_spool_rewind(e3_frame_spool *f)
{
	rewind(f->f);
	f->at = 0;
}

int e3_frame_spool_seek(e3_frame_spool *f, uint64_t ordinal, e3_err *err)
{
	uint64_t n = ordinal < f->n ? ordinal : f->n;
	f->at = n;
	if (fseeko(f->f, (off_t)(n < f->n ? f->start[n] : f->whole), SEEK_SET))
		return e3_fail_sys(err, "reading a temporary file");
	return 0;
}

int e3_frame_spool_next(e3_frame_spool *f, unsigned parts, const e3_pred **p, e3_err *err)
{
	record r;
	if (f->at >= f->limit)
		return 0;
	if (f->stop && f->stop())
		return e3_fail(err, "exporting: interrupted");
	if (e3_spool_read(f->f, &r, sizeof r, err))
		return -1;
	void *got[ARRAYS] = {0};
	for (int k = 0; k < ARRAYS; k++) {
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
	f->mask = got[5];
	f->at++;
	*p = &f->p;
	return 1;
}

void e3_frame_spool_limit(e3_frame_spool *f, int64_t n) { f->limit = (uint64_t)n < f->n ? (uint64_t)n : f->n; }

const uint8_t *e3_frame_spool_mask(const e3_frame_spool *f) { return f->mask; }

uint64_t e3_frame_spool_count(const e3_frame_spool *f) { return f->n; }

uint64_t e3_frame_spool_bytes(const e3_frame_spool *f) { return f->bytes; }

void e3_frame_spool_stop_by(e3_frame_spool *f, int (*stop)(void)) { f->stop = stop; }

void e3_frame_spool_close(e3_frame_spool *f)
{
	if (!f)
		return;
	fclose(f->f);
	for (int k = 0; k < ARRAYS; k++)
		free(f->room[k]);
	free(f->start);
	free(f);
}
