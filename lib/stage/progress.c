/* stage: the line of progress. */
#include "e3/num.h"
#include "e3/stage.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void e3_stage_progress(const e3_stage *s, int64_t done, int64_t total, const char *more, ...)
{
	char of[32] = "", left[32] = "", behind[64], text[160];
	va_list args;
	if (!e3_progress_due())
		return;
	double rate = (double)done / (e3_now() - s->started + 1e-9);
	if (total > 0)
		snprintf(of, sizeof of, " of %" PRId64, total);
	if (total > done && rate > 0)
		snprintf(left, sizeof left, ", %.0f s left", (double)(total - done) / rate);
	e3_latency_print(&s->latency, behind, sizeof behind);
	va_start(args, more);
	vsnprintf(text, sizeof text, more, args);
	va_end(args);
	e3_progress("frame %" PRId64 "%s, %.1f frames/s%s%s%s", done, of, rate, left, text, behind);
}
