/* image: the two passes of resize.c in portable C. */
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

void resize_across_plain(const resize_axis *a, const resize_pair *rows, int in_w, int c, void *scratch)
{
	(void)in_w, (void)scratch;
	for (int r = 0; r < 2; r++)
		if (c == 3)
			across_row(a, rows->in[r], 3, rows->out[r]);
		else
			across_row(a, rows->in[r], c, rows->out[r]);
}

void resize_down_plain(const int32_t *q, int n, const uint8_t *in, size_t stride, size_t from, uint8_t *out)
{
	for (size_t x = from; x < stride; x++) {
		int32_t sum = RESIZE_HALF;
		for (int j = 0; j < n; j++)
			sum += q[j] * in[(size_t)j * stride + x];
		out[x] = clip8(sum);
	}
}
