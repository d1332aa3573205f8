/* hold: predictions as later messages correct them (e3-stream(5), correct).
 *
 * A reader that needs the final positions puts e3_hold_read between itself and its stream, and e3_hold_pred after each
 * e3_pred_decode:
 *
 *     e3_hold *h = e3_hold_open(0, &err);
 *     while ((more = e3_hold_read(h, e3_hold_from_in, in, &msg, &err)) > 0)
 *         if (msg.kind == E3_PRED && (e3_pred_decode(&msg, &pred, &err) || e3_hold_pred(h, &pred, &err)))
 *             ...
 *     e3_hold_close(h);
 *
 * A stream whose head does not announce corrections passes through, message by message. Otherwise the messages after
 * the head wait in a nameless temporary file until the stream has ended, and then come in their order; `correct` itself
 * is not handed out. A stage that makes the corrections itself uses the parts: e3_hold_put for every message,
 * e3_hold_correct, and after the last one e3_hold_next and e3_hold_pred.
 *
 * Memory: one message, and of the corrections 80 bytes for each stretch of frames with one of its own, and
 * room for as many again; at most E3_CORRECTIONS_MAX stretches.
 */
#ifndef E3_HOLD_H
#define E3_HOLD_H

#include "e3/data.h"
#include "e3/err.h"
#include "e3/geom.h"
#include "e3/stream.h"

/* --- corrections.c: the newest correction of every frame --- */

enum { E3_CORRECTIONS_MAX = 1 << 20 };

/* What the frames `from` to `to` have, both included. */
typedef struct e3_correction {
	int64_t from, to;
	double sim[8];
} e3_correction;

/* Ascending and disjoint. Zero-initialised is empty. */
typedef struct e3_corrections {
	e3_correction *at;
	size_t n, room;
} e3_corrections;

/* Replaces what the frames of its range had; neighbours with the same similarity become one stretch. */
int e3_corrections_add(e3_corrections *c, const e3_correct *x, e3_err *err);
/* The correction of frame i, or NULL. */
const e3_correction *e3_corrections_of(const e3_corrections *c, int64_t i);
void e3_corrections_release(e3_corrections *c);

/* --- hold.c: messages on disk until the corrections are complete --- */

typedef struct e3_hold e3_hold;

/* kinds: bit k is set for each e3_kind to keep, so that what the reader does not want takes no room; 0: all. */
e3_hold *e3_hold_open(unsigned kinds, e3_err *err);
/* A failure (the disk is full) costs this message alone. */
int e3_hold_put(e3_hold *h, const e3_msg *msg, e3_err *err);
int e3_hold_correct(e3_hold *h, const e3_correct *x, e3_err *err);
/* After the last e3_hold_put: the messages in their order: 1, 0 after the last one, -1. The message is valid until the
 * next call. */
int e3_hold_next(e3_hold *h, e3_msg *msg, e3_err *err);
/* The newest correction of frame i: 1, 0 when it has none, -1. */
int e3_hold_of(const e3_hold *h, int64_t i, e3_similarity *out, e3_err *err);
/* Applies the newest correction of its frame to pose, depth and points, if it has one. */
int e3_hold_pred(const e3_hold *h, e3_pred *pred, e3_err *err);
/* Does frame i have a correction? */
bool e3_hold_corrects(const e3_hold *h, int64_t i);
/* Bytes in the temporary file. */
uint64_t e3_hold_bytes(const e3_hold *h);
void e3_hold_close(e3_hold *h);

/* Where messages come from: 1, 0 at the end, or -1, as e3_in_next and e3_stage_next. An end that is no end of the
 * stream (a signal) gives what was held until then; so does a disk that is full, with the failure after it. */
typedef int e3_hold_source(void *from, e3_msg *msg, e3_err *err);
int e3_hold_from_in(void *in, e3_msg *msg, e3_err *err); /* e3_in_next */

/* Before the head comes: messages wait for the end of the stream also when no corrections may follow. */
void e3_hold_wait(e3_hold *h);
int e3_hold_read(e3_hold *h, e3_hold_source *next, void *from, e3_msg *msg, e3_err *err);

#endif
