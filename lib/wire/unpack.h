/* wire: what the decoders of all kinds share: opening a body, checking and copying arrays. */
#ifndef E3_WIRE_UNPACK_H
#define E3_WIRE_UNPACK_H

#include "e3/stream.h"
#include "fields.h"
#include "kinds.h"

/* Reads the body of a message, which must be of this kind, into the table. */
int e3_decode_body(const e3_msg *msg, e3_kind kind, e3_field *table, e3_err *err);
/* Puts "decoding pred 12: " before the error already there; -1. */
int e3_decode_failed(const e3_msg *msg, e3_err *err);
/* The array must have this type and exactly this shape; rank 0: one dimension of any length. */
int e3_decode_want(const e3_array *a, const char *name, e3_array_type t, int rank, const size_t *shape, e3_err *err);
/* As above, for arrays that come as f32 or f16. */
int e3_decode_want_dense(const e3_array *a, const char *name, int rank, const size_t *shape, e3_err *err);
/* Copies an array into *slot (a pointer to a pointer), used again when it held as many elements; f16 becomes f32. */
int e3_decode_take(void *slot, size_t held, const e3_array *a, const char *name, e3_err *err);
/* Whose cache a record of frame i is about, absent for the first segment: both or neither, and not of later frames. */
int e3_decode_cache(bool has_segment, bool has_first, int64_t i, int64_t *segment, int64_t *first, e3_err *err);
/* The ids of an array of u32 must ascend. */
int e3_decode_ascending(const char *name, const e3_array *ids, e3_err *err);
/* What the decoders of large kinds refuse, without copying anything. */
int e3_frame_check(const e3_msg *msg, e3_err *err);
int e3_pred_check(const e3_msg *msg, e3_err *err);
int e3_evict_check(const e3_msg *msg, e3_err *err);
int e3_attn_check(const e3_msg *msg, e3_err *err);
int e3_truth_check(const e3_msg *msg, e3_err *err);
int e3_mask_check(const e3_msg *msg, e3_err *err);
/* Fails with what an abort says. */
int e3_abort_fail(const e3_abort *x, e3_err *err);

#endif
