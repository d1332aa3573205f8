/* export: one run: which formats were asked for, and that they appear together or not at all. Knows no format. */
#include "export/sink.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_SINKS = 8 };

struct e3_export {
	e3_run run;
	e3_sink *sink[MAX_SINKS];
	int n;
};

int e3_view_make(const e3_pred *pred, e3_view *v, e3_err *err)
{
	*v = (e3_view){.pred = pred};
	if (!pred->has_pose)
		return 0;
	if (e3_pose_decode(pred->pose, &v->pose, err))
		return e3_fail_in(err, "frame %lld", (long long)pred->s.i);
	v->k = e3_intrinsics_decode(pred->pose, pred->w, pred->h);
	v->usable_k = e3_intrinsics_usable(pred->pose);
	return 0;
}

int e3_sink_flush(e3_file *file, e3_err *err)
{
	if (fflush(file->f) || ferror(file->f))
		return e3_fail_sys(err, "writing: %s", file->path);
	return 0;
}

static int open_sinks(e3_export *x, e3_err *err)
{
	const e3_export_options *o = x->run.opt;
	const struct {
		bool wanted;
		e3_sink *(*open)(e3_run *, e3_err *);
	} formats[MAX_SINKS] = {
		{o->glb, e3_glb_open}, {o->ply, e3_ply_open}, {o->tum, e3_tum_open}, {o->kitti, e3_kitti_open},
		{o->intrinsics, e3_intrinsics_open}, {o->npz, e3_npz_open}, {o->depth || o->depth_color, e3_depth_open},
		{o->run_json, e3_run_json_open}, /* last: it tells what the others did */
	};
	for (int k = 0; k < MAX_SINKS; k++)
		if (formats[k].wanted) {
			x->sink[x->n] = formats[k].open(&x->run, err);
			if (!x->sink[x->n])
				return -1;
			x->n++;
		}
	return 0;
}

e3_export *e3_export_open(const e3_export_options *opt, e3_err *err)
{
	e3_export *x = e3_alloc(1, sizeof *x, "the export", err);
	if (!x)
		return NULL;
	x->run.opt = opt;
	x->run.budget = -1;
	int rc = open_sinks(x, err);
	if (!rc && x->run.wants_cloud && !(x->run.cloud = e3_cloud_open(&opt->cloud, err)))
		rc = -1;
	if (!rc && x->run.parts && !(x->run.frames = e3_frames_open(err)))
		rc = -1;
	if (rc) {
		e3_export_close(x);
		return NULL;
	}
	return x;
}

static int copy_text(char **to, const char *from, e3_err *err)
{
	free(*to);
	*to = from ? strdup(from) : NULL;
	return from && !*to ? e3_fail(err, "reading the head: out of memory") : 0;
}

int e3_export_head(e3_export *x, const e3_head *head, e3_err *err)
{
	e3_run *r = &x->run;
	r->budget = head->budget;
	if (copy_text(&r->source, head->source, err) || copy_text(&r->model, head->model, err) ||
		copy_text(&r->policy, head->policy, err) || copy_text(&r->device, head->device, err))
		return -1;
	return 0;
}

int e3_export_add(e3_export *x, const e3_pred *pred, e3_err *err)
{
	e3_run *r = &x->run;
	e3_view v;
	if (e3_view_make(pred, &v, err))
		return -1;
	if (!r->facts.frames && pred->has_pose) {
		r->first = v.pose;
		r->has_first = true;
	}
	if (r->cloud && e3_cloud_add(r->cloud, &v, &r->facts, err))
		return -1;
	if (r->frames && e3_frames_add(r->frames, pred, r->parts, err))
		return -1;
	for (int k = 0; k < x->n; k++)
		if (x->sink[k]->ops->add && x->sink[k]->ops->add(x->sink[k], r, &v, err))
			return -1;
	r->facts.frames++;
	r->facts.spooled = (r->cloud ? e3_cloud_bytes(r->cloud) : 0) + (r->frames ? e3_frames_bytes(r->frames) : 0);
	return 0;
}

int e3_export_finish(e3_export *x, const e3_end *end, e3_err *err)
{
	e3_run *r = &x->run;
	r->end = end;
	if (!r->facts.frames)
		return e3_fail(err, "exporting: the stream has no predictions");
	if (r->cloud && e3_cloud_settle(r->cloud, &r->facts, err))
		return -1;
	for (int k = 0; k < x->n; k++)
		if (x->sink[k]->ops->write(x->sink[k], r, err))
			return -1;
	for (int k = 0; k < x->n; k++)
		if (x->sink[k]->ops->commit(x->sink[k], err))
			return -1;
	return 0;
}

const e3_export_facts *e3_export_facts_of(const e3_export *x) { return &x->run.facts; }

void e3_export_close(e3_export *x)
{
	if (!x)
		return;
	for (int k = 0; k < x->n; k++)
		x->sink[k]->ops->free(x->sink[k]);
	e3_cloud_close(x->run.cloud);
	e3_frames_close(x->run.frames);
	free(x->run.source);
	free(x->run.model);
	free(x->run.policy);
	free(x->run.device);
	free(x);
}
