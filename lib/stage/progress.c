/* stage: the line of progress. Owns when an estimate of the time left means something. */
#include "e3/num.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* The first frames come quicker than the rest when they fill queues, or slower when something is loaded; and what is
 * left of the last second is no estimate. */
static void print_left(char *to, size_t size, double elapsed, int64_t done, int64_t total)
{
	enum { FRAMES = 3, SECONDS = 2 };
	double left = done > 0 ? elapsed * (double)(total - done) / (double)done : 0;
	*to = 0;
	if (done >= FRAMES && elapsed >= SECONDS && left >= 1)
		snprintf(to, size, ", %.0f s left", left);
}

void e3_stage_progress(const e3_stage *s, int64_t done, int64_t total, const char *more, ...)
{
	char of[32] = "", left[32] = "", behind[64], text[160];
	va_list args;
	e3_status("frames=%" PRId64 "\tof=%" PRId64, done, total);
	if (!e3_progress_due())
		return;
	double elapsed = e3_now() - s->started, rate = (double)done / (elapsed + 1e-9);
	if (total > 0)
		snprintf(of, sizeof of, " of %" PRId64, total);
	print_left(left, sizeof left, elapsed, done, total);
	e3_latency_print(&s->latency, behind, sizeof behind);
	va_start(args, more);
	vsnprintf(text, sizeof text, more, args);
	va_end(args);
	e3_progress("frame %" PRId64 "%s, %.1f frames/s%s%s%s", done, of, rate, left, text, behind);
}
