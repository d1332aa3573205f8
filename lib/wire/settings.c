/* wire: the endpoint options of the process. Owns their values and defaults. */
#include "settings.h"
#include "e3/num.h"
#include <string.h>

enum { PEER_SECONDS = 60, QUEUE_MESSAGES = 64, SOCKET_BYTES = 16 << 20, COPY_BYTES = 64 << 20 };

e3_stream_settings e3_stream_set = {.timeout = -1};

void e3_stream_allow_insecure(bool allow) { e3_stream_set.insecure = allow; }

int e3_stream_queue_option(void *to, const char *arg, e3_err *err)
{
	e3_queue_limit *q = to;
	const char *comma = strchr(arg, ',');
	char number[32];
	size_t n = comma ? (size_t)(comma - arg) : strlen(arg);
	if (n >= sizeof number)
		return e3_fail(err, "expected N or N,SIZE, got '%.40s'", arg);
	memcpy(number, arg, n);
	number[n] = 0;
	if (e3_parse_i64(number, 1, 1 << 20, &q->messages, err))
		return -1;
	return comma ? e3_parse_size(comma + 1, &q->bytes, err) : 0;
}

e3_queue_limit e3_queue_of(bool copy)
{
	e3_queue_limit q = e3_stream_set.queue;
	if (q.messages == 0)
		q.messages = QUEUE_MESSAGES;
	if (q.bytes == 0)
		q.bytes = copy ? COPY_BYTES : SOCKET_BYTES;
	return q;
}

double e3_patience_peer(void) { return e3_stream_set.timeout < 0 ? PEER_SECONDS : e3_stream_set.timeout; }

double e3_patience_message(void) { return e3_stream_set.timeout < 0 ? 0 : e3_stream_set.timeout; }
