/* image: the two passes of resize.c in portable C. Between them lie whole rows. */
#include "resize.h"

static inline uint8_t clip8(int32_t v)
{
	v >>= RESIZE_BITS;
	return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static inline __attribute__((always_inline)) void across_row(const resize_axis *a, const uint8_t *in, int c,
	uint8_t *out)
{
	for (int o = 0; o < a->out; o++, out += c) {
		const int32_t *q = a->q + (size_t)o * (size_t)a->taps;
		const uint8_t *p = in + (size_t)a->lo[o] * (size_t)c;
		int32_t sum[4] = {RESIZE_HALF, RESIZE_HALF, RESIZE_HALF, RESIZE_HALF};
		for (int j = 0; j < a->n[o]; j++, p += c)
			for (int k = 0; k < c; k++)
				sum[k] += q[j] * p[k];
		for (int k = 0; k < c; k++)
			out[k] = clip8(sum[k]);
	}
}

static void across(const resize_axis *a, const resize_strip *strip, size_t stride, uint8_t *to)
{
	for (int y = 0; y < RESIZE_GROUP; y++, to += stride / RESIZE_GROUP)
		if (strip->channels == 3)
			across_row(a, strip->row[y], 3, to);
		else
			across_row(a, strip->row[y], strip->channels, to);
}

static void down(const resize_axis *a, int o, const uint8_t *between, size_t stride, size_t n, uint8_t *to)
{
	const int32_t *q = a->q + (size_t)o * (size_t)a->taps;
	const uint8_t *in = between + (size_t)a->lo[o] * (stride / RESIZE_GROUP);
	for (size_t x = 0; x < n; x++) {
		int32_t sum = RESIZE_HALF;
		for (int j = 0; j < a->n[o]; j++)
			sum += q[j] * in[(size_t)j * (stride / RESIZE_GROUP) + x];
		to[x] = clip8(sum);
	}
}

void resize_spread(const resize_strip *strip, int rows, int group, uint8_t *scratch)
{
	int c = strip->channels, groups = (strip->w + RESIZE_GROUP - 1) / RESIZE_GROUP;
	uint8_t *to = scratch + (size_t)group * (size_t)(c * rows * RESIZE_GROUP);
	for (; group < groups; group++)
		for (int k = 0; k < c; k++)
			for (int y = 0; y < rows; y++)
				for (int x = group * RESIZE_GROUP; x < (group + 1) * RESIZE_GROUP; x++)
					*to++ = x < strip->w ? strip->row[y][x * c + k] : 0;
}

static size_t stride(int out_w, int channels) { return (size_t)RESIZE_GROUP * (size_t)out_w * (size_t)channels; }

const resize_path resize_path_plain = {.name = "plain",
	.rows = RESIZE_GROUP,
	.stride = stride,
	.across = across,
	.down = down};
