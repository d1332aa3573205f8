/* video: sources that end early: what is missing, and recordings without their index. */
#include "internal.h"
#include "e3/num.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bytes that there are; -1: unknown. */
static int64_t size_of(const e3_video *v)
{
	AVIOContext *io = v->format->pb;
	return io && (io->seekable & AVIO_SEEKABLE_NORMAL) ? avio_size(io) : -1;
}

int64_t video_index_pictures(const e3_video *v, int64_t *missing)
{
	int64_t size = size_of(v), there = 0;
	int n = avformat_index_get_entries_count(v->stream);
	*missing = 0;
	for (int k = 0; k < n; k++) {
		const AVIndexEntry *e = avformat_index_get_entry(v->stream, k);
		bool out = size >= 0 && e->pos + e->size > size;
		there += e->size > 0 && !out, *missing += e->size > 0 && out;
	}
	return there;
}

/* A number of EBML at p: its value, and its length in *n; all ones: unknown; 0 bytes: none. */
static uint64_t ebml_number(const uint8_t *p, size_t *n)
{
	*n = 1;
	while (*n <= 8 && !(p[0] & (0x100 >> *n)))
		++*n;
	if (*n > 8)
		return *n = 0;
	uint64_t value = p[0] & (0xff >> *n), all = ((uint64_t)1 << (7 * *n)) - 1;
	for (size_t k = 1; k < *n; k++)
		value = value << 8 | p[k];
	return value == all ? UINT64_MAX : value;
}

/* The length of the file that the head of a Matroska or AVI states, without what was joined to it; 0: it states none.
 */
static uint64_t stated_length(const uint8_t *p, size_t have)
{
	enum { NUMBER = 8 };
	if (have >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "AVI ", 4) == 0)
		return e3_le32(p + 4) && e3_le32(p + 4) < INT32_MAX ? 8 + (uint64_t)e3_le32(p + 4) : 0;
	if (have < 4 + NUMBER || memcmp(p, "\x1a\x45\xdf\xa3", 4) != 0)
		return 0;
	size_t n, at = 4;
	uint64_t size = ebml_number(p + at, &n);
	at += n;
	if (n == 0 || size > have - at || have - at - size < 4 + NUMBER ||
		memcmp(p + at + size, "\x18\x53\x80\x67", 4) != 0)
		return 0;
	at += (size_t)size + 4;
	size = ebml_number(p + at, &n);
	return n && size < INT64_MAX / 2 ? at + n + size : 0;
}

/* Containers whose head states the length. */
static int check_length(e3_video *v, int64_t size, e3_err *err)
{
	uint8_t head[256];
	int64_t at = avio_tell(v->format->pb);
	int got = avio_seek(v->format->pb, 0, SEEK_SET) == 0 ? avio_read(v->format->pb, head, sizeof head) : 0;
	if (avio_seek(v->format->pb, at, SEEK_SET) < 0)
		return e3_fail(err, "reading: %s: going back to byte %lld failed", v->options.input, (long long)at);
	uint64_t need = got > 0 ? stated_length(head, (size_t)got) : 0;
	if (need <= (uint64_t)size)
		return 0;
	e3_err text;
	e3_fail(&text, "reading: %s: cut off: its head states %llu bytes, it has %lld", v->options.input,
		(unsigned long long)need, (long long)size);
	if (v->options.strict)
		return e3_fail(err, "%s", text.text);
	v->cut = strdup(text.text);
	return 0;
}

int video_cut_check(e3_video *v, e3_err *err)
{
	int64_t size = size_of(v), need = 0, missing = 0, there;
	e3_err text;
	if (size <= 0)
		return 0;
	if (strstr(v->format->iformat->name, "matroska") || strcmp(v->format->iformat->name, "avi") == 0)
		return video_readable_twice(v) ? check_length(v, size, err) : 0;
	if (!video_is_mov(v->format))
		return 0;
	int n = avformat_index_get_entries_count(v->stream);
	for (int k = 0; k < n; k++) {
		const AVIndexEntry *e = avformat_index_get_entry(v->stream, k);
		need = e->pos + e->size > need ? e->pos + e->size : need;
	}
	if (need <= size)
		return 0;
	there = video_index_pictures(v, &missing);
	e3_fail(&text, "reading: %s: truncated: its frames reach to byte %lld, it has %lld: %lld frames of %lld are there",
		v->options.input, (long long)need, (long long)size, (long long)there, (long long)(there + missing));
	if (v->options.strict || there == 0)
		return e3_fail(err, "%s", text.text);
	v->cut = strdup(text.text);
	return 0;
}

/* The boxes at the top of an mp4 that are there. */
typedef struct boxes {
	bool begins, data, index, fragments;
	bool another;   /* index: of a recording that was put behind the first */
	bool index_cut; /* the index ends after the file */
} boxes;

static boxes walk(int fd, int64_t at)
{
	enum { MOST = 100000 };
	static const char *const first[] = {"ftyp", "mdat", "moov", "wide", "free", "skip", "pnot", "uuid", "styp"};
	boxes b = {.begins = false};
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t head[16];
	for (int k = 0; k < MOST && pread(fd, head, sizeof head, at) >= 8; k++) {
		int64_t n = e3_be32(head);
		if (n == 1)
			n = (int64_t)((uint64_t)e3_be32(head + 8) << 32 | e3_be32(head + 12));
		for (size_t f = 0; k == 0 && f < sizeof first / sizeof *first; f++)
			b.begins = b.begins || memcmp(head + 4, first[f], 4) == 0;
		bool index = memcmp(head + 4, "moov", 4) == 0;
		b.fragments = b.fragments || memcmp(head + 4, "moof", 4) == 0;
		b.another = b.another || (index && b.index);
		b.data = b.data || memcmp(head + 4, "mdat", 4) == 0;
		b.index = b.index || index;
		b.index_cut = b.index_cut || (index && n > size - at);
		if (!b.begins || n < 8 || n > size - at)
			break;
		at += n;
	}
	return b;
}

/* The boxes of a file that can be read again; of any other source none. */
static boxes boxes_of(const e3_video *v)
{
	bool ours = v->bytes.fd < 0;
	const char *path = v->url && strncmp(v->url, "file:", 5) == 0 ? v->url + 5 : v->url;
	int fd = ours ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : v->bytes.seekable ? v->bytes.fd : -1;
	boxes b = {.begins = false};
	if (fd >= 0)
		b = walk(fd, ours ? 0 : v->bytes.base);
	if (ours && fd >= 0)
		close(fd);
	return b;
}

bool video_index_twice(const e3_video *v)
{
	if (!video_is_mov(v->format) || !video_readable_twice(v))
		return false;
	boxes b = boxes_of(v);
	return b.another && !b.fragments;
}

bool video_index_missing(const e3_video *v, e3_err *err)
{
	static const char advice[] =
		"repair it in the camera or with a tool that rebuilds the index from a whole recording of the same camera";
	boxes b = boxes_of(v);
	if (b.begins && b.index_cut)
		e3_fail(err, "reading: %s: cut off inside its index (moov), without which no frame is found: %s",
			v->options.input, advice);
	else if (b.begins && b.data && !b.index)
		e3_fail(err, "reading: %s: its index is missing (no moov): the recording was cut off before it was written: %s",
			v->options.input, advice);
	else
		return false;
	return true;
}
