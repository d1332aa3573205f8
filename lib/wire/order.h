/* wire: what both ends agree on: names and limits of the kinds, and the grammar
 * `[head (frame | pred | evict | attn | truth)*] (end | abort)`, with an end only after a head. */
#ifndef E3_WIRE_ORDER_H
#define E3_WIRE_ORDER_H

#include "e3/stream.h"

/* How a failure upstream reads: tool, exit code, text. e3_out_abort takes it apart again. */
#define E3_ABORT_FORM "%s failed (exit %d): %s"

enum { E3_ENVELOPE = 6, E3_MARK = 0xc9, E3_KINDS = 9 };

size_t e3_kind_limit(int kind); /* bytes of body */

/* Zero-initialised is the start of a stream. */
typedef struct e3_order {
	int64_t messages;
	int64_t frames, preds;  /* seen so far */
	int64_t next[E3_KINDS]; /* smallest index the next message of this kind may have */
	bool headed, closed;    /* head seen; end or abort seen */
} e3_order;

/* Checks the kind and the length in an envelope's 5 bytes after the mark. */
int e3_envelope_check(const uint8_t *envelope, size_t *body, e3_err *err);
/* Takes one step of the grammar: `value` is the index of a frame, pred, evict, attn or truth, and the count in an end.
 */
int e3_order_step(e3_order *o, int kind, int64_t value, e3_err *err);
/* Checks one whole message (envelope already checked): structure, version, place in the grammar; counts it. */
int e3_order_check(e3_order *o, const e3_msg *msg, e3_err *err);

/* Finite, sane values of what frame and pred share; used by both directions. Errors read "field: reason". */
int e3_source_check(const e3_source *s, e3_err *err);
int e3_reals_check(const char *name, const double *v, int n, e3_err *err);
int e3_pose_check(const float pose[9], e3_err *err);
int e3_size_check(int w, int h, e3_err *err);

enum { E3_MAX_SIDE = 65535, E3_MAX_EVICT_LAYERS = 1024 };

#endif
