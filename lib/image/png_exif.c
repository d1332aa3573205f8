/* image: the orientation that a PNG states: in its eXIf chunk, else in a text chunk as ImageMagick and others write
 * EXIF (keyword "Raw profile type exif", the bytes in hexadecimal). Damaged ones count as upright. */
#include "read.h"
#include "e3/num.h"
#include <string.h>
#include <zlib.h>

enum { TEXT = 32768 }; /* of a profile, as much is read: the orientation lies in its beginning */

static int digit(int c)
{
	return c >= '0' && c <= '9' ? c - '0'
		: c >= 'a' && c <= 'f'  ? c - 'a' + 10
		: c >= 'A' && c <= 'F'  ? c - 'A' + 10
								: -1;
}

/* "\nNAME\nLENGTH\n", then digits. */
static int from_text(const uint8_t *text, size_t n)
{
	uint8_t exif[TEXT / 2];
	size_t k = 0, got = 0;
	int high = -1;
	for (int lines = 0; k < n && lines < 3; k++)
		lines += text[k] == '\n';
	for (; k < n; k++) {
		int d = digit(text[k]);
		if (d >= 0 && high >= 0)
			exif[got++] = (uint8_t)(high << 4 | d);
		high = d < 0 ? high : high < 0 ? d : -1;
	}
	return e3_exif_orientation(exif, got);
}

static int from_packed(const uint8_t *packed, size_t n)
{
	uint8_t text[TEXT];
	z_stream z = {.next_in = (z_const Bytef *)packed, .avail_in = (uInt)n, .next_out = text, .avail_out = sizeof text};
	if (inflateInit(&z) != Z_OK)
		return 1;
	(void)inflate(&z, Z_SYNC_FLUSH);
	(void)inflateEnd(&z);
	return from_text(text, sizeof text - z.avail_out);
}

/* A text chunk: keyword, 0, text; of a packed one a byte that states the method, 0, comes before the text. */
static int from_chunk(const uint8_t *p, size_t n, bool packed)
{
	static const char *const names[] = {"Raw profile type exif", "Raw profile type APP1"};
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		size_t at = strlen(names[k]) + 1 + packed;
		if (n > at && memcmp(p, names[k], strlen(names[k]) + 1) == 0)
			return packed ? from_packed(p + at, n - at) : from_text(p + at, n - at < TEXT ? n - at : TEXT);
	}
	return 1;
}

int png_orientation(const uint8_t *p, size_t n)
{
	int text = 1;
	for (size_t k = 8; k <= n && n - k >= 12;) {
		size_t len = e3_be32(p + k);
		const uint8_t *type = p + k + 4, *data = p + k + 8;
		if (len > n - k - 12)
			break;
		if (memcmp(type, "eXIf", 4) == 0)
			return e3_exif_orientation(data, len);
		if (text == 1 && (memcmp(type, "tEXt", 4) == 0 || memcmp(type, "zTXt", 4) == 0))
			text = from_chunk(data, len, type[0] == 'z');
		k += 12 + len;
	}
	return text;
}
