/* wire: messages that wait for a slow reader, and a thread that sends them: bounded in number and bytes, with or
 * without dropping. */
#ifndef E3_WIRE_QUEUE_H
#define E3_WIRE_QUEUE_H

#include "writer.h"

typedef struct e3_queue e3_queue;

/* Takes over the writer's writing (not its release) until e3_queue_finish. */
e3_queue *e3_queue_open(e3_writer *writer, e3_err *err);
/* A message of kind and index (-1: none) goes into the queue, copied; what has to make room for it, does, or this
 * waits. With dropping, head and end are rewritten: the first does not know how many frames will come, the second
 * counts those that went out. -1 when the writer has failed: its error. */
int e3_queue_put(e3_queue *q, const e3_msg *msg, e3_err *err);
int64_t e3_queue_dropped(e3_queue *q);
/* Waits until everything is sent, as long as the reader takes something every so often (the timeout); ends the thread.
 * 0, or -1 with the writer's error. `hurry`: leaves out the frames that still wait. Frees the queue. */
int e3_queue_finish(e3_queue *q, bool hurry, e3_err *err);

#endif
