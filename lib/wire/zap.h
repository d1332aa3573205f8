/* wire: who may come in: ZeroMQ's authentication protocol, RFC 27 (rfc.zeromq.org/spec/27). */
#ifndef E3_WIRE_ZAP_H
#define E3_WIRE_ZAP_H

#include <stdbool.h>

typedef struct e3_zap {
	const char *label; /* the endpoint, for messages */
	const char *role;
	const char *allow; /* the clients' keys; NULL: without CURVE anybody may */
	char last[256];    /* who was refused last, and why, */
	double told;       /* when that was said, */
	long more;         /* and how often it was not */
} e3_zap;

/* Tells of a refusal, but not of each attempt of a client that keeps trying: who is "" or " with key ...". */
void e3_zap_log(e3_zap *z, const char *who, const char *address, const char *why);
/* Reads one question from the REP socket and answers it. `room`: one more peer would be all right. True when the answer
 * was yes. */
bool e3_zap_answer(e3_zap *z, void *rep, bool room);

#endif
