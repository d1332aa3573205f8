/* eval: the task recon: the scene as clouds of points. */
#include "eval/tasks.h"
#include "e3/export.h"
#include "e3/io.h"
#include "e3/version.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIGURES = 16 };

static const eval_figure figures[FIGURES] = {
	{"acc", "Acc", 4},
	{"acc_med", "Acc med", 4},
	{"comp", "Comp", 4},
	{"comp_med", "Comp med", 4},
	{"nc", "NC", 4},
	{"nc_med", "NC med", 4},
	{"points", "points", 0},
	{"nc1", NULL, 4},
	{"nc1_med", NULL, 4},
	{"nc2", NULL, 4},
	{"nc2_med", NULL, 4},
	{"fitness", NULL, 4},
	{"rmse", NULL, 4},
	{"steps", NULL, 0},
	{"scale", NULL, 4},
	{"not_finite", NULL, 0},
};

typedef struct recon_state {
	const e3_eval_options *o;
	e3_recon scene;
	float *points; /* points of the predicted depth */
	size_t room;
	int64_t no_points, no_camera;
} recon_state;

static void *begin(const e3_eval_options *o, e3_err *err)
{
	recon_state *s = e3_alloc(1, sizeof *s, "the task recon", err);
	if (s)
		*s = (recon_state){.o = o, .scene = {.colours = o->ply}};
	return s;
}

/* The predicted points of a frame. NULL: there are none (which is counted) or, with *rc -1, there is no memory. */
static const float *points_of(recon_state *s, const eval_sample *p, int *rc, e3_err *err)
{
	const e3_pred *q = p->pred;
	size_t n = (size_t)q->w * (size_t)q->h;
	bool camera = p->has_pose && e3_intrinsics_usable(q->pose);
	s->no_points += s->o->use_proj ? !camera || !q->depth : !q->points;
	if (!s->o->use_proj || !camera || !q->depth)
		return s->o->use_proj ? NULL : q->points;
	if (n > s->room) {
		if ((*rc = e3_grow((void **)&s->points, n, 3 * sizeof *s->points, "points of a depth map", err)))
			return NULL;
		s->room = n;
	}
	e3_intrinsics k = e3_intrinsics_decode(q->pose, q->w, q->h);
	k = e3_intrinsics_upstream(&k); /* the published figures are of integer indices (doc/evaluation.md 4.2) */
	e3_unproject(&p->pose, &k, q->depth, s->points);
	return s->points;
}

/* Intrinsics of the true depth map, as given or from the fields of view; the centre of the first pixel is at 0, 0. */
static bool true_camera(const e3_truth *t, e3_intrinsics *k)
{
	if (t->has_intrinsics)
		*k = (e3_intrinsics){t->intrinsics[0], t->intrinsics[1], t->intrinsics[2], t->intrinsics[3], t->w, t->h};
	else if (t->has_pose && e3_intrinsics_usable(t->pose))
		*k = e3_intrinsics_decode(t->pose, t->w, t->h), k->cx -= 0.5, k->cy -= 0.5;
	else
		return false;
	return k->fx > 0 && k->fy > 0;
}

static int add_view(recon_state *s, const eval_sample *p, const e3_resampler *resampler, e3_err *err)
{
	e3_intrinsics k;
	int rc = 0;
	if (!p->truth->has_pose || !true_camera(p->truth->map, &k)) {
		s->no_camera++;
		return 0;
	}
	const float *points = points_of(s, p, &rc, err);
	e3_recon_view view = {resampler, points, p->pred->rgb, p->truth->map->depth, &p->truth->pose, &k};
	return points ? e3_recon_add(&s->scene, &view, (int)s->o->crop, err) : rc;
}

static int add(void *state, const eval_sample *p, e3_err *err)
{
	const e3_truth *t = p->truth->map;
	e3_resampler own;
	if (p->resampler)
		return add_view(state, p, p->resampler, err);
	if (!t || !p->pred || !p->pred->points)
		return 0;
	/* points without depth: no resampler was made yet */
	if (e3_resampler_init(&own, &p->pred->s, (int[]){p->pred->w, p->pred->h}, (int[]){t->w, t->h}, err))
		return -1;
	int rc = add_view(state, p, &own, err);
	e3_resampler_release(&own);
	return rc;
}

/* The reference's three clouds, under its names. */
static int save_cloud(const recon_state *s, const e3_eval_seq *seq, const char *end, const char *what, e3_err *err)
{
	const e3_matched *m = &s->scene.inside;
	char path[4096], comment[256];
	if (!s->o->ply)
		return 0;
	snprintf(comment, sizeof comment,
		"e3-eval " E3_VERSION "; %s; first true camera, OpenCV axes (x right, y down, z forward) less the "
		"median of z, units of the truth",
		what);
	if ((size_t)snprintf(path, sizeof path, "%s/%s%s", s->o->ply, seq->name, end) >= sizeof path)
		return e3_fail(err, "writing clouds: %s: the path is too long", s->o->ply);
	double(*xyz)[3] = strcmp(end, "-gt.ply") ? m->pred : m->truth;
	return e3_ply_save(path, &(e3_ply_points){(const double(*)[3])xyz, (const uint8_t(*)[3])m->rgb, m->n, comment},
		err);
}

/* A scene that cannot be scored is explained in `recon.why`; a file that cannot be written is a failure. */
static int score(recon_state *s, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	e3_recon_rule rule = {.radius = s->o->icp, .similarity = s->o->use_proj, .work = work};
	e3_recon_score *to = &seq->recon.score;
	e3_err why;
	if (!e3_recon_align(&s->scene, &rule, to, &why)) {
		if (to->points && s->o->ply &&
			(e3_mkdirs(s->o->ply, err) || save_cloud(s, seq, "-gt.ply", "true points", err) ||
				save_cloud(s, seq, "-mask.ply", "predicted points before ICP", err)))
			return -1;
		if (!e3_recon_compare(&s->scene, &rule, to, &why))
			return to->points ? save_cloud(s, seq, "-mask_align.ply", "predicted points after ICP", err) : 0;
	}
	if (e3_work_check(work, err))
		return -1;
	snprintf(seq->recon.why, E3_EVAL_WHY, "%.*s", E3_EVAL_WHY - 1, why.text);
	to->points = 0;
	return 0;
}

static int finish(void *state, e3_eval_seq *seq, const e3_work *work, e3_err *err)
{
	recon_state *s = state;
	seq->recon = (e3_eval_recon){.views = s->scene.views};
	if (s->scene.views == 0)
		snprintf(seq->recon.why, E3_EVAL_WHY, "%s%s",
			s->no_points && s->o->use_proj ? "no frame has a predicted depth and a usable camera"
				: s->no_points             ? "no frame has predicted points"
				: s->no_camera             ? "no frame has a true camera"
										   : "no frame has predicted points and a true depth",
			s->no_points && !s->o->use_proj ? eval_hint(s->o->hints.no_points) : "");
	else if (score(s, seq, work, err))
		return -1;
	else if (seq->recon.score.points == 0 && !seq->recon.why[0])
		snprintf(seq->recon.why, E3_EVAL_WHY, "no pixel inside the crop has a truth and a finite prediction");
	seq->recon.scored = seq->recon.score.points > 0;
	return 0;
}

static void release(void *state)
{
	recon_state *s = state;
	if (s) {
		e3_recon_release(&s->scene);
		free(s->points);
	}
	free(s);
}

static void values(const e3_eval_recon *r, double *v)
{
	const e3_recon_score *s = &r->score;
	const double all[FIGURES] = {s->acc, s->acc_med, s->comp, s->comp_med, s->nc, s->nc_med, (double)s->points, s->nc1,
		s->nc1_med, s->nc2, s->nc2_med, s->icp.fitness, s->icp.rmse, s->icp.steps,
		s->fit.size[1] > 0 ? s->fit.size[0] / s->fit.size[1] : 0, (double)s->not_finite};
	memcpy(v, all, sizeof all);
}

/* Unweighted means over scenes; sums of counts. */
static void average(const e3_eval_options *o, const e3_eval_seq *s, int n, e3_eval_seq *to)
{
	e3_eval_recon *r = &to->recon;
	e3_recon_score *a = &r->score;
	int count = 0;
	*r = (e3_eval_recon){.views = 0};
	for (int k = 0; k < n; k++) {
		const e3_recon_score *b = &s[k].recon.score;
		if (!s[k].recon.scored)
			continue;
		a->acc += b->acc, a->acc_med += b->acc_med, a->comp += b->comp, a->comp_med += b->comp_med;
		a->nc += b->nc, a->nc_med += b->nc_med, a->nc1 += b->nc1, a->nc1_med += b->nc1_med, a->nc2 += b->nc2,
			a->nc2_med += b->nc2_med;
		a->icp.fitness += b->icp.fitness, a->icp.rmse += b->icp.rmse, a->icp.steps += b->icp.steps;
		a->fit.size[0] += b->fit.size[0] / b->fit.size[1], a->fit.size[1] = 1;
		a->points += b->points, a->not_finite += b->not_finite;
		r->views += s[k].recon.views;
		count++;
	}
	double *const mean[] = {&a->acc, &a->acc_med, &a->comp, &a->comp_med, &a->nc, &a->nc_med, &a->nc1, &a->nc1_med,
		&a->nc2, &a->nc2_med, &a->icp.fitness, &a->icp.rmse, &a->fit.size[0]};
	for (size_t k = 0; count && k < sizeof mean / sizeof *mean; k++)
		*mean[k] /= count;
	r->scored = count > 0;
}

static int rows(const e3_eval_seq *s) { return s->recon.scored; }

static const char *row(const e3_eval_seq *s, int k, double *v)
{
	values(&s->recon, v);
	return "points";
}

static const char *why(const e3_eval_seq *s) { return s->recon.why; }

const eval_task eval_task_recon = {
	"recon",
	"recon",
	figures,
	FIGURES,
	false,
	begin,
	add,
	finish,
	release,
	average,
	rows,
	row,
	why,
};
