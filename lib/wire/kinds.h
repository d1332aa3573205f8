/* wire: the kinds of messages, one row each: what a reader and a writer know of a kind without decoding it. */
#ifndef E3_WIRE_KINDS_H
#define E3_WIRE_KINDS_H

#include "e3/stream.h"

enum { E3_ENVELOPE = 6, E3_MARK = 0xc9 };

typedef enum e3_kind_place { E3_PLACE_FIRST, E3_PLACE_BETWEEN, E3_PLACE_LAST } e3_kind_place;

typedef struct e3_kind_rule {
	const char *name;
	size_t limit; /* most bytes of its body */
	e3_kind_place place;
	bool without_head; /* may come before the head */
	/* Of kinds that come between first and last, which all have an index `i`: */
	bool once;      /* each index occurs once (strictly increasing); otherwise it may repeat */
	bool per_frame; /* every frame has one, so that a gap in the indices means messages lost on the way */
	bool kept;      /* concerns more than its frame: stays when that is dropped for a slow reader */
} e3_kind_rule;

/* The row of a kind; NULL for a number that is none. */
const e3_kind_rule *e3_kind_rule_of(int kind);
/* Most bytes of body of any kind. */
size_t e3_kind_limit_max(void);

/* Checks an envelope: mark, kind, length. */
int e3_envelope_check(const uint8_t *envelope, size_t *body, e3_err *err);
/* A whole number, not negative, at the top of a message's body; -1 when it is not there. */
int64_t e3_msg_int(const e3_msg *msg, const char *key);

#endif
