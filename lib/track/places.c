/* track: the bank of places. Owns their pictures; its memory is bounded by the number of places. */
#include "places.h"
#include "e3/mem.h"
#include <stdlib.h>
#include <string.h>

float e3_likeness(const float *a, const float *b, int dim)
{
	float sum[8] = {0};
	int k = 0;
	for (; k + 8 <= dim; k += 8)
		for (int j = 0; j < 8; j++)
			sum[j] += a[k + j] * b[k + j];
	for (; k < dim; k++)
		sum[0] += a[k] * b[k];
	return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

int e3_places_open(e3_places *b, int most, int dim, const int size[2], e3_err *err)
{
	*b = (e3_places){.most = most, .dim = dim, .picture = 3 * (size_t)size[0] * (size_t)size[1]};
	b->place = e3_alloc((size_t)most + 1, sizeof *b->place, "bank of places", err);
	b->alike = e3_alloc((size_t)most + 1, sizeof *b->alike, "bank of places", err);
	return b->place && b->alike ? 0 : -1;
}

int e3_place_open(const e3_places *b, e3_place *p, e3_err *err)
{
	*p = (e3_place){.world = e3_similarity_identity,
		.descriptor = e3_alloc((size_t)b->dim, sizeof *p->descriptor, "a place", err)};
	for (int k = 0; k < E3_PLACE_FRAMES && p->descriptor; k++)
		if (!(p->rgb[k] = e3_alloc(b->picture, 1, "a place", err)))
			return -1;
	return p->descriptor ? 0 : -1;
}

void e3_place_release(e3_place *p)
{
	for (int k = 0; k < E3_PLACE_FRAMES; k++) {
		free(p->rgb[k]);
		e3_view_release(&p->view[k]);
	}
	free(p->descriptor);
	*p = (e3_place){0};
}

void e3_places_release(e3_places *b)
{
	for (int k = 0; k < b->n; k++)
		e3_place_release(&b->place[k]);
	free(b->place), free(b->alike);
	*b = (e3_places){0};
}

/* Which place after k looks most like it. */
static void compare(e3_places *b, int k)
{
	struct e3_alike *a = &b->alike[k];
	*a = (struct e3_alike){-2, -1};
	for (int j = k + 1; j < b->n; j++) {
		float likeness = e3_likeness(b->place[k].descriptor, b->place[j].descriptor, b->dim);
		if (likeness > a->likeness)
			*a = (struct e3_alike){likeness, j};
	}
}

/* Takes place k out of the list; *out gets it. */
static void take_out(e3_places *b, int k, e3_place *out)
{
	*out = b->place[k];
	memmove(b->place + k, b->place + k + 1, (size_t)(b->n - k - 1) * sizeof *b->place);
	memmove(b->alike + k, b->alike + k + 1, (size_t)(b->n - k - 1) * sizeof *b->alike);
	b->n--;
	for (int j = 0; j < k; j++) {
		if (b->alike[j].other == k)
			compare(b, j);
		else if (b->alike[j].other > k)
			b->alike[j].other--;
	}
	for (int j = k; j < b->n; j++)
		if (b->alike[j].other >= 0)
			b->alike[j].other--;
}

int e3_places_add(e3_places *b, e3_place *p, e3_err *err)
{
	e3_place spare = {0};
	int newest = b->n, most = 0;
	b->place[b->n++] = *p;
	b->alike[newest] = (struct e3_alike){-2, -1};
	*p = spare;
	for (int k = 0; k < newest; k++) {
		float likeness = e3_likeness(b->place[k].descriptor, b->place[newest].descriptor, b->dim);
		if (likeness > b->alike[k].likeness)
			b->alike[k] = (struct e3_alike){likeness, newest};
	}
	if (b->n <= b->most)
		return e3_place_open(b, p, err);
	for (int k = 1; k < b->n; k++)
		if (b->alike[k].likeness > b->alike[most].likeness)
			most = k;
	take_out(b, b->alike[most].other, p);
	return 0;
}
