/* sets: numpy's .npy files with a float matrix (doc/evaluation.md 2). Refuses other types, orders and ranks, headers
 * that do not match the number of bytes, values that are not finite. */
#include "e3/mem.h"
#include "e3/npy.h"
#include "e3/num.h"
#include "e3/sets.h"
#include "internal.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct header {
	size_t data; /* offset of the numbers */
	int size;    /* bytes per number */
	int64_t h, w;
} header;

/* The text after 'key': in the header's dictionary, without leading blanks; NULL when the key is missing. */
static const char *value_of(const char *text, const char *key)
{
	char quoted[32];
	snprintf(quoted, sizeof quoted, "'%s'", key);
	const char *p = strstr(text, quoted);
	p = p ? p + strlen(quoted) : NULL;
	p = p ? p + strspn(p, " ") : NULL;
	return p && *p == ':' ? p + 1 + strspn(p + 1, " ") : NULL;
}

static int parse_shape(const char *p, header *out, e3_err *err)
{
	int64_t side[3] = {0};
	int n = 0;
	const char *start = p;
	if (*p++ != '(')
		return e3_fail(err, "its shape is missing");
	for (;; n++) {
		p += strspn(p, " ,");
		size_t digits = strspn(p, "0123456789");
		if (digits == 0 || n == 3)
			break;
		char word[16] = "";
		if (digits > 9)
			return e3_fail(err, "its shape is too large");
		memcpy(word, p, digits);
		side[n] = strtoll(word, NULL, 10);
		p += digits;
	}
	if (*p != ')' || n != 2 || side[0] < 1 || side[1] < 1)
		return e3_fail(err, "shape %.*s: expected a matrix", (int)strcspn(start, ")") + 1, start);
	out->h = side[0], out->w = side[1];
	return 0;
}

static int parse_header(const uint8_t *bytes, size_t n, header *out, e3_err *err)
{
	char text[4096];
	if (n < 10 || memcmp(bytes, "\x93NUMPY", 6))
		return e3_fail(err, n < 10 ? "truncated: %zu byte%s" : "not a .npy file (%zu byte%s)", n, SETS_S(n));
	size_t at = bytes[6] == 1 ? 10 : 12;
	if (bytes[6] < 1 || bytes[6] > 3)
		return e3_fail(err, ".npy version %d: expected 1 to 3", bytes[6]);
	if (n < at)
		return e3_fail(err, "truncated: %zu bytes", n);
	size_t length = bytes[6] == 1 ? e3_le16(bytes + 8) : e3_le32(bytes + 8);
	if (length > n - at)
		return e3_fail(err, "truncated: its header claims %zu bytes, %zu are there", length, n - at);
	if (length >= sizeof text)
		return e3_fail(err, "a header of %zu bytes: too long", length);
	memcpy(text, bytes + at, length);
	text[length] = 0;
	const char *type = value_of(text, "descr"), *order = value_of(text, "fortran_order"),
			   *shape = value_of(text, "shape");
	if (!type || !order || !shape || strlen(text) != length)
		return e3_fail(err, "its header lacks descr, fortran_order or shape");
	if (strncmp(type, "'<f4'", 5) && strncmp(type, "'<f8'", 5))
		return e3_fail(err, "type %.*s: expected '<f4' or '<f8'", (int)strcspn(type, ",}"), type);
	if (strncmp(order, "False", 5))
		return e3_fail(err, "in Fortran order: expected C order");
	out->data = at + length, out->size = type[3] - '0';
	return parse_shape(shape, out, err);
}

static int decode(const uint8_t *bytes, size_t n, e3_depth *out, e3_err *err)
{
	header head;
	if (parse_header(bytes, n, &head, err))
		return -1;
	uint64_t want = (uint64_t)head.h * (uint64_t)head.w * (uint64_t)head.size, have = n - head.data;
	if (have != want)
		return e3_fail(err, "%s: %" PRId64 " × %" PRId64 " numbers take %" PRIu64 " bytes, %" PRIu64 " are there",
			have < want ? "truncated" : "too long", head.h, head.w, want, have);
	if (head.w > 65535 || head.h > 65535)
		return e3_fail(err, "shape (%" PRId64 ", %" PRId64 "): too large", head.h, head.w);
	if (e3_depth_init(out, (int)head.w, (int)head.h, err))
		return -1;
	const uint8_t *p = bytes + head.data;
	for (size_t k = 0; k < (size_t)head.w * (size_t)head.h; k++, p += head.size) {
		uint32_t u4 = e3_le32(p);
		float f4;
		double v;
		if (head.size == 4) {
			memcpy(&f4, &u4, 4);
			v = f4;
		} else {
			uint64_t u8 = e3_le64(p);
			memcpy(&v, &u8, 8);
		}
		if (!isfinite((float)v))
			return e3_fail(err, "row %zu, column %zu: not a finite number", k / (size_t)head.w, k % (size_t)head.w);
		out->z[k] = v > 0 ? (float)v : 0;
	}
	return 0;
}

int e3_npy_decode(const uint8_t *bytes, size_t n, const char *name, e3_depth *out, e3_err *err)
{
	*out = (e3_depth){0};
	if (decode(bytes, n, out, err) == 0)
		return 0;
	e3_depth_release(out);
	return e3_fail_in(err, "reading: %s", name);
}

int e3_npy_save(const char *path, const e3_depth *d, e3_err *err)
{
	char head[192];
	size_t n = (size_t)d->w * (size_t)d->h, length = e3_npy_header(head, (const int64_t[]){d->h, d->w}, 2);
	uint8_t *bytes = e3_alloc(length + 4 * n, 1, "a matrix", err);
	if (!bytes)
		return -1;
	memcpy(bytes, head, length);
	sets_put_floats(bytes + length, d->z, n);
	int rc = sets_save(path, bytes, length + 4 * n, err);
	free(bytes);
	return rc;
}
