/* wire: maps into structs by table. Owns the rules for types, ranges, finite numbers, missing and repeated keys. */
#include "fields.h"
#include "e3/mem.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_I64 (((int64_t)1 << 53) - 1)

static int wrong(const char *expected, const e3_value *v, e3_err *err)
{
	return e3_fail(err, "is %s, expected %s", e3_vtype_name(v->type), expected);
}

static int read_int(const e3_field *f, const e3_value *v, int64_t most, int64_t *out, e3_err *err)
{
	int64_t min = f->min, max = f->max;
	if (min == 0 && max == 0)
		max = most;
	if (v->type == E3_V_BIG)
		return e3_fail(err, "is %" PRIu64 ", expected %" PRId64 " to %" PRId64, v->u, min, max);
	if (v->type != E3_V_INT)
		return wrong("a whole number", v, err);
	if (v->i < min || v->i > max)
		return e3_fail(err, "is %" PRId64 ", expected %" PRId64 " to %" PRId64, v->i, min, max);
	*out = v->i;
	return 0;
}

static int read_u64(const e3_value *v, uint64_t *out, e3_err *err)
{
	if (v->type == E3_V_BIG)
		*out = v->u;
	else if (v->type == E3_V_INT && v->i >= 0)
		*out = (uint64_t)v->i;
	else
		return wrong("a whole number, not negative", v, err);
	return 0;
}

static int read_real(const e3_value *v, bool finite, double *out, e3_err *err)
{
	if (v->type == E3_V_INT)
		*out = (double)v->i;
	else if (v->type == E3_V_REAL)
		*out = v->x;
	else
		return wrong("a number", v, err);
	if (finite && !isfinite(*out))
		return e3_fail(err, "is %s, expected a finite number", isnan(*out) ? "not a number" : "infinite");
	return 0;
}

int e3_text_check(const e3_value *v, e3_err *err)
{
	for (size_t k = 0, one; k < v->n; k += one) {
		one = e3_utf8_length(v->bytes + k, v->n - k);
		if (v->bytes[k] == 0)
			return e3_fail(err, "text with a zero byte in it");
		if (one == 0)
			return e3_fail(err, "text that is not UTF-8, from its byte %zu on", k);
	}
	return 0;
}

static int read_text(const e3_value *v, char **out, e3_err *err)
{
	if (v->type != E3_V_TEXT)
		return wrong("text", v, err);
	if (e3_text_check(v, err))
		return -1;
	char *s = malloc(v->n + 1);
	if (!s)
		return e3_fail(err, "out of memory for %zu bytes of text", v->n);
	if (v->n)
		memcpy(s, v->bytes, v->n);
	s[v->n] = 0;
	free(*out);
	*out = s;
	return 0;
}

static int read_members(e3_cursor *c, const e3_field *f, const e3_value *list, e3_err *err)
{
	if (list->type != E3_V_LIST || list->n != (size_t)f->n)
		return e3_fail(err, "expected a list of %d numbers", f->n);
	for (int k = 0; k < f->n; k++) {
		e3_value v;
		int64_t i = 0;
		int rc = e3_value_next(c, &v) ? e3_fail(err, "damaged") : 0;
		if (!rc && f->type == E3_F_REALS)
			rc = read_real(&v, true, (double *)f->to + k, err);
		else if (!rc && f->type == E3_F_COUNTS)
			rc = read_int(f, &v, MOST_I64, (int64_t *)f->to + k, err);
		else if (!rc && (rc = read_int(f, &v, INT32_MAX, &i, err)) == 0)
			((int *)f->to)[k] = (int)i;
		if (rc)
			return e3_fail_in(err, "[%d]", k);
	}
	return 0;
}

/* One value, whose head is v; the cursor stands after that head. */
static int read_scalar(e3_cursor *c, const e3_field *f, const e3_value *v, e3_err *err)
{
	int64_t i = 0;
	uint64_t u = 0;
	double x = 0;
	int rc;
	switch (f->type) {
	case E3_F_I64:
		return read_int(f, v, MOST_I64, f->to, err);
	case E3_F_INT:
		if ((rc = read_int(f, v, INT32_MAX, &i, err)) == 0)
			*(int *)f->to = (int)i;
		return rc;
	case E3_F_U32:
		if ((rc = read_u64(v, &u, err)) == 0 && u > UINT32_MAX)
			rc = e3_fail(err, "is %" PRIu64 ", expected at most %u", u, UINT32_MAX);
		*(uint32_t *)f->to = (uint32_t)u;
		return rc;
	case E3_F_U64:
		return read_u64(v, f->to, err);
	case E3_F_REAL:
		return read_real(v, true, f->to, err);
	case E3_F_SINGLE:
		rc = read_real(v, false, &x, err);
		*(float *)f->to = (float)x;
		return rc;
	case E3_F_TEXT:
		return read_text(v, f->to, err);
	case E3_F_REALS:
	case E3_F_INTS:
	case E3_F_COUNTS:
		return read_members(c, f, v, err);
	default:
		return e3_fail(err, "not a type of field");
	}
}

static int read_field(e3_cursor *c, const e3_field *f, e3_err *err)
{
	e3_cursor before = *c;
	e3_value v;
	if (e3_value_next(c, &v))
		return e3_fail(err, "damaged");
	if (v.type == E3_V_NIL && f->nil) {
		if (f->type == E3_F_I64)
			*(int64_t *)f->to = -1;
		if (f->has)
			*f->has = false;
		return 0;
	}
	if (f->has)
		*f->has = true;
	if (f->type == E3_F_ARRAY) {
		*c = before;
		return e3_array_read(c, f->to, err);
	}
	if (f->type == E3_F_LIST) {
		if (v.type != E3_V_LIST)
			return wrong("a list", &v, err);
		*(e3_list *)f->to = (e3_list){v.n, *c};
		*c = before;
		return e3_value_skip(c) ? e3_fail(err, "damaged") : 0;
	}
	return read_scalar(c, f, &v, err);
}

static e3_field *find(e3_field *table, const e3_value *key)
{
	for (e3_field *f = table; f->type != E3_F_END; f++)
		if (e3_value_is(key, f->name))
			return f;
	return NULL;
}

int e3_fields_read(e3_cursor *c, e3_field *table, e3_err *err)
{
	e3_value map, key;
	if (e3_value_next(c, &map))
		return e3_fail(err, "damaged");
	if (map.type != E3_V_MAP)
		return wrong("a map", &map, err);
	for (e3_field *f = table; f->type != E3_F_END; f++) {
		f->seen = false;
		if (f->has)
			*f->has = false;
	}
	for (size_t k = 0; k < map.n; k++) {
		if (e3_value_next(c, &key))
			return e3_fail(err, "damaged");
		if (key.type != E3_V_TEXT)
			return e3_fail(err, "a key is %s, expected text", e3_vtype_name(key.type));
		e3_field *f = find(table, &key);
		if (!f) {
			if (e3_value_skip(c))
				return e3_fail(err, "damaged");
			continue;
		}
		if (f->seen)
			return e3_fail(err, "%s: given twice", f->name);
		f->seen = true;
		if (read_field(c, f, err))
			return e3_fail_in(err, "%s", f->name);
	}
	for (const e3_field *f = table; f->type != E3_F_END; f++)
		if (!f->seen && !f->has)
			return e3_fail(err, "%s: missing", f->name);
	return 0;
}
