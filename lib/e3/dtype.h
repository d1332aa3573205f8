/* base: the element types of tensors, in checkpoints and on devices. */
#ifndef E3_DTYPE_H
#define E3_DTYPE_H

#include <stddef.h>

/* Devices compute in the first three, and keep weights also in I8 and F8 (e4m3: 4 bits of exponent, 3 of mantissa, no
 * infinity, at most 448); the others occur in checkpoints only. F8 does not occur in them. */
typedef enum e3_dtype {
	E3_F32,
	E3_BF16,
	E3_F16,
	E3_F64,
	E3_I64,
	E3_I32,
	E3_I16,
	E3_I8,
	E3_U8,
	E3_BOOL,
	E3_F8
} e3_dtype;

/* Bytes of one element, and the name as safetensors spells it: "F32", "BF16". */
size_t e3_dtype_size(e3_dtype dtype);
const char *e3_dtype_name(e3_dtype dtype);

#endif
