/* wire: messages about a frame that the reader does not get. A subscriber may join between a frame and what belongs to
 * it, and a publisher may drop a frame on the way. */
#ifndef E3_WIRE_EARLY_H
#define E3_WIRE_EARLY_H

#include "kinds.h"

enum { E3_EARLY_FRAMES = 64, E3_EARLY_HELD = 16 };

typedef struct e3_early {
	bool sub;                       /* frames may be missing later too, not only before the first */
	int64_t first, newest;          /* indices of the first frame (or prediction) and the newest; -1: none came */
	int64_t frame[E3_EARLY_FRAMES]; /* indices of the last that came, in a ring */
	size_t frames;                  /* that came */
	e3_msg held[E3_EARLY_HELD];     /* copies: their frame may be still to come */
	int n;
	e3_msg waiting; /* what comes after those that are handed out; kind 0: nothing. Borrowed */
	e3_msg out;     /* the copy handed out last */
} e3_early;

void e3_early_init(e3_early *e, bool sub);
void e3_early_release(e3_early *e);
/* A message came: 1 it is to be handed out now, 0 it was left out or is held, -1. Valid until the next e3_early_next.
 */
int e3_early_take(e3_early *e, e3_msg *msg, e3_err *err);
/* What is to be handed out before more is read: true with *msg. */
bool e3_early_next(e3_early *e, e3_msg *msg);

#endif
