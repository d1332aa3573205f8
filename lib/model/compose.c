/* model: a transposed convolution and the 3×3 convolution after it as one (doc/network.md 7). The host multiplies,
 * whatever the device is: on a GPU this would be the only large product in f32, for which its library would load
 * kernels that stay in memory. Sums are kept in registers, so that there is no matrix between the weights and the
 * result. */
#include "compose.h"
#include "e3/clones.h"
#include "e3/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TAPS = 9, COLUMNS = 16, CHANNELS = 8 };

/* What all taps of the second, [TAPS][middle], make of COLUMNS columns of one tap of the first, [middle][COLUMNS]. */
static inline void products(const float *second, const float *first, size_t middle, float sum[TAPS][COLUMNS])
{
	memset(sum, 0, TAPS * sizeof *sum);
	for (size_t m = 0; m < middle; m++, first += COLUMNS)
		for (size_t tap = 0; tap < TAPS; tap++)
#pragma omp simd
			for (size_t e = 0; e < COLUMNS; e++)
				sum[tap][e] += second[tap * middle + m] * first[e];
}

/* Channels [o, end) of COLUMNS columns, fewer at the end. Tap (ty, tx) of the second moves what tap (i, j) of the
 * first, which is `n`, made by as much the other way. */
E3_CLONES static void compose_columns(const e3_composing *c, size_t o, size_t end, size_t n, size_t from, float *first)
{
	size_t k = (size_t)c->k, in = (size_t)c->in, middle = (size_t)c->middle, step = (size_t)c->out * in,
		   columns = in - from < COLUMNS ? in - from : COLUMNS;
	float sum[TAPS][COLUMNS];
	for (size_t m = 0; m < middle; m++)
		memcpy(first + m * COLUMNS, c->first + (n * middle + m) * in + from, columns * sizeof *first);
	for (; o < end; o++) {
		products(c->second + o * TAPS * middle, first, middle, sum);
		for (size_t tap = 0; tap < TAPS; tap++) {
			size_t at = (n / k + 2 - tap / 3) * (k + 2) + n % k + 2 - tap % 3;
			float *to = c->made + at * step + o * in + from;
			for (size_t e = 0; e < columns; e++)
				to[e] += sum[tap][e];
		}
	}
}

static void compose_channels(const e3_composing *c, size_t o, size_t end, float *first)
{
	size_t k = (size_t)c->k, in = (size_t)c->in, step = (size_t)c->out * in;
	memset(first, 0, (size_t)c->middle * COLUMNS * sizeof *first);
	for (size_t n = 0; n < (k + 2) * (k + 2); n++)
		memset(c->made + n * step + o * in, 0, (end - o) * in * sizeof *c->made);
	for (size_t n = 0; n < k * k; n++)
		for (size_t from = 0; from < in; from += COLUMNS)
			compose_columns(c, o, end, n, from, first);
}

/* What the first one's bias adds through the taps of the second that lie in the map. */
static void compose_bias(const e3_composing *c, size_t o)
{
	size_t middle = (size_t)c->middle, out = (size_t)c->out;
	for (size_t kind = 0; kind < 16; kind++)
		c->made_bias[kind * out + o] = 0;
	for (size_t tap = 0; tap < TAPS; tap++) {
		const float *w = c->second + (TAPS * o + tap) * middle;
		double sum = 0;
		for (size_t m = 0; m < middle; m++)
			sum += (double)w[m] * c->bias[m];
		for (size_t kind = 0; kind < 16; kind++) {
			bool above = kind & 4, below = kind & 8, left = kind & 1, right = kind & 2;
			if ((tap / 3 != 0 || above) && (tap / 3 != 2 || below) && (tap % 3 != 0 || left) && (tap % 3 != 2 || right))
				c->made_bias[kind * out + o] += (float)sum;
		}
	}
}

typedef struct job {
	const e3_composing *c;
	float *room; /* of each thread: [middle][COLUMNS] */
} job;

static void task(void *ctx, int task, int thread)
{
	const job *j = ctx;
	size_t o = (size_t)task * CHANNELS, out = (size_t)j->c->out, end = out - o < CHANNELS ? out : o + CHANNELS;
	compose_channels(j->c, o, end, j->room + (size_t)thread * (size_t)j->c->middle * COLUMNS);
	for (; o < end; o++)
		compose_bias(j->c, o);
}

int e3_compose(const e3_composing *c, e3_pool *pool, e3_err *err)
{
	size_t each = (size_t)c->middle * COLUMNS;
	job j = {c, e3_alloc((size_t)e3_pool_threads(pool) * each, sizeof(float), "weights", err)};
	if (!j.room)
		return -1;
	e3_parallel_for(pool, (c->out + CHANNELS - 1) / CHANNELS, task, &j);
	free(j.room);
	return 0;
}
