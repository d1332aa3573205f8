/* e3-dump: what is in a stream: a line or a JSON object for every message, with the range of every array.
 *
 * It walks the msgpack values themselves, so fields it does not know are shown too; a damaged stream is shown up to the
 * damage. */
#include "e3/mem.h"
#include "e3/opt.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include "e3/value.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SMALL = 64, /* --arrays prints the values of arrays of up to so many elements */
	TEXT = 256  /* text is shown up to here, unless --full */
};

typedef struct dump {
	e3_stage stage;
	bool json, arrays, full;
	e3_buf line;
	int64_t messages;
} dump;

static int show_value(dump *d, e3_cursor *c, e3_err *err);

/* Range of an array's finite elements. */
typedef struct range {
	double min, max, mean;
	size_t finite;
} range;

static range measure(const e3_array *a)
{
	range r = {INFINITY, -INFINITY, 0, 0};
	for (size_t k = 0; k < a->count; k++) {
		double v = e3_array_at(a, k);
		if (!isfinite(v))
			continue;
		r.min = v < r.min ? v : r.min, r.max = v > r.max ? v : r.max;
		r.mean += v, r.finite++;
	}
	r.mean /= (double)(r.finite ? r.finite : 1);
	return r;
}

/* The shortest digits that read back as the same number: floats need at most 9, doubles 17. JSON has no NaN and no
 * infinity: they become text. */
static int show_real(dump *d, double v, bool single, e3_err *err)
{
	char text[32];
	int most = single ? 9 : 17;
	if (!isfinite(v)) {
		const char *name = isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
		return e3_buf_printf(&d->line, err, d->json ? "\"%s\"" : "%s", name);
	}
	for (int digits = 6; digits <= most; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
			break;
	}
	return e3_buf_printf(&d->line, err, "%s", text);
}

static int show_elements(dump *d, const e3_array *a, e3_err *err)
{
	int rc = e3_buf_add(&d->line, "[", 1, err);
	for (size_t k = 0; !rc && k < a->count; k++) {
		rc = k && e3_buf_add(&d->line, ",", 1, err) ? -1 : 0;
		if (!rc)
			rc = show_real(d, e3_array_at(a, k), a->dtype != E3_ARRAY_U32, err);
	}
	return rc ? rc : e3_buf_add(&d->line, "]", 1, err);
}

static int show_shape(dump *d, const e3_array *a, char between, e3_err *err)
{
	for (int k = 0; k < a->rank; k++)
		if ((k && e3_buf_add(&d->line, &between, 1, err)) || e3_buf_printf(&d->line, err, "%" PRIu32, a->shape[k]))
			return -1;
	return 0;
}

static int array_json(dump *d, const e3_array *a, bool elements, e3_err *err)
{
	range r = measure(a);
	if (e3_buf_printf(&d->line, err, "{\"dtype\":\"%s\",\"shape\":[", e3_array_type_name(a->dtype)) ||
		show_shape(d, a, ',', err))
		return -1;
	if (r.finite == 0 && e3_buf_printf(&d->line, err, "],\"min\":null,\"max\":null,\"mean\":null"))
		return -1;
	if (r.finite && e3_buf_printf(&d->line, err, "],\"min\":%.10g,\"max\":%.10g,\"mean\":%.9g", r.min, r.max, r.mean))
		return -1;
	if (e3_buf_printf(&d->line, err, ",\"nonfinite\":%zu", a->count - r.finite))
		return -1;
	if (elements && (e3_buf_printf(&d->line, err, ",\"values\":") || show_elements(d, a, err)))
		return -1;
	return e3_buf_add(&d->line, "}", 1, err);
}

static int array_text(dump *d, const e3_array *a, bool elements, e3_err *err)
{
	range r = measure(a);
	if (e3_buf_printf(&d->line, err, "%s[", e3_array_type_name(a->dtype)) || show_shape(d, a, 'x', err) ||
		e3_buf_add(&d->line, "]", 1, err))
		return -1;
	if (elements)
		return show_elements(d, a, err);
	int digits = a->dtype == E3_ARRAY_U32 ? 10 : 4;
	if (r.finite && e3_buf_printf(&d->line, err, "(%.*g..%.*g mean %.4g", digits, r.min, digits, r.max, r.mean))
		return -1;
	if (r.finite < a->count &&
		e3_buf_printf(&d->line, err, "%snon-finite %zu", r.finite ? " " : "(", a->count - r.finite))
		return -1;
	return a->count ? e3_buf_add(&d->line, ")", 1, err) : 0;
}

/* A map with the keys dtype, shape and data, that is sound: the cursor is left where it was. */
static bool is_array(e3_cursor c, e3_array *a)
{
	e3_cursor from = c;
	e3_value map;
	return e3_value_next(&c, &map) == 0 && map.type == E3_V_MAP && map.n == 3 && e3_array_read(&from, a, NULL) == 0;
}

static int show_text(dump *d, const e3_value *v, e3_err *err)
{
	e3_buf text = {0};
	int rc = e3_buf_add(&text, v->bytes, v->n, err);
	if (!rc && d->json) {
		rc = e3_buf_json(&d->line, text.data, err);
	} else if (!rc) {
		e3_text_clean(text.data);
		size_t n = d->full || v->n <= TEXT ? strlen(text.data) : TEXT;
		bool quote = n == 0 || strpbrk(text.data, " =\"");
		rc = e3_buf_printf(&d->line, err, quote ? "\"%.*s\"%s" : "%.*s%s", (int)n, text.data,
			n < strlen(text.data) ? "..." : "");
	}
	e3_buf_release(&text);
	return rc;
}

/* JSON wants text as keys: any other is shown as the name of its type. */
static int show_key(dump *d, e3_cursor *c, e3_err *err)
{
	e3_value key;
	e3_cursor at = *c;
	if (e3_value_next(&at, &key))
		return e3_fail(err, "damaged");
	if (key.type == E3_V_TEXT)
		return show_value(d, c, err);
	if (e3_value_skip(c))
		return e3_fail(err, "damaged");
	return e3_buf_printf(&d->line, err, d->json ? "\"(%s)\"" : "(%s)", e3_vtype_name(key.type));
}

/* n pairs of a map, or members of a list. */
static int show_members(dump *d, e3_cursor *c, size_t n, bool map, e3_err *err)
{
	const char *between = d->json || !map ? "," : " ";
	for (size_t k = 0; k < n; k++) {
		if (k && e3_buf_add(&d->line, between, 1, err))
			return -1;
		if (map && (show_key(d, c, err) || e3_buf_add(&d->line, d->json ? ":" : "=", 1, err)))
			return -1;
		if (show_value(d, c, err))
			return -1;
	}
	return 0;
}

static int show_container(dump *d, e3_cursor *c, const e3_value *v, e3_err *err)
{
	bool map = v->type == E3_V_MAP;
	if (e3_buf_add(&d->line, map ? "{" : "[", 1, err) || show_members(d, c, v->n, map, err))
		return -1;
	return e3_buf_add(&d->line, map ? "}" : "]", 1, err);
}

/* Recursion is no deeper than a checked body can be: E3_VALUE_DEPTH. */
static int show_value(dump *d, e3_cursor *c, e3_err *err)
{
	e3_array a;
	e3_value v;
	if (is_array(*c, &a)) {
		bool elements = d->full || (d->arrays && a.count <= SMALL);
		if (e3_value_skip(c))
			return e3_fail(err, "damaged");
		return d->json ? array_json(d, &a, elements, err) : array_text(d, &a, elements, err);
	}
	if (e3_value_next(c, &v))
		return e3_fail(err, "damaged");
	switch (v.type) {
	case E3_V_NIL:
		return e3_buf_printf(&d->line, err, d->json ? "null" : "nil");
	case E3_V_BOOL:
		return e3_buf_printf(&d->line, err, v.i ? "true" : "false");
	case E3_V_INT:
		return e3_buf_printf(&d->line, err, "%" PRId64, v.i);
	case E3_V_BIG:
		return e3_buf_printf(&d->line, err, "%" PRIu64, v.u);
	case E3_V_REAL:
		return show_real(d, v.x, v.single, err);
	case E3_V_TEXT:
		return show_text(d, &v, err);
	case E3_V_BYTES:
	case E3_V_EXT:
		return e3_buf_printf(&d->line, err, d->json ? "\"(%zu bytes)\"" : "(%zu bytes)", v.n);
	default:
		return show_container(d, c, &v, err);
	}
}

/* The pairs of the body, on the same level as kind and size. */
static int show_body(dump *d, const e3_msg *msg, e3_err *err)
{
	e3_cursor c = {msg->bytes + 6, msg->bytes + msg->len};
	e3_value map;
	if (e3_value_next(&c, &map))
		return e3_fail(err, "damaged");
	if (map.n && e3_buf_add(&d->line, d->json ? "," : " ", 1, err))
		return -1;
	return show_members(d, &c, map.n, true, err);
}

static int show(dump *d, const e3_msg *msg, e3_err *err)
{
	const char *kind = e3_kind_name(msg->kind);
	d->line.len = 0;
	d->messages++;
	int rc = d->json ? e3_buf_printf(&d->line, err, "{\"kind\":\"%s\",\"bytes\":%zu", kind, msg->len)
					 : e3_buf_printf(&d->line, err, "%s bytes=%zu", kind, msg->len);
	if (rc || show_body(d, msg, err) || e3_buf_add(&d->line, d->json ? "}\n" : "\n", d->json ? 2 : 1, err))
		return e3_fail_in(err, "showing message %" PRId64, d->messages);
	if (fwrite(d->line.data, 1, d->line.len, stdout) != d->line.len || fflush(stdout))
		return e3_fail_sys(err, "writing: standard output");
	return 0;
}

static void parse(dump *d, int argc, char **argv)
{
	const e3_opt table[] = {
		E3_OPT_TITLE("Output"),
		E3_OPT_FLAG("json,j", &d->json, "one JSON object a line"),
		E3_OPT_FLAG("arrays,a", &d->arrays, "the values of arrays of up to 64 elements"),
		E3_OPT_FLAG("full", &d->full, "the values of all arrays, and long texts whole"),
		E3_OPT_TITLE("Network"),
		E3_STAGE_ENDPOINT_ROWS(d->stage),
		E3_OPT_END,
	};
	const e3_opts opts = {
		"e3-dump",
		"[options] [INPUT]",
		"Show what is in an e3 stream, a line for every message.",
		table,
		"INPUT: -, a path, or zmq:pull:ADDR with ADDR tcp://host:port or ipc://path.\n",
	};
	int at = e3_opts_parse(&opts, argc, argv);
	if (at < argc)
		d->stage.input = argv[at++];
	if (at < argc)
		e3_usage_error("too many operands: %s; e3-dump reads one stream", argv[at]);
}

static int loop(dump *d, e3_err *err)
{
	e3_msg msg;
	int more;
	while ((more = e3_stage_next(&d->stage, &msg, err)) > 0)
		if (show(d, &msg, err))
			return -1;
	/* An abort is a message too: shown, then reported. */
	e3_err failed = {""};
	if (e3_in_abort(d->stage.in) && show(d, &msg, &failed))
		*err = failed;
	return more;
}

int main(int argc, char **argv)
{
	dump d = {.stage = E3_STAGE_INIT};
	e3_err err = {""};
	e3_tool_init("e3-dump");
	parse(&d, argc, argv);
	int rc = e3_stage_open_input(&d.stage, &err) || loop(&d, &err) ? -1 : 0;
	rc = e3_stage_finish(&d.stage, rc, &err);
	e3_stage_close(&d.stage);
	e3_buf_release(&d.line);
	return e3_tool_exit(rc, &err);
}
