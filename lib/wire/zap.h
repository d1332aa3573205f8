/* wire: which clients may connect: ZeroMQ's authentication protocol, RFC 27 (rfc.zeromq.org/spec/27). */
#ifndef E3_WIRE_ZAP_H
#define E3_WIRE_ZAP_H

#include <stdbool.h>

typedef struct e3_zap {
	const char *label; /* the endpoint, for messages */
	const char *role;
	const char *allow; /* the clients' keys; NULL: without CURVE anybody may */
	char last[256];    /* the refusal reported last */
	double reported;   /* e3_now() of that */
	long more;         /* refusals since, not reported */
} e3_zap;

/* Reports a refusal, but not each attempt of a client that keeps trying. who: "" or " with key ...". */
void e3_zap_log(e3_zap *z, const char *who, const char *address, const char *why);
/* Reads one request from the REP socket and answers it. `room`: one more peer may connect. True when it was accepted.
 */
bool e3_zap_answer(e3_zap *z, void *rep, bool room);

#endif
