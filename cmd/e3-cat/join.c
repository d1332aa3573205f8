/* e3-cat: --then: joins the parts of a run that was stopped and resumed into one stream. Owns where a part ends: at the
 * frame after which a later part continues, not at its own end, which may be missing. Refuses gaps. */
#include "cat.h"
#include "e3/mem.h"
#include "e3/tool.h"
#include "e3/value.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct cat_join {
	const char *const *name;
	e3_in *in[CAT_PARTS];
	int64_t limit[CAT_PARTS]; /* the last frame used of each part; INT64_MAX: all */
	bool corrects[CAT_PARTS]; /* its head announces corrections; of the first part known once it was handed out */
	int n, at;
	int64_t got;     /* the last frame handed out */
	int64_t segment; /* of the last prediction handed out; -1: none */
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
	j->limit[k - 1] = head.after, j->corrects[k] = head.corrects;
	e3_head_release(&head);
	return rc;
}

cat_join *cat_join_open(const char *const *part, int n, const e3_stream_options *options, e3_err *err)
{
	cat_join *j = e3_alloc(1, sizeof *j, "inputs", err);
	if (!j)
		return NULL;
	j->name = part, j->got = -1, j->segment = -1;
	e3_stream_options later = *options;
	later.all = true; /* a later part may begin with what belongs to the last frame of the one before it */
	for (; j->n < n; j->n++) {
		if (!(j->in[j->n] = e3_in_open(part[j->n], j->n ? &later : options, err)) ||
			(j->n && read_head(j, j->n, err))) {
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

/* The head of the first part is that of the whole. */
static int first_head(cat_join *j, const e3_msg *msg, e3_err *err)
{
	e3_head head = {0};
	if (e3_head_decode(msg, &head, err))
		return -1;
	j->corrects[0] = head.corrects;
	e3_head_release(&head);
	for (int k = 1; k < j->n; k++)
		if (j->corrects[k] && !j->corrects[0])
			return e3_fail(err, "joining: %s: announces corrections, which %s does not: join first, then correct",
				j->name[k], j->name[0]);
	return 0;
}

/* Segments are counted through all parts: a part that begins to count again does not continue the one before it. */
static int segment_of(cat_join *j, const e3_msg *msg, e3_err *err)
{
	enum { ENVELOPE = 6 };
	e3_value v;
	if (!e3_body_find(msg->bytes + ENVELOPE, msg->len - ENVELOPE, "segment", &v, NULL) || v.type != E3_V_INT)
		return 0;
	if (v.i < j->segment)
		return e3_fail(err,
			"joining: %s: frame %" PRId64 " is of segment %" PRId64 ", but segment %" PRId64 " came before",
			j->name[j->at], e3_msg_index(msg), v.i, j->segment);
	j->segment = v.i;
	return 0;
}

static int take(cat_join *j, const e3_msg *msg, int64_t i, e3_err *err)
{
	if (msg->kind == E3_HEAD)
		return first_head(j, msg, err);
	if (msg->kind == E3_PRED || msg->kind == E3_FRAME)
		j->got = i;
	return msg->kind == E3_PRED ? segment_of(j, msg, err) : 0;
}

int cat_join_next(cat_join *j, e3_msg *msg, e3_err *err)
{
	for (;;) {
		e3_err why = {""};
		bool last = j->at == j->n - 1;
		int more = e3_in_next(j->in[j->at], msg, last ? err : &why);
		if (last && (j->n == 1 || more <= 0))
			return more;
		if (more < 0 && e3_stop_signal()) {
			*err = why;
			return -1;
		}
		int64_t i = more > 0 ? e3_msg_index(msg) : -1;
		if (last || (more > 0 && msg->kind != E3_END && i <= j->limit[j->at]))
			return take(j, msg, i, err) ? -1 : 1;
		if (next_part(j, &why, err))
			return -1;
	}
}
