/* export: do other frames see the points of a frame where it has them (doc/formats.md 4.11)? Each point is projected
 * into each of the others. Inverse depth is compared there, interpolated, which is exact on planes. A frame that has
 * something nearer says nothing: the point may be hidden. One that has something farther sees through the point. */
#include "export/clean.h"
#include <stdlib.h>

/* A frame agrees within NEAR of the depth, more where the two disagree everywhere; beyond HIDDEN nearer it says
 * nothing; doubts begin at DOUBT. */
#define NEAR 0.02f
#define NEAR_MOST 0.1f
#define HIDDEN 0.05f
#define DOUBT 0.005f
#define ALONE 0.02f /* what is assumed where no other frame sees the place */
#define STEP 1.05f  /* neighbours that differ by more are on either side of an edge */

enum { OCTAVE = 24 /* steps of the scale of bytes */, GRID = 20 };

/* From pixel (u, v) and inverse depth q of one view to the other: p = m (u v 1) + q t; pixel p0/p2, p1/p2; depth p2/q.
 */
typedef struct way {
	float m[9], t[3];
	float near;
} way;

typedef struct work {
	const e3_agree *a;
	way way[E3_VIEWS_OTHERS];
	uint8_t *keep;
} work;

static way find_way(const e3_view *a, const e3_view *b)
{
	double r[9], t[3];
	way w = {.near = NEAR};
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++) {
			r[3 * i + j] = 0;
			for (int k = 0; k < 3; k++)
				r[3 * i + j] += b->pose.r[3 * i + k] * a->pose.r[3 * j + k];
		}
		t[i] = b->pose.t[i];
	}
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			t[i] -= r[3 * i + j] * a->pose.t[j];
	const double f[3] = {b->k.fx, b->k.fy, 1}, c[3] = {b->k.cx, b->k.cy, 0};
	for (int i = 0; i < 3; i++) {
		double row[3];
		for (int j = 0; j < 3; j++)
			row[j] = f[i] * r[3 * i + j] + c[i] * r[6 + j];
		w.m[3 * i] = (float)(row[0] / a->k.fx);
		w.m[3 * i + 1] = (float)(row[1] / a->k.fy);
		w.m[3 * i + 2] = (float)(row[2] - row[0] * a->k.cx / a->k.fx - row[1] * a->k.cy / a->k.fy);
		w.t[i] = (float)(f[i] * t[i] + c[i] * t[2]);
	}
	return w;
}

/* How much farther the other view sees at this point, as a part of the depth: -1 to 1. NaN: it does not see the place.
 */
static inline float farther(const way *w, const e3_view *b, float u, float v, float q)
{
	float p[3];
	for (int i = 0; i < 3; i++)
		p[i] = w->m[3 * i] * u + w->m[3 * i + 1] * v + w->m[3 * i + 2] + q * w->t[i];
	if (!(p[2] > 0))
		return NAN;
	float x = p[0] / p[2] - 0.5f, y = p[1] / p[2] - 0.5f, z = p[2] / q;
	int width = b->k.w, height = b->k.h;
	if (!(x >= -0.5f && y >= -0.5f && x < (float)width - 0.5f && y < (float)height - 0.5f) || width < 2 || height < 2)
		return NAN;
	x = x < 0 ? 0 : x, y = y < 0 ? 0 : y;
	int i = (int)x, j = (int)y;
	i = i > width - 2 ? width - 2 : i, j = j > height - 2 ? height - 2 : j;
	float fx = x - (float)i, fy = y - (float)j;
	const float *s = b->inverse + (size_t)j * (size_t)width + (size_t)i;
	const float c[4] = {s[0], s[1], s[width], s[width + 1]};
	float low = fminf(fminf(c[0], c[1]), fminf(c[2], c[3])), high = fmaxf(fmaxf(c[0], c[1]), fmaxf(c[2], c[3]));
	if (!(low > 0))
		return NAN;
	float best = 1 - z * ((c[0] * (1 - fx) + c[1] * fx) * (1 - fy) + (c[2] * (1 - fx) + c[3] * fx) * fy);
	for (int k = 0; k < 4 && high > STEP * low; k++)
		best = fabsf(1 - z * c[k]) < fabsf(best) ? 1 - z * c[k] : best;
	return best;
}

/* The factor is 1/(1 + d/DOUBT) for points that other frames put elsewhere by d of the depth. */
static uint8_t byte_of(float d)
{
	float at = (float)E3_AGREED - (float)OCTAVE * log2f(1 + d / DOUBT);
	return at > E3_DOUBTED ? (uint8_t)at : E3_DOUBTED;
}

float e3_agreement(uint8_t byte) { return byte <= E3_DROPPED ? 0 : exp2f((float)(byte - E3_AGREED) / OCTAVE); }

static int ascending(const void *a, const void *b)
{
	return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

/* How near is near for these two: three times the difference that is usual between them. */
static float usual(const e3_view *a, const e3_view *b, const way *w)
{
	float d[GRID * GRID];
	size_t n = 0;
	for (int k = 0; k < GRID * GRID; k++) {
		int u = (2 * (k % GRID) + 1) * a->k.w / (2 * GRID), v = (2 * (k / GRID) + 1) * a->k.h / (2 * GRID);
		float q = a->inverse[(size_t)v * (size_t)a->k.w + (size_t)u];
		float e = q > 0 ? fabsf(farther(w, b, (float)u + 0.5f, (float)v + 0.5f, q)) : NAN;
		if (e >= 0)
			d[n++] = e;
	}
	qsort(d, n, sizeof *d, ascending);
	float near = n ? 3 * d[n / 2] : 0;
	return near < NEAR ? NEAR : near > NEAR_MOST ? NEAR_MOST : near;
}

static void judge_row(void *ctx, int row, int thread)
{
	const work *k = ctx;
	const e3_agree *a = k->a;
	const int w = a->view->k.w;
	const float *inverse = a->view->inverse + (size_t)row * (size_t)w;
	uint8_t *keep = k->keep + (size_t)row * (size_t)w;
	for (int u = 0; u < w; u++) {
		float sum = 0;
		int n = 0, agree = 0, through = 0;
		if (keep[u] <= E3_DROPPED || !(inverse[u] > 0))
			continue;
		for (int o = 0; o < a->n; o++) {
			float e = farther(&k->way[o], a->other[o], (float)u + 0.5f, (float)row + 0.5f, inverse[u]);
			if (!(e > -HIDDEN))
				continue;
			n++;
			sum += e * e;
			agree += fabsf(e) <= k->way[o].near;
			through += e > k->way[o].near;
		}
		keep[u] = through > agree ? E3_SEEN_THROUGH : byte_of(n ? sqrtf(sum / (float)n) : ALONE);
	}
}

void e3_agree_judge(const e3_agree *a, e3_pool *pool, uint8_t *keep)
{
	work k = {.a = a, .keep = keep};
	for (int o = 0; o < a->n; o++) {
		k.way[o] = find_way(a->view, a->other[o]);
		k.way[o].near = usual(a->view, a->other[o], &k.way[o]);
	}
	e3_parallel_for(pool, a->view->k.h, judge_row, &k);
}
