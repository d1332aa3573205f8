/* view: the bytes of records (e3-view(5)): header, padding, and the body of those that are numbers. */
#include "view/record.h"
#include "e3/num.h"
#include <string.h>

int e3_view_begin(e3_buf *out, int type, int run, uint32_t n, size_t *at, e3_err *err)
{
	uint8_t h[E3_VIEW_HEADER] = {0};
	*at = out->len;
	h[4] = (uint8_t)type, h[5] = (uint8_t)run;
	e3_put_le32(h + 8, n);
	return e3_buf_add(out, h, sizeof h, err);
}

int e3_view_finish(e3_buf *out, size_t at, e3_err *err)
{
	static const uint8_t zero[4];
	size_t n = out->len - at;
	if (n > UINT32_MAX - 4)
		return e3_fail(err, "a record of %zu bytes: expected less than 4 GiB", n);
	if (n % 4 && e3_buf_add(out, zero, 4 - n % 4, err))
		return -1;
	e3_put_le32((uint8_t *)out->data + at, (uint32_t)(out->len - at));
	return 0;
}

void e3_view_set_seq(void *record, uint32_t seq) { e3_put_le32((uint8_t *)record + 12, seq); }

void view_set_flags(void *record, unsigned flags) { e3_put_le16((uint8_t *)record + 6, (uint16_t)flags); }

/* Whoever reads a body that was laid out by hand wants no more calls than fields. */
typedef struct pen {
	uint8_t *at;
} pen;

static void put_u16(pen *p, unsigned v) { e3_put_le16(p->at, (uint16_t)(v > UINT16_MAX ? UINT16_MAX : v)), p->at += 2; }
static void put_u32(pen *p, uint32_t v) { e3_put_le32(p->at, v), p->at += 4; }
static void put_f32(pen *p, double v) { e3_put_lef32(p->at, (float)v), p->at += 4; }

static void put_f64(pen *p, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	e3_put_le64(p->at, bits), p->at += 8;
}

static uint32_t bounded(int64_t v) { return v < 0 ? 0 : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v; }

void view_frame_record(const view_frame *f, int run, uint32_t n, uint8_t to[VIEW_FRAME_BYTES])
{
	memset(to, 0, VIEW_FRAME_BYTES);
	e3_put_le32(to, VIEW_FRAME_BYTES);
	to[4] = E3_VIEW_FRAME, to[5] = (uint8_t)run;
	view_set_flags(to, f->flags);
	e3_put_le32(to + 8, n);
	pen p = {to + E3_VIEW_HEADER};
	put_f64(&p, (double)f->i), put_f64(&p, f->pts), put_f64(&p, f->t_capture);
	for (int k = 0; k < 12; k++)
		put_f32(&p, f->matrix[k]);
	for (int k = 0; k < 4; k++)
		put_f32(&p, f->k[k]);
	put_u16(&p, (unsigned)f->w), put_u16(&p, (unsigned)f->h);
	put_f32(&p, f->ms), put_f32(&p, f->latency);
	put_u32(&p, bounded(f->tokens)), put_u32(&p, bounded(f->segment));
}

int view_correct_record(const e3_correction *c, int run, uint32_t n, e3_buf *out, e3_err *err)
{
	uint8_t body[80];
	pen p = {body};
	size_t at;
	put_f64(&p, (double)c->from), put_f64(&p, (double)c->to);
	for (int k = 0; k < 8; k++)
		put_f64(&p, c->sim[k]);
	return e3_view_begin(out, E3_VIEW_CORRECT, run, n, &at, err) || e3_buf_add(out, body, sizeof body, err) ||
			e3_view_finish(out, at, err)
		? -1
		: 0;
}

int view_chunk_record(const view_chunk *c, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	uint32_t from = bounded(key->offset), n;
	if (from >= c->count)
		return 0;
	n = c->count - from;
	if (key->count > 0 && key->count < n)
		n = (uint32_t)key->count;
	uint8_t head[36];
	pen p = {head};
	size_t at;
	put_u32(&p, n), put_u32(&p, from), put_u32(&p, c->count);
	for (int k = 0; k < 3; k++)
		put_f32(&p, c->min[k]);
	for (int k = 0; k < 3; k++)
		put_f32(&p, c->size[k]);
	if (e3_view_begin(out, E3_VIEW_CHUNK, key->run, bounded(key->n), &at, err) ||
		e3_buf_add(out, head, sizeof head, err) ||
		e3_buf_add(out, c->points + (size_t)from * VIEW_POINT_BYTES, (size_t)n * VIEW_POINT_BYTES, err) ||
		e3_view_finish(out, at, err))
		return -1;
	return 1;
}
