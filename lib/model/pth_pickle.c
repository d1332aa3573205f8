/* model: the opcodes of a pickle, for a machine that can only describe tensors. Owns the values it makes; calls
 * nothing. Refuses every global that pth_names.c does not list and every opcode outside plain data. */
#include "e3/num.h"
#include "pth_machine.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_PICKLE = 64 << 20 };

static bool same(const char *s, const uint8_t *p, size_t n) { return strlen(s) == n && memcmp(s, p, n) == 0; }

static int push_global(e3_pk_machine *m, const uint8_t *module, size_t module_len, const uint8_t *name, size_t name_len)
{
	int k = e3_pickle_name_find((const char *)module, module_len, (const char *)name, name_len);
	if (k >= 0)
		return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_GLOBAL, .number = k});
	return e3_fail(m->err,
		"pickle: refused: it names %.*s.%.*s; only tensors and plain values are read, and nothing is run",
		(int)(module_len < 200 ? module_len : 200), (const char *)module, (int)(name_len < 200 ? name_len : 200),
		(const char *)name);
}

/* Two lines after the opcode. */
static int read_global(e3_pk_machine *m)
{
	const uint8_t *line[2];
	size_t len[2];
	for (int k = 0; k < 2; k++) {
		const uint8_t *end = memchr(m->p + m->at, '\n', m->size - m->at);
		if (!end)
			return e3_pk_bad(m, "truncated name");
		line[k] = m->p + m->at, len[k] = (size_t)(end - line[k]);
		m->at += len[k] + 1;
	}
	return push_global(m, line[0], len[0], line[1], len[1]);
}

/* Module and name from the stack. */
static int read_stack_global(e3_pk_machine *m)
{
	if (e3_pk_need(m, 2))
		return -1;
	const e3_pickle_value *a = &m->value[m->stack[m->n_stack - 2]], *b = &m->value[m->stack[m->n_stack - 1]];
	if (a->kind != E3_PK_TEXT || b->kind != E3_PK_TEXT)
		return e3_pk_bad(m, "a global without a name");
	m->n_stack -= 2;
	return push_global(m, m->p + a->text.at, a->text.len, m->p + b->text.at, b->text.len);
}

/* ("storage", class, key, place, elements) becomes a storage. */
static int read_persistent(e3_pk_machine *m)
{
	uint32_t item[5];
	if (e3_pk_need(m, 1))
		return -1;
	uint32_t id = m->stack[--m->n_stack];
	if (m->value[id].kind != E3_PK_TUPLE || e3_pk_items_of(m, id, item, 5) < 5)
		return e3_pk_bad(m, "a storage id that is not a tuple of 5");
	const e3_pickle_value *word = &m->value[item[0]], *class = &m->value[item[1]], *key = &m->value[item[2]],
						  *n = &m->value[item[4]];
	if (word->kind != E3_PK_TEXT || !same("storage", m->p + word->text.at, word->text.len))
		return e3_pk_bad(m, "a persistent id other than a storage");
	const e3_pickle_name *type = class->kind == E3_PK_GLOBAL ? e3_pickle_name_at((int)class->number) : NULL;
	if (!type || type->role != E3_PKR_STORAGE || key->kind != E3_PK_TEXT || n->kind != E3_PK_INT || n->number < 0)
		return e3_pk_bad(m, "a damaged storage id");
	return e3_pk_push_new(m,
		(e3_pickle_value){.kind = E3_PK_STORAGE, .dtype = (uint8_t)type->dtype, .number = n->number, .ref = item[2]});
}

/* callable(args): only what the table lists, and only as a description. */
static int reduce(e3_pk_machine *m, bool is_new)
{
	uint32_t first = E3_PK_NOTHING;
	if (e3_pk_need(m, 2))
		return -1;
	uint32_t args = m->stack[m->n_stack - 1];
	const e3_pickle_value *callable = &m->value[m->stack[m->n_stack - 2]];
	if (callable->kind != E3_PK_GLOBAL || m->value[args].kind != E3_PK_TUPLE)
		return e3_pk_bad(m, "a call of an unknown function");
	m->n_stack -= 2;
	size_t n = e3_pk_items_of(m, args, &first, 1);
	const e3_pickle_name *what = e3_pickle_name_at((int)callable->number);
	e3_pickle_role as = what->role;
	if (as == E3_PKR_DICT && n == 0)
		return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_DICT});
	if (as == E3_PKR_OBJECT)
		return e3_pk_push(m, E3_PK_UNUSED);
	if (as == E3_PKR_TENSOR && !is_new && n >= 4)
		return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_TENSOR, .ref = args});
	if (as == E3_PKR_PARAMETER && !is_new && n && m->value[first].kind == E3_PK_TENSOR)
		return e3_pk_push(m, first);
	if (as == E3_PKR_SIZE && n == 1 && m->value[first].kind == E3_PK_TUPLE)
		return e3_pk_push(m, first);
	return e3_fail(m->err, "pickle: byte %zu: %s.%s with %zu unexpected arguments", m->op, what->module, what->name, n);
}

/* State for an existing object: _metadata of a state dict, fields of options. None of it is used. */
static int build(e3_pk_machine *m)
{
	if (e3_pk_need(m, 2))
		return -1;
	int kind = m->value[m->stack[m->n_stack - 2]].kind;
	if (kind != E3_PK_DICT && kind != E3_PK_OTHER && kind != E3_PK_TENSOR)
		return e3_pk_bad(m, "state for a value that is not an object");
	m->n_stack--;
	return 0;
}

static int stop(e3_pk_machine *m)
{
	if (m->n_mark || m->n_stack != 1)
		return e3_pk_bad(m, "the end, with values left on the stack");
	m->done = true;
	return 0;
}

/* Opcodes that push one value. 1 when `op` is not one of them. */
static int step_value(e3_pk_machine *m, uint8_t op)
{
	static const struct {
		uint8_t op, width, what;
	} counted[] = {{'X', 4, 't'}, {0x8c, 1, 't'}, {0x8d, 8, 't'}, {'U', 1, 't'}, {'T', 4, 't'}, {'B', 4, 'b'},
		{'C', 1, 'b'}, {0x8e, 8, 'b'}};
	uint64_t n;
	const uint8_t *p;
	for (size_t k = 0; k < sizeof counted / sizeof *counted; k++)
		if (counted[k].op == op) {
			if (e3_pk_take_length(m, counted[k].width, &n))
				return -1;
			return counted[k].what == 't' ? e3_pk_push_text(m, n) : e3_pk_skip_bytes(m, n);
		}
	switch (op) {
	case 'N':
		return e3_pk_push(m, E3_PK_NOTHING);
	case 0x88:
		return e3_pk_push(m, E3_PK_TRUE);
	case 0x89:
		return e3_pk_push(m, E3_PK_FALSE);
	case 'J':
		return (p = e3_pk_take(m, 4)) ? e3_pk_push_int(m, (int32_t)e3_le32(p)) : -1;
	case 'K':
		return (p = e3_pk_take(m, 1)) ? e3_pk_push_int(m, *p) : -1;
	case 'M':
		return (p = e3_pk_take(m, 2)) ? e3_pk_push_int(m, e3_le16(p)) : -1;
	case 0x8a:
		return e3_pk_push_long(m);
	case 'G':
		return e3_pk_skip_bytes(m, 8);
	case ')':
		return e3_pk_push(m, E3_PK_EMPTY);
	case ']':
	case 0x8f:
		return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_LIST});
	case '}':
		return e3_pk_push_new(m, (e3_pickle_value){.kind = E3_PK_DICT});
	case 'h':
		return e3_pk_take_length(m, 1, &n) ? -1 : e3_pk_recall(m, n);
	case 'j':
		return e3_pk_take_length(m, 4, &n) ? -1 : e3_pk_recall(m, n);
	case 'c':
		return read_global(m);
	case 0x93:
		return read_stack_global(m);
	default:
		return 1;
	}
}

/* Opcodes that work on the stack. */
static int step_stack(e3_pk_machine *m, uint8_t op)
{
	size_t from;
	uint64_t n;
	switch (op) {
	case '(':
		return e3_pk_push_mark(m);
	case '0':
		return e3_pk_need(m, 1) ? -1 : (m->n_stack--, 0);
	case '1':
		if (e3_pk_pop_mark(m, &from))
			return -1;
		m->n_stack = from;
		return 0;
	case '2':
		return e3_pk_need(m, 1) ? -1 : e3_pk_push(m, m->stack[m->n_stack - 1]);
	case 'q':
		return e3_pk_take_length(m, 1, &n) ? -1 : e3_pk_remember(m, n);
	case 'r':
		return e3_pk_take_length(m, 4, &n) ? -1 : e3_pk_remember(m, n);
	case 0x94:
		return e3_pk_remember(m, m->n_memo);
	case 't':
		return e3_pk_gather_mark(m, E3_PK_TUPLE);
	case 'l':
		return e3_pk_gather_mark(m, E3_PK_LIST);
	case 'd':
		return e3_pk_gather_mark(m, E3_PK_DICT);
	case 0x85:
	case 0x86:
	case 0x87:
		return e3_pk_need(m, op - 0x84u) ? -1 : e3_pk_gather(m, E3_PK_TUPLE, op - 0x84u);
	case 's':
		return e3_pk_extend_by(m, 2, E3_PK_DICT);
	case 'u':
		return e3_pk_extend_mark(m, E3_PK_DICT);
	case 'a':
		return e3_pk_extend_by(m, 1, E3_PK_LIST);
	case 'e':
	case 0x90:
		return e3_pk_extend_mark(m, E3_PK_LIST);
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
		return e3_pk_take(m, 1) ? 0 : -1; /* protocol: not needed, the opcodes differ */
	case 0x95:
		return e3_pk_take(m, 8) ? 0 : -1; /* frame: a hint for buffering */
	default:
		return e3_pk_bad(m, "unsupported opcode");
	}
}

static int run(e3_pk_machine *m)
{
	if (e3_pk_start(m))
		return -1;
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
	e3_pk_machine m = {.p = bytes, .size = size, .err = err};
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
