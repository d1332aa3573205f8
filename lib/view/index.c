/* view: a recording is gone through from message to message: a row for each frame, what its cache held, corrections.
 * Reads envelopes and small fields; of pictures and arrays nothing but those of the first frame. Refuses what is no
 * stream, and ends with a reason where one is damaged. */
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/value.h"
#include "view/light.h"
#include "view/run.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENVELOPE = 6, HEAD_MOST = 64 << 10, EVICT_MOST = 64 << 20 };

typedef struct walk {
	e3_view_store *v;
	view_run *r;
	view_bytes bytes;
	uint64_t at;    /* of the next message */
	int64_t newest; /* index of the last frame; -1 */
	int64_t messages;
	bool over; /* end or abort came */
	e3_buf whole;
} walk;

/* The envelope at w->at: 1; 0 at the end of the file; -1. */
static int next_envelope(walk *w, int *kind, uint64_t *len, e3_err *err)
{
	if (w->at == w->bytes.size)
		return 0;
	const uint8_t *p = view_bytes_at(&w->bytes, w->at, ENVELOPE);
	if (!p)
		return e3_fail(err, "truncated: message %" PRId64 " lacks its first bytes", w->messages + 1);
	if (p[0] != 0xc9 && !w->messages)
		return e3_fail(err, "not an e3 stream");
	if (p[0] != 0xc9 || !e3_kind_name(p[5]))
		return e3_fail(err, "damaged: no message begins at byte %" PRIu64, w->at);
	*kind = p[5], *len = ENVELOPE + (uint64_t)e3_be32(p + 1);
	if (*len > w->bytes.size - w->at)
		return e3_fail(err, "truncated: message %" PRId64 " (%s) is cut", w->messages + 1, e3_kind_name(*kind));
	return 1;
}

/* All bytes of a message that is not large. */
static int read_whole(walk *w, int kind, uint64_t len, e3_msg *msg, e3_err *err)
{
	w->whole.len = 0;
	if (len > EVICT_MOST + ENVELOPE)
		return e3_fail(err, "%" PRIu64 " bytes: expected at most 64 MiB", len);
	for (uint64_t at = w->at, end = w->at + len; at < end;) {
		size_t n = end - at < VIEW_WINDOW ? (size_t)(end - at) : VIEW_WINDOW;
		const uint8_t *p = view_bytes_at(&w->bytes, at, n);
		if (!p)
			return e3_fail_sys(err, "cannot be read");
		if (e3_buf_add(&w->whole, p, n, err))
			return -1;
		at += n;
	}
	*msg = (e3_msg){.kind = kind, .bytes = (uint8_t *)w->whole.data, .len = w->whole.len};
	return e3_body_check(msg->bytes + ENVELOPE, msg->len - ENVELOPE, err);
}

/* --- frames --- */

static unsigned flags_of(const e3_pred *p, unsigned arrays)
{
	bool k = p->has_pose && e3_intrinsics_usable(p->pose);
	return (arrays & VIEW_ARRAY_RGB ? VIEW_HAS_PICTURE : 0) | (arrays & VIEW_ARRAY_DEPTH ? VIEW_HAS_DEPTH : 0) |
		((arrays & VIEW_ARRAY_DEPTH && k) || arrays & VIEW_ARRAY_POINTS ? VIEW_HAS_CHUNK : 0);
}

/* Of a run the confidences of the first frame say where they lie. */
static int know_confidence(walk *w, uint64_t len, e3_err *err)
{
	view_run *r = w->r;
	uint8_t *bytes = e3_alloc(len, 1, "a message", err);
	size_t done = 0;
	double range[2];
	if (!bytes)
		return -1;
	while (done < len) {
		ssize_t n = pread(r->fd, bytes + done, len - done, (off_t)(w->at + done));
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	e3_msg msg = {.kind = E3_PRED, .bytes = bytes, .len = len};
	int rc = done < len ? e3_fail(err, "cannot be read")
						: e3_body_check(bytes + ENVELOPE, len - ENVELOPE, err) || e3_pred_decode(&msg, &r->pred, err);
	if (!rc) {
		view_confidence_range(&r->pred, range);
		pthread_mutex_lock(&w->v->lock);
		memcpy(r->confidence, range, sizeof range);
		view_change(w->v, true);
		pthread_mutex_unlock(&w->v->lock);
	}
	free(bytes);
	return rc ? -1 : 0;
}

static int take_frame(walk *w, int kind, uint64_t len, e3_err *err)
{
	view_run *r = w->r;
	view_making *m = &r->making;
	unsigned arrays;
	if (kind == E3_FRAME && r->head.model)
		return 0;
	if (view_commit(w->v, r, err) || view_light(&w->bytes, w->at, len, &r->small, &arrays, err))
		return -1;
	bool first = r->frames == 0 && kind == E3_PRED;
	if (first && arrays & (VIEW_ARRAY_DEPTH_CONF | VIEW_ARRAY_POINTS_CONF) && know_confidence(w, len, err))
		return -1;
	e3_msg msg = {.kind = kind, .bytes = (uint8_t *)r->small.data, .len = r->small.len};
	if (view_light_decode(&msg, &r->pred, err))
		return -1;
	if (r->pred.s.i <= w->newest)
		return e3_fail(err, "i: is %" PRId64 ", after %" PRId64, r->pred.s.i, w->newest);
	w->newest = r->pred.s.i;
	view_frame_of(&r->pred, &m->frame);
	m->frame.flags |= flags_of(&r->pred, arrays);
	m->is = true, m->kind = (uint32_t)kind, m->at = w->at, m->len = len;
	return 0;
}

/* --- messages --- */

static int take_end(walk *w, const e3_msg *msg, e3_err *err)
{
	e3_end end;
	e3_abort abort = {0};
	w->over = true;
	if (msg->kind == E3_ABORT) {
		if (e3_abort_decode(msg, &abort, err) == 0)
			e3_fail(err, "%s: %s", abort.tool, abort.text);
		e3_abort_release(&abort);
		return -1;
	}
	if (e3_end_decode(msg, &end, err))
		return -1;
	pthread_mutex_lock(&w->v->lock);
	snprintf(w->r->reason, sizeof w->r->reason, "%s", end.cut);
	pthread_mutex_unlock(&w->v->lock);
	return 0;
}

static int take_small(walk *w, const e3_msg *msg, e3_err *err)
{
	view_run *r = w->r;
	e3_correct correct;
	switch (msg->kind) {
	case E3_EVICT:
		return e3_evict_decode(msg, &r->evict, err) ? -1 : view_take_evict(w->v, r, &r->evict, err);
	case E3_CORRECT:
		return e3_correct_decode(msg, &correct, err) ? -1 : view_take_correct(w->v, r, &correct, err);
	default:
		return take_end(w, msg, err);
	}
}

static int take(walk *w, int kind, uint64_t len, e3_err *err)
{
	e3_msg msg;
	switch (kind) {
	case E3_FRAME:
	case E3_PRED:
		return take_frame(w, kind, len, err);
	case E3_EVICT:
		if (!w->r->has_kept)
			return 0;
		/* fallthrough */
	case E3_CORRECT:
	case E3_END:
	case E3_ABORT:
		return read_whole(w, kind, len, &msg, err) || take_small(w, &msg, err) ? -1 : 0;
	case E3_HEAD:
		return e3_fail(err, "a second head");
	default:
		return 0;
	}
}

static int go_through(walk *w, e3_err *err)
{
	int kind, rc = 1;
	uint64_t len;
	while (!w->over && !atomic_load(&w->r->quit) && (rc = next_envelope(w, &kind, &len, err)) > 0) {
		if (take(w, kind, len, err))
			return w->over ? -1 : e3_fail_in(err, "message %" PRId64 " (%s)", w->messages + 1, e3_kind_name(kind));
		w->at += len, w->messages++;
	}
	if (rc == 0)
		return e3_fail(err, "truncated: the stream stops after message %" PRId64 ", before its end", w->messages);
	return rc < 0 ? -1 : 0;
}

static void *run(void *arg)
{
	walk *w = arg;
	view_run *r = w->r;
	e3_err err, later;
	int rc = go_through(w, &err);
	rc = view_commit(w->v, r, rc ? &later : &err) || rc ? -1 : 0;
	pthread_mutex_lock(&w->v->lock);
	if (rc) {
		r->state = E3_VIEW_FAILED;
		e3_fail_in(&err, "reading: %s", r->name);
		snprintf(r->reason, sizeof r->reason, "%s", err.text);
	}
	r->indexed = true;
	view_change(w->v, true);
	pthread_mutex_unlock(&w->v->lock);
	e3_buf_release(&w->whole);
	free(w);
	return NULL;
}

static int open_file(view_run *r, const char *path, uint64_t *size, e3_err *err)
{
	struct stat st;
	r->fd = e3_open_input(path);
	if (r->fd < 0 || fstat(r->fd, &st))
		return e3_fail_sys(err, "opening: %s", path);
	if (!S_ISREG(st.st_mode))
		return e3_fail(err, "opening: %s: is not a regular file: a recording is read where a page looks", path);
	const char *slash = strrchr(path, '/');
	r->name = strdup(slash ? slash + 1 : path);
	*size = (uint64_t)st.st_size;
	return r->name ? 0 : e3_fail(err, "opening: %s: out of memory", path);
}

static int begin(walk *w, e3_err *err)
{
	int kind;
	uint64_t len;
	e3_msg msg;
	int rc = next_envelope(w, &kind, &len, err);
	if (rc == 0)
		return e3_fail(err, "empty: expected an e3 stream");
	if (rc < 0)
		return -1;
	if (kind == E3_ABORT)
		return read_whole(w, kind, len, &msg, err) ? -1 : take_end(w, &msg, err);
	if (kind != E3_HEAD || len > HEAD_MOST + ENVELOPE)
		return e3_fail(err, "its first message is not a head");
	if (read_whole(w, kind, len, &msg, err) || view_begin_run(w->v, w->r, &msg, err))
		return -1;
	w->at += len, w->messages++;
	return 0;
}

int e3_view_recording(e3_view_store *v, int number, const char *path, e3_err *err)
{
	view_run *r = &v->run[number];
	walk *w = e3_alloc(1, sizeof *w, "a recording", err);
	if (!w)
		return -1;
	w->v = v, w->r = r, w->newest = -1;
	r->state = E3_VIEW_RECORDING;
	if (open_file(r, path, &w->bytes.size, err)) {
		free(w);
		return -1;
	}
	w->bytes.fd = r->fd;
	if (begin(w, err) || e3_thread_start(&r->thread, run, w, err)) {
		e3_fail_in(err, "reading: %s", path);
		e3_buf_release(&w->whole);
		free(w);
		return -1;
	}
	return 0;
}

int e3_view_indexed(e3_view_store *v, int number, int (*stop)(void))
{
	view_run *r = &v->run[number];
	pthread_mutex_lock(&v->lock);
	while (!r->indexed && !(stop && stop())) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000, until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&v->changed, &v->lock, &until);
	}
	bool done = r->indexed;
	pthread_mutex_unlock(&v->lock);
	return done ? 0 : 1;
}
