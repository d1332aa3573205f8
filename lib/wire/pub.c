/* wire: publishing. Owns the head, for late subscribers, and the last message, until every subscriber has it. */
#include "pub.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "kinds.h"
#include "rewrite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPEAT_SECONDS 0.1

static int keep(e3_msg *msg, int kind, const struct iovec *part, int n, e3_err *err)
{
	size_t len = 0;
	for (int k = 0; k < n; k++)
		len += part[k].iov_len;
	if (e3_grow((void **)&msg->bytes, len, 1, e3_kind_name(kind), err))
		return -1;
	msg->kind = kind, msg->len = 0;
	for (int k = 0; k < n; k++) {
		memcpy(msg->bytes + msg->len, part[k].iov_base, part[k].iov_len);
		msg->len += part[k].iov_len;
	}
	return 0;
}

/* libzmq drops the message for subscribers that have no room. */
static int publish(void *sock, e3_flight *flight, const struct iovec *part, int n, e3_err *err)
{
	zmq_msg_t msg;
	if (e3_flight_pack(flight, &msg, part, n, err))
		return -1;
	while (zmq_msg_send(&msg, sock, ZMQ_DONTWAIT) < 0)
		if (zmq_errno() != EINTR) {
			zmq_msg_close(&msg);
			return e3_fail(err, "%s", zmq_strerror(zmq_errno()));
		}
	return 0;
}

static int send_head(e3_pub *p, void *sock, e3_flight *flight, e3_err *err)
{
	e3_msg late;
	int64_t passed = p->frames > p->preds ? p->frames : p->preds, total = e3_msg_int(&p->head, "frames");
	int64_t left = total < 0 ? -1 : total > passed ? total - passed : 0;
	if (e3_msg_with_frames(&p->head, left, &late, err))
		return -1;
	int rc = publish(sock, flight, &(struct iovec){late.bytes, late.len}, 1, err);
	free(late.bytes);
	return rc;
}

static int greet(e3_pub *p, void *sock, e3_flight *flight, e3_err *err)
{
	bool subscribed = false;
	uint8_t word[64];
	for (int n; (n = zmq_recv(sock, word, sizeof word, ZMQ_DONTWAIT)) >= 0;)
		subscribed |= n > 0 && word[0] == 1;
	return subscribed && p->head.len ? send_head(p, sock, flight, err) : 0;
}

int e3_pub_send(e3_pub *p, void *sock, e3_flight *flight, const struct iovec *part, int n, e3_err *err)
{
	int kind = ((const uint8_t *)part[0].iov_base)[E3_ENVELOPE - 1];
	e3_kind_place place = e3_kind_rule_of(kind)->place;
	e3_msg *kept = place == E3_PLACE_FIRST ? &p->head : place == E3_PLACE_LAST ? &p->last : NULL;
	if (greet(p, sock, flight, err) || (kept && keep(kept, kind, part, n, err)))
		return -1;
	p->frames += kind == E3_FRAME;
	p->preds += kind == E3_PRED;
	p->repeated = e3_now();
	return publish(sock, flight, part, n, err);
}

int e3_pub_repeat(e3_pub *p, void *sock, e3_flight *flight, e3_err *err)
{
	if (!p->last.len || e3_now() - p->repeated < REPEAT_SECONDS)
		return 0;
	p->repeated = e3_now();
	return greet(p, sock, flight, err) || publish(sock, flight, &(struct iovec){p->last.bytes, p->last.len}, 1, err)
		? -1
		: 0;
}

void e3_pub_release(e3_pub *p)
{
	free(p->head.bytes);
	free(p->last.bytes);
	*p = (e3_pub){0};
}
