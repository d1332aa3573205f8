/* wire: what a publisher keeps for those who come late: the head, and how much of the stream has passed. */
#ifndef E3_WIRE_PUB_H
#define E3_WIRE_PUB_H

#include "e3/stream.h"
#include "flight.h"

typedef struct e3_pub {
	e3_msg head; /* owned */
	int64_t frames, preds;
} e3_pub;

/* Takes note of a message that is about to be sent. */
int e3_pub_note(e3_pub *p, const struct iovec *part, int n, e3_err *err);
/* Sends the head once more when somebody subscribed since the last call; its `frames` are those still to come. Those who have one
 * skip it. */
int e3_pub_greet(e3_pub *p, void *sock, e3_flight *flight, e3_err *err);
void e3_pub_release(e3_pub *p);

#endif
