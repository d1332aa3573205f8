/* place: known poses and positions from text. Refuses what is not a number, not finite, or too far away for single
 * precision, naming the line. */
#include "e3/known.h"
#include "e3/geom.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/what.h"
#include "known_columns.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 1 << 24, COLUMNS_MOST = 8 };

/* Seconds: positions farther apart in time say nothing of what is between them. */
static const double between_most = 2;

void e3_known_release(e3_known *k)
{
	free(k->row);
	*k = (e3_known){.row = NULL};
}

/* --- lines --- */

typedef struct line {
	const char *at, *end; /* of the text that is left */
	int64_t number;
	double v[COLUMNS_MOST];
	int n; /* on the line, perhaps more than are kept */
	const known_columns *columns;
} line;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == ',' || c == '\r'; }

static int read_number(line *l, e3_err *err)
{
	const char *from = l->at;
	double v;
	while (l->at < l->end && !is_blank(*l->at) && *l->at != '\n' && *l->at != '#')
		l->at++;
	if (known_number(from, (size_t)(l->at - from), false, &v, err))
		return e3_fail_in(err, "line %" PRId64, l->number);
	if (l->n < COLUMNS_MOST)
		l->v[l->n] = v;
	l->n++;
	return 0;
}

/* The numbers of the next line, perhaps none. 1, 0 at the end of the text, -1. */
static int next_line(line *l, e3_err *err)
{
	l->n = 0;
	if (l->at >= l->end)
		return 0;
	l->number++;
	if (l->columns->named) {
		const char *stop = memchr(l->at, '\n', (size_t)(l->end - l->at)), *end = stop ? stop : l->end;
		int rc =
			known_columns_read(l->columns, l->at, end > l->at && end[-1] == '\r' ? end - 1 : end, l->v, &l->n, err);
		l->at = stop ? stop + 1 : l->end;
		return rc ? e3_fail_in(err, "line %" PRId64, l->number) : 1;
	}
	while (l->at < l->end && *l->at != '\n')
		if (*l->at == '#')
			while (l->at < l->end && *l->at != '\n')
				l->at++;
		else if (is_blank(*l->at))
			l->at++;
		else if (read_number(l, err))
			return -1;
	l->at += l->at < l->end;
	return 1;
}

/* --- places on the Earth (WGS 84) --- */

static const double degree = 0.017453292519943295;

static void earth_centred(const double place[3], double out[3])
{
	const double a = 6378137, f = 1 / 298.257223563, e2 = f * (2 - f);
	double lat = place[0] * degree, lon = place[1] * degree, n = a / sqrt(1 - e2 * sin(lat) * sin(lat));
	out[0] = (n + place[2]) * cos(lat) * cos(lon);
	out[1] = (n + place[2]) * cos(lat) * sin(lon);
	out[2] = (n * (1 - e2) + place[2]) * sin(lat);
}

/* Metres east, north and up of the origin. */
static void local(const double origin[3], const double place[3], double out[3])
{
	double zero[3], x[3], lat = origin[0] * degree, lon = origin[1] * degree;
	earth_centred(origin, zero), earth_centred(place, x);
	for (int k = 0; k < 3; k++)
		x[k] -= zero[k];
	out[0] = -sin(lon) * x[0] + cos(lon) * x[1];
	out[1] = -sin(lat) * cos(lon) * x[0] - sin(lat) * sin(lon) * x[1] + cos(lat) * x[2];
	out[2] = cos(lat) * cos(lon) * x[0] + cos(lat) * sin(lon) * x[1] + sin(lat) * x[2];
}

/* --- rows --- */

static int add(e3_known *k, const e3_known_row *row, e3_err *err)
{
	if (k->n == k->room) {
		size_t more = k->room ? 2 * k->room : 64;
		if (more > ROWS_MOST)
			return e3_fail(err, "more than %d lines", ROWS_MOST);
		if (e3_grow((void **)&k->row, more, sizeof *k->row, "known positions", err))
			return -1;
		k->room = more;
	}
	k->row[k->n++] = *row;
	return 0;
}

static int add_place(e3_known *k, const line *l, double at[3], e3_err *err)
{
	memcpy(at, l->v + 1, 3 * sizeof *at);
	if (k->format != E3_KNOWN_GEODETIC)
		return 0;
	if (fabs(at[0]) > 90 || fabs(at[1]) > 360)
		return e3_fail(err, "line %" PRId64 ": latitude %g, longitude %g: expected degrees, latitude first", l->number,
			at[0], at[1]);
	if (k->n == 0)
		memcpy(k->origin, at, sizeof k->origin);
	double place[3] = {at[0], at[1], at[2]};
	local(k->origin, place, at);
	return 0;
}

static int take(e3_known *k, const line *l, const e3_known_reading *how, e3_err *err)
{
	bool poses = k->format == E3_KNOWN_POSES;
	e3_known_row row = {.time = l->v[0] + how->offset, .sigma = !poses && l->n == 5 ? l->v[4] : how->sigma};
	double r[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, at[3];
	bool positions = k->format == E3_KNOWN_POSITIONS; /* also those of poses */
	if (poses ? l->n != 8 : l->n != 4 && l->n != 5 && !(positions && l->n == 8))
		return e3_fail(err, "line %" PRId64 ": %d number%s: expected %s%s", l->number, l->n, l->n == 1 ? "" : "s",
			poses ? "8: time, x y z, qx qy qz qw" : "4 or 5: time, position, standard deviation; or 8, of poses",
			known_count_hint(l->n));
	if (poses && e3_quat_to_mat(l->v + 4, r))
		return e3_fail(err, "line %" PRId64 ": the quaternion has length 0", l->number);
	if (!(row.sigma > 0))
		return e3_fail(err, "line %" PRId64 ": standard deviation %g: expected more than 0", l->number, row.sigma);
	if (add_place(k, l, at, err))
		return -1;
	for (int axis = 0; axis < 3; axis++) {
		if (fabs(at[axis]) > E3_KNOWN_FARTHEST)
			return e3_fail(err,
				"line %" PRId64
				": coordinate %.9g: expected at most %g: predictions have single precision; subtract an "
				"origin",
				l->number, at[axis], E3_KNOWN_FARTHEST);
		memcpy(row.pose + 4 * axis, r + 3 * axis, 3 * sizeof *r);
		row.pose[4 * axis + 3] = at[axis];
	}
	return add(k, &row, err);
}

static int by_time(const void *a, const void *b)
{
	double x = ((const e3_known_row *)a)->time, y = ((const e3_known_row *)b)->time;
	return (x > y) - (x < y);
}

/* What the file is: as its columns are named, or as the format says. Poses may be taken as positions. */
static int find_columns(const char *text, size_t n, const e3_known_reading *how, known_columns *c, e3_err *err)
{
	e3_err other;
	if (how->format == E3_KNOWN_DETECT)
		return known_columns_find(text, n, c, err);
	if (known_columns_find(text, n, c, &other) || !c->named) {
		*c = (known_columns){.format = how->format, .z_up = how->format == E3_KNOWN_GEODETIC};
		return 0;
	}
	if ((how->format == E3_KNOWN_GEODETIC) != (c->format == E3_KNOWN_GEODETIC))
		return e3_fail(err, "line %" PRId64 ": names %s", c->before,
			how->format == E3_KNOWN_GEODETIC ? "x, y, z: expected latitude and longitude"
											 : "latitude and longitude: expected x, y, z");
	if (how->format == E3_KNOWN_POSES && c->format != E3_KNOWN_POSES)
		return e3_fail(err, "line %" PRId64 ": names positions alone: expected qx, qy, qz, qw too", c->before);
	c->format = how->format;
	return 0;
}

bool e3_known_named(const char *text, size_t n)
{
	known_columns c;
	return known_columns_find(text, n, &c, NULL) == 0 && c.named;
}

/* Of a file in which no line could be read: another program's is named. */
static int explain(const char *text, size_t n, e3_err *err)
{
	e3_what what = e3_what_bytes((const uint8_t *)text, n < E3_WHAT_BYTES ? n : E3_WHAT_BYTES);
	if (what.name && (strcmp(what.name, "text") == 0 || what.kind == E3_WHAT_EMPTY))
		return -1;
	if (!what.name && n < 4) /* so little says nothing */
		return -1;
	return e3_fail(err, "this is %s: expected lines of numbers: time x y z qx qy qz qw, or time x y z",
		what.name ? what.name : "no text");
}

int e3_known_decode(const char *text, size_t n, const char *name, const e3_known_reading *how, e3_known *out,
	e3_err *err)
{
	line l = {.at = text, .end = text + n};
	known_columns columns;
	int more, rc = find_columns(text, n, how, &columns, err);
	*out = (e3_known){.format = columns.format, .z_up = columns.z_up};
	if (!columns.begin && n >= 3 &&
		memcmp(text, "\xef\xbb\xbf", 3) == 0) /* which some programs put before a text in UTF-8 */
		l.at += 3;
	else
		l.at += columns.begin;
	l.columns = &columns, l.number = columns.named ? columns.before : 0;
	while (!rc && (more = next_line(&l, err)) != 0)
		rc = more < 0 || (l.n > 0 && take(out, &l, how, err)) ? -1 : 0;
	if (!rc && out->n == 0)
		rc = e3_fail(err, "holds no line of numbers");
	if (rc) {
		if (out->n == 0)
			explain(text, n, err);
		e3_known_release(out);
		return e3_fail_in(err, "reading: %s", name);
	}
	qsort(out->row, out->n, sizeof *out->row, by_time);
	return 0;
}

int e3_known_load(const char *path, const e3_known_reading *how, e3_known *out, e3_err *err)
{
	e3_map map;
	*out = (e3_known){.format = how->format};
	if (e3_map_open(&map, path, err))
		return -1;
	int rc = e3_known_decode((const char *)map.data, map.size, path, how, out, err);
	e3_map_close(&map);
	return rc;
}

/* The rows around a time, NULL where there is none. */
static void around(const e3_known *k, double time, const e3_known_row **before, const e3_known_row **after)
{
	size_t from = 0, to = k->n; /* the first row after `time` is at `to` */
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (k->row[middle].time <= time)
			from = middle + 1;
		else
			to = middle;
	}
	*before = to > 0 ? &k->row[to - 1] : NULL, *after = to < k->n ? &k->row[to] : NULL;
}

static bool nearest_of(const e3_known_row *before, const e3_known_row *after, double time, double gap,
	e3_known_row *out)
{
	const e3_known_row *nearest = !after || (before && time - before->time <= after->time - time) ? before : after;
	if (!nearest || fabs(nearest->time - time) > gap)
		return false;
	*out = *nearest;
	return true;
}

/* The position at `part` of the way. */
static void on_the_line(const e3_known_row *a, const e3_known_row *b, double part, e3_known_row *out)
{
	*out = *a;
	for (int axis = 3; axis < 12; axis += 4)
		out->pose[axis] += part * (b->pose[axis] - a->pose[axis]);
	out->sigma = fmax(a->sigma, b->sigma), out->time = a->time + part * (b->time - a->time);
}

bool e3_known_at(const e3_known *k, double time, double gap, e3_known_row *out)
{
	const e3_known_row *before, *after;
	around(k, time, &before, &after);
	if (k->format == E3_KNOWN_POSES || !before || !after || after->time - before->time > between_most)
		return nearest_of(before, after, time, gap, out);
	on_the_line(before, after, (time - before->time) / (after->time - before->time), out);
	out->time = time;
	return true;
}

static void rotation_of(const e3_known_row *row, double r[9])
{
	for (int axis = 0; axis < 3; axis++)
		memcpy(r + 3 * axis, row->pose + 4 * axis, 3 * sizeof *r);
}

/* The rotation at `part` of the way from a to b: about the axis between them. */
static void turn_between(const e3_known_row *a, const e3_known_row *b, double part, double pose[12])
{
	double ra[9], rb[9], p[4], q[4], dot = 0, r[9];
	rotation_of(a, ra), rotation_of(b, rb);
	if (e3_mat_to_quat(ra, p) || e3_mat_to_quat(rb, q))
		return;
	for (int k = 0; k < 4; k++)
		dot += p[k] * q[k];
	double angle = acos(fmin(1, fabs(dot))), u = 1 - part, v = part;
	if (angle > 1e-6)
		u = sin((1 - part) * angle) / sin(angle), v = sin(part * angle) / sin(angle);
	for (int k = 0; k < 4; k++)
		q[k] = u * p[k] + (dot < 0 ? -v : v) * q[k];
	if (!e3_quat_to_mat(q, r))
		for (int axis = 0; axis < 3; axis++)
			memcpy(pose + 4 * axis, r + 3 * axis, 3 * sizeof *r);
}

bool e3_known_between(const e3_known *k, double time, double gap, e3_known_row *out)
{
	const e3_known_row *before, *after;
	if (k->format != E3_KNOWN_POSES)
		return e3_known_at(k, time, gap, out);
	around(k, time, &before, &after);
	if (!before || !after || after->time - before->time > between_most)
		return nearest_of(before, after, time, gap, out);
	double part = (time - before->time) / (after->time - before->time);
	on_the_line(before, after, part, out);
	turn_between(before, after, part, out->pose);
	out->time = time;
	return true;
}
