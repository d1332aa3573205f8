/* wire: the fields of a map, read by a table: types, ranges, missing and repeated keys are checked in one place. */
#ifndef E3_WIRE_FIELDS_H
#define E3_WIRE_FIELDS_H

#include "e3/value.h"

typedef enum e3_ftype {
	E3_F_END = 0,
	E3_F_I64,    /* int64_t *to, in [min, max] */
	E3_F_INT,    /* int *to, in [min, max] */
	E3_F_U32,    /* uint32_t *to */
	E3_F_U64,    /* uint64_t *to */
	E3_F_REAL,   /* double *to, finite */
	E3_F_SINGLE, /* float *to, anything */
	E3_F_TEXT,   /* char **to, allocated, freed by the caller also on failure */
	E3_F_REALS,  /* double to[n], finite: a list of exactly n numbers */
	E3_F_INTS,   /* int to[n], in [min, max]: a list of exactly n */
	E3_F_COUNTS, /* int64_t to[n], in [min, max]: a list of exactly n */
	E3_F_ARRAY,  /* e3_array *to: a view */
	E3_F_LIST    /* e3_list *to: a view of a list, its members to be read by the caller */
} e3_ftype;

typedef struct e3_list {
	size_t n;
	e3_cursor at; /* before the first member */
} e3_list;

typedef struct e3_field {
	e3_ftype type;
	const char *name;
	void *to;
	bool *has;        /* NULL: the field is required. Else optional, and *has tells whether it was there */
	bool nil;         /* nil is allowed: I64 becomes -1, anything else counts as absent */
	int64_t min, max; /* both 0: from 0 to 2^53 - 1 (I64, COUNTS) or INT32_MAX (INT, INTS) */
	int n;
	bool seen; /* set while reading */
} e3_field;

/* Rows of a table: a required field; an optional one with its `has`. */
#define E3_NEED(t, key, p) \
	{ \
		.type = E3_F_##t, .name = key, .to = p \
	}
#define E3_MAY(t, key, p, h) \
	{ \
		.type = E3_F_##t, .name = key, .to = p, .has = h \
	}

/* Reads one map into the table; the cursor ends after it. Unknown keys are skipped. Errors read "field: reason". */
int e3_fields_read(e3_cursor *c, e3_field *table, e3_err *err);
/* A text must be UTF-8 without a zero byte. */
int e3_text_check(const e3_value *text, e3_err *err);

#endif
