/* model: what the container readers fill in (ckpt_add.c) and users read from (ckpt_read.c). Private to this layer.
 *
 * A container is a row of the table in checkpoint.c: its name, how its content is recognised, its reader. Readers call
 * ckpt_add.c, never checkpoint.c.
 */
#ifndef E3_MODEL_CKPT_H
#define E3_MODEL_CKPT_H

#include "e3/checkpoint.h"
#include "e3/io.h"
#include <stdbool.h>

/* One tensor. `info` is first: the pointer handed to callers is the pointer to this. */
typedef struct e3_ckpt_tensor {
	e3_tensor_info info;
	char *owned;         /* the name as stored; info.name points into it, past a stripped prefix */
	const uint8_t *data; /* element 0, little-endian; NULL when the values are generated */
	bool row_major;
	/* Values that are generated: elements [first, first + n); from a hash of name and seed, and the affine map of
	 * doc/design.md 6. */
	void (*generate)(const struct e3_ckpt_tensor *t, size_t first, size_t n, float *to);
	uint64_t hash;
	double base, scale;
} e3_ckpt_tensor;

typedef struct e3_ckpt_pair {
	char *key, *value;
} e3_ckpt_pair;

struct e3_ckpt {
	e3_map map; /* empty for e3_ckpt_memory and seeds */
	char *path;
	const char *format;
	e3_ckpt_tensor *tensor;
	size_t n, room;
	size_t *sorted; /* indices by name, made once all tensors are there */
	e3_ckpt_pair *meta;
	size_t n_meta;
	int (*stop)(void); /* may be NULL */
	bool empty;        /* values are not read */
	int threads;       /* that read it; 0: one for each processor */
};

/* Element count of a shape, every dimension >= 0; -1 when it overflows. */
int e3_shape_count(int rank, const int64_t *shape, size_t *count);
/* Fills stride for a row-major tensor. */
void e3_shape_strides(int rank, const int64_t *shape, int64_t *stride);

/* Adds a tensor, whose name (not NUL-terminated) is copied; info.count and row_major are computed here. */
int e3_ckpt_add(e3_ckpt *c, const char *name, size_t name_len, e3_ckpt_tensor t, e3_err *err);
int e3_ckpt_add_meta(e3_ckpt *c, const char *key, const char *value, e3_err *err);

/* The k of e3_ckpt_at. */
size_t e3_ckpt_index(const e3_ckpt *c, const e3_tensor_info *t);

/* The readers. `bytes` stay valid while c lives; messages leave out the path (checkpoint.c adds it). */
bool e3_safetensors_matches(const uint8_t *bytes, size_t size);
bool e3_pth_matches(const uint8_t *bytes, size_t size);
bool e3_pth_legacy_matches(const uint8_t *bytes, size_t size);
int e3_safetensors_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err);
int e3_pth_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err);
/* Refuses it, and says how to convert it. */
int e3_pth_legacy_parse(e3_ckpt *c, const uint8_t *bytes, size_t size, e3_err *err);
/* SPEC is what follows "seed:" in the name. */
int e3_seed_parse(e3_ckpt *c, const char *spec, e3_err *err);

#endif
