/* base: the element types of tensors, in checkpoints and on devices. */
#ifndef E3_DTYPE_H
#define E3_DTYPE_H

#include <stddef.h>

/* Devices compute in the first three; the others occur in checkpoints only. */
typedef enum e3_dtype { E3_F32, E3_BF16, E3_F16, E3_F64, E3_I64, E3_I32, E3_I16, E3_I8, E3_U8, E3_BOOL } e3_dtype;

/* Bytes of one element, and the name as safetensors spells it: "F32", "BF16". */
size_t e3_dtype_size(e3_dtype dtype);
const char *e3_dtype_name(e3_dtype dtype);

#endif
