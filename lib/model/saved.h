/* model: what writing and reading a saved session share: the layout of e3-cache(5). Private to this layer. */
#ifndef E3_MODEL_SAVED_H
#define E3_MODEL_SAVED_H

#include "e3/mem.h"
#include "e3/saved.h"
#include "session.h"

#define E3_SAVED_MAGIC "e3cache\n"
enum { E3_SAVED_PREFIX = 16, E3_SAVED_HEAD_MOST = 64 << 10, E3_SAVED_CHUNK = 1 << 20 };

/* saved_head.c: the header as JSON, with the lowest version that has all that it says; and back: every value is checked
 * for its range and against the others. */
int e3_saved_head_write(const e3_saved *x, e3_buf *json, uint32_t *version, e3_err *err);
int e3_saved_head_read(const char *json, size_t n, e3_saved *x, e3_err *err);
/* Frames in a layer, if the policy evicts whole ones. */
uint64_t e3_saved_frames(const e3_saved *x, const e3_saved_past *p, int layer);
/* Keys in each cache of the camera head after so many key frames. */
int e3_saved_camera_keys(const e3_saved *x, int64_t frames);
/* Bytes of a slot: its key and value, and what eviction knows of it. */
uint64_t e3_saved_slot(const e3_saved *x);
/* Bytes of everything after the header's checksum; 0 when no file can be so large. */
uint64_t e3_saved_body(const e3_saved *x);

/* A piece of device memory: `each` bytes for every one of n slots, from slot `first` on. */
typedef struct e3_piece {
	uint8_t *at;
	size_t each;
	int first, n;
} e3_piece;

/* saved.c: calls fn for every piece of kv, in the order of the file: the scores, if there are any (how many frames saw
 * a slot, sums), then for each head its keys, then its values, then the scales of both if they are packed, slot by
 * slot. Stops at the first non-zero. */
typedef int e3_piece_fn(void *ctx, const e3_piece *piece, e3_err *err);
int e3_saved_pieces(const e3_kv *kv, e3_piece_fn *fn, void *ctx, e3_err *err);

#endif
