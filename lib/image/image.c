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

/* Rows of the result that follow each other come from the same cache lines when the sides are swapped: some of them are
 * written together. */
static inline __attribute__((always_inline)) void turn(const e3_image *in, walk at, e3_image *out, size_t c)
{
	enum { TOGETHER = 32, AHEAD = 8 };
	size_t row = (size_t)out->w * c;
	for (int top = 0; top < out->h; top += TOGETHER) {
		int n = out->h - top < TOGETHER ? out->h - top : TOGETHER;
		for (int x = 0; x < out->w; x++) {
			const uint8_t *from = in->px + (at.start + top * at.dy + x * at.dx) * (ptrdiff_t)c;
			uint8_t *to = out->px + (size_t)top * row + (size_t)x * c;
			__builtin_prefetch(from + AHEAD * at.dx * (ptrdiff_t)c);
			__builtin_prefetch(from + (AHEAD * at.dx + (n - 1) * at.dy) * (ptrdiff_t)c);
			for (int y = 0; y < n; y++, to += row)
				memcpy(to, from + y * at.dy * (ptrdiff_t)c, c);
		}
	}
}

int e3_image_turn(const e3_image *in, int orientation, e3_image *out, e3_err *err)
{
	if (orientation < 1 || orientation > 8)
		return e3_fail(err, "turning a picture: orientation %d: expected 1 to 8", orientation);
	bool swap = orientation >= 5;
	int w = swap ? in->h : in->w, h = swap ? in->w : in->h;
	if (out->w != w || out->h != h || out->channels != in->channels) {
		e3_image_release(out);
		if (e3_image_init(out, w, h, in->channels, err))
			return -1;
	}
	walk at = walk_of(orientation, in->w, in->h);
	if (in->channels == 3)
		turn(in, at, out, 3);
	else
		turn(in, at, out, (size_t)in->channels);
	return 0;
}

int e3_image_orient(e3_image *im, int orientation, e3_err *err)
{
	e3_image to = {0};
	if (orientation == 1)
		return 0;
	if (e3_image_turn(im, orientation, &to, err))
		return -1;
	e3_image_release(im);
	*im = to;
	return 0;
}
