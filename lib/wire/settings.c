/* wire: the options of an endpoint. Owns their defaults. */
#include "settings.h"

enum { PEER_SECONDS = 60, QUEUE_MESSAGES = 64, SOCKET_BYTES = 16 << 20, COPY_BYTES = 64 << 20 };

e3_queue_limit e3_queue_of(const e3_stream_options *o, bool copy)
{
	e3_queue_limit q = o->queue;
	if (q.messages == 0)
		q.messages = QUEUE_MESSAGES;
	if (q.bytes == 0)
		q.bytes = copy ? COPY_BYTES : SOCKET_BYTES;
	return q;
}

double e3_peer_timeout(const e3_stream_options *o) { return o->timeout < 0 ? PEER_SECONDS : o->timeout; }

double e3_message_timeout(const e3_stream_options *o) { return o->timeout < 0 ? 0 : o->timeout; }

bool e3_stop_asked(const e3_stream_options *o) { return o->stop && o->stop(); }

int e3_output_lost(const e3_stream_options *o, e3_err *err)
{
	return o->output_lost ? o->output_lost(o->context, err) : 0;
}
