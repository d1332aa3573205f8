/* wire: the fields that frame and pred share. */
#include "source.h"

int e3_pack_source(e3_pack *p, const e3_source *s, int w, int h, e3_err *err)
{
	const double fit[4] = {s->fit.sx, s->fit.sy, s->fit.tx, s->fit.ty};
	if (e3_source_check(s, err) || e3_size_check(w, h, err))
		return -1;
	e3_pack_int(p, "i", s->i);
	e3_pack_real(p, "pts", s->pts);
	e3_pack_int(p, "src_i", s->src_i);
	e3_pack_int(p, "src_w", s->src_w);
	e3_pack_int(p, "src_h", s->src_h);
	e3_pack_int(p, "rot", s->rot);
	e3_pack_reals(p, "fit", fit, 4);
	if (s->t_capture != 0)
		e3_pack_real(p, "t_capture", s->t_capture);
	e3_pack_int(p, "w", w);
	e3_pack_int(p, "h", h);
	return 0;
}
