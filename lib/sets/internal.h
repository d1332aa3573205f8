/* sets: private to lib/sets/. */
#ifndef E3_SETS_INTERNAL_H
#define E3_SETS_INTERNAL_H

#include "e3/sets.h"

/* A file of n bytes that appears whole. */
int sets_save(const char *path, const void *bytes, size_t n, e3_err *err);
/* n floats, little-endian. */
void sets_put_floats(uint8_t *to, const float *v, size_t n);
/* "the matrix is no rotation ..." when rows or handedness are off by 1 %. */
int sets_check_rotation(const double m[12], e3_err *err);
/* raw [h][w] to metres, in a map of that size. */
int sets_depth16(const uint16_t *raw, e3_depth16 kind, e3_depth *out, e3_err *err);

#endif
