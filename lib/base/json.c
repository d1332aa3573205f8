/* base: writing JSON. */
#include "e3/json.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put(e3_json *j, const char *text, size_t n)
{
	if (!j->rc)
		j->rc = e3_buf_add(j->to, text, n, j->err);
}

static void put_text(e3_json *j, const char *text) { put(j, text, strlen(text)); }

static void put_blank(e3_json *j)
{
	if (j->blank)
		put_text(j, j->blank);
	j->blank = NULL;
}

static void quote(e3_json *j, const char *text)
{
	if (!j->rc)
		j->rc = e3_buf_json(j->to, text, j->err);
}

/* What stands before a value: a comma, white space, its name. */
static void begin(e3_json *j, const char *key)
{
	if (!j->after_key) {
		if (j->comma)
			put_text(j, j->spaced && !j->blank ? ", " : ",");
		put_blank(j);
	}
	if (key) {
		quote(j, key);
		put_text(j, j->spaced ? ": " : ":");
	}
	j->after_key = false, j->comma = true;
}

static void open_level(e3_json *j, const char *key, bool array)
{
	begin(j, key);
	put_text(j, array ? "[" : "{");
	if (!j->rc && j->depth == E3_JSON_DEPTH)
		j->rc = e3_fail(j->err, "writing JSON: nested deeper than %d levels", E3_JSON_DEPTH);
	if (j->rc)
		return;
	uint64_t bit = UINT64_C(1) << j->depth++;
	j->arrays = array ? j->arrays | bit : j->arrays & ~bit;
	j->comma = false;
}

void e3_json_object(e3_json *j, const char *key) { open_level(j, key, false); }

void e3_json_array(e3_json *j, const char *key) { open_level(j, key, true); }

void e3_json_end(e3_json *j)
{
	if (j->rc || j->depth == 0)
		return;
	bool array = j->arrays >> --j->depth & 1;
	put_blank(j);
	put_text(j, array ? "]" : "}");
	j->comma = true;
}

void e3_json_raw(e3_json *j, const char *key, const char *json, size_t n)
{
	begin(j, key);
	put(j, json, n);
}

void e3_json_text(e3_json *j, const char *key, const char *text)
{
	begin(j, key);
	if (text)
		quote(j, text);
	else
		put_text(j, "null");
}

void e3_json_int(e3_json *j, const char *key, int64_t v)
{
	begin(j, key);
	if (!j->rc)
		j->rc = e3_buf_printf(j->to, j->err, "%" PRId64, v);
}

void e3_json_bool(e3_json *j, const char *key, bool v)
{
	begin(j, key);
	put_text(j, v ? "true" : "false");
}

void e3_json_null(e3_json *j, const char *key) { e3_json_text(j, key, NULL); }

void e3_json_real(e3_json *j, const char *key, double v, int digits)
{
	begin(j, key);
	if (!isfinite(v))
		put_text(j, "null");
	else if (!j->rc)
		j->rc = e3_buf_printf(j->to, j->err, "%.*g", digits, v);
}

void e3_json_ints(e3_json *j, const char *key, const int *v, int n)
{
	e3_json_array(j, key);
	for (int k = 0; k < n; k++)
		e3_json_int(j, NULL, v[k]);
	e3_json_end(j);
}

void e3_json_reals(e3_json *j, const char *key, const double *v, int n, int digits)
{
	e3_json_array(j, key);
	for (int k = 0; k < n; k++)
		e3_json_real(j, NULL, v[k], digits);
	e3_json_end(j);
}

void e3_json_key(e3_json *j, const char *key)
{
	begin(j, key);
	j->after_key = true;
}

void e3_json_blank(e3_json *j, const char *blank) { j->blank = blank; }
