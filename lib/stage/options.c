/* stage: settings of a stream on the command line: parsing, and how error texts name them. */
#include "e3/num.h"
#include "e3/stage.h"
#include <stdio.h>
#include <string.h>

int e3_stage_queue_option(void *to, const char *arg, e3_err *err)
{
	e3_queue_limit *q = to;
	const char *comma = strchr(arg, ',');
	char number[32];
	size_t n = comma ? (size_t)(comma - arg) : strlen(arg);
	if (n >= sizeof number)
		return e3_fail(err, "expected N or N,SIZE, got '%.40s'", arg);
	memcpy(number, arg, n);
	number[n] = 0;
	if (e3_parse_i64(number, 1, 1 << 20, &q->messages, err))
		return -1;
	return comma ? e3_parse_bytes(comma + 1, &q->bytes, err) : 0;
}

/* What lib/wire's texts call a setting, and what sets it. */
static const struct {
	const char *setting, *option;
} names[] = {
	{"'curve_key'", "--curve-key"},
	{"'curve_server'", "--curve-server"},
	{"'curve_allow'", "--curve-allow"},
	{"'insecure'", "--insecure"},
	{"'timeout'", "--timeout"},
	{"'keygen'", "e3-cat --keygen"},
};

/* `at` is in `text`; what does not fit is cut off. */
static void replace(e3_err *err, char *at, const char *old, const char *new)
{
	size_t room = sizeof err->text - (size_t)(at - err->text), n = strlen(new);
	char rest[sizeof err->text];
	memcpy(rest, at + strlen(old), strlen(at) - strlen(old) + 1);
	if (n >= room)
		return;
	memcpy(at, new, n);
	snprintf(at + n, room - n, "%s", rest);
}

void e3_stage_explain(e3_err *err)
{
	for (size_t k = 0; err && k < sizeof names / sizeof *names; k++)
		for (char *at = err->text; (at = strstr(at, names[k].setting)); at++)
			replace(err, at, names[k].setting, names[k].option);
}
