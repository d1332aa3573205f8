/* wire: messages that wait for a slow reader, and a thread that sends them: bounded in number and bytes, with or
 * without dropping. */
#ifndef E3_WIRE_QUEUE_H
#define E3_WIRE_QUEUE_H

#include "writer.h"

typedef struct e3_queue e3_queue;

/* Takes over the writer's writing (not its release) until e3_queue_finish. */
e3_queue *e3_queue_open(e3_writer *writer, e3_err *err);
/* Copies a message into the queue; drops frames to make room, or waits. Where frames are dropped, head and end are
 * rewritten: the head says that the number of frames is unknown, the end counts those that were sent. -1 with the
 * writer's error when that has failed. */
int e3_queue_put(e3_queue *q, const e3_msg *msg, e3_err *err);
int64_t e3_queue_dropped(e3_queue *q);
/* Waits until everything is sent, as long as the reader takes something every so often (the timeout); ends the thread.
 * 0, or -1 with the writer's error. `hurry`: leaves out the frames that still wait. Frees the queue. */
int e3_queue_finish(e3_queue *q, bool hurry, e3_err *err);

#endif
