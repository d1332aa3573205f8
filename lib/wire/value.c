/* wire: msgpack values and arrays, read in place. Owns the structure scan; refuses counts and lengths beyond the bytes
 * present. */
#include "e3/value.h"
#include "e3/num.h"
#include <string.h>

static uint64_t be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t k = 0; k < n; k++)
		v = v << 8 | p[k];
	return v;
}

static int set_int(e3_value *v, int64_t i)
{
	v->type = E3_V_INT, v->i = i;
	return 0;
}

/* Text, bytes and ext: `lead` bytes of type before the content, for ext. */
static int set_content(e3_cursor *c, e3_value *v, e3_vtype type, uint64_t n)
{
	size_t lead = type == E3_V_EXT ? 1 : 0, left = (size_t)(c->end - c->at);
	if (left < lead || n > left - lead)
		return -1;
	if (lead)
		v->i = (int8_t)*c->at++;
	v->type = type, v->bytes = c->at, v->n = (size_t)n;
	c->at += n;
	return 0;
}

/* A member takes at least one byte, so a count beyond the bytes left cannot be true. */
static int set_container(e3_cursor *c, e3_value *v, e3_vtype type, uint64_t n)
{
	uint64_t left = (uint64_t)(c->end - c->at);
	if (n > left / (type == E3_V_MAP ? 2 : 1))
		return -1;
	v->type = type, v->n = (size_t)n;
	return 0;
}

static int set_real(e3_value *v, const uint8_t *p, size_t size)
{
	v->type = E3_V_REAL, v->single = size == 4;
	if (v->single) {
		uint32_t u = (uint32_t)be(p, 4);
		float f;
		memcpy(&f, &u, 4);
		v->x = f;
	} else {
		uint64_t u = be(p, 8);
		memcpy(&v->x, &u, 8);
	}
	return 0;
}

static int set_number(e3_value *v, uint8_t tag, const uint8_t *p, size_t size)
{
	if (tag == 0xca || tag == 0xcb)
		return set_real(v, p, size);
	uint64_t u = be(p, size);
	if (tag <= 0xcf) {
		if (u <= INT64_MAX)
			return set_int(v, (int64_t)u);
		v->type = E3_V_BIG, v->u = u;
		return 0;
	}
	unsigned shift = (unsigned)(64 - 8 * size);
	return set_int(v, (int64_t)(u << shift) >> shift);
}

/* 0xc0 to 0xdf: a tag byte, then a length or a number of `size` bytes. */
static int next_tagged(e3_cursor *c, e3_value *v, uint8_t tag)
{
	static const uint8_t sizes[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2,
		4, 2, 4, 2, 4};
	size_t size = sizes[tag - 0xc0];
	if ((size_t)(c->end - c->at) < size)
		return -1;
	const uint8_t *p = c->at;
	c->at += size;
	switch (tag) {
	case 0xc0:
		v->type = E3_V_NIL;
		return 0;
	case 0xc1:
		return -1; /* reserved by msgpack */
	case 0xc2:
	case 0xc3:
		v->type = E3_V_BOOL, v->i = tag - 0xc2;
		return 0;
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return set_content(c, v, E3_V_BYTES, be(p, size));
	case 0xc7:
	case 0xc8:
	case 0xc9:
		return set_content(c, v, E3_V_EXT, be(p, size));
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		return set_content(c, v, E3_V_EXT, (uint64_t)1 << (tag - 0xd4));
	case 0xd9:
	case 0xda:
	case 0xdb:
		return set_content(c, v, E3_V_TEXT, be(p, size));
	case 0xdc:
	case 0xdd:
		return set_container(c, v, E3_V_LIST, be(p, size));
	case 0xde:
	case 0xdf:
		return set_container(c, v, E3_V_MAP, be(p, size));
	default:
		return set_number(v, tag, p, size);
	}
}

int e3_value_next(e3_cursor *c, e3_value *v)
{
	*v = (e3_value){0};
	if (c->at >= c->end)
		return -1;
	uint8_t tag = *c->at++;
	if (tag < 0x80)
		return set_int(v, tag);
	if (tag < 0x90)
		return set_container(c, v, E3_V_MAP, tag & 0x0fu);
	if (tag < 0xa0)
		return set_container(c, v, E3_V_LIST, tag & 0x0fu);
	if (tag < 0xc0)
		return set_content(c, v, E3_V_TEXT, tag & 0x1fu);
	if (tag < 0xe0)
		return next_tagged(c, v, tag);
	return set_int(v, (int8_t)tag);
}

int e3_value_skip(e3_cursor *c)
{
	uint64_t left[E3_VALUE_DEPTH + 1] = {1};
	for (int depth = 0;;) {
		while (left[depth] == 0)
			if (depth-- == 0)
				return 0;
		left[depth]--;
		e3_value v;
		if (e3_value_next(c, &v))
			return -1;
		if (v.type != E3_V_LIST && v.type != E3_V_MAP)
			continue;
		if (++depth > E3_VALUE_DEPTH)
			return -1;
		left[depth] = v.type == E3_V_MAP ? 2 * (uint64_t)v.n : v.n;
	}
}

bool e3_value_is(const e3_value *v, const char *text)
{
	return v->type == E3_V_TEXT && v->n == strlen(text) && memcmp(v->bytes, text, v->n) == 0;
}

const char *e3_vtype_name(e3_vtype type)
{
	static const char *const names[] = {"nil", "a boolean", "a whole number", "a whole number above 2^63",
		"a real number", "text", "bytes", "a list", "a map", "an extension"};
	return names[type];
}

int e3_body_check(const uint8_t *body, size_t n, e3_err *err)
{
	e3_cursor c = {body, body + n}, first = c;
	e3_value v;
	if (e3_value_next(&first, &v) == 0 && v.type != E3_V_MAP)
		return e3_fail(err, "the body is %s, expected a map", e3_vtype_name(v.type));
	if (e3_value_skip(&c))
		return e3_fail(err,
			"damaged near byte %zu of the body: a count or length beyond the bytes present, a reserved byte, "
			"or nested deeper than %d",
			(size_t)(c.at - body), E3_VALUE_DEPTH);
	if (c.at != c.end)
		return e3_fail(err, "%zu bytes after the map, in a body of %zu", (size_t)(c.end - c.at), n);
	return 0;
}

bool e3_body_find(const uint8_t *body, size_t n, const char *key, e3_value *v, e3_cursor *at)
{
	e3_cursor c = {body, body + n};
	e3_value map, name;
	if (e3_value_next(&c, &map) || map.type != E3_V_MAP)
		return false;
	for (size_t k = 0; k < map.n; k++) {
		if (e3_value_next(&c, &name))
			return false;
		if (e3_value_is(&name, key)) {
			if (at)
				*at = c;
			return e3_value_next(&c, v) == 0;
		}
		if (name.type == E3_V_LIST || name.type == E3_V_MAP) /* not a key of ours: the decoders refuse it */
			return false;
		if (e3_value_skip(&c))
			return false;
	}
	return false;
}

static const char *const dtype_names[] = {"u8", "u32", "f16", "f32"};

size_t e3_array_type_size(e3_array_type t)
{
	static const size_t sizes[] = {1, 4, 2, 4};
	return sizes[t];
}

const char *e3_array_type_name(e3_array_type t) { return dtype_names[t]; }

static int read_dtype(const e3_value *v, e3_array *a, e3_err *err)
{
	for (int t = E3_ARRAY_U8; t <= E3_ARRAY_F32; t++)
		if (e3_value_is(v, dtype_names[t])) {
			a->dtype = (e3_array_type)t;
			return 0;
		}
	if (v->type != E3_V_TEXT)
		return e3_fail(err, "dtype is %s, expected text", e3_vtype_name(v->type));
	return e3_fail(err, "dtype is '%.*s', expected u8, u32, f16 or f32", (int)(v->n < 16 ? v->n : 16),
		(const char *)v->bytes);
}

static int read_shape(e3_cursor *c, const e3_value *v, e3_array *a, e3_err *err)
{
	if (v->type != E3_V_LIST || v->n < 1 || v->n > E3_ARRAY_RANK)
		return e3_fail(err, "shape is not a list of 1 to %d numbers", E3_ARRAY_RANK);
	a->rank = (int)v->n;
	for (int k = 0; k < a->rank; k++) {
		e3_value d;
		if (e3_value_next(c, &d) || d.type != E3_V_INT || d.i < 0 || d.i > INT32_MAX)
			return e3_fail(err, "shape[%d] is not a whole number from 0 to %d", k, INT32_MAX);
		a->shape[k] = (uint32_t)d.i;
	}
	return 0;
}

static int check_length(e3_array *a, size_t bytes, e3_err *err)
{
	size_t want = e3_array_type_size(a->dtype);
	bool over = false;
	a->count = 1;
	for (int k = 0; k < a->rank; k++) {
		over |= __builtin_mul_overflow(a->count, (size_t)a->shape[k], &a->count);
		over |= __builtin_mul_overflow(want, (size_t)a->shape[k], &want);
	}
	if (over)
		return e3_fail(err, "shape is too large");
	if (want != bytes)
		return e3_fail(err, "shape and dtype need %zu bytes, data has %zu", want, bytes);
	return 0;
}

int e3_array_read(e3_cursor *c, e3_array *a, e3_err *err)
{
	e3_value map, key, v, data = {0};
	unsigned seen = 0;
	*a = (e3_array){0};
	if (e3_value_next(c, &map) || map.type != E3_V_MAP)
		return e3_fail(err, "is %s, expected an array (a map of dtype, shape, data)", e3_vtype_name(map.type));
	for (size_t k = 0; k < map.n; k++) {
		if (e3_value_next(c, &key))
			return e3_fail(err, "damaged");
		unsigned bit = e3_value_is(&key, "dtype") ? 1
			: e3_value_is(&key, "shape")          ? 2
			: e3_value_is(&key, "data")           ? 4
												  : 0;
		if (key.type != E3_V_TEXT)
			return e3_fail(err, "a key of the array is %s, expected text", e3_vtype_name(key.type));
		if (seen & bit)
			return e3_fail(err, "%.*s given twice", (int)key.n, (const char *)key.bytes);
		seen |= bit;
		if (bit == 0) {
			if (e3_value_skip(c))
				return e3_fail(err, "damaged");
			continue;
		}
		if (e3_value_next(c, &v))
			return e3_fail(err, "damaged");
		if ((bit == 1 && read_dtype(&v, a, err)) || (bit == 2 && read_shape(c, &v, a, err)))
			return -1;
		if (bit == 4)
			data = v;
	}
	if (seen != 7)
		return e3_fail(err, "array without %s", !(seen & 1) ? "dtype" : !(seen & 2) ? "shape" : "data");
	if (data.type != E3_V_BYTES)
		return e3_fail(err, "data is %s, expected bytes", e3_vtype_name(data.type));
	a->data = data.bytes;
	return check_length(a, data.n, err);
}

double e3_array_at(const e3_array *a, size_t k)
{
	const uint8_t *p = a->data + k * e3_array_type_size(a->dtype);
	uint32_t u;
	float f;
	switch (a->dtype) {
	case E3_ARRAY_U8:
		return *p;
	case E3_ARRAY_U32:
		return e3_le32(p);
	case E3_ARRAY_F16:
		return e3_f16_to_f32(e3_le16(p));
	default:
		u = e3_le32(p);
		memcpy(&f, &u, 4);
		return f;
	}
}
