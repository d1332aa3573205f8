/* view: the server of the live page: HTTP and WebSocket on one port (e3-view(1), e3-view(5)).
 *
 * A thread of its own answers; nothing that a client does, or does not do, holds up the thread that fills the store. A
 * client costs two bytes for each frame, one record and what the system buffers; the number of clients is limited, and
 * so is that of connections that have not become clients.
 */
#ifndef E3_VIEW_SERVER_H
#define E3_VIEW_SERVER_H

#include "e3/view.h"

typedef struct e3_view_server e3_view_server;

typedef struct e3_view_server_options {
	const char *listen;             /* "HOST:PORT", "[ADDRESS]:PORT"; port 0: any that is free */
	const char *token;              /* what clients must know; NULL: none, for the loopback only */
	const char *tls_cert, *tls_key; /* files, PEM; both or none */
	int clients;                    /* at most; 0: 32 */
	double handshake;               /* seconds that a connection has until it is a client; 0: 20 */
} e3_view_server_options;

/* Listens, and serves until it is closed. The options are copied. Error texts name settings in quotes ('token'). */
e3_view_server *e3_view_server_open(const e3_view_server_options *o, e3_view_store *v, e3_err *err);
/* Where the page is: "http://127.0.0.1:8033/", with the token. */
const char *e3_view_server_url(const e3_view_server *s);
/* The store has something new. From any thread. */
void e3_view_server_wake(e3_view_server *s);
/* Clients now; true in *behind while one of them still takes what is new to it. From any thread. */
int e3_view_server_clients(e3_view_server *s, bool *behind);
/* How long frames took from capture to a client's screen, of all that clients reported: how many, in *p50 and *p99
 * seconds. From any thread. */
int64_t e3_view_server_latency(e3_view_server *s, double *p50, double *p99);
/* Tells the clients why (a short text; NULL: nothing), and frees all. NULL is fine. */
void e3_view_server_close(e3_view_server *s, const char *why);

#endif
