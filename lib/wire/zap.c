/* wire: which clients may connect. Owns the answers and their log; refuses clients whose key is not in the list, and a
 * second peer while one is connected. The list is read for every request, so keys can change while a stream runs. */
#include "zap.h"
#include "curve.h"
#include "e3/num.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { PARTS = 7, ROOM = 256, AGAIN_SECONDS = 10 };

/* The parts of a request: version, request id, domain, address, routing id, mechanism, key. */
typedef struct request {
	uint8_t part[PARTS][ROOM];
	int len[PARTS], n;
} request;

static bool receive(void *rep, request *q)
{
	for (q->n = 0;; q->n++) {
		uint8_t rest[ROOM];
		int at = q->n < PARTS ? q->n : PARTS, more = 0;
		size_t size = sizeof more;
		int n = zmq_recv(rep, at < PARTS ? q->part[at] : rest, ROOM, ZMQ_DONTWAIT);
		if (n < 0)
			return false;
		if (at < PARTS)
			q->len[at] = n < ROOM ? n : ROOM - 1, q->part[at][q->len[at]] = 0;
		if (zmq_getsockopt(rep, ZMQ_RCVMORE, &more, &size) || !more)
			break;
	}
	q->n++;
	return q->n >= 6;
}

static void send_answer(void *rep, const request *q, const char *status, const char *text)
{
	zmq_send(rep, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(rep, q->part[1], (size_t)q->len[1], ZMQ_SNDMORE);
	zmq_send(rep, status, strlen(status), ZMQ_SNDMORE);
	zmq_send(rep, text, strlen(text), ZMQ_SNDMORE);
	zmq_send(rep, "", 0, ZMQ_SNDMORE);
	zmq_send(rep, "", 0, 0);
}

void e3_zap_log(e3_zap *z, const char *who, const char *address, const char *why)
{
	char when[32], more[48] = "", text[sizeof z->last];
	time_t t = time(NULL);
	struct tm tm;
	snprintf(text, sizeof text, "%s from %s: %s", who, address, why);
	if (strcmp(z->last, text) == 0 && e3_now() - z->reported < AGAIN_SECONDS) {
		z->more++;
		return;
	}
	if (z->more)
		snprintf(more, sizeof more, " (%ld more refusals before)", z->more);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	e3_tell(E3_TELL_WARN, "%s: %s: refused a client%s%s", z->label, when, text, more);
	memcpy(z->last, text, sizeof text);
	z->reported = e3_now(), z->more = 0;
}

bool e3_zap_answer(e3_zap *z, void *rep, bool room)
{
	request q;
	char key[E3_CURVE_TEXT] = "", who[E3_CURVE_TEXT + 16] = "", name[E3_CURVE_NAME] = "", why[128];
	e3_err err = {""};
	if (!receive(rep, &q))
		return false;
	const char *address = q.len[3] ? (const char *)q.part[3] : "this machine";
	int allowed = 1;
	if (z->allow) {
		bool has_key = q.n == PARTS && strcmp((const char *)q.part[5], "CURVE") == 0 && q.len[6] == 32;
		allowed = has_key && zmq_z85_encode(key, q.part[6], 32) ? e3_curve_allowed(z->allow, key, name, &err) : 0;
	}
	if (allowed > 0 && room) {
		send_answer(rep, &q, "200", "OK");
		e3_tell(E3_TELL_DETAIL, "%s: accepted a %s%s%s from %s", z->label, z->role, *name ? ": " : "", name, address);
		return true;
	}
	if (allowed > 0)
		snprintf(why, sizeof why, "there is a %s already", z->role);
	else if (allowed == 0)
		snprintf(why, sizeof why, "not in %.100s", z->allow);
	if (*key)
		snprintf(who, sizeof who, " with key %s", key);
	e3_zap_log(z, who, address, allowed < 0 ? err.text : why);
	send_answer(rep, &q, allowed > 0 ? "500" : "400", "refused");
	return false;
}
