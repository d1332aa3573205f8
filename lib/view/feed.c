/* view: a stream becomes records: what each message adds to a run. A frame is complete with the record of its eviction,
 * which follows it; where there are none, at once. */
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/value.h"
#include "view/light.h"
#include "view/maps.h"
#include "view/run.h"
#include <stdlib.h>
#include <string.h>

enum { LEAST_POINTS = 256 };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

int view_begin_run(e3_view_store *v, view_run *r, const e3_msg *msg, e3_err *err)
{
	e3_head head = {0};
	if (e3_head_decode(msg, &head, err))
		return -1;
	if (!r->rows.f && view_rows_open(&r->rows, sizeof(view_row), err)) {
		e3_head_release(&head);
		return -1;
	}
	pthread_mutex_lock(&v->lock);
	e3_head_release(&r->head);
	r->head = head;
	if (!r->name && !(r->name = strdup(base_name(head.source))))
		r->name = NULL;
	r->headed = r->begun = true;
	view_change(v, true);
	pthread_mutex_unlock(&v->lock);
	if (!r->has_kept)
		r->has_kept = view_kept_init(&r->kept, &r->head);
	return 0;
}

/* --- a frame's parts --- */

static void intrinsics_of(const e3_pred *p, view_frame *to)
{
	bool usable = p->has_pose && e3_intrinsics_usable(p->pose);
	e3_intrinsics k = usable ? e3_intrinsics_decode(p->pose, p->w, p->h) : (e3_intrinsics){0};
	to->k[0] = k.fx / p->w, to->k[1] = k.fy / p->h;
	to->k[2] = usable ? k.cx / p->w : 0.5, to->k[3] = usable ? k.cy / p->h : 0.5;
}

void view_frame_of(const e3_pred *p, view_frame *to)
{
	static const double identity[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
	e3_pose pose;
	*to = (view_frame){.i = p->s.i,
		.pts = p->s.pts,
		.t_capture = p->s.t_capture,
		.w = p->w,
		.h = p->h,
		.ms = p->ms,
		.latency = p->latency,
		.segment = p->has_segment ? p->segment : 0};
	memcpy(to->matrix, identity, sizeof identity);
	if (p->has_pose && e3_pose_decode(p->pose, &pose, NULL) == 0) {
		e3_pose_to_world(&pose, to->matrix);
		to->flags |= VIEW_HAS_POSE;
	}
	intrinsics_of(p, to);
}

void view_making_release(view_making *m)
{
	for (int k = 0; k < VIEW_PARTS; k++)
		e3_buf_release(&m->part[k]);
	free(m->chunk.points);
	*m = (view_making){0};
}

static e3_buf *part_of(view_making *m, int type) { return &m->part[type - E3_VIEW_PICTURE]; }

int view_make_pred(const e3_pred *p, const view_makers *by, view_making *to, e3_err *err)
{
	const float *conf = p->depth_conf ? p->depth_conf : p->points_conf;
	if (view_picture(p->rgb, p->w, p->h, part_of(to, E3_VIEW_PICTURE), err))
		return -1;
	to->frame.flags |= VIEW_HAS_PICTURE;
	if (p->depth) {
		int rc = view_depth_map(p->depth, p->w, p->h, part_of(to, E3_VIEW_DEPTH), err);
		if (rc < 0)
			return -1;
		to->frame.flags |= rc ? VIEW_HAS_DEPTH : 0;
	}
	if (conf && view_confidence_map(conf, p->w, p->h, by->confidence, part_of(to, E3_VIEW_CONFIDENCE), err))
		return -1;
	if (!view_sample_can(p))
		return 0;
	view_sampling from = {.pred = p,
		.frame = &to->frame,
		.confidence = {by->confidence[0], by->confidence[1]},
		.spread = by->spread,
		.limit = by->limit,
		.n = by->n};
	if (view_sample(by->sampler, &from, by->merge, &to->chunk, err))
		return -1;
	to->frame.flags |= to->chunk.count ? VIEW_HAS_CHUNK : 0;
	return 0;
}

int view_make_frame(const e3_frame *f, view_making *to, e3_err *err)
{
	to->frame.flags |= VIEW_HAS_PICTURE;
	return view_picture(f->rgb, f->w, f->h, part_of(to, E3_VIEW_PICTURE), err);
}

/* --- a frame in the store --- */

static void note_time(view_run *r, double now)
{
	memmove(r->came, r->came + 1, (VIEW_RATE - 1) * sizeof *r->came);
	r->came[VIEW_RATE - 1] = now;
}

/* Under the lock. */
static int put_parts(e3_view_store *v, view_run *r, uint32_t n, e3_err *err)
{
	view_making *m = &r->making;
	bool any = m->chunk.count;
	for (int k = 0; k < VIEW_PARTS; k++)
		any = any || m->part[k].len;
	if (!any)
		return 0;
	view_item *to = view_shelf_add(&r->shelf, n, err);
	if (!to)
		return -1;
	for (int k = 0; k < VIEW_PARTS; k++)
		if (m->part[k].len)
			view_shelf_put(&r->shelf, to, E3_VIEW_PICTURE + k, &m->part[k]);
	if (m->chunk.count)
		view_shelf_chunk(&r->shelf, to, &m->chunk);
	view_shelf_thin(&r->shelf, view_share(v, v->o.bytes), view_share(v, v->o.points));
	return 0;
}

int view_commit(e3_view_store *v, view_run *r, e3_err *err)
{
	view_making *m = &r->making;
	if (!m->is)
		return 0;
	view_row row = {.kind = m->kind, .at = m->at, .len = m->len};
	uint32_t n = (uint32_t)r->frames;
	view_frame_record(&m->frame, r->number, n, row.record);
	int rc = r->frames >= UINT32_MAX ? e3_fail(err, "more frames than a view can number") : 0;
	if (!rc)
		rc = view_rows_add(&r->rows, &row, err);
	if (!rc) {
		pthread_mutex_lock(&v->lock);
		rc = put_parts(v, r, n, err);
		r->frames++;
		r->known_kept = r->frames;
		r->ms = m->frame.ms, r->latency = m->frame.latency;
		r->tokens = m->frame.flags & VIEW_HAS_KEPT ? m->frame.tokens : r->tokens;
		note_time(r, e3_now());
		view_change(v, false);
		pthread_mutex_unlock(&v->lock);
	}
	view_making_release(m);
	return rc;
}

static void know_confidence(e3_view_store *v, view_run *r, const e3_pred *p)
{
	if (r->confidence[1] > 0 || (!p->depth_conf && !p->points_conf))
		return;
	double range[2];
	view_confidence_range(p, range);
	pthread_mutex_lock(&v->lock);
	memcpy(r->confidence, range, sizeof range);
	view_change(v, true);
	pthread_mutex_unlock(&v->lock);
}

static void note_dropped(e3_view_store *v, view_run *r)
{
	pthread_mutex_lock(&v->lock);
	r->dropped++;
	pthread_mutex_unlock(&v->lock);
}

/* The record of eviction is waited for where there may be one. */
static int commit_if_alone(e3_view_store *v, view_run *r, e3_err *err)
{
	bool alone = !r->has_kept || (r->frames > 0 && !r->any_kept);
	return alone ? view_commit(v, r, err) : 0;
}

static int take_pred(e3_view_store *v, view_run *r, const e3_msg *msg, e3_err *err)
{
	static const double none[2] = {0, 1};
	e3_value rgb;
	if (view_commit(v, r, err))
		return -1;
	bool light = !e3_body_find(msg->bytes + 6, msg->len - 6, "rgb", &rgb, NULL);
	if (light ? view_light_decode(msg, &r->pred, err) : e3_pred_decode(msg, &r->pred, err))
		return -1;
	view_making *m = &r->making;
	view_frame_of(&r->pred, &m->frame);
	m->is = true, m->kind = E3_PRED;
	int rc = 0;
	if (light) {
		note_dropped(v, r);
	} else {
		know_confidence(v, r, &r->pred);
		int64_t limit = v->o.chunk >> r->shelf.level;
		view_makers by = {.sampler = &r->sampler,
			.merge = &r->merge,
			.spread = pow(2, 0.5 * r->shelf.level),
			.limit = limit > LEAST_POINTS ? limit : LEAST_POINTS,
			.n = (uint32_t)r->frames};
		memcpy(by.confidence, r->confidence[1] > 0 ? r->confidence : none, sizeof by.confidence);
		rc = view_make_pred(&r->pred, &by, m, err);
	}
	/* its record is kept in any case */
	e3_err later;
	return commit_if_alone(v, r, rc ? &later : err) || rc ? -1 : 0;
}

static int take_frame(e3_view_store *v, view_run *r, const e3_msg *msg, e3_err *err)
{
	e3_value rgb;
	if (r->head.model)
		return 0;
	bool light = !e3_body_find(msg->bytes + 6, msg->len - 6, "rgb", &rgb, NULL);
	e3_pred *p = &r->pred;
	if (light ? view_light_decode(msg, p, err) : e3_frame_decode(msg, &r->frame, err))
		return -1;
	if (!light) {
		e3_pred_release(p);
		p->s = r->frame.s, p->w = r->frame.w, p->h = r->frame.h;
	}
	view_making *m = &r->making;
	view_frame_of(p, &m->frame);
	m->is = true, m->kind = E3_FRAME;
	if (light)
		note_dropped(v, r);
	int rc = light ? 0 : view_make_frame(&r->frame, m, err);
	e3_err later;
	return view_commit(v, r, rc ? &later : err) || rc ? -1 : 0;
}

int view_take_evict(e3_view_store *v, view_run *r, const e3_evict *x, e3_err *err)
{
	view_making *m = &r->making;
	if (!r->has_kept || x->n_layers != r->kept.layers)
		return 0;
	int64_t tokens = 0;
	for (int l = 0; l < x->n_layers; l++)
		tokens += x->layer[l].k_after;
	bool waits = m->is && m->frame.i == x->i;
	uint32_t n = (uint32_t)(waits || !r->frames ? r->frames : r->frames - 1);
	r->any_kept = true;
	int rc = view_kept_add(&r->kept, x, n, part_of(m, E3_VIEW_KEPT), err);
	if (rc > 0 && waits)
		m->frame.flags |= VIEW_HAS_KEPT, m->frame.tokens = tokens;
	else
		e3_buf_release(part_of(m, E3_VIEW_KEPT));
	e3_err later;
	return (rc && waits && view_commit(v, r, rc < 0 ? &later : err)) || rc < 0 ? -1 : 0;
}

/* Corrections that others replaced are forgotten once they are most of the list: what counts is numbered anew. */
static int shorten(view_corrections *c, e3_err *err)
{
	enum { FEW = 1024 };
	if (c->n < FEW || c->n < 4 * c->now.n)
		return 0;
	c->base += (int64_t)c->n;
	if (c->now.n > c->room && e3_grow((void **)&c->log, c->room = c->now.n, sizeof *c->log, "corrections", err))
		return -1;
	memcpy(c->log, c->now.at, c->now.n * sizeof *c->log);
	c->n = c->now.n;
	return 0;
}

int view_take_correct(e3_view_store *v, view_run *r, const e3_correct *x, e3_err *err)
{
	view_corrections *c = &r->corrections;
	view_merge_forget(&r->merge);
	pthread_mutex_lock(&v->lock);
	int rc = e3_corrections_add(&c->now, x, err);
	if (!rc && c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		rc = e3_grow((void **)&c->log, room, sizeof *c->log, "corrections", err);
		c->room = rc ? c->room : room;
	}
	if (!rc) {
		c->log[c->n] = (e3_correction){.from = x->from, .to = x->to};
		memcpy(c->log[c->n++].sim, x->sim, sizeof x->sim);
		rc = shorten(c, err);
		view_change(v, false);
	}
	pthread_mutex_unlock(&v->lock);
	return rc;
}

static int take_any(e3_view_store *v, view_run *r, const e3_msg *msg, e3_err *err)
{
	e3_correct correct;
	switch (msg->kind) {
	case E3_FRAME:
		return take_frame(v, r, msg, err);
	case E3_PRED:
		return take_pred(v, r, msg, err);
	case E3_EVICT:
		return e3_evict_decode(msg, &r->evict, err) ? -1 : view_take_evict(v, r, &r->evict, err);
	case E3_CORRECT:
		return e3_correct_decode(msg, &correct, err) ? -1 : view_take_correct(v, r, &correct, err);
	case E3_END:
	case E3_ABORT:
		return view_commit(v, r, err);
	default:
		return 0;
	}
}

int e3_view_feed(e3_view_store *v, int run, const e3_msg *msg, e3_err *err)
{
	view_run *r = &v->run[run];
	if (msg->kind == E3_HEAD) {
		if (!r->fed && view_merge_open(&r->merge, v->o.points, err))
			return -1;
		r->fed = true;
		return view_begin_run(v, r, msg, err);
	}
	if (!r->headed)
		return e3_fail(err, "viewing: a message before the head of its stream");
	return take_any(v, r, msg, err) ? e3_fail_in(err, "viewing: %s", e3_kind_name(msg->kind)) : 0;
}
