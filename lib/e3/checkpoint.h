/* model: a checkpoint as named tensors, whatever the container: safetensors, torch's .pth, or the seeded generator.
 *
 * The file is memory-mapped, and values are converted when they are read. Refused are damaged and hostile files (the
 * error says what was expected and found), pickles that name anything but tensors, and compressed members.
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
	int64_t stride[E3_MAX_RANK]; /* in elements; row-major except in views of a .pth */
	size_t count;                /* elements */
} e3_tensor_info;

typedef struct e3_ckpt e3_ckpt;

/* `path`: a .safetensors or .pth file (recognised by its content), or "seed:CONFIG:N" (doc/design.md 6).
 * A prefix "module." or "model." that all names have is removed, and what torch's wrappers put into names:
 * "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.". */
e3_ckpt *e3_ckpt_open(const char *path, e3_err *err);
/* The same from bytes in memory, which must stay valid until the checkpoint is closed; errors call it `name`. */
e3_ckpt *e3_ckpt_memory(const void *bytes, size_t size, const char *name, e3_err *err);
void e3_ckpt_close(e3_ckpt *ckpt);
/* Values are read as long as stop() is 0; then reading them fails with "interrupted". */
void e3_ckpt_stop_by(e3_ckpt *ckpt, int (*stop)(void));
/* How many threads a network is read with; 0, as it is at first: one for each processor. */
void e3_ckpt_read_with(e3_ckpt *ckpt, int threads);
int e3_ckpt_threads(const e3_ckpt *ckpt);
/* From now on e3_ckpt_read_f32 gives zeros, and no value is read or generated: for plans, which need only shapes. */
void e3_ckpt_empty(e3_ckpt *ckpt);

/* Where there are weights when none are named: the first .safetensors, .pth or .pt file of ~/.cache/e3 by name, else
 * the bundled demo model. *path is to be freed. */
int e3_ckpt_locate(char **path, bool *is_demo, e3_err *err);

size_t e3_ckpt_count(const e3_ckpt *ckpt);
const e3_tensor_info *e3_ckpt_at(const e3_ckpt *ckpt, size_t k);           /* in the order of the file */
const e3_tensor_info *e3_ckpt_find(const e3_ckpt *ckpt, const char *name); /* NULL when absent */
/* safetensors __metadata__ (or that of the seeded configuration); NULL when absent. */
const char *e3_ckpt_meta(const e3_ckpt *ckpt, const char *key);
/* The k-th entry of the metadata, in the order of the file: returns the key and sets *value; NULL past the end. */
const char *e3_ckpt_meta_at(const e3_ckpt *ckpt, size_t k, const char **value);
/* "safetensors", "torch zip" or "seeded"; and the path given. */
const char *e3_ckpt_format(const e3_ckpt *ckpt);
const char *e3_ckpt_path(const e3_ckpt *ckpt);

/* Elements [first, first+n) in row-major order, whatever the strides, as f32 (from F32, F16, BF16, F64; integers are
 * refused). `t` belongs to this checkpoint. Several threads may read at once. */
int e3_ckpt_read_f32(const e3_ckpt *ckpt, const e3_tensor_info *t, size_t first, size_t n, float *to, e3_err *err);
/* The bytes of a row-major tensor in the mapped file, aligned to its element; NULL when they cannot be used in place.
 */
const void *e3_ckpt_direct(const e3_ckpt *ckpt, const e3_tensor_info *t);
/* Elements [first, first+n) in row-major order, whatever the strides, of any type, little-endian. */
int e3_ckpt_read_raw(const e3_ckpt *ckpt, const e3_tensor_info *t, size_t first, size_t n, void *to, e3_err *err);
/* Tells the system that a tensor will not be read again soon: it may drop the pages. */
void e3_ckpt_forget(const e3_ckpt *ckpt, const e3_tensor_info *t);

/* Writes a checkpoint as safetensors, in bounded memory. The file appears only when it is complete; "-" is standard
 * output. */
typedef struct e3_ckpt_saving {
	int dtype;       /* E3_F32, E3_F16 or E3_BF16 for every floating-point tensor; -1 leaves each as it is */
	bool drop_track; /* leave out track_head.* */
	const char *const (*meta)[2]; /* all of __metadata__: key, value */
	size_t n_meta;
	/* Called repeatedly with the bytes written and to be written; non-zero stops and leaves no file. May be NULL. */
	int (*tick)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
} e3_ckpt_saving;

/* Rounds to nearest even; refuses a finite value that the type cannot hold. Tensors are sorted by element size, the
 * widest first, so that each is aligned; tensors of the same size keep their order. */
int e3_ckpt_save(const e3_ckpt *ckpt, const char *path, const e3_ckpt_saving *how, e3_err *err);

#endif
