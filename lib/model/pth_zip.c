/* model: the directory of a zip archive, 64-bit sizes included, as torch.save writes it. Every offset and size is
 * checked against the file before it is used; refuses archives cut short, encrypted members, a name twice. Decompresses
 * nothing. */
#include "e3/mem.h"
#include "e3/num.h"
#include "pth.h"
#include <stdlib.h>
#include <string.h>

enum { END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56, ENTRY_SIZE = 46, LOCAL_SIZE = 30, MAX_COMMENT = 65535 };

typedef struct directory {
	uint64_t offset, size, entries;
} directory;

static bool signature(const uint8_t *p, const char *two)
{
	return p[0] == 'P' && p[1] == 'K' && p[2] == (uint8_t)two[0] && p[3] == (uint8_t)two[1];
}

static int no_end(const uint8_t *bytes, size_t size, e3_err *err)
{
	for (size_t left = 4; left < END_SIZE && left <= size; left++)
		if (signature(bytes + size - left, "\5\6"))
			return e3_fail(err, "truncated: the archive's end record has %zu bytes, expected %d", left, END_SIZE);
	return e3_fail(err, "truncated: %zu bytes without the archive's end record, expected it in the last %d bytes", size,
		END_SIZE);
}

/* The end record, and the 64-bit one in front of it when there is one. */
static int find_directory(const uint8_t *bytes, size_t size, directory *d, e3_err *err)
{
	if (size < END_SIZE)
		return no_end(bytes, size, err);
	size_t end = size - END_SIZE, low = end > MAX_COMMENT ? end - MAX_COMMENT : 0;
	while (!signature(bytes + end, "\5\6") || end + END_SIZE + e3_le16(bytes + end + 20) != size)
		if (end-- == low)
			return no_end(bytes, size, err);
	*d = (directory){e3_le32(bytes + end + 16), e3_le32(bytes + end + 12), e3_le16(bytes + end + 10)};
	size_t limit = end;
	if (end >= LOCATOR_SIZE && signature(bytes + end - LOCATOR_SIZE, "\6\7")) {
		uint64_t at = e3_le64(bytes + end - LOCATOR_SIZE + 8);
		limit = end - LOCATOR_SIZE;
		if (at > limit || limit - at < END64_SIZE || !signature(bytes + at, "\6\6"))
			return e3_fail(err, "archive: no 64-bit end record at byte %llu", (unsigned long long)at);
		*d = (directory){e3_le64(bytes + at + 48), e3_le64(bytes + at + 40), e3_le64(bytes + at + 32)};
		limit = at;
	}
	if (d->offset > limit || d->size > limit - d->offset)
		return e3_fail(err,
			"archive: the directory of %llu bytes at byte %llu ends past byte %zu, where its end record is",
			(unsigned long long)d->size, (unsigned long long)d->offset, limit);
	if (d->entries > d->size / ENTRY_SIZE)
		return e3_fail(err, "archive: %llu members need a directory of %llu bytes or more, got %llu",
			(unsigned long long)d->entries, (unsigned long long)d->entries * ENTRY_SIZE, (unsigned long long)d->size);
	return 0;
}

/* Sizes that do not fit 32 bits are in an extra field, only those that do not fit, in this order. */
static int wide_fields(const uint8_t *extra, size_t n, uint64_t *fields[3])
{
	while (n >= 4) {
		size_t id = e3_le16(extra), len = e3_le16(extra + 2);
		extra += 4, n -= 4;
		if (len > n)
			return -1;
		if (id == 1) {
			for (int k = 0; k < 3; k++) {
				if (*fields[k] != UINT32_MAX)
					continue;
				if (len < 8)
					return -1;
				*fields[k] = e3_le64(extra);
				extra += 8, len -= 8;
			}
			return 0;
		}
		extra += len, n -= len;
	}
	return *fields[0] == UINT32_MAX || *fields[1] == UINT32_MAX || *fields[2] == UINT32_MAX ? -1 : 0;
}

/* Where the member's bytes are: after the local header, before the directory. */
static int locate(e3_zip_member *m, const uint8_t *bytes, uint64_t at, const directory *d, e3_err *err)
{
	int len = (int)m->name_len;
	if (at > d->offset || d->offset - at < LOCAL_SIZE || !signature(bytes + at, "\3\4"))
		return e3_fail(err, "archive: member '%.*s': no local header at byte %llu", len, m->name,
			(unsigned long long)at);
	uint64_t begin = at + LOCAL_SIZE + e3_le16(bytes + at + 26) + e3_le16(bytes + at + 28);
	if (begin > d->offset || m->size > d->offset - begin)
		return e3_fail(err,
			"archive: member '%.*s' has %zu bytes at byte %llu, past byte %llu where the directory begins", len,
			m->name, m->size, (unsigned long long)begin, (unsigned long long)d->offset);
	m->data = bytes + begin;
	return 0;
}

/* One directory entry at p with n bytes left; its length, or 0. */
static size_t read_entry(e3_zip_member *m, const uint8_t *bytes, const uint8_t *p, size_t n, const directory *d,
	e3_err *err)
{
	if (n < ENTRY_SIZE || !signature(p, "\1\2"))
		return e3_fail(err, "archive: the directory is damaged %zu bytes before its end", n), 0;
	size_t name_len = e3_le16(p + 28), extra = e3_le16(p + 30), total = ENTRY_SIZE + name_len + extra + e3_le16(p + 32);
	if (total > n)
		return e3_fail(err, "archive: a directory entry of %zu bytes, %zu are left", total, n), 0;
	uint64_t plain = e3_le32(p + 24), packed = e3_le32(p + 20), at = e3_le32(p + 42);
	*m = (e3_zip_member){.name = (const char *)p + ENTRY_SIZE, .name_len = name_len, .method = e3_le16(p + 10)};
	if (wide_fields(p + ENTRY_SIZE + name_len, extra, (uint64_t *[3]){&plain, &packed, &at}))
		return e3_fail(err, "archive: member '%.*s': its 64-bit sizes are missing", (int)name_len, m->name), 0;
	if (e3_le16(p + 8) & 1)
		return e3_fail(err, "archive: member '%.*s' is encrypted", (int)name_len, m->name), 0;
	if (m->method == 0 && plain != packed)
		return e3_fail(err, "archive: member '%.*s' is stored, yet has %llu bytes packed and %llu plain", (int)name_len,
				   m->name, (unsigned long long)packed, (unsigned long long)plain),
			   0;
	m->size = (size_t)packed;
	return locate(m, bytes, at, d, err) ? 0 : total;
}

static int compare(const char *a, size_t an, const char *b, size_t bn)
{
	int order = memcmp(a, b, an < bn ? an : bn);
	return order ? order : an < bn ? -1 : an > bn;
}

static int by_name(const void *a, const void *b)
{
	const e3_zip_member *x = a, *y = b;
	return compare(x->name, x->name_len, y->name, y->name_len);
}

static int read_entries(e3_zip *z, const uint8_t *bytes, const directory *d, e3_err *err)
{
	const uint8_t *p = bytes + d->offset;
	size_t left = (size_t)d->size;
	for (; z->n < d->entries; z->n++) {
		size_t used = read_entry(&z->member[z->n], bytes, p, left, d, err);
		if (!used)
			return -1;
		p += used, left -= used;
	}
	if (left)
		return e3_fail(err, "archive: %zu bytes of the directory after its %llu entries", left,
			(unsigned long long)d->entries);
	qsort(z->member, z->n, sizeof *z->member, by_name);
	for (size_t k = 1; k < z->n; k++)
		if (by_name(&z->member[k - 1], &z->member[k]) == 0)
			return e3_fail(err, "archive: member '%.*s' is there twice", (int)z->member[k].name_len, z->member[k].name);
	return 0;
}

int e3_zip_read(e3_zip *z, const uint8_t *bytes, size_t size, e3_err *err)
{
	directory d = {0};
	*z = (e3_zip){0};
	if (find_directory(bytes, size, &d, err))
		return -1;
	z->member = e3_alloc((size_t)d.entries, sizeof *z->member, "directory of the archive", err);
	if (z->member && !read_entries(z, bytes, &d, err))
		return 0;
	e3_zip_release(z);
	return -1;
}

const e3_zip_member *e3_zip_find(const e3_zip *z, const char *name, size_t name_len)
{
	for (size_t low = 0, high = z->n; low < high;) {
		size_t mid = low + (high - low) / 2;
		int order = compare(name, name_len, z->member[mid].name, z->member[mid].name_len);
		if (order == 0)
			return &z->member[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

void e3_zip_release(e3_zip *z)
{
	free(z->member);
	*z = (e3_zip){0};
}
