/* view: rows in a temporary file. Owns the file. */
#include "view/rows.h"
#include "e3/io.h"
#include <errno.h>
#include <unistd.h>

int view_rows_open(view_rows *r, size_t size, e3_err *err)
{
	*r = (view_rows){.f = e3_spool(err), .size = size};
	return r->f ? 0 : -1;
}

/* pread and pwrite: no place in the file is shared between threads. */
int view_rows_add(view_rows *r, const void *row, e3_err *err)
{
	size_t done = 0;
	off_t at = (off_t)r->n * (off_t)r->size;
	while (done < r->size) {
		ssize_t k = pwrite(fileno(r->f), (const char *)row + done, r->size - done, at + (off_t)done);
		if (k < 0 && errno != EINTR)
			return e3_fail_sys(err, "writing a temporary file");
		done += k > 0 ? (size_t)k : 0;
	}
	r->n++;
	return 0;
}

int view_rows_get(const view_rows *r, int64_t k, void *row, e3_err *err)
{
	size_t done = 0;
	off_t at = (off_t)k * (off_t)r->size;
	while (done < r->size) {
		ssize_t n = pread(fileno(r->f), (char *)row + done, r->size - done, at + (off_t)done);
		if (n == 0)
			return e3_fail(err, "reading a temporary file: it is shorter than what was written");
		if (n < 0 && errno != EINTR)
			return e3_fail_sys(err, "reading a temporary file");
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

void view_rows_close(view_rows *r)
{
	if (r->f)
		fclose(r->f);
	*r = (view_rows){0};
}
