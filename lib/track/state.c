/* track: the chain in a saved session (e3-cache(5)): a list of named parts. Owns the part "segments". Refuses parts
 * that it does not know, and what does not go with the session. */
#include "state.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "memory is written to the file as it is");

int e3_put_ints(e3_saved_out *to, const int64_t *v, size_t n, e3_err *err)
{
	return e3_saved_put(to, v, n * sizeof *v, err);
}

int e3_put_doubles(e3_saved_out *to, const double *v, size_t n, e3_err *err)
{
	return e3_saved_put(to, v, n * sizeof *v, err);
}

int e3_get_ints(e3_saved_file *from, int64_t *v, size_t n, e3_err *err)
{
	return e3_saved_get(from, v, n * sizeof *v, err);
}

int e3_get_doubles(e3_saved_file *from, double *v, size_t n, e3_err *err)
{
	if (e3_saved_get(from, v, n * sizeof *v, err))
		return -1;
	for (size_t k = 0; k < n; k++)
		if (!isfinite(v[k]))
			return e3_fail(err, "a number is not finite");
	return 0;
}

int e3_put_similarity(e3_saved_out *to, const e3_similarity *v, e3_err *err)
{
	return e3_put_doubles(to, &v->s, 1, err) || e3_put_doubles(to, v->r, 9, err) || e3_put_doubles(to, v->t, 3, err)
		? -1
		: 0;
}

int e3_get_similarity(e3_saved_file *from, e3_similarity *v, e3_err *err)
{
	if (e3_get_doubles(from, &v->s, 1, err) || e3_get_doubles(from, v->r, 9, err) || e3_get_doubles(from, v->t, 3, err))
		return -1;
	return v->s > 0 ? 0 : e3_fail(err, "a scale of %g", v->s);
}

/* ---- views ---- */

int e3_put_view(e3_saved_out *to, const e3_view *v, e3_err *err)
{
	const e3_intrinsics *k = &v->k;
	const int64_t size[4] = {k->w, k->h, v->from, v->step};
	const double lens[4] = {k->fx, k->fy, k->cx, k->cy};
	size_t bytes = (size_t)k->w * (size_t)k->h * sizeof(float);
	return e3_put_ints(to, size, 4, err) || e3_put_doubles(to, v->pose.r, 9, err) ||
			e3_put_doubles(to, v->pose.t, 3, err) || e3_put_doubles(to, v->pose.q, 4, err) ||
			e3_put_doubles(to, lens, 4, err) || e3_saved_put(to, v->depth, bytes, err) ||
			e3_saved_put(to, v->conf, bytes, err)
		? -1
		: 0;
}

int e3_get_view(e3_saved_file *from, e3_view *v, e3_err *err)
{
	int64_t size[4];
	double lens[4];
	const int *picture = e3_saved_head(from)->size;
	e3_view_release(v);
	if (e3_get_ints(from, size, 4, err) || e3_get_doubles(from, v->pose.r, 9, err) ||
		e3_get_doubles(from, v->pose.t, 3, err) || e3_get_doubles(from, v->pose.q, 4, err) ||
		e3_get_doubles(from, lens, 4, err))
		return -1;
	if (size[0] < 1 || size[0] > 65535 || size[1] < 1 || size[1] > 65535 ||
		(uint64_t)(size[0] * size[1]) > e3_saved_left(from) / (2 * sizeof(float)))
		return e3_fail(err, "a view of %" PRId64 " × %" PRId64 " depths", size[0], size[1]);
	if (size[3] < 1 || size[3] > 65535 || size[2] < 0 || size[2] >= size[3])
		return e3_fail(err, "a view of every %" PRId64 ". pixel from %" PRId64 " on", size[3], size[2]);
	for (int k = 0; k < 2; k++)
		if (size[k] != (picture[1 - k] - size[2] + size[3] - 1) / size[3])
			return e3_fail(err, "a view of %" PRId64 " × %" PRId64 " depths, of a picture of %d × %d", size[0], size[1],
				picture[1], picture[0]);
	size_t n = (size_t)(size[0] * size[1]);
	v->depth = e3_alloc(n, sizeof *v->depth, "a view", err);
	v->conf = e3_alloc(n, sizeof *v->conf, "a view", err);
	if (!v->depth || !v->conf || e3_saved_get(from, v->depth, n * sizeof *v->depth, err) ||
		e3_saved_get(from, v->conf, n * sizeof *v->conf, err))
		return -1;
	v->from = (int)size[2], v->step = (int)size[3];
	v->k = (e3_intrinsics){lens[0], lens[1], lens[2], lens[3], (int)size[0], (int)size[1]};
	return 0;
}

/* ---- "segments": which one answers, its place, and what is known of shared frames ---- */

enum { SEGMENT, FIRST, NEWEST, FRAMES, SHARED, SHARED_FIRST, N_INTS };

static bool has_segments(const e3_track *t) { return t->o.segment > 0; }

/* Frames that the next segment has seen: the side may be used by a trial instead. */
static int64_t shared_frames(const e3_track *t) { return e3_trial_frames(t) ? 0 : e3_session_side_frames(t->s); }

static int save_segments(const e3_track *t, e3_saved_out *to, e3_err *err)
{
	int64_t shared = shared_frames(t);
	const int64_t v[N_INTS] = {t->at.segment, t->at.first, t->i, t->frames, shared, shared ? t->shared.first : 0};
	int rc = e3_put_ints(to, v, N_INTS, err) || e3_put_similarity(to, &t->at.world, err);
	for (int64_t k = 0; !rc && k < shared; k++)
		rc = e3_put_view(to, &t->shared.a[k], err) || e3_put_view(to, &t->shared.b[k], err);
	return rc ? -1 : 0;
}

/* A frozen session has no side, but the file may: its views are read and not used. */
static int load_segments(e3_track *t, e3_saved_file *from, e3_err *err)
{
	const e3_saved *x = e3_saved_head(from);
	int64_t v[N_INTS];
	if (e3_get_ints(from, v, N_INTS, err) || e3_get_similarity(from, &t->at.world, err))
		return -1;
	if (v[SEGMENT] < 0 || v[FIRST] < 0 || v[FIRST] > v[NEWEST] || v[NEWEST] != x->position.last_i ||
		v[FRAMES] != e3_saved_seen(x) || v[SEGMENT] > v[FRAMES])
		return e3_fail(err, "segment %" PRId64 " from frame %" PRId64 " on, %" PRId64 " frames, the last %" PRId64,
			v[SEGMENT], v[FIRST], v[FRAMES], v[NEWEST]);
	bool trial = !v[SHARED] && x->position.places; /* may have used the side: the part about loops says */
	if ((v[SHARED] != x->past[1].t && !trial) || v[SHARED] < 0 || v[SHARED] >= t->o.overlap || v[SHARED_FIRST] < 0 ||
		v[SHARED_FIRST] > v[NEWEST])
		return e3_fail(err, "%" PRId64 " shared frames from %" PRId64 " on", v[SHARED], v[SHARED_FIRST]);
	t->at.segment = v[SEGMENT], t->at.first = v[FIRST], t->i = v[NEWEST], t->frames = v[FRAMES];
	t->shared.first = v[SHARED_FIRST];
	for (int64_t k = 0; k < v[SHARED]; k++)
		if (e3_get_view(from, &t->shared.a[k], err) || e3_get_view(from, &t->shared.b[k], err))
			return e3_fail_in(err, "shared frame %" PRId64, k);
	return 0;
}

/* ---- "references": the first frames of the segment that answers, and of the next one, once that has begun ---- */

static size_t pixels_of(const e3_pyramid *p) { return p->levels ? (size_t)p->w[0] * (size_t)p->h[0] : 0; }

static int save_references(const e3_track *t, e3_saved_out *to, e3_err *err)
{
	const e3_reference *each[] = {&t->main, &t->next};
	const int64_t n = shared_frames(t) ? 2 : 1;
	int rc = e3_put_ints(to, &n, 1, err);
	for (int64_t k = 0; !rc && k < n; k++)
		rc = e3_put_view(to, &each[k]->view, err) ||
			e3_saved_put(to, each[k]->picture.px[0], pixels_of(&each[k]->picture) * sizeof(float), err);
	return rc ? -1 : 0;
}

static int load_reference(e3_track *t, e3_reference *to, e3_saved_file *from, e3_err *err)
{
	const e3_plan *plan = e3_session_plan(t->s);
	e3_pyramid *p = &to->picture;
	if (e3_get_view(from, &to->view, err) || e3_pyramid_room(p, plan->size[1], plan->size[0], err) ||
		e3_saved_get(from, p->px[0], pixels_of(p) * sizeof(float), err))
		return -1;
	for (size_t k = 0; k < pixels_of(p); k++)
		if (!(p->px[0][k] >= 0 && p->px[0][k] <= 1))
			return e3_fail(err, "a brightness of %g", (double)p->px[0][k]);
	e3_pyramid_reduce(p);
	return 0;
}

static int load_references(e3_track *t, e3_saved_file *from, e3_err *err)
{
	e3_reference *each[] = {&t->main, &t->next};
	int64_t n;
	if (e3_get_ints(from, &n, 1, err))
		return -1;
	if (n != (t->shared.b[0].depth ? 2 : 1)) /* the views of shared frames were there before */
		return e3_fail(err, "%" PRId64 " first frames", n);
	for (int64_t k = 0; k < n; k++)
		if (load_reference(t, each[k], from, err))
			return e3_fail_in(err, "first frame %" PRId64, k);
	return 0;
}

/* ---- "key frame": with which the next frames are compared ---- */

static int save_key(const e3_track *t, e3_saved_out *to, e3_err *err)
{
	return e3_put_ints(to, &t->since, 1, err) || e3_put_view(to, &t->key, err) ? -1 : 0;
}

static int load_key(e3_track *t, e3_saved_file *from, e3_err *err)
{
	if (e3_get_ints(from, &t->since, 1, err) || e3_get_view(from, &t->key, err))
		return -1;
	return t->since >= 0 ? 0 : e3_fail(err, "%" PRId64 " frames ago", t->since);
}

/* ---- all parts ---- */

enum { PART_SEGMENTS, PART_REFERENCES, PART_KEY, PART_LOOPS, N_PARTS };
static const e3_track_part parts[N_PARTS] = {
	{"segments", 1, has_segments, save_segments, load_segments},
	{"references", 1, has_segments, save_references, load_references},
	{"key frame", 1, e3_track_chooses, save_key, load_key},
	{"loops", 1, e3_has_loops, e3_save_loops, e3_load_loops},
};

/* A part of a chain, as bytes. */
typedef struct one {
	const e3_track *t;
	const e3_track_part *part;
} one;

static int write_one(void *ctx, e3_saved_out *to, e3_err *err)
{
	const one *o = ctx;
	return o->part->save(o->t, to, err);
}

static int write_part(const e3_track *t, const e3_track_part *part, e3_saved_out *to, e3_err *err)
{
	one o = {t, part};
	e3_saved_extra extra = {write_one, &o};
	uint8_t numbers[12];
	uint64_t n;
	if (e3_saved_extra_bytes(&extra, &n, err))
		return -1;
	e3_put_le32(numbers, part->version), e3_put_le32(numbers + 4, (uint32_t)n),
		e3_put_le32(numbers + 8, (uint32_t)(n >> 32));
	return e3_saved_put(to, part->name, sizeof part->name, err) || e3_saved_put(to, numbers, sizeof numbers, err) ||
			part->save(t, to, err)
		? -1
		: 0;
}

static int write_parts(void *ctx, e3_saved_out *to, e3_err *err)
{
	const e3_track *t = ctx;
	for (int k = 0; k < N_PARTS; k++)
		if (parts[k].has(t) && write_part(t, &parts[k], to, err))
			return e3_fail_in(err, "%s", parts[k].name);
	return 0;
}

int e3_track_save(e3_track *t, const e3_stream_position *position, const char *path, e3_err *err)
{
	e3_stream_position p = *position;
	e3_saved_extra extra = {write_parts, t};
	if (t->beside || t->n_edges || t->evict.n_layers)
		return e3_fail(err, "saving the cache: %s: what belongs to frame %" PRId64 " is not on its way yet", path,
			t->i);
	p.earlier = t->frames - e3_session_frames(t->s);
	p.overlap = t->o.segment ? t->o.overlap : 0;
	p.places = t->o.segment && t->o.loops ? t->o.places : 0;
	return e3_session_save(t->s, &p, &extra, path, err);
}

/* What a part begins with: which row of the table it is, and its bytes. */
typedef struct heading {
	int k;
	uint64_t bytes;
} heading;

/* The next part, which comes after part `last` of the table. */
static int next_part(e3_saved_file *from, int last, heading *to, e3_err *err)
{
	char name[sizeof parts->name + 1] = "";
	uint8_t numbers[12];
	if (e3_saved_get(from, name, sizeof parts->name, err) || e3_saved_get(from, numbers, sizeof numbers, err))
		return -1;
	for (to->k = last + 1; to->k < N_PARTS; to->k++)
		if (memcmp(name, parts[to->k].name, sizeof parts->name) == 0)
			break;
	if (to->k == N_PARTS)
		return e3_fail(err, "a part that is not known to this program or comes twice");
	if (e3_le32(numbers) != parts[to->k].version)
		return e3_fail(err, "%s: version %" PRIu32 "; this program reads version %" PRIu32, name, e3_le32(numbers),
			parts[to->k].version);
	to->bytes = e3_le32(numbers + 4) | (uint64_t)e3_le32(numbers + 8) << 32;
	return to->bytes <= e3_saved_left(from)
		? 0
		: e3_fail(err, "%s: %" PRIu64 " bytes of %" PRIu64, name, to->bytes, e3_saved_left(from));
}

static int skip(e3_saved_file *from, uint64_t bytes, e3_err *err)
{
	uint8_t chunk[4096];
	for (size_t n; bytes; bytes -= n) {
		n = bytes < sizeof chunk ? (size_t)bytes : sizeof chunk;
		if (e3_saved_get(from, chunk, n, err))
			return -1;
	}
	return 0;
}

static int load_part(e3_track *t, e3_saved_file *from, const heading *h, e3_err *err)
{
	const e3_track_part *part = &parts[h->k];
	uint64_t left = e3_saved_left(from) - h->bytes;
	if (part->has(t) ? part->load(t, from, err) : skip(from, h->bytes, err))
		return -1;
	if (e3_saved_left(from) != left)
		return e3_fail(err, "does not have the %" PRIu64 " bytes that it says", h->bytes);
	return 0;
}

int e3_track_restore(e3_track *t, e3_saved_file *from, e3_err *err)
{
	heading h = {-1, 0};
	unsigned got = 0;
	t->frames = e3_saved_seen(e3_saved_head(from));
	while (e3_saved_left(from)) {
		if (next_part(from, h.k, &h, err))
			return e3_fail_in(err, "reading the saved cache: segments");
		if (load_part(t, from, &h, err))
			return e3_fail_in(err, "reading the saved cache: %s", parts[h.k].name);
		got |= 1u << h.k;
	}
	for (int k = PART_SEGMENTS; k <= PART_KEY; k++)
		if (parts[k].has(t) && !(got & 1u << k))
			return e3_fail(err, "reading the saved cache: lacks the part '%s'", parts[k].name);
	if (e3_session_side_frames(t->s) && !t->shared.b[0].depth && !e3_trial_frames(t))
		return e3_fail(err, "reading the saved cache: frames beside the stream that are of no segment");
	return 0;
}
