/* wire: what an endpoint's text means. */
#ifndef E3_WIRE_ENDPOINT_H
#define E3_WIRE_ENDPOINT_H

#include "e3/err.h"
#include <stdbool.h>

typedef enum e3_endpoint_type { E3_EP_STD, E3_EP_PATH, E3_EP_ZMQ } e3_endpoint_type;

typedef struct e3_endpoint {
	e3_endpoint_type type;
	const char *text; /* as given; borrowed */
	bool bind;        /* ZMQ: else connect */
	bool ipv6;
	char addr[512];   /* ZMQ: what libzmq is given */
} e3_endpoint;

/* Refuses addresses beyond this machine unless e3_stream_allow_insecure was called. */
int e3_endpoint_parse(const char *text, bool reading, e3_endpoint *out, e3_err *err);

#endif
