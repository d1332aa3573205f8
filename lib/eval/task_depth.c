/* eval: the tasks depth (each image by itself) and video-depth (each sequence as one). */
#include "eval/tasks.h"
#include <stdlib.h>
#include <string.h>

enum { FIGURES = 11, SCORES = 9 };

static const eval_figure figures[FIGURES] = {
	{"abs_rel", "AbsRel", 4},
	{"sq_rel", "SqRel", 4},
	{"rmse", "RMSE", 4},
	{"log_rmse", "logRMSE", 4},
	{"d103", "d<1.03", 4},
	{"d1", "d<1.25", 4},
	{"d2", "d<1.25^2", 4},
	{"d3", "d<1.25^3", 4},
	{"pixels", "pixels", 0},
	{"s", "scale", 4},
	{"t", "shift", 4},
};

static void values(const e3_eval_depth *d, double *v)
{
	const e3_depth_score *s = &d->score;
	const double all[FIGURES] = {s->abs_rel, s->sq_rel, s->rmse, s->log_rmse, s->close, s->delta[1], s->delta[2],
		s->delta[3], s->n, d->fit.s, d->fit.t};
	memcpy(v, all, sizeof all);
}

static e3_depth_rule rule_of(const e3_eval_options *o, e3_depth_align align)
{
	return (e3_depth_rule){align, o->disparity, o->clip, (int)o->threads};
}

/* --- depth --- */

typedef struct image_state {
	const e3_eval_options *o;
	e3_depth_align align;
	e3_depth_score sum;
	int64_t images;
} image_state;

static void *image_begin(const e3_eval_options *o, e3_err *err)
{
	image_state *s = e3_alloc(1, sizeof *s, "the task depth", err);
	if (!s)
		return NULL;
	*s = (image_state){.o = o, .align = E3_DEPTH_MEDIAN};
	for (int k = 0; !o->all && k < E3_EVAL_ALIGNS; k++)
		if (o->align[k])
			s->align = (e3_depth_align)k;
	return s;
}

static int image_add(void *state, const eval_sample *p, e3_err *err)
{
	image_state *s = state;
	e3_pixels x = {.f = p->pixels, .n = p->n_pixels};
	e3_depth_rule rule = rule_of(s->o, s->align);
	e3_depth_fit fit;
	e3_depth_score one;
	if (!p->resampler)
		return 0;
	if (e3_depth_align_fit(&x, &rule, &fit, err))
		return -1;
	e3_depth_evaluate(&x, &rule, &fit, &one);
	e3_depth_average_add(&s->sum, &one);
	s->images++;
	return 0;
}

static int image_finish(void *state, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	image_state *s = state;
	seq->depth = (e3_eval_depth){.score = s->sum, .images = s->images};
	e3_depth_average_finish(&seq->depth.score);
	if (s->images)
		seq->curve_score = seq->depth.score.abs_rel;
	return 0;
}

static void average_of(const e3_eval_seq *s, int n, const e3_eval_depth *(*part)(const e3_eval_seq *, int), int which,
	e3_eval_depth *to)
{
	int scored = 0;
	*to = (e3_eval_depth){0};
	for (int k = 0; k < n; k++) {
		const e3_eval_depth *d = part(&s[k], which);
		if (d->score.n == 0)
			continue;
		e3_depth_average_add(&to->score, &d->score);
		to->images += d->images, to->fit.s += d->fit.s, to->fit.t += d->fit.t;
		scored++;
	}
	e3_depth_average_finish(&to->score);
	if (scored)
		to->fit.s /= scored, to->fit.t /= scored;
}

static const e3_eval_depth *image_part(const e3_eval_seq *s, int which) { return &s->depth; }
static const e3_eval_depth *video_part(const e3_eval_seq *s, int which) { return &s->video[which]; }

static void image_average(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to)
{
	average_of(s, n, image_part, 0, &to->depth);
}

static int image_rows(const e3_eval_seq *s) { return s->depth.score.n > 0; }

static const char *image_row(const e3_eval_seq *s, int row, double *v)
{
	values(&s->depth, v);
	return "per image";
}

static const char *depth_why(const e3_eval_seq *s)
{
	return s->pixels.not_finite ? "no pixel with a truth has a finite prediction"
		: s->with_depth         ? "no pixel has a true depth inside the limits"
								: "no frame has both a predicted and a true depth";
}

const eval_task eval_task_depth = {
	"depth",
	"depth",
	figures,
	SCORES,
	false,
	image_begin,
	image_add,
	image_finish,
	free,
	image_average,
	image_rows,
	image_row,
	depth_why,
};

/* --- video-depth --- */

typedef struct video_state {
	const e3_eval_options *o;
	e3_pixel_store store;
	int64_t images;
} video_state;

static void *video_begin(const e3_eval_options *o, e3_err *err)
{
	video_state *s = e3_alloc(1, sizeof *s, "the task video-depth", err);
	if (s)
		*s = (video_state){.o = o};
	return s;
}

static int video_add(void *state, const eval_sample *p, e3_err *err)
{
	video_state *s = state;
	s->images += p->resampler != NULL;
	return p->resampler ? e3_pixel_store_add(&s->store, p->pixels, p->n_pixels, err) : 0;
}

static bool wanted(const e3_eval_options *o, int align)
{
	if (o->align_given)
		return o->align[align];
	return align == E3_DEPTH_SCALE || (o->all && align == E3_DEPTH_MEDIAN);
}

/* Fills in the errors of the frames under the sequence's alignment. The pixels of frames follow each other in the
 * store. */
static void fill_moments(const e3_pixels *all, const e3_depth_rule *rule, const e3_eval_depth *d, e3_eval_seq *seq)
{
	size_t at = 0;
	for (size_t k = 0; k < seq->n_frame_errors; k++) {
		e3_eval_frame_error *m = &seq->frame_error[k];
		e3_pixels x = {.f = all->f + 2 * at, .n = m->pixels, .mapped = all->mapped};
		e3_depth_score one;
		at += m->pixels;
		if (m->pixels == 0)
			continue;
		e3_depth_evaluate(&x, rule, &d->fit, &one);
		m->sequence = (float)one.abs_rel;
	}
}

static int video_finish(void *state, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	video_state *s = state;
	e3_pixels x;
	if (e3_pixel_store_read(&s->store, &x, err))
		return -1;
	x.work = work;
	for (int k = 0; k < E3_EVAL_ALIGNS; k++) {
		e3_eval_depth *d = &seq->video[k];
		e3_depth_rule rule = rule_of(s->o, (e3_depth_align)k);
		if (!wanted(s->o, k))
			continue;
		d->images = s->images;
		if (e3_depth_align_fit(&x, &rule, &d->fit, err))
			return -1;
		e3_depth_evaluate(&x, &rule, &d->fit, &d->score);
		if (d->score.n > 0) { /* the last alignment counts; without a choice that is `scale` */
			fill_moments(&x, &rule, d, seq);
			seq->curve_align = e3_depth_align_name((e3_depth_align)k), seq->curve_score = d->score.abs_rel;
		}
	}
	return e3_work_check(work, err);
}

static void video_free(void *state)
{
	video_state *s = state;
	if (s)
		e3_pixel_store_release(&s->store);
	free(s);
}

static void video_average(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to)
{
	for (int k = 0; k < E3_EVAL_ALIGNS; k++)
		average_of(s, n, video_part, k, &to->video[k]);
}

static int video_rows(const e3_eval_seq *s)
{
	int n = 0;
	for (int k = 0; k < E3_EVAL_ALIGNS; k++)
		n += s->video[k].score.n > 0;
	return n;
}

static const char *video_row(const e3_eval_seq *s, int row, double *v)
{
	int k = 0;
	for (; s->video[k].score.n == 0 || row-- > 0; k++)
		;
	values(&s->video[k], v);
	return e3_depth_align_name((e3_depth_align)k);
}

const eval_task eval_task_video = {
	"video-depth",
	"video_depth",
	figures,
	FIGURES,
	false,
	video_begin,
	video_add,
	video_finish,
	video_free,
	video_average,
	video_rows,
	video_row,
	depth_why,
};
