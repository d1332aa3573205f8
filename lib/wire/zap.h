/* wire: who may come in: ZeroMQ's authentication protocol, RFC 27 (rfc.zeromq.org/spec/27). */
#ifndef E3_WIRE_ZAP_H
#define E3_WIRE_ZAP_H

#include <stdbool.h>

typedef struct e3_zap {
	const char *label; /* the endpoint, for messages */
	const char *role;
	const char *allow; /* the clients' keys; NULL: without CURVE anybody may */
	char last[48];     /* who was refused last, */
	double told;       /* when that was said, */
	long more;         /* and how often it was not */
} e3_zap;

/* Reads one question from the REP socket and answers it. `room`: one more peer would be all right. True when the answer was yes. */
bool e3_zap_answer(e3_zap *z, void *rep, bool room);

#endif
