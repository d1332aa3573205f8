/* track: places that the stream has seen, kept for finding them again. Private to this layer.
 *
 * A place is the first frame of a segment and a few more: their pictures, what they looked like (descriptor), and how
 * the segment saw them. The bank holds a fixed number; when it is full, the newer of the two places that look most
 * alike leaves, so that what is left covers all that was seen.
 */
#ifndef E3_TRACK_PLACES_H
#define E3_TRACK_PLACES_H

#include "e3/track.h"

enum { E3_PLACE_FRAMES = 3 };

typedef struct e3_place {
	int64_t segment, frame; /* its segment; its first frame, of the stream */
	e3_similarity world;    /* of the segment, as the loops so far have it */
	double walked;          /* how far the camera had come, in units of the world; see loops.c */
	float *descriptor;      /* [dim] mean of its frames', length 1 */
	uint8_t *rgb[E3_PLACE_FRAMES];
	e3_view view[E3_PLACE_FRAMES];
} e3_place;

typedef struct e3_places {
	e3_place *place; /* by frame */
	int n, most, dim;
	size_t picture;   /* bytes of one */
	struct e3_alike { /* [most]: of each place the one after it in the list that it looks most like */
		float likeness;
		int other;
	} * alike;
} e3_places;

int e3_places_open(e3_places *b, int most, int dim, const int size[2], e3_err *err);
void e3_places_release(e3_places *b);
/* Takes what *p owns; *p gets memory to fill again. */
int e3_places_add(e3_places *b, e3_place *p, e3_err *err);
/* An empty place with room for pictures and descriptor. */
int e3_place_open(const e3_places *b, e3_place *p, e3_err *err);
void e3_place_release(e3_place *p);
/* The inner product of two descriptors. */
float e3_likeness(const float *a, const float *b, int dim);

#endif
