/* e3-cat: --then: joins the parts of a run that was stopped and resumed into one stream. Owns where a part ends: at the
 * frame after which a later part continues, not at its own end, which may be missing. Refuses gaps. */
#include "cat.h"
#include "e3/mem.h"
#include "e3/tool.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct cat_join {
	const char *const *name;
	e3_in *in[CAT_PARTS];
	int64_t limit[CAT_PARTS]; /* the last frame used of each part; INT64_MAX: all */
	int n, at;
	int64_t got; /* the last frame handed out */
};

/* Reads the head of a later part: after which frame it continues. */
static int read_head(cat_join *j, int k, e3_err *err)
{
	e3_msg msg;
	e3_head head = {0};
	int more = e3_in_next(j->in[k], &msg, err);
	if (more <= 0 || msg.kind != E3_HEAD)
		return more < 0 ? -1 : e3_fail(err, "joining: %s: has no head", j->name[k]);
	if (e3_head_decode(&msg, &head, err))
		return -1;
	int rc = 0;
	if (!head.seen || head.frozen)
		rc = e3_fail(err, "joining: %s: does not continue another stream, as e3-infer --load-cache writes them",
			j->name[k]);
	j->limit[k - 1] = head.after;
	e3_head_release(&head);
	return rc;
}

cat_join *cat_join_open(const char *const *part, int n, const e3_stream_options *options, e3_err *err)
{
	cat_join *j = e3_alloc(1, sizeof *j, "inputs", err);
	if (!j)
		return NULL;
	j->name = part, j->got = -1;
	for (; j->n < n; j->n++) {
		if (!(j->in[j->n] = e3_in_open(part[j->n], options, err)) || (j->n && read_head(j, j->n, err))) {
			j->n++;
			cat_join_close(j);
			return NULL;
		}
	}
	/* A part ends where any later one continues: a later part may have resumed from an older cache than the part before
	 * it. */
	j->limit[n - 1] = INT64_MAX;
	for (int k = n - 2; k >= 0; k--)
		j->limit[k] = j->limit[k] < j->limit[k + 1] ? j->limit[k] : j->limit[k + 1];
	return j;
}

void cat_join_close(cat_join *j)
{
	for (int k = 0; j && k < j->n; k++)
		e3_in_close(j->in[k]);
	free(j);
}

/* The current part is over: by its end (why empty), by a failure, or because the next part continues here. */
static int next_part(cat_join *j, const e3_err *why, e3_err *err)
{
	int64_t want = j->limit[j->at];
	if (j->got != want && why->text[0])
		return e3_fail(err, "%s (%s continues after frame %" PRId64 ")", why->text, j->name[j->at + 1], want);
	if (j->got != want)
		return e3_fail(err, "joining: %s: ends with frame %" PRId64 ", but %s continues after frame %" PRId64,
			j->name[j->at], j->got, j->name[j->at + 1], want);
	if (why->text[0])
		e3_note("%s; %s continues after frame %" PRId64, why->text, j->name[j->at + 1], want);
	j->at++;
	return 0;
}

int cat_join_next(cat_join *j, e3_msg *msg, e3_err *err)
{
	for (;;) {
		e3_err why = {""};
		bool last = j->at == j->n - 1;
		int more = e3_in_next(j->in[j->at], msg, last ? err : &why);
		if (last)
			return more;
		if (more < 0 && e3_stop_signal()) {
			*err = why;
			return -1;
		}
		int64_t i = more > 0 ? e3_msg_index(msg) : -1;
		if (more > 0 && msg->kind != E3_END && i <= j->limit[j->at]) {
			if (msg->kind == E3_PRED || msg->kind == E3_FRAME)
				j->got = i;
			return 1;
		}
		if (next_part(j, &why, err))
			return -1;
	}
}
