/* base: the header of numpy's .npy files. */
#ifndef E3_NPY_H
#define E3_NPY_H

#include <stddef.h>
#include <stdint.h>

/* Version 1.0, '<f4' in C order, `dims` (1 to 4) sizes. Writes at most 192 bytes; the length, a multiple of 64. */
size_t e3_npy_header(char to[192], const int64_t *shape, int dims);

#endif
