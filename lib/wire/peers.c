/* wire: the peers of a ZeroMQ socket. Owns the thread that watches the socket, and what it has seen. */
#include "peers.h"
#include "e3/num.h"
#include "e3/thread.h"
#include "zap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h> /* more of tcp_info than netinet/tcp.h */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum {
	MAX_CONNECTIONS = 256,
	LOOK_MS = 500,    /* between looks at the connections */
	DECIDE_MS = 1000, /* that a client waits while the one before is accepted, but not yet a peer */
	DECIDE_LOOK_MS = 10,
	GREETING = 64,    /* bytes that every ZeroMQ peer sends first */
	BROKE_OFF = 1,    /* a handshake that failed without a reason; */
	LEFT = 2,         /* a connection that ended before its handshake did; else ZMQ_PROTOCOL_ERROR_* */
	SILENT_MS = 4000, /* without a response: noticed, with LOOK_MS, within 5 s */
	EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
		ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
};

typedef struct connection {
	int fd;
	bool up; /* the handshake is complete: a peer */
	char address[64];
} connection;

struct e3_peers {
	e3_peers_rule rule;
	e3_zap zap;
	void *monitor, *rep;
	int quit; /* eventfd */
	e3_thread thread;
	/* of the thread alone */
	connection at[MAX_CONNECTIONS]; /* in the order they came */
	int n;
	int failing; /* failed handshakes whose connection is not yet closed */
	int granted; /* accepted by us, handshake not yet complete */
	double granted_at;
	uint32_t last_failure;
	bool silence_reported;
	double silent_from;
	/* shared, under the lock */
	pthread_mutex_t lock;
	e3_peers_state state;
	int refused;  /* 400, 500, or a ZMQ_PROTOCOL_ERROR_*: the side we connect to refused us; 0 */
	long dropped; /* connections that ended during the handshake, without a reason */
};

static void count_peers(e3_peers *p, int change)
{
	pthread_mutex_lock(&p->lock);
	p->state.now += change;
	p->state.ever += change > 0;
	p->state.since = e3_now();
	pthread_mutex_unlock(&p->lock);
}

static connection take_away(e3_peers *p, int k)
{
	connection c = p->at[k];
	memmove(p->at + k, p->at + k + 1, (size_t)(--p->n - k) * sizeof c);
	return c;
}

static void add_connection(e3_peers *p, int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	for (int k = 0; k < p->n && p->n == MAX_CONNECTIONS; k++)
		if (!p->at[k].up)
			take_away(p, k);
	if (p->n == MAX_CONNECTIONS)
		return;
	connection *c = &p->at[p->n++];
	*c = (connection){.fd = fd, .address = "this machine"};
	if (getpeername(fd, (struct sockaddr *)&a, &len))
		return;
	if (a.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&a)->sin_addr, c->address, sizeof c->address);
	else if (a.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&a)->sin6_addr, c->address, sizeof c->address);
}

/* A handshake is complete, and libzmq does not say on which connection: take the newest one that has sent something.
 * Other connections may be open that never become peers, such as port scanners. */
static void mark_up(e3_peers *p)
{
	int found = -1;
	bool spoken = false;
	for (int k = 0; k < p->n; k++) {
		struct tcp_info t = {0};
		socklen_t len = sizeof t;
		bool has = !p->at[k].up && !getsockopt(p->at[k].fd, IPPROTO_TCP, TCP_INFO, &t, &len) &&
			t.tcpi_bytes_received >= GREETING;
		if (!p->at[k].up && has >= spoken)
			found = k, spoken = has;
	}
	if (found >= 0)
		p->at[found].up = true;
}

/* What was wrong with the handshake that failed last. */
static const char *failure(const e3_peers *p)
{
	switch (p->last_failure) {
	case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
		return p->rule.curve ? "it does not encrypt" : "it encrypts, and this side has no keys";
	case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
		return "it expects another public key than this side's";
	case BROKE_OFF:
		return p->rule.curve ? "it closed the connection; it may have no keys"
							 : "it closed the connection; it may require keys";
	case LEFT:
		return "it closed the connection: it does not speak ZeroMQ, or is of another kind (push goes with pull, pub with sub)";
	default:
		return "it does not follow the ZeroMQ protocol";
	}
}

static void end_connection(e3_peers *p, int fd)
{
	connection c = {.fd = -1, .address = "somewhere"};
	for (int k = 0; k < p->n; k++)
		if (p->at[k].fd == fd) {
			c = take_away(p, k);
			break;
		}
	if (c.up) {
		count_peers(p, -1);
		e3_tell(E3_TELL_DETAIL, "%s: a %s disconnected", p->rule.label, p->rule.role);
		return;
	}
	if (p->failing > 0) {
		p->failing--;
	} else {
		p->granted -= p->granted > 0;
		p->last_failure = LEFT;
		pthread_mutex_lock(&p->lock);
		p->dropped++;
		pthread_mutex_unlock(&p->lock);
	}
	if (p->rule.listening && p->last_failure)
		e3_zap_log(&p->zap, "", c.address, failure(p));
	p->last_failure = 0;
}

static void handshake_failed(e3_peers *p, int event, uint32_t value)
{
	p->failing++;
	p->granted -= p->granted > 0;
	if (event != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) /* reported when it was refused */
		p->last_failure = event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? value : BROKE_OFF;
	pthread_mutex_lock(&p->lock);
	if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
		p->dropped++;
	else if (!p->rule.listening)
		p->refused = (int)value; /* libzmq does not try again after these */
	pthread_mutex_unlock(&p->lock);
}

/* An event is a frame of u16 event and u32 value, and a frame with the address. */
static void read_events(e3_peers *p)
{
	uint8_t frame[8], address[512];
	for (int n; (n = zmq_recv(p->monitor, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0;) {
		uint16_t event;
		uint32_t value;
		(void)zmq_recv(p->monitor, address, sizeof address, ZMQ_DONTWAIT);
		if (n < 6)
			continue;
		memcpy(&event, frame, 2);
		memcpy(&value, frame + 2, 4);
		if (event == ZMQ_EVENT_ACCEPTED || event == ZMQ_EVENT_CONNECTED) {
			add_connection(p, (int)value);
		} else if (event == ZMQ_EVENT_DISCONNECTED) {
			end_connection(p, (int)value);
		} else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
			p->granted -= p->granted > 0;
			mark_up(p);
			count_peers(p, 1);
			e3_tell(E3_TELL_DETAIL, "%s: a %s connected", p->rule.label, p->rule.role);
		} else {
			handshake_failed(p, event, value);
		}
	}
}

/* Milliseconds since the peer's kernel last answered, while data of ours is not acknowledged; 0 otherwise. A full
 * receive window is not silence: then only probes are outstanding, which the kernel answers. */
static unsigned silence(int fd)
{
	struct tcp_info t = {0};
	socklen_t len = sizeof t;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len))
		return 0; /* ipc, or closed meanwhile */
	if (t.tcpi_unacked == 0 && t.tcpi_probes == 0)
		return 0;
	return t.tcpi_last_ack_recv < t.tcpi_last_data_recv ? t.tcpi_last_ack_recv : t.tcpi_last_data_recv;
}

static void check_heartbeat(e3_peers *p)
{
	unsigned least = UINT32_MAX;
	int peers = 0;
	for (int k = 0; k < p->n; k++) {
		unsigned ms = p->at[k].up ? silence(p->at[k].fd) : UINT32_MAX;
		least = ms < least ? ms : least;
		peers += p->at[k].up;
	}
	bool silent = peers > 0 && least >= SILENT_MS;
	pthread_mutex_lock(&p->lock);
	p->state.silent = silent ? least / 1e3 : 0;
	pthread_mutex_unlock(&p->lock);
	if (silent && !p->silence_reported) {
		e3_tell(E3_TELL_WARN, "%s: no response from the %s for %.0f s", p->rule.label, p->rule.role, least / 1e3);
		p->silent_from = e3_now() - least / 1e3;
	}
	if (!silent && p->silence_reported && peers > 0)
		e3_tell(E3_TELL_WARN, "%s: the %s is back after %.0f s", p->rule.label, p->rule.role,
			e3_now() - p->silent_from);
	p->silence_reported = silent;
}

/* A client was accepted and may turn out to be no peer, one of another kind for example. Who comes now is answered when
 * that is known: a refusal is final. */
static bool undecided(e3_peers *p)
{
	return p->rule.one && p->granted > 0 && e3_peers_look(p).now == 0 && e3_now() - p->granted_at < DECIDE_MS / 1e3;
}

static void *run(void *arg)
{
	e3_peers *p = arg;
	zmq_pollitem_t item[3] = {{NULL, p->quit, ZMQ_POLLIN, 0}, {p->monitor, 0, ZMQ_POLLIN, 0},
		{p->rep, 0, ZMQ_POLLIN, 0}};
	for (double looked = 0;;) {
		bool later = undecided(p);
		item[2].revents = 0;
		if (zmq_poll(item, p->rep && !later ? 3 : 2, later ? DECIDE_LOOK_MS : LOOK_MS) < 0 && zmq_errno() != EINTR)
			break;
		if (item[0].revents)
			break;
		read_events(p);
		if (p->granted > 0 && !undecided(p) && e3_peers_look(p).now == 0)
			p->granted = 0; /* it became no peer in that time */
		if (item[2].revents && !undecided(p)) {
			bool room = !p->rule.one || e3_peers_look(p).now + p->granted == 0;
			if (e3_zap_answer(&p->zap, p->rep, room))
				p->granted++, p->granted_at = e3_now();
		}
		if (e3_now() - looked >= LOOK_MS / 1e3) {
			check_heartbeat(p);
			looked = e3_now();
		}
	}
	return NULL;
}

static int set_linger(void *sock)
{
	int none = 0;
	return zmq_setsockopt(sock, ZMQ_LINGER, &none, sizeof none);
}

static int open_sockets(e3_peers *p, void *ctx, void *sock)
{
	const char *at = "inproc://monitor";
	if (zmq_socket_monitor(sock, at, EVENTS) || !(p->monitor = zmq_socket(ctx, ZMQ_PAIR)) || set_linger(p->monitor) ||
		zmq_connect(p->monitor, at))
		return -1;
	if (!p->rule.listening)
		return 0;
	/* The name that libzmq asks; with a domain it asks about clients without keys too. */
	return !(p->rep = zmq_socket(ctx, ZMQ_REP)) || set_linger(p->rep) || zmq_bind(p->rep, "inproc://zeromq.zap.01") ||
		zmq_setsockopt(sock, ZMQ_ZAP_DOMAIN, "e3", 2);
}

e3_peers *e3_peers_open(void *ctx, void *sock, const e3_peers_rule *rule, e3_err *err)
{
	e3_peers *p = calloc(1, sizeof *p);
	if (!p) {
		e3_fail(err, "out of memory");
		return NULL;
	}
	p->rule = *rule;
	p->zap = (e3_zap){.label = rule->label, .role = rule->role, .allow = rule->curve ? rule->allow : NULL};
	p->state.since = e3_now();
	pthread_mutex_init(&p->lock, NULL);
	p->quit = eventfd(0, EFD_CLOEXEC);
	if (p->quit < 0 || open_sockets(p, ctx, sock))
		e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	else if (e3_thread_start(&p->thread, run, p, err) == 0)
		return p;
	zmq_socket_monitor(sock, NULL, 0);
	e3_peers_close(p);
	return NULL;
}

e3_peers_state e3_peers_look(e3_peers *p)
{
	pthread_mutex_lock(&p->lock);
	e3_peers_state s = p->state;
	pthread_mutex_unlock(&p->lock);
	return s;
}

int e3_peers_refused(e3_peers *p, e3_err *err)
{
	pthread_mutex_lock(&p->lock);
	int refused = p->refused;
	pthread_mutex_unlock(&p->lock);
	if (refused == 0)
		return 0;
	if (refused == 400)
		return e3_fail(err, "refused by the other side: the public key of this side is not in its 'curve_allow'");
	if (refused == 500)
		return e3_fail(err, "refused by the other side: it has a peer already, and a socket carries one stream");
	if (refused == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
		return e3_fail(err,
			p->rule.curve ? "refused: the other side does not encrypt; it needs 'curve_key' and 'curve_allow'"
						  : "refused: the other side encrypts; this one needs 'curve_key' and 'curve_server'");
	return e3_fail(err, "refused: the peer does not follow the ZeroMQ protocol (error 0x%x)", (unsigned)refused);
}

const char *e3_peers_hint(e3_peers *p)
{
	pthread_mutex_lock(&p->lock);
	long dropped = p->dropped;
	pthread_mutex_unlock(&p->lock);
	if (dropped == 0)
		return "";
	if (p->rule.curve)
		return p->rule.listening ? "; a client connected without the right keys"
								 : "; the peer closes the connection: is 'curve_server' its public key?";
	return p->rule.listening
		? "; the clients that connected were not e3 peers"
		: "; the peer closes the connection: it requires keys, or is of another kind (push goes with pull, pub with sub)";
}

void e3_peers_close(e3_peers *p)
{
	if (!p)
		return;
	if (p->thread.started) {
		uint64_t one = 1;
		(void)!write(p->quit, &one, sizeof one);
		e3_thread_join(&p->thread);
	}
	if (p->monitor)
		zmq_close(p->monitor);
	if (p->rep)
		zmq_close(p->rep);
	if (p->quit >= 0)
		close(p->quit);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
