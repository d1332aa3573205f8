/* wire: publishing. Owns the head for those who come late. */
#include "pub.h"
#include "e3/mem.h"
#include "order.h"
#include "rewrite.h"
#include <stdlib.h>
#include <string.h>

static int keep_head(e3_pub *p, const struct iovec *part, int n, e3_err *err)
{
	size_t len = 0;
	for (int k = 0; k < n; k++)
		len += part[k].iov_len;
	if (e3_grow((void **)&p->head.bytes, len, 1, "the head", err))
		return -1;
	p->head.kind = E3_HEAD, p->head.len = 0;
	for (int k = 0; k < n; k++) {
		memcpy(p->head.bytes + p->head.len, part[k].iov_base, part[k].iov_len);
		p->head.len += part[k].iov_len;
	}
	return 0;
}

int e3_pub_note(e3_pub *p, const struct iovec *part, int n, e3_err *err)
{
	int kind = ((const uint8_t *)part[0].iov_base)[E3_ENVELOPE - 1];
	p->frames += kind == E3_FRAME;
	p->preds += kind == E3_PRED;
	return kind == E3_HEAD ? keep_head(p, part, n, err) : 0;
}

static int send_head(e3_pub *p, void *sock, e3_flight *flight, e3_err *err)
{
	e3_head head = {0};
	e3_msg late;
	zmq_msg_t msg;
	if (e3_head_decode(&p->head, &head, err))
		return -1;
	int64_t passed = p->frames > p->preds ? p->frames : p->preds;
	int64_t left = head.frames < 0 ? -1 : head.frames > passed ? head.frames - passed : 0;
	e3_head_release(&head);
	if (e3_msg_with_frames(&p->head, left, &late, err))
		return -1;
	int rc = e3_flight_pack(flight, &msg, &(struct iovec){late.bytes, late.len}, 1, err);
	free(late.bytes);
	if (rc)
		return -1;
	if (zmq_msg_send(&msg, sock, ZMQ_DONTWAIT) < 0)
		zmq_msg_close(&msg); /* nobody takes it: whoever comes is greeted again */
	return 0;
}

int e3_pub_greet(e3_pub *p, void *sock, e3_flight *flight, e3_err *err)
{
	bool somebody = false;
	uint8_t word[64];
	for (int n; (n = zmq_recv(sock, word, sizeof word, ZMQ_DONTWAIT)) >= 0;)
		somebody |= n > 0 && word[0] == 1;
	return somebody && p->head.len ? send_head(p, sock, flight, err) : 0;
}

void e3_pub_release(e3_pub *p)
{
	free(p->head.bytes);
	*p = (e3_pub){0};
}
