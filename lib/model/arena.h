/* model: device memory that is released together: the weights of a network, the buffers of a session. */
#ifndef E3_MODEL_ARENA_H
#define E3_MODEL_ARENA_H

#include "e3/dev.h"

/* Set dev, the rest zero. */
typedef struct e3_arena {
	e3_dev *dev;
	void **owned;
	size_t n, cap;
} e3_arena;

int e3_arena_alloc(e3_arena *a, e3_dtype dtype, size_t n, e3_tensor *out, e3_err *err);
int e3_arena_floats(e3_arena *a, size_t n, float **out, e3_err *err);
/* f32 from host memory. */
int e3_arena_upload(e3_arena *a, const float *from, size_t n, float **out, e3_err *err);
/* The device's operation `weight`. */
int e3_arena_weight(e3_arena *a, const float *from, e3_mat *mat, e3_err *err);
/* From one arena to another of the same device. */
int e3_arena_take(e3_arena *to, e3_arena *from, void *p, e3_err *err);
/* Releases one; NULL: nothing. */
void e3_arena_drop(e3_arena *a, void *p);
void e3_arena_release(e3_arena *a);

#endif
