/* track: the chain in a saved session (e3-cache(5)): a list of named parts. Owns the part "segments". Refuses parts
 * that it does not know, and what does not go with the session. */
#include "state.h"
#include "e3/mem.h"
#include "e3/num.h"
#include <inttypes.h>
#include <stdlib.h>
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

static int save_segments(const e3_track *t, e3_saved_out *to, e3_err *err)
{
	int64_t shared = e3_session_side_frames(t->s);
	const int64_t v[N_INTS] = {t->at.segment, t->at.first, t->i, t->frames, shared, shared ? t->shared.first : 0};
	int rc = e3_put_ints(to, v, N_INTS, err) || e3_put_doubles(to, &t->at.world.s, 1, err) ||
		e3_put_doubles(to, t->at.world.r, 9, err) || e3_put_doubles(to, t->at.world.t, 3, err);
	for (int64_t k = 0; !rc && k < shared; k++)
		rc = e3_put_view(to, &t->shared.a[k], err) || e3_put_view(to, &t->shared.b[k], err);
	return rc ? -1 : 0;
}

/* A frozen session has no side, but the file may: its views are read and not used. */
static int load_segments(e3_track *t, e3_saved_file *from, e3_err *err)
{
	const e3_saved *x = e3_saved_head(from);
	int64_t v[N_INTS];
	e3_similarity *world = &t->at.world;
	if (e3_get_ints(from, v, N_INTS, err) || e3_get_doubles(from, &world->s, 1, err) ||
		e3_get_doubles(from, world->r, 9, err) || e3_get_doubles(from, world->t, 3, err))
		return -1;
	if (v[SEGMENT] < 0 || v[FIRST] < 0 || v[FIRST] > v[NEWEST] || v[NEWEST] != x->position.last_i ||
		v[FRAMES] != e3_saved_seen(x) || v[SEGMENT] > v[FRAMES] || !(world->s > 0))
		return e3_fail(err, "segment %" PRId64 " from frame %" PRId64 " on, %" PRId64 " frames, the last %" PRId64,
			v[SEGMENT], v[FIRST], v[FRAMES], v[NEWEST]);
	if (v[SHARED] != x->past[1].t || v[SHARED] >= t->o.overlap || v[SHARED_FIRST] < 0 || v[SHARED_FIRST] > v[NEWEST])
		return e3_fail(err, "%" PRId64 " shared frames from %" PRId64 " on", v[SHARED], v[SHARED_FIRST]);
	t->at.segment = v[SEGMENT], t->at.first = v[FIRST], t->i = v[NEWEST], t->frames = v[FRAMES];
	t->shared.first = v[SHARED_FIRST];
	for (int64_t k = 0; k < v[SHARED]; k++)
		if (e3_get_view(from, &t->shared.a[k], err) || e3_get_view(from, &t->shared.b[k], err))
			return e3_fail_in(err, "shared frame %" PRId64, k);
	return 0;
}

/* ---- all parts ---- */

static const e3_track_part parts[] = {
	{"segments", 1, has_segments, save_segments, load_segments},
};
enum { N_PARTS = sizeof parts / sizeof *parts };

static int write_parts(void *ctx, e3_saved_out *to, e3_err *err)
{
	const e3_track *t = ctx;
	for (int k = 0; k < N_PARTS; k++) {
		uint8_t version[4];
		e3_put_le32(version, parts[k].version);
		if (parts[k].has(t) &&
			(e3_saved_put(to, parts[k].name, sizeof parts[k].name, err) ||
				e3_saved_put(to, version, sizeof version, err) || parts[k].save(t, to, err)))
			return e3_fail_in(err, "%s", parts[k].name);
	}
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
	return e3_session_save(t->s, &p, &extra, path, err);
}

/* The part whose name and version come next, after part `last` of the table. */
static const e3_track_part *next_part(e3_saved_file *from, int *last, e3_err *err)
{
	char name[sizeof parts->name + 1] = "";
	uint8_t version[4];
	if (e3_saved_get(from, name, sizeof parts->name, err) || e3_saved_get(from, version, sizeof version, err))
		return NULL;
	for (int k = *last + 1; k < N_PARTS; k++)
		if (memcmp(name, parts[k].name, sizeof parts->name) == 0) {
			*last = k;
			if (e3_le32(version) == parts[k].version)
				return &parts[k];
			e3_fail(err, "%s: version %" PRIu32 "; this program reads version %" PRIu32, name, e3_le32(version),
				parts[k].version);
			return NULL;
		}
	e3_fail(err, "a part that is not known to this program or comes twice");
	return NULL;
}

int e3_track_restore(e3_track *t, e3_saved_file *from, e3_err *err)
{
	int last = -1;
	t->frames = e3_saved_seen(e3_saved_head(from));
	while (e3_saved_left(from)) {
		const e3_track_part *part = next_part(from, &last, err);
		if (!part)
			return e3_fail_in(err, "reading the saved cache: segments");
		if (!part->has(t))
			return e3_fail(err, "reading the saved cache: %s: this run has none", part->name);
		if (part->load(t, from, err))
			return e3_fail_in(err, "reading the saved cache: %s", part->name);
	}
	if (has_segments(t) && last < 0)
		return e3_fail(err, "reading the saved cache: lacks the place of its segment");
	return 0;
}
