/* model: reading a session from a file, chunk by chunk (e3-cache(5)). Owns the file while it is read; refuses damage,
 * other versions, other networks, another type of keys and values. The caller gets a session only when the whole file
 * has been read and checked. */
#include "saved.h"
#include "e3/io.h"
#include "e3/num.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "memory is written to the file as it is");

struct e3_saved_file {
	FILE *f;
	char *path; /* for messages */
	uint64_t size;
	uint32_t crc; /* of everything read so far */
	e3_saved head;
	uint64_t left; /* of the caller's own bytes */
	/* While a session is read: */
	e3_dev *dev;
	uint8_t *chunk; /* alloc_host: E3_SAVED_CHUNK bytes, or as many as there are in all */
	uint64_t plain; /* so many bytes of pieces stay as they are; what follows is f16 and becomes f32 */
};

static int get(e3_saved_file *file, void *to, size_t n, e3_err *err)
{
	errno = 0;
	if (n && fread(to, 1, n, file->f) != n)
		return ferror(file->f) ? e3_fail_sys(err, "failed") : e3_fail(err, "truncated");
	file->crc = (uint32_t)crc32_z(file->crc, to, n);
	return 0;
}

static int get_sum(e3_saved_file *file, e3_err *err)
{
	uint8_t sum[4];
	uint32_t want = file->crc;
	if (get(file, sum, sizeof sum, err))
		return -1;
	if (e3_le32(sum) != want)
		return e3_fail(err, "damaged: the checksum is %08" PRIx32 ", that of the bytes before it is %08" PRIx32,
			e3_le32(sum), want);
	return 0;
}

static int get_head(e3_saved_file *file, e3_err *err)
{
	uint8_t prefix[E3_SAVED_PREFIX];
	if (get(file, prefix, sizeof prefix, err))
		return -1;
	if (memcmp(prefix, E3_SAVED_MAGIC, 8) != 0)
		return e3_fail(err, "is not a cache that e3-infer saved");
	uint32_t version = e3_le32(prefix + 8), n = e3_le32(prefix + 12);
	if (version < 1 || version > E3_SAVED_VERSION)
		return e3_fail(err, "version %" PRIu32 "; this program reads versions 1 to %d", version, E3_SAVED_VERSION);
	if (n > E3_SAVED_HEAD_MOST || n + (uint64_t)E3_SAVED_PREFIX + 4 > file->size)
		return e3_fail(err, "damaged: a header of %" PRIu32 " bytes in a file of %" PRIu64, n, file->size);
	char *json = e3_alloc(n, 1, "header", err);
	int rc = !json || get(file, json, n, err) || get_sum(file, err) || e3_saved_head_read(json, n, &file->head, err)
		? -1
		: 0;
	free(json);
	if (rc)
		return -1;
	uint64_t want = E3_SAVED_PREFIX + n + 4 + e3_saved_body(&file->head);
	if (file->size != want)
		return e3_fail(err, "%s: %" PRIu64 " bytes, expected %" PRIu64, file->size < want ? "truncated" : "too long",
			file->size, want);
	return 0;
}

static e3_saved_file *start(FILE *f, uint64_t size, const char *path, e3_err *err)
{
	e3_saved_file *file = e3_alloc(1, sizeof *file, "saved cache", err);
	if (!file || !f || !(file->path = strdup(path))) {
		if (file)
			e3_fail_sys(err, "opening the saved cache: %s", path);
		if (f)
			fclose(f);
		free(file);
		return NULL;
	}
	file->f = f, file->size = size;
	if (get_head(file, err)) {
		e3_fail_in(err, "reading the saved cache: %s", path);
		e3_saved_close(file);
		return NULL;
	}
	return file;
}

e3_saved_file *e3_saved_open(const char *path, e3_err *err)
{
	struct stat st;
	e3_file_sweep(path); /* of a run that was killed while it saved */
	FILE *f = fopen(path, "re");
	if (f && (fstat(fileno(f), &st) || !S_ISREG(st.st_mode))) {
		fclose(f);
		e3_fail(err, "opening the saved cache: %s: not a regular file", path);
		return NULL;
	}
	return start(f, f ? (uint64_t)st.st_size : 0, path, err);
}

e3_saved_file *e3_saved_memory(const void *bytes, size_t n, e3_err *err)
{
	return start(fmemopen((void *)(uintptr_t)bytes, n, "r"), n, "memory", err);
}

void e3_saved_close(e3_saved_file *file)
{
	if (!file)
		return;
	fclose(file->f);
	free(file->path);
	free(file);
}

const e3_saved *e3_saved_head(const e3_saved_file *file) { return &file->head; }

int64_t e3_saved_seen(const e3_saved *x) { return x->position.earlier + x->past[0].t; }

/* Keys and values of a GPU in 16 bits, for a device that has f32. */
static bool widens(const e3_infer_options *saved, const e3_infer_options *here)
{
	return !saved->pack && saved->cached == E3_F16 && !here->pack && here->cached == E3_F32;
}

static bool is_kept_alike(const e3_infer_options *saved, const e3_infer_options *here)
{
	return widens(saved, here) || !strcmp(e3_infer_kept_as(saved), e3_infer_kept_as(here));
}

int e3_saved_fits(const e3_saved_file *file, const e3_net *net, const e3_dev *dev, e3_err *err)
{
	const e3_saved *x = &file->head;
	const e3_config *c = &net->c;
	if (x->fingerprint != net->fingerprint)
		return e3_fail(err,
			"opening the saved cache: %s: belongs to the network %s (%016" PRIx64 "), this is %s (%016" PRIx64 ")",
			file->path, x->model[0] ? x->model : "unnamed", x->fingerprint, c->name[0] ? c->name : "unnamed",
			net->fingerprint);
	e3_infer_options here = x->o;
	e3_infer_use_device(&here, dev);
	if (!is_kept_alike(&x->o, &here))
		return e3_fail(err,
			"opening the saved cache: %s: has keys and values in %s, saved on %s; this run has them in %s (see 'device', 'precision')",
			file->path, e3_infer_kept_as(&x->o), x->device, e3_infer_kept_as(&here));
	if (x->packed != net->packed)
		return e3_fail(err,
			"opening the saved cache: %s: was saved with matrices in %s, this run has them in %s (see 'precision')",
			file->path, e3_packing_type(x->packed), e3_packing_type(net->packed));
	if (x->layers != c->layers || x->heads != c->heads || x->head_dim != c->head_dim)
		return e3_fail(err,
			"opening the saved cache: %s: has %d layers of %d heads of %d values, the network %d of %d of %d",
			file->path, x->layers, x->heads, x->head_dim, c->layers, c->heads, c->head_dim);
	return 0;
}

/* n bytes of f32 from half as many in the file, which are read into the end of the chunk. */
static int get_wider(e3_saved_file *file, size_t n, e3_err *err)
{
	const uint8_t *from = file->chunk + n / 2;
	if (get(file, file->chunk + n / 2, n / 2, err))
		return -1;
	for (size_t k = 0; k < n / 4; k++) {
		uint16_t half;
		memcpy(&half, from + 2 * k, sizeof half);
		float value = e3_f16_to_f32(half);
		memcpy(file->chunk + 4 * k, &value, sizeof value);
	}
	return 0;
}

/* A piece is of one kind from its beginning to its end. */
static int get_piece(void *ctx, const e3_piece *piece, e3_err *err)
{
	e3_saved_file *file = ctx;
	uint8_t *at = piece->at;
	size_t bytes = (size_t)piece->n * piece->each;
	bool wider = !file->plain;
	file->plain -= wider ? 0 : bytes;
	while (bytes) {
		size_t n = bytes < E3_SAVED_CHUNK ? bytes : E3_SAVED_CHUNK;
		if ((wider ? get_wider(file, n, err) : get(file, file->chunk, n, err)) ||
			file->dev->ops->upload(file->dev, (e3_tensor){at, E3_U8}, file->chunk, n, err))
			return -1;
		at += n, bytes -= n;
	}
	return 0;
}

/* Reads what is not wanted: the whole file is checked. */
static int skip(e3_saved_file *file, uint64_t bytes, e3_err *err)
{
	for (size_t n; bytes; bytes -= n) {
		n = bytes < E3_SAVED_CHUNK ? (size_t)bytes : E3_SAVED_CHUNK;
		if (get(file, file->chunk, n, err))
			return -1;
	}
	return get_sum(file, err);
}

static int check_ids(const e3_saved_past *p, int tokens, int layer, const uint32_t *id, e3_err *err)
{
	uint32_t holes = 0, n = p->slots[layer], most = (uint32_t)(p->t * tokens);
	for (uint32_t k = 0; k < n; k++) {
		holes += id[k] == E3_HOLE;
		if (id[k] >= most && id[k] != E3_HOLE)
			return e3_fail(err, "slot %" PRIu32 ": token %" PRIu32 " of %" PRIu32, k, id[k], most);
	}
	if (holes != p->holes[layer] || (n && id[n - 1] == E3_HOLE))
		return e3_fail(err, "%" PRIu32 " holes in %" PRIu32 " slots, expected %" PRIu32 ", and none at the end", holes,
			n, p->holes[layer]);
	return 0;
}

/* The device needs the token of each slot too; in a hole any value will do. */
static int upload_ids(e3_dev *dev, const e3_kv *kv, const uint32_t *id, e3_err *err)
{
	for (int p = 0; p * kv->page_keys < kv->n_keys; p++) {
		int left = kv->n_keys - p * kv->page_keys, n = left < kv->page_keys ? left : kv->page_keys;
		e3_tensor at = {kv->page[p] + e3_kv_bytes(kv) + sizeof(double) * (size_t)kv->page_keys, E3_I32};
		if (dev->ops->upload(dev, at, id + (size_t)p * (size_t)kv->page_keys, (size_t)n, err))
			return -1;
	}
	return 0;
}

static int get_layer(e3_saved_file *file, e3_session *s, const e3_saved_past *p, int layer, e3_err *err)
{
	uint32_t n = p->slots[layer], *id = e3_alloc(n, sizeof *id, "cache slots", err);
	int rc = !id || get(file, id, n * sizeof *id, err) || check_ids(p, s->plan.tokens_per_frame, layer, id, err) ||
			e3_cache_restore(&s->past->cache, layer, id, n, err)
		? -1
		: 0;
	e3_kv kv = e3_cache_view(&s->past->cache, layer);
	file->plain = widens(&file->head.o, &s->o) ? 12 * (uint64_t)n : UINT64_MAX; /* what eviction knows */
	if (!rc)
		rc = upload_ids(s->dev, &kv, id, err) || e3_saved_pieces(&kv, get_piece, file, err) || get_sum(file, err) ? -1
																												  : 0;
	free(id);
	return rc;
}

/* The vectors that describe the frames of a set; which frames, the tokens in the cache say. */
static int get_bank(e3_saved_file *file, e3_session *s, int k, e3_err *err)
{
	e3_bank *b = &s->past->evictor.bank[k];
	const e3_layer_cache *l = &s->past->cache.layer[k];
	uint32_t tokens = (uint32_t)file->head.tokens_per_frame, count = e3_cache_count(&s->past->cache, k) / tokens;
	int64_t last = -1;
	if (file->head.bank_numbers != b->dim || count > (uint32_t)b->room)
		return e3_fail(err, "%" PRIu32 " frames of %d numbers, expected up to %d of %d", count, file->head.bank_numbers,
			b->room, b->dim);
	float *vector = e3_alloc((size_t)b->dim, sizeof *vector, "descriptors of frames", err);
	int rc = vector ? 0 : -1;
	for (uint32_t n = 0; !rc && n < count; n++) {
		int64_t next = INT64_MAX;
		for (uint32_t i = 0; i < l->n; i++)
			if (l->id[i] != E3_HOLE && l->id[i] / tokens > last && l->id[i] / tokens < next)
				next = l->id[i] / tokens;
		rc = next == INT64_MAX ? e3_fail(err, "tokens of %" PRIu32 " frames, expected %" PRIu32, n, count)
							   : get(file, vector, (size_t)b->dim * sizeof *vector, err);
		if (!rc)
			e3_bank_put(b, last = next, vector);
	}
	free(vector);
	return rc || get_sum(file, err) ? -1 : 0;
}

static uint64_t camera_bytes(const e3_saved *x, const e3_saved_past *p)
{
	return 8 * (uint64_t)p->camera_keys * (uint64_t)x->camera_heads * (uint64_t)x->camera_head_dim;
}

static int get_camera(e3_saved_file *file, e3_session *s, const e3_saved_past *p, int cache, e3_err *err)
{
	const e3_saved *x = &file->head;
	if (!(s->o.outputs & E3_OUT_POSE))
		return skip(file, camera_bytes(x, p), err);
	e3_kv kv = e3_camera_view(s, cache);
	if (kv.n_keys != p->camera_keys || kv.heads != x->camera_heads || kv.head_dim != x->camera_head_dim ||
		s->camera.caches != x->camera_caches)
		return e3_fail(err, "%d of %d keys of %d heads of %d values, expected %d of %d of %d of %d", x->camera_caches,
			p->camera_keys, x->camera_heads, x->camera_head_dim, s->camera.caches, kv.n_keys, kv.heads, kv.head_dim);
	file->plain = UINT64_MAX;
	return e3_saved_pieces(&kv, get_piece, file, err) || get_sum(file, err) ? -1 : 0;
}

static int get_past(e3_saved_file *file, e3_session *s, const e3_saved_past *p, e3_err *err)
{
	const e3_saved *x = &file->head;
	s->past->t = p->t, s->past->keys = p->keys, s->past->start = p->start;
	for (int l = 0; l < x->layers; l++)
		if (get_layer(file, s, p, l, err))
			return e3_fail_in(err, "layer %d", l);
	s->past->evictor.start = p->start;
	if (s->past->evictor.in_window)
		e3_slide_find(&s->past->evictor, &s->plan, &s->past->cache);
	for (int k = 0; k < x->banks; k++)
		if (get_bank(file, s, k, err))
			return e3_fail_in(err, "set of frames %d", k);
	for (int k = 0; k < x->camera_caches; k++)
		if (get_camera(file, s, p, k, err))
			return e3_fail_in(err, "camera memory %d", k);
	return 0;
}

static int skip_past(e3_saved_file *file, const e3_saved_past *p, e3_err *err)
{
	const e3_saved *x = &file->head;
	uint64_t row = e3_saved_slot(x);
	for (int l = 0; l < x->layers; l++)
		if (skip(file, row * p->slots[l], err))
			return e3_fail_in(err, "layer %d", l);
	for (int k = 0; k < x->banks; k++)
		if (skip(file, 4 * e3_saved_frames(x, p, k) * (uint64_t)x->bank_numbers, err))
			return e3_fail_in(err, "set of frames %d", k);
	for (int k = 0; k < x->camera_caches; k++)
		if (skip(file, camera_bytes(x, p), err))
			return e3_fail_in(err, "camera memory %d", k);
	return 0;
}

static int get_side(e3_saved_file *file, e3_session *s, e3_err *err)
{
	const e3_saved_past *side = &file->head.past[1];
	int rc = 0;
	s->past = &s->pasts[1];
	if (side->t)
		rc = s->o.side ? get_past(file, s, side, err) : skip_past(file, side, err);
	s->past = &s->pasts[0];
	return rc ? e3_fail_in(err, "beside the stream") : 0;
}

/* Checks the caller's own bytes, which e3_saved_get will read again. */
static int check_extra(e3_saved_file *file, e3_err *err)
{
	off_t at = ftello(file->f);
	if (!file->head.extra)
		return 0;
	if (skip(file, file->head.extra, err))
		return e3_fail_in(err, "beside the session");
	file->left = file->head.extra;
	return at < 0 || fseeko(file->f, at, SEEK_SET) ? e3_fail_sys(err, "failed") : 0;
}

int e3_saved_get(e3_saved_file *file, void *to, size_t n, e3_err *err)
{
	if (n > file->left)
		return e3_fail(err, "ends too early");
	file->left -= n;
	return n ? get(file, to, n, err) : 0;
}

uint64_t e3_saved_left(const e3_saved_file *file) { return file->left; }

static int get_session(e3_saved_file *file, e3_session *s, e3_err *err)
{
	return get_past(file, s, &file->head.past[0], err) || get_side(file, s, err) || check_extra(file, err)
		? -1
		: s->dev->ops->finish(s->dev, err);
}

static int64_t pages_of_past(const e3_saved *x, const e3_saved_past *past, const e3_plan *p)
{
	int64_t pages = 0;
	for (int l = 0; l < x->layers; l++) {
		int64_t fresh = p->tokens_per_frame - (int64_t)past->holes[l], need = past->slots[l] + (fresh > 0 ? fresh : 0);
		pages += (need + p->page_keys - 1) / p->page_keys;
	}
	return pages;
}

/* The pages for what was saved and for the next frame. */
static int pages_of(const e3_saved *x, const e3_config *c, const e3_infer_options *o, int64_t *pages, e3_err *err)
{
	e3_plan p;
	if (e3_plan_make(c, o, x->size[0], x->size[1], &p, err))
		return -1;
	if (p.tokens_per_frame != x->tokens_per_frame)
		return e3_fail(err, "%d tokens a frame, expected %d", x->tokens_per_frame, p.tokens_per_frame);
	int64_t main = pages_of_past(x, &x->past[0], &p), side = o->side ? pages_of_past(x, &x->past[1], &p) : 0;
	*pages = main + (side > p.side_pages ? side : p.side_pages);
	return 0;
}

static int resume(e3_saved_file *file, const e3_net *net, e3_dev *dev, const e3_infer_options *asked, e3_session **out,
	e3_err *err)
{
	const e3_saved *x = &file->head;
	e3_infer_options o = *asked;
	int64_t pages = 0;
	e3_infer_use_device(&o, dev);
	if (!is_kept_alike(&x->o, &o))
		return e3_fail(err, "has keys and values in %s, this run in %s (see 'kv')", e3_infer_kept_as(&x->o),
			e3_infer_kept_as(&o));
	if (o.outputs & E3_OUT_POSE && !x->camera_caches)
		return e3_fail(err, "has no camera memory, since it was saved without poses: leave pose out of 'outputs'");
	if (pages_of(x, &net->c, &o, &pages, err))
		return -1;
	e3_session *s = *out = e3_session_open_with(net, dev, &o, x->size, pages, err);
	uint64_t body = e3_saved_body(x);
	if (!s || dev->ops->alloc_host(dev, body < E3_SAVED_CHUNK ? body : E3_SAVED_CHUNK, (void **)&file->chunk, err))
		return -1;
	s->peak_tokens = x->peak_tokens;
	file->dev = dev;
	return get_session(file, s, err);
}

e3_session *e3_session_resume(const e3_net *net, e3_dev *dev, const e3_infer_options *o, e3_saved_file *file,
	e3_err *err)
{
	e3_session *s = NULL;
	int rc = e3_saved_fits(file, net, dev, err);
	if (!rc && resume(file, net, dev, o, &s, err))
		rc = e3_fail_in(err, "reading the saved cache: %s", file->path);
	dev->ops->free_host(dev, file->chunk);
	file->chunk = NULL;
	if (!rc)
		return s;
	e3_session_close(s);
	return NULL;
}
