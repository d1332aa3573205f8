/* trace: figures of a finished replay. Definitions: doc/formats.md 7.4. */
#include "e3/trace.h"
#include "e3/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Room for ages 0 .. n - 1, new ones zeroed; `s` is made in the end. */
static int survival_room(e3_trace_survival *v, int64_t n, e3_err *err)
{
	size_t had = (size_t)v->room, room = had;
	if (n <= v->room)
		return 0;
	while (room < (size_t)n)
		room = room ? 2 * room : 64;
	uint64_t **counts[] = {&v->at_risk, &v->deaths};
	for (int k = 0; k < 2; k++) {
		if (e3_grow((void **)counts[k], room, sizeof **counts[k], "survival", err))
			return -1;
		memset(*counts[k] + had, 0, (room - had) * sizeof **counts[k]);
	}
	v->room = (int64_t)room;
	return 0;
}

static void survival_release(e3_trace_survival *v)
{
	free(v->at_risk);
	free(v->deaths);
	free(v->s);
}

/* On entry at_risk[a] counts the patches whose last age was a: removed then, or alive at the end. */
static int survival_finish(e3_trace_survival *v, int64_t n, e3_err *err)
{
	double s = 1;
	v->n = n, v->median = -1;
	if (survival_room(v, n, err) || !(v->s = e3_alloc((size_t)n + 1, sizeof *v->s, "survival", err)))
		return -1;
	for (int64_t a = v->n - 2; a >= 0; a--)
		v->at_risk[a] += v->at_risk[a + 1];
	for (int64_t a = 0; a < v->n; a++) {
		if (v->at_risk[a])
			s *= 1 - (double)v->deaths[a] / (double)v->at_risk[a];
		v->s[a] = s;
		if (s <= 0.5 && v->median < 0)
			v->median = a;
	}
	return 0;
}

/* The last step of the segment of step f, as steps since f. */
static int64_t left_after(const e3_replay *r, int64_t f)
{
	return r->segment[r->step[f].segment].steps - 1 - r->step[f].local;
}

static void count_lives(e3_trace_stats *s, int layer, int64_t f)
{
	const e3_replay *r = s->r;
	e3_trace_survival *own = &s->layer[layer];
	int64_t last = left_after(r, f);
	for (int k = r->shape.special; k < r->shape.n; k++) {
		int32_t life = e3_replay_life(r, layer, f, k);
		int64_t seen = life >= 0 && life < last ? life : last;
		own->at_risk[seen]++, s->all.at_risk[seen]++;
		if (life >= 0)
			own->deaths[seen]++, s->all.deaths[seen]++;
	}
}

static void measure_tokens(e3_trace_stats *s, int layer, int64_t f)
{
	const e3_replay *r = s->r;
	const e3_trace_shape *sh = &r->shape;
	double span = (double)(left_after(r, f) + 1);
	bool first = r->step[f].local == 0;
	uint32_t *kept = s->kept + f * sh->layers + layer;
	for (int k = sh->special; k < sh->n; k++) {
		int32_t life = e3_replay_life(r, layer, f, k);
		*kept += life < 0;
		s->spatial[(size_t)layer * (size_t)(sh->rows * sh->cols) + (size_t)(k - sh->special)] +=
			life < 0 ? 1 : (double)life / span;
	}
	if (first)
		s->first_kept += *kept;
	for (int k = 0; k < sh->special; k++)
		*(first ? &s->first_kept : &s->special_kept) += e3_replay_life(r, layer, f, k) < 0;
}

static void measure_agreement(e3_trace_stats *s, int64_t f)
{
	const e3_replay *r = s->r;
	int layers = r->shape.layers;
	for (int a = 0; a < layers; a++)
		for (int b = a; b < layers; b++)
			for (int k = r->shape.special; k < r->shape.n; k++)
				s->both[a * layers + b] += e3_replay_life(r, a, f, k) < 0 && e3_replay_life(r, b, f, k) < 0;
}

/* Adds up the lives of the tokens of the next segment, whose end is known. */
static int add_segment(e3_trace_stats *s, e3_err *err)
{
	const e3_replay *r = s->r;
	const e3_trace_segment *x = &r->segment[s->segments];
	const int layers = r->shape.layers;
	if (survival_room(&s->all, x->steps, err))
		return -1;
	for (int l = 0; l < layers; l++) {
		if (survival_room(&s->layer[l], x->steps, err))
			return -1;
		for (int64_t k = 0; k < x->steps; k++) {
			measure_tokens(s, l, x->step[k]);
			if (k && !r->step[x->step[k]].passing)
				count_lives(s, l, x->step[k]);
		}
	}
	for (int64_t k = 0; k < x->steps; k++)
		measure_agreement(s, x->step[k]);
	s->segments++;
	return 0;
}

static void finish_agreement(e3_trace_stats *s)
{
	const e3_replay *r = s->r;
	int layers = r->shape.layers;
	for (int a = 0; a < layers; a++)
		for (int b = a; b < layers; b++) {
			uint64_t both = s->both[a * layers + b], sum = 0;
			for (int64_t k = 0; k < r->segments; k++)
				sum += (uint64_t)r->segment[k].patches[a] + r->segment[k].patches[b];
			uint64_t either = sum - both;
			s->agreement[a * layers + b] = s->agreement[b * layers + a] = either ? (double)both / (double)either : NAN;
		}
}

/* What the other caches held when step t began. */
static uint64_t held_beside(const e3_replay *r, int64_t t, const uint64_t *after)
{
	uint64_t sum = 0;
	for (int64_t k = r->segments - 1; k >= 0 && r->segment[k].end > t; k--)
		if (k != r->step[t].segment && r->segment[k].step[0] < t)
			sum += after[k];
	return sum;
}

/* Ends come in the order of beginnings, so the segments in use at a step are the last ones that began before it, and
 * those behind them began later. */
static int sum_caches(e3_trace_stats *s, e3_err *err)
{
	const e3_replay *r = s->r;
	uint64_t *after = e3_alloc((size_t)r->segments, sizeof *after, "tokens of the caches", err);
	if (!after)
		return -1;
	for (int64_t t = 0; t < r->steps; t++) {
		const e3_trace_step *x = &r->step[t];
		uint64_t beside = held_beside(r, t, after);
		after[x->segment] = x->after;
		s->peak_tokens = beside + x->before > s->peak_tokens ? beside + x->before : s->peak_tokens;
		s->held[x->frame] = beside + x->after;
	}
	s->full_tokens = (uint64_t)r->shape.layers * (uint64_t)r->shape.n * (uint64_t)r->frames;
	free(after);
	return 0;
}

static void sum_steps(e3_trace_stats *s)
{
	const e3_replay *r = s->r;
	s->last_eviction = -1;
	for (int64_t t = 0; t < r->steps; t++) {
		const e3_trace_step *x = &r->step[t];
		uint64_t saturated = 0;
		for (int l = 0; l < r->shape.layers; l++)
			saturated += e3_trace_cell_at(r, t, l)->saturated,
				s->protected_evicted += e3_trace_cell_at(r, t, l)->protected_evicted;
		s->saturated = saturated > s->saturated ? saturated : s->saturated;
		s->removed += x->removed;
		if (x->removed)
			s->last_eviction = t;
		if (x->local && !x->passing)
			s->stillborn += x->stillborn,
				s->born += (uint64_t)r->shape.layers * (uint64_t)(r->shape.n - r->shape.special);
	}
	s->entropy = NAN;
	if (s->last_eviction < 0 || r->shape.layers < 2)
		return;
	double h = 0;
	for (int l = 0; l < r->shape.layers; l++) {
		double a = e3_trace_cell_at(r, s->last_eviction, l)->alpha;
		h -= a > 0 ? a * log(a) : 0;
	}
	s->entropy = h / log(r->shape.layers);
}

/* What does not grow with the run. */
static int begin(e3_trace_stats *s, const e3_replay *r, e3_err *err)
{
	const e3_trace_shape *sh = &r->shape;
	size_t layers = (size_t)sh->layers;
	if (s->r)
		return 0;
	s->r = r;
	s->layer = e3_alloc(layers, sizeof *s->layer, "survival", err);
	s->both = e3_alloc(layers, layers * sizeof *s->both, "agreement", err);
	s->agreement = e3_alloc(layers, layers * sizeof *s->agreement, "agreement", err);
	s->spatial = e3_alloc(layers * (size_t)(sh->rows * sh->cols), sizeof *s->spatial, "spatial map", err);
	return s->layer && s->both && s->agreement && s->spatial ? 0 : -1;
}

/* Counts of kept patches for every step so far. */
static int steps_room(e3_trace_stats *s, e3_err *err)
{
	size_t layers = (size_t)s->r->shape.layers, had = (size_t)s->room * layers;
	if (s->r->steps <= s->room)
		return 0;
	if (e3_grow((void **)&s->kept, (size_t)s->r->room * layers, sizeof *s->kept, "kept patches", err))
		return -1;
	s->room = s->r->room;
	memset(s->kept + had, 0, ((size_t)s->room * layers - had) * sizeof *s->kept);
	return 0;
}

int e3_trace_stats_fold(e3_trace_stats *s, e3_replay *r, e3_err *err)
{
	if (begin(s, r, err))
		return -1;
	while (s->segments < r->segments && r->segment[s->segments].end != INT64_MAX) {
		int64_t k = s->segments;
		if (steps_room(s, err) || add_segment(s, err))
			return -1;
		e3_replay_forget(r, k);
	}
	return 0;
}

int e3_trace_stats_finish(e3_trace_stats *s, const e3_replay *r, e3_err *err)
{
	const e3_trace_shape *sh = &r->shape;
	int64_t ages = e3_replay_longest(r);
	if (begin(s, r, err) || steps_room(s, err))
		return -1;
	s->importance = e3_alloc((size_t)r->steps, sizeof *s->importance, "importance of frames", err);
	s->held = e3_alloc((size_t)r->frames, sizeof *s->held, "tokens of the caches", err);
	if (!s->importance || !s->held || sum_caches(s, err))
		return -1;
	while (s->segments < r->segments)
		if (add_segment(s, err))
			return -1;
	for (int l = 0; l < sh->layers; l++)
		if (survival_finish(&s->layer[l], ages, err))
			return -1;
	if (survival_finish(&s->all, ages, err))
		return -1;
	for (int k = 0; k < sh->layers * sh->rows * sh->cols; k++)
		s->spatial[k] /= (double)r->steps;
	for (int64_t f = 0; f < r->steps; f++) {
		for (int l = 0; l < sh->layers; l++)
			s->importance[f] += s->kept[f * sh->layers + l];
		s->importance[f] /= (double)sh->layers * sh->n;
	}
	finish_agreement(s);
	sum_steps(s);
	int64_t passing = 0;
	for (int64_t t = 0; t < r->steps; t++)
		passing += r->step[t].passing;
	double later = (double)(r->steps - r->segments - passing) * sh->special * sh->layers;
	s->special_kept = later > 0 ? s->special_kept / later : NAN;
	s->first_kept = r->steps ? s->first_kept / ((double)sh->n * sh->layers * (double)r->segments) : NAN;
	return 0;
}

int e3_trace_stats_init(e3_trace_stats *s, const e3_replay *r, e3_err *err)
{
	*s = (e3_trace_stats){.r = NULL};
	if (e3_trace_stats_finish(s, r, err) == 0)
		return 0;
	e3_trace_stats_release(s);
	return -1;
}

void e3_trace_stats_release(e3_trace_stats *s)
{
	survival_release(&s->all);
	for (int l = 0; s->layer && l < s->r->shape.layers; l++)
		survival_release(&s->layer[l]);
	free(s->layer);
	free(s->both);
	free(s->agreement);
	free(s->spatial);
	free(s->kept);
	free(s->importance);
	free(s->held);
	*s = (e3_trace_stats){0};
}

double e3_trace_budget_use(const e3_trace_cell *c)
{
	return isfinite(c->budget) && c->budget > 0 ? c->after / ceil(c->budget) : NAN;
}

/* left[age] = patches of the frame of step f that were removed after `age` steps, over all layers. */
static void ages_of_frame(const e3_replay *r, int64_t f, uint32_t *left)
{
	for (int64_t a = 0; a <= left_after(r, f); a++)
		left[a] = 0;
	for (int l = 0; l < r->shape.layers; l++)
		for (int k = r->shape.special; k < r->shape.n; k++) {
			int32_t life = e3_replay_life(r, l, f, k);
			if (life >= 0)
				left[life]++;
		}
}

/* Adds what the segment of step f remembers of its frame, in the rows for which it answered. left: room for ages. */
static void add_remembered(const e3_replay *r, int64_t f, int bin, int size, uint32_t *left, double *m)
{
	const e3_trace_segment *s = &r->segment[r->step[f].segment];
	double patches = (double)r->shape.layers * (r->shape.n - r->shape.special), alive = patches;
	ages_of_frame(r, f, left);
	for (int64_t local = r->step[f].local; local < s->steps; local++) {
		int64_t t = s->step[local], row = r->step[t].frame;
		alive -= left[local - r->step[f].local];
		if (r->answer[row] == t)
			m[row / bin * size + r->step[f].frame / bin] += alive / patches;
	}
}

double *e3_trace_remembered(const e3_replay *r, int side, int *size, int *bin, e3_err *err)
{
	*bin = (int)((r->frames + side - 1) / side);
	*bin = *bin > 0 ? *bin : 1;
	*size = (int)((r->frames + *bin - 1) / *bin);
	double *m = e3_alloc((size_t)*size * (size_t)*size, sizeof *m, "matrix of remembered frames", err);
	uint32_t *count = e3_alloc((size_t)*size * (size_t)*size, sizeof *count, "matrix of remembered frames", err);
	uint32_t *left = e3_alloc((size_t)e3_replay_longest(r), sizeof *left, "ages of a frame", err);
	bool ok = m && count && left;
	for (int64_t f = 0; ok && f < r->steps; f++)
		add_remembered(r, f, *bin, *size, left, m);
	for (int64_t t = 0; ok && t < r->frames; t++)
		for (int64_t f = 0; f <= t; f++)
			count[t / *bin * *size + f / *bin]++;
	for (int k = 0; ok && k < *size * *size; k++)
		m[k] = count[k] ? m[k] / count[k] : NAN;
	free(count);
	free(left);
	if (!ok)
		free(m);
	return ok ? m : NULL;
}
