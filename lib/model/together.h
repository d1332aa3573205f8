/* model: sessions that are stepped together: their frames are rows of one matrix in the products, and each attends over
 * its own past. */
#ifndef E3_MODEL_TOGETHER_H
#define E3_MODEL_TOGETHER_H

#include "session.h"

/* One session's step: what it is given, and what becomes of it. */
typedef struct e3_turn {
	e3_session *s;
	const uint8_t *rgb;
	e3_result *result;
	e3_evict *evict;
	e3_err *err;
	int rc;
	bool done;
	struct e3_turn *next; /* in the queue of a batch */
} e3_turn;

/* session.c: whether the step can be taken at all; one step of one session. */
int e3_session_ready(e3_session *s, e3_err *err);
int e3_session_alone(e3_session *s, const uint8_t *rgb, e3_result *result, e3_evict *evict, e3_err *err);
/* Its parts, for several sessions. */
int e3_session_score(e3_session *s, e3_err *err);
int e3_session_choose(e3_session *s, e3_result *r, e3_err *err);
int e3_session_decide(e3_session *s, e3_evict *evict, e3_err *err);
int e3_session_apply(e3_session *s, const e3_result *r, e3_evict *evict, e3_err *err);
int e3_session_pass(e3_session *s, e3_evict *evict, e3_err *err);
/* A step was done: what is lent; with `evict` the frame is counted too. */
void e3_session_stepped(e3_session *s, const uint8_t *rgb, e3_evict *evict, e3_result *result);
/* Dense heads of r, not yet launched. */
int e3_session_heads(e3_session *s, e3_result *r, e3_err *err);

/* aggregate.c: slots for the tokens of its frame; of sessions in lanes 0 to n - 1 of one work, all the rest. */
int e3_aggregate_prepare(e3_session *s, e3_err *err);
int e3_aggregate_lanes(e3_session *const *s, int n, e3_err *err);
/* embed.c: the same sessions: what comes after e3_embed_patches. */
int e3_embed_lanes(e3_session *const *s, int n, e3_err *err);

/* together.c: n steps, of sessions that share a work; each gets its own rc. */
void e3_turns_take(e3_turn *const *turn, int n);

/* batch.c: gives the device this turn, and returns when it has been taken: its rc. */
int e3_batch_step(e3_batch *b, e3_turn *mine);
/* For work.c. */
e3_work *e3_batch_work(const e3_batch *b, const e3_session *s);
int e3_batch_add_work(e3_batch *b, e3_work *w, e3_err *err);
void e3_batch_drop_work(e3_batch *b, const e3_work *w);

#endif
