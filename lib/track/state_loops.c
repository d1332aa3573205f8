/* track: the part "loops" of a saved chain: the bank of places, what loops made of the world, and a trial that is under
 * way. Refuses what does not go with the session. */
#include "state.h"
#include "e3/mem.h"
#include <inttypes.h>
#include <math.h>

bool e3_has_loops(const e3_track *t) { return t->loops != NULL; }

int e3_trial_frames(const e3_track *t) { return t->loops && t->loops->at > 0 ? t->loops->at : 0; }

/* ---- places ---- */

/* With the first `frames` of its frames. */
static int put_place(const e3_places *b, const e3_place *p, int frames, e3_saved_out *to, e3_err *err)
{
	const int64_t v[3] = {p->segment, p->frame, frames};
	int rc = e3_put_ints(to, v, 3, err) || e3_put_similarity(to, &p->world, err) ||
		e3_put_doubles(to, &p->walked, 1, err) ||
		e3_saved_put(to, p->descriptor, (size_t)b->dim * sizeof *p->descriptor, err);
	for (int k = 0; !rc && k < frames; k++)
		rc = e3_saved_put(to, p->rgb[k], b->picture, err) || e3_put_view(to, &p->view[k], err);
	return rc ? -1 : 0;
}

/* Into an opened place. */
static int get_place(const e3_places *b, e3_place *p, int frames, e3_saved_file *from, e3_err *err)
{
	int64_t v[3];
	if (e3_get_ints(from, v, 3, err) || e3_get_similarity(from, &p->world, err) ||
		e3_get_doubles(from, &p->walked, 1, err) ||
		e3_saved_get(from, p->descriptor, (size_t)b->dim * sizeof *p->descriptor, err))
		return -1;
	if (v[0] < 0 || v[1] < 0 || v[2] != frames)
		return e3_fail(err, "segment %" PRId64 ", frame %" PRId64 ", with %" PRId64 " pictures, expected %d", v[0],
			v[1], v[2], frames);
	p->segment = v[0], p->frame = v[1];
	for (int k = 0; k < b->dim; k++)
		if (!isfinite(p->descriptor[k]))
			return e3_fail(err, "a descriptor is not finite");
	for (int k = 0; k < frames; k++)
		if (e3_saved_get(from, p->rgb[k], b->picture, err) || e3_get_view(from, &p->view[k], err))
			return -1;
	return 0;
}

static int put_bank(const e3_places *b, e3_saved_out *to, e3_err *err)
{
	int rc = 0;
	for (int k = 0; !rc && k < b->n; k++) {
		int64_t other = b->alike[k].other;
		double likeness = (double)b->alike[k].likeness;
		rc = e3_put_ints(to, &other, 1, err) || e3_put_doubles(to, &likeness, 1, err) ||
			put_place(b, &b->place[k], E3_PLACE_FRAMES, to, err);
	}
	return rc ? -1 : 0;
}

static int get_bank(e3_places *b, int n, e3_saved_file *from, e3_err *err)
{
	for (int k = 0; k < n; k++) {
		int64_t other;
		double likeness;
		e3_place *p = &b->place[k];
		b->n = k + 1; /* what is half read is released too */
		if (e3_get_ints(from, &other, 1, err) || e3_get_doubles(from, &likeness, 1, err) || e3_place_open(b, p, err) ||
			get_place(b, p, E3_PLACE_FRAMES, from, err))
			return e3_fail_in(err, "place %d", k);
		if (other != -1 && (other <= k || other >= n))
			return e3_fail(err, "place %d looks like place %" PRId64 " of %d", k, other, n);
		if (k && p->segment < p[-1].segment)
			return e3_fail(err, "place %d is older than the one before", k);
		b->alike[k] = (struct e3_alike){(float)likeness, (int)other};
	}
	return 0;
}

/* ---- the loops ---- */

enum { N, DIM, EVEN, ODD, PLACES, BEGUN, AT, TRIED, FOUND, N_INTS };

int e3_save_loops(const e3_track *t, e3_saved_out *to, e3_err *err)
{
	const e3_loops *l = t->loops;
	const e3_places *b = &l->bank;
	const int64_t v[N_INTS] = {b->n, b->dim, l->filled[0], l->filled[1], l->places, l->begun, l->at, l->tried,
		l->found};
	int rc = e3_put_ints(to, v, N_INTS, err) || e3_put_doubles(to, l->mean, (size_t)b->dim, err) ||
		e3_put_similarity(to, &l->fix, err) || e3_put_doubles(to, &l->walked, 1, err) ||
		e3_put_doubles(to, l->last, 3, err) || put_bank(b, to, err);
	for (int k = 0; !rc && k < 2; k++) {
		e3_place p = l->filling[k];
		p.world = e3_similarity_identity, p.walked = 0; /* not known before its segment ends */
		rc = l->filled[k] ? put_place(b, &p, l->filled[k], to, err) : 0;
	}
	if (!rc && l->at >= 0)
		rc = put_place(b, &l->older, E3_PLACE_FRAMES, to, err) || put_place(b, &l->newer, E3_PLACE_FRAMES, to, err);
	for (int k = 0; !rc && k < l->at; k++)
		rc = e3_put_view(to, &l->seen[k], err);
	return rc ? -1 : 0;
}

static int check_numbers(const e3_track *t, const int64_t v[N_INTS], e3_err *err)
{
	const e3_places *b = &t->loops->bank;
	if (v[N] < 0 || v[N] > b->most || v[DIM] != b->dim || v[PLACES] < v[N])
		return e3_fail(err, "%" PRId64 " places of %" PRId64 ", with %" PRId64 " numbers, expected up to %d with %d",
			v[N], v[PLACES], v[DIM], b->most, b->dim);
	for (int k = EVEN; k <= ODD; k++)
		if (v[k] < 0 || v[k] > E3_PLACE_FRAMES)
			return e3_fail(err, "a place with %" PRId64 " pictures", v[k]);
	if (v[BEGUN] < 0 || v[BEGUN] > 1 || v[TRIED] < v[FOUND] || v[FOUND] < 0)
		return e3_fail(err, "%" PRId64 " loops of %" PRId64 " tried", v[FOUND], v[TRIED]);
	if (v[AT] < -1 || v[AT] >= E3_LOOP_FRAMES || (v[AT] > 0 && v[AT] != e3_session_side_frames(t->s)))
		return e3_fail(err, "%" PRId64 " frames tried, %" PRId64 " beside the stream", v[AT],
			e3_session_side_frames(t->s));
	return 0;
}

int e3_load_loops(e3_track *t, e3_saved_file *from, e3_err *err)
{
	e3_loops *l = t->loops;
	e3_places *b = &l->bank;
	int64_t v[N_INTS];
	if (e3_get_ints(from, v, N_INTS, err) || check_numbers(t, v, err) ||
		e3_get_doubles(from, l->mean, (size_t)b->dim, err) || e3_get_similarity(from, &l->fix, err) ||
		e3_get_doubles(from, &l->walked, 1, err) || e3_get_doubles(from, l->last, 3, err) ||
		get_bank(b, (int)v[N], from, err))
		return -1;
	for (int k = 0; k < 2; k++)
		if (v[EVEN + k] && get_place(b, &l->filling[k], (int)v[EVEN + k], from, err))
			return e3_fail_in(err, "the place of a segment");
	if (v[AT] >= 0 &&
		(get_place(b, &l->older, E3_PLACE_FRAMES, from, err) || get_place(b, &l->newer, E3_PLACE_FRAMES, from, err)))
		return e3_fail_in(err, "what is tried");
	for (int k = 0; k < v[AT]; k++)
		if (e3_get_view(from, &l->seen[k], err))
			return e3_fail_in(err, "what is tried");
	l->filled[0] = (int)v[EVEN], l->filled[1] = (int)v[ODD];
	l->places = v[PLACES], l->begun = v[BEGUN], l->at = (int)v[AT];
	l->tried = v[TRIED], l->found = v[FOUND];
	return 0;
}
