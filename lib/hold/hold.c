/* hold: messages in a nameless temporary file until the corrections of their stream are complete. Holds one of them in
 * memory. */
#include "e3/hold.h"
#include "e3/io.h"
#include "e3/mem.h"
#include <stdlib.h>

struct e3_hold {
	unsigned kinds;
	e3_corrections corrections;
	FILE *spool; /* NULL: nothing was put */
	uint64_t bytes, n, at;
	e3_msg msg; /* what e3_hold_next handed out last */
	size_t room;
	bool waits;    /* whatever the head says */
	bool holding;  /* the head announced corrections, or it waits */
	bool complete; /* and the stream has been read to its end, or to a failure */
	bool failed;
	e3_err why;
};

/* Precedes each message. Only the process that wrote it reads it. */
typedef struct record {
	int kind;
	size_t len;
} record;

e3_hold *e3_hold_open(unsigned kinds, e3_err *err)
{
	e3_hold *h = e3_alloc(1, sizeof *h, "held messages", err);
	if (h)
		*h = (e3_hold){.kinds = kinds ? kinds : ~0U};
	return h;
}

/* So that a disk that is full costs none of the messages before. */
static int flush(e3_hold *h, e3_err *err)
{
	return fflush(h->spool) ? e3_fail_sys(err, "writing to a temporary file (TMPDIR chooses where)") : 0;
}

int e3_hold_put(e3_hold *h, const e3_msg *msg, e3_err *err)
{
	record r = {.kind = msg->kind, .len = msg->len};
	if (!(h->kinds >> msg->kind & 1))
		return 0;
	if (!h->spool && !(h->spool = e3_spool(err)))
		return -1;
	if (e3_spool_write(h->spool, &r, sizeof r, err) || e3_spool_write(h->spool, msg->bytes, msg->len, err) ||
		flush(h, err)) {
		(void)e3_spool_cut(h->spool, h->bytes, NULL);
		return -1;
	}
	h->n++, h->bytes += sizeof r + msg->len;
	return 0;
}

int e3_hold_correct(e3_hold *h, const e3_correct *x, e3_err *err)
{
	return e3_corrections_add(&h->corrections, x, err);
}

int e3_hold_next(e3_hold *h, e3_msg *msg, e3_err *err)
{
	record r;
	if (h->at == h->n)
		return 0;
	if (h->at == 0 && (fflush(h->spool) || fseeko(h->spool, 0, SEEK_SET)))
		return e3_fail_sys(err, "reading a temporary file");
	if (e3_spool_read(h->spool, &r, sizeof r, err))
		return -1;
	if (r.len > h->room) {
		if (e3_grow((void **)&h->msg.bytes, r.len, 1, "a held message", err))
			return -1;
		h->room = r.len;
	}
	if (e3_spool_read(h->spool, h->msg.bytes, r.len, err))
		return -1;
	h->msg.kind = r.kind, h->msg.len = r.len;
	*msg = h->msg;
	h->at++;
	return 1;
}

int e3_hold_of(const e3_hold *h, int64_t i, e3_similarity *out, e3_err *err)
{
	const e3_correction *c = e3_corrections_of(&h->corrections, i);
	if (!c)
		return 0;
	return e3_similarity_unpack(c->sim, out, err) ? e3_fail_in(err, "correcting frame %lld", (long long)i) : 1;
}

int e3_hold_pred(const e3_hold *h, e3_pred *pred, e3_err *err)
{
	e3_similarity sim;
	int there = e3_hold_of(h, pred->s.i, &sim, err);
	if (there <= 0)
		return there;
	return e3_similarity_pred(&sim, pred, err) ? e3_fail_in(err, "correcting frame %lld", (long long)pred->s.i) : 0;
}

bool e3_hold_corrects(const e3_hold *h, int64_t i) { return e3_corrections_of(&h->corrections, i); }

uint64_t e3_hold_bytes(const e3_hold *h) { return h->bytes; }

void e3_hold_close(e3_hold *h)
{
	if (!h)
		return;
	if (h->spool)
		fclose(h->spool);
	e3_corrections_release(&h->corrections);
	free(h->msg.bytes);
	free(h);
}

void e3_hold_wait(e3_hold *h) { h->waits = true; }

int e3_hold_from_in(void *in, e3_msg *msg, e3_err *err) { return e3_in_next(in, msg, err); }

static int begin(e3_hold *h, const e3_msg *msg, e3_err *err)
{
	e3_head head = {0};
	if (e3_head_decode(msg, &head, err))
		return -1;
	h->holding = head.corrects || h->waits;
	e3_head_release(&head);
	return 1;
}

static int take(e3_hold *h, const e3_msg *msg, e3_err *err)
{
	e3_correct x;
	if (msg->kind != E3_CORRECT)
		return e3_hold_put(h, msg, err);
	return e3_correct_decode(msg, &x, err) || e3_hold_correct(h, &x, err) ? -1 : 0;
}

int e3_hold_read(e3_hold *h, e3_hold_source *next, void *from, e3_msg *msg, e3_err *err)
{
	int more = 1;
	if (!h->holding) {
		more = next(from, msg, err);
		return more > 0 && msg->kind == E3_HEAD ? begin(h, msg, err) : more;
	}
	while (!h->complete && (more = next(from, msg, err)) > 0)
		if (take(h, msg, &h->why)) {
			h->complete = h->failed = true;
			break;
		}
	if (more < 0)
		return -1;
	h->complete = true;
	more = e3_hold_next(h, msg, err);
	return !more && h->failed ? e3_fail(err, "%s", h->why.text) : more;
}
