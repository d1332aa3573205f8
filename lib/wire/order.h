/* wire: the grammar of a stream: `[head (frame | pred | evict | attn | truth | edge | correct)*] (end | abort)`, with
 * an end only after a head, indices in order, a correction only where the head announces them, and an end that counts
 * the frames. */
#ifndef E3_WIRE_ORDER_H
#define E3_WIRE_ORDER_H

#include "kinds.h"

/* Zero-initialised is the start of a stream. */
typedef struct e3_order {
	int64_t messages;
	int64_t frames, preds;  /* seen so far */
	int64_t next[E3_KINDS]; /* smallest index the next message of this kind may have */
	bool headed, closed;    /* head seen; end or abort seen */
	bool corrects;          /* said by the head */
} e3_order;

/* Takes one step of the grammar: `value` is the index of a message that has one, the count in an end, and in a head
 * whether it announces corrections. */
int e3_order_step(e3_order *o, int kind, int64_t value, e3_err *err);
/* Checks one whole message (envelope already checked): structure, version, place in the grammar; counts it. */
int e3_order_check(e3_order *o, const e3_msg *msg, e3_err *err);
/* Frames of the stream so far: each has a frame, a pred or both. */
int64_t e3_order_frames(const e3_order *o);

#endif
