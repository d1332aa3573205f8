/* wire: ZeroMQ. Owns socket, context and the watch on the peer; refuses to wait for ever for a peer that was there and left.
 *
 * libzmq alone would queue a thousand messages, hang at exit when the peer never comes, and wait for a dead sender without end
 * (spec/deps.md 1): the options below and the monitor are against that. */
#include "zmq.h"
#include "e3/num.h"
#include "e3/tool.h"
#include "fd.h"
#include "order.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum {
	QUEUE = 4,       /* messages, on either side */
	MAX_PEERS = 16,
	GONE_MS = 1000,  /* a sender that left: this long for what may still be on its way */
	STOP_MS = 5000   /* after a stop signal, for the end of the stream */
};

struct e3_zmq {
	void *ctx, *sock, *monitor;
	zmq_msg_t msg; /* the one handed out */
	bool started;  /* a message went through */
	int peer[MAX_PEERS]; /* descriptors of the connections, as the monitor reports them */
	int n_peers;
	bool gone;
	char *path; /* of a bound ipc socket: libzmq leaves the file behind */
};

static int set_int(void *sock, int option, int v)
{
	return zmq_setsockopt(sock, option, &v, sizeof v);
}

static int set_options(void *sock, const e3_endpoint *ep)
{
	int64_t most = (int64_t)E3_ENVELOPE + (int64_t)e3_kind_limit(E3_PRED);
	if (set_int(sock, ZMQ_LINGER, 0) || set_int(sock, ZMQ_SNDHWM, QUEUE) || set_int(sock, ZMQ_RCVHWM, QUEUE) ||
	    set_int(sock, ZMQ_IMMEDIATE, 1) || set_int(sock, ZMQ_IPV6, ep->ipv6))
		return -1;
	return zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &most, sizeof most);
}

static int watch(e3_zmq *z)
{
	const char *at = "inproc://monitor";
	if (zmq_socket_monitor(z->sock, at, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED))
		return -1;
	z->monitor = zmq_socket(z->ctx, ZMQ_PAIR);
	if (!z->monitor || set_int(z->monitor, ZMQ_LINGER, 0))
		return -1;
	return zmq_connect(z->monitor, at);
}

e3_zmq *e3_zmq_open(const e3_endpoint *ep, bool reading, e3_err *err)
{
	e3_zmq *z = calloc(1, sizeof *z);
	if (!z) {
		e3_fail(err, "out of memory");
		return NULL;
	}
	zmq_msg_init(&z->msg);
	z->ctx = zmq_ctx_new();
	z->sock = z->ctx ? zmq_socket(z->ctx, reading ? ZMQ_PULL : ZMQ_PUSH) : NULL;
	if (!z->sock || set_options(z->sock, ep) || watch(z) ||
	    (ep->bind ? zmq_bind(z->sock, ep->addr) : zmq_connect(z->sock, ep->addr))) {
		e3_fail(err, "%s", zmq_strerror(zmq_errno()));
		e3_zmq_close(z);
		return NULL;
	}
	if (ep->bind && strncmp(ep->addr, "ipc://", 6) == 0)
		z->path = strdup(ep->addr + 6);
	return z;
}

static void peer_add(e3_zmq *z, int fd)
{
	if (z->n_peers < MAX_PEERS)
		z->peer[z->n_peers++] = fd;
}

static void peer_drop(e3_zmq *z, int fd)
{
	for (int k = 0; k < z->n_peers; k++)
		if (z->peer[k] == fd) {
			z->peer[k] = z->peer[--z->n_peers];
			return;
		}
}

/* Takes in what the monitor has: an event is a frame of u16 event, u32 descriptor, and a frame with the address. */
static void read_monitor(e3_zmq *z)
{
	uint8_t frame[8], address[512];
	for (int n; (n = zmq_recv(z->monitor, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0;) {
		uint16_t event;
		int32_t fd;
		(void)zmq_recv(z->monitor, address, sizeof address, ZMQ_DONTWAIT);
		if (n < 6)
			continue;
		memcpy(&event, frame, 2);
		memcpy(&fd, frame + 2, 4);
		if (event == ZMQ_EVENT_DISCONNECTED)
			peer_drop(z, fd);
		else
			peer_add(z, fd);
	}
	z->gone = z->started && z->n_peers == 0;
}

/* Waits a slice for the socket: 1 ready, 0 not yet, -1 a failure. The peers are up to date afterwards. */
static int wait_slice(e3_zmq *z, short events, e3_err *err)
{
	zmq_pollitem_t item[2] = {{z->sock, 0, events, 0}, {z->monitor, 0, ZMQ_POLLIN, 0}};
	int n = zmq_poll(item, 2, E3_WAIT_MS);
	if (n < 0 && zmq_errno() != EINTR)
		return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
	if (n > 0 && item[1].revents)
		read_monitor(z);
	return n > 0 && (item[0].revents & events) != 0;
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
	z->started = true;
	return 1;
}

int e3_zmq_recv(e3_zmq *z, const uint8_t **bytes, size_t *len, e3_err *err)
{
	double left = 0;
	for (;;) {
		int ready = wait_slice(z, ZMQ_POLLIN, err);
		if (ready < 0)
			return -1;
		if (e3_stop_signal())
			return e3_fail(err, "interrupted");
		if (ready) {
			int rc = recv_now(z, bytes, len, err);
			if (rc)
				return rc < 0 ? -1 : 0;
			continue;
		}
		if (!z->gone)
			left = 0;
		else if (left == 0)
			left = e3_now();
		else if (e3_now() - left > GONE_MS / 1e3)
			return e3_fail(err, "truncated: the sender went away before the end of the stream");
	}
}

/* Nothing lingers: what has to arrive has arrived (e3_zmq_finish). The monitor goes first: closing the socket would wait for it. */
static void close_sockets(e3_zmq *z)
{
	if (z->sock) {
		zmq_socket_monitor(z->sock, NULL, 0);
		zmq_close(z->sock);
	}
	if (z->monitor)
		zmq_close(z->monitor);
	if (z->path)
		unlink(z->path); /* at once: later the name may be another's */
	free(z->path);
	z->path = NULL;
	z->sock = z->monitor = NULL;
}

void e3_zmq_done(e3_zmq *z)
{
	close_sockets(z);
}

static int join(zmq_msg_t *msg, const struct iovec *part, int n)
{
	size_t len = 0;
	for (int k = 0; k < n; k++)
		len += part[k].iov_len;
	if (zmq_msg_init_size(msg, len))
		return -1;
	char *to = zmq_msg_data(msg);
	for (int k = 0; k < n; k++) {
		if (part[k].iov_len)
			memcpy(to, part[k].iov_base, part[k].iov_len);
		to += part[k].iov_len;
	}
	return 0;
}

/* Until the socket takes a message; `until` 0 is no limit. A stop signal leaves a connected reader some time for the end of the
 * stream. */
static int wait_room(e3_zmq *z, double until, e3_err *err)
{
	for (double stop = 0;;) {
		read_monitor(z);
		if (z->gone)
			return e3_fail(err, "the reader went away before the end of the stream");
		int ready = wait_slice(z, ZMQ_POLLOUT, err);
		if (ready < 0)
			return -1;
		if (ready && !z->gone)
			return 0;
		if (stop == 0 && e3_stop_signal())
			stop = e3_now() + (z->started ? STOP_MS / 1e3 : 0);
		if (stop > 0 && e3_now() >= stop)
			return e3_fail(err, z->started ? "interrupted, and the reader takes nothing" : "interrupted");
		if (until > 0 && e3_now() > until)
			return e3_fail(err, "no reader");
	}
}

int e3_zmq_send(e3_zmq *z, const struct iovec *part, int n, int wait_ms, e3_err *err)
{
	zmq_msg_t msg;
	double until = wait_ms < 0 ? 0 : e3_now() + wait_ms / 1e3;
	if (join(&msg, part, n))
		return e3_fail(err, "out of memory");
	for (;;) {
		if (wait_room(z, until, err))
			break;
		if (zmq_msg_send(&msg, z->sock, ZMQ_DONTWAIT) >= 0) {
			z->started = true;
			return 0;
		}
		if (zmq_errno() != EAGAIN && zmq_errno() != EINTR) {
			e3_fail(err, "%s", zmq_strerror(zmq_errno()));
			break;
		}
	}
	zmq_msg_close(&msg);
	return -1;
}

/* Closing is not left to ZMQ_LINGER: a reader whose queue is full when the writer hangs up loses what is still in the kernel's
 * buffer (libzmq 4.3 drops an ipc connection at once). The reader hangs up first, when it has the last message. */
int e3_zmq_finish(e3_zmq *z, int wait_ms, e3_err *err)
{
	double until = wait_ms < 0 ? 0 : e3_now() + wait_ms / 1e3;
	for (read_monitor(z); !z->gone;) {
		if (until == 0 && e3_stop_signal())
			until = e3_now() + STOP_MS / 1e3;
		if (until > 0 && e3_now() >= until)
			return e3_fail(err, "the reader did not take the end of the stream");
		zmq_pollitem_t item = {z->monitor, 0, ZMQ_POLLIN, 0};
		(void)zmq_poll(&item, 1, E3_WAIT_MS);
		read_monitor(z);
	}
	return 0;
}

void e3_zmq_close(e3_zmq *z)
{
	if (!z)
		return;
	zmq_msg_close(&z->msg);
	close_sockets(z);
	while (z->ctx && zmq_ctx_term(z->ctx) && zmq_errno() == EINTR)
		; /* nothing lingers: it does not wait */
	free(z);
}
