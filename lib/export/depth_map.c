/* export: one frame's depth in the size that was asked for: every depth format writes what this makes. */
#include "export/depth_map.h"
#include <stdlib.h>

enum { MAX_SIDE = 65535, MAX_PIXELS = 1 << 28 }; /* as pictures have them */

int e3_depth_map_check(const e3_format_writer *w, const e3_pred *p, e3_err *err)
{
	return p->depth
		? 0
		: e3_fail(err, "writing depth: the stream has none for frame %lld: e3-infer ran without the output depth",
			  (long long)p->s.i);
}

static int measure(e3_depth_map *m, const e3_pred *p, bool source, e3_err *err)
{
	const e3_source *s = &p->s;
	m->w = source ? s->src_w : p->w;
	m->h = source ? s->src_h : p->h;
	if (!source)
		return 0;
	if (!(s->fit.sx > 0) || !(s->fit.sy > 0) || m->w < 1 || m->h < 1 || m->w > MAX_SIDE || m->h > MAX_SIDE ||
		m->w > MAX_PIXELS / m->h)
		return e3_fail(err,
			"frame %lld: depth at the size of the source: the stream gives it %d × %d pixels and a scale of %g × %g",
			(long long)s->i, m->w, m->h, s->fit.sx, s->fit.sy);
	return m->sizer || (m->sizer = e3_depth_sizer_open(err)) ? 0 : -1;
}

/* The network took the picture as it was. */
static bool is_source(const e3_pred *p)
{
	const e3_source *s = &p->s;
	return s->src_w == p->w && s->src_h == p->h && s->fit.sx == 1 && s->fit.sy == 1 && s->fit.tx == 0 && s->fit.ty == 0;
}

int e3_depth_map_make(e3_depth_map *m, const e3_pred *p, bool source, e3_err *err)
{
	source = source && !is_source(p);
	if (measure(m, p, source, err))
		return -1;
	size_t n = (size_t)m->w * (size_t)m->h;
	if (n > m->cap) {
		m->cap = 0;
		if (e3_grow((void **)&m->d, n, sizeof *m->d, "a depth map", err))
			return -1;
		m->cap = n;
	}
	if (source)
		return e3_depth_to_source(m->sizer, p, m->d, err);
	for (size_t k = 0; k < n; k++)
		m->d[k] = e3_depth_known(p->depth[k]) ? p->depth[k] : 0;
	return 0;
}

void e3_depth_map_release(e3_depth_map *m)
{
	e3_depth_sizer_close(m->sizer);
	free(m->d);
	*m = (e3_depth_map){0};
}
