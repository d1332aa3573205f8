/* image: fields of a TIFF structure, as EXIF and others use it. A damaged orientation counts as upright. */
#include "read.h"
#include <string.h>

typedef struct view {
	const uint8_t *p;
	size_t n;
	bool big;
} view;

/* The integer of `size` bytes at `at`, or -1 past the end. */
static int64_t number(const view *v, size_t at, int size)
{
	if (at > v->n || v->n - at < (size_t)size)
		return -1;
	int64_t out = 0;
	for (int k = 0; k < size; k++)
		out = out << 8 | v->p[at + (size_t)(v->big ? k : size - 1 - k)];
	return out;
}

/* A field of the first directory: where its 12 bytes lie, or 0. */
static size_t find(view *v, int tag)
{
	if (v->n < 8 || (memcmp(v->p, "II*\0", 4) && memcmp(v->p, "MM\0*", 4)))
		return 0;
	v->big = v->p[0] == 'M';
	int64_t ifd = number(v, 4, 4), entries = number(v, (size_t)ifd, 2);
	for (int64_t k = 0; k < entries; k++) {
		size_t at = (size_t)ifd + 2 + 12 * (size_t)k;
		if (number(v, at, 2) == tag)
			return at;
	}
	return 0;
}

size_t exif_find(const uint8_t *tiff, size_t n, int tag, size_t *size)
{
	static const size_t bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
	view v = {tiff, n, false};
	size_t at = find(&v, tag);
	int64_t type = at ? number(&v, at + 2, 2) : 0, count = at ? number(&v, at + 4, 4) : 0;
	if (type < 1 || type >= (int64_t)(sizeof bytes / sizeof *bytes) || count < 1)
		return 0;
	*size = bytes[type] * (size_t)count;
	int64_t where = *size > 4 ? number(&v, at + 8, 4) : (int64_t)at + 8;
	return where > 0 && (size_t)where < n && *size <= n - (size_t)where ? (size_t)where : 0;
}

int e3_exif_orientation(const uint8_t *tiff, size_t n)
{
	enum { TAG = 0x0112, SHORT = 3, LONG = 4, PREFIX = 6 };
	bool prefixed = n > PREFIX && memcmp(tiff, "Exif\0\0", PREFIX) == 0;
	view v = {tiff + (prefixed ? PREFIX : 0), n - (prefixed ? PREFIX : 0), false};
	size_t at = find(&v, TAG);
	int64_t type = at ? number(&v, at + 2, 2) : 0,
			value = type == SHORT ? number(&v, at + 8, 2)
		: type == LONG            ? number(&v, at + 8, 4)
								  : 1;
	return value >= 1 && value <= 8 ? (int)value : 1;
}
