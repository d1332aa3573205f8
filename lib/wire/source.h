/* wire: where a frame came from: the fields that frame and pred share. */
#ifndef E3_WIRE_SOURCE_H
#define E3_WIRE_SOURCE_H

#include "checks.h"
#include "fields.h"
#include "pack.h"

/* Packs them, and the size of the picture; refuses what a reader would refuse. */
int e3_pack_source(e3_pack *p, const e3_source *s, int w, int h, e3_err *err);

/* The same fields at the front of a decoder's table. */
#define E3_SOURCE_FIELDS(s, fit, live) \
	E3_NEED(I64, "i", &(s).i), E3_NEED(REAL, "pts", &(s).pts), E3_NEED(I64, "src_i", &(s).src_i), \
		E3_NEED(INT, "src_w", &(s).src_w), E3_NEED(INT, "src_h", &(s).src_h), E3_NEED(INT, "rot", &(s).rot), \
		{E3_F_REALS, "fit", fit, .n = 4}, E3_MAY(REAL, "t_capture", &(s).t_capture, &live)

#endif
