/* wire: structs into messages. Each checks what a reader would refuse, so the stage that made a bad value is the one
 * that fails. */
#ifndef E3_WIRE_ENCODE_H
#define E3_WIRE_ENCODE_H

#include "e3/data.h"
#include "pack.h"

/* Room for arrays on their way to half precision; reused. */
typedef struct e3_halves {
	uint16_t *data;
	size_t cap;
} e3_halves;

int e3_head_encode(e3_pack *p, const e3_head *x, e3_err *err);
int e3_frame_encode(e3_pack *p, const e3_frame *x, e3_err *err);
int e3_pred_encode(e3_pack *p, const e3_pred *x, e3_halves *room, e3_err *err);
int e3_evict_encode(e3_pack *p, const e3_evict *x, e3_err *err);
int e3_attn_encode(e3_pack *p, const e3_attn *x, e3_err *err);
int e3_truth_encode(e3_pack *p, const e3_truth *x, e3_err *err);
int e3_end_encode(e3_pack *p, const e3_end *x, e3_err *err);
int e3_abort_encode(e3_pack *p, const e3_abort *x, e3_err *err);

#endif
