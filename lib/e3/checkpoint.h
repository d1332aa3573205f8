/* model: a checkpoint as named tensors, whatever the container: safetensors, torch's .pth, or the seeded generator.
 *
 * The file is memory-mapped and nothing is converted until a tensor is read. Refused: damaged or hostile files (each
 * with what was expected and found), pickles that name anything but tensors, compressed members that claim more than
 * they hold.
 */
#ifndef E3_CHECKPOINT_H
#define E3_CHECKPOINT_H

#include "e3/dtype.h"
#include "e3/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { E3_MAX_RANK = 8 };

typedef struct e3_tensor_info {
	const char *name; /* owned by the checkpoint */
	e3_dtype dtype;
	int rank;
	int64_t shape[E3_MAX_RANK];
	int64_t stride[E3_MAX_RANK]; /* in elements; row-major unless a .pth view says otherwise */
	size_t count;                /* elements */
} e3_tensor_info;

typedef struct e3_ckpt e3_ckpt;

/* PATH to a .safetensors or .pth file (told apart by content), or "seed:tiny:N" / "seed:full:N" (doc/design.md 6).
 * A prefix "module." or "model." that every name carries is left out of the names. */
e3_ckpt *e3_ckpt_open(const char *path, e3_err *err);
/* The same from bytes in memory, which must stay until the checkpoint is closed; `name` is what messages call it. */
e3_ckpt *e3_ckpt_memory(const void *bytes, size_t size, const char *name, e3_err *err);
void e3_ckpt_close(e3_ckpt *ckpt);

/* Where there are weights when none are named: the first .safetensors or .pth file of ~/.cache/e3 by name, else the
 * bundled demo model. *path is to be freed. */
int e3_ckpt_locate(char **path, bool *is_demo, e3_err *err);

size_t e3_ckpt_count(const e3_ckpt *ckpt);
const e3_tensor_info *e3_ckpt_at(const e3_ckpt *ckpt, size_t k);           /* in the order of the file */
const e3_tensor_info *e3_ckpt_find(const e3_ckpt *ckpt, const char *name); /* NULL when absent */
/* safetensors __metadata__ (or what the seeded configuration says); NULL when absent. */
const char *e3_ckpt_meta(const e3_ckpt *ckpt, const char *key);
/* All of it, k from 0 in the order of the file: the key and *value, or NULL past the end. */
const char *e3_ckpt_meta_at(const e3_ckpt *ckpt, size_t k, const char **value);
/* "safetensors", "torch zip", "seeded", and the path given. */
const char *e3_ckpt_format(const e3_ckpt *ckpt);
const char *e3_ckpt_path(const e3_ckpt *ckpt);

/* Elements [first, first+n) in row-major order as f32 (F32, F16, BF16, F64; integers are refused). Strides are
 * honoured. `t` comes from this checkpoint. Only reads: any number of threads may call it at once. */
int e3_ckpt_read_f32(const e3_ckpt *ckpt, const e3_tensor_info *t, size_t first, size_t n, float *to, e3_err *err);
/* The bytes of a row-major tensor inside the map, aligned to its element; NULL when they are not there as such. */
const void *e3_ckpt_direct(const e3_ckpt *ckpt, const e3_tensor_info *t);
/* Elements [first, first+n) in row-major order as they are, little-endian, of any type. Strides are honoured. */
int e3_ckpt_read_raw(const e3_ckpt *ckpt, const e3_tensor_info *t, size_t first, size_t n, void *to, e3_err *err);
/* Lets the system drop the pages of a tensor that will not be read again soon. */
void e3_ckpt_forget(const e3_ckpt *ckpt, const e3_tensor_info *t);

/* Writes a checkpoint as safetensors, in bounded memory; the file appears whole or not at all ("-" is standard output).
 */
typedef struct e3_ckpt_saving {
	int dtype;       /* E3_F32, E3_F16 or E3_BF16 for every floating-point tensor; -1 leaves each as it is */
	bool drop_track; /* leave out track_head.* */
	const char *const (*meta)[2]; /* all of __metadata__: key, value */
	size_t n_meta;
	/* Called now and then with bytes written and to write; non-zero stops, leaving nothing. May be NULL. */
	int (*tick)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
} e3_ckpt_saving;

/* Rounds to nearest even; refuses a finite value that the type cannot hold. Tensors are ordered by element size, widest
 * first, so that each is aligned, and otherwise as they come. */
int e3_ckpt_save(const e3_ckpt *ckpt, const char *path, const e3_ckpt_saving *how, e3_err *err);

#endif
