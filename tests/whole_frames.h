/* Which whole frames each policy keeps, simulated with plain lists and inner products: independent of lib/model/bank.c.
 */
#ifndef WHOLE_FRAMES_H
#define WHOLE_FRAMES_H

#include "check.h"
#include <math.h>

enum { WF_MOST = 40, WF_DIM = 256 };

typedef struct wf_frame {
	int id;
	double v[WF_DIM];
} wf_frame;

typedef struct wf_cache {
	wf_frame frame[WF_MOST];
	int n, dim;
} wf_cache;

static inline double wf_like(const wf_cache *c, int a, int b)
{
	double ab = 0, aa = 0, bb = 0;
	for (int k = c->dim - 1; k >= 0; k--) {
		ab += c->frame[a].v[k] * c->frame[b].v[k];
		aa += c->frame[a].v[k] * c->frame[a].v[k], bb += c->frame[b].v[k] * c->frame[b].v[k];
	}
	return ab / sqrt(aa * bb);
}

/* K4 and K6: of the frames between frame 0 (if it is safe) and the newest, the one goes that is most like any of the
 * newest. */
static inline int wf_leaves_unlike(const wf_cache *c, int newest, bool first_safe)
{
	int goes = -1;
	double most = -2;
	for (int k = c->frame[0].id == 0 && first_safe; k < c->n - newest; k++)
		for (int g = c->n - newest; g < c->n; g++)
			if (wf_like(c, k, g) > most)
				most = wf_like(c, k, g), goes = k;
	return goes;
}

/* K8: the places by name; the one without a place goes. */
static inline int wf_leaves_ages(const wf_cache *c, bool first_safe)
{
	enum { FREE, ANCHOR, RECENT, LONG, MIDDLE, NEAR, FILLED };
	int place[WF_MOST] = {0}, used = 0, now = c->frame[c->n - 1].id, best = -1;
	double least = 2;
	for (int k = 0; k < c->n; k++)
		place[k] = now - c->frame[k].id <= 3 ? RECENT : c->frame[k].id == 0 && first_safe ? ANCHOR : FREE;
	for (int k = 0; k < c->n; k++) {
		double near = -2;
		if (place[k] != FREE || now - c->frame[k].id < 48)
			continue;
		for (int g = 0; g < c->n; g++)
			if (place[g] == ANCHOR || place[g] == RECENT)
				near = fmax(near, wf_like(c, k, g));
		if (near < least)
			least = near, best = k;
	}
	if (best >= 0)
		place[best] = LONG;
	for (int k = c->n - 1; k >= 0; k--) { /* the last one found is the oldest */
		int age = now - c->frame[k].id;
		int *old = place[k] == FREE && age >= 16 && age <= 47 ? &place[k] : NULL;
		if (old) {
			for (int g = 0; g < c->n; g++)
				place[g] = place[g] == MIDDLE ? FREE : place[g];
			*old = MIDDLE;
		}
	}
	for (int k = c->n - 1; k >= 0; k--) {
		int age = now - c->frame[k].id;
		if (place[k] == FREE && age >= 4 && age <= 15) {
			for (int g = 0; g < c->n; g++)
				place[g] = place[g] == NEAR ? FREE : place[g];
			place[k] = NEAR;
		}
	}
	for (int k = 0; k < c->n; k++)
		used += place[k] != FREE;
	for (int k = c->n - 1; k >= 0 && used < 8; k--)
		if (place[k] == FREE)
			place[k] = FILLED, used++;
	for (int k = 0; k < c->n; k++)
		if (place[k] == FREE)
			return k;
	return -1;
}

/* Farthest first, from the newest (and frame 0, if it is safe): the one goes that is never taken. */
static inline int wf_leaves_farthest(const wf_cache *c, int frames, bool first_safe)
{
	bool taken[WF_MOST] = {false};
	taken[c->n - 1] = true;
	if (c->frame[0].id == 0 && first_safe)
		taken[0] = true;
	for (int many = taken[0] && c->n > 1 ? 2 : 1; many < frames; many++) {
		int best = -1;
		double far = -1;
		for (int k = 0; k < c->n; k++) {
			double distance = 3;
			for (int g = 0; g < c->n; g++)
				if (taken[g])
					distance = fmin(distance, 1 - wf_like(c, k, g));
			if (!taken[k] && distance > far)
				far = distance, best = k;
		}
		taken[best] = true;
	}
	for (int k = 0; k < c->n; k++)
		if (!taken[k])
			return k;
	return -1;
}

static inline void wf_add(wf_cache *c, int id, const float *v)
{
	c->frame[c->n].id = id;
	for (int k = 0; k < c->dim; k++)
		c->frame[c->n].v[k] = v[k];
	c->n++;
}

static inline void wf_drop(wf_cache *c, int k)
{
	memmove(&c->frame[k], &c->frame[k + 1], (size_t)(c->n - k - 1) * sizeof c->frame[0]);
	c->n--;
}

#endif
