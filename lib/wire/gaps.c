/* wire: messages that a subscriber did not get. Owns their count, and the end with the count of this reader. */
#include "gaps.h"
#include "e3/num.h"
#include "rewrite.h"
#include <inttypes.h>
#include <stdlib.h>

enum { REPORT_SECONDS = 5 };

static void note_index(e3_gaps *g, const char *name, const e3_msg *msg)
{
	int64_t i = e3_msg_index(msg), *next = &g->next[msg->kind];
	if (*next == 0 && i > 0)
		e3_tell(E3_TELL_NOTE, "%s: joined at %s %" PRId64, name, e3_kind_name(msg->kind), i);
	if (*next > 0 && i > *next)
		g->missing += i - *next;
	*next = i + 1;
	if (g->missing == g->reported || (g->reported && e3_now() - g->reported_at < REPORT_SECONDS))
		return;
	e3_tell(E3_TELL_WARN, "%s: %" PRId64 " messages are missing before %s %" PRId64 ": dropped in transit", name,
		g->missing - g->reported, e3_kind_name(msg->kind), i);
	g->reported = g->missing, g->reported_at = e3_now();
}

static int end_here(e3_gaps *g, const char *name, const e3_order *o, e3_msg *msg, e3_err *err)
{
	int64_t seen = e3_order_frames(o), sent = e3_msg_int(msg, "frames");
	if (sent == seen)
		return 0;
	if (seen < sent) /* fewer when another publisher continued the stream */
		e3_tell(E3_TELL_WARN, "%s: %" PRId64 " of %" PRId64 " frames arrived", name, seen, sent);
	e3_gaps_release(g);
	if (e3_msg_with_frames(msg, seen, &g->end, err))
		return -1;
	*msg = g->end;
	return 0;
}

int e3_gaps_step(e3_gaps *g, const char *name, const e3_order *seen, e3_msg *msg, e3_err *err)
{
	if (e3_kind_rule_of(msg->kind)->per_frame)
		note_index(g, name, msg);
	return msg->kind == E3_END ? end_here(g, name, seen, msg, err) : 0;
}

void e3_gaps_release(e3_gaps *g)
{
	free(g->end.bytes);
	g->end = (e3_msg){0};
}
