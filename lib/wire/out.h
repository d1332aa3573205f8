/* wire: an output, as the encoders of the kinds see it. */
#ifndef E3_WIRE_OUT_H
#define E3_WIRE_OUT_H

#include "e3/stream.h"
#include "pack.h"

/* The message to pack next. */
e3_pack *e3_out_pack(e3_out *out);
/* Sends it. `rc` is the encoder's verdict: its error gets the output's name. */
int e3_out_packed(e3_out *out, int rc, e3_err *err);
/* Ends a stream that will not be complete, with the abort that was packed, if any; errors are ignored. A file keeps its
 * frames, with an end that says why there are no more. Frees `out`. */
void e3_out_cut_short(e3_out *out, bool packed, const char *why);
int e3_end_encode(e3_pack *p, const e3_end *x, e3_err *err);

#endif
