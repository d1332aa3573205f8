/* model: the parts of the .pth reader: the zip directory and the restricted pickle machine. Private to this layer. */
#ifndef E3_MODEL_PTH_H
#define E3_MODEL_PTH_H

#include "e3/checkpoint.h"
#include <stdbool.h>

/* One member of the archive. */
typedef struct e3_zip_member {
	const char *name; /* not NUL-terminated, in the file */
	size_t name_len;
	const uint8_t *data;
	size_t size;
	int method; /* 0 = stored; others cannot be read */
} e3_zip_member;

/* Sorted by name. Release with e3_zip_release; members point into `bytes`. */
typedef struct e3_zip {
	e3_zip_member *member;
	size_t n;
} e3_zip;

int e3_zip_read(e3_zip *z, const uint8_t *bytes, size_t size, e3_err *err);
const e3_zip_member *e3_zip_find(const e3_zip *z, const char *name, size_t name_len);
void e3_zip_release(e3_zip *z);

/* The names that a pickle may use, and what a call of one describes here; nothing is called. */
typedef enum e3_pickle_role {
	E3_PKR_DICT,
	E3_PKR_TENSOR,    /* (storage, offset, sizes, strides, ...) */
	E3_PKR_PARAMETER, /* (tensor, ...) is the tensor */
	E3_PKR_STORAGE,   /* the class in a storage's id */
	E3_PKR_SIZE,      /* (tuple) is the tuple */
	E3_PKR_OBJECT,    /* any arguments; the result is not used */
	E3_PKR_INERT      /* not callable */
} e3_pickle_role;

typedef struct e3_pickle_name {
	const char *module, *name;
	e3_pickle_role role;
	e3_dtype dtype; /* of a storage */
} e3_pickle_name;

/* The number of a known name, or -1. */
int e3_pickle_name_find(const char *module, size_t module_len, const char *name, size_t name_len);
const e3_pickle_name *e3_pickle_name_at(int k);

/* What a pickle may hold here. Tensors and storages are descriptions; nothing is called. */
typedef enum e3_pickle_kind {
	E3_PK_NONE,
	E3_PK_BOOL,
	E3_PK_INT,
	E3_PK_TEXT,
	E3_PK_TUPLE,
	E3_PK_LIST,
	E3_PK_DICT,
	E3_PK_GLOBAL,  /* number = index of the known names */
	E3_PK_STORAGE, /* number = elements, dtype, ref = the key's text */
	E3_PK_TENSOR,  /* ref = the tuple (storage, offset, sizes, strides, ...) */
	E3_PK_OTHER    /* a float, bytes, an options object: not used */
} e3_pickle_kind;

/* Values are numbered; containers are linked lists of cells, dictionaries of key, value, key, value. Nothing recurses.
 */
typedef struct e3_pickle_value {
	uint8_t kind, dtype;
	union {
		int64_t number;
		struct {
			uint32_t at, len; /* text: in the pickle's bytes */
		} text;
		struct {
			uint32_t first, last; /* cells */
		} items;
	};
	uint32_t count; /* cells of a container */
	uint32_t ref;   /* another value */
} e3_pickle_value;

typedef struct e3_pickle_cell {
	uint32_t value, next;
} e3_pickle_cell;

typedef struct e3_pickle {
	const uint8_t *bytes;
	e3_pickle_value *value;
	e3_pickle_cell *cell;
	uint32_t root;
} e3_pickle;

/* Runs the pickle. Refused: any global but those torch needs for tensors (named in the error), opcodes outside
 * protocols 2 to 5's plain data, more than a few million values. Release in either case. */
int e3_pickle_read(e3_pickle *p, const uint8_t *bytes, size_t size, e3_err *err);
void e3_pickle_release(e3_pickle *p);
/* Whether a text value equals s. */
int e3_pickle_is(const e3_pickle *p, uint32_t value, const char *s);
/* The name of a kind, for messages. */
const char *e3_pickle_kind_name(int kind);

#endif
