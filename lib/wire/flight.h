/* wire: bytes that ZeroMQ was given and has not yet passed on: what bounds a socket's queue in bytes, which libzmq
 * cannot. */
#ifndef E3_WIRE_FLIGHT_H
#define E3_WIRE_FLIGHT_H

#include "e3/err.h"
#include <stddef.h>
#include <sys/uio.h>
#include <zmq.h>

typedef struct e3_flight e3_flight;

e3_flight *e3_flight_new(e3_err *err);
/* After the last message is gone (zmq_ctx_term). NULL is fine. */
void e3_flight_free(e3_flight *f);
/* One message of these parts, copied; 0 or -1. It counts until ZeroMQ lets go of it. */
int e3_flight_pack(e3_flight *f, zmq_msg_t *msg, const struct iovec *part, int n, e3_err *err);
size_t e3_flight_bytes(const e3_flight *f);
/* A descriptor that becomes readable when bytes have left; e3_flight_rearm before looking at their number. */
int e3_flight_event(const e3_flight *f);
void e3_flight_rearm(e3_flight *f);

#endif
