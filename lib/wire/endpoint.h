/* wire: what an endpoint's text means. */
#ifndef E3_WIRE_ENDPOINT_H
#define E3_WIRE_ENDPOINT_H

#include "e3/stream.h"
#include <stdbool.h>

typedef enum e3_endpoint_type { E3_EP_STD, E3_EP_PATH, E3_EP_ZMQ } e3_endpoint_type;
typedef enum e3_zmq_kind { E3_ZMQ_PULL, E3_ZMQ_PUSH, E3_ZMQ_SUB, E3_ZMQ_PUB } e3_zmq_kind;

typedef struct e3_endpoint {
	e3_endpoint_type type;
	const char *text; /* as given; borrowed */
	e3_zmq_kind kind; /* ZMQ: */
	bool bind;        /* else connect */
	bool ipv6;
	bool curve;     /* encrypted: the keys for this side's part are given */
	char addr[512]; /* what libzmq is given */
} e3_endpoint;

/* Refuses TCP beyond this machine without keys, unless o->insecure. */
int e3_endpoint_parse(const char *text, bool reading, const e3_stream_options *o, e3_endpoint *out, e3_err *err);

#endif
