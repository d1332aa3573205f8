/* Fuzz target: any bytes as the header of a picture, as a picture whose end is looked for, and as a stream of pictures.
 * Nothing may crash, hang or read beyond the bytes; the end does not depend on how the bytes arrive; and the pictures
 * of a stream lie in it one after another. HEIF and TIFF are their libraries' own. */
#include "e3/io.h"
#include "e3/picture.h"
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void look(const uint8_t *data, size_t size)
{
	e3_err err = {""};
	e3_image_facts facts;
	e3_image_kind kind = e3_image_sniff(data, size);
	e3_picture from = {.bytes = data, .n = size, .name = "fuzz"};
	if (kind == E3_IMAGE_HEIF || kind == E3_IMAGE_TIFF)
		return;
	if (e3_picture_look(&from, &facts, &err))
		require(err.text[0]);
	else
		require(facts.kind == kind && facts.w >= 0 && facts.h >= 0 && facts.orientation >= 1 && facts.orientation <= 8);
}

static void end(const uint8_t *data, size_t size)
{
	size_t at = 0, step = 0;
	int whole = e3_image_extent(data, size, &at, NULL), part = 0;
	for (size_t n = size / 4; part == 0 && n <= size; n += size / 4 + 1)
		part = e3_image_extent(data, n, &step, NULL);
	if (part == 0)
		part = e3_image_extent(data, size, &step, NULL);
	require(part == whole || whole < 0 || part < 0); /* of two errors, or an end before one, either is found first */
	require(whole <= 0 || part <= 0 || (at == step && at <= size));
}

/* A pipe takes so many bytes at once, and is slow: only some inputs go through one. */
static void stream(const uint8_t *data, size_t size)
{
	enum { ROOM = 60000 };
	int fds[2];
	const uint8_t *bytes;
	size_t n, sum = 0, first = size / 3;
	if (size > ROOM || size % 8 || pipe(fds))
		return;
	require(e3_write_full(fds[1], data + first, size - first) == 0);
	close(fds[1]);
	e3_image_stream *s = e3_image_stream_open(fds[0], data, first, NULL, NULL);
	while (s && e3_image_stream_next(s, &bytes, &n, NULL) > 0) {
		require(n > 0 && bytes);
		sum += n;
	}
	require(sum <= size);
	e3_image_stream_close(s);
	close(fds[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	look(data, size);
	end(data, size);
	stream(data, size);
	return 0;
}
