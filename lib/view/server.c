/* view: the server: connections, their limits and their time, and the thread that answers. */
#include "view/server.h"
#include "e3/num.h"
#include "e3/thread.h"
#include "view/listen.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLIENTS = 32,
	STRANGERS = 64, /* connections that are no clients (yet), beside as many as there may be clients */
	SAID_MOST = 5,  /* refusals that are said in SAID_SECONDS */
	SAID_SECONDS = 10,
	HEADER_BYTES = 4096,
	PING_SECONDS = 20, /* without a sign of life; twice that, and the client is gone */
	SPARE_FDS = 16,
};

struct e3_view_server {
	view_server s;
	e3_thread thread;
	lws_sorted_usec_list_t tick;
	struct lws *listener;
	char url[VIEW_HOST + VIEW_TOKEN_MAX + 64], host[VIEW_HOST];
};

/* --- what is said --- */

void view_server_refused(view_connection *c, const char *why)
{
	view_server *s = c->server;
	if (s->said == SAID_MOST) {
		s->unsaid++;
		return;
	}
	if (s->said++ == 0)
		s->said_since = e3_now();
	e3_tell(E3_TELL_NOTE, "%s: refused: %s", c->address, why);
}

static void say_rest(view_server *s)
{
	if (s->unsaid)
		e3_tell(E3_TELL_NOTE, "refused: %d more requests", s->unsaid);
	s->said = s->unsaid = 0;
}

/* --- latencies --- */

static const double LATENCY_LEAST = 1e-3, LATENCY_STEP = 1.1;

void view_server_painted(view_server *s, int run, int64_t n, double clock)
{
	const e3_view_key key = {.type = E3_VIEW_FRAME, .run = run, .n = n};
	e3_buf record = {0};
	double captured = 0;
	if (n >= 0 && n < e3_view_frames(s->view, run) && e3_view_get(s->view, &key, &record, NULL) == 1) {
		uint64_t bits = e3_le64((const uint8_t *)record.data + E3_VIEW_HEADER + 16);
		memcpy(&captured, &bits, sizeof captured);
	}
	e3_buf_release(&record);
	double took = clock - captured;
	if (!(captured > 0) || !(took > -1 && took < 3600))
		return;
	int at = took <= LATENCY_LEAST ? 0 : (int)(log(took / LATENCY_LEAST) / log(LATENCY_STEP)) + 1;
	pthread_mutex_lock(&s->lock);
	s->latency[at < VIEW_LATENCIES ? at : VIEW_LATENCIES - 1]++;
	s->latencies++;
	pthread_mutex_unlock(&s->lock);
}

/* The upper end of the class in which that share of them is reached. */
static double quantile(const view_server *s, double share)
{
	int64_t sum = 0;
	int k = 0;
	while (k < VIEW_LATENCIES - 1 && (double)(sum += s->latency[k]) < share * (double)s->latencies)
		k++;
	return LATENCY_LEAST * pow(LATENCY_STEP, k);
}

int64_t e3_view_server_latency(e3_view_server *s, double *p50, double *p99)
{
	pthread_mutex_lock(&s->s.lock);
	int64_t n = s->s.latencies;
	*p50 = quantile(&s->s, 0.5), *p99 = quantile(&s->s, 0.99);
	pthread_mutex_unlock(&s->s.lock);
	return n;
}

/* --- connections --- */

static view_connection *free_connection(view_server *s)
{
	for (int k = 0; k < s->n_connections; k++)
		if (!s->connection[k].wsi)
			return &s->connection[k];
	return NULL;
}

/* Of those that are no clients the one that has taken longest. */
static view_connection *oldest_stranger(view_server *s)
{
	view_connection *best = NULL;
	for (int k = 0; k < s->n_connections; k++) {
		view_connection *c = &s->connection[k];
		if (c->wsi && !c->client && (!best || c->since < best->since))
			best = c;
	}
	return best;
}

static void hang_up(view_connection *c, const char *why)
{
	view_server_refused(c, why);
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

/* A connection that came takes the place of the slowest stranger where there is no other. */
static void adopt(view_server *s, int fd, const char *address)
{
	view_connection *c = free_connection(s), *slow = c ? NULL : oldest_stranger(s);
	if (slow) {
		hang_up(slow, "there are too many connections");
		c = free_connection(s);
	}
	if (!c) {
		close(fd);
		return;
	}
	*c = (view_connection){.server = s, .since = e3_now()};
	snprintf(c->address, sizeof c->address, "%s", address);
	lws_adopt_desc_t d = {.vh = s->vhost,
		.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
		.fd = {.sockfd = fd},
		.opaque = c};
	struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&d);
	c->wsi = wsi; /* NULL: the library has closed it */
}

static void accept_all(view_server *s, int fd)
{
	enum { AT_ONCE = 32 };
	char address[VIEW_ADDRESS];
	for (int k = 0; k < AT_ONCE; k++) {
		int got = view_accept(fd, address, sizeof address);
		if (got < 0)
			return;
		adopt(s, got, address);
	}
}

static void release(view_connection *c)
{
	view_client_close(c);
	c->wsi = NULL;
	c->asset = NULL;
}

static void show_state(view_server *s)
{
	int behind = 0;
	for (int k = 0; k < s->n_connections; k++)
		behind += s->connection[k].client && !s->connection[k].client->idle;
	atomic_store(&s->shown_clients, s->clients);
	atomic_store(&s->shown_behind, behind);
}

static void wake_clients(view_server *s)
{
	for (int k = 0; k < s->n_connections; k++)
		if (s->connection[k].client)
			lws_callback_on_writable(s->connection[k].wsi);
}

static void tick(lws_sorted_usec_list_t *at)
{
	e3_view_server *server = lws_container_of(at, e3_view_server, tick);
	view_server *s = &server->s;
	for (int k = 0; k < s->n_connections; k++) {
		view_connection *c = &s->connection[k];
		if (c->wsi && !c->client && e3_now() - c->since > s->handshake)
			hang_up(c, "it takes too long");
	}
	if (s->said && e3_now() - s->said_since >= SAID_SECONDS)
		say_rest(s);
	s->status++;
	wake_clients(s);
	show_state(s);
	lws_sul_schedule(s->context, 0, &server->tick, tick, LWS_US_PER_SEC);
}

/* --- the library's callbacks --- */

static int close_for(view_connection *c, enum lws_close_status status, const char *why)
{
	unsigned char text[124];
	int n = snprintf((char *)text, sizeof text, "%s", why);
	lws_close_reason(c->wsi, status, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
	return -1;
}

/* Pieces of a message are put together. */
static int receive(view_connection *c, const char *in, size_t len)
{
	view_client *x = c->client;
	const char *why = NULL;
	enum lws_close_status status = LWS_CLOSE_STATUS_POLICY_VIOLATION;
	if (lws_is_first_fragment(c->wsi))
		x->heard_len = 0;
	if (lws_frame_is_binary(c->wsi))
		why = "a message that is no text", status = LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE;
	else if (len > sizeof x->heard - x->heard_len || lws_remaining_packet_payload(c->wsi) > sizeof x->heard)
		why = "a message that is too long", status = LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE;
	if (!why) {
		memcpy(x->heard + x->heard_len, in, len);
		x->heard_len += len;
		if (!lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi))
			return 0;
		why = view_client_heard(c, x->heard, x->heard_len) ? x->refused : NULL;
		x->heard_len = 0;
	}
	if (!why)
		return 0;
	view_server_refused(c, why);
	return close_for(c, status, why);
}

static int writable(view_connection *c)
{
	if (atomic_load(&c->server->closing))
		return close_for(c, LWS_CLOSE_STATUS_GOINGAWAY, c->server->why);
	int rc = view_client_writable(c);
	if (rc && c->client->refused)
		return close_for(c, LWS_CLOSE_STATUS_UNEXPECTED_CONDITION, c->client->refused);
	return rc;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	view_connection *c = wsi ? lws_get_opaque_user_data(wsi) : NULL;
	if (!c)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		c->wsi = wsi;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		release(c);
		return 0;
	case LWS_CALLBACK_HTTP:
		return view_http_request(c, in);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return view_http_writable(c);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return view_http_upgrade(c);
	case LWS_CALLBACK_ESTABLISHED:
		return view_client_open(c);
	case LWS_CALLBACK_CLOSED:
		view_client_close(c);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return c->client ? receive(c, in, len) : -1;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return c->client ? writable(c) : -1;
	case LWS_CALLBACK_HTTP_BODY: /* nothing here takes one */
	case LWS_CALLBACK_RAW_ADOPT: /* neither HTTP nor WebSocket */
	case LWS_CALLBACK_RAW_CONNECTED:
	case LWS_CALLBACK_RAW_RX:
		return -1;
	default:
		return 0;
	}
}

static int on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	view_server *s = wsi ? lws_context_user(lws_get_context(wsi)) : NULL;
	if (reason == LWS_CALLBACK_RAW_RX_FILE)
		accept_all(s, lws_get_socket_fd(wsi));
	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED)
		wake_clients(s);
	return 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "e3-view", .callback = on_http, .rx_buffer_size = VIEW_ASK_MAX},
	{.name = "listener", .callback = on_listener},
	{.name = NULL},
};

/* What the library says is for whoever looks for a fault: clients cause most of it. */
static void on_log(int level, const char *line)
{
	char text[512];
	size_t n = strcspn(line, "\n");
	snprintf(text, sizeof text, "%.*s", n < sizeof text ? (int)n : (int)sizeof text - 1, line);
	e3_tell(E3_TELL_DETAIL, "libwebsockets: %s", text);
}

/* --- opening, closing --- */

static void *serve(void *arg)
{
	view_server *s = &((e3_view_server *)arg)->s;
	while (!atomic_load(&s->closing))
		lws_service(s->context, 0);
	/* the clients are told, if they listen */
	double until = e3_now() + 0.5;
	while (s->clients > 0 && e3_now() < until) {
		wake_clients(s);
		lws_service(s->context, -1);
		usleep(1000);
	}
	return NULL;
}

static int open_context(view_server *s, const e3_view_server_options *o, e3_err *err)
{
	static const lws_retry_bo_t alive = {.secs_since_valid_ping = PING_SECONDS,
		.secs_since_valid_hangup = 2 * PING_SECONDS};
	struct lws_context_creation_info i = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_VALIDATE_UTF8,
		.user = s,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.server_string = "e3-view",
		.max_http_header_data = HEADER_BYTES,
		.max_http_header_pool = (unsigned short)s->n_connections,
		.fd_limit_per_thread = (unsigned)s->n_connections + SPARE_FDS,
		.timeout_secs = (unsigned)ceil(s->handshake),
		.timeout_secs_ah_idle = (unsigned)ceil(s->handshake),
		.keepalive_timeout = (int)ceil(s->handshake),
		.retry_and_idle_policy = &alive,
		.vhost_name = "e3-view",
		.alpn = "http/1.1",
	};
	if (o->tls_cert) {
		i.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		i.ssl_cert_filepath = o->tls_cert;
		i.ssl_private_key_filepath = o->tls_key;
	}
	/* (the library has the process ignore SIGPIPE, which is the tool's affair; its own thread has signals blocked) */
	struct sigaction pipe_before;
	sigaction(SIGPIPE, NULL, &pipe_before);
	lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
	s->context = lws_create_context(&i);
	sigaction(SIGPIPE, &pipe_before, NULL);
	if (!s->context)
		return e3_fail(err, "serving: libwebsockets does not start");
	s->vhost = lws_create_vhost(s->context, &i);
	if (s->vhost)
		return 0;
	return o->tls_cert ? e3_fail(err, "serving: %s, %s: no certificate and its key in PEM", o->tls_cert, o->tls_key)
					   : e3_fail(err, "serving: libwebsockets does not start");
}

static int check(e3_view_server *server, const e3_view_server_options *o, int *port, e3_err *err)
{
	bool local;
	if (!o->tls_cert != !o->tls_key)
		return e3_fail(err, "serving: 'tls_cert' and 'tls_key' belong together");
	if (view_rules_token(&server->s.rules, o->token, err) || view_listen_parse(o->listen, server->host, port, err) ||
		view_listen_local(server->host, &local, err))
		return -1;
	server->s.rules.listen = server->host;
	if (!local && !o->token)
		return e3_fail(err, "listening: %s: others can reach it: set a 'token' that only the right ones know",
			o->listen);
	if (!local && !o->tls_cert)
		e3_tell(E3_TELL_WARN, "listening: %s: not encrypted: who can read the network sees the token and the scene",
			o->listen);
	return 0;
}

static int listen_at(e3_view_server *server, const e3_view_server_options *o, int port, e3_err *err)
{
	view_server *s = &server->s;
	int fd = view_listen(server->host, &port, err);
	if (fd < 0)
		return -1;
	server->listener = lws_adopt_descriptor_vhost(s->vhost, LWS_ADOPT_RAW_FILE_DESC,
		(lws_sock_file_fd_type){.filefd = fd}, "listener", NULL);
	if (!server->listener)
		return e3_fail(err, "serving: libwebsockets does not take the socket");
	bool v6 = strchr(server->host, ':') != NULL;
	snprintf(server->url, sizeof server->url, "%s://%s%s%s:%d/%s%s", o->tls_cert ? "https" : "http", v6 ? "[" : "",
		server->host, v6 ? "]" : "", port, o->token ? "?token=" : "", o->token ? o->token : "");
	return 0;
}

e3_view_server *e3_view_server_open(const e3_view_server_options *o, e3_view_store *v, e3_err *err)
{
	e3_view_server *server = e3_alloc(1, sizeof *server, "the server", err);
	int port = 0;
	if (!server)
		return NULL;
	view_server *s = &server->s;
	pthread_mutex_init(&s->lock, NULL);
	s->view = v;
	s->most_clients = o->clients ? o->clients : CLIENTS;
	s->handshake = o->handshake > 0 ? o->handshake : 20;
	s->n_connections = s->most_clients + STRANGERS;
	s->connection = e3_alloc((size_t)s->n_connections, sizeof *s->connection, "connections", err);
	if (!s->connection || check(server, o, &port, err) || open_context(s, o, err) || listen_at(server, o, port, err)) {
		e3_view_server_close(server, NULL);
		return NULL;
	}
	lws_sul_schedule(s->context, 0, &server->tick, tick, LWS_US_PER_SEC);
	if (e3_thread_start(&server->thread, serve, server, err)) {
		e3_view_server_close(server, NULL);
		return NULL;
	}
	return server;
}

const char *e3_view_server_url(const e3_view_server *s) { return s->url; }

void e3_view_server_wake(e3_view_server *s) { lws_cancel_service(s->s.context); }

int e3_view_server_clients(e3_view_server *s, bool *behind)
{
	*behind = atomic_load(&s->s.shown_behind) > 0;
	return atomic_load(&s->s.shown_clients);
}

void e3_view_server_close(e3_view_server *server, const char *why)
{
	if (!server)
		return;
	view_server *s = &server->s;
	snprintf(s->why, sizeof s->why, "%s", why ? why : "");
	atomic_store(&s->closing, true);
	if (server->thread.started)
		lws_cancel_service(s->context);
	e3_thread_join(&server->thread);
	if (s->context) {
		lws_sul_cancel(&server->tick);
		lws_context_destroy(s->context);
	}
	say_rest(s);
	free(s->connection);
	pthread_mutex_destroy(&s->lock);
	free(server);
}
