/* wire: the peers of a ZeroMQ socket. A thread of its own reads the socket's events, answers which clients may connect
 * (ZAP), and asks the kernel whether peers respond; its knowledge can be read from any thread.
 *
 * libzmq's own heartbeat would end a connection that is only slow, because a reader whose queue is full does not see
 * the answers to its pings. So pings are sent (ZMQ_HEARTBEAT_IVL), but the acknowledgements of the peer's kernel
 * (TCP_INFO) decide: a pause of the network is noticed and survived, because TCP repeats what was lost. */
#ifndef E3_WIRE_PEERS_H
#define E3_WIRE_PEERS_H

#include "e3/err.h"
#include <stdbool.h>

typedef struct e3_peers e3_peers;

typedef struct e3_peers_rule {
	const char *label; /* the endpoint, for messages; borrowed */
	const char *role;  /* what a peer is: "reader", "writer", "publisher", "subscriber" */
	bool listening;    /* peers connect to us: each is checked before it is accepted */
	bool one;          /* at most one peer at a time */
	bool curve;        /* the socket has CURVE keys */
	const char *allow; /* with `curve`: the clients' keys, file or folder; borrowed */
} e3_peers_rule;

/* What the thread knows at a moment. */
typedef struct e3_peers_state {
	int now, ever; /* peers with a complete handshake: now, and in all */
	double since;  /* when `now` last changed (e3_now), or the socket was opened */
	double silent; /* seconds since any peer responded while an answer was due; 0: at least one responds */
} e3_peers_state;

/* Before the socket is bound or connected. */
e3_peers *e3_peers_open(void *ctx, void *sock, const e3_peers_rule *rule, e3_err *err);
e3_peers_state e3_peers_look(e3_peers *p);
/* -1 with the reason when the side we connect to refused us, so that waiting is pointless; else 0. */
int e3_peers_refused(e3_peers *p, e3_err *err);
/* Why no peer connected, as far as is known: "" or "; ..." for the end of a message. */
const char *e3_peers_hint(e3_peers *p);
/* After the socket is closed. NULL is fine. */
void e3_peers_close(e3_peers *p);

#endif
