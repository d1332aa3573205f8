/* place: which columns a file of known poses or positions has, and fields of named columns. Refuses names that say
 * nothing of a place, and fields that are missing or no number. */
#include "known_columns.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the columns are called, in small letters; p_RS_R and q_RS are those of EuRoC. */
static const struct {
	int column;
	const char *names;
} names[] = {
	{KNOWN_TIME, "|time|timestamp|t|seconds|sec|utc|gps_time|gpstime|"},
	{KNOWN_X, "|x|tx|px|pos_x|position_x|p_rs_r_x|east|easting|e|lat|latitude|"},
	{KNOWN_Y, "|y|ty|py|pos_y|position_y|p_rs_r_y|north|northing|n|lon|long|lng|longitude|"},
	{KNOWN_Z, "|z|tz|pz|pos_z|position_z|p_rs_r_z|up|u|alt|altitude|ele|elevation|height|"},
	{KNOWN_QX, "|qx|q_x|q_rs_x|"},
	{KNOWN_QY, "|qy|q_y|q_rs_y|"},
	{KNOWN_QZ, "|qz|q_z|q_rs_z|"},
	{KNOWN_QW, "|qw|q_w|q_rs_w|"},
	{KNOWN_SIGMA, "|sigma|accuracy|"},
};

/* --- numbers --- */

static int digits(const char **at, const char *end, int n)
{
	int v = 0;
	for (int k = 0; k < n; k++, (*at)++) {
		if (*at == end || **at < '0' || **at > '9')
			return -1;
		v = 10 * v + (**at - '0');
	}
	return v;
}

static bool skip(const char **at, const char *end, const char *any)
{
	bool there = *at < end && strchr(any, **at);
	*at += there;
	return there;
}

/* YYYY-MM-DDThh:mm:ss[.sss][Z] */
static bool iso_time(const char *at, const char *end, double *v)
{
	int year = digits(&at, end, 4), month = skip(&at, end, "-") ? digits(&at, end, 2) : -1;
	int day = skip(&at, end, "-") ? digits(&at, end, 2) : -1, hour = skip(&at, end, "T ") ? digits(&at, end, 2) : -1;
	int minute = skip(&at, end, ":") ? digits(&at, end, 2) : -1,
		second = skip(&at, end, ":") ? digits(&at, end, 2) : -1;
	double part = 0, weight = 0.1;
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || minute < 0 || second < 0)
		return false;
	if (skip(&at, end, "."))
		for (int d; at < end && (d = digits(&at, end, 1)) >= 0; weight /= 10)
			part += d * weight;
	skip(&at, end, "Z");
	if (at != end)
		return false;
	/* days since 1970, in years that begin in March */
	int y = year - (month <= 2), era = y / 400, of = y - 400 * era, m = (month + 9) % 12;
	int64_t days = (int64_t)era * 146097 + of * 365 + of / 4 - of / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
	*v = (double)(days * 86400 + hour * 3600 + minute * 60 + second) + part;
	return true;
}

int known_number(const char *at, size_t n, bool time, double *v, e3_err *err)
{
	char word[64], *stop;
	if (time && iso_time(at, at + n, v))
		return 0;
	size_t len = n < sizeof word ? n : sizeof word - 1;
	memcpy(word, at, len);
	word[len] = 0;
	*v = strtod(word, &stop);
	if (n >= sizeof word || stop == word || stop != word + n || strpbrk(word, "xXpP(") || !isfinite(*v))
		return e3_fail(err, "'%.40s' is not a finite number", word);
	return 0;
}

/* --- fields --- */

/* strchr would find a NUL too. */
static bool is_one_of(char c, const char *set) { return c && strchr(set, c); }

/* The next field, without blanks and quotes around it: false at the end. */
static bool next_field(const char **at, const char *end, char separator, const char **field, size_t *n)
{
	if (separator == ' ')
		while (*at < end && (**at == ' ' || **at == '\t'))
			(*at)++;
	if (*at >= end)
		return false;
	const char *from = *at, *to = from;
	while (to < end && !(separator == ' ' ? *to == ' ' || *to == '\t' : *to == separator))
		to++;
	*at = to + 1;
	while (from < to && is_one_of(*from, " \t\"'"))
		from++;
	while (to > from && is_one_of(to[-1], " \t\"'"))
		to--;
	*field = from, *n = (size_t)(to - from);
	return true;
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* "Latitude [deg]" is "|latitude|". */
static void simplify(const char *field, size_t n, char *name, size_t room)
{
	size_t len = 0;
	name[len++] = '|';
	for (size_t k = 0; k < n && len + 2 < room; k++) {
		if (!is_letter(field[k]) && field[k] != '_')
			break;
		name[len++] = (char)(field[k] >= 'A' && field[k] <= 'Z' ? field[k] - 'A' + 'a' : field[k]);
	}
	name[len++] = '|', name[len] = 0;
}

/* The unit in brackets behind the name of a column of times, as in "timestamp [ns]". */
static double unit_of_time(const char *field, size_t n)
{
	static const struct {
		const char *unit;
		double per_second;
	} units[] = {{"ns]", 1e9}, {"ns)", 1e9}, {"us]", 1e6}, {"us)", 1e6}, {"ms]", 1e3}, {"ms)", 1e3}};
	for (size_t k = 0; k < sizeof units / sizeof *units; k++)
		if (n > 4 && !memcmp(field + n - 3, units[k].unit, 3) && is_one_of(field[n - 4], "[("))
			return units[k].per_second;
	return 1;
}

/* Do the names of this line say what the columns are? */
static bool take_names(const char *at, const char *end, known_columns *c)
{
	static const char separators[] = ",;\t";
	bool degrees[2] = {false, false}, euroc = false;
	c->separator = ' ', c->per_second = 1;
	for (const char *s = separators; *s && c->separator == ' '; s++)
		if (memchr(at, *s, (size_t)(end - at)))
			c->separator = *s;
	for (int k = 0; k < KNOWN_COLUMNS; k++)
		c->field[k] = -1;
	const char *field;
	size_t n;
	for (int f = 0; next_field(&at, end, c->separator, &field, &n); f++) {
		char name[32];
		simplify(field, n, name, sizeof name);
		for (size_t k = 0; k < sizeof names / sizeof *names && name[1] != '|'; k++)
			if (strstr(names[k].names, name) && c->field[names[k].column] < 0) {
				c->field[names[k].column] = f;
				euroc = euroc || strcmp(name, "|p_rs_r_x|") == 0;
				if (names[k].column == KNOWN_TIME)
					c->per_second = unit_of_time(field, n);
				else if (names[k].column == KNOWN_Z)
					c->z_up = strstr("|p_rs_r_z|up|u|alt|altitude|ele|elevation|height|", name);
				else if (names[k].column == KNOWN_X || names[k].column == KNOWN_Y)
					degrees[names[k].column - KNOWN_X] = name[1] == 'l';
			}
	}
	if (c->field[KNOWN_TIME] < 0 || c->field[KNOWN_X] < 0 || c->field[KNOWN_Y] < 0 || degrees[0] != degrees[1])
		return false;
	if (c->field[KNOWN_Z] < 0 && !degrees[0])
		return false;
	int turns = 0;
	for (int k = KNOWN_QX; k <= KNOWN_QW; k++)
		turns += c->field[k] >= 0;
	c->z_up = c->z_up || degrees[0];
	if (euroc && c->per_second == 1) /* some of its files do not say so */
		c->per_second = 1e9;
	c->format = degrees[0] ? E3_KNOWN_GEODETIC : turns == 4 ? E3_KNOWN_POSES : E3_KNOWN_POSITIONS;
	return c->named = true;
}

/* Is the separator of the names in the next line of numbers too? "# time, x, y, z" may stand above numbers between
 * blanks. */
static bool separates(const char *at, const char *end, char separator)
{
	for (const char *stop; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		while (at < stop && is_one_of(*at, " \t\r"))
			at++;
		if (at < stop && *at != '#')
			return memchr(at, separator, (size_t)(stop - at)) != NULL;
	}
	return true;
}

static int count_numbers(const char *at, const char *end)
{
	int n = 0;
	for (bool in = false; at < end && *at != '#'; at++) {
		bool blank = strchr(" \t,\r", *at);
		n += !blank && !in;
		in = !blank;
	}
	return n;
}

const char *known_count_hint(int count) { return count == 12 ? ": 12 are a path of KITTI, which has no times" : ""; }

int known_columns_find(const char *text, size_t n, known_columns *c, e3_err *err)
{
	const char *end = text + n;
	*c = (known_columns){.format = E3_KNOWN_POSITIONS};
	for (const char *at = text, *stop; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		const char *from = at, *to = stop;
		if (at == text && n >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
			from += 3;
		while (to > from && (to[-1] == '\r' || to[-1] == ' '))
			to--;
		while (from < to && (*from == ' ' || *from == '\t'))
			from++;
		c->before++;
		if (from == to)
			continue;
		bool comment = *from == '#', named = comment || is_letter(*from) || *from == '"';
		if (named && take_names(from + comment, to, c) &&
			(!comment || c->format == E3_KNOWN_GEODETIC || c->separator != ' ')) {
			c->begin = stop < end ? (size_t)(stop + 1 - text) : n;
			if (!separates(text + c->begin, end, c->separator))
				c->separator = ' ';
			return 0;
		}
		if (comment)
			continue;
		c->named = c->z_up = false;
		if (named)
			return e3_fail(err,
				"line %lld: '%.*s': expected names of columns: time, lat, lon, alt; or time, x, y, z, and qx, qy, qz, qw "
				"where orientations are known",
				(long long)c->before, (int)(to - from < 60 ? to - from : 60), from);
		int count = count_numbers(from, to);
		if (count != 4 && count != 5 && count != 8)
			return e3_fail(err,
				"line %lld: %d number%s: expected 8 (time, x y z, qx qy qz qw), 4 (time, x y z), or a first line that "
				"names the columns (time,lat,lon,alt)%s",
				(long long)c->before, count, count == 1 ? "" : "s", known_count_hint(count));
		c->format = count == 8 ? E3_KNOWN_POSES : E3_KNOWN_POSITIONS;
		c->before = 0;
		return 0;
	}
	return e3_fail(err, "holds no line of numbers");
}

int known_columns_read(const known_columns *c, const char *at, const char *end, double *v, int *count, e3_err *err)
{
	static const char *const what[] = {"time", "x or latitude", "y or longitude", "z or altitude", "qx", "qy", "qz",
		"qw", "sigma"};
	const char *field;
	size_t n;
	bool found[KNOWN_COLUMNS] = {false}, any = false;
	double value[KNOWN_COLUMNS] = {0};
	for (const char *p = at; p < end && !any; p++)
		any = !is_one_of(*p, " \t\r,;");
	*count = 0;
	if (!any || *at == '#')
		return 0;
	for (int f = 0; next_field(&at, end, c->separator, &field, &n); f++)
		for (int k = 0; k < KNOWN_COLUMNS; k++)
			if (c->field[k] == f && n > 0) {
				if (known_number(field, n, k == KNOWN_TIME, &value[k], err))
					return -1;
				value[k] /= k == KNOWN_TIME ? c->per_second : 1;
				found[k] = true;
			}
	int columns = c->format == E3_KNOWN_POSES ? KNOWN_SIGMA : KNOWN_QX;
	for (int k = 0; k < columns; k++) {
		if (c->field[k] >= 0 && !found[k])
			return e3_fail(err, "%s is missing", what[k]);
		v[(*count)++] = value[k];
	}
	if (c->format != E3_KNOWN_POSES && found[KNOWN_SIGMA])
		v[(*count)++] = value[KNOWN_SIGMA];
	return 0;
}
