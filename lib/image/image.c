/* image: pictures in memory: their limits, their pixels, turning them upright. */
#include "e3/image.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535, MAX_PIXELS = 1 << 28 };

int e3_image_init(e3_image *im, int w, int h, int channels, e3_err *err)
{
	*im = (e3_image){0};
	if (w < 1 || h < 1 || w > MAX_SIDE || h > MAX_SIDE || (int64_t)w * h > MAX_PIXELS)
		return e3_fail(err, "making a picture: %d × %d: sizes go from 1 to %d a side and to %d pixels", w, h, MAX_SIDE,
			MAX_PIXELS);
	if (channels != 1 && channels != 3 && channels != 4)
		return e3_fail(err, "making a picture: %d channels: expected 1, 3 or 4", channels);
	im->px = e3_alloc((size_t)w * (size_t)h, (size_t)channels, "a picture", err);
	if (!im->px)
		return -1;
	im->w = w, im->h = h, im->channels = channels;
	return 0;
}

void e3_image_release(e3_image *im)
{
	free(im->px);
	*im = (e3_image){0};
}

/* Where the upright picture's pixel (0,0) lies in the stored one, and the steps along its x and y, in pixels of the
 * stored one. */
typedef struct walk {
	ptrdiff_t start, dx, dy;
} walk;

static walk walk_of(int orientation, ptrdiff_t w, ptrdiff_t h)
{
	switch (orientation) {
	case 2:
		return (walk){w - 1, -1, w};
	case 3:
		return (walk){w * h - 1, -1, -w};
	case 4:
		return (walk){w * (h - 1), 1, -w};
	case 5:
		return (walk){0, w, 1};
	case 6:
		return (walk){w * (h - 1), -w, 1};
	case 7:
		return (walk){w * h - 1, -w, -1};
	case 8:
		return (walk){w - 1, w, -1};
	default:
		return (walk){0, 1, w};
	}
}

int e3_image_orient(e3_image *im, int orientation, e3_err *err)
{
	if (orientation < 1 || orientation > 8)
		return e3_fail(err, "turning a picture: orientation %d: expected 1 to 8", orientation);
	if (orientation == 1)
		return 0;
	e3_image to;
	bool swap = orientation >= 5;
	if (e3_image_init(&to, swap ? im->h : im->w, swap ? im->w : im->h, im->channels, err))
		return -1;
	walk at = walk_of(orientation, im->w, im->h);
	size_t c = (size_t)im->channels;
	uint8_t *out = to.px;
	for (int y = 0; y < to.h; y++) {
		ptrdiff_t from = at.start + y * at.dy;
		for (int x = 0; x < to.w; x++, from += at.dx, out += c)
			memcpy(out, im->px + (size_t)from * c, c);
	}
	e3_image_release(im);
	*im = to;
	return 0;
}
