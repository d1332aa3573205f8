/* view: frames of a recording, read and encoded when they are asked for. Owns those made last, within a quarter of the
 * store's limits. */
#include "view/made.h"
#include "e3/io.h"
#include "e3/value.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_POINTS = 256, ENVELOPE = 6 };

void view_made_release(view_run *r)
{
	for (size_t k = 0; k < r->n_made; k++)
		view_making_release(&r->made[k].frame);
	free(r->made), free(r->message);
	view_sampler_release(&r->made_sampler);
	view_merge_close(&r->made_merge);
	e3_pred_release(&r->made_pred), e3_frame_release(&r->made_frame);
}

static int64_t size_of(const view_making *m)
{
	int64_t n = (int64_t)m->chunk.count * VIEW_POINT_BYTES;
	for (int k = 0; k < VIEW_PARTS; k++)
		n += (int64_t)m->part[k].len;
	return n;
}

/* The whole message, checked: nothing in it surprises a decoder. */
static int read_message(view_run *r, const view_row *row, e3_msg *msg, e3_err *err)
{
	size_t len = (size_t)row->len, done = 0;
	if (len > r->message_room) {
		if (e3_grow((void **)&r->message, len, 1, "a message", err))
			return -1;
		r->message_room = len;
	}
	while (done < len) {
		ssize_t n = pread(r->fd, r->message + done, len - done, (off_t)(row->at + done));
		if (n < 0 && errno != EINTR)
			return e3_fail_sys(err, "reading: %s", r->name);
		if (n == 0)
			return e3_fail(err, "reading: %s: it became shorter", r->name);
		done += n > 0 ? (size_t)n : 0;
	}
	*msg = (e3_msg){.kind = (int)row->kind, .bytes = r->message, .len = len};
	return e3_body_check(msg->bytes + ENVELOPE, len - ENVELOPE, err);
}

/* The same for every call, so that parts of a frame's points fit together. */
static int64_t limit_of(e3_view_store *v, view_run *r)
{
	if (r->chunk_limit)
		return r->chunk_limit;
	pthread_mutex_lock(&v->lock);
	int64_t frames = r->head.frames > r->frames ? r->head.frames : r->frames;
	int64_t limit = frames ? view_share(v, v->o.points) / frames : v->o.chunk;
	pthread_mutex_unlock(&v->lock);
	limit = limit < LEAST_POINTS ? LEAST_POINTS : limit;
	return r->chunk_limit = limit > v->o.chunk ? v->o.chunk : limit;
}

static int make_pred(e3_view_store *v, view_run *r, uint32_t n, const e3_msg *msg, view_making *to, e3_err *err)
{
	if (e3_pred_decode(msg, &r->made_pred, err))
		return -1;
	view_frame_of(&r->made_pred, &to->frame);
	if (!r->made_merge.slot && view_merge_open(&r->made_merge, 8 * v->o.chunk, err))
		return -1;
	/* points of one frame keep apart from each other; frames are read in any order, so they know nothing of others */
	view_merge_forget(&r->made_merge);
	view_makers by = {.sampler = &r->made_sampler,
		.merge = &r->made_merge,
		.spread = 1,
		.limit = limit_of(v, r),
		.confidence = {0, 1},
		.n = n};
	pthread_mutex_lock(&v->lock);
	if (r->confidence[1] > 0)
		memcpy(by.confidence, r->confidence, sizeof by.confidence);
	pthread_mutex_unlock(&v->lock);
	return view_make_pred(&r->made_pred, &by, to, err);
}

static int make(e3_view_store *v, view_run *r, uint32_t n, view_making *to, e3_err *err)
{
	view_row row;
	e3_msg msg;
	*to = (view_making){.is = true};
	if (view_rows_get(&r->rows, n, &row, err) || read_message(r, &row, &msg, err))
		return -1;
	if (msg.kind == E3_PRED)
		return make_pred(v, r, n, &msg, to, err);
	return e3_frame_decode(&msg, &r->made_frame, err) ? -1 : view_make_frame(&r->made_frame, to, err);
}

static view_made *find(view_run *r, uint32_t n)
{
	for (size_t k = 0; k < r->n_made; k++)
		if (r->made[k].n == n)
			return &r->made[k];
	return NULL;
}

static void drop_oldest(view_run *r)
{
	size_t oldest = 0;
	for (size_t k = 1; k < r->n_made; k++)
		if (r->made[k].used < r->made[oldest].used)
			oldest = k;
	r->made_bytes -= size_of(&r->made[oldest].frame);
	view_making_release(&r->made[oldest].frame);
	r->made[oldest] = r->made[--r->n_made];
}

static view_made *get_made(e3_view_store *v, view_run *r, uint32_t n, e3_err *err)
{
	view_made *at = find(r, n), fresh = {.n = n};
	if (at)
		return at;
	if (make(v, r, n, &fresh.frame, err)) {
		view_making_release(&fresh.frame);
		e3_fail_in(err, "frame %" PRIu32, n);
		return NULL;
	}
	pthread_mutex_lock(&v->lock);
	int64_t room = view_share(v, v->o.bytes + v->o.points * VIEW_POINT_BYTES) / 4, size = size_of(&fresh.frame);
	pthread_mutex_unlock(&v->lock);
	while (r->n_made && r->made_bytes + size > room)
		drop_oldest(r);
	if (r->n_made == r->room_made) {
		size_t more = r->room_made ? 2 * r->room_made : 64;
		if (e3_grow((void **)&r->made, more, sizeof *r->made, "frames of a recording", err)) {
			view_making_release(&fresh.frame);
			return NULL;
		}
		r->room_made = more;
	}
	r->made[r->n_made] = fresh;
	r->made_bytes += size;
	return &r->made[r->n_made++];
}

static int give(const view_made *m, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	size_t at;
	if (key->type == E3_VIEW_CHUNK)
		return view_chunk_record(&m->frame.chunk, key, out, err);
	const e3_buf *part = &m->frame.part[key->type - E3_VIEW_PICTURE];
	if (!part->len)
		return 0;
	if (e3_view_begin(out, key->type, key->run, m->n, &at, err) || e3_buf_add(out, part->data, part->len, err) ||
		e3_view_finish(out, at, err))
		return -1;
	return 1;
}

int view_made_get(e3_view_store *v, view_run *r, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	pthread_mutex_lock(&r->reading);
	view_made *m = get_made(v, r, (uint32_t)key->n, err);
	if (m)
		m->used = ++r->clock;
	int rc = m ? give(m, key, out, err) : -1;
	pthread_mutex_unlock(&r->reading);
	return rc;
}

int64_t view_made_points(e3_view_store *v, view_run *r, int64_t n)
{
	pthread_mutex_lock(&r->reading);
	const view_made *m = n >= 0 && n <= UINT32_MAX ? find(r, (uint32_t)n) : NULL;
	int64_t points = m ? m->frame.chunk.count : limit_of(v, r);
	pthread_mutex_unlock(&r->reading);
	return points;
}
