/* model: a pickle machine that can only describe tensors. Owns the values it makes; calls nothing. Refuses every global
 * that pth_names.c does not list, every opcode outside plain data, and unbounded growth. */
#include "e3/mem.h"
#include "e3/num.h"
#include "pth.h"
#include <stdlib.h>
#include <string.h>

/* A value takes at least a byte of pickle; the released model's has some 30,000. */
enum { MAX_PICKLE = 64 << 20, MAX_VALUES = 4 << 20 };

typedef struct machine {
	const uint8_t *p;
	size_t size, at, op; /* next byte, and where the present opcode is */
	e3_pickle_value *value;
	e3_pickle_cell *cell;
	uint32_t *stack, *memo, *mark; /* memo: value + 1, 0 = empty; mark: heights of the stack */
	size_t n_value, n_cell, n_stack, n_memo, n_mark;
	size_t room_value, room_cell, room_stack, room_memo, room_mark;
	bool done;
	e3_err *err;
} machine;

enum { NOTHING, TRUTH, FALSEHOOD, EMPTY, OTHER, CONSTANTS }; /* values every pickle shares */

static int room(void **p, size_t *have, size_t want, size_t size, machine *m)
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

static int bad(machine *m, const char *why)
{
	return e3_fail(m->err, "pickle: byte %zu (opcode 0x%02x): %s", m->op, m->p[m->op], why);
}

static const uint8_t *take(machine *m, uint64_t n)
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

static int push(machine *m, uint32_t v)
{
	if (ROOM(m, stack, m->n_stack + 1))
		return -1;
	m->stack[m->n_stack++] = v;
	return 0;
}

static int push_new(machine *m, e3_pickle_value v)
{
	if (ROOM(m, value, m->n_value + 1))
		return -1;
	m->value[m->n_value] = v;
	return push(m, (uint32_t)m->n_value++);
}

static int push_int(machine *m, int64_t v) { return push_new(m, (e3_pickle_value){.kind = E3_PK_INT, .number = v}); }

/* The stack above the last mark; values below it belong to a container being built. */
static size_t height(const machine *m) { return m->n_stack - (m->n_mark ? m->mark[m->n_mark - 1] : 0); }

static int need(machine *m, size_t n) { return height(m) >= n ? 0 : bad(m, "the stack is too short"); }

static int append(machine *m, uint32_t to, uint32_t v)
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

/* The values from stack height `from` up become the last items of `to`, or nothing's. */
static int move_items(machine *m, size_t from, uint32_t to)
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
static int gather(machine *m, e3_pickle_kind kind, size_t n)
{
	size_t from = m->n_stack - n;
	if (ROOM(m, value, m->n_value + 1))
		return -1;
	uint32_t v = (uint32_t)m->n_value++;
	m->value[v] = (e3_pickle_value){.kind = (uint8_t)kind};
	return move_items(m, from, v) ? -1 : push(m, v);
}

/* Pops the last mark: its height. */
static int pop_mark(machine *m, size_t *from)
{
	*from = 0;
	if (!m->n_mark)
		return bad(m, "no mark on the stack");
	*from = m->mark[--m->n_mark];
	return 0;
}

static int gather_mark(machine *m, e3_pickle_kind kind)
{
	size_t from;
	if (pop_mark(m, &from))
		return -1;
	if (kind == E3_PK_DICT && (m->n_stack - from) % 2)
		return bad(m, "a key without a value");
	return gather(m, kind, m->n_stack - from);
}

/* The values above `from` go into the container below them. */
static int extend(machine *m, size_t from, e3_pickle_kind kind)
{
	size_t floor = m->n_mark ? m->mark[m->n_mark - 1] : 0;
	if (from <= floor)
		return bad(m, "no container below the items");
	uint32_t to = m->stack[from - 1];
	if (m->value[to].kind != kind && m->value[to].kind != E3_PK_OTHER)
		return bad(m, kind == E3_PK_DICT ? "items for what is no dictionary" : "items for what is no list");
	if (kind == E3_PK_DICT && (m->n_stack - from) % 2)
		return bad(m, "a key without a value");
	return move_items(m, from, to);
}

static int extend_mark(machine *m, e3_pickle_kind kind)
{
	size_t from;
	return pop_mark(m, &from) ? -1 : extend(m, from, kind);
}

static int extend_by(machine *m, size_t n, e3_pickle_kind kind)
{
	return need(m, n + 1) ? -1 : extend(m, m->n_stack - n, kind);
}

static int push_text(machine *m, uint64_t n)
{
	const uint8_t *p = take(m, n);
	if (!p)
		return -1;
	return push_new(m, (e3_pickle_value){.kind = E3_PK_TEXT, .text = {(uint32_t)(p - m->p), (uint32_t)n}});
}

static int skip_bytes(machine *m, uint64_t n) { return take(m, n) ? push(m, OTHER) : -1; }

/* Little-endian length of `width` bytes after the opcode. */
static int take_length(machine *m, size_t width, uint64_t *n)
{
	const uint8_t *p = take(m, width);
	*n = 0;
	for (size_t k = 0; p && k < width; k++)
		*n |= (uint64_t)p[k] << 8 * k;
	return p ? 0 : -1;
}

static int push_long(machine *m)
{
	uint64_t n, v = 0;
	if (take_length(m, 1, &n))
		return -1;
	const uint8_t *p = take(m, n);
	if (!p)
		return -1;
	if (n > 8)
		return push(m, OTHER);
	for (size_t k = 0; k < n; k++)
		v |= (uint64_t)p[k] << 8 * k;
	if (n && n < 8 && p[n - 1] & 0x80)
		v |= ~(uint64_t)0 << 8 * n;
	return push_int(m, (int64_t)v);
}

static int remember(machine *m, uint64_t at)
{
	if (need(m, 1))
		return -1;
	if (at > m->size) /* an entry takes two bytes of pickle at least */
		return bad(m, "memo index out of range");
	size_t had = m->room_memo;
	if (ROOM(m, memo, at + 1))
		return -1;
	if (m->room_memo > had)
		memset(m->memo + had, 0, (m->room_memo - had) * sizeof *m->memo);
	m->n_memo += m->memo[at] == 0;
	m->memo[at] = m->stack[m->n_stack - 1] + 1;
	return 0;
}

static int recall(machine *m, uint64_t at)
{
	if (at >= m->room_memo || !m->memo[at])
		return bad(m, "an empty memo entry");
	return push(m, m->memo[at] - 1);
}

static bool same(const char *s, const uint8_t *p, size_t n) { return strlen(s) == n && memcmp(s, p, n) == 0; }

static int push_global(machine *m, const uint8_t *module, size_t module_len, const uint8_t *name, size_t name_len)
{
	int k = e3_pickle_name_find((const char *)module, module_len, (const char *)name, name_len);
	if (k >= 0)
		return push_new(m, (e3_pickle_value){.kind = E3_PK_GLOBAL, .number = k});
	return e3_fail(m->err,
		"pickle: refused: it names %.*s.%.*s; only tensors and plain values are read, and nothing is run",
		(int)(module_len < 200 ? module_len : 200), (const char *)module, (int)(name_len < 200 ? name_len : 200),
		(const char *)name);
}

/* Two lines after the opcode. */
static int read_global(machine *m)
{
	const uint8_t *line[2];
	size_t len[2];
	for (int k = 0; k < 2; k++) {
		const uint8_t *end = memchr(m->p + m->at, '\n', m->size - m->at);
		if (!end)
			return bad(m, "truncated name");
		line[k] = m->p + m->at, len[k] = (size_t)(end - line[k]);
		m->at += len[k] + 1;
	}
	return push_global(m, line[0], len[0], line[1], len[1]);
}

/* Module and name from the stack. */
static int read_stack_global(machine *m)
{
	if (need(m, 2))
		return -1;
	const e3_pickle_value *a = &m->value[m->stack[m->n_stack - 2]], *b = &m->value[m->stack[m->n_stack - 1]];
	if (a->kind != E3_PK_TEXT || b->kind != E3_PK_TEXT)
		return bad(m, "a global without a name");
	m->n_stack -= 2;
	return push_global(m, m->p + a->text.at, a->text.len, m->p + b->text.at, b->text.len);
}

/* The items of a tuple, at most n; the count of all. */
static size_t items_of(const machine *m, uint32_t v, uint32_t *out, size_t n)
{
	const e3_pickle_value *box = &m->value[v];
	uint32_t k = box->items.first;
	for (size_t i = 0; i < box->count && i < n; i++, k = m->cell[k].next)
		out[i] = m->cell[k].value;
	return box->count;
}

/* ("storage", class, key, place, elements) becomes a storage. */
static int read_persistent(machine *m)
{
	uint32_t item[5];
	if (need(m, 1))
		return -1;
	uint32_t id = m->stack[--m->n_stack];
	if (m->value[id].kind != E3_PK_TUPLE || items_of(m, id, item, 5) < 5)
		return bad(m, "a storage id that is no tuple of 5");
	const e3_pickle_value *word = &m->value[item[0]], *class = &m->value[item[1]], *key = &m->value[item[2]],
						  *n = &m->value[item[4]];
	if (word->kind != E3_PK_TEXT || !same("storage", m->p + word->text.at, word->text.len))
		return bad(m, "a persistent id other than a storage");
	const e3_pickle_name *type = class->kind == E3_PK_GLOBAL ? e3_pickle_name_at((int)class->number) : NULL;
	if (!type || type->role != E3_PKR_STORAGE || key->kind != E3_PK_TEXT || n->kind != E3_PK_INT || n->number < 0)
		return bad(m, "a damaged storage id");
	return push_new(m,
		(e3_pickle_value){.kind = E3_PK_STORAGE, .dtype = (uint8_t)type->dtype, .number = n->number, .ref = item[2]});
}

/* callable(args): only what the table knows, and only as a description. */
static int reduce(machine *m, bool is_new)
{
	uint32_t first = NOTHING;
	if (need(m, 2))
		return -1;
	uint32_t args = m->stack[m->n_stack - 1];
	const e3_pickle_value *callable = &m->value[m->stack[m->n_stack - 2]];
	if (callable->kind != E3_PK_GLOBAL || m->value[args].kind != E3_PK_TUPLE)
		return bad(m, "a call of what is no known function");
	m->n_stack -= 2;
	size_t n = items_of(m, args, &first, 1);
	const e3_pickle_name *what = e3_pickle_name_at((int)callable->number);
	e3_pickle_role as = what->role;
	if (as == E3_PKR_DICT && n == 0)
		return push_new(m, (e3_pickle_value){.kind = E3_PK_DICT});
	if (as == E3_PKR_OBJECT)
		return push(m, OTHER);
	if (as == E3_PKR_TENSOR && !is_new && n >= 4)
		return push_new(m, (e3_pickle_value){.kind = E3_PK_TENSOR, .ref = args});
	if (as == E3_PKR_PARAMETER && !is_new && n && m->value[first].kind == E3_PK_TENSOR)
		return push(m, first);
	if (as == E3_PKR_SIZE && n == 1 && m->value[first].kind == E3_PK_TUPLE)
		return push(m, first);
	return e3_fail(m->err, "pickle: byte %zu: %s.%s with %zu unexpected arguments", m->op, what->module, what->name, n);
}

/* State given to an object already made: _metadata on a state dict, fields of options. None of it is used. */
static int build(machine *m)
{
	if (need(m, 2))
		return -1;
	int kind = m->value[m->stack[m->n_stack - 2]].kind;
	if (kind != E3_PK_DICT && kind != E3_PK_OTHER && kind != E3_PK_TENSOR)
		return bad(m, "state for what is no object");
	m->n_stack--;
	return 0;
}

static int push_mark(machine *m)
{
	if (ROOM(m, mark, m->n_mark + 1))
		return -1;
	m->mark[m->n_mark++] = (uint32_t)m->n_stack;
	return 0;
}

static int stop(machine *m)
{
	if (m->n_mark || m->n_stack != 1)
		return bad(m, "the end, with values left on the stack");
	m->done = true;
	return 0;
}

/* Opcodes that push one value. 1 when `op` is not one of them. */
static int step_value(machine *m, uint8_t op)
{
	static const struct {
		uint8_t op, width, what;
	} counted[] = {{'X', 4, 't'}, {0x8c, 1, 't'}, {0x8d, 8, 't'}, {'U', 1, 't'}, {'T', 4, 't'}, {'B', 4, 'b'},
		{'C', 1, 'b'}, {0x8e, 8, 'b'}};
	uint64_t n;
	const uint8_t *p;
	for (size_t k = 0; k < sizeof counted / sizeof *counted; k++)
		if (counted[k].op == op) {
			if (take_length(m, counted[k].width, &n))
				return -1;
			return counted[k].what == 't' ? push_text(m, n) : skip_bytes(m, n);
		}
	switch (op) {
	case 'N':
		return push(m, NOTHING);
	case 0x88:
		return push(m, TRUTH);
	case 0x89:
		return push(m, FALSEHOOD);
	case 'J':
		return (p = take(m, 4)) ? push_int(m, (int32_t)e3_le32(p)) : -1;
	case 'K':
		return (p = take(m, 1)) ? push_int(m, *p) : -1;
	case 'M':
		return (p = take(m, 2)) ? push_int(m, e3_le16(p)) : -1;
	case 0x8a:
		return push_long(m);
	case 'G':
		return skip_bytes(m, 8);
	case ')':
		return push(m, EMPTY);
	case ']':
	case 0x8f:
		return push_new(m, (e3_pickle_value){.kind = E3_PK_LIST});
	case '}':
		return push_new(m, (e3_pickle_value){.kind = E3_PK_DICT});
	case 'h':
		return take_length(m, 1, &n) ? -1 : recall(m, n);
	case 'j':
		return take_length(m, 4, &n) ? -1 : recall(m, n);
	case 'c':
		return read_global(m);
	case 0x93:
		return read_stack_global(m);
	default:
		return 1;
	}
}

/* Opcodes that work on what is there. */
static int step_stack(machine *m, uint8_t op)
{
	size_t from;
	uint64_t n;
	switch (op) {
	case '(':
		return push_mark(m);
	case '0':
		return need(m, 1) ? -1 : (m->n_stack--, 0);
	case '1':
		if (pop_mark(m, &from))
			return -1;
		m->n_stack = from;
		return 0;
	case '2':
		return need(m, 1) ? -1 : push(m, m->stack[m->n_stack - 1]);
	case 'q':
		return take_length(m, 1, &n) ? -1 : remember(m, n);
	case 'r':
		return take_length(m, 4, &n) ? -1 : remember(m, n);
	case 0x94:
		return remember(m, m->n_memo);
	case 't':
		return gather_mark(m, E3_PK_TUPLE);
	case 'l':
		return gather_mark(m, E3_PK_LIST);
	case 'd':
		return gather_mark(m, E3_PK_DICT);
	case 0x85:
	case 0x86:
	case 0x87:
		return need(m, op - 0x84u) ? -1 : gather(m, E3_PK_TUPLE, op - 0x84u);
	case 's':
		return extend_by(m, 2, E3_PK_DICT);
	case 'u':
		return extend_mark(m, E3_PK_DICT);
	case 'a':
		return extend_by(m, 1, E3_PK_LIST);
	case 'e':
	case 0x90:
		return extend_mark(m, E3_PK_LIST);
	case 'Q':
		return read_persistent(m);
	case 'R':
		return reduce(m, false);
	case 0x81:
		return reduce(m, true);
	case 'b':
		return build(m);
	case '.':
		return stop(m);
	case 0x80:
		return take(m, 1) ? 0 : -1; /* protocol: the opcodes say what they are */
	case 0x95:
		return take(m, 8) ? 0 : -1; /* frame: a hint for buffering */
	default:
		return bad(m, "unsupported opcode");
	}
}

static int run(machine *m)
{
	static const uint8_t constants[CONSTANTS] = {[NOTHING] = E3_PK_NONE,
		[TRUTH] = E3_PK_BOOL,
		[FALSEHOOD] = E3_PK_BOOL,
		[EMPTY] = E3_PK_TUPLE,
		[OTHER] = E3_PK_OTHER};
	if (ROOM(m, value, CONSTANTS))
		return -1;
	for (; m->n_value < CONSTANTS; m->n_value++)
		m->value[m->n_value] = (e3_pickle_value){.kind = constants[m->n_value], .number = m->n_value == TRUTH};
	while (!m->done) {
		m->op = m->at;
		if (m->at == m->size)
			return e3_fail(m->err, "pickle: truncated: %zu bytes without its end", m->size);
		uint8_t op = m->p[m->at++];
		int rc = step_value(m, op);
		if (rc > 0)
			rc = step_stack(m, op);
		if (rc)
			return -1;
	}
	return 0;
}

int e3_pickle_read(e3_pickle *p, const uint8_t *bytes, size_t size, e3_err *err)
{
	machine m = {.p = bytes, .size = size, .err = err};
	*p = (e3_pickle){.bytes = bytes};
	if (size > MAX_PICKLE)
		return e3_fail(err, "pickle: %zu bytes, at most %d are read", size, MAX_PICKLE);
	int rc = run(&m);
	p->value = m.value, p->cell = m.cell;
	if (!rc)
		p->root = m.stack[0];
	free(m.stack), free(m.memo), free(m.mark);
	return rc;
}

void e3_pickle_release(e3_pickle *p)
{
	free(p->value), free(p->cell);
	*p = (e3_pickle){0};
}

int e3_pickle_is(const e3_pickle *p, uint32_t value, const char *s)
{
	const e3_pickle_value *v = &p->value[value];
	return v->kind == E3_PK_TEXT && same(s, p->bytes + v->text.at, v->text.len);
}

const char *e3_pickle_kind_name(int kind)
{
	static const char *const names[] = {"nothing", "a truth value", "a number", "a text", "a tuple", "a list",
		"a dictionary", "a name", "a storage", "a tensor", "an object"};
	return names[kind];
}
