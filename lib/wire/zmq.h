/* wire: one end of a ZeroMQ connection. PUSH and PULL carry one stream from one writer to one reader and lose nothing;
 * PUB sends to all subscribers, SUB receives from a publisher; messages may be lost. */
#ifndef E3_WIRE_ZMQ_H
#define E3_WIRE_ZMQ_H

#include "e3/stream.h"
#include "endpoint.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct e3_zmq e3_zmq;

e3_zmq *e3_zmq_open(const e3_endpoint *ep, const e3_stream_options *o, bool reading, e3_err *err);
/* Waits that this flag ends, from another thread; NULL for none. */
void e3_zmq_give_up_on(e3_zmq *z, const atomic_bool *flag);
/* The next message, valid until the next call or close. Errors carry no prefix: a writer that left before the end, no
 * writer for as long as the timeout says, a lost output (e3_output_lost), a request to stop ("interrupted"). A
 * publisher that left may come back. */
int e3_zmq_recv(e3_zmq *z, const uint8_t **bytes, size_t *len, e3_err *err);
/* The last message was received: lets the peer know by disconnecting. The message stays valid. */
void e3_zmq_done(e3_zmq *z);
/* Sends one message of the stream, made of n parts, the first of which holds its envelope; waits as above, at most
 * `wait_ms` when that is not negative. A publisher does not wait. */
int e3_zmq_send(e3_zmq *z, const struct iovec *part, int n, int wait_ms, e3_err *err);
/* Has the reader gone? 0 or -1. From any thread. */
int e3_zmq_lost(e3_zmq *z, e3_err *err);
/* After the last message: returns when the reader, or every subscriber, has taken it and hung up; waits at most
 * `wait_ms` when that is not negative, and no more than 5 s after a stop signal. */
int e3_zmq_finish(e3_zmq *z, int wait_ms, e3_err *err);
/* Closes; what has not arrived is dropped. NULL is fine. */
void e3_zmq_close(e3_zmq *z);

#endif
