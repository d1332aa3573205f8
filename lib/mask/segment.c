/* mask: from a model's output to masks. Owns what makes a pixel one of a class, and the way back to the picture's size.
 * Refuses classes that the output does not have. */
#include "e3/mem.h"
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct e3_segmenter {
	e3_seg_options o;
	e3_seg_model model;
	e3_seg_rule rule;
	float *map, *large; /* of one class: of the size of the output, of the mask */
	uint8_t *bytes;     /* the same in bytes, where values are stretched */
	size_t map_n, large_n;
	bool told; /* of values that are not finite */
	char text[700];
};

void e3_seg_sky(e3_seg_options *o)
{
	*o = (e3_seg_options){.model = o->model,
		.threads = o->threads,
		.class = {{.name = "sky"}},
		.n_classes = 1,
		.size = {320, 320},
		.layout = E3_SEG_NCHW,
		.mean = {0.485, 0.456, 0.406},
		.std = {0.229, 0.224, 0.225},
		.rule = E3_SEG_THRESHOLD,
		.threshold = 32.0 / 255};
}

/* --- opening --- */

/* `channels` 0: not known yet. */
static int settle_rule(e3_segmenter *s, int channels, e3_err *err)
{
	const e3_seg_options *o = &s->o;
	s->rule = o->rule != E3_SEG_AUTO ? o->rule
		: channels > 1               ? E3_SEG_ARGMAX
		: s->model.labels            ? E3_SEG_LABELS
		: o->n_classes > 1           ? E3_SEG_LABELS
									 : E3_SEG_THRESHOLD;
	for (int k = 0; channels && k < o->n_classes; k++) {
		int index = o->class[k].index;
		if (s->rule == E3_SEG_LABELS ? channels > 1 : index >= channels)
			return e3_fail(err, "%s: output %s has %d channel%s: expected %s %d for class %s", o->model,
				s->model.out.name, channels, channels == 1 ? "" : "s",
				s->rule == E3_SEG_LABELS ? "one, with the number" : "number", index, o->class[k].name);
	}
	if (channels == 1 && s->rule == E3_SEG_ARGMAX)
		return e3_fail(err, "%s: output %s has one channel: there is no highest of several", o->model,
			s->model.out.name);
	return 0;
}

e3_segmenter *e3_segmenter_open(const e3_seg_options *o, e3_err *err)
{
	e3_segmenter *s = e3_alloc(1, sizeof *s, "a segmenter", err);
	char in[300], out[300];
	if (!s)
		return NULL;
	s->o = *o;
	if (e3_seg_model_open(&s->model, o, err) || settle_rule(s, e3_seg_model_channels(&s->model), err)) {
		e3_segmenter_close(s);
		return NULL;
	}
	e3_onnx_value_text(&s->model.in, in, sizeof in);
	e3_onnx_value_text(&s->model.out, out, sizeof out);
	snprintf(s->text, sizeof s->text, "input %s as %d × %d, output %s, OpenCV %s", in, s->model.size[0],
		s->model.size[1], out, s->model.plugin->version());
	return s;
}

const char *e3_segmenter_text(const e3_segmenter *s) { return s->text; }

void e3_segmenter_close(e3_segmenter *s)
{
	if (!s)
		return;
	e3_seg_model_close(&s->model);
	free(s->map), free(s->large), free(s->bytes);
	free(s);
}

/* --- the map of a class, on the model's output: of the class where it is at least a limit --- */

/* By how much channel k exceeds all others; of equals the first is the highest. */
static void map_argmax(const e3_seg_maps *m, int k, float *to)
{
	size_t n = (size_t)m->w * (size_t)m->h;
	for (size_t p = 0; p < n; p++) {
		const float *at = m->at + p * m->step;
		float own = at[(size_t)k * m->next], before = -INFINITY, after = -INFINITY;
		for (int c = 0; c < k; c++)
			before = fmaxf(before, at[(size_t)c * m->next]);
		for (int c = k + 1; c < m->channels; c++)
			after = fmaxf(after, at[(size_t)c * m->next]);
		to[p] = own - fmaxf(before, after);
		if (own == before && own >= after)
			to[p] = -1e-30F;
	}
}

static void map_values(const e3_seg_maps *m, int k, bool sigmoid, float *to)
{
	const float *at = m->at + (size_t)k * m->next;
	size_t n = (size_t)m->w * (size_t)m->h;
	for (size_t p = 0; p < n; p++) {
		float v = at[p * m->step];
		to[p] = sigmoid ? (float)(1 / (1 + exp(-(double)v))) : v;
	}
}

static void map_labels(const e3_seg_maps *m, int k, float *to)
{
	size_t n = (size_t)m->w * (size_t)m->h;
	for (size_t p = 0; p < n; p++)
		to[p] = m->at[p * m->step] == (float)k;
}

/* As the reference: one picture's values to 0..255, cut to whole numbers. Where all are equal it divides by 0, and the
 * bytes are 0. */
static void stretch(const float *v, size_t n, uint8_t *to)
{
	float low = INFINITY, high = -INFINITY;
	for (size_t k = 0; k < n; k++)
		low = fminf(low, v[k]), high = fmaxf(high, v[k]);
	for (size_t k = 0; k < n; k++)
		to[k] = high > low ? (uint8_t)((v[k] - low) / (high - low) * 255) : 0;
}

static void tell_odd(e3_segmenter *s, const float *v, size_t n)
{
	size_t odd = 0;
	for (size_t k = 0; k < n; k++)
		odd += !isfinite(v[k]);
	if (!odd || s->told)
		return;
	e3_tell(E3_TELL_WARN, "running the model: %s: %zu of %zu values are not finite: is the input as it expects it?",
		s->o.model, odd, n);
	s->told = true;
}

/* --- masks --- */

static void mask_size(const e3_segmenter *s, const e3_image *picture, int size[2])
{
	int side = picture->w > picture->h ? picture->w : picture->h;
	double by = s->o.longest && side > s->o.longest ? (double)s->o.longest / side : 1;
	size[0] = (int)fmax(1, lround(picture->w * by)), size[1] = (int)fmax(1, lround(picture->h * by));
}

static int room(e3_segmenter *s, size_t map_n, size_t large_n, e3_err *err)
{
	if (map_n > s->map_n &&
		(e3_grow((void **)&s->map, map_n, sizeof *s->map, "a map", err) ||
			e3_grow((void **)&s->bytes, map_n, 1, "a map", err)))
		return -1;
	s->map_n = map_n > s->map_n ? map_n : s->map_n;
	if (large_n > s->large_n && e3_grow((void **)&s->large, large_n, sizeof *s->large, "a map", err))
		return -1;
	s->large_n = large_n > s->large_n ? large_n : s->large_n;
	return 0;
}

/* The map, brought to the mask's size, against the limit. */
static int decide(e3_segmenter *s, const e3_seg_maps *m, e3_mask *to, e3_err *err)
{
	const int from[2] = {m->w, m->h}, size[2] = {to->w, to->h};
	size_t n = (size_t)to->w * (size_t)to->h;
	float limit = s->rule == E3_SEG_ARGMAX ? 0 : s->rule == E3_SEG_LABELS ? 0.5F : (float)s->o.threshold;
	if (s->o.stretch) {
		stretch(s->map, (size_t)m->w * (size_t)m->h, s->bytes);
		if (s->model.plugin->resize_u8(s->bytes, from, 1, to->px, size, err))
			return -1;
		for (size_t k = 0; k < n; k++)
			to->px[k] = (float)to->px[k] >= limit ? 255 : 0;
		return 0;
	}
	if (s->model.plugin->resize_f32(s->map, from, s->large, size, err))
		return -1;
	for (size_t k = 0; k < n; k++)
		to->px[k] = s->large[k] >= limit ? 255 : 0;
	return 0;
}

static int name_mask(e3_mask *to, const char *class, const int size[2], e3_err *err)
{
	size_t n = (size_t)size[0] * (size_t)size[1];
	if (!to->class && !(to->class = strdup(class)))
		return e3_fail(err, "out of memory");
	if ((size_t)to->w * (size_t)to->h != n) {
		free(to->px);
		to->w = to->h = 0;
		if (!(to->px = e3_alloc(n, 1, "a mask", err)))
			return -1;
	}
	to->w = size[0], to->h = size[1];
	return 0;
}

int e3_segmenter_run(e3_segmenter *s, const e3_image *picture, e3_mask *mask, e3_err *err)
{
	e3_seg_maps maps;
	int size[2];
	mask_size(s, picture, size);
	if (e3_seg_model_run(&s->model, picture, &maps, err))
		return -1;
	size_t n = (size_t)maps.w * (size_t)maps.h;
	if (settle_rule(s, maps.channels, err) || room(s, n, (size_t)size[0] * (size_t)size[1], err))
		return -1;
	tell_odd(s, maps.at, n * (size_t)maps.channels);
	for (int k = 0; k < s->o.n_classes; k++) {
		const e3_seg_class *c = &s->o.class[k];
		if (name_mask(&mask[k], c->name, size, err))
			return -1;
		if (s->rule == E3_SEG_ARGMAX)
			map_argmax(&maps, c->index, s->map);
		else if (s->rule == E3_SEG_LABELS)
			map_labels(&maps, c->index, s->map);
		else
			map_values(&maps, c->index, s->o.sigmoid, s->map);
		if (decide(s, &maps, &mask[k], err))
			return -1;
	}
	return 0;
}
