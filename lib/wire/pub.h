/* wire: what a publisher keeps for subscribers that connect late or are slow: the head, how much of the stream has
 * passed, and its last message. */
#ifndef E3_WIRE_PUB_H
#define E3_WIRE_PUB_H

#include "e3/stream.h"
#include "flight.h"

typedef struct e3_pub {
	e3_msg head, last; /* owned; last: an end or an abort */
	int64_t frames, preds;
	double repeated; /* when `last` was sent */
} e3_pub;

/* Sends one message of the stream, made of n parts, the first of which holds its envelope, to every subscriber that has
 * room for it. When a subscriber connected since the last call the head is sent again first, with `frames` counting
 * those still to come. */
int e3_pub_send(e3_pub *p, void *sock, e3_flight *flight, const struct iovec *part, int n, e3_err *err);
/* After the last message, while there are subscribers: repeats it from time to time, for those that had no room. */
int e3_pub_repeat(e3_pub *p, void *sock, e3_flight *flight, e3_err *err);
void e3_pub_release(e3_pub *p);

#endif
