/* view: the store: runs, and their records by number. Owns what runs own, behind one lock; encodes outside of it. */
#include "e3/json.h"
#include "e3/num.h"
#include "e3/version.h"
#include "view/made.h"
#include "view/run.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const e3_view_options defaults = {.points = 10000000, .bytes = 256 << 20, .chunk = 20000};

int64_t view_share(const e3_view_store *v, int64_t limit) { return v->run[1].begun ? limit / 2 : limit; }

void view_change(e3_view_store *v, bool hello)
{
	v->changes++;
	v->hello_changes += hello;
	pthread_cond_broadcast(&v->changed);
}

static void make_epoch(char to[17])
{
	uint8_t b[8];
	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) { /* differs at least from that of the server before */
		uint64_t t = (uint64_t)(e3_now_utc() * 1e6) ^ (uint64_t)getpid() << 48;
		memcpy(b, &t, sizeof b);
	}
	for (int k = 0; k < 8; k++)
		snprintf(to + 2 * k, 3, "%02x", b[k]);
}

e3_view_store *e3_view_open(const e3_view_options *o, e3_err *err)
{
	e3_view_store *v = e3_alloc(1, sizeof *v, "the view", err);
	if (!v)
		return NULL;
	v->o = (e3_view_options){.points = o && o->points ? o->points : defaults.points,
		.bytes = o && o->bytes ? o->bytes : defaults.bytes,
		.chunk = o && o->chunk ? o->chunk : defaults.chunk};
	make_epoch(v->epoch);
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	for (int k = 0; k < E3_VIEW_RUNS; k++) {
		view_run *r = &v->run[k];
		r->number = k, r->fd = -1, r->tokens = -1, r->kept.i = r->kept.full = -1;
		pthread_mutex_init(&r->reading, NULL);
	}
	return v;
}

static void run_release(view_run *r)
{
	atomic_store(&r->quit, true);
	e3_thread_join(&r->thread);
	if (r->fd >= 0)
		close(r->fd);
	e3_head_release(&r->head), e3_pred_release(&r->pred), e3_frame_release(&r->frame), e3_evict_release(&r->evict);
	view_making_release(&r->making);
	view_sampler_release(&r->sampler);
	view_merge_close(&r->merge);
	view_kept_release(&r->kept);
	e3_buf_release(&r->small);
	view_rows_close(&r->rows);
	view_shelf_release(&r->shelf);
	e3_corrections_release(&r->corrections.now);
	free(r->corrections.log), free(r->name);
	view_made_release(r);
	pthread_mutex_destroy(&r->reading);
}

void e3_view_close(e3_view_store *v)
{
	if (!v)
		return;
	for (int k = 0; k < E3_VIEW_RUNS; k++)
		run_release(&v->run[k]);
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

void e3_view_ended(e3_view_store *v, int run, const char *failed)
{
	view_run *r = &v->run[run];
	e3_err err;
	if (view_commit(v, r, &err) && !failed)
		failed = err.text;
	pthread_mutex_lock(&v->lock);
	r->state = failed ? E3_VIEW_FAILED : E3_VIEW_ENDED;
	snprintf(r->reason, sizeof r->reason, "%s", failed ? failed : "");
	view_change(v, true);
	pthread_mutex_unlock(&v->lock);
}

/* --- counts --- */

static int64_t locked(e3_view_store *v, const int64_t *what)
{
	pthread_mutex_lock(&v->lock);
	int64_t x = *what;
	pthread_mutex_unlock(&v->lock);
	return x;
}

int e3_view_runs(e3_view_store *v)
{
	pthread_mutex_lock(&v->lock);
	int n = v->run[1].begun ? 2 : v->run[0].begun;
	pthread_mutex_unlock(&v->lock);
	return n;
}

int64_t e3_view_frames(e3_view_store *v, int run) { return locked(v, &v->run[run].frames); }

int64_t e3_view_kept(e3_view_store *v, int run) { return locked(v, &v->run[run].known_kept); }

int64_t e3_view_corrections(e3_view_store *v, int run)
{
	pthread_mutex_lock(&v->lock);
	int64_t n = v->run[run].corrections.base + (int64_t)v->run[run].corrections.n;
	pthread_mutex_unlock(&v->lock);
	return n;
}

uint64_t e3_view_changes(e3_view_store *v) { return (uint64_t)locked(v, (const int64_t *)&v->changes); }

uint64_t e3_view_hello_changes(e3_view_store *v) { return (uint64_t)locked(v, (const int64_t *)&v->hello_changes); }

static double rate(const view_run *r)
{
	int n = r->frames < VIEW_RATE ? (int)r->frames : VIEW_RATE;
	double span = n > 1 ? r->came[VIEW_RATE - 1] - r->came[VIEW_RATE - n] : 0;
	return span > 0 ? (n - 1) / span : 0;
}

void e3_view_facts_of(e3_view_store *v, int run, e3_view_facts *out)
{
	const view_run *r = &v->run[run];
	pthread_mutex_lock(&v->lock);
	*out = (e3_view_facts){.state = r->state,
		.frames = r->frames,
		.dropped = r->dropped,
		.fps = rate(r),
		.ms = r->ms,
		.latency = r->latency,
		.cache = r->tokens >= 0 && r->head.kv_token_bytes > 0 ? r->tokens * r->head.kv_token_bytes : -1,
		.budget = r->head.model && r->head.budget >= 0 && r->head.kv_token_bytes > 0
			? r->head.budget * r->head.kv_token_bytes
			: -1,
		.points = r->shelf.points,
		.bytes = r->shelf.bytes};
	memcpy(out->reason, r->reason, sizeof out->reason);
	pthread_mutex_unlock(&v->lock);
}

/* --- records --- */

static void add_run(e3_json *j, const view_run *r)
{
	const e3_head *h = &r->head;
	e3_json_object(j, NULL);
	e3_json_text(j, "name", r->name);
	e3_json_text(j, "source", h->source);
	e3_json_text(j, "model", h->model);
	e3_json_text(j, "policy", h->policy);
	if (h->model && h->budget >= 0 && h->kv_token_bytes > 0)
		e3_json_int(j, "budget_bytes", h->budget * h->kv_token_bytes);
	else
		e3_json_null(j, "budget_bytes");
	e3_json_text(j, "device", h->device);
	e3_json_int(j, "layers", h->layers);
	e3_json_int(j, "tokens_per_frame", h->tokens_per_frame);
	e3_json_int(j, "special", h->tokens_per_frame ? h->tokens_per_frame - h->patch_grid[0] * h->patch_grid[1] : 0);
	e3_json_ints(j, "patch_grid", h->patch_grid, 2);
	e3_json_int(j, "kv_token_bytes", h->kv_token_bytes);
	e3_json_real(j, "fps", h->fps, 9);
	if (h->frames >= 0)
		e3_json_int(j, "frames", h->frames);
	else
		e3_json_null(j, "frames");
	if (r->confidence[1] > 0)
		e3_json_reals(j, "confidence", r->confidence, 2, 9);
	else
		e3_json_null(j, "confidence");
	e3_json_end(j);
}

/* live: something may still come. */
static int add_hello(e3_view_store *v, e3_buf *out, e3_err *err)
{
	e3_json j = {.to = out, .err = err};
	bool live = v->run[0].fd < 0 && v->run[0].state == E3_VIEW_LIVE;
	e3_json_object(&j, NULL);
	e3_json_int(&j, "protocol", 1);
	e3_json_text(&j, "version", E3_VERSION);
	e3_json_text(&j, "epoch", v->epoch);
	e3_json_bool(&j, "live", live);
	e3_json_array(&j, "runs");
	for (int k = 0; k < E3_VIEW_RUNS && v->run[k].begun; k++)
		add_run(&j, &v->run[k]);
	e3_json_end(&j);
	e3_json_int(&j, "points", v->o.points);
	e3_json_end(&j);
	return j.rc;
}

int e3_view_hello(e3_view_store *v, e3_buf *out, e3_err *err)
{
	size_t at;
	if (e3_view_begin(out, E3_VIEW_HELLO, 0, 0, &at, err))
		return -1;
	pthread_mutex_lock(&v->lock);
	int rc = add_hello(v, out, err);
	pthread_mutex_unlock(&v->lock);
	return rc ? -1 : e3_view_finish(out, at, err);
}

static int get_frame(const view_run *r, int64_t n, e3_buf *out, e3_err *err)
{
	view_row row;
	if (view_rows_get(&r->rows, n, &row, err) || e3_buf_add(out, row.record, sizeof row.record, err))
		return -1;
	return 1;
}

static int add_part(const e3_view_key *key, uint32_t n, const void *body, size_t len, e3_buf *out, e3_err *err)
{
	size_t at;
	if (e3_view_begin(out, key->type, key->run, n, &at, err) || e3_buf_add(out, body, len, err) ||
		e3_view_finish(out, at, err))
		return -1;
	return 1;
}

static int get_correct(const view_run *r, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	const view_corrections *c = &r->corrections;
	if (key->n < c->base || key->n >= c->base + (int64_t)c->n)
		return 0;
	return view_correct_record(&c->log[key->n - c->base], key->run, (uint32_t)key->n, out, err) ? -1 : 1;
}

/* What a full record says with the changes since, as far as they are there. */
static int get_whole(const view_run *r, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	const int part = E3_VIEW_KEPT - E3_VIEW_PICTURE;
	const view_item *x = view_shelf_whole(&r->shelf, (uint32_t)key->n);
	if (!x)
		return 0;
	const view_item *end = r->shelf.item + r->shelf.n;
	e3_buf whole = {0};
	uint32_t n = x->n;
	int rc = e3_buf_add(&whole, x->part[part], x->len[part], err);
	for (x++; !rc && x < end && x->n <= (uint64_t)key->n && x->n == n + 1 && x->part[part]; x++, n++)
		rc = view_kept_apply(&whole, x->part[part], x->len[part], err);
	rc = rc ? -1 : add_part(key, n, whole.data, whole.len, out, err);
	e3_buf_release(&whole);
	return rc;
}

/* Of what is in memory. */
static int get_held(const view_run *r, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	if (key->type == E3_VIEW_CORRECT)
		return get_correct(r, key, out, err);
	if (key->type == E3_VIEW_KEPT && key->count)
		return get_whole(r, key, out, err);
	const view_item *x = view_shelf_find(&r->shelf, (uint32_t)key->n);
	if (!x)
		return 0;
	if (key->type == E3_VIEW_CHUNK)
		return view_chunk_record(&x->chunk, key, out, err);
	int part = key->type - E3_VIEW_PICTURE;
	return x->part[part] ? add_part(key, x->n, x->part[part], x->len[part], out, err) : 0;
}

int e3_view_get(e3_view_store *v, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	view_run *r = &v->run[key->run];
	bool numbered = key->type >= E3_VIEW_FRAME && key->type <= E3_VIEW_CHUNK && key->type != E3_VIEW_CORRECT;
	if (key->n < 0 || (numbered && key->n >= e3_view_frames(v, key->run)))
		return 0;
	if (key->type == E3_VIEW_FRAME)
		return get_frame(r, key->n, out, err);
	if (!numbered && key->type != E3_VIEW_CORRECT)
		return 0;
	if (r->fd >= 0 && key->type != E3_VIEW_KEPT && key->type != E3_VIEW_CORRECT)
		return view_made_get(v, r, key, out, err);
	pthread_mutex_lock(&v->lock);
	int rc = get_held(r, key, out, err);
	pthread_mutex_unlock(&v->lock);
	return rc;
}

int64_t e3_view_points(e3_view_store *v, int run, int64_t n)
{
	view_run *r = &v->run[run];
	if (r->fd >= 0)
		return view_made_points(v, r, n);
	pthread_mutex_lock(&v->lock);
	const view_item *x = n >= 0 && n <= UINT32_MAX ? view_shelf_find(&r->shelf, (uint32_t)n) : NULL;
	int64_t count = x ? x->chunk.count : 0;
	pthread_mutex_unlock(&v->lock);
	return count;
}
