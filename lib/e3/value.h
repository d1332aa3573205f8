/* wire: reading msgpack values where they lie: no allocation, no copying, no recursion, every count checked against the
 * bytes that are there. What e3-dump and the decoders of e3/stream.h are made of. Format: e3-stream(5).
 */
#ifndef E3_VALUE_H
#define E3_VALUE_H

#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { E3_VALUE_DEPTH = 8, E3_ARRAY_RANK = 4, E3_MAP_MOST = 65536 };

typedef enum e3_vtype {
	E3_V_NIL,
	E3_V_BOOL,
	E3_V_INT,
	E3_V_BIG /* integer above INT64_MAX */,
	E3_V_REAL,
	E3_V_TEXT,
	E3_V_BYTES,
	E3_V_LIST,
	E3_V_MAP,
	E3_V_EXT
} e3_vtype;

/* One value. Text and bytes point into the message and are not NUL-terminated. The members of a list and the keys and
 * values of a map follow in the cursor. */
typedef struct e3_value {
	e3_vtype type;
	int64_t i;   /* INT; BOOL: 0 or 1; EXT: its type */
	uint64_t u;  /* BIG */
	double x;    /* REAL */
	bool single; /* REAL: sent as 32 bits */
	const uint8_t *bytes;
	size_t n; /* TEXT, BYTES, EXT: bytes; LIST: members; MAP: pairs */
} e3_value;

typedef struct e3_cursor {
	const uint8_t *at, *end;
} e3_cursor;

/* The next value's head (for TEXT, BYTES and EXT its content too): 0, or -1 when the bytes do not hold one. */
int e3_value_next(e3_cursor *c, e3_value *v);
/* Steps over one whole value: 0, or -1 when it is damaged or nested deeper than E3_VALUE_DEPTH. */
int e3_value_skip(e3_cursor *c);
bool e3_value_is(const e3_value *v, const char *text); /* TEXT equal to `text` */
const char *e3_vtype_name(e3_vtype type);              /* "nil", "text", ... for messages */

/* A message body must be exactly one map, sound throughout. After this nothing in it can surprise a reader. */
int e3_body_check(const uint8_t *body, size_t n, e3_err *err);
/* The value of the first pair with this key in a checked body: true when found; *at (may be NULL) stands before it. */
bool e3_body_find(const uint8_t *body, size_t n, const char *key, e3_value *v, e3_cursor *at);

typedef enum e3_array_type { E3_ARRAY_U8, E3_ARRAY_U32, E3_ARRAY_F16, E3_ARRAY_F32 } e3_array_type;

/* A numeric array: the map {dtype, shape, data}. Little-endian, row-major, not aligned. */
typedef struct e3_array {
	e3_array_type dtype;
	int rank; /* 1 to E3_ARRAY_RANK */
	uint32_t shape[E3_ARRAY_RANK];
	size_t count; /* product of the shape */
	const uint8_t *data;
} e3_array;

size_t e3_array_type_size(e3_array_type t);
const char *e3_array_type_name(e3_array_type t);
/* Reads an array: the cursor stands before its map. Refuses unknown types, ranks, products that are not the length of
 * the data. */
int e3_array_read(e3_cursor *c, e3_array *a, e3_err *err);
/* Element k as a number. */
double e3_array_at(const e3_array *a, size_t k);

#endif
