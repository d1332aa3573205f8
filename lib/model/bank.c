/* model: which frames stay in the cache, by age and by how alike they are. */
#include "bank.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int e3_bank_open(e3_bank *b, int room, int dim, e3_err *err)
{
	*b = (e3_bank){.room = room, .dim = dim};
	size_t n = (size_t)room;
	b->frame = e3_alloc(n, sizeof *b->frame, "frames of the cache", err);
	b->vector = e3_alloc(n * (size_t)dim, sizeof *b->vector, "descriptors of frames", err);
	b->like = e3_alloc(n * n, sizeof *b->like, "frames of the cache", err);
	b->near = e3_alloc(n, sizeof *b->near, "frames of the cache", err);
	return b->frame && b->vector && b->like && b->near ? 0 : -1;
}

void e3_bank_release(e3_bank *b)
{
	free(b->frame), free(b->vector), free(b->like), free(b->near);
	*b = (e3_bank){0};
}

void e3_bank_clear(e3_bank *b) { b->n = 0; }

static double *like_at(const e3_bank *b, int i, int j) { return &b->like[(size_t)i * (size_t)b->room + (size_t)j]; }

static double product(const float *a, const float *b, int dim)
{
	double sum = 0;
	for (int k = 0; k < dim; k++)
		sum += (double)a[k] * b[k];
	return sum;
}

static float *vector_at(const e3_bank *b, int k) { return b->vector + (size_t)k * (size_t)b->dim; }

void e3_bank_put(e3_bank *b, int64_t frame, const float *vector)
{
	int at = b->n++;
	b->frame[at] = frame;
	memmove(vector_at(b, at), vector, (size_t)b->dim * sizeof *vector);
	for (int k = 0; k <= at; k++)
		*like_at(b, k, at) = *like_at(b, at, k) = product(vector_at(b, k), vector_at(b, at), b->dim);
}

void e3_bank_add(e3_bank *b, int64_t frame, const float *vector)
{
	float *to = vector_at(b, b->n);
	double length = sqrt(product(vector, vector, b->dim));
	for (int k = 0; k < b->dim; k++)
		to[k] = length > 0 ? (float)(vector[k] / length) : 0;
	e3_bank_put(b, frame, to);
}

void e3_bank_drop(e3_bank *b, int k)
{
	size_t dim = (size_t)b->dim, after = (size_t)(b->n - k - 1);
	memmove(b->frame + k, b->frame + k + 1, after * sizeof *b->frame);
	memmove(b->vector + (size_t)k * dim, b->vector + (size_t)(k + 1) * dim, after * dim * sizeof *b->vector);
	for (int i = 0; i < b->n; i++)
		memmove(like_at(b, i, k), like_at(b, i, k + 1), after * sizeof *b->like);
	for (int i = k; i + 1 < b->n; i++)
		memcpy(like_at(b, i, 0), like_at(b, i + 1, 0), (size_t)b->n * sizeof *b->like);
	b->n--;
}

/* The likeness of a frame to the one that it is most like among those of `set`. */
static double nearest(const e3_bank *b, int i, const bool *set)
{
	double most = -INFINITY;
	for (int k = 0; k < b->n; k++)
		if (set[k])
			most = fmax(most, *like_at(b, i, k));
	return most;
}

static int count(const bool *keep, int n)
{
	int kept = 0;
	for (int k = 0; k < n; k++)
		kept += keep[k];
	return kept;
}

/* Of the frames before `end` that are not kept yet the one that is least like those of `set`; the oldest of equals. */
static int least_like(const e3_bank *b, const bool *keep, const bool *set, int end)
{
	int best = -1;
	double least = INFINITY;
	for (int k = 0; k < end; k++) {
		double near = keep[k] ? INFINITY : nearest(b, k, set);
		if (near < least)
			least = near, best = k;
	}
	return best;
}

/* The newest, and of the others those that are least like the newest. */
static void unlike(const e3_bank *b, const e3_bank_rule *r, bool *keep)
{
	int old = b->n > r->whole->newest ? b->n - r->whole->newest : 0;
	bool *newest = keep + b->room; /* the caller's second half */
	for (int k = 0; k < b->n; k++)
		newest[k] = k >= old, keep[k] |= k >= old;
	while (count(keep, b->n) < r->frames) {
		int k = least_like(b, keep, newest, old);
		if (k < 0)
			return;
		keep[k] = true;
	}
}

/* The newest; one from each span of ages: of the oldest span the one that is least like what is kept so far, of the
 * others the oldest, so that a frame stays until it reaches the next span; idle places for the newest of the others. */
static void by_age(const e3_bank *b, const e3_bank_rule *r, bool *keep)
{
	static const int64_t from[] = {48, 16, 4}, to[] = {INT64_MAX, 47, 15};
	int64_t now = b->frame[b->n - 1];
	bool *so_far = keep + b->room;
	for (int k = 0; k < b->n; k++)
		keep[k] |= now - b->frame[k] < r->whole->newest;
	memcpy(so_far, keep, (size_t)b->n * sizeof *keep);
	for (int span = 0; span < 3; span++) {
		int best = -1;
		double least = INFINITY;
		for (int k = 0; k < b->n; k++) {
			int64_t age = now - b->frame[k];
			if (so_far[k] || keep[k] || age < from[span] || age > to[span])
				continue;
			double rank = span ? (double)-age : nearest(b, k, so_far);
			if (rank < least)
				least = rank, best = k;
		}
		if (best >= 0)
			keep[best] = true;
	}
	for (int k = b->n - 1; k >= 0 && count(keep, b->n) < r->frames; k--)
		keep[k] = true;
}

/* Farthest first: from the newest on, always the frame that is least like all that are kept. */
static void farthest(const e3_bank *b, const e3_bank_rule *r, bool *keep)
{
	int last = b->n - 1;
	for (int k = 0; k < b->n; k++)
		b->near[k] = keep[0] ? *like_at(b, k, 0) : -INFINITY;
	keep[last] = true;
	while (count(keep, b->n) < r->frames) {
		int best = -1;
		for (int k = 0; k < b->n; k++) {
			b->near[k] = fmax(b->near[k], *like_at(b, k, last));
			if (!keep[k] && (best < 0 || b->near[k] < b->near[best]))
				best = k;
		}
		if (best < 0)
			return;
		keep[last = best] = true;
	}
}

void e3_bank_choose(const e3_bank *b, const e3_bank_rule *r, bool *keep)
{
	memset(keep, 0, 2 * (size_t)b->room * sizeof *keep);
	if (!b->n)
		return;
	keep[0] = !r->free_first && b->frame[0] == 0;
	switch (r->whole->rule) {
	case E3_WHOLE_UNLIKE:
		unlike(b, r, keep);
		break;
	case E3_WHOLE_AGES:
		by_age(b, r, keep);
		break;
	default:
		farthest(b, r, keep);
	}
}
