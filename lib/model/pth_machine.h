/* model: the pickle machine's state and what every opcode is made of. Private to pth_pickle.c and pth_machine.c. */
#ifndef E3_MODEL_PTH_MACHINE_H
#define E3_MODEL_PTH_MACHINE_H

#include "pth.h"

typedef struct e3_pk_machine {
	const uint8_t *p;
	size_t size, at, op; /* next byte, and where the present opcode is */
	e3_pickle_value *value;
	e3_pickle_cell *cell;
	uint32_t *stack, *memo, *mark; /* memo: value + 1, 0 = empty; mark: heights of the stack */
	size_t n_value, n_cell, n_stack, n_memo, n_mark;
	size_t room_value, room_cell, room_stack, room_memo, room_mark;
	bool done;
	e3_err *err;
} e3_pk_machine;

/* The first values, which every pickle shares. E3_PK_UNUSED stands for all values that are not looked at. */
enum { E3_PK_NOTHING, E3_PK_TRUE, E3_PK_FALSE, E3_PK_EMPTY, E3_PK_UNUSED, E3_PK_SHARED };

/* All return 0, or -1 with the machine's error. */
int e3_pk_start(e3_pk_machine *m);
/* Fails with the position of the present opcode. */
int e3_pk_bad(e3_pk_machine *m, const char *why);

/* The pickle's bytes: the next n (NULL when there are fewer), and a little-endian length of `width` bytes. */
const uint8_t *e3_pk_take(e3_pk_machine *m, uint64_t n);
int e3_pk_take_length(e3_pk_machine *m, size_t width, uint64_t *n);

/* The stack: a value that exists, a new one, one read from the pickle. */
int e3_pk_push(e3_pk_machine *m, uint32_t v);
int e3_pk_push_new(e3_pk_machine *m, e3_pickle_value v);
int e3_pk_push_int(e3_pk_machine *m, int64_t v);
int e3_pk_push_long(e3_pk_machine *m);
int e3_pk_push_text(e3_pk_machine *m, uint64_t n);
int e3_pk_skip_bytes(e3_pk_machine *m, uint64_t n);
/* At least n values above the last mark. */
int e3_pk_need(e3_pk_machine *m, size_t n);

/* Marks: pop_mark gives the height of the stack at the last one. */
int e3_pk_push_mark(e3_pk_machine *m);
int e3_pk_pop_mark(e3_pk_machine *m, size_t *from);

/* Containers: a new one of the top n values, or of all above the last mark; more items for the one below them. */
int e3_pk_gather(e3_pk_machine *m, e3_pickle_kind kind, size_t n);
int e3_pk_gather_mark(e3_pk_machine *m, e3_pickle_kind kind);
int e3_pk_extend_by(e3_pk_machine *m, size_t n, e3_pickle_kind kind);
int e3_pk_extend_mark(e3_pk_machine *m, e3_pickle_kind kind);
/* The items of a tuple, at most n into `out`; the count of all. */
size_t e3_pk_items_of(const e3_pk_machine *m, uint32_t v, uint32_t *out, size_t n);

/* The memo: stores the top of the stack, pushes what was stored. */
int e3_pk_remember(e3_pk_machine *m, uint64_t at);
int e3_pk_recall(e3_pk_machine *m, uint64_t at);

#endif
