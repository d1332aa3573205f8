/* base: checked allocation, resident memory, growing byte strings. */
#include "e3/mem.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool e3_no_memory(const e3_err *err)
{
	return strstr(err->text, "out of memory") || strstr(err->text, "out of device memory");
}

int e3_mul(size_t a, size_t b, size_t *out) { return __builtin_mul_overflow(a, b, out) ? -1 : 0; }

void *e3_alloc(size_t n, size_t size, const char *what, e3_err *err)
{
	size_t bytes;
	void *p = NULL;
	if (e3_mul(n, size, &bytes) || bytes > SIZE_MAX - 64) {
		e3_fail(err, "allocating %s: %zu × %zu bytes: too large", what, n, size);
		return NULL;
	}
	if (posix_memalign(&p, 64, bytes ? bytes : 64)) {
		e3_fail(err, "allocating %s: %zu bytes: out of memory", what, bytes);
		return NULL;
	}
	memset(p, 0, bytes ? bytes : 64);
	return p;
}

int e3_grow(void **p, size_t n, size_t size, const char *what, e3_err *err)
{
	size_t bytes;
	if (e3_mul(n, size, &bytes))
		return e3_fail(err, "allocating %s: %zu × %zu bytes: too large", what, n, size);
	void *q = realloc(*p, bytes ? bytes : 1);
	if (!q)
		return e3_fail(err, "allocating %s: %zu bytes: out of memory", what, bytes);
	*p = q;
	return 0;
}

uint64_t e3_rss_now(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t e3_rss_peak(void)
{
	struct rusage u;
	return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

static int buf_room(e3_buf *b, size_t n, e3_err *err)
{
	if (n > SIZE_MAX / 2 - b->len - 1)
		return e3_fail(err, "growing text: too large");
	if (b->len + n + 1 <= b->cap)
		return 0;
	size_t cap = b->cap ? b->cap : 256;
	while (cap < b->len + n + 1)
		cap *= 2;
	if (e3_grow((void **)&b->data, cap, 1, "text", err))
		return -1;
	b->cap = cap;
	return 0;
}

int e3_buf_add(e3_buf *b, const void *bytes, size_t n, e3_err *err)
{
	if (buf_room(b, n, err))
		return -1;
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = 0;
	return 0;
}

int e3_buf_printf(e3_buf *b, e3_err *err, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	int rc = n < 0 ? e3_fail(err, "formatting text: failed") : buf_room(b, (size_t)n, err);
	if (!rc) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return rc;
}

size_t e3_utf8_length(const void *text, size_t left)
{
	const unsigned char *s = text;
	if (s[0] < 0x80)
		return 1;
	size_t n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
	if (n == 0 || n > left)
		return 0;
	for (size_t k = 1; k < n; k++)
		if ((s[k] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

int e3_buf_json(e3_buf *b, const char *text, e3_err *err)
{
	int rc = e3_buf_add(b, "\"", 1, err);
	const unsigned char *s = (const unsigned char *)text, *end = s + strlen(text);
	while (!rc && s < end) {
		size_t n = e3_utf8_length(s, (size_t)(end - s));
		if (n == 0)
			rc = e3_buf_add(b, "\xef\xbf\xbd", 3, err), n = 1;
		else if (*s == '"' || *s == '\\')
			rc = e3_buf_printf(b, err, "\\%c", *s);
		else if (*s < 0x20)
			rc = e3_buf_printf(b, err, "\\u%04x", *s);
		else
			rc = e3_buf_add(b, s, n, err);
		s += n;
	}
	return rc ? rc : e3_buf_add(b, "\"", 1, err);
}

void e3_buf_release(e3_buf *b)
{
	free(b->data);
	*b = (e3_buf){0};
}
