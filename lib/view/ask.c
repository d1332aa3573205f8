/* view: reading a client's message. Refuses what is no JSON object, and values of another kind than the manual's. */
#include "view/ask.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

static const double most = 0x1p53;

/* A number that JavaScript may have written with a point. `absent`: what a missing or null member means; without it the
 * member is required. */
static int whole(const json_t *from, const char *key, const int64_t *absent, int64_t *to, e3_err *err)
{
	const json_t *v = json_object_get(from, key);
	if (absent && (!v || json_is_null(v))) {
		*to = *absent;
		return 0;
	}
	double x = json_is_number(v) ? json_number_value(v) : NAN;
	if (!(x >= -most && x <= most))
		return e3_fail(err, "'%s' is no number", key);
	*to = (int64_t)x;
	return 0;
}

static int real(const json_t *from, const char *key, double *to, e3_err *err)
{
	const json_t *v = key ? json_object_get(from, key) : from;
	*to = json_is_number(v) ? json_number_value(v) : NAN;
	return isfinite(*to) ? 0 : e3_fail(err, "'%s' is no number", key ? key : "ping");
}

static int number_of_run(const json_t *from, int *to, e3_err *err)
{
	const int64_t first = 0;
	int64_t run;
	if (whole(from, "run", &first, &run, err))
		return -1;
	*to = (int)run;
	return run == 0 || run == 1 ? 0 : e3_fail(err, "'run' is 0 or 1");
}

/* Those that are no frame's number, and those beyond the most, are skipped. */
static int parse_also(const json_t *w, view_ask *out, e3_err *err)
{
	const json_t *also = json_object_get(w, "also");
	if (!also)
		return 0;
	if (!json_is_array(also))
		return e3_fail(err, "'also' is no array");
	for (size_t k = 0; k < json_array_size(also) && out->want.n_also < VIEW_ALSO_MOST; k++) {
		double n = json_number_value(json_array_get(also, k));
		if (json_is_number(json_array_get(also, k)) && n >= 0 && n <= most)
			out->want.also[out->want.n_also++] = (int64_t)n;
	}
	return 0;
}

static int parse_want(const json_t *w, view_ask *out, e3_err *err)
{
	const int64_t none = -1;
	if (!json_is_object(w))
		return e3_fail(err, "'want' is no object");
	out->has_want = true;
	out->want.again = json_is_true(json_object_get(w, "again"));
	if (number_of_run(w, &out->want.run, err) || whole(w, "from", &none, &out->want.from, err) ||
		whole(w, "to", &none, &out->want.to, err) || whole(w, "at", &none, &out->want.at, err) ||
		whole(w, "look", &none, &out->want.look, err) || parse_also(w, out, err))
		return -1;
	out->want.from = out->want.from < 0 ? -1 : out->want.from;
	out->want.to = out->want.to < 0 ? -1 : out->want.to;
	out->want.at = out->want.at < 0 ? -1 : out->want.at;
	out->want.look = out->want.look < 0 ? -1 : out->want.look;
	return 0;
}

static int parse_ack(const json_t *root, view_ask *out, e3_err *err)
{
	int64_t ack;
	if (!json_object_get(root, "ack"))
		return 0;
	if (whole(root, "ack", NULL, &ack, err))
		return -1;
	if (ack < 0 || ack > UINT32_MAX)
		return e3_fail(err, "'ack' is no number of a record");
	out->has_ack = true;
	out->ack = (uint32_t)ack;
	return 0;
}

static int parse_limit(const json_t *root, view_ask *out, e3_err *err)
{
	const json_t *limit = json_object_get(root, "limit");
	if (!limit)
		return 0;
	if (!json_is_object(limit) || whole(limit, "points", NULL, &out->points, err) || out->points < 0)
		return e3_fail(err, "'limit' is no object with a number of points");
	out->has_limit = true;
	return 0;
}

static int parse_painted(const json_t *root, view_ask *out, e3_err *err)
{
	const json_t *p = json_object_get(root, "painted");
	if (!p)
		return 0;
	out->has_painted = true;
	if (!json_is_object(p) || number_of_run(p, &out->painted.run, err) || whole(p, "n", NULL, &out->painted.n, err) ||
		real(p, "clock", &out->painted.clock, err))
		return e3_fail(err, "'painted' is no object with run, n and clock");
	return 0;
}

static int parse_members(const json_t *root, view_ask *out, e3_err *err)
{
	const json_t *want = json_object_get(root, "want"), *ping = json_object_get(root, "ping");
	if (!json_is_object(root))
		return e3_fail(err, "no JSON object");
	if ((want && parse_want(want, out, err)) || parse_ack(root, out, err) || parse_limit(root, out, err) ||
		parse_painted(root, out, err))
		return -1;
	out->has_ping = ping != NULL;
	return ping ? real(ping, NULL, &out->ping, err) : 0;
}

int view_ask_parse(const char *text, size_t len, view_ask *out, e3_err *err)
{
	memset(out, 0, sizeof *out);
	if (len > VIEW_ASK_MAX)
		return e3_fail(err, "longer than %d bytes", VIEW_ASK_MAX);
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!root)
		return e3_fail(err, "no JSON object");
	int rc = parse_members(root, out, err);
	json_decref(root);
	return rc;
}
