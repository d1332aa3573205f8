/* wire: messages on their way through ZeroMQ. Owns their count and the wake-up when one has left. */
#include "flight.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct e3_flight {
	atomic_size_t bytes;
	int event;
};

/* Lies before the bytes of a message. */
typedef union parcel {
	size_t len;
	max_align_t align;
} parcel;

e3_flight *e3_flight_new(e3_err *err)
{
	e3_flight *f = calloc(1, sizeof *f);
	if (f && (f->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		free(f);
		f = NULL;
	}
	if (!f)
		e3_fail(err, "out of memory or descriptors");
	return f;
}

void e3_flight_free(e3_flight *f)
{
	if (!f)
		return;
	close(f->event);
	free(f);
}

/* Called by libzmq, in its own thread. */
static void landed(void *data, void *flight)
{
	e3_flight *f = flight;
	parcel *p = (parcel *)data - 1;
	uint64_t one = 1;
	atomic_fetch_sub(&f->bytes, p->len);
	free(p);
	(void)!write(f->event, &one, sizeof one);
}

int e3_flight_pack(e3_flight *f, zmq_msg_t *msg, const struct iovec *part, int n, e3_err *err)
{
	size_t len = 0;
	for (int k = 0; k < n; k++)
		len += part[k].iov_len;
	parcel *p = malloc(sizeof *p + len);
	if (!p)
		return e3_fail(err, "out of memory");
	p->len = len;
	char *to = (char *)(p + 1);
	for (int k = 0; k < n; k++) {
		if (part[k].iov_len)
			memcpy(to, part[k].iov_base, part[k].iov_len);
		to += part[k].iov_len;
	}
	atomic_fetch_add(&f->bytes, len);
	if (zmq_msg_init_data(msg, p + 1, len, landed, f) == 0)
		return 0;
	landed(p + 1, f);
	return e3_fail(err, "out of memory");
}

size_t e3_flight_bytes(const e3_flight *f) { return atomic_load(&f->bytes); }

int e3_flight_event(const e3_flight *f) { return f->event; }

void e3_flight_rearm(e3_flight *f)
{
	uint64_t count;
	(void)!read(f->event, &count, sizeof count);
}
