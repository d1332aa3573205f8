/* view: the order in which a client gets records. Owns what was sent to it. */
#include "view/plan.h"
#include "e3/num.h"
#include <stdlib.h>
#include <string.h>

enum { ALL = 255, TRIES = 256 };
enum { HAS_PICTURE = 2, HAS_DEPTH = 4, HAS_CHUNK = 16 }; /* flags of a frame record (e3-view(5)) */

static int64_t store_frames(void *of, int run) { return e3_view_frames(of, run); }
static int64_t store_kept(void *of, int run) { return e3_view_kept(of, run); }
static int64_t store_corrections(void *of, int run) { return e3_view_corrections(of, run); }

static int store_get(void *of, const e3_view_key *key, e3_buf *out, e3_err *err)
{
	return e3_view_get(of, key, out, err);
}

view_source view_source_of(e3_view_store *v)
{
	return (view_source){v, store_frames, store_kept, store_corrections, store_get};
}

void view_plan_init(view_plan *p, view_source source)
{
	*p = (view_plan){.source = source, .points = INT64_MAX};
	for (int r = 0; r < E3_VIEW_RUNS; r++)
		p->run[r].from = p->run[r].to = p->run[r].at = p->run[r].look = -1;
}

void view_plan_release(view_plan *p)
{
	for (int r = 0; r < E3_VIEW_RUNS; r++)
		free(p->run[r].flags), free(p->run[r].pieces);
	memset(p, 0, sizeof *p);
}

int64_t view_piece_at(int k)
{
	enum { DOUBLINGS = 5 }; /* 1024 << 5 is VIEW_PIECE_MOST */
	if (k == 0)
		return 0;
	return k <= DOUBLINGS ? (int64_t)VIEW_PIECE << (k - 1) : (int64_t)VIEW_PIECE_MOST * (k - DOUBLINGS);
}

int64_t view_piece_points(int k) { return view_piece_at(k + 1) - view_piece_at(k); }

static uint8_t bit(int type) { return (uint8_t)(1 << type % 8); }

void view_plan_want(view_plan *p, const view_ask *ask)
{
	view_track *t = &p->run[ask->want.run];
	t->from = ask->want.from, t->to = ask->want.to, t->at = ask->want.at, t->look = ask->want.look;
	t->n_also = ask->want.n_also;
	memcpy(t->also, ask->want.also, sizeof t->also);
	if (!ask->want.again)
		return;
	/* What the cache held is sent as what changed since the frame before: that one is forgotten too. */
	int64_t from = t->from > 0 ? t->from - 1 : 0, to = t->to < 0 || t->to >= t->frames ? t->frames - 1 : t->to;
	for (int64_t n = from; n <= to; n++)
		t->flags[n] &= n < t->from ? (uint8_t)~bit(E3_VIEW_KEPT) : 0;
}

/* The frame whose pictures are shown; -1: none yet. */
static int64_t focus(const view_plan *p, int r)
{
	const view_track *t = &p->run[r];
	int64_t last = p->source.frames(p->source.of, r) - 1;
	int64_t f = t->at < 0 ? t->frames - 1 : t->at > last ? last : t->at;
	return f < t->frames ? f : -1;
}

/* The run's frame record that is next; the run that has had fewer first. */
static bool next_frame(const view_plan *p, e3_view_key *key)
{
	int best = -1;
	for (int r = 0; r < E3_VIEW_RUNS; r++)
		if (p->run[r].frames < p->source.frames(p->source.of, r) &&
			(best < 0 || p->run[r].frames < p->run[best].frames))
			best = r;
	if (best < 0)
		return false;
	*key = (e3_view_key){.type = E3_VIEW_FRAME, .run = best, .n = p->run[best].frames};
	return true;
}

static bool next_correction(const view_plan *p, int r, e3_view_key *key)
{
	*key = (e3_view_key){.type = E3_VIEW_CORRECT, .run = r, .n = p->run[r].corrections};
	return p->run[r].corrections < p->source.corrections(p->source.of, r);
}

/* A full record where the client lacks the one before. */
static bool next_kept(const view_plan *p, int r, int64_t f, e3_view_key *key)
{
	const view_track *t = &p->run[r];
	int64_t known = p->source.kept(p->source.of, r), n = f < known ? f : known - 1;
	if (n < 0 || t->flags[n] & bit(E3_VIEW_KEPT))
		return false;
	bool follows = n > 0 && t->flags[n - 1] & bit(E3_VIEW_KEPT);
	*key = (e3_view_key){.type = E3_VIEW_KEPT, .run = r, .n = n, .count = follows ? 0 : 1};
	return true;
}

static e3_view_key piece_of(const view_plan *p, int r, int64_t n)
{
	int k = p->run[r].pieces[n];
	return (e3_view_key){.type = E3_VIEW_CHUNK,
		.run = r,
		.n = n,
		.offset = view_piece_at(k),
		.count = view_piece_points(k)};
}

/* Of frame n, where it was sent and has them: its picture, and with `last` what else there is like it. */
static bool next_picture(const view_plan *p, int r, int64_t n, int last, e3_view_key *key)
{
	const view_track *t = &p->run[r];
	for (int type = E3_VIEW_PICTURE; n >= 0 && n < t->frames && type <= last; type++)
		if (!(t->flags[n] & bit(type))) {
			*key = (e3_view_key){.type = type, .run = r, .n = n};
			return true;
		}
	return false;
}

static bool next_beside(const view_plan *p, int r, e3_view_key *key)
{
	const view_track *t = &p->run[r];
	for (int k = 0; k < t->n_also; k++)
		if (next_picture(p, r, t->also[k], E3_VIEW_PICTURE, key))
			return true;
	return false;
}

static bool next_of_focus(const view_plan *p, int r, e3_view_key *key)
{
	const view_track *t = &p->run[r];
	int64_t f = focus(p, r);
	if (f < 0)
		return false;
	if (next_picture(p, r, f, E3_VIEW_CONFIDENCE, key) || next_kept(p, r, f, key) ||
		next_picture(p, r, t->look, E3_VIEW_CONFIDENCE, key))
		return true;
	*key = piece_of(p, r, f);
	return t->pieces[f] == 0 && p->points > 0;
}

/* The last frame of lo .. hi - 1 of which k pieces were sent, on a grid that gets finer: -1 for none. */
static int64_t find(const view_track *t, int64_t lo, int64_t hi, int k, bool spread)
{
	if (lo >= hi)
		return -1;
	for (int64_t step = spread ? 64 : 1; step > 1; step /= 4)
		for (int64_t n = (hi - 1) / step * step; n >= lo && n >= 0; n -= step)
			if (t->pieces[n] == k)
				return n;
	const uint8_t *at = memrchr(t->pieces + lo, k, (size_t)(hi - lo));
	return at ? at - t->pieces : -1;
}

/* Piece k of a frame that lacks it, first of those that the client looks at. */
static bool next_piece(const view_plan *p, int r, int k, e3_view_key *key)
{
	const view_track *t = &p->run[r];
	int64_t lo = t->from < 0 ? 0 : t->from, hi = t->to < 0 || t->to >= t->frames ? t->frames : t->to + 1;
	int64_t n = lo == 0 && hi == t->frames ? -1 : find(t, lo, hi, k, k == 0);
	n = n < 0 ? find(t, 0, t->frames, k, k == 0) : n;
	if (n >= 0)
		*key = piece_of(p, r, n);
	return n >= 0;
}

/* Pieces that a frame may have, so that all frames together stay within what the client wants. */
static int most_pieces(const view_plan *p)
{
	int64_t frames = p->run[0].frames + p->run[1].frames, share = frames ? p->points / frames : p->points;
	int k = 0;
	while (k < ALL - 1 && view_piece_at(k) < share)
		k++;
	return k;
}

static bool next_points(view_plan *p, e3_view_key *key)
{
	int most = most_pieces(p), deepest = p->run[p->run[1].deepest > p->run[0].deepest].deepest;
	most = most <= deepest ? most : deepest + 1;
	int64_t f[E3_VIEW_RUNS] = {focus(p, 0), focus(p, 1)};
	for (int k = 0; k < most; k++) {
		for (int j = 0; j < E3_VIEW_RUNS; j++)
			if (next_piece(p, (p->turn + j) % E3_VIEW_RUNS, k, key))
				return true;
		for (int r = 0; k == 0 && r < E3_VIEW_RUNS; r++)
			if (f[r] >= 0 && p->run[r].pieces[f[r]] < most) {
				*key = piece_of(p, r, f[r]);
				return true;
			}
	}
	return false;
}

static bool choose(view_plan *p, e3_view_key *key)
{
	e3_view_key record;
	bool frame = next_frame(p, &record);
	if (frame && p->row < VIEW_PLAN_ROW) {
		*key = record;
		return true;
	}
	for (int j = 0; j < E3_VIEW_RUNS; j++)
		if (next_correction(p, (p->turn + j) % E3_VIEW_RUNS, key))
			return true;
	for (int j = 0; j < E3_VIEW_RUNS; j++)
		if (next_of_focus(p, (p->turn + j) % E3_VIEW_RUNS, key))
			return true;
	for (int j = 0; j < E3_VIEW_RUNS; j++)
		if (next_beside(p, (p->turn + j) % E3_VIEW_RUNS, key))
			return true;
	if (next_points(p, key))
		return true;
	*key = record;
	return frame;
}

/* After a frame record: what its flags say that there is not need not be asked for. */
static int add_frame(view_track *t, const uint8_t *record, e3_err *err)
{
	size_t n = (size_t)t->frames;
	if (n >= t->flags_room) {
		size_t room = n < 512 ? 1024 : 2 * n;
		if (e3_grow((void **)&t->flags, room, 1, "what was sent", err))
			return -1;
		t->flags_room = room;
		if (e3_grow((void **)&t->pieces, room, 1, "what was sent", err))
			return -1;
		t->pieces_room = room;
	}
	unsigned has = e3_le16(record + 6);
	t->flags[n] = (uint8_t)((has & HAS_PICTURE ? 0 : bit(E3_VIEW_PICTURE)) |
		(has & HAS_DEPTH ? 0 : bit(E3_VIEW_DEPTH) | bit(E3_VIEW_CONFIDENCE)));
	t->pieces[n] = has & HAS_CHUNK ? 0 : ALL;
	t->frames++;
	return 0;
}

static void add_kept(view_track *t, int64_t n, const uint8_t *record)
{
	int64_t from = record ? e3_le32(record + 8) : n;
	for (int64_t k = from < n ? from : n; k <= n; k++)
		t->flags[k] |= bit(E3_VIEW_KEPT);
}

static void add_piece(view_track *t, const e3_view_key *key, const uint8_t *record)
{
	int64_t end = record ? (int64_t)e3_le32(record + E3_VIEW_HEADER) + e3_le32(record + E3_VIEW_HEADER + 4) : 0;
	bool more = record && end < (int64_t)e3_le32(record + E3_VIEW_HEADER + 8);
	t->pieces[key->n] = more && t->pieces[key->n] < ALL - 1 ? (uint8_t)(t->pieces[key->n] + 1) : ALL;
	if (t->pieces[key->n] != ALL && t->pieces[key->n] > t->deepest)
		t->deepest = t->pieces[key->n];
}

/* record: NULL where there is none. */
static int add(view_plan *p, const e3_view_key *key, const uint8_t *record, size_t len, e3_err *err)
{
	view_track *t = &p->run[key->run];
	p->turn = (key->run + 1) % E3_VIEW_RUNS;
	if (record)
		p->row = key->type == E3_VIEW_FRAME ? p->row + len : 0;
	switch (key->type) {
	case E3_VIEW_FRAME:
		return record ? add_frame(t, record, err) : e3_fail(err, "frame %lld is missing", (long long)key->n);
	case E3_VIEW_CORRECT:
		t->corrections++;
		return 0;
	case E3_VIEW_KEPT:
		add_kept(t, key->n, record);
		return 0;
	case E3_VIEW_CHUNK:
		add_piece(t, key, record);
		return 0;
	default:
		t->flags[key->n] |= bit(key->type);
		return 0;
	}
}

int view_plan_next(view_plan *p, e3_buf *out, e3_err *err)
{
	e3_view_key key;
	p->unfinished = false;
	size_t at = out->len;
	int k = 0;
	for (; k < TRIES && choose(p, &key); k++) {
		int got = p->source.get(p->source.of, &key, out, err);
		if (got < 0)
			return -1;
		if (add(p, &key, got ? (const uint8_t *)out->data + at : NULL, out->len - at, err))
			return -1;
		if (got)
			return 1;
	}
	p->unfinished = k == TRIES;
	return 0;
}
