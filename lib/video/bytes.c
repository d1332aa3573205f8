/* video: bytes from a descriptor for FFmpeg.
 *
 * A regular file can be read at any place from its current position on. A pipe is read forward only, unless it is
 * copied to a temporary file first: on request, or because it carries an mp4 whose index comes after its data. Such a
 * copy has a size limit.
 */
#include "internal.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

bool video_stopped(const e3_video_options *o) { return (o->stop && o->stop()) || (o->quit && atomic_load(o->quit)); }

/* As read(); -1 with errno EINTR when asked to stop, ETIMEDOUT when nothing came for too long. */
static ssize_t read_pipe(const video_bytes *in, void *to, size_t n)
{
	double deadline = in->o->timeout > 0 ? e3_now() + in->o->timeout : INFINITY;
	for (;;) {
		struct pollfd p = {.fd = in->fd, .events = POLLIN};
		int ready = poll(&p, 1, 200);
		if (video_stopped(in->o)) {
			errno = EINTR;
			return -1;
		}
		if (ready <= 0 && e3_now() > deadline) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (ready <= 0)
			continue;
		ssize_t r = read(in->fd, to, n);
		if (r >= 0 || (errno != EINTR && errno != EAGAIN))
			return r;
	}
}

static int on_read(void *opaque, uint8_t *to, int n)
{
	video_reader *r = opaque;
	video_bytes *in = r->bytes;
	ssize_t got;
	if (in->seekable) {
		do
			got = pread(in->fd, to, (size_t)n, in->base + r->at);
		while (got < 0 && errno == EINTR && !video_stopped(in->o));
	} else if ((uint64_t)r->at < in->n_head) {
		size_t left = in->n_head - (size_t)r->at;
		got = (ssize_t)(left < (size_t)n ? left : (size_t)n);
		memcpy(to, in->head + r->at, (size_t)got);
	} else {
		got = read_pipe(in, to, (size_t)n);
	}
	if (got < 0) {
		in->error = errno;
		return AVERROR(errno);
	}
	r->at += got;
	return got == 0 ? AVERROR_EOF : (int)got;
}

static int64_t on_seek(void *opaque, int64_t offset, int whence)
{
	video_reader *r = opaque;
	if (whence & AVSEEK_SIZE)
		return r->bytes->size;
	int64_t to = offset + ((whence & 3) == SEEK_CUR ? r->at : (whence & 3) == SEEK_END ? r->bytes->size : 0);
	if (to < 0)
		return AVERROR(EINVAL);
	return r->at = to;
}

AVIOContext *video_reader_open(video_reader *r, video_bytes *in, e3_err *err)
{
	*r = (video_reader){.bytes = in};
	uint8_t *buffer = av_malloc(CHUNK);
	AVIOContext *io =
		buffer ? avio_alloc_context(buffer, CHUNK, 0, r, on_read, NULL, in->seekable ? on_seek : NULL) : NULL;
	if (!io) {
		av_free(buffer);
		e3_fail(err, "opening a video: out of memory");
		return NULL;
	}
	io->seekable = in->seekable ? AVIO_SEEKABLE_NORMAL : 0;
	return io;
}

void video_reader_close(AVIOContext **io)
{
	if (*io)
		av_freep(&(*io)->buffer);
	avio_context_free(io);
}

/* Reads on into `have` (grown) until it holds n bytes or the pipe ends. */
static int fill(video_bytes *in, e3_buf *have, size_t n, e3_err *err)
{
	uint8_t part[4096];
	while (have->len < n) {
		size_t want = n - have->len < sizeof part ? n - have->len : sizeof part;
		ssize_t r = read_pipe(in, part, want);
		if (r < 0)
			return errno == EINTR ? e3_fail(err, "interrupted") : e3_fail_sys(err, "reading");
		if (r == 0)
			return 0;
		if (e3_buf_add(have, part, (size_t)r, err))
			return -1;
	}
	return 0;
}

/* The box at `at` of an mp4: its size; 0: it reaches to the end, or there is none. */
static uint64_t box_size(const e3_buf *have, size_t at)
{
	const uint8_t *box = (const uint8_t *)have->data + at;
	if (have->len < at + 8)
		return 0;
	uint64_t size = e3_be32(box);
	if (size == 1) /* the size follows, in 64 bits */
		size = have->len < at + 16 ? 0 : (uint64_t)e3_be32(box + 8) << 32 | e3_be32(box + 12);
	return size < 8 ? 0 : size;
}

/* Whether this is an mp4 (or mov) whose data come before its index: walks the top-level boxes up to the first of both.
 * The bytes that were read are kept in `have`; where boxes of other kinds are too large for that, the pipe is copied.
 */
static int index_is_last(video_bytes *in, e3_buf *have, bool *yes, e3_err *err)
{
	enum { SEARCH = 8 << 20 };
	static const char *const begins[] = {"ftyp", "free", "skip", "wide", "mdat", "moov", "pnot", "uuid", "styp",
		"junk"};
	bool mp4 = false;
	*yes = false;
	if (fill(in, have, 12, err))
		return -1;
	for (size_t k = 0; k < sizeof begins / sizeof *begins; k++)
		mp4 = mp4 || (have->len >= 8 && memcmp(have->data + 4, begins[k], 4) == 0);
	for (uint64_t at = 0; mp4;) {
		if (fill(in, have, (size_t)at + 16, err))
			return -1;
		uint64_t size = box_size(have, (size_t)at);
		const char *kind = size || have->len >= at + 8 ? have->data + at + 4 : "";
		*yes = strncmp(kind, "mdat", 4) == 0;
		if (*yes || size == 0 || strncmp(kind, "moov", 4) == 0 || strncmp(kind, "moof", 4) == 0)
			return 0;
		*yes = size > SEARCH - at;
		if (*yes)
			return 0;
		at += size;
	}
	return 0;
}

static int copy_to_spool(video_bytes *in, const e3_buf *have, uint64_t max, e3_err *err)
{
	uint64_t size = have->len;
	uint8_t *part = e3_alloc(CHUNK, 1, "a buffer", err);
	in->spool = part ? e3_spool(err) : NULL;
	int to = in->spool ? fileno(in->spool) : -1, rc = to < 0 ? -1 : 0;
	if (!rc && have->len && e3_write_full(to, have->data, have->len))
		rc = e3_fail_sys(err, "writing a temporary file");
	while (!rc) {
		ssize_t r = read_pipe(in, part, CHUNK);
		if (r == 0)
			break;
		size += r > 0 ? (uint64_t)r : 0;
		if (r < 0)
			rc = errno == EINTR ? e3_fail(err, "interrupted") : e3_fail_sys(err, "reading");
		else if (size > max)
			rc = e3_fail(err,
				"more than %llu bytes to copy before the first frame: raise the limit of such copies, or give a file",
				(unsigned long long)max);
		else if (e3_write_full(to, part, (size_t)r))
			rc = e3_fail_sys(err, "writing a temporary file");
	}
	free(part);
	in->fd = to, in->seekable = true, in->base = 0, in->size = (int64_t)size;
	return rc;
}

static int open_pipe(video_bytes *in, const e3_video_options *o, e3_err *err)
{
	e3_buf have = {0};
	bool last = false;
	int rc = e3_buf_add(&have, o->head ? o->head : "", o->n_head, err);
	if (!rc)
		rc = index_is_last(in, &have, &last, err);
	if (!rc && (last || o->spool))
		rc = copy_to_spool(in, &have, o->spool_max, err);
	if (!rc && !in->seekable) {
		in->head = (uint8_t *)have.data, in->n_head = have.len; /* freed by video_bytes_close */
		return 0;
	}
	e3_buf_release(&have);
	return rc;
}

int video_bytes_open(video_bytes *in, const e3_video_options *o, e3_err *err)
{
	struct stat st;
	*in = (video_bytes){.fd = o->fd, .size = -1, .o = o};
	if (o->fd < 0)
		return 0;
	int64_t base = lseek(o->fd, 0, SEEK_CUR) - (int64_t)o->n_head;
	int rc = 0;
	if (fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode) && base >= 0) {
		in->seekable = true;
		in->base = base, in->size = st.st_size - base;
	} else {
		rc = open_pipe(in, o, err);
	}
	return rc ? e3_fail_in(err, "reading: %s", o->input) : 0;
}

void video_bytes_close(video_bytes *in)
{
	if (in->spool)
		fclose(in->spool);
	free((void *)(uintptr_t)in->head);
	*in = (video_bytes){.fd = -1, .size = -1};
}
