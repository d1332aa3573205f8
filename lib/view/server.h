/* view: what the files of the server share. Everything here runs on the thread of the server. */
#ifndef VIEW_SERVER_H
#define VIEW_SERVER_H

#include "e3/view_server.h"
#include "view/assets.h"
#include "view/plan.h"
#include "view/rules.h"
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

enum { VIEW_ADDRESS = 64, VIEW_PATH = 256 };
enum {
	VIEW_WINDOW_MOST = 2 << 20, /* bytes that are on their way to a client */
	VIEW_WINDOW_LEAST = 64 << 10,
	VIEW_RING = 1024, /* and records */
};

typedef struct view_server view_server;

/* A client: a WebSocket connection. */
typedef struct view_client {
	view_plan plan;
	e3_buf record;         /* the next one, after LWS_PRE bytes for the library; empty: none */
	uint32_t sent, acked;  /* numbers of records; the first is 1 */
	size_t flying, window; /* bytes that were sent and not acknowledged; how many may be */
	struct {
		uint32_t len;
		float at; /* seconds since the client came */
	} ring[VIEW_RING];
	double since;
	uint64_t hello, changes; /* e3_view_hello_changes and server's status that were sent */
	bool idle;               /* there was nothing more to send */
	double ping;             /* to be answered; NAN: none */
	const char *refused;     /* why it is closed */
	char heard[VIEW_ASK_MAX];
	size_t heard_len;
} view_client;

/* A connection of any kind. */
typedef struct view_connection {
	struct lws *wsi; /* NULL: free */
	view_server *server;
	char address[VIEW_ADDRESS];
	double since;
	view_client *client;        /* NULL: has not become one */
	const e3_view_asset *asset; /* that is being sent, from `at` on */
	size_t at;
} view_connection;

/* Latencies in a table of counts, each 10 % wider than the one before. */
enum { VIEW_LATENCIES = 160 };

struct view_server {
	e3_view_store *view;
	view_rules rules;
	double handshake;
	int most_clients, clients;
	view_connection *connection;
	int n_connections;
	struct lws_context *context;
	struct lws_vhost *vhost;
	uint64_t status; /* grows each second, and when something changes */
	/* what was refused lately, and not said */
	int said, unsaid;
	double said_since;
	pthread_mutex_t lock; /* of the next two */
	int64_t latency[VIEW_LATENCIES], latencies;
	atomic_int shown_clients, shown_behind;
	atomic_bool closing;
	char why[124]; /* a reason for a WebSocket close fits in 123 bytes */
};

/* --- http.c --- */
/* Answers a request: 0, or -1 to hang up. */
int view_http_request(view_connection *c, const char *path);
/* Goes on with an answer. */
int view_http_writable(view_connection *c);
/* May this request become a WebSocket? 0; 1: it was refused, and answered; -1: to hang up. */
int view_http_upgrade(view_connection *c);

/* --- client.c --- */
int view_client_open(view_connection *c);
void view_client_close(view_connection *c);
/* -1: to hang up, with the reason set. */
int view_client_heard(view_connection *c, const char *text, size_t len);
int view_client_writable(view_connection *c);

/* --- server.c --- */
/* Says that something was refused, but not more often than somebody wants to read. */
void view_server_refused(view_connection *c, const char *why);
void view_server_painted(view_server *s, int run, int64_t n, double clock);

#endif
