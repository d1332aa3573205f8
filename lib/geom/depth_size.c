/* geom: a depth map in the pixels of the source picture (doc/formats.md 4.9). Every value lies on one surface:
 * neighbours are joined where depth goes on as it came, each place takes the surface that covers most of it, and what
 * lies across an edge is continued from this side. Inverse depth is what is interpolated: it is linear on a plane. */
#include "e3/geom.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

/* A step of inverse depth between two pixels is an edge when it exceeds NEAR of the value, and what the steps beside it
 * predict by more than NEAR of the value and BEND of the step. */
#define NEAR 0.005F
#define BEND 0.1F

/* A pixel is on the same surface as the next one; all four of the cell that begins with it are. */
enum { RIGHT = 1, DOWN = 2, WHOLE = 4 };

/* One axis of one source pixel: between the centres of the pixels a and b, at + f. f is beyond 0..1 outside of the
 * outermost centres. */
typedef struct place {
	int a, b; /* a = -1: outside of the network's picture */
	float f;
} place;

struct e3_depth_sizer {
	size_t cap, cap_x;
	float *inverse, *gx, *gy; /* of each pixel: 1/depth, 0 = unknown; its slope to both sides */
	uint8_t *joined;
	place *x;
};

e3_depth_sizer *e3_depth_sizer_open(e3_err *err) { return e3_alloc(1, sizeof(e3_depth_sizer), "a depth map", err); }

void e3_depth_sizer_close(e3_depth_sizer *s)
{
	if (!s)
		return;
	free(s->inverse), free(s->gx), free(s->gy), free(s->joined), free(s->x);
	free(s);
}

static int reserve(e3_depth_sizer *s, size_t n, size_t columns, e3_err *err)
{
	if (n > s->cap) {
		s->cap = 0;
		if (e3_grow((void **)&s->inverse, n, sizeof(float), "a depth map", err) ||
			e3_grow((void **)&s->gx, n, sizeof(float), "a depth map", err) ||
			e3_grow((void **)&s->gy, n, sizeof(float), "a depth map", err) ||
			e3_grow((void **)&s->joined, n, 1, "a depth map", err))
			return -1;
		s->cap = n;
	}
	if (columns > s->cap_x) {
		s->cap_x = 0;
		if (e3_grow((void **)&s->x, columns, sizeof *s->x, "a depth map", err))
			return -1;
		s->cap_x = columns;
	}
	return 0;
}

/* Are b and c, which follow each other, on one surface? a is before and d behind them; 0 = unknown. */
static bool on_one(float a, float b, float c, float d)
{
	if (!(b > 0) || !(c > 0))
		return false;
	float step = c - b, size = b > c ? b : c, most = NEAR * size + BEND * fabsf(step);
	return fabsf(step) <= NEAR * size || (a > 0 && fabsf(step - (b - a)) <= most) ||
		(d > 0 && fabsf(step - (d - c)) <= most);
}

/* One line of pixels, `by` apart. */
static void join_line(e3_depth_sizer *s, size_t at, size_t by, int n, uint8_t bit)
{
	const float *v = s->inverse;
	for (int k = 0; k + 1 < n; k++, at += by)
		if (on_one(k > 0 ? v[at - by] : 0, v[at], v[at + by], k + 2 < n ? v[at + 2 * by] : 0))
			s->joined[at] |= bit;
}

/* The slope of one pixel along a line: of its neighbours on the same surface. */
static float slope(const e3_depth_sizer *s, size_t at, size_t by, bool first, uint8_t bit)
{
	const float *v = s->inverse;
	bool before = !first && (s->joined[at - by] & bit), behind = s->joined[at] & bit;
	if (before && behind)
		return (v[at + by] - v[at - by]) / 2;
	return before ? v[at] - v[at - by] : behind ? v[at + by] - v[at] : 0;
}

static void prepare(e3_depth_sizer *s, const float *depth, int w, int h)
{
	size_t n = (size_t)w * (size_t)h, row = (size_t)w;
	for (size_t k = 0; k < n; k++)
		s->inverse[k] = e3_depth_known(depth[k]) ? 1 / depth[k] : 0;
	memset(s->joined, 0, n);
	for (int y = 0; y < h; y++)
		join_line(s, (size_t)y * row, 1, w, RIGHT);
	for (int x = 0; x < w; x++)
		join_line(s, (size_t)x, row, h, DOWN);
	for (size_t k = 0; k + row + 1 < n; k++)
		if ((s->joined[k] & s->joined[k + 1] & DOWN) && (s->joined[k] & s->joined[k + row] & RIGHT))
			s->joined[k] |= WHOLE;
	for (size_t k = 0; k < n; k++) {
		s->gx[k] = slope(s, k, 1, k % row == 0, RIGHT);
		s->gy[k] = slope(s, k, row, k < row, DOWN);
	}
}

/* Where pixel k of the source is among `n` pixels of the network, of which the picture covers t .. t + scale · size.
 * Padding is not part of it. */
static place find(int k, double scale, double t, int size, int n)
{
	double at = scale * (k + 0.5) + t;
	int low = (int)fmax(0, ceil(t - 0.5)), high = (int)fmin(n, ceil(t + scale * size - 0.5)) - 1;
	if (!(at >= 0) || !(at < n) || high < low)
		return (place){-1, -1, 0};
	int a = (int)fmin(fmax(floor(at - 0.5), low), high > low ? high - 1 : low);
	return (place){a, a < high ? a + 1 : a, a < high ? (float)(at - 0.5 - a) : 0};
}

static float clamp(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

static float blend(const float v[4], float fx, float fy)
{
	float top = v[0] + fx * (v[1] - v[0]), bottom = v[2] + fx * (v[3] - v[2]);
	return top + fy * (bottom - top);
}

/* The corners of a cell: 0 1 above 2 3. Bit k of the result: corner k is on the surface that covers most of the place.
 */
static unsigned choose(unsigned links, float fx, float fy)
{
	static const uint8_t ends[4][2] = {{0, 1}, {2, 3}, {0, 2}, {1, 3}};
	float x = clamp(fx, 0, 1), y = clamp(fy, 0, 1);
	const float share[4] = {(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y};
	uint8_t group[4] = {1, 2, 4, 8};
	for (int pass = 0; pass < 2; pass++) /* twice: a link may join what was joined before it */
		for (int k = 0; k < 4; k++)
			if (links >> k & 1) {
				uint8_t both = group[ends[k][0]] | group[ends[k][1]];
				for (int c = 0; c < 4; c++)
					if (both >> c & 1)
						group[c] = both;
			}
	unsigned best = 0;
	float most = -1;
	for (int k = 0; k < 4; k++) {
		float sum = 0;
		for (int c = 0; c < 4; c++)
			sum += group[k] >> c & 1 ? share[c] : 0;
		if (sum > most)
			most = sum, best = group[k];
	}
	return best;
}

/* Inverse depth, of the surface that covers most of the place. 0 = unknown. */
static float on_surface(const e3_depth_sizer *s, const size_t corner[4], unsigned links, float fx, float fy)
{
	unsigned own = choose(links, fx, fy);
	float v[4], low = INFINITY, high = 0;
	for (int k = 0; k < 4; k++)
		if (own >> k & 1) {
			v[k] = s->inverse[corner[k]];
			low = fminf(low, v[k]), high = fmaxf(high, v[k]);
		}
	if (!(low > 0)) /* unknown is joined with nothing */
		return 0;
	for (int k = 0; k < 4; k++) {
		if (own >> k & 1)
			continue;
		float sum = 0;
		int n = 0;
		for (int c = 0; c < 4; c++)
			if (own >> c & 1) {
				sum += s->inverse[corner[c]] + (float)((k & 1) - (c & 1)) * s->gx[corner[c]] +
					(float)((k >> 1) - (c >> 1)) * s->gy[corner[c]];
				n++;
			}
		v[k] = sum / (float)n;
	}
	return clamp(blend(v, fx, fy), low / 4, 2 * high);
}

/* Inside of the four centres a blend cannot leave their range. */
static bool within(float f) { return f >= 0 && f <= 1; }

static float value(const e3_depth_sizer *s, size_t row, const place *x, const place *y)
{
	const float *v = s->inverse;
	size_t top = (size_t)y->a * row, bottom = (size_t)y->b * row;
	const size_t corner[4] = {top + (size_t)x->a, top + (size_t)x->b, bottom + (size_t)x->a, bottom + (size_t)x->b};
	if ((s->joined[corner[0]] & WHOLE) && x->a < x->b && y->a < y->b && within(x->f) && within(y->f))
		return 1 / blend((float[4]){v[corner[0]], v[corner[1]], v[corner[2]], v[corner[3]]}, x->f, y->f);
	unsigned links = (x->a == x->b || (s->joined[corner[0]] & RIGHT)) |
		(x->a == x->b || (s->joined[corner[2]] & RIGHT)) << 1 | (y->a == y->b || (s->joined[corner[0]] & DOWN)) << 2 |
		(y->a == y->b || (s->joined[corner[1]] & DOWN)) << 3;
	float inverse = on_surface(s, corner, links, x->f, y->f);
	return inverse > 0 ? 1 / inverse : 0;
}

int e3_depth_to_source(e3_depth_sizer *s, const e3_pred *p, float *out, e3_err *err)
{
	const e3_source *to = &p->s;
	const e3_fit *f = &to->fit;
	if (reserve(s, (size_t)p->w * (size_t)p->h, (size_t)to->src_w, err))
		return -1;
	prepare(s, p->depth, p->w, p->h);
	for (int k = 0; k < to->src_w; k++)
		s->x[k] = find(k, f->sx, f->tx, to->src_w, p->w);
	for (int row = 0; row < to->src_h; row++) {
		place y = find(row, f->sy, f->ty, to->src_h, p->h);
		for (int k = 0; k < to->src_w; k++)
			*out++ = y.a < 0 || s->x[k].a < 0 ? 0 : value(s, (size_t)p->w, &s->x[k], &y);
	}
	return 0;
}
