/* trace: gathers attention records: into bins of bounded size, and the exact frame-to-frame mass into a temporary file
 * (doc/formats.md 2.4).
 *
 * A key is placed by its token id, so this works with eviction on: an evicted key has no value, and the maps show that.
 * Records that are out of order or of another shape are refused.
 */
#include "trace/attn.h"
#include "e3/io.h"
#include "e3/mem.h"
#include "trace/style.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

e3_trace_attn *e3_trace_attn_open(const e3_trace_attn_look *look, const e3_trace_shape *shape, e3_err *err)
{
	e3_trace_attn *a = e3_alloc(1, sizeof *a, "attention", err);
	if (!a)
		return NULL;
	a->look = *look;
	a->look.side &= ~1; /* bins are merged in pairs */
	a->shape = *shape;
	a->layer = e3_alloc((size_t)shape->layers, sizeof *a->layer, "attention layers", err);
	if (!a->layer) {
		free(a);
		return NULL;
	}
	return a;
}

static void layer_release(attn_layer *x)
{
	trace_bins_release(&x->map);
	trace_bins_release(&x->mass);
	if (x->rows)
		fclose(x->rows);
}

void e3_trace_attn_close(e3_trace_attn *a)
{
	if (!a)
		return;
	for (int k = 0; k < a->n; k++)
		layer_release(&a->layer[k]);
	free(a->layer);
	free(a);
}

/* The layer's bins, created at its first record. Layers stay in ascending order. */
static attn_layer *find_layer(e3_trace_attn *a, const e3_attn *rec, e3_err *err)
{
	int at = 0;
	while (at < a->n && a->layer[at].layer < rec->layer)
		at++;
	if (at < a->n && a->layer[at].layer == rec->layer)
		return &a->layer[at];
	attn_layer made = {.layer = rec->layer, .full = rec->map != NULL};
	if (trace_bins_init(&made.map, a->look.side, err) || trace_bins_init(&made.mass, a->look.side, err) ||
		!(made.rows = e3_spool(err))) {
		layer_release(&made);
		return NULL;
	}
	memmove(a->layer + at + 1, a->layer + at, (size_t)(a->n - at) * sizeof *a->layer);
	a->layer[at] = made;
	a->n++;
	return &a->layer[at];
}

/* The frame, counted from 0, that is frame 0 of the record's segment; *steps: of the segment so far; *step: which of
 * them the record is of. It comes just before or just after the eviction record of its frame. */
static int64_t first_frame(const e3_replay *r, const e3_attn *rec, int64_t *steps, int64_t *step)
{
	const e3_trace_segment *s = e3_replay_segment(r, rec->segment);
	*steps = s ? s->steps : 0;
	*step = s ? s->steps - (r->step[s->step[s->steps - 1]].i == rec->i) : 0;
	if (s)
		return r->step[s->step[0]].frame;
	return r->frames && r->step[r->answer[r->frames - 1]].i == rec->i ? r->frames - 1 : r->frames;
}

static int check_record(const e3_trace_attn *a, int64_t steps, int64_t t, const e3_attn *rec, e3_err *err)
{
	int64_t frames = rec->n_frames, tokens = frames * a->shape.n;
	if (rec->layer < 0 || rec->layer >= a->shape.layers)
		return e3_fail(err, "layer %d: the network has layers 0 to %d", rec->layer, a->shape.layers - 1);
	if (frames < t + 1) /* frames that began together see later ones too */
		return e3_fail(err, "mass over %" PRId64 " frames at step %" PRId64 " of the run", frames, steps);
	if (rec->n_keys && rec->key[rec->n_keys - 1] >= tokens)
		return e3_fail(err, "key %" PRIu32 ": token ids end at %" PRId64 " here", rec->key[rec->n_keys - 1],
			tokens - 1);
	if (rec->map && rec->map_rows != (uint32_t)a->shape.n)
		return e3_fail(err, "a map of %" PRIu32 " rows, a frame has %d queries", rec->map_rows, a->shape.n);
	return 0;
}

/* Row t; the record is of the frames from `first` on. */
static int keep_row(attn_layer *x, int64_t t, int64_t first, const e3_attn *rec, e3_err *err)
{
	float unknown = NAN, none = 0;
	for (; x->frames < t; x->frames++)
		for (int64_t k = 0; k <= x->frames; k++)
			if (fwrite(&unknown, sizeof unknown, 1, x->rows) != 1)
				return e3_fail_sys(err, "writing a temporary file");
	for (int64_t k = 0; k < first; k++)
		if (fwrite(&none, sizeof none, 1, x->rows) != 1)
			return e3_fail_sys(err, "writing a temporary file");
	size_t n = (size_t)(t + 1 - first); /* the row ends with its own frame */
	if (fwrite(rec->frame_mass, sizeof *rec->frame_mass, n, x->rows) != n)
		return e3_fail_sys(err, "writing a temporary file");
	x->frames++;
	return 0;
}

/* What the segment no longer holds has no value, and neither have the frames before it. */
static void gather(const e3_trace_attn *a, attn_layer *x, int64_t t, int64_t first, const e3_attn *rec)
{
	int64_t n = a->shape.n;
	float scale = a->look.scale_rows ? (float)rec->n_frames : 1;
	int64_t frames = first + (int64_t)rec->n_frames;
	trace_bins_reach(&x->mass, t + 1, frames);
	for (int64_t f = 0; f < first; f++)
		trace_bins_add(&x->mass, t, f, 0);
	for (uint32_t f = 0; f < rec->n_frames; f++)
		trace_bins_add(&x->mass, t, first + f, rec->frame_mass[f]);
	if (!x->full) {
		trace_bins_reach(&x->map, t + 1, frames * n);
		for (uint32_t k = 0; k < rec->n_keys; k++)
			trace_bins_add(&x->map, t, first * n + rec->key[k], scale * rec->mass[k] / (float)n);
		return;
	}
	trace_bins_reach(&x->map, (t + 1) * n, frames * n);
	for (int64_t q = 0; q < n; q++)
		for (uint32_t k = 0; k < rec->n_keys; k++)
			trace_bins_add(&x->map, t * n + q, first * n + rec->key[k], scale * rec->map[q * rec->n_keys + k]);
}

int e3_trace_attn_add(e3_trace_attn *a, const e3_replay *r, const e3_attn *rec, e3_err *err)
{
	int64_t steps, step, first = first_frame(r, rec, &steps, &step);
	if (!wants_layer(a->look.layers, a->look.n_layers, rec->layer))
		return 0;
	int64_t t = first + step;
	int rc = rec->n_frames ? check_record(a, steps, step, rec, err) : e3_fail(err, "mass over no frames");
	attn_layer *x = rc ? NULL : find_layer(a, rec, err);
	if (x && x->full != (rec->map != NULL))
		rc = e3_fail(err, "layer %d: some records have a map and some have none", rec->layer);
	else if (x && t < x->frames)
		rc = e3_fail(err, "layer %d: two records", rec->layer);
	if (rc || !x)
		return e3_fail_in(err, "attention at frame %" PRId64, rec->i);
	gather(a, x, t, first, rec);
	return keep_row(x, t, first, rec, err);
}
