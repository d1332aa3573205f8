/* trace: the cache, replayed from eviction records: which tokens each layer holds, and how long it kept the others.
 *
 * A token that was removed never returns, so one number per (layer, token) is enough: the steps it was kept
 * (doc/formats.md 7.2). The numbers of a frame's tokens are allocated when the first of them is removed.
 */
#include "e3/trace.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int e3_replay_init(e3_replay *r, const e3_trace_shape *shape, e3_err *err)
{
	*r = (e3_replay){.shape = *shape};
	return 0;
}

void e3_replay_release(e3_replay *r)
{
	for (int64_t k = 0; r->life && k < r->steps * r->shape.layers; k++)
		free(r->life[k]);
	for (int64_t k = 0; k < r->segments; k++) {
		e3_trace_segment *s = &r->segment[k];
		free(s->step), free(s->alive), free(s->patches), free(s->of_first), free(s->specials), free(s->common);
	}
	void *parts[] = {r->step, r->cell, r->life, r->by_frame, r->answer, r->segment};
	for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
		free(parts[k]);
	*r = (e3_replay){0};
}

void e3_replay_forget(e3_replay *r, int64_t segment)
{
	const e3_trace_segment *s = &r->segment[segment];
	for (int64_t k = 0; k < s->steps; k++)
		for (int l = 0; l < r->shape.layers; l++) {
			uint16_t **life = &r->life[s->step[k] * r->shape.layers + l];
			free(*life);
			*life = NULL;
		}
}

static int make_room(e3_replay *r, e3_err *err)
{
	if (r->steps < r->room)
		return 0;
	size_t room = r->room ? 2 * (size_t)r->room : 64, per_step = room * (size_t)r->shape.layers;
	if (e3_grow((void **)&r->step, room, sizeof *r->step, "steps", err) ||
		e3_grow((void **)&r->by_frame, room, sizeof *r->by_frame, "steps", err) ||
		e3_grow((void **)&r->answer, room, sizeof *r->answer, "steps", err) ||
		e3_grow((void **)&r->cell, per_step, sizeof *r->cell, "steps of the layers", err) ||
		e3_grow((void **)&r->life, per_step, sizeof *r->life, "lives", err))
		return -1;
	r->room = (int64_t)room;
	return 0;
}

/* --- segments --- */

const e3_trace_segment *e3_replay_segment(const e3_replay *r, int64_t number)
{
	for (int64_t k = r->segments - 1; k >= 0 && r->segment[k].end == INT64_MAX; k--)
		if (r->segment[k].number == number)
			return &r->segment[k];
	return NULL;
}

static int begin_segment(e3_replay *r, const e3_evict *rec, e3_err *err)
{
	size_t n = (size_t)r->segments;
	if ((n & (n - 1)) == 0 &&
		e3_grow((void **)&r->segment, n ? 2 * n : 1, sizeof *r->segment, "segments", err)) /* full at powers of two */
		return -1;
	e3_trace_segment *s = &r->segment[r->segments++];
	*s = (e3_trace_segment){.number = rec->segment, .first = rec->first, .end = INT64_MAX};
	uint32_t **counts[] = {&s->alive, &s->patches, &s->of_first, &s->specials, &s->common};
	for (int k = 0; k < 5; k++)
		if (!(*counts[k] = e3_alloc((size_t)r->shape.layers, sizeof(uint32_t), "counts of the layers", err)))
			return -1;
	return 0;
}

/* The segment of a record, with room for a step. The first record of a frame is of the segment that answers: those
 * before it are over. */
static e3_trace_segment *enter_segment(e3_replay *r, const e3_evict *rec, e3_err *err)
{
	const e3_trace_segment *found = e3_replay_segment(r, rec->segment);
	if (!found && begin_segment(r, rec, err))
		return NULL;
	int64_t at = found ? found - r->segment : r->segments - 1;
	e3_trace_segment *s = &r->segment[at];
	if (s->steps == s->room) {
		size_t room = s->room ? 2 * (size_t)s->room : 32;
		if (e3_grow((void **)&s->step, room, sizeof *s->step, "steps of a segment", err))
			return NULL;
		s->room = (int64_t)room;
	}
	bool answers = r->frames == 0 || rec->i != r->step[r->answer[r->frames - 1]].i;
	for (int64_t k = at - 1; answers && k >= 0 && r->segment[k].end == INT64_MAX; k--)
		r->segment[k].end = r->steps;
	if (answers)
		r->answer[r->frames++] = r->steps;
	r->step[r->steps] =
		(e3_trace_step){.i = rec->i, .frame = r->frames - 1, .local = s->steps, .segment = at, .passing = rec->passing};
	s->step[s->steps] = r->steps;
	return s;
}

int64_t e3_replay_answer(const e3_replay *r, int64_t frame) { return frame < r->frames ? r->answer[frame] : -1; }

int64_t e3_replay_last(const e3_replay *r, int64_t segment)
{
	const e3_trace_segment *s = &r->segment[segment];
	return s->step[s->steps - 1];
}

int64_t e3_replay_longest(const e3_replay *r)
{
	int64_t most = 0;
	for (int64_t k = 0; k < r->segments; k++)
		most = r->segment[k].steps > most ? r->segment[k].steps : most;
	return most;
}

/* Frames enter a segment one after the other. */
int64_t e3_replay_step_of(const e3_replay *r, int64_t segment, int64_t frame)
{
	const e3_trace_segment *s = &r->segment[segment];
	int64_t local = frame - r->step[s->step[0]].frame;
	return local >= 0 && local < s->steps ? s->step[local] : -1;
}

/* --- tokens --- */

static uint16_t *life_row(const e3_replay *r, int layer, int64_t f) { return r->life[f * r->shape.layers + layer]; }

static bool alive_now(const e3_replay *r, int layer, int64_t f, int index)
{
	const uint16_t *row = life_row(r, layer, f);
	return !row || row[index] == 0;
}

int32_t e3_replay_life(const e3_replay *r, int layer, int64_t f, int index)
{
	const uint16_t *row = life_row(r, layer, f);
	return row ? (int32_t)row[index] - 1 : -1;
}

bool e3_replay_alive_at(const e3_replay *r, int layer, int64_t f, int index, int64_t t)
{
	if (r->step[f].segment != r->step[t].segment)
		return false;
	int32_t life = e3_replay_life(r, layer, f, index);
	int64_t age = r->step[t].local - r->step[f].local;
	return age >= 0 && (life < 0 || age < life);
}

int e3_replay_holders(const e3_replay *r, int64_t f, int index, int64_t t)
{
	int n = 0;
	for (int l = 0; l < r->shape.layers; l++)
		n += e3_replay_alive_at(r, l, f, index, t);
	return n;
}

/* The newest frames among which so many are key frames, the coming one included. */
static int64_t newest_with(const e3_replay *r, const e3_trace_segment *s, bool passing, int64_t keys)
{
	int64_t n = 1, found = !passing;
	for (int64_t k = s->steps - 1; k >= 0 && found < keys; k--, n++)
		found += !r->step[s->step[k]].passing;
	return keys ? n : 0;
}

int64_t e3_replay_protected_frames(const e3_replay *r, const e3_trace_segment *s, const e3_evict *rec, int layer,
	bool *first_too)
{
	const e3_evict_layer *x = &rec->layer[layer];
	uint32_t prot = x->prot;
	int64_t t = s->steps, special = r->shape.special, kept = s->kept + !rec->passing;
	int64_t first = t ? (int64_t)s->of_first[layer] : r->shape.n,
			specials = t ? s->specials[layer] + (rec->passing ? 0 : special) : 0;
	*first_too = true;
	if (prot == first + specials)
		return t + 1;
	if (special <= 0)
		return -1;
	bool without = prot % special == 0 && prot / special <= kept,
		 goes = x->n_removed && x->removed[0] < (uint32_t)r->shape.n;
	if (first == r->shape.n && !(without && goes) && prot >= first && (prot - first) % special == 0 &&
		(prot - first) / special < kept)
		return newest_with(r, s, rec->passing, (prot - first) / special);
	*first_too = !without;
	return without ? newest_with(r, s, rec->passing, prot / special) : -1;
}

/* What a record says is protected. */
typedef struct guard {
	int64_t frames;
	bool first;
} guard;

/* Removes one token, and keeps the counts of what is alive up to date: no step needs a pass over the cache. */
static int remove_token(e3_replay *r, int layer, uint32_t id, guard g, e3_err *err)
{
	e3_trace_cell *c = r->cell + r->steps * r->shape.layers + layer;
	e3_trace_segment *s = &r->segment[r->step[r->steps].segment];
	const e3_trace_shape *sh = &r->shape;
	int64_t t = s->steps, local = id / (uint32_t)sh->n;
	int index = (int)(id % (uint32_t)sh->n);
	if (local > t || !alive_now(r, layer, s->step[local], index))
		return 0;
	int64_t f = s->step[local];
	uint16_t **row = &r->life[f * sh->layers + layer];
	if (!*row && !(*row = e3_alloc((size_t)sh->n, sizeof **row, "lives of a frame's tokens", err)))
		return -1;
	(*row)[index] = (uint16_t)((t - local < E3_TRACE_LIFE_MAX ? t - local : E3_TRACE_LIFE_MAX - 1) + 1);
	s->alive[layer]--;
	bool own = local == t && r->step[r->steps].passing; /* it was never to stay */
	c->protected_evicted += !own && ((local == 0 && g.first) || (index < sh->special && local + g.frames > t));
	s->of_first[layer] -= local == 0;
	s->specials[layer] -= local > 0 && index < sh->special;
	if (index < sh->special)
		return 0;
	s->patches[layer]--, r->by_frame[f]--;
	c->stillborn += local == t && !own;
	if (layer + 1 < sh->layers && alive_now(r, layer + 1, f, index))
		s->common[layer]--;
	if (layer > 0 && alive_now(r, layer - 1, f, index))
		s->common[layer - 1]--;
	return 0;
}

static int replay_layer(e3_replay *r, const e3_evict_layer *from, int layer, guard g, e3_err *err)
{
	e3_trace_cell *c = r->cell + r->steps * r->shape.layers + layer;
	*c = (e3_trace_cell){.before = from->k_before,
		.after = from->k_after,
		.removed = (uint32_t)from->n_removed,
		.saturated = from->saturated,
		.prot = from->prot,
		.budget = from->budget,
		.alpha = from->alpha,
		.variance = from->variance,
		.max_evicted = from->max_evicted,
		.min_kept = from->min_kept,
		.jaccard_next = NAN};
	memcpy(c->q, from->score_q, sizeof c->q);
	for (size_t k = 0; k < from->n_removed; k++)
		if (remove_token(r, layer, from->removed[k], g, err))
			return -1;
	return 0;
}

/* The new frame's tokens enter every layer before anything is removed. */
static void add_frame(e3_replay *r, e3_trace_segment *s)
{
	const e3_trace_shape *sh = &r->shape;
	uint32_t patches = (uint32_t)(sh->n - sh->special);
	memset(r->life + r->steps * sh->layers, 0, (size_t)sh->layers * sizeof *r->life);
	r->by_frame[r->steps] = patches * (uint32_t)sh->layers;
	for (int l = 0; l < sh->layers; l++) {
		s->alive[l] += (uint32_t)sh->n;
		s->patches[l] += patches;
		s->common[l] += l + 1 < sh->layers ? patches : 0;
		*(s->steps ? &s->specials[l] : &s->of_first[l]) += (uint32_t)(s->steps ? sh->special : sh->n);
	}
}

/* A quantile is the smallest age that at least this share of the kept patches does not exceed. */
static void measure_ages(const e3_replay *r, const e3_trace_segment *from, e3_trace_step *s)
{
	static const double share[E3_TRACE_AGES] = {0.05, 0.25, 0.5, 0.75, 0.95};
	uint64_t total = 0, seen = 0;
	int64_t t = from->steps;
	for (int64_t f = 0; f <= t; f++)
		total += r->by_frame[from->step[f]];
	int k = 0;
	for (int64_t age = 0; age <= t && total; age++) {
		uint32_t n = r->by_frame[from->step[t - age]];
		seen += n;
		while (k < E3_TRACE_AGES && (double)seen >= share[k] * (double)total)
			s->age[k++] = (uint32_t)age;
		if (n)
			s->age_max = (uint32_t)age;
	}
}

int e3_replay_add(e3_replay *r, const e3_evict *rec, e3_err *err)
{
	e3_trace_segment *from = make_room(r, err) ? NULL : enter_segment(r, rec, err);
	if (!from)
		return -1;
	e3_trace_step *s = &r->step[r->steps];
	int rc = 0;
	guard g[E3_TRACE_MAX_LAYERS];
	for (int l = 0; l < r->shape.layers; l++) {
		g[l].frames = e3_replay_protected_frames(r, from, rec, l, &g[l].first);
		if (g[l].frames < 0)
			g[l] = (guard){from->steps + 1, true};
	}
	add_frame(r, from);
	for (int l = 0; !rc && l < r->shape.layers; l++)
		rc = replay_layer(r, &rec->layer[l], l, g[l], err);
	for (int l = 0; !rc && l < r->shape.layers; l++) {
		e3_trace_cell *c = r->cell + r->steps * r->shape.layers + l;
		uint32_t either = from->patches[l] + (l + 1 < r->shape.layers ? from->patches[l + 1] : 0);
		s->before += c->before, s->after += c->after, s->removed += c->removed, s->stillborn += c->stillborn;
		if (l + 1 < r->shape.layers && either)
			c->jaccard_next = (float)from->common[l] / (float)(either - from->common[l]);
	}
	if (!rc)
		measure_ages(r, from, s);
	from->kept += !rec->passing;
	r->steps++, from->steps++; /* also after a failure, so that the release frees what was allocated for this step */
	return rc;
}
