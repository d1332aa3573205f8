/* image: pictures one after another on a descriptor (PNM, PNG and JPEG, mixed as they come).
 *
 * Finds where a picture ends. It never waits for bytes beyond that, so that a picture is returned as soon as its last
 * byte has arrived. A stream of the plain kinds P1 to P3 holds one picture, as they are defined. Memory grows with the
 * bytes received, not with what headers promise.
 */
#include "read.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 18 };
#define MAX_PICTURE ((size_t)2 << 30)

/* Each of the next three: 1 and *at = the length of the first picture; 0 and *at = how far it got, when bytes are
 * missing. */
static int png_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	size_t k = *at ? *at : 8;
	while (n >= k && n - k >= 12) {
		size_t next = k + 12 + (size_t)e3_be32(p + k);
		bool end = memcmp(p + k + 4, "IEND", 4) == 0;
		if (end && n >= next) {
			*at = next;
			return 1;
		}
		if (end || next - k > (size_t)1 << 31)
			break;
		k = next;
	}
	if (n > k && n - k >= 4 && e3_be32(p + k) > INT32_MAX)
		return e3_fail(err, "PNG chunk of %u bytes: too large", (unsigned)e3_be32(p + k));
	*at = k;
	return 0;
}

static int jpeg_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	size_t k = *at ? *at : 2;
	for (;;) {
		size_t m = jpeg_marker(p, n, k);
		if (m == n) {
			*at = k > n ? k : n - (n > 0 && p[n - 1] == 0xff); /* the marker may be cut in two */
			return 0;
		}
		if (p[m + 1] == 0xd9) {
			*at = m + 2;
			return 1;
		}
		if (p[m + 1] == 0xd8)
			return e3_fail(err, "truncated: a JPEG begins inside another");
		*at = m;
		if (n - m < 4)
			return 0;
		size_t len = (size_t)p[m + 2] << 8 | p[m + 3];
		if (len < 2)
			return e3_fail(err, "JPEG segment of %zu bytes: too small", len);
		k = m + 2 + len;
		if (k > n)
			return 0;
	}
}

static int pnm_extent(const uint8_t *p, size_t n, size_t *at, e3_err *err)
{
	pnm_header h;
	int rc = pnm_header_read(p, n, &h, err);
	if (rc <= 0)
		return rc;
	size_t total = h.data + h.row * (size_t)h.h;
	if (h.kind <= 3) {
		*at = n;
		return 0;
	}
	if (total > MAX_PICTURE)
		return e3_fail(err, "%d × %d pixels: too large", h.w, h.h);
	*at = total;
	return n >= total;
}

int e3_image_extent(const uint8_t *bytes, size_t n, size_t *at, e3_err *err)
{
	switch (e3_image_sniff(bytes, n)) {
	case E3_IMAGE_PNG:
		return png_extent(bytes, n, at, err);
	case E3_IMAGE_JPEG:
		return jpeg_extent(bytes, n, at, err);
	case E3_IMAGE_PNM:
		return pnm_extent(bytes, n, at, err);
	default:
		return n < 8 ? 0 : e3_fail(err, "not a PNG, JPEG or PNM picture");
	}
}

struct e3_image_stream {
	int fd;
	int (*stop)(void);
	uint8_t *data;
	size_t cap, from, to; /* bytes not yet handed out: data[from, to) */
	uint64_t passed;      /* bytes of the stream before data[0] */
	bool eof;
};

e3_image_stream *e3_image_stream_open(int fd, const void *head, size_t n, int (*stop)(void), e3_err *err)
{
	e3_image_stream *s = e3_alloc(1, sizeof *s, "a picture stream", err);
	if (!s)
		return NULL;
	*s = (e3_image_stream){.fd = fd, .stop = stop, .cap = n > CHUNK ? n : CHUNK};
	if (e3_grow((void **)&s->data, s->cap, 1, "a picture stream", err)) {
		free(s);
		return NULL;
	}
	if (n)
		memcpy(s->data, head, n);
	s->to = n;
	return s;
}

void e3_image_stream_close(e3_image_stream *s)
{
	if (s)
		free(s->data);
	free(s);
}

/* Reads what is available: at least one byte unless the stream ends. */
static int more(e3_image_stream *s, e3_err *err)
{
	if (s->from) {
		memmove(s->data, s->data + s->from, s->to - s->from);
		s->passed += s->from, s->to -= s->from, s->from = 0;
	}
	if (s->cap - s->to < CHUNK) {
		if (s->to > MAX_PICTURE)
			return e3_fail(err, "a picture of more than %zu bytes: too large", MAX_PICTURE);
		if (e3_grow((void **)&s->data, 2 * s->cap, 1, "a picture", err))
			return -1;
		s->cap *= 2;
	}
	for (;;) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		if (poll(&p, 1, s->stop ? 200 : -1) == 0 || (s->stop && s->stop())) {
			if (s->stop && s->stop())
				return e3_fail(err, "interrupted");
			continue;
		}
		ssize_t r = read(s->fd, s->data + s->to, s->cap - s->to);
		if (r < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (r < 0)
			return e3_fail_sys(err, "reading");
		s->to += (size_t)r, s->eof = r == 0;
		return 0;
	}
}

int e3_image_stream_next(e3_image_stream *s, const uint8_t **bytes, size_t *n, e3_err *err)
{
	size_t at = 0;
	for (;;) {
		size_t have = s->to - s->from;
		const uint8_t *p = s->data + s->from;
		int rc = have ? e3_image_extent(p, have, &at, err) : 0;
		if (rc < 0)
			return e3_fail_in(err, "byte %llu", (unsigned long long)(s->passed + s->from));
		if (rc == 0 && s->eof) {
			if (have == 0)
				return 0;
			if (e3_image_sniff(p, have) != E3_IMAGE_PNM || p[1] > '3')
				return e3_fail(err, "byte %llu: truncated: the stream ends inside a picture",
					(unsigned long long)(s->passed + s->from));
			at = have, rc = 1;
		}
		if (rc > 0) {
			*bytes = p, *n = at;
			s->from += at;
			return 1;
		}
		if (more(s, err))
			return -1;
	}
}
