/* model: the stack, the marks, the memo and the values of the pickle machine. Refuses to read past the pickle, to pop
 * what is not there, and unbounded growth. */
#include "pth_machine.h"
#include "e3/mem.h"
#include <string.h>

enum { MAX_VALUES = 4 << 20 }; /* a value takes at least a byte of pickle; the released model's has some 30,000 */

static int room(void **p, size_t *have, size_t want, size_t size, e3_pk_machine *m)
{
	if (want <= *have)
		return 0;
	if (want > MAX_VALUES)
		return e3_fail(m->err, "pickle: more than %d values", MAX_VALUES);
	size_t n = *have ? *have : 256;
	while (n < want)
		n *= 2;
	if (e3_grow(p, n, size, "pickle", m->err))
		return -1;
	*have = n;
	return 0;
}

#define ROOM(m, what, want) room((void **)&(m)->what, &(m)->room_##what, want, sizeof *(m)->what, m)

int e3_pk_bad(e3_pk_machine *m, const char *why)
{
	return e3_fail(m->err, "pickle: byte %zu (opcode 0x%02x): %s", m->op, m->p[m->op], why);
}

const uint8_t *e3_pk_take(e3_pk_machine *m, uint64_t n)
{
	if (n > m->size - m->at) {
		e3_fail(m->err, "pickle: truncated: the opcode at byte %zu needs %llu bytes, %zu are left", m->op,
			(unsigned long long)n, m->size - m->at);
		return NULL;
	}
	const uint8_t *p = m->p + m->at;
	m->at += (size_t)n;
	return p;
}

int e3_pk_push(e3_pk_machine *m, uint32_t v)
{
	if (ROOM(m, stack, m->n_stack + 1))
		return -1;
	m->stack[m->n_stack++] = v;
	return 0;
}

int e3_pk_push_new(e3_pk_machine *m, e3_pickle_value v)
{
	if (ROOM(m, value, m->n_value + 1))
		return -1;
	m->value[m->n_value] = v;
	return e3_pk_push(m, (uint32_t)m->n_value++);
}

int e3_pk_push_int(e3_pk_machine *m, int64_t v)
{
	return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_INT, .number = v});
}

/* The stack above the last mark; values below it belong to a container being built. */
static size_t height(const e3_pk_machine *m) { return m->n_stack - (m->n_mark ? m->mark[m->n_mark - 1] : 0); }

int e3_pk_need(e3_pk_machine *m, size_t n) { return height(m) >= n ? 0 : e3_pk_bad(m, "the stack is too short"); }

static int append(e3_pk_machine *m, uint32_t to, uint32_t v)
{
	e3_pickle_value *box = &m->value[to];
	if (ROOM(m, cell, m->n_cell + 1))
		return -1;
	uint32_t k = (uint32_t)m->n_cell++;
	m->cell[k] = (e3_pickle_cell){v, 0};
	if (box->count++)
		m->cell[box->items.last].next = k;
	else
		box->items.first = k;
	box->items.last = k;
	return 0;
}

/* The values from stack height `from` up become the last items of `to`; they are dropped if it is not used. */
static int move_items(e3_pk_machine *m, size_t from, uint32_t to)
{
	int kind = m->value[to].kind;
	if (kind != E3_PK_OTHER)
		for (size_t k = from; k < m->n_stack; k++)
			if (append(m, to, m->stack[k]))
				return -1;
	m->n_stack = from;
	return 0;
}

/* A new tuple or list of the top n values. */
int e3_pk_gather(e3_pk_machine *m, e3_pickle_kind kind, size_t n)
{
	size_t from = m->n_stack - n;
	if (ROOM(m, value, m->n_value + 1))
		return -1;
	uint32_t v = (uint32_t)m->n_value++;
	m->value[v] = (e3_pickle_value){.kind = (uint8_t)kind};
	return move_items(m, from, v) ? -1 : e3_pk_push(m, v);
}

/* Pops the last mark: its height. */
int e3_pk_pop_mark(e3_pk_machine *m, size_t *from)
{
	*from = 0;
	if (!m->n_mark)
		return e3_pk_bad(m, "no mark on the stack");
	*from = m->mark[--m->n_mark];
	return 0;
}

int e3_pk_gather_mark(e3_pk_machine *m, e3_pickle_kind kind)
{
	size_t from;
	if (e3_pk_pop_mark(m, &from))
		return -1;
	if (kind == E3_PK_DICT && (m->n_stack - from) % 2)
		return e3_pk_bad(m, "a key without a value");
	return e3_pk_gather(m, kind, m->n_stack - from);
}

/* The values above `from` go into the container below them. */
static int extend(e3_pk_machine *m, size_t from, e3_pickle_kind kind)
{
	size_t floor = m->n_mark ? m->mark[m->n_mark - 1] : 0;
	if (from <= floor)
		return e3_pk_bad(m, "no container below the items");
	uint32_t to = m->stack[from - 1];
	if (m->value[to].kind != kind && m->value[to].kind != E3_PK_OTHER)
		return e3_pk_bad(m,
			kind == E3_PK_DICT ? "items for a value that is not a dictionary" : "items for a value that is not a list");
	if (kind == E3_PK_DICT && (m->n_stack - from) % 2)
		return e3_pk_bad(m, "a key without a value");
	return move_items(m, from, to);
}

int e3_pk_extend_mark(e3_pk_machine *m, e3_pickle_kind kind)
{
	size_t from;
	return e3_pk_pop_mark(m, &from) ? -1 : extend(m, from, kind);
}

int e3_pk_extend_by(e3_pk_machine *m, size_t n, e3_pickle_kind kind)
{
	return e3_pk_need(m, n + 1) ? -1 : extend(m, m->n_stack - n, kind);
}

int e3_pk_push_text(e3_pk_machine *m, uint64_t n)
{
	const uint8_t *p = e3_pk_take(m, n);
	if (!p)
		return -1;
	return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_TEXT, .text = {(uint32_t)(p - m->p), (uint32_t)n}});
}

int e3_pk_skip_bytes(e3_pk_machine *m, uint64_t n) { return e3_pk_take(m, n) ? e3_pk_push(m, E3_PK_UNUSED) : -1; }

/* Little-endian length of `width` bytes after the opcode. */
int e3_pk_take_length(e3_pk_machine *m, size_t width, uint64_t *n)
{
	const uint8_t *p = e3_pk_take(m, width);
	*n = 0;
	for (size_t k = 0; p && k < width; k++)
		*n |= (uint64_t)p[k] << 8 * k;
	return p ? 0 : -1;
}

int e3_pk_push_long(e3_pk_machine *m)
{
	uint64_t n, v = 0;
	if (e3_pk_take_length(m, 1, &n))
		return -1;
	const uint8_t *p = e3_pk_take(m, n);
	if (!p)
		return -1;
	if (n > 8)
		return e3_pk_push(m, E3_PK_UNUSED);
	for (size_t k = 0; k < n; k++)
		v |= (uint64_t)p[k] << 8 * k;
	if (n && n < 8 && p[n - 1] & 0x80)
		v |= ~(uint64_t)0 << 8 * n;
	return e3_pk_push_int(m, (int64_t)v);
}

int e3_pk_remember(e3_pk_machine *m, uint64_t at)
{
	if (e3_pk_need(m, 1))
		return -1;
	if (at > m->size) /* an entry takes two bytes of pickle at least */
		return e3_pk_bad(m, "memo index out of range");
	size_t had = m->room_memo;
	if (ROOM(m, memo, at + 1))
		return -1;
	if (m->room_memo > had)
		memset(m->memo + had, 0, (m->room_memo - had) * sizeof *m->memo);
	m->n_memo += m->memo[at] == 0;
	m->memo[at] = m->stack[m->n_stack - 1] + 1;
	return 0;
}

int e3_pk_recall(e3_pk_machine *m, uint64_t at)
{
	if (at >= m->room_memo || !m->memo[at])
		return e3_pk_bad(m, "an empty memo entry");
	return e3_pk_push(m, m->memo[at] - 1);
}

/* The items of a tuple, at most n; the count of all. */
size_t e3_pk_items_of(const e3_pk_machine *m, uint32_t v, uint32_t *out, size_t n)
{
	const e3_pickle_value *box = &m->value[v];
	uint32_t k = box->items.first;
	for (size_t i = 0; i < box->count && i < n; i++, k = m->cell[k].next)
		out[i] = m->cell[k].value;
	return box->count;
}

int e3_pk_push_mark(e3_pk_machine *m)
{
	if (ROOM(m, mark, m->n_mark + 1))
		return -1;
	m->mark[m->n_mark++] = (uint32_t)m->n_stack;
	return 0;
}

int e3_pk_start(e3_pk_machine *m)
{
	static const uint8_t kinds[E3_PK_SHARED] = {[E3_PK_NOTHING] = E3_PK_NONE,
		[E3_PK_TRUE] = E3_PK_BOOL,
		[E3_PK_FALSE] = E3_PK_BOOL,
		[E3_PK_EMPTY] = E3_PK_TUPLE,
		[E3_PK_UNUSED] = E3_PK_OTHER};
	if (ROOM(m, value, E3_PK_SHARED))
		return -1;
	for (; m->n_value < E3_PK_SHARED; m->n_value++)
		m->value[m->n_value] = (e3_pickle_value){.kind = kinds[m->n_value], .number = m->n_value == E3_PK_TRUE};
	return 0;
}
