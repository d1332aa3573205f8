/* e3-dump: a message as a JSON object. */
#include "dump.h"
#include "e3/json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void value(const dump_look *look, e3_cursor *c, e3_json *j);

static void damaged(e3_json *j)
{
	if (!j->rc)
		j->rc = e3_fail(j->err, "damaged");
}

static void raw(e3_json *j, const char *text) { e3_json_raw(j, NULL, text, strlen(text)); }

/* NaN and infinities become text: null would hide which of them it is. */
static void real(e3_json *j, double v, bool single)
{
	char text[32];
	dump_digits(v, single, text);
	if (isfinite(v))
		raw(j, text);
	else
		e3_json_text(j, NULL, text);
}

static void array(const dump_look *look, const e3_array *a, e3_json *j)
{
	dump_range r = dump_measure(a);
	e3_json_object(j, NULL);
	e3_json_text(j, "dtype", e3_array_type_name(a->dtype));
	e3_json_array(j, "shape");
	for (int k = 0; k < a->rank; k++)
		e3_json_int(j, NULL, a->shape[k]);
	e3_json_end(j);
	e3_json_real(j, "min", r.finite ? r.min : NAN, 10);
	e3_json_real(j, "max", r.finite ? r.max : NAN, 10);
	e3_json_real(j, "mean", r.finite ? r.mean : NAN, 9);
	e3_json_int(j, "nonfinite", (int64_t)(a->count - r.finite));
	if (dump_elements(look, a)) {
		e3_json_array(j, "values");
		for (size_t k = 0; k < a->count; k++)
			real(j, e3_array_at(a, k), a->dtype != E3_ARRAY_U32);
		e3_json_end(j);
	}
	e3_json_end(j);
}

/* JSON has only text as keys: any other is shown as the name of its type. */
static void key(e3_cursor *c, e3_json *j)
{
	e3_value v;
	e3_cursor at = *c;
	e3_buf text = {0};
	int rc = e3_value_next(&at, &v) || e3_value_skip(c);
	if (rc)
		damaged(j);
	else if (v.type == E3_V_TEXT)
		rc = e3_buf_add(&text, v.bytes, v.n, j->err);
	else
		rc = e3_buf_printf(&text, j->err, "(%s)", e3_vtype_name(v.type));
	if (rc)
		j->rc = -1;
	else
		e3_json_key(j, text.data);
	e3_buf_release(&text);
}

static void pairs(const dump_look *look, size_t n, e3_cursor *c, e3_json *j)
{
	for (size_t k = 0; k < n && !j->rc; k++) {
		key(c, j);
		value(look, c, j);
	}
}

static void text(const e3_value *v, e3_json *j)
{
	e3_buf copy = {0};
	if (e3_buf_add(&copy, v->bytes, v->n, j->err))
		j->rc = -1;
	else
		e3_json_text(j, NULL, copy.data);
	e3_buf_release(&copy);
}

/* All but lists and maps. */
static void scalar(const e3_value *v, e3_json *j)
{
	char line[48];
	switch (v->type) {
	case E3_V_BOOL:
		e3_json_bool(j, NULL, v->i);
		break;
	case E3_V_INT:
		e3_json_int(j, NULL, v->i);
		break;
	case E3_V_BIG:
		snprintf(line, sizeof line, "%" PRIu64, v->u);
		raw(j, line);
		break;
	case E3_V_REAL:
		real(j, v->x, v->single);
		break;
	case E3_V_TEXT:
		text(v, j);
		break;
	case E3_V_BYTES:
	case E3_V_EXT:
		snprintf(line, sizeof line, "(%zu bytes)", v->n);
		e3_json_text(j, NULL, line);
		break;
	default:
		e3_json_null(j, NULL);
	}
}

/* Recursion is no deeper than a checked body can be: E3_VALUE_DEPTH. */
static void value(const dump_look *look, e3_cursor *c, e3_json *j)
{
	e3_array a;
	e3_value v;
	bool is_array = dump_is_array(*c, &a);
	if (is_array ? e3_value_skip(c) : e3_value_next(c, &v)) {
		damaged(j);
	} else if (is_array) {
		array(look, &a, j);
	} else if (v.type == E3_V_MAP) {
		e3_json_object(j, NULL);
		pairs(look, v.n, c, j);
		e3_json_end(j);
	} else if (v.type == E3_V_LIST) {
		e3_json_array(j, NULL);
		for (size_t k = 0; k < v.n && !j->rc; k++)
			value(look, c, j);
		e3_json_end(j);
	} else {
		scalar(&v, j);
	}
}

/* The pairs of the body stand on the same level as kind and size. */
int dump_json(const dump_look *look, const e3_msg *msg, e3_buf *to, e3_err *err)
{
	e3_cursor c = {msg->bytes + 6, msg->bytes + msg->len};
	e3_value map;
	e3_json j = {.to = to, .err = err};
	e3_json_object(&j, NULL);
	e3_json_text(&j, "kind", e3_kind_name(msg->kind));
	e3_json_int(&j, "bytes", (int64_t)msg->len);
	if (e3_value_next(&c, &map))
		damaged(&j);
	else
		pairs(look, map.n, &c, &j);
	e3_json_end(&j);
	return j.rc ? -1 : e3_buf_add(to, "\n", 1, err);
}
