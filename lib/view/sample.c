/* view: points of a frame. Pixels are visited at random, so that any first part of what is taken is a fair thinning;
 * one is taken where the world has no point yet. */
#include "view/sample.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Pixels that are looked at for each point that may be taken. */
enum { TRIES = 4 };

static bool from_depth(const e3_pred *p) { return p->depth && p->has_pose && e3_intrinsics_usable(p->pose); }

bool view_sample_can(const e3_pred *p) { return from_depth(p) || p->points; }

static void shuffle(uint32_t *order, uint32_t n)
{
	uint32_t x = 1;
	for (uint32_t k = 0; k < n; k++) {
		x = e3_fmix32(x + k * 0x9E3779B9u);
		uint32_t j = (uint32_t)((uint64_t)x * (k + 1) >> 32);
		order[k] = order[j];
		order[j] = k;
	}
}

static int make_room(view_sampler *s, const e3_pred *p, int64_t limit, e3_err *err)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (s->w != p->w || s->h != p->h) {
		if (e3_grow((void **)&s->order, n, sizeof *s->order, "the order of pixels", err) ||
			e3_grow((void **)&s->z, n, sizeof *s->z, "depth", err) ||
			e3_grow((void **)&s->inverse, n, sizeof *s->inverse, "inverse depth", err) ||
			e3_grow((void **)&s->edge, n, sizeof *s->edge, "depth edges", err))
			return -1;
		s->w = p->w, s->h = p->h;
		shuffle(s->order, (uint32_t)n);
	}
	if (s->limit < limit) {
		if (e3_grow((void **)&s->taken, (size_t)limit, 3 * sizeof *s->taken, "points of a frame", err) ||
			e3_grow((void **)&s->rest, (size_t)limit, 4, "points of a frame", err))
			return -1;
		s->limit = limit;
	}
	return 0;
}

/* How far each pixel's point is: along the axis, or from the origin where it is not known where the camera was. */
static void find_depth(view_sampler *s, const e3_pred *p, const e3_pose *pose)
{
	size_t n = (size_t)p->w * (size_t)p->h;
	if (from_depth(p)) {
		memcpy(s->z, p->depth, n * sizeof *s->z);
	} else {
		const double *r = pose->r, *t = pose->t;
		for (size_t k = 0; k < n; k++) {
			const float *x = p->points + 3 * k;
			s->z[k] = p->has_pose ? (float)(r[6] * x[0] + r[7] * x[1] + r[8] * x[2] + t[2])
								  : sqrtf(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);
		}
	}
	for (size_t k = 0; k < n; k++) {
		bool known = s->z[k] > E3_DEPTH_MIN && s->z[k] <= FLT_MAX;
		s->z[k] = known ? s->z[k] : 0;
		s->inverse[k] = known ? 1 / s->z[k] : 0;
	}
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* Of some pixels, which are at random. 0: none has a depth. */
static float median(const view_sampler *s)
{
	enum { SOME = 1023 };
	float v[SOME];
	size_t n = 0, all = (size_t)s->w * (size_t)s->h;
	for (size_t k = 0; k < all && n < SOME; k++)
		if (s->z[s->order[k]] > 0)
			v[n++] = s->z[s->order[k]];
	qsort(v, n, sizeof *v, by_size);
	return n ? v[n / 2] : 0;
}

enum { APART = 2 /* pixels */ };

/* Inverse depth is linear along planes, however slanted: where it is not, surfaces meet or end. */
static inline bool at_edge(float a, float q, float b)
{
	const float bend = 0.06f;
	return q > 0 && a > 0 && b > 0 && fabsf(a - 2 * q + b) > bend * q;
}

static inline void spread_edge(uint8_t *e, long from)
{
	int other = e[from] - 1;
	*e = other > *e ? (uint8_t)other : *e;
}

static void find_edges(view_sampler *s)
{
	long w = s->w, h = s->h;
	memset(s->edge, 0, (size_t)(w * h));
	for (long v = 0; v < h; v++) {
		const float *q = s->inverse + v * w;
		uint8_t *e = s->edge + v * w;
		for (long u = APART; u < w - APART; u++)
			e[u] = at_edge(q[u - APART], q[u], q[u + APART]) ? VIEW_EDGES : 0;
		for (long u = 0; v >= APART && v < h - APART && u < w; u++)
			e[u] = at_edge(q[u - APART * w], q[u], q[u + APART * w]) ? VIEW_EDGES : e[u];
	}
	for (long v = 0; v < h; v++) {
		uint8_t *e = s->edge + v * w;
		for (long u = 0; v && u < w; u++)
			spread_edge(e + u, -w);
		for (long u = 1; u < w; u++)
			spread_edge(e + u, -1);
	}
	for (long v = h - 1; v >= 0; v--) {
		uint8_t *e = s->edge + v * w;
		for (long u = 0; v < h - 1 && u < w; u++)
			spread_edge(e + u, w);
		for (long u = w - 2; u >= 0; u--)
			spread_edge(e + u, 1);
	}
}

double view_certainty(const float *confidence, size_t k, const double range[2])
{
	if (!confidence)
		return range[1];
	double v = confidence[k] > 0 ? log(confidence[k]) : range[0];
	return v > range[0] ? (v < range[1] ? v : range[1]) : range[0];
}

void view_confidence_range(const e3_pred *p, double range[2])
{
	const float *c = p->depth_conf ? p->depth_conf : p->points_conf;
	double most = 0;
	for (size_t k = 0; c && k < (size_t)p->w * (size_t)p->h; k++)
		if (isfinite(c[k]) && c[k] > most)
			most = c[k];
	range[0] = 0, range[1] = most > 1 ? 1.1 * log(most) : 0;
	range[1] = range[1] > 0.5 ? range[1] : 0.5;
}

/* In the camera's space, or in the world where it is not known where the camera was. k: of depth; NULL: of the point
 * map. */
static void locate(const e3_pred *p, const e3_pose *pose, const e3_intrinsics *k, size_t at, float out[3])
{
	if (k) {
		int u = (int)(at % (size_t)p->w), v = (int)(at / (size_t)p->w);
		double d = p->depth[at];
		out[0] = (float)((u + 0.5 - k->cx) * d / k->fx), out[1] = (float)((v + 0.5 - k->cy) * d / k->fy);
		out[2] = (float)d;
		return;
	}
	const float *x = p->points + 3 * at;
	for (int r = 0; r < 3; r++)
		out[r] = p->has_pose
			? (float)(pose->r[3 * r] * x[0] + pose->r[3 * r + 1] * x[1] + pose->r[3 * r + 2] * x[2] + pose->t[r])
			: x[r];
}

static void to_world(const double m[12], const float x[3], double out[3])
{
	for (int r = 0; r < 3; r++)
		out[r] = m[4 * r] * x[0] + m[4 * r + 1] * x[1] + m[4 * r + 2] * x[2] + m[4 * r + 3];
}

static void pack(const view_sampler *s, uint32_t n, view_chunk *out)
{
	for (int a = 0; a < 3; a++) {
		float lo = INFINITY, hi = -INFINITY;
		for (uint32_t k = 0; k < n; k++)
			lo = fminf(lo, s->taken[3 * k + (uint32_t)a]), hi = fmaxf(hi, s->taken[3 * k + (uint32_t)a]);
		out->min[a] = n ? lo : 0, out->size[a] = n ? hi - lo : 0;
	}
	for (uint32_t k = 0; k < n; k++) {
		uint8_t *to = out->points + (size_t)k * VIEW_POINT_BYTES;
		for (int a = 0; a < 3; a++) {
			double part = out->size[a] > 0 ? (s->taken[3 * k + (uint32_t)a] - out->min[a]) / (double)out->size[a] : 0;
			e3_put_le16(to + 2 * a, (uint16_t)lrint(65535 * fmin(part, 1)));
		}
		memcpy(to + 6, s->rest + 4 * (size_t)k, 4);
	}
	out->count = n;
}

/* Fills s->taken and s->rest; how many. */
static uint32_t take(view_sampler *s, const view_sampling *from, view_merge *merge, const e3_pose *pose)
{
	const e3_pred *p = from->pred;
	bool depth = from_depth(p);
	const float *conf = depth ? p->depth_conf : p->points_conf;
	size_t all = (size_t)p->w * (size_t)p->h;
	e3_intrinsics k = e3_intrinsics_decode(p->pose, p->w, p->h);
	bool known_k = p->has_pose && e3_intrinsics_usable(p->pose);
	double limit = (double)(from->limit < 1 ? 1 : from->limit);
	double apart = from->spread * sqrt(fmax((double)all / limit, 1)) / (known_k ? k.fx : p->w),
		   most = VIEW_FAR * median(s), range = from->confidence[1] - from->confidence[0];
	uint32_t n = 0;
	size_t first = e3_fmix32(from->n) % all;
	/* where most is known already, a part of the pixels is enough to find what is not */
	size_t tried = (size_t)fmin((double)all, TRIES * limit);
	for (size_t j = 0; j < tried && n < from->limit; j++) {
		size_t at = s->order[first + j < all ? first + j : first + j - all];
		float *x = s->taken + 3 * (size_t)n;
		double world[3];
		if (!(s->z[at] > 0) || s->z[at] > most)
			continue;
		locate(p, pose, depth ? &k : NULL, at, x);
		if (!isfinite(x[0]) || !isfinite(x[1]) || !isfinite(x[2]))
			continue;
		int certain = (int)lrint(31 * (view_certainty(conf, at, from->confidence) - from->confidence[0]) / range);
		to_world(from->frame->matrix, x, world);
		/* (cells are between half and all of what is asked for: as large as that on average with this) */
		if (merge && !view_merge_take(merge, world, 1.4 * apart * s->z[at], certain))
			continue;
		memcpy(s->rest + 4 * (size_t)n, p->rgb + 3 * at, 3);
		s->rest[4 * (size_t)n++ + 3] = (uint8_t)(certain << 3 | s->edge[at]);
	}
	return n;
}

int view_sample(view_sampler *s, const view_sampling *from, view_merge *merge, view_chunk *out, e3_err *err)
{
	const e3_pred *p = from->pred;
	e3_pose pose = {0};
	*out = (view_chunk){0};
	if (make_room(s, p, from->limit, err) || (p->has_pose && e3_pose_decode(p->pose, &pose, err)))
		return -1;
	find_depth(s, p, &pose);
	find_edges(s);
	uint32_t n = take(s, from, merge, &pose);
	if (n == 0)
		return 0;
	if (!(out->points = e3_alloc(n, VIEW_POINT_BYTES, "points of a frame", err)))
		return -1;
	pack(s, n, out);
	return 0;
}

void view_sampler_release(view_sampler *s)
{
	free(s->order), free(s->z), free(s->inverse), free(s->edge), free(s->taken), free(s->rest);
	*s = (view_sampler){0};
}
