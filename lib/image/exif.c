/* image: the one EXIF field in use, orientation. A damaged field counts as upright. */
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

int exif_orientation(const uint8_t *tiff, size_t n)
{
	enum { TAG = 0x0112, SHORT = 3, LONG = 4 };
	if (n < 8 || (memcmp(tiff, "II*\0", 4) && memcmp(tiff, "MM\0*", 4)))
		return 1;
	view v = {tiff, n, tiff[0] == 'M'};
	int64_t ifd = number(&v, 4, 4), entries = number(&v, (size_t)ifd, 2);
	for (int64_t k = 0; k < entries; k++) {
		size_t at = (size_t)ifd + 2 + 12 * (size_t)k;
		if (number(&v, at, 2) != TAG)
			continue;
		int64_t type = number(&v, at + 2, 2),
				value = type == SHORT ? number(&v, at + 8, 2)
			: type == LONG            ? number(&v, at + 8, 4)
									  : 1;
		return value >= 1 && value <= 8 ? (int)value : 1;
	}
	return 1;
}
