/* wire: ZeroMQ. Owns socket and context; does not wait for ever for a peer that disconnected.
 *
 * libzmq alone would queue a thousand messages, hang at exit when no peer connects, and wait for a dead sender for ever
 * (doc/dependencies.md 1): the options below and the thread that watches the peers prevent that. */
#include "zmq.h"
#include "curve.h"
#include "e3/num.h"
#include "fd.h"
#include "flight.h"
#include "kinds.h"
#include "peers.h"
#include "pub.h"
#include "settings.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum {
	READ_AHEAD = 2, /* messages a reader holds beside the one it works on */
	PING_MS = 1000, /* so that the peer always has something to acknowledge */
	RECONNECT_MS = 100,
	RECONNECT_MAX_MS = 5000,
	GONE_MS = 1000,    /* after a peer disconnected: for data still in transit, or for the watching thread to notice */
	ANOTHER_MS = 2000, /* after a peer disconnected before the first message: for another one, which loses nothing */
	WAITING_MS = 5000, /* without a peer, before that is reported */
	STOP_MS = 5000     /* after a stop signal, for the end of the stream */
};

static const struct {
	int type;
	const char *peer;
} kinds[] = {
	[E3_ZMQ_PULL] = {ZMQ_PULL, "writer"},
	[E3_ZMQ_PUSH] = {ZMQ_PUSH, "reader"},
	[E3_ZMQ_SUB] = {ZMQ_SUB, "publisher"},
	[E3_ZMQ_PUB] = {ZMQ_XPUB, "subscriber"},
};

struct e3_zmq {
	e3_zmq_kind kind;
	e3_stream_options o;
	char *label; /* the endpoint's text, for messages */
	void *ctx, *sock;
	e3_peers *peers;
	e3_flight *flight;
	e3_pub pub;
	zmq_msg_t msg;         /* the one handed out */
	double first;          /* e3_now() of the first message, */
	atomic_int partner;    /* and the number of its peer, in the order they connected; 0: no message yet */
	bool loss_reported;    /* the publisher disconnected */
	bool waiting_reported; /* no peer is connected */
	const atomic_bool *give_up;
	char *path; /* of a bound ipc socket: libzmq leaves the file behind */
};

static int set_int(void *sock, int option, int v) { return zmq_setsockopt(sock, option, &v, sizeof v); }

static int set_options(e3_zmq *z, const e3_endpoint *ep)
{
	int64_t most = (int64_t)E3_ENVELOPE + (int64_t)e3_kind_limit_max();
	/* Where frames are dropped the newest should arrive soon, so little is queued here. */
	int queue = z->o.drop ? 1 : (int)e3_queue_of(&z->o, false).messages;
	if (set_int(z->sock, ZMQ_LINGER, 0) || set_int(z->sock, ZMQ_SNDHWM, queue) ||
		set_int(z->sock, ZMQ_RCVHWM, READ_AHEAD) || set_int(z->sock, ZMQ_IPV6, ep->ipv6) ||
		set_int(z->sock, ZMQ_HEARTBEAT_IVL, PING_MS) || set_int(z->sock, ZMQ_HEARTBEAT_TIMEOUT, 0) ||
		set_int(z->sock, ZMQ_RECONNECT_IVL, RECONNECT_MS) ||
		set_int(z->sock, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) ||
		set_int(z->sock, ZMQ_CONNECT_TIMEOUT, RECONNECT_MAX_MS))
		return -1;
	if (ep->kind == E3_ZMQ_PUSH && set_int(z->sock, ZMQ_IMMEDIATE, 1))
		return -1;
	if (ep->kind == E3_ZMQ_SUB && zmq_setsockopt(z->sock, ZMQ_SUBSCRIBE, "", 0))
		return -1;
	if (ep->kind == E3_ZMQ_PUB && set_int(z->sock, ZMQ_XPUB_VERBOSE, 1))
		return -1;
	return zmq_setsockopt(z->sock, ZMQ_MAXMSGSIZE, &most, sizeof most);
}

static int set_key(void *sock, int option, const char *key) { return zmq_setsockopt(sock, option, key, E3_CURVE_TEXT); }

static int set_curve(e3_zmq *z, const e3_endpoint *ep, e3_err *err)
{
	e3_curve_pair own = {"", ""};
	char server[E3_CURVE_TEXT] = "", name[E3_CURVE_NAME];
	if (!ep->curve)
		return 0;
	int rc = e3_curve_secret(z->o.curve_key, &own, err);
	if (!rc && ep->bind)
		rc = e3_curve_allowed(z->o.curve_allow, "", name, err) < 0 ? -1 : 0;
	else if (!rc)
		rc = e3_curve_public(z->o.curve_server, server, err);
	if (!rc &&
		(set_key(z->sock, ZMQ_CURVE_SECRETKEY, own.secret) ||
			(ep->bind ? set_int(z->sock, ZMQ_CURVE_SERVER, 1)
					  : set_key(z->sock, ZMQ_CURVE_PUBLICKEY, own.public_key) ||
						set_key(z->sock, ZMQ_CURVE_SERVERKEY, server))))
		rc = e3_fail(err, "setting the keys: %s", zmq_strerror(zmq_errno()));
	explicit_bzero(&own, sizeof own);
	return rc;
}

static int open_sockets(e3_zmq *z, const e3_endpoint *ep, e3_err *err)
{
	const e3_peers_rule rule = {z->label, kinds[ep->kind].peer, ep->bind,
		ep->kind == E3_ZMQ_PULL || ep->kind == E3_ZMQ_PUSH, ep->curve, z->o.curve_allow};
	z->ctx = zmq_ctx_new();
	z->sock = z->ctx ? zmq_socket(z->ctx, kinds[ep->kind].type) : NULL;
	if (!z->sock || set_options(z, ep))
		return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	if (!(z->flight = e3_flight_new(err)) || set_curve(z, ep, err) ||
		!(z->peers = e3_peers_open(z->ctx, z->sock, &rule, err)))
		return -1;
	if (ep->bind ? zmq_bind(z->sock, ep->addr) : zmq_connect(z->sock, ep->addr)) {
		bool nowhere = ep->bind && (zmq_errno() == ENODEV || zmq_errno() == EADDRNOTAVAIL);
		return e3_fail(err, "%s%s", zmq_strerror(zmq_errno()),
			nowhere ? ": this side listens, so its host is *, an address of this machine, or an interface such as eth0"
					: "");
	}
	if (ep->bind && strncmp(ep->addr, "ipc://", 6) == 0)
		z->path = strdup(ep->addr + 6);
	return 0;
}

e3_zmq *e3_zmq_open(const e3_endpoint *ep, const e3_stream_options *o, bool reading, e3_err *err)
{
	e3_zmq *z = calloc(1, sizeof *z);
	if (z) {
		zmq_msg_init(&z->msg);
		z->kind = ep->kind;
		z->o = *o;
		z->label = strdup(ep->text);
	}
	if (!z || !z->label) {
		e3_fail(err, "out of memory");
		free(z);
		return NULL;
	}
	if (open_sockets(z, ep, err)) {
		e3_zmq_close(z);
		return NULL;
	}
	return z;
}

void e3_zmq_give_up_on(e3_zmq *z, const atomic_bool *flag) { z->give_up = flag; }

static bool given_up(const e3_zmq *z) { return z->give_up && atomic_load(z->give_up); }

static bool is_pair(const e3_zmq *z) { return z->kind == E3_ZMQ_PULL || z->kind == E3_ZMQ_PUSH; }

/* A message was sent or received. When no peer is connected now, the watching thread has not yet seen this message's
 * peer connect, or has already seen it disconnect. */
static void note_partner(e3_zmq *z)
{
	if (z->partner)
		return;
	e3_peers_state s = e3_peers_look(z->peers);
	z->first = e3_now();
	z->partner = s.now > 0 ? s.ever : s.ever + 1;
}

/* Has the peer of this stream disconnected more than `ms` ago? */
static bool has_left(const e3_zmq *z, const e3_peers_state *s, int ms)
{
	ms = z->partner ? ms : ANOTHER_MS;
	return s->now == 0 && s->ever > 0 && s->ever >= z->partner && e3_now() - s->since >= ms / 1e3;
}

/* Was a message sent although no peer completed a handshake? To libzmq a server of another protocol may look like a
 * peer of its oldest version, which has no handshake. */
static bool is_not_zmq(const e3_zmq *z, const e3_peers_state *s)
{
	return z->partner && s->now == 0 && s->ever < z->partner && e3_now() - z->first > GONE_MS / 1e3;
}

static void report_publisher(e3_zmq *z, bool there)
{
	if (z->kind != E3_ZMQ_SUB || z->loss_reported == !there)
		return;
	z->loss_reported = !there;
	e3_tell(E3_TELL_WARN, "%s: the publisher %s", z->label,
		there ? "is back" : "disconnected; waiting for it to connect again");
}

/* A tool that waits without a peer reports it before the timeout is over. */
static void report_waiting(e3_zmq *z, const e3_peers_state *s, double waited)
{
	char most[64] = "";
	if (s->ever > 0 || z->waiting_reported || waited < WAITING_MS / 1e3)
		return;
	z->waiting_reported = true;
	if (e3_peer_timeout(&z->o) > 0)
		snprintf(most, sizeof most, ", at most %g s", e3_peer_timeout(&z->o));
	e3_tell(E3_TELL_NOTE, "%s: waiting for a %s%s%s", z->label, kinds[z->kind].peer, most, e3_peers_hint(z->peers));
}

/* While waiting, since `start`: -1 when the wait has to end. */
static int check_timeout(e3_zmq *z, double start, e3_err *err)
{
	const char *peer = kinds[z->kind].peer;
	double now = e3_now(), peer_s = e3_peer_timeout(&z->o), message_s = e3_message_timeout(&z->o);
	e3_peers_state s = e3_peers_look(z->peers);
	if (e3_peers_refused(z->peers, err))
		return -1;
	if (given_up(z))
		return e3_fail(err, "the %s accepted no data for %g s ('timeout')", peer, peer_s);
	report_publisher(z, s.now > 0 || s.ever == 0);
	double since = s.since > start ? s.since : start;
	report_waiting(z, &s, now - since);
	if (s.now == 0 && peer_s > 0 && now - since > peer_s)
		return e3_fail(err, "no %s connected%s within %g s ('timeout')%s", peer, s.ever > 0 ? " again" : "", peer_s,
			e3_peers_hint(z->peers));
	if (s.now > 0 && peer_s > 0 && s.silent > peer_s)
		return e3_fail(err, "no response from the %s for %g s ('timeout')", peer, peer_s);
	if (s.now > 0 && message_s > 0 && now - start > message_s)
		return z->kind == E3_ZMQ_PUSH ? e3_fail(err, "the reader accepted no data for %g s ('timeout')", message_s)
									  : e3_fail(err, "no message for %g s ('timeout')", message_s);
	return 0;
}

static int recv_now(e3_zmq *z, const uint8_t **bytes, size_t *len, e3_err *err)
{
	zmq_msg_close(&z->msg);
	zmq_msg_init(&z->msg);
	if (zmq_msg_recv(&z->msg, z->sock, ZMQ_DONTWAIT) < 0)
		return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? 0 : e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	if (zmq_msg_more(&z->msg))
		return e3_fail(err, "a ZeroMQ message of several parts; expected one part a message");
	*bytes = zmq_msg_data(&z->msg);
	*len = zmq_msg_size(&z->msg);
	note_partner(z);
	return 1;
}

int e3_zmq_recv(e3_zmq *z, const uint8_t **bytes, size_t *len, e3_err *err)
{
	for (double start = e3_now();;) {
		/* Looked at before the socket: what a peer sent before it disconnected is in the socket once that is seen. */
		e3_peers_state s = e3_peers_look(z->peers);
		int rc = recv_now(z, bytes, len, err);
		if (rc)
			return rc < 0 ? -1 : 0;
		if (e3_stop_asked(&z->o))
			return e3_fail(err, "interrupted");
		if (is_pair(z) && (has_left(z, &s, GONE_MS) || is_not_zmq(z, &s)) && e3_now() - start > GONE_MS / 1e3)
			return e3_fail(err, "truncated: the writer disconnected before the end of the stream");
		if (check_timeout(z, start, err) || e3_output_lost(&z->o, err))
			return -1;
		zmq_pollitem_t item = {z->sock, 0, ZMQ_POLLIN, 0};
		if (zmq_poll(&item, 1, E3_WAIT_MS) < 0 && zmq_errno() != EINTR)
			return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	}
}

/* Nothing lingers: e3_zmq_finish has waited for what has to arrive. The monitor ends first, because closing the socket
 * would wait for it. */
static void close_sockets(e3_zmq *z)
{
	if (z->sock) {
		zmq_socket_monitor(z->sock, NULL, 0);
		zmq_close(z->sock);
	}
	if (z->path)
		unlink(z->path); /* at once: later the name may be another's */
	free(z->path);
	z->path = NULL;
	z->sock = NULL;
	e3_peers_close(z->peers);
	z->peers = NULL;
}

void e3_zmq_done(e3_zmq *z) { close_sockets(z); }

static int not_a_reader(e3_err *err)
{
	return e3_fail(err, "the peer is not an e3 reader: it does not follow the ZeroMQ protocol");
}

int e3_zmq_lost(e3_zmq *z, e3_err *err)
{
	if (z->kind != E3_ZMQ_PUSH)
		return 0;
	e3_peers_state s = e3_peers_look(z->peers);
	if (has_left(z, &s, 0))
		return e3_fail(err, "the reader disconnected before the end of the stream");
	if (is_not_zmq(z, &s))
		return not_a_reader(err);
	double timeout = e3_peer_timeout(&z->o);
	if (timeout > 0 && s.silent > timeout)
		return e3_fail(err, "no response from the reader for %g s ('timeout')", timeout);
	return 0;
}

/* One wait for room: for a place in the socket's queue, or for bytes to leave. */
static int wait_slice(e3_zmq *z, bool heavy, e3_err *err)
{
	zmq_pollitem_t item = heavy ? (zmq_pollitem_t){NULL, e3_flight_event(z->flight), ZMQ_POLLIN, 0}
								: (zmq_pollitem_t){z->sock, 0, ZMQ_POLLOUT, 0};
	int n = zmq_poll(&item, 1, E3_WAIT_MS);
	if (n < 0 && zmq_errno() != EINTR)
		return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	return n > 0 && item.revents && !heavy;
}

/* Until the socket may take `len` bytes more; `until` 0 is no limit. A stop signal leaves a connected reader some time
 * for the end of the stream. */
static int wait_room(e3_zmq *z, size_t len, double until, e3_err *err)
{
	double stop = 0;
	for (double start = e3_now();;) {
		e3_flight_rearm(z->flight);
		size_t waiting = e3_flight_bytes(z->flight);
		bool heavy = waiting > 0 && waiting + len > (size_t)e3_queue_of(&z->o, false).bytes;
		if (e3_zmq_lost(z, err))
			return -1;
		int ready = wait_slice(z, heavy, err);
		if (ready)
			return ready < 0 ? -1 : 0;
		if (check_timeout(z, start, err))
			return -1;
		if (stop == 0 && e3_stop_asked(&z->o))
			stop = e3_now() + (z->partner ? STOP_MS / 1e3 : 0);
		if (stop > 0 && e3_now() >= stop)
			return e3_fail(err, z->partner ? "interrupted while the reader accepts no data" : "interrupted");
		if (until > 0 && e3_now() > until)
			return e3_fail(err, "no reader");
	}
}

static int push(e3_zmq *z, zmq_msg_t *msg, double until, e3_err *err)
{
	while (zmq_msg_send(msg, z->sock, ZMQ_DONTWAIT) < 0) {
		if (zmq_errno() != EAGAIN && zmq_errno() != EINTR)
			return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
		if (wait_room(z, 0, until, err))
			return -1;
	}
	return 0;
}

int e3_zmq_send(e3_zmq *z, const struct iovec *part, int n, int wait_ms, e3_err *err)
{
	zmq_msg_t msg;
	size_t len = 0;
	double until = wait_ms < 0 ? 0 : e3_now() + wait_ms / 1e3;
	for (int k = 0; k < n; k++)
		len += part[k].iov_len;
	if (z->kind == E3_ZMQ_PUB)
		return e3_pub_send(&z->pub, z->sock, z->flight, part, n, err);
	if (wait_room(z, len, until, err) || e3_flight_pack(z->flight, &msg, part, n, err))
		return -1;
	int rc = push(z, &msg, until, err);
	if (rc)
		zmq_msg_close(&msg);
	else
		note_partner(z);
	return rc;
}

/* Closing is not left to ZMQ_LINGER: a reader whose queue is full when the writer hangs up loses what is still in the
 * kernel's buffer (libzmq 4.3 drops an ipc connection at once). The reader hangs up first, when it has the last
 * message. */
int e3_zmq_finish(e3_zmq *z, int wait_ms, e3_err *err)
{
	double now = e3_now(), until = wait_ms < 0 ? 0 : now + wait_ms / 1e3, timeout = e3_peer_timeout(&z->o);
	double most = z->kind == E3_ZMQ_PUB ? timeout : e3_message_timeout(&z->o);
	double limit = most > 0 ? now + most : 0;
	for (;; now = e3_now()) {
		e3_peers_state s = e3_peers_look(z->peers);
		if (z->kind == E3_ZMQ_PUB ? s.now == 0 : has_left(z, &s, 0))
			return 0;
		if (z->kind == E3_ZMQ_PUSH && is_not_zmq(z, &s))
			return not_a_reader(err);
		if (until == 0 && e3_stop_asked(&z->o))
			until = now + STOP_MS / 1e3;
		bool late = (until > 0 && now >= until) || (limit > 0 && now >= limit) || given_up(z) ||
			(timeout > 0 && s.silent > timeout);
		if (late && z->kind == E3_ZMQ_PUB) {
			e3_tell(E3_TELL_WARN, "%s: %d subscriber%s did not disconnect after the end of the stream", z->label, s.now,
				s.now == 1 ? "" : "s");
			return 0;
		}
		if (late)
			return e3_fail(err, "the reader did not confirm the end of the stream");
		if (z->kind == E3_ZMQ_PUB && e3_pub_repeat(&z->pub, z->sock, z->flight, err))
			return -1;
		(void)poll(NULL, 0, 5);
	}
}

void e3_zmq_close(e3_zmq *z)
{
	if (!z)
		return;
	zmq_msg_close(&z->msg);
	close_sockets(z);
	while (z->ctx && zmq_ctx_term(z->ctx) && zmq_errno() == EINTR)
		; /* nothing lingers: it does not wait */
	e3_flight_free(z->flight);
	e3_pub_release(&z->pub);
	free(z->label);
	free(z);
}
