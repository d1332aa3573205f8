/* view: a stream on its way into the store, so that the stage that reads it never waits for what is made of it.
 *
 * Messages are copied into a queue; a thread feeds them to the store. While the queue is long, frames go into it
 * without their pictures and arrays (e3_view_lighten): what is left of a message then is small and quick to take.
 */
#ifndef E3_VIEW_QUEUE_H
#define E3_VIEW_QUEUE_H

#include "e3/stream.h"
#include "e3/view.h"

typedef struct e3_view_queue e3_view_queue;

/* bytes: above which frames are lightened; 0: 64 MiB. fed(context) is called from the thread after each message. */
e3_view_queue *e3_view_queue_open(e3_view_store *v, int run, int64_t bytes, void (*fed)(void *context), void *context,
	e3_err *err);
/* Puts a copy of the message into it. Waits only when lightened messages alone exceed four times `bytes`. -1: there is
 * no memory; or the store refused an earlier message, with its reason, once. The queue goes on in both cases. */
int e3_view_queue_put(e3_view_queue *q, const e3_msg *msg, e3_err *err);
/* The stream is over (failed: why; NULL: it ended well): returns when everything was fed. -1 as above. */
int e3_view_queue_finish(e3_view_queue *q, const char *failed, e3_err *err);
/* Frees it; what was not fed is lost. NULL is fine. */
void e3_view_queue_close(e3_view_queue *q);

#endif
