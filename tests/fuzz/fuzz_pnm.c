/* Fuzz target: any bytes as a PNM picture, and as the beginning of a stream of pictures. Nothing may crash, hang or
 * reserve what the bytes do not justify; and the end that the stream finds is an end the decoder agrees with. */
#include "e3/image.h"
#include "e3/mem.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	e3_err err;
	e3_image im;
	int orientation;
	size_t at = 0, step = 0;
	if (e3_image_sniff(data, size) != E3_IMAGE_PNM)
		return 0;
	int rc = e3_image_decode(data, size, "fuzz", &im, &orientation, &err);
	require(rc == 0 ? im.px && im.channels == 3 && orientation == 1 : !im.px && err.text[0]);
	/* In two parts or in one, the end is the same. */
	int whole = e3_image_extent(data, size, &at, &err);
	int part = e3_image_extent(data, size / 2, &step, &err);
	if (part == 0)
		part = e3_image_extent(data, size, &step, &err);
	require(part == whole);
	require(whole <= 0 || (at == step && at <= size));
	/* A raw picture is whole when the stream says so: cut there it decodes the same, or fails for what it holds. */
	if (whole > 0) {
		e3_image cut;
		int again = e3_image_decode(data, at, "fuzz", &cut, &orientation, &err);
		require(again == rc);
		e3_image_release(&cut);
	}
	e3_image_release(&im);
	return 0;
}
