/* Fuzz target: any bytes as a stream. Nothing may crash, hang or reserve what the bytes do not justify; and what a
 * decoder accepts, the encoder must accept too, and the decoder again, with the same bytes the second time. */
#include "e3/stream.h"
#include <stdlib.h>
#include <string.h>

/* An encoder is private to the file of its kind, so these files are compiled in here. */
#define encode head_encode
#include "wire/kind_head.c"
#undef encode
#define encode frame_encode
#include "wire/kind_frame.c"
#undef encode
#define encode pred_encode
#include "wire/kind_pred.c"
#undef encode
#define encode evict_encode
#include "wire/kind_evict.c"
#undef encode
#define encode attn_encode
#include "wire/kind_attn.c"
#undef encode
#include "wire/kind_end.c"
#define encode abort_encode
#include "wire/kind_abort.c"
#undef encode
#define encode truth_encode
#include "wire/kind_truth.c"
#undef encode
#define encode mask_encode
#include "wire/kind_mask.c"
#undef encode

#define encode edge_encode
#define check edge_check
#include "wire/kind_edge.c"
#undef encode
#undef check
#define encode correct_encode
#define check correct_check
#include "wire/kind_correct.c"
#undef encode
#undef check

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static e3_pack pack;

typedef union any {
	e3_head head;
	e3_frame frame;
	e3_pred pred;
	e3_evict evict;
	e3_attn attn;
	e3_end end;
	e3_abort abort;
	e3_truth truth;
	e3_mask mask;
	e3_edge edge;
	e3_correct correct;
} any;

static int decode(const e3_msg *m, any *x)
{
	e3_err err;
	switch (m->kind) {
	case E3_HEAD:
		return e3_head_decode(m, &x->head, &err);
	case E3_FRAME:
		return e3_frame_decode(m, &x->frame, &err);
	case E3_PRED:
		return e3_pred_decode(m, &x->pred, &err);
	case E3_EVICT:
		return e3_evict_decode(m, &x->evict, &err);
	case E3_ATTN:
		return e3_attn_decode(m, &x->attn, &err);
	case E3_END:
		return e3_end_decode(m, &x->end, &err);
	case E3_ABORT:
		return e3_abort_decode(m, &x->abort, &err);
	case E3_MASK:
		return e3_mask_decode(m, &x->mask, &err);
	case E3_EDGE:
		return e3_edge_decode(m, &x->edge, &err);
	case E3_CORRECT:
		return e3_correct_decode(m, &x->correct, &err);
	default:
		return e3_truth_decode(m, &x->truth, &err);
	}
}

static int encode(int kind, const any *x)
{
	e3_err err;
	switch (kind) {
	case E3_HEAD:
		return head_encode(&pack, &x->head, &err);
	case E3_FRAME:
		return frame_encode(&pack, &x->frame, &err);
	case E3_PRED:
		return pred_encode(&pack, &x->pred, &err);
	case E3_EVICT:
		return evict_encode(&pack, &x->evict, &err);
	case E3_ATTN:
		return attn_encode(&pack, &x->attn, &err);
	case E3_END:
		return e3_end_encode(&pack, &x->end, &err);
	case E3_ABORT:
		return abort_encode(&pack, &x->abort, &err);
	case E3_MASK:
		return mask_encode(&pack, &x->mask, &err);
	case E3_EDGE:
		return edge_encode(&pack, &x->edge, &err);
	case E3_CORRECT:
		return correct_encode(&pack, &x->correct, &err);
	default:
		return truth_encode(&pack, &x->truth, &err);
	}
}

static void release(int kind, any *x)
{
	switch (kind) {
	case E3_HEAD:
		e3_head_release(&x->head);
		break;
	case E3_FRAME:
		e3_frame_release(&x->frame);
		break;
	case E3_PRED:
		e3_pred_release(&x->pred);
		break;
	case E3_EVICT:
		e3_evict_release(&x->evict);
		break;
	case E3_ATTN:
		e3_attn_release(&x->attn);
		break;
	case E3_ABORT:
		e3_abort_release(&x->abort);
		break;
	case E3_TRUTH:
		e3_truth_release(&x->truth);
		break;
	case E3_MASK:
		e3_mask_release(&x->mask);
		break;
	default:
		break;
	}
}

static uint8_t *joined(size_t *len)
{
	uint8_t *bytes = malloc(pack.len), *to = bytes;
	for (int k = 0; k < pack.n_parts; k++) {
		if (pack.part[k].iov_len)
			memcpy(to, pack.part[k].iov_base, pack.part[k].iov_len);
		to += pack.part[k].iov_len;
	}
	*len = pack.len;
	return bytes;
}

/* decode, encode, decode, encode: the two encodings must be equal. */
static void round_trip(const e3_msg *msg)
{
	any x;
	memset(&x, 0, sizeof x);
	if (decode(msg, &x)) {
		release(msg->kind, &x);
		return;
	}
	if (encode(msg->kind, &x))
		abort();
	e3_msg again = {.kind = msg->kind};
	again.bytes = joined(&again.len);
	any y;
	memset(&y, 0, sizeof y);
	if (decode(&again, &y) || encode(msg->kind, &y))
		abort();
	size_t len;
	uint8_t *second = joined(&len);
	if (len != again.len || memcmp(second, again.bytes, len))
		abort();
	free(second), free(again.bytes);
	release(msg->kind, &x), release(msg->kind, &y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	e3_err err;
	e3_msg msg;
	e3_in *in = e3_in_memory(data, size, &err);
	int rc;
	while (in && (rc = e3_in_next(in, &msg, &err)) > 0)
		round_trip(&msg);
	if (in && e3_in_abort(in))
		round_trip(&msg);
	e3_in_close(in);
	return 0;
}
