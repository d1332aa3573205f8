/* wire: the end: what the stage that wrote the stream took, and why it comes early if it does. */
#include "checks.h"
#include "out.h"
#include "unpack.h"
#include <stdio.h>
#include <stdlib.h>

int e3_end_encode(e3_pack *p, const e3_end *x, e3_err *err)
{
	if (e3_reals_check("seconds", &x->seconds, 1, err) || e3_reals_check("latency_mean", &x->latency_mean, 1, err) ||
		e3_reals_check("latency_max", &x->latency_max, 1, err))
		return e3_fail_in(err, "end");
	e3_pack_begin(p, E3_END, x->frames);
	e3_pack_int(p, "frames", x->frames);
	e3_pack_real(p, "seconds", x->seconds);
	e3_pack_u64(p, "peak_rss", x->peak_rss);
	e3_pack_u64(p, "cache_now", x->cache_now);
	e3_pack_u64(p, "cache_peak", x->cache_peak);
	e3_pack_u64(p, "cache_full", x->cache_full);
	if (x->latency_mean != 0 || x->latency_max != 0) {
		e3_pack_real(p, "latency_mean", x->latency_mean);
		e3_pack_real(p, "latency_max", x->latency_max);
	}
	if (x->device_used)
		e3_pack_u64(p, "device_used", x->device_used);
	if (x->cut[0])
		e3_pack_text(p, "cut", x->cut);
	return e3_pack_finish(p, err);
}

int e3_out_end(e3_out *out, const e3_end *x, e3_err *err)
{
	return e3_out_packed(out, e3_end_encode(e3_out_pack(out), x, err), err);
}

void e3_end_cut(e3_end *x, const char *why)
{
	int n = snprintf(x->cut, sizeof x->cut, "%s", why);
	if (n < (int)sizeof x->cut)
		return;
	for (n = (int)sizeof x->cut - 1; n > 0 && (x->cut[n - 1] & 0xc0) == 0x80;) /* no part of a character */
		n--;
	if (n > 0 && x->cut[n - 1] & 0x80)
		n--;
	x->cut[n] = 0;
}

int e3_end_decode(const e3_msg *msg, e3_end *x, e3_err *err)
{
	bool has;
	char *cut = NULL;
	e3_field table[] = {
		E3_NEED(I64, "frames", &x->frames),
		E3_NEED(REAL, "seconds", &x->seconds),
		E3_MAY(U64, "peak_rss", &x->peak_rss, &has),
		E3_MAY(U64, "cache_now", &x->cache_now, &has),
		E3_MAY(U64, "cache_peak", &x->cache_peak, &has),
		E3_MAY(U64, "cache_full", &x->cache_full, &has),
		E3_MAY(REAL, "latency_mean", &x->latency_mean, &has),
		E3_MAY(REAL, "latency_max", &x->latency_max, &has),
		E3_MAY(U64, "device_used", &x->device_used, &has),
		E3_MAY(TEXT, "cut", &cut, &has),
		{.type = E3_F_END},
	};
	*x = (e3_end){0};
	int rc = e3_decode_body(msg, E3_END, table, err);
	if (rc)
		*x = (e3_end){0};
	else if (cut)
		e3_end_cut(x, cut);
	free(cut);
	return rc ? e3_decode_failed(msg, err) : 0;
}
