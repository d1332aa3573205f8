/* model: the frames that begin a stream together (doc/network.md 14.3). Owns what they need beside each other, and the
 * order: all through the ViT, together through the aggregator, the heads. */
#include "e3/mem.h"
#include "session.h"
#include <stdlib.h>
#include <string.h>

void e3_start_release(e3_session *s)
{
	if (!s->start.n)
		return;
	e3_arena_release(&s->start);
	s->start.dev = s->dev;
	for (int k = 1; k < s->together; k++) {
		e3_tokens *f = &s->frame[k];
		free(f->slot);
		*f = (e3_tokens){.result = f->result, .descriptor = f->descriptor};
	}
}

void e3_start_close(e3_session *s)
{
	for (int k = 0; s->frame && k < s->together; k++) {
		e3_session_close_result(s, &s->frame[k].result);
		free(s->frame[k].descriptor);
	}
	e3_arena_release(&s->start);
}

const float *e3_session_start_descriptor(const e3_session *s, int k) { return s->frame[k].descriptor; }

static int check(const e3_session *s, int n, e3_err *err)
{
	if (s->past->t || s->o.frozen || s->past != &s->pasts[s->main])
		return e3_fail(err, "starting: the stream has begun");
	if (n < 1 || n > s->together || (n > 1 && !s->start.n))
		return e3_fail(err, "starting: %d frames: expected 1 to %d", n, s->start.n ? s->together : 1);
	return 0;
}

/* Room for what the frames leave: results and descriptors stay until the session is closed. */
static int open_results(e3_session *s, int n, e3_err *err)
{
	size_t dim = (size_t)s->net->c.embed;
	for (int k = 0; k < n; k++) {
		e3_tokens *f = &s->frame[k];
		if (!f->result.w && e3_session_open_result(s, &f->result, s->o.outputs, err))
			return -1;
		if (s->descriptor && !f->descriptor && !(f->descriptor = e3_alloc(dim, sizeof(float), "descriptor", err)))
			return -1;
	}
	return 0;
}

/* Up to where it can be given up: until then the past has only got the frames' tokens. */
static int through(e3_session *s, const uint8_t *const *rgb, int n, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		if (e3_session_embed(s, rgb[k], err) || ops->finish(s->dev, err))
			return -1;
		e3_embed_describe(s);
		if (s->descriptor)
			memcpy(s->now.descriptor, s->descriptor, (size_t)s->net->c.embed * sizeof(float));
	}
	e3_session_turn_to(s, 0);
	if (e3_session_begin(s, "agg", err) || e3_aggregate_step(s, n, err) || ops->finish(s->dev, err))
		return -1;
	for (int k = 0; k < n; k++) {
		e3_session_turn_to(s, k);
		if (e3_session_dense(s, &s->frame[k].result, err) || ops->finish(s->dev, err))
			return -1;
	}
	e3_session_turn_to(s, 0);
	return 0;
}

/* The records of the frames, as if they had come one by one; a policy of whole frames gets to know them. */
static int see(e3_session *s, int n, e3_evict *evicts, e3_err *err)
{
	e3_evictor *e = &s->past->evictor;
	int rc = 0;
	for (int k = 0; !rc && k < n; k++) {
		e->slot = s->frame[k].slot;
		if (s->descriptor)
			memcpy(s->descriptor, s->frame[k].descriptor, (size_t)s->net->c.embed * sizeof(float));
		e->kept = k + 1, e->start = n;
		rc = e3_evictor_see(e, &s->plan, &s->past->cache, err) || s->dev->ops->finish(s->dev, err) ||
			e3_evictor_seen(e, &s->plan, &s->past->cache, k, &evicts[k], err);
	}
	e->slot = s->frame[0].slot;
	return rc ? -1 : 0;
}

static int finish_start(e3_session *s, int n, e3_evict *evicts, e3_err *err)
{
	const e3_dev_ops *ops = s->dev->ops;
	e3_session_count_tokens(s);
	if (s->o.outputs & E3_OUT_POSE && (e3_session_begin(s, "camera", err) || e3_camera_step(s, n, err)))
		return e3_fail_in(err, "camera head");
	if (ops->finish(s->dev, err) || e3_attn_collect(s, n, err) || see(s, n, evicts, err))
		return -1;
	for (int k = 0; s->o.outputs & E3_OUT_POSE && k < n; k++)
		if (e3_camera_pose(s, s->pose + k * E3_POSE, s->frame[k].result.pose, err))
			return e3_fail_in(err, "frame %d", k);
	return 0;
}

static int start(e3_session *s, const uint8_t *const *rgb, int n, e3_result *results, e3_evict *evicts, e3_err *err)
{
	if (check(s, n, err) || open_results(s, n, err))
		return -1;
	if (through(s, rgb, n, err)) {
		e3_session_turn_to(s, 0);
		for (int l = 0; l < s->past->cache.layers; l++)
			e3_cache_forget(&s->past->cache, l, 0);
		return e3_fail_in(err, "inferring: the first %d frames", n);
	}
	e3_halt *halt = s->dev->halt;
	bool armed = halt && halt->armed;
	if (halt)
		halt->armed = false;
	int rc = finish_start(s, n, evicts, err);
	if (halt)
		halt->armed = armed;
	s->broken = rc != 0;
	if (rc)
		return e3_fail_in(err, "inferring: the first %d frames", n);
	s->past->t = s->past->keys = s->past->start = n;
	s->picture = rgb[n - 1];
	s->work->owner[s->lane] = s;
	for (int k = 0; k < n; k++)
		results[k] = s->frame[k].result;
	return 0;
}

int e3_session_start(e3_session *s, const uint8_t *const *rgb, int n, e3_result *results, e3_evict *evicts, e3_err *err)
{
	e3_batch_lock(s->o.batch);
	e3_work_lane(s, s->home);
	s->work->owner[s->lane] = NULL;
	int rc = start(s, rgb, n, results, evicts, err);
	e3_batch_unlock(s->o.batch);
	return rc;
}
