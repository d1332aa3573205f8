/* track: loops: finding a place again, and measuring how it lies to what is seen now. Private to this layer.
 *
 * Every segment is a place: its first frame, to which all its coordinates refer, and a few more. When a segment has
 * ended and looks like an old one, both are run together, beside the stream, as a short segment of their own. It tells
 * how the two first frames lie to each other, which their pictures then tell more exactly (direct.h). What does not
 * agree is refused: a false loop is worse than none.
 */
#ifndef E3_TRACK_LOOPS_H
#define E3_TRACK_LOOPS_H

#include "places.h"
#include "direct.h"

enum { E3_LOOP_FRAMES = 2 * E3_PLACE_FRAMES }; /* of a trial */

typedef struct e3_loops {
	e3_session *s;
	e3_places bank;
	int stride;            /* from one frame of a place to the next */
	int64_t separate;      /* segments between two places, at least */
	e3_place filling[2];   /* of the segments with even and with odd numbers: of two that overlap */
	int filled[2];         /* their frames so far */
	double *mean;          /* [dim] sum of the descriptors of all places */
	int64_t places;        /* how many there were */
	e3_similarity fix;     /* what the loops so far make of the world of the chain */
	double walked;         /* by the camera, in units of the fixed world; a loop sets it back to what it was there */
	double last[3];        /* the camera's centre in the world of the chain */
	bool begun;            /* there is a last one */
	int at;                /* frames of the trial that were run; -1: there is none */
	e3_place older, newer; /* what is tried */
	e3_view seen[E3_LOOP_FRAMES];
	e3_pyramid picture[2]; /* of the first frames of both */
	e3_evict evict;        /* of side steps: nobody asked for it */
	int64_t tried, found;  /* trials, and loops that they gave */
} e3_loops;

int e3_loops_open(e3_loops *l, e3_session *s, const e3_track_options *o, e3_err *err);
void e3_loops_release(e3_loops *l);

/* A frame as its segment saw it: what is needed of the picture is copied. */
typedef struct e3_loop_frame {
	int64_t i, segment, k; /* of the stream; its segment; its number in that, from 0 */
	const uint8_t *rgb;
	const e3_view *view;
	const e3_similarity *world; /* of the segment in the chain; NULL: it does not answer yet */
	const float *descriptor;    /* NULL: that of the session's last step */
} e3_loop_frame;
/* In the order of k; k 0 begins a new place. */
int e3_loops_take(e3_loops *l, const e3_loop_frame *frame, e3_err *err);
/* The segment has ended: its place is tried, if it looks like an old one, and goes into the bank. */
int e3_loops_segment_ended(e3_loops *l, int64_t segment, const e3_similarity *world, e3_err *err);
/* The side has time for so many steps until it is needed, this one included: runs what must be run now. 1: an edge was
 * found; 0; -1. */
int e3_loops_run(e3_loops *l, int64_t time, e3_edge *edge, e3_err *err);

#endif
