/* base: sizes and names of element types. */
#include "e3/dtype.h"

static const struct {
	const char *name;
	size_t size;
} types[] = {
	[E3_F32] = {"F32", 4},
	[E3_BF16] = {"BF16", 2},
	[E3_F16] = {"F16", 2},
	[E3_F64] = {"F64", 8},
	[E3_I64] = {"I64", 8},
	[E3_I32] = {"I32", 4},
	[E3_I16] = {"I16", 2},
	[E3_I8] = {"I8", 1},
	[E3_U8] = {"U8", 1},
	[E3_BOOL] = {"BOOL", 1},
	[E3_F8] = {"F8_E4M3", 1},
};

size_t e3_dtype_size(e3_dtype dtype) { return types[dtype].size; }

const char *e3_dtype_name(e3_dtype dtype) { return types[dtype].name; }
