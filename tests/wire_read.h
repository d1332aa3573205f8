/* A stream read to its end, every message decoded. */
#ifndef WIRE_READ_H
#define WIRE_READ_H

#include "e3/stream.h"

/* Reads and decodes everything: 0 when the stream is whole, else -1 and the text. */
static inline int read_all(e3_in *in, e3_err *err)
{
	e3_msg msg;
	e3_head head = {0};
	e3_frame frame = {0};
	e3_pred pred = {0};
	e3_evict evict = {0};
	e3_attn attn = {0};
	e3_truth truth = {0};
	e3_mask mask = {0};
	e3_edge edge;
	e3_correct correct;
	e3_end end;
	int rc = in ? 1 : -1;
	while (rc > 0 && (rc = e3_in_next(in, &msg, err)) > 0) {
		int bad = msg.kind == E3_HEAD ? e3_head_decode(&msg, &head, err)
			: msg.kind == E3_FRAME    ? e3_frame_decode(&msg, &frame, err)
			: msg.kind == E3_PRED     ? e3_pred_decode(&msg, &pred, err)
			: msg.kind == E3_EVICT    ? e3_evict_decode(&msg, &evict, err)
			: msg.kind == E3_ATTN     ? e3_attn_decode(&msg, &attn, err)
			: msg.kind == E3_TRUTH    ? e3_truth_decode(&msg, &truth, err)
			: msg.kind == E3_MASK     ? e3_mask_decode(&msg, &mask, err)
			: msg.kind == E3_EDGE     ? e3_edge_decode(&msg, &edge, err)
			: msg.kind == E3_CORRECT  ? e3_correct_decode(&msg, &correct, err)
									  : e3_end_decode(&msg, &end, err);
		rc = bad ? -1 : 1;
	}
	e3_in_close(in);
	e3_head_release(&head), e3_frame_release(&frame), e3_pred_release(&pred), e3_evict_release(&evict);
	e3_attn_release(&attn), e3_truth_release(&truth), e3_mask_release(&mask);
	return rc;
}

#endif
