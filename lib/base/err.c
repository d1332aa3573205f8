/* base: building error texts. Owns their form: "context: object: reason", one line without control characters. */
#include "e3/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void e3_text_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

static int fail(e3_err *err, int code, const char *fmt, va_list args)
{
	if (!err)
		return -1;
	int n = vsnprintf(err->text, sizeof err->text, fmt, args);
	if (code && n >= 0 && (size_t)n < sizeof err->text)
		snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror(code));
	e3_text_clean(err->text);
	return -1;
}

int e3_fail(e3_err *err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fail(err, 0, fmt, args);
	va_end(args);
	return -1;
}

int e3_fail_sys(e3_err *err, const char *fmt, ...)
{
	int code = errno;
	va_list args;
	va_start(args, fmt);
	fail(err, code, fmt, args);
	va_end(args);
	return -1;
}

int e3_fail_in(e3_err *err, const char *fmt, ...)
{
	if (!err)
		return -1;
	e3_err inner = *err;
	va_list args;
	va_start(args, fmt);
	fail(err, 0, fmt, args);
	va_end(args);
	size_t n = strlen(err->text);
	snprintf(err->text + n, sizeof err->text - n, ": %.*s", (int)sizeof inner.text - 1, inner.text);
	return -1;
}

/* `at` is in the text; what does not fit is cut off. */
static void replace(e3_err *err, char *at, const e3_err_name *by)
{
	size_t room = sizeof err->text - (size_t)(at - err->text), n = strlen(by->name);
	e3_err rest;
	snprintf(rest.text, sizeof rest.text, "%s", at + strlen(by->setting));
	if (n < room)
		snprintf(at, room, "%s%s", by->name, rest.text);
}

void e3_err_rename(e3_err *err, const e3_err_name *table)
{
	for (const e3_err_name *by = table; err && by->setting; by++)
		for (char *at = err->text; (at = strstr(at, by->setting)); at++)
			replace(err, at, by);
}

static void (*listener)(e3_tell_level, const char *);

void e3_tell_to(void (*to)(e3_tell_level level, const char *text)) { listener = to; }

void e3_tell(e3_tell_level level, const char *fmt, ...)
{
	char text[1024];
	if (!listener)
		return;
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	e3_text_clean(text);
	listener(level, text);
}
