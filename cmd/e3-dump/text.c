/* e3-dump: a message as a line of text. */
#include "dump.h"
#include <inttypes.h>
#include <string.h>

enum { TEXT = 256 }; /* text is shown up to here, unless --full */

static int value(const dump_look *look, e3_cursor *c, e3_buf *to, e3_err *err);

static int real(double v, bool single, e3_buf *to, e3_err *err)
{
	char text[32];
	dump_digits(v, single, text);
	return e3_buf_add(to, text, strlen(text), err);
}

static int elements(const e3_array *a, e3_buf *to, e3_err *err)
{
	int rc = e3_buf_add(to, "[", 1, err);
	for (size_t k = 0; !rc && k < a->count; k++) {
		rc = k && e3_buf_add(to, ",", 1, err) ? -1 : 0;
		if (!rc)
			rc = real(e3_array_at(a, k), a->dtype != E3_ARRAY_U32, to, err);
	}
	return rc ? rc : e3_buf_add(to, "]", 1, err);
}

static int array(const dump_look *look, const e3_array *a, e3_buf *to, e3_err *err)
{
	dump_range r = dump_measure(a);
	if (e3_buf_printf(to, err, "%s[", e3_array_type_name(a->dtype)))
		return -1;
	for (int k = 0; k < a->rank; k++)
		if (e3_buf_printf(to, err, "%s%" PRIu32, k ? "x" : "", a->shape[k]))
			return -1;
	if (e3_buf_add(to, "]", 1, err))
		return -1;
	if (dump_elements(look, a))
		return elements(a, to, err);
	int digits = a->dtype == E3_ARRAY_U32 ? 10 : 4;
	if (r.finite && e3_buf_printf(to, err, "(%.*g..%.*g mean %.4g", digits, r.min, digits, r.max, r.mean))
		return -1;
	if (r.finite < a->count && e3_buf_printf(to, err, "%snon-finite %zu", r.finite ? " " : "(", a->count - r.finite))
		return -1;
	return a->count ? e3_buf_add(to, ")", 1, err) : 0;
}

static int text(const dump_look *look, const e3_value *v, e3_buf *to, e3_err *err)
{
	e3_buf copy = {0};
	int rc = e3_buf_add(&copy, v->bytes, v->n, err);
	if (!rc) {
		e3_text_clean(copy.data);
		size_t n = look->full || v->n <= TEXT ? strlen(copy.data) : TEXT;
		bool quote = n == 0 || strpbrk(copy.data, " =\"");
		rc = e3_buf_printf(to, err, quote ? "\"%.*s\"%s" : "%.*s%s", (int)n, copy.data,
			n < strlen(copy.data) ? "..." : "");
	}
	e3_buf_release(&copy);
	return rc;
}

/* Text keys are shown as they are, any other as the name of its type. */
static int key(const dump_look *look, e3_cursor *c, e3_buf *to, e3_err *err)
{
	e3_value v;
	e3_cursor at = *c;
	if (e3_value_next(&at, &v) || e3_value_skip(c))
		return e3_fail(err, "damaged");
	return v.type == E3_V_TEXT ? text(look, &v, to, err) : e3_buf_printf(to, err, "(%s)", e3_vtype_name(v.type));
}

static int pairs(const dump_look *look, size_t n, e3_cursor *c, e3_buf *to, e3_err *err)
{
	for (size_t k = 0; k < n; k++)
		if ((k && e3_buf_add(to, " ", 1, err)) || key(look, c, to, err) || e3_buf_add(to, "=", 1, err) ||
			value(look, c, to, err))
			return -1;
	return 0;
}

static int members(const dump_look *look, size_t n, e3_cursor *c, e3_buf *to, e3_err *err)
{
	for (size_t k = 0; k < n; k++)
		if ((k && e3_buf_add(to, ",", 1, err)) || value(look, c, to, err))
			return -1;
	return 0;
}

/* Recursion is no deeper than a checked body can be: E3_VALUE_DEPTH. */
static int value(const dump_look *look, e3_cursor *c, e3_buf *to, e3_err *err)
{
	e3_array a;
	e3_value v;
	bool is_array = dump_is_array(*c, &a);
	if (is_array ? e3_value_skip(c) : e3_value_next(c, &v))
		return e3_fail(err, "damaged");
	if (is_array)
		return array(look, &a, to, err);
	switch (v.type) {
	case E3_V_NIL:
		return e3_buf_printf(to, err, "nil");
	case E3_V_BOOL:
		return e3_buf_printf(to, err, v.i ? "true" : "false");
	case E3_V_INT:
		return e3_buf_printf(to, err, "%" PRId64, v.i);
	case E3_V_BIG:
		return e3_buf_printf(to, err, "%" PRIu64, v.u);
	case E3_V_REAL:
		return real(v.x, v.single, to, err);
	case E3_V_TEXT:
		return text(look, &v, to, err);
	case E3_V_LIST:
		return e3_buf_add(to, "[", 1, err) || members(look, v.n, c, to, err) || e3_buf_add(to, "]", 1, err) ? -1 : 0;
	case E3_V_MAP:
		return e3_buf_add(to, "{", 1, err) || pairs(look, v.n, c, to, err) || e3_buf_add(to, "}", 1, err) ? -1 : 0;
	default:
		return e3_buf_printf(to, err, "(%zu bytes)", v.n);
	}
}

/* The pairs of the body stand on the same level as kind and size. */
int dump_text(const dump_look *look, const e3_msg *msg, e3_buf *to, e3_err *err)
{
	e3_cursor c = {msg->bytes + 6, msg->bytes + msg->len};
	e3_value map;
	if (e3_buf_printf(to, err, "%s bytes=%zu", e3_kind_name(msg->kind), msg->len))
		return -1;
	if (e3_value_next(&c, &map))
		return e3_fail(err, "damaged");
	if ((map.n && e3_buf_add(to, " ", 1, err)) || pairs(look, map.n, &c, to, err))
		return -1;
	return e3_buf_add(to, "\n", 1, err);
}
