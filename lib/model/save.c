/* model: writing safetensors. Owns the header and the order of the tensors; holds only one chunk of values in memory.
 * Refuses a conversion that would turn a finite value into an infinite one. */
#include "ckpt.h"
#include "e3/json.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 18 };

typedef struct saving {
	const e3_ckpt *c;
	const e3_ckpt_saving *how;
	size_t *order, n;
	e3_file file;
	float *values;    /* CHUNK of them */
	uint16_t *halves; /* the same as the wanted type */
	uint64_t done, total;
	e3_err *err;
} saving;

static e3_dtype target(const saving *s, const e3_tensor_info *t)
{
	return t->dtype <= E3_F64 && s->how->dtype >= 0 ? (e3_dtype)s->how->dtype : t->dtype;
}

static const e3_tensor_info *nth(const saving *s, size_t k) { return e3_ckpt_at(s->c, s->order[k]); }

/* Which tensors, in which order: the widest elements first, so that all are aligned without gaps between them. */
static int choose(saving *s)
{
	s->order = e3_alloc(e3_ckpt_count(s->c), sizeof *s->order, "order of tensors", s->err);
	if (!s->order)
		return -1;
	for (size_t size = 8; size; size /= 2)
		for (size_t k = 0; k < e3_ckpt_count(s->c); k++) {
			const e3_tensor_info *t = e3_ckpt_at(s->c, k);
			if (s->how->drop_track && strncmp(t->name, "track_head.", 11) == 0)
				continue;
			if (e3_dtype_size(target(s, t)) == size)
				s->order[s->n++] = k;
		}
	return 0;
}

static void add_entry(saving *s, e3_json *j, const e3_tensor_info *t)
{
	e3_dtype dtype = target(s, t);
	uint64_t end = s->total + t->count * e3_dtype_size(dtype);
	e3_json_object(j, t->name);
	e3_json_text(j, "dtype", e3_dtype_name(dtype));
	e3_json_array(j, "shape");
	for (int d = 0; d < t->rank; d++)
		e3_json_int(j, NULL, t->shape[d]);
	e3_json_end(j);
	e3_json_array(j, "data_offsets");
	e3_json_int(j, NULL, (int64_t)s->total);
	e3_json_int(j, NULL, (int64_t)end);
	e3_json_end(j);
	e3_json_end(j);
	s->total = end;
}

/* u64 length and JSON, padded with spaces so that the data begins on a multiple of 64. */
static int write_header(saving *s)
{
	e3_buf b = {0};
	e3_json j = {.to = &b, .err = s->err};
	uint8_t length[8];
	e3_json_object(&j, NULL);
	if (s->how->n_meta) {
		e3_json_object(&j, "__metadata__");
		for (size_t k = 0; k < s->how->n_meta; k++)
			e3_json_text(&j, s->how->meta[k][0], s->how->meta[k][1]);
		e3_json_end(&j);
	}
	for (size_t k = 0; k < s->n; k++)
		add_entry(s, &j, nth(s, k));
	e3_json_end(&j);
	int rc = j.rc;
	while (!rc && (8 + b.len) % 64)
		rc = e3_buf_add(&b, " ", 1, s->err);
	if (!rc) {
		e3_put_le64(length, b.len);
		rc = e3_file_write(&s->file, length, sizeof length, s->err) || e3_file_write(&s->file, b.data, b.len, s->err);
	}
	e3_buf_release(&b);
	return rc ? -1 : 0;
}

static int narrow(saving *s, const e3_tensor_info *t, e3_dtype dtype, size_t n)
{
	if (dtype == E3_F16)
		e3_f32_to_f16_n(s->values, s->halves, n);
	else
		for (size_t k = 0; k < n; k++)
			s->halves[k] = e3_f32_to_bf16(s->values[k]);
	uint16_t infinite = dtype == E3_F16 ? 0x7c00 : 0x7f80;
	for (size_t k = 0; k < n; k++)
		if ((s->halves[k] & 0x7fff) == infinite && isfinite(s->values[k]))
			return e3_fail(s->err, "converting: tensor '%s': %g does not fit %s", t->name, (double)s->values[k],
				e3_dtype_name(dtype));
	return 0;
}

static int write_chunk(saving *s, const e3_tensor_info *t, size_t first, size_t n)
{
	e3_dtype dtype = target(s, t);
	const void *bytes = s->values;
	int rc;
	if (dtype == t->dtype) {
		rc = e3_ckpt_read_raw(s->c, t, first, n, s->values, s->err);
	} else {
		rc = e3_ckpt_read_f32(s->c, t, first, n, s->values, s->err);
		if (!rc && dtype != E3_F32) {
			rc = narrow(s, t, dtype, n);
			bytes = s->halves;
		}
	}
	if (rc || e3_file_write(&s->file, bytes, n * e3_dtype_size(dtype), s->err))
		return -1;
	s->done += n * e3_dtype_size(dtype);
	if (s->how->tick && s->how->tick(s->how->ctx, s->done, s->total))
		return e3_fail(s->err, "writing: %s: stopped", s->file.path);
	return 0;
}

static int write_tensors(saving *s)
{
	for (size_t k = 0; k < s->n; k++) {
		const e3_tensor_info *t = nth(s, k);
		size_t most = CHUNK * sizeof *s->values / 8; /* unconverted elements may have 8 bytes */
		for (size_t first = 0; first < t->count; first += most)
			if (write_chunk(s, t, first, t->count - first < most ? t->count - first : most))
				return -1;
		e3_ckpt_forget(s->c, t);
	}
	return 0;
}

int e3_ckpt_save(const e3_ckpt *c, const char *path, const e3_ckpt_saving *how, e3_err *err)
{
	saving s = {.c = c, .how = how, .err = err};
	s.values = e3_alloc(CHUNK, sizeof *s.values, "chunk of values", err);
	s.halves = s.values ? e3_alloc(CHUNK, sizeof *s.halves, "chunk of values", err) : NULL;
	int rc = s.halves ? choose(&s) : -1;
	if (!rc)
		rc = e3_file_renew(&s.file, path, err);
	if (!rc) {
		rc = write_header(&s) || write_tensors(&s) ? -1 : e3_file_commit(&s.file, err);
		if (rc)
			e3_file_discard(&s.file);
	}
	free(s.order), free(s.values), free(s.halves);
	return rc;
}
