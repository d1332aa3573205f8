/* wire: one end of a ZeroMQ connection that carries one stream: PUSH writes, PULL reads, one message each. */
#ifndef E3_WIRE_ZMQ_H
#define E3_WIRE_ZMQ_H

#include "endpoint.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct e3_zmq e3_zmq;

e3_zmq *e3_zmq_open(const e3_endpoint *ep, bool reading, e3_err *err);
/* The next message, valid until the next call or close. Waits for a peer as long as it takes; once something arrived, a peer
 * that goes away is an error, and so is a stop signal ("interrupted"). Errors carry no prefix. */
int e3_zmq_recv(e3_zmq *z, const uint8_t **bytes, size_t *len, e3_err *err);
/* The last message was received: lets the peer know by disconnecting. The message stays valid. */
void e3_zmq_done(e3_zmq *z);
/* Sends one message made of n parts; waits as above, at most `wait_ms` when that is not negative. */
int e3_zmq_send(e3_zmq *z, const struct iovec *part, int n, int wait_ms, e3_err *err);
/* After the last message: returns when the reader has taken it and hung up; waits at most `wait_ms` when that is not negative, and
 * no more than 5 s after a stop signal. */
int e3_zmq_finish(e3_zmq *z, int wait_ms, e3_err *err);
/* Closes; what has not arrived is dropped. NULL is fine. */
void e3_zmq_close(e3_zmq *z);

#endif
