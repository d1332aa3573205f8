/* export: bytes of MCAP and of protobuf messages, which grow in memory: numbers, texts, fields. */
#include "export/mcap.h"
#include <string.h>

void e3_bytes_add(e3_bytes *o, const void *from, size_t n)
{
	if (!o->rc)
		o->rc = e3_buf_add(&o->b, from, n, o->err);
}

static void little_endian(uint8_t *to, uint64_t v, int n)
{
	for (int k = 0; k < n; k++)
		to[k] = (uint8_t)(v >> 8 * k);
}

void e3_bytes_le(e3_bytes *o, uint64_t v, int n)
{
	uint8_t le[8];
	little_endian(le, v, n);
	e3_bytes_add(o, le, (size_t)n);
}

void e3_bytes_le_at(e3_bytes *o, size_t at, uint64_t v, int n)
{
	if (!o->rc)
		little_endian((uint8_t *)o->b.data + at, v, n);
}

void e3_bytes_text(e3_bytes *o, const char *text)
{
	size_t at = o->b.len;
	const char *s = text ? text : "", *end = s + strlen(s);
	e3_bytes_le(o, 0, 4);
	while (s < end) {
		size_t n = e3_utf8_length(s, (size_t)(end - s));
		e3_bytes_add(o, n ? s : "\xef\xbf\xbd", n ? n : 3);
		s += n ? n : 1;
	}
	e3_bytes_le_at(o, at, o->b.len - at - 4, 4);
}

/* --- protobuf --- */

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 }; /* what follows a field's number */

static size_t varint(uint8_t to[10], uint64_t v)
{
	size_t n = 0;
	for (; v > 0x7f; v >>= 7)
		to[n++] = (uint8_t)(v | 0x80);
	to[n++] = (uint8_t)v;
	return n;
}

static void add_varint(e3_bytes *o, uint64_t v)
{
	uint8_t bytes[10];
	e3_bytes_add(o, bytes, varint(bytes, v));
}

static void tag(e3_bytes *o, int field, int kind) { add_varint(o, (uint64_t)field << 3 | (uint64_t)kind); }

void e3_pb_int(e3_bytes *o, int field, uint64_t v) { tag(o, field, VARINT), add_varint(o, v); }

void e3_pb_fixed32(e3_bytes *o, int field, uint32_t v) { tag(o, field, FIXED32), e3_bytes_le(o, v, 4); }

static void add_double(e3_bytes *o, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	e3_bytes_le(o, bits, 8);
}

void e3_pb_double(e3_bytes *o, int field, double v) { tag(o, field, FIXED64), add_double(o, v); }

void e3_pb_doubles(e3_bytes *o, int field, const double *v, size_t n)
{
	e3_pb_bytes(o, field, 8 * n);
	for (size_t k = 0; k < n; k++)
		add_double(o, v[k]);
}

void e3_pb_bytes(e3_bytes *o, int field, size_t n) { tag(o, field, LENGTH), add_varint(o, n); }

void e3_pb_text(e3_bytes *o, int field, const char *text)
{
	e3_pb_bytes(o, field, strlen(text));
	e3_bytes_add(o, text, strlen(text));
}

size_t e3_pb_open(e3_bytes *o, int field)
{
	tag(o, field, LENGTH);
	return o->b.len;
}

/* The length stands before what it measures: that makes room for it. */
void e3_pb_close(e3_bytes *o, size_t mark)
{
	uint8_t length[10];
	if (o->rc)
		return;
	size_t inside = o->b.len - mark, n = varint(length, inside);
	e3_bytes_add(o, length, n);
	if (o->rc)
		return;
	memmove(o->b.data + mark + n, o->b.data + mark, inside);
	memcpy(o->b.data + mark, length, n);
}
