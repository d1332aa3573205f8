/* wire: what a publisher keeps for those who come late or are slow: the head, how much of the stream has passed, and
 * its last message. */
#ifndef E3_WIRE_PUB_H
#define E3_WIRE_PUB_H

#include "e3/stream.h"
#include "flight.h"

typedef struct e3_pub {
	e3_msg head, last; /* owned; last: an end or an abort */
	int64_t frames, preds;
	double repeated; /* when `last` was sent */
} e3_pub;

/* Sends one message of the stream, made of n parts, the first of which holds its envelope, to whoever has room for it.
 * When somebody subscribed since the last call the head goes first, once more, with `frames` counting those still to
 * come. */
int e3_pub_send(e3_pub *p, void *sock, e3_flight *flight, const struct iovec *part, int n, e3_err *err);
/* After the last message, while there are subscribers: every now and then it goes out again, for those who had no room.
 */
int e3_pub_repeat(e3_pub *p, void *sock, e3_flight *flight, e3_err *err);
void e3_pub_release(e3_pub *p);

#endif
