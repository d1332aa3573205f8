/* wire: what the options of an endpoint (e3/stream.h, e3_stream_options) mean: defaults filled in, callbacks called. */
#ifndef E3_WIRE_SETTINGS_H
#define E3_WIRE_SETTINGS_H

#include "e3/stream.h"
#include <stdbool.h>

enum { E3_WAIT_MS = 200 }; /* longest time before a request to stop is noticed */

/* What may wait for a reader: in front of a socket (little is faster: it stays in the processor's cache), or with
 * `copy` for one that does not set the pace. */
e3_queue_limit e3_queue_of(const e3_stream_options *o, bool copy);
/* Seconds a peer may stay away: the timeout, or the default. 0: for ever. */
double e3_peer_timeout(const e3_stream_options *o);
/* Seconds a peer that is there may take without a message: the timeout, else for ever (0). */
double e3_message_timeout(const e3_stream_options *o);
/* Did the caller ask to stop? */
bool e3_stop_asked(const e3_stream_options *o);
/* Is reading on pointless, because the reader of the caller's own output is gone? 0, or -1 with the reason. */
int e3_output_lost(const e3_stream_options *o, e3_err *err);

#endif
