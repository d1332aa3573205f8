/* wire: what the endpoint options of the whole process say (e3/stream.h, e3_stream_set), in the form the endpoints
 * need. */
#ifndef E3_WIRE_SETTINGS_H
#define E3_WIRE_SETTINGS_H

#include "e3/stream.h"
#include <stdbool.h>

/* What may wait for a reader: in front of a socket (little is faster: it stays in the processor's cache), or with
 * `copy` for one that does not set the pace. */
e3_queue_limit e3_queue_of(bool copy);
/* Seconds a peer may stay away: --timeout, or the default. 0: for ever. */
double e3_patience_peer(void);
/* Seconds a peer that is there may take without a message: --timeout, else for ever (0). */
double e3_patience_message(void);

#endif
