/* e3-infer: what is said of a run while it goes on: progress, status, lines of --log-every. */
#include "infer.h"
#include "e3/mem.h"
#include "e3/num.h"
#include "e3/tool.h"
#include <math.h>
#include <stdio.h>

static void log_frame(infer *f, int64_t frame, double rate, uint64_t cache)
{
	const double mib = 1.0 / 1048576;
	char device[48] = "";
	if (f->setup.gpu)
		snprintf(device, sizeof device, ", device %.1f MiB",
			mib * (double)f->setup.dev->ops->memory(f->setup.dev).used);
	e3_note("frame %lld: %.1f ms, %.2f frames/s, cache %.1f MiB, resident %.1f MiB%s", (long long)frame, f->ms, rate,
		mib * (double)cache, mib * (double)e3_rss_now(), device);
}

/* After the first frame, when it was a slow one: how long it takes, and all of them. */
static void tell_pace(const infer *f)
{
	enum { SLOW_MS = 2000 };
	char all[64] = "";
	if (f->frames != 1 || f->ms < SLOW_MS)
		return;
	if (f->head.frames > 1)
		snprintf(all, sizeof all, "; all %lld: about %.0f min", (long long)f->head.frames,
			ceil((double)f->head.frames * f->ms / 60e3));
	e3_note("the first frame took %.0f s%s", 1e-3 * f->ms, all);
}

void infer_report(infer *f)
{
	if (f->streams)
		infer_streams_report(f->streams);
	double seconds = e3_now() - f->start;
	e3_cache_use use = e3_track_cache(f->track);
	const e3_plan *p = e3_session_plan(f->session);
	double rate = f->frames > 1 ? (double)(f->frames - 1) / (e3_now() - f->first_done) : 1 / seconds,
		   mib = 1.0 / 1048576;
	int64_t done = f->r.freeze ? f->frames : e3_track_frames(f->track);
	if (f->r.log_every && done % f->r.log_every == 0)
		log_frame(f, done - 1, rate, use.now);
	if (f->streams)
		return;
	tell_pace(f);
	e3_status("frames=%lld\tof=%lld\tcache=%llu\tbudget=%.0f\tdevice=%s", (long long)f->frames,
		(long long)f->head.frames, (unsigned long long)use.now,
		isfinite(p->budget) ? p->budget * (double)p->token_bytes : -1.0, f->setup.dev->ops->name(f->setup.dev));
	if (!e3_progress_due())
		return;
	char left[64] = "", budget[64] = "", behind[64];
	e3_latency_print(&f->r.stage.latency, behind, sizeof behind);
	double remain = (double)(f->head.frames - f->frames) / rate;
	if (f->frames > 2 && seconds > 2 && remain >= 1) /* not told before it means something */
		snprintf(left, sizeof left, ", %.0f s left", remain);
	if (isfinite(p->budget))
		snprintf(budget, sizeof budget, " of %.1f", mib * p->budget * (double)p->token_bytes);
	e3_progress("frame %lld: %.2f frames/s, cache %.1f%s MiB%s%s", (long long)done, rate, mib * (double)use.now, budget,
		behind, left);
}
