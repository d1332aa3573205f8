/* wire: messages that a subscriber did not get. A publisher drops messages for readers that are slow, late or
 * disconnected; gaps in the indices and the count of the end show it. */
#ifndef E3_WIRE_GAPS_H
#define E3_WIRE_GAPS_H

#include "order.h"

typedef struct e3_gaps {
	int64_t next[E3_KINDS]; /* index expected next, of kinds that have one for each frame; 0: none came yet */
	int64_t missing;        /* messages */
	int64_t reported;       /* of them */
	double reported_at;     /* e3_now() */
	e3_msg end;             /* rewritten; owned */
} e3_gaps;

/* Takes note of a message that is in order, and reports gaps: at once, then every few seconds. An `end` is changed to
 * count the frames that arrived, `seen`; *msg is valid until the next call or release. */
int e3_gaps_step(e3_gaps *g, const char *name, const e3_order *seen, e3_msg *msg, e3_err *err);
void e3_gaps_release(e3_gaps *g);

#endif
