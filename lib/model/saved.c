/* model: writing a session into a file, chunk by chunk (e3-cache(5)). Owns the layout of what follows the header.
 * Refuses sessions that have seen no frame, and those whose last one failed. */
#include "saved.h"
#include "e3/io.h"
#include "e3/num.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

uint32_t e3_picture_crc(const uint8_t *rgb, int w, int h)
{
	return (uint32_t)crc32_z(0, rgb, 3 * (size_t)w * (size_t)h);
}

/* The same stretch of every page that is in use: `each` bytes for a slot, `first` bytes into the page. */
static int stretch(const e3_kv *kv, size_t first, size_t each, e3_piece_fn *fn, void *ctx, e3_err *err)
{
	for (int p = 0; p * kv->page_keys < kv->n_keys; p++) {
		int left = kv->n_keys - p * kv->page_keys, n = left < kv->page_keys ? left : kv->page_keys;
		if (fn(ctx, &(e3_piece){kv->page[p] + first, each, p * kv->page_keys, n}, err))
			return -1;
	}
	return 0;
}

int e3_saved_pieces(const e3_kv *kv, e3_piece_fn *fn, void *ctx, e3_err *err)
{
	size_t keys = (size_t)kv->page_keys, scores = e3_kv_bytes(kv);
	/* How many frames saw a slot, then the sum of its scores. */
	if (kv->scored && (stretch(kv, scores + 12 * keys, 4, fn, ctx, err) || stretch(kv, scores, 8, fn, ctx, err)))
		return -1;
	for (int part = 0; part < E3_KV_PARTS; part++)
		for (size_t head = 0, row = e3_kv_row(kv, part); row && head < (size_t)kv->heads; head++)
			if (stretch(kv, e3_kv_at(kv, part) + head * keys * row, row, fn, ctx, err))
				return -1;
	return 0;
}

/* Slots that lie in the chunk, `each` bytes of every one, from byte `at` on. */
typedef struct slots {
	size_t at, each;
	int first, n;
} slots;

typedef struct writer {
	e3_dev *dev;
	e3_file file;
	uint8_t *chunk; /* alloc_host: E3_SAVED_CHUNK bytes; the device may still be copying into it */
	size_t used;
	uint32_t crc;       /* of everything so far */
	const uint32_t *id; /* of the layer's slots; NULL: none of them is free */
	slots *part;        /* what the chunk has of such a layer */
	size_t parts, cap;
} writer;

static int put(writer *w, const void *bytes, size_t n, e3_err *err)
{
	w->crc = (uint32_t)crc32_z(w->crc, bytes, n);
	return e3_file_write(&w->file, bytes, n, err);
}

/* A free slot may hold what was begun and taken back. It becomes zeros: the same run saves the same file. */
static void clear_free(const writer *w)
{
	for (size_t p = 0; p < w->parts; p++) {
		const slots *s = &w->part[p];
		for (int k = 0; k < s->n; k++)
			if (w->id[s->first + k] == E3_HOLE)
				memset(w->chunk + s->at + (size_t)k * s->each, 0, s->each);
	}
}

static int flush(writer *w, e3_err *err)
{
	if (!w->used)
		return 0;
	if (w->dev->ops->finish(w->dev, err))
		return -1;
	clear_free(w);
	if (put(w, w->chunk, w->used, err))
		return -1;
	w->used = w->parts = 0;
	return 0;
}

static int remember(writer *w, const slots *s, e3_err *err)
{
	if (!w->id)
		return 0;
	if (w->parts == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 256;
		if (e3_grow((void **)&w->part, cap, sizeof *w->part, "parts of a saved cache", err))
			return -1;
		w->cap = cap;
	}
	w->part[w->parts++] = *s;
	return 0;
}

/* A slot is in one chunk, whole. */
static int put_piece(void *ctx, const e3_piece *piece, e3_err *err)
{
	writer *w = ctx;
	for (int done = 0, n; done < piece->n; done += n) {
		int room = (int)((E3_SAVED_CHUNK - w->used) / piece->each);
		n = piece->n - done < room ? piece->n - done : room;
		if (!n) {
			if (flush(w, err))
				return -1;
			continue;
		}
		size_t bytes = (size_t)n * piece->each;
		e3_tensor from = {piece->at + (size_t)done * piece->each, E3_U8};
		if (remember(w, &(slots){w->used, piece->each, piece->first + done, n}, err) ||
			w->dev->ops->fetch(w->dev, w->chunk + w->used, from, bytes, err))
			return -1;
		w->used += bytes;
	}
	return 0;
}

/* Closes a section: the checksum of everything before it. */
static int put_sum(writer *w, e3_err *err)
{
	uint8_t sum[4];
	if (flush(w, err))
		return -1;
	e3_put_le32(sum, w->crc);
	return put(w, sum, sizeof sum, err);
}

static e3_past *past_of(e3_session *s, int which) { return &s->pasts[which ? 1 - s->main : s->main]; }

static void describe(e3_session *s, const e3_stream_position *position, e3_saved *x)
{
	const e3_config *c = &s->net->c;
	*x = (e3_saved){.fingerprint = s->net->fingerprint,
		.packed = s->net->packed,
		.o = s->o,
		.size = {s->h, s->w},
		.peak_tokens = s->peak_tokens,
		.layers = c->layers,
		.heads = c->heads,
		.head_dim = c->head_dim,
		.tokens_per_frame = s->plan.tokens_per_frame,
		.position = *position};
	e3_net_wide(s->net, x->wide);
	snprintf(x->model, sizeof x->model, "%s", c->name);
	snprintf(x->device, sizeof x->device, "%s", s->dev->ops->name(s->dev));
	const e3_evictor *e = &s->past->evictor;
	if (e->whole)
		x->banks = e->banks, x->bank_numbers = e->bank[0].dim;
	if (s->o.outputs & E3_OUT_POSE) {
		e3_kv kv = e3_camera_view(s, 0);
		x->camera_caches = s->camera.caches, x->camera_frames = s->camera.frames;
		x->camera_heads = kv.heads, x->camera_head_dim = kv.head_dim;
	}
	for (int k = 0; k <= (s->o.side > 0); k++) {
		const e3_past *p = past_of(s, k);
		x->past[k].t = p->t, x->past[k].keys = p->keys, x->past[k].start = p->start;
		x->past[k].camera_keys = e3_saved_camera_keys(x, p->keys);
		for (int l = 0; l < c->layers; l++)
			x->past[k].slots[l] = p->cache.layer[l].n, x->past[k].holes[l] = p->cache.layer[l].holes;
	}
}

static int put_head(writer *w, const e3_saved *x, e3_err *err)
{
	uint8_t prefix[E3_SAVED_PREFIX];
	uint32_t version;
	e3_buf json = {0};
	if (e3_saved_head_write(x, &json, &version, err))
		return -1;
	memcpy(prefix, E3_SAVED_MAGIC, 8);
	e3_put_le32(prefix + 8, version), e3_put_le32(prefix + 12, (uint32_t)json.len);
	int rc = put(w, prefix, sizeof prefix, err) || put(w, json.data, json.len, err) || put_sum(w, err);
	e3_buf_release(&json);
	return rc ? -1 : 0;
}

static int put_past(writer *w, e3_session *s, const e3_saved *x, const e3_saved_past *p, e3_err *err)
{
	for (int l = 0; l < x->layers; l++) {
		e3_kv kv = e3_cache_view(&s->past->cache, l);
		w->id = s->past->cache.layer[l].id;
		if (put(w, w->id, p->slots[l] * sizeof(uint32_t), err) || e3_saved_pieces(&kv, put_piece, w, err) ||
			put_sum(w, err))
			return -1;
	}
	w->id = NULL;
	for (int k = 0; k < x->banks; k++) {
		const e3_bank *b = &s->past->evictor.bank[k];
		if (put(w, b->vector, (size_t)b->n * (size_t)b->dim * sizeof *b->vector, err) || put_sum(w, err))
			return -1;
	}
	for (int k = 0; k < x->camera_caches; k++) {
		e3_kv kv = e3_camera_view(s, k);
		if (e3_saved_pieces(&kv, put_piece, w, err) || put_sum(w, err))
			return -1;
	}
	return 0;
}

struct e3_saved_out {
	writer *w; /* NULL: only counts */
	uint64_t n;
};

int e3_saved_put(e3_saved_out *to, const void *bytes, size_t n, e3_err *err)
{
	if (n > E3_SAVED_EXTRA_MOST - to->n)
		return e3_fail(err, "more than %" PRIu64 " bytes beside the session", E3_SAVED_EXTRA_MOST);
	to->n += n;
	return to->w && n ? put(to->w, bytes, n, err) : 0;
}

static int put_extra(writer *w, const e3_saved_extra *extra, uint64_t *n, e3_err *err)
{
	e3_saved_out out = {.w = w};
	if (extra && extra->write(extra->ctx, &out, err))
		return -1;
	if (w && out.n != *n)
		return e3_fail(err, "%" PRIu64 " bytes beside the session, then %" PRIu64, *n, out.n);
	*n = out.n;
	return w && out.n ? put_sum(w, err) : 0;
}

int e3_saved_extra_bytes(const e3_saved_extra *extra, uint64_t *n, e3_err *err)
{
	return put_extra(NULL, extra, n, err);
}

static int put_session(writer *w, e3_session *s, const e3_saved *x, e3_err *err)
{
	int rc = put_head(w, x, err);
	for (int k = 0; !rc && k < 2; k++) {
		s->past = past_of(s, k);
		rc = x->past[k].t ? put_past(w, s, x, &x->past[k], err) : 0;
	}
	s->past = past_of(s, 0);
	return rc;
}

int e3_session_save(e3_session *s, const e3_stream_position *position, const e3_saved_extra *extra, const char *path,
	e3_err *err)
{
	writer w = {.dev = s->dev};
	e3_saved x;
	if (!s->past->t)
		return e3_fail(err, "saving the cache: %s: it has seen no frame yet", path);
	if (s->broken)
		return e3_fail(err, "saving the cache: %s: frame %lld failed, and what is in the cache is not known", path,
			(long long)s->past->t);
	if (e3_ahead_drop(s, err))
		return e3_fail_in(err, "saving the cache: %s", path);
	describe(s, position, &x);
	if (put_extra(NULL, extra, &x.extra, err) ||
		s->dev->ops->alloc_host(s->dev, E3_SAVED_CHUNK, (void **)&w.chunk, err) || e3_file_renew(&w.file, path, err)) {
		s->dev->ops->free_host(s->dev, w.chunk);
		return e3_fail_in(err, "saving the cache");
	}
	int rc = put_session(&w, s, &x, err) || put_extra(&w, extra, &x.extra, err) || e3_file_commit_durable(&w.file, err)
		? -1
		: 0;
	if (rc)
		e3_file_discard(&w.file);
	s->dev->ops->free_host(s->dev, w.chunk);
	free(w.part);
	return rc ? e3_fail_in(err, "saving the cache") : 0;
}
