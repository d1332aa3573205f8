/* wire: messages with one field changed, the rest as it came. */
#ifndef E3_WIRE_REWRITE_H
#define E3_WIRE_REWRITE_H

#include "e3/stream.h"

/* A copy of a head or an end with another `frames` (negative: unknown); out->bytes is the caller's to free. */
int e3_msg_with_frames(const e3_msg *msg, int64_t frames, e3_msg *out, e3_err *err);

#endif
