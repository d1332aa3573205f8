/* wire: one message out of parts, packed by msgpack-c. Owns the envelope's bytes and the count of fields; refuses
 * over-long bodies. */
#include "pack.h"
#include "e3/num.h"
#include "kinds.h"
#include <stdlib.h>
#include <string.h>

/* Room before the fields for the envelope and the map's head, which is known only at the end. */
enum { LEAD = E3_ENVELOPE + 3, BORROW = 16 << 10 };

static int add(void *data, const char *bytes, size_t n)
{
	e3_pack *p = data;
	if (e3_buf_add(&p->small, bytes, n, NULL))
		p->failed = true;
	return 0;
}

void e3_pack_begin(e3_pack *p, int kind, int64_t value)
{
	static const char lead[LEAD];
	p->small.len = 0;
	p->kind = kind, p->value = value, p->fields = 0, p->n_cuts = 0, p->failed = false;
	msgpack_packer_init(&p->pk, p, add);
	add(p, lead, LEAD);
}

int e3_pack_finish(e3_pack *p, e3_err *err)
{
	if (p->failed)
		return e3_fail(err, "%s: out of memory", e3_kind_name(p->kind));
	size_t start = p->fields < 16 ? 2 : 0, fields = p->small.len - LEAD;
	uint8_t *first = (uint8_t *)p->small.data + start, *map = first + E3_ENVELOPE;
	if (p->fields < 16)
		map[0] = (uint8_t)(0x80 | p->fields);
	else
		map[0] = 0xde, map[1] = (uint8_t)(p->fields >> 8), map[2] = (uint8_t)p->fields;
	size_t body = fields + (start ? 1 : 3), from = start;
	p->n_parts = 0;
	for (int k = 0; k < p->n_cuts; k++) {
		body += p->cut[k].n;
		p->part[p->n_parts++] = (struct iovec){p->small.data + from, p->cut[k].at - from};
		p->part[p->n_parts++] = (struct iovec){(void *)(uintptr_t)p->cut[k].data, p->cut[k].n};
		from = p->cut[k].at;
	}
	p->part[p->n_parts++] = (struct iovec){p->small.data + from, p->small.len - from};
	const e3_kind_rule *rule = e3_kind_rule_of(p->kind);
	if (body > rule->limit)
		return e3_fail(err, "%s of %zu bytes; at most %zu are allowed", rule->name, body, rule->limit);
	first[0] = E3_MARK;
	e3_put_be32(first + 1, (uint32_t)body);
	first[5] = (uint8_t)p->kind;
	p->len = E3_ENVELOPE + body;
	return 0;
}

void e3_pack_release(e3_pack *p)
{
	e3_buf_release(&p->small);
	free(p->halves);
}

uint16_t *e3_pack_halves(e3_pack *p, size_t n, e3_err *err)
{
	if (p->halves_cap < n) {
		p->halves_cap = 0;
		if (e3_grow((void **)&p->halves, n, sizeof *p->halves, "half precision arrays", err))
			return NULL;
		p->halves_cap = n;
	}
	return p->halves;
}

static void text(e3_pack *p, const char *s)
{
	size_t n = strlen(s);
	msgpack_pack_str(&p->pk, n);
	msgpack_pack_str_body(&p->pk, s, n);
}

static void key(e3_pack *p, const char *name)
{
	p->fields++;
	text(p, name);
}

void e3_pack_int(e3_pack *p, const char *name, int64_t v)
{
	key(p, name);
	msgpack_pack_int64(&p->pk, v);
}

void e3_pack_int_or_nil(e3_pack *p, const char *name, int64_t v)
{
	if (v >= 0) {
		e3_pack_int(p, name, v);
		return;
	}
	key(p, name);
	msgpack_pack_nil(&p->pk);
}

void e3_pack_u64(e3_pack *p, const char *name, uint64_t v)
{
	key(p, name);
	msgpack_pack_uint64(&p->pk, v);
}

void e3_pack_real(e3_pack *p, const char *name, double v)
{
	key(p, name);
	msgpack_pack_double(&p->pk, v);
}

void e3_pack_single(e3_pack *p, const char *name, float v)
{
	key(p, name);
	msgpack_pack_float(&p->pk, v);
}

void e3_pack_text(e3_pack *p, const char *name, const char *s)
{
	size_t n = s ? strlen(s) : 0;
	key(p, name);
	msgpack_pack_str(&p->pk, n);
	for (size_t from = 0, to = 0; from < n;
		 from = to) { /* a byte that is not UTF-8, as of a file's name, becomes '?' */
		for (size_t one; to < n && (one = e3_utf8_length(s + to, n - to)); to += one)
			;
		msgpack_pack_str_body(&p->pk, s + from, to - from);
		if (to < n)
			msgpack_pack_str_body(&p->pk, "?", 1), to++;
	}
}

void e3_pack_reals(e3_pack *p, const char *name, const double *v, int n)
{
	key(p, name);
	msgpack_pack_array(&p->pk, (size_t)n);
	for (int k = 0; k < n; k++)
		msgpack_pack_double(&p->pk, v[k]);
}

void e3_pack_ints(e3_pack *p, const char *name, const int *v, int n)
{
	key(p, name);
	msgpack_pack_array(&p->pk, (size_t)n);
	for (int k = 0; k < n; k++)
		msgpack_pack_int(&p->pk, v[k]);
}

void e3_pack_counts(e3_pack *p, const char *name, const int64_t *v, int n)
{
	key(p, name);
	msgpack_pack_array(&p->pk, (size_t)n);
	for (int k = 0; k < n; k++)
		msgpack_pack_int64(&p->pk, v[k]);
}

void e3_pack_cache(e3_pack *p, int64_t segment, int64_t first)
{
	if (segment <= 0 && first <= 0)
		return;
	e3_pack_int(p, "segment", segment);
	e3_pack_int(p, "first", first);
}

void e3_pack_array(e3_pack *p, const char *name, e3_array_type t, const void *data, int rank, const size_t *shape)
{
	size_t bytes = e3_array_type_size(t);
	key(p, name);
	msgpack_pack_map(&p->pk, 3);
	text(p, "dtype");
	text(p, e3_array_type_name(t));
	text(p, "shape");
	msgpack_pack_array(&p->pk, (size_t)rank);
	for (int k = 0; k < rank; k++) {
		msgpack_pack_uint64(&p->pk, shape[k]);
		bytes *= shape[k];
	}
	text(p, "data");
	msgpack_pack_bin(&p->pk, bytes);
	if (bytes >= BORROW && p->n_cuts < E3_PACK_CUTS) {
		p->cut[p->n_cuts].at = p->small.len;
		p->cut[p->n_cuts].data = data;
		p->cut[p->n_cuts++].n = bytes;
	} else if (bytes) {
		add(p, data, bytes);
	}
}

void e3_pack_list(e3_pack *p, const char *name, size_t n)
{
	key(p, name);
	msgpack_pack_array(&p->pk, n);
}

void e3_pack_map(e3_pack *p, size_t n) { msgpack_pack_map(&p->pk, n); }

static int put_bytes(void *data, const char *bytes, size_t n)
{
	uint8_t **to = data;
	memcpy(*to, bytes, n);
	*to += n;
	return 0;
}

size_t e3_pack_count(uint8_t to[9], int64_t v)
{
	uint8_t *at = to;
	msgpack_packer pk;
	msgpack_packer_init(&pk, &at, put_bytes);
	if (v < 0)
		msgpack_pack_nil(&pk);
	else
		msgpack_pack_int64(&pk, v);
	return (size_t)(at - to);
}
