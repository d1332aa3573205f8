/* image: pictures one after another on a descriptor, of all kinds, mixed as they come.
 *
 * It never waits for bytes beyond the end of a picture, so that a picture is returned as soon as its last byte has
 * arrived. A kind that does not state its length (plain PNM, TIFF) is the last one of a stream. What programs and
 * cameras put behind a picture is skipped: padding, the video of a motion photo, a maker's own data; not behind PNM,
 * which has samples and nothing else. Memory grows with the bytes received, not with what headers promise.
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

struct e3_image_stream {
	int fd;
	int (*stop)(void);
	uint8_t *data;
	size_t cap, from, to; /* bytes not yet handed out: data[from, to) */
	uint64_t passed;      /* bytes of the stream before data[0] */
	uint64_t skip;        /* bytes to drop before anything else: the rest of a box of a video */
	uint64_t junk;        /* dropped between pictures, beside padding and videos */
	bool eof;
	bool loose;    /* what follows need not be a picture */
	bool in_video; /* boxes of an mp4 follow */
	bool cut;      /* the stream ended inside the JPEG or PNG handed out last */
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
	if (s && s->junk)
		e3_tell(E3_TELL_NOTE, "%llu bytes between pictures were skipped: they are none", (unsigned long long)s->junk);
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

/* Drops what is in the buffer of s->skip: whether all of it is gone. */
static bool drop(e3_image_stream *s)
{
	uint64_t have = s->to - s->from, now = s->skip < have ? s->skip : have;
	s->from += (size_t)now, s->skip -= now;
	if (s->eof)
		s->skip = 0;
	return s->skip == 0;
}

/* The size of the box of an mp4 at p, of which 16 bytes are there; 0: none. */
static uint64_t box_size(const uint8_t *p, bool first)
{
	static const char types[][5] = {"moov", "mdat", "free", "skip", "wide", "moof", "uuid", "meta", "mfra", "sidx",
		"udta", "styp", "mpvd"};
	bool known = memcmp(p + 4, "ftyp", 4) == 0;
	for (size_t k = 0; !first && k < sizeof types / sizeof *types; k++)
		known = known || memcmp(p + 4, types[k], 4) == 0;
	uint64_t size = e3_be32(p);
	if (size == 1)
		size = (uint64_t)e3_be32(p + 8) << 32 | e3_be32(p + 12);
	else if (size == 0)
		size = UINT64_MAX; /* to the end of the stream */
	return known && size >= 8 ? size : 0;
}

/* How many bytes lie before the next JPEG, PNG or mp4 in what is neither. */
static size_t junk_length(const uint8_t *p, size_t n, bool eof)
{
	for (size_t k = 1; k + 8 <= n; k++)
		if (memcmp(p + k, "\xff\xd8\xff", 3) == 0 || memcmp(p + k, "\x89PNG\r\n\x1a\n", 8) == 0 ||
			memcmp(p + k + 4, "ftyp", 4) == 0)
			return k;
	return eof ? n : n > 8 ? n - 7 : 0;
}

/* Padding before whatever follows; the zeros that begin the size of a box are not part of it. */
static size_t zeros(const uint8_t *p, size_t n)
{
	size_t k = 0;
	while (k < n && p[k] == 0)
		k++;
	return k >= 3 && n - k > 4 && memcmp(p + k + 1, "ftyp", 4) == 0 ? k - 3 : k;
}

/* Passes over what follows a picture: true when a picture or the end is there, false when bytes are missing. */
static bool pass_gap(e3_image_stream *s)
{
	enum { SEEN = 32 }; /* enough to know what something is */
	while (drop(s)) {
		const uint8_t *p = s->data + s->from;
		size_t n = s->to - s->from, pad = s->in_video ? 0 : zeros(p, n);
		if (n == 0)
			return s->eof;
		if (n - pad < SEEN && !s->eof) {
			s->skip = pad > 3 ? pad - 3 : 0;
			return drop(s), false;
		}
		if (e3_image_sniff(p + pad, n - pad) != E3_IMAGE_NONE) {
			s->from += pad, s->loose = s->in_video = false;
			return true;
		}
		uint64_t box = n - pad >= 16 ? box_size(p + pad, !s->in_video) : 0;
		size_t junk = box || pad == n ? 0 : junk_length(p + pad, n - pad, s->eof);
		s->in_video = box > 0;
		s->junk += junk;
		s->skip = pad + junk;
		s->skip = box > UINT64_MAX - s->skip ? UINT64_MAX : s->skip + box;
	}
	return false;
}

/* At the end of the stream: whether the bytes that are left make a picture, perhaps without its end. */
static bool last_is_whole(e3_image_stream *s, const uint8_t *p, size_t n)
{
	e3_image_kind kind = e3_image_sniff(p, n);
	s->cut = kind == E3_IMAGE_JPEG || kind == E3_IMAGE_PNG;
	return s->cut || e3_image_ends_with_stream(p, n);
}

int e3_image_stream_next(e3_image_stream *s, const uint8_t **bytes, size_t *n, e3_err *err)
{
	size_t at = 0;
	for (;;) {
		bool ready = !s->loose || pass_gap(s);
		size_t have = s->to - s->from;
		const uint8_t *p = s->data + s->from;
		int rc = ready && have ? e3_image_extent(p, have, &at, err) : 0;
		if (rc < 0)
			return e3_fail_in(err, "byte %llu", (unsigned long long)(s->passed + s->from));
		if (rc == 0 && s->eof) {
			if (have == 0)
				return 0;
			if (!last_is_whole(s, p, have))
				return e3_fail(err, "byte %llu: truncated: the stream ends inside a picture",
					(unsigned long long)(s->passed + s->from));
			at = have, rc = 1;
		}
		if (rc > 0) {
			*bytes = p, *n = at;
			s->from += at;
			s->loose = e3_image_sniff(p, at) != E3_IMAGE_PNM;
			return 1;
		}
		if (more(s, err))
			return -1;
	}
}

bool e3_image_stream_cut(const e3_image_stream *s) { return s->cut; }
